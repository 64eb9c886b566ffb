//! Many sockets that begin and do not go on. From elsewhere they would take all places of an address, and the healthy
//! client, who has the same, would find none.

use std::sync::Arc;

use clawhost_tests::support::{Client, Knock, PATIENCE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::attack::{Attack, Outcome, check, healthy};
use crate::target::Target;

const FAMILY: &str = "half-open";
/// Fewer than the places of a gateway with its own defaults: the healthy client has to find one.
const SOCKETS: usize = 200;

pub fn attacks() -> Vec<Attack> {
    [
        Attack::new(FAMILY, "sockets that say nothing", |target| unfinished(target, "")),
        Attack::new(FAMILY, "sockets with half a head", |target| unfinished(target, "GET / HTTP/1.1\r\nHost: ")),
        Attack::new(FAMILY, "upgrades without a connect", |target| upgraded(target, Knock::default())),
        Attack::new(FAMILY, "upgrades of strangers without a connect", |target| upgraded(target, Knock::remote())),
    ]
    .map(Attack::on_this_machine)
    .into()
}

async fn unfinished(target: Arc<Target>, head: &'static str) -> Outcome {
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = target.door.open().await;
        // One that is over the limit is closed already.
        let _ = socket.write_all(head.as_bytes()).await;
        let _ = socket.flush().await;
        sockets.push(socket);
    }
    healthy(&target).await?;
    let all_end = async {
        for socket in &mut sockets {
            while matches!(socket.read(&mut [0; 256]).await, Ok(1..)) {}
        }
    };
    check("an end of all sockets", "some that stay open", timeout(PATIENCE, all_end).await.is_ok())
}

async fn upgraded(target: Arc<Target>, knock: Knock) -> Outcome {
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..SOCKETS {
        match target.try_knock(&knock).await {
            Ok(client) => clients.push(client),
            Err(answer) => check("101, or 503 for those who are too many", answer.status, answer.status == 503)?,
        }
    }
    healthy(&target).await?;
    let all_end = async {
        for client in &mut clients {
            client.closed().await;
        }
    };
    check("an end of all connections", "some that stay open", timeout(PATIENCE, all_end).await.is_ok())
}
