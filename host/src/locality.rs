//! What an upgrade request tells about its sender, computed once per connection. Being local is a privilege (pairing is
//! silent, lockouts do not apply), so every doubt makes a request remote.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::HeaderMap;
use plugin_api::http::FORWARDING_HEADERS;

use crate::config::IpRange;
use crate::tailscale::Claim;

/// The facts about one upgrade request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Whether the client runs on this machine and came here directly, or through a trusted proxy that says so.
    pub local: bool,
    /// Whether a proxy's headers came along.
    pub forwarded: bool,
    /// The client's address: the peer's, or what a trusted proxy says.
    pub client_ip: IpAddr,
    /// The address to show and store; absent for local clients and whenever it cannot be believed.
    pub reported_ip: Option<String>,
    /// The `Origin` header; only browsers send one. Empty if it was sent twice or cannot be read: somebody sent one.
    pub origin: Option<String>,
    /// The `Host` header as sent.
    pub host: Option<String>,
    /// The `Host` header in lower case without port and brackets.
    pub host_name: Option<String>,
    /// Whether a proxy says that the client came by TLS.
    pub forwarded_proto_https: bool,
    /// Whom Tailscale Serve says it is; read only where such identities are allowed.
    pub tailscale_claim: Option<Box<Claim>>,
    /// The login behind the claim, once the daemon of this machine has confirmed it.
    pub tailscale_login: Option<String>,
}

impl Peer {
    /// Reads the facts from the connection and its upgrade request.
    pub fn from_request(peer: SocketAddr, headers: &HeaderMap, trusted_proxies: &[IpRange]) -> Self {
        let peer_ip = peer.ip().to_canonical();
        let trusted = trusted_proxies.iter().any(|proxy| proxy.contains(peer_ip));
        let forwarded = FORWARDING_HEADERS.iter().any(|name| headers.contains_key(*name));

        let hops = if trusted { hops(headers) } else { Vec::new() };
        // An address that a trusted proxy sends but that is none: count the proxy, and never as local.
        let client_ip = hops.first().copied().flatten().unwrap_or(peer_ip);
        let host = single(headers, "host");
        let host_name = host.as_deref().map(host_name);

        // A proxy that appends lets the client write the first hop, so every hop must be this machine; and one that speaks
        // of the request without saying whom it came from leaves that open.
        let is_told = !forwarded || !hops.is_empty();
        let from_here = is_loopback(peer_ip) && is_told && hops.iter().all(|hop| hop.is_some_and(is_loopback));
        let local = from_here && host_name.as_deref().is_some_and(names_this_machine) && (!forwarded || trusted);
        let believable = !local && (!forwarded || trusted) && !is_loopback(client_ip);

        Peer {
            local,
            forwarded,
            client_ip,
            reported_ip: believable.then(|| client_ip.to_string()),
            origin: headers.contains_key("origin").then(|| single(headers, "origin").unwrap_or_default()),
            host,
            host_name,
            forwarded_proto_https: first_element(headers, "x-forwarded-proto")
                .is_some_and(|proto| proto.eq_ignore_ascii_case("https")),
            tailscale_claim: None,
            tailscale_login: None,
        }
    }

    /// Whether the client is on this machine with no proxy and no browser in between: the only kind that lockouts spare.
    pub fn is_direct(&self) -> bool {
        self.local && !self.forwarded && self.origin.is_none()
    }

    /// A direct local client without any header; for connections that no HTTP request opened, and for tests.
    pub fn direct_local() -> Self {
        Peer {
            local: true,
            forwarded: false,
            client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            reported_ip: None,
            origin: None,
            host: Some("127.0.0.1".to_string()),
            host_name: Some("127.0.0.1".to_string()),
            forwarded_proto_https: false,
            tailscale_claim: None,
            tailscale_login: None,
        }
    }
}

/// `127.*`, `::1` and `::ffff:127.*`.
pub fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// For whom an address counts: itself, or the network a provider gives to one customer of IPv6.
pub fn customer(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        ip => ip,
    }
}

/// A `Host` header in lower case, without port and brackets.
pub fn host_name(host: &str) -> String {
    let host = host.trim().to_ascii_lowercase();
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default().to_string();
    }
    match host.rsplit_once(':') {
        // More than one colon without brackets is a bare IPv6 address.
        Some((name, _)) if !name.contains(':') => name.to_string(),
        _ => host,
    }
}

/// Host names that only a client of this machine, or its tailnet front door, would use.
fn names_this_machine(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "::1") || name.ends_with(".ts.net")
}

/// The addresses in `X-Forwarded-For`, else in `X-Real-IP`; `None` for what is not an address.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let listed = |name: &str| -> Vec<Option<IpAddr>> {
        headers
            .get_all(name)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or("?").split(','))
            .map(str::trim)
            .filter(|element| !element.is_empty())
            .map(address)
            .collect()
    };
    let forwarded = listed("x-forwarded-for");
    if forwarded.is_empty() { listed("x-real-ip") } else { forwarded }
}

/// An address, with an optional port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let parsed = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    parsed.map(|ip| ip.to_canonical())
}

/// A header sent exactly once. Sent twice, nobody can say which one counts, so it counts as absent.
pub fn single(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| first.to_string())
}

fn first_element<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn peer(address: &str, headers: &[(&str, &str)], trusted: &[&str]) -> Peer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let trusted: Vec<IpRange> = trusted.iter().map(|ip| ip.parse().unwrap()).collect();
        Peer::from_request(address.parse().unwrap(), &map, &trusted)
    }

    #[test]
    fn who_is_local() {
        let loopback = "127.0.0.1:5000";
        let here = ("host", "127.0.0.1:18789");
        for (address, headers, trusted, local, reported) in [
            (loopback, vec![here], vec![], true, None),
            (loopback, vec![("host", "localhost")], vec![], true, None),
            (loopback, vec![("host", "LOCALHOST:1")], vec![], true, None),
            ("[::1]:5000", vec![("host", "[::1]:18789")], vec![], true, None),
            ("[::ffff:127.0.0.1]:5000", vec![here], vec![], true, None),
            ("127.8.9.1:5000", vec![here], vec![], true, None),
            (loopback, vec![("host", "box.tail1234.ts.net")], vec![], true, None),
            (loopback, vec![("host", "example.com")], vec![], false, None),
            (loopback, vec![], vec![], false, None),
            (loopback, vec![here, here], vec![], false, None),
            ("192.168.1.7:5000", vec![here], vec![], false, Some("192.168.1.7")),
            ("100.64.1.2:5000", vec![("host", "100.64.1.2")], vec![], false, Some("100.64.1.2")),
            // Forwarding headers of a peer that nobody trusts.
            (loopback, vec![here, ("x-forwarded-for", "127.0.0.1")], vec![], false, None),
            (loopback, vec![here, ("x-real-ip", "127.0.0.1")], vec![], false, None),
            (loopback, vec![here, ("x-forwarded-host", "x")], vec![], false, None),
            (loopback, vec![here, ("forwarded", "for=127.0.0.1")], vec![], false, None),
            ("192.168.1.7:5000", vec![here, ("x-forwarded-for", "127.0.0.1")], vec![], false, None),
            // A trusted proxy.
            (loopback, vec![here, ("x-forwarded-for", "127.0.0.1")], vec!["127.0.0.1"], true, None),
            (loopback, vec![here, ("x-forwarded-for", "203.0.113.9")], vec!["127.0.0.1"], false, Some("203.0.113.9")),
            (loopback, vec![here, ("x-forwarded-for", "127.0.0.1, 203.0.113.9")], vec!["127.0.0.1"], false, None),
            (loopback, vec![here, ("x-forwarded-for", "unknown")], vec!["127.0.0.1"], false, None),
            // One that does not say whom the request came from.
            (loopback, vec![here, ("x-forwarded-for", "")], vec!["127.0.0.1"], false, None),
            (loopback, vec![here, ("x-forwarded-host", "x")], vec!["127.0.0.1"], false, None),
            (loopback, vec![here, ("forwarded", "for=127.0.0.1")], vec!["127.0.0.1"], false, None),
            (loopback, vec![here], vec!["127.0.0.1"], true, None),
            (loopback, vec![here, ("x-real-ip", "203.0.113.9")], vec!["127.0.0.1"], false, Some("203.0.113.9")),
            ("10.0.0.2:5000", vec![here, ("x-forwarded-for", "127.0.0.1")], vec!["10.0.0.2"], false, None),
            ("10.0.0.2:5000", vec![here], vec!["10.0.0.2"], false, Some("10.0.0.2")),
            (
                "[::ffff:10.0.0.2]:5000",
                vec![("x-real-ip", "[2001:db8::1]:99")],
                vec!["10.0.0.2"],
                false,
                Some("2001:db8::1"),
            ),
        ] {
            let seen = peer(address, &headers, &trusted);
            assert_eq!(
                (seen.local, seen.reported_ip.as_deref()),
                (local, reported),
                "{address} {headers:?} trusting {trusted:?}"
            );
        }
    }

    #[test]
    fn the_client_address_is_the_first_hop_of_a_trusted_proxy_only() {
        let forwarded = [("x-forwarded-for", "203.0.113.9:4711, 10.0.0.1"), ("x-real-ip", "198.51.100.1")];
        assert_eq!(peer("127.0.0.1:1", &forwarded, &["127.0.0.1"]).client_ip.to_string(), "203.0.113.9");
        assert_eq!(peer("127.0.0.1:1", &forwarded, &[]).client_ip.to_string(), "127.0.0.1");
    }

    #[test]
    fn a_browser_or_a_proxy_is_never_direct() {
        let here = ("host", "127.0.0.1:18789");
        assert!(peer("127.0.0.1:1", &[here], &[]).is_direct());
        let page = ("origin", "http://127.0.0.1:18789");
        for origins in [vec![here, page], vec![here, page, page], vec![here, ("origin", "http://é")]] {
            assert!(!peer("127.0.0.1:1", &origins, &[]).is_direct(), "{origins:?}");
        }
        let proxied = peer("127.0.0.1:1", &[here, ("x-forwarded-for", "127.0.0.1")], &["127.0.0.1"]);
        assert!(proxied.local && !proxied.is_direct());
    }

    #[test]
    fn host_names_lose_port_and_brackets() {
        for (host, name) in [("A.example:80", "a.example"), ("[::1]:80", "::1"), ("::1", "::1"), ("x", "x")] {
            assert_eq!(host_name(host), name);
        }
        assert!(peer("10.0.0.1:1", &[("x-forwarded-proto", "HTTPS, http")], &[]).forwarded_proto_https);
    }
}
