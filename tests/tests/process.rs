//! The `clawhost` program from outside: what can be typed, what it prints, the codes it ends with, and what it leaves on
//! the disk.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clawhost_tests::program::{Gateway, Home, Outcome};
use serde_json::Value;

#[test]
fn the_commands_find_the_gateway_of_this_machine() {
    let home = Home::default();
    let gateway = home.start();

    assert_eq!(home.json("call health")["ok"], true);
    assert_eq!(home.json("health")["ok"], true);
    assert!(home.json("status")["uptimeMs"].is_u64());
    let methods = home.json("methods");
    let names: Vec<_> = methods["methods"].as_array().expect("a list").iter().map(|row| &row["name"]).collect();
    assert!(names.contains(&&Value::from("health")) && names.is_sorted_by_key(|name| name.as_str()), "{names:?}");
    let plugins = home.json("plugins");
    let rows = plugins["plugins"].as_array().expect("a list");
    let resting: Vec<_> =
        rows.iter().filter(|row| row["state"] != "running").map(|row| (&row["id"], &row["state"])).collect();
    let wants_a_table = |id: &str| (Value::from(id), Value::from("disabled"));
    let expected = [wants_a_table("signal"), wants_a_table("telegram")];
    assert_eq!(resting, expected.each_ref().map(|(id, state)| (id, state)), "{plugins}");
    assert!(rows.len() > expected.len());
    assert!(home.json("devices list")["paired"].is_array());
    assert_eq!(home.json("token show")["token"], home.token());

    for line in [
        "health",
        "status",
        "methods",
        "methods health",
        "plugins",
        "devices list",
        "nodes list",
        "connections",
        "logs",
    ] {
        let outcome = home.run(line);
        assert_eq!(outcome.code, Some(0), "{line}: {outcome:?}");
        assert!(!outcome.out.trim().is_empty() && !outcome.out.starts_with('{'), "{line} is for people: {outcome:?}");
    }
    for url in [gateway.url.clone(), format!("ws://localhost:{}", gateway.port)] {
        let outcome = home.run(&format!("call health --url {url}"));
        assert_eq!(outcome.code, Some(0), "{url} is this machine's gateway: {outcome:?}");
    }
    let elsewhere = Home::default();
    let line = format!("call health --url {} --token {}", gateway.url, home.token());
    assert_eq!(elsewhere.run(&line).code, Some(0), "address and token are enough");
}

#[test]
fn help_and_version_are_answered_by_the_program_itself() {
    let home = Home::default();
    let help = home.run("--help");
    assert_eq!(help.code, Some(0));
    for command in [
        "run",
        "call",
        "health",
        "status",
        "methods",
        "plugins",
        "dashboard",
        "devices",
        "nodes",
        "approvals",
        "token",
        "config",
        "backup",
    ] {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command} is not in {}", help.out);
    }
    assert!(home.run("--version").out.starts_with("clawhost "));
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.run(&format!("completions {shell}")).out.contains("clawhost"), "{shell}");
    }
    assert!(!home.state().exists(), "questions leave nothing behind");
}

#[test]
fn exit_codes_tell_failures_from_mistakes() {
    let home = Home::default();
    for (line, code) in [
        ("health", 1),
        ("call health --url ws://127.0.0.1:9 --token x", 1),
        ("helth", 2),
        ("call", 2),
        ("call health --params {", 2),
        ("run --port 70000", 2),
        ("run --config no-such-file.toml", 2),
    ] {
        let outcome = home.run(line);
        assert_eq!(outcome.code, Some(code), "{line}: {outcome:?}");
        assert!(!outcome.err.trim().is_empty() && outcome.out.is_empty(), "{line}: {outcome:?}");
    }
    let gateway = home.start();
    let unknown = home.run("call no.such.method");
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.err.contains("unknown method: no.such.method"), "{unknown:?}");
    let wrong = home.run(&format!("health --url {} --token wrong", gateway.url));
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(!wrong.err.contains(&home.token()), "{wrong:?}");
}

#[test]
fn exit_codes_tell_also_when_nobody_reads_the_error() {
    let home = Home::default();
    for (line, code) in [("health", 1), ("call health --params {", 2)] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = home.command(line.split_whitespace());
        let ended = command.stdout(Stdio::null()).stderr(writer).status().expect("the program runs");
        assert_eq!(ended.code(), Some(code), "{line}");
    }
}

#[test]
fn a_mistake_in_the_configuration_is_named_with_its_line_and_what_would_be_right() {
    let home = Home::default();
    home.configure("[gateway]\nprot = 1\n");
    for line in ["config check", "run"] {
        let outcome = home.run(line);
        assert_eq!(outcome.code, Some(2), "{line}: {outcome:?}");
        let helpful = ["config.toml", "prot", "port", "2"].iter().all(|word| outcome.err.contains(word));
        assert!(helpful, "{line}: {outcome:?}");
    }
    assert!(!home.state().exists(), "a gateway that does not start makes no state");
    for (text, line, fault) in [
        ("[plugins.status.config]\nfoo = 1\n", 1, "takes no configuration"),
        ("\n[plugins.health.config]\nrefresh_ms = \"x\"\n", 2, "at /refresh_ms: must be integer"),
    ] {
        let outcome = home.configure(text).run("config check");
        assert_eq!(outcome.code, Some(2), "{text}: {outcome:?}");
        assert!(outcome.err.contains(&format!("config.toml:{line}: [plugins.")), "{outcome:?}");
        assert!(outcome.err.contains(fault), "{outcome:?}");
    }
    let outcome = home.configure("[plugins.weather]\npath = \"weather.so\"\n").run("config check");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.err.contains("[plugins.weather]") && outcome.err.contains("clawhost plugins check"), "{outcome:?}");
    home.configure("[plugins.status]\nenabled = false\n");
    assert_eq!(home.run("config check").code, Some(0));
    let _gateway = home.start();
    assert_eq!(home.run("call status").code, Some(1), "a disabled plugin's method is unknown");
    assert_eq!(home.run("call health").code, Some(0));
}

#[test]
fn the_stronger_source_wins() {
    let home = Home::default();
    home.configure("[gateway]\nport = 1001\n");
    let mut variables: Vec<(&str, &str)> = Vec::new();
    assert_eq!(configured_port(&home, &variables), 1001, "the file");
    for (name, port) in [
        ("CLAWDBOT_GATEWAY_PORT", 1002),
        ("OPENCLAW_GATEWAY_PORT", 1003),
        ("CLAWHOST_PORT", 1004),
        ("CLAWHOST_GATEWAY_PORT", 1005),
    ] {
        let text: &str = port.to_string().leak();
        variables.push((name, text));
        assert_eq!(configured_port(&home, &variables), port, "{name}");
    }
    // Flags of `run` name a port; that they stand above all is seen in the one a gateway listens on.
    let mut command = home.command(["run", "--port", "0"]);
    command.envs(variables);
    let gateway = Gateway::start(command);
    assert!(!(1001..=1005).contains(&gateway.port), "{}", gateway.port);
}

#[test]
fn the_first_start_makes_a_token_and_a_folder_for_its_owner_only() {
    let home = Home::default();
    let mut gateway = home.start();
    let token = home.token();
    assert!(token.len() >= 32, "{token:?}");
    assert_eq!(mode(&home.state()), 0o700);
    for file in ["token", "gateway.json", "gateway.key", "state.db", "logs/clawhost.jsonl"] {
        assert_eq!(mode(&home.state().join(file)) & 0o077, 0, "{file}");
    }
    let described: Value = read_json(&home.state().join("gateway.json"));
    assert_eq!(described["url"], gateway.url);
    assert_eq!(described["pid"], gateway.pid());
    assert!(gateway.said().iter().all(|line| !line.contains(&token)), "secrets stay out of the log");
    assert!(gateway.terminate().is_some());
    let _second = home.start();
    assert_eq!(home.token(), token, "the token stays");
}

#[test]
fn a_second_gateway_with_the_same_state_or_port_says_what_is_in_the_way() {
    let home = Home::default();
    let gateway = home.start();
    let same_state = home.run("run --port 0");
    assert_eq!(same_state.code, Some(1), "{same_state:?}");
    assert!(same_state.err.contains("already running") && same_state.err.contains(&gateway.pid().to_string()));
    let other = Home::default();
    let same_port = other.run(&format!("run --port {}", gateway.port));
    assert_eq!(same_port.code, Some(1), "{same_port:?}");
    assert!(same_port.err.contains("--port"), "{same_port:?}");
    assert_eq!(home.json("health")["ok"], true, "the first one is not disturbed");
}

#[test]
fn a_gateway_without_a_secret_stays_on_this_machine() {
    let home = Home::default();
    let refused = home.run("run --bind lan --port 0");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("secret") && refused.err.contains("CLAWHOST_GATEWAY_TOKEN"), "{refused:?}");
    let with_one = Gateway::start(home.command(["run", "--bind", "lan", "--port", "0", "--token", "a-long-secret"]));
    let line = format!("health --url ws://127.0.0.1:{} --token a-long-secret", with_one.port);
    assert_eq!(home.run(&line).code, Some(0));
    assert_eq!(home.run("health").code, Some(0), "commands of the same owner find the secret by themselves");
}

#[test]
fn a_signal_ends_it_in_order() {
    let home = Home::default();
    home.configure("[gateway.limits]\ndrain_ms = 2000\n");
    let mut gateway = home.start();
    let begun = Instant::now();
    let status = gateway.terminate().expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(!home.state().join("gateway.json").exists(), "nothing describes a gateway that is gone");
    let log = std::fs::read_to_string(home.state().join("logs/clawhost.jsonl")).expect("there is a log");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    assert!(lines.iter().any(|line| line["message"].as_str().is_some_and(|text| text.starts_with("listening on"))));
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["target"].is_string(), "{line}");
    }
    let gone = home.run("health");
    assert_eq!(gone.code, Some(1), "{gone:?}");
}

#[test]
fn a_killed_gateway_is_no_obstacle() {
    let home = Home::default();
    let mut gateway = home.start();
    gateway.kill();
    assert_eq!(home.run("health").code, Some(1));
    let _next = home.start();
    assert_eq!(home.run("health").code, Some(0));
}

#[test]
fn a_state_file_that_lost_its_content_is_not_taken_for_a_new_one() {
    let home = Home::default();
    assert!(home.start().terminate().is_some());
    let database = home.state().join("state.db");
    let whole = std::fs::read(&database).expect("it was made");
    assert!(whole.len() > 4096, "{}", whole.len());
    for kept in [0, 1, 50, 100, 4096, whole.len() - 4096] {
        std::fs::write(&database, &whole[..kept]).expect("it is ours");
        let outcome = home.run("run --port 0");
        assert_eq!(outcome.code, Some(1), "{kept} bytes: {outcome:?}");
        assert!(outcome.err.contains("state.db") && outcome.err.contains("backup"), "{kept} bytes: {outcome:?}");
        assert_eq!(std::fs::read(&database).expect("it is there"), &whole[..kept], "nothing is written over it");
    }
    std::fs::remove_file(&database).expect("it is ours");
    let outcome = home.run("run --port 0");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.err.contains("is missing") && !database.exists(), "{outcome:?}");
    // What the sentence says helps: a new beginning, or the file as it was.
    let key = home.state().join("gateway.key");
    let old_key = std::fs::read(&key).expect("it was made");
    std::fs::remove_file(&key).expect("it is ours");
    assert!(home.start().terminate().is_some());
    assert_ne!(std::fs::read(&key).expect("a new one"), old_key);
    std::fs::write(&database, &whole).expect("it is ours");
    let _gateway = home.start();
}

#[test]
fn a_failing_start_is_told_once_on_standard_error_and_in_the_log() {
    let home = Home::default();
    let taken = home.start();
    let other = Home::default();
    let failing = |level: &str| other.run(&format!("run --port {} --log-level {level}", taken.port));
    for level in ["info", "off"] {
        let outcome = failing(level);
        assert_eq!(outcome.err.matches("--port").count(), 1, "{level}: {outcome:?}");
    }
    let log = std::fs::read_to_string(other.state().join("logs/clawhost.jsonl")).expect("there is a log");
    let told: Vec<&str> = log.lines().filter(|line| line.contains("the gateway did not start")).collect();
    assert!(told.len() == 1 && told[0].contains("--port"), "{log}");
}

#[test]
fn a_backup_of_a_running_gateway_starts_elsewhere() {
    let home = Home::default();
    let _gateway = home.start();
    let archive = home.path().join("backup.tar");
    let outcome = home.run("backup backup.tar");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(mode(&archive) & 0o077, 0, "it holds secrets");
    assert_ne!(home.run("backup backup.tar").code, Some(0), "a backup is never written over");

    let restored = Home::default();
    let state = restored.state();
    std::fs::create_dir(&state).expect("a folder can be made");
    let mut unpack = Command::new("tar");
    unpack.arg("-xf").arg(&archive).arg("-C").arg(&state);
    assert_eq!(Outcome::of(unpack, "tar").code, Some(0));
    let database = std::fs::read(state.join("state.db")).expect("the database is in it");
    assert!(database.starts_with(b"SQLite format 3\0"));
    let _second = restored.start();
    assert_eq!(restored.token(), home.token());
    assert_eq!(restored.run("health").code, Some(0));
}

/// The port that `config show` finds with these variables.
fn configured_port(home: &Home, variables: &[(&str, &str)]) -> u64 {
    let mut command = home.command(["config", "show", "--json"]);
    command.envs(variables.iter().copied());
    let outcome = Outcome::of(command, "config show");
    let shown: Value = serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    shown["gateway"]["port"].as_u64().unwrap_or_else(|| panic!("no port in {shown}"))
}

fn mode(path: &Path) -> u32 {
    let metadata = std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    metadata.permissions().mode() & 0o777
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("the file can be read")).expect("the file is JSON")
}
