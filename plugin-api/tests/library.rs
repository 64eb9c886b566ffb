//! A plugin in a library has a panic hook and a log of its own, which lead to the host of an instance that lives.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::{Arc, Mutex};

use plugin_api::abi::*;
use plugin_api::glue;
use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};

/// Cannot be made if it is told so, and panics when it is asked.
struct Leaky;

impl Plugin for Leaky {
    fn manifest() -> Manifest {
        Manifest::new("leaky", "1.0.0")
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: serde_json::Value = setup.config()?;
        if config["fails"] == true { Err(CreateError::new("not today")) } else { Ok(Leaky) }
    }

    async fn call(self: Arc<Self>, _: Call) -> Reply {
        panic!("the roof leaks")
    }
}

/// As `dylib!` makes it.
static ENTRY: gwp_entry = glue::entry_in::<Leaky, glue::runtime::HostThreads, glue::home::Library>();

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

type Log = unsafe extern "C" fn(*const gwp_host, i32, gwp_bytes, gwp_bytes, gwp_bytes) -> i32;

unsafe extern "C" fn log(_: *const gwp_host, _: i32, _: gwp_bytes, message: gwp_bytes, _: gwp_bytes) -> i32 {
    // SAFETY: lent for this call.
    LINES.lock().unwrap().push(unsafe { message.str() }.unwrap().to_string());
    GWP_OK
}

unsafe extern "C" fn gone(_: *const gwp_host, _: i32, _: gwp_bytes, _: gwp_bytes, _: gwp_bytes) -> i32 {
    GWP_GONE
}

unsafe extern "C" fn extension(_: *const gwp_host, _: gwp_bytes) -> *const c_void {
    std::ptr::null()
}

unsafe extern "C" fn reply(_: *const gwp_host, _: gwp_call, _: i32, _: gwp_bytes) -> i32 {
    GWP_OK
}

unsafe extern "C" fn emit(_: *const gwp_host, _: *const gwp_event) -> i32 {
    GWP_UNSUPPORTED
}

unsafe extern "C" fn fail(_: *const gwp_host, _: gwp_bytes) {}

struct HostTable(gwp_host);

// SAFETY: nothing in it is ever written.
unsafe impl Sync for HostTable {}

const fn host(log: Log) -> HostTable {
    HostTable(gwp_host {
        size: size_of::<gwp_host>() as u32,
        abi_minor: GWP_ABI_MINOR,
        ctx: std::ptr::null_mut(),
        extension,
        reply,
        emit,
        log,
        fail,
    })
}

/// Of the instance that runs.
static LIVING: HostTable = host(log);
/// Of the instance that comes to nothing.
static GONE: HostTable = host(gone);

unsafe extern "C" fn start(_: *mut c_void) -> i32 {
    GWP_OK
}

unsafe extern "C" fn call(_: *mut c_void, _: *const gwp_request) {}

unsafe extern "C" fn cancel(_: *mut c_void, _: gwp_call, _: i32) {}

unsafe extern "C" fn finish(_: *mut c_void, _: gwp_fn, _: *mut c_void) {}

unsafe extern "C" fn destroy(_: *mut c_void) {}

unsafe extern "C" fn no_table(_: *mut c_void, _: gwp_bytes) -> *const c_void {
    std::ptr::null()
}

fn make(host: &'static HostTable, config: &str) -> Result<gwp_plugin, i32> {
    let setup = format!(r#"{{"id":"leaky","dataDir":"unused","config":{config}}}"#);
    let mut plugin = gwp_plugin {
        size: size_of::<gwp_plugin>() as u32,
        flags: 0,
        self_: std::ptr::null_mut(),
        start,
        call,
        cancel,
        quiesce: finish,
        stop: finish,
        destroy,
        extension: no_table,
    };
    // SAFETY: the tables live for ever, the setup outlives the call, and the place says its size.
    match unsafe { (ENTRY.create)(&host.0, gwp_bytes::text(&setup), &mut plugin) } {
        GWP_OK => Ok(plugin),
        code => Err(code),
    }
}

unsafe extern "C" fn done(_: *mut c_void) {}

#[test]
fn an_instance_that_could_not_be_made_takes_no_lines_of_one_that_runs_on() {
    let running = make(&LIVING, "{}").expect("an instance");
    assert_eq!(make(&GONE, r#"{"fails":true}"#).err(), Some(GWP_CONFIG));
    let request = gwp_request {
        size: size_of::<gwp_request>() as u32,
        flags: 0,
        call: 1,
        conn: 1,
        deadline_ms: 0,
        method: gwp_bytes::text("leaky.ask"),
        params: gwp_bytes::text("{}"),
        idempotency_key: gwp_bytes::ABSENT,
        traceparent: gwp_bytes::ABSENT,
    };
    // SAFETY: the request outlives the call, and the order of calls is that of the interface.
    unsafe {
        (running.call)(running.self_, &request);
        (running.stop)(running.self_, done, std::ptr::null_mut());
        (running.destroy)(running.self_);
    }
    let lines = std::mem::take(&mut *LINES.lock().unwrap());
    // The hook knows the place, and nobody else does.
    assert!(lines.iter().any(|line| line.starts_with("the roof leaks at ")), "{lines:?}");
}
