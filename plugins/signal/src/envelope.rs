//! What the daemon tells of a message that came, as a message for agents. It reads what it needs and passes over the rest:
//! receipts, typing, reactions, calls, stories, and what other devices of the account sent.

use plugin_api::contracts::channel::{Chat, Inbound, Sender};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What stands in a text where somebody is mentioned.
const PLACEHOLDER: char = '\u{fffc}';

/// A message as it is kept until it is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The message, without its files' content.
    pub inbound: Inbound,
    /// The number that received it, if the daemon said so.
    pub number: Option<String>,
    /// Its files.
    pub files: Vec<File>,
    /// When its sender wrote it, which names it in a receipt; absent for what one wrote oneself.
    pub receipt: Option<u64>,
}

/// A file that the daemon holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its name at the daemon.
    #[serde(default)]
    pub id: Option<String>,
    /// Its kind.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Its name.
    #[serde(default)]
    pub filename: Option<String>,
    /// Its bytes.
    #[serde(default)]
    pub size: Option<u64>,
}

/// What is known of an account and of people, to understand a message by.
pub trait Known {
    /// Whether somebody with this number or id is the account itself.
    fn is_self(&self, account: Option<&str>, number: Option<&str>, uuid: Option<&str>) -> bool;
    /// What somebody is called.
    fn name(&self, number: Option<&str>, uuid: Option<&str>) -> Option<String>;
}

/// What the daemon tells.
#[derive(Debug, Deserialize)]
pub struct Told {
    /// The number that it is for.
    #[serde(default)]
    pub account: Option<String>,
    /// The message and who sent it.
    #[serde(default)]
    pub envelope: Option<Envelope>,
    /// Why it could not be read.
    #[serde(default)]
    pub exception: Option<Value>,
}

/// A message and who sent it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Envelope {
    /// Whom it is from, whatever is known.
    pub source: Option<String>,
    /// The number.
    pub source_number: Option<String>,
    /// The lasting id.
    pub source_uuid: Option<String>,
    /// The name.
    pub source_name: Option<String>,
    data_message: Option<DataMessage>,
    edit_message: Option<EditMessage>,
    sync_message: Option<SyncMessage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DataMessage {
    timestamp: u64,
    message: Option<String>,
    group_info: Option<GroupInfo>,
    quote: Option<Quote>,
    #[serde(deserialize_with = "null_is_none")]
    mentions: Vec<Mention>,
    #[serde(deserialize_with = "null_is_none")]
    attachments: Vec<File>,
    sticker: Option<Value>,
    #[serde(deserialize_with = "null_is_none")]
    contacts: Vec<Value>,
    reaction: Option<Value>,
    remote_delete: Option<Value>,
    story_context: Option<Value>,
}

/// A list that is not there may be said to be null.
fn null_is_none<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EditMessage {
    data_message: DataMessage,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SyncMessage {
    sent_message: Option<SentMessage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SentMessage {
    destination_number: Option<String>,
    destination_uuid: Option<String>,
    edit_message: Option<EditMessage>,
    #[serde(flatten)]
    message: DataMessage,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GroupInfo {
    group_id: String,
    group_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Quote {
    id: u64,
    author: Option<String>,
    author_number: Option<String>,
    author_uuid: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Mention {
    name: Option<String>,
    number: Option<String>,
    uuid: Option<String>,
    start: usize,
    length: usize,
}

impl Told {
    /// The message for agents, if it is one.
    pub fn message(self, account_id: Option<&str>, note_to_self: bool, known: &dyn Known) -> Option<Kept> {
        let account = self.account.as_deref();
        let envelope = self.envelope?;
        let (number, uuid) = (envelope.source_number.as_deref(), envelope.source_uuid.as_deref());
        let is_own = known.is_self(account, number, uuid);
        let (data, edited) = match (envelope.data_message, envelope.edit_message, envelope.sync_message) {
            (Some(data), _, _) if !is_own => (data, false),
            (None, Some(edit), _) if !is_own => (edit.data_message, true),
            (_, _, Some(SyncMessage { sent_message: Some(sent) })) if note_to_self => {
                let to = (sent.destination_number.as_deref(), sent.destination_uuid.as_deref());
                if !known.is_self(account, to.0, to.1) {
                    return None;
                }
                match sent.edit_message {
                    Some(edit) => (edit.data_message, true),
                    None => (sent.message, false),
                }
            }
            _ => return None,
        };
        if data.reaction.is_some() || data.remote_delete.is_some() || data.timestamp == 0 {
            return None;
        }
        let id = uuid.or(number).or(envelope.source.as_deref()).filter(|id| !id.is_empty())?.to_string();
        let text = data.words(account, known);
        if text.trim().is_empty() && data.attachments.is_empty() {
            return None;
        }
        let group = data.group_info.as_ref().filter(|group| !group.group_id.is_empty());
        let addresses_us =
            data.mentions.iter().any(|one| known.is_self(account, one.number.as_deref(), one.uuid.as_deref()))
                || data.quote.as_ref().is_some_and(|quote| {
                    known.is_self(
                        account,
                        quote.author_number.as_deref().or(quote.author.as_deref()),
                        quote.author_uuid.as_deref(),
                    )
                });
        let chat = match group {
            Some(group) => Chat {
                id: format!("group:{}", group.group_id),
                kind: "group".to_string(),
                title: group.group_name.clone().filter(|name| !name.is_empty()),
                thread_id: None,
            },
            None => Chat {
                id: id.clone(),
                kind: "direct".to_string(),
                title: envelope.source_name.clone(),
                thread_id: None,
            },
        };
        let quoted = data.quote.as_ref().and_then(|quote| {
            let author = quote.author_uuid.as_ref().or(quote.author_number.as_ref()).or(quote.author.as_ref())?;
            Some(format!("{}-{author}", quote.id))
        });
        let inbound = Inbound {
            channel: "signal".to_string(),
            account_id: account_id.map(str::to_string),
            message_id: format!("{}-{id}", data.timestamp),
            mentioned: group.is_none() || addresses_us,
            from: Sender {
                id,
                handle: envelope.source_number,
                name: envelope.source_name.filter(|name| !name.is_empty()),
            },
            chat,
            text,
            media: Vec::new(),
            // What answers a story answers no message of the chat.
            reply_to: quoted.filter(|_| data.story_context.is_none()),
            edited,
            timestamp: Some(data.timestamp),
        };
        Some(Kept {
            inbound,
            number: self.account,
            files: data.attachments,
            receipt: (!is_own).then_some(data.timestamp),
        })
    }
}

impl DataMessage {
    /// Its text, with names in the place of mentions and without ours at its beginning, or what it is if it has none.
    fn words(&self, account: Option<&str>, known: &dyn Known) -> String {
        let text = self.message.as_deref().unwrap_or_default();
        if !text.is_empty() {
            let shown = self.with_names(text, account, known);
            // Whom a message begins with is who is meant and nothing that is said, as before "/new".
            let is_us = |one: &Mention| known.is_self(account, one.number.as_deref(), one.uuid.as_deref());
            let first = self.mentions.iter().find(|one| one.start == 0 && one.length > 0 && is_us(one));
            let rest = first.and_then(|one| shown.strip_prefix(&format!("@{}", one.called(account, known))));
            let rest = rest.map(|rest| rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == ':'));
            return rest.filter(|rest| !rest.is_empty()).map(str::to_string).unwrap_or(shown);
        }
        if let Some(sticker) = &self.sticker {
            let emoji = sticker["emoji"].as_str().unwrap_or_default();
            return if emoji.is_empty() { "[a sticker]".to_string() } else { format!("[a sticker: {emoji}]") };
        }
        let cards = self.contacts.iter().map(|card| {
            let name = card["name"]["display"].as_str().or(card["name"]["given"].as_str()).unwrap_or("somebody");
            let numbers = card["phone"].as_array().into_iter().flatten().filter_map(|phone| phone["value"].as_str());
            format!("[a contact: {name} {}]", numbers.collect::<Vec<_>>().join(", ")).replace(" ]", "]")
        });
        cards.collect::<Vec<_>>().join("\n")
    }

    /// The places of mentions count UTF-16 units.
    fn with_names(&self, text: &str, account: Option<&str>, known: &dyn Known) -> String {
        if self.mentions.is_empty() {
            return text.to_string();
        }
        let mut shown = String::with_capacity(text.len());
        let (mut unit, mut skip_to) = (0, 0);
        for c in text.chars() {
            let mention = self.mentions.iter().find(|mention| mention.start == unit && mention.length > 0);
            if let Some(mention) = mention.filter(|_| c == PLACEHOLDER || unit >= skip_to) {
                shown.push('@');
                shown.push_str(&mention.called(account, known));
                skip_to = unit + mention.length;
            }
            if unit >= skip_to {
                shown.push(c);
            }
            unit += c.len_utf16();
        }
        shown
    }
}

impl Mention {
    fn called(&self, account: Option<&str>, known: &dyn Known) -> String {
        let (number, uuid) = (self.number.as_deref(), self.uuid.as_deref());
        // signal-cli gives a number or an id as the name.
        let is_name =
            |name: &&str| !crate::target::is_number(name) && !crate::target::is_uuid(name) && !name.is_empty();
        if let Some(name) = self.name.as_deref().filter(is_name) {
            return name.to_string();
        }
        let own = || known.is_self(account, number, uuid).then(|| account.map(str::to_string)).flatten();
        let any = || number.or(uuid).or(self.name.as_deref()).unwrap_or("somebody").to_string();
        known.name(number, uuid).or_else(own).unwrap_or_else(any)
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
