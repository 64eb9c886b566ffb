//! What the kernel knows of the server's process, and how many sockets this one may open.

use std::time::Duration;

pub use clawhost_tests::support::resident_kib;

/// Clock ticks per second of `/proc/PID/stat`: fixed at 100 for every architecture Linux still supports.
const TICKS_PER_SECOND: u64 = 100;

/// User and system time of a process, with all of its threads.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may hold spaces; the third begins after the last one.
    let mut fields = stat.rsplit_once(") ")?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

/// How many files and sockets this process may have open.
pub fn descriptor_limit() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Refuses what the descriptor limit would cut short, with the number that would fit.
pub fn check_descriptors(connections: usize) -> Result<(), String> {
    const OTHERS: u64 = 64;
    match descriptor_limit() {
        Some(limit) if connections as u64 + OTHERS > limit => Err(format!(
            "{connections} connections do not fit the limit of {limit} open files; at most {} do (ulimit -n)",
            limit.saturating_sub(OTHERS)
        )),
        _ => Ok(()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_this_process() {
        let pid = std::process::id();
        assert!(cpu_time(pid).is_some());
        assert!(resident_kib(pid).unwrap() > 100);
        assert!(check_descriptors(1).is_ok());
        assert!(check_descriptors(usize::MAX / 2).is_err());
    }
}
