//! The headless node as its user runs it: a process that connects, is approved, is asked, and does what it was allowed to.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use clawhost_tests::compiler::skip;
use clawhost_tests::program::{Home, PATIENCE};
use serde_json::{Value, json};

/// A node that runs; killed when dropped.
struct Node(Child);

impl Node {
    /// Starts one, and waits until it says that it is connected.
    fn start(home: &Home, flags: &str) -> Self {
        let mut command = home.command(["node", "run"].into_iter().chain(flags.split_whitespace()));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("connected to gateway")), "it connects");
        // What it says later has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Node(child)
    }

    /// Asks it to stop; its exit code.
    fn stop(mut self) -> Option<i32> {
        let asked = Command::new("kill").arg(self.0.id().to_string()).status().expect("kill runs");
        assert!(asked.success());
        self.0.wait().expect("it ends").code()
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

fn invoke(node: &Value, command: &str, params: &Value) -> String {
    let question = json!({ "nodeId": node, "command": command, "params": params, "idempotencyKey": "k" });
    format!("call node.invoke --params {question}")
}

#[test]
fn a_node_is_approved_and_does_what_its_user_allows() {
    let home = Home::default();
    let mut gateway = home.start();
    let node = Node::start(&home, "--name box --location 52.5,13.4");
    let waiting = until(&home, "call node.pair.list", |list| list["pending"][0]["displayName"] == "box");
    let request = &waiting["pending"][0];
    let id = request["nodeId"].clone();
    // Where it stands is nothing that a Linux machine tells unless the gateway's operator names it.
    assert_eq!(request["commands"], json!(["system.execApprovals.get", "system.run", "system.which"]));
    let which = invoke(&id, "system.which", &json!({ "bins": ["sh"] }));
    assert!(home.run(&which).err.contains("not allowed"), "nobody approved it");
    home.json(&format!("call node.pair.approve --params {}", json!({ "requestId": request["requestId"] })));
    assert!(home.json(&which)["payload"]["bins"]["sh"].as_str().expect("a path").ends_with("/sh"));

    let print = invoke(&id, "system.run", &json!({ "command": ["printf", "done"] }));
    let refused = home.run(&print);
    assert!(refused.code == Some(1) && refused.err.contains("SYSTEM_RUN_DENIED"), "{refused:?}");
    assert_eq!(home.run("node allow **/printf").code, Some(0));
    let payload = home.json(&print)["payload"].clone();
    assert_eq!((&payload["stdout"], &payload["exitCode"]), (&json!("done"), &json!(0)));
    let other = home.run(&invoke(&id, "system.run", &json!({ "command": ["touch", "proof"] })));
    assert!(other.err.contains("SYSTEM_RUN_DENIED") && !home.path().join("proof").exists(), "{other:?}");
    let wrong = home.run("node allow printf");
    assert!(wrong.code == Some(2) && wrong.err.contains("from the root"), "{wrong:?}");

    assert_eq!(node.stop(), Some(0));
    until(&home, "call node.list", |list| list["nodes"][0]["connected"] == false);
    let gone = home.run(&which);
    assert!(gone.code == Some(1) && gone.err.contains("node not connected"), "{gone:?}");

    // The device and the approval are still there when it comes back.
    let _node = Node::start(&home, "--name box");
    assert!(until(&home, &which, |answer| answer["ok"] == true)["payload"]["bins"]["sh"].is_string());
    gateway.terminate();
}

#[test]
fn a_generated_picture_comes_through_where_the_gateway_allows_it() {
    let has_ffmpeg = Command::new("ffmpeg").arg("-version").output().is_ok_and(|ran| ran.status.success());
    if !has_ffmpeg {
        let why = "a_generated_picture_comes_through_where_the_gateway_allows_it needs ffmpeg, which is missing";
        return skip("CLAWHOST_REQUIRE_MEDIA", why);
    }
    let home = Home::default();
    home.configure("[plugins.node.config]\nallow_commands = [\"camera.list\", \"camera.snap\"]\n");
    let mut gateway = home.start();
    let _node = Node::start(&home, "--name box --camera test");
    let waiting = until(&home, "call node.pair.list", |list| list["pending"][0]["displayName"] == "box");
    home.json(&format!(
        "call node.pair.approve --params {}",
        json!({ "requestId": waiting["pending"][0]["requestId"] })
    ));
    let params = json!({ "deviceId": "test", "maxWidth": 320 });
    let snap = home.json(&invoke(&waiting["pending"][0]["nodeId"], "camera.snap", &params));
    assert_eq!((&snap["payload"]["format"], &snap["payload"]["width"]), (&json!("jpg"), &json!(320)));
    gateway.terminate();
}
