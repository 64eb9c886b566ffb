//! Methods with `replay`: one key runs once, whatever happens to the client or to the gateway.

use clawhost_tests::support::{Connect, Gateway, Key};
use serde_json::{Value, json};

async fn gateway(config: &str) -> Gateway {
    Gateway::builder().program(env!("CARGO_BIN_EXE_test_gateway")).config(config).start().await
}

#[tokio::test]
async fn concurrent_duplicates_run_once_and_hear_both_answers() {
    let gateway = gateway("").await;
    let mut first = gateway.admin().await;
    let mut second = gateway.admin().await;
    let params = json!({ "idempotencyKey": "k", "value": 1, "gate": "g" });
    let a = first.request("spike.once", params.clone()).await;
    assert_eq!(first.reply(&a).await.payload.expect("a payload")["status"], "accepted");
    let b = first.request("spike.once", params.clone()).await;
    let c = second.request("spike.once", params.clone()).await;
    for (client, id) in [(&mut first, &b), (&mut second, &c)] {
        assert_eq!(client.reply(id).await.payload.expect("a payload")["status"], "accepted");
    }
    second.ok("spike.open", json!({ "gate": "g" })).await;
    let answer = first.answer(&a).await;
    assert_eq!(answer.as_ref().expect("an answer")["effect"], 1);
    assert_eq!(first.answer(&b).await, answer);
    assert_eq!(second.answer(&c).await, answer);
    // And later, from memory: nothing on the wire says that it is a copy.
    assert_eq!(second.call("spike.once", params).await, answer);
    assert_eq!(first.ok("spike.effects", json!({})).await["count"], 1);
    first.close().await;
    second.close().await;
}

#[tokio::test]
async fn many_at_the_same_instant_are_one() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let frames: Vec<Value> = (0..50)
        .map(|n| {
            json!({ "type": "req", "id": format!("d{n}"), "method": "spike.once", "params": { "idempotencyKey": "k" } })
        })
        .collect();
    client.send_all(&frames).await;
    for n in 0..50 {
        assert_eq!(client.answer(&format!("d{n}")).await.expect("an answer")["effect"], 1);
    }
    assert_eq!(client.ok("spike.effects", json!({})).await["count"], 1);
    client.close().await;
}

#[tokio::test]
async fn a_key_has_a_length() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    client.ok("spike.once", json!({ "idempotencyKey": "k".repeat(512) })).await;
    let error = client.refused("spike.once", json!({ "idempotencyKey": "k".repeat(513) })).await;
    let expected = "invalid spike.once params: at /idempotencyKey: must NOT have more than 512 characters";
    assert_eq!((&*error.code, &*error.message), ("INVALID_REQUEST", expected));
    client.close().await;
}

#[tokio::test]
async fn the_same_params_in_another_order_are_the_same_request() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    for (id, params) in [
        ("1", r#"{"idempotencyKey":"k","value":{"b":2,"a":1}}"#),
        ("2", r#"{ "value" : {"a":1, "b":2}, "idempotencyKey":"k" }"#),
    ] {
        client.send_text(&format!(r#"{{"type":"req","id":"{id}","method":"spike.once","params":{params}}}"#)).await;
        assert_eq!(client.answer(id).await.expect("an answer")["effect"], 1);
    }
    client.close().await;
}

#[tokio::test]
async fn a_key_is_nobody_elses_answer() {
    let gateway = gateway("").await;
    let mut client = gateway.connect(&Connect::operator().device(&Key::new(1))).await;
    client.ok("spike.once", json!({ "idempotencyKey": "k", "value": "mine" })).await;

    let other_params = client.refused("spike.once", json!({ "idempotencyKey": "k", "value": "other" })).await;
    let mut stranger = gateway.connect(&Connect::operator().device(&Key::new(2))).await;
    let other_device = stranger.refused("spike.once", json!({ "idempotencyKey": "k", "value": "mine" })).await;
    let mut shared = gateway.admin().await;
    let no_device = shared.refused("spike.once", json!({ "idempotencyKey": "k", "value": "mine" })).await;
    for error in [other_params, other_device, no_device] {
        assert_eq!(error.code, "INVALID_REQUEST");
        assert_eq!(error.message, "idempotencyKey was used for another request");
        assert_eq!(error.details, Some(json!({ "code": "IDEMPOTENCY_KEY_REUSED" })));
    }
    assert_eq!(client.ok("spike.effects", json!({})).await["count"], 1);

    // The same device on another connection is the same identity.
    client.close().await;
    let mut again = gateway.connect(&Connect::operator().device(&Key::new(1))).await;
    assert_eq!(again.ok("spike.once", json!({ "idempotencyKey": "k", "value": "mine" })).await["effect"], 1);
    again.close().await;
}

#[tokio::test]
async fn a_key_is_demanded() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let error = client.refused("spike.once", json!({ "value": 1 })).await;
    assert_eq!(error.message, "invalid spike.once params: must have required property 'idempotencyKey'");
    for key in [json!(""), json!(null), json!(7)] {
        let error = client.refused("spike.once", json!({ "idempotencyKey": key })).await;
        assert!(error.message.starts_with("invalid spike.once params: "), "{key}: {}", error.message);
    }
    assert_eq!(client.ok("spike.effects", json!({})).await["count"], 0);
    client.close().await;
}

#[tokio::test]
async fn only_failures_that_would_fail_again_are_kept() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    for (fail, runs) in [("invalid", 2), ("retry", 4), ("for good", 5)] {
        for _ in 0..2 {
            client.refused("spike.once", json!({ "idempotencyKey": fail, "fail": fail })).await;
        }
        assert_eq!(client.ok("spike.effects", json!({})).await["count"], runs, "{fail}");
    }
    client.close().await;
}

#[tokio::test]
async fn a_run_goes_on_when_its_client_has_gone() {
    let gateway = gateway("").await;
    let mut client = gateway.admin().await;
    let params = json!({ "idempotencyKey": "k", "gate": "g" });
    let id = client.request("spike.once", params.clone()).await;
    client.reply(&id).await;
    drop(client);
    let mut again = gateway.admin().await;
    let id = again.request("spike.once", params).await;
    assert_eq!(again.reply(&id).await.payload.expect("a payload")["status"], "accepted");
    again.ok("spike.open", json!({ "gate": "g" })).await;
    assert_eq!(again.answer(&id).await.expect("an answer")["effect"], 1);
    again.close().await;
}

#[tokio::test]
async fn an_answer_survives_a_restart() {
    let gateway = gateway("").await;
    let params = json!({ "idempotencyKey": "k", "value": { "deep": [1, 2] } });
    let mut client = gateway.admin().await;
    let answer = client.ok("spike.once", params.clone()).await;
    client.close().await;
    let gateway = gateway.stop().await.restart().await;
    let mut client = gateway.admin().await;
    assert_eq!(client.ok("spike.once", params.clone()).await, answer);
    let error = client.refused("spike.once", json!({ "idempotencyKey": "k", "value": 2 })).await;
    assert_eq!(error.details, Some(json!({ "code": "IDEMPOTENCY_KEY_REUSED" })));
    assert_eq!(client.ok("spike.effects", json!({})).await["count"], 0, "it did not run again");
    client.close().await;
}

#[tokio::test]
async fn what_ran_during_a_crash_is_not_run_twice() {
    let gateway = gateway("").await;
    let params = json!({ "idempotencyKey": "k", "gate": "g" });
    let mut client = gateway.admin().await;
    let id = client.request("spike.once", params.clone()).await;
    client.reply(&id).await;
    let gateway = gateway.kill().await.restart().await;
    let mut client = gateway.admin().await;
    let error = client.refused("spike.once", params).await;
    assert_eq!(error.code, "UNAVAILABLE");
    assert_eq!(error.details, Some(json!({ "code": "OUTCOME_UNKNOWN" })));
    assert_ne!(error.retryable, Some(true));
    assert_eq!(client.ok("spike.effects", json!({})).await["count"], 0);
    client.ok("spike.once", json!({ "idempotencyKey": "another" })).await;
    client.close().await;
}

#[tokio::test]
async fn what_ran_for_long_before_a_crash_is_not_run_twice_either() {
    const TTL_MS: u64 = 1000;
    let gateway = gateway(&format!("[gateway.limits]\ntick_interval_ms = 100\nidempotency_ttl_ms = {TTL_MS}")).await;
    let params = json!({ "idempotencyKey": "k", "gate": "g" });
    let mut client = gateway.admin().await;
    let begun = schemas::now_ms();
    let id = client.request("spike.once", params.clone()).await;
    client.reply(&id).await;
    client.event_with("tick", |tick| tick["ts"].as_u64() > Some(begun + 2 * TTL_MS)).await;
    // What a key is kept for counts from the start: a slow one shall not use it up.
    let patient = "[gateway.limits]\nidempotency_ttl_ms = 600_000";
    let gateway = gateway.kill().await.builder().config(patient).start().await;
    let mut client = gateway.admin().await;
    let error = client.refused("spike.once", params).await;
    assert_eq!(error.details, Some(json!({ "code": "OUTCOME_UNKNOWN" })));
    assert_eq!(client.ok("spike.effects", json!({})).await["count"], 0);
    client.close().await;
}

#[tokio::test]
async fn what_an_orderly_stop_cut_off_is_not_run_again() {
    let gateway = gateway("[gateway.limits]\ndrain_ms = 100").await;
    let params = json!({ "idempotencyKey": "k", "gate": "g" });
    let mut client = gateway.admin().await;
    let id = client.request("spike.once", params.clone()).await;
    client.reply(&id).await;
    let gateway = gateway.stop().await.restart().await;
    let mut client = gateway.admin().await;
    let error = client.refused("spike.once", params).await;
    assert_eq!(error.details, Some(json!({ "code": "OUTCOME_UNKNOWN" })));
    assert_eq!(client.ok("spike.effects", json!({})).await["count"], 0);
    client.close().await;
}

#[tokio::test]
async fn an_answer_over_the_size_is_kept_as_done() {
    let gateway = gateway("[gateway.limits]\nidempotency_answer_bytes = 1024").await;
    let mut client = gateway.admin().await;
    let params = json!({ "idempotencyKey": "k", "bytes": 5000 });
    let answer = client.ok("spike.once", params.clone()).await;
    assert_eq!(answer["filler"].as_str().map(str::len), Some(5000));
    let again = client.ok("spike.once", params).await;
    assert_eq!((&again["runId"], &again["status"]), (&json!("k"), &json!("ok")));
    assert_eq!(client.ok("spike.effects", json!({})).await["count"], 1);
    client.close().await;
}

#[tokio::test]
async fn the_memory_of_keys_is_bounded() {
    let gateway = gateway("[gateway.limits]\nidempotency_entries = 2").await;
    let mut client = gateway.admin().await;
    let mut waiting = Vec::new();
    for key in ["a", "b"] {
        let id = client.request("spike.once", json!({ "idempotencyKey": key, "gate": "g" })).await;
        client.reply(&id).await;
        waiting.push(id);
    }
    let error = client.refused("spike.once", json!({ "idempotencyKey": "c" })).await;
    assert_eq!((error.code.as_str(), error.retryable), ("UNAVAILABLE", Some(true)));
    assert_eq!(error.details, Some(json!({ "limit": "idempotency_entries" })));
    client.ok("spike.open", json!({ "gate": "g" })).await;
    for id in waiting {
        client.answer(&id).await.expect("an answer");
    }
    client.ok("spike.once", json!({ "idempotencyKey": "c" })).await;
    client.close().await;
}

#[tokio::test]
async fn what_was_answered_first_makes_room_first() {
    let gateway = gateway("[gateway.limits]\nidempotency_entries = 2").await;
    let mut client = gateway.admin().await;
    let (late, early) = (json!({ "idempotencyKey": "late", "gate": "g" }), json!({ "idempotencyKey": "early" }));
    let waits = client.request("spike.once", late.clone()).await;
    client.reply(&waits).await;
    let early_effect = client.ok("spike.once", early.clone()).await["effect"].clone();
    client.ok("spike.open", json!({ "gate": "g" })).await;
    let late_effect = client.answer(&waits).await.expect("an answer")["effect"].clone();
    // Each of them takes the place of another, and the one that began first is not the oldest.
    client.ok("spike.once", json!({ "idempotencyKey": "new" })).await;
    assert_eq!(client.ok("spike.once", late).await["effect"], late_effect);
    assert_ne!(client.ok("spike.once", early).await["effect"], early_effect);
    client.close().await;
}

#[tokio::test]
async fn a_key_is_free_again_after_its_time() {
    let gateway = gateway("[gateway.limits]\nidempotency_ttl_ms = 50").await;
    let mut client = gateway.admin().await;
    let params = json!({ "idempotencyKey": "k" });
    client.ok("spike.once", params.clone()).await;
    // The time is the gateway's own; each look costs a round trip.
    for _ in 0..10_000 {
        if client.ok("spike.once", params.clone()).await["effect"] == 2 {
            return client.close().await;
        }
    }
    panic!("the key never became free");
}
