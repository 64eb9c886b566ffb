//! With real programs: scripts that the tests write.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use plugin_kit::{CancelReason, Harness, Outcome, Running, Who};
use serde_json::{Value, json};
use tempfile::TempDir;

const RUN: &str = "agent.backend.command.run";

/// A script in a folder of its own, and the plugin that has a shell run it. A script that is started itself could be "busy"
/// while another test, which began when it was being written, starts something.
fn start(script: &str, more: Value) -> (TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent");
    std::fs::write(&path, script).unwrap();
    let mut config = json!({ "program": "sh", "cwd": folder.path() });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let args = config["args"].as_array().cloned().unwrap_or_default();
    config["args"] = [vec![json!(path)], args].concat().into();
    (folder, Harness::registered("command").config(config).start())
}

fn params(text: &str) -> Value {
    let message = json!({ "role": "user", "content": [{ "type": "text", "text": text }] });
    json!({ "runId": "r1", "sessionKey": "agent:main:main", "agentId": "main", "system": "Be brief.", "messages": [message] })
}

fn ask(plugin: &Running, text: &str) -> Outcome {
    plugin.call_as(Who::plugin("agent"), RUN, params(text))
}

fn answer(outcome: Outcome) -> String {
    outcome.payload()["message"]["content"][0]["text"].as_str().unwrap().to_string()
}

/// What an error says to programs: its code, and whether to try again.
fn told(outcome: Outcome) -> (String, Option<bool>) {
    let error = outcome.error();
    (error.details.as_ref().unwrap()["code"].as_str().unwrap().to_string(), error.retryable)
}

fn logged(plugin: &Running, words: &str) -> bool {
    plugin.logs().iter().any(|line| line.message.contains(words))
}

#[test]
fn a_program_is_told_the_prompt_by_its_input_and_answers_with_what_it_writes() {
    let (_folder, plugin) = start("printf 'You said: '; cat; echo; echo a complaint >&2", json!({}));
    let outcome = ask(&plugin, "Grüße 😀");
    let said: String = outcome.interims.iter().map(|piece| piece["delta"].as_str().unwrap()).collect();
    assert_eq!(said, "You said: Be brief.\n\nGrüße 😀\n");
    assert_eq!(answer(outcome), "You said: Be brief.\n\nGrüße 😀");

    // Longer than a pipe holds, both ways at once.
    let long = "x".repeat(300_000);
    let (_folder, plugin) = start("exec cat", json!({ "conversation": "last" }));
    assert_eq!(answer(ask(&plugin, &long)), long);
}

#[test]
fn arguments_hold_what_they_stand_for_and_no_shell_reads_them() {
    let script = r#"for arg in "$@"; do echo "[$arg]"; done; cat"#;
    let args = ["-m", "{model}", "--session={session}", "--system", "{system}", "{prompt}"];
    let (folder, plugin) = start(script, json!({ "args": args, "model": "small" }));
    let prompt = "--evil $(touch owned); `touch owned` {model}";
    let expected = format!("[-m]\n[small]\n[--session=agent:main:main]\n[--system]\n[Be brief.]\n[ {prompt}]");
    let outcome = ask(&plugin, prompt);
    assert_eq!(outcome.interims[0], json!({ "type": "model", "provider": "command", "model": "small" }));
    assert_eq!(answer(outcome), expected);
    assert!(!folder.path().join("owned").exists());
    let mut evil = params("x");
    evil["model"] = "--evil".into();
    assert_eq!(told(plugin.call_as(Who::plugin("agent"), RUN, evil)), ("REFUSED".to_string(), None));
}

#[test]
fn lines_are_pieces_and_what_is_unknown_is_passed_over() {
    let script = r#"cat > /dev/null
echo '{"type":"text","delta":"Hel"}'
echo 'a banner'
echo '{"type":"thinking","delta":"hm"}'
echo '{"type":"weather","delta":"rain"}'
echo '{"type":"tool","phase":"start","name":"look","toolCallId":"1","args":{"at":1}}'
echo '{"type":"tool","phase":"result","name":"look","toolCallId":"1","result":"seen","isError":false}'
echo '{"type":"text"}'
echo '{"type":"result","text":"Hello","usage":{"input":3,"output":2},"model":"m1"}'
echo '{"type":"text","delta":"too late"}'"#;
    let (_folder, plugin) = start(script, json!({ "output": "jsonl" }));
    let outcome = ask(&plugin, "Hi");
    let kinds: Vec<&str> = outcome.interims.iter().map(|piece| piece["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["text", "thinking", "tool", "tool"]);
    assert_eq!(outcome.interims[2]["args"], json!({ "at": 1 }));
    let result = outcome.payload();
    let content = json!([{ "type": "thinking", "thinking": "hm" }, { "type": "text", "text": "Hello" }]);
    assert_eq!((&result["message"]["content"], &result["message"]["model"]), (&content, &json!("m1")));
    assert_eq!(result["usage"]["totalTokens"], 5);

    let (_folder, plugin) = start(r#"echo '{"type":"result","text":"All"}'"#, json!({ "output": "jsonl" }));
    let outcome = ask(&plugin, "Hi");
    assert_eq!(outcome.interims, [json!({ "type": "text", "delta": "All" })]);
    assert_eq!(answer(outcome), "All");
}

#[test]
fn failures_are_told_by_their_code_and_what_was_complained_is_for_the_log() {
    let broken = || ("BROKEN_STREAM".to_string(), Some(true));
    let (_folder, plugin) = start("echo half; echo secret words >&2; exit 3", json!({}));
    let outcome = ask(&plugin, "Hi");
    assert!(!outcome.clone().error().message.contains("secret"));
    assert_eq!(told(outcome), broken());
    assert!(logged(&plugin, "exit status: 3: secret words"));

    let (_folder, plugin) = start("exit 0", json!({}));
    assert_eq!(told(ask(&plugin, "Hi")), broken(), "nothing is no answer");
    let (_folder, plugin) = start(r#"echo '{"type":"text"'"#, json!({ "output": "jsonl" }));
    assert_eq!(told(ask(&plugin, "Hi")), broken());
    let line = r#"echo '{"type":"error","message":"secret words","code":"RATE_LIMIT"}'"#;
    let (_folder, plugin) = start(line, json!({ "output": "jsonl" }));
    assert_eq!(told(ask(&plugin, "Hi")), ("RATE_LIMIT".to_string(), Some(true)));
    assert!(logged(&plugin, "secret words"));

    let plugin = Harness::registered("command").config(json!({ "program": "/no/such/program" })).start();
    let outcome = ask(&plugin, "Hi");
    assert!(!outcome.clone().error().message.contains("/no/such"));
    assert_eq!(told(outcome), ("UNREACHABLE".to_string(), Some(true)));
    let plugin = Harness::registered("command").start();
    assert_eq!(told(ask(&plugin, "Hi")), ("UNKNOWN_MODEL".to_string(), None), "nothing is configured");
    let (_folder, plugin) = start("echo x", json!({ "args": ["{prompt}"] }));
    assert_eq!(told(ask(&plugin, &"x".repeat(3_000_000))), ("CONTEXT_LENGTH".to_string(), None));
}

/// A pipe that ends when the last process that holds it does.
struct Held {
    folder: TempDir,
    pipe: PathBuf,
}

impl Held {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        Held { folder, pipe }
    }

    /// A script that holds the pipe, with a child that holds it too, and then goes on.
    fn script(&self, then: &str) -> String {
        format!("exec 3>{}; sleep 600 & echo begun >&3; {then}", self.pipe.display())
    }

    /// Waits until the script has begun; then gives what waits for its end.
    fn begun(&self) -> impl FnOnce() + use<> {
        let mut held = BufReader::new(std::fs::File::open(&self.pipe).unwrap());
        let mut line = String::new();
        held.read_line(&mut line).unwrap();
        assert_eq!(line, "begun\n");
        let (tell, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = tell.send(held.read_to_end(&mut Vec::new()).unwrap());
        });
        move || assert_eq!(ended.recv_timeout(Duration::from_secs(20)), Ok(0), "all of them end")
    }
}

#[test]
fn a_program_ends_with_all_it_started_when_nobody_waits_or_it_writes_too_much() {
    for reason in [CancelReason::Asked, CancelReason::Timeout, CancelReason::Disconnect] {
        let held = Held::new();
        let (_folder, plugin) = start(&held.script("wait"), json!({}));
        let call = plugin.begin_as(Who::plugin("agent"), RUN, params("Hi"));
        let ended = held.begun();
        call.cancel(reason);
        ended();
    }
    let held = Held::new();
    let (_folder, plugin) = start(&held.script("yes; wait"), json!({ "max_output_bytes": 10_000 }));
    let call = plugin.begin_as(Who::plugin("agent"), RUN, params("Hi"));
    let ended = held.begun();
    assert_eq!(told(call.wait()), ("BROKEN_STREAM".to_string(), None), "another try would be as long");
    ended();
    assert!(held.folder.path().exists());
}

#[test]
fn no_more_programs_run_at_once_than_allowed() {
    let held = Held::new();
    let (_folder, plugin) = start(&held.script("wait"), json!({ "max_running": 1 }));
    let call = plugin.begin_as(Who::plugin("agent"), RUN, params("Hi"));
    let ended = held.begun();
    assert_eq!(told(ask(&plugin, "Hi")), ("OVERLOADED".to_string(), Some(true)));
    call.cancel(CancelReason::Asked);
    ended();
}

#[test]
fn a_program_sees_few_variables_and_those_that_are_let_through() {
    // Cargo sets these for every test.
    let (_folder, plugin) = start("env", json!({ "env": ["CARGO_PKG_NAME"] }));
    let seen = answer(ask(&plugin, "Hi"));
    assert!(seen.lines().any(|line| line == "CARGO_PKG_NAME=plugin-command"), "{seen}");
    assert!(seen.lines().any(|line| line.starts_with("PATH=")), "{seen}");
    assert!(std::env::var_os("CARGO_PKG_VERSION").is_some() && !seen.contains("CARGO_PKG_VERSION"), "{seen}");
}

#[test]
fn models_are_those_of_the_configuration() {
    let models = |config: Value| {
        let plugin = Harness::registered("command").config(config).start();
        plugin.call_as(Who::plugin("models"), "agent.backend.command.models", json!({})).payload()["models"].clone()
    };
    let config = json!({ "program": "agent", "model": "a", "models": ["b", "a"] });
    let ids: Vec<Value> = models(config).as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(models(json!({ "model": "a" })), json!([]), "without a program there are none");
}

#[test]
fn what_is_wrong_in_the_configuration_is_named() {
    let refused = |config: Value| Harness::registered("command").config(config).create_error();
    assert!(refused(json!({ "program": "bin/agent" })).contains("program: "));
    assert!(refused(json!({ "cwd": "work" })).contains("cwd: "));
    assert!(refused(json!({ "args": ["a", "b\u{0}"] })).contains("args[1]: "));
}
