//! Who may knock: the check of `Host` and `Origin` before a connection is upgraded. Only browsers send an `Origin`, and
//! a browser may be showing somebody else's page, so a foreign origin is turned away before it can say a word.

use std::net::IpAddr;

use hyper::HeaderMap;

use crate::locality::{self, Peer};

/// A request that is turned away with status 403.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// The body of the answer: what was received and which key would allow it.
    pub sentence: String,
}

/// What a list holds to mean every page, or every name.
const ANYONE: &str = "*";

/// Lets a request through or turns it away.
///
/// An origin passes if it is listed or the list holds `*`, or if it is the page this very gateway serves: the same
/// authority as `Host`, under a name that nobody else can point at this machine (a listed host, a tailnet name, an address,
/// `localhost`). The last condition is what stops DNS rebinding.
pub fn check(
    headers: &HeaderMap,
    peer: &Peer,
    allowed_origins: &[String],
    allowed_hosts: &[String],
    bound_port: u16,
) -> Result<(), Turned> {
    for name in ["origin", "host"] {
        if headers.get_all(name).iter().count() > 1 {
            return Err(turned(format!("the {name} header was sent more than once")));
        }
    }
    let Some(sent) = headers.get("origin") else { return Ok(()) };
    // Before anything is read into it: sandboxed pages say `null` and pages from disk `file://`, which are no origins.
    if holds_anyone(allowed_origins) {
        return Ok(());
    }
    let shown = shown(&String::from_utf8_lossy(sent.as_bytes()));
    let Some(origin) = sent.to_str().ok().and_then(Origin::parse) else {
        return Err(turned(format!(
            "origin {shown:?} is not allowed: an origin has the form https://host or https://host:port, and only such \
             origins can be listed in gateway.allowed_origins"
        )));
    };
    let listed = allowed_origins.iter().any(|allowed| Origin::parse(allowed).as_ref() == Some(&origin));
    if listed || is_own_page(&origin, peer, allowed_hosts, bound_port) {
        return Ok(());
    }
    Err(turned(format!(
        "origin {shown:?} is not allowed: open the page from the gateway itself, or add {:?} to \
         gateway.allowed_origins",
        origin.to_string()
    )))
}

fn is_own_page(origin: &Origin, peer: &Peer, allowed_hosts: &[String], bound_port: u16) -> bool {
    let (Some(host), Some(name)) = (peer.host.as_deref(), peer.host_name.as_deref()) else { return false };
    let Some(default_port) = default_port(&origin.scheme) else { return false };
    let origin_port = origin.port.unwrap_or(default_port);
    let same_port = match port_of(host) {
        Some(port) => port == Some(origin_port),
        // Some proxies pass the name on and drop the port.
        None => origin_port == default_port || origin_port == bound_port,
    };
    origin.host == name && same_port && cannot_be_rebound(name, allowed_hosts)
}

fn holds_anyone(allowed: &[String]) -> bool {
    allowed.iter().any(|entry| entry == ANYONE)
}

/// Whether a name is one that an attacker's DNS server cannot answer for, or that the operator lets in nevertheless.
fn cannot_be_rebound(name: &str, allowed_hosts: &[String]) -> bool {
    name == "localhost"
        || name.parse::<IpAddr>().is_ok()
        || name.ends_with(".ts.net")
        || holds_anyone(allowed_hosts)
        || allowed_hosts.iter().any(|allowed| locality::host_name(allowed) == name)
}

/// The port in a `Host` header: `None` without one, `Some(None)` when it is not a number.
fn port_of(host: &str) -> Option<Option<u16>> {
    let after_name = match host.rsplit_once(']') {
        Some((_, rest)) => rest,
        None if host.matches(':').count() == 1 => &host[host.find(':').unwrap_or(host.len())..],
        None => "",
    };
    after_name.strip_prefix(':').map(|port| port.parse().ok())
}

/// An origin in its normal form: lower case, without the default port.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.trim().split_once("://")?;
        // A trailing slash is what people write into a list.
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let host = locality::host_name(authority);
        let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:%".contains(&b));
        if !is_scheme || !is_host || authority.contains('@') {
            return None;
        }
        let port = match port_of(authority) {
            Some(port) => Some(port?),
            None => None,
        };
        // What is left of the authority besides host and port is not an origin.
        let rebuilt = authority.len() == host.len() + authority.matches(['[', ']']).count() + port_length(authority);
        rebuilt.then(|| Origin { port: port.filter(|port| default_port(&scheme) != Some(*port)), scheme, host })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Origin { scheme, host, port } = self;
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]")?;
        } else {
            write!(f, "{scheme}://{host}")?;
        }
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Bytes that the port of an authority takes, with its colon.
fn port_length(authority: &str) -> usize {
    port_of(authority).map_or(0, |_| authority.len() - authority.rfind(':').unwrap_or(authority.len()))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn turned(sentence: String) -> Turned {
    Turned { sentence }
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn knock(headers: &[(&str, &str)], origins: &[&str], hosts: &[&str]) -> Result<(), Turned> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let peer = Peer::from_request("127.0.0.1:9".parse().unwrap(), &map, &[]);
        let owned = |list: &[&str]| list.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        check(&map, &peer, &owned(origins), &owned(hosts), 18789)
    }

    #[test]
    fn who_comes_in() {
        let here = ("host", "127.0.0.1:18789");
        for (headers, origins, hosts) in [
            (vec![here], vec![], vec![]),
            (vec![("host", "evil.example")], vec![], vec![]),
            (vec![], vec![], vec![]),
            (vec![here, ("origin", "http://127.0.0.1:18789")], vec![], vec![]),
            (vec![("host", "localhost:18789"), ("origin", "HTTP://LOCALHOST:18789")], vec![], vec![]),
            (vec![("host", "[::1]:18789"), ("origin", "http://[::1]:18789")], vec![], vec![]),
            (vec![("host", "192.168.1.2:18789"), ("origin", "http://192.168.1.2:18789")], vec![], vec![]),
            (vec![("host", "box.x.ts.net"), ("origin", "https://box.x.ts.net")], vec![], vec![]),
            (vec![("host", "box.x.ts.net:443"), ("origin", "https://box.x.ts.net")], vec![], vec![]),
            (vec![("host", "gw.example"), ("origin", "https://gw.example")], vec![], vec!["GW.example"]),
            (vec![("host", "gw.example"), ("origin", "http://gw.example:18789")], vec![], vec!["gw.example"]),
            (vec![here, ("origin", "https://ui.example")], vec!["https://UI.example:443/"], vec![]),
            (vec![here, ("origin", "tauri://localhost")], vec!["tauri://localhost"], vec![]),
        ] {
            assert_eq!(knock(&headers, &origins, &hosts), Ok(()), "{headers:?} {origins:?} {hosts:?}");
        }
    }

    #[test]
    fn who_stays_out() {
        let here = ("host", "127.0.0.1:18789");
        for (headers, origins) in [
            (vec![here, ("origin", "https://evil.example")], vec![]),
            (vec![here, ("origin", "null")], vec!["null"]),
            (vec![here, ("origin", "")], vec![]),
            (vec![here, ("origin", "127.0.0.1:18789")], vec![]),
            (vec![here, ("origin", "http://127.0.0.1:18789/x")], vec![]),
            (vec![here, ("origin", "http://user@127.0.0.1:18789")], vec![]),
            (vec![here, ("origin", "http://127.0.0.1:5173")], vec![]),
            (vec![here, ("origin", "http://127.0.0.1:99999")], vec![]),
            (vec![here, ("origin", "https://ui.example:444")], vec!["https://ui.example"]),
            (vec![here, ("origin", "http://ui.example")], vec!["https://ui.example"]),
            (vec![here, ("origin", "tauri://localhost")], vec![]),
            // DNS rebinding: the attacker's name points here, page and Host agree.
            (vec![("host", "evil.example:18789"), ("origin", "http://evil.example:18789")], vec![]),
            (vec![("host", "evil.example"), ("origin", "http://evil.example:18789")], vec![]),
            (vec![here, ("origin", "http://127.0.0.1:18789"), ("origin", "https://evil.example")], vec![]),
            (vec![here, ("host", "evil.example")], vec![]),
        ] {
            assert!(knock(&headers, &origins, &[]).is_err(), "{headers:?} {origins:?}");
        }
    }

    #[test]
    fn a_star_lets_everyone_in() {
        let here = ("host", "127.0.0.1:18789");
        for origin in ["https://evil.example", "null", "file://", "chrome-extension://abc", "127.0.0.1:18789", ""] {
            let headers = [here, ("origin", origin)];
            assert_eq!(knock(&headers, &["https://ui.example", "*"], &[]), Ok(()), "{origin:?}");
            assert!(knock(&headers, &[], &["*"]).is_err(), "{origin:?} is not the gateway's own page under any name");
        }
        let rebound = [("host", "evil.example:18789"), ("origin", "http://evil.example:18789")];
        assert_eq!(knock(&rebound, &[], &["gateway.example", "*"]), Ok(()));
        let twice = [here, ("origin", "https://a.example"), ("origin", "https://b.example")];
        assert!(knock(&twice, &["*"], &["*"]).is_err(), "nobody can say which of the two counts");
    }

    #[test]
    fn the_sentence_says_what_came_and_what_to_do() {
        let turned = knock(&[("host", "127.0.0.1:18789"), ("origin", "https://UI.example:443")], &[], &[]).unwrap_err();
        assert!(turned.sentence.contains("\"https://UI.example:443\""), "{}", turned.sentence);
        assert!(turned.sentence.contains("add \"https://ui.example\" to gateway.allowed_origins"));
    }
}
