//! Who can reach the gateway, and whether they could listen in.

use clawhost::config::{Bind, Config};

use super::Patient;
use super::finding::Finding;

const CHECK: &str = "exposure";
const KEY: &str = "gateway.bind";

/// Looks at the address and at TLS.
pub fn examine(patient: &Patient) -> Vec<Finding> {
    patient.config.iter().map(judged).collect()
}

fn judged(config: &Config) -> Finding {
    let gateway = &config.gateway;
    let shown = config.redacted()["gateway"]["bind"].clone();
    if !gateway.bind.is_exposed() {
        return Finding::ok(CHECK, "it listens for this machine alone").key(KEY).value(shown);
    }
    if gateway.tls.enabled {
        return Finding::ok(CHECK, "other machines can reach it, by TLS").key(KEY).value(shown);
    }
    if gateway.bind == Bind::Tailnet {
        let what = "machines of the tailnet can reach it; Tailscale encrypts what they say, the gateway does not";
        return Finding::note(CHECK, what).key(KEY).value(shown);
    }
    let what = "other machines can reach it without TLS: whoever is on the way reads secrets and conversations";
    let change = match gateway.trusted_proxies.is_empty() {
        true => "enabled = true in [gateway.tls]; or bind = \"loopback\", behind a tunnel or a proxy with TLS",
        false => "bind = \"loopback\", if the proxy is on this machine; or enabled = true in [gateway.tls]",
    };
    Finding::warning(CHECK, what).key(KEY).value(shown).edit(change)
}
