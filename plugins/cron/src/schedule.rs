//! When jobs run: at a moment, every so often, or by a cron expression in a time zone. Everything is in milliseconds since
//! the epoch; a zone's clock is asked only where an expression speaks of hours.

use std::str::FromStr;

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned, civil};
use plugin_api::lenient;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Schedule {
    /// Once.
    At {
        /// Then.
        #[serde(deserialize_with = "lenient::uint")]
        at_ms: u64,
    },
    /// Again and again, so long after the last time.
    Every {
        /// So long.
        #[serde(deserialize_with = "lenient::uint")]
        every_ms: u64,
        /// A moment that the others are counted from; when the job was made, if absent.
        #[serde(default, deserialize_with = "lenient::optional_uint", skip_serializing_if = "Option::is_none")]
        anchor_ms: Option<u64>,
    },
    /// When the clock of a zone says so.
    Cron {
        /// Minute, hour, day of month, month, day of week; with seconds before and a year behind them if wanted.
        expr: String,
        /// A zone by its name in the IANA database; the gateway's when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tz: Option<String>,
    },
}

/// A place in the parameters, and what is wrong there.
pub type Fault = (&'static str, String);

impl Schedule {
    /// What is wrong with it.
    pub fn check(&self, shortest_ms: u64, zone: Option<&str>) -> Result<(), Fault> {
        match self {
            Schedule::At { .. } => Ok(()),
            Schedule::Every { every_ms, .. } if *every_ms < shortest_ms => {
                Err(("/schedule/everyMs", format!("must be >= {shortest_ms}")))
            }
            Schedule::Every { .. } => Ok(()),
            Schedule::Cron { expr, tz } => {
                let zone = zone_of(tz.as_deref().or(zone)).map_err(|why| ("/schedule/tz", why))?;
                let cron = Cron::from_str(expr).map_err(|why| ("/schedule/expr", why.to_string()))?;
                match after(&cron, &zone, schemas::now_ms()) {
                    Some(_) => Ok(()),
                    None => Err(("/schedule/expr", "there is no such moment to come".to_string())),
                }
            }
        }
    }

    /// The first time after this moment.
    pub fn next(&self, after_ms: u64, zone: Option<&str>) -> Option<u64> {
        match self {
            Schedule::At { at_ms } => (*at_ms > after_ms).then_some(*at_ms),
            Schedule::Every { every_ms, anchor_ms } => {
                let (every, anchor) = ((*every_ms).max(1), anchor_ms.unwrap_or(0));
                match after_ms.checked_sub(anchor) {
                    None => Some(anchor),
                    Some(gone) => anchor.checked_add((gone / every + 1).checked_mul(every)?),
                }
            }
            Schedule::Cron { expr, tz } => {
                let zone = zone_of(tz.as_deref().or(zone)).ok()?;
                after(&Cron::from_str(expr).ok()?, &zone, after_ms)
            }
        }
    }

    /// The last time that is not after this moment.
    pub fn last(&self, until_ms: u64, zone: Option<&str>) -> Option<u64> {
        match self {
            Schedule::At { at_ms } => (*at_ms <= until_ms).then_some(*at_ms),
            Schedule::Every { every_ms, anchor_ms } => {
                let (every, anchor) = ((*every_ms).max(1), anchor_ms.unwrap_or(0));
                Some(anchor + until_ms.checked_sub(anchor)? / every * every)
            }
            Schedule::Cron { expr, tz } => {
                let zone = zone_of(tz.as_deref().or(zone)).ok()?;
                let until = at(until_ms, &zone)?;
                let found = Cron::from_str(expr).ok()?.find_previous_occurrence(&until, true).ok()?;
                u64::try_from(found.timestamp().as_millisecond()).ok().filter(|found| *found <= until_ms)
            }
        }
    }

    /// Whether it is over after one time.
    pub fn is_once(&self) -> bool {
        matches!(self, Schedule::At { .. })
    }

    /// Its kind, as the wire names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Schedule::At { .. } => "at",
            Schedule::Every { .. } => "every",
            Schedule::Cron { .. } => "cron",
        }
    }
}

/// The zone of this name, or the gateway's.
pub fn zone_of(name: Option<&str>) -> Result<TimeZone, String> {
    match name {
        None => Ok(TimeZone::system()),
        Some(name) => TimeZone::get(name.trim()).map_err(|_| "no such time zone".to_string()),
    }
}

fn after(cron: &Cron, zone: &TimeZone, after_ms: u64) -> Option<u64> {
    let found = cron.find_next_occurrence(&at(after_ms, zone)?, false).ok()?;
    u64::try_from(found.timestamp().as_millisecond()).ok().filter(|found| *found > after_ms)
}

fn at(ms: u64, zone: &TimeZone) -> Option<Zoned> {
    // Occurrences lie on whole seconds, and the search begins at the second that the moment is in.
    let second = Timestamp::from_second(i64::try_from(ms / 1_000).ok()?).ok()?;
    Some(second.to_zoned(zone.clone()))
}

/// A moment that somebody wrote: digits, a date, or a date and a time, which are of UTC without a zone.
pub fn moment(text: &str) -> Option<u64> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let utc = |local: civil::DateTime| local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let moment = text.parse::<Timestamp>().ok();
    let moment = moment.or_else(|| text.parse::<civil::DateTime>().ok().and_then(utc));
    let moment = moment.or_else(|| text.parse::<civil::Date>().ok().and_then(|date| utc(date.at(0, 0, 0, 0))));
    u64::try_from(moment?.as_millisecond()).ok()
}

/// A moment as protocol 4 has it: `2026-11-22T00:35:26.957Z`.
pub fn written(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(|| ms.to_string(), |moment| moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// What becomes of the times that were missed: what runs now, and when the next one is due.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// The time to run for; none of them when all are passed over.
    pub run: Option<u64>,
    /// The next one.
    pub next: Option<u64>,
}

/// What becomes of times that nobody ran for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// They are passed over.
    Skip,
    /// The last of them is run for.
    Once,
    /// All of them are run for, one after the other, the latest `missed_cap` at most.
    All,
}

/// What to do about a job that was due then, now.
pub fn plan(schedule: &Schedule, due: u64, now: u64, zone: Option<&str>, missed: (Missed, u64, u64)) -> Plan {
    let (policy, grace_ms, cap) = missed;
    let next = || if schedule.is_once() { None } else { schedule.next(now, zone) };
    let latest = schedule.last(now, zone).filter(|latest| *latest > due && !schedule.is_once()).unwrap_or(due);
    match policy {
        Missed::Skip => Plan { run: (now.saturating_sub(latest) <= grace_ms).then_some(latest), next: next() },
        Missed::Once => Plan { run: Some(latest), next: next() },
        Missed::All => {
            let mut times = vec![latest];
            while (times.len() as u64) < cap.max(1)
                && let Some(before) = times.last().and_then(|time| schedule.last(time.checked_sub(1)?, zone))
                && before >= due
            {
                times.push(before);
            }
            let run = times.pop();
            Plan { run, next: times.pop().or_else(next) }
        }
    }
}
