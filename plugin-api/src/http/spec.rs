//! A row of the manifest's `http`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A path that a plugin serves, with all that lies below it. Of several that fit, the longest is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpSpec {
    /// Begins with `/`; `/a` takes `/a` and everything below `/a/`, `/` takes whatever no other path does.
    pub path: String,
    /// What it is, in a sentence.
    #[serde(default)]
    pub summary: String,
    /// Verbs it takes; others are answered with 405.
    #[serde(default = "default_verbs")]
    pub verbs: Vec<String>,
    /// Largest body, in bytes; with `upgrade`, largest message. A larger one is answered with 413.
    #[serde(default)]
    pub max_body: u64,
    /// Who may come.
    pub admit: Admission,
    /// Whether it takes WebSockets. Upgrades of other paths are the gateway's own protocol.
    #[serde(default)]
    pub upgrade: bool,
    /// Milliseconds until the answer has to begin; 0 is for ever; absent is the gateway's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The name under which hello-ok tells paired nodes and operators an address that leads here: the gateway's, with a
    /// capability of theirs. Several rows may share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<String>,
}

/// Who may come to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// Who shows the gateway's token or password as a bearer.
    Gateway,
    /// Who comes with a capability in the path, as hello-ok gave it to a node or an operator, or as with `gateway`.
    Capability,
    /// Whom the plugin lets in: it looks for itself.
    Plugin,
    /// Anyone.
    Anyone,
}

fn default_verbs() -> Vec<String> {
    vec!["GET".to_string(), "HEAD".to_string()]
}

impl HttpSpec {
    /// For whoever shows the gateway's token or password.
    pub fn gateway(path: &str) -> Self {
        Self::new(path, Admission::Gateway)
    }

    /// For paired nodes and operators, under an address that is told to each.
    pub fn capability(path: &str) -> Self {
        Self::new(path, Admission::Capability)
    }

    /// For whom the plugin lets in.
    pub fn own_check(path: &str) -> Self {
        Self::new(path, Admission::Plugin)
    }

    /// For anyone.
    pub fn anyone(path: &str) -> Self {
        Self::new(path, Admission::Anyone)
    }

    /// What it is, in a sentence.
    pub fn summary(mut self, summary: &str) -> Self {
        self.summary = summary.to_string();
        self
    }

    /// Verbs it takes, instead of `GET` and `HEAD`.
    pub fn verbs(mut self, verbs: &[&str]) -> Self {
        self.verbs = verbs.iter().map(|verb| verb.to_string()).collect();
        self
    }

    /// Largest body or message, in bytes.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// It takes WebSockets, with messages of at most this many bytes.
    pub fn upgrade(mut self, max_message: u64) -> Self {
        self.upgrade = true;
        self.max_body = max_message;
        self
    }

    /// Milliseconds until the answer has to begin.
    pub fn timeout_ms(mut self, ms: u64) -> Self {
        self.timeout_ms = Some(ms);
        self
    }

    /// The name of its address in hello-ok.
    pub fn surface(mut self, name: &str) -> Self {
        self.surface = Some(name.to_string());
        self
    }

    fn new(path: &str, admit: Admission) -> Self {
        HttpSpec {
            path: path.to_string(),
            summary: String::new(),
            verbs: default_verbs(),
            max_body: 0,
            admit,
            upgrade: false,
            timeout_ms: None,
            surface: None,
        }
    }

    /// The path without a slash at its end: `""` takes everything.
    pub fn prefix(&self) -> &str {
        self.path.trim_end_matches('/')
    }

    /// Whether a path is this one or lies below it.
    pub fn takes(&self, path: &str) -> bool {
        path.strip_prefix(self.prefix()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}
