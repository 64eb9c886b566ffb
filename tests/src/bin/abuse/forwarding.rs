//! Headers with which a client pretends that a proxy vouches for it. Who is local is paired without being asked, so a new
//! device tells what the gateway believes.

use std::sync::Arc;

use clawhost_tests::support::Knock;

use crate::attack::{Attack, Outcome, check};
use crate::target::{Target, outcome};

pub fn attacks() -> Vec<Attack> {
    let forged = |name: &'static str, value: &'static str| {
        Attack::new("forwarding", &format!("{name}: {value}"), move |target| {
            is_not_local(target, Knock::default().header(name, value))
        })
    };
    vec![
        forged("X-Forwarded-For", "127.0.0.1"),
        forged("X-Real-IP", "127.0.0.1"),
        forged("X-Forwarded-Host", "localhost"),
        forged("Forwarded", "for=127.0.0.1;host=localhost"),
    ]
}

/// A new device that knocks like this has to wait for its approval.
pub async fn is_not_local(target: Arc<Target>, knock: Knock) -> Outcome {
    let key = target.key(&format!("{knock:?}"));
    let result = target.knock_with(&knock).await.connect(&target.operator().device(&key)).await;
    target.forget(&key).await;
    let waits = result.as_ref().is_err_and(|refused| refused.error.message == "pairing required");
    check("pairing required", outcome(&result), waits)
}
