//! Signal in the product: a real gateway, and a daemon in signal-cli's place.

use clawhost_tests::reloading::{changed, row};
use clawhost_tests::support::{Client, Gateway};
use plugin_signal::stand_in::{Daemon, message, uuid_of};
use serde_json::{Value, json};

const ME: &str = "+4930123456";
const ADA: &str = "+4915112345678";

fn table(address: &str) -> String {
    format!("[plugins.signal.config]\naddress = \"{address}\"\naccount = \"{ME}\"\nretry_min_ms = 20\n")
}

fn written(number: u64, text: &str) -> Value {
    message(ME, ADA, 1_700_000_000_000 + number, text)
}

/// Waits until so many messages were sent, and gives their texts.
fn sent(daemon: &Daemon, count: usize) -> Vec<String> {
    daemon.wait_asked("send", count);
    daemon.asked("send").iter().map(|asked| asked["message"].as_str().unwrap_or_default().to_string()).collect()
}

async fn account(client: &mut Client) -> Value {
    let status = client.ok("channels.status", json!({})).await;
    status["channelAccounts"]["signal"][0].clone()
}

#[tokio::test]
async fn a_message_goes_out_once() {
    let daemon = Daemon::obliging(ME);
    for (number, address) in [&daemon.http, &daemon.tcp].into_iter().enumerate() {
        let gateway = Gateway::with_config(&table(address)).await;
        let mut client = gateway.admin().await;
        let to = format!("signal:{ADA}");
        let message = json!({ "channel": "signal", "to": to, "message": "Dinner is **ready**", "idempotencyKey": "k" });
        let first = client.ok("send", message.clone()).await;
        assert_eq!((&first["channel"], &first["chatId"]), (&json!("signal"), &json!(ADA)));
        assert_eq!(client.ok("send", message).await["messageId"], first["messageId"]);
        let asked = daemon.asked("send");
        assert_eq!(asked.len(), number + 1, "{address}");
        assert_eq!(
            asked[number],
            json!({ "recipient": [ADA], "message": "Dinner is ready", "textStyle": ["10:5:BOLD"], "account": ME })
        );
        let nobody = json!({ "channel": "signal", "to": "ada", "message": "x", "idempotencyKey": "n" });
        assert_eq!(client.refused("send", nobody).await.details.expect("details")["code"], "BAD_TARGET");
        let probed = client.ok("channels.status", json!({ "probe": true })).await;
        assert_eq!(probed["channelAccounts"]["signal"][0]["probe"]["version"], "0.14.0", "{probed}");
        let hidden = client.refused("channel.signal.send", json!({})).await;
        assert_eq!(hidden.message, "unknown method: channel.signal.send", "channels are for plugins");
        client.close().await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn people_write_and_are_answered_once_they_are_let_in() {
    let daemon = Daemon::obliging(ME);
    let gateway = Gateway::with_config(&table(&daemon.http)).await;
    let mut client = gateway.admin().await;
    daemon.wait_listener(1);
    daemon.tell(&written(5, "May I come in?"));
    let told = sent(&daemon, 1).remove(0);
    assert!(told.contains("clawhost channels approve signal"), "{told}");
    let code = told.split_whitespace().last().expect("the code comes last");
    let approve = json!({ "channel": "signal", "requestId": code, "notify": true });
    assert_eq!(client.ok("channels.pairing.approve", approve).await["senderId"], uuid_of(ADA));
    // The first thing that somebody hears who was let in.
    sent(&daemon, 2);
    daemon.tell(&written(6, "What is for dinner?"));
    let answer = sent(&daemon, 3).remove(2);
    assert!(answer.contains("What is for dinner?"), "the agent of tests repeats what it hears: {answer}");
    assert_eq!(daemon.asked("send")[2]["recipient"], json!([uuid_of(ADA)]));
    assert!(account(&mut client).await["lastInboundAt"].is_u64());
    client.close().await;

    // What came before is not answered again; it listens again by itself.
    let gateway = gateway.kill().await.restart().await;
    daemon.wait_listener(2);
    daemon.tell(&written(6, "What is for dinner?"));
    daemon.tell(&written(7, "And then?"));
    let answers = sent(&daemon, 4);
    assert!(answers[3].contains("And then?"), "{answers:?}");
    gateway.stop().await;
    assert_eq!(daemon.asked("send").len(), 4);
}

#[tokio::test]
async fn a_reload_loses_nothing() {
    let daemon = Daemon::obliging(ME);
    let config = table(&daemon.http);
    // Everybody may write.
    let rule = "[[plugins.channels.config.rules]]\nchannel = \"signal\"\nadmit = \"anyone\"\n";
    let gateway = Gateway::with_config(&format!("{config}{rule}")).await;
    let mut client = gateway.admin().await;
    daemon.wait_listener(1);
    daemon.tell(&written(1, "one"));
    daemon.tell(&written(2, "two"));
    gateway.replace_config(&format!("{config}read_receipts = true\n{rule}"));
    changed(&mut client, "signal").await;
    daemon.wait_listener(2);
    daemon.tell(&written(3, "three"));
    let answers = sent(&daemon, 3);
    for text in ["one", "two", "three"] {
        assert_eq!(answers.iter().filter(|answer| answer.contains(text)).count(), 1, "{text}: {answers:?}");
    }
    let receipt = daemon.wait_asked("sendReceipt", 1);
    assert_eq!(receipt["recipient"], uuid_of(ADA));
    client.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn it_runs_only_where_it_is_configured_and_as_long_as_its_operator_wants() {
    let daemon = Daemon::obliging(ME);
    let gateway = Gateway::start().await;
    let mut client = gateway.admin().await;
    assert_eq!(row(&mut client, "signal").await["state"], "disabled");

    // A table is enough, and without an address it is no failure.
    gateway.replace_config("[plugins.signal]");
    changed(&mut client, "signal").await;
    let bare = account(&mut client).await;
    assert_eq!((&bare["configured"], &bare["running"]), (&json!(false), &json!(false)), "{bare}");
    gateway.replace_config(&table(&daemon.http));
    changed(&mut client, "signal").await;
    daemon.wait_listener(1);

    client.ok("channels.stop", json!({ "channel": "signal" })).await;
    daemon.wait_deaf();
    client.close().await;
    let gateway = gateway.stop().await.builder().config(&table(&daemon.http)).start().await;
    let mut client = gateway.admin().await;
    assert_eq!(account(&mut client).await["running"], false, "it stays stopped");
    client.ok("channels.start", json!({ "channel": "signal" })).await;
    daemon.wait_listener(2);
    client.close().await;
    gateway.stop().await;
}
