//! Against a Bot API of the test's own, over real sockets.

mod intake;
mod send;
mod webhook;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use outside::stand_in::{Act, whole};
use plugin_kit::{Harness, Outcome, Running, Who};
use serde_json::{Value, json};

use crate::stand_in::{BotApi, TOKEN, direct, refusal};

/// A plugin with one bot of that server, and where its token is.
struct Bot {
    running: Running,
    _folder: tempfile::TempDir,
}

impl std::ops::Deref for Bot {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

/// A harness before it starts, where `channels.inbound` takes everything.
fn harness(api: &BotApi, more: Value) -> (Harness, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = write_token(folder.path(), TOKEN);
    let mut config = json!({
        "token_file": file, "base_url": api.url(), "poll_timeout_s": 1, "retry_min_ms": 10, "retry_max_ms": 40,
        "request_timeout_ms": 5_000,
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (Harness::registered("telegram").config(config).real_time(), folder)
}

fn write_token(folder: &Path, token: &str) -> String {
    let file = folder.join("token");
    std::fs::write(&file, token).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file.to_str().unwrap().to_string()
}

fn start(api: &BotApi, more: Value) -> Bot {
    let (harness, folder) = harness(api, more);
    let running = harness.answer("channels.inbound", json!({ "verdict": "run", "runId": "r" })).start();
    Bot { running, _folder: folder }
}

fn ask(plugin: &Running, what: &str, params: Value) -> Outcome {
    plugin.call_as(Who::plugin("send"), &format!("channel.telegram.{what}"), params)
}

fn account(plugin: &Running) -> Value {
    ask(plugin, "status", json!({})).payload()["accounts"][0].clone()
}

/// What was handed to `channels.inbound`.
fn handed(plugin: &Running) -> Vec<Value> {
    let asked = plugin.asked().into_iter().filter(|asked| asked.method == "channels.inbound");
    asked.map(|asked| asked.params).collect()
}

fn texts(plugin: &Running) -> Vec<String> {
    handed(plugin).iter().map(|message| message["text"].as_str().unwrap_or_default().to_string()).collect()
}

/// Nothing that anybody reads has the token in it.
fn assert_silent(plugin: &Running) {
    let secret = TOKEN.split_once(':').unwrap().1;
    let status = ask(plugin, "status", json!({ "probe": true, "timeoutMs": 2000 })).payload().to_string();
    assert!(!status.contains(secret), "{status}");
    let kept = format!("{:?}", plugin.kv_entries());
    assert!(!kept.contains(secret), "{kept}");
    for line in plugin.logs() {
        assert!(!format!("{line:?}").contains(secret), "{line:?}");
    }
}

#[test]
fn without_a_token_it_loads_and_says_so() {
    let api = BotApi::start();
    let config = json!({ "token_env": "A_VARIABLE_THAT_NOBODY_SETS", "base_url": api.url() });
    let plugin = Harness::registered("telegram").config(config).start();
    let report = ask(&plugin, "status", json!({ "probe": true, "timeoutMs": 1000 })).payload();
    let account = &report["accounts"][0];
    assert_eq!((&report["summary"]["configured"], &account["configured"]), (&json!(false), &json!(false)));
    assert_eq!((&account["running"], &account["tokenSource"]), (&json!(false), &json!("none")));
    assert!(account["lastError"].as_str().unwrap().contains("token_env"), "{account}");
    assert_eq!(report["senderLabel"], "Telegram user id");
    let error = ask(&plugin, "send", json!({ "to": "7", "text": "x", "idempotencyKey": "k" })).error();
    assert_eq!((&*error.code, &error.details.unwrap()["code"]), ("UNAVAILABLE", &json!("NOT_SENT")));
    assert_eq!(ask(&plugin, "start", json!({})).error().message, "telegram: there is no token for this bot");
    assert_eq!(api.asked("getMe").len(), 0);
}

#[test]
fn a_file_that_others_may_read_is_no_place_for_a_token() {
    let api = BotApi::start();
    let folder = tempfile::tempdir().unwrap();
    let file = write_token(folder.path(), TOKEN);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let config = json!({ "token_file": file, "base_url": api.url() });
    let plugin = Harness::registered("telegram").config(config).start();
    assert_eq!(account(&plugin)["configured"], false);
    plugin
        .wait_until("what to do is said", |plugin| plugin.logs().iter().any(|line| line.message.contains("chmod 600")));
    assert_eq!(api.asked("getMe").len(), 0);
}

#[test]
fn a_bot_is_stopped_and_started_and_forgotten() {
    let api = BotApi::start();
    let plugin = start(&api, json!({}));
    plugin.wait_until("the bot runs", |plugin| account(plugin)["running"] == true);
    api.push("message", direct("one"));
    plugin.wait_until("a message", |plugin| texts(plugin) == ["one"]);
    plugin.wait_until("its place is kept", |plugin| plugin.kv("offset/default").is_some());
    ask(&plugin, "stop", json!({})).payload();
    let row = account(&plugin);
    assert_eq!((&row["running"], &row["enabled"]), (&json!(false), &json!(false)));
    let kept = plugin.kv_entries();
    assert!(kept.iter().any(|(key, _)| key == "stopped/default"), "{kept:?}");
    plugin.stop();

    // Another start finds it stopped, and asks for nothing.
    let (again, _folder) = harness(&api, json!({}));
    let again = kept.iter().fold(again, |again, (key, value)| again.kv(key, value.clone()));
    let again = again.answer("channels.inbound", json!({ "verdict": "run" })).start();
    let asked = api.asked("getMe").len();
    api.push("message", direct("two"));
    assert_eq!((account(&again)["running"].clone(), api.asked("getMe").len()), (json!(false), asked));
    ask(&again, "start", json!({ "accountId": "default" })).payload();
    again.wait_until("what came meanwhile", |again| texts(again) == ["two"]);
    again.wait_until("its place is kept", |again| again.kv("offset/default").is_some());
    assert_eq!(ask(&again, "logout", json!({})).payload(), json!({ "cleared": true }));
    assert_eq!(again.kv_entries(), [("stopped/default".to_string(), "true".to_string())]);
    assert_eq!(ask(&again, "logout", json!({})).payload(), json!({ "cleared": false }));
    assert!(again.logs().iter().any(|line| line.message.contains("its token is configuration")));
    let unknown = ask(&again, "stop", json!({ "accountId": "other" })).error();
    assert_eq!(unknown.message, "telegram: there is no account \"other\"");
    assert_silent(&again);
}

#[test]
fn a_probe_asks_who_the_bot_is() {
    let api = BotApi::start();
    let plugin = start(&api, json!({}));
    plugin.wait_until("the bot runs", |plugin| account(plugin)["running"] == true);
    let report = ask(&plugin, "status", json!({ "probe": true, "timeoutMs": 5000 })).payload();
    let bot = json!({ "id": 99, "username": "claw_bot" });
    assert_eq!((&report["accounts"][0]["probe"]["ok"], &report["accounts"][0]["probe"]["bot"]), (&json!(true), &bot));
    assert_eq!(report["summary"]["botUsername"], "claw_bot");
    for (acts, error) in [
        (refusal(401, "Unauthorized", json!({})), "Telegram refuses the token"),
        (whole("502 Bad Gateway", "", "<html>"), "Telegram could not be reached"),
        (vec![Act::AwaitClose], "Telegram did not answer in time"),
    ] {
        api.script("getMe", acts);
        let report = ask(&plugin, "status", json!({ "probe": true, "timeoutMs": 700 })).payload();
        assert_eq!(report["accounts"][0]["probe"]["error"], error);
    }
    assert_silent(&plugin);
}
