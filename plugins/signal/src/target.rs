//! Whom a message is for, in Signal's forms: a number, the lasting id of a person, a username, a group.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plugin_api::MethodError;
use plugin_api::contracts::channel::BAD_TARGET;
use serde_json::{Map, Value, json};

/// Somebody, or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `+4915112345678`
    Number(String),
    /// The id that a person keeps when the number changes.
    Uuid(String),
    /// `u:name.01`
    Username(String),
    /// `group:<id in base64>`
    Group(String),
}

impl Target {
    /// Reads what a person or a channel wrote.
    pub fn parse(text: &str) -> Result<Self, MethodError> {
        let text = text.trim();
        let text = after(text, "signal:").unwrap_or(text).trim();
        if let Some(group) = after(text, "group:") {
            let group = group.trim();
            let bytes = STANDARD.decode(group).map_err(|_| bad(text, "the id of a group is base64"))?;
            // Groups of the first kind have 16 bytes, those of today 32.
            return match bytes.len() {
                16 | 32 => Ok(Target::Group(group.to_string())),
                _ => Err(bad(text, "the id of a group is 32 bytes in base64")),
            };
        }
        if let Some(name) = after(text, "username:").or_else(|| after(text, "u:")) {
            let name = name.trim();
            return if is_username(name) {
                Ok(Target::Username(name.to_string()))
            } else {
                Err(bad(text, "a username is written u:name.01"))
            };
        }
        let plain = after(text, "uuid:").unwrap_or(text);
        if is_uuid(plain) {
            return Ok(Target::Uuid(plain.to_ascii_lowercase()));
        }
        let number: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.' | '/')).collect();
        if is_number(&number) {
            return Ok(Target::Number(number));
        }
        if is_username(text) {
            return Ok(Target::Username(text.to_string()));
        }
        Err(bad(text, "a number with its country (+4915112345678), a uuid, u:name.01 or group:<id> is needed"))
    }

    /// `direct` or `group`.
    pub fn kind(&self) -> &'static str {
        if matches!(self, Target::Group(_)) { "group" } else { "direct" }
    }

    /// Parameters that name it, of every method of the daemon that takes one.
    pub fn params(&self) -> Map<String, Value> {
        let (name, value) = match self {
            Target::Group(id) => ("groupId", json!(id)),
            Target::Number(one) | Target::Uuid(one) => ("recipient", json!([one])),
            Target::Username(name) => ("recipient", json!([format!("u:{name}")])),
        };
        Map::from_iter([(name.to_string(), value)])
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Number(text) | Target::Uuid(text) => f.write_str(text),
            Target::Username(name) => write!(f, "u:{name}"),
            Target::Group(id) => write!(f, "group:{id}"),
        }
    }
}

/// A message that is quoted, by its id: `<timestamp>-<author>`.
#[derive(Debug, PartialEq, Eq)]
pub struct Quoted {
    /// When it was written, which is its name at Signal.
    pub timestamp: u64,
    /// Whose it is; absent in the ids of what was sent from here.
    pub author: Option<String>,
}

impl Quoted {
    /// Reads an id.
    pub fn parse(id: &str) -> Result<Self, MethodError> {
        let wrong = || {
            let message = format!("replyTo: {id:?} is no id of a Signal message, <timestamp>-<author>");
            MethodError::invalid_request(message)
        };
        let (timestamp, author) = id.trim().split_once('-').map_or((id.trim(), None), |(time, who)| (time, Some(who)));
        // signal-cli takes smaller ones for another kind of number.
        let timestamp = timestamp.parse().ok().filter(|&time| time > u64::from(u32::MAX) && time < 1 << 53);
        let timestamp = timestamp.ok_or_else(wrong)?;
        match author {
            Some(author) if !is_uuid(author) && !is_number(author) => Err(wrong()),
            author => Ok(Quoted { timestamp, author: author.map(str::to_string) }),
        }
    }
}

fn bad(text: &str, why: &str) -> MethodError {
    let shown: String = text.chars().take(100).collect();
    MethodError::invalid_request(format!("{shown:?} is nobody on Signal: {why}"))
        .with_details(json!({ "code": BAD_TARGET }))
}

fn after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// Whether it is a number with its country: `+` and 7 to 15 digits.
pub fn is_number(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else { return false };
    (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is a UUID.
pub fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_username(text: &str) -> bool {
    let Some((name, number)) = text.rsplit_once('.') else { return false };
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (3..=32).contains(&name.len())
        && name.bytes().all(is_word)
        && !name.as_bytes()[0].is_ascii_digit()
        && (2..=9).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "Pmpi+EfPWmsxiomLe9Nx2XF9HOE483p6iKiFj65iMwI=";
    const UUID: &str = "0f9a1c2e-1111-4222-8333-0123456789ab";

    #[test]
    fn targets_as_people_write_them() {
        for (text, expected) in [
            ("+4915112345678", "+4915112345678"),
            (" signal:+49 151 123-45678 ", "+4915112345678"),
            ("Signal:0F9A1C2E-1111-4222-8333-0123456789AB", UUID),
            ("uuid:0f9a1c2e-1111-4222-8333-0123456789ab", UUID),
            ("u:ada.01", "u:ada.01"),
            ("username:ada.01", "u:ada.01"),
            ("ada_l.4711", "u:ada_l.4711"),
            (
                "GROUP:Pmpi+EfPWmsxiomLe9Nx2XF9HOE483p6iKiFj65iMwI=",
                "group:Pmpi+EfPWmsxiomLe9Nx2XF9HOE483p6iKiFj65iMwI=",
            ),
            ("signal:group:AAAAAAAAAAAAAAAAAAAAAA==", "group:AAAAAAAAAAAAAAAAAAAAAA=="),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.to_string(), expected, "{text}");
            assert_eq!(Target::parse(&target.to_string()).unwrap(), target, "what it is written as is the same");
        }
        assert_eq!((Target::parse(UUID).unwrap().kind(), Target::Group(GROUP.into()).kind()), ("direct", "group"));
    }

    #[test]
    fn what_is_nobody_is_said_to_be() {
        for text in [
            "",
            "4915112345678",
            "+49",
            "+4915112345678901234",
            "u:ada",
            "u:1ada.01",
            "ada",
            "group:",
            "group:abc",
            "group:AAAA",
            "signal:",
            "+49151x2345678",
            "ada@example.org",
            "é:ü",
        ] {
            let error = Target::parse(text).unwrap_err();
            let shape = error.shape();
            assert_eq!(
                (&*shape.code, &shape.details.as_ref().unwrap()["code"]),
                ("INVALID_REQUEST", &json!("BAD_TARGET")),
                "{text}"
            );
        }
    }

    #[test]
    fn an_id_says_when_and_whose() {
        let quoted = Quoted::parse(&format!("1700000000123-{UUID}")).unwrap();
        assert_eq!(quoted, Quoted { timestamp: 1_700_000_000_123, author: Some(UUID.to_string()) });
        assert_eq!(Quoted::parse("1700000000123").unwrap().author, None);
        assert_eq!(Quoted::parse("1700000000123-+4915112345678").unwrap().author.as_deref(), Some("+4915112345678"));
        for wrong in ["", "x", "7", "-5", "1700000000123-", "1700000000123-ada", "99999999999999999999"] {
            assert!(Quoted::parse(wrong).unwrap_err().shape().message.starts_with("replyTo: "), "{wrong}");
        }
    }
}
