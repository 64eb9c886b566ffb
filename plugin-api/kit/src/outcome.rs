//! What a test hears of its calls.

use std::sync::Arc;

use plugin_api::abi::{
    GWP_CANCEL_ASKED, GWP_CANCEL_DISCONNECT, GWP_CANCEL_REVOKED, GWP_CANCEL_STOP, GWP_CANCEL_TIMEOUT, gwp_call,
};
use schemas::ErrorShape;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::world::World;

/// The answers to one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Interim answers, in order.
    pub interims: Vec<Value>,
    /// The final one. A call that ended without the plugin is an error with `details.code` `CALL_ENDED`.
    pub result: Result<Value, ErrorShape>,
    /// The payload that came with an error.
    pub error_payload: Option<Value>,
}

impl Outcome {
    /// The payload; fails the test on an error.
    #[track_caller]
    pub fn payload(self) -> Value {
        self.result.unwrap_or_else(|error| panic!("the call failed: {error} ({:?})", error.details))
    }

    /// The payload as a type.
    #[track_caller]
    pub fn parse<T: DeserializeOwned>(self) -> T {
        serde_json::from_value(self.payload()).expect("the payload is of this type")
    }

    /// The error; fails the test on a success.
    #[track_caller]
    pub fn error(self) -> ErrorShape {
        match self.result {
            Ok(payload) => panic!("the call succeeded with {payload}"),
            Err(error) => error,
        }
    }
}

/// Why a call ends without its plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// The connection went.
    Disconnect,
    /// The deadline passed.
    Timeout,
    /// The instance stops.
    Stop,
    /// The invoker asked.
    Asked,
    /// The caller's authority was revoked.
    Revoked,
}

impl CancelReason {
    pub(crate) fn code(self) -> i32 {
        match self {
            CancelReason::Disconnect => GWP_CANCEL_DISCONNECT,
            CancelReason::Timeout => GWP_CANCEL_TIMEOUT,
            CancelReason::Stop => GWP_CANCEL_STOP,
            CancelReason::Asked => GWP_CANCEL_ASKED,
            CancelReason::Revoked => GWP_CANCEL_REVOKED,
        }
    }

    pub(crate) fn error(self) -> ErrorShape {
        ErrorShape::unavailable(format!("the call ended before its answer: {self:?}"))
            .with_details(json!({ "code": "CALL_ENDED", "reason": self.code() }))
    }
}

/// A call on its way.
pub struct PendingCall {
    pub(crate) world: Arc<World>,
    pub(crate) call: gwp_call,
    pub(crate) method: String,
}

impl PendingCall {
    /// Waits for the final answer.
    #[track_caller]
    pub fn wait(&self) -> Outcome {
        let outcome = self.world.wait(&format!("the final answer of {}", self.method), |state| {
            let heard = state.pending.get(&self.call)?;
            let result = heard.result.clone()?;
            Some(Outcome { interims: heard.interims.clone(), result, error_payload: heard.error_payload.clone() })
        });
        self.world.check();
        outcome
    }

    /// Waits for the next interim answer that was not taken yet.
    #[track_caller]
    pub fn next_interim(&self) -> Value {
        let interim = self.world.wait(&format!("an interim answer of {}", self.method), |state| {
            let heard = state.pending.get_mut(&self.call)?;
            let interim = heard.interims.get(heard.taken)?.clone();
            heard.taken += 1;
            Some(interim)
        });
        self.world.check();
        interim
    }

    /// Whether the final answer has come.
    pub fn is_done(&self) -> bool {
        self.world.look().pending.get(&self.call).is_some_and(|heard| heard.result.is_some())
    }

    /// Ends the call over the plugin's head.
    pub fn cancel(&self, reason: CancelReason) {
        self.world.end(self.call, reason);
    }
}
