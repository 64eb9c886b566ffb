//! Over HTTP the harness does as a gateway does.

use std::sync::Arc;

use plugin_api::http::{self, Exchange, HttpSpec, Message, Response};
use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};
use plugin_kit::Harness;
use plugin_kit::http::Ask;

/// Answers with the lengths of the parts that a body came in.
struct Parts;

impl Plugin for Parts {
    fn manifest() -> Manifest {
        Manifest::new("parts", "1.0.0").http(HttpSpec::anyone("/parts").verbs(&["POST"]).max_body(1024 * 1024))
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Parts)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }

    async fn http(self: Arc<Self>, mut exchange: Exchange) -> http::Result {
        let mut parts = Vec::new();
        while let Some(part) = exchange.chunk().await? {
            parts.push(part.len());
        }
        exchange.respond(Response::json(&parts)).await
    }
}

#[test]
fn a_body_comes_as_far_as_it_was_asked_for() {
    let plugin = Harness::new::<Parts>().start();
    let parts = |bytes: usize| plugin.http(Ask::post("/parts", vec![b'x'; bytes])).wait().text();
    assert_eq!(parts(0), "[]");
    assert_eq!(parts(1000), "[1000]");
    assert_eq!(parts(64 * 1024), "[65536]");
    assert_eq!(parts(150_000), "[65536,65536,18928]");
}

/// Closes a WebSocket with the code that it is told.
struct Closer;

impl Plugin for Closer {
    fn manifest() -> Manifest {
        Manifest::new("closer", "1.0.0").http(HttpSpec::anyone("/close").upgrade(1024))
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Closer)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }

    async fn http(self: Arc<Self>, exchange: Exchange) -> http::Result {
        let mut socket = exchange.upgrade()?;
        let message = socket.next().await?;
        match message {
            Some(Message::Text(code)) => socket.close(code.parse::<u16>().map_err(http::Error::failed)?, "bye"),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_socket_is_closed_though_not_with_a_code_that_is_none() {
    let plugin = Harness::new::<Closer>().start();
    let refused = "closer: closed a WebSocket with code 1005, which none may be closed with";
    for (code, complaints) in [("1005", &[refused][..]), ("4000", &[])] {
        let socket = plugin.http(Ask::upgrade("/close"));
        socket.upgraded();
        socket.say(code);
        assert!(socket.wait().whole, "{code}");
        assert_eq!(plugin.take_violations(), complaints, "{code}");
    }
}
