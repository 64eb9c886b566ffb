//! A gateway that is killed while devices knock, are approved, get other tokens and are thrown out. What somebody was told
//! holds afterwards; what nobody was told has happened or has not, and nothing in between.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use clawhost_tests::chance::kills;
use clawhost_tests::support::{Client, Connect, Frame, Gateway, Key, Knock, Refused};
use schemas::frame::ResponseFrame;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Within this the gateway is killed after it was asked for everything: longer than that takes.
const WORKING: Duration = Duration::from_millis(40);

/// The devices of one round.
struct Round {
    /// Waits, and is being approved.
    approved: (Key, String),
    /// Is being removed.
    removed: (Key, String),
    /// Gets another token by its own wish.
    rotated: (Key, String),
    /// Has its token taken away.
    revoked: (Key, String),
    /// Knocks for the first time.
    knocking: Key,
}

/// What was answered before the kill.
#[derive(Default)]
struct Told {
    approved: bool,
    removed: bool,
    rotated: Option<String>,
    revoked: bool,
    request: Option<String>,
}

#[tokio::test]
async fn a_gateway_that_is_killed_keeps_what_it_said_of_devices_and_tokens() {
    let (kills, mut chance) = kills("pairing", 20);
    let mut gateway = Gateway::start().await;
    let mut found = BTreeMap::<&str, u64>::new();
    for kill in 1..=kills {
        let mut admin = gateway.admin().await;
        let round = Round::prepare(&gateway, &mut admin, kill).await;
        let told = round.work(&gateway, admin, chance.moment(WORKING)).await;
        gateway = gateway.kill().await.restart().await;
        round.check(&gateway, told, &mut found).await;
    }
    let found: Vec<String> = found.iter().map(|(what, count)| format!("{count} {what}")).collect();
    eprintln!("{kills} kills: {}", found.join(", "));
    gateway.stop().await;
}

impl Round {
    async fn prepare(gateway: &Gateway, admin: &mut Client, number: u64) -> Round {
        let key = |place: u8| {
            let mut seed = [place; 32];
            seed[..8].copy_from_slice(&number.to_be_bytes());
            Key::from_seed(seed)
        };
        let waiting = key(1);
        let request = request_id(&knock(gateway, &operator(&waiting)).await.err().expect("it waits"));
        let mut paired = Vec::new();
        for place in 2..=4 {
            let key = key(place);
            let client = gateway.connect(&operator(&key)).await;
            paired.push((key, token(&client.hello)));
            client.close().await;
        }
        let [removed, rotated, revoked] = paired.try_into().unwrap_or_else(|_| panic!("three"));
        // The list is read once, so that what is to be approved is certainly there.
        assert!(row(&list(admin).await["pending"], &waiting).is_some());
        Round { approved: (waiting, request), removed, rotated, revoked, knocking: key(5) }
    }

    /// Asks for everything at once, and kills the gateway after a while: what was answered until then.
    async fn work(&self, gateway: &Gateway, mut admin: Client, time: Duration) -> Told {
        let mut device = gateway.connect(&operator(&self.rotated.0).token(&self.rotated.1)).await;
        let mut stranger = gateway.knock_with(&Knock::remote()).await;
        let approve = admin.request("device.pair.approve", json!({ "requestId": self.approved.1 })).await;
        let rotate = device.request("device.token.rotate", of(&self.rotated.0)).await;
        let knock = stranger.connect_frame(&operator(&self.knocking));
        stranger.send(&knock).await;
        let remove = admin.request("device.pair.remove", json!({ "deviceId": self.removed.0.id() })).await;
        let revoke = admin.request("device.token.revoke", of(&self.revoked.0)).await;
        let _ = timeout(time, std::future::pending::<()>()).await;
        gateway.signal("KILL");
        let by_admin = answers(admin).await;
        let is_ok = |id: &str| by_admin.get(id).is_some_and(|answer| answer.ok);
        let rotated = answers(device).await.remove(&rotate).map(|answer| answer.payload.unwrap_or_default());
        let refusal = answers(stranger).await.remove("connect").and_then(|answer| answer.error);
        Told {
            approved: is_ok(&approve),
            removed: is_ok(&remove),
            rotated: rotated.map(|answer| answer["token"].as_str().expect("its own token").to_string()),
            revoked: is_ok(&revoke),
            request: refusal.map(|error| text(&error.details.expect("details")["requestId"])),
        }
    }

    async fn check(&self, gateway: &Gateway, told: Told, found: &mut BTreeMap<&str, u64>) {
        let mut count = |what| *found.entry(what).or_default() += 1;
        let mut admin = gateway.admin().await;
        let list = list(&mut admin).await;
        let (pending, paired) = (&list["pending"], &list["paired"]);

        let (waits, is_in) = (row(pending, &self.approved.0).is_some(), row(paired, &self.approved.0).is_some());
        assert!(waits != is_in, "it waits: {waits}, it was approved: {is_in}: {list}");
        assert!(is_in || !told.approved, "an approval is lost: {list}");
        count(if is_in { "approved" } else { "not approved" });

        let is_in = row(paired, &self.removed.0).is_some();
        let came_in = gateway.knock().await.connect(&operator(&self.removed.0).token(&self.removed.1)).await.is_ok();
        assert!(is_in == came_in && !(is_in && told.removed), "in the list: {is_in}, by its token: {came_in}");
        count(if is_in { "not removed" } else { "removed" });

        let old = operator(&self.rotated.0).token(&self.rotated.1);
        let old_is_good = knock(gateway, &old).await.is_ok();
        if let Some(new) = &told.rotated {
            assert!(!old_is_good, "a token that was replaced lets in");
            knock(gateway, &operator(&self.rotated.0).token(new)).await.expect("the token it was told").close().await;
        }
        // Whatever it was told, the shared secret gives it the one that is good now.
        let again = knock(gateway, &operator(&self.rotated.0)).await.expect("it is paired");
        let now = token(&again.hello);
        assert!(told.rotated.as_ref().is_none_or(|told| *told == now), "another one than it was told");
        assert_eq!(now == self.rotated.1, old_is_good);
        again.close().await;
        count(if old_is_good { "not rotated" } else { "rotated" });

        let is_good = knock(gateway, &operator(&self.revoked.0).token(&self.revoked.1)).await.is_ok();
        assert!(!(is_good && told.revoked), "a token that was revoked lets in");
        count(if is_good { "not revoked" } else { "revoked" });

        let request = row(pending, &self.knocking).map(|row| text(&row["requestId"]));
        assert!(told.request.is_none() || told.request == request, "{:?} is lost: {list}", told.request);
        count(if request.is_some() { "knocks kept" } else { "knocks nobody heard" });
        // It knocks on, and finds the same request.
        let again = request_id(&knock(gateway, &operator(&self.knocking)).await.err().expect("it waits"));
        assert!(request.is_none_or(|request| request == again), "a knock became two");

        self.clean(&mut admin).await;
        admin.close().await;
    }

    async fn clean(&self, admin: &mut Client) {
        let list = list(admin).await;
        for waiting in rows(&list["pending"]) {
            admin.ok("device.pair.reject", json!({ "requestId": waiting["requestId"] })).await;
        }
        for device in rows(&list["paired"]) {
            admin.ok("device.pair.remove", json!({ "deviceId": device["deviceId"] })).await;
        }
    }
}

fn operator(key: &Key) -> Connect {
    Connect::operator().scopes(&["operator.read", "operator.pairing"]).device(key)
}

fn of(key: &Key) -> Value {
    json!({ "deviceId": key.id(), "role": "operator" })
}

/// Comes from elsewhere.
async fn knock(gateway: &Gateway, connect: &Connect) -> Result<Client, Refused> {
    let mut client = gateway.knock_with(&Knock::remote()).await;
    client.connect(connect).await.map(|_| client)
}

/// Every answer that still arrives.
async fn answers(mut client: Client) -> HashMap<String, ResponseFrame> {
    let mut answers = HashMap::new();
    while let Some(frame) = client.next().await {
        if let Frame::Response(answer) = frame {
            answers.insert(answer.id.clone(), answer);
        }
    }
    answers
}

async fn list(admin: &mut Client) -> Value {
    admin.ok("device.pair.list", json!({})).await
}

fn rows(list: &Value) -> &[Value] {
    list.as_array().expect("a list")
}

/// The one row of a device.
fn row<'a>(list: &'a Value, key: &Key) -> Option<&'a Value> {
    let mut of_device = rows(list).iter().filter(|row| row["deviceId"] == key.id());
    let row = of_device.next();
    assert!(of_device.next().is_none(), "a device is there twice: {list}");
    row
}

fn request_id(refused: &Refused) -> String {
    assert_eq!(refused.error.code, "NOT_PAIRED", "{refused:?}");
    text(&refused.error.details.as_ref().expect("details")["requestId"])
}

fn token(hello: &Value) -> String {
    text(&hello["auth"]["deviceToken"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text, but {value}")).to_string()
}
