//! What is announced, if anything: under which names, where, and with which facts. Strangers hear it, so it holds what they
//! need to find the gateway and to know its certificate again, and nothing else that is known of it.

use std::net::{IpAddr, SocketAddr};

use plugin_api::catalogue::GatewayInfo;

use crate::{DiscoveryConfig, Mode};

/// Service types by the product's names, each with the word that its apps expect behind the instance's name.
pub const BRANDS: [(&str, &str); 3] = [
    ("_openclaw-gw._tcp.local.", "OpenClaw"),
    ("_moltbot-gw._tcp.local.", "Moltbot"),
    ("_clawdbot-gw._tcp.local.", "Clawdbot"),
];

/// The surface that apps are told the port of.
const CANVAS: &str = "canvas";

/// A label of DNS has 63 bytes, and the longest word in its brackets takes eleven.
const LONGEST_NAME: usize = 63 - 11;

/// One gateway as its neighbours see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// What people see.
    pub name: String,
    /// `HOST.local`
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// Addresses it listens on: those of this machine alone, or none of them.
    pub addresses: Vec<IpAddr>,
    /// Only interfaces of these names; any, if there is none.
    pub interfaces: Vec<String>,
    /// Where its canvas is, if it has one.
    pub canvas_port: Option<u16>,
    /// SHA-256 of its certificate in hex, if it speaks TLS.
    pub certificate: Option<String>,
}

impl Announcement {
    /// What this gateway announces; the error is why it announces nothing.
    pub fn of(info: &GatewayInfo, config: &DiscoveryConfig) -> Result<Self, &'static str> {
        let listening: Vec<SocketAddr> = info.addresses.iter().filter_map(|address| address.parse().ok()).collect();
        let Some(port) = listening.first().map(SocketAddr::port) else { return Err("it listens nowhere") };
        let (own, beyond): (Vec<IpAddr>, Vec<IpAddr>) =
            listening.iter().map(SocketAddr::ip).partition(|address| address.is_loopback());
        let addresses = match config.mode {
            Mode::Off => return Err("discovery is off"),
            Mode::Auto if beyond.is_empty() => return Err("nobody but this machine can reach it"),
            Mode::On if beyond.is_empty() => own,
            Mode::Auto | Mode::On => beyond,
        };
        let host = host_label(&info.host);
        Ok(Announcement {
            name: cut(config.name.as_deref().unwrap_or(&host)).to_string(),
            host: format!("{host}.local"),
            port,
            addresses,
            interfaces: config.interfaces.clone(),
            canvas_port: info.surface_ports.get(CANVAS).copied(),
            certificate: info.tls_fingerprint.as_deref().map(|hex| hex.trim_start_matches("sha256:").to_string()),
        })
    }

    /// The service's facts.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("role", "gateway".to_string()),
            ("transport", "gateway".to_string()),
            ("gatewayPort", self.port.to_string()),
            ("lanHost", self.host.clone()),
            ("displayName", self.name.clone()),
        ];
        facts.extend(self.canvas_port.map(|port| ("canvasPort", port.to_string())));
        if let Some(certificate) = &self.certificate {
            facts.extend([("gatewayTls", "1".to_string()), ("gatewayTlsSha256", certificate.clone())]);
        }
        facts
    }
}

/// The first label of the machine's name, in characters that DNS takes.
fn host_label(host: &str) -> String {
    let first = host.split('.').next().unwrap_or_default();
    let label: String = first.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "clawhost".to_string() } else { label.to_string() }
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_NAME)]
}
