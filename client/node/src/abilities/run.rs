//! `system.run`: programs with their arguments, never through a shell, and only those that the user of this machine allows;
//! `system.execApprovals.get` and `.set`: what is allowed. The gateway hears of each run: `exec.started`, `exec.finished`,
//! `exec.denied`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::Instant;

use super::story::Story;
use super::{process, program};
use crate::ability::{Ability, Answer, Refusal, Work, read};
use crate::approvals::{Approvals, Decision, File, Reason, Verdict, Wish};
use crate::gateway::Gateway;

/// Bytes kept of each of the two outputs.
const MAX_OUTPUT: usize = 200_000;
/// The answer has to be there before nobody waits for it any more.
const TO_ANSWER: Duration = Duration::from_millis(250);
/// Variables that make a program run something else than what was allowed.
const STEERING: [&str; 17] = [
    "PATH",
    "ENV",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "IFS",
    "PS4",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYLIB",
    "RUBYOPT",
    "GCONV_PATH",
];
/// The beginnings of others that do.
const STEERING_PREFIXES: [&str; 3] = ["LD_", "DYLD_", "GIT_"];

/// Runs programs.
pub struct Run {
    approvals: Approvals,
    may_be_changed: bool,
    gateway: Gateway,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    command: Vec<String>,
    #[serde(default)]
    cwd: Option<PathBuf>,
    #[serde(default)]
    env: Option<BTreeMap<String, String>>,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    agent_id: Option<String>,
    #[serde(default)]
    approved: Option<bool>,
    #[serde(default)]
    approval_decision: Option<String>,
    #[serde(default)]
    session_key: Option<String>,
    #[serde(default)]
    run_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    file: File,
    #[serde(default)]
    base_hash: Option<String>,
}

impl Run {
    /// With what this file allows. Whether the gateway may change the file is its user's choice: where it may, whoever
    /// holds the gateway can run anything here.
    pub fn new(approvals: Approvals, may_be_changed: bool, gateway: Gateway) -> Self {
        Run { approvals, may_be_changed, gateway }
    }

    async fn order(&self, command: &str, params: &str, deadline: Instant) -> Answer {
        let order: Order = read(command, params)?;
        let [name, arguments @ ..] = &order.command[..] else {
            return Err(Refusal::invalid("command: must name a program, with its arguments after it"));
        };
        if order.command.iter().any(|word| word.contains('\0')) {
            return Err(Refusal::invalid("command: must not hold a NUL"));
        }
        let folder = order.cwd.as_deref().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder
            && !folder.is_dir()
        {
            return Err(Refusal::invalid("cwd: is no folder of this node"));
        }
        let program = program(name, folder)
            .ok_or_else(|| Refusal::invalid(format!("command: {name} is no program of this node")))?;
        let env = order.env.as_ref();
        if let Some(name) = env.into_iter().flat_map(BTreeMap::keys).find(|name| !may_be_set(name)) {
            return Err(Refusal::invalid(format!(
                "env: {name} may not be set; it could make another program run than the one allowed"
            )));
        }
        let story = Story::new(&self.gateway, &order.command, order.session_key.as_deref(), order.run_id.as_deref());
        let wish = Wish { program: &program, agent: order.agent_id.as_deref(), decision: order.decision()? };
        if let Verdict::Denied(reason, why) = self.approvals.judge(wish) {
            tracing::warn!(program = %program.display(), why, "a program was not run");
            story.denied(reason);
            let word = if reason == Reason::Disabled { "SYSTEM_RUN_DISABLED" } else { "SYSTEM_RUN_DENIED" };
            return Err(Refusal::unavailable(format!("{word}: {why}")));
        }
        // From the gateway "always" is a change of what may run here, so it is once where it may change nothing.
        if wish.decision == Decision::Always
            && self.may_be_changed
            && let Err(error) = self.approvals.allow_always(&program, wish.agent)
        {
            tracing::warn!(program = %program.display(), error, "a program is allowed once, not always");
        }
        tracing::info!(program = %program.display(), "a program runs");
        let until = order.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        let latest = deadline.checked_sub(TO_ANSWER).unwrap_or(deadline);
        let until = until.map_or(latest, |until| until.min(latest));
        let running = story.started();
        let payload = run(command_of(&program, arguments, folder, env), until).await;
        running.finished(&payload);
        Ok(payload)
    }
}

impl Order {
    fn decision(&self) -> Result<Decision, Refusal> {
        match self.approval_decision.as_deref() {
            Some("deny") => Ok(Decision::Deny),
            Some("allow-always") => Ok(Decision::Always),
            Some("allow-once") => Ok(Decision::Once),
            None if self.approved == Some(true) => Ok(Decision::Once),
            None => Ok(Decision::None),
            Some(other) => {
                Err(Refusal::invalid(format!("approvalDecision: {other:?} is none of allow-once, allow-always, deny")))
            }
        }
    }
}

impl Ability for Run {
    fn cap(&self) -> &'static str {
        "system"
    }

    fn commands(&self) -> &'static [&'static str] {
        const ALL: [&str; 3] = ["system.execApprovals.get", "system.run", "system.execApprovals.set"];
        if self.may_be_changed { &ALL } else { &ALL[..2] }
    }

    fn run<'a>(&'a self, command: &'a str, params: &'a str, deadline: Instant) -> Work<'a> {
        Box::pin(async move {
            let snapshot = match command {
                "system.run" => return self.order(command, params, deadline).await,
                "system.execApprovals.set" => {
                    let Change { file, base_hash } = read(command, params)?;
                    self.approvals.replace(file, base_hash.as_deref()).map_err(Refusal::invalid)?
                }
                _ => self
                    .approvals
                    .snapshot()
                    .map_err(|why| Refusal::unavailable(format!("the exec approvals cannot be read: {why}")))?,
            };
            Ok(json!(snapshot))
        })
    }
}

fn command_of(
    program: &Path,
    arguments: &[String],
    folder: Option<&Path>,
    env: Option<&BTreeMap<String, String>>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    process::forget_own(&mut command);
    command.envs(env.into_iter().flatten());
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    command
}

async fn run(command: Command, until: Instant) -> Value {
    let (ended, error) = match process::run(command, MAX_OUTPUT, until).await {
        Ok(ended) => (Some(ended), None),
        Err(error) => (None, Some(format!("the program could not be run: {error}"))),
    };
    let status = ended.as_ref().and_then(|ended| ended.status);
    let text = |kept: fn(&process::Ended) -> &process::Kept| {
        ended.as_ref().map(|ended| kept(ended).text()).unwrap_or_default()
    };
    let mut payload = json!({
        "timedOut": ended.is_some() && status.is_none(),
        "success": status.is_some_and(|status| status.success()),
        "stdout": text(|ended| &ended.stdout),
        "stderr": text(|ended| &ended.stderr),
        "error": error,
    });
    if let Some(code) = status.and_then(|status| status.code()) {
        payload["exitCode"] = Value::from(code);
    }
    payload
}

/// Whether a caller may set this variable for a program.
fn may_be_set(name: &str) -> bool {
    let well_formed = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !name.is_empty();
    let upper = name.to_ascii_uppercase();
    well_formed
        && !STEERING.contains(&upper.as_str())
        && !STEERING_PREFIXES.iter().any(|prefix| upper.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{Line, News};

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    async fn ask(run: &Run, params: Value) -> Answer {
        run.run("system.run", &params.to_string(), later()).await
    }

    fn allowing(patterns: &[&str]) -> (tempfile::TempDir, Run) {
        let (folder, run, _) = heard(patterns);
        (folder, run)
    }

    /// With what the gateway hears.
    fn heard(patterns: &[&str]) -> (tempfile::TempDir, Run, Line) {
        let folder = tempfile::tempdir().unwrap();
        let approvals = Approvals::at(folder.path().join("exec-approvals.json"));
        for pattern in patterns {
            approvals.allow(pattern).unwrap();
        }
        let (gateway, line) = Gateway::new();
        (folder, Run::new(approvals, true, gateway), line)
    }

    fn next(line: &mut Line) -> (&'static str, Value) {
        let News { event, payload } = line.news.try_recv().expect("there is news");
        (event, payload)
    }

    #[tokio::test]
    async fn an_allowed_program_runs_as_it_was_said() {
        let (folder, run) = allowing(&["**/sh", "**/printf"]);
        let said = ask(&run, json!({ "command": ["printf", "%s|", "a b", "$(c)", ";"] })).await.unwrap();
        assert_eq!(
            (&said["stdout"], &said["exitCode"], &said["success"]),
            (&json!("a b|$(c)|;|"), &json!(0), &json!(true))
        );
        let script = "pwd; echo $WORD; echo no >&2; exit 7";
        let order =
            json!({ "command": ["sh", "-c", script], "cwd": folder.path(), "env": { "WORD": "w" }, "rawCommand": "x" });
        let said = ask(&run, order).await.unwrap();
        let here = folder.path().canonicalize().unwrap();
        assert_eq!(said["stdout"], json!(format!("{}\nw\n", here.display())));
        assert_eq!((&said["stderr"], &said["exitCode"], &said["success"]), (&json!("no\n"), &json!(7), &json!(false)));
        let said = ask(&run, json!({ "command": ["sh", "-c", "sleep 600"], "timeoutMs": 100 })).await.unwrap();
        assert_eq!((&said["timedOut"], &said["success"], said.get("exitCode")), (&json!(true), &json!(false), None));
    }

    #[tokio::test]
    async fn what_is_not_allowed_does_not_run() {
        let (folder, run) = allowing(&["**/true"]);
        let proof = folder.path().join("proof");
        let touch = ask(&run, json!({ "command": ["touch", proof], "approved": true })).await.unwrap_err();
        assert!(touch.message.starts_with("SYSTEM_RUN_DENIED: "), "{touch:?}");
        assert!(!proof.exists());
        let other = folder.path().join("true.sh");
        std::fs::write(&other, "#!/bin/sh\n").unwrap();
        assert!(
            ask(&run, json!({ "command": [other] })).await.unwrap_err().message.contains("no program"),
            "not executable"
        );
    }

    #[tokio::test]
    async fn orders_that_make_no_sense_are_refused_by_their_key() {
        let (_folder, run) = allowing(&["**/true"]);
        for (order, key) in [
            (json!({ "command": [] }), "command"),
            (json!({ "command": "true" }), "invalid system.run params"),
            (json!({ "command": ["no-such-program-here"] }), "command"),
            (json!({ "command": ["true", "a\0b"] }), "NUL"),
            (json!({ "command": ["true"], "cwd": "/no/such/folder" }), "cwd"),
            (json!({ "command": ["true"], "env": { "LD_PRELOAD": "x" } }), "LD_PRELOAD"),
            (json!({ "command": ["true"], "env": { "path": "x" } }), "path"),
            (json!({ "command": ["true"], "env": { "A=B": "x" } }), "A=B"),
        ] {
            let refused = ask(&run, order.clone()).await.unwrap_err();
            assert!(refused.code == "INVALID_REQUEST" && refused.message.contains(key), "{order}: {refused:?}");
        }
    }

    #[test]
    fn the_gateway_changes_what_is_allowed_only_where_the_user_lets_it() {
        let commands = |may| Run::new(Approvals::at("/none"), may, Gateway::new().0).commands();
        assert_eq!(commands(false), ["system.execApprovals.get", "system.run"]);
        assert!(commands(true).contains(&"system.execApprovals.set"));
    }

    #[tokio::test]
    async fn approvals_are_read_and_changed_with_their_hash() {
        let (_folder, run) = allowing(&["**/true"]);
        let before = run.run("system.execApprovals.get", "{}", later()).await.unwrap();
        assert_eq!(before["file"]["agents"]["*"]["security"], "allowlist");
        let change =
            json!({ "file": { "version": 1, "defaults": { "security": "deny" } }, "baseHash": before["hash"] });
        run.run("system.execApprovals.set", &change.to_string(), later()).await.unwrap();
        assert!(ask(&run, json!({ "command": ["true"] })).await.is_err());
        let stale = run.run("system.execApprovals.set", &change.to_string(), later()).await.unwrap_err();
        assert!(stale.message.contains("changed since last load"), "{stale:?}");
    }

    #[tokio::test]
    async fn the_gateway_hears_what_ran_and_what_came_of_it() {
        let (_folder, run, mut line) = heard(&["**/sh"]);
        let order = json!({
            "command": ["sh", "-c", r#"echo "it's"; echo no >&2; exit 3"#], "rawCommand": "ls", "sessionKey": "main", "runId": "r",
        });
        ask(&run, order).await.unwrap();
        let command = r#"sh -c 'echo "it'\''s"; echo no >&2; exit 3'"#;
        let told = json!({ "host": "node", "runId": "r", "command": command, "sessionKey": "main" });
        assert_eq!(next(&mut line), ("exec.started", told.clone()));
        let mut finished = told;
        for (key, value) in [
            ("exitCode", json!(3)),
            ("timedOut", json!(false)),
            ("success", json!(false)),
            ("output", json!("it's\n\nno\n")),
        ] {
            finished[key] = value;
        }
        assert_eq!(next(&mut line), ("exec.finished", finished));

        // The end of long output counts more than its beginning.
        ask(&run, json!({ "command": ["sh", "-c", "yes | head -c 40000; echo end"] })).await.unwrap();
        let (_, started) = next(&mut line);
        let (_, finished) = next(&mut line);
        assert!(started["runId"].as_str().unwrap().len() == 36 && started.get("sessionKey").is_none());
        assert_eq!(started["runId"], finished["runId"]);
        let output = finished["output"].as_str().unwrap();
        assert!(output.len() == 20_000 && output.ends_with("end\n"));

        ask(&run, json!({ "command": ["touch", "x"], "runId": "d" })).await.unwrap_err();
        let denied = json!({ "host": "node", "runId": "d", "command": "touch x", "reason": "allowlist-miss" });
        assert_eq!(next(&mut line), ("exec.denied", denied));
        assert!(line.news.try_recv().is_err(), "each is told once");
    }

    #[tokio::test]
    async fn a_run_that_nobody_waits_for_any_more_is_told_as_ended() {
        let (_folder, run, mut line) = heard(&["**/sh"]);
        let order = json!({ "command": ["sh", "-c", "sleep 600"] });
        let running = tokio::spawn(async move { ask(&run, order).await });
        assert_eq!(line.news.recv().await.unwrap().event, "exec.started");
        running.abort();
        let ended = line.news.recv().await.unwrap();
        assert_eq!((ended.event, &ended.payload["success"]), ("exec.finished", &json!(false)));
        assert!(ended.payload.get("exitCode").is_none());
    }

    #[tokio::test]
    async fn what_an_operator_decided_counts_where_it_is_asked_for() {
        let (folder, mut run, mut line) = heard(&["**/false"]);
        let allow = |ask: &str| {
            let rules = json!({ "version": 1, "agents": { "*": { "security": "allowlist", "ask": ask } } });
            std::fs::write(folder.path().join("exec-approvals.json"), rules.to_string()).unwrap();
        };
        allow("on-miss");
        let mut decide = async |run: &Run, decision: Option<&str>| {
            let answer = ask(run, json!({ "command": ["true"], "approvalDecision": decision })).await;
            let reason = std::iter::from_fn(|| line.news.try_recv().ok())
                .find_map(|news| news.payload["reason"].as_str().map(str::to_string));
            answer.map(drop).map_err(|refusal| reason.unwrap_or(refusal.message))
        };
        assert_eq!(decide(&run, None).await.unwrap_err(), "approval-required");
        assert_eq!(decide(&run, Some("deny")).await.unwrap_err(), "user-denied");
        assert!(decide(&run, Some("perhaps")).await.unwrap_err().starts_with("approvalDecision"));
        assert!(decide(&run, Some("allow-once")).await.is_ok());
        assert_eq!(decide(&run, None).await.unwrap_err(), "approval-required");
        run.may_be_changed = false;
        assert!(decide(&run, Some("allow-always")).await.is_ok());
        assert_eq!(decide(&run, None).await.unwrap_err(), "approval-required", "the gateway may change nothing");
        run.may_be_changed = true;
        assert!(decide(&run, Some("allow-always")).await.is_ok());
        assert!(decide(&run, None).await.is_ok(), "it is on the list now");
        assert_eq!(decide(&run, Some("deny")).await.unwrap_err(), "user-denied");
        allow("off");
        assert_eq!(decide(&run, Some("allow-once")).await.unwrap_err(), "allowlist-miss");
        std::fs::remove_file(folder.path().join("exec-approvals.json")).unwrap();
        assert_eq!(decide(&run, Some("allow-always")).await.unwrap_err(), "disabled");
        let disabled = ask(&run, json!({ "command": ["true"] })).await.unwrap_err();
        assert!(disabled.message.starts_with("SYSTEM_RUN_DISABLED: "), "{disabled:?}");
    }
}
