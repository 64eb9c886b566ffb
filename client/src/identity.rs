//! The device identity: an Ed25519 key made once, kept in a file of its owner, and named by the hash of its public half.
//! The text that is signed lives in `schemas::device`, because the gateway builds the same one.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use schemas::connect::{ConnectParams, DeviceProof};
use schemas::device::{self, SignedFields};
use serde::{Deserialize, Serialize};

use crate::{ClientError, private_file};

/// A device: its key and its name.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
    device_id: String,
    public_key: String,
}

/// Which text a device signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PayloadForm {
    /// What every gateway of protocol 3 understands; without a nonce it is the v1 text.
    #[default]
    V2,
    /// Adds platform and device family; protocol 4, and newer gateways of protocol 3.
    V3,
}

/// What the gateway said first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Challenge {
    /// Belongs to this socket only and is signed.
    pub nonce: String,
    /// The gateway's clock; signing with it makes a wrong clock on this side harmless.
    #[serde(default)]
    pub ts: Option<u64>,
}

impl Identity {
    /// Reads the identity kept at `path`, or makes one and keeps it there. A file that cannot be read or understood is
    /// an error and stays as it is: overwriting it would lose every pairing of this device.
    pub fn load_or_create(path: &Path) -> Result<Self, ClientError> {
        if let Some(identity) = Self::load(path)? {
            return Ok(identity);
        }
        let identity = Self::generate()?;
        let stored = Stored {
            version: 1,
            device_id: identity.device_id.clone(),
            public_key: identity.public_key.clone(),
            seed: URL_SAFE_NO_PAD.encode(identity.key.to_bytes()),
        };
        let text = serde_json::to_vec_pretty(&stored).expect("strings have a JSON form");
        if private_file::create(path, &text)? {
            return Ok(identity);
        }
        // Another process made one in the meantime: both must be the same device.
        Self::load(path)?.ok_or_else(|| ClientError::File(format!("{}: appeared and vanished", path.display())))
    }

    /// Reads the identity kept at `path`; `None` when there is no such file.
    pub fn load(path: &Path) -> Result<Option<Self>, ClientError> {
        let Some(bytes) = private_file::read(path)? else { return Ok(None) };
        let wrong = |problem: &str| {
            ClientError::File(format!(
                "{}: not a device identity ({problem}); restore it, or move it away to become a new device",
                path.display()
            ))
        };
        // The parser's own words may quote the file, and with it the key.
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|_| wrong("not the expected JSON"))?;
        if stored.version != 1 {
            return Err(wrong("\"version\" is not 1"));
        }
        let seed = URL_SAFE_NO_PAD.decode(&stored.seed).ok().and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        let identity = Self::from_seed(&seed.ok_or_else(|| wrong("\"seed\" is not 32 bytes of base64url"))?);
        if identity.device_id != stored.device_id {
            return Err(wrong("\"deviceId\" does not belong to \"seed\""));
        }
        Ok(Some(identity))
    }

    /// A new identity that is kept nowhere.
    pub fn generate() -> Result<Self, ClientError> {
        let mut seed = [0u8; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| ClientError::Io(format!("the system gives no random numbers: {error}")))?;
        Ok(Self::from_seed(&seed))
    }

    /// The identity of this private seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = key.verifying_key().to_bytes();
        Identity { device_id: device::device_id(&public), public_key: device::encode_key(&public), key }
    }

    /// Lower-case hex SHA-256 of the public key.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The public key as base64url without padding.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Signs these `connect` parameters for the socket of this challenge. Without a challenge the v1 text is signed,
    /// which gateways take from local connections of protocol 3 only.
    pub fn sign(&self, params: &ConnectParams, challenge: Option<&Challenge>, form: PayloadForm) -> DeviceProof {
        let signed_at = challenge.and_then(|challenge| challenge.ts).unwrap_or_else(schemas::now_ms);
        let credentials = params.credentials();
        let fields = SignedFields {
            device_id: &self.device_id,
            client_id: &params.client.id,
            client_mode: &params.client.mode,
            role: params.role(),
            scopes: params.requested_scopes(),
            signed_at,
            token: credentials.signed_token(),
            platform: &params.client.platform,
            device_family: params.client.device_family.as_deref(),
        };
        let nonce = challenge.map(|challenge| challenge.nonce.as_str());
        let text = match (nonce, form) {
            (None, _) => fields.v1(),
            (Some(nonce), PayloadForm::V2) => fields.v2(nonce),
            (Some(nonce), PayloadForm::V3) => fields.v3(nonce),
        };
        DeviceProof {
            id: self.device_id.clone(),
            public_key: self.public_key.clone(),
            signature: self.sign_text(&text),
            signed_at,
            nonce: nonce.map(str::to_string),
        }
    }

    /// Signs any text; the signature in the form the wire holds.
    pub fn sign_text(&self, text: &str) -> String {
        device::encode_signature(&self.key.sign(text.as_bytes()).to_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    version: u32,
    device_id: String,
    public_key: String,
    seed: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NONCE: &str = "3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01";

    fn published() -> Identity {
        Identity::from_seed(&std::array::from_fn(|index| index as u8))
    }

    fn challenge() -> Challenge {
        Challenge { nonce: NONCE.to_string(), ts: Some(1_737_264_000_000) }
    }

    fn params(
        id: &str,
        mode: &str,
        role: &str,
        scopes: &[&str],
        token: &str,
        platform: &str,
        family: Option<&str>,
    ) -> ConnectParams {
        let mut value = json!({
            "minProtocol": 3, "maxProtocol": 3, "role": role, "scopes": scopes, "auth": {"token": token},
            "client": {"id": id, "mode": mode, "version": "1", "platform": platform},
        });
        if let Some(family) = family {
            value["client"]["deviceFamily"] = family.into();
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_published_vectors_of_both_protocols_hold() {
        let identity = published();
        assert_eq!(identity.device_id(), "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c");
        assert_eq!(identity.public_key(), "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg");

        let all = ["operator.admin", "operator.approvals", "operator.pairing"];
        let cli = params("cli", "cli", "operator", &all, "shared-secret", "linux", None);
        let proof = identity.sign(&cli, Some(&challenge()), PayloadForm::V2);
        assert_eq!(
            proof.signature,
            "hNCX8rZtsZjJ_A2SMOtWQPWXx5JPy_oz6AjOtTABXZl1Y6E-eTfw8L9sYt-h4QN6w6whAGJ_PG5styn0PldBAA"
        );
        assert_eq!((proof.signed_at, proof.nonce.as_deref()), (1_737_264_000_000, Some(NONCE)));

        let node = params("node-host", "node", "node", &[], "", "linux", None);
        assert_eq!(
            identity.sign(&node, Some(&challenge()), PayloadForm::V2).signature,
            "dCBLUQ0SaDsT90fbuyAYqEFaY4lGSISoK2oyonR4Nu3zUqp3Ilf8-79jatnz22fUwx3suqK1OIVaZ9OhRHZEBw"
        );

        let reader = params("cli", "cli", "operator", &["operator.read"], "shared-secret", "linux", Some("Linux"));
        assert_eq!(
            identity.sign(&reader, Some(&challenge()), PayloadForm::V3).signature,
            "a64C8PVwahmuvARKdIWvqluABy2e7mWtI5BQBtMSk4BzIM2o5gE6fPse1uJUX3RApaspUvhSowCgG0YkZZPABQ"
        );
        let mac = params("node-host", "node", "node", &[], "shared-secret", "macos", Some("Mac"));
        assert_eq!(
            identity.sign(&mac, Some(&challenge()), PayloadForm::V3).signature,
            "CeDk0zHPzFpQT1AeeSttp3mCyRd7nlCX28rRCiDGSdiAtmQ2bPY-SP82BJ7TdMNKGV29DYjy0qw80bODcoVuCw"
        );
    }

    #[test]
    fn an_identity_outlives_its_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity/device.json");
        let first = Identity::load_or_create(&path).unwrap();
        let second = Identity::load_or_create(&path).unwrap();
        assert_eq!(first.device_id(), second.device_id());
        assert_eq!(first.sign_text("x"), second.sign_text("x"));
        assert!(!format!("{first:?}").contains(&first.public_key), "only the id is shown");
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("device.json");
        for text in [
            String::new(),
            "{}".to_string(),
            r#"{"version":2,"deviceId":"x","publicKey":"y","seed":"z"}"#.to_string(),
            format!(r#"{{"version":1,"deviceId":"x","publicKey":"y","seed":"{}"}}"#, "A".repeat(43)),
        ] {
            std::fs::write(&path, &text).unwrap();
            let error = Identity::load_or_create(&path).expect_err(&text).to_string();
            assert!(error.contains("device.json") && error.contains("move it away"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
