//! Who may write to which agent: `[[plugins.channels.config.rules]]`. The first rule that fits a message decides. Where none
//! does, people who are paired reach the default agent in direct chats, others are told a code there, and groups are
//! passed over.

use plugin_api::contracts::channel::Inbound;
use schemars::JsonSchema;
use serde::Deserialize;

/// What kind of chat it is, in a channel's words.
pub const DIRECT: &str = "direct";

/// One rule. What it leaves out fits everything.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// The channel's id.
    pub channel: Option<String>,
    /// The account that received the message.
    pub account: Option<String>,
    /// `direct`, `group` or `channel`.
    pub kind: Option<Kind>,
    /// Ids of chats.
    pub chats: Vec<String>,
    /// Lasting ids of senders, as `clawhost channels senders` shows them; or telephone numbers, with `+`.
    pub from: Vec<String>,
    /// Who of those may write. `anyone` where `chats` or `from` name them, else `paired`.
    pub admit: Option<Admit>,
    /// The agent that answers; the default one when absent.
    pub agent: Option<String>,
    /// The session it happens in.
    pub session: SessionOf,
    /// In groups: which messages the agent hears.
    pub when: When,
    /// Whether the agent hears of messages that were changed afterwards.
    pub edits: bool,
}

/// A kind of chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// With one person.
    Direct,
    /// Among several.
    Group,
    /// Where few write and many read.
    Channel,
}

/// Who may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Admit {
    /// Whoever writes.
    Anyone,
    /// Those who were let in by `clawhost channels approve`; others are told a code in direct chats.
    Paired,
    /// Nobody, and nobody is told so.
    Nobody,
}

/// Which session a message belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionOf {
    /// One for each chat, and for each thread in it.
    #[default]
    Chat,
    /// One for each person in a chat.
    Sender,
    /// The agent's main session, which its other clients see as well.
    Main,
}

/// Which messages of a group an agent hears.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Those that name it, or answer it.
    #[default]
    Mentioned,
    /// All.
    Always,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// Nothing.
    Ignore,
    /// Its sender is told a code.
    Ask,
    /// An agent answers, as this rule says.
    Answer(&'a Rule),
}

impl PartialEq for Rule {
    fn eq(&self, other: &Rule) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Rule {}

/// What holds where no rule fits.
static OTHERWISE: std::sync::LazyLock<Rule> = std::sync::LazyLock::new(Rule::default);

/// Decides; `is_paired` is whether the sender was let in.
pub fn decide<'a>(rules: &'a [Rule], message: &Inbound, is_paired: bool) -> Decision<'a> {
    let is_direct = message.chat.kind == DIRECT;
    let rule = match rules.iter().find(|rule| rule.fits(message)) {
        Some(rule) => rule,
        None if is_direct => &OTHERWISE,
        None => return Decision::Ignore,
    };
    let is_heard = (is_direct || message.mentioned || rule.when == When::Always) && (!message.edited || rule.edits);
    match rule.admission() {
        Admit::Nobody => Decision::Ignore,
        _ if !is_heard => Decision::Ignore,
        Admit::Paired if !is_paired && is_direct => Decision::Ask,
        Admit::Paired if !is_paired => Decision::Ignore,
        Admit::Paired | Admit::Anyone => Decision::Answer(rule),
    }
}

impl Rule {
    /// What is wrong with it, beginning with the key.
    pub fn check(&self) -> Result<(), String> {
        for (key, ids) in [("chats", &self.chats), ("from", &self.from)] {
            if ids.iter().any(|id| id.trim().is_empty()) {
                return Err(format!("{key} has an empty id in it"));
            }
        }
        match self.from.iter().find(|id| id.starts_with('@')) {
            Some(name) => Err(format!(
                "from: {name:?} is a name, which can pass to somebody else; take the lasting id that `clawhost channels \
                 senders` shows"
            )),
            None => Ok(()),
        }
    }

    /// Whether this person is named in it.
    pub fn names(&self, message: &Inbound) -> bool {
        let sender = &message.from;
        let is_number = |id: &str| id.starts_with('+') && sender.handle.as_deref() == Some(id);
        self.from.iter().any(|id| *id == sender.id || is_number(id))
    }

    fn fits(&self, message: &Inbound) -> bool {
        let kind = match self.kind {
            None => None,
            Some(Kind::Direct) => Some(DIRECT),
            Some(Kind::Group) => Some("group"),
            Some(Kind::Channel) => Some("channel"),
        };
        let is = |wanted: &Option<String>, there: &str| wanted.as_deref().is_none_or(|wanted| wanted == there);
        is(&self.channel, &message.channel)
            && is(&self.account, account_of(message))
            && kind.is_none_or(|kind| kind == message.chat.kind)
            && (self.chats.is_empty() || self.chats.contains(&message.chat.id))
            && (self.from.is_empty() || self.names(message))
    }

    fn admission(&self) -> Admit {
        let names_them = !self.chats.is_empty() || !self.from.is_empty();
        self.admit.unwrap_or(if names_them { Admit::Anyone } else { Admit::Paired })
    }

    /// The session of a message, as `send` would call it.
    pub fn session_key(&self, message: &Inbound) -> String {
        let chat = &message.chat;
        let mut rest = match self.session {
            SessionOf::Main => "main".to_string(),
            SessionOf::Chat | SessionOf::Sender => format!("{}:{}:{}", message.channel, chat.kind, chat.id),
        };
        if self.session != SessionOf::Main {
            if let Some(thread) = &chat.thread_id {
                rest.push_str(&format!(":thread:{thread}"));
            }
            if self.session == SessionOf::Sender && chat.kind != DIRECT {
                rest.push_str(&format!(":from:{}", message.from.id));
            }
        }
        let rest = rest.to_lowercase();
        match &self.agent {
            Some(agent) => format!("agent:{agent}:{rest}"),
            None => rest,
        }
    }
}

/// The account that received a message; channels with a single one need not name it.
pub fn account_of(message: &Inbound) -> &str {
    message.account_id.as_deref().map(str::trim).filter(|id| !id.is_empty()).unwrap_or(crate::report::DEFAULT_ACCOUNT)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(change: Value) -> Inbound {
        let mut message = json!({ "channel": "telegram", "messageId": "1", "text": "hi", "mentioned": false,
            "from": { "id": "7", "handle": "+491", "name": "Ann" }, "chat": { "id": "7", "kind": "direct" } });
        message.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::from_value(message).unwrap()
    }

    fn group(change: Value) -> Inbound {
        let mut group = message(json!({ "chat": { "id": "-1", "kind": "group", "threadId": "T" } }));
        group.mentioned = change["mentioned"] == true;
        group
    }

    fn rules(rules: Value) -> Vec<Rule> {
        serde_json::from_value(rules).unwrap()
    }

    fn shown(rules: &[Rule], message: &Inbound, is_paired: bool) -> String {
        match decide(rules, message, is_paired) {
            Decision::Ignore => "ignore".to_string(),
            Decision::Ask => "ask".to_string(),
            Decision::Answer(rule) => rule.session_key(message),
        }
    }

    #[test]
    fn without_rules_only_the_paired_reach_an_agent() {
        let direct = message(json!({}));
        assert_eq!(shown(&[], &direct, false), "ask");
        assert_eq!(shown(&[], &direct, true), "telegram:direct:7");
        assert_eq!(shown(&[], &message(json!({ "edited": true })), true), "ignore");
        for is_paired in [false, true] {
            assert_eq!(shown(&[], &group(json!({ "mentioned": true })), is_paired), "ignore");
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let named = group(json!({ "mentioned": true }));
        let unnamed = group(json!({}));
        for (given, message, is_paired, expected) in [
            (json!([{ "chats": ["-1"] }]), &named, false, "telegram:group:-1:thread:t"),
            (json!([{ "chats": ["-1"] }]), &unnamed, false, "ignore"),
            (json!([{ "chats": ["-1"], "when": "always" }]), &unnamed, false, "telegram:group:-1:thread:t"),
            (json!([{ "chats": ["-2"] }]), &named, true, "ignore"),
            (json!([{ "kind": "group" }]), &named, false, "ignore"),
            (json!([{ "kind": "group" }]), &named, true, "telegram:group:-1:thread:t"),
            (
                json!([{ "kind": "group", "session": "sender", "agent": "ops" }]),
                &named,
                true,
                "agent:ops:telegram:group:-1:thread:t:from:7",
            ),
            (json!([{ "chats": ["-1"], "admit": "paired" }]), &named, false, "ignore"),
            (json!([{ "admit": "nobody" }]), &message(json!({})), true, "ignore"),
            (json!([{ "from": ["7"], "session": "main" }]), &message(json!({})), false, "main"),
            (json!([{ "from": ["+491"], "agent": "ops" }]), &message(json!({})), false, "agent:ops:telegram:direct:7"),
            (json!([{ "from": ["8"] }]), &message(json!({})), false, "ask"),
            (json!([{ "account": "work" }, { "admit": "anyone" }]), &message(json!({})), false, "telegram:direct:7"),
            (
                json!([{ "account": "work", "admit": "nobody" }]),
                &message(json!({ "accountId": "work" })),
                true,
                "ignore",
            ),
            (json!([{ "account": "default", "admit": "nobody" }]), &message(json!({})), true, "ignore"),
            (json!([{ "channel": "signal", "admit": "nobody" }]), &message(json!({})), true, "telegram:direct:7"),
            (json!([{ "edits": true }]), &message(json!({ "edited": true })), true, "telegram:direct:7"),
        ] {
            assert_eq!(shown(&rules(given.clone()), message, is_paired), expected, "{given}");
        }
    }

    #[test]
    fn names_that_pass_to_others_are_refused() {
        let wrong = |rule: Value| serde_json::from_value::<Rule>(rule).unwrap().check().unwrap_err();
        assert!(wrong(json!({ "from": ["7", "@ann"] })).starts_with("from: \"@ann\" is a name"));
        assert_eq!(wrong(json!({ "chats": [" "] })), "chats has an empty id in it");
    }
}
