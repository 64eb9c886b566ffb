//! One load on one server, and what it came to.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::bench::Sizes;
use crate::bench::devices::{Devices, OPERATORS};
use crate::bench::record::{Sample, What, Who, value};
use crate::fanout::FanoutArguments;
use crate::handshakes::HandshakesArguments;
use crate::idle::IdleArguments;
use crate::invokes::InvokesArguments;
use crate::report::{Outcome, Report};
use crate::requests::RequestsArguments;
use crate::wire::Target;
use crate::{fanout, handshakes, idle, invokes, requests};

/// How much longer than it should take a load may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(45);

pub async fn run(what: What, who: Who, target: &Target, devices: &Devices, sizes: &Sizes) -> Outcome<Sample> {
    let patience = PATIENCE + Duration::from_secs_f64(sizes.seconds);
    let report = timeout(patience, drive(what, who, target, devices, sizes))
        .await
        .unwrap_or_else(|_| Err(format!("not over after {} s", patience.as_secs())))?;
    if !report.complete() {
        let refusal = report.refusal.as_deref().map_or(String::new(), |frame| format!(": {}", message(frame)));
        return Err(match report.errors {
            0 => format!("{} of {} {}", report.count, report.expected, report.unit),
            errors if errors == report.count => format!("all {} were refused{refusal}", report.unit),
            _ => format!("some {} were refused{refusal}", report.unit),
        });
    }
    let latency = report.latency;
    let values = [
        (value::RATE, Some(report.rate).filter(|_| what != What::Idle)),
        (value::CPU_US, report.server_cpu_us),
        (value::P50, latency.map(|it| it.p50)),
        (value::P99, latency.map(|it| it.p99)),
        (value::P999, latency.map(|it| it.p999)),
        (value::IDLE_KIB, report.kib_per_connection),
        (value::EVENT_BYTES, report.event_bytes.map(|bytes| bytes as f64)),
    ];
    Ok(values.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect())
}

/// What a refused request was told.
fn message(frame: &str) -> String {
    let frame: Option<Value> = serde_json::from_str(frame).ok();
    frame.and_then(|frame| Some(frame["error"]["message"].as_str()?.to_string())).unwrap_or_default()
}

async fn drive(what: What, who: Who, target: &Target, devices: &Devices, sizes: &Sizes) -> Outcome<Report> {
    match what {
        What::Health1 => requests::run(target, &requests_of("health", 1, sizes)).await,
        What::Health16 => requests::run(target, &requests_of("health", 16, sizes)).await,
        What::Presence => requests::run(target, &requests_of("system-presence", 1, sizes)).await,
        What::Handshake | What::DeviceHandshake => {
            let handshakes = HandshakesArguments {
                count: sizes.handshakes,
                concurrency: OPERATORS,
                seconds: Some(sizes.handshake_seconds),
                device: what == What::DeviceHandshake,
            };
            let identities = devices.operators.iter().map(|device| handshakes.device.then(|| device.clone()));
            handshakes::run_as(identities.collect(), target, &handshakes).await
        }
        What::Fanout => {
            // Nobody can ask another's gateway to broadcast; what it says of presence is the nearest it has.
            let (publish_method, events) = match who {
                // A few events of a slow server say as much as many.
                Who::Published => ("system-event", sizes.events.min(60)),
                _ => ("bench.broadcast", sizes.events),
            };
            let fanout = FanoutArguments {
                subscribers: sizes.subscribers,
                events,
                window: 8,
                publish_method: publish_method.to_string(),
                bytes: EVENT_BYTES,
            };
            fanout::run(target, &fanout).await
        }
        What::Invoke => {
            let invokes =
                InvokesArguments { connections: 8, in_flight: 8, seconds: sizes.seconds, warm_up: sizes.warm_up };
            invokes::run_with(&devices.node, target, &invokes).await
        }
        What::Idle => idle::run(target, &IdleArguments { connections: sizes.idle, settle: sizes.settle }).await,
        What::Start | What::Rest => unreachable!("no load"),
    }
}

/// Filling of an event.
pub const EVENT_BYTES: usize = 300;

pub fn requests_of(method: &str, in_flight: usize, sizes: &Sizes) -> RequestsArguments {
    RequestsArguments {
        connections: 64,
        in_flight,
        seconds: sizes.seconds,
        requests: None,
        warm_up: sizes.warm_up,
        method: method.to_string(),
        params: "{}".to_string(),
    }
}
