//! The head of an answer, as a plugin gives it.

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use plugin_api::hosting::AnswerHead;

/// Reads a status and `[["name","value"],…]`. Fails on what no host takes, as [`AnswerHead::read`] says it.
pub fn read(status: u32, headers: &[u8], upgrade: bool) -> Result<(StatusCode, HeaderMap), ()> {
    let head = AnswerHead::read(status, headers, upgrade).map_err(drop)?;
    let status = StatusCode::from_u16(head.status).map_err(drop)?;
    let mut map = HeaderMap::new();
    for (name, value) in head.headers {
        let name = HeaderName::try_from(name).map_err(drop)?;
        let value = HeaderValue::try_from(value).map_err(drop)?;
        map.try_append(name, value).map_err(drop)?;
    }
    map.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    Ok((status, map))
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
