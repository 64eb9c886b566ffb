//! From checked values to the typed configuration, and what can only be judged with several values in hand.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::duration;
use super::file::Values;
use super::issue::{Issue, Origin, subject};
use super::keys::{self, Kind};
use super::limits::Limits;
use super::methods::{MethodRules, Rule};
use super::named_tokens;
use super::network::{Bind, IpRange, normalized_origin};
use super::plugin_host::{self, PluginHostSettings};
use super::sources::{Environment, beside, expand_home, lacks_home};
use crate::named_tokens::NamedToken;
use crate::secret::Secret;

/// `[gateway]` with everything below it.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Where to listen.
    pub bind: Bind,
    /// TCP port; 0 picks a free one.
    pub port: u16,
    /// The state folder.
    pub state_dir: PathBuf,
    /// Proxies whose forwarding headers count.
    pub trusted_proxies: Vec<IpRange>,
    /// Further origins, written as browsers send them; `*` is every origin.
    pub allowed_origins: Vec<String>,
    /// Further host names in lower case; `*` is every name.
    pub allowed_hosts: Vec<String>,
    /// Client ids accepted beside those of the protocol.
    pub client_ids: Vec<String>,
    /// Whether unknown params are left out instead of refused.
    pub allow_extra_params: bool,
    /// TLS on its port.
    pub tls: TlsSettings,
    /// The log.
    pub log: LogSettings,
    /// Metrics.
    pub metrics: MetricsSettings,
    /// Exceptions for the Control UI.
    pub control_ui: ControlUiSettings,
    /// What clients derive their session key from.
    pub session: SessionSettings,
    /// How clients authenticate.
    pub auth: AuthSettings,
    /// Limits.
    pub limits: Limits,
    /// What holds for all plugins.
    pub plugins: PluginHostSettings,
    /// Which methods are let through at all.
    pub methods: MethodRules,
}

/// `[gateway.tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Whether the port speaks TLS.
    pub enabled: bool,
    /// The certificate and its key; without them the gateway makes its own.
    pub files: Option<(PathBuf, PathBuf)>,
}

/// `[gateway.log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Levels, overall and by part.
    pub level: String,
    /// Whether there is a log file.
    pub file: bool,
    /// Size at which the file is put aside.
    pub max_bytes: u64,
    /// Files kept, the current one among them.
    pub files: usize,
    /// How lines look on standard error.
    pub format: LogFormat,
}

/// How lines look on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// `[gateway.metrics]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Whether `/metrics` is served.
    pub enabled: bool,
}

/// `[gateway.control_ui]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlUiSettings {
    /// The shared secret alone lets it in.
    pub allow_insecure_auth: bool,
    /// Its device identity is ignored.
    pub dangerously_disable_device_auth: bool,
}

/// `[gateway.session]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// Agent that clients talk to first.
    pub default_agent: String,
    /// Short name of the main session.
    pub main_key: String,
    /// `per-sender` or `global`.
    pub scope: String,
}

/// `[gateway.auth]`
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// Which secret is asked for.
    pub mode: AuthMode,
    /// The configured token. In mode token without one, the state folder holds it.
    pub token: Option<Secret>,
    /// The configured password.
    pub password: Option<Secret>,
    /// Life of a device token.
    pub token_ttl: Duration,
    /// The socket of the daemon that is asked about identities of the tailnet; absent unless these are allowed.
    pub tailscale_socket: Option<PathBuf>,
    /// Life of a setup code.
    pub setup_code_ttl: Duration,
    /// Tokens with a name and bounds of their own.
    pub named: Vec<NamedToken>,
}

/// Which secret is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// `auth.token`
    Token,
    /// `auth.password`
    Password,
}

impl AuthMode {
    /// The word in the configuration and in `gateway.json`.
    pub const fn name(self) -> &'static str {
        match self {
            AuthMode::Token => "token",
            AuthMode::Password => "password",
        }
    }
}

/// Makes the typed configuration. With issues the result is not to be used.
pub(super) fn assemble(
    values: &Values,
    file: Option<&Path>,
    env: Environment<'_>,
    read_files: bool,
) -> (Gateway, Vec<Issue>) {
    let mut assembly = Assembly { values, file, env, read_files, issues: Vec::new() };
    let gateway = assembly.gateway();
    (gateway, assembly.issues)
}

/// The effective `[gateway]` for people: defaults applied, secrets replaced.
pub(super) fn redacted(values: &Values, gateway: &Gateway) -> Value {
    let mut shown = json!({});
    for key in keys::all() {
        let value = match key.path {
            "gateway.auth.mode" => Some(json!(gateway.auth.mode.name())),
            "gateway.state_dir" => Some(json!(gateway.state_dir.to_string_lossy())),
            _ => values.effective(key.path),
        };
        if let Some(value) = value {
            let value = if key.kind == Kind::Secret { json!(super::REDACTED) } else { value };
            insert(&mut shown, key.path.trim_start_matches("gateway."), value);
        }
    }
    if !values.named_tokens.is_empty() {
        let tokens = values.named_tokens.iter().map(named_tokens::Given::redacted).collect();
        insert(&mut shown, named_tokens::PATH.trim_start_matches("gateway."), tokens);
    }
    shown
}

fn insert(parent: &mut Value, path: &str, value: Value) {
    match path.split_once('.') {
        Some((head, rest)) => {
            let child = &mut parent[head];
            if child.is_null() {
                *child = Value::Object(Map::new());
            }
            insert(child, rest, value);
        }
        None => parent[path] = value,
    }
}

struct Assembly<'a> {
    values: &'a Values,
    file: Option<&'a Path>,
    env: Environment<'a>,
    read_files: bool,
    issues: Vec<Issue>,
}

impl Assembly<'_> {
    fn gateway(&mut self) -> Gateway {
        let values = self.values;
        let text = |path| values.text(path).unwrap_or_default();
        let state_dir = self.state_dir();
        Gateway {
            bind: self.bind(),
            port: values.whole("gateway.port") as u16,
            state_dir: state_dir.clone(),
            trusted_proxies: self.each("gateway.trusted_proxies", "an IP address or network", |text| text.parse().ok()),
            allowed_origins: self.each(
                "gateway.allowed_origins",
                "an origin such as \"https://example.org\"",
                normalized_origin,
            ),
            allowed_hosts: self.each(
                "gateway.allowed_hosts",
                "a host name without scheme or path, or \"*\",",
                host_name,
            ),
            client_ids: self.each("gateway.client_ids", "a client id", |text| {
                (!text.trim().is_empty()).then(|| text.trim().to_string())
            }),
            allow_extra_params: values.flag("gateway.allow_extra_params"),
            tls: TlsSettings { enabled: values.flag("gateway.tls.enabled"), files: self.tls_files() },
            log: self.log(),
            metrics: MetricsSettings { enabled: values.flag("gateway.metrics.enabled") },
            control_ui: ControlUiSettings {
                allow_insecure_auth: values.flag("gateway.control_ui.allow_insecure_auth"),
                dangerously_disable_device_auth: values.flag("gateway.control_ui.dangerously_disable_device_auth"),
            },
            session: SessionSettings {
                default_agent: text("gateway.session.default_agent"),
                main_key: text("gateway.session.main_key"),
                scope: text("gateway.session.scope"),
            },
            auth: self.auth(),
            limits: self.limits(),
            plugins: self.plugins(&state_dir),
            methods: MethodRules {
                everyone: self.rule("gateway.methods.allow", "gateway.methods.deny"),
                operator: self.rule("gateway.methods.operator.allow", "gateway.methods.operator.deny"),
                node: self.rule("gateway.methods.node.allow", "gateway.methods.node.deny"),
            },
        }
    }

    fn bind(&mut self) -> Bind {
        let text = self.values.text("gateway.bind").unwrap_or_default();
        // What stands above the file in rank displaces both.
        let is_files = matches!(self.values.origin("gateway.bind"), Some(Origin::File { .. }) | None);
        if is_files && text.trim() != "custom" && self.values.text("gateway.custom_bind").is_some() {
            let wrong =
                format!("bind = \"custom\" is needed as well, or no custom_bind; with bind = {text:?} it does nothing");
            self.complain("gateway.custom_bind", &wrong);
        }
        match text.trim() {
            "loopback" => Bind::Loopback,
            "lan" => Bind::Lan,
            "tailnet" => Bind::Tailnet,
            "auto" => Bind::Auto,
            "custom" => match self.values.text("gateway.custom_bind") {
                Some(address) => self.address("gateway.custom_bind", &address, "an IP address is needed"),
                None => {
                    self.complain("gateway.bind", "custom_bind is needed as well, with the IP address to listen on");
                    Bind::Loopback
                }
            },
            other => {
                let expected = "\"loopback\", \"lan\", \"tailnet\", \"auto\", \"custom\" or an IP address is needed";
                self.address("gateway.bind", other, expected)
            }
        }
    }

    fn address(&mut self, path: &str, text: &str, expected: &str) -> Bind {
        let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
        bare.parse().map(Bind::Address).unwrap_or_else(|_| {
            self.complain(path, expected);
            Bind::Loopback
        })
    }

    fn state_dir(&mut self) -> PathBuf {
        let path = "gateway.state_dir";
        let text = self.values.text(path).unwrap_or_default();
        if lacks_home(&text, self.env) && self.read_files {
            self.complain(path, "there is no home folder (HOME is not set); an absolute path is needed");
        }
        let folder = self.expanded(path, &text);
        std::path::absolute(&folder).unwrap_or(folder)
    }

    /// A path as its giver meant it: from the file's folder if the file says so, else from where the command runs.
    fn expanded(&self, path: &str, text: &str) -> PathBuf {
        let expanded = expand_home(text, self.env);
        match self.values.origin(path) {
            Some(Origin::File { .. }) => beside(self.file, expanded),
            _ => expanded,
        }
    }

    fn tls_files(&mut self) -> Option<(PathBuf, PathBuf)> {
        let paths = ["gateway.tls.cert_file", "gateway.tls.key_file"];
        let [cert, key] = paths.map(|path| self.values.text(path).map(|text| self.expanded(path, &text)));
        match (cert, key) {
            (Some(cert), Some(key)) => {
                for (path, file) in paths.iter().zip([&cert, &key]) {
                    if self.read_files
                        && let Err(error) = std::fs::File::open(file)
                    {
                        self.complain(path, &format!("cannot read {}: {error}", file.display()));
                    }
                }
                Some((cert, key))
            }
            (Some(_), None) => {
                self.complain(paths[0], "key_file is needed as well; a certificate is of no use without its key");
                None
            }
            (None, Some(_)) => {
                self.complain(paths[1], "cert_file is needed as well; a key is of no use without its certificate");
                None
            }
            (None, None) => None,
        }
    }

    fn log(&mut self) -> LogSettings {
        let level = self.values.text("gateway.log.level").unwrap_or_default();
        if !is_level(&level) {
            let expected = "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\" is needed, or such as \
                            \"info,clawhost=debug\"";
            self.complain("gateway.log.level", expected);
        }
        LogSettings {
            level,
            file: self.values.flag("gateway.log.file"),
            max_bytes: self.values.whole("gateway.log.max_bytes"),
            files: self.values.whole("gateway.log.files") as usize,
            format: match self.values.text("gateway.log.format").as_deref() {
                Some("json") => LogFormat::Json,
                _ => LogFormat::Text,
            },
        }
    }

    fn auth(&mut self) -> AuthSettings {
        let token = self.secret("gateway.auth.token", "gateway.auth.token_file");
        let password = self.secret("gateway.auth.password", "gateway.auth.password_file");
        let by_flag = |path| matches!(self.values.origin(path), Some(Origin::Flag(_)));
        let mode = match self.values.text("gateway.auth.mode").as_deref() {
            Some("token") => AuthMode::Token,
            Some("password") => {
                if password.is_none() && self.read_files {
                    let wrong =
                        "no password is configured; set CLAWHOST_GATEWAY_PASSWORD or gateway.auth.password_file";
                    self.complain("gateway.auth.mode", wrong);
                }
                AuthMode::Password
            }
            // Who types a token on the command line means it, whatever password the file holds.
            _ if by_flag("gateway.auth.token") && !by_flag("gateway.auth.password") => AuthMode::Token,
            _ if password.is_some() => AuthMode::Password,
            _ => AuthMode::Token,
        };
        let span = |path| self.values.text(path).and_then(|text| duration::parse(&text));
        let token_ttl = span("gateway.auth.token_ttl").expect("a checked span with a default");
        let setup_code_ttl = span("gateway.auth.setup_code_ttl").expect("a checked span with a default");
        let named = self.named_tokens([&token, &password].into_iter().flatten());
        let tailscale_socket = self.tailscale_socket();
        AuthSettings { mode, token, password, token_ttl, setup_code_ttl, tailscale_socket, named }
    }

    fn tailscale_socket(&self) -> Option<PathBuf> {
        let path = "gateway.auth.tailscale_socket";
        let text = self.values.text(path).unwrap_or_default();
        self.values.flag("gateway.auth.allow_tailscale").then(|| self.expanded(path, &text))
    }

    /// `shared`: secrets that let in without bounds, so that a named token may not be one of them.
    fn named_tokens<'s>(&mut self, shared: impl Iterator<Item = &'s Secret>) -> Vec<NamedToken> {
        let read = |text: &str| {
            let file = beside(self.file, expand_home(text, self.env));
            if self.read_files { read_secret(&file).map(Some) } else { Ok(None) }
        };
        let (named, issues) = named_tokens::assemble(&self.values.named_tokens, &shared.collect::<Vec<_>>(), &read);
        self.issues.extend(issues);
        named
    }

    /// A secret, given itself or by a file. What stands above the file in rank displaces both.
    fn secret(&mut self, path: &str, file_path: &str) -> Option<Secret> {
        let direct = self.values.text(path);
        let file = self.values.text(file_path);
        if let (Some(Origin::File { .. }), Some(_)) = (self.values.origin(path), &file) {
            let name = path.rsplit('.').next().unwrap_or(path);
            self.complain(file_path, &format!("{name} is set as well; only one of the two may be"));
        }
        if let Some(secret) = direct {
            if secret.trim().is_empty() {
                self.complain(path, "a text that is not only blanks is needed");
            }
            return Some(Secret::new(secret.trim()));
        }
        let file = self.expanded(file_path, &file?);
        if !self.read_files {
            return None;
        }
        read_secret(&file).map_err(|wrong| self.complain(file_path, &wrong)).ok()
    }

    fn limits(&mut self) -> Limits {
        let limits = Limits::read(self.values);
        for (path, right) in limits.contradictions() {
            self.complain(path, &right);
        }
        limits
    }

    fn plugins(&mut self, state_dir: &Path) -> PluginHostSettings {
        let path = "gateway.plugins.directory";
        let directory = match self.values.text(path) {
            Some(text) => self.expanded(path, &text),
            None => state_dir.join("plugins"),
        };
        let keys = self.each("gateway.plugins.keys", plugin_host::KEY_EXPECTED, plugin_host::public_key);
        PluginHostSettings::read(self.values, std::path::absolute(&directory).unwrap_or(directory), keys)
    }

    fn rule(&self, allow: &str, deny: &str) -> Rule {
        Rule { allow: self.values.list(allow), deny: self.values.list(deny) }
    }

    /// Every entry of a list, read by `read`; those it cannot read are complained about.
    fn each<T>(&mut self, path: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let entries = self.values.list(path);
        let mut found = Vec::with_capacity(entries.len());
        for entry in entries {
            match read(&entry) {
                Some(value) => found.push(value),
                None => self.complain(path, &format!("{expected} is needed in place of {entry:?}")),
            }
        }
        found
    }

    fn complain(&mut self, path: &str, wrong: &str) {
        self.issues.push(about(self.values, path, wrong));
    }
}

/// The secret that a file holds. The error says what is wrong with it.
fn read_secret(file: &Path) -> Result<Secret, String> {
    match std::fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.trim())),
        Ok(_) => Err("the file is empty; one line with the secret is needed".to_string()),
        Err(error) => Err(format!("cannot read {}: {error}", file.display())),
    }
}

/// A complaint about a key that has a value, addressed to who gave it.
pub(super) fn about(values: &Values, path: &str, wrong: &str) -> Issue {
    let key = keys::at(path).expect("complaints are about known keys");
    let unsaid = Origin::File { line: 0 };
    let origin = values.origin(path).unwrap_or(&unsaid);
    let line = match origin {
        Origin::File { line } if *line > 0 => Some(*line),
        _ => None,
    };
    let shown = values.effective(path);
    let message = format!("{}: {wrong}", subject(key, path, origin, shown.as_ref()));
    Issue { path: path.to_string(), message, line }
}

fn host_name(text: &str) -> Option<String> {
    let name = text.trim().to_ascii_lowercase();
    // Names are compared whole: a pattern would let nobody in.
    let is_name = name == "*" || !name.contains(['/', ' ', '@', '*']);
    (!name.is_empty() && is_name).then_some(name)
}

/// Whether a text is a level, or levels by part. The filter itself would take a misspelt level for a part's name.
fn is_level(text: &str) -> bool {
    let level = |word: &str| {
        ["off", "error", "warn", "info", "debug", "trace"].iter().any(|known| word.eq_ignore_ascii_case(known))
    };
    text.split(',').map(str::trim).all(|directive| match directive.split_once('=') {
        Some((part, word)) => {
            let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '.');
            !part.is_empty() && part.chars().all(sound) && level(word)
        }
        None => level(directive),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_told_from_misspelt_ones() {
        for right in ["info", "WARN", "info,clawhost=debug", "off, a::b=trace"] {
            assert!(is_level(right), "{right}");
        }
        for wrong in ["inof", "", "info,", "clawhost=", "=debug", "a[b]=info"] {
            assert!(!is_level(wrong), "{wrong}");
        }
    }
}
