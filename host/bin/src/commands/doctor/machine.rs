//! The machine: room on the disk, how many files may be open, and whether the clock can be right.

use std::path::Path;
use std::time::{Duration, SystemTime};

use clawhost::state::LocalGateway;

use super::Patient;
use super::finding::Finding;

const MIB: u64 = 1024 * 1024;
/// With less, the next backup or migration fails.
const TIGHT: u64 = 512 * MIB;
/// With less, the database cannot grow.
const FULL: u64 = 32 * MIB;
/// What a gateway needs beside its connections: database, log, plugins, listening.
const OWN_DESCRIPTORS: u64 = 256;
/// With fewer, a household is too many.
const FEWEST_DESCRIPTORS: u64 = 1024;
/// When this was written, and when nobody will run it any more; in seconds since the epoch.
const SANE: std::ops::Range<u64> = 1_735_689_600..4_102_444_800;
/// How far ahead of the clock a file may be that the gateway wrote.
const AHEAD: Duration = Duration::from_secs(300);

/// Looks at all three.
pub fn examine(patient: &Patient) -> Vec<Finding> {
    let disk = disk(&patient.state_dir);
    disk.into_iter().chain([descriptors(patient), clock(&patient.state_dir)]).collect()
}

fn disk(folder: &Path) -> Option<Finding> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let found = rustix::fs::statvfs(there).ok()?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let what = format!("{} MiB are free where the state folder is", free / MIB);
    let judged = match free {
        ..FULL => Finding::error("disk", format!("{what}, so the database cannot be written")),
        FULL..TIGHT => Finding::warning("disk", what),
        _ => return Some(Finding::ok("disk", what)),
    };
    Some(judged.file(folder).edit("make room there, or move the state folder and name it with gateway.state_dir"))
}

fn descriptors(patient: &Patient) -> Finding {
    let (whose, limit) = match patient.running.as_ref().and_then(limit_of) {
        Some(limit) => ("the gateway", limit),
        None => ("a gateway started here", own_limit()),
    };
    let connections = patient.config.as_ref().map_or(0, |config| config.gateway.limits.max_connections as u64);
    let what = format!("{whose} may have {limit} files and sockets open");
    let remedy = "ulimit -n 65536";
    if limit < FEWEST_DESCRIPTORS {
        return Finding::warning("descriptors", format!("{what}, which a few dozen clients use up")).run(remedy);
    }
    if limit < connections.saturating_add(OWN_DESCRIPTORS) {
        let what = format!("{what}, fewer than the {connections} connections that its configuration lets in");
        return Finding::note("descriptors", what).key("gateway.limits.max_connections").value(connections).run(remedy);
    }
    Finding::ok("descriptors", what)
}

fn own_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The limit of a process, where the system tells of others' (Linux).
fn limit_of(gateway: &LocalGateway) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid)).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" { Some(u64::MAX) } else { soft.parse().ok() }
}

/// Whether the clock can be right. How far it is from the gateway's is seen when that is asked.
fn clock(state_dir: &Path) -> Finding {
    let remedy = "sudo timedatectl set-ntp true";
    let now = SystemTime::now();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if !SANE.contains(&seconds) {
        let what =
            format!("the clock cannot be right ({seconds} s since 1970): certificates and signatures depend on it");
        return Finding::error("clock", what).run(remedy);
    }
    let written = [state_dir.join("state.db"), state_dir.join("logs/clawhost.jsonl")];
    let ahead = written.iter().find(|path| {
        let changed = std::fs::metadata(path).and_then(|found| found.modified());
        changed.is_ok_and(|changed| changed.duration_since(now).is_ok_and(|ahead| ahead > AHEAD))
    });
    match ahead {
        Some(path) => {
            let what =
                format!("{} was written later than it is now: the clock is behind, or was ahead", path.display());
            Finding::warning("clock", what).file(path).run(remedy)
        }
        None => Finding::ok("clock", "the clock can be right"),
    }
}
