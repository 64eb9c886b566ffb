//! Upgrades to a WebSocket, whoever takes them: what a request for one has to say, and the answer that grants it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::exchange::Body;
use crate::http::{text, wrong_verb};

/// Whether a request asks for a WebSocket.
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    says(headers, header::UPGRADE, "websocket")
}

/// Whether a header is a list that holds this word, in any case.
fn says(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(word))
}

/// Whether a body comes with a request.
fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

/// The answer that grants what this request asks for; the error is the one that says what is wrong with it.
pub fn granting<B>(request: &Request<B>) -> Result<Response<Body>, Box<Response<Body>>> {
    if request.method() != Method::GET {
        return Err(Box::new(wrong_verb("GET")));
    }
    if request.version() < Version::HTTP_11 {
        return Err(required("a WebSocket takes HTTP/1.1; in nginx that is proxy_http_version 1.1"));
    }
    let headers = request.headers();
    let refused = |why: &'static str| Box::new(text(StatusCode::BAD_REQUEST, why));
    if !says(headers, header::CONNECTION, "upgrade") {
        return Err(refused(
            "the Connection header does not say Upgrade; in nginx that is proxy_set_header Connection \"upgrade\"",
        ));
    }
    if has_body(headers) {
        return Err(refused("a request for a WebSocket has no body"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        return Err(required("this gateway speaks WebSocket version 13"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.ok_or_else(|| refused("the Sec-WebSocket-Key header is missing"))?.as_bytes();
    let no_key = || refused("the Sec-WebSocket-Key header is not a key, which is 16 bytes in Base64");
    BASE64_STANDARD.decode(key).ok().filter(|bytes| bytes.len() == 16).ok_or_else(no_key)?;
    let accept = HeaderValue::try_from(derive_accept_key(key)).map_err(|_| no_key())?;
    let mut answer = Response::new(Body::from(Bytes::new()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(answer)
}

/// The answer to a request for a WebSocket of another kind, which says what kind would do.
fn required(sentence: &'static str) -> Box<Response<Body>> {
    let mut answer = text(StatusCode::UPGRADE_REQUIRED, sentence);
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close, Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    Box::new(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const VERSION: (&str, &str) = ("sec-websocket-version", "13");
    const ASKS: (&str, &str) = ("connection", "keep-alive, Upgrade");

    fn request(verb: Method, version: Version, headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::builder().method(verb).version(version).uri("/");
        let with = |request: hyper::http::request::Builder, header: &(&str, &str)| request.header(header.0, header.1);
        headers.iter().fold(request, with).body(()).expect("a request")
    }

    #[test]
    fn a_request_that_says_all_is_granted() {
        let answer =
            granting(&request(Method::GET, Version::HTTP_11, &[ASKS, KEY, VERSION])).ok().expect("it is right");
        assert_eq!(answer.status(), 101);
        // RFC 6455's own example of a key and its answer.
        assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(answer.headers()["connection"], "Upgrade");
        assert_eq!(answer.headers()["upgrade"], "websocket");
    }

    #[test]
    fn a_request_that_is_wrong_hears_what_would_be_right() {
        let old = ("sec-websocket-version", "8");
        let close = ("connection", "close");
        let key = |key: &'static str| [ASKS, VERSION, ("sec-websocket-key", key)];
        let with = |more: (&'static str, &'static str)| [ASKS, KEY, VERSION, more];
        for (verb, version, headers, status, said) in [
            (Method::POST, Version::HTTP_11, &[ASKS, KEY, VERSION][..], 405, ("allow", "GET")),
            (Method::GET, Version::HTTP_10, &[ASKS, KEY, VERSION], 426, ("upgrade", "websocket")),
            (Method::GET, Version::HTTP_11, &[ASKS, KEY, old], 426, VERSION),
            (Method::GET, Version::HTTP_11, &[ASKS, KEY], 426, VERSION),
            (Method::GET, Version::HTTP_11, &[ASKS, VERSION], 400, close),
            (Method::GET, Version::HTTP_11, &[KEY, VERSION], 400, close),
            (Method::GET, Version::HTTP_11, &[close, KEY, VERSION], 400, close),
            (Method::GET, Version::HTTP_11, &key("dGhlIHNhbXBsZSBub25jZQ"), 400, close),
            (Method::GET, Version::HTTP_11, &key("dGhlIHNhbXBsZSBub25j"), 400, close),
            (Method::GET, Version::HTTP_11, &key("x"), 400, close),
            (Method::GET, Version::HTTP_11, &with(("content-length", "1")), 400, close),
            (Method::GET, Version::HTTP_11, &with(("transfer-encoding", "chunked")), 400, close),
        ] {
            let refused = granting(&request(verb, version, headers)).err().expect("it is wrong");
            assert_eq!(refused.status().as_u16(), status, "{headers:?}");
            assert_eq!(refused.headers()[said.0], said.1, "{headers:?}");
        }
    }

    #[test]
    fn it_is_asked_for_among_others_and_in_any_case() {
        let asks = |headers: &[(&str, &str)]| is_asked_for(request(Method::GET, Version::HTTP_11, headers).headers());
        assert!(asks(&[("upgrade", "h2c"), ("upgrade", "x, WebSocket")]));
        assert!(!asks(&[]) && !asks(&[("upgrade", "websockets")]) && !asks(&[("connection", "websocket")]));
    }
}
