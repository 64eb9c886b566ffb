//! The life of one socket after the upgrade: challenge, handshake, joining, requests and events, close.
//!
//! One task owns the socket. What can wake it is a frame, bytes in its outbox, or a deadline; a shutdown arrives as a
//! close in the outbox like any other.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use plugin_api::Caller;
use plugin_api::catalogue::ConnectionClosed;
use schemas::frame::write;
use schemas::presence;
use schemas::protocol::close;
use tokio::time::{Instant, Sleep, sleep, timeout, timeout_at};

use crate::authority::Authority;
use crate::connections::{Connection, Fallen};
use crate::doorkeeper::{Open, Pending};
use crate::gateway::Gateway;
use crate::handshake::{Accepted, Challenged, Refusal, Stage};
use crate::hello::{self, Newcomer};
use crate::locality::Peer;
use crate::outbox::{Outbox, SLOW};
use crate::refusals::Refusals;
use crate::socket::{Incoming, Socket, Stream};
use crate::surfaces::{self, Vantage};
use crate::sync::atomic::{AtomicBool, AtomicUsize};
use crate::{audit, dispatch, events, record, services};

/// How long plugins may take to hear of a connection before its first request is read all the same.
const OPENED_PATIENCE: Duration = Duration::from_millis(500);

/// A socket that has been upgraded.
pub struct Upgraded<S> {
    /// The byte stream.
    pub stream: S,
    /// Bytes read beyond the upgrade.
    pub read_ahead: Vec<u8>,
    /// Bytes that grant the upgrade, to be written before anything else.
    pub held: Vec<u8>,
    /// Facts of the upgrade request.
    pub peer: Peer,
    /// When the socket was accepted.
    pub accepted_at: Instant,
    /// Its place among the sockets that have not proved themselves.
    pub pending: Pending,
    /// Its place among all sockets.
    pub open: Open,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ending {
    code: Option<u16>,
    reason: String,
}

/// Runs a connection to its end.
pub async fn run<S: Stream>(gateway: Arc<Gateway>, upgraded: Upgraded<S>) {
    let Upgraded { stream, read_ahead, held, mut peer, accepted_at, pending, open: _open } = upgraded;
    let limits = gateway.limits();
    let outbox = Arc::new(gateway.outbox());
    let counters = (gateway.metrics.bytes_in.clone(), gateway.metrics.bytes_out.clone());
    let mut socket = Socket::new(stream, (read_ahead, held), outbox.clone(), limits.max_preauth_bytes, counters);
    let deadline = accepted_at + Duration::from_millis(limits.handshake_timeout_ms);
    gateway.metrics.connections_opened.increment(1);
    gateway.metrics.connections.increment(1.0);

    // Boxed, so that what the handshake needs is given back before the long life of the connection begins.
    match Box::pin(handshake(&gateway, &mut socket, &outbox, &mut peer, deadline)).await {
        Ok(accepted) => {
            drop(pending);
            gateway.metrics.handshakes_accepted.increment(1);
            socket.authenticated(limits.max_payload_of(accepted.version).1);
            let connection = Box::pin(join(&gateway, &mut socket, outbox.clone(), &peer, accepted)).await;
            drop(peer);
            let ending = converse(&gateway, &mut socket, &connection).await;
            leave(&gateway, &connection, ending);
        }
        Err(refusal) => {
            gateway.metrics.handshake_refused(refusal.outcome);
            audit::refused(&refusal, &peer);
            services::publish_pairing_events(&gateway, &refusal.events).await;
            Box::pin(refuse(&gateway, &mut socket, &outbox, *refusal)).await;
            drop(pending);
        }
    }
    outbox.shut();
    gateway.metrics.connections.decrement(1.0);
}

/// From the challenge to a verdict.
async fn handshake<S: Stream>(
    gateway: &Arc<Gateway>,
    socket: &mut Socket<S>,
    outbox: &Outbox,
    peer: &mut Peer,
    deadline: Instant,
) -> Result<Box<Accepted>, Box<Refusal>> {
    let nonce = uuid::Uuid::new_v4().to_string();
    let challenge = format!(r#"{{"nonce":"{nonce}","ts":{}}}"#, schemas::now_ms());
    let mut open = Vec::with_capacity(160);
    write::event_open(&mut open, "connect.challenge", Some(challenge.as_bytes()), None);
    let _ = outbox.targeted(&open);

    let first = timeout_at(deadline, poll_fn(|context| next(socket, context))).await;
    let text = match first {
        Err(_) => return Err(Box::new(Refusal::timeout())),
        Ok(Incoming::Text(text)) => text,
        Ok(Incoming::NotText) => return Err(Box::new(Refusal::not_json())),
        Ok(Incoming::Broken(1009, _)) => {
            gateway.metrics.limit_hit("max_preauth_bytes");
            return Err(Box::new(Refusal::too_big()));
        }
        Ok(Incoming::Broken(code, reason)) => return Err(Box::new(Refusal::broken(code, reason))),
        Ok(Incoming::Closed(_) | Incoming::Gone) => return Err(Box::new(Refusal::gone())),
    };
    gateway.metrics.frames_in.increment(1);
    // What is queued until this connection has joined is written then.
    outbox.attend();
    // Frames behind the first one stay in the socket until hello-ok is out, so they need neither a queue nor a limit.
    confirm_identity(gateway, peer, deadline).await;
    let now = schemas::now_ms();
    let stage = Challenged::new(nonce).receive(
        text.as_str(),
        peer,
        &gateway.handshake,
        &gateway.pairing,
        &gateway.failures,
        now,
    );
    drop(text);
    let authenticated = match stage {
        Stage::Refused(refusal) => return Err(refusal),
        Stage::Authenticated(authenticated) => authenticated,
    };
    let admission = match authenticated.candidate() {
        None => None,
        Some(candidate) => match timeout_at(deadline, gateway.pairing.admit(candidate, now)).await {
            Ok(Ok(admission)) => Some(admission),
            Ok(Err(error)) => {
                tracing::error!(%error, "a device was not admitted: the pairing book cannot be written");
                None
            }
            Err(_) => return Err(Box::new(Refusal::timeout())),
        },
    };
    authenticated.resolve(admission).map(Box::new)
}

/// Asks the daemon of this machine whether the peer is whom Tailscale Serve says it is. If not, it comes in as anybody else
/// does, or not at all.
async fn confirm_identity(gateway: &Gateway, peer: &mut Peer, deadline: Instant) {
    let (Some(tailscale), Some(claim)) = (&gateway.tailscale, peer.tailscale_claim.take()) else { return };
    let confirmed = Box::pin(tailscale.confirm(&claim, deadline)).await;
    let outcome = confirmed.as_ref().map_or_else(|doubt| doubt.name(), |_| "confirmed");
    gateway.metrics.counter("clawhost_tailscale_identities_total", &[("outcome", outcome)]).increment(1);
    peer.tailscale_login = confirmed.ok();
}

/// Joins: from here on the connection is one of those that events reach.
async fn join<S: Stream>(
    gateway: &Arc<Gateway>,
    socket: &mut Socket<S>,
    outbox: Arc<Outbox>,
    peer: &Peer,
    accepted: Box<Accepted>,
) -> Arc<Connection> {
    services::publish_pairing_events(gateway, &accepted.events).await;
    let (connection, entry) = newcomer(gateway, outbox, peer, &accepted);
    let surfaces = surfaces::told(gateway, &connection);
    gateway.connections.join(connection.clone(), |connection| {
        let newcomer =
            Newcomer { connection, presence: entry.as_ref(), granted: accepted.granted.as_ref(), surfaces: &surfaces };
        let payload = hello::hello_ok(gateway, &newcomer);
        let _ = connection.outbox.response(|out| write::response_ok(out, &accepted.request_id, &payload));
    });
    // A device removed between admission and joining had no connection to be closed.
    if let (Some(epoch), Some(device)) = (accepted.epoch, &accepted.device_id)
        && !gateway.pairing.stands(device, &accepted.role, epoch)
    {
        connection.invalidate(Fallen::Device);
    }
    if *gateway.stopping.borrow() {
        connection.outbox.close(close::RESTART, "service restart");
    }
    audit::connected(&connection, &accepted, peer);
    // Requests are read when every plugin has heard of the connection. Most hear of it right here, and what they have to
    // tell the newcomer leaves in one write with hello-ok.
    let heard = events::notify_opened(gateway, &connection);
    let _ = poll_fn(|context| Poll::Ready(socket.poll_write(context))).await;
    let all_heard = async {
        for heard in heard {
            let _ = heard.await;
        }
    };
    if timeout(OPENED_PATIENCE, all_heard).await.is_err() {
        tracing::warn!(conn = connection.number, "a plugin takes long to hear of a connection");
    }
    connection
}

/// Takes leave: what waits for the connection ends, then plugins hear that it has gone.
fn leave(gateway: &Arc<Gateway>, connection: &Arc<Connection>, ending: Ending) {
    gateway.connections.leave(connection.number);
    gateway.capabilities.left(connection, schemas::now_ms());
    connection.outbox.shut();
    dispatch::disconnected(gateway, connection);
    tracing::debug!(conn = connection.number, code = ending.code, reason = ending.reason, "closed");
    let caller = connection.authority.caller();
    let closed = ConnectionClosed {
        conn: connection.number,
        conn_id: connection.id.clone(),
        role: caller.role.clone(),
        device_id: caller.device_id.clone(),
        presence_key: connection.presence_key.clone(),
        code: ending.code,
        reason: ending.reason,
    };
    drop(events::notify(gateway, "host.connection.closed", &closed));
}

/// Reads requests and writes answers and events until either side closes.
async fn converse<S: Stream>(gateway: &Arc<Gateway>, socket: &mut Socket<S>, connection: &Arc<Connection>) -> Ending {
    let mut pause = None;
    let last = poll_fn(|context| exchange(gateway, socket, connection, &mut pause, context)).await;
    let outbox = &connection.outbox;
    match last {
        Last::Peer(frame) => {
            // Nothing more comes from a peer that has closed: the reply to its close is all that is left to send.
            let grace = Duration::from_millis(gateway.limits().close_grace_ms);
            let _ = timeout(grace, poll_fn(|context| socket.poll_write(context))).await;
            let (code, reason) = frame.unzip();
            Ending { code, reason: reason.unwrap_or_default() }
        }
        Last::Gone => Ending { code: None, reason: String::new() },
        Last::Broken(code, reason) => {
            if code == 1009 {
                gateway.metrics.limit_hit(gateway.limits().max_payload_of(connection.version).0);
            }
            outbox.close(code, reason);
            Box::pin(farewell(socket, gateway.limits().close_grace_ms)).await;
            Ending { code: Some(code), reason: reason.to_string() }
        }
        Last::Silent => {
            gateway.metrics.limit_hit("ping_interval_ms");
            tracing::info!(conn = connection.number, "closing a connection that answers no pings");
            outbox.close(close::POLICY, "ping timeout");
            Box::pin(farewell(socket, gateway.limits().close_grace_ms)).await;
            Ending { code: Some(close::POLICY), reason: "ping timeout".to_string() }
        }
        Last::Us => {
            let (code, reason) = outbox.closing().unwrap_or_default();
            let limits = gateway.limits();
            // Whoever fell behind is given more time than others, and shall hear why it is closed.
            let grace = if reason == SLOW {
                socket.drop_unbegun();
                limits.slow_close_ms
            } else {
                limits.close_grace_ms
            };
            Box::pin(farewell(socket, grace)).await;
            Ending { code: Some(code), reason }
        }
    }
}

/// Why a conversation is over.
enum Last {
    /// The peer closed.
    Peer(Option<(u16, String)>),
    /// The peer went without a word, or the socket failed.
    Gone,
    /// The peer broke a rule; close with this code.
    Broken(u16, &'static str),
    /// The peer gave no sign of life.
    Silent,
    /// A close is in the outbox.
    Us,
}

/// A time in which a connection is not read. On the heap, since hardly any connection ever has one.
type Pause = Option<Pin<Box<Sleep>>>;

/// Moves frames both ways until nothing moves: all frames that have arrived are handled, then all answers leave in one
/// write. A connection over its byte budget is not read until it drains, and one whose requests are refused again and again
/// not before its `pause` is over: what it sends meanwhile stays in the socket, in order and at no cost.
fn exchange<S: Stream>(
    gateway: &Arc<Gateway>,
    socket: &mut Socket<S>,
    connection: &Arc<Connection>,
    pause: &mut Pause,
    context: &mut Context<'_>,
) -> Poll<Last> {
    /// Frames handled before answers leave.
    const BATCH: u64 = 64;
    loop {
        let is_stuck = match socket.poll_write(context) {
            Poll::Ready(Err(_)) => return Poll::Ready(Last::Gone),
            written => written.is_pending(),
        };
        if connection.outbox.is_closing() {
            return Poll::Ready(Last::Us);
        }
        if connection.outbox.is_backed_up() {
            return if socket.is_silent() { Poll::Ready(Last::Silent) } else { Poll::Pending };
        }
        if let Some(timer) = pause {
            // One that is not read cannot be heard.
            connection.outbox.heard();
            ready!(timer.as_mut().poll(context));
            *pause = None;
        }
        let mut handled = 0;
        // Behind a frame that closed the connection nothing is done any more.
        let last = loop {
            if handled == BATCH || connection.outbox.is_closing() {
                break None;
            }
            match socket.poll_read(context) {
                Poll::Pending if handled == 0 && socket.is_silent() => return Poll::Ready(Last::Silent),
                // What is to be written waits for the peer, whoever wakes this task then.
                Poll::Pending if handled == 0 && (is_stuck || !socket.has_control()) => return Poll::Pending,
                Poll::Pending => break None,
                Poll::Ready(Incoming::Text(text)) => {
                    connection.outbox.attend();
                    dispatch::message(gateway, connection, text.as_str());
                }
                Poll::Ready(Incoming::NotText) => dispatch::message(gateway, connection, ""),
                Poll::Ready(Incoming::Closed(frame)) => break Some(Last::Peer(frame)),
                Poll::Ready(Incoming::Gone) => break Some(Last::Gone),
                Poll::Ready(Incoming::Broken(code, reason)) => break Some(Last::Broken(code, reason)),
            }
            handled += 1;
            if let Some(duration) = connection.refusals.take_pause() {
                gateway.metrics.reads_paused.increment(1);
                *pause = Some(Box::pin(sleep(duration)));
                break None;
            }
        };
        gateway.metrics.frames_in.increment(handled);
        if let Some(last) = last {
            return Poll::Ready(last);
        }
    }
}

/// Answers a refused handshake, then closes.
async fn refuse<S: Stream>(gateway: &Gateway, socket: &mut Socket<S>, outbox: &Outbox, refusal: Refusal) {
    if let Some(delay) = refusal.delay {
        tokio::time::sleep(delay).await;
    }
    if let Some((id, error)) = &refusal.response {
        let error = serde_json::to_vec(error).unwrap_or_default();
        let _ = outbox.response(|out| write::response_error(out, id, &error, None));
    }
    outbox.close(refusal.close_code, &refusal.close_reason);
    farewell(socket, gateway.limits().close_grace_ms).await;
}

/// Flushes what is queued, ends our side, and waits for the peer to end its own, all within so many milliseconds: a socket
/// dropped with unread bytes would take the close frame with it.
async fn farewell<S: Stream>(socket: &mut Socket<S>, grace_ms: u64) {
    let grace = Duration::from_millis(grace_ms);
    let goodbye = async {
        poll_fn(|context| socket.poll_write(context)).await?;
        poll_fn(|context| socket.poll_shutdown(context)).await?;
        poll_fn(|context| socket.poll_drain(context)).await
    };
    if let Ok(Err(error)) = timeout(grace, goodbye).await {
        tracing::trace!(%error, "a socket ended before its close was sent");
    }
}

/// The next message, writing what is queued meanwhile.
fn next<S: Stream>(socket: &mut Socket<S>, context: &mut Context<'_>) -> Poll<Incoming> {
    loop {
        let is_stuck = match socket.poll_write(context) {
            Poll::Ready(Err(_)) => return Poll::Ready(Incoming::Gone),
            written => written.is_pending(),
        };
        match socket.poll_read(context) {
            Poll::Pending if socket.has_control() && !is_stuck => {}
            other => return other,
        }
    }
}

/// The records of an accepted connection.
fn newcomer(
    gateway: &Gateway,
    outbox: Arc<Outbox>,
    peer: &Peer,
    accepted: &Accepted,
) -> (Arc<Connection>, Option<schemas::PresenceEntry>) {
    let params = &accepted.params;
    let (id, number) = (uuid::Uuid::new_v4().to_string(), gateway.connections.next_number());
    let caller = Caller {
        conn_id: Some(id.clone()),
        role: accepted.role.clone(),
        scopes: accepted.scopes.clone(),
        device_id: accepted.device_id.clone(),
        via_device_token: accepted.via_device_token,
        client_id: Some(params.client.id.clone()),
        client_mode: Some(params.client.mode.clone()),
        display_name: params.client.display_name.clone(),
        instance_id: params.client.instance_id.clone(),
        caps: params.caps.clone().unwrap_or_default(),
        remote_ip: peer.reported_ip.clone(),
        local: peer.local,
        protocol: accepted.version.number(),
        plugin: None,
    };
    let now = schemas::now_ms();
    let tracked = presence::is_tracked(params);
    let entry = tracked
        .then(|| presence::connect_entry(params, peer.reported_ip.as_deref(), &accepted.role, &accepted.scopes, now));
    let presence_key = tracked.then(|| presence::key(params, &id));
    let connection = Connection {
        number,
        version: accepted.version,
        record: record::opened(number, &caller, params, presence_key.as_deref().zip(entry.as_ref()), now).into(),
        authority: Arc::new(Authority::within(accepted.named.clone(), caller)),
        outbox,
        presence_key,
        id,
        announced: AtomicBool::new(false),
        vantage: Vantage::of(gateway, peer),
        has_capability: AtomicBool::new(false),
        in_flight: AtomicUsize::new(0),
        idle: Default::default(),
        refusals: Refusals::new(),
    };
    (Arc::new(connection), entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::outbox::{self, OutboxLimits};

    /// The size of what a function returns.
    fn size_of_result<A, B, R>(_: impl FnOnce(A, B) -> R) -> usize {
        size_of::<R>()
    }

    #[test]
    fn an_idle_connection_is_a_small_task() {
        // Every open connection holds one of these for all of its life.
        let size = size_of_result(run::<crate::tls::Transport>);
        assert!(size <= 1536, "{size} bytes");
    }

    impl Stream for tokio::io::DuplexStream {
        fn unread(&self) -> u64 {
            0
        }
    }

    #[test]
    fn a_stranger_that_pings_and_reads_nothing_holds_no_thread() {
        use std::sync::mpsc;
        use tokio::io::AsyncWriteExt;

        let (said, heard) = mpsc::channel();
        let talk = async move {
            let (ours, mut theirs) = tokio::io::duplex(64);
            let limits = OutboxLimits { buffered: 1 << 20, buffered_hard: 1 << 20, buffered_total: 1 << 20 };
            let outbox = Arc::new(Outbox::new(Arc::new(outbox::Shared::new(limits, &Metrics::new()))));
            let counters = (metrics::Counter::noop(), metrics::Counter::noop());
            let mut socket = Socket::new(ours, Default::default(), outbox.clone(), 1 << 16, counters);
            outbox.targeted(&[b'x'; 1000]).expect("room");
            assert!(
                poll_fn(|context| Poll::Ready(next(&mut socket, context))).await.is_pending(),
                "more than is taken"
            );
            // A masked ping without content.
            theirs.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.expect("room");
            assert!(poll_fn(|context| Poll::Ready(next(&mut socket, context))).await.is_pending());
            said.send(()).expect("somebody waits");
        };
        std::thread::spawn(|| tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(talk));
        heard.recv_timeout(Duration::from_secs(10)).expect("the turn ends");
    }
}
