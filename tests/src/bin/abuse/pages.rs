//! Pages of somebody else, in a browser on this machine.

use std::sync::Arc;

use clawhost_tests::support::Knock;

use crate::attack::{Attack, Outcome, check};
use crate::forwarding::is_not_local;
use crate::target::Target;

const FAMILY: &str = "pages";

pub fn attacks() -> Vec<Attack> {
    let own_port = |target: &Target| format!("rebound.example:{}", target.door.address.port());
    vec![
        Attack::new(FAMILY, "a foreign page", |target| {
            is_forbidden(target, Knock::default().header("Origin", "https://evil.example"))
        }),
        Attack::new(FAMILY, "a page without an origin", |target| {
            is_forbidden(target, Knock::default().header("Origin", "null"))
        }),
        Attack::new(FAMILY, "a page under a rebound name", move |target| {
            let host = own_port(&target);
            is_forbidden(target, Knock::default().host(&host).header("Origin", &format!("http://{host}")))
        }),
        Attack::new(FAMILY, "a rebound name without an origin", move |target| {
            let host = own_port(&target);
            is_not_local(target, Knock::default().host(&host))
        }),
    ]
}

async fn is_forbidden(target: Arc<Target>, knock: Knock) -> Outcome {
    match target.try_knock(&knock).await {
        Err(answer) => check("403", answer.status, answer.status == 403),
        Ok(_) => check("403", 101, false),
    }
}
