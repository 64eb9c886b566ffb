//! Whether a device is who it says: its id follows from its key, and its key signed this very connection.

use ed25519_dalek::{Signature, VerifyingKey};
use schemas::connect::{ConnectParams, DeviceProof};
use schemas::device::{SignedFields, decode_key, decode_signature, device_id, encode_key};
use schemas::protocol::Version;

/// What a proof is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The protocol version of the connection.
    pub version: Version,
    /// The nonce this socket was challenged with.
    pub nonce: &'a str,
    /// Whether the client is local: only then may protocol 3 go without a nonce.
    pub local: bool,
    /// The gateway's clock.
    pub now_ms: u64,
    /// How far the client's clock may be off.
    pub skew_ms: u64,
}

/// A device whose proof holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDevice {
    /// Its id.
    pub device_id: String,
    /// Its key in the stored form.
    pub public_key: String,
}

/// Why a proof does not hold, in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofError {
    /// The id is not that of the key, or the key is none.
    IdMismatch,
    /// `signedAt` is too far from now.
    Expired,
    /// A nonce is needed here and none was sent.
    NonceRequired,
    /// The nonce is not this socket's.
    NonceMismatch,
    /// The signature is not of this key over this connection.
    SignatureInvalid,
}

impl ProofError {
    /// The sentence of the error response.
    pub fn message(self) -> &'static str {
        match self {
            ProofError::IdMismatch => "device identity mismatch",
            ProofError::Expired => "device signature expired",
            ProofError::NonceRequired => "device nonce required",
            ProofError::NonceMismatch => "device nonce mismatch",
            ProofError::SignatureInvalid => "device signature invalid",
        }
    }

    /// `details.code`
    pub fn code(self) -> &'static str {
        match self {
            ProofError::IdMismatch => "DEVICE_AUTH_DEVICE_ID_MISMATCH",
            ProofError::Expired => "DEVICE_AUTH_SIGNATURE_EXPIRED",
            ProofError::NonceRequired => "DEVICE_AUTH_NONCE_REQUIRED",
            ProofError::NonceMismatch => "DEVICE_AUTH_NONCE_MISMATCH",
            ProofError::SignatureInvalid => "DEVICE_AUTH_SIGNATURE_INVALID",
        }
    }

    /// `details.reason`
    pub fn reason(self) -> &'static str {
        match self {
            ProofError::IdMismatch => "device-id-mismatch",
            ProofError::Expired => "device-signature-stale",
            ProofError::NonceRequired => "device-nonce-missing",
            ProofError::NonceMismatch => "device-nonce-mismatch",
            ProofError::SignatureInvalid => "device-signature",
        }
    }
}

/// Checks a proof. `params` are those it came in: what is signed is spread over them.
///
/// The check that the key normalises has no error of its own: a key that does not is no key whose id could match.
pub fn verify(
    params: &ConnectParams,
    proof: &DeviceProof,
    around: Circumstances<'_>,
) -> Result<VerifiedDevice, ProofError> {
    let key = decode_key(&proof.public_key).ok_or(ProofError::IdMismatch)?;
    if device_id(&key) != proof.id {
        return Err(ProofError::IdMismatch);
    }
    if around.now_ms.abs_diff(proof.signed_at) > around.skew_ms {
        return Err(ProofError::Expired);
    }
    let nonce = proof.nonce.as_deref().map(str::trim).filter(|nonce| !nonce.is_empty());
    let may_lack_nonce = around.local && around.version == Version::V3;
    match nonce {
        None if !may_lack_nonce => return Err(ProofError::NonceRequired),
        Some(nonce) if nonce != around.nonce => return Err(ProofError::NonceMismatch),
        _ => {}
    }
    if !is_signed(params, proof, &key, nonce, around.version) {
        return Err(ProofError::SignatureInvalid);
    }
    Ok(VerifiedDevice { device_id: proof.id.clone(), public_key: encode_key(&key) })
}

/// Payloads v2 and v3 when a nonce was sent, the one first that clients of the version sign, since each try costs a whole
/// verification; v1 otherwise.
fn is_signed(
    params: &ConnectParams,
    proof: &DeviceProof,
    key: &[u8; 32],
    nonce: Option<&str>,
    version: Version,
) -> bool {
    let (Ok(key), Some(signature)) = (VerifyingKey::from_bytes(key), decode_signature(&proof.signature)) else {
        return false;
    };
    let signature = Signature::from_bytes(&signature);
    let fields = SignedFields {
        device_id: &proof.id,
        client_id: &params.client.id,
        client_mode: &params.client.mode,
        role: params.role(),
        scopes: params.requested_scopes(),
        signed_at: proof.signed_at,
        token: params.auth.as_ref().map_or("", |auth| auth.signed_token()),
        platform: &params.client.platform,
        device_family: params.client.device_family.as_deref(),
    };
    let holds = |payload: String| key.verify_strict(payload.as_bytes(), &signature).is_ok();
    match nonce {
        None => holds(fields.v1()),
        Some(nonce) if version == Version::V3 => holds(fields.v2(nonce)) || holds(fields.v3(nonce)),
        Some(nonce) => holds(fields.v3(nonce)) || holds(fields.v2(nonce)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ID: &str = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";
    const KEY: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
    const NONCE: &str = "3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01";
    const SIGNED_AT: u64 = 1_737_264_000_000;

    fn around() -> Circumstances<'static> {
        Circumstances { version: Version::V3, nonce: NONCE, local: false, now_ms: SIGNED_AT + 5, skew_ms: 600_000 }
    }

    fn connect(client: Value, rest: Value, signature: &str, nonce: Option<&str>) -> ConnectParams {
        let mut params = json!({ "minProtocol": 3, "maxProtocol": 3, "client": client,
            "device": { "id": ID, "publicKey": KEY, "signature": signature, "signedAt": SIGNED_AT } });
        params["client"]["version"] = json!("dev");
        if let Some(nonce) = nonce {
            params["device"]["nonce"] = json!(nonce);
        }
        params.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        serde_json::from_value(params).unwrap()
    }

    fn check(params: &ConnectParams, around: Circumstances<'_>) -> Result<VerifiedDevice, ProofError> {
        verify(params, params.device.as_ref().unwrap(), around)
    }

    fn cli_v2() -> ConnectParams {
        connect(
            json!({ "id": "cli", "platform": "linux", "mode": "cli" }),
            json!({ "role": "operator", "auth": { "token": "shared-secret" },
                "scopes": ["operator.admin", "operator.approvals", "operator.pairing"] }),
            "hNCX8rZtsZjJ_A2SMOtWQPWXx5JPy_oz6AjOtTABXZl1Y6E-eTfw8L9sYt-h4QN6w6whAGJ_PG5styn0PldBAA",
            Some(NONCE),
        )
    }

    fn cli_v1() -> ConnectParams {
        let mut params = cli_v2();
        let device = params.device.as_mut().unwrap();
        device.nonce = None;
        device.signature =
            "_d7_5JK_8RCuEfs9xtucKr34JIdXZjRKebnw75-boG7R9mENcMja0XHaZF8Za1FaJJ6PsVEJPLr_B621tHiPAA".to_string();
        params
    }

    #[test]
    fn the_published_signatures_verify() {
        let node = connect(
            json!({ "id": "node-host", "platform": "linux", "mode": "node" }),
            json!({ "role": "node", "scopes": [] }),
            "dCBLUQ0SaDsT90fbuyAYqEFaY4lGSISoK2oyonR4Nu3zUqp3Ilf8-79jatnz22fUwx3suqK1OIVaZ9OhRHZEBw",
            Some(NONCE),
        );
        let cli_v3 = connect(
            json!({ "id": "cli", "platform": "linux", "mode": "cli", "deviceFamily": "Linux" }),
            json!({ "scopes": ["operator.read"], "auth": { "token": "shared-secret" } }),
            "a64C8PVwahmuvARKdIWvqluABy2e7mWtI5BQBtMSk4BzIM2o5gE6fPse1uJUX3RApaspUvhSowCgG0YkZZPABQ",
            Some(NONCE),
        );
        let node_v3 = connect(
            json!({ "id": "node-host", "platform": "macos", "mode": "node", "deviceFamily": "Mac" }),
            json!({ "role": "node", "auth": { "token": "shared-secret" } }),
            "CeDk0zHPzFpQT1AeeSttp3mCyRd7nlCX28rRCiDGSdiAtmQ2bPY-SP82BJ7TdMNKGV29DYjy0qw80bODcoVuCw",
            Some(NONCE),
        );
        let page_v3 = connect(
            json!({ "id": "openclaw-control-ui", "platform": "Linux x86_64", "mode": "webchat" }),
            json!({ "role": "operator", "auth": { "password": "never signed" },
                "scopes": ["operator.admin", "operator.read", "operator.write", "operator.approvals",
                    "operator.questions", "operator.pairing"] }),
            "BLYutXSZT-qIgoDELqfmT2WwT8NbVdewiwKi-oasYGAqmN83AvPH_oKWmBT9V2OdeaUFzHu7I3C10exjRiW0Bw",
            Some(NONCE),
        );
        for params in [cli_v2(), node, cli_v3, node_v3, page_v3] {
            let verified = check(&params, around()).unwrap_or_else(|error| panic!("{error:?}: {params:?}"));
            assert_eq!(verified, VerifiedDevice { device_id: ID.into(), public_key: KEY.into() });
        }
    }

    #[test]
    fn without_a_nonce_only_a_local_client_of_protocol_3_passes() {
        let local = Circumstances { local: true, ..around() };
        assert!(check(&cli_v1(), local).is_ok());
        assert_eq!(check(&cli_v1(), around()), Err(ProofError::NonceRequired));
        let local_v4 = Circumstances { version: Version::V4, ..local };
        assert_eq!(check(&cli_v1(), local_v4), Err(ProofError::NonceRequired));
        let mut blank = cli_v1();
        blank.device.as_mut().unwrap().nonce = Some("  ".into());
        assert!(check(&blank, local).is_ok(), "blank counts as absent");
        let mut v1_with_nonce = cli_v1();
        v1_with_nonce.device.as_mut().unwrap().nonce = Some(NONCE.into());
        assert_eq!(check(&v1_with_nonce, local), Err(ProofError::SignatureInvalid), "no falling back to v1");
    }

    #[test]
    fn the_first_failing_check_is_the_one_reported() {
        let mut params = cli_v2();
        let device = params.device.as_mut().unwrap();
        (device.id, device.signed_at, device.nonce) = ("0".repeat(64), 1, Some("other".into()));
        assert_eq!(check(&params, around()), Err(ProofError::IdMismatch));
        params.device.as_mut().unwrap().id = ID.into();
        assert_eq!(check(&params, around()), Err(ProofError::Expired));
        params.device.as_mut().unwrap().signed_at = SIGNED_AT;
        assert_eq!(check(&params, around()), Err(ProofError::NonceMismatch));
        params.device.as_mut().unwrap().nonce = Some(format!(" {NONCE} "));
        assert!(check(&params, around()).is_ok());
        params.device.as_mut().unwrap().signature = "AAAA".into();
        assert_eq!(check(&params, around()), Err(ProofError::SignatureInvalid));
        params.device.as_mut().unwrap().public_key = "no key".into();
        assert_eq!(check(&params, around()), Err(ProofError::IdMismatch));
    }

    #[test]
    fn the_clock_may_be_off_by_the_skew() {
        for (now_ms, fits) in
            [(SIGNED_AT + 600_000, true), (SIGNED_AT - 600_000, true), (SIGNED_AT + 600_001, false), (0, false)]
        {
            assert_eq!(check(&cli_v2(), Circumstances { now_ms, ..around() }).is_ok(), fits, "{now_ms}");
        }
    }

    #[test]
    fn keys_of_small_order_sign_nothing() {
        let weak = [0u8; 32];
        let mut params = cli_v2();
        let device = params.device.as_mut().unwrap();
        device.public_key = encode_key(&weak);
        device.id = device_id(&weak);
        device.signature = schemas::device::encode_signature(&[0; 64]);
        assert_eq!(check(&params, around()), Err(ProofError::SignatureInvalid));
    }
}
