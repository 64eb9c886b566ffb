//! Requests, one at a time.

use plugin_api::abi::gwp_call;

use super::Done;
use super::bench::{Bench, Case, PATIENCE, Trial};
use crate::calls::Handing;
use crate::who::Who;

/// No plugin serves this.
const NOBODYS: &str = "no-plugin.has-this";

pub(super) fn answers(bench: &mut Bench) -> Done {
    ask_each(bench, |trial, case| trial.ask(case))
}

pub(super) fn later_host(bench: &mut Bench) -> Done {
    ask_each(bench, |trial, case| trial.ask_here(case, Handing::OfLaterMinor))
}

fn ask_each(bench: &mut Bench, ask: impl Fn(&Trial, &Case) -> gwp_call) -> Done {
    let manifest = bench.manifest()?;
    let cases = bench.cases(&manifest)?;
    let Some(trial) = bench.trial(&manifest) else { return Ok(()) };
    let mut open = Vec::new();
    for case in &cases {
        bench.step(&format!("a call to {}", case.method));
        let call = ask(&trial, case);
        // The next one is asked when this one has been answered, or waits for something.
        if !trial.world().pool.wait_idle(PATIENCE, true) {
            bench.find(format!("a call to {} keeps its thread for longer than {PATIENCE:?}", case.method));
        }
        bench.collect(&trial, &case.method);
        open.push((case, call));
    }
    for (case, call) in open {
        bench.step(&format!("the answer of {}", case.method));
        if trial.answer(call, PATIENCE).is_none() && !case.may_wait {
            bench.find(format!(
                "{} has not answered within {PATIENCE:?}; a method that waits for something says how long with timeoutMs",
                case.method
            ));
        }
        bench.collect(&trial, &case.method);
    }
    bench.end(trial);
    Ok(())
}

pub(super) fn unknown_method(bench: &mut Bench) -> Done {
    let manifest = bench.manifest()?;
    let Some(trial) = bench.trial(&manifest) else { return Ok(()) };
    bench.step("a call to a method that is not its own");
    let call = trial.world().ask_undeclared(Who::admin(), NOBODYS);
    match trial.answer(call, PATIENCE) {
        // Who serves one method only need not look at its name.
        Some(heard) if heard.result.is_ok() && manifest.methods.len() > 1 => {
            bench.find(format!("{NOBODYS} was answered as if it were a method of it"))
        }
        Some(_) => {}
        None => bench.find("a method that is not its own was not answered at all: an error is needed"),
    }
    bench.collect(&trial, "the call");
    bench.end(trial);
    Ok(())
}
