//! What a run found out, as it is kept: enough to make every table and plot of it again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names of values, as they stand in a [`Sample`].
pub mod value {
    pub const RATE: &str = "perSecond";
    pub const CPU_US: &str = "cpuUs";
    pub const P50: &str = "p50Us";
    pub const P99: &str = "p99Us";
    pub const P999: &str = "p999Us";
    pub const START_MS: &str = "startMs";
    pub const FIRST_HELLO_MS: &str = "firstHelloMs";
    pub const REST_MIB: &str = "restMib";
    pub const REST_CPU: &str = "restCpuPercent";
    pub const IDLE_KIB: &str = "idleKib";
    pub const EVENT_BYTES: &str = "eventBytes";
    /// Of curves.
    pub const TICK_CPU_US: &str = "tickCpuUs";
    pub const MISSED_TICKS: &str = "missedTicks";
    pub const BROADCAST_MS: &str = "broadcastMs";
    pub const WORST_BROADCAST_MS: &str = "worstBroadcastMs";
    pub const DELIVERY_CPU_US: &str = "deliveryCpuUs";
    pub const PLUGINS: &str = "plugins";
    pub const HELLO_KIB: &str = "helloKib";
    pub const HELLO_LIMIT_KIB: &str = "helloLimitKib";
}

/// What is said of all that was left out because of the time.
pub const OVER: &str = "the time was over";

/// Values of one measurement by name.
pub type Sample = BTreeMap<String, f64>;

/// How the ends of a value's rounds are named, behind the name of its middle.
const ENDS: (&str, &str) = ("Least", "Most");

/// A run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The day and the minute it began, in UTC.
    pub when: String,
    /// How much was done: `full`, `quick` or `tiny`.
    pub effort: String,
    /// How the programs were built.
    pub build: String,
    /// What was typed.
    pub command: String,
    /// The source that the programs were built from, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built: Option<String>,
    pub seconds: f64,
    pub machine: Machine,
    /// Bytes of the gateway's hello-ok, and of what follows it, which the bare servers send as well.
    pub greeting: (usize, usize),
    /// The same of the payloads that answer `health` and `system-presence`, if they were made alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<(usize, usize)>,
    pub contestants: Vec<Contestant>,
    pub measured: Vec<Measured>,
    pub curves: Vec<Curve>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_mib: u64,
    pub system: String,
    pub kernel: String,
    pub rustc: String,
    pub node: String,
    /// The source that lay beside the programs.
    pub commit: String,
    pub open_files: u64,
}

/// A server that took part, or should have.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contestant {
    pub who: Who,
    pub version: String,
    /// Size of its program, with all that it needs of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_mib: Option<f64>,
    /// Why it did not take part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Who {
    Clawhost,
    Bare,
    Node,
    Published,
}

impl Who {
    pub const ALL: [Who; 4] = [Who::Clawhost, Who::Bare, Who::Node, Who::Published];

    pub fn name(self) -> &'static str {
        match self {
            Who::Clawhost => "clawhost",
            Who::Bare => "bare tokio-tungstenite",
            Who::Node => "bare node `ws`",
            Who::Published => "OpenClaw",
        }
    }
}

/// What is measured in rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    Start,
    Rest,
    Idle,
    Health1,
    Health16,
    Presence,
    Handshake,
    DeviceHandshake,
    Fanout,
    Invoke,
}

impl What {
    /// What loads a server, in the order in which it is done.
    pub const LOADS: [What; 7] = [
        What::Health1,
        What::Health16,
        What::Presence,
        What::Handshake,
        What::DeviceHandshake,
        What::Fanout,
        What::Invoke,
    ];

    pub fn name(self) -> &'static str {
        match self {
            What::Start => "start",
            What::Rest => "at rest",
            What::Idle => "idle connections",
            What::Health1 => "`health`, 64 connections × 1 in flight",
            What::Health16 => "`health`, 64 × 16",
            What::Presence => "`system-presence`, 64 × 1",
            What::Handshake => "handshake",
            What::DeviceHandshake => "handshake with device identity",
            What::Fanout => "event delivered",
            What::Invoke => "invoke of a node, 8 × 8",
        }
    }
}

/// What one contestant did in each round; nothing where it failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    pub what: What,
    pub who: Who,
    pub rounds: Vec<Option<Sample>>,
    /// Why rounds are missing, each reason once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// Cost against size.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Curve {
    pub of: Of,
    pub who: Who,
    pub points: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Of {
    Connections,
    /// Methods of loaded plugins.
    Methods,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    pub size: u64,
    pub values: Sample,
}

/// The middle of some values, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Some(Spread { median, least, most })
    }

    /// Keeps the middle under this name, and the ends beside it.
    pub fn keep(self, values: &mut Sample, name: &str) {
        values.insert(name.to_string(), self.median);
        values.insert(format!("{name}{}", ENDS.0), self.least);
        values.insert(format!("{name}{}", ENDS.1), self.most);
    }
}

impl Point {
    /// A value, with its ends if they were kept.
    pub fn spread(&self, name: &str) -> Option<Spread> {
        let median = *self.values.get(name)?;
        let end = |end: &str| self.values.get(&format!("{name}{end}")).copied().unwrap_or(median);
        Some(Spread { median, least: end(ENDS.0), most: end(ENDS.1) })
    }
}

impl Run {
    /// Keeps what a round came to.
    pub fn add(&mut self, what: What, who: Who, outcome: Result<Sample, String>) {
        let place = self.measured.iter().position(|it| it.what == what && it.who == who);
        let place = place.unwrap_or_else(|| {
            self.measured.push(Measured { what, who, rounds: Vec::new(), failures: Vec::new() });
            self.measured.len() - 1
        });
        let measured = &mut self.measured[place];
        match outcome {
            Ok(sample) => measured.rounds.push(Some(sample)),
            Err(why) => {
                measured.rounds.push(None);
                if !measured.failures.contains(&why) {
                    measured.failures.push(why);
                }
            }
        }
    }

    /// Whether something is missing because of the time.
    pub fn is_cut_short(&self) -> bool {
        self.skipped.iter().any(|line| line.ends_with(OVER))
    }

    /// Whether it came to nothing twice at the end: it is not tried again, since a failure may take its full time.
    pub fn has_given_up(&self, what: What, who: Who) -> bool {
        matches!(self.rounds(what, who), [.., None, None])
    }

    fn rounds(&self, what: What, who: Who) -> &[Option<Sample>] {
        let found = self.measured.iter().find(|it| it.what == what && it.who == who);
        found.map_or(&[], |measured| &measured.rounds)
    }

    /// One value of one contestant over all rounds.
    pub fn spread(&self, what: What, who: Who, value: &str) -> Option<Spread> {
        Spread::of(self.rounds(what, who).iter().flatten().filter_map(|sample| sample.get(value).copied()))
    }

    /// A value of the gateway's compared with another contestant's, round by round: what a moment of the machine did to one of
    /// them, it did to both.
    pub fn compared(&self, what: What, other: Who, value: &str, compare: fn(f64, f64) -> f64) -> Option<Spread> {
        let pairs = self.rounds(what, Who::Clawhost).iter().zip(self.rounds(what, other));
        Spread::of(
            pairs
                .filter_map(|(ours, theirs)| Some(compare(*ours.as_ref()?.get(value)?, *theirs.as_ref()?.get(value)?))),
        )
    }

    pub fn contestant(&self, who: Who) -> Option<&Contestant> {
        self.contestants.iter().find(|contestant| contestant.who == who)
    }

    pub fn curve(&self, of: Of, who: Who) -> &[Point] {
        self.curves.iter().find(|curve| curve.of == of && curve.who == who).map_or(&[], |curve| &curve.points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_median_in_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0, f64::NAN, 3.0]), Some(Spread { median: 2.5, least: 1.0, most: 4.0 }));
        assert_eq!(spread(&[f64::NAN]), None);
    }

    #[test]
    fn a_point_has_the_ends_that_were_kept_of_it() {
        let mut point = Point { size: 1, values: Sample::from([(value::START_MS.to_string(), 5.0)]) };
        assert_eq!(point.spread(value::START_MS), Some(Spread { median: 5.0, least: 5.0, most: 5.0 }));
        let kept = Spread { median: 2.0, least: 1.0, most: 4.0 };
        kept.keep(&mut point.values, value::CPU_US);
        assert_eq!((point.spread(value::CPU_US), point.spread(value::REST_MIB)), (Some(kept), None));
    }

    #[test]
    fn rounds_are_compared_with_each_other_and_failed_ones_with_none() {
        let mut run = Run::default();
        let sample = |cpu: f64| Ok(Sample::from([(value::CPU_US.to_string(), cpu)]));
        for (ours, theirs) in
            [(sample(2.0), sample(1.0)), (sample(9.0), Err("gone".to_string())), (sample(8.0), sample(2.0))]
        {
            run.add(What::Health1, Who::Clawhost, ours);
            run.add(What::Health1, Who::Bare, theirs);
        }
        assert!(!run.has_given_up(What::Health1, Who::Bare));
        for _ in 0..2 {
            run.add(What::Health1, Who::Bare, Err("gone".to_string()));
        }
        assert!(run.has_given_up(What::Health1, Who::Bare) && !run.has_given_up(What::Health1, Who::Clawhost));
        let ratio = run.compared(What::Health1, Who::Bare, value::CPU_US, |ours, theirs| ours / theirs);
        assert_eq!(ratio, Some(Spread { median: 3.0, least: 2.0, most: 4.0 }));
        assert_eq!(run.measured[1].failures, ["gone"]);
        assert_eq!(run.spread(What::Health1, Who::Clawhost, value::CPU_US).map(|it| it.median), Some(8.0));
        assert_eq!(run.compared(What::Start, Who::Bare, value::CPU_US, |ours, theirs| ours / theirs), None);
    }
}
