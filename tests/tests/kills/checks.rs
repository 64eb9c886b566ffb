//! What has to be there after a kill.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use clawhost_tests::support::{Client, PATIENCE};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::kills::work::{Run, SENT, WORDS, Work};

/// What was asked for and not looked at yet, and what was found.
pub struct Remains {
    post: PathBuf,
    unchecked: Vec<Work>,
    /// What every gateway so far wrote into its log about messages whose fate nobody knows.
    unknown: HashSet<String>,
    found: BTreeMap<&'static str, u64>,
}

impl Remains {
    pub fn new(state: PathBuf) -> Self {
        Remains {
            post: state.join("data/post/post.jsonl"),
            unchecked: Vec::new(),
            unknown: HashSet::new(),
            found: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, work: Work) {
        self.unchecked.push(work);
    }

    /// Takes what a gateway wrote in the end.
    pub fn hear(&mut self, log: &str) {
        let lines = log.lines().filter(|line| line.contains("was not delivered"));
        self.unknown.extend(lines.map(str::to_string));
    }

    /// Waits until what was left has come to an end, and looks at it.
    pub async fn check(&mut self, client: &mut Client) {
        for work in std::mem::take(&mut self.unchecked) {
            for run in &work.runs {
                self.check_run(client, run).await;
            }
            self.check_job(client, &work).await;
            let (key, went_out) = &work.sent;
            let lines = self.lines(key);
            assert!(lines <= 1 && (lines == 1 || !went_out), "{key} went out {lines} times");
            self.count(if lines == 1 { "messages sent" } else { "messages not sent" });
        }
    }

    async fn check_run(&mut self, client: &mut Client, run: &Run) {
        let id = &run.id;
        let wait = if run.is_accepted { PATIENCE.as_millis() as u64 } else { 0 };
        let waited = client.ok("agent.wait", json!({ "runId": id, "timeoutMs": wait })).await;
        let is_ok = match waited["status"].as_str() {
            Some("ok") => true,
            Some("timeout") if !run.is_accepted => return self.count("runs that were never accepted"),
            Some("error") if waited["error"].to_string().contains("The gateway stopped") => false,
            _ => panic!("{id} was accepted, and then: {waited}"),
        };
        self.count(if is_ok { "runs that ended well" } else { "runs that were interrupted" });
        let found = transcript(client, run, is_ok).await;
        // A run that was not begun has said nothing, and one that ended has said all.
        assert!(found.asked <= 1 && found.answered <= 1 && found.noted <= 1, "{id}: {found:?}");
        if is_ok {
            assert_eq!((found.asked, found.answered, found.noted), (1, 1, 0), "{id}: {found:?}");
        } else {
            assert_eq!(found.noted, 1, "{id}: {found:?}");
        }
        if let Some(key) = &run.message {
            self.check_delivery(client, id, key, is_ok).await;
        }
    }

    /// An answer went out once, or nobody knows whether it did and the log says so.
    async fn check_delivery(&mut self, client: &mut Client, id: &str, key: &str, is_ok: bool) {
        let begun = Instant::now();
        let of_run = format!("{id:?}");
        loop {
            let lines = self.lines(key);
            assert!(lines <= 1 && (lines == 0 || is_ok), "{key} went out {lines} times");
            let is_unknown =
                self.unknown.iter().any(|line| line.contains(&of_run) || line.contains(&of_run.replace('"', "\\\"")));
            match (is_ok, lines, is_unknown) {
                (false, ..) => return self.count("answers that were not to go out"),
                (true, 1, _) => return self.count("answers that went out"),
                (true, _, true) => return self.count("answers of which nobody knows"),
                _ => assert!(begun.elapsed() < PATIENCE, "{key} never went out, and nothing says why"),
            }
            // The gateway that runs now may be at it.
            let tail = client.ok("logs.tail", json!({ "limit": 500 })).await;
            self.hear(
                &tail["lines"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
        }
    }

    async fn check_job(&mut self, client: &mut Client, work: &Work) {
        let (name, due, is_made) = &work.job;
        let listed = client.ok("cron.list", json!({ "includeDisabled": true })).await;
        let jobs = listed["jobs"].as_array().cloned().unwrap_or_default();
        let Some(job) = jobs.iter().find(|job| job["name"] == **name) else {
            assert!(!is_made, "{name} was made and is gone");
            return self.count("jobs that were never made");
        };
        let id = job["id"].as_str().expect("an id");
        let ended = async {
            loop {
                let runs = client.ok("cron.runs", json!({ "id": id })).await;
                match runs["entries"].as_array() {
                    Some(entries) if !entries.is_empty() => break entries.clone(),
                    // Each look is a request, so this waits for the gateway.
                    _ => continue,
                }
            }
        };
        let entries = timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("{name} was not done"));
        let runs: Vec<_> = entries.iter().map(|entry| entry["runId"].as_str().expect("a run")).collect();
        let [run] = runs[..] else { panic!("{name} was done more than once: {entries:?}") };
        // One that was late when it was made is due then.
        let at = run.strip_prefix(&format!("cron:{id}:")).and_then(|at| at.parse::<u64>().ok());
        assert!(at >= Some(*due), "{due}: {entries:?}");
        let lines = self.lines(&format!("{run}:answer"));
        let is_ok = entries[0]["status"] == "ok";
        assert!(lines <= 1 && (lines == 1 || !is_ok), "{name}: {lines} messages, {entries:?}");
        self.count(if is_ok { "jobs that were done" } else { "jobs that were cut short" });
        client.ok("cron.remove", json!({ "id": id })).await;
    }

    /// Nothing ever went out twice; how much was found of what.
    pub fn finish(&self) -> String {
        let keys = self.keys();
        let different: HashSet<&String> = keys.iter().collect();
        assert_eq!(different.len(), keys.len(), "a message went out twice");
        let counts = self.found.iter().map(|(what, count)| format!("{count} {what}"));
        counts.collect::<Vec<_>>().join(", ")
    }

    fn lines(&self, key: &str) -> usize {
        self.keys().iter().filter(|found| *found == key).count()
    }

    /// The keys of the messages that went out. A line that is torn is no JSON.
    fn keys(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.post).expect("the file of messages");
        let key = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("a torn line: {line}"));
            line["key"].as_str().expect("a key").to_string()
        };
        text.lines().map(key).collect()
    }

    fn count(&mut self, what: &'static str) {
        *self.found.entry(what).or_default() += 1;
    }
}

/// How often a transcript has what a run leaves in it.
#[derive(Debug, Default)]
struct Found {
    asked: usize,
    answered: usize,
    noted: usize,
}

/// The transcript of a run, as soon as it says how the run ended.
async fn transcript(client: &mut Client, run: &Run, is_ok: bool) -> Found {
    let begun = Instant::now();
    loop {
        let history = client.ok("chat.history", json!({ "sessionKey": run.session })).await;
        let messages = history["messages"].as_array().expect("messages");
        let ids: HashSet<&str> = messages.iter().filter_map(|message| message["id"].as_str()).collect();
        assert_eq!(ids.len(), messages.len(), "a line is there twice, or has no name: {history}");
        let mut found = Found::default();
        for message in messages.iter().filter(|message| message["runId"] == *run.id) {
            let text = message["content"][0]["text"].as_str().unwrap_or_default();
            match message["role"].as_str() {
                Some("user") => found.asked += 1,
                // An echo that is asked after a message went out says that one.
                Some("assistant") if text == WORDS || text == SENT => found.answered += 1,
                Some("assistant") if text.starts_with("The gateway stopped") => found.noted += 1,
                _ => panic!("{}: {message}", run.id),
            }
        }
        let is_told = if is_ok { found.answered > 0 } else { found.noted > 0 };
        if is_told || begun.elapsed() > PATIENCE {
            return found;
        }
    }
}
