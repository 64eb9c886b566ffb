//! The gateway as abilities see it: where its canvas is, and who is told what happens here.

use std::sync::{Arc, Mutex, PoisonError};

use client::Hello;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::ability::Refusal;

/// News that may wait for the connection; more than that is dropped.
const WAITING: usize = 256;

/// What an ability holds. Clones are the same.
#[derive(Debug, Clone)]
pub struct Gateway {
    canvas: Arc<Mutex<Option<String>>>,
    news: mpsc::Sender<News>,
    renewals: mpsc::Sender<Renewal>,
}

/// What the session reads, to pass it on.
pub struct Line {
    /// Something happened.
    pub news: mpsc::Receiver<News>,
    /// The canvas's address has ended.
    pub renewals: mpsc::Receiver<Renewal>,
}

/// Somebody waits for a fresh address of the canvas: it is told here once [`Gateway::at`] has it, or why there is none.
pub type Renewal = oneshot::Sender<Result<(), String>>;

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
        let (news, news_line) = mpsc::channel(WAITING);
        // The canvas does one thing at a time.
        let (renewals, renewals_line) = mpsc::channel(1);
        let line = Line { news: news_line, renewals: renewals_line };
        (Gateway { canvas: Arc::default(), news, renewals }, line)
    }

    /// Where its canvas is, without a slash at the end. It may hold a secret.
    pub fn canvas(&self) -> Option<String> {
        self.canvas.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where its canvas is when it is no longer at this address: what is known by now, or what the gateway says when it is asked.
    pub async fn renewed(&self, ended: &str) -> Result<String, Refusal> {
        let known = || self.canvas().filter(|canvas| canvas != ended);
        if let Some(canvas) = known() {
            return Ok(canvas);
        }
        let none = |why: &str| Refusal::unavailable(format!("the canvas's address has ended, and {why}"));
        let (told, hears) = oneshot::channel();
        let asked = self.renewals.send(told).await.is_ok();
        match hears.await {
            Ok(Ok(())) => known().ok_or_else(|| none("the gateway gave no other one")),
            Ok(Err(why)) => Err(none(&format!("the gateway gave no other one: {why}"))),
            Err(_) if asked => Err(none("the node stops")),
            Err(_) => Err(none("there is no connection to ask for another one")),
        }
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

/// The canvas's address in a `hello-ok` or in the answer to who asked for a fresh one; protocol 3 and 4 have a key of their
/// own each.
pub fn canvas_of(said: &str) -> Option<String> {
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
    let places: Places = serde_json::from_str(said).ok()?;
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
    async fn an_address_that_has_ended_is_asked_for_anew_unless_another_is_known() {
        let (gateway, mut line) = Gateway::new();
        gateway.at(Some("http://box/2".into()));
        assert_eq!(gateway.renewed("http://box/1").await.unwrap(), "http://box/2", "nobody has to be asked");

        let session = async {
            let told = line.renewals.recv().await.unwrap();
            gateway.at(Some("http://box/3".into()));
            told.send(Ok(())).unwrap();
            line.renewals.recv().await.unwrap().send(Ok(())).unwrap();
            line.renewals.recv().await.unwrap().send(Err("unknown method".into())).unwrap();
        };
        let canvas = async {
            assert_eq!(gateway.renewed("http://box/2").await.unwrap(), "http://box/3");
            let same = gateway.renewed("http://box/3").await.unwrap_err();
            assert!(same.message.ends_with("gave no other one"), "{same:?}");
            let refused = gateway.renewed("http://box/3").await.unwrap_err();
            assert!(refused.message.ends_with("unknown method"), "{refused:?}");
        };
        tokio::join!(session, canvas);
        drop(line);
        let alone = gateway.renewed("http://box/3").await.unwrap_err();
        assert!(alone.message.contains("no connection"), "{alone:?}");
    }

    #[tokio::test]
    async fn news_wait_in_their_order_and_not_without_end() {
        let (gateway, mut line) = Gateway::new();
        for number in 0..=WAITING {
            gateway.tell("exec.started", json!(number));
        }
        drop(gateway);
        let mut heard = Vec::new();
        while let Some(news) = line.news.recv().await {
            heard.push(news.payload);
        }
        assert_eq!(heard, (0..WAITING).map(|number| json!(number)).collect::<Vec<_>>());
    }
}
