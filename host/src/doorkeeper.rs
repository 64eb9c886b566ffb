//! Counts sockets at the door: how many there are, and how many of them have not said who they are, in all and for each
//! address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::Gauge;

/// The counts of one gateway.
pub struct Doorkeeper {
    open: AtomicUsize,
    pending: Mutex<PendingCounts>,
    gauge: Gauge,
}

#[derive(Default)]
struct PendingCounts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A socket that is open, until dropped.
pub struct Open(Arc<Doorkeeper>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that has not finished its handshake, until dropped.
pub struct Pending {
    doorkeeper: Arc<Doorkeeper>,
    address: IpAddr,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut pending = self.doorkeeper.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.all -= 1;
        if let Some(count) = pending.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                pending.by_address.remove(&self.address);
            }
        }
        self.doorkeeper.gauge.set(pending.all as f64);
    }
}

impl Doorkeeper {
    /// Nobody yet.
    pub fn new(gauge: Gauge) -> Arc<Self> {
        Arc::new(Doorkeeper { open: AtomicUsize::new(0), pending: Mutex::default(), gauge })
    }

    /// Takes in a socket, unless there are `max` already.
    pub fn open(self: &Arc<Self>, max: usize) -> Option<Open> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Open(self.clone()))
    }

    /// Counts a socket that wants to shake hands; the error is the limit that stands against it.
    pub fn pending(
        self: &Arc<Self>,
        address: IpAddr,
        max: usize,
        max_per_address: usize,
    ) -> Result<Pending, &'static str> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.all >= max {
            return Err("max_pending_handshakes");
        }
        let count = pending.by_address.entry(address).or_default();
        if *count >= max_per_address {
            return Err("max_pending_handshakes_per_ip");
        }
        *count += 1;
        pending.all += 1;
        self.gauge.set(pending.all as f64);
        Ok(Pending { doorkeeper: self.clone(), address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_return_when_sockets_go() {
        let keeper = Doorkeeper::new(Gauge::noop());
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let open = keeper.open(1).expect("room for one");
        assert!(keeper.open(1).is_none());
        let first = keeper.pending(a, 2, 1).expect("room");
        assert_eq!(keeper.pending(a, 2, 1).err(), Some("max_pending_handshakes_per_ip"));
        let second = keeper.pending(b, 2, 1).expect("room for another address");
        assert_eq!(keeper.pending(IpAddr::from([127, 0, 0, 3]), 2, 1).err(), Some("max_pending_handshakes"));
        drop((first, second));
        assert!(keeper.pending(a, 2, 1).is_ok());
        drop(open);
        assert!(keeper.open(1).is_some());
    }
}
