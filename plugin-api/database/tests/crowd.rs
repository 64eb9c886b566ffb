//! A plugin with a database in a made-up gateway: crowds, jobs that fail, what is refused.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use database::{Database, Shape};
use plugin_api::abi::extension;
use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup};
use plugin_kit::{Harness, Running};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const SHAPE: Shape = Shape::new("notes.db", "notes", &["CREATE TABLE notes (text TEXT NOT NULL UNIQUE) STRICT"]);

struct Notes {
    host: Host,
    db: Database,
    /// Notes that were handed to the database.
    queued: AtomicU64,
}

#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default)]
struct NotesConfig {
    max_queue: Option<usize>,
}

#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct Note {
    text: String,
}

fn methods() -> Methods<Notes> {
    Methods::new()
        .add(Method::everyone("notes.add").effects(), Notes::add)
        .add(Method::everyone("notes.queued"), Notes::queued)
        .add(Method::everyone("notes.list"), Notes::list)
}

impl Plugin for Notes {
    fn manifest() -> Manifest {
        Manifest::new("notes", "1.0.0")
            .requires(&[extension::EXEC])
            .max_concurrent(4_096)
            .config::<NotesConfig>()
            .methods(&methods())
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let shape = match setup.config::<NotesConfig>()?.max_queue {
            Some(most) => SHAPE.max_queue(most, "max_queue"),
            None => SHAPE,
        };
        Ok(Notes { host, queued: AtomicU64::new(0), db: Database::new(setup.data_dir()?, shape) })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        static METHODS: std::sync::LazyLock<Methods<Notes>> = std::sync::LazyLock::new(methods);
        METHODS.dispatch(self, call)
    }
}

/// Waits for a commit. Given up, it looks whether anybody has heard already that there is none.
struct Waits;

struct GivenUp {
    was_heard: bool,
    was_late: Option<bool>,
}

static GIVEN_UP: (Mutex<GivenUp>, Condvar) = (Mutex::new(GivenUp { was_heard: false, was_late: None }), Condvar::new());

impl Drop for Waits {
    fn drop(&mut self) {
        let (state, changed) = &GIVEN_UP;
        let state = state.lock().expect("sound");
        let patience = Duration::from_millis(200);
        let (mut state, _) = changed.wait_timeout_while(state, patience, |state| !state.was_heard).expect("sound");
        state.was_late = Some(state.was_heard);
        changed.notify_all();
    }
}

impl Notes {
    async fn add(self: Arc<Self>, _: Call, note: Note) -> Result<Value, MethodError> {
        let is_hasty = note.text == "hasty";
        let waits = (note.text == "waits").then_some(Waits);
        let job = move |db: &database::rusqlite::Connection| {
            db.execute("INSERT INTO notes VALUES (?1)", [&note.text])?;
            match note.text.as_str() {
                "panic" => panic!("as the test wants it"),
                "refuse" | "waits" => Err(MethodError::invalid_request("not this one")),
                _ => Ok(json!({ "added": note.text })),
            }
        };
        let after = move |_: &Value| {
            drop(waits);
            assert!(!is_hasty, "as the test wants it");
        };
        let added = self.db.transaction_then(&self.host, job, after);
        self.queued.fetch_add(1, Ordering::SeqCst);
        added.await
    }

    async fn queued(self: Arc<Self>, _: Call, _: plugin_api::NoParams) -> Result<u64, MethodError> {
        Ok(self.queued.load(Ordering::SeqCst))
    }

    async fn list(self: Arc<Self>, _: Call, _: plugin_api::NoParams) -> Result<Value, MethodError> {
        let read = |db: &database::rusqlite::Connection| {
            let mut statement = db.prepare_cached("SELECT text FROM notes ORDER BY rowid")?;
            let texts: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(json!(texts))
        };
        self.db.read(&self.host, read).await
    }
}

fn list(running: &Running) -> Vec<String> {
    serde_json::from_value(running.call("notes.list", json!({})).payload()).expect("a list")
}

#[test]
fn the_file_is_made_when_it_is_needed_and_a_crowd_keeps_its_order() {
    let running = Harness::new::<Notes>().start();
    assert!(!running.data_dir().join("notes.db").exists());
    let calls: Vec<_> = (0..500).map(|text| running.begin("notes.add", json!({ "text": text.to_string() }))).collect();
    calls.into_iter().for_each(|call| drop(call.wait().payload()));
    let mut texts = list(&running);
    texts.sort_by_key(|text| text.parse::<u32>().expect("a number"));
    assert_eq!(texts, (0..500).map(|text| text.to_string()).collect::<Vec<_>>());
}

#[test]
fn what_waits_for_a_commit_is_given_up_before_anybody_hears_that_there_is_none() {
    let running = Harness::new::<Notes>().start();
    assert_eq!(running.call("notes.add", json!({ "text": "waits" })).error().message, "not this one");
    let (state, changed) = &GIVEN_UP;
    let mut state = state.lock().expect("sound");
    state.was_heard = true;
    changed.notify_all();
    let state = changed.wait_while(state, |state| state.was_late.is_none()).expect("sound");
    assert_eq!(state.was_late, Some(false));
}

#[test]
fn a_job_that_fails_takes_back_its_own_work_and_nothing_of_the_others() {
    let running = Harness::new::<Notes>().start();
    let add = |text: &str| running.begin("notes.add", json!({ "text": text }));
    let (first, refused, panicked, twice, last) = (add("1"), add("refuse"), add("panic"), add("1"), add("2"));
    last.wait().payload();
    assert_eq!(refused.wait().error().message, "not this one");
    let error = panicked.wait().error();
    assert_eq!((error.code.as_str(), error.retryable), ("UNAVAILABLE", Some(true)));
    // Which of the two comes first is nobody's promise.
    let failed: Vec<_> = [first, twice].into_iter().filter_map(|call| call.wait().result.err()).collect();
    assert_eq!(failed.len(), 1);
    assert!(!failed[0].message.contains("UNIQUE"), "causes are for the log");
    let mut texts = list(&running);
    texts.sort();
    assert_eq!(texts, ["1", "2"]);
}

#[test]
fn what_comes_after_a_commit_may_panic_and_the_others_are_answered() {
    let running = Harness::new::<Notes>().start();
    running.call("notes.add", json!({ "text": "0" })).payload();
    let other = database::rusqlite::Connection::open(running.data_dir().join("notes.db")).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("another process holds it");
    let add = |text: &str| running.begin("notes.add", json!({ "text": text }));
    let hasty = add("hasty");
    let calls: Vec<_> = (1..50).map(|text| add(&text.to_string())).collect();
    let queued = |running: &Running| running.call("notes.queued", json!({})).payload() == json!(51);
    running.wait_until("all of them wait for the disk", queued);
    other.execute_batch("ROLLBACK").expect("and lets go");
    calls.into_iter().for_each(|call| drop(call.wait().payload()));
    assert_eq!(hasty.wait().error().message, "a transaction ended without an answer");
    assert_eq!(list(&running).len(), 51, "it is on the disk all the same");
}

#[test]
fn who_reads_after_some_have_panicked_waits_for_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Database::open(folder.path(), SHAPE).expect("a file");
    for _ in 0..4 {
        let panicked = catch_unwind(AssertUnwindSafe(|| db.read_here::<()>(|_| panic!("as the test wants it"))));
        assert!(panicked.is_err());
    }
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let among = |_: &database::rusqlite::Connection| (0..4).try_for_each(|_| db.read_here(|_| Ok(())));
        let _ = tell.send(db.read_here(among).is_ok());
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(true), "others read amid one that reads");
}

#[test]
fn a_full_queue_is_an_error_that_names_its_limit() {
    let running = Harness::new::<Notes>().config(json!({ "max_queue": 1 })).start();
    running.call("notes.add", json!({ "text": "0" })).payload();
    let other = database::rusqlite::Connection::open(running.data_dir().join("notes.db")).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("another process holds it");
    let calls: Vec<_> = (1..4).map(|text| running.begin("notes.add", json!({ "text": text.to_string() }))).collect();
    running.wait_until("one of three is refused", |_| calls.iter().any(|call| call.is_done()));
    other.execute_batch("ROLLBACK").expect("and lets go");
    let refused: Vec<_> = calls.into_iter().filter_map(|call| call.wait().result.err()).collect();
    assert!((1..=2).contains(&refused.len()));
    for error in refused {
        assert!(error.message.contains("max_queue") && error.retryable == Some(true), "{error:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_refused_with_each_use_until_it_can() {
    let running = Harness::new::<Notes>().start();
    let path = running.data_dir().join("notes.db");
    std::fs::write(&path, b"somebody's letter, which is no database at all".repeat(30)).expect("a file");
    for method in ["notes.add", "notes.list"] {
        let params = if method == "notes.add" { json!({ "text": "1" }) } else { json!({}) };
        let error = running.call(method, params).error();
        assert_eq!(error.message, "the notes cannot be read; the gateway's log has the details", "{method}");
    }
    assert!(running.logs().iter().any(|line| line.message.contains("notes.db: is not a readable file of notes")));
    std::fs::remove_file(&path).expect("it is moved away");
    running.call("notes.add", json!({ "text": "1" })).payload();
    assert_eq!(list(&running), ["1"]);
}
