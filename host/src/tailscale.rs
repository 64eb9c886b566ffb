//! Who stands behind a request that Tailscale Serve passed on. Its headers claim an address and a login; the daemon of this
//! machine is asked whose address that is, and only its word counts.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::locality::{Peer, is_loopback, single};

/// The longest the daemon may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer is believed.
const KEPT: Duration = Duration::from_secs(60);
/// How long it is believed that there is none.
const FAILURE_KEPT: Duration = Duration::from_secs(5);
/// Addresses whose answers are kept; those beyond are asked for each time.
const MOST_KEPT: usize = 1_024;
/// The largest answer that is read.
const LARGEST_ANSWER: usize = 64 * 1024;
/// The longest login that a header may claim.
const LONGEST_LOGIN: usize = 256;
/// The login of every tagged machine: nobody's.
const TAGGED: &str = "tagged-devices";

/// What the headers of Tailscale Serve say. Anybody on this machine can write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    login: String,
    address: SocketAddr,
}

impl Claim {
    /// The claim of a request from a loopback address that is not local. Each header must be there once, and name one
    /// address: where there are several hops, nobody can say whose the login is.
    pub fn read(address: SocketAddr, headers: &HeaderMap, peer: &Peer) -> Option<Self> {
        if peer.local || !is_loopback(address.ip()) {
            return None;
        }
        let login = single(headers, "tailscale-user-login")?.trim().to_string();
        let forwarded_for = single(headers, "x-forwarded-for")?;
        single(headers, "x-forwarded-proto")?;
        single(headers, "x-forwarded-host")?;
        let address = address_and_port(forwarded_for.trim())?;
        let is_name = !login.is_empty() && login.len() <= LONGEST_LOGIN && !login.eq_ignore_ascii_case(TAGGED);
        (is_name && !is_loopback(address.ip())).then_some(Claim { login, address })
    }
}

/// An address with its port, or with the port that the daemon takes for any.
fn address_and_port(text: &str) -> Option<SocketAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    text.parse().ok().or_else(|| bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip.to_canonical(), 1)))
}

/// Why a claim does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// The daemon's socket cannot be opened.
    NoDaemon,
    /// It did not answer in time.
    Timeout,
    /// It answered with another status than 200, as for addresses that it does not know.
    Refused,
    /// Its answer is none, is too large, or names no user.
    BadAnswer,
    /// The address belongs to somebody else.
    Mismatch,
}

impl Doubt {
    /// The word for log and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Doubt::NoDaemon => "no-daemon",
            Doubt::Timeout => "timeout",
            Doubt::Refused => "refused",
            Doubt::BadAnswer => "bad-answer",
            Doubt::Mismatch => "mismatch",
        }
    }
}

/// The daemon of this machine, and what it said lately.
#[derive(Debug)]
pub struct Tailscale {
    socket: PathBuf,
    kept: Mutex<HashMap<SocketAddr, Kept>>,
    told: Mutex<BTreeSet<Doubt>>,
}

#[derive(Debug, Clone)]
struct Kept {
    answer: Result<String, Doubt>,
    until: Instant,
}

impl Tailscale {
    /// The daemon behind this socket.
    pub fn at(socket: PathBuf) -> Self {
        Tailscale { socket, kept: Mutex::default(), told: Mutex::default() }
    }

    /// The login, if the daemon confirms the claim. Of the time until `deadline` half is left for what follows.
    pub async fn confirm(&self, claim: &Claim, deadline: Instant) -> Result<String, Doubt> {
        let login = self.login_at(claim.address, deadline).await;
        let confirmed = login.and_then(|login| match login.trim().eq_ignore_ascii_case(&claim.login) {
            true => Ok(login),
            false => {
                self.tell(Doubt::Mismatch, "the address is somebody else's");
                Err(Doubt::Mismatch)
            }
        });
        if confirmed.is_ok() {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        confirmed
    }

    async fn login_at(&self, address: SocketAddr, deadline: Instant) -> Result<String, Doubt> {
        let now = Instant::now();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&address).cloned();
        if let Some(kept) = kept.filter(|kept| kept.until > now) {
            return kept.answer;
        }
        let limit = now + PATIENCE.min(deadline.saturating_duration_since(now) / 2);
        let asked = timeout_at(limit, self.ask(address)).await;
        let answer = asked.unwrap_or_else(|_| Err((Doubt::Timeout, "it did not answer in time".to_string())));
        let answer = answer.map_err(|(doubt, cause)| {
            self.tell(doubt, &cause);
            doubt
        });
        let until = Instant::now() + if answer.is_ok() { KEPT } else { FAILURE_KEPT };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.retain(|_, kept| kept.until > now);
        }
        if kept.len() < MOST_KEPT || kept.contains_key(&address) {
            kept.insert(address, Kept { answer: answer.clone(), until });
        }
        answer
    }

    /// One request to the daemon.
    async fn ask(&self, address: SocketAddr) -> Result<String, (Doubt, String)> {
        let bad = |cause: String| (Doubt::BadAnswer, cause);
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| (Doubt::NoDaemon, format!("cannot open {}: {error}", self.socket.display())))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| bad(error.to_string()))?;
        // Ends with this call, however that ends.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let request = Request::get(format!("/localapi/v0/whois?addr={address}"))
            .header(header::HOST, "local-tailscaled.sock")
            .body(Empty::<Bytes>::new())
            .map_err(|error| bad(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(|error| bad(error.to_string()))?;
        if response.status() != StatusCode::OK {
            return Err((Doubt::Refused, format!("it answered {}", response.status())));
        }
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| bad(error.to_string()))?.to_bytes();
        let who: WhoIs =
            serde_json::from_slice(&body).map_err(|error| bad(schemas::json::fault(&error).to_string()))?;
        let login = who.user_profile.login_name;
        if login.trim().is_empty() || login.trim().eq_ignore_ascii_case(TAGGED) {
            return Err(bad("it names no user".to_string()));
        }
        Ok(login)
    }

    /// Once a kind, until a claim is confirmed again.
    fn tell(&self, doubt: Doubt, cause: &str) {
        let is_news = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(doubt);
        if is_news {
            tracing::warn!(kind = doubt.name(), cause, "a Tailscale identity was not confirmed");
        } else {
            tracing::debug!(kind = doubt.name(), cause, "a Tailscale identity was not confirmed");
        }
    }
}

/// Of the daemon's answer, what is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WhoIs {
    user_profile: UserProfile,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UserProfile {
    login_name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn claim(address: &str, left_out: &str, more: &[(&str, &str)]) -> Option<Claim> {
        let serve = [
            ("host", "box.tail1.ts.net"),
            ("tailscale-user-login", " Ann@example.org "),
            ("x-forwarded-for", "100.64.0.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "box.tail1.ts.net"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in serve.iter().filter(|(name, _)| *name != left_out).chain(more) {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let address = address.parse().unwrap();
        Claim::read(address, &headers, &Peer::from_request(address, &headers, &[]))
    }

    #[test]
    fn a_claim_needs_every_header_once_and_a_loopback_peer() {
        let whole = claim("127.0.0.1:5", "", &[]).unwrap();
        assert_eq!((whole.login.as_str(), whole.address.to_string()), ("Ann@example.org", "100.64.0.7:1".to_string()));
        assert!(claim("[::1]:5", "", &[]).is_some());
        assert_eq!(claim("100.64.0.9:5", "", &[]), None, "another machine");
        for name in ["tailscale-user-login", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
            assert_eq!(claim("127.0.0.1:5", name, &[]), None, "without {name}");
            assert_eq!(claim("127.0.0.1:5", "", &[(name, "100.64.0.8")]), None, "{name} twice");
        }
        for hop in ["100.64.0.7, 100.64.0.8", "127.0.0.1", "::1", "unknown", ""] {
            assert_eq!(claim("127.0.0.1:5", "x-forwarded-for", &[("x-forwarded-for", hop)]), None, "{hop:?}");
        }
        let long = "x".repeat(257);
        for login in ["", "tagged-devices", &long] {
            assert_eq!(claim("127.0.0.1:5", "tailscale-user-login", &[("tailscale-user-login", login)]), None);
        }
    }

    #[test]
    fn an_address_keeps_its_port() {
        for (text, address) in [
            ("100.64.0.7:99", "100.64.0.7:99"),
            ("fd7a:115c::1", "[fd7a:115c::1]:1"),
            ("[fd7a:115c::1]", "[fd7a:115c::1]:1"),
            ("[fd7a:115c::1]:99", "[fd7a:115c::1]:99"),
        ] {
            assert_eq!(address_and_port(text).unwrap().to_string(), address);
        }
    }
}
