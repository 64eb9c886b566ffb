//! What numbers over time say of a gateway.

use std::time::Duration;

use serde::Serialize;

/// Memory that a gateway may gain in a minute, in KiB, unless said.
pub const MAX_SLOPE_KIB: f64 = 128.0;
/// Memory that it may gain from the second quarter of a run to the last one, in KiB, unless said: the longer a run, the less
/// of that is left for a minute.
pub const MAX_GROWTH_KIB: f64 = 2_048.0;
/// Descriptors that may be more in the last quarter than in the second one: whoever comes and goes has as many at times.
pub const MAX_MORE_DESCRIPTORS: f64 = 8.0;
/// Descriptors that may be more at the end than before the load: what the gateway opens once and keeps, such as connections to
/// its databases.
pub const SPARE_DESCRIPTORS: u64 = 64;
/// Fewer looks than this say nothing of growth.
pub const FEWEST: usize = 10;
/// A shorter run says nothing of memory.
pub const SHORTEST: Duration = Duration::from_secs(600);

/// A look at the gateway's process.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Look {
    /// Seconds since the load began.
    pub at: f64,
    /// Resident memory.
    pub resident_kib: u64,
    /// Open files and sockets.
    pub descriptors: u64,
}

/// How much more there is in the last quarter of a run than in the second one.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Growth {
    /// So much.
    pub by: f64,
    /// From the middle of the one to the middle of the other.
    pub minutes: f64,
}

impl Growth {
    /// By the median of either quarter, so that a moment counts for nothing; in the first one a gateway becomes warm. `None`
    /// if there is too little to see.
    pub fn of(looks: &[Look], what: impl Fn(&Look) -> u64) -> Option<Growth> {
        let quarter = looks.len() / 4;
        let (second, last) = (looks.get(quarter..2 * quarter)?, &looks[looks.len() - quarter..]);
        let minutes = (median(last, |look| look.at) - median(second, |look| look.at)) / 60.0;
        let amount = |look: &Look| what(look) as f64;
        let by = median(last, amount) - median(second, amount);
        (looks.len() >= FEWEST && minutes > 0.0).then_some(Growth { by, minutes })
    }

    /// The same for a minute.
    pub fn a_minute(self) -> f64 {
        self.by / self.minutes
    }
}

/// Memory that may be gained within so many minutes, in KiB: so much a minute, and so much in all.
pub fn allowed_kib(minutes: f64, a_minute: f64, in_all: f64) -> f64 {
    (a_minute * minutes).min(in_all)
}

fn median(looks: &[Look], of: impl Fn(&Look) -> f64) -> f64 {
    let mut values: Vec<f64> = looks.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The ticks that came, by the times that they show.
#[derive(Debug, Clone, Default)]
pub struct Ticks {
    /// How many.
    pub came: u64,
    /// Those that were late by more than half of what lies between two.
    pub late: u64,
    /// By how much the latest one was.
    pub worst_ms: u64,
    span: Option<(u64, u64)>,
    holes: u64,
}

impl Ticks {
    /// One more, due so long after the one before it.
    pub fn hear(&mut self, at_ms: u64, interval_ms: u64) {
        self.came += 1;
        let (first, last) = self.span.unwrap_or((at_ms, at_ms.saturating_sub(interval_ms)));
        self.span = Some((first, at_ms));
        let gap = at_ms.saturating_sub(last);
        let late = gap.saturating_sub(interval_ms);
        self.worst_ms = self.worst_ms.max(late);
        self.late += u64::from(late > interval_ms / 2);
        // One that is late is made up for by the next one; after so long some were left out.
        if gap > 2 * interval_ms + interval_ms / 2 {
            self.holes += (gap + interval_ms / 2) / interval_ms - 1;
        }
    }

    /// How many did not come: in holes, or here and there, as far as that is more than what being late now and then costs.
    pub fn missing(&self, interval_ms: u64) -> u64 {
        let (here_and_there, forgivable) = self.here_and_there(interval_ms);
        if here_and_there > forgivable { here_and_there.max(self.holes) } else { self.holes }
    }

    /// How many fewer came than the clock has room for, and are not called missing.
    pub fn forgiven(&self, interval_ms: u64) -> u64 {
        let (here_and_there, forgivable) = self.here_and_there(interval_ms);
        if here_and_there > forgivable { 0 } else { here_and_there.saturating_sub(self.holes) }
    }

    /// How many fewer came than the clock has room for, and how many of them are no fault. A gateway does not catch up: one
    /// that is held up for longer than lies between two ticks, on a machine that does other things, sends all further ones so
    /// much later, and after several such times there is one less. From a tick that was left out nobody can tell that.
    fn here_and_there(&self, interval_ms: u64) -> (u64, u64) {
        let Some((first, last)) = self.span else { return (0, 0) };
        let due = last.saturating_sub(first) / interval_ms.max(1);
        ((due + 1).saturating_sub(self.came), 2 + due / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(resident: impl Fn(u64) -> u64) -> Vec<Look> {
        (0..120).map(|n| Look { at: 10.0 * n as f64, resident_kib: resident(n), descriptors: 20 }).collect()
    }

    fn grown(resident: impl Fn(u64) -> u64) -> f64 {
        Growth::of(&looks(resident), |look| look.resident_kib).expect("twenty minutes").a_minute()
    }

    #[test]
    fn memory_that_grows_is_seen_and_memory_that_sways_is_not() {
        let grows = grown(|n| 10_000 + 100 * n);
        assert!((599.0..601.0).contains(&grows), "{grows}");
        let sways = grown(|n| 10_000 + 500 * (n % 2));
        assert!(sways.abs() < 1.0, "{sways}");
        // Whatever it takes to become warm is not growth, nor is a moment.
        let warm = grown(|n| if n < 30 { n * 1_000 } else { 30_000 });
        assert!(warm.abs() < 1.0, "{warm}");
        let moment = grown(|n| if n == 115 { 90_000 } else { 30_000 });
        assert!(moment.abs() < 1.0, "{moment}");
    }

    #[test]
    fn descriptors_that_are_left_behind_are_seen() {
        let leaks: Vec<Look> =
            (0..12).map(|n| Look { at: 5.0 * n as f64, resident_kib: 1, descriptors: 40 + 3 * n }).collect();
        let more = Growth::of(&leaks, |look| look.descriptors).expect("a minute").by;
        assert!(more > MAX_MORE_DESCRIPTORS, "{more}");
    }

    #[test]
    fn the_longer_a_run_the_less_it_may_gain_in_a_minute() {
        let a_minute = |minutes| allowed_kib(minutes, MAX_SLOPE_KIB, MAX_GROWTH_KIB) / minutes;
        assert_eq!(a_minute(5.0), MAX_SLOPE_KIB);
        // Between the quarters of a day lie twelve hours.
        assert!(a_minute(720.0) < 3.0, "{}", a_minute(720.0));
    }

    #[test]
    fn a_few_looks_say_nothing_of_growth() {
        for few in [0, 1, 3, FEWEST - 1] {
            assert!(Growth::of(&looks(|n| n)[..few], |look| look.resident_kib).is_none(), "{few}");
        }
    }

    fn ticks(times: impl IntoIterator<Item = u64>) -> Ticks {
        let mut ticks = Ticks::default();
        times.into_iter().for_each(|at| ticks.hear(at, 1_000));
        ticks
    }

    /// Ticks at these times of which one is due each second: came late, by how much, missing.
    fn heard(times: impl IntoIterator<Item = u64>) -> (u64, u64, u64) {
        let ticks = ticks(times);
        (ticks.late, ticks.worst_ms, ticks.missing(1_000))
    }

    #[test]
    fn late_ticks_are_no_missing_ones_and_missing_ones_are_counted() {
        assert_eq!(heard([]), (0, 0, 0));
        assert_eq!(heard([7_000, 8_000, 9_400, 10_000]), (0, 400, 0));
        assert_eq!(heard([7_000, 8_000, 9_900, 10_000, 11_000]), (1, 900, 0), "it came before the next one");
        assert_eq!(heard([7_000, 12_100, 12_200]), (1, 4_100, 4), "so long there was none");
        assert_eq!(heard([7_000, 5_000, 6_000]), (0, 0, 0), "a clock that was set back");
    }

    #[test]
    fn ticks_that_are_left_out_now_and_then_are_missing_too() {
        let with_gaps = (0..300).filter(|n| n % 20 != 7).map(|n| 1_000 * n);
        assert_eq!(heard(with_gaps), (15, 1_000, 15));
        let slower = (0..100).map(|n| 1_400 * n);
        assert_eq!(heard(slower), (0, 400, 39));
    }

    #[test]
    fn ticks_that_are_forgiven_are_counted_and_no_other_ones() {
        let found = |ticks: Ticks| (ticks.missing(1_000), ticks.forgiven(1_000));
        assert_eq!(found(Ticks::default()), (0, 0));
        assert_eq!(found(ticks((0..300).map(|n| 1_000 * n))), (0, 0));
        // Of 300 so many may be left out here and there, and one more may not.
        let without = |left_out: u64| (0..300).filter(move |n| n % 50 != 7 || n / 50 >= left_out).map(|n| 1_000 * n);
        assert_eq!(found(ticks(without(4))), (0, 4));
        assert_eq!(found(ticks(without(5))), (5, 0));
        // What is in a hole is missing, and not forgiven beside it.
        let with_a_hole = (0..300).filter(|n| !(100..103).contains(n)).map(|n| 1_000 * n);
        assert_eq!(found(ticks(with_a_hole)), (3, 0));
    }
}
