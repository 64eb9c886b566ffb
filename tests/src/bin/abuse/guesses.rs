//! Tokens that are guessed, by somebody who does not look like this machine's owner. The owner, who comes directly, is
//! never locked out, and being let in ends nobody else's lockout.

use std::sync::Arc;

use clawhost_tests::support::Knock;
use schemas::setup_code::SetupCode;
use serde_json::json;

use crate::attack::{Attack, Outcome, check, healthy};
use crate::target::{Target, lockout, outcome};

/// Many times what a gateway with its own defaults allows.
const GUESSES: usize = 100;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("guesses", "a setup code that was used", of_a_used_code).on_this_machine(),
        Attack::new("guesses", "of the shared token from afar", of_the_token).on_this_machine(),
    ]
}

/// Another device shows a code that has let one in. Tried fewer times than lock out.
async fn of_a_used_code(target: Arc<Target>) -> Outcome {
    let mut admin = target.admin().await;
    let wish = json!({ "url": "ws://gateway.example", "scopes": ["operator.read"] });
    let made = admin.ok("device.pair.setupCode", wish).await;
    let code = made["setupCode"].as_str().and_then(SetupCode::decode);
    let Some(code) = code else { return check("a setup code", made.to_string(), false) };
    let (first, second) = (target.key("invited"), target.key("not invited"));
    let auth = json!({ "bootstrapToken": code.bootstrap_token });
    let by_code = target.operator_of_4().scopes(&["operator.admin"]).with("auth", auth);
    let result = target.knock_with(&Knock::remote()).await.connect(&by_code.clone().device(&first)).await;
    let scopes = result.as_ref().ok().map(|hello| hello["auth"]["scopes"].clone());
    check("to read, and no more", outcome(&result), scopes == Some(json!(["operator.read"])))?;
    for key in [&second, &first] {
        let result = target.knock_with(&Knock::remote()).await.connect(&by_code.clone().device(key)).await;
        let is_refused = result.as_ref().is_err_and(|refused| refused.error.message.contains("setup code invalid"));
        check("a refusal of the used code", outcome(&result), is_refused)?;
    }
    admin.ok("device.pair.remove", json!({ "deviceId": first.id() })).await;
    admin.close().await;
    Ok(())
}

async fn of_the_token(target: Arc<Target>) -> Outcome {
    let mut last = String::new();
    for n in 0..GUESSES {
        let guess = target.operator().token(&format!("guess {n}"));
        let result = target.knock_with(&Knock::remote()).await.connect(&guess).await;
        if let Some(error) = lockout(&result) {
            let says_when = error.retryable == Some(true) && error.retry_after_ms.is_some_and(|ms| ms > 0);
            check("a lockout with retryAfterMs", error, says_when)?;
            healthy(&target).await?;
            // From here on the right one does not help either, whoever else was let in.
            let right = target.knock_with(&Knock::remote()).await.connect(&target.operator()).await;
            return check("a lockout for the right token too", outcome(&right), lockout(&right).is_some());
        }
        last = outcome(&result);
    }
    check(&format!("a lockout within {GUESSES} guesses"), last, false)
}
