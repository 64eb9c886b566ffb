//! Which agent a request is for, and which session.

use plugin_api::contracts::run::{AgentId, AgentRecord};
use plugin_api::contracts::session::{ReadTranscript, Transcript};
use plugin_api::http::Exchange;
use plugin_api::{Host, MethodError};
use schemas::error::code;
use sha2::{Digest, Sha256};

use crate::refusal::Refusal;

/// The product's names, by which clients of all times know it.
const BRANDS: [&str; 4] = ["openclaw", "moltbot", "clawdbot", "clawhost"];
/// Who answers when nobody is named.
pub const DEFAULT_AGENT: &str = "main";
/// Longest session key that is taken, in bytes.
const LONGEST_KEY: usize = 512;

/// Whom a request is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub agent_id: String,
    pub session_key: String,
    /// Whether earlier requests may have come to the same session.
    pub is_kept: bool,
}

impl Target {
    /// `kind` names the door in session keys: `openai` or `openresponses`.
    pub async fn of(
        host: &Host,
        exchange: &Exchange,
        model: &str,
        user: Option<&str>,
        kind: &str,
    ) -> Result<Target, Refusal> {
        let wanted = named(exchange, &["agent-id", "agent"]).map(str::to_string).or_else(|| of_model(model));
        let key = named(exchange, &["session-key"]).map(str::to_string);
        if let Some(key) = &key
            && (key.len() > LONGEST_KEY || key.chars().any(char::is_control))
        {
            return Err(Refusal::new(
                400,
                format!("a session key has at most {LONGEST_KEY} bytes, all of them printable"),
            ));
        }
        let agent_id = known(host, wanted.as_deref().unwrap_or(DEFAULT_AGENT)).await?;
        Ok(match (key, user.filter(|user| !user.is_empty())) {
            (Some(session_key), _) => Target { agent_id, session_key, is_kept: true },
            (None, Some(user)) => {
                let session_key = format!("agent:{agent_id}:{kind}-user:{}", plain(user));
                Target { agent_id, session_key, is_kept: true }
            }
            (None, None) => {
                let session_key = format!("agent:{agent_id}:{kind}:{}", uuid::Uuid::new_v4());
                Target { agent_id, session_key, is_kept: false }
            }
        })
    }

    /// Whether nothing was said in its session yet.
    pub async fn is_fresh(&self, host: &Host) -> Result<bool, Refusal> {
        if !self.is_kept {
            return Ok(true);
        }
        let read = ReadTranscript { key: self.session_key.clone(), limit: Some(1), ..ReadTranscript::default() };
        let read: Result<Transcript, MethodError> = host.invoke("session.store.transcript", &read).send().await;
        read.map(|transcript| transcript.total == 0).map_err(|error| Refusal::of_method(&error))
    }
}

/// The agent as it is configured.
async fn known(host: &Host, agent: &str) -> Result<String, Refusal> {
    let asked = AgentId { agent_id: Some(agent.to_string()) };
    let record: Result<AgentRecord, MethodError> = host.invoke("agents.get", &asked).send().await;
    record.map(|record| record.agent_id).map_err(|error| match error.shape().code.as_str() {
        code::INVALID_REQUEST => Refusal { param: Some("model".into()), ..Refusal::new(404, "there is no such agent") }
            .code("model_not_found"),
        _ => Refusal::of_method(&error),
    })
}

/// A header of any of the product's names.
fn named<'a>(exchange: &'a Exchange, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| {
        let found = BRANDS.iter().find_map(|brand| exchange.header(&format!("x-{brand}-{name}")));
        found.map(str::trim).filter(|value| !value.is_empty())
    })
}

/// The agent that a model's name names.
pub fn of_model(model: &str) -> Option<String> {
    let model = model.trim();
    let (before, agent) = model.split_once([':', '/'])?;
    let is_ours = BRANDS.iter().any(|brand| before.eq_ignore_ascii_case(brand));
    let fits = is_ours || (before.eq_ignore_ascii_case("agent") && model.contains(':'));
    (fits && !agent.is_empty()).then(|| agent.to_string())
}

/// A user's name as a session key can hold it: as it is when it is plain, else a digest, so that no two share a session.
fn plain(user: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@-".contains(c);
    if user.len() <= 64 && user.chars().all(is_plain) {
        return user.to_string();
    }
    let digest = Sha256::digest(user.as_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("~{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_name_agents() {
        for (model, agent) in [
            ("moltbot:ops", Some("ops")),
            ("openclaw/ops", Some("ops")),
            ("agent:ops", Some("ops")),
            ("agent/ops", None),
            ("gpt-5", None),
            ("openai/gpt-5", None),
            ("openclaw", None),
            ("openclaw:", None),
        ] {
            assert_eq!(of_model(model).as_deref(), agent, "{model}");
        }
    }

    #[test]
    fn users_never_share_a_session() {
        assert_eq!(plain("ann@example.org"), "ann@example.org");
        let users = ["Ann", "ann", "a:nn", "a nn", "~ann"];
        let keys: std::collections::BTreeSet<_> = users.iter().map(|user| plain(user)).collect();
        assert_eq!(keys.len(), users.len());
        assert!(keys.iter().all(|key| !key.contains([':', ' '])));
    }
}
