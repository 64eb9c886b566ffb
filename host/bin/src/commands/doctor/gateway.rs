//! The gateway that runs: whether it can be reached, lets this program in, is well and quick, has the same time, and what
//! it tells of its plugins and of who waits.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clawhost::state::LocalGateway;
use client::{Connection, Direction};
use plugin_api::catalogue::PluginState;
use serde::Deserialize;
use serde_json::Value;

use super::finding::Finding;
use super::{pairing, plugins};
use crate::failure::{Failure, next_step};
use crate::session::{Question, block_on};
use crate::target::Target;

const CHECK: &str = "gateway";
/// What takes longer is felt.
const SLOW: Duration = Duration::from_secs(2);
/// Clocks that are further apart make signatures of devices too old or too new.
const SKEW_MS: u64 = 30_000;

/// Connects and asks. `running`: this machine's gateway, if that is the one.
pub fn examine(target: &Target, running: Option<&LocalGateway>) -> Vec<Finding> {
    let challenge: Arc<OnceLock<(u64, u64)>> = Arc::default();
    let heard = challenge.clone();
    let options = match target.options() {
        Ok(options) => options,
        Err(failure) => return vec![refused(&failure, running)],
    };
    let options = options.on_frame(move |direction, frame| {
        if let (Direction::Received, Some(ts)) = (direction, time_of_challenge(frame)) {
            let _ = heard.set((ts, schemas::now_ms()));
        }
    });
    let mut findings = Vec::new();
    let asked = block_on(async {
        let begun = Instant::now();
        let connection = Connection::open(options).await?;
        findings.push(timed("it can be reached and lets this program in", begun.elapsed()));
        findings.extend(ask(&connection, target).await);
        connection.close().await;
        Ok(())
    });
    if let Err(failure) = asked {
        findings.push(refused(&failure, running));
    }
    findings.extend(challenge.get().map(|(theirs, ours)| skew(*theirs, *ours)));
    findings
}

async fn ask(connection: &Connection, target: &Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    let begun = Instant::now();
    match Question::new("health", "health").ask_for::<Health>(connection).await {
        Ok(Health { ok: true }) => findings.push(timed("it says that it is well", begun.elapsed())),
        Ok(Health { ok: false }) => {
            findings.push(Finding::error(CHECK, "it says that it is not well").run("clawhost health"));
        }
        Err(failure) => findings.push(silent("health", &failure)),
    }
    match Question::new("system.plugins", "system").ask_for::<Plugins>(connection).await {
        Ok(list) => findings.extend(plugins::of_gateway(&list.plugins)),
        Err(failure) => findings.push(silent("system.plugins", &failure)),
    }
    findings.extend(pairing::examine(connection, target).await);
    findings
}

/// A question that was not answered: without its plugin a gateway is no worse.
pub fn silent(method: &str, failure: &Failure) -> Finding {
    Finding::note(CHECK, format!("it did not answer {method}: {}", failure.sentence()))
}

fn timed(what: &str, took: Duration) -> Finding {
    let what = format!("{what}, in {} ms", took.as_millis());
    if took > SLOW {
        Finding::warning(CHECK, format!("{what}: it is slow")).run("clawhost logs")
    } else {
        Finding::ok(CHECK, what)
    }
}

fn refused(failure: &Failure, running: Option<&LocalGateway>) -> Finding {
    let found = Finding::error(CHECK, failure.sentence());
    match (failure.shape().and_then(next_step), running) {
        (Some(step), _) => found.edit(step),
        (None, Some(gateway)) => {
            let log = "look into its log (logs/clawhost.jsonl in the state folder), and restart it";
            found.edit(format!("{log}; its process is {}", gateway.pid))
        }
        (None, None) => found.edit("see to the address, and to what is between here and there"),
    }
}

fn skew(theirs: u64, ours: u64) -> Finding {
    let (apart, which) = if theirs > ours { (theirs - ours, "behind") } else { (ours - theirs, "ahead of") };
    if apart <= SKEW_MS {
        return Finding::ok("clock", format!("this clock and the gateway's are {apart} ms apart"));
    }
    let what = format!("this clock is {} s {which} the gateway's, and one of them is wrong", apart / 1000);
    Finding::warning("clock", what).run("sudo timedatectl set-ntp true")
}

/// The gateway's time, which it says first of all.
fn time_of_challenge(frame: &str) -> Option<u64> {
    let frame: Value = serde_json::from_str(frame).ok()?;
    (frame["event"] == "connect.challenge").then(|| frame["payload"]["ts"].as_u64()).flatten()
}

#[derive(Deserialize)]
struct Health {
    ok: bool,
}

#[derive(Deserialize)]
struct Plugins {
    plugins: Vec<PluginState>,
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        let judged = |theirs, ours| (skew(theirs, ours).level, skew(theirs, ours).what);
        assert_eq!(judged(1_000_000, 1_000_500).0, Level::Ok);
        let (level, what) = judged(1_000_000, 1_090_000);
        assert!(level == Level::Warning && what.contains("90 s ahead of the gateway's"), "{what}");
        assert!(judged(1_090_000, 1_000_000).1.contains("90 s behind the gateway's"));
        assert_eq!(time_of_challenge(r#"{"type":"event","event":"connect.challenge","payload":{"ts":5}}"#), Some(5));
        assert_eq!(time_of_challenge(r#"{"type":"event","event":"tick","payload":{"ts":5}}"#), None);
    }
}
