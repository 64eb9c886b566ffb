//! Moments that nobody chose, and that can be had again.

use std::time::Duration;

/// Where they come from.
pub struct Chance(u64);

/// How often to kill in a test of this name, and the moments of this run: so often unless `CLAWHOST_KILLS` says otherwise.
/// The moments are said, so that `CLAWHOST_KILLS_SEED` can have those of a run that failed again.
pub fn kills(of: &str, usual: u64) -> (u64, Chance) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let kills = number("CLAWHOST_KILLS").unwrap_or(usual);
    let seed = number("CLAWHOST_KILLS_SEED").unwrap_or_else(|| schemas::now_ms() | 1);
    eprintln!("{of}: {kills} kills with CLAWHOST_KILLS_SEED={seed}");
    (kills, Chance(seed))
}

impl Chance {
    /// A number below this one.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }

    /// A time below this one.
    pub fn moment(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(most.as_micros() as u64))
    }
}
