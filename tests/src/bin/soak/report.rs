//! What a run found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::judge::{self, Look};
use crate::load::Tally;
use crate::watch::Watch;

/// Findings that are printed; of more there is a count.
const MOST_FAULTS: usize = 20;

/// The outcome of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How long the load was there.
    pub seconds: f64,
    /// How much was done of what.
    pub counts: BTreeMap<&'static str, u64>,
    /// Ticks that came.
    pub ticks: u64,
    /// Ticks that did not.
    pub missed_ticks: u64,
    /// Resident memory of the gateway before, at the most, and after, in KiB.
    pub resident_kib: [u64; 3],
    /// By how much it grew in a minute, in KiB, if the run was long enough.
    pub slope_kib_per_minute: Option<f64>,
    /// Descriptors of the gateway before, at the most, and after.
    pub descriptors: [u64; 3],
    /// What is wrong.
    pub faults: Vec<String>,
}

impl Report {
    pub fn new(elapsed: Duration, tally: &Tally, watch: &Watch) -> Self {
        let looks = watch.looks();
        let range = |of: fn(&Look) -> u64| {
            let most = looks.iter().map(of).max().unwrap_or(0);
            [looks.first().map_or(0, of), most, looks.last().map_or(0, of)]
        };
        let (ticks, missed_ticks) = watch.ticks();
        let (counts, mut faults) = tally.all();
        if faults.len() > MOST_FAULTS {
            let more = faults.len() - MOST_FAULTS;
            faults.truncate(MOST_FAULTS);
            faults.push(format!("and {more} more"));
        }
        Report {
            seconds: elapsed.as_secs_f64(),
            counts,
            ticks,
            missed_ticks,
            resident_kib: range(|look| look.resident_kib),
            // The last look is one at a gateway that is idle again.
            slope_kib_per_minute: judge::slope(&looks[..looks.len().saturating_sub(1)]),
            descriptors: range(|look| look.descriptors),
            faults,
        }
    }

    /// Adds what the numbers say.
    pub fn judge(&mut self, max_slope_kib: f64) {
        if self.missed_ticks > 0 {
            self.faults.push(format!("{} ticks are missing", self.missed_ticks));
        }
        if let Some(slope) = self.slope_kib_per_minute.filter(|slope| *slope > max_slope_kib) {
            self.faults.push(format!("memory grows by {slope:.0} KiB a minute; {max_slope_kib:.0} are allowed"));
        }
        let [before, _, after] = self.descriptors;
        if after > before + judge::SPARE_DESCRIPTORS {
            self.faults.push(format!("{after} descriptors are open, {before} were before"));
        }
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings have a JSON form")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:.0} s under load", self.seconds)?;
        for (what, count) in &self.counts {
            writeln!(f, "  {count:>9} {what}")?;
        }
        writeln!(f, "  {:>9} ticks, {} missing", self.ticks, self.missed_ticks)?;
        let [before, most, after] = self.resident_kib;
        write!(f, "resident {before} to {after} KiB, {most} at the most")?;
        match self.slope_kib_per_minute {
            Some(slope) => writeln!(f, ", {slope:+.0} KiB a minute")?,
            None => writeln!(f, "; too short a run to say whether it grows")?,
        }
        let [before, most, after] = self.descriptors;
        writeln!(f, "descriptors {before} to {after}, {most} at the most")?;
        for fault in &self.faults {
            writeln!(f, "FAULT: {fault}")?;
        }
        let verdict = if self.faults.is_empty() { "nothing was lost, doubled or left behind" } else { "FAILED" };
        write!(f, "{verdict}")
    }
}
