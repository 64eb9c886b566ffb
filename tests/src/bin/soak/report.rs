//! What a run found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::judge::{self, Growth, Look};
use crate::load::Tally;
use crate::watch::Watch;
use crate::{Arguments, TICK_MS};

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
    /// Those of them that were late, which is no fault.
    pub late_ticks: u64,
    /// By how much the latest one was.
    pub worst_late_ms: u64,
    /// Ticks that did not come.
    pub missed_ticks: u64,
    /// How many fewer came than the clock has room for beside that, which is what late ones cost and no fault.
    pub forgiven_ticks: u64,
    /// Resident memory of the gateway before, at the most, and after, in KiB.
    pub resident_kib: [u64; 3],
    /// By how many KiB it grew from the second quarter of the run to the last one, if the run was long enough.
    pub growth_kib: Option<Growth>,
    /// Descriptors of the gateway before, at the most, and after.
    pub descriptors: [u64; 3],
    /// How many more there were in the last quarter, if there were enough looks.
    pub more_descriptors: Option<Growth>,
    /// What nothing is said of.
    pub not_judged: Vec<String>,
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
        let ticks = watch.ticks();
        let (counts, mut faults) = tally.all();
        if faults.len() > MOST_FAULTS {
            let more = faults.len() - MOST_FAULTS;
            faults.truncate(MOST_FAULTS);
            faults.push(format!("and {more} more"));
        }
        // The last look is one at a gateway that is idle again.
        let under_load = &looks[..looks.len().saturating_sub(1)];
        let memory = Growth::of(under_load, |look| look.resident_kib).filter(|_| elapsed >= judge::SHORTEST);
        let descriptors = Growth::of(under_load, |look| look.descriptors);
        let mut not_judged = Vec::new();
        if memory.is_none() {
            not_judged.push(format!("whether memory grows, which takes {} s", judge::SHORTEST.as_secs()));
        }
        if descriptors.is_none() {
            not_judged.push(format!("whether descriptors become more, which takes {} looks", judge::FEWEST));
        }
        Report {
            seconds: elapsed.as_secs_f64(),
            counts,
            ticks: ticks.came,
            late_ticks: ticks.late,
            worst_late_ms: ticks.worst_ms,
            missed_ticks: ticks.missing(TICK_MS),
            forgiven_ticks: ticks.forgiven(TICK_MS),
            resident_kib: range(|look| look.resident_kib),
            growth_kib: memory,
            descriptors: range(|look| look.descriptors),
            more_descriptors: descriptors,
            not_judged,
            faults,
        }
    }

    /// Adds what the numbers say.
    pub fn judge(&mut self, arguments: &Arguments) {
        if self.missed_ticks > 0 {
            self.faults.push(format!("{} ticks are missing", self.missed_ticks));
        }
        if let Some(grown) = self.growth_kib {
            let allowed = judge::allowed_kib(grown.minutes, arguments.max_slope_kib, arguments.max_growth_kib);
            if grown.by > allowed {
                let (by, minutes) = (grown.by, grown.minutes);
                self.faults
                    .push(format!("memory grew by {by:.0} KiB in {minutes:.0} minutes; {allowed:.0} are allowed"));
            }
        }
        if let Some(more) = self.more_descriptors.filter(|more| more.by > judge::MAX_MORE_DESCRIPTORS) {
            self.faults.push(format!("{:.0} more descriptors after {:.1} minutes", more.by, more.minutes));
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
        let (late, worst) = (self.late_ticks, self.worst_late_ms);
        let (missing, forgiven) = (self.missed_ticks, self.forgiven_ticks);
        write!(f, "  {:>9} ticks, {late} late, the latest by {worst} ms, {missing} missing", self.ticks)?;
        writeln!(f, ", {forgiven} forgiven since late ones put off all others")?;
        let [before, most, after] = self.resident_kib;
        write!(f, "resident {before} to {after} KiB, {most} at the most")?;
        match self.growth_kib {
            Some(grown) => writeln!(f, ", {:+.1} KiB a minute", grown.a_minute())?,
            None => writeln!(f)?,
        }
        let [before, most, after] = self.descriptors;
        write!(f, "descriptors {before} to {after}, {most} at the most")?;
        match self.more_descriptors {
            Some(more) => writeln!(f, ", {:+.0} in the last quarter", more.by)?,
            None => writeln!(f)?,
        }
        for what in &self.not_judged {
            writeln!(f, "not judged: {what}")?;
        }
        for fault in &self.faults {
            writeln!(f, "FAULT: {fault}")?;
        }
        let verdict = if self.faults.is_empty() { "nothing was lost, doubled or left behind" } else { "FAILED" };
        write!(f, "{verdict}")
    }
}
