//! `clawhost doctor` from outside: what it says of a fresh home, of a broken one, and of a gateway that runs; that each
//! finding has its remedy, that the remedies help, and that no secret is said.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use clawhost_tests::program::{Gateway, Home, Outcome};
use client::{ConnectOptions, Connection, Identity};
use serde_json::{Value, json};

/// What the doctor said for scripts, with the exit code that must belong to it.
struct Visit {
    report: Value,
    outcome: Outcome,
}

impl Visit {
    fn to(home: &Home, more: &str) -> Self {
        let line = format!("doctor --json {more}");
        let mut command = home.command(line.split_whitespace());
        // Whatever manages services on this machine is no part of what is looked at here.
        command.env("PATH", home.path());
        let outcome = Outcome::of(command, &line);
        let report: Value =
            serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{line}: {error}: {outcome:?}"));
        let visit = Visit { report, outcome };
        let errors = visit.of_level("error").len();
        assert_eq!(visit.outcome.code, Some(i32::from(errors > 0)), "{:?}", visit.outcome);
        assert_eq!(visit.report["ok"], errors == 0);
        assert_eq!(visit.report["errors"], errors);
        for finding in visit.of_level("error").into_iter().chain(visit.of_level("warning")) {
            let remedy = finding["remedy"]["run"].as_str().or(finding["remedy"]["edit"].as_str());
            assert!(remedy.is_some_and(|remedy| !remedy.is_empty()), "it says of no remedy: {finding}");
        }
        visit
    }

    fn findings(&self) -> &[Value] {
        self.report["findings"].as_array().expect("a list")
    }

    fn of_level(&self, level: &str) -> Vec<&Value> {
        self.findings().iter().filter(|finding| finding["level"] == level).collect()
    }

    /// The one finding of this check and level.
    #[track_caller]
    fn the(&self, check: &str, level: &str) -> &Value {
        let mut found = self.findings().iter().filter(|finding| finding["check"] == check && finding["level"] == level);
        let one = found.next().unwrap_or_else(|| panic!("no {level} of {check}: {:#}", self.report));
        assert!(found.next().is_none(), "more than one {level} of {check}: {:#}", self.report);
        one
    }

    fn has(&self, check: &str, level: &str) -> bool {
        self.findings().iter().any(|finding| finding["check"] == check && finding["level"] == level)
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// A port that nobody has now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

#[test]
fn a_fresh_home_has_nothing_wrong_and_stays_fresh() {
    let home = Home::default();
    home.configure(&format!("[gateway]\nport = {}\n", free_port()));
    let visit = Visit::to(&home, "");
    assert_eq!(visit.of_level("error"), Vec::<&Value>::new());
    for check in ["config", "ports", "exposure", "clock", "disk", "plugins"] {
        assert!(visit.has(check, "ok"), "{check}: {:#}", visit.report);
    }
    assert_eq!(visit.the("gateway", "note")["remedy"], json!({"run": "clawhost run"}));
    assert!(visit.the("token", "note")["what"].as_str().expect("a sentence").contains("first start"));
    assert!(!home.state().exists(), "a look leaves nothing behind");

    let text = home.run("doctor");
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(
        text.out.contains("run: clawhost run\n") && text.out.ends_with("s\n") && !text.out.contains('{'),
        "{text:?}"
    );
    assert!(text.out.lines().last().expect("a summary").starts_with("0 errors, "), "{text:?}");
}

#[test]
fn a_broken_configuration_is_told_with_file_line_and_key() {
    let home = Home::default();
    home.configure("[gateway]\nprot = 1\nbind = \"everywhere\"\n[gateway.auth]\ntoken = \"do-not-say-this-one\"\n");
    let visit = Visit::to(&home, "");
    let wrong: Vec<&Value> = visit.of_level("error");
    assert_eq!(wrong.len(), 2, "{:#}", visit.report);
    for (finding, key, line) in [(wrong[0], "gateway.prot", 2), (wrong[1], "gateway.bind", 3)] {
        assert_eq!((&finding["check"], &finding["key"]), (&json!("config"), &json!(key)));
        assert_eq!((&finding["line"], &finding["remedy"]["run"]), (&json!(line), &json!("clawhost config check")));
        assert!(finding["file"].as_str().expect("a file").ends_with("config.toml"));
    }
    assert!(wrong[0]["what"].as_str().expect("a sentence").contains("did you mean \"port\"?"));
    assert!(!visit.outcome.out.contains("do-not-say") && !visit.outcome.err.contains("do-not-say"));
    // What can be looked at without it is looked at all the same.
    assert!(visit.has("clock", "ok") && visit.has("gateway", "note"), "{:#}", visit.report);

    home.configure("[gateway]\nport = 0\nallowed_origins = [\"*\"]\n[plugins.status.config]\nfoo = 1\n");
    let visit = Visit::to(&home, "");
    assert_eq!(visit.the("config", "warning")["key"], "gateway.allowed_origins");
    let table = visit.the("plugins", "error");
    assert_eq!((&table["key"], &table["line"]), (&json!("plugins.status.config"), &json!(4)));
    assert!(table["what"].as_str().expect("a sentence").contains("takes no configuration"));

    let missing = Outcome::of(home.command(["doctor", "--config", "nowhere.toml", "--json"]), "doctor");
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.out.contains("nowhere.toml"), "{missing:?}");
}

#[test]
fn files_that_others_can_reach_are_found_and_closed() {
    let home = Home::default();
    assert!(home.start().terminate().is_some());
    let (state, config) = (home.state(), home.path().join("config.toml"));
    home.configure(
        "[gateway]\nport = 0\n[plugins.telegram]\nenabled = false\n[plugins.telegram.config]\ntoken_file = \"bot\"\n",
    );
    fs::write(home.path().join("bot"), "12:secret-of-the-bot\n").expect("a file can be written");
    for (path, mode) in [
        (state.clone(), 0o755),
        (state.join("token"), 0o644),
        (state.join("gateway.key"), 0o640),
        (state.join("logs/clawhost.jsonl"), 0o644),
        (home.path().join("bot"), 0o644),
        (config.clone(), 0o666),
    ] {
        chmod(&path, mode);
    }
    symlink(home.path().join("bot"), state.join("link")).expect("a link can be made");
    let visit = Visit::to(&home, "");
    let level_of = |path: &Path| {
        let of_file = |finding: &&Value| finding["check"] == "permissions" && finding["file"] == json!(path);
        let found = visit.findings().iter().find(of_file).unwrap_or_else(|| panic!("{path:?}: {:#}", visit.report));
        let right = found["remedy"]["run"].as_str().expect("a command").to_string();
        (found["level"].as_str().expect("a level").to_string(), right)
    };
    let expected =
        |level: &str, mode: &str, path: &Path| (level.to_string(), format!("chmod {mode} {}", path.display()));
    for (path, level, mode) in [
        (state.clone(), "warning", "700"),
        (state.join("token"), "error", "600"),
        (state.join("gateway.key"), "error", "600"),
        (state.join("logs/clawhost.jsonl"), "warning", "600"),
        (home.path().join("bot"), "error", "600"),
        (config.clone(), "error", "644"),
    ] {
        assert_eq!(level_of(&path), expected(level, mode, &path));
    }
    assert!(!visit.outcome.out.contains("secret-of-the-bot") && !visit.outcome.out.contains("/link"));
    assert!(visit.has("token", "error"), "a token that others read is refused: {:#}", visit.report);

    let fixed = Visit::to(&home, "--fix");
    let repaired: Vec<&Value> = fixed.findings().iter().filter(|finding| finding["fixed"] == true).collect();
    assert!(repaired.len() >= 6 && repaired.iter().all(|finding| finding["level"] == "ok"), "{:#}", fixed.report);
    assert_eq!((mode(&state), mode(&state.join("token")), mode(&config)), (0o700, 0o600, 0o644));
    let after = Visit::to(&home, "");
    assert_eq!(after.of_level("error"), Vec::<&Value>::new());
    assert!(after.has("permissions", "ok") && after.has("token", "ok"), "{:#}", after.report);
}

#[test]
fn a_secret_in_an_open_configuration_is_an_error() {
    let home = Home::default();
    let secret = "9d7be1f4c23a58607e2d";
    home.configure(&format!("[gateway]\nport = 0\n[gateway.auth]\ntoken = \"{secret}\"\n"));
    let config = home.path().join("config.toml");
    chmod(&config, 0o644);
    let visit = Visit::to(&home, "");
    let open = visit.the("permissions", "error");
    assert_eq!((&open["key"], &open["file"]), (&json!("gateway.auth.token"), &json!(config)));
    assert!(!visit.outcome.out.contains(secret));
    chmod(&config, 0o600);
    let visit = Visit::to(&home, "");
    assert_eq!(visit.of_level("error"), Vec::<&Value>::new());
    assert!(visit.has("token", "ok") && !visit.outcome.out.contains(secret));
    for (weak, level) in [("hunter2", "warning"), ("aaaaaaaaaaaaaaaaaaaaaaaaaaa", "warning")] {
        home.configure(&format!("[gateway]\nport = 0\n[gateway.auth]\ntoken = \"{weak}\"\n"));
        let visit = Visit::to(&home, "");
        assert_eq!(visit.the("token", level)["key"], "gateway.auth.token");
        assert!(!visit.outcome.out.contains(weak), "{:?}", visit.outcome);
    }
}

#[test]
fn a_port_that_somebody_else_has_is_named_with_whom() {
    let home = Home::default();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it has one").port();
    home.configure(&format!("[gateway]\nport = {port}\n"));
    let visit = Visit::to(&home, "");
    let taken = visit.the("ports", "error");
    assert_eq!((&taken["key"], &taken["value"]), (&json!("gateway.port"), &json!(port)));
    let what = taken["what"].as_str().expect("a sentence");
    assert!(what.contains(&format!("127.0.0.1:{port} is taken, by ")), "{what}");
    if cfg!(target_os = "linux") {
        assert!(what.contains(&format!("pid {}", std::process::id())), "{what}");
    }
    drop(listener);
    assert!(Visit::to(&home, "").has("ports", "ok"));
}

#[test]
fn a_gateway_that_others_reach_without_tls_is_a_warning() {
    let home = Home::default();
    let file = home.path().join("secret");
    fs::write(&file, "correct horse battery staple\n").expect("a file can be written");
    chmod(&file, 0o600);
    let base = "[gateway]\nport = 0\nbind = \"lan\"\n[gateway.auth]\ntoken_file = \"secret\"\n";
    let visit = Visit::to(home.configure(base), "");
    let open = visit.the("exposure", "warning");
    assert_eq!((&open["key"], &open["value"]), (&json!("gateway.bind"), &json!("lan")));
    assert!(open["remedy"]["edit"].as_str().expect("a change").contains("[gateway.tls]"));
    assert_eq!(visit.of_level("error"), Vec::<&Value>::new());
    let with_tls = format!("{base}[gateway.tls]\nenabled = true\n");
    assert!(Visit::to(home.configure(&with_tls), "").has("exposure", "ok"));
    fs::write(&file, "short\n").expect("a file can be written");
    let visit = Visit::to(&home, "");
    assert!(visit.has("token", "error") && !visit.outcome.out.contains("short"), "{:?}", visit.outcome);
}

#[test]
fn a_gateway_that_runs_is_asked_and_its_failed_plugins_are_told() {
    let home = Home::default();
    home.configure("[plugins.health.config]\nrefresh_ms = \"often\"\n");
    let gateway = home.start();
    let visit = Visit::to(&home, "");
    let failed = visit.the("plugins", "error");
    assert_eq!(failed["key"], "plugins.health");
    assert!(failed["what"].as_str().expect("a sentence").contains("/refresh_ms: must be integer"), "{failed}");
    assert_eq!(failed["remedy"]["run"], "clawhost plugins reload health");
    assert!(visit.has("gateway", "ok") && visit.has("plugins", "ok"), "{:#}", visit.report);
    let port = visit.the("ports", "ok")["what"].as_str().expect("a sentence");
    let held = [gateway.port.to_string(), gateway.pid().to_string()].iter().all(|text| port.contains(text.as_str()));
    assert!(held, "{port}");
    assert!(visit.the("ports", "note")["what"].as_str().expect("a sentence").contains("18789"));
    let text = home.run("doctor");
    for secret in [home.token(), fs::read_to_string(home.state().join("gateway.key")).unwrap_or_default()] {
        let said = [&visit.outcome.out, &visit.outcome.err, &text.out, &text.err];
        assert!(secret.is_empty() || said.iter().all(|said| !said.contains(secret.as_str())));
    }

    home.configure("");
    assert_eq!(home.run("plugins reload health").code, Some(0), "the remedy helps");
    let visit = Visit::to(&home, "");
    assert_eq!(visit.of_level("error"), Vec::<&Value>::new());
    let apart =
        visit.findings().iter().any(|finding| finding["what"].as_str().is_some_and(|what| what.contains(" ms apart")));
    assert!(apart && visit.has("pairing", "ok"), "{:#}", visit.report);
}

#[test]
fn it_is_said_when_the_gateway_that_runs_reads_another_file() {
    let home = Home::default();
    home.configure("");
    let _gateway = home.start();
    for file in ["other.toml", "broken.toml"] {
        fs::write(home.path().join(file), if file == "other.toml" { "" } else { "[gatewya]\n" }).expect("a file");
        let visit = Visit::to(&home, &format!("--config {file}"));
        let other = visit.the("config", "warning");
        let what = other["what"].as_str().expect("a sentence");
        assert!(what.contains("/config.toml, and what") && what.ends_with(&format!("/{file}")), "{what}");
        let remedy = other["remedy"]["run"].as_str().expect("a command");
        assert!(remedy.starts_with("clawhost doctor --config /") && remedy.ends_with("/config.toml"), "{remedy}");
        let checked = home.run(&format!("config check --config {file}"));
        let first = checked.err.lines().next().unwrap_or_default();
        assert!(first.contains(&format!("/{file}; the gateway that runs reads /")), "{checked:?}");
    }
    symlink("config.toml", home.path().join("linked.toml")).expect("a link can be made");
    for same in ["", "--config linked.toml"] {
        assert!(!Visit::to(&home, same).has("config", "warning"), "{same}");
        let checked = home.run(&format!("config check {same}"));
        assert!(checked.err.is_empty() && checked.out.ends_with(".toml: nothing is wrong\n"), "{checked:?}");
        assert!(checked.out.starts_with('/'), "from everywhere it is the same file: {checked:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named_where_it_was_looked_for() {
    let home = Home::default();
    let visit = Visit::to(&home, "");
    let what = visit.the("config", "ok")["what"].as_str().expect("a sentence").to_string();
    assert!(what.contains("/config.toml nor /") && what.contains(".clawhost/config.toml"), "{what}");
    let checked = home.run("config check");
    assert_eq!((checked.code, checked.out.as_str()), (Some(0), "no configuration file: nothing is wrong\n"));
}

#[tokio::test]
async fn who_waits_to_be_approved_is_told() {
    let home = Home::default();
    let gateway = home.start();
    assert!(!Visit::to(&home, "").has("pairing", "note"));
    let node = ConnectOptions::new(&gateway.url).token(home.token()).client("node-host", "node").role("node");
    let node = node.identity(Identity::generate().expect("random numbers")).caps(["system"]).commands(["system.which"]);
    let connection = Connection::open(node).await.expect("a node of this machine is let in");
    let waits = Visit::to(&home, "");
    let note = waits.the("pairing", "note");
    assert_eq!(note["remedy"]["run"], "clawhost nodes pending", "{note}");
    assert!(note["what"].as_str().expect("a sentence").starts_with("1 node waits"), "{note}");
    connection.close().await;
}

#[test]
fn a_gateway_elsewhere_is_asked_and_no_file_of_it_is_looked_at() {
    let home = Home::default();
    let gateway = home.start();
    let elsewhere = Home::default();
    let url = format!("--url {}", gateway.url);
    let refused = Visit::to(&elsewhere, &format!("{url} --token wrong"));
    let error = refused.the("gateway", "error");
    assert!(error["what"].as_str().expect("a sentence").contains("refused"), "{error}");
    assert!(refused.has("clock", "ok"), "its clock was seen all the same: {:#}", refused.report);
    assert!(!refused.has("config", "ok"), "of another machine's gateway no file is looked at");
    let token = home.token();
    let let_in = Visit::to(&elsewhere, &format!("{url} --token {token}"));
    assert_eq!(let_in.of_level("error"), Vec::<&Value>::new());
    assert!(let_in.has("gateway", "ok") && let_in.has("plugins", "ok") && !let_in.outcome.out.contains(&token));
    let nobody = Visit::to(&elsewhere, &format!("--url ws://127.0.0.1:{}", free_port()));
    assert!(nobody.has("gateway", "error"), "{:#}", nobody.report);
    let outcome = Outcome::of(elsewhere.command(["doctor", "--fix", "--url", &gateway.url]), "doctor --fix");
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
}

#[test]
fn a_plugin_whose_file_is_another_is_found_before_the_start() {
    let home = Home::default();
    let file = home.path().join("libweather.so");
    fs::write(&file, "no library").expect("a file can be written");
    let pinned = "0".repeat(64);
    home.configure(&format!(
        "[gateway]\nport = 0\n[plugins.weather]\npath = \"libweather.so\"\nsha256 = \"{pinned}\"\n"
    ));
    let visit = Visit::to(&home, "");
    let other = visit.the("plugins", "error");
    assert_eq!(other["key"], "plugins.weather.path");
    assert!(other["what"].as_str().expect("a sentence").contains(&pinned), "{other}");
    fs::remove_file(&file).expect("it is ours");
    let gone = Visit::to(&home, "");
    assert!(gone.the("plugins", "error")["what"].as_str().expect("a sentence").contains("no such file"));
    home.configure("[gateway]\nport = 0\n[plugins.weather]\nenabled = false\npath = \"libweather.so\"\n");
    assert!(!Visit::to(&home, "").has("plugins", "error"), "what is switched off is nobody's trouble");
}

#[test]
fn a_clock_that_went_backwards_and_a_lost_key_are_seen() {
    let home = Home::default();
    home.configure("[gateway]\nport = 0\n");
    assert!(home.start().terminate().is_some());
    let database = home.state().join("state.db");
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let file = fs::File::options().append(true).open(&database).expect("it was made");
    file.set_modified(tomorrow).expect("its time can be set");
    assert_eq!(Visit::to(&home, "").the("clock", "warning")["file"], json!(database));
    let (key, kept) = (home.state().join("gateway.key"), home.path().join("kept"));
    fs::rename(&key, &kept).expect("it is ours");
    assert_eq!(Visit::to(&home, "").the("state", "warning")["file"], json!(key));
    fs::rename(&kept, &key).expect("it is ours");
    fs::remove_file(&database).expect("it is ours");
    assert_eq!(Visit::to(&home, "").the("state", "error")["file"], json!(database));
    assert_eq!(home.run("run").code, Some(1), "the start says so, too");
}

#[test]
fn a_service_that_does_not_run_is_told() {
    let home = Home::default();
    home.configure("[gateway]\nport = 0\n");
    let systemctl = home.path().join("systemctl");
    for (code, level, word) in [("0", "ok", "runs"), ("3", "warning", "does not run"), ("4", "note", "no service")] {
        fs::write(&systemctl, format!("#!/bin/sh\n[ \"$1\" = --user ] && exit {code}\nexit 4\n")).expect("a file");
        chmod(&systemctl, 0o755);
        if cfg!(target_os = "linux") {
            let visit = Visit::to(&home, "");
            let what = visit.the("service", level)["what"].as_str().expect("a sentence").to_string();
            assert!(what.contains(word), "{code}: {what}");
        }
    }
}

/// A gateway whose port the doctor tries by name must not be disturbed by that.
#[test]
fn a_look_disturbs_nobody() {
    let home = Home::default();
    home.configure(&format!("[gateway]\nport = {}\n", free_port()));
    let mut gateway = Gateway::start(home.command(["run"]));
    for _ in 0..3 {
        assert_eq!(Visit::to(&home, "").of_level("error"), Vec::<&Value>::new());
    }
    assert_eq!(home.run("health").code, Some(0));
    assert_eq!(gateway.terminate().and_then(|status| status.code()), Some(0));
}
