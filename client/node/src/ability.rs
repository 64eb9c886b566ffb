//! What a node can do: a few commands of one kind.

use std::future::Future;
use std::pin::Pin;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

/// Error code for parameters that make no sense.
pub const INVALID_REQUEST: &str = "INVALID_REQUEST";
/// Error code for what cannot be done, or not now.
pub const UNAVAILABLE: &str = "UNAVAILABLE";
/// Error code for what took too long.
pub const TIMEOUT: &str = "TIMEOUT";

/// Why a command was not carried out, as the gateway hands it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One of the codes of this module.
    pub code: &'static str,
    /// For people, and for models.
    pub message: String,
}

impl Refusal {
    /// The parameters make no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Refusal { code: INVALID_REQUEST, message: message.into() }
    }

    /// It cannot be done, or not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Refusal { code: UNAVAILABLE, message: message.into() }
    }
}

/// What a command gives back; `Null` when there is nothing to say.
pub type Answer = Result<Value, Refusal>;

/// Work on an answer. Dropping it ends whatever was begun.
pub type Work<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Commands of one kind. An ability exists only where the machine has what it takes.
pub trait Ability: Send + Sync {
    /// The capability it stands under in `connect`.
    fn cap(&self) -> &'static str;

    /// The commands it understands.
    fn commands(&self) -> &'static [&'static str];

    /// Carries one of them out. `params` is the JSON text that came, `{}` without any; nobody waits for an answer after
    /// `deadline`.
    fn run<'a>(&'a self, command: &'a str, params: &'a str, deadline: Instant) -> Work<'a>;

    /// Ends what it keeps between two commands; the node stops.
    fn stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {})
    }
}

/// Reads the parameters of a command; what is not understood is named.
pub fn read<T: DeserializeOwned>(command: &str, params: &str) -> Result<T, Refusal> {
    serde_json::from_str(params).map_err(|error| Refusal::invalid(format!("invalid {command} params: {error}")))
}
