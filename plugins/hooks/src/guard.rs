//! Who may ring: the token, and what becomes of those who guess it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plugin_api::http::Exchange;
use subtle::ConstantTimeEq;

/// Addresses whose failures are counted at once.
const MOST_ADDRESSES: usize = 1_024;
/// How long failures count, in milliseconds.
const WINDOW_MS: u64 = 60_000;
/// How much each failure delays the answer, and the most.
const STEP: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
/// Delayed answers at once; while there are so many, nobody's token is looked at.
const MOST_WAITING: usize = 32;
/// All whose address the host does not believe count as one.
const UNTOLD: &str = "untold";

/// Judges requests.
pub struct Guard {
    secret: Option<String>,
    most: u32,
    failures: Mutex<HashMap<String, Failures>>,
    /// Delayed answers to programs of this machine, and to all others: strangers take no places of the former.
    direct: Arc<AtomicUsize>,
    others: Arc<AtomicUsize>,
}

struct Failures {
    since: u64,
    count: u32,
}

/// What becomes of a request.
pub enum Verdict {
    /// It shows the token.
    In,
    /// It shows none, or after this long a wrong one.
    Wrong(Option<Wait>),
    /// Nobody looks at it for so many seconds.
    Locked(u64),
}

/// A delay, counted while it is held.
pub struct Wait(Duration, Arc<AtomicUsize>);

impl Wait {
    pub fn length(&self) -> Duration {
        self.0
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guard {
    pub fn new(secret: Option<String>, most: u32) -> Self {
        Guard { secret, most, failures: Mutex::default(), direct: Arc::default(), others: Arc::default() }
    }

    /// Judges a request. Programs of this machine that come directly are delayed and never locked out, as at the host's
    /// own doors.
    pub fn look(&self, exchange: &Exchange) -> Verdict {
        let bearer = exchange.header("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token)
        });
        let names = ["x-openclaw-token", "x-moltbot-token", "x-clawdbot-token"];
        let shown = bearer.or_else(|| names.iter().find_map(|name| exchange.header(name)));
        let address = (!exchange.is_direct()).then(|| exchange.head().ip.as_deref().unwrap_or(UNTOLD));
        self.judge(shown.map(str::trim), address, schemas::now_ms())
    }

    /// `address` is of those who can be locked out.
    fn judge(&self, shown: Option<&str>, address: Option<&str>, now: u64) -> Verdict {
        let Some(shown) = shown.filter(|shown| !shown.is_empty()) else { return Verdict::Wrong(None) };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, failed| now.saturating_sub(failed.since) < WINDOW_MS);
        if let Some(failed) = address.and_then(|address| failures.get(address))
            && failed.count >= self.most
        {
            return Verdict::Locked((WINDOW_MS - now.saturating_sub(failed.since)).div_ceil(1000).max(1));
        }
        // Before the token is looked at: else a right one would stand out among wrong ones that cost no time.
        let waiting = if address.is_none() { &self.direct } else { &self.others };
        if waiting.load(Ordering::Relaxed) >= MOST_WAITING {
            return Verdict::Locked(1);
        }
        if self.secret.as_ref().is_some_and(|secret| secret.as_bytes().ct_eq(shown.as_bytes()).into()) {
            return Verdict::In;
        }
        let address = address.unwrap_or_default();
        if failures.len() >= MOST_ADDRESSES && !failures.contains_key(address) {
            let oldest = failures.iter().min_by_key(|(_, failed)| failed.since).map(|(address, _)| address.clone());
            oldest.and_then(|oldest| failures.remove(&oldest));
        }
        let failed = failures.entry(address.to_string()).or_insert(Failures { since: now, count: 0 });
        failed.count = failed.count.saturating_add(1);
        let delay = STEP.saturating_mul(failed.count).min(LONGEST);
        // Only here it grows, and one at a time, since the failures are held.
        waiting.fetch_add(1, Ordering::Relaxed);
        Verdict::Wrong(Some(Wait(delay, waiting.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessers_are_delayed_then_locked_out_and_counted_in_bounds() {
        let guard = Guard::new(Some("the-right-token-1".into()), 3);
        let is_in = |verdict| matches!(verdict, Verdict::In);
        let delay = |verdict| match verdict {
            Verdict::Wrong(Some(wait)) => wait.length(),
            _ => panic!("a wrong token"),
        };
        assert!(matches!(guard.judge(None, Some("10.0.0.1"), 0), Verdict::Wrong(None)), "nothing was guessed");
        for count in 1..=3 {
            assert_eq!(delay(guard.judge(Some("x"), Some("10.0.0.1"), 0)), STEP * count);
        }
        assert!(matches!(guard.judge(Some("the-right-token-1"), Some("10.0.0.1"), 10_000), Verdict::Locked(50)));
        assert!(is_in(guard.judge(Some("the-right-token-1"), Some("10.0.0.2"), 0)), "others come in");
        assert!(is_in(guard.judge(Some("the-right-token-1"), Some("10.0.0.1"), WINDOW_MS)));
        for _ in 0..100 {
            delay(guard.judge(Some("x"), None, 0));
        }
        assert!(is_in(guard.judge(Some("the-right-token-1"), None, 0)), "this machine is never locked out");
        for number in 0..2 * MOST_ADDRESSES {
            delay(guard.judge(Some("x"), Some(&number.to_string()), 0));
        }
        assert_eq!(guard.failures.lock().unwrap().len(), MOST_ADDRESSES);
        let held: Vec<Verdict> = (0..MOST_WAITING).map(|_| guard.judge(Some("x"), None, 0)).collect();
        for token in ["x", "the-right-token-1"] {
            let verdict = guard.judge(Some(token), None, 0);
            assert!(matches!(verdict, Verdict::Locked(1)), "only so many wait, and no token stands out");
        }
        assert!(is_in(guard.judge(Some("the-right-token-1"), Some("10.0.0.2"), 0)), "others have places of their own");
        drop(held);
        delay(guard.judge(Some("x"), None, 0));
    }
}
