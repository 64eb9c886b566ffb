//! `device.pair.setupCode`: an invitation of the host, and where the gateway is, in one text.

use plugin_api::catalogue::{GatewayInfo, Invite, Invited};
use plugin_api::{Call, MethodError, NoParams};
use schemars::JsonSchema;
use schemas::setup_code::SetupCode;
use serde::{Deserialize, Serialize};

const LONGEST_URL: usize = 512;

/// Parameters of `device.pair.setupCode`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetupCodeParams {
    /// `operator` (the default) or `node`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub role: Option<String>,
    /// What an operator may do at most; absent is to read and to write.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub scopes: Option<Vec<String>>,
    /// A name for the device.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub label: Option<String>,
    /// Where the device reaches the gateway: `ws://HOST:PORT` or `wss://HOST:PORT`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub url: Option<String>,
}

/// A setup code.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetupCodeMade {
    /// What the device is given: base64url of JSON with `url`, `bootstrapToken` and perhaps `tlsSha256`.
    pub setup_code: String,
    /// Where it leads.
    pub url: String,
    /// When it is worth nothing any more, in milliseconds since the epoch.
    pub expires_at_ms: u64,
    /// The role it is for.
    pub role: String,
    /// What it grants at most.
    pub scopes: Vec<String>,
    /// SHA-256 of the certificate that the device trusts by it: `sha256:` and 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_fingerprint: Option<String>,
}

/// Makes a code. The invitation comes last, so that none is left behind by what is wrong with the address.
pub async fn make(call: &Call, params: SetupCodeParams) -> Result<SetupCodeMade, MethodError> {
    let SetupCodeParams { role, scopes, label, url } = params;
    let info: GatewayInfo = call.invoke("host.gateway.info", &NoParams {}).with_own_grants().send().await?;
    let url = address(url.as_deref(), &info).map_err(MethodError::invalid_request)?;
    let tls_fingerprint = info.tls_fingerprint.filter(|_| is_of_this_gateway(&url, &info.addresses));
    let invited: Invited = call.invoke("host.pairing.invite", &Invite { role, scopes, label }).send().await?;
    let code = SetupCode {
        url: url.clone(),
        bootstrap_token: invited.bootstrap_token,
        tls_sha256: tls_fingerprint.as_deref().map(|pin| pin.trim_start_matches("sha256:").to_string()),
    };
    Ok(SetupCodeMade {
        setup_code: code.encode(),
        url,
        expires_at_ms: invited.expires_at_ms,
        role: invited.role,
        scopes: invited.scopes,
        tls_fingerprint,
    })
}

/// The address that was named, or else the one under which others find this machine.
fn address(named: Option<&str>, info: &GatewayInfo) -> Result<String, String> {
    if let Some(url) = named {
        return checked(url.trim()).map(str::to_string);
    }
    let scheme = if info.tls_fingerprint.is_some() { "wss" } else { "ws" };
    let places = info.addresses.iter().filter_map(|address| address.parse::<std::net::SocketAddr>().ok());
    for place in places.filter(|place| !place.ip().is_loopback()) {
        if !place.ip().is_unspecified() {
            return Ok(format!("{scheme}://{place}"));
        }
        if let Some(ip) = &info.ip {
            let host = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
            return Ok(format!("{scheme}://{host}:{}", place.port()));
        }
    }
    Err("this gateway knows no address under which another machine reaches it: name one as `url`, or with --reach"
        .to_string())
}

/// An address as clients understand it, and without anything that is none of theirs.
fn checked(url: &str) -> Result<&str, String> {
    let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("wss://"));
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#' | '"' | '<' | '>' | '\\');
    let fits = url.len() <= LONGEST_URL
        && rest.is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && rest.chars().all(is_plain)
        });
    if fits { Ok(url) } else { Err("url must be ws://HOST:PORT or wss://HOST:PORT".to_string()) }
}

/// Whether the address leads here and not to a proxy, which shows a certificate of its own.
fn is_of_this_gateway(url: &str, addresses: &[String]) -> bool {
    let Some(place) = url.strip_prefix("wss://").map(|rest| rest.split('/').next().unwrap_or_default()) else {
        return false;
    };
    let port = |place: &str| place.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let wanted = port(place).unwrap_or(443);
    addresses.iter().any(|address| port(address) == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(addresses: &[&str], ip: Option<&str>, tls: bool) -> GatewayInfo {
        let mut info = serde_json::json!({
            "version": "1", "host": "h", "platform": "linux", "arch": "x", "pid": 1, "startedAtMs": 1, "uptimeMs": 1,
            "addresses": addresses, "stateDir": "/s", "tickIntervalMs": 1,
            "sessionDefaults": {"defaultAgentId": "a", "mainKey": "m", "mainSessionKey": "k", "scope": "global"},
        });
        info["ip"] = ip.into();
        if tls {
            info["tlsFingerprint"] = "sha256:ab".into();
        }
        serde_json::from_value(info).unwrap()
    }

    #[test]
    fn the_address_is_one_that_others_reach() {
        let at = |addresses: &[&str], ip, tls| address(None, &info(addresses, ip, tls));
        assert_eq!(at(&["127.0.0.1:1", "192.0.2.1:1"], None, false).unwrap(), "ws://192.0.2.1:1");
        assert_eq!(at(&["0.0.0.0:1"], Some("192.0.2.2"), true).unwrap(), "wss://192.0.2.2:1");
        assert_eq!(at(&["[::]:1"], Some("2001:db8::1"), true).unwrap(), "wss://[2001:db8::1]:1");
        for (addresses, ip) in
            [(&["127.0.0.1:1", "[::1]:1"][..], Some("192.0.2.2")), (&["0.0.0.0:1"], None), (&[], None)]
        {
            assert!(at(addresses, ip, false).unwrap_err().contains("`url`"));
        }
        let named = |url| address(Some(url), &info(&[], None, false));
        for url in ["ws://h:1", "wss://gateway.example/path", "ws://[::1]:1"] {
            assert_eq!(named(url).unwrap(), url);
        }
        let long = format!("ws://{}", "h".repeat(600));
        for url in
            ["h:1", "http://h", "ws://", "ws:///x", "ws://user@h", "ws://h?t=1", "ws://h\u{1b}[2K", "ws://h h", &long]
        {
            assert!(named(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_certificate_goes_with_the_gateways_own_port_only() {
        let own = ["0.0.0.0:18789".to_string()];
        assert!(
            is_of_this_gateway("wss://h:18789/x", &own) && is_of_this_gateway("wss://h", &["[::]:443".to_string()])
        );
        assert!(!is_of_this_gateway("wss://h", &own) && !is_of_this_gateway("ws://h:18789", &own));
    }
}
