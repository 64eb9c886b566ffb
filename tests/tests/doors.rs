//! The HTTP doors and the webhooks from outside: who gets in, what is too large, what is wrong, and what is not there.

use clawhost_tests::support::{Answer, Gateway, TOKEN, http};
use serde_json::{Value, json};

const HOOK_TOKEN: &str = "the-token-of-the-hooks";
const OPEN: &str = "[plugins.doors.config]\nchat_completions = true\nresponses = true\ntools = true\n";

fn hooks(more: &str) -> String {
    format!("[plugins.hooks.config]\nenabled = true\ntoken = \"{HOOK_TOKEN}\"\n{more}")
}

async fn post(gateway: &Gateway, path: &str, token: Option<&str>, body: &str) -> Answer {
    let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{bearer}", gateway.port);
    let rest = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    http(gateway.port, &format!("{head}{rest}")).await
}

fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[tokio::test]
async fn nothing_is_open_by_default() {
    let gateway = Gateway::start().await;
    for path in ["/v1/chat/completions", "/v1/responses", "/tools/invoke", "/hooks/wake", "/hooks/agent"] {
        let answer = post(&gateway, path, Some(TOKEN), "{}").await;
        assert_eq!((answer.status, answer.body.as_str()), (404, "Not Found"), "{path}");
    }
    let models = gateway.http("GET", "/v1/models", &[("Authorization", &format!("Bearer {TOKEN}"))]).await;
    assert_eq!(models.status, 404);
    gateway.assert_healthy().await;
    gateway.stop().await;
}

#[tokio::test]
async fn open_doors_want_the_gateways_secret_the_right_verb_and_a_body_in_bounds() {
    let gateway = Gateway::with_config(OPEN).await;
    for (path, most) in [("/v1/chat/completions", 1 << 20), ("/tools/invoke", 2 << 20), ("/v1/responses", 20 << 20)] {
        let nobody = post(&gateway, path, None, "{}").await;
        assert_eq!(nobody.status, 401, "{path}: {nobody:?}");
        assert_eq!(body(&nobody), json!({ "error": { "message": "Unauthorized", "type": "unauthorized" } }));
        let wrong_verb = gateway.http("GET", path, &[("Authorization", &format!("Bearer {TOKEN}"))]).await;
        assert!(wrong_verb.status == 405 && wrong_verb.head.contains("allow: post"), "{path}: {wrong_verb:?}");
        let empty = post(&gateway, path, Some(TOKEN), "{}").await;
        assert_eq!(empty.status, 400, "{path}: {empty:?}");
        // Its length alone is enough: nothing of it has to be sent.
        let head = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", gateway.port);
        let kind = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
        let large = http(gateway.port, &format!("{head}{kind}Content-Length: {}\r\n\r\n", most + 1)).await;
        assert_eq!(large.status, 413, "{path}: {large:?}");
        assert!(body(&large)["error"].is_object(), "in the door's own shape: {large:?}");
    }
    let tools = post(&gateway, "/v1/chat/completions", Some(TOKEN), r#"{"tools":[{}],"messages":[]}"#).await;
    assert_eq!((tools.status, &body(&tools)["error"]["param"]), (400, &json!("tools")));
    let unknown = post(&gateway, "/tools/invoke", Some(TOKEN), r#"{"tool":"host.registry.list"}"#).await;
    assert_eq!((unknown.status, &body(&unknown)["error"]["type"]), (404, &json!("not_found")));
    gateway.assert_healthy().await;
    gateway.stop().await;
}

#[tokio::test]
async fn hooks_want_their_own_token_and_never_in_the_address() {
    let gateway = Gateway::with_config(&hooks("")).await;
    let ask = r#"{"text":""}"#;
    assert_eq!(post(&gateway, "/hooks/wake", None, ask).await.status, 401);
    assert_eq!(
        post(&gateway, "/hooks/wake", Some(TOKEN), ask).await.status,
        401,
        "the gateway's secret is another one"
    );
    let address = post(&gateway, &format!("/hooks/wake?token={HOOK_TOKEN}"), None, ask).await;
    assert_eq!(address.status, 400, "{address:?}");
    let right = post(&gateway, "/hooks/wake", Some(HOOK_TOKEN), ask).await;
    assert_eq!((right.status, body(&right)), (400, json!({ "ok": false, "error": "text required" })));
    let large = post(&gateway, "/hooks/agent", Some(HOOK_TOKEN), &" ".repeat(256 * 1024 + 1)).await;
    assert_eq!((large.status, body(&large)), (413, json!({ "ok": false, "error": "payload too large" })));
    let verb = gateway.http("GET", "/hooks/wake", &[]).await;
    assert!(verb.status == 405 && verb.head.contains("allow: post"), "{verb:?}");
    assert!(gateway.log_lines(HOOK_TOKEN).is_empty(), "the log does not know it");
    gateway.assert_healthy().await;
    gateway.stop().await;
}

#[tokio::test]
async fn who_says_that_a_proxy_sent_them_can_be_locked_out_of_the_hooks() {
    let gateway = Gateway::with_config(&hooks("max_failures = 2\n")).await;
    for (token, status) in [("wrong", 401), ("wrong", 401), (HOOK_TOKEN, 429)] {
        let head = format!("POST /hooks/wake HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", gateway.port);
        let rest = format!("X-Forwarded-For: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 2\r\n\r\n{{}}");
        let answer = http(gateway.port, &format!("{head}{rest}")).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let direct = post(&gateway, "/hooks/wake", Some(HOOK_TOKEN), "{}").await;
    assert_eq!(direct.status, 400, "this machine's own programs are let in: {direct:?}");
    gateway.assert_healthy().await;
    gateway.stop().await;
}

#[tokio::test]
async fn hooks_without_a_token_are_an_error_that_names_the_key() {
    let gateway = Gateway::with_config("[plugins.hooks.config]\nenabled = true\n").await;
    gateway.log_line("token_file").await;
    assert_ne!(post(&gateway, "/hooks/wake", Some("x"), "{}").await.status, 200);
    gateway.stop().await;
}
