//! Lengths of time as people write them: `500ms`, `90s`, `15m`, `12h`, `30d`.

use std::time::Duration;

/// What an unreadable length of time should have looked like.
pub const EXPECTED: &str = "a number with a unit (ms, s, m, h or d), such as \"30d\"";

/// Reads a length of time.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let milliseconds = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(milliseconds).map(Duration::from_millis)
}

/// Writes whole seconds in the largest unit that loses nothing.
pub fn write(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let (size, unit) =
        units.into_iter().find(|(size, _)| seconds > 0 && seconds.is_multiple_of(*size)).unwrap_or((1, "s"));
    format!("{}{unit}", seconds / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_unit_and_nothing_else() {
        assert_eq!(parse("30d"), Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(parse("12 h"), Some(Duration::from_secs(12 * 3_600)));
        assert_eq!(parse("15m"), Some(Duration::from_secs(900)));
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        for wrong in ["", "30", "d", "-1d", "1.5h", "3w", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        for seconds in [1, 60, 3_600, 86_400, 90] {
            assert_eq!(parse(&write(seconds)), Some(Duration::from_secs(seconds)));
        }
    }
}
