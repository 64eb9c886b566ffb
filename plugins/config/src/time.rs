//! A moment as ISO 8601 in UTC, for the one field of the wire that is a text.

const MS_PER_DAY: u64 = 86_400_000;

/// Milliseconds since the Unix epoch, written `2026-11-22T00:10:39.332Z`.
pub fn iso(ms: u64) -> String {
    let (year, month, day) = date(ms / MS_PER_DAY);
    let rest = ms % MS_PER_DAY;
    let (hour, minute, second, ms) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The date of a day counted from the epoch. Years are taken to begin on 1 March, so that the leap day comes last and
/// months follow one formula.
fn date(days: u64) -> (u64, u64, u64) {
    /// Days in 400 years, after which the calendar repeats.
    const ERA: u64 = 146_097;
    /// Days from 1 March of year 0 to the epoch.
    const TO_EPOCH: u64 = 719_468;
    let days = days + TO_EPOCH;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso(1_795_306_239_332), "2026-11-22T00:10:39.332Z");
        assert_eq!(iso(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
        assert_eq!(iso(4_107_542_400_000), "2100-03-01T00:00:00.000Z", "2100 is no leap year");
    }
}
