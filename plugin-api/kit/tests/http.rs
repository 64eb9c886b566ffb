//! Over HTTP the harness does as a gateway does.

use std::sync::Arc;

use plugin_api::abi::{GWP_BUSY, GWP_GONE, extension};
use plugin_api::http::{self, Exchange, HttpSpec, Message, Response};
use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};
use plugin_kit::http::{Answer, Ask};
use plugin_kit::{Harness, Running};
use serde_json::{Value, json};

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

/// Answers with the status, headers and body that it is told.
struct Teller;

impl Plugin for Teller {
    fn manifest() -> Manifest {
        Manifest::new("teller", "1.0.0").http(HttpSpec::anyone("/tell").verbs(&["GET", "HEAD"]))
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Teller)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }

    async fn http(self: Arc<Self>, exchange: Exchange) -> http::Result {
        let told = exchange.header("told").unwrap_or_default();
        let (status, headers, body): (u16, Vec<(String, String)>, String) =
            serde_json::from_str(told).map_err(http::Error::failed)?;
        let response = Response::body("text/plain", body).with_status(status);
        let with = |response: Response, (name, value): &(String, String)| response.header(name, value);
        exchange.respond(headers.iter().fold(response, with)).await
    }
}

fn tell(plugin: &Running, verb: &str, status: u16, headers: Value) -> Answer {
    let told = json!([status, headers, "text"]).to_string();
    plugin.http(Ask::new(verb, "/tell").header("told", &told)).wait()
}

#[test]
fn a_head_that_no_gateway_takes_is_refused_and_named() {
    let plugin = Harness::new::<Teller>().start();
    for (status, headers, said) in [
        (99, json!([]), "status 99, which answers nothing"),
        (103, json!([]), "status 103, which answers nothing"),
        (600, json!([]), "status 600, which answers nothing"),
        (101, json!([]), "status 101, though the request asked for no upgrade"),
        (200, json!([["a b", "c"]]), r#"the header name "a b", which is none"#),
        (200, json!([["a", "b\r\nc: d"]]), "a value of the header a that holds control characters"),
        (200, json!([["Connection", "close"]]), "the header connection, which is the host's to write"),
        (200, json!([["content-length", "1"], ["content-length", "2"]]), "two lengths, 1 and 2"),
    ] {
        assert_eq!(tell(&plugin, "GET", status, headers).status, 500, "{said}");
        assert_eq!(plugin.take_violations(), [format!("teller: began an answer with {said}")]);
    }
    let fine = tell(&plugin, "GET", 404, json!([["X-Said", "a"], ["content-length", "4"]]));
    assert_eq!((fine.status, fine.header("x-said"), fine.text().as_str()), (404, Some("a"), "text"));
}

#[test]
fn a_body_is_what_the_peer_would_read_of_it() {
    let plugin = Harness::new::<Teller>().start();
    for (verb, status) in [("GET", 204), ("GET", 304), ("HEAD", 200)] {
        let answer = tell(&plugin, verb, status, json!([]));
        assert_eq!((answer.status, answer.body.len(), answer.whole), (u32::from(status), 0, true), "{verb} {status}");
    }
    for (promised, body, whole) in [("10", "text", false), ("2", "te", true)] {
        let answer = tell(&plugin, "GET", 200, json!([["content-length", promised]]));
        assert_eq!((answer.text().as_str(), answer.whole), (body, whole), "{promised}");
        let said = format!("teller: wrote 4 bytes of a body whose content-length is {promised}");
        assert_eq!(plugin.take_violations(), [said]);
    }
}

#[test]
fn a_host_may_refuse_an_answer_over_http() {
    let plugin = Harness::new::<Teller>().start();
    for code in [GWP_BUSY, GWP_GONE] {
        plugin.refuse(extension::HTTP, code);
        let answer = tell(&plugin, "GET", 200, json!([]));
        assert_eq!((answer.status, answer.whole), (0, false), "{code}");
        plugin.serve_again(extension::HTTP);
        assert_eq!(tell(&plugin, "GET", 200, json!([])).text(), "text");
    }
    let plugin = Harness::new::<Parts>().start();
    plugin.refuse(extension::HTTP, GWP_BUSY);
    assert!(!plugin.http(Ask::post("/parts", "unread")).wait().whole);
}

/// Says what is said to it.
struct Parrot;

impl Plugin for Parrot {
    fn manifest() -> Manifest {
        Manifest::new("parrot", "1.0.0").http(HttpSpec::anyone("/say").upgrade(1024))
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Parrot)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }

    async fn http(self: Arc<Self>, exchange: Exchange) -> http::Result {
        let mut socket = exchange.upgrade()?;
        while let Some(Message::Text(text)) = socket.next().await? {
            socket.text(&text).await?;
        }
        Ok(())
    }
}

#[test]
fn what_a_busy_host_did_not_take_is_written_when_there_is_room() {
    let plugin = Harness::new::<Parrot>().start();
    let socket = plugin.http(Ask::upgrade("/say"));
    socket.upgraded();
    plugin.settle();
    plugin.refuse(extension::HTTP, GWP_BUSY);
    socket.say("again");
    plugin.settle();
    plugin.serve_again(extension::HTTP);
    assert_eq!(socket.message(), Message::Text("again".to_string()));
    socket.hang_up();
}
