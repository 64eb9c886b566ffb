//! How long to wait before the next attempt: doubling, capped, and never the same for two clients that lost the same
//! gateway at the same moment.

use std::time::Duration;

/// A back-off. [`Backoff::default`] is what the protocol's own clients use: 1 s, doubling, at most 30 s.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    next: Duration,
}

/// How far a delay is spread to both sides.
const SPREAD: f64 = 0.2;
/// The longest delay a gateway can ask for: one that asks for more is more likely confused than busy.
const MAX_ASKED: Duration = Duration::from_secs(600);
/// The shortest delay a gateway can ask for.
const MIN_ASKED: Duration = Duration::from_millis(100);

impl Default for Backoff {
    fn default() -> Self {
        Backoff::new(Duration::from_secs(1), Duration::from_secs(30))
    }
}

impl Backoff {
    /// Starts at `initial` and doubles up to `max`.
    pub fn new(initial: Duration, max: Duration) -> Self {
        let max = max.max(initial);
        Backoff { initial, max, next: initial }
    }

    /// Starts over; called once a connection stands.
    pub fn reset(&mut self) {
        self.next = self.initial;
    }

    /// The next delay.
    pub fn delay(&mut self) -> Duration {
        self.delay_with(random_unit())
    }

    /// The delay a gateway asked for, spread upwards only: sooner would be too early. The back-off itself stays.
    pub fn asked(&self, asked: Duration) -> Duration {
        asked.clamp(MIN_ASKED, MAX_ASKED).mul_f64(1.0 + SPREAD * random_unit())
    }

    /// [`Backoff::delay`] with the random number given, in `0.0..1.0`.
    fn delay_with(&mut self, random: f64) -> Duration {
        let delay = self.next.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * random).min(self.max);
        self.next = (self.next * 2).min(self.max);
        delay
    }
}

/// A number in `0.0..1.0`; the middle when the system gives no random numbers, since a delay without jitter still works.
fn random_unit() -> f64 {
    let mut bytes = [0u8; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_its_limit_and_starts_over() {
        let mut backoff = Backoff::default();
        let seconds: Vec<u64> = (0..7).map(|_| backoff.delay_with(0.5).as_millis() as u64).collect();
        assert_eq!(seconds, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.delay_with(0.5), Duration::from_secs(1));
    }

    #[test]
    fn jitter_stays_within_its_bounds() {
        for _ in 0..200 {
            let delay = Backoff::default().delay();
            assert!((Duration::from_millis(800)..=Duration::from_millis(1200)).contains(&delay), "{delay:?}");
            let asked = Backoff::default().asked(Duration::from_millis(500));
            assert!((Duration::from_millis(500)..=Duration::from_millis(600)).contains(&asked), "{asked:?}");
        }
        assert!(Backoff::default().asked(Duration::MAX) <= Duration::from_secs(720));
        let mut capped = Backoff::new(Duration::from_secs(30), Duration::from_secs(30));
        assert_eq!(capped.delay_with(0.999), Duration::from_secs(30));
    }
}
