//! A host that does not do what it is asked to.

use plugin_api::Manifest;
use plugin_api::abi::{GWP_BUSY, GWP_GONE, GWP_PANIC, extension};

use super::Done;
use super::bench::{Bench, Case, Trial, answer_again};
use crate::outcome::CancelReason;
use crate::services::EVERY_REPLY;

/// What a host can refuse besides its extensions.
const OTHERS: [&str; 2] = ["emit", "log"];

pub(super) fn late_answers(bench: &mut Bench) -> Done {
    refuse_each(bench, &[EVERY_REPLY], GWP_GONE, "every answer comes too late")
}

pub(super) fn busy(bench: &mut Bench) -> Done {
    let parts: Vec<&str> = extension::ALL.into_iter().chain(OTHERS).chain([EVERY_REPLY]).collect();
    refuse_each(bench, &parts, GWP_BUSY, "the host is busy")
}

pub(super) fn gone(bench: &mut Bench) -> Done {
    let parts: Vec<&str> = extension::ALL.into_iter().chain(OTHERS).collect();
    refuse_each(bench, &parts, GWP_GONE, "the host says gone")
}

/// Each part refuses: while the plugin runs, and from before it was made.
fn refuse_each(bench: &mut Bench, parts: &[&str], code: i32, when: &str) -> Done {
    let manifest = bench.manifest()?;
    let cases = bench.cases(&manifest).unwrap_or_default();
    for part in parts {
        let place = format!("while {when} ({part})");
        bench.step(&format!("calls {place}"));
        let Some(trial) = bench.trial(&manifest) else { return Ok(()) };
        trial.running.refuse(part, code);
        let open: Vec<_> = cases.iter().map(|case| trial.ask(case)).collect();
        trial.world().settle_workers();
        trial.running.serve_again(part);
        open.into_iter().for_each(|call| trial.world().end(call, CancelReason::Timeout));
        trial.world().settle_workers();
        bench.collect(&trial, &place);
        answer_again(bench, &trial, &cases, &format!("were made {place}"));
        bench.collect(&trial, &format!("a call after the time {when} ({part})"));
        bench.end(trial);

        bench.step(&format!("create and start {place}"));
        let harness = bench.harness(&manifest).refusing(part, code);
        create_in(bench, harness, &[], &place);
    }
    Ok(())
}

pub(super) fn bare(bench: &mut Bench) -> Done {
    let manifest = bench.manifest()?;
    let cases = bench.cases(&manifest).unwrap_or_default();
    let optional = |id: &&str| !manifest.requires.iter().any(|required| required == id);
    for id in extension::ALL.into_iter().filter(optional) {
        let place = format!("without {id}");
        bench.step(&place);
        let harness = without(bench, &manifest, id);
        create_in(bench, harness, &cases, &format!("{place}, which `requires` does not name"));
    }
    Ok(())
}

fn without(bench: &Bench, manifest: &Manifest, id: &str) -> crate::Harness {
    bench.harness(manifest).without(id)
}

/// An instance may come of it or not; either is done in good order, and a failure has a reason.
fn create_in(bench: &mut Bench, harness: crate::Harness, cases: &[Case], place: &str) {
    let Some(made) = bench.guarded(|_| harness.make()) else { return };
    let Ok(made) = made.inspect_err(|why| {
        let silent = why.ends_with("and no reason");
        if silent || why.contains("create panicked") {
            bench.find(format!("{place}: {why}"));
        }
    }) else {
        return;
    };
    let Some((running, started)) = bench.guarded(|_| made.go_live()) else { return };
    let trial = Trial::of(running);
    if let Err(failure) = started
        && failure.code == GWP_PANIC
    {
        bench.find(format!("{place}: {failure}"));
    }
    for case in cases {
        bench.step(&format!("{place}: a call to {}", case.method));
        trial.ask(case);
        trial.world().settle_workers();
    }
    trial.end_calls();
    bench.collect(&trial, &format!("something {place}"));
    bench.end(trial);
}
