//! What plugins show and where: for each surface that a manifest names, an address that lets its bearer in. It begins with
//! how that client reaches the gateway, and goes on with the port at which the plugin's HTTP is served and the capability.

use std::collections::BTreeMap;

use plugin_api::catalogue::SurfaceAddress;
use schemas::ErrorShape;
use schemas::protocol::Version;

use crate::capabilities;
use crate::connections::Connection;
use crate::exchange::serve;
use crate::gateway::Gateway;
use crate::locality::Peer;
use crate::plugin::RunningPlugin;

/// How a client reaches the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vantage {
    /// Scheme and name: `https://box.example`.
    site: Box<str>,
    /// What follows the name when it came through a proxy that speaks TLS: the proxy's port, or nothing.
    proxied: Option<Box<str>>,
}

/// Names of surfaces and their addresses.
pub type Addresses = BTreeMap<String, String>;

impl Default for Vantage {
    /// Of a client of this machine.
    fn default() -> Self {
        Vantage { site: "http://127.0.0.1".into(), proxied: None }
    }
}

impl Vantage {
    /// The name that it asked for; or where it says none that can be one, this machine's loopback.
    pub fn of(gateway: &Gateway, peer: &Peer) -> Self {
        let scheme = serve::scheme(gateway, peer);
        let is_sound = |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
        let asked = peer.host.as_deref().filter(|host| is_sound(host));
        let name = peer.host_name.as_deref().filter(|_| asked.is_some()).unwrap_or("127.0.0.1");
        let name = if name.contains(':') { format!("[{name}]") } else { name.to_string() };
        let is_proxied = peer.forwarded_proto_https && gateway.tls.is_none();
        // The proxy's port is its own affair, and what it asked for names it.
        let proxied = asked.filter(|_| is_proxied).map(|asked| {
            let after_name = asked.rsplit_once(']').map_or(asked, |(_, rest)| rest);
            after_name.rfind(':').map_or("", |colon| &after_name[colon..]).into()
        });
        Vantage { site: format!("{scheme}://{name}").into(), proxied }
    }

    /// The address of a port of the gateway. A proxy is taken to pass on the ports of plugins under their own numbers.
    fn at(&self, port: u16, main: u16) -> String {
        match &self.proxied {
            Some(proxied) if port == main => format!("{}{proxied}", self.site),
            _ => format!("{}:{port}", self.site),
        }
    }
}

/// Where a client that has just connected finds what plugins show, if there is anything and it may see it.
pub fn told(gateway: &Gateway, connection: &Connection) -> Addresses {
    if gateway.registry.load().routes().surfaces().next().is_none() {
        return Addresses::new();
    }
    let capability = gateway.capabilities.told(connection, schemas::now_ms());
    capability.map_or_else(Addresses::new, |capability| addresses(gateway, connection, &capability))
}

/// A fresh address of one surface, for a client that was perhaps told another one before; an error where it is told none.
/// `observed` is the one that it knows.
pub fn renewed(
    gateway: &Gateway,
    connection: &Connection,
    name: &str,
    observed: Option<&str>,
) -> Result<SurfaceAddress, ErrorShape> {
    let none = || ErrorShape::unavailable(format!("surface {name:?} is not available to this connection"));
    // Looked at first: a capability that leads nowhere is not made.
    if !addresses(gateway, connection, "").contains_key(name) {
        return Err(none());
    }
    let observed = observed.map(|observed| capabilities::of_address(observed).unwrap_or_default());
    let renewed = gateway.capabilities.renewed(connection, observed, schemas::now_ms()).ok_or_else(none)?;
    let url = addresses(gateway, connection, &renewed.secret).remove(name).ok_or_else(none)?;
    let (capability, good_until_ms) = (renewed.secret, renewed.good_until_ms);
    Ok(SurfaceAddress { surface: name.to_string(), url, capability, good_until_ms })
}

/// Where this client finds what plugins show, with this capability of its. Nodes of protocol 4 are told what they say they
/// show, everybody else all; nobody is told of a plugin whose port nobody listens on.
fn addresses(gateway: &Gateway, connection: &Connection, capability: &str) -> Addresses {
    let caller = connection.authority.caller();
    let shown = |name: &str| {
        connection.version == Version::V3 || caller.role != "node" || caller.caps.iter().any(|cap| cap == name)
    };
    let main = gateway.port();
    let registry = gateway.registry.load();
    let of = |(name, plugin): (&str, &RunningPlugin)| {
        let port = plugin.port_of_http(main).filter(|_| shown(name))?;
        Some((name.to_string(), format!("{}{}{capability}", connection.vantage.at(port, main), capabilities::PREFIX)))
    };
    registry.routes().surfaces().filter_map(of).collect()
}

/// The port of each surface that somebody listens for.
pub fn ports(gateway: &Gateway) -> BTreeMap<String, u16> {
    let (main, registry) = (gateway.port(), gateway.registry.load());
    let of = |(name, plugin): (&str, &RunningPlugin)| Some((name.to_string(), plugin.port_of_http(main)?));
    registry.routes().surfaces().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_stand_behind_names() {
        let at = |site: &str, proxied: Option<&str>, port| {
            Vantage { site: site.into(), proxied: proxied.map(Into::into) }.at(port, 18789)
        };
        assert_eq!(at("http://box", None, 18789), "http://box:18789");
        assert_eq!(at("https://[::1]", None, 18793), "https://[::1]:18793");
        assert_eq!(at("https://box", Some(""), 18789), "https://box");
        assert_eq!(at("https://box", Some(":8443"), 18789), "https://box:8443");
        assert_eq!(at("https://box", Some(":8443"), 18793), "https://box:18793");
    }
}
