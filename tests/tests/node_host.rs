//! The headless node against a gateway, seen frame by frame: what it says besides its answers.

use std::sync::Arc;

use clawhost_tests::support::{Client, Gateway, PATIENCE, TOKEN};
use client::{ConnectOptions, Direction, Identity};
use node::abilities::{Chosen, of_this_machine};
use node::approvals::Approvals;
use node::{Desk, session};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Frames that a test has not looked at yet.
const FRAMES: usize = 1024;

/// A node that runs in this process, and the frames that it sent and received.
struct Host {
    id: String,
    frames: mpsc::Receiver<(bool, Value)>,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), client::ClientError>>,
}

impl Host {
    fn start(gateway: &Gateway, approvals: Approvals) -> Self {
        let identity = Identity::generate().expect("a key");
        let id = identity.device_id().to_string();
        let (tap, frames) = mpsc::channel(FRAMES);
        let options = ConnectOptions::new(format!("ws://127.0.0.1:{}", gateway.port))
            .token(TOKEN)
            .identity(identity)
            .on_frame(move |direction, text| {
                let frame = serde_json::from_str(text).expect("frames are JSON");
                let _ = tap.try_send((matches!(direction, Direction::Sent), frame));
            });
        let (there, line) = node::Gateway::new();
        let chosen = Chosen {
            approvals,
            approvals_may_be_changed: false,
            cameras: Vec::new(),
            screen: false,
            location: None,
            browser: None,
        };
        let desk = Arc::new(Desk::new(of_this_machine(chosen, &there)));
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap_or_default() };
        let ended = tokio::spawn(session::run(options, desk, (there, line), stopped, Arc::new(|_| {})));
        Host { id, frames, stop, ended }
    }

    /// The next frame that fits.
    async fn frame(&mut self, fits: impl Fn(bool, &Value) -> bool) -> Value {
        let search = async {
            loop {
                let (sent, frame) = self.frames.recv().await.expect("it runs");
                if fits(sent, &frame) {
                    return frame;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the frame comes")
    }

    /// What it tells next, once the gateway has taken it.
    async fn news(&mut self) -> (String, Value) {
        let told = self.frame(|sent, frame| sent && frame["method"] == "node.event").await;
        let taken = self.frame(|sent, frame| !sent && frame["id"] == told["id"]).await;
        assert_eq!((&taken["ok"], &taken["payload"]), (&json!(true), &json!({ "ok": true })));
        let payload = told["params"]["payloadJSON"].as_str().expect("text");
        (
            told["params"]["event"].as_str().expect("a name").to_string(),
            serde_json::from_str(payload).expect("JSON in it"),
        )
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.ended.await.expect("it ends").expect("in order");
    }
}

async fn approve(admin: &mut Client, node: &str) {
    let requested = admin.event_with("node.pair.requested", |payload| payload["nodeId"] == node).await;
    let request = &requested.payload.expect("a payload")["requestId"];
    admin.ok("node.pair.approve", json!({ "requestId": request })).await;
}

fn run(node: &str, order: Value) -> Value {
    json!({ "nodeId": node, "command": "system.run", "params": order, "idempotencyKey": "k" })
}

#[tokio::test]
async fn news_of_a_run_reach_the_gateway_in_their_order() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    let folder = tempfile::tempdir().expect("a folder");
    let rules = json!({ "version": 1, "agents": {
        "*": { "security": "allowlist", "ask": "on-miss", "allowlist": [{ "pattern": "**/printf" }] },
    } });
    let file = folder.path().join("exec-approvals.json");
    std::fs::write(&file, rules.to_string()).expect("it can be written");
    let mut host = Host::start(&gateway, Approvals::at(file));
    let id = host.id.clone();
    approve(&mut admin, &id).await;

    let order = json!({ "command": ["printf", "done"], "sessionKey": "main", "runId": "r" });
    let answer = admin.ok("node.invoke", run(&id, order)).await;
    assert_eq!(answer["payload"]["stdout"], "done");
    let about = |payload: &Value| (payload["sessionKey"].clone(), payload["runId"].clone(), payload["command"].clone());
    let (event, started) = host.news().await;
    assert_eq!((event.as_str(), about(&started)), ("exec.started", (json!("main"), json!("r"), json!("printf done"))));
    let (event, finished) = host.news().await;
    assert_eq!((event.as_str(), about(&finished)), ("exec.finished", about(&started)));
    assert_eq!((&finished["exitCode"], &finished["output"]), (&json!(0), &json!("done")));

    // What is to be asked is asked by whoever invokes: a node is no operator, and so it cannot ask itself.
    let asking = json!({ "command": ["true"], "runId": "s" });
    let refused = admin.refused("node.invoke", run(&id, asking.clone())).await;
    assert!(refused.message.starts_with("SYSTEM_RUN_DENIED: "), "{refused:?}");
    let (event, denied) = host.news().await;
    assert_eq!((event.as_str(), &denied["reason"]), ("exec.denied", &json!("approval-required")));
    let mut decided = asking;
    decided["approvalDecision"] = json!("allow-once");
    assert_eq!(admin.ok("node.invoke", run(&id, decided)).await["payload"]["exitCode"], 0);
    assert_eq!(host.news().await.0, "exec.started");
    assert_eq!(host.news().await.0, "exec.finished");
    host.stop().await;
    admin.close().await;
}
