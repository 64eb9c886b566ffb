//! The boundary as a C author sees it: tables filled by hand, on either side, right and wrong.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use plugin_api::abi::*;
use plugin_api::hosting::{self, EntryError};
use plugin_api::{
    Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup, glue,
};
use plugin_kit::Harness;
use serde_json::json;

// ---- a plugin by hand ----

const MANIFEST: &str = r#"{"manifest":1,"id":"by-hand","version":"1.0.0","later":"fields are passed over",
    "methods":[{"name":"hand.wide","role":"operator","scopes":[],"params":{}},
               {"name":"hand.wrong","role":"operator","scopes":[],"params":{}},
               {"name":"hand.twice","role":"operator","scopes":[],"params":{}},
               {"name":"hand.broken","role":"operator","scopes":[],"params":{}}],
    "events":[{"name":"hand.told","role":"operator","scopes":[]}]}"#;

unsafe extern "C" fn manifest(out: *mut gwp_bytes) {
    // SAFETY: the host gives a place to write to.
    unsafe { *out = gwp_bytes::text(MANIFEST) }
}

unsafe extern "C" fn create(host: *const gwp_host, _: gwp_bytes, out: *mut gwp_plugin) -> i32 {
    // SAFETY: the host gives its table, which lives for ever, and a place to write to.
    unsafe {
        *out = gwp_plugin {
            size: size_of::<gwp_plugin>() as u32,
            flags: 0,
            self_: host.cast_mut().cast(),
            start,
            call,
            cancel,
            quiesce: finish,
            stop: finish,
            destroy,
            extension: no_extension,
        };
    }
    GWP_OK
}

unsafe extern "C" fn refuse(_: *const gwp_host, _: gwp_bytes, _: *mut gwp_plugin) -> i32 {
    GWP_INVALID
}

unsafe extern "C" fn start(_: *mut c_void) -> i32 {
    GWP_OK
}

unsafe extern "C" fn cancel(_: *mut c_void, _: gwp_call, _: i32) {}

unsafe extern "C" fn finish(_: *mut c_void, done: gwp_fn, user: *mut c_void) {
    // SAFETY: both come from the host. A careless author says it twice; the host stands it.
    unsafe {
        done(user);
        done(user);
    }
}

unsafe extern "C" fn destroy(_: *mut c_void) {}

unsafe extern "C" fn no_extension(_: *mut c_void, _: gwp_bytes) -> *const c_void {
    std::ptr::null()
}

unsafe extern "C" fn ignore(_: *mut c_void, _: i32, _: gwp_bytes) {}

unsafe extern "C" fn call(this: *mut c_void, request: *const gwp_request) {
    let host: *const gwp_host = this.cast();
    // SAFETY: the host lends the request for this call, and its table for ever.
    let (request, table) = unsafe { (&*request, &*host) };
    // SAFETY: as above.
    let method = unsafe { request.method.str() }.unwrap();
    // SAFETY: every slice and record below outlives the function it is lent to.
    let reply = |text: &str| unsafe { (table.reply)(host, request.call, GWP_FINAL, gwp_bytes::text(text)) };
    match method {
        "hand.wide" => reply(&json!(wide_records(host)).to_string()),
        "hand.wrong" => reply(&json!(wrong_arguments(host, request.call)).to_string()),
        "hand.twice" => [reply("1"), reply("2")][0],
        "hand.broken" => [reply("{\"half\":"), reply("null")][1],
        other => unreachable!("{other} is not in the manifest"),
    };
}

/// A record as a later minor may have it: longer than this host knows.
#[repr(C)]
#[derive(Clone, Copy)]
struct Longer<T> {
    known: T,
    later: [u64; 3],
}

fn event(size: usize, name: &'static [u8], conns: &[u64]) -> Longer<gwp_event> {
    let conns_or_null = if conns.is_empty() { std::ptr::null() } else { conns.as_ptr() };
    let known = gwp_event {
        size: size as u32,
        flags: 1 << 31,
        name: gwp_bytes::of(name),
        payload: gwp_bytes::text("{}"),
        conns: conns_or_null,
        n_conns: conns.len(),
    };
    Longer { known, later: [u64::MAX; 3] }
}

fn op(size: usize, key: &'static str) -> Longer<gwp_kv_op> {
    let (key, value) = (gwp_bytes::text(key), gwp_bytes::text("v"));
    let known = gwp_kv_op { size: size as u32, flags: 1 << 31, key, value, expected: gwp_bytes::ABSENT };
    Longer { known, later: [u64::MAX; 3] }
}

fn find<T>(host: *const gwp_host, id: &str) -> Option<&'static T> {
    // SAFETY: the id outlives the call, and each caller pairs it with its table's type.
    unsafe { ((*host).extension)(host, gwp_bytes::text(id)).cast::<T>().as_ref() }
}

fn wide_records(host: *const gwp_host) -> Vec<i32> {
    let kv: &gwp_kv_v1 = find(host, extension::KV).unwrap();
    let event = event(size_of::<Longer<gwp_event>>(), b"hand.told", &[]);
    let ops = [op(size_of::<Longer<gwp_kv_op>>(), "one"), op(size_of::<Longer<gwp_kv_op>>(), "two")];
    // SAFETY: the records are as long as they say, and outlive the calls.
    unsafe {
        vec![
            ((*host).emit)(host, (&raw const event).cast()),
            (kv.write)(host, ops.as_ptr().cast(), 2, ignore, std::ptr::null_mut()),
        ]
    }
}

fn wrong_arguments(host: *const gwp_host, own: gwp_call) -> Vec<i32> {
    let kv: &gwp_kv_v1 = find(host, extension::KV).unwrap();
    let caller: &gwp_caller_v1 = find(host, extension::CALLER).unwrap();
    let exec: &gwp_exec_v1 = find(host, extension::EXEC).unwrap();
    assert!(find::<gwp_kv_v1>(host, "gwp.kv/2").is_none());
    let short = event(8, b"hand.told", &[]);
    let garbled = event(size_of::<gwp_event>(), b"\xff\xfe", &[]);
    let (short_op, odd_op) = (op(8, "k"), op(size_of::<gwp_kv_op>() + 4, "k"));
    let nobody = std::ptr::null_mut();
    // SAFETY: wrong as they are, all of these are readable and outlive the calls.
    unsafe {
        vec![
            ((*host).emit)(host, std::ptr::null()),
            ((*host).emit)(host, (&raw const short).cast()),
            ((*host).emit)(host, (&raw const garbled).cast()),
            (kv.write)(host, std::ptr::null(), 1, ignore, nobody),
            (kv.write)(host, (&raw const short_op).cast(), 0, ignore, nobody),
            (kv.write)(host, (&raw const short_op).cast(), 1, ignore, nobody),
            (kv.write)(host, (&raw const odd_op).cast(), 1, ignore, nobody),
            (kv.write)(host, (&raw const odd_op).cast(), usize::MAX, ignore, nobody),
            (kv.get)(host, gwp_bytes::of(b"\xff"), ignore, nobody),
            (caller.retain)(host, own, std::ptr::null_mut()),
            (caller.get)(host, own + 1_000_000, ignore, nobody),
            ((*host).reply)(host, own + 1_000_000, GWP_FINAL, gwp_bytes::text("1")),
            (exec.cancel)(host, 1_000_000),
            (caller.release)(host, 1_000_000),
        ]
    }
}

const fn entry(magic: u32, size: usize, create: Create) -> gwp_entry {
    gwp_entry { magic, size: size as u32, abi_minor: 7, flags: 0, manifest, create }
}

type Create = unsafe extern "C" fn(*const gwp_host, gwp_bytes, *mut gwp_plugin) -> i32;

static BY_HAND: gwp_entry = entry(GWP_MAGIC, size_of::<gwp_entry>() + 8, create);
static REFUSING: gwp_entry = entry(GWP_MAGIC, size_of::<gwp_entry>(), refuse);
static FOREIGN: gwp_entry = entry(0x464c_457f, size_of::<gwp_entry>(), create);
static SHORT: gwp_entry = entry(GWP_MAGIC, size_of::<gwp_entry>() - 8, create);

#[test]
fn an_entry_is_looked_at_before_anything_of_it_runs() {
    assert_eq!(hosting::manifest(&BY_HAND), Ok(MANIFEST));
    assert_eq!(hosting::manifest(&FOREIGN), Err(EntryError::Magic(0x464c_457f)));
    assert_eq!(hosting::manifest(&SHORT), Err(EntryError::Size(24)));
    let why = hosting::manifest(&FOREIGN).unwrap_err().to_string();
    assert!(why.contains("0x464c457f instead of 0x31505747"), "{why}");
}

#[test]
fn a_create_that_says_nothing_is_told_by_its_code() {
    let why = Harness::of_entry(&REFUSING).create_error();
    assert_eq!(why, "create failed with code -1 and no reason");
}

#[test]
fn records_longer_than_known_are_read_as_far_as_they_are_known() {
    let plugin = Harness::of_entry(&BY_HAND).start();
    assert_eq!(plugin.call("hand.wide", json!({})).payload(), json!([GWP_OK, GWP_OK]));
    assert_eq!(plugin.events().len(), 1);
    assert_eq!(plugin.kv_entries(), [("one".into(), "v".into()), ("two".into(), "v".into())]);
}

#[test]
fn wrong_arguments_are_refused_and_harm_nobody() {
    let plugin = Harness::of_entry(&BY_HAND).start();
    // The test itself looks at the findings: the harness would stop at the authority that nobody gave.
    let wrong = plugin.begin("hand.wrong", json!({}));
    plugin.rest();
    assert_eq!(plugin.take_violations(), ["by-hand: gave back an authority that it did not hold"]);
    let codes: Vec<i32> = wrong.wait().parse();
    let gone = codes.iter().position(|code| *code == GWP_GONE).unwrap();
    assert!(codes[..gone].iter().all(|code| *code == GWP_INVALID), "{codes:?}");
    assert!(codes[gone..].iter().all(|code| *code == GWP_GONE), "{codes:?}");
    assert_eq!((gone, codes.len()), (10, 14));
    assert!(plugin.kv_entries().is_empty() && plugin.events().is_empty());
    assert_eq!(plugin.retained(), 0, "an authority that has nowhere to go is not kept");
}

#[test]
fn the_first_final_answer_counts() {
    let plugin = Harness::of_entry(&BY_HAND).start();
    let twice = plugin.begin("hand.twice", json!({}));
    plugin.rest();
    assert_eq!(plugin.take_violations(), ["by-hand: answered a call a second time"]);
    assert_eq!(twice.wait().payload(), 1);
}

#[test]
fn an_answer_that_is_not_json_is_none() {
    let plugin = Harness::of_entry(&BY_HAND).start();
    let broken = plugin.begin("hand.broken", json!({}));
    plugin.rest();
    assert_eq!(plugin.take_violations(), ["by-hand: answered hand.broken with what is not JSON"]);
    assert_eq!(broken.wait().payload(), json!(null));
}

// ---- a host by hand, which offers no extension at all ----

struct Plain;

static PLAIN: LazyLock<Methods<Plain>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("plain.say", &[]), Plain::say)
        .add(Method::operator("plain.wait", &[]), Plain::wait)
});

impl Plugin for Plain {
    fn manifest() -> Manifest {
        Manifest::new("plain", "1.0.0").methods(&PLAIN)
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Plain)
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        PLAIN.dispatch(self, call)
    }
}

impl Plain {
    async fn say(self: Arc<Self>, call: Call, _: NoParams) -> Result<String, MethodError> {
        Ok(format!("{} {}", call.method(), call.idempotency_key().unwrap_or("-")))
    }

    async fn wait(self: Arc<Self>, call: Call, _: NoParams) -> Result<(), MethodError> {
        call.host().sleep(std::time::Duration::from_secs(1)).await;
        Ok(())
    }
}

static REPLIES: Mutex<Vec<(gwp_call, i32, String)>> = Mutex::new(Vec::new());
static FAILURE: Mutex<String> = Mutex::new(String::new());
static DONE: AtomicUsize = AtomicUsize::new(0);
static SEEN_BY_DONE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn host_extension(_: *const gwp_host, _: gwp_bytes) -> *const c_void {
    std::ptr::null()
}

unsafe extern "C" fn host_reply(_: *const gwp_host, call: gwp_call, kind: i32, json: gwp_bytes) -> i32 {
    // SAFETY: lent for this call.
    let text = unsafe { json.str() }.unwrap().to_string();
    REPLIES.lock().unwrap().push((call, kind, text));
    GWP_OK
}

unsafe extern "C" fn host_emit(_: *const gwp_host, _: *const gwp_event) -> i32 {
    GWP_UNSUPPORTED
}

unsafe extern "C" fn host_log(_: *const gwp_host, _: i32, _: gwp_bytes, _: gwp_bytes, _: gwp_bytes) -> i32 {
    GWP_OK
}

unsafe extern "C" fn host_fail(_: *const gwp_host, why: gwp_bytes) {
    // SAFETY: lent for this call.
    *FAILURE.lock().unwrap() = unsafe { why.str() }.unwrap().to_string();
}

unsafe extern "C" fn host_done(user: *mut c_void) {
    SEEN_BY_DONE.store(user, Ordering::SeqCst);
    DONE.fetch_add(1, Ordering::SeqCst);
}

/// The table of a later host: it is read as far as it is known.
struct HostTable(gwp_host);

// SAFETY: nothing in it is ever written.
unsafe impl Sync for HostTable {}

static HOST: HostTable = HostTable(gwp_host {
    size: size_of::<gwp_host>() as u32 + 16,
    abi_minor: 9,
    ctx: std::ptr::null_mut(),
    extension: host_extension,
    reply: host_reply,
    emit: host_emit,
    log: host_log,
    fail: host_fail,
});

static ENTRY: gwp_entry = glue::entry::<Plain>();

fn request(size: usize, call: gwp_call, method: &'static str) -> Longer<gwp_request> {
    let known = gwp_request {
        size: size as u32,
        flags: 1 << 31,
        call,
        conn: 1,
        deadline_ms: 0,
        method: gwp_bytes::text(method),
        params: gwp_bytes::ABSENT,
        idempotency_key: gwp_bytes::text("key"),
        traceparent: gwp_bytes::ABSENT,
    };
    Longer { known, later: [u64::MAX; 3] }
}

#[test]
fn the_glue_serves_a_host_that_offers_nothing() {
    let setup = gwp_bytes::text(r#"{"id":"plain","dataDir":"unused","later":true}"#);
    // SAFETY: every slice, record and table below is readable for as long as it is lent, and the order of calls is that
    // of the interface.
    unsafe {
        assert_eq!(older_table(setup), GWP_UNSUPPORTED);
        assert_eq!(*FAILURE.lock().unwrap(), "this host's plugin table is older than gwp 1");
        let mut plugin = blank_table(size_of::<gwp_plugin>() as u32);
        assert_eq!((ENTRY.create)(&HOST.0, gwp_bytes::text("{"), &mut plugin), GWP_CONFIG);
        assert_eq!((ENTRY.create)(&HOST.0, setup, &mut plugin), GWP_OK);
        let this = plugin.self_;
        assert_eq!((plugin.start)(this), GWP_OK);
        assert!((plugin.extension)(this, gwp_bytes::text("gwp.loglevel/1")).is_null());

        let wide = size_of::<Longer<gwp_request>>();
        let calls = [
            request(wide, 1, "plain.say"),
            request(8, 2, "plain.say"),
            request(wide, 3, "plain.wait"),
            request(wide, 4, "plain.unknown"),
        ];
        calls.iter().for_each(|call| (plugin.call)(this, (&raw const *call).cast()));
        (plugin.cancel)(this, 77, GWP_CANCEL_ASKED);
        (plugin.cancel)(this, 3, 12345);

        let mut mark = 0u8;
        let user: *mut c_void = (&raw mut mark).cast();
        (plugin.quiesce)(this, host_done, user);
        (plugin.stop)(this, host_done, user);
        assert_eq!(DONE.load(Ordering::SeqCst), 2);
        assert_eq!(SEEN_BY_DONE.load(Ordering::SeqCst), user);
        (plugin.destroy)(this);
    }
    let replies = std::mem::take(&mut *REPLIES.lock().unwrap());
    let of = |call: gwp_call| -> Vec<_> { replies.iter().filter(|reply| reply.0 == call).collect() };
    assert_eq!(of(1), [&(1, GWP_FINAL, "\"plain.say key\"".to_string())]);
    assert!(of(2).is_empty(), "a request that is too short to be one has no answer");
    assert_eq!(of(3).len(), 1);
    assert!(of(3)[0].2.contains("METHOD_STOPPED"), "a call that cannot go on is answered for");
    assert!(of(4)[0].2.contains("unknown method: plain.unknown"));
}

fn blank_table(size: u32) -> gwp_plugin {
    gwp_plugin {
        size,
        flags: 0,
        self_: std::ptr::null_mut(),
        start,
        call,
        cancel,
        quiesce: finish,
        stop: finish,
        destroy,
        extension: no_extension,
    }
}

fn older_table(setup: gwp_bytes) -> i32 {
    let mut older = blank_table(64);
    // SAFETY: the table is as long as this major's, and says less.
    let code = unsafe { (ENTRY.create)(&HOST.0, setup, &mut older) };
    assert!(older.self_.is_null(), "nothing was written");
    code
}
