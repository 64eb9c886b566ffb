//! Whom a message is for, as people and agents write it.

use plugin_api::MethodError;
use plugin_api::contracts::channel::BAD_TARGET;
use serde_json::{Value, json};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub chat: ChatId,
    /// A topic of the chat.
    pub topic: Option<i64>,
}

/// A chat, by its number or by its public name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatId {
    Number(i64),
    /// Without the `@`.
    Name(String),
}

impl Target {
    /// Reads `12345`, `-100123`, `@name`, `t.me/name`, each with `telegram:` before it or `:topic:7` after it.
    pub fn read(text: &str) -> Result<Self, MethodError> {
        let mut rest = text.trim();
        for prefix in ["telegram:", "tg:", "https://t.me/", "http://t.me/", "t.me/"] {
            let head = rest.get(..prefix.len()).filter(|head| head.eq_ignore_ascii_case(prefix));
            rest = head.map_or(rest, |head| rest[head.len()..].trim_start());
        }
        let (chat, topic) = match rest.split_once(":topic:") {
            Some((chat, topic)) => (chat, Some(positive(topic).ok_or_else(|| bad("a topic is a number"))?)),
            None => (rest, None),
        };
        let is_link = rest.len() < text.trim().len() && text.to_ascii_lowercase().contains("t.me/");
        Ok(Target { chat: ChatId::read(chat, is_link)?, topic })
    }

    /// As [`Target::read`] takes it.
    pub fn written(&self) -> String {
        match self.topic {
            Some(topic) => format!("{}:topic:{topic}", self.chat.written()),
            None => self.chat.written(),
        }
    }
}

impl ChatId {
    fn read(text: &str, is_link: bool) -> Result<Self, MethodError> {
        /// Telegram's numbers have at most 52 significant bits.
        const MOST: u64 = 1 << 52;
        if let Ok(number) = text.parse::<i64>() {
            let is_one = number != 0 && number.unsigned_abs() <= MOST && !text.starts_with('+');
            return is_one.then_some(ChatId::Number(number)).ok_or_else(|| bad("this is not the number of a chat"));
        }
        let name = text.strip_prefix('@').or(is_link.then_some(text));
        let name = name.ok_or_else(|| bad("a number or a name that begins with @ is needed"))?;
        let is_name = (4..=32).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then(|| ChatId::Name(name.to_string())).ok_or_else(|| bad("this is not a name of Telegram's"))
    }

    /// As Telegram takes it.
    pub fn value(&self) -> Value {
        match self {
            ChatId::Number(number) => json!(number),
            ChatId::Name(name) => json!(format!("@{name}")),
        }
    }

    /// As people write it.
    pub fn written(&self) -> String {
        match self {
            ChatId::Number(number) => number.to_string(),
            ChatId::Name(name) => format!("@{name}"),
        }
    }
}

/// The number of a topic or a message.
pub fn positive(text: &str) -> Option<i64> {
    text.trim().parse().ok().filter(|number| *number > 0)
}

/// A target that is none.
pub fn bad(why: &str) -> MethodError {
    MethodError::invalid_request(format!("telegram: {why}")).with_details(json!({ "code": BAD_TARGET }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_people_write_them() {
        for (written, expected) in [
            ("12345", "12345"),
            (" telegram:12345 ", "12345"),
            ("TG: -1001234567890", "-1001234567890"),
            ("-1001234567890:topic:7", "-1001234567890:topic:7"),
            ("@the_news", "@the_news"),
            ("telegram:@the_news", "@the_news"),
            ("https://t.me/the_news", "@the_news"),
            ("t.me/the_news", "@the_news"),
        ] {
            let target = Target::read(written).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(target.written(), expected, "{written}");
            assert_eq!(Target::read(expected).unwrap(), target);
        }
        for wrong in [
            "",
            "0",
            "+12345",
            "the_news",
            "@abc",
            "@1abcd",
            "@the news",
            "1 2",
            "9999999999999999999",
            "4503599627370497",
            "-100:topic:x",
            "-100:topic:-7",
            "+43 660 1234567",
            "https://t.me/",
            "telegram:",
        ] {
            let error = Target::read(wrong).unwrap_err();
            assert_eq!(error.shape().details.as_ref().unwrap()["code"], BAD_TARGET, "{wrong}");
            assert_eq!(error.shape().code, "INVALID_REQUEST");
        }
    }
}
