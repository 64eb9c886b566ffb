//! Clients that reach for more than they were given.

use std::sync::Arc;

use clawhost_tests::support::{Connect, Key, Knock};
use serde_json::json;

use crate::attack::{Attack, Outcome, check};
use crate::target::{Target, device_token, outcome};

const FAMILY: &str = "scopes";

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack::new(FAMILY, "admin named from afar without a device", named_from_afar),
        Attack::new(FAMILY, "a wider wish with a device token", wider_wish).on_this_machine(),
        Attack::new(FAMILY, "a device token shown by another device", stolen_token).on_this_machine(),
        Attack::new(FAMILY, "a device token shown without its device", token_alone).on_this_machine(),
        Attack::new(FAMILY, "another device's token rotated", rotated_token).on_this_machine(),
    ]
}

async fn named_from_afar(target: Arc<Target>) -> Outcome {
    let mut client = target.knock_with(&Knock::remote()).await;
    let result = client.connect(&target.operator_of_4()).await;
    let granted = result.as_ref().map(|hello| hello["auth"]["scopes"].clone());
    check("hello-ok without scopes", outcome(&result), granted.is_ok_and(|scopes| scopes == json!([])))?;
    let answer = client.call("system.connections", json!({})).await;
    check("FORBIDDEN", &answer, answer.as_ref().is_err_and(|error| error.code == "FORBIDDEN"))
}

async fn wider_wish(target: Arc<Target>) -> Outcome {
    let reader = target.key("reader");
    let token = paired(&target, &reader, "operator.read").await;
    let wider = target.operator().scopes(&["operator.read", "operator.admin"]).device(&reader).token(&token);
    let outcome = is_turned_away(&target, &wider).await;
    target.forget(&reader).await;
    outcome
}

async fn stolen_token(target: Arc<Target>) -> Outcome {
    let (owner, thief) = (target.key("owner of a stolen token"), target.key("thief of a token"));
    let token = paired(&target, &owner, "operator.admin").await;
    let outcome = is_turned_away(&target, &target.operator().device(&thief).token(&token)).await;
    target.forget(&owner).await;
    target.forget(&thief).await;
    outcome
}

async fn token_alone(target: Arc<Target>) -> Outcome {
    let owner = target.key("owner of a token");
    let token = paired(&target, &owner, "operator.admin").await;
    let outcome = is_turned_away(&target, &target.operator().token(&token)).await;
    target.forget(&owner).await;
    outcome
}

/// A clerk who may pair devices, but is no admin, asks for the token of an admin's device.
async fn rotated_token(target: Arc<Target>) -> Outcome {
    let (owner, clerk) = (target.key("owner"), target.key("clerk"));
    paired(&target, &owner, "operator.admin").await;
    let token = paired(&target, &clerk, "operator.pairing").await;
    let by_token = target.operator().scopes(&["operator.pairing"]).device(&clerk).token(&token);
    let mut client = target.connect(&by_token).await;
    let answer = client.call("device.token.rotate", json!({ "deviceId": owner.id(), "role": "operator" })).await;
    target.forget(&owner).await;
    target.forget(&clerk).await;
    let denied = answer.as_ref().is_err_and(|error| error.message == "device token rotation denied");
    check("device token rotation denied", &answer, denied)
}

/// Pairs a device of this machine: its token.
async fn paired(target: &Target, key: &Key, scope: &str) -> String {
    device_token(&target.connect(&target.operator().scopes(&[scope]).device(key)).await)
}

async fn is_turned_away(target: &Target, connect: &Connect) -> Outcome {
    let result = target.knock().await.connect(connect).await;
    let mismatch = "unauthorized: gateway token mismatch";
    let refused = result.as_ref().is_err_and(|refused| refused.error.message.starts_with(mismatch));
    check(mismatch, outcome(&result), refused)
}
