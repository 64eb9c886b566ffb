//! The devices that take part: the same ones in every round and at every server, since each leaves a row of presence behind
//! for minutes, and what a list of rows costs should not hang on how many loads there were before.

use std::time::Duration;

use client::Identity;

use crate::report::Outcome;
use crate::wire::Target;
use crate::{handshakes, invokes};

/// Handshakes at once, each with a device of its own.
pub const OPERATORS: usize = 8;
/// A gateway tells of newcomers a moment after they came; within this it has told of all.
pub const UNTIL_KNOWN: Duration = Duration::from_secs(1);

pub struct Devices {
    pub operators: Vec<Identity>,
    pub node: Identity,
}

impl Devices {
    pub fn generate() -> Outcome<Self> {
        let device = || Identity::generate().map_err(|error| error.to_string());
        Ok(Devices { operators: (0..OPERATORS).map(|_| device()).collect::<Outcome<_>>()?, node: device()? })
    }

    /// Lets each of them connect once and go, after which a server knows all that it will ever know.
    pub async fn visit(&self, target: &Target) -> Outcome<()> {
        for device in &self.operators {
            handshakes::farewell(target.open(Some(device)).await?).await?;
        }
        handshakes::farewell(target.open_node(&self.node, invokes::COMMAND).await?).await
    }
}
