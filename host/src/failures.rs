//! Slows down guessing. Only wrong secrets count, never missing ones, so that a client without credentials locks nobody
//! out. Each address has its own count; a slow count over all addresses meets guessers who change theirs. Clients of
//! this machine are never locked out, only delayed, because their owner could not get in otherwise; and they are counted
//! apart from those who share their address by way of a proxy, whose guesses the owner's success shall not forgive.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::locality::customer;

/// Addresses remembered at most.
const MAX_ADDRESSES: usize = 4096;
/// The count over all addresses is this many times the one of a single address.
const EVERYBODY: u64 = 20;
/// Delays of local clients: the first, and the longest.
const FIRST_DELAY_MS: u64 = 250;
const LONGEST_DELAY_MS: u64 = 5_000;

/// How much guessing is borne.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureSettings {
    /// `gateway.limits.auth_failures`: wrong secrets of one address before it is locked out.
    pub auth_failures: u32,
    /// `gateway.limits.auth_failure_window_ms`: over how long they are counted.
    pub auth_failure_window_ms: u64,
    /// `gateway.limits.auth_lockout_ms`: how long an address stays locked out.
    pub auth_lockout_ms: u64,
}

impl Default for FailureSettings {
    fn default() -> Self {
        FailureSettings { auth_failures: 10, auth_failure_window_ms: 60_000, auth_lockout_ms: 300_000 }
    }
}

/// Who tries, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guesser {
    /// The client's address.
    pub ip: IpAddr,
    /// Whether it is a direct local client: delayed, never locked out.
    pub direct: bool,
}

impl Guesser {
    /// With whom it is counted as one.
    fn counted_as(self) -> Guesser {
        Guesser { ip: customer(self.ip), ..self }
    }
}

/// Counts wrong secrets. Every moment comes from the caller, in milliseconds.
#[derive(Debug)]
pub struct FailureLimiter {
    settings: FailureSettings,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    addresses: HashMap<Guesser, Count>,
    everybody: Bucket,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    failures: u32,
    window_started_ms: u64,
    locked_until_ms: u64,
    /// The last time this address proved itself.
    succeeded_at_ms: Option<u64>,
}

/// A leaky bucket: what is in it runs out evenly over ten windows.
#[derive(Debug, Default)]
struct Bucket {
    level: f64,
    at_ms: u64,
}

impl FailureLimiter {
    /// A limiter that has seen nothing yet.
    pub fn new(settings: FailureSettings) -> Self {
        FailureLimiter { settings, state: Mutex::default() }
    }

    /// Whether this client must not try now; the milliseconds after which it may.
    pub fn blocked(&self, guesser: Guesser, now_ms: u64) -> Option<u64> {
        if guesser.direct {
            return None;
        }
        let mut state = self.lock();
        let count = state.addresses.get(&guesser.counted_as()).copied().unwrap_or_default();
        if count.locked_until_ms > now_ms {
            return Some(count.locked_until_ms - now_ms);
        }
        // Who has proved itself lately does not suffer for what others do.
        let known = count.succeeded_at_ms.is_some_and(|at| now_ms.saturating_sub(at) < 10 * self.window());
        let capacity = self.capacity();
        let level = state.everybody.level_at(now_ms, self.leak());
        (!known && level >= capacity).then(|| ((level - capacity + 1.0) / self.leak()).ceil() as u64)
    }

    /// Counts a wrong secret, and tells how long its answer should be held back.
    pub fn failed(&self, guesser: Guesser, now_ms: u64) -> Option<Duration> {
        let (window, leak) = (self.window(), self.leak());
        let mut state = self.lock();
        if !guesser.direct {
            state.everybody.level_at(now_ms, leak);
            state.everybody.level += 1.0;
        }
        make_room(&mut state.addresses, guesser.counted_as(), now_ms);
        let count = state.addresses.entry(guesser.counted_as()).or_default();
        if now_ms.saturating_sub(count.window_started_ms) >= window {
            (count.failures, count.window_started_ms) = (0, now_ms);
        }
        count.failures = count.failures.saturating_add(1);
        if guesser.direct {
            let doublings = (count.failures - 1).min(16);
            return Some(Duration::from_millis((FIRST_DELAY_MS << doublings).min(LONGEST_DELAY_MS)));
        }
        if count.failures >= self.settings.auth_failures.max(1) {
            count.locked_until_ms = now_ms.saturating_add(self.settings.auth_lockout_ms);
            count.failures = 0;
        }
        None
    }

    /// Forgets an address's failures: it has shown the right secret.
    pub fn succeeded(&self, guesser: Guesser, now_ms: u64) {
        let mut state = self.lock();
        make_room(&mut state.addresses, guesser.counted_as(), now_ms);
        let fresh = Count { succeeded_at_ms: Some(now_ms), ..Count::default() };
        state.addresses.insert(guesser.counted_as(), fresh);
    }

    fn window(&self) -> u64 {
        self.settings.auth_failure_window_ms.max(1)
    }

    fn capacity(&self) -> f64 {
        (u64::from(self.settings.auth_failures.max(1)) * EVERYBODY) as f64
    }

    /// What runs out of the bucket per millisecond.
    fn leak(&self) -> f64 {
        self.capacity() / (10 * self.window()) as f64
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn level_at(&mut self, now_ms: u64, leak: f64) -> f64 {
        self.level = (self.level - now_ms.saturating_sub(self.at_ms) as f64 * leak).max(0.0);
        self.at_ms = self.at_ms.max(now_ms);
        self.level
    }
}

/// Keeps the map bounded. Those who are locked out stay as long as there is anybody else to forget.
fn make_room(addresses: &mut HashMap<Guesser, Count>, newcomer: Guesser, now_ms: u64) {
    if addresses.len() < MAX_ADDRESSES || addresses.contains_key(&newcomer) {
        return;
    }
    let least = addresses.iter().min_by_key(|(_, count)| {
        let last = count.window_started_ms.max(count.succeeded_at_ms.unwrap_or(0));
        (count.locked_until_ms > now_ms, count.locked_until_ms, last)
    });
    if let Some(guesser) = least.map(|(guesser, _)| *guesser) {
        addresses.remove(&guesser);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far(last: u8) -> Guesser {
        Guesser { ip: IpAddr::from([203, 0, 113, last]), direct: false }
    }

    fn limiter() -> FailureLimiter {
        let settings = FailureSettings { auth_failures: 3, auth_failure_window_ms: 1_000, auth_lockout_ms: 5_000 };
        FailureLimiter::new(settings)
    }

    #[test]
    fn an_address_is_locked_out_and_let_in_again() {
        let limiter = limiter();
        for _ in 0..2 {
            assert_eq!(limiter.failed(far(1), 100), None);
        }
        assert_eq!(limiter.blocked(far(1), 100), None);
        limiter.failed(far(1), 100);
        assert_eq!(limiter.blocked(far(1), 200), Some(4_900));
        assert_eq!(limiter.blocked(far(2), 200), None, "others are not concerned");
        assert_eq!(limiter.blocked(far(1), 5_100), None);
    }

    #[test]
    fn failures_far_apart_and_a_success_start_anew() {
        let limiter = limiter();
        for at in [0, 500, 1_500, 2_000, 3_000] {
            limiter.failed(far(1), at);
        }
        assert_eq!(limiter.blocked(far(1), 3_000), None);
        limiter.failed(far(1), 3_100);
        limiter.succeeded(far(1), 3_100);
        limiter.failed(far(1), 3_100);
        limiter.failed(far(1), 3_100);
        assert_eq!(limiter.blocked(far(1), 3_100), None);
    }

    #[test]
    fn a_direct_client_is_delayed_and_never_locked_out() {
        let limiter = limiter();
        let here = Guesser { ip: IpAddr::from([127, 0, 0, 1]), direct: true };
        let delays: Vec<u64> = (0..8).map(|_| limiter.failed(here, 100).unwrap().as_millis() as u64).collect();
        assert_eq!(delays, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
        assert_eq!(limiter.blocked(here, 100), None);
        let proxied = Guesser { direct: false, ..here };
        for _ in 0..3 {
            limiter.failed(proxied, 200);
        }
        assert!(limiter.blocked(proxied, 200).is_some(), "a proxy on this machine inherits no exemption");
    }

    #[test]
    fn a_direct_client_forgives_no_guesses_of_a_proxys_clients() {
        let limiter = limiter();
        let here = Guesser { ip: IpAddr::from([127, 0, 0, 1]), direct: true };
        let proxied = Guesser { direct: false, ..here };
        for _ in 0..3 {
            limiter.succeeded(here, 100);
            limiter.failed(proxied, 100);
        }
        limiter.succeeded(here, 200);
        assert_eq!(limiter.blocked(proxied, 200), Some(4_900));
        for _ in 0..60 {
            limiter.failed(far(1), 5_200);
        }
        assert!(limiter.blocked(proxied, 5_200).is_some(), "the owner's success proves nothing about them");
    }

    #[test]
    fn guessers_who_change_their_address_meet_the_common_count() {
        let limiter = limiter();
        limiter.succeeded(far(250), 0);
        for n in 0..60 {
            limiter.failed(far(n), 100);
        }
        let wait = limiter.blocked(far(200), 100).expect("everybody's bucket is full");
        assert_eq!(limiter.blocked(far(250), 100), None, "who proved itself lately still gets in");
        assert!(wait < 1_000, "{wait}");
        assert_eq!(limiter.blocked(far(200), 100 + wait), None);
    }

    #[test]
    fn the_map_is_bounded_and_keeps_those_locked_out() {
        let limiter = limiter();
        for _ in 0..3 {
            limiter.failed(far(1), 0);
        }
        for n in 0..MAX_ADDRESSES as u32 + 100 {
            limiter.failed(Guesser { ip: IpAddr::from((n + (10 << 24)).to_be_bytes()), direct: false }, 1);
        }
        assert_eq!(limiter.lock().addresses.len(), MAX_ADDRESSES);
        assert!(limiter.blocked(far(1), 10).is_some_and(|wait| wait > 4_000));
    }

    #[test]
    fn one_customer_of_ipv6_is_one_address() {
        let limiter = limiter();
        let of = |last: u16| Guesser { ip: IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]), direct: false };
        for last in 1..=3 {
            limiter.failed(of(last), 0);
        }
        assert!(limiter.blocked(of(99), 0).is_some());
    }
}
