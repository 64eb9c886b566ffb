//! Counts sockets at the door: how many there are, how many have not said what they want, and how many of those that want
//! to shake hands have not said who they are. The last two are counted in all and for each sender.
//!
//! Who comes from this machine with no proxy in between has no limit of its own, and an eighth of the places is kept for
//! it: strangers must never shut out the owner's command line.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::Gauge;

use crate::config::{IpRange, Limits};
use crate::locality::{self, Peer};

/// The counts of one gateway.
pub struct Doorkeeper {
    open: AtomicUsize,
    heads: Arc<Room>,
    handshakes: Arc<Room>,
    exchanges: Arc<Room>,
}

/// Where sockets wait.
struct Room {
    counts: Mutex<Counts>,
    gauge: Gauge,
}

#[derive(Default)]
struct Counts {
    all: usize,
    /// Those of them for whom no place is kept.
    strangers: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// For whom a socket is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Somebody on this machine, with no proxy in between as far as is known.
    Here,
    /// A proxy that speaks for many; for whom, its request will tell.
    Proxy,
    /// The customer of this address.
    At(IpAddr),
}

impl Sender {
    /// As far as is known before the request is read.
    pub fn before_head(address: IpAddr, trusted_proxies: &[IpRange]) -> Self {
        let address = address.to_canonical();
        if locality::is_loopback(address) {
            Sender::Here
        } else if trusted_proxies.iter().any(|proxy| proxy.contains(address)) {
            Sender::Proxy
        } else {
            Sender::At(locality::customer(address))
        }
    }

    /// The sender of a request.
    pub fn of(peer: &Peer) -> Self {
        if peer.local && !peer.forwarded { Sender::Here } else { Sender::At(locality::customer(peer.client_ip)) }
    }
}

/// A socket that is open, until dropped.
pub struct Open(Arc<Doorkeeper>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that has not said what it wants, or not who it is, until dropped.
pub struct Pending {
    room: Arc<Room>,
    sender: Sender,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.room.leave(self.sender);
    }
}

impl Doorkeeper {
    /// Nobody yet.
    pub fn new(heads: Gauge, handshakes: Gauge, exchanges: Gauge) -> Arc<Self> {
        let room = |gauge| Arc::new(Room { counts: Mutex::default(), gauge });
        Arc::new(Doorkeeper {
            open: AtomicUsize::new(0),
            heads: room(heads),
            handshakes: room(handshakes),
            exchanges: room(exchanges),
        })
    }

    /// Takes in a socket, unless there are `max` already.
    pub fn open(self: &Arc<Self>, max: usize) -> Option<Open> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Open(self.clone()))
    }

    /// Counts a socket as long as it speaks HTTP; the error is the limit that stands against it.
    pub fn before_head(&self, sender: Sender, limits: &Limits) -> Result<Pending, &'static str> {
        self.heads.enter(sender, HANDSHAKES, bounds(limits))
    }

    /// Counts a socket that wants to shake hands; the error is the limit that stands against it.
    pub fn before_connect(&self, sender: Sender, limits: &Limits) -> Result<Pending, &'static str> {
        self.handshakes.enter(sender, HANDSHAKES, bounds(limits))
    }

    /// Counts a request that a plugin answers; the error is the limit that stands against it.
    pub fn exchange(&self, sender: Sender, limits: &Limits) -> Result<Pending, &'static str> {
        self.exchanges.enter(sender, EXCHANGES, (limits.max_http_exchanges, limits.max_http_exchanges_per_ip))
    }
}

/// Names of the limits of those who wait at the door.
const HANDSHAKES: [&str; 2] = ["max_pending_handshakes", "max_pending_handshakes_per_ip"];
/// Names of the limits of requests that plugins answer.
const EXCHANGES: [&str; 2] = ["max_http_exchanges", "max_http_exchanges_per_ip"];

fn bounds(limits: &Limits) -> (usize, usize) {
    (limits.max_pending_handshakes, limits.max_pending_handshakes_per_ip)
}

impl Room {
    fn enter(
        self: &Arc<Self>,
        sender: Sender,
        names: [&'static str; 2],
        (max, of_address): (usize, usize),
    ) -> Result<Pending, &'static str> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_stranger = sender != Sender::Here;
        if counts.all >= max || (is_stranger && counts.strangers >= max - max / 8) {
            return Err(names[0]);
        }
        if let Sender::At(address) = sender {
            let count = counts.by_address.entry(address).or_default();
            if *count >= of_address {
                return Err(names[1]);
            }
            *count += 1;
        }
        counts.all += 1;
        counts.strangers += usize::from(is_stranger);
        self.gauge.set(counts.all as f64);
        Ok(Pending { room: self.clone(), sender })
    }

    fn leave(&self, sender: Sender) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        counts.strangers -= usize::from(sender != Sender::Here);
        if let Sender::At(address) = sender
            && let Some(count) = counts.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&address);
            }
        }
        self.gauge.set(counts.all as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "max_pending_handshakes";
    const OF_ADDRESS: &str = "max_pending_handshakes_per_ip";

    fn keeper() -> Arc<Doorkeeper> {
        Doorkeeper::new(Gauge::noop(), Gauge::noop(), Gauge::noop())
    }

    fn limits(all: usize, of_address: usize) -> Limits {
        Limits { max_pending_handshakes: all, max_pending_handshakes_per_ip: of_address, ..Limits::default() }
    }

    fn at(last: u8) -> Sender {
        Sender::At(IpAddr::from([203, 0, 113, last]))
    }

    #[test]
    fn counts_return_when_sockets_go() {
        let (keeper, limits) = (keeper(), limits(2, 1));
        let open = keeper.open(1).expect("room for one");
        assert!(keeper.open(1).is_none());
        let first = keeper.before_connect(at(1), &limits).expect("room");
        assert_eq!(keeper.before_connect(at(1), &limits).err(), Some(OF_ADDRESS));
        let second = keeper.before_connect(at(2), &limits).expect("room for another address");
        assert_eq!(keeper.before_connect(at(3), &limits).err(), Some(ALL));
        assert!(keeper.before_head(at(3), &limits).is_ok(), "who waits for something else does not count");
        drop((first, second));
        assert!(keeper.before_connect(at(1), &limits).is_ok());
        drop(open);
        assert!(keeper.open(1).is_some());
    }

    #[test]
    fn places_are_kept_for_who_is_here() {
        let (keeper, limits) = (keeper(), limits(16, 8));
        let strangers: Vec<_> = (0..14).map(|n| keeper.before_connect(at(n % 2), &limits).expect("room")).collect();
        for stranger in [at(0), at(9), Sender::Proxy] {
            assert_eq!(keeper.before_connect(stranger, &limits).err(), Some(ALL), "{stranger:?}");
        }
        let owner = [Sender::Here, Sender::Here].map(|here| keeper.before_connect(here, &limits).expect("kept"));
        assert_eq!(keeper.before_connect(Sender::Here, &limits).err(), Some(ALL));
        drop(strangers);
        let more: Vec<_> = (0..14).map(|_| keeper.before_connect(Sender::Here, &limits).expect("room")).collect();
        assert_eq!(keeper.before_connect(at(0), &limits).err(), Some(ALL));
        drop((owner, more));
    }

    #[test]
    fn a_sender_before_and_after_its_head() {
        let proxies: Vec<IpRange> = vec!["10.0.0.2".parse().expect("an address")];
        for (address, sender) in [
            ("127.0.0.1", Sender::Here),
            ("::1", Sender::Here),
            ("::ffff:127.0.0.1", Sender::Here),
            ("10.0.0.2", Sender::Proxy),
            ("::ffff:203.0.113.1", at(1)),
            ("2001:db8::1:2:3:4", Sender::At("2001:db8::".parse().expect("an address"))),
        ] {
            assert_eq!(Sender::before_head(address.parse().expect("an address"), &proxies), sender, "{address}");
        }
        let owner = Peer::direct_local();
        assert_eq!(Sender::of(&owner), Sender::Here);
        // Strangers behind a proxy on this machine that nobody configured: one address, and not the owner's.
        let proxied = Peer { local: false, forwarded: true, ..owner };
        assert_eq!(Sender::of(&proxied), Sender::At(proxied.client_ip));
    }
}
