//! A request as a handler sees it, and its answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::abi::*;
use crate::error::MethodError;
use crate::glue::raw::RawHost;
use crate::host::{Host, HostError, Invoke};

/// A request: what was asked, by whom, and until when.
#[derive(Debug)]
pub struct Call {
    host: Host,
    id: gwp_call,
    conn: u64,
    flags: u32,
    deadline: Option<Instant>,
    method: Cow<'static, str>,
    params: Box<str>,
    idempotency_key: Option<Box<str>>,
    traceparent: Option<Box<str>>,
}

impl Call {
    pub(crate) fn new(
        host: Host,
        request: &gwp_request,
        method: Cow<'static, str>,
        params: Option<&str>,
        key: Option<&str>,
        traceparent: Option<&str>,
    ) -> Self {
        Call {
            host,
            id: request.call,
            conn: request.conn,
            flags: request.flags,
            deadline: (request.deadline_ms > 0).then(|| Instant::now() + Duration::from_millis(request.deadline_ms)),
            method,
            params: params.unwrap_or("").into(),
            idempotency_key: key.filter(|key| !key.is_empty()).map(Into::into),
            traceparent: traceparent.filter(|trace| !trace.is_empty()).map(Into::into),
        }
    }

    /// The method's name.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The parameters as JSON text, valid against the method's schema.
    pub fn params_text(&self) -> &str {
        if self.params.is_empty() { "{}" } else { &self.params }
    }

    /// The parameters as a type. What the peer hears when they are none says what is wrong without repeating them.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, MethodError> {
        serde_json::from_str(self.params_text()).map_err(|error| {
            let message = format!("invalid {} params: {}", self.method, schemas::json::fault(&error));
            let place = format!("params could not be read: line {}, column {}", error.line(), error.column());
            MethodError::invalid_request(message).log(place)
        })
    }

    /// The connection that asks; `None` when another plugin does.
    pub fn conn(&self) -> Option<u64> {
        (self.conn != 0).then_some(self.conn)
    }

    /// Whether the connection is local.
    pub fn is_local(&self) -> bool {
        self.flags & GWP_REQ_LOCAL != 0
    }

    /// Whether the caller holds `operator.admin`.
    pub fn is_admin(&self) -> bool {
        self.flags & GWP_REQ_ADMIN != 0
    }

    /// Whether the caller's role is node.
    pub fn is_node(&self) -> bool {
        self.flags & GWP_REQ_NODE != 0
    }

    /// The key, for methods that take one.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    /// The trace that it belongs to, a W3C `traceparent`. Calls that are made on its behalf ([`Call::invoke`], or with what
    /// [`Call::retain`] gives) belong to it as well, without further words.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// How long is left; `None` without a deadline.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Sends an answer now, with more to come; for methods whose manifest row says `interim`.
    pub fn interim<T: Serialize + ?Sized>(&self, payload: &T) -> Result<(), HostError> {
        let json = serde_json::to_vec(payload).map_err(|_| HostError::Invalid)?;
        HostError::check(self.host.raw().reply(self.id, GWP_INTERIM, &json))
    }

    /// Who asks.
    pub fn caller(&self) -> Result<Caller, HostError> {
        let mut record = None;
        HostError::check(self.host.raw().caller(self.id, |_, json| record = serde_json::from_slice(json).ok()))?;
        record.ok_or(HostError::Invalid)
    }

    /// Keeps the caller's authority beyond this call and its connection; revocation still ends it.
    pub fn retain(&self) -> Result<Principal, HostError> {
        let raw = self.host.raw();
        match raw.retain(self.id) {
            Ok(id) => Ok(Principal(Arc::new(Kept { host: self.host.clone(), id }))),
            Err(code) => Err(HostError::from_code(code)),
        }
    }

    /// Calls another method with the caller's rights, as far as this plugin's grants go. Ends when this call ends.
    pub fn invoke(&self, method: &str, params: &impl Serialize) -> Invoke {
        match self.retain() {
            Ok(principal) => self.host.invoke(method, params).on_behalf_of(principal),
            Err(error) => Invoke::failed(self.host.clone(), method, error),
        }
    }

    pub(crate) fn id(&self) -> gwp_call {
        self.id
    }

    pub(crate) fn method_name(&self) -> Cow<'static, str> {
        self.method.clone()
    }
}

/// The caller, without credentials: the record of `gwp.caller/1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// The connection's id on the wire; absent when another plugin asks in its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conn_id: Option<String>,
    /// `operator`, `node`, or `plugin`.
    pub role: String,
    /// Granted scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The paired device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Whether the connection came in with a device token rather than the shared secret.
    #[serde(default)]
    pub via_device_token: bool,
    /// `client.id`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `client.mode`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// `client.displayName`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// `client.instanceId`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Capabilities as sent.
    #[serde(default)]
    pub caps: Vec<String>,
    /// Address, absent for local connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Whether the connection is local.
    #[serde(default)]
    pub local: bool,
    /// Negotiated protocol version.
    #[serde(default)]
    pub protocol: u32,
    /// The plugin, when one asks in its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
}

/// A caller's authority, kept. Given back when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Principal(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    host: Host,
    id: gwp_principal,
}

impl Principal {
    pub(crate) fn id(&self) -> gwp_principal {
        self.0.id
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.host.raw().release(self.id);
    }
}

/// What a handler answers.
#[derive(Debug)]
pub enum Reply {
    /// It succeeded; the payload.
    Payload(Box<RawValue>),
    /// It succeeded; a payload that others are given too.
    Shared(Arc<RawValue>),
    /// It failed.
    Error(MethodError),
    /// It failed and has a payload all the same.
    ErrorWithPayload(MethodError, Box<RawValue>),
}

impl Reply {
    /// Success with this payload.
    pub fn ok<T: Serialize + ?Sized>(payload: &T) -> Self {
        match serde_json::value::to_raw_value(payload) {
            Ok(payload) => Reply::Payload(payload),
            Err(error) => Reply::Error(error.into()),
        }
    }

    /// Success or failure.
    pub fn from_result<T: Serialize>(result: Result<T, MethodError>) -> Self {
        match result {
            Ok(payload) => Reply::ok(&payload),
            Err(error) => Reply::Error(error),
        }
    }

    /// The answer to a method that this plugin does not have.
    pub fn unknown_method(method: &str) -> Self {
        Reply::Error(MethodError::invalid_request(format!("unknown method: {method}")))
    }
}

impl From<MethodError> for Reply {
    fn from(error: MethodError) -> Self {
        Reply::Error(error)
    }
}

/// The duty to answer one call. Dropped unanswered, it answers that the method failed or was stopped.
pub(crate) struct Answer {
    raw: RawHost,
    call: gwp_call,
    method: Cow<'static, str>,
    sent: bool,
}

impl Answer {
    pub(crate) fn new(raw: RawHost, call: gwp_call, method: Cow<'static, str>) -> Self {
        Answer { raw, call, method, sent: false }
    }

    pub(crate) fn send(&mut self, reply: Reply) {
        self.sent = true;
        let raw = self.raw;
        let code = match reply {
            Reply::Payload(payload) => raw.reply(self.call, GWP_FINAL, payload.get().as_bytes()),
            Reply::Shared(payload) => raw.reply(self.call, GWP_FINAL, payload.get().as_bytes()),
            Reply::Error(error) => return self.send_error(&error),
            Reply::ErrorWithPayload(error, payload) => {
                self.log(&error);
                let json = serde_json::to_vec(&ErrorAndPayload { error: error.shape(), payload: &payload });
                raw.reply(self.call, GWP_ERROR_PAYLOAD, &json.unwrap_or_default())
            }
        };
        // An answer that the host did not take, say one over its size limit, would leave the caller waiting.
        if code != GWP_OK && code != GWP_GONE {
            let refused = HostError::from_code(code);
            let error = MethodError::unavailable("the answer could not be sent; the gateway's log has the details");
            self.send_error(&error.log(format!("the host did not take the answer: {refused}")));
        }
    }

    fn send_error(&self, error: &MethodError) {
        self.log(error);
        let json = serde_json::to_vec(error.shape()).unwrap_or_default();
        self.raw.reply(self.call, GWP_ERROR, &json);
    }

    fn log(&self, error: &MethodError) {
        if let Some(detail) = error.detail_for_log() {
            self.raw.log(2, &self.method, detail, "");
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.sent {
            self.send(Reply::Error(MethodError::dropped()));
        }
    }
}

/// The json of `GWP_ERROR_PAYLOAD`.
#[derive(Serialize)]
struct ErrorAndPayload<'a> {
    error: &'a schemas::ErrorShape,
    payload: &'a RawValue,
}
