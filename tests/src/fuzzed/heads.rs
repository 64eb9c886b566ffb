//! The head of an HTTP request, as far as it decides who comes: from this machine, through a proxy, by a page, with a
//! capability.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use clawhost::config::IpRange;
use clawhost::locality::{self, Peer};
use clawhost::{capabilities, doors};
use tokio_tungstenite::tungstenite::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{choice, line};

/// Where requests come from.
const ADDRESSES: [&str; 5] =
    ["127.0.0.1:5000", "[::1]:5000", "[::ffff:127.0.0.1]:5000", "192.168.1.7:5000", "[2001:db8::7]:5000"];
/// Who is trusted to say where they came from before.
const TRUSTED: [&[&str]; 3] = [&[], &["127.0.0.1"], &["192.168.1.0/24", "::1"]];
const PORT: u16 = 18789;

pub fn run(data: &[u8]) {
    let (way, rest) = choice(data);
    let text = String::from_utf8_lossy(rest);
    let (target, heads) = line(&text);
    capability(target);
    let address: SocketAddr = ADDRESSES[usize::from(way) % ADDRESSES.len()].parse().expect("an address");
    let trusted = TRUSTED[usize::from(way >> 4) % TRUSTED.len()];
    let trusted: Vec<IpRange> = trusted.iter().map(|range| range.parse().expect("a range")).collect();
    let headers = headers(heads);
    let peer = Peer::from_request(address, &headers, &trusted);
    is_no_more_local_than_it_can_be(address, &headers, &trusted, &peer);
    lets_no_foreign_page_in(&headers, &peer);
}

/// Lines as headers, as far as they can be some.
fn headers(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let lines = text.lines().take(100).filter(|line| line.len() < 500);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_str(name.trim());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.trim().as_bytes())) {
            headers.append(name, value);
        }
    }
    headers
}

/// Being local is a privilege, and every doubt makes a request remote.
fn is_no_more_local_than_it_can_be(address: SocketAddr, headers: &HeaderMap, trusted: &[IpRange], peer: &Peer) {
    let ip = address.ip().to_canonical();
    let is_trusted = trusted.iter().any(|range| range.contains(ip));
    let is_forwarded = ["x-forwarded-for", "x-real-ip", "x-forwarded-host", "forwarded"]
        .iter()
        .any(|name| headers.contains_key(*name));
    assert_eq!(peer.forwarded, is_forwarded);
    if peer.local {
        assert!(ip.is_loopback(), "{address} is elsewhere");
        assert!(!is_forwarded || is_trusted, "an unknown proxy may say anything");
        let name = peer.host_name.as_deref().expect("it said which name it asked for");
        assert!(["localhost", "127.0.0.1", "::1"].contains(&name) || name.ends_with(".ts.net"), "{name}");
        assert_eq!(headers.get_all("host").iter().count(), 1);
        assert_eq!(peer.reported_ip, None);
    }
    if peer.is_direct() {
        assert!(peer.local && !is_forwarded && !headers.contains_key("origin"));
    }
    if !is_trusted {
        assert_eq!(peer.client_ip, ip, "only a trusted proxy speaks for others");
    }
    if let Some(reported) = &peer.reported_ip {
        assert_eq!(reported.parse::<IpAddr>().ok(), Some(peer.client_ip));
        assert!(!locality::is_loopback(peer.client_ip));
    }
    let customer = locality::customer(peer.client_ip);
    assert_eq!(locality::customer(customer), customer, "a customer is its own");
}

/// A page comes in that this gateway serves itself under a name that nobody else can give it, or that somebody listed.
fn lets_no_foreign_page_in(headers: &HeaderMap, peer: &Peer) {
    let origin = headers.get("origin");
    match doors::check(headers, peer, &[], &[], PORT) {
        Ok(()) => {
            assert!(headers.get_all("origin").iter().count() <= 1 && headers.get_all("host").iter().count() <= 1);
            if let Some(origin) = origin {
                let name = peer.host_name.as_deref().expect("it asked for a name");
                let is_ours = name == "localhost" || name.ends_with(".ts.net") || name.parse::<IpAddr>().is_ok();
                assert!(is_ours, "{name} may be anybody's");
                let origin = origin.to_str().expect("a page that comes in says where it is from").to_ascii_lowercase();
                let (scheme, authority) = origin.trim().split_once("://").expect("it has the form of an origin");
                assert!(scheme == "http" || scheme == "https", "{scheme}");
                assert_eq!(locality::host_name(authority.trim_end_matches('/')), name);
            }
        }
        Err(turned) => {
            assert!(
                turned.sentence.len() < 2000 && !turned.sentence.contains(char::is_control),
                "{:?}",
                turned.sentence
            );
            let listed =
                [origin.map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned()).unwrap_or_default()];
            // Whoever lists what the sentence names lets the page in, if a page was what was wrong.
            let named =
                turned.sentence.split("add \"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_string);
            if let Some(named) = named.filter(|named| named.is_ascii() && !named.contains('\\')) {
                assert_eq!(doors::check(headers, peer, &[named], &[], PORT), Ok(()), "{listed:?}");
            }
        }
    }
    if headers.get_all("origin").iter().count() <= 1 && headers.get_all("host").iter().count() <= 1 {
        assert_eq!(doors::check(headers, peer, &["*".to_string()], &[], PORT), Ok(()));
    }
}

/// A capability and the path behind it make the path that they were taken from.
fn capability(path: &str) {
    if let Some((secret, rest)) = capabilities::split(path) {
        assert!(!secret.contains('/') && rest.starts_with('/'));
        let whole = format!("{}{secret}{rest}", capabilities::PREFIX);
        assert!(whole == path || whole == format!("{path}/"), "{path}");
        assert_eq!(capabilities::of_address(&format!("http://h:1{path}")), Some(secret));
    }
}
