//! The memory of the gateway's process, as the kernel counts it.

use std::sync::Arc;
use std::time::Instant;

use clawhost_tests::support::{PATIENCE, resident_kib};

use crate::attack::{Finding, Outcome, healthy};
use crate::target::Target;

/// How much more than before the first attack may be resident, in KiB.
const SLACK_KIB: u64 = 32 * 1024;

/// What was resident before the first attack.
pub struct Memory {
    pid: u32,
    before_kib: u64,
}

impl Memory {
    pub fn of(pid: u32) -> Result<Memory, String> {
        let before_kib = resident_kib(pid).ok_or_else(|| format!("--pid {pid}: its memory cannot be read"))?;
        Ok(Memory { pid, before_kib })
    }

    /// Looks until it is back where it was. A served client lies between two looks, so that the gateway has had its turn.
    pub async fn settles(&self, target: &Arc<Target>) -> Outcome {
        let begun = Instant::now();
        loop {
            let Some(now_kib) = resident_kib(self.pid) else {
                return Err(Finding::new("a running gateway", format!("no process {}", self.pid)));
            };
            let more_kib = now_kib.saturating_sub(self.before_kib);
            if more_kib <= SLACK_KIB {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let expected = format!("at most {SLACK_KIB} KiB more memory than before the first attack");
                return Err(Finding::new(expected, format!("{more_kib} KiB more")));
            }
            healthy(target).await?;
        }
    }
}
