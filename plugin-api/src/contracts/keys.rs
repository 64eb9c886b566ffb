//! Session keys: what callers write, and the one spelling in which a session is kept. Whoever keeps sessions and whoever runs
//! agents have to read a key alike, so it is read here.
//!
//! Canonical is `agent:<agentId>:<rest>`, beside the two that belong to no agent, `global` and `unknown`. Folded are the
//! parts that name something of ours (`agent:`, the agent's id, the aliases of the main session); the rest is kept letter
//! by letter, since it may be an address of a service that tells `A` from `a`.

use schemas::hello::SessionDefaults;

use crate::MethodError;

/// The session that all share when the scope is `global`.
pub const GLOBAL: &str = "global";
/// Where runs go whose session nobody knows.
pub const UNKNOWN: &str = "unknown";

const DEFAULT_AGENT: &str = "main";
const LONGEST_AGENT_ID: usize = 64;
const LONGEST_KEY: usize = 512;

/// A session's key in its canonical spelling, and the agent that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub text: String,
    /// The agent.
    pub agent_id: String,
}

/// How this gateway names its main session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    default_agent: String,
    main_key: String,
    is_global: bool,
}

impl Names {
    /// As the gateway is configured.
    pub fn of(defaults: &SessionDefaults) -> Self {
        let main_key = defaults.main_key.trim();
        Names {
            default_agent: agent_id(&defaults.default_agent_id),
            main_key: if main_key.is_empty() { "main".to_string() } else { main_key.to_string() },
            is_global: defaults.scope.as_deref() == Some("global"),
        }
    }

    /// A key as somebody wrote it. `agent` is the agent of a key that names none; the default one when absent.
    pub fn canonical(&self, written: &str, agent: Option<&str>) -> Result<Key, MethodError> {
        let written = written.trim();
        if written.is_empty() {
            return Err(MethodError::invalid_request("the session key is blank"));
        }
        if written.chars().count() > LONGEST_KEY || written.chars().any(char::is_control) {
            return Err(MethodError::invalid_request(format!(
                "the session key is longer than {LONGEST_KEY} characters or has control characters in it"
            )));
        }
        if let Some(special) = [GLOBAL, UNKNOWN].into_iter().find(|special| written.eq_ignore_ascii_case(special)) {
            return Ok(Key { text: special.to_string(), agent_id: self.default_agent.clone() });
        }
        let (agent_id, rest) = match split(written) {
            Some((agent, rest)) => (agent_id(agent), rest),
            None => {
                let agent = agent.map(str::trim).filter(|agent| !agent.is_empty());
                (agent.map_or_else(|| self.default_agent.clone(), agent_id), written)
            }
        };
        let rest = begun(rest);
        if rest.is_empty() {
            return Err(MethodError::invalid_request("the session key is blank"));
        }
        if self.is_main(rest) {
            return Ok(self.main_of(&agent_id));
        }
        Ok(Key { text: format!("agent:{agent_id}:{rest}"), agent_id })
    }

    /// The agent of whoever names none.
    pub fn default_agent(&self) -> &str {
        &self.default_agent
    }

    /// The main session.
    pub fn main(&self) -> Key {
        self.main_of(&self.default_agent)
    }

    fn main_of(&self, agent_id: &str) -> Key {
        if self.is_global {
            return Key { text: GLOBAL.to_string(), agent_id: self.default_agent.clone() };
        }
        Key { text: format!("agent:{agent_id}:{}", self.main_key), agent_id: agent_id.to_string() }
    }

    fn is_main(&self, rest: &str) -> bool {
        rest.eq_ignore_ascii_case("main") || rest.eq_ignore_ascii_case(&self.main_key)
    }
}

/// An agent's id as it is stored and compared: lower case, runs of other characters than `a-z`, `0-9`, `_` and `-` as one
/// `-`, the first a letter or digit, at most 64 characters; `main` when nothing is left.
pub fn agent_id(text: &str) -> String {
    let mut id = String::with_capacity(text.len());
    for letter in text.trim().to_lowercase().chars() {
        match letter {
            'a'..='z' | '0'..='9' | '_' | '-' => id.push(letter),
            _ if id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    let whole = text.trim().len() == id.len() && !id.starts_with(['-', '_']) && id.len() <= LONGEST_AGENT_ID;
    if whole && !id.is_empty() && text.trim().to_lowercase() == id {
        return id;
    }
    let id = id.trim_start_matches(['-', '_']);
    let id = id[..id.len().min(LONGEST_AGENT_ID)].trim_end_matches('-');
    if id.is_empty() { DEFAULT_AGENT.to_string() } else { id.to_string() }
}

/// The agent that a key names.
pub fn agent_of(key: &str) -> Option<String> {
    split(key.trim()).map(|(agent, _)| agent_id(agent))
}

/// `agent:<id>:<rest>` in its parts; nothing when a part is missing.
pub fn split(key: &str) -> Option<(&str, &str)> {
    let (head, after) = key.split_once(':')?;
    let (agent, rest) = after.trim_start_matches(':').split_once(':')?;
    let rest = begun(rest);
    let is_whole = head.eq_ignore_ascii_case("agent") && !agent.trim().is_empty() && !rest.is_empty();
    is_whole.then_some((agent, rest))
}

/// A key's rest from where it says something.
fn begun(rest: &str) -> &str {
    rest.trim_start_matches(|letter: char| letter == ':' || letter.is_whitespace())
}
