//! Methods that a test answers itself, in the host's place or another plugin's.

use std::sync::Arc;

use plugin_api::Caller;
use plugin_api::abi::{GWP_ERROR, GWP_FINAL, GWP_INTERIM, gwp_call};
use schemas::ErrorShape;
use serde_json::Value;

use crate::world::World;

pub(crate) type Stub = Arc<dyn Fn(StubCall) + Send + Sync>;

/// A call that a plugin made.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Its parameters.
    pub params: Value,
    /// The plugin that called.
    pub by: String,
    /// With whose rights: a caller's, or the plugin's own (role `plugin`).
    pub caller: Caller,
    /// How many calls deep, the first one of a plugin being 1 below its caller's.
    pub depth: u32,
    /// The trace it belongs to.
    pub traceparent: Option<String>,
}

/// A call that a test's closure answers, at once or later. A clone that is kept answers later.
#[derive(Clone)]
pub struct StubCall {
    pub(crate) world: Arc<World>,
    pub(crate) call: gwp_call,
    pub(crate) asked: Asked,
}

impl StubCall {
    /// What was asked, and by whom.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The parameters.
    pub fn params(&self) -> &Value {
        &self.asked.params
    }

    /// Answers now, with more to come.
    pub fn interim(&self, payload: Value) {
        self.world.answer(self.call, GWP_INTERIM, payload);
    }

    /// Answers.
    pub fn finish(&self, result: Result<Value, ErrorShape>) {
        match result {
            Ok(payload) => self.world.answer(self.call, GWP_FINAL, payload),
            Err(error) => {
                let error = serde_json::to_value(error).expect("an error is JSON");
                self.world.answer(self.call, GWP_ERROR, error);
            }
        }
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_ended(&self) -> bool {
        !self.world.look().calls.contains_key(&self.call)
    }

    /// Waits until nobody waits for the answer any more.
    #[track_caller]
    pub fn wait_ended(&self) {
        self.world.wait(&format!("the end of the call to {}", self.asked.method), |state| {
            (!state.calls.contains_key(&self.call)).then_some(())
        });
    }
}
