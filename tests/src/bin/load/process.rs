//! What the kernel knows of the server's process, and how many sockets this one may open.

use std::collections::BTreeMap;
use std::time::Duration;

pub use clawhost_tests::support::resident_kib;

/// Clock ticks per second of `/proc/PID/stat`: fixed at 100 for every architecture Linux still supports.
const TICKS_PER_SECOND: u64 = 100;

/// User and system time of a process, with all of its threads.
fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may hold spaces; the third begins after the last one.
    let mut fields = stat.rsplit_once(") ")?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

/// A reading of the CPU time of a process.
#[derive(Debug, Clone)]
pub struct Cpu {
    whole: Duration,
    /// Nanoseconds of each thread by its number, as the scheduler counts them.
    threads: BTreeMap<String, u64>,
}

impl Cpu {
    pub fn of(pid: u32) -> Option<Cpu> {
        let mut threads = BTreeMap::new();
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            // One that has just ended has no file any more.
            let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let spent = text.split_whitespace().next().and_then(|text| text.parse().ok());
            threads.extend(spent.map(|spent| (thread.file_name().to_string_lossy().into_owned(), spent)));
        }
        Some(Cpu { whole: cpu_time(pid)?, threads })
    }

    /// What was spent since another reading: to the nanosecond if its threads are all still there, since a thread takes its
    /// own count with it, and to a tick of the clock otherwise.
    pub fn since(&self, before: &Cpu) -> Duration {
        let has_all = before.threads.keys().all(|thread| self.threads.contains_key(thread));
        if before.threads.is_empty() || !has_all {
            return self.whole.saturating_sub(before.whole);
        }
        let sum = |cpu: &Cpu| cpu.threads.values().sum();
        Duration::from_nanos(sum(self)).saturating_sub(Duration::from_nanos(sum(before)))
    }
}

/// Descriptors that a process needs beside its connections.
pub const OTHERS: u64 = 64;

/// How many files and sockets a process may have open; this one if none is named.
pub fn descriptor_limit(pid: Option<u32>) -> Option<u64> {
    let process = pid.map_or("self".to_string(), |pid| pid.to_string());
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Refuses what the descriptor limit would cut short, with the number that would fit.
pub fn check_descriptors(connections: usize) -> Result<(), String> {
    match descriptor_limit(None) {
        Some(limit) if connections as u64 + OTHERS > limit => Err(format!(
            "{connections} connections do not fit the limit of {limit} open files; at most {} do (ulimit -n)",
            limit.saturating_sub(OTHERS)
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod arithmetic {
    use super::*;

    #[test]
    fn a_thread_that_has_ended_takes_the_fine_count_with_it() {
        let cpu = |millis: u64, threads: &[(&str, u64)]| Cpu {
            whole: Duration::from_millis(millis),
            threads: threads.iter().map(|(name, spent)| (name.to_string(), *spent)).collect(),
        };
        let before = cpu(10, &[("1", 100), ("2", 50)]);
        assert_eq!(cpu(30, &[("1", 300), ("2", 50), ("3", 7)]).since(&before), Duration::from_nanos(207));
        assert_eq!(cpu(30, &[("1", 300)]).since(&before), Duration::from_millis(20));
        assert_eq!(cpu(30, &[]).since(&cpu(10, &[])), Duration::from_millis(20));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_this_process() {
        let pid = std::process::id();
        let before = Cpu::of(pid).unwrap();
        assert!(std::hint::black_box((0..100_000u64).map(std::hint::black_box).sum::<u64>()) > 0);
        let after = Cpu::of(pid).unwrap();
        assert!(after.since(&before) > Duration::ZERO, "{before:?} {after:?}");
        assert!(resident_kib(pid).unwrap() > 100);
        assert!(check_descriptors(1).is_ok());
        assert!(check_descriptors(usize::MAX / 2).is_err());
    }
}
