//! What a device signs: its own signature is taken over any fields, and over no other ones.

use clawhost::device_auth::{Circumstances, ProofError, verify};
use ed25519_dalek::{Signer, SigningKey};
use schemas::connect::{ClientInfo, ConnectParams, Credentials, DeviceProof};
use schemas::device::{SignedFields, decode_key, decode_signature, device_id, encode_key, encode_signature};
use schemas::protocol::Version;

use super::{choice, line};

const NONCE: &str = "3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01";
const SIGNED_AT: u64 = 1_737_264_000_000;

pub fn run(data: &[u8]) {
    let (way, rest) = choice(data);
    let text = String::from_utf8_lossy(rest);
    names_one_key(&text);
    signs(way, &text);
}

/// However a key is spelled, it has one name and one stored spelling.
fn names_one_key(text: &str) {
    if let Some(key) = decode_key(text) {
        let stored = encode_key(&key);
        assert_eq!(decode_key(&stored), Some(key));
        let id = device_id(&key);
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
    }
    if let Some(signature) = decode_signature(text) {
        assert_eq!(decode_signature(&encode_signature(&signature)), Some(signature));
    }
}

/// The fields that are signed, taken from lines.
fn params(text: &str, key: &SigningKey) -> ConnectParams {
    let (id, rest) = line(text);
    let (mode, rest) = line(rest);
    let (role, rest) = line(rest);
    let (token, rest) = line(rest);
    let (platform, rest) = line(rest);
    let (family, scopes) = line(rest);
    let public = key.verifying_key().to_bytes();
    ConnectParams {
        min_protocol: 3,
        max_protocol: 4,
        client: ClientInfo {
            id: id.to_string(),
            display_name: None,
            version: "1".to_string(),
            platform: platform.to_string(),
            device_family: (!family.is_empty()).then(|| family.to_string()),
            model_identifier: None,
            mode: mode.to_string(),
            instance_id: None,
            build_id: None,
            time_zone: None,
        },
        caps: None,
        commands: None,
        permissions: None,
        path_env: None,
        role: (!role.is_empty()).then(|| role.to_string()),
        scopes: Some(scopes.lines().map(str::to_string).collect()),
        device: Some(DeviceProof {
            id: device_id(&public),
            public_key: encode_key(&public),
            signature: String::new(),
            signed_at: SIGNED_AT,
            nonce: Some(NONCE.to_string()),
        }),
        auth: Some(Credentials { token: Some(token.to_string()), ..Credentials::default() }),
        locale: None,
        user_agent: None,
        computer_use: None,
        worker_runs: None,
        model_catalog: None,
    }
}

/// What is signed of these, by the version of the payload.
fn payload(params: &ConnectParams, version: u8) -> String {
    let proof = params.device.as_ref().expect("there is one");
    let fields = SignedFields {
        device_id: &proof.id,
        client_id: &params.client.id,
        client_mode: &params.client.mode,
        role: params.role(),
        scopes: params.requested_scopes(),
        signed_at: proof.signed_at,
        token: params.auth.as_ref().map_or("", Credentials::signed_token),
        platform: &params.client.platform,
        device_family: params.client.device_family.as_deref(),
    };
    match version {
        1 => fields.v1(),
        2 => fields.v2(NONCE),
        _ => fields.v3(NONCE),
    }
}

fn signs(way: u8, text: &str) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let mut params = params(text, &key);
    let version = way % 3 + 1;
    let signed = payload(&params, version);
    let proof = params.device.as_mut().expect("there is one");
    proof.signature = encode_signature(&key.sign(signed.as_bytes()).to_bytes());
    if version == 1 {
        proof.nonce = None;
    }
    let around = |local| Circumstances {
        version: if way & 8 == 0 { Version::V3 } else { Version::V4 },
        nonce: NONCE,
        local,
        now_ms: SIGNED_AT,
        skew_ms: 1000,
    };
    let check =
        |params: &ConnectParams, local| verify(params, params.device.as_ref().expect("there is one"), around(local));
    // Without a nonce only protocol 3 comes in, and only from this machine.
    let expected = version != 1 || way & 8 == 0;
    assert_eq!(check(&params, true).is_ok(), expected, "{signed}");
    assert_eq!(check(&params, false).is_ok(), version != 1, "{signed}");
    for field in 0..8 {
        let mut other = params.clone();
        let more = "x".to_string();
        match field {
            0 => other.client.id += &more,
            1 => other.client.mode += &more,
            2 => other.role = Some(format!("{}{more}", params.role())),
            3 => other.scopes.get_or_insert_default().push(more),
            4 => other.auth.get_or_insert_default().token = Some(format!("{signed}{more}")),
            5 => other.client.platform += &more,
            6 => {
                other.client.device_family =
                    Some(format!("{}{more}", params.client.device_family.as_deref().unwrap_or("")))
            }
            _ => other.device.as_mut().expect("there is one").signed_at += 1,
        }
        // A payload holds its fields side by side, and older ones do not hold them all.
        if payload(&other, version) != signed {
            assert_eq!(check(&other, true).err(), expected_refusal(version, way), "field {field} of {signed}");
        }
    }
}

/// Why other fields are refused: the signature is looked at last.
fn expected_refusal(version: u8, way: u8) -> Option<ProofError> {
    Some(if version == 1 && way & 8 != 0 { ProofError::NonceRequired } else { ProofError::SignatureInvalid })
}
