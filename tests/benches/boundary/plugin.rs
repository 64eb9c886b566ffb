//! The plugin on both sides of the comparison. Whoever includes it says under which id it is served, as `crate::ID`, and
//! the name of its method, as `crate::METHOD`.

use std::sync::{Arc, LazyLock};

use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup};
use schemars::JsonSchema;
use schemas::scope::READ;
use serde::{Deserialize, Serialize};

/// A plugin with one small method.
pub struct Sums;

/// What it is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    name: String,
    terms: Vec<i64>,
}

/// What it answers.
#[derive(Serialize, JsonSchema)]
pub struct Sum {
    greeting: String,
    sum: i64,
}

/// What it does for it.
pub fn sum(asked: Terms) -> Sum {
    Sum { greeting: format!("Hello, {}!", asked.name), sum: asked.terms.iter().sum() }
}

static METHODS: LazyLock<Methods<Sums>> =
    LazyLock::new(|| Methods::new().add(Method::operator(crate::METHOD, &[READ]).summary("Adds up."), Sums::answer));

impl Plugin for Sums {
    fn manifest() -> Manifest {
        Manifest::new(crate::ID, "1.0.0").methods(&METHODS)
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Sums)
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

impl Sums {
    async fn answer(self: Arc<Self>, _: Call, asked: Terms) -> Result<Sum, MethodError> {
        Ok(sum(asked))
    }
}
