//! Signatures that were made for another socket.

use std::sync::Arc;

use crate::attack::{Attack, Outcome, check};
use crate::target::{Target, outcome};

const FAMILY: &str = "signatures";
const REFUSED: &str = "a refusal: device nonce mismatch";

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack::new(FAMILY, "replayed", replayed),
        Attack::new(FAMILY, "made with another socket's nonce", stolen_nonce),
        Attack::new(FAMILY, "made with a nonce of the client's own", made_up_nonce),
    ]
}

/// What a device sent on its own socket, sent once more by who overheard it.
async fn replayed(target: Arc<Target>) -> Outcome {
    let key = target.key("replayed");
    let mut owner = target.knock().await;
    let frame = owner.connect_frame(&target.operator().device(&key));
    owner.send(&frame).await;
    // From elsewhere the owner has to wait for its approval; its signature was read and is as good to steal.
    let _ = owner.connected().await;
    let mut thief = target.knock().await;
    thief.send(&frame).await;
    let result = thief.connected().await;
    target.forget(&key).await;
    is_nonce_mismatch(result)
}

async fn stolen_nonce(target: Arc<Target>) -> Outcome {
    let owner = target.knock().await;
    with_nonce(&target, owner.nonce()).await
}

async fn made_up_nonce(target: Arc<Target>) -> Outcome {
    with_nonce(&target, "00000000-0000-4000-8000-000000000000").await
}

async fn with_nonce(target: &Target, nonce: &str) -> Outcome {
    let key = target.key(nonce);
    let result = target.knock().await.connect(&target.operator().device(&key).nonce(nonce)).await;
    target.forget(&key).await;
    is_nonce_mismatch(result)
}

fn is_nonce_mismatch(result: Result<serde_json::Value, clawhost_tests::support::Refused>) -> Outcome {
    let refused = result.as_ref().is_err_and(|refused| refused.error.message == "device nonce mismatch");
    check(REFUSED, outcome(&result), refused)
}
