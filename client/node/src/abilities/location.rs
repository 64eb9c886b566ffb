//! `location.get`: where this machine stands, as its user said.

use std::str::FromStr;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use crate::ability::{Ability, Refusal, Work};

/// A place that does not move.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// How far off it may be, in metres.
    pub accuracy_m: f64,
}

impl FromStr for Place {
    type Err = String;

    /// `LATITUDE,LONGITUDE` or `LATITUDE,LONGITUDE,METRES`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no place; LATITUDE,LONGITUDE is, such as 52.52,13.405, with the accuracy in metres after it if known"
            )
        };
        let numbers: Vec<f64> =
            text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let (latitude, longitude, accuracy_m) = match numbers[..] {
            [latitude, longitude] => (latitude, longitude, 100.0),
            [latitude, longitude, accuracy_m] => (latitude, longitude, accuracy_m),
            _ => return Err(wrong()),
        };
        let fits = latitude.abs() <= 90.0 && longitude.abs() <= 180.0 && accuracy_m >= 0.0 && accuracy_m.is_finite();
        if fits { Ok(Place { latitude, longitude, accuracy_m }) } else { Err(wrong()) }
    }
}

/// Tells the place.
pub struct Location(pub Place);

impl Ability for Location {
    fn cap(&self) -> &'static str {
        "location"
    }

    fn commands(&self) -> &'static [&'static str] {
        &["location.get"]
    }

    fn run<'a>(&'a self, _: &'a str, _: &'a str, _: Instant) -> Work<'a> {
        Box::pin(async move {
            {
                let now = OffsetDateTime::now_utc().truncate_to_second();
                let now = now
                    .format(&Rfc3339)
                    .map_err(|error| Refusal::unavailable(format!("the clock has no time: {error}")))?;
                Ok(payload(self.0, &now))
            }
        })
    }
}

fn payload(place: Place, now: &str) -> Value {
    json!({
        "lat": place.latitude,
        "lon": place.longitude,
        "accuracyMeters": place.accuracy_m,
        "timestamp": now,
        "isPrecise": place.accuracy_m <= 100.0,
        "source": "configured",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_two_or_three_numbers_on_this_planet() {
        let place: Place = "52.52, 13.405".parse().unwrap();
        assert_eq!((place.latitude, place.longitude, place.accuracy_m), (52.52, 13.405, 100.0));
        assert_eq!("-90,180,5".parse::<Place>().unwrap().accuracy_m, 5.0);
        for wrong in ["", "1", "91,0", "0,181", "0,0,-1", "NaN,0", "0,0,inf", "a,b", "1,2,3,4"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_place_is_told_with_the_time() {
        let ability = Location("52.52,13.405,5".parse().unwrap());
        let told = ability.run("location.get", "{}", Instant::now()).await.unwrap();
        assert_eq!((&told["lat"], &told["lon"], &told["isPrecise"]), (&json!(52.52), &json!(13.405), &json!(true)));
        let timestamp = told["timestamp"].as_str().unwrap();
        assert!(timestamp.ends_with('Z') && timestamp.len() == "2026-01-01T00:00:00Z".len(), "{timestamp}");
    }
}
