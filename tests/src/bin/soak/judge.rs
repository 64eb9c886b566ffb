//! What numbers over time say of a gateway.

use std::time::Duration;

/// Memory that a gateway may gain in a minute, in KiB, unless said.
pub const MAX_SLOPE_KIB: f64 = 128.0;
/// What is looked at before this is how a gateway becomes warm.
const WARM: f64 = 0.3;
/// Fewer looks than this, or a shorter time, say nothing of a slope.
const FEWEST: usize = 10;
const SHORTEST: Duration = Duration::from_secs(600);
/// Descriptors that may be more at the end than before the load: what the gateway opens once and keeps, such as connections to
/// its databases.
pub const SPARE_DESCRIPTORS: u64 = 64;

/// A look at the gateway's process.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Look {
    /// Seconds since the load began.
    pub at: f64,
    /// Resident memory.
    pub resident_kib: u64,
    /// Open files and sockets.
    pub descriptors: u64,
}

/// KiB a minute by which memory grows, once the gateway is warm: the line with the least squares. `None` if there is too
/// little to see.
pub fn slope(looks: &[Look]) -> Option<f64> {
    let warm = &looks[(looks.len() as f64 * WARM) as usize..];
    let (first, last) = (warm.first()?, warm.last()?);
    if warm.len() < FEWEST || last.at - first.at < SHORTEST.as_secs_f64() * (1.0 - WARM) {
        return None;
    }
    let count = warm.len() as f64;
    let mean_at = warm.iter().map(|look| look.at).sum::<f64>() / count;
    let mean = warm.iter().map(|look| look.resident_kib as f64).sum::<f64>() / count;
    let together: f64 = warm.iter().map(|look| (look.at - mean_at) * (look.resident_kib as f64 - mean)).sum();
    let alone: f64 = warm.iter().map(|look| (look.at - mean_at).powi(2)).sum();
    Some(together / alone * 60.0)
}

/// Ticks that are missing between two that came, by the times that they show.
pub fn missing(before_ms: u64, after_ms: u64, interval_ms: u64) -> u64 {
    // Rounded: one that is a little late is not missing.
    (after_ms.saturating_sub(before_ms) + interval_ms / 2).checked_div(interval_ms).unwrap_or(0).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(resident: impl Fn(u64) -> u64) -> Vec<Look> {
        (0..120).map(|n| Look { at: 10.0 * n as f64, resident_kib: resident(n), descriptors: 20 }).collect()
    }

    #[test]
    fn memory_that_grows_is_seen_and_memory_that_sways_is_not() {
        let grows = slope(&looks(|n| 10_000 + 100 * n)).expect("twenty minutes");
        assert!((599.0..601.0).contains(&grows), "{grows}");
        let sways = slope(&looks(|n| 10_000 + 500 * (n % 2))).expect("twenty minutes");
        assert!(sways.abs() < 20.0, "{sways}");
        // Whatever it takes to become warm is not growth.
        let warm = slope(&looks(|n| if n < 30 { n * 1_000 } else { 30_000 })).expect("twenty minutes");
        assert!(warm.abs() < 1.0, "{warm}");
    }

    #[test]
    fn a_short_run_says_nothing_of_a_slope() {
        assert_eq!(slope(&looks(|n| n)[..20]), None);
        assert_eq!(slope(&[]), None);
    }

    #[test]
    fn missing_ticks_are_counted() {
        for (after, expected) in [(1_000, 0), (1_400, 0), (1_600, 1), (2_000, 1), (5_100, 4), (0, 0)] {
            assert_eq!(missing(0, after, 1_000), expected, "{after}");
        }
        assert_eq!(missing(7_000, 5_000, 1_000), 0, "a clock that was set back");
    }
}
