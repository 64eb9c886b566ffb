//! Moments such as `2027-01-31` or `2027-01-31T12:00:00+01:00`.

use toml::value::{Datetime, Offset};

/// What is needed where a moment is read.
pub(super) const EXPECTED: &str =
    "a date, or a date and a time with its offset, such as \"2027-01-31\" or \"2027-01-31T12:00:00Z\"";

/// Milliseconds since 1970. A date is its first moment in UTC; a time without an offset could be anybody's.
pub(super) fn parse(text: &str) -> Option<u64> {
    let moment: Datetime = text.trim().parse().ok()?;
    let date = moment.date?;
    let minutes_ahead = match (moment.time, moment.offset) {
        (None, None) | (Some(_), Some(Offset::Z)) => 0,
        (Some(_), Some(Offset::Custom { minutes })) => i64::from(minutes),
        _ => return None,
    };
    let seconds_of_day = moment.time.map_or(0, |time| {
        let minutes = u32::from(time.hour) * 60 + u32::from(time.minute);
        minutes * 60 + u32::from(time.second.unwrap_or(0))
    });
    let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let seconds = days * 86_400 + i64::from(seconds_of_day) - minutes_ahead * 60;
    u64::try_from(seconds * 1_000).ok()
}

/// Counts from March, so that the day which not every year has is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // The months from March on have 31, 30, 31, 30, 31 days, over and over.
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_counted() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("1970-01-02T00:00:01Z", 86_401),
            ("2000-02-29", 951_782_400),
            ("2000-03-01", 951_868_800),
            ("2027-01-31T12:00:00+01:00", 1_801_393_200),
            ("2027-01-31T11:00:00.999Z", 1_801_393_200),
            ("2027-01-31 09:30:00-01:30", 1_801_393_200),
        ] {
            assert_eq!(parse(text), Some(seconds * 1_000), "{text}");
        }
        for wrong in ["", "soon", "12:00:00", "2027-01-31T12:00:00", "2027-02-29", "2027-13-01", "1969-12-31"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
