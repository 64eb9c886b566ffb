//! A thousand nodes with ten questions each in flight, while nodes leave, come back, answer late, twice and for others.
//! `CLAWHOST_TEST_NODES` makes them more or fewer.

use std::sync::Arc;

use clawhost_tests::support::{Client, Connect, Gateway, Key, PATIENCE};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

const NODES: usize = 1_000;
/// Of each node.
const QUESTIONS: usize = 10;
const OPERATORS: usize = 10;

/// Without presence, since every coming and going would be told to everyone, which is another test's business.
const CONFIG: &str = "[gateway.limits]\nhandshake_timeout_ms = 120_000\nping_interval_ms = 3_600_000\nmax_in_flight = 2_000\nmax_plugin_in_flight = 40_000\nkv_bytes = 16_777_216\n\
     max_refused_calls = 100_000\n[plugins.node.config]\nmax_open = 10_000\n[plugins.presence]\nenabled = false\n";

/// What a node does with its questions.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    /// Answers each.
    Faithful,
    /// Answers each twice, and one that nobody asked.
    Doubles,
    /// Answers what another node was asked, in its own name and in that node's, before its own.
    Meddles,
    /// Leaves, comes back, and answers then what was asked before.
    Leaves,
}

/// How many nodes, as the environment wants it.
fn nodes() -> usize {
    let wish = std::env::var("CLAWHOST_TEST_NODES").ok();
    wish.map_or(NODES, |wish| wish.parse().expect("CLAWHOST_TEST_NODES is a number"))
}

fn habit(number: usize) -> Habit {
    match number % 10 {
        0 | 1 => Habit::Leaves,
        2 | 3 => Habit::Doubles,
        4 => Habit::Meddles,
        _ => Habit::Faithful,
    }
}

fn key(number: usize) -> Key {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    Key::from_seed(seed)
}

fn connect(key: &Key) -> Connect {
    let connect = Connect::node().device(key).with("caps", json!([])).with("commands", json!(["system.which"]));
    connect.with("minProtocol", json!(4)).with("maxProtocol", json!(4))
}

fn result(key: &Key, id: &Value) -> Value {
    json!({ "id": id, "nodeId": key.id(), "ok": true, "payload": { "of": key.id() } })
}

async fn asked(node: &mut Client) -> Vec<Value> {
    let mut ids = Vec::new();
    while ids.len() < QUESTIONS {
        ids.push(node.event("node.invoke.request").await.payload.expect("a payload")["id"].clone());
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_thousands_of_questions_has_one_answer() {
    let count = nodes();
    let gateway = Arc::new(Gateway::with_config(CONFIG).await);
    let mut admin = gateway.operator(&["operator.admin"]).await;
    let mut nodes = Vec::new();
    for number in 0..count {
        nodes.push(gateway.connect(&connect(&key(number))).await);
    }
    let list = admin.ok("node.pair.list", json!({})).await;
    let pending = list["pending"].as_array().expect("a list");
    assert_eq!(pending.len(), count);
    for request in pending {
        admin.ok("node.pair.approve", json!({ "requestId": request["requestId"] })).await;
    }

    // Everything is asked before anything is answered.
    let mut operators = Vec::new();
    for number in 0..OPERATORS {
        let mut operator = gateway.operator(&["operator.write"]).await;
        let mut calls = Vec::new();
        for node in (number..count).step_by(OPERATORS) {
            let id = key(node).id();
            for question in 0..QUESTIONS {
                let params = json!({
                    "nodeId": id, "command": "system.which", "timeoutMs": 600_000, "idempotencyKey": format!("{question}"),
                });
                calls.push((node, operator.request("node.invoke", params).await));
            }
        }
        operators.push((operator, calls));
    }
    let mut questions = Vec::new();
    for node in &mut nodes {
        questions.push(asked(node).await);
    }
    let open = admin.ok("node.queue.list", json!({})).await["open"].clone();
    assert_eq!(open, count * QUESTIONS, "all are open at once");

    let ids: Vec<Value> = questions.iter().map(|ids| ids[0].clone()).collect();
    let mut playing = JoinSet::new();
    for (number, (mut node, questions)) in nodes.into_iter().zip(questions).enumerate() {
        let (key, foreign) = (key(number), (self::key((number + 1) % count), ids[(number + 1) % count].clone()));
        let gateway = gateway.clone();
        playing.spawn(async move {
            let ignored = json!({ "ok": true, "ignored": true });
            let habit = habit(number);
            if habit == Habit::Leaves {
                node.close().await;
                node = gateway.connect(&connect(&key)).await;
            }
            if habit == Habit::Meddles {
                assert_eq!(node.ok("node.invoke.result", result(&key, &foreign.1)).await, ignored);
                let error = node.refused("node.invoke.result", result(&foreign.0, &foreign.1)).await;
                assert_eq!(error.message, "nodeId mismatch");
            }
            for id in &questions {
                let heard = node.ok("node.invoke.result", result(&key, id)).await;
                assert_eq!(heard == ignored, habit == Habit::Leaves, "{heard} of {number}");
                if habit == Habit::Doubles {
                    assert_eq!(node.ok("node.invoke.result", result(&key, id)).await, ignored);
                }
            }
            node
        });
    }
    let mut nodes = Vec::new();
    while let Some(node) = timeout(PATIENCE * 6, playing.join_next()).await.expect("in time") {
        nodes.push(node.expect("as it should be"));
    }

    for (mut operator, calls) in operators {
        for (node, call) in &calls {
            match operator.answer(call).await {
                Ok(answered) => {
                    assert!(habit(*node) != Habit::Leaves, "node {node} had left");
                    assert_eq!(answered["payload"]["of"], key(*node).id(), "the answer of another node");
                }
                Err(error) => {
                    assert!(habit(*node) == Habit::Leaves, "{error:?} of node {node}");
                    assert_eq!(error.message, "Error: node disconnected (system.which)");
                }
            }
        }
        // A second answer to anything would have come before this one, and fails whoever reads it.
        operator.ok("health", json!({})).await;
        operator.close().await;
    }
    // Nothing is left of it, neither in the plugin nor in the host.
    assert_eq!(admin.ok("node.queue.list", json!({})).await["open"], 0);
    gateway.metric_becomes("clawhost_calls_in_flight", 0.0).await;
}
