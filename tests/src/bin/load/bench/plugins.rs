//! What a request costs when there are many methods: plugins loaded from libraries, ten methods each, and the last one of them
//! asked. They run inline, since what is measured is the way to the method and not a thread that wakes up.

use std::path::Path;

use clawhost_tests::libraries::{Shelf, table};
use serde_json::Value;

use crate::bench::contestants::gateway;
use crate::bench::loads::requests_of;
use crate::bench::record::{OVER, Point, Sample, Spread, Who, value};
use crate::bench::{Clock, Sizes};
use crate::report::Outcome;
use crate::requests;

/// Methods of each plugin.
const METHODS: usize = 10;
/// What they are told by: of both versions the one whose frames may have less.
const GREETED_BY: u32 = 3;

pub async fn run(
    program: &Path,
    sizes: &Sizes,
    clock: &Clock,
    points: &mut Vec<Point>,
    skipped: &mut Vec<String>,
) -> Outcome<()> {
    let most = sizes.plugins.iter().copied().max().unwrap_or(0);
    let shelf = Shelf::default();
    let plugins = shelf.many(most, METHODS).ok_or("plugins cannot be built without a compiler of C")?;
    let tables: Vec<String> =
        plugins.iter().map(|(id, library)| format!("{}isolation = \"inline\"\n", table(id, library))).collect();
    for &count in &sizes.plugins {
        if clock.is_over() {
            skipped.push(format!("{count} plugins: {OVER}"));
            continue;
        }
        let values = measure(program, &tables[..count].concat(), &plugins[count - 1].0, sizes).await?;
        clock.say(&format!(
            "{count} plugins: {:.0} ms to start, {:.2} µs CPU a request",
            values[value::START_MS],
            values.get(value::CPU_US).copied().unwrap_or(f64::NAN)
        ));
        let mut values = values;
        values.insert(value::PLUGINS.to_string(), count as f64);
        points.push(Point { size: (count * METHODS) as u64, values });
    }
    Ok(())
}

async fn measure(program: &Path, config: &str, last: &str, sizes: &Sizes) -> Outcome<Sample> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    // The first start makes copies of the libraries; those after it find them.
    let mut server = gateway(program, config, folder.path()).await?;
    let mut starts = Vec::new();
    for _ in 0..sizes.process_rounds {
        drop(server);
        server = gateway(program, config, folder.path()).await?;
        starts.push(server.start_ms());
    }
    let greeting = server.target.clone().speaking(GREETED_BY).greeting().await?;
    let hello: Value = serde_json::from_str(&greeting.hello).map_err(|error| error.to_string())?;
    let hello = &hello["payload"];
    let named = hello["features"]["methods"].as_array().map_or(0, |methods| {
        methods.iter().filter(|method| method.as_str().is_some_and(|name| name.starts_with("many"))).count()
    });
    let expected = config.matches("[plugins.").count() * METHODS;
    if named != expected {
        return Err(format!("hello-ok names {named} methods of plugins, not {expected}"));
    }
    let resident = server.target.resident_kib();
    let mut requests = Vec::new();
    for _ in 0..sizes.rounds {
        let report = requests::run(&server.target, &requests_of(&format!("{last}.echo"), 1, sizes)).await?;
        if !report.complete() {
            return Err(format!("{} requests, {} errors", report.count, report.errors));
        }
        requests.extend(report.server_cpu_us);
    }
    let once = [
        (value::HELLO_KIB, Some(greeting.hello.len() as f64 / 1024.0)),
        (value::HELLO_LIMIT_KIB, hello["policy"]["maxPayload"].as_f64().map(|bytes| bytes / 1024.0)),
        (value::REST_MIB, resident.map(|kib| kib as f64 / 1024.0)),
    ];
    let mut values: Sample = once.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect();
    for (name, rounds) in [(value::START_MS, starts), (value::CPU_US, requests)] {
        if let Some(spread) = Spread::of(rounds) {
            spread.keep(&mut values, name);
        }
    }
    Ok(values)
}

/// Who this curve is of: nobody else loads such plugins.
pub const OF: Who = Who::Clawhost;
