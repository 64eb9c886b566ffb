//! Every key of `[gateway…]`, once. The check of the file, the JSON Schema, the effective configuration and the test of
//! the shipped `config.toml` all read this list, so none of them can forget a key.

use schemas::protocol;
use serde_json::{Value, json};

use super::{limits, plugin_host};

/// One key of the file.
#[derive(Debug)]
pub struct Key {
    /// Its table and name, joined by dots: `gateway.limits.max_payload`.
    pub path: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What holds when nobody says anything.
    pub fallback: Fallback,
    /// What it does.
    pub doc: &'static str,
}

/// What may stand under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number in a range, ends included.
    Whole {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// Any text.
    Text,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    List,
    /// A length of time such as `"30d"`, in a range given in seconds.
    Span {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A file or folder; a leading `~` is the home folder.
    Path,
    /// A text that nothing may show.
    Secret,
    /// A SHA-256 in hexadecimal digits.
    Sha256,
    /// An Ed25519 signature in base64.
    Signature,
    /// A date, or a date and a time with its offset.
    Moment,
}

/// The value of a key that was not given.
#[derive(Debug, Clone, Copy)]
pub enum Fallback {
    /// There is none: the key is optional, and an empty text in its place means the same.
    None,
    /// A flag.
    Flag(bool),
    /// A number.
    Whole(u64),
    /// A text.
    Text(&'static str),
    /// A list.
    List(&'static [&'static str]),
}

impl Key {
    /// The key's table, without its name.
    pub fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// The key's name in its table.
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    /// The default as a value, if there is one.
    pub fn default_value(&self) -> Option<Value> {
        match self.fallback {
            Fallback::None => None,
            Fallback::Flag(flag) => Some(json!(flag)),
            Fallback::Whole(number) => Some(json!(number)),
            Fallback::Text(text) => Some(json!(text)),
            Fallback::List(list) => Some(json!(list)),
        }
    }

    /// Whether an empty text means "not given".
    pub fn optional(&self) -> bool {
        matches!(self.fallback, Fallback::None)
    }
}

/// All keys under `[gateway]`.
pub fn all() -> impl Iterator<Item = &'static Key> {
    GENERAL.iter().chain(plugin_host::KEYS).chain(limits::KEYS)
}

/// The key at a dotted path.
pub fn at(path: &str) -> Option<&'static Key> {
    all().find(|key| key.path == path)
}

/// Every table that holds keys, and every table that holds tables.
pub fn tables() -> Vec<&'static str> {
    let mut tables = vec!["gateway"];
    for key in all() {
        if !tables.contains(&key.table()) {
            tables.push(key.table());
        }
    }
    tables
}

const fn key(path: &'static str, kind: Kind, fallback: Fallback, doc: &'static str) -> Key {
    Key { path, kind, fallback, doc }
}

const GENERAL: &[Key] = &[
    key(
        "gateway.bind",
        Kind::Text,
        Fallback::Text("loopback"),
        "Where to listen: \"loopback\", \"lan\" (every address), \"tailnet\" (the machine's Tailscale address, else \
         loopback), \"auto\" (loopback), \"custom\" (custom_bind), or an IP address.",
    ),
    key("gateway.custom_bind", Kind::Text, Fallback::None, "The IP address that bind = \"custom\" means."),
    key(
        "gateway.port",
        Kind::Whole { min: 0, max: 65_535 },
        Fallback::Whole(protocol::DEFAULT_PORT as u64),
        "TCP port for WebSocket and HTTP; 0 picks a free one.",
    ),
    key(
        "gateway.state_dir",
        Kind::Path,
        Fallback::Text("~/.clawhost"),
        "Folder of everything the gateway keeps; made with access for its owner only.",
    ),
    key(
        "gateway.trusted_proxies",
        Kind::List,
        Fallback::List(&[]),
        "Addresses or networks (\"10.0.0.0/8\") of reverse proxies whose forwarding headers count.",
    ),
    key(
        "gateway.allowed_origins",
        Kind::List,
        Fallback::List(&[]),
        "Further web origins (\"https://example.org\") whose pages may connect; \"*\" lets every page in.",
    ),
    key(
        "gateway.allowed_hosts",
        Kind::List,
        Fallback::List(&[]),
        "Further host names under which the gateway may be addressed; \"*\" lets every name in.",
    ),
    key("gateway.client_ids", Kind::List, Fallback::List(&[]), "Client ids accepted beside those of the protocol."),
    key(
        "gateway.allow_extra_params",
        Kind::Flag,
        Fallback::Flag(false),
        "Leaves out what connect or a method does not know in its params, instead of refusing it: for clients of a newer \
         protocol.",
    ),
    key(
        "gateway.tls.enabled",
        Kind::Flag,
        Fallback::Flag(false),
        "Whether the port speaks TLS (wss, https) and nothing else.",
    ),
    key(
        "gateway.tls.cert_file",
        Kind::Path,
        Fallback::None,
        "Certificate with its chain in PEM, beside this file if relative; empty: one made at the first start and kept.",
    ),
    key(
        "gateway.tls.key_file",
        Kind::Path,
        Fallback::None,
        "The certificate's private key in PEM, beside this file if relative.",
    ),
    key(
        "gateway.log.level",
        Kind::Text,
        Fallback::Text("info"),
        "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"; also by part: \"info,clawhost=debug\".",
    ),
    key(
        "gateway.log.file",
        Kind::Flag,
        Fallback::Flag(true),
        "Whether to write logs/clawhost.jsonl in the state folder.",
    ),
    key(
        "gateway.log.max_bytes",
        Kind::Whole { min: 4_096, max: 1 << 40 },
        Fallback::Whole(10 * 1024 * 1024),
        "Size at which the log file is put aside and a new one begun.",
    ),
    key(
        "gateway.log.files",
        Kind::Whole { min: 1, max: 100 },
        Fallback::Whole(5),
        "How many log files are kept, the current one among them.",
    ),
    key(
        "gateway.log.format",
        Kind::Choice(&["text", "json"]),
        Fallback::Text("text"),
        "How lines look on standard error.",
    ),
    key(
        "gateway.metrics.enabled",
        Kind::Flag,
        Fallback::Flag(true),
        "Whether /metrics is served (with the gateway's auth).",
    ),
    key(
        "gateway.control_ui.allow_insecure_auth",
        Kind::Flag,
        Fallback::Flag(false),
        "Lets the Control UI in with the shared secret alone, without a device identity or pairing.",
    ),
    key(
        "gateway.control_ui.dangerously_disable_device_auth",
        Kind::Flag,
        Fallback::Flag(false),
        "Ignores the Control UI's device identity altogether. Who holds the shared secret is then an operator.",
    ),
    key(
        "gateway.session.default_agent",
        Kind::Text,
        Fallback::Text("main"),
        "Agent that clients are told to talk to first.",
    ),
    key("gateway.session.main_key", Kind::Text, Fallback::Text("main"), "Short name of the main session."),
    key(
        "gateway.session.scope",
        Kind::Choice(&["per-sender", "global"]),
        Fallback::Text("per-sender"),
        "Whether each sender has a session or all share one.",
    ),
    key(
        "gateway.auth.mode",
        Kind::Choice(&["token", "password"]),
        Fallback::None,
        "\"token\" or \"password\"; empty: password if one is configured, else token.",
    ),
    key(
        "gateway.auth.token",
        Kind::Secret,
        Fallback::None,
        "The shared token; empty: made at the first start and kept in the state folder. Prefer the environment or token_file.",
    ),
    key(
        "gateway.auth.token_file",
        Kind::Path,
        Fallback::None,
        "File that holds the shared token, beside this one if relative.",
    ),
    key(
        "gateway.auth.password",
        Kind::Secret,
        Fallback::None,
        "The shared password. Prefer the environment or password_file.",
    ),
    key(
        "gateway.auth.password_file",
        Kind::Path,
        Fallback::None,
        "File that holds the shared password, beside this one if relative.",
    ),
    key(
        "gateway.auth.token_ttl",
        Kind::Span { min: 1, max: 3_650 * 86_400 },
        Fallback::Text("30d"),
        "Life of a device token; past half of it the next connect hands out a fresh one.",
    ),
    key(
        "gateway.auth.allow_tailscale",
        Kind::Flag,
        Fallback::Flag(false),
        "Lets devices that come through Tailscale Serve on this machine do without a secret; they are paired as all others \
         are.",
    ),
    key(
        "gateway.auth.tailscale_socket",
        Kind::Path,
        Fallback::Text("/var/run/tailscale/tailscaled.sock"),
        "Socket of the Tailscale daemon that is asked who they are.",
    ),
    key(
        "gateway.auth.setup_code_ttl",
        Kind::Span { min: 1, max: 7 * 86_400 },
        Fallback::Text("10m"),
        "Life of a setup code, by which a device that is not here yet pairs itself once.",
    ),
    key(
        "gateway.methods.allow",
        Kind::List,
        Fallback::List(&["*"]),
        "Methods that can be called at all; \"*\" stands for any run of characters.",
    ),
    key("gateway.methods.deny", Kind::List, Fallback::List(&[]), "Methods taken away again."),
    key("gateway.methods.operator.allow", Kind::List, Fallback::List(&["*"]), "Of these, what operators can call."),
    key("gateway.methods.operator.deny", Kind::List, Fallback::List(&[]), "Of these, what operators cannot call."),
    key("gateway.methods.node.allow", Kind::List, Fallback::List(&["*"]), "Of these, what nodes can call."),
    key("gateway.methods.node.deny", Kind::List, Fallback::List(&[]), "Of these, what nodes cannot call."),
];
