//! The handshake: frames in, verdict out. It reads no socket and no clock, and each stage is used up by the next, so
//! that no order of frames can skip a check.
//!
//! ```text
//! Challenged ──receive──▶ Authenticated ──candidate, admit, resolve──▶ Accepted
//!      └──────────────────────────┴────────────────────────────────────▶ Refusal
//! ```

mod refusal;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use schemas::ErrorShape;
use schemas::bounds;
use schemas::connect::{self, ConnectParams};
use schemas::error::code;
use schemas::frame::Request;
use schemas::hello::Granted;
use schemas::protocol::{self, SIGNATURE_SKEW_MS, Version, close};
use schemas::scope;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::auth::{self, Attempt, AuthMethod, AuthSettings, Authorized, DeviceTokens};
use crate::device_auth::{self, Circumstances, VerifiedDevice};
use crate::failures::{FailureLimiter, Guesser};
use crate::locality::Peer;
use crate::named_tokens::Bounds;
use crate::pairing::{Admission, Candidate, PairingEvent, PairingReason};
use crate::validation::{Shape, Validator};
use refusal::quoted;

pub use refusal::{Refusal, cut_reason};

const OPERATOR: &str = "operator";
const NODE: &str = "node";

/// What handshakes are judged by.
#[derive(Debug)]
pub struct HandshakeSettings {
    /// The protocol versions served.
    pub served: Vec<Version>,
    /// The shared secret.
    pub auth: AuthSettings,
    /// Exceptions for the Control UI.
    pub control_ui: ControlUi,
    /// The schema of `connect`.
    pub connect_validator: Validator,
    /// The quick answer of the same.
    pub connect_shape: Option<Shape>,
    /// Whether params that `connect` does not know are left out instead of refused.
    pub allow_extra_params: bool,
    /// The schema of a request frame.
    pub frame_validator: Validator,
    /// How far `device.signedAt` may be off, in milliseconds.
    pub skew_ms: u64,
}

/// Exceptions for the Control UI: `gateway.control_ui`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ControlUi {
    /// A page without a secure context may come in with token or password, and without pairing.
    pub allow_insecure_auth: bool,
    /// Devices of pages are not looked at.
    pub dangerously_disable_device_auth: bool,
}

impl HandshakeSettings {
    /// Settings that accept the known client ids and those the operator added.
    pub fn new(
        served: Vec<Version>,
        auth: AuthSettings,
        control_ui: ControlUi,
        extra_client_ids: &[String],
    ) -> Result<Self, String> {
        let schema = connect::schema(extra_client_ids);
        Ok(HandshakeSettings {
            served,
            auth,
            control_ui,
            connect_validator: Validator::new(&schema)?,
            connect_shape: Shape::of(&schema),
            allow_extra_params: false,
            frame_validator: Validator::request_frame(),
            skew_ms: SIGNATURE_SKEW_MS,
        })
    }
}

/// A socket that was sent its challenge and has said nothing yet.
#[derive(Debug)]
pub struct Challenged {
    nonce: String,
}

/// What the first frame led to.
#[derive(Debug)]
pub enum Stage {
    /// The end.
    Refused(Box<Refusal>),
    /// Everything but pairing is settled.
    Authenticated(Box<Authenticated>),
}

/// A client that has proved itself and may still need to be paired.
#[derive(Debug)]
pub struct Authenticated {
    request_id: String,
    params: ConnectParams,
    version: Version,
    role: String,
    scopes: Vec<String>,
    device: Option<VerifiedDevice>,
    authorized: Authorized,
    pairing_optional: bool,
    may_be_silent: bool,
    reported_ip: Option<String>,
}

/// A client that is in.
#[derive(Debug)]
pub struct Accepted {
    /// The id of the `connect` request.
    pub request_id: String,
    /// What it sent, within [`bounds`], without its credentials, and without a device that was not verified.
    pub params: ConnectParams,
    /// The negotiated version.
    pub version: Version,
    /// Its role.
    pub role: String,
    /// Its scopes, as granted.
    pub scopes: Vec<String>,
    /// Its device token, if it is paired.
    pub granted: Option<Granted>,
    /// Its verified device.
    pub device_id: Option<String>,
    /// Whether it came in by its device token, by the code that it is handed one for, or by its device alone because the
    /// tailnet knows who it is.
    pub via_device_token: bool,
    /// By what it came in.
    pub auth_method: AuthMethod,
    /// The bounds of the named token, if it came in by one.
    pub named: Option<Arc<Bounds>>,
    /// For `Pairing::stands`, if it is paired.
    pub epoch: Option<u64>,
    /// What happened on the way, to be published.
    pub events: Vec<PairingEvent>,
}

impl Challenged {
    /// A socket with this nonce.
    pub fn new(nonce: impl Into<String>) -> Self {
        Challenged { nonce: nonce.into() }
    }

    /// The nonce of this socket.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Judges the first frame: every check up to pairing, in the order of the protocol.
    pub fn receive(
        self,
        text: &str,
        peer: &Peer,
        settings: &HandshakeSettings,
        tokens: &dyn DeviceTokens,
        limiter: &FailureLimiter,
        now_ms: u64,
    ) -> Stage {
        let judge = Judge { nonce: &self.nonce, peer, settings, tokens, limiter, now_ms };
        match judge.first_frame(text) {
            Ok(authenticated) => Stage::Authenticated(Box::new(authenticated)),
            Err(refusal) => Stage::Refused(refusal),
        }
    }
}

struct Judge<'a> {
    nonce: &'a str,
    peer: &'a Peer,
    settings: &'a HandshakeSettings,
    tokens: &'a dyn DeviceTokens,
    limiter: &'a FailureLimiter,
    now_ms: u64,
}

type Verdict<T> = Result<T, Box<Refusal>>;

impl Judge<'_> {
    fn first_frame(&self, text: &str) -> Verdict<Authenticated> {
        let request = self.request(text)?;
        let mut params = self.params(&request)?;
        let id = &*request.id;
        let version = self.version(id, &params)?;
        if version >= Version::V4 {
            self.rules_of_4(id, &params)?;
        }
        let role = params.role().to_string();
        if role != OPERATOR && role != NODE {
            let detail = format!("role {}", quoted(&role));
            return refuse(id, ErrorShape::invalid_request("invalid role"), "invalid-role", detail);
        }
        let is_control_ui = protocol::is_control_ui(&params.client.id);
        let exceptions = if is_control_ui { self.settings.control_ui } else { ControlUi::default() };
        if exceptions.dangerously_disable_device_auth {
            params.device = None;
        }
        let credentials = params.credentials();
        let has_credential = credentials.token().is_some() || credentials.password().is_some();
        if params.device.is_none() {
            self.may_come_without_device(id, &params, version, exceptions, has_credential)?;
        }
        let mut device = match &params.device {
            Some(proof) => Some(self.device(id, &params, proof, version)?),
            None => None,
        };
        let mut scopes = self.scopes(version, &role, &params, device.is_some());
        let authorized = self.authorize(id, &params, version, &role, &scopes, device.as_ref())?;
        if let Some(bounds) = &authorized.named {
            // The token bounds the scopes, wherever it comes from. A device would be paired or handed a token of its own,
            // which would outlive this one, so from here on there is none.
            let asked = bounds::names(params.requested_scopes().to_vec(), bounds::MAX_SCOPES);
            scopes = bounds.grant(version, &asked);
            (device, params.device) = (None, None);
        }
        if let Some(invited) = &authorized.invited {
            scopes = scope::meet(&invited.scopes, &scopes);
        }
        let is_page = is_control_ui || protocol::is_webchat(&params.client.id, &params.client.mode);
        params.auth = None;
        Ok(Authenticated {
            request_id: request.id.into_owned(),
            version,
            role,
            scopes,
            device,
            // Only a secret replaces the pairing, and then not one that was wrong.
            pairing_optional: exceptions.allow_insecure_auth
                && has_credential
                && authorized.method != AuthMethod::Tailscale,
            authorized,
            // A page that some other program shows on this machine is not its owner.
            may_be_silent: self.peer.local && (self.peer.origin.is_none() || is_page),
            reported_ip: self.peer.reported_ip.clone(),
            // The device's signature is over the full text; from here on it is only shown.
            params: params.bounded(),
        })
    }

    /// Checks 1 to 3: JSON, a request frame, `connect`.
    fn request<'t>(&self, text: &'t str) -> Verdict<Request<'t>> {
        let Some(request) = Request::parse(text) else {
            if serde_json::from_str::<IgnoredAny>(text).is_err() {
                return Err(Box::new(Refusal::not_json()));
            }
            let detail = self.settings.frame_validator.describe_frame(text);
            let reason = "invalid request frame";
            return Err(Box::new(Refusal::wordless(close::POLICY, reason, "invalid-frame", detail)));
        };
        if request.method != "connect" {
            let error = ErrorShape::invalid_request("invalid handshake: first request must be connect");
            return refuse(&request.id, error, "not-connect", format!("method {}", quoted(&request.method)));
        }
        Ok(request)
    }

    /// Check 4: the params.
    fn params(&self, request: &Request<'_>) -> Verdict<ConnectParams> {
        let invalid = |what: String| {
            let error = ErrorShape::invalid_request(format!("invalid connect params: {what}"));
            refuse(&request.id, error, "invalid-params", what)
        };
        // What is valid, and read without difficulty, is looked at no further.
        let text = request.params_text();
        if self.settings.connect_shape.as_ref().is_some_and(|shape| shape.admits(text))
            && let Ok(params) = serde_json::from_str(text)
        {
            return Ok(params);
        }
        let mut value = match schemas::json::value(text) {
            Ok(value) => value,
            Err(error) => return invalid(schemas::json::fault(&error).to_string()),
        };
        if self.settings.allow_extra_params {
            self.settings.connect_validator.leave_out_extra(&mut value);
        }
        if let Some(failures) = self.settings.connect_validator.describe(&value) {
            return invalid(failures);
        }
        // The cause would repeat what was sent, which may be a secret. Only numbers out of range get here.
        serde_json::from_value(value).or_else(|_| invalid("numbers must be integers in range".to_string()))
    }

    /// Check 5: the protocol version.
    fn version(&self, id: &str, params: &ConnectParams) -> Verdict<Version> {
        let (min, max) = (params.min_protocol, params.max_protocol);
        let served = &self.settings.served;
        protocol::negotiate(served, min, max).ok_or_else(|| {
            let numbers = || served.iter().map(|version| version.number());
            let error = ErrorShape::invalid_request("protocol mismatch").with_details(json!({
                "code": "PROTOCOL_MISMATCH",
                "clientMinProtocol": min,
                "clientMaxProtocol": max,
                "expectedProtocol": numbers().max(),
                "minimumProbeProtocol": numbers().min(),
            }));
            let detail = format!("the client speaks {min} to {max}");
            Box::new(Refusal::with_error(id, error, "protocol-mismatch", detail).closing_with(close::PROTOCOL))
        })
    }

    /// What protocol 4 asks of every client before anything else.
    fn rules_of_4(&self, id: &str, params: &ConnectParams) -> Verdict<()> {
        if protocol::is_worker(&params.client.id, &params.client.mode) {
            let detail = format!("client {}", quoted(&params.client.id));
            return Err(Box::new(Refusal::wordless(close::POLICY, "invalid-handshake", "worker", detail)));
        }
        // A foreign origin was turned away before the upgrade.
        if protocol::is_control_ui(&params.client.id) && self.peer.origin.as_deref().is_none_or(str::is_empty) {
            let message = "origin not allowed (open the Control UI from the gateway host or allow it in \
                           gateway.controlUi.allowedOrigins)";
            let details = json!({ "code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": "origin missing or invalid" });
            return refuse(
                id,
                ErrorShape::invalid_request(message).with_details(details),
                "origin",
                "the page has no origin",
            );
        }
        if params.auth.as_ref().is_some_and(|auth| auth.agent_runtime_identity_token.is_some()) {
            let message = "invalid agent runtime identity token";
            return refuse(id, ErrorShape::invalid_request(message), "unauthorized", "an agent runtime identity token");
        }
        Ok(())
    }

    /// Checks 7 and 8: who may come without a device.
    fn may_come_without_device(
        &self,
        id: &str,
        params: &ConnectParams,
        version: Version,
        exceptions: ControlUi,
        has_credential: bool,
    ) -> Verdict<()> {
        let is_excepted = exceptions.allow_insecure_auth || exceptions.dangerously_disable_device_auth;
        let client = params.client.id.as_str();
        let is_ui = protocol::is_control_ui(client) || (version >= Version::V4 && protocol::is_terminal_ui(client));
        if is_ui && !is_excepted {
            let message = match version {
                Version::V3 => "control ui requires HTTPS or localhost (secure context)",
                Version::V4 => "control ui requires device identity (use HTTPS or localhost secure context)",
            };
            let error = ErrorShape::invalid_request(message)
                .with_details(json!({ "code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED" }));
            return refuse(id, error, "insecure-context", "the page sent no device");
        }
        let has_token = params.auth.as_ref().is_some_and(|auth| auth.token().is_some());
        let suffices = match version {
            Version::V3 => has_token || (is_excepted && has_credential),
            Version::V4 => has_credential && params.role() != NODE,
        };
        if suffices {
            return Ok(());
        }
        let error = ErrorShape::new(code::NOT_PAIRED, "device identity required")
            .with_details(json!({ "code": "DEVICE_IDENTITY_REQUIRED" }));
        refuse(id, error, "device-required", "neither a device nor a credential that replaces it")
    }

    /// Checks 9 to 14: the device's proof.
    fn device(
        &self,
        id: &str,
        params: &ConnectParams,
        proof: &connect::DeviceProof,
        version: Version,
    ) -> Verdict<VerifiedDevice> {
        let around = Circumstances {
            version,
            nonce: self.nonce,
            local: self.peer.local,
            now_ms: self.now_ms,
            skew_ms: self.settings.skew_ms,
        };
        device_auth::verify(params, proof, around).or_else(|failure| {
            let details = json!({ "code": failure.code(), "reason": failure.reason() });
            let error = ErrorShape::invalid_request(failure.message()).with_details(details);
            let detail = format!("device {}: {}", quoted(&proof.id), failure.reason());
            refuse(id, error, failure.reason(), detail)
        })
    }

    /// The scopes in force. What is asked for is an upper bound; a node has none.
    fn scopes(&self, version: Version, role: &str, params: &ConnectParams, has_device: bool) -> Vec<String> {
        let asked = params.requested_scopes().to_vec();
        if role != OPERATOR {
            return Vec::new();
        }
        let asks_for_none = asked.is_empty();
        let asked = bounds::names(asked, bounds::MAX_SCOPES);
        match version {
            Version::V3 if asks_for_none => vec![scope::ADMIN.to_string()],
            Version::V3 => asked,
            // Without a device, only the command line of this machine may name its own scopes.
            Version::V4 => {
                let client = (params.client.id.as_str(), params.client.mode.as_str());
                let is_command_line = matches!(client, ("cli", "cli") | ("gateway-client", "backend"));
                let excepted = protocol::is_control_ui(client.0);
                let may = has_device || excepted || (self.peer.local && self.peer.origin.is_none() && is_command_line);
                if may { asked } else { Vec::new() }
            }
        }
    }

    /// Check 15: the shared secret, then tokens.
    fn authorize(
        &self,
        id: &str,
        params: &ConnectParams,
        version: Version,
        role: &str,
        scopes: &[String],
        device: Option<&VerifiedDevice>,
    ) -> Verdict<Authorized> {
        let attempt = Attempt {
            version,
            credentials: &params.credentials(),
            client: &params.client,
            device_id: device.map(|device| device.device_id.as_str()),
            role,
            scopes,
            local: self.peer.local,
            in_tailnet: self.peer.tailscale_login.is_some(),
            guesser: Guesser { ip: self.peer.client_ip, direct: self.peer.is_direct() },
            now_ms: self.now_ms,
        };
        auth::authorize(&self.settings.auth, self.tokens, self.limiter, attempt).map_err(|refused| {
            let token = refused.token_refusal.map_or("not tried", |refusal| refusal.name());
            let client = quoted(&params.client.id);
            let named = refused.named.map_or_else(String::new, |bounds| format!(" ({})", bounds.name));
            let reason = refused.reason;
            let detail = format!("{reason}{named}, device token {token}, client {client} from {}", self.peer.client_ip);
            let outcome = if reason == "rate_limited" { "rate-limited" } else { "unauthorized" };
            let mut refusal = Refusal::with_error(id, refused.error, outcome, detail);
            refusal.delay = refused.delay;
            Box::new(refusal)
        })
    }
}

impl Authenticated {
    /// What the pairing book must decide about; `None` when there is no device.
    pub fn candidate(&self) -> Option<Candidate> {
        let device = self.device.as_ref()?;
        let client = &self.params.client;
        Some(Candidate {
            device_id: device.device_id.clone(),
            public_key: device.public_key.clone(),
            role: self.role.clone(),
            scopes: self.scopes.clone(),
            display_name: client.display_name.clone(),
            platform: Some(client.platform.clone()),
            device_family: client.device_family.clone(),
            client_id: Some(client.id.clone()),
            client_mode: Some(client.mode.clone()),
            remote_ip: self.reported_ip.clone(),
            local: self.may_be_silent,
            pairing_optional: self.pairing_optional,
            token_use: self.authorized.token_use,
            pins: self.version >= Version::V4,
            invited: self.authorized.invited.clone(),
        })
    }

    /// Check 16: what the pairing book decided. Where it had to decide and `None` is given, it could not answer, and the
    /// client is asked to come again.
    pub fn resolve(self, admission: Option<Admission>) -> Result<Accepted, Box<Refusal>> {
        let id = self.request_id.as_str();
        // A verdict about another device is as good as none.
        let own = self.device.as_ref().map(|device| device.device_id.as_str());
        let admission = admission.filter(|admission| match admission {
            Admission::Paired { device, .. } => own == Some(device.device_id.as_str()),
            _ => own.is_some(),
        });
        match admission {
            None if own.is_some() => {
                let error = ErrorShape::unavailable("pairing state unavailable; retry shortly").retry_after(1_000);
                let refusal = Refusal::with_error(id, error, "unavailable", "the pairing book gave no answer");
                Err(Box::new(refusal.closing_with(close::TRY_AGAIN)))
            }
            None | Some(Admission::Skipped) => Ok(self.accepted(None, None, Vec::new())),
            Some(Admission::Paired { granted, epoch, events, .. }) => {
                Ok(self.accepted(Some(granted), Some(epoch), events))
            }
            Some(Admission::Pending { request_id, reason, events }) => {
                let mut refusal = self.pairing_required(&request_id, reason);
                refusal.events = events;
                Err(Box::new(refusal))
            }
            Some(Admission::TokenFallen) => {
                let message = "unauthorized: device token mismatch (rotate/reissue device token)";
                let error = ErrorShape::invalid_request(message).with_details(json!({
                    "code": "AUTH_DEVICE_TOKEN_MISMATCH", "authReason": "device_token_mismatch",
                    "canRetryWithDeviceToken": false, "recommendedNextStep": "update_auth_credentials",
                }));
                refuse(id, error, "unauthorized", "the device token fell during the handshake")
            }
            Some(Admission::InvitationFallen) => {
                refuse(id, auth::bootstrap_refusal(), "unauthorized", "the setup code ended during the handshake")
            }
            Some(Admission::Busy) => {
                let message = "too many devices are waiting for approval; retry later";
                let error = ErrorShape::unavailable(message).retry_after(60_000);
                let refusal = Refusal::with_error(id, error, "pairing-busy", "no room for another pending request");
                Err(Box::new(refusal.closing_with(close::TRY_AGAIN)))
            }
        }
    }

    /// The hint to wait is what makes a node host knock again instead of giving up until somebody restarts it.
    fn pairing_required(&self, request_id: &str, reason: PairingReason) -> Refusal {
        let message = match self.version {
            Version::V3 => "pairing required".to_string(),
            Version::V4 => format!("pairing required: {}", reason.sentence()),
        };
        let close_reason = match self.version {
            Version::V3 => message.clone(),
            Version::V4 => format!("{message} (requestId: {request_id})"),
        };
        let error = ErrorShape::new(code::NOT_PAIRED, message).with_details(json!({
            "code": "PAIRING_REQUIRED",
            "reason": reason.name(),
            "requestId": request_id,
            "deviceId": self.device.as_ref().map(|device| &device.device_id),
            "requestedRole": self.role,
            "requestedScopes": self.scopes,
            "remediationHint": format!("approve it on the gateway: clawhost devices approve {request_id}"),
            "recommendedNextStep": "wait_then_retry",
            "retryable": true,
            "pauseReconnect": false,
        }));
        let detail = format!("{}, request {request_id}", reason.name());
        let mut refusal = Refusal::with_error(&self.request_id, error, "pairing-required", detail);
        refusal.close_reason = cut_reason(&close_reason);
        refusal
    }

    fn accepted(self, granted: Option<Granted>, epoch: Option<u64>, events: Vec<PairingEvent>) -> Accepted {
        let Authorized { method, token_use, named, invited } = self.authorized;
        Accepted {
            request_id: self.request_id,
            params: self.params,
            version: self.version,
            role: self.role,
            scopes: self.scopes,
            granted,
            device_id: self.device.map(|device| device.device_id),
            // Who comes by an invitation, or by its name, is known by its device alone, now as later.
            via_device_token: token_use.is_some() || invited.is_some() || method == AuthMethod::Tailscale,
            auth_method: method,
            named,
            epoch,
            events,
        }
    }
}

fn refuse<T>(id: &str, error: ErrorShape, outcome: &'static str, detail: impl Into<String>) -> Verdict<T> {
    Err(Box::new(Refusal::with_error(id, error, outcome, detail)))
}
