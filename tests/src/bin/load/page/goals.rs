//! What was set out to reach, and whether it was.

use schemas::protocol::MAX_PAYLOAD;

use crate::bench::record::{Of, Point, Run, Spread, What, Who, value};

/// A goal beside its figures.
pub struct Goal {
    pub name: String,
    pub ours: Option<Spread>,
    pub theirs: Option<Spread>,
    /// The number that the goal is about.
    pub found: Option<Spread>,
    pub limit: Limit,
}

#[derive(Clone, Copy)]
pub enum Limit {
    /// Times another's figure.
    AtMostTimes(f64),
    /// Another's figure and so much more.
    AtMostMore(f64, &'static str),
    /// So many times less than another.
    TimesLess(f64),
    /// A figure of its own.
    AtMost(f64, &'static str),
}

impl Limit {
    pub fn is_met(self, found: f64) -> bool {
        match self {
            Limit::AtMostTimes(limit) | Limit::AtMostMore(limit, _) | Limit::AtMost(limit, _) => found <= limit,
            Limit::TimesLess(limit) => found >= limit,
        }
    }
}

pub fn all(run: &Run) -> Vec<Goal> {
    let cpu = value::CPU_US;
    let mut goals = vec![
        times(run, "CPU a `health` request, 64 × 1", What::Health1, cpu, 1.15),
        times(run, "CPU a `health` request, 64 × 16", What::Health16, cpu, 1.8),
        times(run, "p99 of `health`, 64 × 1", What::Health1, value::P99, 1.25),
        times(run, "p99 of `health`, 64 × 16", What::Health16, value::P99, 1.25),
        times(run, "CPU a handshake", What::Handshake, cpu, 1.5),
        times(run, "CPU a handshake with device identity", What::DeviceHandshake, cpu, 1.5),
        times(run, "CPU a delivery to all subscribers", What::Fanout, cpu, 1.15),
        Goal {
            name: "memory of an idle connection, against the bare server".to_string(),
            ours: run.spread(What::Idle, Who::Clawhost, value::IDLE_KIB),
            theirs: run.spread(What::Idle, Who::Bare, value::IDLE_KIB),
            found: run.compared(What::Idle, Who::Bare, value::IDLE_KIB, |ours, theirs| ours - theirs),
            limit: Limit::AtMostMore(6.0, "KiB"),
        },
        less(run, "CPU a `system-presence`", What::Presence, cpu, 10.0),
        less(run, "CPU a `health` request, 64 × 1", What::Health1, cpu, 50.0),
        less(run, "memory at rest", What::Rest, value::REST_MIB, 20.0),
        less(run, "start to accepting", What::Start, value::START_MS, 50.0),
    ];
    let crowd = run.curve(Of::Connections, Who::Clawhost);
    let plugins = run.curve(Of::Methods, Who::Clawhost);
    let hello = |name: &str| plugins.last().and_then(|point| point.values.get(name).copied());
    let allowed = hello(value::HELLO_LIMIT_KIB);
    let worst = |name: &str| {
        let values: Vec<f64> = crowd.iter().filter_map(|point| point.values.get(name).copied()).collect();
        values.into_iter().reduce(f64::max)
    };
    goals.extend([
        flat("memory of a connection", "connections", crowd, value::IDLE_KIB),
        flat("CPU a delivery", "connections", crowd, value::DELIVERY_CPU_US),
        flat("CPU a tick", "connections", crowd, value::TICK_CPU_US),
        alone(
            most(crowd, |size| format!("an event to all of {size} connections, the slowest")),
            worst(value::WORST_BROADCAST_MS),
            Limit::AtMost(1000.0, "ms"),
        ),
        alone(
            most(crowd, |size| format!("of {size} connections, those that missed their ticks")),
            worst(value::MISSED_TICKS),
            Limit::AtMost(0.0, "connections"),
        ),
        flat("CPU a request", "methods", plugins, value::CPU_US),
        alone(
            most(plugins, |size| format!("hello-ok with {size} methods of plugins, in one frame")),
            hello(value::HELLO_KIB).filter(|_| allowed.is_some()),
            Limit::AtMost(allowed.unwrap_or(MAX_PAYLOAD as f64 / 1024.0), "KiB"),
        ),
    ]);
    goals
}

/// At most so many times the bare server's figure.
fn times(run: &Run, name: &str, what: What, value: &str, limit: f64) -> Goal {
    Goal {
        name: format!("{name}, against the bare server"),
        ours: run.spread(what, Who::Clawhost, value),
        theirs: run.spread(what, Who::Bare, value),
        found: run.compared(what, Who::Bare, value, |ours, theirs| ours / theirs),
        limit: Limit::AtMostTimes(limit),
    }
}

/// So many times less than the published gateway.
fn less(run: &Run, name: &str, what: What, value: &str, limit: f64) -> Goal {
    Goal {
        name: format!("{name}, against OpenClaw"),
        ours: run.spread(what, Who::Clawhost, value),
        theirs: run.spread(what, Who::Published, value),
        found: run.compared(what, Who::Published, value, |ours, theirs| theirs / ours),
        limit: Limit::TimesLess(limit),
    }
}

/// How much more the largest costs than the first: flat if it is little.
fn flat(name: &str, of: &str, points: &[Point], value: &str) -> Goal {
    const LITTLE: f64 = 1.15;
    let at = |point: Option<&Point>| {
        let point = point?;
        Some((point.size, *point.values.get(value)?))
    };
    let ends = at(points.last()).zip(at(points.first()));
    let one = |value: f64| Spread::of([value]);
    Goal {
        name: match ends {
            Some(((most, _), (least, _))) => format!("{name} at {most} {of}, against {least}"),
            None => format!("{name} as {of} grow"),
        },
        ours: ends.and_then(|((_, most), _)| one(most)),
        theirs: ends.and_then(|(_, (_, least))| one(least)),
        found: ends.and_then(|((_, most), (_, least))| one(most / least)),
        limit: Limit::AtMostTimes(LITTLE),
    }
}

fn alone(name: String, found: Option<f64>, limit: Limit) -> Goal {
    Goal { name, ours: None, theirs: None, found: found.and_then(|found| Spread::of([found])), limit }
}

fn most(points: &[Point], name: impl Fn(u64) -> String) -> String {
    name(points.last().map_or(0, |point| point.size))
}
