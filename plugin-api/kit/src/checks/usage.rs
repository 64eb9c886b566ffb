//! What this process holds, as far as the system tells.

/// Memory, threads and open files.
pub(super) struct Usage {
    resident: usize,
    threads: usize,
    files: usize,
}

impl Usage {
    /// `None` where the system does not tell.
    pub(super) fn now() -> Option<Self> {
        let count = |folder: &str| std::fs::read_dir(folder).ok().map(Iterator::count);
        let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: usize = statm.split(' ').nth(1)?.parse().ok()?;
        /// Pages are larger on some machines; then less is found, and nothing wrongly.
        const PAGE: usize = 4096;
        Some(Usage { resident: pages * PAGE, threads: count("/proc/self/task")?, files: count("/proc/self/fd")? })
    }

    /// What is more than it was before so many attempts, as words.
    pub(super) fn beyond(&self, before: &Usage, attempts: usize, most_bytes: usize) -> Vec<String> {
        // A thread or a file that something else opened meanwhile is no leak; one for every attempt is.
        let many = attempts / 10;
        let grown = self.resident.saturating_sub(before.resident);
        let threads = self.threads.saturating_sub(before.threads);
        let files = self.files.saturating_sub(before.files);
        let mut left = Vec::new();
        if grown > attempts * most_bytes {
            left.push(format!("{} KiB of memory", grown / 1024));
        }
        if threads > many {
            left.push(format!("{threads} threads"));
        }
        if files > many {
            left.push(format!("{files} open files"));
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grows_with_the_attempts_is_told() {
        let before = Usage { resident: 1 << 20, threads: 4, files: 10 };
        let same = Usage { resident: (1 << 20) + 1000, threads: 5, files: 11 };
        assert!(same.beyond(&before, 100, 1024).is_empty());
        let more = Usage { resident: 3 << 20, threads: 104, files: 110 };
        assert_eq!(more.beyond(&before, 100, 1024), ["2048 KiB of memory", "100 threads", "100 open files"]);
    }
}
