//! Telegram in the product: a real gateway and a Bot API in Telegram's place.

use std::os::unix::fs::PermissionsExt;

use clawhost_tests::reloading::{changed, row};
use clawhost_tests::support::{Client, Gateway};
use plugin_telegram::stand_in::{BotApi, TOKEN, direct};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The table of a bot of that server, and the folder with its token.
fn table(api: &BotApi, more: &str) -> (String, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).expect("a file can be written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    let table = format!(
        "[plugins.telegram.config]\ntoken_file = \"{}\"\nbase_url = \"{}\"\npoll_timeout_s = 1\nretry_min_ms = 20\n{more}\n",
        file.display(),
        api.url()
    );
    (table, folder)
}

/// A message of the same person, with a number of its own.
fn written(number: i64, text: &str) -> Value {
    let mut message = direct(text);
    message["message_id"] = json!(number);
    message
}

/// Waits until so many texts were sent, and gives all.
fn sent(api: &BotApi, count: usize) -> Vec<String> {
    api.wait("a message that is sent", |api| api.asked("sendMessage").len() >= count);
    let texts = api.params("sendMessage").into_iter();
    texts.map(|sent| sent["text"].as_str().unwrap_or_default().to_string()).collect()
}

async fn account(client: &mut Client) -> Value {
    let status = client.ok("channels.status", json!({})).await;
    status["channelAccounts"]["telegram"][0].clone()
}

#[tokio::test]
async fn a_message_goes_out_once_and_the_token_stays_inside() {
    let api = BotApi::start();
    let (config, _folder) = table(&api, "");
    let gateway = Gateway::with_config(&config).await;
    let mut client = gateway.admin().await;
    let message =
        json!({ "channel": "telegram", "to": "telegram:7", "message": "Dinner is **ready**", "idempotencyKey": "k" });
    let first = client.ok("send", message.clone()).await;
    assert_eq!((&first["channel"], &first["chatId"]), (&json!("telegram"), &json!("7")));
    assert_eq!(client.ok("send", message).await["messageId"], first["messageId"]);
    assert_eq!(sent(&api, 1), ["Dinner is <b>ready</b>"]);
    let poll = json!({ "channel": "telegram", "to": "-1001", "question": "When?", "options": ["now", "later"],
                       "idempotencyKey": "p" });
    assert_eq!(client.ok("poll", poll).await["pollId"], "poll-1");
    let nobody = json!({ "channel": "telegram", "to": "@nobody", "message": "x", "idempotencyKey": "n" });
    assert_eq!(client.refused("send", nobody).await.details.expect("details")["code"], "BAD_TARGET");
    assert_eq!(
        client.refused("channel.telegram.send", json!({})).await.message,
        "unknown method: channel.telegram.send",
        "channels are for plugins"
    );
    let probed = client.ok("channels.status", json!({ "probe": true })).await;
    assert_eq!(probed["channels"]["telegram"]["probe"]["ok"], true);
    let secret = TOKEN.split_once(':').expect("a token has two parts").1;
    assert!(!probed.to_string().contains(secret), "{probed}");
    client.close().await;
    let stopped = gateway.stop().await;
    assert!(!stopped.log.contains(secret));
}

#[tokio::test]
async fn people_write_and_are_answered_once_they_are_let_in() {
    let api = BotApi::start();
    let (config, _folder) = table(&api, "");
    let gateway = Gateway::with_config(&config).await;
    let mut client = gateway.admin().await;
    api.push("message", written(5, "May I come in?"));
    let told = sent(&api, 1).remove(0);
    assert!(told.contains("clawhost channels approve telegram"), "{told}");
    let code = told.split_whitespace().last().expect("the code comes last");
    let approve = json!({ "channel": "telegram", "requestId": code, "notify": true });
    assert_eq!(client.ok("channels.pairing.approve", approve).await["senderId"], "7");
    // The first thing that somebody hears who was let in.
    sent(&api, 2);
    api.push("message", written(6, "What is for dinner?"));
    let answer = sent(&api, 3).remove(2);
    assert!(answer.contains("What is for dinner?"), "the agent of tests repeats what it hears: {answer}");
    assert!(account(&mut client).await["lastInboundAt"].is_u64());
    client.close().await;

    // What came before is not answered again, and what comes while nobody is there is answered later.
    let stopped = gateway.kill().await;
    api.push("message", written(7, "And then?"));
    let gateway = stopped.restart().await;
    let answers = sent(&api, 4);
    assert!(answers[3].contains("And then?"), "{answers:?}");
    api.wait("what was taken is confirmed", |api| api.unconfirmed().is_empty());
    assert_eq!(sent(&api, 4).len(), 4);
    gateway.stop().await;
}

#[tokio::test]
async fn a_bot_is_stopped_and_started_by_its_operator() {
    let api = BotApi::start();
    let (config, _folder) = table(&api, "");
    let gateway = Gateway::with_config(&config).await;
    let mut client = gateway.admin().await;
    client.ok("channels.stop", json!({ "channel": "telegram" })).await;
    assert_eq!(account(&mut client).await["running"], false);
    api.push("message", written(5, "Hello?"));
    client.close().await;
    let gateway = gateway.stop().await.restart().await;
    let mut client = gateway.admin().await;
    assert_eq!(account(&mut client).await["enabled"], false, "it stays stopped");
    client.ok("channels.start", json!({ "channel": "telegram" })).await;
    assert!(sent(&api, 1)[0].contains("clawhost channels approve"));
    client.close().await;
}

#[tokio::test]
async fn a_webhook_lets_nobody_in_without_its_secret() {
    let api = BotApi::start();
    let more = "mode = \"webhook\"\nwebhook_url = \"https://claw.example\"";
    let (config, _folder) = table(&api, more);
    let gateway = Gateway::with_config(&config).await;
    for headers in [&[][..], &[("x-telegram-bot-api-secret-token", "guessed")][..]] {
        assert_eq!(gateway.http("POST", "/telegram/default", headers).await.status, 401);
    }
    assert_eq!(gateway.http("POST", "/telegram/other", &[]).await.status, 404);
    assert_eq!(gateway.http("GET", "/telegram/default", &[]).await.status, 405);
    gateway.stop().await;
}

#[tokio::test]
async fn it_runs_only_where_it_is_configured() {
    let gateway = Gateway::start().await;
    let mut client = gateway.admin().await;
    assert_eq!(row(&mut client, "telegram").await["state"], "disabled");
    let status = client.ok("channels.status", json!({})).await;
    assert!(status["channels"].get("telegram").is_none(), "{status}");
    assert_eq!(gateway.http("POST", "/telegram/default", &[]).await.status, 404);

    // A table is enough, and a bot without a token is no failure.
    gateway.replace_config("[plugins.telegram]");
    changed(&mut client, "telegram").await;
    let account = account(&mut client).await;
    assert_eq!((&account["configured"], &account["running"]), (&json!(false), &json!(false)), "{account}");
    gateway.replace_config("");
    changed(&mut client, "telegram").await;
    assert_eq!(row(&mut client, "telegram").await["state"], "disabled");
    client.close().await;
}
