//! The peer's side of an exchange over HTTP: which row takes the path, whether the peer may come, then the request to the
//! plugin and its answer back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use plugin_api::abi::*;
use plugin_api::http::{Admission, Head};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::arriving::{Arriving, Came};
use super::websocket;
use super::{Body, Exchange, Route, State, Terms, Why};
use crate::authority::Authority;
use crate::capabilities::{self, Bearer};
use crate::doorkeeper::Pending;
use crate::gateway::Gateway;
use crate::http::{text, wrong_verb};
use crate::locality::Peer;
use crate::mailbox::{Asked, Ear, REQUEST};
use crate::own_ports::{self, OwnPort};
use crate::tls::Transport;
use crate::upgrade;

/// The path at which the gateway shows what it counts.
pub const METRICS: &str = "/metrics";
/// Bytes of a path and query that are read at most.
const LONGEST_TARGET: usize = 8 * 1024;

/// A request whose path a plugin serves.
pub struct Claimed {
    route: Arc<Route>,
    /// The path without the capability.
    path: String,
    /// The capability's part of the path.
    base: String,
    secret: Option<String>,
}

/// Why a request goes no further.
pub struct Turned {
    /// The status.
    pub status: StatusCode,
    /// What is said.
    pub text: &'static str,
}

impl Turned {
    fn new(status: StatusCode, text: &'static str) -> Self {
        Turned { status, text }
    }
}

/// Who was let in.
pub enum Admitted {
    /// Nobody asked.
    Unasked,
    /// With the gateway's secret.
    Gateway,
    /// With a capability.
    Bearer(Bearer),
}

/// Whether a plugin serves this path here, on its own port or on the gateway's; an error for paths that nobody should send.
pub fn claim(
    gateway: &Gateway,
    request: &Request<Arriving>,
    here: Option<&OwnPort>,
) -> Result<Option<Claimed>, Turned> {
    let registry = gateway.registry.load();
    let routes = registry.routes();
    if routes.is_empty() {
        return Ok(None);
    }
    let sent = request.uri().path();
    let (secret, path) = match capabilities::split(sent) {
        Some((secret, path)) => (Some(secret.to_string()), path),
        None => (None, sent),
    };
    // Who takes whatever nobody else does takes no addresses that were made for others, no verbs that it has no answer to, and
    // not the gateway's own path: those are as unknown as they were without it.
    let own = path == METRICS && gateway.config.gateway.metrics.enabled;
    let fits = |route: &&Arc<Route>| {
        let shown = secret.is_none() || route.spec.admit == Admission::Capability;
        // Of the table as it is now: the port outlives the instance that it was opened for.
        own_ports::is_served(&route.plugin, here)
            && (!route.spec.prefix().is_empty() || (shown && !own && route.takes(request.method())))
    };
    let Some(route) = routes.find(path).filter(fits).cloned() else {
        return match secret {
            Some(_) => Err(Turned::new(StatusCode::NOT_FOUND, "Not Found")),
            None => Ok(None),
        };
    };
    let long = request.uri().path_and_query().is_some_and(|target| target.as_str().len() > LONGEST_TARGET);
    if long {
        return Err(Turned::new(StatusCode::URI_TOO_LONG, "URI Too Long"));
    }
    if !is_plain(path) {
        return Err(Turned::new(StatusCode::BAD_REQUEST, "the path has dot segments, empty segments or backslashes"));
    }
    let base = secret.as_ref().map(|secret| format!("{}{secret}", capabilities::PREFIX)).unwrap_or_default();
    Ok(Some(Claimed { route, path: path.to_string(), base, secret }))
}

/// Whether a path has nothing in it that one program reads as another place than the next one does.
fn is_plain(path: &str) -> bool {
    let segments = path[1.min(path.len())..].split('/').collect::<Vec<_>>();
    let last = segments.len() - 1;
    let fits = |(place, segment): (usize, &&str)| {
        let bare = segment.to_ascii_lowercase().replace("%2e", ".");
        let empty = segment.is_empty() && place != last;
        !empty && bare != "." && bare != ".." && !bare.contains('\\') && !bare.contains("%5c") && !bare.contains("%00")
    };
    path.starts_with('/') && segments.iter().enumerate().all(fits)
}

impl Claimed {
    /// Counts a request that there was no room for: it is answered in the plugin's place.
    pub fn had_no_room(&self) {
        self.route.requests.increment(1);
        self.route.failures.increment(1);
    }

    /// Whether upgrades to this path are the plugin's affair, also if it takes none.
    pub fn has_upgrades(&self) -> bool {
        self.route.spec.upgrade || self.secret.is_some()
    }

    /// Whether a request with these headers asks the plugin for a WebSocket.
    pub fn is_asked_to_upgrade(&self, headers: &HeaderMap) -> bool {
        self.route.spec.upgrade && upgrade::is_asked_for(headers)
    }

    /// Checks verb, and who comes. `shows_secret` tells whether the peer shows the gateway's secret; it is asked only where
    /// that matters, since a wrong one counts.
    pub fn admit(
        &self,
        gateway: &Gateway,
        verb: &Method,
        shows_secret: impl FnOnce() -> Result<(), Box<Response<Body>>>,
    ) -> Result<Admitted, Box<Response<Body>>> {
        let spec = &self.route.spec;
        if !self.route.takes(verb) {
            return Err(Box::new(wrong_verb(&spec.verbs.join(", "))));
        }
        if let Some(secret) = &self.secret {
            let bearer = gateway.capabilities.bearer(secret, schemas::now_ms());
            let unknown = "this address is not, or no longer, good; the gateway tells a new one with every connection";
            let bearer = bearer.ok_or_else(|| Box::new(answer(Turned::new(StatusCode::UNAUTHORIZED, unknown))))?;
            if spec.admit != Admission::Gateway {
                return Ok(Admitted::Bearer(bearer));
            }
        }
        match spec.admit {
            Admission::Anyone | Admission::Plugin => Ok(Admitted::Unasked),
            Admission::Gateway | Admission::Capability => shows_secret().map(|()| Admitted::Gateway),
        }
    }

    /// Hands the request to the plugin, and waits for its answer. `granting` is what grants the upgrade that it asks for, if it
    /// does.
    pub async fn serve(
        self,
        gateway: &Arc<Gateway>,
        request: Request<Arriving>,
        peer: &Peer,
        admitted: Admitted,
        granting: Option<Response<Body>>,
        place: Pending,
    ) -> Served {
        let failures = self.route.failures.clone();
        let served = self.answered(gateway, request, peer, admitted, granting, place).await;
        if let Served::Answer(answer) | Served::Stream(_, answer) = &served
            && answer.status().is_server_error()
        {
            failures.increment(1);
        }
        served
    }

    async fn answered(
        self,
        gateway: &Arc<Gateway>,
        request: Request<Arriving>,
        peer: &Peer,
        admitted: Admitted,
        granting: Option<Response<Body>>,
        place: Pending,
    ) -> Served {
        let (spec, upgrade) = (&self.route.spec, granting.is_some());
        let max_body = spec.max_body.min(gateway.limits().max_http_body_bytes as u64);
        let (parts, body) = request.into_parts();
        let length = body.length();
        if !upgrade && length.is_some_and(|length| length > max_body) {
            gateway.metrics.limit_hit("max_http_body_bytes");
            return Served::Answer(answer(Turned::new(StatusCode::PAYLOAD_TOO_LARGE, "payload too large")));
        }
        let has_body = !upgrade && !body.is_over();
        let authority = match &admitted {
            Admitted::Bearer(bearer) => Some(bearer.authority.clone()),
            Admitted::Unasked | Admitted::Gateway => None,
        };
        let asked = self.asked(gateway, &parts, peer, admitted, upgrade, has_body.then_some(length));
        let terms = Terms {
            buffered: gateway.limits().max_http_buffered_bytes,
            largest: gateway.limits().max_outbound_bytes,
            upgrade,
            bodiless: parts.method == Method::HEAD,
        };
        let Some(exchange) = open(gateway, &self.route, asked, (terms, authority), place) else {
            return Served::Answer(answer(Turned::new(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")));
        };
        self.route.requests.increment(1);
        let waiting = Waiting(Some(exchange.clone()));
        if has_body {
            gateway.runtime.spawn(pump(exchange.clone(), body, max_body, stall(gateway)));
        }
        let patience = match self.route.spec.timeout_ms.unwrap_or(gateway.limits().method_timeout_ms) {
            0 => Duration::MAX,
            ms => Duration::from_millis(ms),
        };
        let head = match timeout(patience, exchange.head()).await {
            Ok(head) => head,
            Err(_) => {
                exchange.cut(Why::Timeout);
                return Served::Answer(answer(Turned::new(StatusCode::GATEWAY_TIMEOUT, "Gateway Timeout")));
            }
        };
        let Some((status, headers)) = head else {
            let refused = exchange.lock().refused;
            return Served::Answer(answer(Turned::new(refused.unwrap_or(StatusCode::SERVICE_UNAVAILABLE), "")));
        };
        waiting.over();
        if let Some(mut granting) = granting.filter(|_| status == StatusCode::SWITCHING_PROTOCOLS) {
            let limits = gateway.limits();
            let terms = websocket::Terms {
                max_message: max_body as usize,
                largest_sent: limits.max_outbound_bytes,
                stall: stall(gateway),
                ping: Duration::from_millis(limits.tick_interval_ms),
                grace: Duration::from_millis(limits.close_grace_ms),
            };
            let own = std::mem::replace(granting.headers_mut(), headers);
            granting.headers_mut().extend(own);
            return Served::Upgrade(Box::new(Accepted { exchange, terms }), granting);
        }
        let promised = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let mut response = Response::new(Body::streamed(exchange.clone(), promised));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Served::Stream(exchange, response)
    }

    /// What the plugin hears. `body`: its length, if one follows.
    fn asked(
        &self,
        gateway: &Gateway,
        parts: &hyper::http::request::Parts,
        peer: &Peer,
        admitted: Admitted,
        upgrade: bool,
        body: Option<Option<u64>>,
    ) -> Asked {
        let mut head = Head {
            headers: parts
                .headers
                .iter()
                .filter(|(name, _)| **name != header::AUTHORIZATION || self.is_own_check())
                .map(|(name, value)| {
                    (name.as_str().to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect(),
            ip: peer.reported_ip.clone(),
            scheme: scheme(gateway, peer).to_string(),
            admitted: "none".to_string(),
            base: self.base.clone(),
            ..Head::default()
        };
        match admitted {
            Admitted::Unasked => {}
            Admitted::Gateway => head.admitted = "gateway".to_string(),
            Admitted::Bearer(bearer) => {
                head.admitted = "capability".to_string();
                (head.device_id, head.role) = (bearer.device_id, Some(bearer.role));
            }
        }
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        Asked {
            exchange: gateway.calls.next_number(),
            flags: flag(peer.local, GWP_HTTP_REQ_LOCAL)
                | flag(upgrade, GWP_HTTP_REQ_UPGRADE)
                | flag(body.is_some(), GWP_HTTP_REQ_BODY),
            body_len: body.map_or(0, |length| length.unwrap_or(GWP_HTTP_LENGTH_UNKNOWN)),
            verb: parts.method.as_str().to_string(),
            path: self.path.clone(),
            query: parts.uri.query().map(str::to_string),
            route: self.route.spec.path.clone(),
            head: serde_json::to_string(&head).unwrap_or_default(),
        }
    }

    /// Whether the plugin looks at credentials itself; from others the gateway's own are kept.
    fn is_own_check(&self) -> bool {
        self.route.spec.admit == Admission::Plugin
    }
}

/// How a request goes on.
pub enum Served {
    /// With an answer of the host's own.
    Answer(Response<Body>),
    /// With the plugin's answer.
    Stream(Arc<Exchange>, Response<Body>),
    /// As a WebSocket, with the answer that grants it.
    Upgrade(Box<Accepted>, Response<Body>),
}

/// An upgrade that a plugin has taken.
pub struct Accepted {
    exchange: Arc<Exchange>,
    terms: websocket::Terms,
}

impl Accepted {
    /// Runs the socket to its end. `read_ahead` was read of it beyond the upgrade.
    pub async fn run(self, stream: Transport, read_ahead: Vec<u8>) {
        websocket::run(self.exchange, stream, read_ahead, self.terms).await;
    }

    /// It came to nothing.
    pub fn give_up(&self) {
        self.exchange.close(Why::Peer);
    }
}

/// An exchange whose answer has not begun: if the peer goes meanwhile, it is over.
struct Waiting(Option<Arc<Exchange>>);

impl Waiting {
    fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(exchange) = &self.0 {
            exchange.close(Why::Peer);
        }
    }
}

/// Begins an exchange: its plugin hears of it.
fn open(
    gateway: &Arc<Gateway>,
    route: &Route,
    asked: Asked,
    (terms, authority): (Terms, Option<Arc<Authority>>),
    place: Pending,
) -> Option<Arc<Exchange>> {
    let plugin = &route.plugin;
    if plugin.has_failed() || !plugin.serves_http() {
        return None;
    }
    let number = asked.exchange;
    let mailbox = gateway.plugin_books.mailbox_of(Ear::Exchange(Box::new(asked)), plugin);
    let exchange = Arc::new(Exchange {
        number,
        instance: plugin.number,
        mailbox,
        gateway: Arc::downgrade(gateway),
        terms,
        authority,
        state: Mutex::new(State { place: Some(place), ..State::default() }),
        begun: Notify::new(),
        asked: Notify::new(),
    });
    gateway.exchanges.insert(&exchange);
    // In this order: whoever stops the instance sees the exchange, or this sees that it is stopped.
    if plugin.is_retired() || exchange.authority.as_ref().is_some_and(|authority| authority.is_revoked()) {
        exchange.close(Why::Stop);
        return None;
    }
    let _ = exchange.mailbox.hand(REQUEST, Bytes::new().into());
    Some(exchange)
}

/// Hands over the body as the plugin asks for it.
async fn pump(exchange: Arc<Exchange>, mut body: Arriving, max_body: u64, stall: Duration) {
    let mut came = 0;
    let mut ahead = None;
    while exchange.wanted().await {
        let next = match ahead.take() {
            Some(next) => next,
            None => match timeout(stall, body.more()).await {
                Ok(next) => next,
                Err(_) => return refuse(&exchange, "http_stall_ms", StatusCode::REQUEST_TIMEOUT),
            },
        };
        let data = match next {
            None => return exchange.hand(GWP_HTTP_END, Bytes::new()).await,
            Some(Err(_)) => return exchange.close(Why::Peer),
            Some(Ok(data)) => data,
        };
        came += data.len() as u64;
        if came > max_body {
            return refuse(&exchange, "max_http_body_bytes", StatusCode::PAYLOAD_TOO_LARGE);
        }
        hand_in_parts(&exchange, data).await;
        ahead = look_ahead(&exchange, &mut body).await;
        if let Some(None) = ahead {
            return exchange.hand(GWP_HTTP_END, Bytes::new()).await;
        }
    }
}

/// Hands over no more at once than the plugin lets come.
async fn hand_in_parts(exchange: &Exchange, mut data: Bytes) {
    while !data.is_empty() && exchange.wanted().await {
        let part = data.split_to(exchange.allowed(data.len()));
        exchange.hand(GWP_HTTP_BODY, part).await;
    }
}

/// What comes while the plugin lets nothing come: it hears of the end without having asked for more, and of anything else
/// later. `None` if it asks before something comes.
async fn look_ahead(exchange: &Exchange, body: &mut Arriving) -> Option<Came> {
    if exchange.may_come() {
        return None;
    }
    tokio::select! {
        next = body.more() => Some(next),
        _ = exchange.wanted() => None,
    }
}

/// The peer broke this limit.
fn refuse(exchange: &Exchange, limit: &'static str, status: StatusCode) {
    if let Some(gateway) = exchange.gateway.upgrade() {
        gateway.metrics.limit_hit(limit);
    }
    exchange.refuse(status);
}

fn stall(gateway: &Gateway) -> Duration {
    Duration::from_millis(gateway.limits().http_stall_ms)
}

/// How the peer sees the gateway: over TLS, its own or a proxy's, or not.
pub fn scheme(gateway: &Gateway, peer: &Peer) -> &'static str {
    if gateway.tls.is_some() || peer.forwarded_proto_https { "https" } else { "http" }
}

/// An answer of the host's own.
pub fn answer(turned: Turned) -> Response<Body> {
    let said = match turned.text {
        "" => turned.status.canonical_reason().unwrap_or_default(),
        said => said,
    };
    text(turned.status, said)
}
