//! Tokens that are guessed, by somebody who does not look like this machine's owner. The owner, who comes directly, is
//! never locked out, and being let in ends nobody else's lockout.

use std::sync::Arc;

use clawhost_tests::support::Knock;

use crate::attack::{Attack, Outcome, check, healthy};
use crate::target::{Target, lockout, outcome};

/// Many times what a gateway with its own defaults allows.
const GUESSES: usize = 100;

pub fn attacks() -> Vec<Attack> {
    vec![Attack::new("guesses", "of the shared token from afar", of_the_token).on_this_machine()]
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
