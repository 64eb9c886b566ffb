//! Conversations from outside, from a message to its answer and back after a restart. The agent's backend is `echo`, which
//! says what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use clawhost_tests::program::Home;
use clawhost_tests::support::{Client, Connect, Gateway, PATIENCE};
use client::{ConnectOptions, Connection};
use serde_json::{Value, json};

const AT_ONCE: &str = "[plugins.echo.config]\nword_ms = 0\n";
const SLOW: &str = "[plugins.echo.config]\nword_ms = 10_000\n";
const TALKS: &[&str] = &["operator.read", "operator.write"];

async fn talker(gateway: &Gateway, protocol: u64) -> Client {
    let connect = Connect::operator().scopes(TALKS);
    gateway.connect(&connect.with("minProtocol", json!(protocol)).with("maxProtocol", json!(protocol))).await
}

fn say(key: &str, message: &str, id: &str) -> Value {
    json!({ "sessionKey": key, "message": message, "deliver": false, "idempotencyKey": id })
}

/// The event with which a run ends.
async fn ending(client: &mut Client, id: &str) -> Value {
    let is_end = |event: &Value| event["runId"] == id && event["state"] != "delta";
    client.event_with("chat", is_end).await.payload.expect("a payload")
}

/// The event with which a run's answer begins.
async fn beginning(client: &mut Client, id: &str) -> Value {
    let is_delta = |event: &Value| event["runId"] == id && event["state"] == "delta";
    client.event_with("chat", is_delta).await.payload.expect("a payload")
}

fn said(history: &Value) -> Vec<(String, String)> {
    let messages = history["messages"].as_array().expect("a list").iter();
    messages
        .map(|message| {
            let text = message["content"][0]["text"].as_str().or(message["content"].as_str());
            (message["role"].as_str().expect("a role").to_string(), text.unwrap_or_default().trim().to_string())
        })
        .collect()
}

fn line(role: &str, text: &str) -> (String, String) {
    (role.to_string(), text.to_string())
}

#[tokio::test]
async fn a_terminal_of_protocol_3_talks() {
    let gateway = Gateway::with_config(AT_ONCE).await;
    let mut client = talker(&gateway, 3).await;
    assert_eq!(client.ok("agents.list", json!({})).await["defaultId"], "main");
    let key = "agent:main:main";
    let empty = client.ok("chat.history", json!({ "sessionKey": key, "limit": 200 })).await;
    assert_eq!(empty["messages"], json!([]));
    let started = client.ok("chat.send", say(key, "hello from the tui", "run-1")).await;
    assert_eq!(started, json!({ "runId": "run-1", "status": "started" }));
    let last = ending(&mut client, "run-1").await;
    assert_eq!((&last["state"], &last["sessionKey"]), (&json!("final"), &json!(key)));
    assert_eq!(last["message"]["content"], json!([{ "type": "text", "text": "hello from the tui" }]));
    let history = client.ok("chat.history", json!({ "sessionKey": key, "limit": 200 })).await;
    assert_eq!(said(&history), [line("user", "hello from the tui"), line("assistant", "hello from the tui")]);
    let again = client.ok("chat.send", say(key, "hello from the tui", "run-1")).await;
    assert_eq!(again, json!({ "runId": "run-1", "status": "ok" }));
    client.close().await;
}

#[tokio::test]
async fn a_page_of_protocol_4_opens_and_talks() {
    let gateway = Gateway::with_config(AT_ONCE).await;
    let mut client = talker(&gateway, 4).await;
    client.ok("sessions.subscribe", json!({})).await;
    let startup = json!({ "sessionKey": "agent:main:main", "limit": 80, "maxBytes": 262_144 });
    let page = client.ok("chat.startup", startup.clone()).await;
    assert_eq!((&page["messages"], &page["hasMore"]), (&json!([]), &json!(false)));
    assert_eq!(page["pendingInputs"], json!({ "items": [], "total": 0 }));
    assert!(page["defaults"].is_object() && page["sessionInfo"]["key"] == "agent:main:main", "{page}");
    let metadata = client.ok("chat.metadata", json!({ "agentId": "main", "sessionKey": "agent:main:main" })).await;
    assert!(metadata["models"].is_array() && metadata["commands"] == json!([]), "{metadata}");
    let mut message = say("agent:main:main", "one two", "run-1");
    // Newer pages send more each month.
    message["queueMode"] = json!("steer");
    client.ok("chat.send", message).await;
    let grown = beginning(&mut client, "run-1").await;
    assert!(grown["deltaText"].is_string() && grown["message"]["content"][0]["text"].is_string(), "{grown}");
    assert_eq!(ending(&mut client, "run-1").await["state"], "final");
    let page = client.ok("chat.startup", startup).await;
    assert_eq!(said(&page), [line("user", "one two"), line("assistant", "one two")]);
    assert_eq!(page["totalMessages"], 2);
    client.close().await;
}

#[tokio::test]
async fn two_see_one_run_and_either_stops_it() {
    let gateway = Gateway::with_config(SLOW).await;
    let (mut anna, mut bert) = (talker(&gateway, 3).await, talker(&gateway, 4).await);
    let mut other = gateway.operator(&["operator.pairing"]).await;
    anna.ok("chat.send", say("main", "one two three", "run-1")).await;
    assert_eq!(anna.ok("chat.send", say("main", "one two three", "run-1")).await["status"], "in_flight");
    let mut seen = Vec::new();
    for client in [&mut anna, &mut bert] {
        seen.push(beginning(client, "run-1").await);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0]["sessionKey"], "main");
    let foreign = bert.refused("chat.abort", json!({ "sessionKey": "agent:main:other", "runId": "run-1" })).await;
    assert_eq!(foreign.message, "runId does not match sessionKey");
    let stopped = bert.ok("chat.abort", json!({ "sessionKey": "agent:main:main", "runId": "run-1" })).await;
    assert_eq!(stopped, json!({ "ok": true, "aborted": true, "runIds": ["run-1"] }));
    for client in [&mut anna, &mut bert] {
        let last = ending(client, "run-1").await;
        assert_eq!((&last["state"], &last["stopReason"]), (&json!("aborted"), &json!("rpc")));
    }
    let nothing = bert.ok("chat.abort", json!({ "sessionKey": "main" })).await;
    assert_eq!(nothing, json!({ "ok": true, "aborted": false, "runIds": [] }));

    anna.ok("chat.send", say("main", "four five", "run-2")).await;
    beginning(&mut anna, "run-2").await;
    let stopped = bert.ok("chat.send", say("main", " Stop ", "word")).await;
    assert_eq!(stopped["runIds"], json!(["run-2"]));
    assert_eq!(ending(&mut anna, "run-2").await["stopReason"], "stop");
    other.ok("health", json!({})).await;
    assert!(other.heard("chat").is_empty(), "it needs read");
    for client in [anna, bert, other] {
        client.close().await;
    }
}

#[tokio::test]
async fn tools_are_shown_to_a_client_of_4_that_asks_for_it() {
    let config = format!("{AT_ONCE}[plugins.agents.config.defaults]\ntools = [\"send\"]\n");
    let gateway = Gateway::with_config(&config).await;
    let connect = Connect::operator().scopes(TALKS).with("minProtocol", json!(4)).with("maxProtocol", json!(4));
    let mut shown = gateway.connect(&connect.with("caps", json!(["tool-events"]))).await;
    let (mut three, mut four) = (talker(&gateway, 3).await, talker(&gateway, 4).await);
    shown.ok("chat.send", say("main", "/tool send {}", "run-1")).await;
    let phases = |client: &Client| -> Vec<Value> {
        let events = client.heard("agent").into_iter().filter_map(|event| event.payload.as_ref());
        events.filter(|event| event["stream"] == "tool").map(|event| event["data"]["phase"].clone()).collect()
    };
    for (client, expected) in [(&mut shown, vec!["start", "result"]), (&mut three, vec![]), (&mut four, vec![])] {
        ending(client, "run-1").await;
        assert_eq!(phases(client), expected);
    }
    for client in [shown, three, four] {
        client.close().await;
    }
}

#[tokio::test]
async fn a_run_of_agent_is_shown_and_all_is_there_after_a_restart() {
    let gateway = Gateway::with_config(AT_ONCE).await;
    let mut client = gateway.admin().await;
    let params = json!({ "message": "hello", "sessionKey": "main", "idempotencyKey": "run-1" });
    let call = client.request("agent", params).await;
    assert_eq!(client.reply(&call).await.payload.expect("a payload")["status"], "accepted");
    assert_eq!(ending(&mut client, "run-1").await["message"]["content"][0]["text"], "hello");
    let injected = client.ok("chat.inject", json!({ "sessionKey": "main", "message": "news", "label": "cron" })).await;
    let id = format!("inject-{}", injected["messageId"].as_str().expect("an id"));
    let shown = ending(&mut client, &id).await;
    assert_eq!((&shown["seq"], &shown["message"]["content"][0]["text"]), (&json!(0), &json!("[cron]\n\nnews")));
    let absent = client.refused("chat.inject", json!({ "sessionKey": "agent:main:none", "message": "x" })).await;
    assert_eq!(absent.message, "session not found");
    client.close().await;

    let gateway = gateway.stop().await.restart().await;
    let mut client = talker(&gateway, 3).await;
    let history = client.ok("chat.history", json!({ "sessionKey": "main" })).await;
    let expected = [line("user", "hello"), line("assistant", "hello"), line("assistant", "[cron]\n\nnews")];
    assert_eq!(said(&history), expected);
    client.close().await;
}

#[tokio::test]
async fn an_answer_is_shown_on_after_a_reload() {
    let gateway = Gateway::with_config("[plugins.echo.config]\nword_ms = 200\n").await;
    let mut client = gateway.admin().await;
    client.ok("chat.send", say("main", &"word ".repeat(200), "run-1")).await;
    beginning(&mut client, "run-1").await;
    client.ok("plugins.reload", json!({ "id": "chat" })).await;
    let begins_anew = |event: &Value| event["runId"] == "run-1" && event["replace"] == true;
    let shown = client.event_with("chat", begins_anew).await.payload.expect("a payload");
    assert_eq!((&shown["state"], &shown["sessionKey"]), (&json!("delta"), &json!("main")));
    client.ok("chat.abort", json!({ "sessionKey": "main" })).await;
    assert_eq!(ending(&mut client, "run-1").await["state"], "aborted");
    client.close().await;
}

#[test]
fn the_command_line_talks() {
    let home = Home::default();
    home.configure(AT_ONCE);
    let _gateway = home.start();
    let said = home.run("agent hello --session main");
    assert_eq!((said.code, said.out.as_str()), (Some(0), "hello\n"), "{said:?}");
    let outcome = home.json("agent hello");
    assert_eq!((&outcome["status"], &outcome["result"]["payloads"][0]["text"]), (&json!("ok"), &json!("hello")));
    let nobody = home.run("agent hello --agent nobody");
    assert!(nobody.code == Some(1) && nobody.err.contains("unknown agent id"), "{nobody:?}");

    let mut command = home.command(["chat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut chat = command.spawn().expect("the program runs");
    let lines = b"one two\n\n/stop\nthree\n/new\nfour\n/quit\nfive\n";
    chat.stdin.take().expect("a pipe").write_all(lines).expect("it reads");
    let talked = chat.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&talked.stdout), "one two\nthree\nfour\n", "{talked:?}");
    assert!(talked.status.success(), "{talked:?}");

    let listed = home.run("sessions list");
    assert!(listed.out.contains("agent:main:main"), "{listed:?}");
    let shown = home.run("sessions show main");
    assert_eq!(shown.out, "user: four\nassistant: four\n", "{shown:?}");
    let reset = home.run("sessions reset main");
    assert_eq!(reset.out, "agent:main:main begins anew\n", "{reset:?}");
    home.run("agent hello --session agent:main:side");
    let deleted = home.run("sessions delete agent:main:side");
    assert_eq!(deleted.out, "deleted agent:main:side\n", "{deleted:?}");
    let gone = home.run("sessions delete agent:main:side");
    assert_eq!(gone.code, Some(1), "{gone:?}");
    let gone = home.run("sessions delete agent:main:side --json");
    assert!(gone.code == Some(1) && gone.out.contains(r#""deleted":false"#) && gone.err.is_empty(), "{gone:?}");
}

/// A conversation whose first line was answered.
fn begun_talk(home: &Home) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let mut command = home.command(["chat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut chat = command.spawn().expect("the program runs");
    let mut lines = chat.stdin.take().expect("a pipe");
    let mut said = BufReader::new(chat.stdout.take().expect("a pipe"));
    lines.write_all(b"one\n").expect("it reads");
    let mut answer = String::new();
    said.read_line(&mut answer).expect("it answers");
    assert_eq!(answer, "one\n");
    (chat, lines, said)
}

#[test]
fn a_conversation_goes_on_after_more_events_than_are_kept() {
    let home = Home::default();
    home.configure(AT_ONCE);
    let gateway = home.start();
    let (mut chat, mut lines, mut said) = begun_talk(&home);
    let meanwhile = async {
        let options = ConnectOptions::new(&gateway.url).token(home.token()).client("cli", "cli");
        let other = Connection::open(options.scopes(["operator.write"])).await.expect("it is let in");
        for _ in 0..300 {
            other.request::<Value>("talk.mode", json!({ "enabled": true })).await.expect("an answer");
        }
        other.close().await;
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(meanwhile);
    // The answer to /new comes behind all of them.
    lines.write_all(b"/new\ntwo\n").expect("it reads");
    drop(lines);
    let mut answer = String::new();
    said.read_to_string(&mut answer).expect("it answers");
    assert_eq!(answer, "two\n");
    assert!(chat.wait().expect("it ends").success());
}

#[test]
fn ctrl_c_ends_a_conversation_that_waits_for_a_line() {
    let home = Home::default();
    home.configure(AT_ONCE);
    let _gateway = home.start();
    let (mut chat, _lines, _said) = begun_talk(&home);
    let asked = std::time::Instant::now();
    let ended = loop {
        let sent = std::process::Command::new("kill").args(["-INT", &chat.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        std::thread::sleep(std::time::Duration::from_millis(50));
        match chat.try_wait().expect("it can be asked") {
            Some(ended) => break ended,
            None if asked.elapsed() < PATIENCE => {}
            None => {
                let _ = chat.kill();
                panic!("it goes on");
            }
        }
    };
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn scripts_are_told_of_a_run_that_was_stopped() {
    let home = Home::default();
    home.configure(SLOW);
    let _gateway = home.start();
    let mut command = home.command(["agent", "one two", "--session", "main", "--json"]);
    let child = command.stdout(Stdio::piped()).spawn().expect("the program runs");
    let asked = std::time::Instant::now();
    while home.json("call chat.abort --params {\"sessionKey\":\"main\"}")["aborted"] != true {
        assert!(asked.elapsed() < PATIENCE, "no run was there to be stopped");
    }
    let ended = child.wait_with_output().expect("it ends");
    let told: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!((ended.status.code(), &told["result"]["meta"]["aborted"]), (Some(1), &json!(true)), "{ended:?}");
}

#[test]
fn ctrl_c_says_of_a_run_that_nobody_stopped_that_it_goes_on() {
    let home = Home::default();
    home.configure(&format!("[plugins.chat]\nenabled = false\n{SLOW}"));
    let _gateway = home.start();
    let mut command = home.command(["agent", "one two", "--session", "left"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let asked = std::time::Instant::now();
    while !home.json("sessions list").to_string().contains("agent:main:left") {
        assert!(asked.elapsed() < PATIENCE, "no run has begun");
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("not stopped: ") && said.contains("unknown method: chat.abort"), "{said}");
    assert!(said.contains("the run goes on in the gateway: `clawhost sessions show agent:main:left`"), "{said}");
}

#[test]
fn ctrl_c_stops_the_run_of_any_agent() {
    let home = Home::default();
    home.configure("[plugins.agents.config]\nagents = [{ id = \"main\" }, { id = \"ops\" }]\n[plugins.echo.config]\nword_ms = 10_000\n");
    let mut gateway = home.start();
    let mut command = home.command(["agent", "one two", "--agent", "ops"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("the program runs");
    // The first word is there, so the run has begun; the next one takes its time.
    std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut [0; 3]).expect("a word");
    let asked = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(asked.expect("kill runs").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    // It is told of the stop before that is written down.
    let asked = std::time::Instant::now();
    while !home.json("sessions show agent:ops:main").to_string().contains("\"stopReason\":\"aborted\"") {
        assert!(asked.elapsed() < PATIENCE, "{}", home.json("sessions show agent:ops:main"));
    }
    gateway.terminate();
}
