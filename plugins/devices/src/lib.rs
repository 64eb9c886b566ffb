//! Device pairing as clients see it: `device.pair.*`, `device.token.*` and their events.
//!
//! The pairing store is the host's, because the handshake cannot wait for a plugin. So this plugin decides nothing: each
//! method calls its `host.pairing.*` service with the caller's rights, and what the caller may approve, rotate or revoke
//! is bounded in that one place, whichever way the request came. The service's errors are the answer, word for word.

mod announcer;
mod setup_code;

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use plugin_api::abi::extension;
use plugin_api::catalogue::{
    ApproveDevice, ApprovedDevice, DeviceId, PairingList, PairingResolved, PendingDevice, RejectedDevice, RenameDevice,
    RequestId, TokenOf, TokenRevoked, TokenRotated, TokenScope,
};
use plugin_api::{
    Call, CreateError, EventSpec, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup,
    StartError, Subscription,
};
use schemars::JsonSchema;
use schemas::scope;
use serde::Deserialize;

use announcer::{Announcer, REQUESTED, RESOLVED};
use setup_code::{SetupCodeMade, SetupCodeParams};

/// The plugin.
pub struct Devices {
    host: Host,
    announcer: Arc<Announcer>,
    subscription: Mutex<Option<Subscription>>,
}

static METHODS: LazyLock<Methods<Devices>> = LazyLock::new(|| {
    let method = |name| Method::operator(name, &[scope::PAIRING]);
    Methods::new()
        .add(method("device.pair.list").summary("Devices that wait for approval, and paired ones."), Devices::list)
        .add(
            method("device.pair.approve").summary("Approves a device that waits.").effects().description(
                "Grants what was asked for, or only `scopes`. Nobody can grant more than they hold themselves.",
            ),
            Devices::approve,
        )
        .add(method("device.pair.reject").summary("Turns a waiting device away.").effects(), Devices::reject)
        .add(
            method("device.pair.remove").summary("Forgets a device; its tokens and connections end.").effects(),
            Devices::remove,
        )
        .add(method("device.pair.rename").summary("Gives a device a label.").effects(), Devices::rename)
        .add(
            method("device.token.rotate").summary("Replaces a device's token.").effects().description(
                "The new token is in the answer only when the device itself asks; `tokenDelivery` says so.",
            ),
            Devices::rotate,
        )
        .add(
            method("device.pair.setupCode")
                .summary("Makes a code by which a device that is not here yet pairs itself once.")
                .effects()
                .description(
                    "Without `url` the code says where the gateway listens, which must be reachable from where the device is. \
                     Nobody can invite to more than they hold themselves. The code is a secret, and told only here.",
                ),
            Devices::setup_code,
        )
        .add(method("device.token.revoke").summary("Revokes a device's token.").effects(), Devices::revoke)
});

impl Plugin for Devices {
    fn manifest() -> Manifest {
        Manifest::new("devices", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Lists, approves and rejects devices, and renews or revokes their tokens.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::EVENTS, extension::CALLER])
            .invokes(&[
                "host.gateway.info",
                "host.pairing.approve",
                "host.pairing.invite",
                "host.pairing.list",
                "host.pairing.reject",
                "host.pairing.remove",
                "host.pairing.rename",
                "host.pairing.token.revoke",
                "host.pairing.token.rotate",
            ])
            .hears(&["host.pairing.*"])
            .methods(&METHODS)
            .event(
                EventSpec::operator(REQUESTED, &[scope::PAIRING])
                    .summary("A device asks to be paired.")
                    .payload::<PendingDevice>(),
            )
            .event(
                EventSpec::operator(RESOLVED, &[scope::PAIRING])
                    .summary("A pairing request was approved or rejected.")
                    .payload::<PairingResolved>(),
            )
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Devices { announcer: Arc::new(Announcer::new(host.clone())), host, subscription: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        // One subscription for both notices, so that they keep their order.
        let announcer = self.announcer.clone();
        let subscription = self.host.subscribe("host.pairing.*", move |notice| announcer.heard(&notice))?;
        *self.subscription.lock().unwrap_or_else(PoisonError::into_inner) = Some(subscription);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        self.subscription.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

plugin_api::plugin!(Devices);

impl Devices {
    async fn list(self: Arc<Self>, call: Call, _: NoParams) -> Result<PairingList, MethodError> {
        call.invoke("host.pairing.list", &NoParams {}).send().await
    }

    async fn approve(self: Arc<Self>, call: Call, params: Approve) -> Result<ApprovedDevice, MethodError> {
        let params = ApproveDevice { request_id: params.request_id, scopes: params.scopes };
        let approved: ApprovedDevice = call.invoke("host.pairing.approve", &params).send().await?;
        self.announcer.resolved(&approved.request_id, &approved.device.device_id, "approved");
        Ok(approved)
    }

    async fn reject(self: Arc<Self>, call: Call, params: Request) -> Result<RejectedDevice, MethodError> {
        let params = RequestId { request_id: params.request_id };
        let rejected: RejectedDevice = call.invoke("host.pairing.reject", &params).send().await?;
        self.announcer.resolved(&rejected.request_id, &rejected.device_id, "rejected");
        Ok(rejected)
    }

    async fn remove(self: Arc<Self>, call: Call, params: Device) -> Result<DeviceId, MethodError> {
        call.invoke("host.pairing.remove", &DeviceId { device_id: params.device_id }).send().await
    }

    async fn rename(self: Arc<Self>, call: Call, params: Rename) -> Result<RenameDevice, MethodError> {
        let params = RenameDevice { device_id: params.device_id, label: params.label };
        call.invoke("host.pairing.rename", &params).send().await
    }

    async fn rotate(self: Arc<Self>, call: Call, params: Rotate) -> Result<TokenRotated, MethodError> {
        let params = TokenScope { device_id: params.device_id, role: params.role, scopes: params.scopes };
        call.invoke("host.pairing.token.rotate", &params).send().await
    }

    async fn setup_code(self: Arc<Self>, call: Call, params: SetupCodeParams) -> Result<SetupCodeMade, MethodError> {
        setup_code::make(&call, params).await
    }

    async fn revoke(self: Arc<Self>, call: Call, params: Token) -> Result<TokenRevoked, MethodError> {
        let params = TokenOf { device_id: params.device_id, role: params.role };
        call.invoke("host.pairing.token.revoke", &params).send().await
    }
}

/// Parameters of `device.pair.approve`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approve {
    /// Id of the request.
    #[schemars(length(min = 1))]
    pub request_id: String,
    /// Fewer scopes than asked for; absent grants what was asked.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub scopes: Option<Vec<String>>,
}

/// Parameters of `device.pair.reject`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Id of the request.
    #[schemars(length(min = 1))]
    pub request_id: String,
}

/// Parameters of `device.pair.remove`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// The device.
    #[schemars(length(min = 1))]
    pub device_id: String,
}

/// Parameters of `device.pair.rename`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rename {
    /// The device.
    #[schemars(length(min = 1))]
    pub device_id: String,
    /// Its new label.
    #[schemars(length(max = 64))]
    pub label: String,
}

/// Parameters of `device.token.rotate`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotate {
    /// The device.
    #[schemars(length(min = 1))]
    pub device_id: String,
    /// The role the token is for.
    #[schemars(length(min = 1))]
    pub role: String,
    /// Scopes of the new token; absent keeps those of the old one.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub scopes: Option<Vec<String>>,
}

/// Parameters of `device.token.revoke`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    /// The device.
    #[schemars(length(min = 1))]
    pub device_id: String,
    /// The role the token is for.
    #[schemars(length(min = 1))]
    pub role: String,
}

#[cfg(test)]
mod tests;
