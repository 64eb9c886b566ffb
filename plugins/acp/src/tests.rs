//! With real programs: scripts that speak as much of the protocol as a test needs.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use plugin_kit::{CancelReason, Harness, Outcome, Running, Who};
use serde_json::{Value, json};
use tempfile::TempDir;

const RUN: &str = "agent.backend.acp.run";

/// Answers everything, and has `prompt` (which the test adds) do what a prompt does. What it hears is in the file `heard`.
const PROGRAM: &str = r#"
say() { printf '%s\n' "$1"; }
reply() { say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$1}"; }
update() { say "{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{\"sessionId\":\"s1\",\"update\":$1}}"; }
ask() { say "{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"$1\",\"params\":$2}"; read -r answer; say "$answer" > answer; }
end() { reply "{\"stopReason\":\"$1\"}"; }
initialized() { reply '{"protocolVersion":1,"agentCapabilities":{"promptCapabilities":{"image":true}}}'; }
opened() { reply '{"sessionId":"s1","models":{"availableModels":[{"modelId":"big"}]},"configOptions":[{"id":"m","category":"model","options":[{"value":"small"},{"options":[{"value":"tiny"}]}]}]}'; }
cancelled() { end cancelled; }
"#;
const LISTEN: &str = r#"
while read -r line; do
  say "$line" >> heard
  id=${line#*\"id\":}; id=${id%%,*}
  case $line in
    *'"method":"initialize"'*) initialized ;;
    *'"method":"session/new"'*) opened ;;
    *'"method":"session/set_'*) reply '{}' ;;
    *'"method":"session/prompt"'*) prompt ;;
    *'"method":"session/cancel"'*) cancelled ;;
  esac
done
"#;

/// A program with these functions, and the plugin that has a shell run it. A script that is started itself could be "busy"
/// while another test, which began when it was being written, starts something.
fn start(functions: &str, more: Value) -> (TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent");
    std::fs::write(&path, format!("{PROGRAM}\n{functions}\n{LISTEN}")).unwrap();
    let mut config = json!({ "program": "sh", "args": [path], "cwd": folder.path() });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (folder, Harness::registered("acp").config(config).start())
}

fn params() -> Value {
    let image = json!({ "type": "image", "mimeType": "image/png", "data": "AAAA" });
    let message = json!({ "role": "user", "content": [{ "type": "text", "text": "Hello" }, image] });
    json!({ "runId": "r1", "sessionKey": "agent:main:main", "agentId": "main", "system": "Be brief.", "messages": [message] })
}

fn ask(plugin: &Running) -> Outcome {
    plugin.call_as(Who::plugin("agent"), RUN, params())
}

/// What an error says to programs: its code, and whether to try again.
fn told(outcome: Outcome) -> (String, Option<bool>) {
    let error = outcome.error();
    (error.details.as_ref().unwrap()["code"].as_str().unwrap().to_string(), error.retryable)
}

fn broken() -> (String, Option<bool>) {
    ("BROKEN_STREAM".to_string(), Some(true))
}

/// What the program heard: methods with their params.
fn heard(folder: &Path) -> Vec<(String, Value)> {
    let lines = std::fs::read_to_string(folder.join("heard")).unwrap();
    let message = |line: &str| {
        let message: Value = serde_json::from_str(line).unwrap();
        (message["method"].as_str().unwrap().to_string(), message["params"].clone())
    };
    lines.lines().map(message).collect()
}

#[test]
fn an_answer_comes_in_the_pieces_of_its_session() {
    let prompt = r#"prompt() {
        update '{"sessionUpdate":"agent_thought_chunk","content":{"type":"text","text":"hm"}}'
        say 'a banner'
        update '{"sessionUpdate":"tool_call","toolCallId":"t1","title":"look","status":"pending","rawInput":{"at":1}}'
        update '{"sessionUpdate":"tool_call_update","toolCallId":"t1","status":"in_progress"}'
        update '{"sessionUpdate":"tool_call_update","toolCallId":"t1","status":"completed","rawOutput":"seen"}'
        update '{"sessionUpdate":"tool_call","toolCallId":"t2","title":"run","status":"failed","content":[]}'
        update '{"sessionUpdate":"plan","entries":[]}'
        update '{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"Grüße "}}'
        update '{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"😀"}}'
        reply '{"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}'
    }
    opened() {
        update '{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"a greeting"}}'
        reply '{"sessionId":"s1"}'
    }"#;
    let (folder, plugin) = start(prompt, json!({}));
    let outcome = ask(&plugin);
    let tool = |phase: &str, id: &str, name: &str, is_error: bool| json!({ "type": "tool", "phase": phase, "name": name, "toolCallId": id, "isError": is_error });
    let with = |mut piece: Value, name: &str, value: Value| {
        piece[name] = value;
        piece
    };
    assert_eq!(
        outcome.interims,
        [
            json!({ "type": "thinking", "delta": "hm" }),
            with(tool("start", "t1", "look", false), "args", json!({ "at": 1 })),
            tool("update", "t1", "look", false),
            with(tool("result", "t1", "look", false), "result", json!("seen")),
            tool("start", "t2", "run", false),
            with(tool("result", "t2", "run", true), "result", json!([])),
            json!({ "type": "text", "delta": "Grüße " }),
            json!({ "type": "text", "delta": "😀" }),
        ]
    );
    let result = outcome.payload();
    let content = json!([{ "type": "thinking", "thinking": "hm" }, { "type": "text", "text": "Grüße 😀" }]);
    assert_eq!((&result["message"]["content"], &result["message"]["stopReason"]), (&content, &json!("stop")));
    assert_eq!(result["usage"]["totalTokens"], 5);
    let heard = heard(folder.path());
    let methods: Vec<&str> = heard.iter().map(|(method, _)| method.as_str()).collect();
    assert_eq!(methods, ["initialize", "session/new", "session/prompt"]);
    let fs = json!({ "readTextFile": false, "writeTextFile": false });
    assert_eq!((&heard[0].1["protocolVersion"], &heard[0].1["clientCapabilities"]["fs"]), (&json!(1), &fs));
    assert_eq!(heard[1].1, json!({ "cwd": folder.path(), "mcpServers": [] }));
    let prompt = json!([
        { "type": "text", "text": "Be brief.\n\nHello\n[an image]" },
        { "type": "image", "mimeType": "image/png", "data": "AAAA" },
    ]);
    assert_eq!(heard[2].1, json!({ "sessionId": "s1", "prompt": prompt }));
}

#[test]
fn whoever_asks_for_permission_is_answered_as_configured() {
    let options = r#"[{"optionId":"a","kind":"allow_once"},{"optionId":"b","kind":"reject_once"}]"#;
    let only_allow = r#"[{"optionId":"a","kind":"allow_always"}]"#;
    let selected = |id: &str| json!({ "outcome": { "outcome": "selected", "optionId": id } });
    let none = json!({ "outcome": { "outcome": "cancelled" } });
    for (config, options, expected) in [
        (json!({}), options, selected("b")),
        (json!({ "permissions": "allow" }), options, selected("a")),
        (json!({}), only_allow, none.clone()),
        (json!({ "permissions": "allow" }), only_allow, selected("a")),
        (json!({ "permissions": "allow" }), "[]", none.clone()),
    ] {
        let prompt = format!(
            r#"prompt() {{ ask session/request_permission '{{"sessionId":"s1","options":{options}}}'; end end_turn; }}"#
        );
        let (folder, plugin) = start(&prompt, config.clone());
        ask(&plugin).payload();
        let answer: Value = serde_json::from_slice(&std::fs::read(folder.path().join("answer")).unwrap()).unwrap();
        assert_eq!((&answer["id"], &answer["result"]), (&json!("q"), &expected), "{config} {options}");
    }
}

#[test]
fn files_are_served_as_configured_and_nothing_else_is() {
    for (files, reads, writes) in [("none", false, false), ("read", true, false), ("write", true, true)] {
        for (method, allowed) in
            [("fs/read_text_file", reads), ("fs/write_text_file", writes), ("terminal/create", false)]
        {
            let prompt = format!(
                r#"prompt() {{ say content > file; ask {method} "{{\"path\":\"$PWD/file\",\"content\":\"new\"}}"; end end_turn; }}"#
            );
            let (folder, plugin) = start(&prompt, json!({ "files": files }));
            ask(&plugin).payload();
            let answer: Value = serde_json::from_slice(&std::fs::read(folder.path().join("answer")).unwrap()).unwrap();
            assert_eq!(answer["error"].is_null(), allowed, "{files} {method} {answer}");
            let wrote = method == "fs/write_text_file" && allowed;
            let content = std::fs::read_to_string(folder.path().join("file")).unwrap();
            assert_eq!(content, if wrote { "new" } else { "content\n" }, "{files} {method}");
            if method == "fs/read_text_file" && allowed {
                assert_eq!(answer["result"]["content"], "content\n");
            }
        }
    }
}

#[test]
fn a_model_is_chosen_where_the_program_offers_it() {
    for (model, method, named) in [
        ("big", "session/set_model", json!({ "sessionId": "s1", "modelId": "big" })),
        ("small", "session/set_config_option", json!({ "sessionId": "s1", "configId": "m", "value": "small" })),
        ("tiny", "session/set_config_option", json!({ "sessionId": "s1", "configId": "m", "value": "tiny" })),
    ] {
        let (folder, plugin) = start("prompt() { end end_turn; }", json!({ "model": model }));
        let outcome = ask(&plugin);
        assert_eq!(outcome.interims[0], json!({ "type": "model", "provider": "acp", "model": model }));
        assert_eq!(outcome.payload()["message"]["model"], model);
        assert_eq!(heard(folder.path())[2], (method.to_string(), named));
    }
    let (_folder, plugin) = start("prompt() { end end_turn; }", json!({ "model": "other" }));
    assert_eq!(told(ask(&plugin)), ("UNKNOWN_MODEL".to_string(), None));
}

#[test]
fn what_a_program_does_wrong_is_told_by_its_code() {
    for (functions, expected) in [
        ("prompt() { exit 3; }", broken()),
        ("prompt() { end cancelled; }", broken()),
        ("prompt() { reply '{}'; }", broken()),
        ("initialized() { reply '{\"protocolVersion\":2}'; }", broken()),
        ("opened() { reply '{}'; }", broken()),
        (
            r#"opened() { say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32000,\"message\":\"secret words\"}}"; }"#,
            ("AUTH".to_string(), None),
        ),
        ("prompt() { yes; }", ("BROKEN_STREAM".to_string(), None)),
    ] {
        let (_folder, plugin) = start(functions, json!({ "max_output_bytes": 100_000 }));
        let outcome = ask(&plugin);
        assert!(!outcome.clone().error().message.contains("secret"));
        assert_eq!(told(outcome), expected, "{functions}");
    }
    let (_folder, plugin) = start("initialized() { :; }", json!({ "start_timeout_ms": 100 }));
    assert_eq!(told(ask(&plugin)), broken(), "it never began");
    let plugin = Harness::registered("acp").config(json!({ "program": "/no/such/program" })).start();
    assert_eq!(told(ask(&plugin)), ("UNREACHABLE".to_string(), Some(true)));
    let plugin = Harness::registered("acp").start();
    assert_eq!(told(ask(&plugin)), ("UNKNOWN_MODEL".to_string(), None), "nothing is configured");
}

#[test]
fn a_cancelled_program_is_told_and_ends_by_itself() {
    let functions = r#"prompt() { update '{"sessionUpdate":"agent_message_chunk","content":{"text":"Well"}}'; }
        cancelled() { say yes > cancelled; }"#;
    let (folder, plugin) = start(functions, json!({ "end_grace_ms": 20_000 }));
    let call = plugin.begin_as(Who::plugin("agent"), RUN, params());
    assert_eq!(call.next_interim(), json!({ "type": "text", "delta": "Well" }));
    call.cancel(CancelReason::Asked);
    plugin.wait_until("the news of the cancel", |_| folder.path().join("cancelled").exists());
}

#[test]
fn one_that_does_not_end_is_killed_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let functions = format!("prompt() {{ exec 3>{}; sleep 600 & echo begun >&3; wait; }}", pipe.display());
    let (_folder, plugin) = start(&functions, json!({ "end_grace_ms": 50, "max_running": 1 }));
    let call = plugin.begin_as(Who::plugin("agent"), RUN, params());
    let mut held = BufReader::new(std::fs::File::open(&pipe).unwrap());
    let mut line = String::new();
    held.read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    assert_eq!(told(ask(&plugin)), ("OVERLOADED".to_string(), Some(true)), "no more run at once than allowed");
    let (tell, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(held.read_to_end(&mut Vec::new()).unwrap()));
    call.cancel(CancelReason::Timeout);
    assert_eq!(ended.recv_timeout(Duration::from_secs(20)), Ok(0), "all of them end");
}

#[test]
fn what_is_wrong_in_the_configuration_is_named() {
    let refused = |config: Value| Harness::registered("acp").config(config).create_error();
    assert!(refused(json!({ "program": "bin/agent" })).contains("program: "));
    assert!(refused(json!({ "program": "agent", "cwd": "work" })).contains("cwd: "));
    assert!(refused(json!({ "permissions": "ask" })).contains("permissions"));
}
