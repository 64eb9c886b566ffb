//! What a test's client says of itself, with every part open to change.

use std::sync::Arc;

use schemas::ErrorShape;
use serde_json::{Value, json};

use super::client::Close;
use super::gateway::TOKEN;
use super::key::Key;

/// Which text a device signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// Without a nonce.
    V1,
    /// With the nonce.
    V2,
    /// With nonce, platform and device family.
    V3,
}

/// A change of the params after they were signed.
type Patch = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// A refused connect.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The answer.
    pub error: ErrorShape,
    /// The close that followed.
    pub close: Close,
}

/// The params of a `connect`.
#[derive(Clone)]
pub struct Connect {
    params: Value,
    key: Option<Key>,
    payload: Payload,
    signed_at_offset: i64,
    nonce: Option<String>,
    patches: Vec<Patch>,
}

impl Connect {
    /// An operator at the command line, with every scope and the shared token.
    pub fn operator() -> Self {
        Connect {
            params: json!({
                "minProtocol": 3, "maxProtocol": 3,
                "client": { "id": "cli", "version": "1.0.0", "platform": "linux", "mode": "cli" },
                "role": "operator", "scopes": ["operator.admin"],
                "auth": { "token": TOKEN },
            }),
            key: None,
            payload: Payload::V2,
            signed_at_offset: 0,
            nonce: None,
            patches: Vec::new(),
        }
    }

    /// A node host with the shared token.
    pub fn node() -> Self {
        Connect::operator().client("node-host", "node").role("node").scopes(&[])
    }

    /// With these params, to be signed anew.
    pub fn with_params(mut params: Value) -> Self {
        params.as_object_mut().expect("params are an object").remove("device");
        Connect { params, ..Connect::operator() }
    }

    /// `client.id` and `client.mode`
    pub fn client(mut self, id: &str, mode: &str) -> Self {
        self.params["client"]["id"] = id.into();
        self.params["client"]["mode"] = mode.into();
        self
    }

    /// `role`
    pub fn role(mut self, role: &str) -> Self {
        self.params["role"] = role.into();
        self
    }

    /// `scopes`
    pub fn scopes(mut self, scopes: &[&str]) -> Self {
        self.params["scopes"] = json!(scopes);
        self
    }

    /// `auth.token`
    pub fn token(mut self, token: &str) -> Self {
        self.params["auth"]["token"] = token.into();
        self
    }

    /// `auth.password`
    pub fn password(mut self, password: &str) -> Self {
        self.params["auth"]["password"] = password.into();
        self
    }

    /// Without `auth`
    pub fn no_auth(mut self) -> Self {
        self.params.as_object_mut().expect("params are an object").remove("auth");
        self
    }

    /// Signed by this device.
    pub fn device(mut self, key: &Key) -> Self {
        self.key = Some(key.clone());
        self
    }

    /// Which text is signed.
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// Signed so many milliseconds from now.
    pub fn signed_at(mut self, offset_ms: i64) -> Self {
        self.signed_at_offset = offset_ms;
        self
    }

    /// Signed and sent with this nonce instead of the socket's.
    pub fn nonce(mut self, nonce: &str) -> Self {
        self.nonce = Some(nonce.to_string());
        self
    }

    /// A field of `client`.
    pub fn about(mut self, field: &str, value: &str) -> Self {
        self.params["client"][field] = value.into();
        self
    }

    /// Changes the params after they were signed.
    pub fn patch(mut self, patch: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.patches.push(Arc::new(patch));
        self
    }

    /// A field of the params, before they are signed.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.params[field] = value;
        self
    }

    /// The params for a socket with this nonce.
    pub fn params(&self, nonce: &str) -> Value {
        let mut params = self.params.clone();
        if let Some(key) = &self.key {
            let signed_at = (schemas::now_ms() as i64 + self.signed_at_offset) as u64;
            let nonce = self.nonce.as_deref().unwrap_or(nonce);
            let text = signed_text(key, &params, self.payload, signed_at, nonce);
            params["device"] = json!({
                "id": key.id(), "publicKey": key.public(), "signature": key.sign(&text), "signedAt": signed_at,
            });
            if self.payload != Payload::V1 {
                params["device"]["nonce"] = nonce.into();
            }
        }
        self.patches.iter().for_each(|patch| patch(&mut params));
        params
    }
}

/// The text of `protocol.md` 3.4 and `protocol-4.md` 2.3.
fn signed_text(key: &Key, params: &Value, payload: Payload, signed_at: u64, nonce: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("").to_string();
    let scopes: Vec<String> = params["scopes"].as_array().into_iter().flatten().map(text).collect();
    let client = &params["client"];
    let auth = &params["auth"];
    let fields = ["token", "deviceToken", "bootstrapToken"];
    let token = fields.into_iter().map(|field| text(&auth[field])).find(|token| !token.is_empty());
    let role = params["role"].as_str().unwrap_or("operator");
    let common = [
        key.id(),
        text(&client["id"]),
        text(&client["mode"]),
        role.to_string(),
        scopes.join(","),
        signed_at.to_string(),
        token.unwrap_or_default(),
    ]
    .join("|");
    let lower = |value: &Value| text(value).trim().to_ascii_lowercase();
    match payload {
        Payload::V1 => format!("v1|{common}"),
        Payload::V2 => format!("v2|{common}|{nonce}"),
        Payload::V3 => {
            format!("v3|{common}|{nonce}|{}|{}", lower(&client["platform"]), lower(&client["deviceFamily"]))
        }
    }
}
