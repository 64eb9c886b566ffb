//! Upgrades to a WebSocket, whoever takes them: what a request for one has to say, and the answer that grants it.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::exchange::Body;
use crate::http::{text, wrong_verb};

/// Whether a request asks for a WebSocket.
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::UPGRADE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
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
    if headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        return Err(required("this gateway speaks WebSocket version 13"));
    }
    let refused = |why: &'static str| Box::new(text(StatusCode::BAD_REQUEST, why));
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.ok_or_else(|| refused("the Sec-WebSocket-Key header is missing"))?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .map_err(|_| refused("the Sec-WebSocket-Key header is not a key"))?;
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

    fn request(verb: Method, version: Version, headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::builder().method(verb).version(version).uri("/");
        let with = |request: hyper::http::request::Builder, header: &(&str, &str)| request.header(header.0, header.1);
        headers.iter().fold(request, with).body(()).expect("a request")
    }

    #[test]
    fn a_request_that_says_all_is_granted() {
        let answer = granting(&request(Method::GET, Version::HTTP_11, &[KEY, VERSION])).ok().expect("it is right");
        assert_eq!(answer.status(), 101);
        // RFC 6455's own example of a key and its answer.
        assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(answer.headers()["connection"], "Upgrade");
        assert_eq!(answer.headers()["upgrade"], "websocket");
    }

    #[test]
    fn a_request_that_is_wrong_hears_what_would_be_right() {
        let old = ("sec-websocket-version", "8");
        for (verb, version, headers, status, said) in [
            (Method::POST, Version::HTTP_11, &[KEY, VERSION][..], 405, ("allow", "GET")),
            (Method::GET, Version::HTTP_10, &[KEY, VERSION], 426, ("upgrade", "websocket")),
            (Method::GET, Version::HTTP_11, &[KEY, old], 426, VERSION),
            (Method::GET, Version::HTTP_11, &[KEY], 426, VERSION),
            (Method::GET, Version::HTTP_11, &[VERSION], 400, ("connection", "close")),
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
