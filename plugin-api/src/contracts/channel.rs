//! A message channel: a way to people outside, such as a messenger. A plugin becomes the channel `<id>` by declaring
//! internal methods, of which only `channel.<id>.send` has to be there. A channel without `channel.<id>.status` works and is
//! shown nowhere.
//!
//! | method | is given | answers |
//! | --- | --- | --- |
//! | `channel.<id>.send` | [`Send`] | [`Sent`] |
//! | `channel.<id>.status` | [`Query`] | [`Report`] |
//! | `channel.<id>.poll` | [`Poll`] | [`Sent`] |
//! | `channel.<id>.resolve` | [`Resolve`] | [`Resolved`] |
//! | `channel.<id>.typing` | [`Typing`] | anything |
//! | `channel.<id>.login`, `channel.<id>.login.wait` | [`Login`] | [`LoginState`] |
//! | `channel.<id>.logout` | [`Account`] | [`LoggedOut`] |
//! | `channel.<id>.start`, `channel.<id>.stop` | [`Account`] | anything |
//!
//! What comes in is handed to `channels.inbound` as [`Inbound`]; the channel confirms it to its service only after
//! [`Taken`] came back, since then it is durable; an error means that it is to be handed over once more, after a while. Only
//! a message that [`is_refused`] is logged and let go, so that it holds up nothing behind it. Who may write to which agent
//! is decided there, not in the channel.
//!
//! Whoever has something to say to people (an agent's answer, a job's outcome) hands it to `send.deliver` as [`Deliver`],
//! never to a channel: `send` keeps book of what went out, so that nothing goes out twice.
//!
//! **Once.** A message is handed to a channel once. The channel hands it to its service once, or says that it does not
//! know: an error with `details.code` [`OUTCOME_UNKNOWN`] after a connection broke amid the request, [`NOT_SENT`] (retry
//! is safe) when the service surely has nothing, and `retryable` with it when a later try may go well. A text over the service's limit is the channel's to cut into several
//! messages; a rate limit is the channel's to wait for, within the call's deadline.

use schemars::JsonSchema;
use schemas::error::code;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::MethodError;

/// `details.code` of an error after which nobody knows whether the message went out.
pub const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
/// `details.code` of an error after which the message surely did not go out.
pub const NOT_SENT: &str = "NOT_SENT";
/// `details.code` of an error of `send.deliver`: nobody is named, and the session named nobody, or somebody elsewhere.
pub const NO_TARGET: &str = "NO_TARGET";
/// As [`Deliver::channel`]: the one that the session last spoke on.
pub const LAST: &str = "last";
/// `details.code` of an error that a wrong target causes; the message goes to the caller as it is.
pub const BAD_TARGET: &str = "BAD_TARGET";

/// Parameters of `channel.<id>.send`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Send {
    /// To whom, in the channel's own form, as [`Resolved::to`] gave it.
    pub to: String,
    /// The text; empty when there is only media.
    #[serde(default)]
    pub text: String,
    /// Files to go with it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// The account to send with; the channel's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// A thread or topic within the chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Whether nobody's device shall make a sound.
    #[serde(default)]
    pub silent: bool,
    /// Whether a film is shown as a moving picture.
    #[serde(default)]
    pub gif_playback: bool,
    /// Names this message, for services that take such a key.
    pub idempotency_key: String,
}

/// A file: by address, or in the message itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Media {
    /// `https:` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Bytes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Its kind, `image/png` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
}

/// Result of `channel.<id>.send` and `channel.<id>.poll`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The service's id of the message; of the last one, if it was cut into several.
    pub message_id: String,
    /// The chat it went to, in the service's words: `chatId`, `channelId`, `toJid`, `conversationId`, `pollId`.
    #[serde(flatten)]
    pub place: Map<String, Value>,
}

/// Parameters of `channel.<id>.poll`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Poll {
    /// To whom.
    pub to: String,
    /// What is asked.
    pub question: String,
    /// What can be answered: 2 to 12.
    pub options: Vec<String>,
    /// How many answers one may give; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_selections: Option<u64>,
    /// How long it is open, in hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_hours: Option<u64>,
    /// The account to send with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Names this message.
    pub idempotency_key: String,
}

/// Parameters of `channel.<id>.resolve`: a target as a person wrote it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolve {
    /// As written: a number, a name with `@`, an id.
    pub to: String,
    /// The account that would send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// Result of `channel.<id>.resolve`; a target that is none is an `INVALID_REQUEST` with [`BAD_TARGET`] and a sentence.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// As the channel's `send` takes it.
    pub to: String,
    /// `direct`, `group` or `channel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Parameters of `channel.<id>.typing`: shown for a few seconds, or until the next message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Typing {
    /// To whom.
    pub to: String,
    /// The account that types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// A thread or topic within the chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// Parameters of `channel.<id>.status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    /// Whether to ask the service.
    #[serde(default)]
    pub probe: bool,
    /// How long there is to answer, in milliseconds.
    #[serde(default)]
    pub timeout_ms: u64,
}

/// Result of `channel.<id>.status`. Everything may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// The channel's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its longer name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail_label: Option<String>,
    /// Name of a symbol of Apple's systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_image: Option<String>,
    /// The account used when none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_account_id: Option<String>,
    /// What the ids of senders are, for people: `Telegram user id`, `Phone number`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_label: Option<String>,
    /// The channel as a whole: `configured`, `linked`, `running` and what else it has to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Map<String, Value>>,
    /// Its accounts, each with an `accountId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<Map<String, Value>>>,
}

/// Words that stop what an agent does instead of being said to it.
const STOP_WORDS: [&str; 7] = ["/stop", "stop", "esc", "abort", "wait", "exit", "interrupt"];

/// Whether a message is a word that stops what an agent does in its session.
pub fn is_stop_word(text: &str) -> bool {
    STOP_WORDS.iter().any(|word| text.trim().eq_ignore_ascii_case(word))
}

/// Parameters of `channels.inbound`: a message that came in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inbound {
    /// The channel's id.
    pub channel: String,
    /// The account that received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The service's id of it, unique within the chat: one that comes again is a duplicate.
    pub message_id: String,
    /// Who wrote it.
    pub from: Sender,
    /// Where.
    pub chat: Chat,
    /// The text.
    #[serde(default)]
    pub text: String,
    /// What came with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// Whether the agent was addressed: named, or answered. Always true in a direct chat.
    #[serde(default)]
    pub mentioned: bool,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Whether it is a message of before, changed. Rules say whether agents hear of those.
    #[serde(default)]
    pub edited: bool,
    /// When it was written, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
}

/// Who wrote a message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// The service's lasting id of the person; rules go by this one.
    pub id: String,
    /// A name that the person can change: `username` at some services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Where a message was written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// As the channel's `send` takes it.
    pub id: String,
    /// `direct`, `group` or `channel`.
    pub kind: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A thread or topic within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// Result of `channels.inbound`: it is durable now, or deliberately dropped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// `run` (an agent answers), `stop` (a word that stopped one), `pairing` (an unknown sender, who is told a code),
    /// `ignored` (rules say so), `refused` (too many of this conversation wait already; the sender is told), `duplicate`.
    pub verdict: String,
    /// The run that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

/// Whether an error of `channels.inbound` says that the message is wrong, which no repetition changes.
pub fn is_refused(error: &MethodError) -> bool {
    let shape = error.shape();
    // Whoever takes messages may be switched off for a while.
    let is_away = shape.message.starts_with("unknown method: ");
    shape.code == code::INVALID_REQUEST && shape.retryable != Some(true) && !is_away
}

/// Parameters of `channel.<id>.login` and `channel.<id>.login.wait`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Whether to begin anew although it is logged in.
    #[serde(default)]
    pub force: bool,
    /// How long to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// How a login stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginState {
    /// Whether the account is connected.
    #[serde(default)]
    pub connected: bool,
    /// A picture to scan: `data:image/png;base64,…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr_data_url: Option<String>,
    /// What to do next, in a sentence.
    pub message: String,
}

/// Parameters of `channel.<id>.logout`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The account; the channel's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// Result of `channel.<id>.logout`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggedOut {
    /// Whether something was kept and is gone now.
    pub cleared: bool,
}

/// Parameters of `send.deliver`: a message for people, in the name of another plugin. Answers [`Delivered`]. The same key
/// again gives the same answer; after a crash amid the delivery it is an error with [`OUTCOME_UNKNOWN`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deliver {
    /// The channel, by id or alias; the default one when absent. [`LAST`] is the one that the session last spoke on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// To whom, as a person or the channel wrote it. When absent, where the session last spoke, with account and thread;
    /// a channel that is named has to be the one of then, or it is an error with [`NO_TARGET`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The session whose last place is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// The text; empty when there is only media.
    #[serde(default)]
    pub text: String,
    /// Files to go with it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// The account to send with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// A thread or topic within the chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Whether nobody's device shall make a sound.
    #[serde(default)]
    pub silent: bool,
    /// A session whose transcript gets the text as well; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_to: Option<String>,
    /// Names this message, and makes it go out once.
    pub idempotency_key: String,
}

/// Result of `send.deliver`, `send` and `poll`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivered {
    /// The key it was sent with.
    pub run_id: String,
    /// The channel's id.
    pub channel: String,
    /// To whom, where `send.deliver` found that by the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What the channel said of it.
    #[serde(flatten)]
    pub sent: Sent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_repetition_changes_is_refused() {
        let wrong = || MethodError::invalid_request("chat.id is missing");
        assert!(is_refused(&wrong()));
        for may_pass in [
            wrong().retryable(),
            MethodError::unavailable("the disk is full"),
            MethodError::invalid_request("unknown method: channels.inbound"),
        ] {
            assert!(!is_refused(&may_pass), "{may_pass}");
        }
    }
}
