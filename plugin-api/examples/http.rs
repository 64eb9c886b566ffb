//! A page, a webhook and a WebSocket on the gateway's port. The manifest says which paths, which verbs and who may come;
//! the gateway counts, bounds and times out, so that the handler only answers.

use std::sync::Arc;

use plugin_api::http::{self, Exchange, HttpSpec, Message, Response};
use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};
use plugin_kit::Harness;
use plugin_kit::http::Ask;
use serde_json::json;

struct Door;

impl Plugin for Door {
    fn manifest() -> Manifest {
        Manifest::new("door", "1.0.0")
            .http(HttpSpec::anyone("/door").summary("The page."))
            .http(HttpSpec::gateway("/door/ring").verbs(&["POST"]).max_body(4096).summary("Rings."))
            .http(HttpSpec::capability("/door/talk").upgrade(4096).summary("Says back what it hears."))
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Door)
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }

    async fn http(self: Arc<Self>, mut exchange: Exchange) -> http::Result {
        match exchange.route() {
            "/door/ring" => {
                let body = exchange.body().await?;
                exchange.respond(Response::json(&json!({ "rung": true, "bytes": body.len() }))).await
            }
            "/door/talk" => {
                let mut socket = exchange.upgrade()?;
                while let Some(message) = socket.next().await? {
                    match message {
                        Message::Text(text) => socket.text(&text).await?,
                        Message::Binary(bytes) => socket.binary(&bytes).await?,
                    }
                }
                Ok(())
            }
            _ if exchange.below().is_empty() => exchange.respond(Response::html("<h1>Knock</h1>")).await,
            _ => exchange.respond(Response::status(404)).await,
        }
    }
}

/// Asks it as a client would.
pub fn main() {
    let plugin = Harness::new::<Door>().start();
    let page = plugin.http(Ask::get("/door")).wait();
    assert_eq!((page.status, page.text().as_str()), (200, "<h1>Knock</h1>"));
    assert_eq!(plugin.http(Ask::get("/door/nothing")).wait().status, 404);
    assert_eq!(plugin.http(Ask::post("/door/ring", "hello")).wait().text(), r#"{"bytes":5,"rung":true}"#);
    assert_eq!(plugin.http(Ask::get("/door/talk")).wait().status, 426, "it asks for no WebSocket");
    let talk = plugin.http(Ask::upgrade("/door/talk"));
    talk.upgraded();
    talk.say("who is there?");
    assert_eq!(talk.message(), Message::Text("who is there?".to_string()));
    talk.hang_up();
}
