//! One request and its answer, as a handler sees it.

use std::future::poll_fn;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::wire::{Came, Line};
use super::{FORWARDING_HEADERS, Response, WebSocket};
use crate::abi::*;

/// A request that was not answered yet. Let go of unanswered, it is answered with status 500.
pub struct Exchange {
    line: Option<Held>,
    flags: u32,
    body_len: u64,
    verb: String,
    path: String,
    query: Option<String>,
    route: String,
    head: Head,
}

/// What the host says of a request beside verb and path: `head` of [`gwp_http_request`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// Name, in lower case, and value, in the order they were sent.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The client's address; absent where it is local, or cannot be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// `http` or `https`, as the client sees it.
    #[serde(default)]
    pub scheme: String,
    /// What let it in: `gateway`, `capability` or `none`.
    #[serde(default)]
    pub admitted: String,
    /// The path before [`Exchange::path`], with the capability in it: for addresses that are told to this client alone.
    #[serde(default)]
    pub base: String,
    /// The device that the capability was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// The role that the capability was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// The way to answer, which is not lost without a word.
pub(super) struct Held(pub(super) Arc<Line>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl Exchange {
    pub(crate) fn new(line: Arc<Line>, request: &gwp_http_request, texts: [Option<&str>; 5]) -> Self {
        let [verb, path, query, route, head] = texts;
        let text = |text: Option<&str>| text.unwrap_or_default().to_string();
        Exchange {
            line: Some(Held(line)),
            flags: request.flags,
            body_len: request.body_len,
            verb: text(verb),
            path: text(path),
            query: query.filter(|_| !request.query.is_absent()).map(str::to_string),
            route: text(route),
            head: head.and_then(|head| serde_json::from_str(head).ok()).unwrap_or_default(),
        }
    }

    /// `GET`, `POST`, …
    pub fn verb(&self) -> &str {
        &self.verb
    }

    /// The path as it was sent, still percent-encoded, without dot segments; without a capability before it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What lies below the row's path: empty, or beginning with `/`.
    pub fn below(&self) -> &str {
        self.path.strip_prefix(self.route.trim_end_matches('/')).unwrap_or_default()
    }

    /// What follows `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The path of the manifest's row that it came by.
    pub fn route(&self) -> &str {
        &self.route
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// What else the host says of it.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Whether the client is on this machine.
    pub fn is_local(&self) -> bool {
        self.flags & GWP_HTTP_REQ_LOCAL != 0
    }

    /// Whether the client is on this machine with no proxy and no browser in between: what the gateway's own lockouts spare.
    pub fn is_direct(&self) -> bool {
        let is_passed_on = FORWARDING_HEADERS.iter().any(|name| self.header(name).is_some());
        self.is_local() && !is_passed_on && self.header("origin").is_none()
    }

    /// Whether it asks for a WebSocket.
    pub fn wants_upgrade(&self) -> bool {
        self.flags & GWP_HTTP_REQ_UPGRADE != 0
    }

    /// Bytes of the body, if they are known beforehand.
    pub fn body_len(&self) -> Option<u64> {
        (self.body_len != GWP_HTTP_LENGTH_UNKNOWN).then_some(self.body_len)
    }

    /// The next part of the body; `None` at its end.
    pub async fn chunk(&mut self) -> super::Result<Option<Vec<u8>>> {
        if self.flags & GWP_HTTP_REQ_BODY == 0 {
            return Ok(None);
        }
        next_of_body(self.line()).await
    }

    /// The whole body, or what is left of it. The row's `maxBody` bounds it: a client that sends more hears 413 from the
    /// host.
    pub async fn body(&mut self) -> super::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Answers.
    pub async fn respond(mut self, response: Response) -> super::Result {
        let held = self.take();
        held.0.begin(&response, true)?;
        if !response.bytes().is_empty() {
            held.0.write(GWP_HTTP_BODY, response.bytes()).await?;
        }
        held.0.end(0, "")
    }

    /// Begins an answer whose body follows piece by piece, and hands over the rest of the request's body.
    pub fn stream(mut self, response: Response) -> super::Result<(Outgoing, Body)> {
        let held = self.take();
        held.0.begin(&response, false)?;
        let body = Body { line: (self.flags & GWP_HTTP_REQ_BODY != 0).then(|| held.0.clone()) };
        Ok((Outgoing(held), body))
    }

    /// Becomes a WebSocket; a request that did not ask for one is answered with 426.
    pub fn upgrade(self) -> super::Result<WebSocket> {
        self.upgrade_with(Response::status(101))
    }

    /// As [`Exchange::upgrade`], with headers, say a chosen `sec-websocket-protocol`.
    pub fn upgrade_with(mut self, response: Response) -> super::Result<WebSocket> {
        if !self.wants_upgrade() {
            return Err(Response::status(426).into());
        }
        let held = self.take();
        held.0.upgrade(&response.with_status(101))?;
        Ok(WebSocket::new(held))
    }

    fn line(&self) -> &Line {
        &self.line.as_ref().expect("held until answered").0
    }

    fn take(&mut self) -> Held {
        self.line.take().expect("held until answered")
    }
}

async fn next_of_body(line: &Line) -> super::Result<Option<Vec<u8>>> {
    match poll_fn(|context| line.poll_next(context)).await? {
        None => Ok(None),
        Some(Came::Body(bytes) | Came::Text(bytes) | Came::Binary(bytes)) => Ok(Some(bytes)),
    }
}

/// The body of an answer on its way out. Let go of before [`Outgoing::end`], it is cut off, so that the client sees that
/// it is not whole.
pub struct Outgoing(Held);

impl Outgoing {
    /// Writes more, when there is room for it.
    pub async fn write(&mut self, data: &[u8]) -> super::Result {
        self.0.0.write(GWP_HTTP_BODY, data).await
    }

    /// Whether the client has gone.
    pub fn is_closed(&self) -> bool {
        self.0.0.is_closed()
    }

    /// That was all.
    pub fn end(self) -> super::Result {
        self.0.0.end(0, "")
    }
}

/// The rest of a request's body, beside an answer that has begun.
pub struct Body {
    line: Option<Arc<Line>>,
}

impl Body {
    /// The next part; `None` at its end.
    pub async fn chunk(&mut self) -> super::Result<Option<Vec<u8>>> {
        match &self.line {
            Some(line) => next_of_body(line).await,
            None => Ok(None),
        }
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither headers nor query: there may be secrets in both.
        f.debug_struct("Exchange").field("verb", &self.verb).field("route", &self.route).finish_non_exhaustive()
    }
}
