//! `location.get`: where this machine stands, as its user said, or as the system's location service knows.

use std::fmt;
use std::str::FromStr;
#[cfg(feature = "geoclue")]
use std::time::Duration;

use serde::Deserialize;
#[cfg(feature = "geoclue")]
use serde_json::Value;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use crate::ability::{Ability, Answer, Refusal, Work, read};

/// The answer has to be there before nobody waits for it any more.
#[cfg(feature = "geoclue")]
const TO_ANSWER: Duration = Duration::from_millis(250);

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

/// Who knows where this machine stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known {
    /// Its user, who said it.
    By(Place),
    /// The system's location service.
    ByGeoclue,
}

impl FromStr for Known {
    type Err = String;

    /// A [`Place`], or `geoclue`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "geoclue" if cfg!(feature = "geoclue") => Ok(Known::ByGeoclue),
            "geoclue" => Err("this program was built without the feature geoclue".to_string()),
            text => text.parse().map(Known::By),
        }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Known::By(Place { latitude, longitude, accuracy_m }) => write!(f, "{latitude},{longitude},{accuracy_m}"),
            Known::ByGeoclue => f.write_str("geoclue"),
        }
    }
}

/// How exact a place is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accuracy {
    /// The city.
    Coarse,
    /// The street.
    #[default]
    Balanced,
    /// As exact as can be.
    Precise,
}

/// A place, with what else is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Fix {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// How far off it may be, in metres.
    pub accuracy_m: f64,
    /// Metres above the sea.
    pub altitude_m: Option<f64>,
    /// Metres a second.
    pub speed_mps: Option<f64>,
    /// Degrees from north, clockwise.
    pub heading_deg: Option<f64>,
    /// When it was found; now if absent.
    pub at: Option<OffsetDateTime>,
}

/// Tells the place.
pub struct Location(Source);

enum Source {
    User(Place),
    #[cfg(feature = "geoclue")]
    Geoclue {
        service: super::geoclue::Geoclue,
        last: std::sync::Mutex<Option<(Instant, Value)>>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(not(feature = "geoclue"), allow(dead_code, reason = "a place that was said is told as it is"))]
struct Wish {
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    max_age_ms: Option<u64>,
    #[serde(default)]
    desired_accuracy: Option<Accuracy>,
}

impl Location {
    /// By whoever knows it; not where the service that does gives no answer.
    pub async fn find(known: Known) -> Result<Self, String> {
        match known {
            Known::By(place) => Ok(Location(Source::User(place))),
            #[cfg(feature = "geoclue")]
            Known::ByGeoclue => super::geoclue::Geoclue::find().await.map(Location::of),
            #[cfg(not(feature = "geoclue"))]
            Known::ByGeoclue => Err("this program was built without the feature geoclue".to_string()),
        }
    }

    /// By this service.
    #[cfg(feature = "geoclue")]
    pub fn of(service: super::geoclue::Geoclue) -> Self {
        Location(Source::Geoclue { service, last: std::sync::Mutex::default() })
    }
}

impl Ability for Location {
    fn cap(&self) -> &'static str {
        "location"
    }

    fn commands(&self) -> &'static [&'static str] {
        &["location.get"]
    }

    #[cfg_attr(not(feature = "geoclue"), allow(unused_variables, reason = "nothing takes time there"))]
    fn run<'a>(&'a self, command: &'a str, params: &'a str, deadline: Instant) -> Work<'a> {
        Box::pin(async move {
            let wish: Wish = read(command, params)?;
            match &self.0 {
                Source::User(Place { latitude, longitude, accuracy_m }) => {
                    let (latitude, longitude, accuracy_m) = (*latitude, *longitude, *accuracy_m);
                    let more = Fix {
                        latitude,
                        longitude,
                        accuracy_m,
                        altitude_m: None,
                        speed_mps: None,
                        heading_deg: None,
                        at: None,
                    };
                    payload(&more, "configured")
                }
                #[cfg(feature = "geoclue")]
                Source::Geoclue { service, last } => {
                    let kept = || last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    let max_age = Duration::from_millis(wish.max_age_ms.unwrap_or(0));
                    if let Some((at, payload)) = &*kept()
                        && at.elapsed() < max_age
                    {
                        return Ok(payload.clone());
                    }
                    let limit = wish.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
                    let latest = deadline.checked_sub(TO_ANSWER).unwrap_or(deadline);
                    let until = limit.map_or(latest, |limit| limit.min(latest));
                    let fix = service.fix(wish.desired_accuracy.unwrap_or_default(), until).await?;
                    let payload = payload(&fix, "geoclue")?;
                    *kept() = Some((Instant::now(), payload.clone()));
                    Ok(payload)
                }
            }
        })
    }
}

fn payload(fix: &Fix, source: &str) -> Answer {
    let at = fix.at.unwrap_or_else(OffsetDateTime::now_utc).truncate_to_second();
    let at = at.format(&Rfc3339).map_err(|error| Refusal::unavailable(format!("the clock has no time: {error}")))?;
    let mut payload = json!({
        "lat": fix.latitude,
        "lon": fix.longitude,
        "accuracyMeters": fix.accuracy_m,
        "timestamp": at,
        "isPrecise": fix.accuracy_m <= 100.0,
        "source": source,
    });
    for (key, value) in
        [("altitudeMeters", fix.altitude_m), ("speedMps", fix.speed_mps), ("headingDeg", fix.heading_deg)]
    {
        if let Some(value) = value {
            payload[key] = json!(value);
        }
    }
    Ok(payload)
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

    #[test]
    fn who_knows_the_place_is_said_as_it_was_written() {
        for said in ["52.52,13.405,100", "geoclue"] {
            assert_eq!(said.parse::<Known>().map(|known| known.to_string()).unwrap_or("geoclue".to_string()), said);
        }
        assert_eq!("geoclue".parse::<Known>().is_ok(), cfg!(feature = "geoclue"));
        assert!("GeoClue".parse::<Known>().is_err());
    }

    #[tokio::test]
    async fn the_place_is_told_with_the_time() {
        let ability = Location::find("52.52,13.405,5".parse().unwrap()).await.unwrap();
        let told = ability.run("location.get", "{}", Instant::now()).await.unwrap();
        assert_eq!((&told["lat"], &told["lon"], &told["isPrecise"]), (&json!(52.52), &json!(13.405), &json!(true)));
        let timestamp = told["timestamp"].as_str().unwrap();
        assert!(timestamp.ends_with('Z') && timestamp.len() == "2026-01-01T00:00:00Z".len(), "{timestamp}");
    }
}
