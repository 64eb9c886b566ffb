//! What is on the port before it is a WebSocket: accept, the request's head, Host and Origin, the upgrade. And the few
//! plain requests the host answers itself.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1::{Builder, Parts};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use schemas::connect::Credentials;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::auth::{self, BearerRefused};
use crate::connection::{self, Upgraded};
use crate::doorkeeper::{Open, Pending, Sender};
use crate::doors;
use crate::doorway::{Doorway, Holding};
use crate::exchange::serve::{self, Accepted, Claimed, Served};
use crate::exchange::{Arriving, Body, Exchange, Rest};
use crate::failures::Guesser;
use crate::gateway::Gateway;
use crate::lingering::{self, Patience};
use crate::listener::Listener;
use crate::locality::Peer;
use crate::metrics;
use crate::own_ports::OwnPort;
use crate::socket::Stream as _;
use crate::tailscale::Claim;
use crate::tls::Transport;
use crate::upgrade;

/// Accepts sockets until the gateway stops or the port is closed.
pub async fn accept(gateway: Arc<Gateway>, listener: Arc<Listener>) {
    /// How long to wait when the system has no descriptors left.
    const EXHAUSTED: Duration = Duration::from_millis(100);
    let mut stopping = gateway.stopping.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.next() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let Some(accepted) = accepted else { return };
        match accepted {
            Ok((stream, address)) => match let_in(&gateway, address) {
                Ok((open, waiting)) => {
                    let visit = Visit {
                        gateway: gateway.clone(),
                        own: listener.own.clone(),
                        address,
                        accepted_at: Instant::now(),
                    };
                    gateway.runtime.spawn(visit.run(stream, open, waiting));
                }
                // Closed without a word: whoever has too many sockets open costs no more than that.
                Err(limit) => gateway.metrics.limit_hit(limit),
            },
            Err(error) => {
                tracing::warn!(%error, "a socket could not be accepted");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

/// A place for a socket that has said nothing yet; the error is the limit that stands against it.
fn let_in(gateway: &Gateway, address: SocketAddr) -> Result<(Open, Pending), &'static str> {
    let (limits, doorkeeper) = (gateway.limits(), &gateway.doorkeeper);
    let open = doorkeeper.open(limits.max_connections).ok_or("max_connections")?;
    let sender = Sender::before_head(address.ip(), &gateway.config.gateway.trusted_proxies);
    Ok((open, doorkeeper.before_head(sender, limits)?))
}

/// One socket, as long as it speaks HTTP.
struct Visit {
    gateway: Arc<Gateway>,
    /// The plugin's port that it came to; without one it came to the gateway's.
    own: Option<Arc<OwnPort>>,
    address: SocketAddr,
    accepted_at: Instant,
}

/// A granted upgrade on its way.
enum Granted {
    /// To the gateway's own protocol.
    Gateway { peer: Peer, pending: Pending, accepted_at: Instant },
    /// To a plugin.
    Plugin(Box<Accepted>),
}

/// How a socket came to the end of its HTTP.
enum End {
    /// With its last answer written.
    Orderly,
    /// By a request that is none, or because the peer went.
    Early,
    /// Its time was over.
    Cut,
}

/// What a socket is about while it speaks HTTP.
struct Desk {
    state: Mutex<DeskState>,
    holding: Holding,
}

struct DeskState {
    /// Its place among the sockets that have not said what they want.
    place: Option<Pending>,
    /// When it is cut, whatever goes on.
    deadline: Option<Instant>,
    /// When the first request began, until it has come: a handshake behind others has its time from its own request on.
    first: Option<Instant>,
    granted: Option<Granted>,
    /// The request that a plugin is answering.
    exchange: Option<Arc<Exchange>>,
    /// What is left of the body of its last request.
    rest: Rest,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeskState {
    /// When the socket is cut: at its deadline, or when the peer has not read an answer for so long.
    fn cut_at(&mut self, stall: Duration, idle: Duration, context: &Context<'_>) -> Option<Instant> {
        if self.exchange.as_ref().is_some_and(|exchange| exchange.is_closed()) {
            self.exchange = None;
            // What is left of the answer goes out; then it waits for another request, if it has a place for that.
            self.deadline = Some(Instant::now() + if self.place.is_some() { idle } else { stall });
        }
        match &self.exchange {
            Some(exchange) => exchange.waiting_since(context).map(|since| since + stall),
            None => self.deadline,
        }
    }
}

type Answer = Response<Body>;

/// What an answer carries that is not given at once.
#[derive(Clone)]
struct HeldBack(Duration);

impl Visit {
    async fn run(self, stream: TcpStream, open: Open, waiting: Pending) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a socket went before it was served");
            return;
        }
        let deadline = self.accepted_at + Duration::from_millis(self.gateway.limits().handshake_timeout_ms);
        let Some(stream) = self.secured(stream, deadline).await else { return };
        let holding = Holding::default();
        let state = DeskState {
            place: Some(waiting),
            deadline: Some(deadline),
            first: Some(self.accepted_at),
            granted: None,
            exchange: None,
            rest: Rest::default(),
        };
        let desk = Desk { state: Mutex::new(state), holding: holding.clone() };
        let service = service_fn(|request| async {
            let mut answer = Box::pin(self.answer(request, &desk)).await;
            // As a wrong secret on a socket is: what a guess costs is time.
            if let Some(HeldBack(delay)) = answer.extensions_mut().remove() {
                tokio::time::sleep(delay).await;
            }
            self.gateway.metrics.http_answered(answer.status());
            Ok::<_, Infallible>(answer)
        });
        // Until a plugin answers a request of it, a socket has the time of a handshake: a place at the door is kept for no one
        // who goes on talking, or who does not read.
        let mut connection = Builder::new()
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(Doorway::new(stream, holding)), service);
        let end = self
            .until_cut(Pin::new(&mut connection), |connection| connection.graceful_shutdown(), &desk, deadline)
            .await;
        // HTTP's own buffers end here.
        let Parts { io, read_buf, .. } = connection.into_parts();
        let (stream, held) = io.into_inner().into_parts();
        let state = desk.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        // What goes on does so on a task of its own, so that what HTTP needed is given back.
        match (state.granted, end) {
            (Some(Granted::Gateway { peer, pending, accepted_at }), End::Orderly) => {
                let read_ahead = read_buf.to_vec();
                let upgraded = Upgraded { stream, read_ahead, held, peer, accepted_at, pending, open };
                self.gateway.runtime.clone().spawn(connection::run(self.gateway, upgraded));
            }
            (Some(Granted::Plugin(accepted)), End::Orderly) => {
                let read_ahead = read_buf.to_vec();
                self.gateway.runtime.spawn(async move {
                    let _open = open;
                    accepted.run(stream, read_ahead).await;
                });
            }
            (Some(Granted::Plugin(accepted)), _) => accepted.give_up(),
            (None, End::Orderly) if read_buf.is_empty() && !state.rest.is_coming() && stream.unread() == 0 => {}
            (None, End::Orderly | End::Early) => self.see_off(stream, open, state.place),
            (Some(Granted::Gateway { .. }), _) | (None, End::Cut) => {}
        }
    }

    /// Ends a socket whose peer may still be sending. It keeps its place at the door meanwhile, or takes one: where there is
    /// none it is closed at once.
    fn see_off(&self, stream: Transport, open: Open, place: Option<Pending>) {
        let (gateway, limits) = (&self.gateway, self.gateway.limits());
        let sender = Sender::before_head(self.address.ip(), &gateway.config.gateway.trusted_proxies);
        let Some(place) = place.or_else(|| gateway.doorkeeper.before_head(sender, limits).ok()) else { return };
        let patience = Patience::of(limits);
        gateway.runtime.spawn(async move {
            let _places = (open, place);
            lingering::see_off(stream, patience).await;
        });
    }

    /// Lets HTTP run to its end, or to the moment at which the socket is cut. `wind_up` lets no more requests come.
    async fn until_cut<C: Future<Output = Result<T, E>>, T, E: std::fmt::Display>(
        &self,
        mut connection: Pin<&mut C>,
        wind_up: impl Fn(Pin<&mut C>),
        desk: &Desk,
        deadline: Instant,
    ) -> End {
        let limits = self.gateway.limits();
        let stall = Duration::from_millis(limits.http_stall_ms);
        let idle = Duration::from_millis(limits.http_keep_alive_ms);
        let mut timer = pin!(sleep_until(deadline));
        let mut closed = pin!(async {
            match &self.own {
                Some(port) => port.closed().await,
                None => std::future::pending().await,
            }
        });
        let mut is_open = true;
        let mut set = Some(deadline);
        let ended = std::future::poll_fn(|context| {
            loop {
                if is_open && closed.as_mut().poll(context).is_ready() {
                    is_open = false;
                    wind_up(connection.as_mut());
                }
                if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                    return Poll::Ready(Some(ended));
                }
                let cut_at = desk.lock().cut_at(stall, idle, context);
                if let Some(at) = cut_at.filter(|_| cut_at != set) {
                    timer.as_mut().reset(at);
                }
                set = cut_at;
                if cut_at.is_none() || timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                // The moment may have moved while the timer ran.
                if desk.lock().cut_at(stall, idle, context).is_some_and(|at| at <= Instant::now()) {
                    return Poll::Ready(None);
                }
            }
        });
        match ended.await {
            Some(Ok(_)) => End::Orderly,
            Some(Err(error)) => {
                tracing::trace!(%error, "an HTTP connection ended early");
                End::Early
            }
            None => {
                if desk.lock().exchange.is_some() {
                    self.gateway.metrics.limit_hit("http_stall_ms");
                }
                tracing::trace!("an HTTP connection took too long");
                End::Cut
            }
        }
    }

    /// The stream that HTTP reads: with TLS when its handshake is done, which takes from the time of ours.
    async fn secured(&self, stream: TcpStream, deadline: Instant) -> Option<Transport> {
        let Some(tls) = &self.gateway.tls else { return Some(Transport::Plain(stream)) };
        let grace = Duration::from_millis(self.gateway.limits().close_grace_ms);
        // Boxed, so that a socket without TLS has no room for its handshake.
        match timeout_at(deadline, Box::pin(tls.accept(stream, grace))).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => tracing::debug!(ip = %self.address.ip(), %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(ip = %self.address.ip(), "a TLS handshake took too long"),
        }
        self.gateway.metrics.tls_handshakes_failed.increment(1);
        None
    }

    async fn answer(&self, request: Request<Incoming>, desk: &Desk) -> Answer {
        let gateway = &self.gateway;
        let request = request.map(Arriving::new);
        let accepted_at = {
            let mut state = desk.lock();
            state.rest = request.body().rest();
            state.first.take().unwrap_or_else(Instant::now)
        };
        let mut peer = Peer::from_request(self.address, request.headers(), &gateway.config.gateway.trusted_proxies);
        let is_upgrade = upgrade::is_asked_for(request.headers());
        match serve::claim(gateway, &request, self.own.as_deref()) {
            Err(turned) => return serve::answer(turned),
            // Upgrades of all paths are the gateway's own protocol, but for those whose plugin takes them.
            Ok(Some(claimed)) if !is_upgrade || claimed.has_upgrades() => {
                return match self.check_doors(request.headers(), &peer) {
                    Ok(()) => self.served(claimed, request, &peer, desk).await,
                    Err(turned) => *turned,
                };
            }
            // Nothing else is there.
            Ok(_) if self.own.is_some() => {
                return match self.check_doors(request.headers(), &peer) {
                    Ok(()) => text(StatusCode::NOT_FOUND, "Not Found"),
                    Err(turned) => *turned,
                };
            }
            Ok(_) => {}
        }
        if is_upgrade {
            if gateway.tailscale.is_some() {
                peer.tailscale_claim = Claim::read(self.address, request.headers(), &peer).map(Box::new);
            }
            return match self.upgrade(&request, &peer) {
                Ok((answer, pending)) => {
                    desk.lock().granted = Some(Granted::Gateway { peer, pending, accepted_at });
                    desk.holding.begin();
                    answer
                }
                Err(answer) => *answer,
            };
        }
        if let Err(turned) = self.check_doors(request.headers(), &peer) {
            return *turned;
        }
        match request.uri().path() {
            serve::METRICS if gateway.config.gateway.metrics.enabled => self.metrics(&request, &peer),
            _ => text(StatusCode::NOT_FOUND, "Not Found"),
        }
    }

    /// A request that a plugin answers.
    async fn served(&self, claimed: Claimed, request: Request<Arriving>, peer: &Peer, desk: &Desk) -> Answer {
        let (gateway, limits) = (&self.gateway, self.gateway.limits());
        let is_upgrade = claimed.is_asked_to_upgrade(request.headers());
        let granting = match is_upgrade.then(|| upgrade::granting(&request)).transpose() {
            Ok(granting) => granting,
            Err(refused) => return *refused,
        };
        let admitted = claimed.admit(gateway, request.method(), || self.shows_secret(request.headers(), peer));
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(refused) => return *refused,
        };
        let place = match gateway.doorkeeper.exchange(Sender::of(peer), limits) {
            Ok(place) => place,
            Err(limit) => {
                gateway.metrics.limit_hit(limit);
                claimed.had_no_room();
                let mut answer =
                    text(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once; try again in a moment");
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                return answer;
            }
        };
        {
            let mut state = desk.lock();
            // Its plugin may end the request before this one only now: that sets this one no deadline.
            (state.place, state.deadline, state.exchange) = (None, None, None);
        }
        let served = claimed.serve(gateway, request, peer, admitted, granting, place).await;
        match served {
            Served::Answer(answer) => {
                desk.lock().deadline = Some(Instant::now() + Duration::from_millis(limits.close_grace_ms));
                answer
            }
            Served::Stream(exchange, mut answer) => {
                // For another request the socket has to have a place at the door again. One whose answer goes on and on
                // would keep it for long.
                let known = answer.headers().contains_key(header::CONTENT_LENGTH) || exchange.discards();
                let place = (known && limits.http_keep_alive_ms > 0)
                    .then(|| gateway.doorkeeper.before_head(Sender::of(peer), limits).ok())
                    .flatten();
                if place.is_none() {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                let mut state = desk.lock();
                (state.place, state.exchange) = (place, Some(exchange));
                answer
            }
            Served::Upgrade(accepted, answer) => {
                let mut state = desk.lock();
                state.deadline = Some(Instant::now() + Duration::from_millis(limits.close_grace_ms));
                state.granted = Some(Granted::Plugin(accepted));
                answer
            }
        }
    }

    fn upgrade(&self, request: &Request<Arriving>, peer: &Peer) -> Result<(Answer, Pending), Box<Answer>> {
        let granting = upgrade::granting(request)?;
        self.check_doors(request.headers(), peer)?;
        let pending =
            self.gateway.doorkeeper.before_connect(Sender::of(peer), self.gateway.limits()).map_err(|limit| {
                self.gateway.metrics.limit_hit(limit);
                let mut answer =
                    text(StatusCode::SERVICE_UNAVAILABLE, "too many connections are waiting; try again in a moment");
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                Box::new(answer)
            })?;
        Ok((granting, pending))
    }

    fn check_doors(&self, headers: &HeaderMap, peer: &Peer) -> Result<(), Box<Answer>> {
        let gateway = &self.gateway;
        let settings = &gateway.config.gateway;
        let port = self.own.as_ref().map_or_else(|| gateway.port(), |own| own.number);
        doors::check(headers, peer, &settings.allowed_origins, &settings.allowed_hosts, port).map_err(|turned| {
            gateway.metrics.turned_away.increment(1);
            tracing::info!(ip = %peer.client_ip, why = turned.sentence, "turned away before the upgrade");
            Box::new(text(StatusCode::FORBIDDEN, turned.sentence))
        })
    }

    /// `/metrics`, for whoever shows the shared secret as a bearer.
    fn metrics(&self, request: &Request<Arriving>, peer: &Peer) -> Answer {
        if request.method() != Method::GET {
            return wrong_verb("GET");
        }
        match self.shows_secret(request.headers(), peer) {
            Ok(()) => {
                let gateway = &self.gateway;
                let mut answer = text(StatusCode::OK, metrics::render(gateway));
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                answer.headers_mut().insert(header::CONTENT_TYPE, kind);
                answer
            }
            Err(refused) => *refused,
        }
    }

    /// Whether a request shows the shared secret as a bearer: judged by the same authenticator as sockets.
    fn shows_secret(&self, headers: &HeaderMap, peer: &Peer) -> Result<(), Box<Answer>> {
        let secret = bearer(headers).map(str::to_string);
        let credentials = Credentials { token: secret.clone(), password: secret, ..Credentials::default() };
        let guesser = Guesser { ip: peer.client_ip, direct: peer.is_direct() };
        let gateway = &self.gateway;
        let settings = &gateway.handshake.auth;
        let shown = auth::authorize_shared(settings, &gateway.failures, &credentials, guesser, schemas::now_ms());
        shown.map_err(|BearerRefused { retry_after_ms, delay }| {
            let json = r#"{"error":{"message":"Unauthorized","type":"unauthorized"}}"#;
            let limited = retry_after_ms.is_some();
            let status = if limited { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::UNAUTHORIZED };
            let mut answer = text(status, json);
            let headers = answer.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            match retry_after_ms {
                Some(ms) => headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000))),
                None => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            };
            if let Some(delay) = delay {
                answer.extensions_mut().insert(HeldBack(delay));
            }
            Box::new(answer)
        })
    }
}

/// What `Authorization: Bearer …` holds; the name of a scheme may be written in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// A short answer of the host's own.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Body::from(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// The answer to a verb that there is no other answer to; these would do.
pub fn wrong_verb(allowed: &str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    // Verbs are tokens.
    if let Ok(allowed) = HeaderValue::try_from(allowed) {
        answer.headers_mut().insert(header::ALLOW, allowed);
    }
    answer
}
