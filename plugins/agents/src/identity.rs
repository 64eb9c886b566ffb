//! How an agent presents itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Agent;

const DEFAULT_NAME: &str = "Assistant";
const DEFAULT_AVATAR: &str = "A";
const LONGEST_NAME: usize = 50;
const LONGEST_AVATAR: usize = 200;

/// How an agent presents itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The name it goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is like, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// Its emoji.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// A few characters, or a picture as an `https:`, `http:` or `data:image/` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// A picture as an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

impl Identity {
    /// Whether every picture can be shown. A file on this machine cannot: nothing serves it, and its path is nobody's
    /// business.
    pub fn check(&self) -> Result<(), String> {
        for (key, value) in [("avatar", &self.avatar), ("avatarUrl", &self.avatar_url)] {
            if let Some(value) = value
                && !is_address(value)
                && (key == "avatarUrl" || looks_like_a_file(value))
            {
                let also = if key == "avatar" { ", or a few characters" } else { "" };
                return Err(format!("{key}: \"{value}\" is not an https:, http: or data:image/ address{also}"));
            }
        }
        Ok(())
    }
}

/// Name and avatar to show for an agent; the defaults for one that says nothing or is not known.
pub fn shown(agent: Option<&Agent>) -> (String, String) {
    let identity = agent.and_then(|agent| agent.identity.as_ref());
    let of_identity =
        |field: fn(&Identity) -> &Option<String>| said(identity.and_then(|identity| field(identity).as_deref()));
    let name = of_identity(|identity| &identity.name).or_else(|| said(agent.and_then(|agent| agent.name.as_deref())));
    let avatar = of_identity(|identity| &identity.avatar_url)
        .or_else(|| of_identity(|identity| &identity.avatar))
        // Half an address is none.
        .filter(|avatar| !is_address(avatar) || avatar.chars().count() <= LONGEST_AVATAR)
        .or_else(|| of_identity(|identity| &identity.emoji));
    (cut(name.unwrap_or(DEFAULT_NAME), LONGEST_NAME), cut(avatar.unwrap_or(DEFAULT_AVATAR), LONGEST_AVATAR))
}

fn said(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

fn is_address(text: &str) -> bool {
    let text = text.trim();
    ["https://", "http://", "data:image/"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

fn looks_like_a_file(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    text.contains(['/', '\\'])
        || [".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"].iter().any(|ending| text.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: Option<&str>, identity: Identity) -> Agent {
        Agent { id: "main".into(), name: name.map(Into::into), identity: Some(identity), ..Agent::default() }
    }

    #[test]
    fn what_is_said_goes_before_defaults() {
        assert_eq!(shown(None), ("Assistant".into(), "A".into()));
        let emoji = Identity { emoji: Some("🦀".into()), name: Some(" ".into()), ..Identity::default() };
        assert_eq!(shown(Some(&agent(Some("Ops"), emoji.clone()))), ("Ops".into(), "🦀".into()));
        let named = Identity { name: Some("ä".repeat(60)), avatar: Some("MM".into()), ..emoji.clone() };
        assert_eq!(shown(Some(&agent(Some("Ops"), named))), ("ä".repeat(50), "MM".into()));
        let long = Identity { avatar_url: Some(format!("https://example.org/{}", "x".repeat(200))), ..emoji };
        assert_eq!(shown(Some(&agent(None, long))), ("Assistant".into(), "🦀".into()));
    }

    #[test]
    fn files_are_refused() {
        let avatar = |avatar: &str| Identity { avatar: Some(avatar.into()), ..Identity::default() };
        let url = |url: &str| Identity { avatar_url: Some(url.into()), ..Identity::default() };
        for fine in [avatar("🦀"), avatar("Mo"), avatar("https://example.org/a.png"), url("data:image/png;base64,AA")]
        {
            assert_eq!(fine.check(), Ok(()));
        }
        for wrong in [avatar("/home/me/a.png"), avatar("a.PNG"), avatar("C:\\a"), url("example.org"), url("file:///a")]
        {
            assert!(wrong.check().unwrap_err().contains("is not an https:"), "{wrong:?}");
        }
    }
}
