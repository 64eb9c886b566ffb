//! Frames that are malformed, or hostile.

use std::sync::Arc;

use clawhost_tests::support::{Close, Raw};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::attack::{Attack, Outcome, check};
use crate::target::Target;

const FAMILY: &str = "frames";
const TEXT: u8 = 0x81;
/// Deep enough for any parser that calls itself.
const DEEP: usize = 100_000;

#[derive(Clone, Copy)]
enum When {
    /// Instead of `connect`.
    First,
    /// After hello-ok.
    Later,
}

pub fn attacks() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for (what, bytes, code) in [
        ("an unmasked frame", vec![TEXT, 2, b'{', b'}'], 1002),
        ("an opcode that is none", Raw::masked(0x83, b"{}"), 1002),
        ("reserved bits", Raw::masked(0xf1, b"{}"), 1002),
        ("text that is not UTF-8", Raw::masked(TEXT, b"\"\xff\xfe\""), 1007),
        ("a length of a terabyte", [&[TEXT, 0xff], &(1u64 << 40).to_be_bytes()[..], &[0; 4]].concat(), 1009),
    ] {
        attacks.push(closing(&format!("{what}, before connect"), When::First, bytes.clone(), code, ""));
        attacks.push(closing(&format!("{what}, after connect"), When::Later, bytes, code, ""));
    }
    let no_connect = br#"{"type":"req","id":"1","method":"health"}"#;
    let nested = format!(r#"{{"type":"req","id":"1","method":"connect","params":{}"#, "[".repeat(60_000));
    for (what, payload, code, reason) in [
        ("no JSON, before connect", &b"hello"[..], 1000, ""),
        ("an event first", br#"{"type":"event","event":"x"}"#, 1008, "invalid request frame"),
        ("another request first", no_connect, 1008, "invalid handshake: first request must be connect"),
        ("nested deeply, before connect", nested.as_bytes(), 1000, ""),
        ("too much, before connect", &[b' '; 70_000], 1009, ""),
    ] {
        attacks.push(closing(what, When::First, Raw::masked(TEXT, payload), code, reason));
    }
    attacks.push(Attack::new(FAMILY, "no JSON, after connect", no_json_later));
    attacks.push(Attack::new(FAMILY, "nested deeply, after connect", nested_later));
    attacks.push(Attack::new(FAMILY, "too much, after connect", too_much_later));
    attacks
}

/// Bytes that end the connection with this close frame.
fn closing(what: &str, when: When, bytes: Vec<u8>, code: u16, reason: &'static str) -> Attack {
    Attack::new(FAMILY, what, move |target: Arc<Target>| {
        let bytes = bytes.clone();
        async move {
            let mut raw = match when {
                When::First => target.raw().await,
                When::Later => target.raw_connected().await,
            };
            raw.send(&bytes).await;
            let close = raw.close().await;
            let expected = Some(Close { code: Some(code), reason: reason.to_string() });
            check(&format!("close {code} {reason:?}"), &close, close == expected)?;
            check("a closed socket", "an open one", raw.ends().await)
        }
    })
}

async fn no_json_later(target: Arc<Target>) -> Outcome {
    let mut client = target.admin().await;
    client.send_text("nonsense").await;
    let answer = client.call("health", json!({})).await;
    check("a connection that goes on", &answer, answer.is_ok())
}

async fn nested_later(target: Arc<Target>) -> Outcome {
    let mut client = target.admin().await;
    let params = format!(r#"{{"a":{}{}}}"#, "[".repeat(DEEP), "]".repeat(DEEP));
    client.send_text(&format!(r#"{{"type":"req","id":"deep","method":"device.pair.list","params":{params}}}"#)).await;
    let answer = client.answer("deep").await;
    let refused = answer.as_ref().is_err_and(|error| error.message.contains("nested that deeply"));
    check("a refusal of params nested that deeply", &answer, refused)
}

async fn too_much_later(target: Arc<Target>) -> Outcome {
    let mut client = target.admin().await;
    let most = client.hello["policy"]["maxPayload"].as_u64().expect("maxPayload") as usize;
    client.write(Message::text("x".repeat(most + 1))).await;
    let close = client.closed().await;
    check("close 1009", &close, close.code == Some(1009))
}
