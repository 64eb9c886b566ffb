//! A message of Telegram's as `channels.inbound` takes it, but for its files, which are fetched elsewhere.

use plugin_api::contracts::channel::{Chat, Inbound, Sender};

use crate::shapes::{Entity, File, Message};

/// The bot that received it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Me {
    pub id: i64,
    /// Without the `@`.
    pub username: String,
}

/// A file that came with a message.
#[derive(Debug, Clone)]
pub struct Attachment {
    pub file: File,
    /// What it is, for people.
    pub what: &'static str,
    /// Its kind, if Telegram did not say.
    pub kind: &'static str,
}

/// What is handed over of a message, and which files go with it. Nothing, if it is a bot's, or says nothing.
pub fn read(message: Message, edited: bool, me: &Me, account: &str) -> Option<(Inbound, Vec<Attachment>)> {
    let from = sender(&message)?;
    let attachments = attachments(&message);
    let (text, entities) = match (&message.text, &message.caption) {
        (Some(text), _) => (text.as_str(), message.entities.as_deref().unwrap_or_default()),
        (None, Some(caption)) => (caption.as_str(), message.caption_entities.as_deref().unwrap_or_default()),
        (None, None) => ("", Default::default()),
    };
    let kind = message.chat.contract_kind();
    let answered = message.reply_to_message.as_deref().filter(|replied| {
        // In a topic, whatever answers nothing answers the topic's first message.
        replied.forum_topic_created.is_none() && Some(replied.message_id) != topic(&message)
    });
    let answers_me = answered.is_some_and(|replied| replied.from.as_ref().is_some_and(|from| from.id == me.id));
    let mentioned = kind == "direct" || answers_me || entities.iter().any(|entity| names(text, entity, me));
    let mut said = without_name(text, entities, me);
    if let Some(told) = told(&message) {
        let gap = if said.is_empty() { "" } else { "\n" };
        said = format!("{said}{gap}{told}");
    }
    if said.trim().is_empty() && attachments.is_empty() {
        return None;
    }
    let inbound = Inbound {
        channel: "telegram".to_string(),
        account_id: Some(account.to_string()),
        message_id: message.message_id.to_string(),
        from,
        chat: Chat {
            id: message.chat.id.to_string(),
            kind: kind.to_string(),
            title: message.chat.full_name(),
            thread_id: topic(&message).map(|topic| topic.to_string()),
        },
        text: said,
        media: Vec::new(),
        mentioned,
        reply_to: answered.map(|replied| replied.message_id.to_string()),
        edited,
        timestamp: message.edit_date.filter(|_| edited).or(message.date).map(|seconds| seconds.saturating_mul(1000)),
    };
    Some((inbound, attachments))
}

/// Who wrote it: a person, or the chat in whose name it was written. Bots are nobody.
fn sender(message: &Message) -> Option<Sender> {
    if let Some(chat) = &message.sender_chat {
        return Some(Sender { id: chat.id.to_string(), handle: chat.username.clone(), name: chat.full_name() });
    }
    let from = message.from.as_ref().filter(|from| !from.is_bot)?;
    let name = Some(from.full_name()).filter(|name| !name.is_empty());
    Some(Sender { id: from.id.to_string(), handle: from.username.clone(), name })
}

/// The topic it was written in. A thread that is none of a forum is just the answers to a message.
fn topic(message: &Message) -> Option<i64> {
    message.message_thread_id.filter(|_| message.is_topic_message == Some(true))
}

fn attachments(message: &Message) -> Vec<Attachment> {
    let of = |file: &Option<File>, what, kind| file.clone().map(|file| Attachment { file, what, kind });
    let largest = |photo: &Vec<File>| photo.iter().max_by_key(|size| size.width.zip(size.height)).cloned();
    let photo = message.photo.as_ref().and_then(largest);
    // A moving picture comes as a document as well.
    let document = if message.animation.is_some() { &None } else { &message.document };
    let all = [
        of(&photo, "photo", "image/jpeg"),
        of(&message.animation, "animation", "video/mp4"),
        of(document, "document", "application/octet-stream"),
        of(&message.voice, "voice message", "audio/ogg"),
        of(&message.audio, "audio", "audio/mpeg"),
        of(&message.video, "video", "video/mp4"),
        of(&message.video_note, "video message", "video/mp4"),
    ];
    all.into_iter().flatten().collect()
}

/// What of a message is no text and no file, in words.
fn told(message: &Message) -> Option<String> {
    if let Some(sticker) = &message.sticker {
        return Some(match &sticker.emoji {
            Some(emoji) => format!("[sticker {emoji}]"),
            None => "[sticker]".to_string(),
        });
    }
    if let Some(venue) = &message.venue {
        let at = &venue.location;
        return Some(format!("[place {}, {}: {}, {}]", venue.title, venue.address, at.latitude, at.longitude));
    }
    if let Some(at) = &message.location {
        return Some(format!("[location {}, {}]", at.latitude, at.longitude));
    }
    if let Some(contact) = &message.contact {
        return Some(format!("[contact {} {}]", contact.first_name, contact.phone_number));
    }
    message.poll.as_ref().map(|poll| format!("[poll: {}]", poll.question))
}

/// Whether a part of a text names the bot.
fn names(text: &str, entity: &Entity, me: &Me) -> bool {
    match entity.kind.as_str() {
        "text_mention" => entity.user.as_ref().is_some_and(|user| user.id == me.id),
        "mention" => is_name(part(text, entity).strip_prefix('@'), me),
        "bot_command" => is_name(part(text, entity).split_once('@').map(|(_, name)| name), me),
        _ => false,
    }
}

fn is_name(name: Option<&str>, me: &Me) -> bool {
    name.is_some_and(|name| !me.username.is_empty() && name.eq_ignore_ascii_case(&me.username))
}

/// A text without the bot's name at its beginning, alone or after a command.
fn without_name(text: &str, entities: &[Entity], me: &Me) -> String {
    let first = entities.iter().find(|entity| entity.offset == 0 && names(text, entity, me));
    let Some(first) = first else { return text.trim().to_string() };
    let named = part(text, first);
    let rest = &text[named.len()..];
    match first.kind.as_str() {
        "bot_command" => {
            let command = named.split_once('@').map_or(named, |(command, _)| command);
            format!("{command}{rest}").trim().to_string()
        }
        _ => rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == ':').trim_end().to_string(),
    }
}

/// What an entity is about; empty, if the text is shorter.
fn part<'a>(text: &'a str, entity: &Entity) -> &'a str {
    let byte = |units: usize| {
        let mut seen = 0;
        let ends = text.char_indices().map(|(at, c)| (at, c.len_utf16())).chain([(text.len(), 0)]);
        for (at, length) in ends {
            if seen >= units {
                return Some(at);
            }
            seen += length;
        }
        None
    };
    let range = byte(entity.offset).zip(byte(entity.offset.saturating_add(entity.length)));
    range.and_then(|(from, to)| text.get(from..to)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn me() -> Me {
        Me { id: 99, username: "claw_bot".to_string() }
    }

    fn message(more: Value) -> Message {
        let mut message = json!({
            "message_id": 5, "date": 1_700_000_000, "chat": { "id": 7, "type": "private", "first_name": "Ada" },
            "from": { "id": 7, "is_bot": false, "first_name": "Ada", "last_name": "L", "username": "ada" },
        });
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(message).unwrap()
    }

    fn group(more: Value) -> Message {
        let mut all = json!({ "chat": { "id": -1001, "type": "supergroup", "title": "Team" } });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message(all)
    }

    fn taken(message: Message) -> Option<Inbound> {
        read(message, false, &me(), "default").map(|(inbound, _)| inbound)
    }

    #[test]
    fn a_direct_message_is_handed_over_whole() {
        let inbound = taken(message(json!({ "text": "Hello", "reply_to_message": { "message_id": 4 } }))).unwrap();
        let expected = json!({
            "channel": "telegram", "accountId": "default", "messageId": "5", "text": "Hello", "mentioned": true,
            "edited": false, "replyTo": "4", "timestamp": 1_700_000_000_000_u64,
            "from": { "id": "7", "handle": "ada", "name": "Ada L" }, "chat": { "id": "7", "kind": "direct", "title": "Ada" },
        });
        assert_eq!(serde_json::to_value(inbound).unwrap(), expected);
        let edited = message(json!({ "text": "Hullo", "edit_date": 1_700_000_009 }));
        let (edited, _) = read(edited, true, &me(), "default").unwrap();
        assert_eq!((edited.edited, edited.timestamp), (true, Some(1_700_000_009_000)));
        let odd = taken(message(json!({ "text": "Hello", "date": u64::MAX }))).unwrap();
        assert_eq!(odd.timestamp, Some(u64::MAX));
    }

    #[test]
    fn in_a_group_the_bot_is_meant_when_it_is_named_or_answered() {
        let entity =
            |kind: &str, offset: usize, length: usize| json!([{ "type": kind, "offset": offset, "length": length }]);
        for (more, mentioned, text) in [
            (json!({ "text": "hi all" }), false, "hi all"),
            (json!({ "text": "@Claw_Bot, hi", "entities": entity("mention", 0, 9) }), true, "hi"),
            (json!({ "text": "hi @claw_bot", "entities": entity("mention", 3, 9) }), true, "hi @claw_bot"),
            (json!({ "text": "😀 @claw_bot", "entities": entity("mention", 3, 9) }), true, "😀 @claw_bot"),
            (json!({ "text": "@claw_bott hi", "entities": entity("mention", 0, 10) }), false, "@claw_bott hi"),
            (json!({ "text": "@claw_bot without an entity" }), false, "@claw_bot without an entity"),
            (json!({ "text": "/status@claw_bot now", "entities": entity("bot_command", 0, 16) }), true, "/status now"),
            (
                json!({ "text": "/status@other_bot", "entities": entity("bot_command", 0, 17) }),
                false,
                "/status@other_bot",
            ),
            (json!({ "text": "/status", "entities": entity("bot_command", 0, 7) }), false, "/status"),
            (
                json!({ "text": "Claw hi", "entities": [{ "type": "text_mention", "offset": 0, "length": 4, "user": { "id": 99 } }] }),
                true,
                "hi",
            ),
            (
                json!({ "text": "Ada hi", "entities": [{ "type": "text_mention", "offset": 0, "length": 3, "user": { "id": 8 } }] }),
                false,
                "Ada hi",
            ),
            (json!({ "text": "x", "entities": entity("mention", 7, 90) }), false, "x"),
            (
                json!({ "caption": "@claw_bot look", "caption_entities": entity("mention", 0, 9), "photo": [] }),
                true,
                "look",
            ),
            (
                json!({ "text": "yes", "reply_to_message": { "message_id": 3, "from": { "id": 99, "is_bot": true } } }),
                true,
                "yes",
            ),
            (json!({ "text": "yes", "reply_to_message": { "message_id": 3, "from": { "id": 8 } } }), false, "yes"),
        ] {
            let inbound = taken(group(more.clone())).unwrap_or_else(|| panic!("{more}"));
            assert_eq!((inbound.mentioned, inbound.text.as_str()), (mentioned, text), "{more}");
            assert_eq!((inbound.chat.kind.as_str(), inbound.chat.id.as_str()), ("group", "-1001"));
        }
    }

    #[test]
    fn a_topic_is_a_thread_and_its_first_message_is_no_answer() {
        let first = json!({ "message_id": 12, "from": { "id": 99, "is_bot": true }, "forum_topic_created": {} });
        let more = json!({ "text": "x", "message_thread_id": 12, "is_topic_message": true, "reply_to_message": first });
        let inbound = taken(group(more)).unwrap();
        assert_eq!((inbound.chat.thread_id.as_deref(), inbound.reply_to, inbound.mentioned), (Some("12"), None, false));
        let answers = taken(group(json!({ "text": "x", "message_thread_id": 12 }))).unwrap();
        assert_eq!(answers.chat.thread_id, None, "a thread of answers is no topic");
    }

    #[test]
    fn channels_speak_for_themselves_and_bots_are_not_heard() {
        let post = json!({ "text": "news", "from": null, "chat": { "id": -1009, "type": "channel", "title": "News", "username": "the_news" },
                           "sender_chat": { "id": -1009, "type": "channel", "title": "News", "username": "the_news" } });
        let inbound = taken(message(post)).unwrap();
        assert_eq!((inbound.chat.kind.as_str(), inbound.from.id.as_str()), ("channel", "-1009"));
        let anonymous = json!({ "text": "x", "from": { "id": 1087968824, "is_bot": true }, "sender_chat": { "id": -1001, "type": "supergroup", "title": "Team" } });
        assert_eq!(taken(group(anonymous)).unwrap().from.id, "-1001");
        for nobody in [
            json!({ "text": "x", "from": { "id": 8, "is_bot": true, "first_name": "B" } }),
            json!({ "text": "x", "from": { "id": 99, "is_bot": true, "first_name": "B" } }),
            json!({ "text": "x", "from": null }),
            json!({ "new_chat_members": [{ "id": 8 }] }),
            json!({ "text": "  " }),
        ] {
            assert_eq!(taken(group(nobody.clone())), None, "{nobody}");
        }
    }

    #[test]
    fn what_is_no_text_is_told_and_files_go_with_it() {
        let at = json!({ "latitude": 48.5, "longitude": 16.25 });
        for (more, text) in [
            (json!({ "sticker": { "file_id": "s", "emoji": "😀" } }), "[sticker 😀]"),
            (json!({ "location": at }), "[location 48.5, 16.25]"),
            (
                json!({ "location": at, "venue": { "title": "Café", "address": "Ring 1", "location": at } }),
                "[place Café, Ring 1: 48.5, 16.25]",
            ),
            (json!({ "contact": { "phone_number": "+431", "first_name": "Bo" } }), "[contact Bo +431]"),
            (json!({ "poll": { "id": "1", "question": "When?" } }), "[poll: When?]"),
        ] {
            assert_eq!(taken(message(more)).unwrap().text, text);
        }
        let file = |id: &str| json!({ "file_id": id });
        let sizes =
            json!([{ "file_id": "small", "width": 1, "height": 1 }, { "file_id": "large", "width": 9, "height": 9 }]);
        let more = json!({ "photo": sizes, "document": file("d"), "voice": file("v"), "audio": file("a"), "video": file("f") });
        let (_, attachments) = read(message(more), false, &me(), "default").unwrap();
        let ids: Vec<&str> = attachments.iter().map(|attachment| attachment.file.file_id.as_str()).collect();
        assert_eq!(ids, ["large", "d", "v", "a", "f"]);
        let moving = message(json!({ "animation": file("m"), "document": file("m") }));
        assert_eq!(read(moving, false, &me(), "default").unwrap().1.len(), 1);
    }
}
