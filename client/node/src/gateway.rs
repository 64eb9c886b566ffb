//! The gateway as abilities see it: where its canvas is, and who is told what happens here.

use std::sync::{Arc, Mutex, PoisonError};

use client::Hello;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

/// News that may wait for the connection; more than that is dropped.
const WAITING: usize = 256;

/// What an ability holds. Clones are the same.
#[derive(Debug, Clone)]
pub struct Gateway {
    canvas: Arc<Mutex<Option<String>>>,
    news: mpsc::Sender<News>,
}

/// What the session reads, to send it.
pub type Line = mpsc::Receiver<News>;

/// Something that happened on this node, for `node.event`.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// Its name.
    pub event: &'static str,
    /// What there is to say.
    pub payload: Value,
}

impl Gateway {
    /// One that was not reached yet, and what is to be sent to it.
    pub fn new() -> (Self, Line) {
        let (news, line) = mpsc::channel(WAITING);
        (Gateway { canvas: Arc::default(), news }, line)
    }

    /// Where its canvas is, without a slash at the end. It may hold a secret.
    pub fn canvas(&self) -> Option<String> {
        self.canvas.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells it something, without waiting for anything.
    pub fn tell(&self, event: &'static str, payload: Value) {
        if self.news.try_send(News { event, payload }).is_err() {
            tracing::warn!(event, "news for the gateway is dropped; too much waits already");
        }
    }

    /// Remembers what it said when it let this node in.
    pub fn joined(&self, hello: &Hello) {
        self.at(canvas_of(hello.raw().get()));
    }

    /// Remembers where its canvas is.
    pub fn at(&self, canvas: Option<String>) {
        *self.canvas.lock().unwrap_or_else(PoisonError::into_inner) = canvas;
    }
}

/// The canvas's address in a `hello-ok`; protocol 3 and 4 have a key of their own each.
fn canvas_of(hello: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Places {
        #[serde(default)]
        canvas_host_url: Option<String>,
        #[serde(default)]
        plugin_surface_urls: Option<Surfaces>,
    }
    #[derive(Deserialize)]
    struct Surfaces {
        #[serde(default)]
        canvas: Option<String>,
    }
    let places: Places = serde_json::from_str(hello).ok()?;
    let url = places.plugin_surface_urls.and_then(|surfaces| surfaces.canvas).or(places.canvas_host_url)?;
    let url = url.trim().trim_end_matches('/');
    (url.starts_with("http://") || url.starts_with("https://")).then(|| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_canvas_is_where_either_protocol_says() {
        for (hello, expected) in [
            (json!({ "canvasHostUrl": "http://box:18789/" }), Some("http://box:18789")),
            (
                json!({ "pluginSurfaceUrls": { "canvas": "https://box/__openclaw__/cap/t" } }),
                Some("https://box/__openclaw__/cap/t"),
            ),
            (json!({ "pluginSurfaceUrls": {} }), None),
            (json!({ "canvasHostUrl": "file:///etc" }), None),
            (json!({}), None),
        ] {
            assert_eq!(canvas_of(&hello.to_string()).as_deref(), expected, "{hello}");
        }
    }

    #[tokio::test]
    async fn news_wait_in_their_order_and_not_without_end() {
        let (gateway, mut line) = Gateway::new();
        for number in 0..=WAITING {
            gateway.tell("exec.started", json!(number));
        }
        drop(gateway);
        let mut heard = Vec::new();
        while let Some(news) = line.recv().await {
            heard.push(news.payload);
        }
        assert_eq!(heard, (0..WAITING).map(|number| json!(number)).collect::<Vec<_>>());
    }
}
