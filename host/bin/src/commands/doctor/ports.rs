//! Where the gateway listens, or would: whether that is free, and who is there if it is not.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use clawhost::config::Config;
use clawhost::state::LocalGateway;

use super::Patient;
use super::finding::Finding;

const CHECK: &str = "ports";
const KEY: &str = "gateway.port";

/// Looks where the gateway that runs is, or tries what a start would.
pub fn examine(patient: &Patient) -> Vec<Finding> {
    match (&patient.running, &patient.config) {
        (Some(gateway), config) => held(gateway, config.as_ref()),
        (None, Some(config)) => tried(config),
        (None, None) => Vec::new(),
    }
}

fn held(gateway: &LocalGateway, config: Option<&Config>) -> Vec<Finding> {
    let LocalGateway { url, port, pid, version, .. } = gateway;
    let mut findings = vec![Finding::ok(CHECK, format!("the gateway that runs (pid {pid}) holds port {port}: {url}"))];
    let configured = config.map_or(0, |config| config.gateway.port);
    if configured != 0 && configured != *port {
        let what = format!(
            "it listens on port {port}, and the configuration says {configured}: a flag said otherwise, or it holds after a restart"
        );
        findings.push(Finding::note(CHECK, what).key(KEY).value(configured));
    }
    if version != env!("CARGO_PKG_VERSION") {
        let what =
            format!("the gateway that runs is version {version}, and this program is {}", env!("CARGO_PKG_VERSION"));
        findings.push(Finding::note("version", what).edit("restart it to have them alike"));
    }
    findings
}

/// The first address must be had; of the others a gateway does without.
fn tried(config: &Config) -> Vec<Finding> {
    let port = config.gateway.port;
    if port == 0 {
        return vec![Finding::ok(CHECK, "the system picks a free port at the start").key(KEY).value(0)];
    }
    let mut findings: Vec<Finding> = Vec::new();
    for (index, address) in config.listen_addresses().into_iter().enumerate() {
        let Err(error) = TcpListener::bind(address) else { continue };
        let what = in_the_way(address, error.kind()).unwrap_or_else(|| format!("{address} cannot be had: {error}"));
        let free = "name another port there, or stop what is on this one";
        let found = match error.kind() {
            // Without IPv6 a machine is a machine all the same.
            ErrorKind::AddrNotAvailable if index > 0 => continue,
            ErrorKind::AddrNotAvailable => {
                let what = format!("this machine has no address {}", address.ip());
                Finding::error(CHECK, what)
                    .key("gateway.bind")
                    .edit("bind = \"loopback\", or an address of this machine")
            }
            ErrorKind::PermissionDenied => {
                let what = format!("port {port} is for root alone");
                Finding::error(CHECK, what).key(KEY).value(port).edit("name a port above 1023")
            }
            _ if index > 0 => Finding::warning(CHECK, what).key(KEY).value(port).edit(free),
            _ => Finding::error(CHECK, what).key(KEY).value(port).edit(free),
        };
        findings.push(found);
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("port {port} is free")).key(KEY).value(port));
    }
    findings
}

fn in_the_way(address: SocketAddr, kind: ErrorKind) -> Option<String> {
    let holder = || match holder(address) {
        Some((pid, name)) => format!("{name} (pid {pid})"),
        None => "a program of another user".to_string(),
    };
    (kind == ErrorKind::AddrInUse).then(|| format!("{address} is taken, by {}", holder()))
}

/// Who listens there, as far as the system tells (on Linux, of one's own processes).
fn holder(address: SocketAddr) -> Option<(u32, String)> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = std::fs::read_to_string(table).ok()?;
        listening(&table, address.port())
    })?;
    let socket = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|link| link.as_os_str() == socket.as_str())
    })?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some((pid, name.trim().to_string()))
}

/// The inode of the socket that listens on a port, by the kernel's table: `sl local_address rem_address st … inode`.
fn listening(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let own = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        (own == port && *state == LISTEN).then(|| inode.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_names_the_socket_that_listens() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:4965 0100007F:D2A4 01 00000000:00000000 00:00000000 00000000  1000        0 11 1 0 20\n   \
                     1: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100\n";
        assert_eq!(listening(table, 18789), Some(4711));
        assert_eq!(listening(table, 18790), None);
    }

    #[test]
    fn whoever_holds_a_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(holder(address).map(|(pid, _)| pid), Some(std::process::id()));
        }
        assert!(in_the_way(address, ErrorKind::AddrInUse).unwrap().starts_with(&format!("{address} is taken, by ")));
        assert_eq!(in_the_way(address, ErrorKind::PermissionDenied), None);
    }
}
