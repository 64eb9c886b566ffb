//! Where to listen, and which peers are proxies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// 127.0.0.1, and ::1 where it can be bound.
    Loopback,
    /// Every address of the machine.
    Lan,
    /// The machine's Tailscale address, else loopback.
    Tailnet,
    /// Whatever suits: loopback.
    Auto,
    /// This address.
    Address(IpAddr),
}

impl Bind {
    /// Whether other machines might reach the gateway.
    pub fn is_exposed(self) -> bool {
        match self {
            Bind::Loopback | Bind::Auto => false,
            Bind::Lan | Bind::Tailnet => true,
            Bind::Address(address) => !address.is_loopback(),
        }
    }

    /// The addresses to listen on. The first must be bound; a failure of the others is no error, because a machine
    /// without IPv6 is a machine all the same.
    pub fn addresses(self, port: u16) -> Vec<SocketAddr> {
        let loopback = || vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let addresses = match self {
            Bind::Loopback | Bind::Auto => loopback(),
            Bind::Lan => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
            Bind::Tailnet => tailnet_address().map_or_else(loopback, |address| vec![IpAddr::V4(address)]),
            Bind::Address(address) => vec![address],
        };
        addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect()
    }
}

/// An address, or all addresses that share its first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpRange {
    address: IpAddr,
    prefix: u8,
}

impl IpRange {
    /// Whether the address lies in the range. An IPv4 address written as IPv6 counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let bits = 32 - u32::from(self.prefix);
                (u32::from(own) ^ u32::from(other)).checked_shr(bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let bits = 128 - u32::from(self.prefix);
                (u128::from(own) ^ u128::from(other)).checked_shr(bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for IpRange {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.trim().split_once('/').map_or((text.trim(), None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(widest), |prefix| prefix.parse::<u8>().map_err(|_| ()))?;
        if prefix > widest { Err(()) } else { Ok(IpRange { address, prefix }) }
    }
}

/// `scheme://host[:port]` in the form in which browsers send it, or nothing if it is no origin.
pub(super) fn normalized_origin(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    if text == "*" {
        return Some(text);
    }
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let sound = !scheme.is_empty() && !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' ', '*']);
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority =
        if default_port.is_empty() { authority } else { authority.strip_suffix(default_port).unwrap_or(authority) };
    sound.then(|| format!("{scheme}://{authority}"))
}

/// The first address of this machine in Tailscale's range.
fn tailnet_address() -> Option<Ipv4Addr> {
    let table = std::fs::read_to_string("/proc/net/fib_trie").ok()?;
    tailnet_address_in(&table)
}

/// A leaf of the kernel's table is `|-- ADDRESS`; the line below says whether it is the machine's own (`/32 host LOCAL`).
fn tailnet_address_in(table: &str) -> Option<Ipv4Addr> {
    let mut leaf = None;
    for line in table.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            let found = leaf.filter(|a| a.octets()[0] == 100 && a.octets()[1] & 0xc0 == 64);
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let holds = |range: &str, address: &str| range.parse::<IpRange>().unwrap().contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.200.3.4") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("192.0.2.7", "::ffff:192.0.2.7"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "fe80::1") && holds("::/0", "fe80::1"));
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "host", "10.0.0.1/x"] {
            assert!(wrong.parse::<IpRange>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_are_compared_as_browsers_send_them() {
        assert_eq!(normalized_origin("HTTPS://Example.org:443/").as_deref(), Some("https://example.org"));
        assert_eq!(normalized_origin("http://localhost:5173").as_deref(), Some("http://localhost:5173"));
        assert_eq!(normalized_origin("*").as_deref(), Some("*"));
        for wrong in ["example.org", "https://", "https://a/b", "https://u@a", ""] {
            assert_eq!(normalized_origin(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn finds_the_tailscale_address_in_the_kernels_table() {
        let table = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.1.2.3\n        /32 host LOCAL\n     |-- 100.64.0.0\n        \
                     /10 universe UNICAST\n     |-- 100.101.7.9\n        /32 host LOCAL\n";
        assert_eq!(tailnet_address_in(table), Some(Ipv4Addr::new(100, 101, 7, 9)));
        assert_eq!(tailnet_address_in("     |-- 100.20.0.1\n        /32 host LOCAL\n"), None);
    }

    #[test]
    fn only_loopback_is_not_exposed() {
        assert!(!Bind::Loopback.is_exposed() && !Bind::Auto.is_exposed());
        assert!(Bind::Lan.is_exposed() && Bind::Tailnet.is_exposed());
        assert!(!Bind::Address("127.0.0.2".parse().unwrap()).is_exposed());
        assert!(Bind::Address("0.0.0.0".parse().unwrap()).is_exposed());
        assert_eq!(Bind::Loopback.addresses(7), ["127.0.0.1:7".parse().unwrap(), "[::1]:7".parse().unwrap()]);
    }
}
