//! The end of a socket whose peer may still be sending, because it was answered before all of its request had come. Closed with
//! bytes unread it would be reset by the system, and the reset takes the answer with it wherever the peer has not read it yet.
//! So only the way to the peer is closed, and what still comes is thrown away, for a while.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::config::Limits;

/// How long a peer is seen off, and how much of what it sends is taken.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long it may send nothing.
    silence: Duration,
    /// How long it may take in all.
    whole: Duration,
    /// How many bytes it may send.
    bytes: usize,
}

impl Patience {
    /// What these limits leave for it: no more than for a request that is answered.
    pub fn of(limits: &Limits) -> Self {
        Patience {
            silence: Duration::from_millis(limits.close_grace_ms),
            whole: Duration::from_millis(limits.handshake_timeout_ms),
            bytes: limits.max_http_body_bytes,
        }
    }
}

/// Tells the peer that nothing more comes, and reads until it has said the same or the patience with it is over. The bytes
/// that were thrown away.
pub async fn see_off(mut stream: impl AsyncRead + AsyncWrite + Unpin, patience: Patience) -> usize {
    let mut taken = 0;
    let all = async {
        let mut scratch = vec![0; 16 * 1024];
        // HTTP has done so already, but where it was ready to hand the socket over. A second time does no harm.
        let _ = stream.shutdown().await;
        while taken < patience.bytes
            && let Ok(Ok(count @ 1..)) = timeout(patience.silence, stream.read(&mut scratch)).await
        {
            taken += count;
        }
    };
    let _ = timeout(patience.whole, all).await;
    taken
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const PATIENT: Patience =
        Patience { silence: Duration::from_secs(600), whole: Duration::from_secs(600), bytes: usize::MAX };

    /// A peer that reads nothing before it has sent all of this: what it heard then.
    async fn sends(mut peer: DuplexStream, bytes: usize) -> std::io::Result<String> {
        peer.write_all(&vec![0; bytes]).await?;
        let mut heard = String::new();
        peer.read_to_string(&mut heard).await?;
        Ok(heard)
    }

    #[tokio::test]
    async fn a_peer_says_all_that_it_has_to_say_and_hears_the_answer() {
        let (mut own, peer) = duplex(64);
        own.write_all(b"no").await.expect("there is room");
        let (taken, heard) = tokio::join!(see_off(own, PATIENT), sends(peer, 100_000));
        assert_eq!((taken, heard.expect("it is not cut off").as_str()), (100_000, "no"));
    }

    #[tokio::test]
    async fn a_peer_that_never_ends_is_cut() {
        let (own, peer) = duplex(64);
        let patience = Patience { bytes: 1_000, ..PATIENT };
        let (taken, heard) = tokio::join!(see_off(own, patience), sends(peer, 100_000));
        assert!((1_000..2_000).contains(&taken), "{taken}");
        assert!(heard.is_err(), "{heard:?}");
    }

    #[tokio::test]
    async fn a_peer_that_says_nothing_is_not_waited_for() {
        for patience in [Patience { silence: Duration::ZERO, ..PATIENT }, Patience { whole: Duration::ZERO, ..PATIENT }]
        {
            let (own, mut peer) = duplex(64);
            assert_eq!(see_off(own, patience).await, 0);
            assert_eq!(peer.read(&mut [0; 16]).await.expect("an end"), 0);
        }
    }
}
