//! A plugin that lets a test ask what only plugins may: `session.store.*`, in this plugin's name.

use std::sync::{Arc, LazyLock};

use plugin_api::{Call, CreateError, Host, InvokeReply, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The plugin.
pub struct SessionStore {
    host: Host,
}

/// What is asked.
#[derive(Deserialize, JsonSchema)]
struct Ask {
    method: String,
    params: Value,
}

/// What is asked at once.
#[derive(Deserialize, JsonSchema)]
struct AskAll {
    method: String,
    params: Vec<Value>,
}

static METHODS: LazyLock<Methods<SessionStore>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("t.session", &[]), SessionStore::one)
        .add(Method::operator("t.session.at-once", &[]), SessionStore::at_once)
});

impl Plugin for SessionStore {
    fn manifest() -> Manifest {
        Manifest::new("session-store", "1.0.0").invokes(&["session.store.*"]).methods(&METHODS)
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(SessionStore { host })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(SessionStore);

impl SessionStore {
    async fn one(self: Arc<Self>, _: Call, ask: Ask) -> Result<Value, MethodError> {
        self.host.invoke(&ask.method, &ask.params).send().await
    }

    /// All are asked before the first answer is waited for; how many succeeded, and the first error.
    async fn at_once(self: Arc<Self>, _: Call, ask: AskAll) -> Result<Value, MethodError> {
        let asked: Vec<_> = ask.params.iter().map(|params| self.host.invoke(&ask.method, params).replies()).collect();
        let (mut done, mut failed) = (0, None);
        for mut replies in asked {
            match replies.next().await {
                InvokeReply::Final(Err(error)) => failed = failed.or(Some(error.to_string())),
                _ => done += 1,
            }
        }
        Ok(json!({ "done": done, "failed": failed }))
    }
}
