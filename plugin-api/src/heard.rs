//! An event as a subscriber hears it. Most that is heard is of no concern to whoever hears it, so nothing of an event is read
//! before somebody asks for it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use crate::catalogue::Party;

/// An event, lent for as long as its listener runs.
#[derive(Debug, Clone)]
pub struct HeardEvent<'a> {
    /// Its name.
    pub event: Cow<'a, str>,
    /// What the host said: `{"event","payload","conns"?}`.
    text: &'a str,
    /// Where in it the content begins.
    payload: &'a str,
}

/// What the host says of an event.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(default)]
    conns: Option<Vec<u64>>,
}

impl<'a> HeardEvent<'a> {
    /// Of what the host said; `None` if that is no event.
    pub(crate) fn of(json: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(json).ok()?;
        if let Some((event, payload)) = split(text) {
            return Some(HeardEvent { event: event.into(), text, payload });
        }
        let said: Said<'a> = serde_json::from_str(text).ok()?;
        Some(HeardEvent { event: said.event, text, payload: said.payload.get() })
    }

    /// The content as a type.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        // What follows the content is not looked at.
        T::deserialize(&mut Deserializer::from_str(self.payload))
    }

    /// The content as it is.
    pub fn raw(&self) -> Result<&'a RawValue, serde_json::Error> {
        <&RawValue>::deserialize(&mut Deserializer::from_str(self.payload))
    }

    /// Whether its content holds these characters as they are: a look before it is read, for whom few events concern. What is
    /// spelled with escapes is not found.
    pub fn mentions(&self, characters: &str) -> bool {
        self.payload.contains(characters)
    }

    /// Whom an event of the host's about a connection is about. Less is read for this than for the content as a type.
    pub fn party(&self) -> Result<Party, serde_json::Error> {
        if let Some(party) = leading_party(self.payload) {
            return Ok(party);
        }
        let mut found = Found::default();
        let read = Deserializer::from_str(self.payload).deserialize_map(&mut found);
        match found {
            Found { conn: Some(conn), role: Some(role) } => Ok(Party { conn, role }),
            _ => Err(read.err().unwrap_or_else(|| serde_json::Error::custom("it names no connection"))),
        }
    }

    /// The connections it went to; `None` for a broadcast.
    pub fn conns(&self) -> Option<Vec<u64>> {
        serde_json::from_str::<Said<'_>>(self.text).ok()?.conns
    }
}

/// Name and content, if they are spelled as hosts spell them.
fn split(text: &str) -> Option<(&str, &str)> {
    let (event, rest) = text.strip_prefix("{\"event\":\"")?.split_once('"')?;
    let payload = rest.strip_prefix(",\"payload\":")?;
    (!event.contains('\\')).then_some((event, payload))
}

/// The party, if it stands before anything in the content that is neither a plain text nor a whole number, where hosts write it.
fn leading_party(payload: &str) -> Option<Party> {
    let mut rest = payload.strip_prefix('{')?;
    let (mut conn, mut role) = (None, None);
    loop {
        let (key, value) = plain_text(rest)?;
        let value = value.strip_prefix(':')?;
        rest = if value.starts_with('"') {
            let (text, rest) = plain_text(value)?;
            if key == "role" {
                role = Some(text);
            }
            rest
        } else {
            let (digits, rest) = value.split_at(value.find(|character: char| !character.is_ascii_digit())?);
            let number: u64 = digits.parse().ok()?;
            if key == "conn" {
                conn = Some(number);
            }
            rest
        };
        let more = rest.strip_prefix(',');
        if let (Some(conn), Some(role), true) = (conn, role, more.is_some() || rest.starts_with('}')) {
            return Some(Party { conn, role: role.to_string() });
        }
        rest = more?;
    }
}

/// A text without escapes, and what follows it.
fn plain_text(text: &str) -> Option<(&str, &str)> {
    let (text, rest) = text.strip_prefix('"')?.split_once('"')?;
    (!text.contains('\\')).then_some((text, rest))
}

/// A name in the content of an event about a connection.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Conn,
    Role,
    #[serde(other)]
    Other,
}

/// Reads until it has found what it looks for, and no further.
#[derive(Default)]
struct Found {
    conn: Option<u64>,
    role: Option<String>,
}

impl<'de> Visitor<'de> for &mut Found {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object about a connection")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            match key {
                Key::Conn => self.conn = Some(map.next_value()?),
                Key::Role => self.role = Some(map.next_value()?),
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
            if self.conn.is_some() && self.role.is_some() {
                return Err(de::Error::custom("it is enough"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn heard(text: &str) -> HeardEvent<'_> {
        HeardEvent::of(text.as_bytes()).unwrap_or_else(|| panic!("{text} is an event"))
    }

    #[test]
    fn an_event_is_read_however_it_is_spelled() {
        for text in [
            r#"{"event":"a.b","payload":{"x":[1,"}"]},"conns":[1,2]}"#,
            r#"{"event":"a.b","payload":{"x":[1,"}"]},"conns":[1,2],"later":{}}"#,
            r#"{ "conns": [1, 2], "payload": {"x":[1,"}"]}, "later": true, "event": "a.b" }"#,
            r#"{"event":"a\u002eb","payload":{"x":[1,"}"]},"conns":[1,2]}"#,
        ] {
            let event = heard(text);
            assert_eq!((&*event.event, event.conns()), ("a.b", Some(vec![1, 2])), "{text}");
            assert_eq!(event.payload::<Value>().unwrap(), json!({ "x": [1, "}"] }), "{text}");
            assert_eq!(event.raw().unwrap().get(), r#"{"x":[1,"}"]}"#, "{text}");
        }
        assert_eq!(heard(r#"{"event":"a","payload":null}"#).conns(), None);
        assert_eq!(heard(r#"{"event":"a","payload":7}"#).payload::<u64>().unwrap(), 7);
        assert!(heard(r#"{"event":"a","payload":"x"}"#).payload::<u64>().is_err());
        for text in ["", "{}", "[]", r#"{"event":"a"}"#, "\u{1f980}"] {
            assert!(HeardEvent::of(text.as_bytes()).is_none(), "{text}");
        }
        assert!(HeardEvent::of(b"{\"event\":\"a\xff\",\"payload\":1}").is_none());
    }

    #[test]
    fn the_party_is_found_wherever_it_stands() {
        let party = Party { conn: 7, role: "node".to_string() };
        for text in [
            r#"{"event":"a","payload":{"conn":7,"role":"node","rest":[{"a":1}]}}"#,
            r#"{"event":"a","payload":{"more":{"role":"x"},"role":"node","deep":[[]],"conn":7}}"#,
            r#"{"event":"a","payload":{"name":"x\"role\"","role":"no\u0064e","conn":7}}"#,
            r#"{"event":"a","payload":{"conn":7,"name":"role","number":1,"role":"node"}}"#,
            r#"{"event":"a","payload":{ "conn": 7, "role": "node" }}"#,
        ] {
            assert_eq!(heard(text).party().unwrap(), party);
            assert_eq!(heard(text).payload::<Party>().unwrap(), party);
        }
        for text in [
            r#"{"event":"a","payload":{"conn":7}}"#,
            r#"{"event":"a","payload":{"conn":"7","role":"node"}}"#,
            r#"{"event":"a","payload":{"role":"node","conn":7.5}}"#,
            r#"{"event":"a","payload":{"role":"node","conn":-7}}"#,
            r#"{"event":"a","payload":7}"#,
        ] {
            assert!(heard(text).party().is_err(), "{text}");
        }
    }
}
