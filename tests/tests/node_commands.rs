//! `clawhost nodes` and `clawhost approvals` as their user has them.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Instant;

use clawhost_tests::program::{Home, PATIENCE};
use serde_json::{Value, json};

/// A headless node that is connected; killed when dropped.
struct Node(Child);

impl Node {
    fn start(home: &Home) -> Self {
        let mut command = home.command(["node", "run", "--name", "box", "--let-gateway-approve"]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program runs");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let told = lines.find(|line| line.contains("connected to gateway")).expect("it connects");
        assert!(told.contains("clawhost nodes pending"), "{told}");
        // What it says later has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Node(child)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until the answer is as wanted; each look is a request.
fn until(home: &Home, line: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = home.json(line);
        if wanted(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{line}: {answer}");
    }
}

/// What a command prints for people.
fn shown(home: &Home, line: &str) -> String {
    let outcome = home.run(line);
    assert_eq!(outcome.code, Some(0), "{line}: {outcome:?}");
    outcome.out
}

fn contains(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in {text}"));
}

#[test]
fn nodes_are_approved_asked_and_renamed() {
    let home = Home::default();
    let _gateway = home.start();
    contains(&shown(&home, "nodes list"), &["there is no node"]);
    contains(&shown(&home, "nodes pending"), &["no node waits"]);
    let _node = Node::start(&home);
    let waiting = until(&home, "nodes pending", |list| list["pending"][0]["displayName"] == "box");
    contains(&shown(&home, "nodes pending"), &["box", "system.run", "pairing, admin"]);
    contains(&shown(&home, "nodes list"), &["box", "pending approval"]);
    let which = r#"nodes invoke box system.which --params {"bins":["sh"]}"#;
    let early = home.run(which);
    assert!(early.code == Some(1) && early.err.contains("waits for approval"), "{early:?}");

    let request = waiting["pending"][0]["requestId"].as_str().expect("an id");
    contains(&shown(&home, "nodes describe BOX"), &["waits for approval:", &format!("nodes approve {request}")]);
    contains(&shown(&home, &format!("nodes approve {}", &request[..8])), &["approved node", "system.which"]);
    contains(&shown(&home, "nodes describe box"), &["connected:", "approval: approved", "system.which"]);
    let found: Value = serde_json::from_str(&shown(&home, which)).expect("JSON, also for people");
    assert!(found["bins"]["sh"].is_string(), "{found}");
    assert_eq!(home.json(which)["ok"], true);
    let odd = home.run("nodes invoke box system.which --params {");
    assert_eq!(odd.code, Some(2), "{odd:?}");

    let file = "approvals get --node box";
    contains(&shown(&home, file), &["exec-approvals.json (not there yet)", "\"version\": 1"]);
    let rules = json!({ "version": 1, "defaults": { "security": "deny" } });
    std::fs::write(home.path().join("rules.json"), rules.to_string()).expect("a file can be written");
    contains(&shown(&home, "approvals set @rules.json --node box"), &["\"deny\""]);
    let blind = home.run("approvals set @rules.json --node box");
    assert!(blind.code == Some(1) && blind.err.contains("base hash required"), "{blind:?}");
    std::fs::write(home.path().join("rules.json"), home.json(file).to_string()).expect("a file can be written");
    contains(&shown(&home, "approvals set @rules.json --node box"), &["\"deny\""]);

    contains(&shown(&home, "nodes rename box garage"), &["is called garage"]);
    contains(&shown(&home, "nodes list"), &["garage", "approved"]);
    let nobody = home.run("nodes describe nobody");
    assert!(nobody.code == Some(1) && nobody.err.contains("unknown nodeId"), "{nobody:?}");
    contains(&shown(&home, "nodes remove garage"), &["took back"]);
    let again = until(&home, "nodes pending", |list| list["pending"][0]["requestId"].is_string());
    let request = again["pending"][0]["requestId"].as_str().expect("an id");
    contains(&shown(&home, &format!("nodes reject {request}")), &["rejected node"]);
    contains(&shown(&home, "nodes pending"), &["no node waits"]);
}

#[test]
fn programs_are_let_run_or_not() {
    let home = Home::default();
    let _gateway = home.start();
    contains(&shown(&home, "approvals list"), &["no program waits"]);
    for (line, decision) in [
        ("approvals approve run-", "allow-once"),
        ("approvals approve run- --always", "allow-always"),
        ("approvals deny run-", "deny"),
    ] {
        let id = format!("run-{decision}");
        let params = json!({ "id": id, "command": "git push", "agentId": "main" }).to_string();
        let mut ask = home.command(["call", "exec.approval.request", "--json", "--params", &params]);
        let asking = ask.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        until(&home, "approvals list", |list| list[0]["id"] == *id);
        contains(&shown(&home, "approvals list"), &[&id, "git push", "main"]);
        contains(&shown(&home, line), &[decision, &id]);
        let asked = asking.wait_with_output().expect("it ends");
        let answer: Value = serde_json::from_slice(&asked.stdout).expect("JSON");
        assert_eq!((&answer["id"], &answer["decision"]), (&json!(id), &json!(decision)));
        let late = home.run(&format!("approvals approve {id}"));
        assert!(late.code == Some(1) && late.err.contains("unknown approval id"), "{late:?}");
    }

    let rules = json!({ "version": 1, "defaults": { "security": "allowlist", "ask": "on-miss" } });
    assert_eq!(home.json("approvals get")["exists"], false);
    let set = home.json(&format!("approvals set {rules}"));
    assert_eq!(set["file"]["defaults"], rules["defaults"]);
    let hash = set["hash"].as_str().expect("a hash");
    contains(&shown(&home, "approvals get"), &["hash:", hash, "on-miss"]);
    let blind = home.run(&format!("approvals set {rules}"));
    assert!(blind.code == Some(1) && blind.err.contains("base hash required"), "{blind:?}");
    assert_eq!(home.json(&format!("approvals set {rules} --base-hash {hash}"))["exists"], true);
}
