//! The gateway that is attacked, and the clients it is attacked with.

use std::path::Path;

use clawhost_tests::support::{Answer, Client, Connect, Door, Key, Knock, Payload, Raw, Refused};
use client::{Fingerprint, TlsOptions};
use schemas::ErrorShape;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A gateway and the secret that opens it.
pub struct Target {
    pub door: Door,
    token: String,
    /// Tells the devices of this run from those of every other.
    run: String,
}

impl Target {
    /// Reads the token and looks up the address; one that is not this machine's needs to be allowed.
    pub async fn new(url: &str, pins: &[Fingerprint], token_file: &Path, allow_remote: bool) -> Result<Target, String> {
        let (plain, secure) = (url.strip_prefix("ws://"), url.strip_prefix("wss://"));
        let name = plain.or(secure).map(|rest| rest.trim_end_matches('/'));
        let name = name.ok_or_else(|| format!("--url {url}: it begins neither with ws:// nor with wss://"))?;
        if plain.is_some() && !pins.is_empty() {
            return Err(format!("--url {url}: --tls-fingerprint needs a wss:// address"));
        }
        let mut addresses = tokio::net::lookup_host(name).await.map_err(|error| format!("--url {url}: {error}"))?;
        let address = addresses.next().ok_or_else(|| format!("--url {url}: it has no address"))?;
        if !address.ip().is_loopback() && !allow_remote {
            return Err(format!("--url {url}: {address} is not this machine; --allow-remote attacks it all the same"));
        }
        let token = std::fs::read_to_string(token_file);
        let token = token.map_err(|error| format!("--token-file {}: {error}", token_file.display()))?;
        let tls = secure.map(|_| {
            let host = name.rsplit_once(':').map_or(name, |(host, _)| host).trim_matches(['[', ']']);
            (host.to_string(), TlsOptions::pinned(pins.iter().copied()))
        });
        let run = format!("{}-{}", std::process::id(), schemas::now_ms());
        Ok(Target { door: Door { address, tls }, token: token.trim().to_string(), run })
    }

    pub fn is_this_machine(&self) -> bool {
        self.door.address.ip().is_loopback()
    }

    /// A device that was never seen before this run.
    pub fn key(&self, name: &str) -> Key {
        Key::from_seed(Sha256::digest(format!("{}-{name}", self.run)).into())
    }

    /// An operator with the shared token and every scope.
    pub fn operator(&self) -> Connect {
        Connect::operator().token(&self.token)
    }

    /// The same as a client of protocol 4.
    pub fn operator_of_4(&self) -> Connect {
        self.operator().payload(Payload::V3).with("minProtocol", json!(4)).with("maxProtocol", json!(4))
    }

    pub async fn try_knock(&self, knock: &Knock) -> Result<Client, Answer> {
        Client::open(&self.door, knock).await
    }

    pub async fn knock_with(&self, knock: &Knock) -> Client {
        self.try_knock(knock).await.unwrap_or_else(|answer| panic!("the upgrade was refused: {answer:?}"))
    }

    /// A socket that was challenged and has said nothing.
    pub async fn knock(&self) -> Client {
        self.knock_with(&Knock::default()).await
    }

    /// A connected client; a refusal is a panic.
    pub async fn connect(&self, connect: &Connect) -> Client {
        let mut client = self.knock().await;
        client.connect(connect).await.unwrap_or_else(|refused| panic!("refused: {}", told(&refused)));
        client
    }

    pub async fn admin(&self) -> Client {
        self.connect(&self.operator()).await
    }

    /// An upgraded connection whose bytes the attack writes, after the challenge.
    pub async fn raw(&self) -> Raw {
        let mut raw = Raw::open_at(&self.door).await;
        raw.frame().await.expect("a challenge");
        raw
    }

    /// The same after hello-ok.
    pub async fn raw_connected(&self) -> Raw {
        let mut raw = self.raw().await;
        let frame = json!({ "type": "req", "id": "c", "method": "connect", "params": self.operator().params("") });
        raw.send(&Raw::masked(0x81, frame.to_string().as_bytes())).await;
        raw.frame().await.expect("hello-ok");
        raw
    }

    /// Takes a device of an attack out of the gateway's list, be it paired or waiting.
    pub async fn forget(&self, key: &Key) {
        let mut admin = self.admin().await;
        let list = admin.ok("device.pair.list", json!({})).await;
        let of_it = |part: &str| -> Vec<Value> {
            list[part].as_array().into_iter().flatten().filter(|row| row["deviceId"] == key.id()).cloned().collect()
        };
        for row in of_it("pending") {
            admin.ok("device.pair.reject", json!({ "requestId": row["requestId"] })).await;
        }
        if !of_it("paired").is_empty() {
            admin.ok("device.pair.remove", json!({ "deviceId": key.id() })).await;
        }
    }
}

/// The token that a hello-ok brought for its device.
pub fn device_token(client: &Client) -> String {
    client.hello["auth"]["deviceToken"].as_str().expect("a device token").to_string()
}

/// A refusal in short.
pub fn told(refused: &Refused) -> String {
    format!("{} {:?}", refused.error.code, refused.error.message)
}

/// What came of a connect, in short.
pub fn outcome(result: &Result<Value, Refused>) -> String {
    match result {
        Ok(hello) => format!("hello-ok with {}", hello["auth"]),
        Err(refused) => told(refused),
    }
}

/// The refusal of somebody who is locked out.
pub fn lockout(result: &Result<Value, Refused>) -> Option<&ErrorShape> {
    let error = &result.as_ref().err()?.error;
    (error.details.as_ref()?["code"] == "AUTH_RATE_LIMITED").then_some(error)
}
