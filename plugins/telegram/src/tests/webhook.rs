//! What Telegram brings: only with the secret, and 200 only for what shall not come again.

use plugin_kit::http::Ask;
use schemas::ErrorShape;
use sha2::{Digest, Sha256};

use super::*;

fn secret() -> String {
    let digest = Sha256::digest(format!("clawhost telegram webhook default {TOKEN}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bring(plugin: &Running, path: &str, secret: Option<&str>, update: &str) -> u32 {
    let ask = Ask::post(path, update);
    let ask = match secret {
        Some(secret) => ask.header("X-Telegram-Bot-Api-Secret-Token", secret),
        None => ask,
    };
    plugin.http(ask).wait().status
}

fn update(text: &str) -> String {
    json!({ "update_id": 1, "message": direct(text) }).to_string()
}

#[test]
fn only_telegram_brings_messages_and_hears_when_they_are_taken() {
    let api = BotApi::start();
    let (harness, _folder) =
        harness(&api, json!({ "mode": "webhook", "webhook_url": "https://claw.example", "webhook_path": "in" }));
    let plugin = harness
        .answer_with("channels.inbound", |call| {
            call.finish(match call.params()["text"].as_str() {
                Some("not yet") => Err(ErrorShape::unavailable("the disk is full")),
                Some("perhaps") => Err(ErrorShape::invalid_request("no").retryable()),
                Some("never") => Err(ErrorShape::invalid_request("no")),
                _ => Ok(json!({ "verdict": "run" })),
            });
        })
        .start();
    plugin.wait_until("the bot runs", |plugin| account(plugin)["running"] == true);
    let wish = api.params("setWebhook").remove(0);
    let secret = secret();
    assert_eq!((&wish["url"], &wish["secret_token"]), (&json!("https://claw.example/telegram/in"), &json!(secret)));
    let right = Some(secret.as_str());
    for (path, shown, text, status) in [
        ("/telegram/in", right, update("Hello"), 200),
        ("/telegram/in", None, update("no secret"), 401),
        ("/telegram/in", Some(""), update("no secret"), 401),
        ("/telegram/in", Some(&secret[1..]), update("wrong secret"), 401),
        ("/telegram/other", right, update("wrong path"), 404),
        ("/telegram", right, update("wrong path"), 404),
        ("/telegram/in", right, "{".to_string(), 200),
        ("/telegram/in", right, json!({ "update_id": 2, "a_kind": {} }).to_string(), 200),
        ("/telegram/in", right, update("not yet"), 503),
        ("/telegram/in", right, update("perhaps"), 503),
        ("/telegram/in", right, update("never"), 200),
    ] {
        assert_eq!(bring(&plugin, path, shown, &text), status, "{path} {text}");
    }
    assert_eq!(texts(&plugin), ["Hello", "not yet", "perhaps", "never"]);
    for passed_over in ["an update was not understood", "message 5 of chat 7 is refused"] {
        assert!(plugin.logs().iter().any(|line| line.message.contains(passed_over)), "{passed_over}");
    }
    assert_eq!(account(&plugin)["lastError"], "a message was refused, and passed over");
    assert_eq!(api.asked("getUpdates").len(), 0);

    ask(&plugin, "stop", json!({})).payload();
    assert_eq!(api.asked("deleteWebhook").len(), 1);
    assert_eq!(bring(&plugin, "/telegram/in", right, &update("stopped")), 503, "it comes again");
    assert_silent(&plugin);
    assert!(!format!("{:?}", plugin.logs()).contains(&secret));
}

#[test]
fn nobody_brings_anything_to_a_bot_that_asks_for_it() {
    let api = BotApi::start();
    let plugin = start(&api, json!({}));
    assert_eq!(bring(&plugin, "/telegram/default", Some(&secret()), &update("Hello")), 404);
    assert_eq!(texts(&plugin), Vec::<String>::new());
}

#[test]
fn a_secret_of_ones_own_is_long_enough() {
    let api = BotApi::start();
    let folder = tempfile::tempdir().unwrap();
    let file = write_token(folder.path(), "a-secret-of-my-own");
    let config = json!({ "mode": "webhook", "webhook_url": "https://claw.example", "webhook_secret_file": file });
    let plugin = start(&api, config.clone());
    plugin.wait_until("the bot runs", |plugin| account(plugin)["running"] == true);
    assert_eq!(api.params("setWebhook")[0]["secret_token"], "a-secret-of-my-own");
    assert_eq!(bring(&plugin, "/telegram/default", Some("a-secret-of-my-own"), &update("Hello")), 200);
    drop(plugin);
    write_token(folder.path(), "short");
    let plugin = start(&api, config);
    plugin.wait_until("it is over", |plugin| account(plugin)["lastError"].is_string());
    assert_eq!(api.asked("setWebhook").len(), 1);
}
