//! Session keys: what callers write, and the one spelling in which a session is kept.
//!
//! Canonical is `agent:<agentId>:<rest>`, beside the two that belong to no agent, `global` and `unknown`. Folded are the
//! parts that name something of ours (`agent:`, the agent's id, the aliases of the main session); the rest is kept letter
//! by letter, since it may be an address of a service that tells `A` from `a`.

use plugin_api::MethodError;
use schemas::hello::SessionDefaults;

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
    pub text: String,
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

/// What kind of conversation a session is: `direct`, `group`, `global` or `unknown`.
pub fn kind(key: &str, chat_type: Option<&str>) -> &'static str {
    match key {
        GLOBAL => GLOBAL,
        UNKNOWN => UNKNOWN,
        _ if matches!(chat_type, Some("group" | "channel")) => "group",
        _ if key.contains(":group:") || key.contains(":channel:") => "group",
        _ => "direct",
    }
}

/// Whether the session is one that another session started.
pub fn is_subagent(key: &str) -> bool {
    let rest = split(key).map_or(key, |(_, rest)| rest);
    rest.get(..9).is_some_and(|begin| begin.eq_ignore_ascii_case("subagent:"))
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

/// `agent:<id>:<rest>` in its parts; nothing when a part is missing.
fn split(key: &str) -> Option<(&str, &str)> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(main_key: &str, scope: &str) -> Names {
        Names::of(&SessionDefaults {
            default_agent_id: "Ops".to_string(),
            main_key: main_key.to_string(),
            main_session_key: String::new(),
            scope: Some(scope.to_string()),
        })
    }

    #[test]
    fn every_spelling_of_a_key() {
        let names = names("home", "per-sender");
        for (written, agent, text) in [
            ("main", None, "agent:ops:home"),
            ("MAIN", None, "agent:ops:home"),
            (" home ", None, "agent:ops:home"),
            ("main", Some("b"), "agent:b:home"),
            ("main", Some(" "), "agent:ops:home"),
            ("agent:ops:main", None, "agent:ops:home"),
            ("Agent:OPS:Home", Some("b"), "agent:ops:home"),
            ("agent:b:main", None, "agent:b:home"),
            ("agent::b:main", None, "agent:b:home"),
            ("agent:b:Telegram:group:-7A", None, "agent:b:Telegram:group:-7A"),
            ("telegram:group:-7A", None, "agent:ops:telegram:group:-7A"),
            ("telegram:group:-7A", Some("B"), "agent:b:telegram:group:-7A"),
            ("agent:my agent:x", None, "agent:my-agent:x"),
            ("agent:b", None, "agent:ops:agent:b"),
            ("global", Some("b"), "global"),
            ("Unknown", None, "unknown"),
            ("cron:7", None, "agent:ops:cron:7"),
        ] {
            assert_eq!(names.canonical(written, agent).unwrap().text, text, "{written} {agent:?}");
        }
        for wrong in ["", "  ", " : ", "a\u{0}b", &"x".repeat(513)] {
            assert_eq!(names.canonical(wrong, None).unwrap_err().shape().code, "INVALID_REQUEST");
        }
        assert_eq!(names.main().text, "agent:ops:home");
    }

    #[test]
    fn with_the_global_scope_every_main_session_is_one() {
        let names = names("main", "global");
        for written in ["main", "agent:ops:main", "agent:b:main", "global"] {
            assert_eq!(names.canonical(written, None).unwrap().text, "global", "{written}");
        }
        assert_eq!(names.canonical("telegram:7", None).unwrap().text, "agent:ops:telegram:7");
    }

    #[test]
    fn kinds() {
        for (key, chat_type, expected) in [
            ("agent:a:main", None, "direct"),
            ("agent:a:telegram:group:7", None, "group"),
            ("agent:a:slack:channel:c", None, "group"),
            ("agent:a:telegram:7", Some("group"), "group"),
            ("global", None, "global"),
            ("unknown", Some("group"), "unknown"),
        ] {
            assert_eq!(kind(key, chat_type), expected, "{key}");
        }
        assert!(is_subagent("agent:a:subagent:1") && is_subagent("subagent:1") && !is_subagent("agent:a:main"));
    }

    proptest! {
        #[test]
        fn a_canonical_key_is_its_own_spelling(
            written in "[a-zA-Z:_ é.-]{1,24}", agent in proptest::option::of("[a-zA-Z -]{0,6}"), global: bool,
        ) {
            let names = names("Home", if global { "global" } else { "per-sender" });
            if let Ok(key) = names.canonical(&written, agent.as_deref()) {
                prop_assert_eq!(names.canonical(&key.text, Some("other")).unwrap(), key);
            }
        }
    }
}
