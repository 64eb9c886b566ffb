//! What goes out: texts in as many messages as they need, files, polls. Each request is made once; it is made again only
//! where Telegram said that it did nothing: too many at once, a chat with a new number, a text or a picture that it takes
//! in another form.

use std::time::Duration;

use outside::multipart::Form;
use plugin_api::contracts::channel::{NOT_SENT, OUTCOME_UNKNOWN, Poll, Send, Sent};
use plugin_api::{Call, MethodError};
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::api::{Body, Fault, Line, Refusal};
use crate::config::TextFormat;
use crate::media::{Content, Outgoing, Shape};
use crate::shapes::SentMessage;
use crate::target::{Target, bad, positive};
use crate::{Telegram, cut, format};

/// What is kept of a call's time for the request after a wait.
const TO_SEND: Duration = Duration::from_secs(2);
/// How long a call without a deadline waits for a limit to pass.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(60);
/// Longest question and answer of a poll, in Telegram's counting.
const MOST_QUESTION: usize = 300;
const MOST_OPTION: usize = 100;

/// One message of several.
enum Part {
    Text(String),
    File(Outgoing, String),
}

/// Where all parts go, and how.
struct Way {
    chat: Value,
    topic: Option<i64>,
    reply_to: Option<i64>,
    silent: bool,
}

impl Telegram {
    pub(crate) async fn send_message(&self, call: &Call, message: Send) -> Result<Sent, MethodError> {
        let account = self.account(message.account_id.as_deref())?;
        let mut way = way(&message)?;
        let parts = self.parts(&message).await?;
        let mut last = None;
        for (sent, part) in parts.iter().enumerate() {
            let done = self.send_part(call, account, &mut way, part).await;
            last = Some(done.map_err(|fault| self.failed(account, fault, sent, parts.len()))?);
            // The rest is part of the same answer.
            way.reply_to = None;
        }
        let last = last.ok_or_else(|| MethodError::invalid_request("telegram: the message is empty"))?;
        Ok(told(&last))
    }

    pub(crate) async fn send_poll(&self, call: &Call, poll: Poll) -> Result<Sent, MethodError> {
        let account = self.account(poll.account_id.as_deref())?;
        let target = Target::read(&poll.to)?;
        let wrong = |why: &str| Err(MethodError::invalid_request(format!("telegram: {why}")));
        if poll.duration_hours.is_some() {
            return wrong("a poll cannot end by itself after hours; leave durationHours out");
        }
        if cut::length(&poll.question) > MOST_QUESTION {
            return wrong(&format!("a question has at most {MOST_QUESTION} characters"));
        }
        if poll.options.iter().any(|option| option.trim().is_empty() || cut::length(option) > MOST_OPTION) {
            return wrong(&format!("an answer has 1 to {MOST_OPTION} characters"));
        }
        let options: Vec<Value> = poll.options.iter().map(|option| json!({ "text": option })).collect();
        let several = poll.max_selections.is_some_and(|most| most > 1);
        let mut way = Way { chat: target.chat.value(), topic: target.topic, reply_to: None, silent: false };
        let build = |common: Map<String, Value>, _: &Manner| {
            let mut params = common;
            params.insert("question".to_string(), json!(poll.question));
            params.insert("options".to_string(), json!(options));
            params.insert("allows_multiple_answers".to_string(), json!(several));
            ("sendPoll", Line::Call, Body::Json(Value::Object(params)))
        };
        let sent = self.attempt(call, account, &mut way, Manner::default(), build).await;
        let sent = sent.map_err(|fault| self.failed(account, fault, 0, 1))?;
        let mut told = told(&sent);
        if let Some(poll) = &sent.poll {
            told.place.insert("pollId".to_string(), json!(poll.id));
        }
        Ok(told)
    }

    /// The messages that one becomes. Everything that can be wrong about it is found before the first goes out.
    async fn parts(&self, message: &Send) -> Result<Vec<Part>, MethodError> {
        let mut files = Vec::with_capacity(message.media.len());
        for media in &message.media {
            files.push(self.outgoing(media, message.gif_playback).await?);
        }
        let is_caption = !files.is_empty() && cut::length(message.text.trim_end()) <= cut::MOST_CAPTION;
        let mut caption = if is_caption { message.text.trim_end().to_string() } else { String::new() };
        let mut parts: Vec<Part> =
            files.into_iter().map(|file| Part::File(file, std::mem::take(&mut caption))).collect();
        if !is_caption {
            parts.extend(cut::pieces(&message.text, cut::MOST_TEXT).into_iter().map(Part::Text));
        }
        Ok(parts)
    }

    async fn send_part(
        &self,
        call: &Call,
        account: &Account,
        way: &mut Way,
        part: &Part,
    ) -> Result<SentMessage, Fault> {
        let rich = self.config.text_format == TextFormat::Markdown;
        match part {
            Part::Text(text) => {
                let manner = Manner { rich, shape: None };
                let build = |common: Map<String, Value>, manner: &Manner| {
                    let mut params = common;
                    say(&mut params, "text", text, manner.rich);
                    if !self.config.link_preview {
                        params.insert("link_preview_options".to_string(), json!({ "is_disabled": true }));
                    }
                    ("sendMessage", Line::Call, Body::Json(Value::Object(params)))
                };
                self.attempt(call, account, way, manner, build).await
            }
            Part::File(file, caption) => {
                let manner = Manner { rich, shape: Some(file.shape) };
                let build = |common: Map<String, Value>, manner: &Manner| {
                    let shape = manner.shape.unwrap_or(Shape::Document);
                    let mut params = common;
                    if !caption.is_empty() {
                        say(&mut params, "caption", caption, manner.rich);
                    }
                    let body = match &file.content {
                        Content::Address(address) => {
                            params.insert(shape.field().to_string(), json!(address));
                            Body::Json(Value::Object(params))
                        }
                        Content::Bytes(bytes) => {
                            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
                            let filled = params
                                .iter()
                                .fold(Form::default(), |filled, (name, value)| filled.text(name, &text(value)));
                            Body::Form(filled.file(shape.field(), &file.name, &file.kind, bytes))
                        }
                    };
                    (shape.method(), Line::Upload, body)
                };
                self.attempt(call, account, way, manner, build).await
            }
        }
    }

    /// Makes a request, and makes it again where Telegram said that it did nothing and another form, or a wait, may help.
    async fn attempt(
        &self,
        call: &Call,
        account: &Account,
        way: &mut Way,
        mut manner: Manner,
        build: impl Fn(Map<String, Value>, &Manner) -> (&'static str, Line, Body),
    ) -> Result<SentMessage, Fault> {
        let mut has_moved = false;
        loop {
            let (method, line, body) = build(way.common(), &manner);
            let fault = match self.lines.call(&self.host, &account.bot, line, method, body).await {
                Ok(sent) => {
                    let mut state = account.state();
                    state.last_outbound_at = Some(schemas::now_ms());
                    return Ok(sent);
                }
                Err(fault) => fault,
            };
            let Fault::Refused(refusal) = &fault else { return Err(fault) };
            if let Some(chat) = refusal.migrate_to.filter(|_| !has_moved) {
                has_moved = true;
                way.chat = json!(chat);
            } else if refusal.code == 429 {
                let wait = refusal.retry_after.unwrap_or(Duration::from_secs(1));
                if wait + TO_SEND > call.time_left().unwrap_or(WITHOUT_DEADLINE) {
                    return Err(fault);
                }
                self.host.sleep(wait).await;
            } else if !manner.simplify(refusal) {
                return Err(fault);
            }
        }
    }

    /// What the caller hears when a part did not go out; `sent` parts did before.
    fn failed(&self, account: &Account, fault: Fault, sent: usize, all: usize) -> MethodError {
        let (mut sentence, is_surely_not_sent) = match &fault {
            Fault::NoToken(_) => ("there is no token for this bot".to_string(), true),
            Fault::Unreachable(_) => ("Telegram could not be reached".to_string(), true),
            Fault::Unknown(_) => ("the connection to Telegram broke, or its server failed".to_string(), false),
            Fault::TooLarge(_) => ("Telegram's answer is too large".to_string(), false),
            Fault::Refused(refusal) => (meaning(refusal), true),
        };
        if fault.is(401) || matches!(fault, Fault::NoToken(_)) {
            account.failed(sentence.clone());
        }
        if sent > 0 {
            sentence = format!("{sent} of {all} messages went out, then: {sentence}");
        }
        let is_not_sent = is_surely_not_sent && sent == 0;
        let details = json!({ "code": if is_not_sent { NOT_SENT } else { OUTCOME_UNKNOWN } });
        let error = MethodError::unavailable(format!("telegram: {sentence}")).with_details(details).log(&fault);
        match &fault {
            Fault::Refused(refusal) if refusal.code == 429 && is_not_sent => {
                error.retry_after(refusal.retry_after.unwrap_or(Duration::from_secs(1)))
            }
            Fault::Unreachable(_) if is_not_sent => error.retryable(),
            _ => error,
        }
    }
}

/// In which form a message is tried.
#[derive(Debug, Clone, Copy, Default)]
struct Manner {
    rich: bool,
    shape: Option<Shape>,
}

impl Manner {
    /// Another form that helps after a refusal; false if there is none.
    fn simplify(&mut self, refusal: &Refusal) -> bool {
        let says = |words: &[&str]| {
            let said = refusal.description.to_ascii_lowercase();
            refusal.code == 400 && words.iter().any(|word| said.contains(word))
        };
        if self.rich && says(&["can't parse entities", "text is empty", "text must be non-empty"]) {
            self.rich = false;
            return true;
        }
        let is_special = self.shape.is_some_and(|shape| shape != Shape::Document);
        let not_as_this = [
            "photo_invalid_dimensions",
            "image_process_failed",
            "photo_save_file_invalid",
            "voice_messages_forbidden",
            "wrong type of the web page content",
        ];
        if is_special && says(&not_as_this) {
            self.shape = Some(Shape::Document);
            return true;
        }
        false
    }
}

impl Way {
    /// The parameters that every message has.
    fn common(&self) -> Map<String, Value> {
        let mut params = Map::new();
        params.insert("chat_id".to_string(), self.chat.clone());
        // The general topic is there for whoever names none, and not by its number.
        if let Some(topic) = self.topic.filter(|topic| *topic != 1) {
            params.insert("message_thread_id".to_string(), json!(topic));
        }
        if let Some(message) = self.reply_to {
            let reply = json!({ "message_id": message, "allow_sending_without_reply": true });
            params.insert("reply_parameters".to_string(), reply);
        }
        if self.silent {
            params.insert("disable_notification".to_string(), json!(true));
        }
        params
    }
}

fn way(message: &Send) -> Result<Way, MethodError> {
    let target = Target::read(&message.to)?;
    let number = |text: &Option<String>, what: &str| match text.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => positive(text).map(Some).ok_or_else(|| bad(&format!("{what} is a number"))),
    };
    Ok(Way {
        chat: target.chat.value(),
        topic: number(&message.thread_id, "a topic")?.or(target.topic),
        reply_to: number(&message.reply_to, "the message that is answered")?,
        silent: message.silent,
    })
}

fn say(params: &mut Map<String, Value>, name: &str, text: &str, rich: bool) {
    let shown = if rich { format::html(text) } else { text.to_string() };
    params.insert(name.to_string(), json!(shown));
    if rich {
        params.insert("parse_mode".to_string(), json!("HTML"));
    }
}

fn told(sent: &SentMessage) -> Sent {
    let mut place = Map::new();
    place.insert("chatId".to_string(), json!(sent.chat.id.to_string()));
    Sent { message_id: sent.message_id.to_string(), place }
}

/// What a refusal means, for people.
pub fn meaning(refusal: &Refusal) -> String {
    let said = refusal.description.to_ascii_lowercase();
    let known = [
        ("chat not found", "there is no such chat, or the bot cannot write there; people have to write to it first"),
        ("bot was blocked", "this person has blocked the bot"),
        ("user is deactivated", "this person's account is no more"),
        ("can't initiate conversation", "people have to write to the bot first"),
        ("bot was kicked", "the bot was removed from this chat"),
        ("bot is not a member", "the bot is not a member of this chat"),
        ("not enough rights", "the bot may not do this in this chat"),
        ("have no rights", "the bot may not do this in this chat"),
        ("chat_write_forbidden", "the bot may not write in this chat"),
        ("message thread not found", "there is no such topic in this chat"),
        ("topic_closed", "this topic is closed"),
        ("failed to get http url content", "Telegram could not fetch the file from its address"),
        ("wrong file identifier", "Telegram could not fetch the file from its address"),
        ("too large", "a file is larger than Telegram takes"),
        ("too big", "a file is larger than Telegram takes"),
    ];
    if let Some((_, meaning)) = known.iter().find(|(words, _)| said.contains(words)) {
        return meaning.to_string();
    }
    match refusal.code {
        401 => "Telegram refuses the token".to_string(),
        403 => "the bot may not write to this chat".to_string(),
        413 => "a file is larger than Telegram takes".to_string(),
        429 => "Telegram takes no more messages for now".to_string(),
        code => format!("Telegram refused this ({code})"),
    }
}
