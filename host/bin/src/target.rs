//! Which gateway is meant, and how to get in. Without an address it is the one that runs on this machine with the state
//! folder: its description there, readable by its owner only, says where it is and holds the credential in force. With
//! another address nothing of that is used, because a secret belongs to the gateway it was made for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clawhost::config::{Config, Overrides};
use clawhost::secret::Secret;
use clawhost::state::{LocalAuth, LocalGateway, read_gateway_json};
use client::{ConnectOptions, Fingerprint, Identity, TlsOptions, TokenStore};
use schemas::scope;
use schemas::setup_code::SetupCode;

use crate::failure::Failure;

/// What this program calls itself to gateways.
const CLIENT: &str = "cli";
/// Everything an operator may do.
const SCOPES: [&str; 5] = [scope::ADMIN, scope::READ, scope::WRITE, scope::APPROVALS, scope::PAIRING];
/// This program's identity as a device, in the state folder.
pub const IDENTITY: &str = "cli-device.json";
/// Device tokens that gateways gave to this program.
const TOKENS: &str = "cli-tokens.json";
/// The headless node's identity as a device, in the state folder.
const NODE_IDENTITY: &str = "node-device.json";
/// Device tokens that gateways gave to the headless node.
const NODE_TOKENS: &str = "node-tokens.json";
/// For the steps up to `hello-ok`.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

const STATE_DIR_VARIABLES: [&str; 3] = ["CLAWHOST_STATE_DIR", "OPENCLAW_STATE_DIR", "CLAWDBOT_STATE_DIR"];
const TOKEN_VARIABLES: [&str; 4] =
    ["CLAWHOST_GATEWAY_TOKEN", "CLAWHOST_TOKEN", "OPENCLAW_GATEWAY_TOKEN", "CLAWDBOT_GATEWAY_TOKEN"];
const PASSWORD_VARIABLES: [&str; 4] =
    ["CLAWHOST_GATEWAY_PASSWORD", "CLAWHOST_PASSWORD", "OPENCLAW_GATEWAY_PASSWORD", "CLAWDBOT_GATEWAY_PASSWORD"];
/// Fingerprints with commas between them, for gateways that are named with an address.
const TLS_VARIABLE: &str = "CLAWHOST_TLS_FINGERPRINT";

/// Which gateway is meant, as the command line says.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Its address; this machine's gateway without one.
    pub url: Option<String>,
    /// A setup code, which says where and lets in once.
    pub invitation: Option<Invitation>,
    /// The secret to show it.
    pub token: Option<Secret>,
    /// The other kind of secret to show it.
    pub password: Option<Secret>,
    /// The state folder.
    pub state_dir: Option<PathBuf>,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Fingerprints of which the gateway's certificate has to match one.
    pub tls_fingerprints: Vec<Fingerprint>,
    /// How long to wait for an answer.
    pub timeout: Option<Duration>,
}

/// What a setup code says.
#[derive(Debug, Clone)]
pub struct Invitation {
    url: String,
    token: Secret,
    pin: Option<Fingerprint>,
}

impl Invitation {
    /// Reads a code, if it is one.
    pub fn read(text: &str) -> Option<Self> {
        let SetupCode { url, bootstrap_token, tls_sha256 } = SetupCode::decode(text)?;
        let pin = tls_sha256.map(|pin| pin.parse().ok());
        // A pin that cannot be read must not count as none.
        let pin = match pin {
            None => None,
            Some(read) => Some(read?),
        };
        Some(Invitation { url, token: Secret::new(bootstrap_token), pin })
    }
}

/// Names of this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The environment, as `std::env::var` would answer.
type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

impl Target {
    /// How to connect. Resolved anew for every attempt: a gateway that was restarted may have another port and token.
    pub fn options(&self) -> Result<ConnectOptions, Failure> {
        let door = self.door(&environment)?;
        let mut options = ConnectOptions::new(&door.url)
            .client(CLIENT, CLIENT)
            .version(env!("CARGO_PKG_VERSION"))
            .scopes(SCOPES)
            .tls(TlsOptions::pinned(door.pins))
            .connect_timeout(self.timeout.map_or(CONNECT_LIMIT, |limit| limit.min(CONNECT_LIMIT)));
        if let Some(limit) = self.timeout {
            options = options.request_timeout(limit);
        }
        if let Some(token) = &door.token {
            options = options.token(token.expose());
        }
        if let Some(password) = &door.password {
            options = options.password(password.expose());
        }
        if let Some(token) = &door.invitation {
            options = options.bootstrap_token(token.expose());
        }
        if let Some(folder) = &door.device_in {
            let identity = Identity::load_or_create(&folder.join(IDENTITY))?;
            options = options.identity(identity).token_store(TokenStore::new(folder.join(TOKENS)));
        }
        Ok(options)
    }

    /// The address of the gateway.
    pub fn address(&self) -> Result<String, Failure> {
        Ok(self.door(&environment)?.url)
    }

    /// How a node of this machine connects: always as a device of its own, which a gateway can approve and forget.
    pub fn node_options(&self) -> Result<ConnectOptions, Failure> {
        let folder = self.state_dir()?;
        let identity = Identity::load_or_create(&folder.join(NODE_IDENTITY))?;
        Ok(self.options()?.identity(identity).token_store(TokenStore::new(folder.join(NODE_TOKENS))))
    }

    /// The state folder: what was said on the command line, then in the environment, then in the configuration.
    pub fn state_dir(&self) -> Result<PathBuf, Failure> {
        self.state_dir_with(&environment)
    }

    /// The configuration that a gateway started with the same flags and environment would have.
    pub fn overrides(&self) -> Overrides {
        Overrides { config: self.config.clone(), state_dir: self.state_dir.clone(), ..Overrides::default() }
    }

    fn state_dir_with(&self, env: Environment<'_>) -> Result<PathBuf, Failure> {
        if let Some(folder) = self.state_dir.clone().or_else(|| state_dir_of(env)) {
            return Ok(folder);
        }
        match Config::load(self.overrides(), env) {
            Ok(config) => Ok(config.gateway.state_dir),
            Err(error) => {
                let hint =
                    "the configuration says where the gateway's state is; --state-dir names the folder without it";
                Err(Failure::Usage(format!("{error}\n{hint}")))
            }
        }
    }

    fn door(&self, env: Environment<'_>) -> Result<Door, Failure> {
        let state_dir = self.state_dir_with(env)?;
        if let Some(Invitation { url, token, pin }) = self.invitation.clone() {
            let (invitation, pins) = (Some(token), pin.into_iter().collect());
            return Ok(Door { url, token: None, password: None, invitation, device_in: Some(state_dir), pins });
        }
        let Some(url) = &self.url else { return self.local_door(&state_dir) };
        let token = self.token.clone().or_else(|| first(env, &TOKEN_VARIABLES).map(Secret::new));
        let password = self.password.clone().or_else(|| first(env, &PASSWORD_VARIABLES).map(Secret::new));
        if let (None, None, Some(gateway)) = (&token, &password, read_gateway_json(&state_dir))
            && is_address_of(&gateway, url)
        {
            return self.door_of(gateway, &state_dir);
        }
        let pins = match &self.tls_fingerprints[..] {
            [] => fingerprints_of(env)?,
            pins => pins.to_vec(),
        };
        Ok(Door { url: url.clone(), token, password, invitation: None, device_in: Some(state_dir), pins })
    }

    fn local_door(&self, state_dir: &Path) -> Result<Door, Failure> {
        let gateway = read_gateway_json(state_dir).ok_or_else(|| {
            Failure::failed(format!(
                "no gateway is running with the state folder {}; start one with `clawhost run`, or name another one \
                 with --state-dir or --url",
                state_dir.display()
            ))
        })?;
        self.door_of(gateway, state_dir)
    }

    /// The address is always the one the gateway wrote down: on another spelling of it somebody else may listen.
    fn door_of(&self, gateway: LocalGateway, state_dir: &Path) -> Result<Door, Failure> {
        let (token, password) = match (&self.token, &self.password, gateway.auth) {
            (None, None, LocalAuth::Token(token)) => (Some(token), None),
            (None, None, LocalAuth::Password(password)) => (None, Some(password)),
            (token, password, _) => (token.clone(), password.clone()),
        };
        // A token lets in by itself; with a password the protocol wants to know which device it is.
        let device_in = token.is_none().then(|| state_dir.to_path_buf());
        let pins = match (&self.tls_fingerprints[..], gateway.tls_fingerprint) {
            ([], Some(own)) => vec![own.parse()?],
            (said, _) => said.to_vec(),
        };
        Ok(Door { url: gateway.url, token, password, invitation: None, device_in, pins })
    }
}

/// Whether an address is that of this machine's gateway, in whatever spelling of loopback.
fn is_address_of(gateway: &LocalGateway, url: &str) -> bool {
    let place = |url: &str| {
        let url = url.trim().to_ascii_lowercase();
        let (scheme, place) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "ws" | "wss"))?;
        let (host, port) = place.trim_end_matches('/').rsplit_once(':')?;
        let host = if LOOPBACK.contains(&host) { LOOPBACK[0] } else { host };
        Some((scheme.to_string(), host.to_string(), port.parse::<u16>().ok()?))
    };
    place(url).is_some_and(|typed| place(&gateway.url) == Some(typed))
}

/// Where to knock, and with what.
#[derive(Debug)]
struct Door {
    url: String,
    token: Option<Secret>,
    password: Option<Secret>,
    /// The token of a setup code.
    invitation: Option<Secret>,
    /// The folder with this program's device identity, if it has to show one.
    device_in: Option<PathBuf>,
    /// What the gateway's certificate has to match.
    pins: Vec<Fingerprint>,
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The first variable that says something; an empty one says nothing.
fn first(env: Environment<'_>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env(name).map(|text| text.trim().to_string()).filter(|text| !text.is_empty()))
}

fn fingerprints_of(env: Environment<'_>) -> Result<Vec<Fingerprint>, Failure> {
    let text = first(env, &[TLS_VARIABLE]).unwrap_or_default();
    let one = |text: &str| text.parse().map_err(|error| Failure::usage(format!("{TLS_VARIABLE}: {error}")));
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(one).collect()
}

fn state_dir_of(env: Environment<'_>) -> Option<PathBuf> {
    let text = first(env, &STATE_DIR_VARIABLES)?;
    let below_home = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = match (below_home, env("HOME").filter(|home| !home.is_empty())) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    };
    Some(std::path::absolute(&path).unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use clawhost::state::{LocalGateway, StateDir};

    use super::*;

    fn gateway(auth: LocalAuth) -> LocalGateway {
        LocalGateway {
            url: "ws://127.0.0.1:4711".to_string(),
            port: 4711,
            pid: 7,
            version: "1.2.3".to_string(),
            started_at_ms: 5,
            auth,
            tls_fingerprint: None,
            config: None,
        }
    }

    fn shown(secret: &Option<Secret>) -> Option<&str> {
        secret.as_ref().map(Secret::expose)
    }

    #[test]
    fn the_state_folder_is_the_flags_the_environments_or_the_configurations() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("gateway.toml");
        std::fs::write(&file, "[gateway]\nstate_dir = \"/from/file\"\n").unwrap();
        let said = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
        };
        let both = Target { state_dir: Some("/from/flag".into()), config: Some(file.clone()), ..Target::default() };
        let config = Target { config: Some(file.clone()), ..Target::default() };
        let environment =
            said(&[("HOME", "/home/me"), ("OPENCLAW_STATE_DIR", "~/claw"), ("CLAWDBOT_STATE_DIR", "/old")]);
        let home = said(&[("HOME", "/home/me"), ("CLAWHOST_STATE_DIR", " ")]);
        assert_eq!(both.state_dir_with(&environment).unwrap(), Path::new("/from/flag"));
        assert_eq!(config.state_dir_with(&environment).unwrap(), Path::new("/home/me/claw"));
        assert_eq!(config.state_dir_with(&home).unwrap(), Path::new("/from/file"));
        assert_eq!(
            Target { config: None, ..config.clone() }.state_dir_with(&home).unwrap(),
            Path::new("/home/me/.clawhost")
        );
        std::fs::write(&file, "[gatewya]\n").unwrap();
        let failure = config.state_dir_with(&home).unwrap_err();
        assert_eq!(failure.code(), 2);
        assert!(failure.sentence().contains("gatewya") && failure.sentence().contains("--state-dir"));
    }

    #[test]
    fn the_gateway_of_this_machine_is_found_with_its_credential() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state");
        let target = Target { state_dir: Some(folder.clone()), ..Target::default() };
        let failure = target.door(&|_| None).unwrap_err();
        assert!(failure.sentence().starts_with("no gateway is running with the state folder"), "{failure:?}");
        assert_eq!(failure.code(), 1);

        let state = StateDir::open(&folder).unwrap();
        state.publish(&gateway(LocalAuth::Token(Secret::new("shared")))).unwrap();
        let door = target.door(&|_| Some("of another gateway".to_string())).unwrap();
        assert_eq!((door.url.as_str(), shown(&door.token)), ("ws://127.0.0.1:4711", Some("shared")));
        assert!(door.password.is_none() && door.device_in.is_none());

        let told = Target { token: Some(Secret::new("mine")), ..target.clone() };
        assert_eq!(shown(&told.door(&|_| None).unwrap().token), Some("mine"));

        state.publish(&gateway(LocalAuth::Password(Secret::new("pass")))).unwrap();
        let door = target.door(&|_| None).unwrap();
        assert_eq!((shown(&door.token), shown(&door.password)), (None, Some("pass")));
        assert_eq!(door.device_in.as_deref(), Some(folder.as_path()), "a password alone needs a device");
    }

    #[test]
    fn another_gateway_never_sees_the_secret_of_this_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state");
        let state = StateDir::open(&folder).unwrap();
        state.publish(&gateway(LocalAuth::Token(Secret::new("shared")))).unwrap();
        state.shared_token().unwrap();
        let remote = Target {
            url: Some("wss://elsewhere:443".to_string()),
            state_dir: Some(folder.clone()),
            ..Target::default()
        };
        let door = remote.door(&|_| None).unwrap();
        assert!(door.token.is_none() && door.password.is_none());
        assert_eq!((door.url.as_str(), door.device_in), ("wss://elsewhere:443", Some(folder)));
        let env = |name: &str| match name {
            "CLAWHOST_TOKEN" => Some("for elsewhere".to_string()),
            "CLAWDBOT_GATEWAY_TOKEN" => Some("old".to_string()),
            _ => None,
        };
        assert_eq!(shown(&remote.door(&env).unwrap().token), Some("for elsewhere"));
        let told = Target { token: Some(Secret::new("mine")), ..remote };
        assert_eq!(shown(&told.door(&env).unwrap().token), Some("mine"));
    }

    #[test]
    fn the_address_of_this_machines_gateway_finds_its_credential() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state");
        let state = StateDir::open(&folder).unwrap();
        state.publish(&gateway(LocalAuth::Token(Secret::new("shared")))).unwrap();
        let at =
            |url: &str| Target { url: Some(url.to_string()), state_dir: Some(folder.clone()), ..Target::default() };
        for url in ["ws://127.0.0.1:4711", "ws://localhost:4711/", "WS://LocalHost:4711", " ws://[::1]:4711"] {
            let door = at(url).door(&|_| None).unwrap();
            // On [::1] another user's program may listen, so the credential goes where the gateway says it is.
            assert_eq!((door.url.as_str(), shown(&door.token)), ("ws://127.0.0.1:4711", Some("shared")), "{url}");
            assert!(door.device_in.is_none(), "{url}");
        }
        for url in [
            "ws://127.0.0.1:4712",
            "ws://127.0.0.2:4711",
            "wss://127.0.0.1:4711",
            "ws://127.0.0.1:4711@elsewhere:4711",
            "ws://elsewhere:4711",
            "ws://localhost.elsewhere:4711",
            "ws://127.0.0.1",
            "ws://elsewhere/127.0.0.1:4711",
            "ws://elsewhere?@127.0.0.1:4711",
            "ws://127.0.0.1:4711/x",
            "127.0.0.1:4711",
        ] {
            let door = at(url).door(&|_| None).unwrap();
            assert!(door.token.is_none() && door.url == url, "{url}");
        }
        let said = at("ws://localhost:4711").door(&|name| (name == "CLAWHOST_TOKEN").then(|| "said".to_string()));
        assert_eq!(shown(&said.unwrap().token), Some("said"), "what somebody says is what they mean");
        let told = Target { token: Some(Secret::new("mine")), ..at("ws://localhost:4711") };
        assert_eq!(shown(&told.door(&|_| None).unwrap().token), Some("mine"));
    }

    #[test]
    fn pins_are_the_flags_or_the_environments() {
        let root = tempfile::tempdir().unwrap();
        let pin = Fingerprint::of;
        let target = Target {
            url: Some("wss://elsewhere:443".to_string()),
            state_dir: Some(root.path().to_path_buf()),
            ..Target::default()
        };
        let two = format!("{}, SHA256:{},", pin(b"one"), pin(b"two"));
        let env = |name: &str| (name == TLS_VARIABLE).then(|| two.clone());
        assert_eq!(target.door(&|_| None).unwrap().pins, []);
        assert_eq!(target.door(&env).unwrap().pins, [pin(b"one"), pin(b"two")]);
        let flagged = Target { tls_fingerprints: vec![pin(b"flag")], ..target.clone() };
        assert_eq!(flagged.door(&env).unwrap().pins, [pin(b"flag")]);
        let failure = target.door(&|name| (name == TLS_VARIABLE).then(|| "abc".to_string())).unwrap_err();
        assert!(failure.code() == 2 && failure.sentence().starts_with(TLS_VARIABLE), "{failure:?}");

        // The variable is meant for gateways that are named; this machine's says itself which certificate it has, if any.
        let state = StateDir::open(&root.path().join("state")).unwrap();
        state.publish(&gateway(LocalAuth::Token(Secret::new("shared")))).unwrap();
        let local = Target { url: None, state_dir: Some(root.path().join("state")), ..target };
        assert_eq!(local.door(&env).unwrap().pins, []);
        let own = LocalGateway {
            url: "wss://127.0.0.1:4711".to_string(),
            tls_fingerprint: Some(format!("sha256:{}", pin(b"own"))),
            ..gateway(LocalAuth::Token(Secret::new("shared")))
        };
        state.publish(&own).unwrap();
        assert_eq!(local.door(&env).unwrap().pins, [pin(b"own")]);
        let named = Target { url: Some("wss://localhost:4711".to_string()), ..local.clone() };
        assert_eq!(named.door(&|_| None).unwrap().pins, [pin(b"own")]);
        let flagged = Target { tls_fingerprints: vec![pin(b"flag")], ..local };
        assert_eq!(flagged.door(&env).unwrap().pins, [pin(b"flag")]);
    }
}
