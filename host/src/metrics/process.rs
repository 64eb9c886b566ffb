//! What the kernel knows of this process, under the names that all programs use which Prometheus watches. Read when it is
//! asked for; systems without `/proc` show nothing of it.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::page::Page;

/// Ticks of the clock that `/proc` counts CPU time in: fixed, whatever the kernel itself ticks by.
const USER_HZ: f64 = 100.0;

/// Adds what there is.
pub(super) fn look(page: &mut Page) {
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::read) {
        page.one("process_cpu_seconds_total", &[], stat.cpu_seconds);
        page.one("process_threads", &[], stat.threads);
        page.one("process_virtual_memory_bytes", &[], stat.virtual_bytes);
    }
    let status = fs::read_to_string("/proc/self/status");
    if let Some(resident) = status.ok().as_deref().and_then(resident_bytes) {
        page.one("process_resident_memory_bytes", &[], resident);
    }
    if let Some(open) = open_descriptors() {
        page.one("process_open_fds", &[], open as f64);
        if let Some(most) = getrlimit(Resource::Nofile).current {
            page.one("process_max_fds", &[], most as f64);
        }
    }
}

#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: f64,
    virtual_bytes: f64,
}

impl Stat {
    /// Reads the one line of it. The name of the program is in it, and may hold anything.
    fn read(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // The state is the third field in the manual, and the first here.
        let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Stat {
            cpu_seconds: (number(14)? + number(15)?) / USER_HZ,
            threads: number(20)?,
            virtual_bytes: number(23)?,
        })
    }
}

fn resident_bytes(status: &str) -> Option<f64> {
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
    Some(kib?.trim().parse::<f64>().ok()? * 1024.0)
}

/// How many descriptors are open. Newer kernels say so; where there are thousands, counting them takes its time.
fn open_descriptors() -> Option<u64> {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).ok()?.len() {
        // The one that the folder is read with is not meant.
        0 => Some((fs::read_dir(folder).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_may_hold_anything() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 7 0 4242 123456 99 18446744073709551615";
        let stat = Stat::read(&format!("17 (a) b (c) {rest}\n"));
        assert_eq!(stat, Some(Stat { cpu_seconds: 2.0, threads: 7.0, virtual_bytes: 123_456.0 }));
        assert_eq!(Stat::read("17 (a) S 1 2"), None);
        assert_eq!(Stat::read(""), None);
    }

    #[test]
    fn memory_is_in_kib() {
        assert_eq!(resident_bytes("VmPeak:\t  999 kB\nVmRSS:\t    12 kB\n"), Some(12_288.0));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_open_is_counted() {
        let before = open_descriptors().unwrap();
        let files: Vec<_> = (0..40).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let meanwhile = open_descriptors().unwrap();
        drop(files);
        // Other tests open and close some of their own.
        assert!(meanwhile > before, "{before} {meanwhile}");
    }
}
