//! What a scenario found out.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// Failure in words; this is a tool for people.
pub type Outcome<T> = Result<T, String>;

/// The numbers of one scenario.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Which scenario, with its sizes.
    pub scenario: String,
    /// What is counted: requests, handshakes, deliveries, connections.
    pub unit: &'static str,
    /// How many.
    pub count: u64,
    /// How many there should have been.
    pub expected: u64,
    /// Answers that were errors.
    pub errors: u64,
    /// The first of them; requests only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// In how many seconds.
    pub seconds: f64,
    /// How many per second.
    pub rate: f64,
    /// Latency in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Percentiles>,
    /// The same up to the first words of an answer; `runs` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_delta: Option<Percentiles>,
    /// The same of `health`, asked by somebody else meanwhile; `runs` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bystander: Option<Percentiles>,
    /// The most server memory in between, in KiB; `runs` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_rss_kib: Option<u64>,
    /// Server CPU time per unit, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us: Option<f64>,
    /// Server memory before and after, in KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_rss_kib: Option<(u64, u64)>,
    /// Server memory per unit, in KiB; `idle` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kib_per_connection: Option<f64>,
    /// Bytes of one event frame; `fanout` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_bytes: Option<usize>,
}

/// Latency in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Report {
    /// Fills in rate and CPU time per unit.
    pub fn measured(mut self, elapsed: Duration, cpu: Option<Duration>) -> Self {
        self.seconds = elapsed.as_secs_f64();
        self.rate = self.count as f64 / self.seconds.max(1e-9);
        self.server_cpu_us = cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / self.count.max(1) as f64);
        self
    }

    /// Whether everything that was asked for came, and without errors.
    pub fn complete(&self) -> bool {
        self.count >= self.expected && self.errors == 0
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings have a JSON form")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { scenario, unit, count, seconds, rate, .. } = self;
        write!(f, "{scenario}: {count} {unit} in {seconds:.2} s, {rate:.0}/s")?;
        if let Some(Percentiles { p50, p99, p999 }) = self.latency {
            write!(f, ", latency p50 {p50:.0} p99 {p99:.0} p99.9 {p999:.0} µs")?;
        }
        for (what, percentiles) in [("first words", self.first_delta), ("health meanwhile", self.bystander)] {
            if let Some(Percentiles { p50, p99, .. }) = percentiles {
                write!(f, ", {what} p50 {p50:.0} p99 {p99:.0} µs")?;
            }
        }
        if let Some(cpu) = self.server_cpu_us {
            write!(f, ", server CPU {cpu:.2} µs each")?;
        }
        if let Some(kib) = self.kib_per_connection {
            write!(f, ", {kib:.1} KiB each")?;
        }
        if let Some((before, after)) = self.server_rss_kib {
            write!(f, ", resident {before} to {after} KiB")?;
            if let Some(peak) = self.peak_rss_kib {
                write!(f, " with a peak of {peak}")?;
            }
        }
        if self.count < self.expected {
            write!(f, ", {} MISSING", self.expected - self.count)?;
        }
        if self.errors > 0 {
            write!(f, ", {} ERRORS", self.errors)?;
            if let Some(refusal) = &self.refusal {
                write!(f, ", the first: {refusal}")?;
            }
        }
        Ok(())
    }
}

/// Latencies of one task, in tenths of a microsecond; the oldest are kept and later ones only counted once it is full.
#[derive(Debug, Default)]
pub struct Latencies {
    tenths: Vec<u32>,
}

/// Enough for the tail of a run and small beside a thousand tasks.
const MAX_SAMPLES: usize = 200_000;

impl Latencies {
    pub fn add(&mut self, latency: Duration) {
        if self.tenths.len() < MAX_SAMPLES {
            self.tenths.push(u32::try_from(latency.as_nanos() / 100).unwrap_or(u32::MAX));
        }
    }

    /// The percentiles of all tasks together.
    pub fn percentiles(parts: impl IntoIterator<Item = Latencies>) -> Option<Percentiles> {
        let mut all: Vec<u32> = parts.into_iter().flat_map(|part| part.tenths).collect();
        all.sort_unstable();
        let at = |share: f64| {
            let index = (all.len() as f64 * share) as usize;
            all.get(index.min(all.len().saturating_sub(1))).map(|tenths| f64::from(*tenths) / 10.0)
        };
        Some(Percentiles { p50: at(0.5)?, p99: at(0.99)?, p999: at(0.999)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_all_parts() {
        let mut parts = [Latencies::default(), Latencies::default()];
        for micros in 1..=1000u64 {
            parts[micros as usize % 2].add(Duration::from_micros(micros));
        }
        let Percentiles { p50, p99, p999 } = Latencies::percentiles(parts).unwrap();
        assert_eq!((p50, p99, p999), (501.0, 991.0, 1000.0));
        assert!(Latencies::percentiles([Latencies::default()]).is_none());
    }
}
