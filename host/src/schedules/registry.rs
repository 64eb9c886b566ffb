//! A table of methods is swapped while calls come: none is handed to an instance that has ended, none is lost, whoever
//! waits for the last call of an instance is woken, and the answers of a call are in order.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use plugin_api::Manifest;
use plugin_api::abi::GWP_GONE;
use serde_json::{Value, json};
use shuttle::future::block_on;
use shuttle::thread;
use tokio::runtime::{Builder, Runtime};

use super::{METRICS, connection, frames, shared, under_all_orders};
use crate::answer::{Answer, Asker};
use crate::authority::Authority;
use crate::calls::{Calls, Entered, OpenCall, Stage};
use crate::place::Place;
use crate::plugin::{Freeing, Origin, RunningPlugin};
use crate::registry::{Handler, MethodEntry, Registry};

const METHOD: &str = "m";

/// What of a gateway takes part.
struct World {
    registry: ArcSwap<Registry>,
    calls: Calls,
    /// Numbers of the instances that have ended, and of those that answered.
    ended: Mutex<Vec<u64>>,
    answered: Mutex<Vec<u64>>,
}

/// Another instance of the one plugin.
fn instance() -> Arc<RunningPlugin> {
    /// Nothing runs on it: a place has to have one.
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));
    let row = json!({
        "name": METHOD, "role": "operator", "scopes": [], "params": { "type": "object" }, "replies": "interim",
    });
    let mut manifest = Manifest::new("p", "1");
    manifest.methods.push(serde_json::from_value(row).expect("a row of a manifest"));
    let (origin, place) = (Origin::Linked, Place::workers("p", RUNTIME.handle().clone()));
    Arc::new(RunningPlugin::new(manifest, origin, place, Vec::new(), Vec::new(), None, Freeing::default()))
}

fn table(plugin: &Arc<RunningPlugin>) -> Arc<Registry> {
    let registry = Registry::build(vec![plugin.clone()], Vec::new(), |_, _| true, &METRICS);
    Arc::new(registry.expect("one plugin claims what no other does"))
}

fn is_of(call: &OpenCall, number: u64) -> bool {
    matches!(&call.method.handler, Handler::Plugin(own) if own.number == number)
}

fn open(method: &Arc<MethodEntry>) -> OpenCall {
    let started = Instant::now();
    OpenCall {
        method: method.clone(),
        asker: Asker::Nobody,
        order: Some(Arc::default()),
        authority: Arc::new(Authority::operator(&[])),
        depth: 0,
        started,
        deadline_ms: 0,
        is_timed: false,
        stage: Stage::HandingOver,
        waiting: None,
        in_flight: false,
        children: Vec::new(),
        traceparent: None,
        slot: None,
    }
}

impl World {
    /// With this instance in the table.
    fn new(first: &Arc<RunningPlugin>) -> Arc<World> {
        let registry = ArcSwap::new(table(first));
        Arc::new(World { registry, calls: Calls::new(), ended: Mutex::default(), answered: Mutex::default() })
    }

    fn has_ended(&self, number: u64) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }

    /// A call from the look at the table to its answer.
    fn call(&self) {
        let number = self.calls.next_number();
        let mut registry = self.registry.load_full();
        loop {
            let method = registry.method(METHOD).expect("it is in every table").clone();
            let Handler::Plugin(plugin) = &method.handler else { unreachable!("a plugin serves it") };
            thread::yield_now();
            match self.calls.enter(number, open(&method), plugin, &self.registry) {
                Entered::Here => {
                    // The plugin has it now, and is at it for a while.
                    thread::yield_now();
                    assert!(!self.has_ended(plugin.number), "a call was handed to an instance that had ended");
                    let answered = self.calls.take_if(number, |call| is_of(call, plugin.number));
                    assert!(answered.is_some(), "the call is the instance's until it is answered");
                    self.answered.lock().unwrap_or_else(PoisonError::into_inner).push(plugin.number);
                    return;
                }
                Entered::TooLate(call, now) => {
                    assert!(is_of(&call, plugin.number), "whoever came too late has the call again");
                    let Handler::Plugin(other) = &now.method(METHOD).expect("as above").handler else { unreachable!() };
                    assert_ne!(other.number, plugin.number, "an instance retires when another one has its place");
                    registry = now;
                }
                Entered::Over => panic!("nobody else takes a call that came too late"),
            }
        }
    }

    /// Puts an instance in the place of another one, and waits until that one has nothing to do any more.
    fn replace(&self, old: &Arc<RunningPlugin>, new: &Arc<RunningPlugin>) {
        self.registry.store(table(new));
        thread::yield_now();
        old.retire();
        block_on(self.calls.ended(|call| is_of(call, old.number)));
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(old.number);
    }
}

#[test]
fn every_call_goes_to_an_instance_that_is_there() {
    under_all_orders(|| {
        let [first, second, third] = [instance(), instance(), instance()];
        let world = World::new(&first);
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let world = world.clone();
                thread::spawn(move || (0..2).for_each(|_| world.call()))
            })
            .collect();
        world.replace(&first, &second);
        world.replace(&second, &third);
        callers.into_iter().for_each(|caller| caller.join().expect("a caller"));
        world.call();
        let answered = world.answered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!((answered.len(), answered.last()), (7, Some(&third.number)));
        assert!(world.calls.is_empty());
        // What held the instances has gone with their tables.
        drop(world);
        assert_eq!([&first, &second, &third].map(Arc::strong_count), [1; 3]);
    });
}

#[test]
fn whoever_waits_for_the_last_call_of_several_is_woken() {
    under_all_orders(|| {
        let plugin = instance();
        let world = World::new(&plugin);
        let method = world.registry.load().method(METHOD).expect("it is in the table").clone();
        let numbers: Vec<u64> = (0..3).map(|_| world.calls.next_number()).collect();
        numbers.iter().for_each(|number| world.calls.open(*number, open(&method)));
        let answering: Vec<_> = numbers
            .into_iter()
            .map(|number| {
                let world = world.clone();
                thread::spawn(move || assert!(world.calls.take(number).is_some()))
            })
            .collect();
        block_on(world.calls.ended(|_| true));
        assert!(world.calls.is_empty());
        answering.into_iter().for_each(|thread| thread.join().expect("it answers"));
    });
}

/// A plugin says more and more on one thread, while another one ends the call: whoever asked hears what was said in its
/// order, and nothing behind the last word.
#[test]
fn the_answers_of_a_call_are_in_order_and_nothing_follows_the_last() {
    under_all_orders(|| {
        let world = World::new(&instance());
        let method = world.registry.load().method(METHOD).expect("it is in the table").clone();
        let (number, client) = (world.calls.next_number(), connection(&shared(1 << 20)));
        let asker = Asker::Frame { connection: client.clone(), id: "1".into() };
        world.calls.open(number, OpenCall { asker, ..open(&method) });
        let saying = {
            let world = world.clone();
            thread::spawn(move || {
                let say = |more: &str| world.calls.hear_more(number, Answer::Interim(more.as_bytes()), |_| Ok(()));
                ["1", "2", "3"].into_iter().take_while(|more| say(more).is_ok()).count()
            })
        };
        thread::yield_now();
        let mut call = world.calls.take(number).expect("nobody else ends it");
        call.hear_last(Answer::Payload(b"\"last\""));
        assert_eq!(world.calls.hear_more(number, Answer::Interim(b"4"), |_| Ok(())), Err(GWP_GONE));
        let said = saying.join().expect("it says what it can");

        let bytes = client.outbox.take(std::task::Waker::noop()).expect("it was answered");
        let heard: Vec<Value> = frames(&bytes)
            .iter()
            .map(|frame| serde_json::from_str::<Value>(frame).expect("JSON")["payload"].clone())
            .collect();
        let expected = (1..=said).map(Value::from).chain([json!("last")]);
        assert!(heard.iter().cloned().eq(expected), "{said} were taken, and heard were {heard:?}");
    });
}
