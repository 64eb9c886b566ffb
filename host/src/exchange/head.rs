//! The head of an answer, as a plugin gives it.

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Headers that are the connection's, not the answer's: the host writes them.
const CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::SEC_WEBSOCKET_ACCEPT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Reads a status and `[["name","value"],…]`. Fails on a status that is none, 101 for a request that asked for no upgrade,
/// headers that a plugin may not set, and a length that is none, or more than one.
pub fn read(status: u32, headers: &[u8], upgrade: bool) -> Result<(StatusCode, HeaderMap), ()> {
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok()).ok_or(())?;
    let takes_upgrade = status == StatusCode::SWITCHING_PROTOCOLS;
    if (status.is_informational() && !takes_upgrade) || (takes_upgrade && !upgrade) || status.as_u16() > 599 {
        return Err(());
    }
    let mut map = HeaderMap::new();
    if !headers.is_empty() {
        let listed: Vec<(String, String)> = serde_json::from_slice(headers).map_err(|_| ())?;
        for (name, value) in listed {
            let name = HeaderName::try_from(name).map_err(|_| ())?;
            if name == header::CONTENT_LENGTH {
                let length = HeaderValue::from(length(&value).ok_or(())?);
                if map.insert(name, length.clone()).is_some_and(|before| before != length) {
                    return Err(());
                }
                continue;
            }
            let value = HeaderValue::try_from(value).map_err(|_| ())?;
            // An answer of 426 has to say which protocol would do.
            let says_which = status == StatusCode::UPGRADE_REQUIRED && name == header::UPGRADE;
            if CONNECTION.contains(&name) && !says_which {
                return Err(());
            }
            map.append(name, value);
        }
    }
    if takes_upgrade {
        map.remove(header::CONTENT_LENGTH);
        map.remove(header::CONTENT_TYPE);
    }
    map.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    Ok((status, map))
}

/// A length, which is digits and nothing else.
fn length(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_may_say() {
        let (status, headers) =
            read(404, br#"[["Content-Type","text/html"],["set-cookie","a"],["set-cookie","b"]]"#, false)
                .expect("an answer");
        assert_eq!((status.as_u16(), headers.get_all("set-cookie").iter().count()), (404, 2));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(read(200, b"", false).is_ok() && read(101, b"[]", true).is_ok());
        let which = br#"[["upgrade","websocket"]]"#;
        assert!(read(426, which, false).is_ok() && read(200, which, false).is_err());
        let twice = br#"[["content-length","10"],["Content-Length","10"]]"#;
        let (_, headers) = read(200, twice, false).expect("an answer");
        assert_eq!(headers.get_all("content-length").iter().collect::<Vec<_>>(), ["10"]);
        for (status, headers) in [
            (0, "[]"),
            (99, "[]"),
            (100, "[]"),
            (600, "[]"),
            (u32::MAX, "[]"),
            (101, "[]"),
            (200, "{}"),
            (200, r#"[["a"]]"#),
            (200, r#"[["a b","c"]]"#),
            (200, r#"[["a","b\r\nc: d"]]"#),
            (200, r#"[["Connection","close"]]"#),
            (200, r#"[["Transfer-Encoding","chunked"]]"#),
            (200, r#"[["content-length",""]]"#),
            (200, r#"[["content-length","abc"]]"#),
            (200, r#"[["content-length","-1"]]"#),
            (200, r#"[["content-length","+5"]]"#),
            (200, r#"[["content-length"," 5"]]"#),
            (200, r#"[["content-length","5,5"]]"#),
            (200, r#"[["content-length","99999999999999999999"]]"#),
            (200, r#"[["content-length","5"],["content-length","6"]]"#),
        ] {
            assert!(read(status, headers.as_bytes(), false).is_err(), "{status} {headers}");
        }
    }
}
