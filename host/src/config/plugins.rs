//! `[plugins.<id>]`: what the host decides about a plugin, and the author's own keys, which it hands on unread.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signature;
use serde_json::{Map, Value, json};

use super::file::texts;
use super::keys::{Fallback, Key, Kind};
use super::secrets::Place;

/// The host's keys of one plugin.
#[derive(Clone)]
pub struct PluginSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// Its shared library, with `~` replaced but perhaps relative; see [`super::Config::plugin_file`]. Without one it is
    /// linked in.
    pub path: Option<PathBuf>,
    /// SHA-256 of the library, in lower-case hex.
    pub sha256: Option<String>,
    /// Signature over the bytes of the library.
    pub signature: Option<Signature>,
    /// The methods it may serve; all of its own if none are named.
    pub methods: Option<Vec<String>>,
    /// What it may call and hear, where the operator says so.
    pub grants: Option<Grants>,
    /// Where its calls run, where the operator says so.
    pub isolation: Option<Isolation>,
    /// The port that its HTTP has to itself, if it has one.
    pub http_port: Option<u16>,
    /// The author's keys, always an object.
    pub config: Value,
    /// Where its table begins in the file.
    pub line: Option<usize>,
}

/// Where a table stands in the file is no part of what it says.
impl PartialEq for PluginSettings {
    fn eq(&self, other: &Self) -> bool {
        let PluginSettings { enabled, path, sha256, signature, methods, grants, isolation, http_port, config, line: _ } =
            self;
        *enabled == other.enabled
            && *path == other.path
            && *sha256 == other.sha256
            && *signature == other.signature
            && *methods == other.methods
            && *grants == other.grants
            && *isolation == other.isolation
            && *http_port == other.http_port
            && *config == other.config
    }
}

/// What a plugin may do in its own name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Methods it may call.
    pub invoke: Vec<String>,
    /// Internal events it hears.
    pub hear: Vec<String>,
}

/// Where the calls of a plugin run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// On the connection's worker.
    Inline,
    /// On a pool of their own.
    Pool,
}

impl Default for PluginSettings {
    fn default() -> Self {
        PluginSettings {
            enabled: true,
            path: None,
            sha256: None,
            signature: None,
            methods: None,
            grants: None,
            isolation: None,
            http_port: None,
            config: Value::Object(Map::new()),
            line: None,
        }
    }
}

// The author's keys may hold secrets of which the host knows nothing.
impl std::fmt::Debug for PluginSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PluginSettings({})", self.redacted())
    }
}

/// The keys of the table itself and of its `grants`.
pub(super) const KEYS: &[Key] = &[
    Key {
        path: "plugins.<id>.enabled",
        kind: Kind::Flag,
        fallback: Fallback::Flag(true),
        doc: "Whether the plugin runs. Without it, its methods and events do not exist.",
    },
    Key {
        path: "plugins.<id>.path",
        kind: Kind::Path,
        fallback: Fallback::None,
        doc: "The plugin's shared library. A relative one is looked for beside config.toml, then in \
              gateway.plugins.directory. Absent: the plugin is linked in.",
    },
    Key {
        path: "plugins.<id>.sha256",
        kind: Kind::Sha256,
        fallback: Fallback::None,
        doc: "SHA-256 of the library in hexadecimal; needed unless gateway.plugins.allow_unpinned is on.",
    },
    Key {
        path: "plugins.<id>.signature",
        kind: Kind::Signature,
        fallback: Fallback::None,
        doc: "Ed25519 signature over the bytes of the library, in base64; needed if gateway.plugins.keys names any key.",
    },
    Key {
        path: "plugins.<id>.methods",
        kind: Kind::List,
        fallback: Fallback::None,
        doc: "The methods it may serve; all of its own if absent.",
    },
    Key {
        path: "plugins.<id>.isolation",
        kind: Kind::Choice(&["inline", "pool"]),
        fallback: Fallback::None,
        doc: "Where its calls run: \"inline\" on the connection's worker, \"pool\" on a pool of their own. If absent, a \
              linked-in plugin's run inline and a loaded one's on the pool.",
    },
    Key {
        path: "plugins.<id>.http_port",
        kind: Kind::Whole { min: 0, max: 65_535 },
        fallback: Fallback::Whole(0),
        doc: "A port that its HTTP has to itself, at the addresses that the gateway listens on; it is then not served on \
              the gateway's port. 0: none.",
    },
    Key {
        path: "plugins.<id>.grants.invoke",
        kind: Kind::List,
        fallback: Fallback::List(&[]),
        doc: "Methods it may call in its own name.",
    },
    Key {
        path: "plugins.<id>.grants.hear",
        kind: Kind::List,
        fallback: Fallback::List(&[]),
        doc: "Internal events it hears.",
    },
];

impl PluginSettings {
    /// Takes over a checked value of [`KEYS`].
    pub(super) fn take(&mut self, name: &str, value: &Value) {
        match name {
            "enabled" => self.enabled = value.as_bool().unwrap_or(true),
            "path" => self.path = value.as_str().map(PathBuf::from),
            "sha256" => self.sha256 = value.as_str().map(str::to_ascii_lowercase),
            "signature" => self.signature = value.as_str().and_then(signature),
            "methods" => self.methods = Some(texts(value)),
            "isolation" => {
                self.isolation = Some(if value == "pool" { Isolation::Pool } else { Isolation::Inline });
            }
            "http_port" => {
                self.http_port = value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
            }
            "invoke" => self.grants.get_or_insert_default().invoke = texts(value),
            "hear" => self.grants.get_or_insert_default().hear = texts(value),
            _ => unreachable!("only names of the list are taken"),
        }
    }

    /// The settings without secrets.
    pub(super) fn redacted(&self) -> Value {
        let mut shown = json!({"enabled": self.enabled, "config": redacted(&self.config, Place::Plain)});
        if let Some(path) = &self.path {
            shown["path"] = json!(path.to_string_lossy());
        }
        if let Some(sha256) = &self.sha256 {
            shown["sha256"] = json!(sha256);
        }
        if let Some(signature) = &self.signature {
            shown["signature"] = json!(STANDARD.encode(signature.to_bytes()));
        }
        if let Some(methods) = &self.methods {
            shown["methods"] = json!(methods);
        }
        if let Some(grants) = &self.grants {
            shown["grants"] = json!({"invoke": grants.invoke, "hear": grants.hear});
        }
        if let Some(isolation) = self.isolation {
            shown["isolation"] = json!(if isolation == Isolation::Pool { "pool" } else { "inline" });
        }
        if let Some(port) = self.http_port {
            shown["http_port"] = json!(port);
        }
        shown
    }
}

/// Reads a signature.
pub(super) fn signature(text: &str) -> Option<Signature> {
    STANDARD.decode(text.trim()).ok().and_then(|bytes| Signature::from_slice(&bytes).ok())
}

/// An author's keys without what may be a secret.
fn redacted(value: &Value, place: Place) -> Value {
    match value {
        Value::Bool(_) | Value::Null => value.clone(),
        _ if place.is_secret() => json!(super::REDACTED),
        Value::Object(fields) => {
            let shown = |(name, value): (&String, &Value)| (name.clone(), redacted(value, below(place, name, value)));
            Value::Object(fields.iter().map(shown).collect())
        }
        Value::Array(items) => {
            let before = std::iter::once(None).chain(items.iter().map(Value::as_str));
            items.iter().zip(before).map(|(item, before)| redacted(item, place.item(before))).collect()
        }
        Value::String(text) => json!(place.shown(text)),
        Value::Number(_) => value.clone(),
    }
}

fn below(place: Place, name: &str, value: &Value) -> Place {
    match value {
        // A budget of tokens, as models count them.
        Value::Number(_) if name.to_ascii_lowercase().ends_with("tokens") => Place::Plain,
        _ => place.below(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sounds_secret_is_hidden_at_every_depth() {
        let config = json!({
            "apiKey": "hunter2", "bot": [{"bot_token": "hunter2", "name": "b"}], "client-secrets": ["hunter2"],
            "maxTokens": 5, "token_file": "f", "credentials": {"user": "hunter2"},
            "headers": {"cookie": "hunter2", "count": 5}, "env": ["HOME", "KEY=hunter2"],
            "args": ["-p", "--api-key", "hunter2", {"args": ["--token", ["hunter2"]]}],
            "base_url": "https://ann:hunter2@example.org/v1?key=hunter2"
        });
        let settings = PluginSettings { config, ..PluginSettings::default() };
        let shown = settings.redacted();
        assert!(!shown.to_string().contains("hunter2") && !format!("{settings:?}").contains("hunter2"));
        assert_eq!(shown["config"]["maxTokens"], 5);
        assert_eq!(shown["config"]["token_file"], "f");
        assert_eq!(shown["config"]["bot"][0]["name"], "b");
        let hidden = crate::config::REDACTED;
        assert_eq!(shown["config"]["headers"], json!({"cookie": hidden, "count": hidden}));
        assert_eq!(shown["config"]["env"], json!(["HOME", format!("KEY={hidden}")]));
        assert_eq!(shown["config"]["args"], json!(["-p", "--api-key", hidden, {"args": ["--token", hidden]}]));
        assert_eq!(shown["config"]["base_url"], format!("https://{hidden}@example.org/v1?{hidden}"));
    }
}
