//! What an answer over HTTP may begin with: said once, for gateways and for the test kit.

/// Headers that are the connection's, not the answer's: the host writes them.
const CONNECTION: [&str; 8] = [
    "connection",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "sec-websocket-accept",
    "keep-alive",
    "proxy-connection",
];
const LENGTH: &str = "content-length";

/// The head of an answer, as it goes to the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerHead {
    /// The status.
    pub status: u16,
    /// Names, in lower case, and values, in the order they were given.
    pub headers: Vec<(String, String)>,
}

impl AnswerHead {
    /// Reads what a plugin gives to `head` of `gwp.http/1`: a status, and `[["name","value"],…]` or nothing. `upgrade` tells
    /// whether the request asked for one. The error says what no host takes: a status that answers nothing, 101 for a
    /// request that asked for no upgrade, headers that are none or the connection's, and a length that is no number, or
    /// more than one.
    pub fn read(status: u32, headers: &[u8], upgrade: bool) -> Result<Self, String> {
        let status = match u16::try_from(status) {
            Ok(101) if !upgrade => return Err("status 101, though the request asked for no upgrade".to_string()),
            Ok(status @ (101 | 200..=599)) => status,
            _ => return Err(format!("status {status}, which answers nothing")),
        };
        let mut head = AnswerHead { status, headers: Vec::new() };
        if !headers.is_empty() {
            let listed: Vec<(String, String)> = serde_json::from_slice(headers)
                .map_err(|error| format!("headers that are no list of pairs: {error}"))?;
            for (name, value) in listed {
                head.add(name.to_ascii_lowercase(), value)?;
            }
        }
        if head.takes_upgrade() {
            head.headers.retain(|(name, _)| name != LENGTH && name != "content-type");
        }
        Ok(head)
    }

    /// Whether it makes a WebSocket of the request.
    pub fn takes_upgrade(&self) -> bool {
        self.status == 101
    }

    /// Whether it is whole without a body, whatever the plugin writes. So is every answer to a `HEAD`.
    pub fn is_bodiless(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    /// How many bytes of a body it promises.
    pub fn promised(&self) -> Option<u64> {
        self.headers.iter().find(|(name, _)| name == LENGTH).and_then(|(_, value)| length(value))
    }

    fn add(&mut self, name: String, value: String) -> Result<(), String> {
        if !is_name(&name) {
            return Err(format!("the header name {name:?}, which is none"));
        }
        if name == LENGTH {
            let length = length(&value).ok_or_else(|| format!("the length {value:?}, which is no number"))?;
            match self.promised() {
                None => self.headers.push((name, length.to_string())),
                Some(before) if before == length => {}
                Some(before) => return Err(format!("two lengths, {before} and {length}")),
            }
            return Ok(());
        }
        // An answer of 426 has to say which protocol would do.
        let says_which = self.status == 426 && name == "upgrade";
        if CONNECTION.contains(&name.as_str()) && !says_which {
            return Err(format!("the header {name}, which is the host's to write"));
        }
        // What the value is stays unsaid: it may be a secret.
        if !is_value(&value) {
            return Err(format!("a value of the header {name} that holds control characters"));
        }
        self.headers.push((name, value));
        Ok(())
    }
}

/// Whether this is a token of HTTP.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(fits)
}

fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// A length, which is digits and nothing else.
fn length(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u32, headers: &str) -> Result<AnswerHead, String> {
        AnswerHead::read(status, headers.as_bytes(), false)
    }

    #[test]
    fn a_head_is_read_as_it_goes_out() {
        let head = read(200, r#"[["Set-Cookie","a"],["Content-Length","010"],["content-length","10"],["x","ä\t"]]"#);
        let head = head.expect("an answer");
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(head.headers, [pair("set-cookie", "a"), pair("content-length", "10"), pair("x", "ä\t")]);
        assert_eq!((head.promised(), head.is_bodiless(), head.takes_upgrade()), (Some(10), false, false));
        assert!(read(204, "").is_ok_and(|head| head.is_bodiless() && head.promised().is_none()));
        let upgrade = AnswerHead::read(101, br#"[["content-type","a"],["content-length","1"],["x","y"]]"#, true);
        assert_eq!(upgrade.expect("an upgrade").headers, [pair("x", "y")]);
        assert!(read(426, r#"[["Upgrade","websocket"]]"#).is_ok());
    }

    #[test]
    fn what_no_host_takes_is_said() {
        for (status, headers, said) in [
            (0, "", "status 0, which answers nothing"),
            (100, "", "status 100, which answers nothing"),
            (600, "", "status 600, which answers nothing"),
            (65736, "", "status 65736, which answers nothing"),
            (101, "", "status 101, though the request asked for no upgrade"),
            (200, r#"{"a":"b"}"#, "headers that are no list of pairs: "),
            (200, r#"[["a"]]"#, "headers that are no list of pairs: "),
            (200, r#"[["","b"]]"#, r#"the header name "", which is none"#),
            (200, r#"[["a b","c"]]"#, r#"the header name "a b", which is none"#),
            (200, r#"[["a","b\r\nc: d"]]"#, "a value of the header a that holds control characters"),
            (200, r#"[["Transfer-Encoding","chunked"]]"#, "the header transfer-encoding, which is the host's to write"),
            (200, r#"[["upgrade","websocket"]]"#, "the header upgrade, which is the host's to write"),
            (200, r#"[["content-length","+5"]]"#, r#"the length "+5", which is no number"#),
            (200, r#"[["content-length",""]]"#, r#"the length "", which is no number"#),
            (200, r#"[["content-length","5"],["Content-Length","6"]]"#, "two lengths, 5 and 6"),
        ] {
            let why = read(status, headers).expect_err(headers);
            assert!(why.starts_with(said), "{why}");
        }
    }
}
