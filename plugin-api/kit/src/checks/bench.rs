//! Where checks are made: a subject, what has been found about it, and instances in trial.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use plugin_api::abi::gwp_call;
use plugin_api::hosting::{self, Instance};
use plugin_api::{Exposure, Idempotency, Manifest, catalogue};
use serde_json::{Value, json};

use super::{Skip, Subject};
use crate::calls::Handing;
use crate::harness::Harness;
use crate::made_up;
use crate::outcome::{CancelReason, Outcome};
use crate::running::Running;
use crate::who::Who;
use crate::world::{State, World};

/// How long an answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// What is answered this fast may be asked a thousand times.
const FAST: Duration = Duration::from_millis(20);

/// A subject, and what has been found about it.
pub(super) struct Bench<'s> {
    pub(super) subject: &'s Subject,
    pub(super) findings: Vec<String>,
}

/// A method to ask, with parameters that fit.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) method: String,
    params: Value,
    who: Who,
    keyed: bool,
    /// The manifest says how long it may take, so it may wait for something.
    pub(super) may_wait: bool,
}

impl<'s> Bench<'s> {
    pub(super) fn new(subject: &'s Subject) -> Self {
        Bench { subject, findings: Vec::new() }
    }

    /// Says what is done next.
    pub(super) fn step(&self, what: &str) {
        (self.subject.on_step)(what);
    }

    /// Notes what was found, once.
    pub(super) fn find(&mut self, finding: impl Into<String>) {
        let finding = finding.into();
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Does something that fails a test when it goes wrong; here that is a finding.
    pub(super) fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(done) => Some(done),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                self.find(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("something panicked"));
                None
            }
        }
    }

    /// The manifest, or nothing to do here.
    pub(super) fn manifest(&self) -> Result<Manifest, Skip> {
        let unread = |why: String| Skip(format!("the manifest cannot be used: {why}"));
        let text = hosting::manifest(self.subject.entry).map_err(|why| unread(why.to_string()))?;
        let manifest = Manifest::parse(text).map_err(|why| unread(why.to_string()))?;
        crate::rows::compile(&manifest).map_err(unread)?;
        Ok(manifest)
    }

    /// The configuration: the one that was given, an empty one, or one that is made up.
    pub(super) fn config(&self, manifest: &Manifest) -> Value {
        let fits = |config: &Value| crate::rows::check_config(manifest, config).is_ok();
        let made_up =
            || manifest.config.as_ref().and_then(|schema| made_up::values(&schema.value()).into_iter().find(fits));
        let own = self.subject.config.clone().or_else(|| Some(json!({})).filter(fits));
        own.or_else(made_up).unwrap_or_else(|| json!({}))
    }

    /// Every method with each set of parameters that could be made up. What could not is a reason to skip, if there is
    /// nothing else.
    pub(super) fn cases(&self, manifest: &Manifest) -> Result<Vec<Case>, Skip> {
        let mut cases = Vec::new();
        for spec in &manifest.methods {
            let who = match spec.role {
                Exposure::Node => Who::node(),
                Exposure::Internal => Who::plugin("check"),
                // A plugin's own scopes are none that an administrator has by being one.
                Exposure::Operator | Exposure::OperatorAndNode => {
                    Who::admin().with(|caller| caller.scopes.extend(spec.scopes.iter().cloned()))
                }
            };
            let keyed = spec.idempotency == Idempotency::Replay;
            cases.extend(made_up::values(&spec.params.value()).into_iter().map(|params| Case {
                method: spec.name.clone(),
                params,
                who: who.clone(),
                keyed,
                may_wait: spec.timeout_ms.is_some(),
            }));
        }
        match (cases.is_empty(), manifest.methods.first()) {
            (false, _) => Ok(cases),
            (true, None) => Err(Skip("it has no methods".into())),
            (true, Some(first)) => Err(Skip(unmade(&first.name))),
        }
    }

    /// A harness around the subject, with a host whose services answer what fits.
    pub(super) fn harness(&self, manifest: &Manifest) -> Harness {
        let mut harness = Harness::of_entry(self.subject.entry).config(self.config(manifest)).patience(PATIENCE);
        for service in catalogue::SERVICES.iter().filter(|service| crate::rows::covers(&manifest.invokes, service.name))
        {
            if let Some(answer) = made_up::values(&(service.result)()).pop() {
                harness = harness.answer(service.name, answer);
            }
        }
        harness
    }

    /// An instance that has gone live; `None` is a finding.
    pub(super) fn trial(&mut self, manifest: &Manifest) -> Option<Trial> {
        let harness = self.harness(manifest);
        self.trial_in(harness)
    }

    /// As [`Bench::trial`], in a harness that is already prepared.
    pub(super) fn trial_in(&mut self, harness: Harness) -> Option<Trial> {
        self.step("create and start");
        let made = self.guarded(|_| harness.make())?;
        let (running, started) = match made {
            Ok(made) => self.guarded(|_| made.go_live())?,
            Err(why) => {
                self.find(why);
                return None;
            }
        };
        let trial = Trial::of(running);
        if let Err(failure) = started {
            self.find(failure.to_string());
            self.end(trial);
            return None;
        }
        self.collect(&trial, "`start`");
        Some(trial)
    }

    /// Takes over what the harness has found; `during` is what was going on.
    pub(super) fn collect(&mut self, trial: &Trial, during: &str) {
        for violation in trial.running.take_violations() {
            self.find(violation);
        }
        // Each line is looked at once, and a panic that comes again and again is one finding.
        let logs = trial.running.logs();
        let seen = trial.seen.swap(logs.len(), Ordering::AcqRel);
        for line in logs.iter().skip(seen).filter(|line| line.target == "panic") {
            let what = format!(" panicked: {}", line.message);
            if !self.findings.iter().any(|finding| finding.ends_with(&what)) {
                self.find(format!("{during}{what}"));
            }
        }
    }

    /// Stops it, and takes over what is found meanwhile.
    pub(super) fn end(&mut self, trial: Trial) {
        self.step("quiesce, stop and destroy");
        self.guarded(|_| trial.running.stop());
        self.collect(&trial, "what ran until the end");
        trial.running.abandon();
    }
}

pub(super) fn unmade(method: &str) -> String {
    format!("no parameters for {method} could be made up; `examples` in its schema would be used")
}

/// An instance that is being tried out.
pub(super) struct Trial {
    pub(super) running: Running,
    /// How many lines of its log have been looked at.
    seen: AtomicUsize,
}

impl Trial {
    pub(super) fn of(running: Running) -> Self {
        Trial { running, seen: AtomicUsize::new(0) }
    }

    pub(super) fn world(&self) -> &Arc<World> {
        &self.running.world
    }

    pub(super) fn instance(&self) -> Option<Arc<Instance>> {
        self.world().look().instances[0].instance.clone()
    }

    /// Asks, on a worker of the harness.
    pub(super) fn ask(&self, case: &Case) -> gwp_call {
        self.world().ask(case.who.clone(), &case.method, &case.params())
    }

    /// Asks on this thread.
    pub(super) fn ask_here(&self, case: &Case, how: Handing) -> gwp_call {
        self.world().ask_here(case.who.clone(), &case.method, &case.params(), how)
    }

    /// The answer to a call, if it comes in time. Virtual time runs as far as the plugin's own timers want it to.
    pub(super) fn answer(&self, call: gwp_call, patience: Duration) -> Option<Outcome> {
        /// Between two timers, for what runs on threads that nobody here knows of.
        const BREATH: Duration = Duration::from_millis(1);
        let until = Instant::now() + patience;
        loop {
            let timers = self.running.timers() > 0 && !self.world().pool.is_blocking();
            let wait = if timers { BREATH } else { until.saturating_duration_since(Instant::now()) };
            let mut waited = Instant::now() + wait;
            let heard = self.world().wait_on(|state| match (outcome(state, call), waited) {
                (Some(heard), _) => Ok(Some(heard)),
                (None, end) if Instant::now() >= end => Ok(None),
                // A timer that is set meanwhile ends the wait.
                (None, _) if !timers && state.clock.set_by(0) > 0 => Ok(None),
                (None, end) => Err(end - Instant::now()),
            });
            waited = Instant::now();
            if heard.is_some() || waited >= until {
                return heard;
            }
            if self.running.timers() > 0 && self.world().pool.wait_idle(BREATH, false) {
                self.world().fire_next();
            }
        }
    }

    /// Those cases that are answered at once: what a thousand calls can be made of.
    pub(super) fn fast(&self, cases: &[Case]) -> Vec<Case> {
        let answers_fast = |case: &&Case| {
            let call = self.ask(case);
            let answered = self.answer(call, FAST).is_some();
            self.world().end(call, CancelReason::Timeout);
            answered
        };
        cases.iter().filter(answers_fast).cloned().collect()
    }

    /// Ends every call over the plugin's head, and lets what follows come to rest.
    pub(super) fn end_calls(&self) {
        self.world().end_calls_of(0, CancelReason::Timeout);
        self.world().settle_workers();
    }
}

impl Case {
    /// The parameters, with a key of their own where the method wants one.
    fn params(&self) -> Value {
        let mut params = self.params.clone();
        if let Some(object) = params.as_object_mut().filter(|_| self.keyed) {
            object.insert("idempotencyKey".into(), json!("check"));
        }
        params
    }
}

/// Whether its methods still answer after calls that had a bad end; `how` says which.
pub(super) fn answer_again(bench: &mut Bench, trial: &Trial, cases: &[Case], how: &str) {
    for case in cases.iter().filter(|case| !case.may_wait) {
        bench.step(&format!("a call to {} after calls {how}", case.method));
        let call = trial.ask(case);
        if trial.answer(call, PATIENCE).is_none() {
            bench.find(format!("{} did not answer any more after calls {how}", case.method));
            return;
        }
    }
}

fn outcome(state: &State, call: gwp_call) -> Option<Outcome> {
    let heard = state.pending.get(&call)?;
    let result = heard.result.clone()?;
    Some(Outcome { interims: heard.interims.clone(), result, error_payload: heard.error_payload.clone() })
}
