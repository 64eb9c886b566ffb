//! The plugin that answers HTTP in every way there is, and in some that there should not be. `tests/examples/wires.rs` is
//! the same as a library.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plugin_api::http::{self, Exchange, HttpSpec, Message, Response};
use plugin_api::{Call, CreateError, Host, Manifest, Plugin, Reply, Setup};
use serde_json::json;
use tokio::sync::watch;

/// The plugin.
pub struct Wires {
    host: Host,
    /// What came to an end, by name.
    ends: Arc<watch::Sender<Vec<String>>>,
    /// Answers that somebody else gives.
    left: Mutex<Vec<Exchange>>,
}

/// Says in the end how it ended.
struct End(Arc<watch::Sender<Vec<String>>>, String);

impl Drop for End {
    fn drop(&mut self) {
        self.0.send_modify(|ends| ends.push(std::mem::take(&mut self.1)));
    }
}

impl Plugin for Wires {
    fn manifest() -> Manifest {
        Manifest::new("wires", "1.0.0")
            .http(HttpSpec::anyone("/wires").verbs(&["GET", "HEAD", "POST"]).max_body(1024 * 1024))
            .http(HttpSpec::anyone("/wires/slow").timeout_ms(150))
            .http(HttpSpec::anyone("/wires/ws").upgrade(4096))
            .http(HttpSpec::gateway("/wires/secret"))
            .http(HttpSpec::own_check("/wires/own"))
            .http(HttpSpec::capability("/wires/shown").surface("wires"))
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Wires { host, ends: Arc::default(), left: Mutex::default() })
    }

    async fn call(self: Arc<Self>, call: Call) -> Reply {
        Reply::unknown_method(call.method())
    }

    async fn http(self: Arc<Self>, mut exchange: Exchange) -> http::Result {
        let what = exchange.path().trim_start_matches("/wires").trim_start_matches('/').to_string();
        match what.split('/').next().unwrap_or_default() {
            "ws" if exchange.query() == Some("pair") => self.pair(exchange).await,
            "ws" => self.talk(exchange).await,
            "bare" => self.bare(exchange).await,
            "echo" => echo(exchange).await,
            "count" => {
                let body = exchange.body().await?;
                exchange.respond(Response::json(&json!({ "bytes": body.len() }))).await
            }
            "flood" => self.flood(exchange).await,
            "slow" | "hold" => {
                let _end = End(self.ends.clone(), what);
                std::future::pending().await
            }
            "left" => {
                self.left.lock().unwrap().push(exchange);
                Ok(())
            }
            "finish" => {
                let left = std::mem::take(&mut *self.left.lock().unwrap());
                let count = left.len();
                for exchange in left {
                    exchange.respond(Response::text("late, but whole")).await?;
                }
                exchange.respond(Response::json(&count)).await
            }
            "drop" => Ok(()),
            "panic" => panic!("as it was asked to"),
            "fail" => Err(http::Error::failed("as it was asked to")),
            "teapot" => Err(Response::text("short and stout").with_status(418).into()),
            "cut" => {
                let (mut out, _) = exchange.stream(Response::begin("text/plain").header("content-length", "10"))?;
                out.write(b"abc").await?;
                // Let go of before its end.
                Ok(())
            }
            "forbidden" => exchange.respond(Response::text("x").header("connection", "upgrade")).await,
            "ended" => {
                let mut ends = self.ends.subscribe();
                let wanted = exchange.query().unwrap_or_default().to_string();
                let ended = ends.wait_for(|ends| ends.contains(&wanted)).await.is_ok();
                exchange.respond(Response::json(&ended)).await
            }
            _ => {
                let head = exchange.head().clone();
                let fact = json!({
                    "verb": exchange.verb(), "path": exchange.path(), "below": exchange.below(),
                    "query": exchange.query(), "route": exchange.route(), "test": exchange.header("X-Test"),
                    "authorization": exchange.header("authorization"), "admitted": head.admitted, "base": head.base,
                    "scheme": head.scheme, "role": head.role, "deviceId": head.device_id, "local": exchange.is_local(),
                });
                exchange.respond(Response::json(&fact)).await
            }
        }
    }
}

/// Gives back what comes, as it comes.
async fn echo(exchange: Exchange) -> http::Result {
    let (mut out, mut body) = exchange.stream(Response::begin("application/octet-stream"))?;
    while let Some(chunk) = body.chunk().await? {
        out.write(&chunk).await?;
    }
    out.end()
}

impl Wires {
    /// Writes without end; says how much was taken before the client went.
    async fn flood(self: Arc<Self>, exchange: Exchange) -> http::Result {
        let _end = End(self.ends.clone(), "flood".to_string());
        let (mut out, _) = exchange.stream(Response::begin("application/octet-stream"))?;
        let mut written = 0_u64;
        loop {
            out.write(&[b'x'; 16 * 1024]).await?;
            written += 1;
            self.host.log(4, &format!("flooded {written}"));
            self.ends.send_modify(|ends| ends.push(format!("flooded-{written}")));
        }
    }

    /// Answers with a status that has no body, and comes to the end when the client has had its answer.
    async fn bare(self: Arc<Self>, exchange: Exchange) -> http::Result {
        let status = exchange.query().and_then(|status| status.parse::<u16>().ok()).unwrap_or(204);
        let mut end = End(self.ends.clone(), format!("cut-{status}"));
        let (out, _) = exchange.stream(Response::status(status))?;
        self.host.sleep(Duration::from_millis(100)).await;
        out.end()?;
        end.1 = format!("bare-{status}");
        Ok(())
    }

    /// Two that write at once, each more than there is room for.
    async fn pair(self: Arc<Self>, exchange: Exchange) -> http::Result {
        let socket = Arc::new(exchange.upgrade()?);
        socket.text("hello").await?;
        for writer in 0..2 {
            let (socket, ends) = (socket.clone(), self.ends.clone());
            self.host.spawn(async move {
                for _ in 0..64 {
                    if socket.binary(&[b'x'; 16 * 1024]).await.is_err() {
                        return;
                    }
                }
                ends.send_modify(|ends| ends.push(format!("wrote-{writer}")));
            });
        }
        Ok(())
    }

    async fn talk(self: Arc<Self>, exchange: Exchange) -> http::Result {
        let _end = End(self.ends.clone(), format!("ws-{}", exchange.query().unwrap_or_default()));
        let mut socket = exchange.upgrade()?;
        socket.text("hello").await?;
        while let Some(message) = socket.next().await? {
            match message {
                Message::Text(text) if text == "bye" => return socket.close(4001, "as you wish"),
                Message::Text(text) if text == "panic" => panic!("as it was asked to"),
                Message::Text(text) => socket.text(&text).await?,
                Message::Binary(bytes) => socket.binary(&bytes).await?,
            }
        }
        Ok(())
    }
}
