//! Everybody who uses the gateway. Each counts what was done and panics at what is wrong, which is a finding.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clawhost_tests::support::{Client, Connect, Frame, Gateway, Key};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{timeout, timeout_at};

use crate::{Arguments, TICK_MS};

/// Rounds after which an operator looks at all that was said, and begins anew.
const CHAPTER: u64 = 10;
/// How much longer than planned it may take until everybody is done: each waits only so long for each of the few things that
/// are left to do.
pub const SPARE: Duration = Duration::from_secs(180);

/// How long everybody goes on.
pub struct Plan {
    rounds: Option<u64>,
    until: Instant,
    over: watch::Sender<bool>,
}

/// What was done, and what was wrong.
#[derive(Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    faults: Mutex<Vec<String>>,
}

/// Who uses the gateway, and who is used.
pub struct Load {
    /// They end by the plan.
    pub users: JoinSet<()>,
    /// They end when the plan is over.
    pub servants: JoinSet<()>,
}

impl Plan {
    pub fn new(arguments: &Arguments) -> Self {
        let until = Instant::now() + Duration::from_secs_f64(arguments.seconds.max(0.0));
        Plan { rounds: arguments.rounds, until, over: watch::Sender::new(false) }
    }

    /// Whether there is to be this round, counted from 0.
    pub fn has(&self, round: u64) -> bool {
        match self.rounds {
            Some(rounds) => round < rounds,
            None => Instant::now() < self.until,
        }
    }

    /// When everybody must be done, if there is such a moment.
    pub fn deadline(&self) -> Option<Instant> {
        self.rounds.is_none().then(|| self.until + SPARE)
    }

    pub fn end(&self) {
        self.over.send_replace(true);
    }

    pub fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Waits for the end.
    pub async fn ended(&self) {
        // The sender is this plan's own, so the wait cannot fail.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}

impl Tally {
    pub fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    pub fn fault(&self, what: String) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Waits for them all. Whoever is not done by the deadline waits for what will not come, which is a fault.
    pub async fn join(&self, tasks: &mut JoinSet<()>, deadline: Option<Instant>) {
        let all = async {
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended {
                    self.fault(words(error));
                }
            }
        };
        let Some(deadline) = deadline else { return all.await };
        if timeout_at(deadline.into(), all).await.is_err() {
            self.fault(format!("{} are not done, {} s after the end", tasks.len(), SPARE.as_secs()));
            tasks.shutdown().await;
        }
    }

    pub fn all(&self) -> (BTreeMap<&'static str, u64>, Vec<String>) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (counts, self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The configuration for the n-th time; `health` is made anew each time.
pub fn config(change: u64) -> String {
    format!(
        "[gateway.limits]\ntick_interval_ms = {TICK_MS}\n[plugins.health.config]\nrefresh_ms = {}\n\
         [plugins.echo.config]\nword_ms = 0\n",
        5_000 + change % 1_000
    )
}

/// Begins it all.
pub async fn begin(gateway: &Arc<Gateway>, plan: &Arc<Plan>, tally: &Arc<Tally>, arguments: &Arguments) -> Load {
    let mut load = Load { users: JoinSet::new(), servants: JoinSet::new() };
    let shared = || Shared { gateway: gateway.clone(), plan: plan.clone(), tally: tally.clone() };
    let mut nodes = Vec::new();
    for number in 0..arguments.nodes {
        let key = key(b'n', number);
        let node = shared().node(&key).await;
        load.servants.spawn(shared().serve(node, key.clone()));
        nodes.push(key.id());
    }
    for number in 0..arguments.operators {
        let node = nodes.get(number % nodes.len().max(1)).cloned();
        load.users.spawn(shared().operate(number, node));
    }
    for number in 0..arguments.visitors {
        load.users.spawn(shared().visit(number));
    }
    for number in 0..arguments.approvers {
        load.users.spawn(shared().approve(number));
    }
    load.servants.spawn(shared().change(Duration::from_secs_f64(arguments.reload_every)));
    load
}

/// What each of them needs.
struct Shared {
    gateway: Arc<Gateway>,
    plan: Arc<Plan>,
    tally: Arc<Tally>,
}

impl Shared {
    /// Talks to an agent, and looks at what others see.
    async fn operate(self, number: usize, node: Option<String>) {
        let connect = Connect::operator().client("test", "ui").about("instanceId", &format!("soak-{number}"));
        let mut client = self.gateway.connect(&connect).await;
        let session = format!("soak-{number}");
        let (mut said, mut ends) = (Vec::new(), HashSet::new());
        let mut round = 0u64;
        while self.plan.has(round) {
            assert_eq!(client.ok("health", json!({})).await["ok"], true);
            self.tally.count("health");
            let presence = client.ok("system-presence", json!({})).await;
            let is_here = presence.as_array().is_some_and(|rows| rows.iter().any(|row| row["instanceId"] == session));
            assert!(is_here, "{session} does not see itself: {presence}");
            self.tally.count("system-presence");
            let run = format!("{session}-{round}");
            self.say(&mut client, &session, &run, &mut ends).await;
            said.push(run);
            if let Some(node) = &node {
                let ask = json!({ "nodeId": node, "command": "system.which", "idempotencyKey": format!("{session}-{round}"),
                                  "params": { "bins": [format!("{session}-{round}")] } });
                let answer = client.ok("node.invoke", ask).await;
                assert_eq!(answer["payload"]["bins"][0], format!("{session}-{round}"), "another's answer: {answer}");
                self.tally.count("node.invoke");
            }
            round += 1;
            if round.is_multiple_of(CHAPTER) {
                self.read_again(&mut client, &session, &said).await;
                client.ok("sessions.reset", json!({ "key": session })).await;
                said.clear();
            }
        }
        self.read_again(&mut client, &session, &said).await;
        client.close().await;
    }

    /// One message: its answer comes once, whatever else is heard, and once more for who asks with the same key.
    async fn say(&self, client: &mut Client, session: &str, run: &str, ends: &mut HashSet<String>) {
        let words = format!("what about {run}?");
        let message = json!({ "sessionKey": session, "message": words, "idempotencyKey": run });
        client.ok("chat.send", message.clone()).await;
        let is_end = |payload: &Value| payload["runId"] == run && payload["state"] != "delta";
        let end = client.event_with("chat", is_end).await.payload.unwrap_or_default();
        let answer = end["message"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(end["state"] == "final" && answer.trim_end() == words, "{run} was answered by {end}");
        assert_eq!(client.ok("chat.send", message).await["runId"], run, "the same key is the same run");
        let heard = client.heard("chat").into_iter().filter_map(|event| event.payload.as_ref());
        for end in heard.filter(|payload| payload["state"] == "final") {
            let (run, session_of) = (end["runId"].as_str().unwrap_or_default(), end["sessionKey"].as_str());
            let is_own = session_of.is_some_and(|key| key.ends_with(session));
            assert!(!is_own || ends.insert(run.to_string()), "{run} ended twice");
        }
        assert!(ends.contains(run), "{run} has no end");
        client.forget_events("");
        self.tally.count("messages answered");
    }

    /// What was said is in the transcript, once.
    async fn read_again(&self, client: &mut Client, session: &str, said: &[String]) {
        let history = client.ok("chat.history", json!({ "sessionKey": session, "limit": 1000 })).await;
        let messages = history["messages"].as_array().cloned().unwrap_or_default();
        for run in said {
            let roles: Vec<_> =
                messages.iter().filter(|it| it["runId"] == **run).filter_map(|it| it["role"].as_str()).collect();
            assert_eq!(roles, ["user", "assistant"], "{run} in the transcript");
        }
        assert_eq!(messages.len(), 2 * said.len(), "{session} holds what nobody said: {history}");
        self.tally.count("transcripts read");
    }

    /// A node that was let in.
    async fn node(&self, key: &Key) -> Client {
        let mut admin = self.gateway.admin().await;
        let node = self.gateway.connect(&Connect::node().device(key).with("commands", json!(["system.which"]))).await;
        let requested = admin.event("node.pair.requested").await.payload.unwrap_or_default();
        admin.ok("node.pair.approve", json!({ "requestId": requested["requestId"] })).await;
        admin.close().await;
        node
    }

    /// Answers with what it was asked.
    async fn serve(self, mut node: Client, key: Key) {
        let mut asked = HashSet::new();
        loop {
            // Any frame will do: there may be nothing to be asked for a long time, and ticks say that it goes on.
            let frame = tokio::select! {
                frame = node.next() => frame.expect("the gateway goes on"),
                () = self.plan.ended() => break,
            };
            let request = match frame {
                Frame::Event(event) if event.event == "node.invoke.request" => event.payload.unwrap_or_default(),
                _ => {
                    node.forget_events("node.invoke.request");
                    continue;
                }
            };
            // Its id is another one each time; whoever asks gives a question its key.
            let is_new = asked.insert(request["idempotencyKey"].as_str().expect("a key").to_string());
            assert!(is_new, "a node was asked twice: {request}");
            let result = json!({ "id": request["id"], "nodeId": key.id(), "ok": true,
                                 "payloadJSON": request["paramsJSON"], "error": null });
            node.ok("node.invoke.result", result).await;
            node.forget_events("node.invoke.request");
        }
        node.close().await;
    }

    /// Comes, asks and goes, politely or not, as a device or as nobody.
    async fn visit(self, number: usize) {
        let key = key(b'v', number);
        let mut round = 0u64;
        while self.plan.has(round) {
            let connect = match round % 2 {
                0 => Connect::operator().device(&key),
                _ => Connect::operator().client("test", "ui").about("instanceId", &format!("visitor-{number}")),
            };
            let mut client = self.gateway.connect(&connect).await;
            client.ok("health", json!({})).await;
            if round.is_multiple_of(3) {
                drop(client)
            } else {
                client.close().await
            }
            self.tally.count("visits");
            round += 1;
        }
    }

    /// One asks and the other decides; both hear of it once.
    async fn approve(self, number: usize) {
        let mut asks = self.gateway.operator(&["operator.approvals"]).await;
        let mut decides = self.gateway.operator(&["operator.approvals"]).await;
        let mut round = 0u64;
        while self.plan.has(round) {
            let id = format!("approval-{number}-{round}");
            let asked = asks.request("exec.approval.request", json!({ "id": id, "command": "true" })).await;
            decides.event_with("exec.approval.requested", |payload| payload["id"] == id).await;
            decides.ok("exec.approval.resolve", json!({ "id": id, "decision": "allow-once" })).await;
            let answer = asks.answer(&asked).await.unwrap_or_else(|error| panic!("{id}: {error:?}"));
            assert_eq!(answer["decision"], "allow-once", "{id}");
            for client in [&mut asks, &mut decides] {
                client.event_with("exec.approval.resolved", |payload| payload["id"] == id).await;
                for name in ["exec.approval.requested", "exec.approval.resolved"] {
                    let of_it = |payload: &Option<Value>| payload.as_ref().is_some_and(|payload| payload["id"] == id);
                    let times = client.heard(name).into_iter().filter(|event| of_it(&event.payload)).count();
                    assert_eq!(times, 1, "{name} of {id}");
                }
                client.forget_events("");
            }
            self.tally.count("approvals decided");
            round += 1;
        }
        asks.close().await;
        decides.close().await;
    }

    /// Changes the configuration now and then: the first time at once.
    async fn change(self, every: Duration) {
        let mut client = self.gateway.admin().await;
        for change in 1.. {
            self.gateway.replace_config(&config(change));
            let health =
                |payload: &Value| payload["plugins"].as_array().is_some_and(|ids| ids.contains(&json!("health")));
            client.event_with("plugins.changed", health).await;
            self.tally.count("configurations");
            // It reads on meanwhile, as everybody has to.
            let quiet = async { while client.next().await.is_some() {} };
            let waits = timeout(every, async {
                tokio::select! {
                    () = quiet => {}
                    () = self.plan.ended() => {}
                }
            });
            let _ = waits.await;
            client.forget_events("");
            if self.plan.is_over() {
                break;
            }
        }
        client.close().await;
    }
}

/// The key of a device of the load.
fn key(kind: u8, number: usize) -> Key {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Key::from_seed(seed)
}

/// What a task panicked with.
pub fn words(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(text), _) => text.clone(),
            (_, Some(text)) => text.to_string(),
            _ => "a panic without a text".to_string(),
        },
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_what_does_not_come_is_a_fault() {
        let tally = Tally::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(async {});
        tasks.spawn(std::future::pending());
        tally.join(&mut tasks, Some(Instant::now() + Duration::from_millis(10))).await;
        let faults = tally.all().1;
        assert!(faults.len() == 1 && faults[0].contains("are not done"), "{faults:?}");
        assert!(tasks.is_empty());
    }
}
