//! Instances: made, thrown away, replaced, ended.

use std::time::{Duration, Instant};

use plugin_api::Manifest;
use serde_json::{Value, json};

use super::bench::{Bench, Case, PATIENCE, Trial};
use super::usage::Usage;
use super::{Done, Skip};
use crate::harness::Trying;

/// How long nothing may be heard after the end. Silence cannot be waited for, only listened to.
const LISTENING: Duration = Duration::from_millis(500);
/// Failed attempts before and while it is measured what each leaves behind.
const WARM_UP: usize = 100;
const ATTEMPTS: usize = 1000;
/// The host's own table of an instance stays readable until the process ends, and so is left behind each time.
const MOST_BYTES_AN_ATTEMPT: usize = 2048;

pub(super) fn create(bench: &mut Bench) -> Done {
    let manifest = bench.manifest()?;
    let harness = bench.harness(&manifest);
    bench.step("create");
    match bench.guarded(|_| harness.make()) {
        Some(Ok(made)) => {
            bench.step("stop and destroy of an instance that was never started");
            let trial = Trial::of(made.unstarted());
            bench.collect(&trial, "`create`");
            bench.end(trial);
        }
        Some(Err(why)) => bench.find(match bench.subject.config {
            None => format!("{why}; the configuration was made up, --plugin-config gives a real one"),
            Some(_) => why,
        }),
        None => {}
    }
    Ok(())
}

pub(super) fn bad_config(bench: &mut Bench) -> Done {
    let manifest = bench.manifest()?;
    let trying = Trying::new(bench.harness(&manifest));
    let setup =
        |config: Value| json!({ "config": config, "dataDir": trying.data_dir(), "id": manifest.id }).to_string();
    let reads_config = manifest.config.as_ref().is_some_and(|schema| schema.value().get("properties").is_some());
    let wrong = [("a number", json!(7)), ("a text", json!("text")), ("a flag", json!(true))];
    let mut failing = None;
    for (what, config) in wrong {
        bench.step(&format!("create with {what} for a configuration"));
        match trying.create(&setup(config.clone())) {
            Ok(()) if reads_config => bench.find(format!("`create` took {what} for a configuration")),
            Ok(()) => {}
            Err(why) => {
                judge(bench, &why, what);
                failing = Some(setup(config));
            }
        }
    }
    for setup in ["", "{", "[]", "{\"config\":{}}", "\u{0}"] {
        bench.step(&format!("create with {setup:?} instead of a setup"));
        if let Err(why) = trying.create(setup) {
            judge(bench, &why, &format!("{setup:?} instead of a setup"));
            failing = failing.or(Some(setup.to_string()));
        }
    }
    let Some(failing) = failing else {
        return Err(Skip("it takes no configuration, and `create` does not fail".into()));
    };
    bench.step("many failing attempts to create it");
    (0..WARM_UP).for_each(|_| drop(trying.create(&failing)));
    let before = Usage::now();
    (0..ATTEMPTS).for_each(|_| drop(trying.create(&failing)));
    if let (Some(before), Some(after)) = (before, Usage::now()) {
        for left in after.beyond(&before, ATTEMPTS, MOST_BYTES_AN_ATTEMPT) {
            bench.find(format!("{ATTEMPTS} failed attempts to create it left {left} behind"));
        }
    }
    trying.violations().into_iter().for_each(|violation| bench.find(violation));
    Ok(())
}

fn judge(bench: &mut Bench, why: &str, what: &str) {
    if why.ends_with("and no reason") {
        bench.find(format!("with {what}: {why}; `fail` tells the operator why"));
    }
    if why.contains("create panicked") {
        bench.find(format!("with {what}: {why}"));
    }
}

pub(super) fn silence(bench: &mut Bench) -> Done {
    let manifest = bench.manifest()?;
    let cases = bench.cases(&manifest).unwrap_or_default();
    let Some(trial) = bench.trial(&manifest) else { return Ok(()) };
    // Some are answered, some are still open when it stops.
    for case in cases.iter().chain(&cases) {
        trial.ask(case);
    }
    bench.step("quiesce, stop and destroy");
    bench.guarded(|_| trial.running.stop());
    bench.step("listening after the end");
    let until = Instant::now() + LISTENING;
    trial.world().wait_on(|_| match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Ok(()),
        left => Err(left),
    });
    bench.collect(&trial, "after the end something");
    trial.running.abandon();
    Ok(())
}

pub(super) fn again(bench: &mut Bench) -> Done {
    let manifest = bench.manifest()?;
    let cases = bench.cases(&manifest).unwrap_or_default();
    let Some(first) = bench.trial(&manifest) else { return Ok(()) };
    asked(bench, &first, &cases, "the first instance");
    bench.step("create of a second instance while the first runs");
    let Some(second) = make(bench, &manifest) else {
        bench.end(first);
        return Ok(());
    };
    bench.step("quiesce of the first");
    bench.guarded(|_| first.running.quiesce());
    asked(bench, &first, &cases, "the first instance after `quiesce`");
    bench.step("start of the second");
    let Some((running, started)) = bench.guarded(|_| second.go_live()) else {
        bench.end(first);
        return Ok(());
    };
    let second = Trial::of(running);
    if let Err(failure) = started {
        bench.find(format!("a second instance: {failure}"));
    }
    bench.end(first);
    asked(bench, &second, &cases, "the second instance after the end of the first");
    bench.end(second);
    if let Some(third) = bench.trial(&manifest) {
        asked(bench, &third, &cases, "a third instance after the end of all others");
        bench.end(third);
    }
    Ok(())
}

fn make(bench: &mut Bench, manifest: &Manifest) -> Option<crate::harness::Made> {
    let harness = bench.harness(manifest);
    match bench.guarded(|_| harness.make())? {
        Ok(made) => Some(made),
        Err(why) => {
            bench.find(format!("a second instance beside the first: {why}"));
            None
        }
    }
}

fn asked(bench: &mut Bench, trial: &Trial, cases: &[Case], which: &str) {
    for case in cases.iter().filter(|case| !case.may_wait) {
        bench.step(&format!("a call to {}: {which}", case.method));
        let call = trial.ask(case);
        if trial.answer(call, PATIENCE).is_none() {
            bench.find(format!("{} is not answered by {which}", case.method));
            break;
        }
    }
    trial.end_calls();
    bench.collect(trial, which);
}
