//! What a device of protocol 4 may not change of itself without being approved again: its platform and its family, which
//! decide what commands a node may be sent.
//!
//! Pins live apart from what is shown of a device, and by role, since one device knocks as two programs that describe
//! themselves differently. An approval of a request from protocol 4 sets them; where there are none yet, the first accepted
//! connect of protocol 4 does. Clients of protocol 3 neither set them nor are held to them.

use super::PendingRequest;
use super::admission::Candidate;
use crate::store::devices::{DeviceRow, Pin};

/// What a client says of itself, in the spelling that is compared.
pub(super) fn pin(role: &str, platform: Option<&str>, device_family: Option<&str>) -> Pin {
    let plain = |text: Option<&str>| text.unwrap_or("").trim().to_ascii_lowercase();
    let platform = match plain(platform).as_str() {
        "darwin" => "macos".to_string(),
        "win32" => "windows".to_string(),
        other => other.to_string(),
    };
    Pin { role: role.to_string(), platform, device_family: plain(device_family) }
}

/// Whether a device is pinned in the candidate's role to something that the candidate is not.
pub(super) fn differ(device: &DeviceRow, candidate: &Candidate) -> bool {
    candidate.pins && pinned(device, &candidate.role).is_some_and(|pinned| *pinned != of_candidate(candidate))
}

/// Whether the candidate's visit is the one that sets the pin.
pub(super) fn are_due(device: &DeviceRow, candidate: &Candidate) -> bool {
    candidate.pins && pinned(device, &candidate.role).is_none()
}

/// Sets the pin where there is none.
pub(super) fn set_missing(device: &mut DeviceRow, candidate: &Candidate) {
    if are_due(device, candidate) {
        set(device, of_candidate(candidate));
    }
}

/// Sets the pin to what was approved.
pub(super) fn approve(device: &mut DeviceRow, request: &PendingRequest) {
    if request.pins {
        set(device, of_request(request));
    }
}

/// Whether approving the request would pin what the candidate says, as far as it says anything that is pinned.
pub(super) fn agree(request: &PendingRequest, candidate: &Candidate) -> bool {
    !candidate.pins || (request.pins && of_request(request) == of_candidate(candidate))
}

fn of_candidate(candidate: &Candidate) -> Pin {
    pin(&candidate.role, candidate.platform.as_deref(), candidate.device_family.as_deref())
}

fn of_request(request: &PendingRequest) -> Pin {
    pin(&request.role, request.platform.as_deref(), request.device_family.as_deref())
}

fn pinned<'a>(device: &'a DeviceRow, role: &str) -> Option<&'a Pin> {
    device.pins.iter().find(|pin| pin.role == role)
}

fn set(device: &mut DeviceRow, pin: Pin) {
    device.pins.retain(|old| old.role != pin.role);
    device.pins.push(pin);
    device.pins.sort_by(|a, b| a.role.cmp(&b.role));
}
