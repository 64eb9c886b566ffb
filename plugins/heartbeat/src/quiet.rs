//! Hours in which no heartbeat comes by itself.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::HeartbeatConfig;

/// From one time of day to another, beyond midnight if the second one is earlier.
pub struct Hours {
    from: Time,
    until: Time,
    zone: TimeZone,
}

impl Hours {
    /// Those of the configuration.
    pub fn read(config: &HeartbeatConfig) -> Result<Option<Self>, String> {
        let zone = match config.time_zone.as_deref() {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name)
                .map_err(|_| "time_zone: no such time zone; write it as Europe/Berlin".to_string())?,
        };
        let time = |key: &str, text: &str| {
            Time::strptime("%H:%M", text).map_err(|_| format!("{key}: write a time of day as 22:00"))
        };
        match (config.quiet_from.as_deref(), config.quiet_until.as_deref()) {
            (None, None) => Ok(None),
            (Some(from), Some(until)) => {
                Ok(Some(Hours { from: time("quiet_from", from)?, until: time("quiet_until", until)?, zone }))
            }
            _ => Err("quiet_from and quiet_until go together".to_string()),
        }
    }

    /// Whether this moment is in them.
    pub fn hold(&self, now_ms: u64) -> bool {
        let moment = i64::try_from(now_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let Some(moment) = moment else { return false };
        let time = moment.to_zoned(self.zone.clone()).time();
        if self.from <= self.until {
            self.from <= time && time < self.until
        } else {
            self.from <= time || time < self.until
        }
    }
}
