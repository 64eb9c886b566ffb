//! Times for people: how long ago, how long, at what time of day.

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long ago something was; both in milliseconds since the epoch. A clock that is ahead says "just now".
pub fn ago(then_ms: u64, now_ms: u64) -> String {
    let elapsed = now_ms.saturating_sub(then_ms);
    if elapsed < 5 * SECOND { "just now".to_string() } else { format!("{} ago", coarse(elapsed)) }
}

/// How long something takes or took, in its two largest units.
pub fn span(ms: u64) -> String {
    let (large, rest) = match ms {
        DAY.. => (format!("{} d", ms / DAY), ms % DAY / HOUR * HOUR),
        HOUR.. => (format!("{} h", ms / HOUR), ms % HOUR / MINUTE * MINUTE),
        MINUTE.. => (format!("{} min", ms / MINUTE), ms % MINUTE / SECOND * SECOND),
        SECOND.. => return format!("{} s", ms / SECOND),
        _ => return format!("{ms} ms"),
    };
    if rest == 0 { large } else { format!("{large} {}", coarse(rest)) }
}

/// The time of day in UTC, as logs have it.
pub fn clock(ms: u64) -> String {
    let seconds = ms / SECOND % (DAY / SECOND);
    format!("{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn coarse(ms: u64) -> String {
    match ms {
        DAY.. => format!("{} d", ms / DAY),
        HOUR.. => format!("{} h", ms / HOUR),
        MINUTE.. => format!("{} min", ms / MINUTE),
        _ => format!("{} s", ms / SECOND),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unit_is_enough_for_the_past() {
        let now = 1_737_264_000_000;
        for (elapsed, expected) in [
            (0, "just now"),
            (4_999, "just now"),
            (59_999, "59 s ago"),
            (MINUTE, "1 min ago"),
            (HOUR - 1, "59 min ago"),
            (25 * HOUR, "1 d ago"),
        ] {
            assert_eq!(ago(now - elapsed, now), expected);
        }
        assert_eq!(ago(now + HOUR, now), "just now");
    }

    #[test]
    fn spans_have_two_units() {
        for (ms, expected) in [
            (7, "7 ms"),
            (1_500, "1 s"),
            (61_000, "1 min 1 s"),
            (2 * HOUR, "2 h"),
            (2 * HOUR + 59_000, "2 h"),
            (DAY + 3 * HOUR + MINUTE, "1 d 3 h"),
        ] {
            assert_eq!(span(ms), expected);
        }
        assert_eq!(clock(1_737_264_000_000 + 3_723_004), "06:22:03Z");
    }
}
