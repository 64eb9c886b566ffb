//! Where the daemon listens. It lets everybody in who reaches it, so another machine has to be allowed, or be behind https.

use std::net::IpAddr;
use std::path::PathBuf;

use outside::service::{Service, ServiceConfig};

/// An address of a daemon.
#[derive(Debug)]
pub enum Address {
    /// Started with `--http`; requests and events are requests of HTTP.
    Http(Service),
    /// Started with `--tcp`: a JSON text a line. A name or address, and a port.
    Tcp(String, u16),
    /// Started with `--socket`: the same, through a file.
    Unix(PathBuf),
}

impl Address {
    /// Reads one; what is wrong is for the operator.
    pub fn parse(text: &str, allow_remote: bool) -> Result<Self, String> {
        let text = text.trim();
        let (scheme, rest) = text.split_once(':').unwrap_or_default();
        let (address, host) = match scheme {
            "http" | "https" => {
                let config = ServiceConfig { base_url: text.to_string(), ..ServiceConfig::default() };
                let service = Service::new("signal-cli", "", &config).map_err(|_| unfit(text))?;
                let authority = rest.trim_start_matches('/').split('/').next().unwrap_or_default();
                let host = host_of(authority).to_string();
                (Address::Http(service), host)
            }
            "tcp" => {
                let authority = rest.strip_prefix("//").unwrap_or(rest).trim_end_matches('/');
                let (host, port) = authority.rsplit_once(':').ok_or_else(|| unfit(text))?;
                let port = port.parse().ok().filter(|&port| port > 0).ok_or_else(|| unfit(text))?;
                let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
                if host.is_empty() || host.contains(['/', '@']) {
                    return Err(unfit(text));
                }
                (Address::Tcp(host.clone(), port), host)
            }
            "unix" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err(
                        "address: unix: needs an absolute path, as in \"unix:/run/signal-cli/socket\"".to_string()
                    );
                }
                return Ok(Address::Unix(path.into()));
            }
            _ => return Err(unfit(text)),
        };
        if scheme == "https" || allow_remote || is_loopback(&host) {
            return Ok(address);
        }
        Err(format!(
            "address: {text:?} is on another machine, and signal-cli's daemon lets in everybody who reaches it; put it \
             behind https, or set allow_remote = true if nobody else reaches it"
        ))
    }

    /// As it is shown to people.
    pub fn shown(&self) -> String {
        match self {
            Address::Http(service) => service.base().to_string(),
            Address::Tcp(host, port) if host.contains(':') => format!("tcp://[{host}]:{port}"),
            Address::Tcp(host, port) => format!("tcp://{host}:{port}"),
            // Whoever sees the status need not learn of this machine's folders.
            Address::Unix(_) => "unix".to_string(),
        }
    }

    /// Whether each account has a stream of events of its own.
    pub fn is_http(&self) -> bool {
        matches!(self, Address::Http(_))
    }
}

fn unfit(text: &str) -> String {
    format!(
        "address: {text:?} is none of \"http://127.0.0.1:8080\", \"tcp://127.0.0.1:7583\" and \"unix:/run/signal-cli/socket\""
    )
}

fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        for (text, shown) in [
            (" http://127.0.0.1:8080/ ", "http://127.0.0.1:8080"),
            ("http://localhost", "http://localhost"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("https://signal.example.org/daemon", "https://signal.example.org/daemon"),
            ("tcp://127.0.0.1:7583", "tcp://127.0.0.1:7583"),
            ("tcp:localhost:7583", "tcp://localhost:7583"),
            ("tcp://[::1]:7583/", "tcp://[::1]:7583"),
            ("unix:/run/socket", "unix"),
            ("unix:///run/socket", "unix"),
        ] {
            assert_eq!(Address::parse(text, false).unwrap().shown(), shown, "{text}");
        }
        for text in
            ["", "127.0.0.1:8080", "ftp://a", "tcp://a", "tcp://:1", "tcp://a:0", "tcp://a:99999", "http://me:key@a"]
        {
            assert!(Address::parse(text, true).unwrap_err().starts_with("address: "), "{text}");
        }
        assert!(Address::parse("unix:run/socket", true).unwrap_err().contains("absolute"));
    }

    #[test]
    fn another_machine_has_to_be_allowed() {
        for text in [
            "http://10.0.0.7:8080",
            "http://signal.example.org",
            "tcp://10.0.0.7:7583",
            "tcp://localhost.example:1",
            "http://127.0.0.1.example.org",
            "http://[fe80::1]:80",
        ] {
            let why = Address::parse(text, false).unwrap_err();
            assert!(why.contains("lets in everybody") && why.contains("allow_remote"), "{why}");
            Address::parse(text, true).unwrap();
        }
    }
}
