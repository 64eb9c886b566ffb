//! What a connection is told before it opens: where, as whom, with which credentials and within which limits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemas::connect::{ClientInfo, ConnectParams, Credentials};

use crate::{Identity, PayloadForm, TlsOptions, TokenStore};

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From this client.
    Sent,
    /// From the gateway.
    Received,
}

pub(crate) type Tap = Arc<dyn Fn(Direction, &str) + Send + Sync>;

/// How to connect. Everything but the address has a default; see each method.
#[derive(Clone)]
pub struct ConnectOptions {
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) bootstrap_token: Option<String>,
    pub(crate) identity: Option<Identity>,
    pub(crate) payload_form: PayloadForm,
    pub(crate) token_store: Option<TokenStore>,
    pub(crate) gateway_id: Option<String>,
    pub(crate) client: ClientInfo,
    pub(crate) role: String,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) caps: Option<Vec<String>>,
    pub(crate) commands: Option<Vec<String>>,
    pub(crate) permissions: Option<BTreeMap<String, bool>>,
    pub(crate) path_env: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) protocols: (u64, u64),
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) tls: TlsOptions,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) max_message: usize,
    pub(crate) event_buffer: usize,
    pub(crate) tick_watchdog: bool,
    pub(crate) tap: Option<Tap>,
}

impl ConnectOptions {
    /// Connects to `ws://HOST:PORT` or `wss://HOST:PORT` as an operator's program.
    pub fn new(url: impl Into<String>) -> Self {
        ConnectOptions {
            url: url.into(),
            token: None,
            password: None,
            bootstrap_token: None,
            identity: None,
            payload_form: PayloadForm::V2,
            token_store: None,
            gateway_id: None,
            client: ClientInfo {
                id: "gateway-client".to_string(),
                display_name: None,
                version: env!("CARGO_PKG_VERSION").to_string(),
                platform: std::env::consts::OS.to_string(),
                device_family: None,
                model_identifier: None,
                mode: "backend".to_string(),
                instance_id: None,
                build_id: None,
                time_zone: None,
            },
            role: "operator".to_string(),
            scopes: None,
            caps: None,
            commands: None,
            permissions: None,
            path_env: None,
            locale: None,
            user_agent: None,
            protocols: (3, 3),
            // Shorter than the gateway's own 15 s, so that the client knows first why it gave up.
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            tls: TlsOptions::default(),
            headers: Vec::new(),
            max_message: 25 * 1024 * 1024,
            event_buffer: 256,
            tick_watchdog: true,
            tap: None,
        }
    }

    /// The gateway's shared token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into()).filter(|token| !token.is_empty());
        self
    }

    /// The gateway's shared password.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into()).filter(|password| !password.is_empty());
        self
    }

    /// The token of a setup code, by which the gateway pairs this device once: what the code invites to is all that it
    /// gives. Shown in place of any other token, and needs an identity; [`Connection::open`](crate::Connection::open) keeps
    /// the device token that comes of it. Speaks protocol 4, which alone has a field for it.
    pub fn bootstrap_token(mut self, token: impl Into<String>) -> Self {
        self.bootstrap_token = Some(token.into()).filter(|token| !token.is_empty());
        self.protocols = (4, 4);
        self.payload_form(PayloadForm::V3)
    }

    /// The device that signs the connection.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Which text the device signs; [`PayloadForm::V2`] unless said.
    pub fn payload_form(mut self, form: PayloadForm) -> Self {
        self.payload_form = form;
        self
    }

    /// Keeps the device tokens the gateway hands out, and presents them. Needs an identity.
    pub fn token_store(mut self, store: TokenStore) -> Self {
        self.token_store = Some(store);
        self
    }

    /// Names the gateway in the token store; its address unless said.
    pub fn gateway_id(mut self, id: impl Into<String>) -> Self {
        self.gateway_id = Some(id.into());
        self
    }

    /// `client.id` and `client.mode`; `gateway-client` and `backend` unless said.
    pub fn client(mut self, id: impl Into<String>, mode: impl Into<String>) -> Self {
        self.client.id = id.into();
        self.client.mode = mode.into();
        self
    }

    /// All of `client` at once.
    pub fn client_info(mut self, client: ClientInfo) -> Self {
        self.client = client;
        self
    }

    /// The program's version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.client.version = version.into();
        self
    }

    /// The system it runs on; the name of this system unless said.
    pub fn platform(mut self, platform: impl Into<String>) -> Self {
        self.client.platform = platform.into();
        self
    }

    /// A name for people.
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.client.display_name = Some(name.into());
        self
    }

    /// Kind of device.
    pub fn device_family(mut self, family: impl Into<String>) -> Self {
        self.client.device_family = Some(family.into());
        self
    }

    /// Tells two instances of one program apart.
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.client.instance_id = Some(id.into());
        self
    }

    /// `operator` (the default) or `node`.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = role.into();
        self
    }

    /// Scopes asked for; left out unless said.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Capabilities; left out unless said.
    pub fn caps<S: Into<String>>(mut self, caps: impl IntoIterator<Item = S>) -> Self {
        self.caps = Some(caps.into_iter().map(Into::into).collect());
        self
    }

    /// Commands a node can be asked to run.
    pub fn commands<S: Into<String>>(mut self, commands: impl IntoIterator<Item = S>) -> Self {
        self.commands = Some(commands.into_iter().map(Into::into).collect());
        self
    }

    /// Permissions a node holds on its system.
    pub fn permissions(mut self, permissions: BTreeMap<String, bool>) -> Self {
        self.permissions = Some(permissions);
        self
    }

    /// A node's `PATH`.
    pub fn path_env(mut self, path: impl Into<String>) -> Self {
        self.path_env = Some(path.into());
        self
    }

    /// The user's locale.
    pub fn locale(mut self, locale: impl Into<String>) -> Self {
        self.locale = Some(locale.into());
        self
    }

    /// The client's user agent, in `connect`.
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = Some(agent.into());
        self
    }

    /// The lowest and highest protocol version offered; 3 and 3 unless said.
    pub fn protocols(mut self, lowest: u64, highest: u64) -> Self {
        self.protocols = (lowest, highest);
        self
    }

    /// Time for everything from dialling to `hello-ok`; 10 s unless said.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Time for one request unless the request says otherwise; 30 s unless said.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// How `wss://` trusts the gateway.
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// The `Origin` header, as a browser sends it.
    pub fn origin(self, origin: impl Into<String>) -> Self {
        self.header("origin", origin)
    }

    /// One more header of the upgrade request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The largest message read from the gateway, in bytes; 25 MiB unless said.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How many events are kept for a stream that does not read; 256 unless said. The oldest give way, and the stream
    /// is told.
    pub fn event_buffer(mut self, events: usize) -> Self {
        self.event_buffer = events.max(1);
        self
    }

    /// Whether the connection is closed after two tick intervals without a frame; on unless said.
    pub fn tick_watchdog(mut self, on: bool) -> Self {
        self.tick_watchdog = on;
        self
    }

    /// Sees every frame as text, `connect` with its secrets included: for transcripts and tests.
    pub fn on_frame(mut self, tap: impl Fn(Direction, &str) + Send + Sync + 'static) -> Self {
        self.tap = Some(Arc::new(tap));
        self
    }

    /// `connect`'s parameters without a device.
    pub(crate) fn params(&self, credentials: Credentials) -> ConnectParams {
        let shown = [credentials.token(), credentials.password(), credentials.bootstrap_token()];
        let empty = shown.iter().all(Option::is_none);
        ConnectParams {
            min_protocol: self.protocols.0,
            max_protocol: self.protocols.1,
            client: self.client.clone(),
            caps: self.caps.clone(),
            commands: self.commands.clone(),
            permissions: self.permissions.clone(),
            path_env: self.path_env.clone(),
            role: Some(self.role.clone()),
            scopes: self.scopes.clone(),
            device: None,
            auth: (!empty).then_some(credentials),
            locale: self.locale.clone(),
            user_agent: self.user_agent.clone(),
            computer_use: None,
            worker_runs: None,
            model_catalog: None,
        }
    }

    /// Credentials with this token, and the password beside it.
    pub(crate) fn credentials(&self, token: Option<String>) -> Credentials {
        Credentials { token, password: self.password.clone(), ..Credentials::default() }
    }

    /// The setup code's token, alone: nothing else shall let this client in, or the code would be left over.
    pub(crate) fn invitation(&self) -> Option<Credentials> {
        let token = self.bootstrap_token.clone()?;
        Some(Credentials { bootstrap_token: Some(token), ..Credentials::default() })
    }

    pub(crate) fn has_shared_secret(&self) -> bool {
        self.token.is_some() || self.password.is_some()
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("url", &self.url)
            .field("token", &self.token.is_some())
            .field("password", &self.password.is_some())
            .field("bootstrap_token", &self.bootstrap_token.is_some())
            .field("identity", &self.identity)
            .field("client", &self.client)
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .field("protocols", &self.protocols)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_sent_and_never_shown() {
        let options = ConnectOptions::new("ws://h:1")
            .token("s3cret")
            .password("p4ss")
            .bootstrap_token("c0de")
            .scopes(["operator.read"]);
        let shown = format!("{options:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("p4ss") && !shown.contains("c0de"), "{shown}");
        let params = options.params(options.credentials(options.token.clone()));
        assert_eq!(params.credentials().token(), Some("s3cret"));
        assert_eq!(params.credentials().password(), Some("p4ss"));
        let invited = options.params(options.invitation().expect("a setup code was given"));
        assert_eq!((invited.min_protocol, invited.credentials().bootstrap_token()), (4, Some("c0de")));
        assert_eq!((invited.credentials().token(), invited.credentials().password()), (None, None));
        let nothing = ConnectOptions::new("ws://h:1").token("");
        assert!(nothing.params(nothing.credentials(None)).auth.is_none(), "an empty token is none");
    }
}
