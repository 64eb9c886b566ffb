//! The plots of the page.

use crate::bench::record::{Of, Run, What, Who, value};
use crate::page::svg::{Line, Row, dots, lines};

pub struct Plot {
    pub file: &'static str,
    pub title: &'static str,
    pub svg: String,
}

/// Those for which there is anything to show.
pub fn all(run: &Run) -> Vec<Plot> {
    let requests = [
        ("health 64 × 1", What::Health1, value::CPU_US),
        ("health 64 × 16", What::Health16, value::CPU_US),
        ("system-presence 64 × 1", What::Presence, value::CPU_US),
    ];
    let latency = [
        ("p50 of health 64 × 1", What::Health1, value::P50),
        ("p99", What::Health1, value::P99),
        ("p99.9", What::Health1, value::P999),
        ("p50 of health 64 × 16", What::Health16, value::P50),
        ("p99", What::Health16, value::P99),
        ("p99.9", What::Health16, value::P999),
    ];
    let others = [
        ("handshake", What::Handshake, value::CPU_US),
        ("handshake with device", What::DeviceHandshake, value::CPU_US),
        ("event delivered", What::Fanout, value::CPU_US),
        ("invoke of a node", What::Invoke, value::CPU_US),
    ];
    let start = [
        ("until it accepts", What::Start, value::START_MS),
        ("until a client is in", What::Start, value::FIRST_HELLO_MS),
    ];
    let memory =
        [("MiB at rest", What::Rest, value::REST_MIB), ("KiB an idle connection", What::Idle, value::IDLE_KIB)];
    let both = &[Who::Clawhost, Who::Bare][..];
    let ours = &[Who::Clawhost][..];
    let (connections, methods) = ((Of::Connections, "connections"), (Of::Methods, "methods of loaded plugins"));
    let plots = [
        contestants(run, "requests.svg", "Server CPU time of a request", "µs", &requests),
        contestants(run, "latency.svg", "Latency of a request", "µs", &latency),
        contestants(run, "others.svg", "Server CPU time of handshakes, events and invokes", "µs", &others),
        contestants(run, "start.svg", "Start", "ms", &start),
        contestants(run, "memory.svg", "Memory", "MiB or KiB", &memory),
        curve(run, "connection_memory.svg", "Memory of a connection", connections, "KiB", value::IDLE_KIB, both),
        curve(run, "delivery.svg", "Server CPU time of a delivery", connections, "µs", value::DELIVERY_CPU_US, both),
        curve(run, "broadcast.svg", "An event to everybody", connections, "ms", value::BROADCAST_MS, both),
        curve(run, "dispatch.svg", "Server CPU time of a request", methods, "µs", value::CPU_US, ours),
        curve(run, "plugin_start.svg", "Start with loaded plugins", methods, "ms", value::START_MS, ours),
    ];
    plots.into_iter().flatten().collect()
}

fn contestants(
    run: &Run,
    file: &'static str,
    title: &'static str,
    unit: &str,
    rows: &[(&str, What, &str)],
) -> Option<Plot> {
    let rows: Vec<Row<'_>> = rows
        .iter()
        .map(|(name, what, value)| Row { name, dots: Who::ALL.map(|who| run.spread(*what, who, value)).to_vec() })
        .collect();
    let names = Who::ALL.map(|who| who.name().replace('`', ""));
    let is_empty = rows.iter().all(|row| row.dots.iter().all(Option::is_none));
    (!is_empty).then(|| Plot { file, title, svg: dots(title, unit, &names.each_ref().map(String::as_str), &rows) })
}

fn curve(
    run: &Run,
    file: &'static str,
    title: &'static str,
    (of, size): (Of, &str),
    unit: &str,
    value: &str,
    who: &[Who],
) -> Option<Plot> {
    let of_one = |who: &Who| Line {
        name: who.name(),
        points: run
            .curve(of, *who)
            .iter()
            .filter_map(|point| Some((point.size as f64, *point.values.get(value)?)))
            .collect(),
    };
    let all: Vec<Line<'_>> = who.iter().map(of_one).collect();
    let is_empty = all.iter().all(|line| line.points.is_empty());
    (!is_empty).then(|| Plot { file, title, svg: lines(title, size, unit, &all) })
}
