//! Requests to other people's servers, over HTTP/1.1 and TLS with this machine's roots. Redirects are not followed: a
//! request carries a key, which is for the address that was configured. Whoever stops waiting closes the connection.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use plugin_api::Host;
use tokio::time::timeout;

/// How long a connection is kept for another request, and how many of one server.
const KEPT_FOR: Duration = Duration::from_secs(30);
const KEPT: usize = 4;

/// What bounds a request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time to connect.
    pub connect: Duration,
    /// Time without a byte of the answer.
    pub stall: Duration,
    /// Largest body of an answer, in bytes.
    pub max_bytes: u64,
}

/// Asks servers. Roots are read with the first request that needs them.
pub struct Client {
    limits: Limits,
    plain: OnceLock<legacy::Client<HttpConnector, Full<Bytes>>>,
    secure: OnceLock<legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub enum Trouble {
    /// No connection came about; why, for the log.
    Unreachable(String),
    /// It broke off; why, for the log.
    Broken(String),
    /// Nothing came for this long.
    Stalled(Duration),
    /// It is larger than this many bytes.
    TooLarge(u64),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Unreachable(why) => write!(f, "no connection: {why}"),
            Trouble::Broken(why) => write!(f, "the connection broke: {why}"),
            Trouble::Stalled(time) => write!(f, "nothing came for {} ms", time.as_millis()),
            Trouble::TooLarge(limit) => write!(f, "the answer is larger than {limit} bytes"),
        }
    }
}

impl Client {
    /// A client; nothing is opened yet.
    pub fn new(limits: Limits) -> Self {
        Client { limits, plain: OnceLock::new(), secure: OnceLock::new() }
    }

    /// Sends a request to an `http` or `https` address, and waits for the head of its answer.
    pub async fn send(&self, host: &Host, request: Request<Full<Bytes>>) -> Result<Answer, Trouble> {
        let stall = self.limits.stall;
        let response = match request.uri().scheme_str() {
            Some("http") => {
                let client = self.plain.get_or_init(|| builder().build(connector(self.limits.connect)));
                timeout(stall, client.request(request)).await
            }
            Some("https") => timeout(stall, self.secure(host).await?.request(request)).await,
            _ => return Err(Trouble::Unreachable("the address is neither http nor https".to_string())),
        };
        let response = response.map_err(|_| Trouble::Stalled(stall))?.map_err(trouble)?;
        Ok(Answer { response, left: self.limits.max_bytes, limits: self.limits })
    }

    async fn secure(
        &self,
        host: &Host,
    ) -> Result<&legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>, Trouble> {
        if self.secure.get().is_none() {
            let mut plain = connector(self.limits.connect);
            plain.enforce_http(false);
            let provider = tokio_rustls::rustls::crypto::ring::default_provider();
            let read = move || HttpsConnectorBuilder::new().with_provider_and_native_roots(provider);
            let roots = host.blocking(read).await.map_err(|error| Trouble::Unreachable(error.to_string()))?;
            let roots = roots.map_err(|error| Trouble::Unreachable(format!("no root certificates: {error}")))?;
            // Whoever came first counts; both are alike.
            let _ = self.secure.set(builder().build(roots.https_only().enable_http1().wrap_connector(plain)));
        }
        self.secure.get().ok_or_else(|| Trouble::Unreachable("no client".to_string()))
    }
}

fn builder() -> legacy::Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(KEPT_FOR).pool_max_idle_per_host(KEPT);
    builder
}

fn connector(limit: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(limit));
    connector.set_nodelay(true);
    connector
}

fn trouble(error: Error) -> Trouble {
    let unreachable = error.is_connect();
    let why = causes(&error);
    if unreachable { Trouble::Unreachable(why) } else { Trouble::Broken(why) }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// A request for what is at an address, which is told nothing but who asks; `None` if it is no address.
pub fn get(address: &str) -> Option<Request<Full<Bytes>>> {
    let request = Request::builder().uri(address.trim());
    let request = request.header("user-agent", concat!("clawhost/", env!("CARGO_PKG_VERSION")));
    let request = request.body(Full::default()).ok()?;
    let has_host = request.uri().authority().is_some_and(|authority| !authority.as_str().contains('@'));
    has_host.then_some(request)
}

/// The answer to a request.
pub struct Answer {
    response: Response<Incoming>,
    left: u64,
    limits: Limits,
}

impl Answer {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next bytes of its body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            let frame = timeout(self.limits.stall, self.response.body_mut().frame()).await;
            let Some(frame) = frame.map_err(|_| Trouble::Stalled(self.limits.stall))? else { return Ok(None) };
            let Ok(bytes) = frame.map_err(|error| Trouble::Broken(causes(&error)))?.into_data() else { continue };
            let left = self.left.checked_sub(bytes.len() as u64);
            self.left = left.ok_or(Trouble::TooLarge(self.limits.max_bytes))?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }

    /// The whole body.
    pub async fn body(&mut self) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    /// The beginning of the body, as much as there is: for the log, when the status says that there is no answer.
    pub async fn beginning(&mut self, most: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < most
            && let Ok(Some(bytes)) = self.chunk().await
        {
            body.extend_from_slice(&bytes);
        }
        body.truncate(most);
        body
    }
}

/// When a server says that it may be asked again: `retry-after-ms`, `retry-after` in seconds or as a date, or the first of
/// `x-ratelimit-reset-*` that is yet to come.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    /// Longer than anybody waits, and short enough to be added to a time.
    const MOST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str| text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let told = text("retry-after-ms").and_then(|ms| ms.parse().ok().map(Duration::from_millis)).or_else(|| {
        let text = text("retry-after")?;
        let date = || Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default());
        seconds(text).or_else(date)
    });
    let reset = || {
        let resets = ["x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"];
        let times = resets.into_iter().filter_map(|name| span(text(name)?));
        times.filter(|time| !time.is_zero()).min()
    };
    told.or_else(reset).map(|time| time.min(MOST))
}

/// Reads `1s`, `6m0s`, `1h2m`, `20ms`, `1.5s`.
fn span(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(unit_at);
        let unit_ends = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_ends);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = next;
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(total).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &[(&'static str, &str)]) -> Option<u128> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        retry_after(&headers, now).map(|time| time.as_millis())
    }

    #[test]
    fn what_is_no_address_is_not_asked_for() {
        let request = get(" https://example.org/a?b=c ").unwrap();
        assert_eq!(
            (request.method().as_str(), request.uri().to_string().as_str()),
            ("GET", "https://example.org/a?b=c")
        );
        for wrong in ["", "/a", "a b", "https://", "https://me:key@example.org/"] {
            assert!(get(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_server_says_in_many_ways_when_to_ask_again() {
        assert_eq!(told(&[("retry-after", "7")]), Some(7_000));
        assert_eq!(told(&[("retry-after", "0.25"), ("retry-after-ms", "40")]), Some(40));
        assert_eq!(told(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]), Some(60_000));
        assert_eq!(told(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0), "a date that has passed");
        assert_eq!(told(&[("x-ratelimit-reset-requests", "6m0s"), ("x-ratelimit-reset-tokens", "20ms")]), Some(20));
        assert_eq!(told(&[("x-ratelimit-reset-requests", "1h1.5s")]), Some(3_601_500));
        for nothing in ["soon", "-3", "1x", "5", "", "m", "NaN"] {
            assert_eq!(told(&[("x-ratelimit-reset-requests", nothing)]), None, "{nothing}");
        }
        for nothing in ["soon", "-3", "NaN", ""] {
            assert_eq!(told(&[("retry-after", nothing)]), None, "{nothing}");
        }
        assert_eq!(told(&[("retry-after", "1e12")]), Some(30 * 24 * 60 * 60 * 1000));
        assert_eq!(told(&[]), None);
    }
}
