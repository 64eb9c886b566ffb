//! Many calls at once, and calls that end before their answer.

use std::time::Duration;

use plugin_api::abi::gwp_call;

use super::bench::{Bench, Case, PATIENCE, Trial, answer_again};
use super::{Done, Skip};
use crate::calls::Handing;
use crate::outcome::CancelReason;

const THREADS: usize = 8;
const CALLS: usize = 1000;
/// Reasons that there are, and two that there are not: whoever does not know one passes it over.
const REASONS: [i32; 7] = [1, 2, 3, 4, 5, 0, 99];
/// How often a cancel races a call.
const RACES: usize = 100;

pub(super) fn calls_at_once(bench: &mut Bench) -> Done {
    let manifest = bench.manifest()?;
    let cases = bench.cases(&manifest)?;
    let Some(trial) = bench.trial(&manifest) else { return Ok(()) };
    let cases = trial.fast(&cases);
    bench.collect(&trial, "a call");
    if cases.is_empty() {
        bench.end(trial);
        return Err(Skip("no method answers at once".into()));
    }
    bench.step(&format!("{CALLS} calls from {THREADS} threads"));
    let unanswered: Vec<&Case> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let (trial, cases) = (&trial, &cases);
                    move || ask_many(trial, cases, thread)
                })
            })
            .collect();
        askers.into_iter().flat_map(|asker| asker.join().unwrap_or_default()).collect()
    });
    if let Some(first) = unanswered.first() {
        let count = unanswered.len();
        bench.find(format!(
            "{count} of {CALLS} calls from {THREADS} threads were not answered, one of them to {}",
            first.method
        ));
    }
    bench.collect(&trial, "a call among many");
    bench.end(trial);
    Ok(())
}

/// One thread's share; gives back what was not answered.
fn ask_many<'c>(trial: &Trial, cases: &'c [Case], thread: usize) -> Vec<&'c Case> {
    let share = cases.iter().cycle().skip(thread).take(CALLS / THREADS);
    let mut unanswered = Vec::new();
    for case in share {
        // One that hangs says enough.
        if !unanswered.is_empty() {
            break;
        }
        let call = trial.ask_here(case, Handing::Plain);
        if trial.answer(call, PATIENCE).is_none() {
            unanswered.push(case);
        }
    }
    unanswered
}

pub(super) fn cancel(bench: &mut Bench) -> Done {
    let manifest = bench.manifest()?;
    let Some(trial) = bench.trial(&manifest) else { return Ok(()) };
    bench.step("a cancel of a call that never was");
    for reason in REASONS {
        cancel_here(&trial, gwp_call::MAX, reason);
    }
    let cases = bench.cases(&manifest).unwrap_or_default();
    for case in &cases {
        bench.step(&format!("a cancel during {}", case.method));
        for race in 0..RACES {
            race_one(&trial, case, race);
        }
        trial.world().settle_workers();
        bench.step(&format!("a cancel after the answer of {}", case.method));
        let call = trial.ask(case);
        let answered = trial.answer(call, if case.may_wait { Duration::from_millis(100) } else { PATIENCE });
        REASONS.into_iter().for_each(|reason| cancel_here(&trial, call, reason));
        if answered.is_none() && !case.may_wait {
            bench.find(format!("{} did not answer any more after calls were cancelled", case.method));
        }
        trial.end_calls();
        bench.collect(&trial, &case.method);
    }
    answer_again(bench, &trial, &cases, "were cancelled");
    bench.collect(&trial, "`cancel`");
    bench.end(trial);
    Ok(())
}

/// A call, and a cancel from another thread at about the same time.
fn race_one(trial: &Trial, case: &Case, race: usize) {
    let reasons = [CancelReason::Disconnect, CancelReason::Timeout, CancelReason::Asked, CancelReason::Revoked];
    let call = trial.ask(case);
    // Some cancels come at once, some after the call has had the time to begin.
    (0..race % 4 * 50).for_each(|_| std::hint::spin_loop());
    trial.world().end(call, reasons[race % reasons.len()]);
}

fn cancel_here(trial: &Trial, call: gwp_call, reason: i32) {
    if let Some(instance) = trial.instance() {
        instance.cancel(call, reason);
    }
}

pub(super) fn stop_under_load(bench: &mut Bench) -> Done {
    let manifest = bench.manifest()?;
    let cases = bench.cases(&manifest)?;
    let Some(trial) = bench.trial(&manifest) else { return Ok(()) };
    bench.step("calls from several threads, and a stop amid them");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (trial, cases) = (&trial, &cases);
            scope.spawn(move || {
                for case in cases.iter().cycle().skip(thread).take(CALLS / THREADS / 4) {
                    trial.ask(case);
                }
            });
        }
    });
    bench.end(trial);
    Ok(())
}
