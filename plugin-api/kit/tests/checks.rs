//! Each check finds the fault that it is there for, and nothing in a plugin without one. Faults that end the process, or
//! that only another language can have, are planted in `tests/tests/authoring.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plugin_api::{
    Call, CreateError, EventSpec, Host, HostError, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply,
    Setup, StartError,
};
use plugin_kit::checks::{self, Subject, Verdict};
use plugin_kit::{Harness, same};
use serde_json::{Value, json};

/// What can be wrong with a [`Faulty`]; the number is what a type can carry.
macro_rules! faults {
    ($($name:ident,)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        enum Fault {
            $($name,)*
        }

        const FAULTS: &[Fault] = &[$(Fault::$name,)*];
    };
}

faults! {
    None,
    ManifestPanics,
    CreatePanics,
    StartPanics,
    CallPanics,
    CancelPanics,
    QuiescePanics,
    StopPanics,
    DestroyPanics,
    CreateFails,
    EmitsInCreate,
    TakesAnyConfig,
    LeaksInCreate,
    PanicsOnBadConfig,
    SendsInterim,
    WrongResult,
    NeverAnswers,
    BlocksItsThread,
    NeverStops,
    SpeaksAfterTheEnd,
    LeavesTimers,
    OnlyOnce,
    PanicsWithoutEvents,
    PanicsWhenBusy,
    DeadAfterGone,
    DeadAfterCancel,
    ReservedName,
    NoParameters,
}

struct Faulty<const FAULT: usize> {
    host: Host,
    dead: Arc<std::sync::atomic::AtomicBool>,
    kept: Mutex<Vec<Box<dyn std::any::Any + Send>>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default, rename = "volume")]
    _volume: u8,
}

fn methods<const FAULT: usize>() -> Methods<Faulty<FAULT>> {
    Methods::new().add(Method::operator("once", &[]), Faulty::once).add(Method::operator("waits", &[]), Faulty::waits)
}

impl<const FAULT: usize> Faulty<FAULT> {
    const IS: Fault = FAULTS[FAULT];

    async fn once(self: Arc<Self>, call: Call, _: NoParams) -> Result<Value, MethodError> {
        match Self::IS {
            Fault::CallPanics => panic!("planted"),
            Fault::SendsInterim => drop(call.interim(&1)),
            Fault::NeverAnswers => std::future::pending().await,
            Fault::WrongResult => return Ok(json!("not a number")),
            Fault::BlocksItsThread => std::thread::sleep(Duration::from_secs(4)),
            Fault::DeadAfterGone | Fault::DeadAfterCancel if self.dead.load(Ordering::Acquire) => {
                std::future::pending().await
            }
            Fault::DeadAfterGone | Fault::PanicsWhenBusy => {
                if let Err(error) = self.host.event("changed").send(&1) {
                    assert!(Self::IS == Fault::DeadAfterGone, "planted: {error}");
                    self.dead.store(true, Ordering::Release);
                }
            }
            Fault::LeavesTimers => self.kept.lock().unwrap().push(Box::new(call.retain()?)),
            _ => {}
        }
        Ok(json!(1))
    }

    async fn waits(self: Arc<Self>, _: Call, _: NoParams) -> Result<u32, MethodError> {
        let mut guard = Dropped { armed: Self::IS, dead: self.dead.clone() };
        self.host.sleep(Duration::from_secs(60)).await;
        guard.armed = Fault::None;
        Ok(1)
    }
}

/// Notices when a call is dropped where it waits.
struct Dropped {
    armed: Fault,
    dead: Arc<std::sync::atomic::AtomicBool>,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        match self.armed {
            Fault::CancelPanics if !std::thread::panicking() => panic!("planted"),
            Fault::DeadAfterCancel => self.dead.store(true, Ordering::Release),
            _ => {}
        }
    }
}

static INSTANCES: AtomicUsize = AtomicUsize::new(0);

impl<const FAULT: usize> Plugin for Faulty<FAULT> {
    fn manifest() -> Manifest {
        assert!(Self::IS != Fault::ManifestPanics, "planted");
        let mut manifest =
            Manifest::new("faulty", "1.0.0").methods(&methods::<FAULT>()).event(EventSpec::operator("changed", &[]));
        manifest.config = Some(json!({ "type": "object", "properties": { "volume": { "type": "integer" } } }).into());
        manifest.methods[0].result = Some(json!({ "type": "integer" }).into());
        match Self::IS {
            Fault::ReservedName => manifest.methods[0].name = "host.mine".into(),
            Fault::NoParameters => {
                manifest.methods[0].params = json!({ "type": "object", "required": ["code"],
                    "properties": { "code": { "type": "string", "pattern": "^\\d{17}[A-Z]$" } } })
                .into();
            }
            _ => {}
        }
        manifest
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        match Self::IS {
            Fault::CreatePanics => panic!("planted"),
            Fault::CreateFails => return Err(CreateError::new("planted")),
            Fault::EmitsInCreate => drop(host.event("changed").send(&1)),
            Fault::OnlyOnce if INSTANCES.fetch_add(1, Ordering::AcqRel) > 0 => {
                return Err(CreateError::new("the port is taken"));
            }
            Fault::LeaksInCreate => std::mem::forget(vec![1_u8; 16 * 1024]),
            Fault::PanicsOnBadConfig => drop(setup.config::<Config>().unwrap_or_else(|_| panic!("planted"))),
            _ => {}
        }
        if Self::IS != Fault::TakesAnyConfig {
            setup.config::<Config>()?;
        }
        Ok(Faulty { host, dead: Arc::default(), kept: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        match Self::IS {
            Fault::StartPanics => panic!("planted"),
            Fault::PanicsWithoutEvents => {
                let heard = self.host.subscribe("host.connection.opened", |_| {});
                assert!(!matches!(heard, Err(HostError::Unsupported)), "planted");
            }
            _ => {}
        }
        Ok(())
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        methods::<FAULT>().dispatch(self, call).await
    }

    async fn quiesce(&self) {
        assert!(Self::IS != Fault::QuiescePanics, "planted");
    }

    async fn stop(&self) {
        match Self::IS {
            Fault::StopPanics => panic!("planted"),
            Fault::NeverStops => std::future::pending().await,
            Fault::SpeaksAfterTheEnd => {
                let host = self.host.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(100));
                    host.info("still here");
                });
            }
            Fault::LeavesTimers => std::mem::forget(std::mem::take(&mut *self.kept.lock().unwrap())),
            _ => {}
        }
    }
}

impl<const FAULT: usize> Drop for Faulty<FAULT> {
    fn drop(&mut self) {
        assert!(Self::IS != Fault::DestroyPanics, "planted");
    }
}

fn verdict(subject: &Subject, check: &str) -> Verdict {
    checks::find(check).unwrap_or_else(|| panic!("there is no check {check}")).run(subject)
}

#[track_caller]
fn finds<const FAULT: usize>(check: &str, what: &str) {
    match verdict(&Subject::of::<Faulty<FAULT>>(), check) {
        Verdict::Failed(findings) if findings.iter().any(|finding| finding.contains(what)) => {}
        other => panic!("{check} does not find {what:?} in {:?}, but: {other:?}", FAULTS[FAULT]),
    }
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert!(FAULTS.iter().enumerate().all(|(number, fault)| *fault as usize == number));
    let subject = Subject::of::<Faulty<{ Fault::None as usize }>>();
    for check in checks::ALL {
        assert_eq!(check.run(&subject), Verdict::Passed, "{}", check.name);
    }
}

#[test]
fn a_panic_is_found_in_every_function() {
    finds::<{ Fault::ManifestPanics as usize }>("manifest", "the manifest cannot be read");
    finds::<{ Fault::CreatePanics as usize }>("create", "create panicked: planted");
    finds::<{ Fault::StartPanics as usize }>("again", "start failed: it panicked: planted");
    finds::<{ Fault::CallPanics as usize }>("answers", "once panicked: planted");
    finds::<{ Fault::CancelPanics as usize }>("cancel", "waits panicked: planted");
    finds::<{ Fault::QuiescePanics as usize }>("again", "panicked: planted");
    finds::<{ Fault::StopPanics as usize }>("silence", "panicked: planted");
    finds::<{ Fault::DestroyPanics as usize }>("create", "`destroy` panicked: planted");
    finds::<{ Fault::PanicsOnBadConfig as usize }>("bad-config", "create panicked: planted");
    finds::<{ Fault::PanicsWithoutEvents as usize }>("bare-host", "start failed: it panicked: planted");
    finds::<{ Fault::PanicsWhenBusy as usize }>("busy-host", "panicked: planted");
}

#[test]
fn the_manifest_is_held_to_its_rules() {
    finds::<{ Fault::ReservedName as usize }>("manifest", "\"host.mine\" is reserved for the host");
    finds::<{ Fault::NoParameters as usize }>("manifest", "no parameters for once could be made up");
    let skipped = verdict(&Subject::of::<Faulty<{ Fault::ReservedName as usize }>>(), "answers");
    assert!(matches!(&skipped, Verdict::Skipped(why) if why.contains("is reserved for the host")), "{skipped:?}");
}

#[test]
fn instances_are_held_to_their_stages() {
    finds::<{ Fault::CreateFails as usize }>("create", "could not be made: planted; the configuration was made up");
    finds::<{ Fault::EmitsInCreate as usize }>("create", "used emit before `start`");
    finds::<{ Fault::TakesAnyConfig as usize }>("bad-config", "`create` took a number for a configuration");
    finds::<{ Fault::LeaksInCreate as usize }>("bad-config", "of memory behind");
    finds::<{ Fault::NeverStops as usize }>("stop-under-load", "the end of `stop` did not come within");
    finds::<{ Fault::SpeaksAfterTheEnd as usize }>("silence", "used log after it was destroyed");
    finds::<{ Fault::LeavesTimers as usize }>("answers", "authorities behind when it was destroyed");
    finds::<{ Fault::OnlyOnce as usize }>("again", "a second instance beside the first: faulty could not be made");
}

#[test]
fn answers_are_held_to_the_manifest() {
    finds::<{ Fault::SendsInterim as usize }>("answers", "once sent an interim answer and declares none");
    finds::<{ Fault::WrongResult as usize }>("later-host", "the result of once does not fit its schema");
    finds::<{ Fault::NeverAnswers as usize }>("answers", "once has not answered within 3s");
    finds::<{ Fault::BlocksItsThread as usize }>("answers", "keeps its thread for longer than 3s");
    finds::<{ Fault::DeadAfterGone as usize }>(
        "gone-host",
        "once did not answer any more after calls were made while the host says",
    );
    finds::<{ Fault::DeadAfterCancel as usize }>("cancel", "did not answer any more after calls were cancelled");
}

#[test]
fn what_is_missing_is_a_reason_to_skip() {
    struct Bare;
    impl Plugin for Bare {
        fn manifest() -> Manifest {
            Manifest::new("bare", "1.0.0")
        }
        fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
            Ok(Bare)
        }
        async fn call(self: Arc<Self>, call: Call) -> Reply {
            Reply::unknown_method(call.method())
        }
    }
    let subject = Subject::of::<Bare>();
    assert_eq!(verdict(&subject, "answers"), Verdict::Skipped("it has no methods".into()));
    assert_eq!(verdict(&subject, "unknown-method"), Verdict::Passed);
    assert!(checks::find("nothing").is_none());
}

#[test]
fn two_runs_of_one_scenario_are_compared() {
    let harness = || Harness::new::<Faulty<{ Fault::None as usize }>>();
    let scenario = |plugin: &plugin_kit::Running| {
        plugin.call("once", json!({})).payload();
    };
    same(["one", "other"], [harness(), harness()], scenario);
    let plugin = harness().start();
    scenario(&plugin);
    assert_eq!(plugin.transcript(), ["> once {}", "< 1"]);
}
