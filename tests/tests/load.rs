//! The load tool does what the README says of it: it starts both servers, drives them in turn, and compares.

use std::path::{Path, PathBuf};
use std::process::Command;

use clawhost_tests::support::{Gateway, TOKEN};
use serde_json::{Value, json};

/// Whether the streams are whole and in order is looked at here; how fast they are depends on what else the machine does.
#[tokio::test]
async fn a_crowd_of_streams_is_whole_and_in_order() {
    let gateway = Gateway::builder().program(env!("CARGO_BIN_EXE_bench_gateway")).start().await;
    let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
    load.args(["--json", "--url", &format!("ws://127.0.0.1:{}", gateway.port), "--token", TOKEN])
        .args(["--server-pid", &gateway.pid().to_string()])
        .args(["runs", "--runs", "100", "--words", "12", "--connections", "3"]);
    let outcome = tokio::task::spawn_blocking(move || load.output().expect("the load tool can be started")).await;
    let outcome = outcome.expect("it was waited for");
    let (printed, said) = (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    assert!(outcome.status.success(), "{printed}\n{said}");
    let report: Value = serde_json::from_str(printed.lines().last().unwrap_or_default()).expect("a report in JSON");
    assert_eq!((&report["count"], &report["expected"], &report["errors"]), (&json!(100), &json!(100), &json!(0)));
    for found in ["latency", "firstDelta", "bystander"] {
        assert!(report[found]["p99"].as_f64() > Some(0.0), "{found}: {report}");
    }
    gateway.stop().await;
}

/// As a person would name it who stands in the folder that holds the programs.
fn relative(program: &str) -> (PathBuf, PathBuf) {
    let program = Path::new(program);
    let folder = program.parent().expect("a program lies in a folder");
    (folder.to_path_buf(), PathBuf::from(program.file_name().expect("a program has a name")))
}

#[test]
fn a_comparison_of_two_servers_has_every_scenario() {
    let (folder, gateway) = relative(env!("CARGO_BIN_EXE_bench_gateway"));
    let (_, bare) = relative(env!("CARGO_BIN_EXE_bare"));
    let outcome = Command::new(env!("CARGO_BIN_EXE_load"))
        .current_dir(folder)
        .args(["--json", "compare", "--rounds", "1", "--seconds", "0.2", "--idle", "20", "--handshakes", "40"])
        .args(["--subscribers", "10", "--events", "10", "--gateway-bin"])
        .arg(gateway)
        .arg("--bare-bin")
        .arg(bare)
        .output()
        .expect("the load tool can be started");
    let (printed, said) = (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    assert!(outcome.status.success(), "{printed}\n{said}");
    let report: Value = serde_json::from_str(printed.lines().last().unwrap_or_default()).expect("a report in JSON");
    let rows = report["rows"].as_array().expect("rows");
    let scenarios: Vec<_> = rows.iter().map(|row| row["scenario"].as_str().expect("a name")).collect();
    let expected = [
        "idle connection",
        "health 64x1",
        "health 64x16",
        "handshake",
        "handshake with device",
        "event delivered",
        "node invoke",
    ];
    assert_eq!(scenarios, expected, "{said}");
    for row in &rows[1..] {
        for server in ["gateway", "bare"] {
            let report = &row[server];
            assert!(report["count"].as_u64() > Some(0) && report["errors"] == 0, "{server}: {row}");
        }
    }
}
