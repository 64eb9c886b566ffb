//! Where what was said after a word goes to: rules that apps keep here and go by themselves. They are checked when they are
//! set, since every app has to be able to read them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The form of the rules; there is no other one.
const VERSION: u64 = 1;
/// Most rules, the longest word or words of one in characters, and the longest name of a session; apps count on the first two.
const MAX_ROUTES: usize = 32;
const MAX_TRIGGER: usize = 64;
const MAX_SESSION_KEY: usize = 256;

/// Where what was said goes to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Routing {
    /// The rules.
    pub config: Rules,
}

/// Rules by which what was said finds its session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    /// Always 1.
    version: u64,
    /// Where it goes if no rule says otherwise.
    default_target: Target,
    /// Rules; of two that fit, no two are alike.
    routes: Vec<Route>,
    /// When they last changed, in milliseconds since the epoch; 0 is never.
    pub updated_at_ms: u64,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Route {
    /// The word or words that were said.
    trigger: String,
    /// Where what follows goes to.
    target: Target,
}

/// A place that it goes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Target {
    /// The session that is open.
    Current {
        /// Always `current`.
        mode: Current,
    },
    /// The main session of an agent.
    #[serde(rename_all = "camelCase")]
    Agent {
        /// The agent.
        agent_id: String,
    },
    /// One session.
    #[serde(rename_all = "camelCase")]
    Session {
        /// The session.
        session_key: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Current {
    Current,
}

impl Default for Rules {
    /// Everything goes to the session that is open.
    fn default() -> Self {
        let default_target = Target::Current { mode: Current::Current };
        Rules { version: VERSION, default_target, routes: Vec::new(), updated_at_ms: 0 }
    }
}

impl Rules {
    /// Reads what a client wants; the error says what is wrong. What is not said is as in the default ones.
    pub fn wanted(config: &Value, now_ms: u64) -> Result<Rules, String> {
        let config = config.as_object().ok_or("voicewake.routing.set requires config: object")?;
        // Numbers may be written with a fraction of nothing.
        if config.get("version").is_some_and(|version| version.as_f64() != Some(VERSION as f64)) {
            return Err(format!("config.version must be {VERSION}"));
        }
        let default_target = match config.get("defaultTarget") {
            None | Some(Value::Null) => Rules::default().default_target,
            Some(target) => Target::wanted("config.defaultTarget", target)?,
        };
        let none = Vec::new();
        let wanted = match config.get("routes") {
            None | Some(Value::Null) => &none,
            Some(routes) => routes.as_array().ok_or("config.routes must be a list")?,
        };
        if wanted.len() > MAX_ROUTES {
            return Err(format!("config.routes may have at most {MAX_ROUTES} items"));
        }
        let mut heard = BTreeSet::new();
        let mut routes = Vec::new();
        for (place, route) in wanted.iter().enumerate() {
            let path = format!("config.routes[{place}]");
            let trigger = route.get("trigger").and_then(Value::as_str).map(str::trim).unwrap_or_default();
            if trigger.is_empty() || trigger.chars().count() > MAX_TRIGGER {
                return Err(format!("{path}.trigger must be a text of 1 to {MAX_TRIGGER} characters"));
            }
            let sounds = sound_of(trigger);
            if sounds.is_empty() {
                return Err(format!("{path}.trigger must hold a word"));
            }
            if !heard.insert(sounds) {
                return Err(format!("{path}.trigger sounds like that of a rule before it"));
            }
            let target = Target::wanted(&format!("{path}.target"), route.get("target").unwrap_or(&Value::Null))?;
            routes.push(Route { trigger: trigger.to_string(), target });
        }
        Ok(Rules { version: VERSION, default_target, routes, updated_at_ms: now_ms })
    }
}

impl Target {
    fn wanted(path: &str, target: &Value) -> Result<Target, String> {
        let empty = Map::new();
        let target = target.as_object().unwrap_or(&empty);
        let text = |name: &str| target.get(name).map(|value| value.as_str().map(str::trim).unwrap_or_default());
        match (text("mode"), text("agentId"), text("sessionKey")) {
            (Some("current"), None, None) => Ok(Target::Current { mode: Current::Current }),
            (None, Some(id), None) if is_agent(id) => Ok(Target::Agent { agent_id: id.to_ascii_lowercase() }),
            (None, Some(_), None) => Err(format!("{path}.agentId must be the id of an agent")),
            (None, None, Some(key)) if is_session(key) => Ok(Target::Session { session_key: key.to_string() }),
            (None, None, Some(_)) => Err(format!("{path}.sessionKey must be a session's full key, agent:<id>:<rest>")),
            _ => Err(format!(
                "{path} must be {{mode: \"current\"}}, {{agentId}} or {{sessionKey}}, and one of them only"
            )),
        }
    }
}

fn is_agent(id: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=64).contains(&id.len()) && id.starts_with(|c: char| c.is_ascii_alphanumeric()) && id.chars().all(sound)
}

fn is_session(key: &str) -> bool {
    let mut parts = key.splitn(3, ':');
    let is_ours = parts.next().is_some_and(|begin| begin.eq_ignore_ascii_case("agent"));
    let names_agent = parts.next().is_some_and(is_agent);
    is_ours
        && names_agent
        && parts.next().is_some_and(|rest| !rest.trim().is_empty())
        && key.chars().count() <= MAX_SESSION_KEY
        && !key.chars().any(char::is_control)
}

/// What is compared of a trigger: its words in small letters, without what stands around them.
fn sound_of(trigger: &str) -> String {
    let words = trigger.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
