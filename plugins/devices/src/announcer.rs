//! Says each pairing event once.
//!
//! A decision reaches this plugin twice when one of its own methods made it: as the answer of the host's service and as
//! the host's notice, in no fixed order. Clients are promised the event before the response, so whichever comes first
//! announces, and the other finds it done.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use plugin_api::catalogue::PairingResolved;
use plugin_api::{HeardEvent, Host, HostError};
use serde::Serialize;

/// A device asks to be paired.
pub const REQUESTED: &str = "device.pair.requested";
/// A pairing request was decided.
pub const RESOLVED: &str = "device.pair.resolved";

/// Decisions remembered at most. Those made elsewhere (silent approvals) are heard only once and would pile up.
const REMEMBERED: usize = 128;

/// Emits the events of this plugin.
pub struct Announcer {
    host: Host,
    /// Requests announced as decided, whose second sight is still to come.
    announced: Mutex<VecDeque<String>>,
}

impl Announcer {
    /// One that emits through this host.
    pub fn new(host: Host) -> Self {
        Announcer { host, announced: Mutex::default() }
    }

    /// The host gave notice of something about pairing.
    pub fn heard(&self, notice: &HeardEvent<'_>) {
        let understood = match &*notice.event {
            "host.pairing.requested" => notice.raw().map(|requested| self.emit(REQUESTED, requested)),
            "host.pairing.resolved" => notice.raw().and_then(|raw| {
                let resolved: PairingResolved = notice.payload()?;
                self.once(&resolved.request_id, raw);
                Ok(())
            }),
            // Notices of a later host.
            _ => Ok(()),
        };
        if let Err(error) = understood {
            self.host.warn(&format!("{} is not understood: {error}", notice.event));
        }
    }

    /// One of this plugin's own methods has decided about a request.
    pub fn resolved(&self, request_id: &str, device_id: &str, decision: &str) {
        let resolved = PairingResolved {
            request_id: request_id.to_string(),
            device_id: device_id.to_string(),
            decision: decision.to_string(),
            ts: schemas::now_ms(),
        };
        self.once(request_id, &resolved);
    }

    fn once<T: Serialize + ?Sized>(&self, request_id: &str, payload: &T) {
        // The lock is held while emitting: who finds the request announced may rely on the event being on its way.
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = announced.iter().position(|id| id == request_id) {
            announced.remove(place);
            return;
        }
        if announced.len() == REMEMBERED {
            announced.pop_front();
        }
        announced.push_back(request_id.to_string());
        self.emit(RESOLVED, payload);
    }

    fn emit<T: Serialize + ?Sized>(&self, event: &str, payload: &T) {
        match self.host.event(event).droppable().send(payload) {
            // Nobody is there to hear it, or the instance is being stopped.
            Ok(()) | Err(HostError::Gone) => {}
            Err(error) => self.host.warn(&format!("{event} was not sent: {error}")),
        }
    }
}
