//! A plugin whose methods others try to reach.

use std::sync::{Arc, LazyLock};

use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use serde_json::{Value, json};

/// The plugin.
pub struct Vault;

static METHODS: LazyLock<Methods<Vault>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("vault.read", &["operator.read"]), Vault::open)
        .add(Method::operator("vault.admin", &["operator.admin"]), Vault::open)
        .add(Method::node("vault.node"), Vault::open)
        .add(Method::internal("vault.hidden"), Vault::open)
        .add(Method::internal("other.hidden"), Vault::open)
});

impl Plugin for Vault {
    fn manifest() -> Manifest {
        Manifest::new("vault", "1.0.0").methods(&METHODS)
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Vault)
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Vault);

impl Vault {
    async fn open(self: Arc<Self>, call: Call, _: NoParams) -> Result<Value, MethodError> {
        let caller = call.caller()?;
        Ok(json!({
            "method": call.method(), "role": caller.role, "plugin": caller.plugin, "scopes": caller.scopes,
            "traceparent": call.traceparent(),
        }))
    }
}
