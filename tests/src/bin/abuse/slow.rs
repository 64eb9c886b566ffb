//! Clients that take their time.

use std::sync::Arc;
use std::time::Duration;

use clawhost_tests::support::{Knock, PATIENCE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::attack::{Attack, Outcome, check, healthy};
use crate::target::Target;

const FAMILY: &str = "slow";

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack::new(FAMILY, "a head that comes byte by byte", dripping_head),
        Attack::new(FAMILY, "answers that are not read", deaf_reader),
    ]
}

/// A head without an end, one byte at a time, for as long as the gateway listens.
async fn dripping_head(target: Arc<Target>) -> Outcome {
    let (mut read, mut write) = tokio::io::split(target.door.open().await);
    let begin = format!("GET / HTTP/1.1\r\nHost: {}\r\nX-Slow: ", target.door.address);
    let drip = async move {
        let mut pace = interval(Duration::from_millis(20));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for byte in begin.bytes().chain(std::iter::repeat(b'x')) {
            pace.tick().await;
            if write.write_all(&[byte]).await.is_err() || write.flush().await.is_err() {
                break;
            }
        }
        // The end is what the other half waits for.
        std::future::pending::<()>().await;
    };
    let end = async { while matches!(read.read(&mut [0; 256]).await, Ok(1..)) {} };
    let ended = tokio::select! {
        () = drip => false,
        ended = timeout(PATIENCE, end) => ended.is_ok(),
    };
    check("an end of the socket", format!("a socket that is open after {PATIENCE:?}"), ended)
}

/// Asks and asks and reads nothing. A gateway that keeps its memory in bounds stops reading, or hangs up.
async fn deaf_reader(target: Arc<Target>) -> Outcome {
    /// Sixty-four megabytes of requests, and many times that in answers.
    const REQUESTS: usize = 4096;
    const SIZE: usize = 16 * 1024;
    /// Nobody who reads needs that long for one frame on one machine.
    const STUCK: Duration = Duration::from_secs(2);
    let mut client = target.knock_with(&Knock::default().receive_buffer(4096)).await;
    client.connect(&target.operator()).await.expect("the shared token opens");
    let mut is_stuck = false;
    for n in 0..REQUESTS {
        let ask = format!(r#"{{"type":"req","id":"deaf{n}","method":"config.schema"}}"#);
        is_stuck = timeout(STUCK, client.send_padded(&ask, SIZE)).await.is_err();
        if is_stuck {
            break;
        }
    }
    healthy(&target).await?;
    let close = if is_stuck { None } else { Some(client.closed().await) };
    let bounded = close.as_ref().is_none_or(|close| close.code != Some(1000));
    check("a connection that is not read any more, or closed", close, bounded)
}
