//! One connection: opened, used by any number of tasks at once, closed once. A task of its own owns the socket; what is
//! here are handles to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemas::protocol::MAX_CLOSE_REASON;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::driver::{Driver, Outgoing};
use crate::endpoint::Endpoint;
use crate::handshake::{Established, establish};
use crate::pending::Pending;
use crate::{ClientError, ConnectOptions, EventStream, Fingerprint, Hello, StoredToken, TokenKey, TokenStore};

/// Frames that wait for the socket.
const OUTGOING_BUFFER: usize = 256;
/// How long a close may take before the socket is dropped as it is.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// A connection that was let in. Clones are handles to the same one; it closes when the last is dropped.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    hello: Hello,
    pending: Arc<Pending>,
    outgoing: mpsc::Sender<Outgoing>,
    events: broadcast::WeakSender<crate::Event>,
    first_stream: Mutex<Option<EventStream>>,
    closed: watch::Receiver<Option<ClientError>>,
    driver: AbortHandle,
    request_timeout: Duration,
}

impl Connection {
    /// Connects, and returns once the gateway let this client in.
    ///
    /// With an identity and a token store a kept device token is presented in place of the shared secret. When the
    /// gateway refuses it and there is a shared secret, the token is dropped and the connection tried once more with
    /// that; a new device token is kept.
    ///
    /// A setup code's token is presented alone, and the pins that the options have beside it are kept with the device token:
    /// later connections hold the gateway to them, unless their options have pins of their own. Without any secret, no more
    /// is asked for than the kept token is for.
    pub async fn open(mut options: ConnectOptions) -> Result<Self, ClientError> {
        let endpoint = Endpoint::parse(&options.url)?;
        let shared = options.credentials(options.token.clone());
        let kept = KeptToken::find(&options, &endpoint).await?;
        options.scopes = within_reach(&options, kept.as_ref());
        if let Some(kept) = &kept
            && options.tls.pins.is_empty()
            && options.bootstrap_token.is_none()
        {
            options.tls.pins.clone_from(&kept.pins);
        }
        let established = match (options.invitation(), &kept) {
            (Some(invited), _) => establish(&endpoint, &options, invited).await?,
            (None, Some(KeptToken { key, store, token: Some(token), .. })) => {
                let first = establish(&endpoint, &options, options.credentials(Some(token.token.clone()))).await;
                match first {
                    Err(error) if is_about_the_token(&error, options.has_shared_secret()) => {
                        let (key, store, refused) = (key.clone(), store.clone(), token.token.clone());
                        blocking(move || store.remove(&key, &refused)).await?;
                        if !options.has_shared_secret() {
                            return Err(error);
                        }
                        tracing::info!("the gateway refused the kept device token; trying the shared secret");
                        establish(&endpoint, &options, shared).await?
                    }
                    first => first?,
                }
            }
            _ => establish(&endpoint, &options, shared).await?,
        };
        if let Some(kept) = kept {
            kept.renew(&established.hello, &options).await;
        }
        Ok(Self::start(&options, established))
    }

    /// What the gateway said when it let this client in.
    pub fn hello(&self) -> &Hello {
        &self.inner.hello
    }

    /// Asks, and reads the answer into a type of the caller's.
    pub async fn request<T: DeserializeOwned>(&self, method: &str, params: impl Serialize) -> Result<T, ClientError> {
        self.request_within(method, params, self.inner.request_timeout).await
    }

    /// [`Connection::request`] with a time limit of its own.
    pub async fn request_within<T: DeserializeOwned>(
        &self,
        method: &str,
        params: impl Serialize,
        limit: Duration,
    ) -> Result<T, ClientError> {
        let shape =
            |error: serde_json::Error| ClientError::Shape { method: method.to_string(), problem: error.to_string() };
        let params = serde_json::value::to_raw_value(&params).map_err(shape)?;
        let answer = self.request_raw(method, Some(&params), Some(limit)).await?;
        serde_json::from_str(answer.get()).map_err(shape)
    }

    /// Asks with JSON as it is and gives the answer as it came. Without `limit` the options' limit holds.
    pub async fn request_raw(
        &self,
        method: &str,
        params: Option<&RawValue>,
        limit: Option<Duration>,
    ) -> Result<Box<RawValue>, ClientError> {
        let limit = limit.unwrap_or(self.inner.request_timeout);
        let work = async {
            let mut ticket = self.inner.pending.add(None)?;
            self.send(&ticket.id(), method, params).await?;
            (&mut ticket.reply).await.unwrap_or_else(|_| Err(self.close_error()))
        };
        timeout(limit, work).await.unwrap_or_else(|_| Err(expired(method, limit)))
    }

    /// Asks a method that answers twice and waits for the final answer; `on_interim` sees the first. An answer is an
    /// interim one when its `status` is `accepted`.
    pub async fn request_final(
        &self,
        method: &str,
        params: Option<&RawValue>,
        limit: Option<Duration>,
        mut on_interim: impl FnMut(&RawValue),
    ) -> Result<Box<RawValue>, ClientError> {
        let limit = limit.unwrap_or(self.inner.request_timeout);
        let work = async {
            let (sender, mut interims) = mpsc::channel(4);
            let mut ticket = self.inner.pending.add(Some(sender))?;
            self.send(&ticket.id(), method, params).await?;
            loop {
                tokio::select! {
                    // In order: an interim answer is always sent before the final one.
                    biased;
                    Some(interim) = interims.recv() => on_interim(&interim),
                    answer = &mut ticket.reply => return answer.unwrap_or_else(|_| Err(self.close_error())),
                }
            }
        };
        timeout(limit, work).await.unwrap_or_else(|_| Err(expired(method, limit)))
    }

    /// The events of this connection. The first stream begins with the first event after `hello-ok`, a later one with
    /// the next event.
    pub fn events(&self) -> EventStream {
        let first = self.inner.first_stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| match self.inner.events.upgrade() {
            Some(events) => EventStream::new(events.subscribe()),
            None => EventStream::ended(),
        })
    }

    /// Waits until the connection is over, and says why.
    pub async fn closed(&self) -> ClientError {
        let mut closed = self.inner.closed.clone();
        match closed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(ClientError::abnormal_close),
            Err(_) => ClientError::abnormal_close(),
        }
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.inner.closed.borrow().is_some()
    }

    /// Closes with code 1000 and waits until the socket is gone, at most a second or two.
    pub async fn close(&self) {
        self.close_with(1000, "").await;
    }

    /// Closes with this code and reason; a reason longer than the protocol allows is cut.
    pub async fn close_with(&self, code: u16, reason: &str) {
        let reason = reason[..reason.floor_char_boundary(MAX_CLOSE_REASON)].to_string();
        let closing = async {
            // Fails when the connection is over already, which is as good.
            let _ = self.inner.outgoing.send(Outgoing::Close { code, reason }).await;
            self.closed().await;
        };
        // A gateway that reads nothing takes no close frame either.
        if timeout(CLOSE_LIMIT, closing).await.is_err() {
            self.inner.driver.abort();
            self.closed().await;
        }
    }

    async fn send(&self, id: &str, method: &str, params: Option<&RawValue>) -> Result<(), ClientError> {
        let params = params.map(RawValue::get);
        let mut frame = Vec::with_capacity(64 + method.len() + params.map_or(0, str::len));
        schemas::frame::write::request(&mut frame, id, method, params);
        let limit = usize::try_from(self.inner.hello.policy.max_payload).unwrap_or(usize::MAX);
        if frame.len() > limit {
            return Err(ClientError::TooLarge { size: frame.len(), limit });
        }
        let frame = String::from_utf8(frame).expect("a frame is made of strings");
        self.inner.outgoing.send(Outgoing::Frame(frame)).await.map_err(|_| self.close_error())
    }

    fn close_error(&self) -> ClientError {
        self.inner.closed.borrow().clone().unwrap_or_else(ClientError::abnormal_close)
    }

    fn start(options: &ConnectOptions, established: Established) -> Self {
        let Established { socket, hello, early } = established;
        let (outgoing, outgoing_receiver) = mpsc::channel(OUTGOING_BUFFER);
        let (events, first_stream) = broadcast::channel(options.event_buffer);
        let (closed_sender, closed) = watch::channel(None);
        let pending = Arc::new(Pending::default());
        let weak_events = events.downgrade();
        let mut driver = Driver::new(socket, outgoing_receiver, pending.clone(), events, closed_sender);
        driver.tap = options.tap.clone();
        let patience = Duration::from_millis(hello.policy.tick_interval_ms.clamp(1, 86_400_000) * 2);
        driver.patience = options.tick_watchdog.then_some(patience);
        for event in early {
            driver.hear(event);
        }
        let inner = Inner {
            pending,
            outgoing,
            events: weak_events,
            first_stream: Mutex::new(Some(EventStream::new(first_stream))),
            closed,
            driver: tokio::spawn(driver.run()).abort_handle(),
            request_timeout: options.request_timeout,
            hello,
        };
        Connection { inner: Arc::new(inner) }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("hello", &self.inner.hello).finish_non_exhaustive()
    }
}

fn expired(method: &str, limit: Duration) -> ClientError {
    ClientError::Timeout { what: format!("answer to {method}"), after: limit }
}

/// Whether a refusal is the fault of the token shown. Without a shared secret to fall back on, only a gateway that names
/// the device token itself is believed: dropping the last credential cannot be undone from here.
fn is_about_the_token(error: &ClientError, has_shared_secret: bool) -> bool {
    let ClientError::Refused { error: shape, .. } = error else { return false };
    match error.detail_code() {
        Some("AUTH_DEVICE_TOKEN_MISMATCH") => true,
        Some("AUTH_RATE_LIMITED") => false,
        Some(code) if code.starts_with("AUTH_") => has_shared_secret,
        _ => has_shared_secret && shape.message.starts_with("unauthorized") && !shape.retryable.unwrap_or(false),
    }
}

/// The scopes to ask for: those of the options, and where a kept token is all there is, as far as it goes.
fn within_reach(options: &ConnectOptions, kept: Option<&KeptToken>) -> Option<Vec<String>> {
    let asked = options.scopes.as_ref()?;
    let kept = kept.and_then(|kept| kept.token.as_ref());
    let kept = kept.filter(|_| !options.has_shared_secret() && options.bootstrap_token.is_none());
    match kept {
        Some(token) if !schemas::scope::covers(&token.scopes, asked) => {
            Some(schemas::scope::meet(&token.scopes, asked))
        }
        _ => Some(asked.clone()),
    }
}

/// The place in the token store that belongs to this connection, and what is in it.
struct KeptToken {
    key: TokenKey,
    store: TokenStore,
    token: Option<StoredToken>,
    /// What the gateway's certificate has to match, as a setup code told it.
    pins: Vec<Fingerprint>,
}

impl KeptToken {
    async fn find(options: &ConnectOptions, endpoint: &Endpoint) -> Result<Option<Self>, ClientError> {
        let (Some(store), Some(identity)) = (options.token_store.clone(), &options.identity) else { return Ok(None) };
        let key = TokenKey {
            gateway: options.gateway_id.clone().unwrap_or_else(|| endpoint.name()),
            device_id: identity.device_id().to_string(),
            role: options.role.clone(),
        };
        let (place, reader) = (key.clone(), store.clone());
        let (mut token, pins) = blocking(move || reader.load_pinned(&place)).await?.unzip();
        // A token for less than is asked now would be refused; the shared secret gets one for all of it.
        let asked = options.scopes.clone().unwrap_or_default();
        if options.has_shared_secret()
            && token.as_ref().is_some_and(|token| !schemas::scope::covers(&token.scopes, &asked))
        {
            token = None;
        }
        Ok(Some(KeptToken { key, store, token, pins: pins.unwrap_or_default() }))
    }

    /// Keeps the token of this hello-ok, which came over a connection with these options. The connection stands, so a full disk
    /// is worth a warning only.
    async fn renew(self, hello: &Hello, options: &ConnectOptions) {
        let Some(granted) = &hello.auth else { return };
        let Some(token) = granted.device_token.clone().filter(|token| !token.is_empty()) else { return };
        let key = TokenKey { role: granted.role.clone().unwrap_or(self.key.role), ..self.key };
        let token = StoredToken { token, scopes: granted.scopes.clone(), issued_at_ms: granted.issued_at_ms };
        // A setup code tells which certificate it is, if any, from now on; whoever says so once says it for that once, unless
        // there are pins that would stand against it the next time.
        let is_told = options.bootstrap_token.is_some() || !self.pins.is_empty();
        let pins = is_told.then(|| options.tls.pins.clone());
        let store = self.store;
        let keep = move || match pins {
            Some(pins) => store.save_pinned(&key, &token, &pins),
            None => store.save(&key, &token),
        };
        if let Err(error) = blocking(keep).await {
            tracing::warn!(%error, "the device token could not be kept");
        }
    }
}

/// Files are read and synced where they hold up no socket.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(ClientError::File("the token store failed".to_string())))
}
