//! What messages hold, as a run can be told it: text, and images as attachments.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::refusal::Refusal;

/// Images and files of one request.
const MOST_ATTACHMENTS: usize = 20;

/// A message's content.
#[derive(Debug, Default, PartialEq)]
pub struct Content {
    pub text: String,
    /// As `chat.send` takes them.
    pub attachments: Vec<Value>,
}

impl Content {
    /// Reads a text or a list of parts.
    pub fn read(value: &Value, place: &str) -> Result<Content, Refusal> {
        let mut content = Content::default();
        match value {
            Value::Null => {}
            Value::String(text) => content.text = text.clone(),
            Value::Array(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    content.add(part, &format!("{place}[{index}]"))?;
                }
            }
            _ => return Err(Refusal::of(place, format!("{place} has to be a text or a list of parts"))),
        }
        Ok(content)
    }

    fn add(&mut self, part: &Value, place: &str) -> Result<(), Refusal> {
        match part["type"].as_str().unwrap_or_default() {
            "text" | "input_text" | "output_text" => match part["text"].as_str() {
                Some(text) => self.say(text),
                None => return Err(Refusal::of(place, format!("{place}.text has to be a text"))),
            },
            "refusal" => self.say(part["refusal"].as_str().unwrap_or_default()),
            "image_url" | "input_image" => {
                let (kind, data) = given(part, place)?;
                if !kind.starts_with("image/") {
                    return Err(Refusal::of(place, format!("{place} is no image")));
                }
                self.attach(json!({ "type": "image", "mimeType": kind, "content": data }), place)?;
            }
            "file" | "input_file" => {
                let inner = if part["file"].is_object() { &part["file"] } else { part };
                let name = inner["filename"].as_str().or(inner["source"]["filename"].as_str()).unwrap_or("file");
                let (kind, data) = given(inner, place)?;
                if kind.starts_with("image/") {
                    return self.attach(
                        json!({ "type": "image", "mimeType": kind, "fileName": name, "content": data }),
                        place,
                    );
                }
                let text = STANDARD.decode(&data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                match text.filter(|text| !text.contains('\0')) {
                    Some(text) => self.say(&format!("File {name:?}:\n{text}")),
                    None => return Err(Refusal::of(place, format!("{place} is neither an image nor text"))),
                }
            }
            other => return Err(Refusal::of(place, format!("parts of the type {other:?} are not taken"))),
        }
        Ok(())
    }

    fn say(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
    }

    fn attach(&mut self, attachment: Value, place: &str) -> Result<(), Refusal> {
        self.attachments.push(attachment);
        self.check(place)
    }

    fn check(&self, place: &str) -> Result<(), Refusal> {
        if self.attachments.len() > MOST_ATTACHMENTS {
            return Err(Refusal::of(place, format!("a request has at most {MOST_ATTACHMENTS} images")));
        }
        Ok(())
    }

    /// This one, then another.
    pub fn join(&mut self, other: Content, place: &str) -> Result<(), Refusal> {
        if !other.text.is_empty() {
            if !self.text.is_empty() {
                self.text.push_str("\n\n");
            }
            self.text.push_str(&other.text);
        }
        self.attachments.extend(other.attachments);
        self.check(place)
    }
}

/// Type and base64 of what a part brings along. The gateway fetches nothing that a client names.
fn given(part: &Value, place: &str) -> Result<(String, String), Refusal> {
    let source = &part["source"];
    if let (Some("base64"), Some(data)) = (source["type"].as_str(), source["data"].as_str()) {
        let kind = source["media_type"].as_str().unwrap_or("application/octet-stream");
        return checked(kind, data, place);
    }
    let address = part["image_url"]["url"].as_str().or(part["image_url"].as_str()).or(part["file_data"].as_str());
    let inline = address.and_then(|address| address.strip_prefix("data:")).and_then(|rest| rest.split_once(','));
    match inline.and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data))) {
        Some((head, data)) => checked(head.split(';').next().unwrap_or_default(), data, place),
        None => Err(Refusal::of(
            place,
            format!("{place} has to hold its bytes as data:<type>;base64,…; addresses and ids are not fetched"),
        )),
    }
}

fn checked(kind: &str, data: &str, place: &str) -> Result<(String, String), Refusal> {
    match STANDARD.decode(data) {
        Ok(bytes) if !bytes.is_empty() => Ok((kind.to_ascii_lowercase(), data.to_string())),
        _ => Err(Refusal::of(place, format!("{place} is not valid base64"))),
    }
}

/// One turn of a conversation.
#[derive(Debug, PartialEq)]
pub struct Turn {
    pub role: Role,
    pub content: Content,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

impl Role {
    pub fn of(name: &str) -> Option<Role> {
        Some(match name {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" | "function" => Role::Tool,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Role::System => "System",
            Role::User => "User",
            Role::Assistant => "Assistant",
            Role::Tool => "Tool",
        }
    }
}

/// What a conversation comes to for a run, which has one message: what the user says last, and in a fresh session what was
/// said before, in front of it.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    pub system: Option<String>,
    pub message: String,
    pub attachments: Vec<Value>,
}

/// `place` names the conversation's parameter.
pub fn told(turns: Vec<Turn>, fresh: bool, place: &str) -> Result<Told, Refusal> {
    let (system, turns): (Vec<Turn>, Vec<Turn>) = turns.into_iter().partition(|turn| turn.role == Role::System);
    if !turns.iter().any(|turn| turn.role == Role::User) {
        return Err(Refusal::of(place, format!("{place} has no message of a user")));
    }
    if turns.last().is_none_or(|turn| turn.role != Role::User) {
        return Err(Refusal::of(place, format!("the last message of {place} has to be the user's")));
    }
    let begin = turns.iter().rposition(|turn| turn.role != Role::User).map_or(0, |place| place + 1);
    let mut earlier = String::new();
    let mut last = Content::default();
    // In a fresh session a row of the user's messages alone is one message.
    for (index, Turn { role, content }) in turns.into_iter().enumerate() {
        if index >= begin {
            last.join(content, place)?;
        } else if fresh {
            let images = content.attachments.len();
            let note = if images > 0 { format!(" [{images} image(s)]") } else { String::new() };
            earlier.push_str(&format!("{}: {}{note}\n\n", role.name(), content.text));
        }
    }
    if last.text.trim().is_empty() && last.attachments.is_empty() {
        return Err(Refusal::of(place, "the user's message is empty"));
    }
    let message = match earlier.is_empty() {
        true => last.text,
        false => format!("Earlier in this conversation:\n\n{earlier}Now:\n\nUser: {}", last.text),
    };
    let system: Vec<String> =
        system.into_iter().map(|turn| turn.content.text).filter(|text| !text.is_empty()).collect();
    Ok(Told { system: (!system.is_empty()).then(|| system.join("\n\n")), message, attachments: last.attachments })
}
