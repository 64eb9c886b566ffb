//! Where this machine stands, as GeoClue knows it: the service that Linux desktops ask, over D-Bus. It keeps a client for as
//! long as its connection, so each question has a connection of its own, and nothing stays behind that goes on looking.

use std::time::Duration;

use futures_util::StreamExt;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout, timeout_at};
use zbus::connection::{Builder, Connection};
use zbus::proxy::{self, CacheProperties, Proxy};
use zbus::{ObjectPath, OwnedObjectPath};

use super::location::{Accuracy, Fix};
use crate::ability::{Refusal, TIMEOUT};

const SERVICE: &str = "org.freedesktop.GeoClue2";
const MANAGER: &str = "org.freedesktop.GeoClue2.Manager";
const MANAGER_PATH: &str = "/org/freedesktop/GeoClue2/Manager";
const CLIENT: &str = "org.freedesktop.GeoClue2.Client";
const LOCATION: &str = "org.freedesktop.GeoClue2.Location";
/// What it knows this program by, where its configuration says who may ask.
const DESKTOP_ID: &str = "clawhost";
/// How long it may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// The service.
#[derive(Debug, Clone)]
pub struct Geoclue {
    /// The bus it is on; the system's if absent.
    address: Option<String>,
}

impl Geoclue {
    /// On a machine where it answers.
    pub async fn find() -> Result<Self, String> {
        Geoclue { address: None }.answering().await
    }

    async fn answering(self) -> Result<Self, String> {
        let asking = async {
            let bus = self.bus().await?;
            // The bus starts it for this question, if it can.
            let in_use = object(&bus, MANAGER_PATH, MANAGER).await?.get_property::<bool>("InUse").await;
            let _ = bus.close().await;
            in_use
        };
        match timeout(PATIENCE, asking).await {
            Ok(Ok(_)) => Ok(self),
            Ok(Err(error)) => Err(format!("GeoClue does not answer: {error}")),
            Err(_) => Err("GeoClue does not answer in time".to_string()),
        }
    }

    /// Where it says that this machine is.
    pub async fn fix(&self, accuracy: Accuracy, until: Instant) -> Result<Fix, Refusal> {
        let looking = async {
            let bus = self.bus().await?;
            let fix = look(&bus, accuracy).await;
            // With its connection the client goes, whatever came of it.
            let _ = bus.close().await;
            fix
        };
        match timeout_at(until, looking).await {
            Ok(Ok(fix)) => Ok(fix),
            Ok(Err(error)) => {
                tracing::warn!(%error, "GeoClue did not tell the place");
                Err(Refusal::unavailable("the location service of this machine did not tell the place"))
            }
            Err(_) => {
                let message = "the location service of this machine has found no place yet".to_string();
                Err(Refusal { code: TIMEOUT, message })
            }
        }
    }

    async fn bus(&self) -> zbus::Result<Connection> {
        match &self.address {
            Some(address) => Builder::address(address.as_str()).build().await,
            None => Builder::system().build().await,
        }
    }
}

async fn look(bus: &Connection, accuracy: Accuracy) -> zbus::Result<Fix> {
    let path: OwnedObjectPath = object(bus, MANAGER_PATH, MANAGER).await?.call("GetClient", &()).await?;
    let client = object(bus, path, CLIENT).await?;
    client.set_property("DesktopId", DESKTOP_ID).await?;
    client.set_property("RequestedAccuracyLevel", level(accuracy)).await?;
    let mut updates = client.receive_signal("LocationUpdated").await?;
    client.call::<_, _, ()>("Start", &()).await?;
    let update = updates.next().await.ok_or(zbus::Error::InvalidReply)?;
    let (_, path): (OwnedObjectPath, OwnedObjectPath) = update.body().deserialize()?;
    let location = object(bus, path, LOCATION).await?;
    let number = async |name: &'static str| location.get_property::<f64>(name).await;
    let fix = Fix {
        latitude: number("Latitude").await?,
        longitude: number("Longitude").await?,
        accuracy_m: number("Accuracy").await?,
        // The smallest number there is stands for none, and -1 does for the others.
        altitude_m: number("Altitude").await.ok().filter(|altitude| *altitude > f64::MIN),
        speed_mps: number("Speed").await.ok().filter(|speed| *speed >= 0.0),
        heading_deg: number("Heading").await.ok().filter(|heading| *heading >= 0.0),
        at: location.get_property::<(u64, u64)>("Timestamp").await.ok().and_then(time_of),
    };
    let _ = client.call::<_, _, ()>("Stop", &()).await;
    Ok(fix)
}

async fn object<'a, P>(bus: &Connection, path: P, interface: &'static str) -> zbus::Result<Proxy<'a>>
where
    P: TryInto<ObjectPath<'a>>,
    P::Error: Into<zbus::Error>,
{
    let object = proxy::Builder::new(bus).destination(SERVICE).path(path).interface(interface);
    object.cache_properties(CacheProperties::No).build().await
}

/// Its levels of accuracy: a city, a street, as exact as can be.
fn level(accuracy: Accuracy) -> u32 {
    match accuracy {
        Accuracy::Coarse => 4,
        Accuracy::Balanced => 6,
        Accuracy::Precise => 8,
    }
}

fn time_of((seconds, microseconds): (u64, u64)) -> Option<OffsetDateTime> {
    let time = OffsetDateTime::from_unix_timestamp(seconds.try_into().ok()?).ok()?;
    Some(time + Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abilities::location::Location;
    use crate::abilities::{ffmpeg, program};
    use crate::ability::{Ability, Answer};
    use serde_json::{Value, json};
    use std::process::Stdio;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncBufReadExt, BufReader};

    /// A bus that is nobody else's, and a service on it that stands in for GeoClue.
    struct Bus {
        address: String,
        heard: Arc<Mutex<Vec<String>>>,
        _service: Connection,
        _daemon: tokio::process::Child,
    }

    struct Manager;
    struct Client(Arc<Mutex<Vec<String>>>, bool);
    struct Place;

    #[zbus::interface(name = "org.freedesktop.GeoClue2.Manager")]
    impl Manager {
        async fn get_client(&self) -> OwnedObjectPath {
            OwnedObjectPath::try_from("/client").unwrap()
        }

        #[zbus(property)]
        async fn in_use(&self) -> bool {
            false
        }
    }

    #[zbus::interface(name = "org.freedesktop.GeoClue2.Client")]
    impl Client {
        #[zbus(property)]
        async fn desktop_id(&self) -> String {
            String::new()
        }

        #[zbus(property)]
        async fn set_desktop_id(&mut self, id: String) {
            self.0.lock().unwrap().push(id);
        }

        #[zbus(property)]
        async fn requested_accuracy_level(&self) -> u32 {
            0
        }

        #[zbus(property)]
        async fn set_requested_accuracy_level(&mut self, level: u32) {
            self.0.lock().unwrap().push(level.to_string());
        }

        async fn start(&self, #[zbus(signal_emitter)] emitter: zbus::object_server::SignalEmitter<'_>) {
            self.0.lock().unwrap().push("start".to_string());
            if self.1 {
                let path = |path| ObjectPath::try_from(path).unwrap();
                Self::location_updated(&emitter, path("/"), path("/location")).await.unwrap();
            }
        }

        async fn stop(&self) {
            self.0.lock().unwrap().push("stop".to_string());
        }

        #[zbus(signal)]
        async fn location_updated(
            emitter: &zbus::object_server::SignalEmitter<'_>,
            old: ObjectPath<'_>,
            new: ObjectPath<'_>,
        ) -> zbus::Result<()>;
    }

    #[zbus::interface(name = "org.freedesktop.GeoClue2.Location")]
    impl Place {
        #[zbus(property)]
        async fn latitude(&self) -> f64 {
            52.52
        }

        #[zbus(property)]
        async fn longitude(&self) -> f64 {
            13.405
        }

        #[zbus(property)]
        async fn accuracy(&self) -> f64 {
            1500.0
        }

        #[zbus(property)]
        async fn altitude(&self) -> f64 {
            f64::MIN
        }

        #[zbus(property)]
        async fn speed(&self) -> f64 {
            -1.0
        }

        #[zbus(property)]
        async fn heading(&self) -> f64 {
            90.0
        }

        #[zbus(property)]
        async fn timestamp(&self) -> (u64, u64) {
            (1_800_000_000, 500_000)
        }
    }

    /// `None`, said aloud, where there is no bus to be had.
    async fn bus(test: &str, finds: bool, serves: bool) -> Option<Bus> {
        let Some(daemon) = program("dbus-daemon", None) else {
            ffmpeg::testing::skip(test);
            return None;
        };
        let mut command = tokio::process::Command::new(daemon);
        command.args(["--session", "--nofork", "--nopidfile", "--print-address=1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut daemon = command.spawn().unwrap();
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).await.unwrap();
        let address = address.trim().to_string();
        let heard = Arc::default();
        let mut builder = Builder::address(address.as_str());
        if serves {
            let client = Client(Arc::clone(&heard), finds);
            builder = builder.serve_at(MANAGER_PATH, Manager).serve_at("/client", client);
            builder = builder.serve_at("/location", Place).name(SERVICE);
        }
        let service = builder.build().await.unwrap();
        Some(Bus { address, heard, _service: service, _daemon: daemon })
    }

    async fn ask(location: &Location, params: Value) -> Answer {
        location.run("location.get", &params.to_string(), Instant::now() + Duration::from_secs(30)).await
    }

    #[tokio::test]
    async fn the_service_is_asked_and_let_go() {
        let Some(bus) = bus("the_service_is_asked_and_let_go", true, true).await else { return };
        let geoclue = Geoclue { address: Some(bus.address.clone()) }.answering().await.unwrap();
        let location = Location::of(geoclue);
        let told = ask(&location, json!({ "desiredAccuracy": "coarse" })).await.unwrap();
        let expected = json!({
            "lat": 52.52, "lon": 13.405, "accuracyMeters": 1500.0, "headingDeg": 90.0,
            "timestamp": "2027-01-15T08:00:00Z", "isPrecise": false, "source": "geoclue",
        });
        assert_eq!(told, expected);
        assert_eq!(*bus.heard.lock().unwrap(), [DESKTOP_ID, "4", "start", "stop"]);
        // What it found a moment ago is good enough for whoever says so.
        assert_eq!(ask(&location, json!({ "maxAgeMs": 60_000 })).await.unwrap(), expected);
        assert_eq!(bus.heard.lock().unwrap().len(), 4, "it was not asked again");
        ask(&location, json!({})).await.unwrap();
        assert_eq!(bus.heard.lock().unwrap()[5], "6");
        let wrong = ask(&location, json!({ "desiredAccuracy": "very" })).await.unwrap_err();
        assert!(wrong.code == "INVALID_REQUEST" && wrong.message.contains("coarse"), "{wrong:?}");
    }

    #[tokio::test]
    async fn who_finds_nothing_says_so_in_time() {
        let Some(bus) = bus("who_finds_nothing_says_so_in_time", false, true).await else { return };
        let location = Location::of(Geoclue { address: Some(bus.address.clone()) }.answering().await.unwrap());
        assert_eq!(ask(&location, json!({ "timeoutMs": 300 })).await.unwrap_err().code, TIMEOUT);
    }

    #[tokio::test]
    async fn where_it_does_not_answer_there_is_none() {
        let Some(bus) = bus("where_it_does_not_answer_there_is_none", false, false).await else { return };
        let nobody = Geoclue { address: Some(bus.address.clone()) }.answering().await.unwrap_err();
        assert!(nobody.starts_with("GeoClue does not answer: "), "{nobody}");
        let no_bus = Geoclue { address: Some("unix:path=/no/such/bus".to_string()) };
        assert!(no_bus.clone().answering().await.is_err());
        let refused = no_bus.fix(Accuracy::Precise, Instant::now() + Duration::from_secs(30)).await.unwrap_err();
        assert!(refused.code == "UNAVAILABLE" && !refused.message.contains("/no/such"), "{refused:?}");
    }
}
