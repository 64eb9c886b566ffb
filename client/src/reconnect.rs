//! A client that stays connected. One task opens connections one after another: it backs off between attempts, does what
//! the gateway recommends, knocks on while a pairing waits for approval, and stops when only a person can help. Requests
//! are never repeated by themselves; events of all connections come in one stream.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::retry::{Verdict, verdict};
use crate::{Backoff, ClientError, ConnectOptions, Connection, Event, EventStream, Hello};

/// Where a [`Client`] stands.
#[derive(Debug, Clone)]
pub enum State {
    /// An attempt is under way.
    Connecting,
    /// Connected; state held from before should be fetched anew.
    Connected {
        /// What the gateway said.
        hello: Arc<Hello>,
    },
    /// The next attempt comes later.
    Waiting {
        /// When.
        until: Instant,
        /// Why there is no connection.
        why: ClientError,
    },
    /// An operator has to approve this device; the client knocks on.
    PairingPending {
        /// What the operator approves.
        request_id: Option<String>,
        /// When it knocks next.
        until: Instant,
    },
    /// It is over: stopped by its owner, or by an error that only a person can mend.
    Stopped {
        /// The error, if it was one.
        error: Option<ClientError>,
    },
}

/// A client that reconnects. Clones are handles to the same one; it stops when the last is dropped.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    state: watch::Receiver<State>,
    current: watch::Receiver<Option<Connection>>,
    events: broadcast::WeakSender<Event>,
    stop: mpsc::Sender<()>,
    request_timeout: Duration,
}

impl Client {
    /// Starts to connect, with the back-off of the protocol's own clients.
    pub fn start(options: ConnectOptions) -> Self {
        Self::start_with(options, Backoff::default())
    }

    /// Starts to connect, with this back-off.
    pub fn start_with(options: ConnectOptions, backoff: Backoff) -> Self {
        let (state_sender, state) = watch::channel(State::Connecting);
        let (current_sender, current) = watch::channel(None);
        let (events, _) = broadcast::channel(options.event_buffer);
        let (stop, stop_receiver) = mpsc::channel(1);
        let inner =
            Inner { state, current, events: events.downgrade(), stop, request_timeout: options.request_timeout };
        let supervisor =
            Supervisor { options, backoff, state: state_sender, current: current_sender, events, stop: stop_receiver };
        tokio::spawn(supervisor.run());
        Client { inner: Arc::new(inner) }
    }

    /// Where the client stands, now and with every change.
    pub fn state(&self) -> watch::Receiver<State> {
        self.inner.state.clone()
    }

    /// The events of this and all later connections, from now on.
    pub fn events(&self) -> EventStream {
        match self.inner.events.upgrade() {
            Some(events) => EventStream::new(events.subscribe()),
            None => EventStream::ended(),
        }
    }

    /// Waits for a connection; an error says that there will be none.
    pub async fn connection(&self) -> Result<Connection, ClientError> {
        let mut current = self.inner.current.clone();
        let found = current.wait_for(Option::is_some).await.ok().and_then(|current| current.clone());
        found.ok_or_else(|| match &*self.inner.state.borrow() {
            State::Stopped { error: Some(error) } => error.clone(),
            _ => ClientError::Closed { code: 1000, reason: "stopped".to_string() },
        })
    }

    /// Waits for a connection and asks once, both within the request timeout. A connection lost on the way is the
    /// caller's to judge: whether the request was carried out is not known.
    pub async fn request<T: DeserializeOwned>(&self, method: &str, params: impl Serialize) -> Result<T, ClientError> {
        let limit = self.inner.request_timeout;
        let work = async { self.connection().await?.request(method, params).await };
        let expired = |_| ClientError::Timeout { what: format!("answer to {method}"), after: limit };
        timeout(limit, work).await.map_err(expired)?
    }

    /// Closes the connection and tries no more.
    pub async fn stop(&self) {
        // Full or closed: it is stopping already.
        let _ = self.inner.stop.try_send(());
        let mut state = self.inner.state.clone();
        let _ = state.wait_for(|state| matches!(state, State::Stopped { .. })).await;
    }
}

struct Supervisor {
    options: ConnectOptions,
    backoff: Backoff,
    state: watch::Sender<State>,
    current: watch::Sender<Option<Connection>>,
    events: broadcast::Sender<Event>,
    stop: mpsc::Receiver<()>,
}

impl Supervisor {
    async fn run(mut self) {
        let error = loop {
            self.state.send_replace(State::Connecting);
            let opened = tokio::select! {
                opened = Connection::open(self.options.clone()) => opened,
                // A message, or the last handle gone.
                _ = self.stop.recv() => break None,
            };
            let error = match opened {
                Ok(connection) => {
                    // A setup code lets in once; the device token that came of it does from now on.
                    self.options.bootstrap_token = None;
                    match self.serve(connection).await {
                        Some(error) => error,
                        None => break None,
                    }
                }
                Err(error) => error,
            };
            let until = match verdict(&error) {
                Verdict::GiveUp => break Some(error),
                Verdict::Retry { asked } => {
                    let until = self.next_attempt(asked);
                    self.state.send_replace(State::Waiting { until, why: error });
                    until
                }
                Verdict::PairingPending { request_id, asked } => {
                    let until = self.next_attempt(asked);
                    self.state.send_replace(State::PairingPending { request_id, until });
                    until
                }
            };
            tokio::select! {
                () = sleep_until(until) => {}
                _ = self.stop.recv() => break None,
            }
        };
        if let Some(error) = &error {
            tracing::warn!(%error, "giving up");
        }
        self.state.send_replace(State::Stopped { error });
    }

    fn next_attempt(&mut self, asked: Option<Duration>) -> Instant {
        let delay = match asked {
            Some(asked) => self.backoff.asked(asked),
            None => self.backoff.delay(),
        };
        Instant::now() + delay
    }

    /// Stays with a connection until it is over, and says why; `None` when the client was stopped.
    async fn serve(&mut self, connection: Connection) -> Option<ClientError> {
        self.backoff.reset();
        let mut events = connection.events();
        self.current.send_replace(Some(connection.clone()));
        self.state.send_replace(State::Connected { hello: Arc::new(connection.hello().clone()) });
        let stopped = loop {
            tokio::select! {
                // Nobody may be listening.
                event = events.next() => match event {
                    Some(event) => drop(self.events.send(event)),
                    None => break false,
                },
                _ = self.stop.recv() => break true,
            }
        };
        self.current.send_replace(None);
        if stopped {
            connection.close().await;
            return None;
        }
        Some(connection.closed().await)
    }
}
