//! Everybody who uses the gateway. Each counts what was done and panics at what is wrong, which is a finding.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clawhost_tests::support::{Client, Connect, Frame, Gateway, Key, Payload, TOKEN, http};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{timeout, timeout_at};

use crate::{Arguments, TICK_MS};

/// Rounds after which an operator looks at all that was said, and begins anew.
const CHAPTER: u64 = 10;
/// Time between two pings. Everybody reads at all times, so whoever is silent for so long twice has a fault.
const PING: Duration = Duration::from_secs(5);
/// Runs and answers that the gateway remembers.
const KEPT: u64 = 500;
/// Transcripts that it keeps of sessions that begin anew.
const ARCHIVES: u64 = 50;
/// The plugin in C.
pub const GUEST: &str = "guest";
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
        self.add(what, 1);
    }

    fn add(&self, what: &'static str, times: u64) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += times;
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

/// The configuration for the n-th time; `health` is made anew each time. `guest` is the table of the plugin in C, if there is
/// one. Words come one by one, so that answers are on their way at the same time. What is remembered of them is little, so
/// that all of it is there within a minute, and what grows from then on is seen.
pub fn config(change: u64, guest: &str) -> String {
    format!(
        "[gateway.limits]\ntick_interval_ms = {TICK_MS}\nping_interval_ms = {}\nidempotency_entries = {KEPT}\n\
         [plugins.agent.config]\nkeep_runs = {KEPT}\nmax_remembered = {KEPT}\n\
         [plugins.chat.config]\nmax_outcomes = {KEPT}\n[plugins.sessions.config]\narchives = {ARCHIVES}\n\
         [plugins.health.config]\nrefresh_ms = {}\n[plugins.echo.config]\nword_ms = 1\n\
         [plugins.doors.config]\nchat_completions = true\nmax_runs = 10_000\n{guest}",
        PING.as_millis(),
        5_000 + change % 1_000
    )
}

/// Half of everybody speaks protocol 4.
fn is_of_4(number: usize) -> bool {
    number % 2 == 1
}

/// What the one with this number says when it connects.
fn spoken(connect: Connect, number: usize) -> Connect {
    match is_of_4(number) {
        true => connect.payload(Payload::V3).with("minProtocol", json!(4)).with("maxProtocol", json!(4)),
        false => connect,
    }
}

/// Begins it all.
pub async fn begin(
    gateway: &Arc<Gateway>,
    plan: &Arc<Plan>,
    tally: &Arc<Tally>,
    guest: &str,
    arguments: &Arguments,
) -> Load {
    let mut load = Load { users: JoinSet::new(), servants: JoinSet::new() };
    let guest: Arc<str> = guest.into();
    let shared = || Shared { gateway: gateway.clone(), plan: plan.clone(), tally: tally.clone(), guest: guest.clone() };
    let mut nodes = Vec::new();
    for number in 0..arguments.nodes {
        let key = key(b'n', number);
        let node = shared().node(&key, number).await;
        load.servants.spawn(shared().serve(node, key.clone(), number));
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
    /// The table of the plugin in C, if there is one.
    guest: Arc<str>,
}

impl Shared {
    /// Talks to an agent, by the protocol and by HTTP, and looks at what others see.
    async fn operate(self, number: usize, node: Option<String>) {
        let (session, key, begun) = (format!("soak-{number}"), key(b'o', number), Instant::now());
        let connect = Connect::operator().client("test", "ui").about("instanceId", &session);
        // At protocol 4 a guest has no scopes: they come as devices, by whose ids they are seen.
        let (connect, me) = match is_of_4(number) {
            true => (connect.device(&key), key.id()),
            false => (connect, session.clone()),
        };
        let mut client = self.gateway.connect(&spoken(connect, number)).await;
        let (mut said, mut ends) = (Vec::new(), HashSet::new());
        let mut round = 0u64;
        while self.plan.has(round) {
            assert_eq!(client.ok("health", json!({})).await["ok"], true);
            self.tally.count("health");
            let presence = client.ok("system-presence", json!({})).await;
            let is_here = presence.as_array().is_some_and(|rows| rows.iter().any(|row| row["instanceId"] == me));
            assert!(is_here, "{session} does not see itself: {presence}");
            self.tally.count("system-presence");
            let run = format!("{session}-{round}");
            self.say(&mut client, &session, &run, &mut ends).await;
            self.say_by_http(&session, &run).await;
            said.push(run);
            if let Some(node) = &node {
                let ask = json!({ "nodeId": node, "command": "system.which", "idempotencyKey": format!("{session}-{round}"),
                                  "params": { "bins": [format!("{session}-{round}")] } });
                let answer = client.ok("node.invoke", ask).await;
                assert_eq!(answer["payload"]["bins"][0], format!("{session}-{round}"), "another's answer: {answer}");
                self.tally.count("node.invoke");
            }
            if !self.guest.is_empty() {
                let asked = json!({ "of": session, "round": round });
                assert_eq!(client.ok(&format!("{GUEST}.echo"), asked.clone()).await, asked);
                self.tally.count("calls of a plugin in C");
            }
            round += 1;
            if round.is_multiple_of(CHAPTER) {
                self.read_again(&mut client, &session, &said).await;
                client.ok("sessions.reset", json!({ "key": session })).await;
                client.ok("sessions.reset", json!({ "key": by_http(&session) })).await;
                said.clear();
            }
        }
        self.read_again(&mut client, &session, &said).await;
        self.was_pinged(&client, number, begun);
        client.close().await;
    }

    /// Whoever speaks protocol 4 is pinged, and nobody else. A ping without an answer would have been the end.
    fn was_pinged(&self, client: &Client, number: usize, since: Instant) {
        let (pings, time) = (client.pings(), since.elapsed());
        assert!(is_of_4(number) || pings == 0, "a client of protocol 3 was pinged {pings} times");
        assert!(!is_of_4(number) || pings > 0 || time < 3 * PING, "a client of protocol 4 was not pinged in {time:?}");
        if pings > 0 {
            self.tally.add("pings answered", pings);
        }
    }

    /// One message by the door for programs, which is answered with the same words and once.
    async fn say_by_http(&self, session: &str, run: &str) {
        let (words, port) = (words_of(run), self.gateway.port);
        let body = json!({ "model": "openclaw", "messages": [{ "role": "user", "content": words }] }).to_string();
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
        let whose = format!("Authorization: Bearer {TOKEN}\r\nX-OpenClaw-Session-Key: {}\r\n", by_http(session));
        let what = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer = http(port, &format!("{head}{whose}{what}")).await;
        let told: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let said = told["choices"][0]["message"]["content"].as_str().unwrap_or_default();
        assert!(answer.status == 200 && said.trim_end() == words, "{run} was answered by HTTP with {answer:?}");
        self.tally.count("messages answered by HTTP");
    }

    /// One message: its answer comes once, whatever else is heard, and once more for who asks with the same key.
    async fn say(&self, client: &mut Client, session: &str, run: &str, ends: &mut HashSet<String>) {
        let words = words_of(run);
        let message = json!({ "sessionKey": session, "message": words, "idempotencyKey": run });
        client.ok("chat.send", message.clone()).await;
        let is_end = |payload: &Value| payload["runId"] == run && payload["state"] != "delta";
        let end = client.event_with("chat", is_end).await.payload.unwrap_or_default();
        let answer = end["message"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(end["state"] == "final" && answer.trim_end() == words, "{run} was answered by {end}");
        assert_eq!(client.ok("chat.send", message).await["runId"], run, "the same key is the same run");
        let heard: Vec<_> = client.heard("chat").into_iter().filter_map(|event| event.payload.as_ref()).collect();
        let is_own = |payload: &Value| payload["sessionKey"].as_str().is_some_and(|key| key.ends_with(session));
        for end in heard.iter().filter(|payload| payload["state"] == "final") {
            let run = end["runId"].as_str().unwrap_or_default();
            assert!(!is_own(end) || ends.insert(run.to_string()), "{run} ended twice");
        }
        assert!(ends.contains(run), "{run} has no end");
        if !heard.iter().all(|payload| is_own(payload)) {
            self.tally.count("answers amid those of others");
        }
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
    async fn node(&self, key: &Key, number: usize) -> Client {
        let mut admin = self.gateway.admin().await;
        let connect = Connect::node().device(key).with("commands", json!(["system.which"]));
        let node = self.gateway.connect(&spoken(connect, number)).await;
        let requested = admin.event("node.pair.requested").await.payload.unwrap_or_default();
        admin.ok("node.pair.approve", json!({ "requestId": requested["requestId"] })).await;
        admin.close().await;
        node
    }

    /// Answers with what it was asked.
    async fn serve(self, mut node: Client, key: Key, number: usize) {
        let (mut asked, begun) = (HashSet::new(), Instant::now());
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
        self.was_pinged(&node, number, begun);
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
            let mut client = self.gateway.connect(&spoken(connect, number)).await;
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
        let approver = || Connect::operator().scopes(&["operator.approvals"]);
        let begun = Instant::now();
        // One of each protocol.
        let mut asks = self.gateway.connect(&spoken(approver(), number)).await;
        let mut decides = self.gateway.connect(&spoken(approver(), number + 1)).await;
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
        self.was_pinged(&asks, number, begun);
        self.was_pinged(&decides, number + 1, begun);
        asks.close().await;
        decides.close().await;
    }

    /// Changes the configuration now and then: the first time at once.
    async fn change(self, every: Duration) {
        let mut client = self.gateway.admin().await;
        for change in 1.. {
            self.gateway.replace_config(&config(change, &self.guest));
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

/// What an agent is told, and so its answer: enough for others' answers to come between.
fn words_of(run: &str) -> String {
    format!("what about {run}? one two three four five six seven eight nine")
}

/// The session of what an operator says by HTTP.
fn by_http(session: &str) -> String {
    format!("agent:main:{session}-http")
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
