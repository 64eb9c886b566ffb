//! What is read of the Bot API's objects. Whatever is not named here is passed over, and whatever is named may be absent,
//! but for what a message cannot be without.

use serde::Deserialize;
use serde_json::Value;

/// Something that happened. The four kinds that are asked for; others come as none of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Update {
    pub update_id: i64,
    pub message: Option<Message>,
    pub edited_message: Option<Message>,
    pub channel_post: Option<Message>,
    pub edited_channel_post: Option<Message>,
}

/// What is asked for.
pub const ALLOWED_UPDATES: [&str; 4] = ["message", "edited_message", "channel_post", "edited_channel_post"];

impl Update {
    /// The message in it, and whether it is one of before.
    pub fn message(self) -> Option<(Message, bool)> {
        let new = self.message.or(self.channel_post).map(|message| (message, false));
        new.or_else(|| self.edited_message.or(self.edited_channel_post).map(|message| (message, true)))
    }
}

/// A message.
#[derive(Debug, Deserialize)]
pub struct Message {
    pub message_id: i64,
    pub chat: Chat,
    pub from: Option<User>,
    pub sender_chat: Option<Chat>,
    pub date: Option<u64>,
    pub edit_date: Option<u64>,
    pub message_thread_id: Option<i64>,
    pub is_topic_message: Option<bool>,
    pub reply_to_message: Option<Box<Replied>>,
    pub text: Option<String>,
    pub caption: Option<String>,
    pub entities: Option<Vec<Entity>>,
    pub caption_entities: Option<Vec<Entity>>,
    pub photo: Option<Vec<File>>,
    pub document: Option<File>,
    pub voice: Option<File>,
    pub audio: Option<File>,
    pub video: Option<File>,
    pub video_note: Option<File>,
    pub animation: Option<File>,
    pub sticker: Option<Sticker>,
    pub location: Option<Location>,
    pub venue: Option<Venue>,
    pub contact: Option<Contact>,
    pub poll: Option<Poll>,
}

/// The message that another answers.
#[derive(Debug, Deserialize)]
pub struct Replied {
    pub message_id: i64,
    pub from: Option<User>,
    pub forum_topic_created: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Chat {
    pub id: i64,
    #[serde(rename = "type", default)]
    pub kind: String,
    pub title: Option<String>,
    pub username: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub id: i64,
    #[serde(default)]
    pub is_bot: bool,
    #[serde(default)]
    pub first_name: String,
    pub last_name: Option<String>,
    pub username: Option<String>,
}

/// A part of a text that means something, counted in UTF-16.
#[derive(Debug, Deserialize)]
pub struct Entity {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub offset: usize,
    #[serde(default)]
    pub length: usize,
    pub user: Option<User>,
}

/// A file, of whichever kind, and a photo in one of its sizes.
#[derive(Debug, Clone, Deserialize)]
pub struct File {
    pub file_id: String,
    pub file_size: Option<u64>,
    pub file_name: Option<String>,
    pub mime_type: Option<String>,
    pub file_path: Option<String>,
    pub width: Option<u64>,
    pub height: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub struct Sticker {
    pub emoji: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Location {
    pub latitude: f64,
    pub longitude: f64,
}

#[derive(Debug, Deserialize)]
pub struct Venue {
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub address: String,
    pub location: Location,
}

#[derive(Debug, Deserialize)]
pub struct Contact {
    #[serde(default)]
    pub phone_number: String,
    #[serde(default)]
    pub first_name: String,
}

#[derive(Debug, Deserialize)]
pub struct Poll {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub question: String,
}

/// What is read of a message that was sent.
#[derive(Debug, Deserialize)]
pub struct SentMessage {
    pub message_id: i64,
    pub chat: Chat,
    pub poll: Option<Poll>,
}

/// The envelope of every answer.
#[derive(Debug, Deserialize)]
pub struct Envelope {
    pub ok: bool,
    #[serde(default)]
    pub result: Value,
    pub error_code: Option<u16>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub parameters: Parameters,
}

/// What helps after a refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Parameters {
    pub migrate_to_chat_id: Option<i64>,
    pub retry_after: Option<u64>,
}

impl User {
    /// The name for people.
    pub fn full_name(&self) -> String {
        joined([Some(self.first_name.as_str()), self.last_name.as_deref()])
    }
}

impl Chat {
    /// The name for people.
    pub fn full_name(&self) -> Option<String> {
        let person = joined([self.first_name.as_deref(), self.last_name.as_deref()]);
        self.title.clone().or_else(|| (!person.is_empty()).then_some(person)).or_else(|| self.username.clone())
    }

    /// `direct`, `group` or `channel`.
    pub fn contract_kind(&self) -> &'static str {
        match self.kind.as_str() {
            "private" => "direct",
            "channel" => "channel",
            _ => "group",
        }
    }
}

fn joined(names: [Option<&str>; 2]) -> String {
    let names: Vec<&str> = names.into_iter().flatten().map(str::trim).filter(|name| !name.is_empty()).collect();
    names.join(" ")
}
