//! Typed methods: a params type, a result type and an `async fn`. The JSON Schemas, the parsing and the docs follow from
//! the types.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::call::{Call, Reply};
use crate::error::MethodError;
use crate::manifest::{Exposure, Idempotency, MethodSpec, OnDisconnect, Replies, schema_of};

/// A table of methods and their handlers; rows of the manifest and dispatch come from the same place.
///
/// ```
/// # use std::sync::{Arc, LazyLock};
/// # use plugin_api::{Call, MethodError, Methods, Method};
/// # use serde::{Deserialize, Serialize};
/// # struct Weather;
/// #[derive(Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Place { city: String }
///
/// #[derive(Serialize, schemars::JsonSchema)]
/// struct Report { celsius: f64 }
///
/// impl Weather {
///     async fn report(self: Arc<Self>, _call: Call, place: Place) -> Result<Report, MethodError> {
///         Ok(Report { celsius: place.city.len() as f64 })
///     }
/// }
///
/// static METHODS: LazyLock<Methods<Weather>> = LazyLock::new(|| {
///     Methods::new().add(Method::operator("weather.report", &["operator.read"]).summary("The weather."), Weather::report)
/// });
/// assert_eq!(METHODS.specs().next().unwrap().name, "weather.report");
/// ```
pub struct Methods<P> {
    rows: Vec<(MethodSpec, Handler<P>)>,
    by_name: HashMap<String, usize>,
}

type Handler<P> = Box<dyn Fn(Arc<P>, Call) -> BoxedReply + Send + Sync>;
type BoxedReply = Pin<Box<dyn Future<Output = Reply> + Send>>;

impl<P: Send + Sync + 'static> Methods<P> {
    /// An empty table.
    pub fn new() -> Self {
        Methods { rows: Vec::new(), by_name: HashMap::new() }
    }

    /// Adds a method. The handler's types become the row's schemas.
    pub fn add<In, Out, Fut>(
        mut self,
        method: Method,
        handler: impl Fn(Arc<P>, Call, In) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        In: DeserializeOwned + JsonSchema + Send + 'static,
        Out: Serialize + JsonSchema + Send + 'static,
        Fut: Future<Output = Result<Out, MethodError>> + Send + 'static,
    {
        let mut spec = method.spec;
        spec.params = schema_of::<In>().into();
        spec.result = Some(schema_of::<Out>().into());
        let handler: Handler<P> = Box::new(move |plugin, call| match call.params::<In>() {
            Ok(params) => {
                let answer = handler(plugin, call, params);
                Box::pin(async move { Reply::from_result(answer.await) })
            }
            Err(error) => Box::pin(std::future::ready(Reply::Error(error))),
        });
        self.by_name.insert(spec.name.clone(), self.rows.len());
        self.rows.push((spec, handler));
        self
    }

    /// Answers a call with the handler of its method.
    pub fn dispatch(&self, plugin: Arc<P>, call: Call) -> impl Future<Output = Reply> + Send + use<P> {
        match self.by_name.get(call.method()) {
            Some(&row) => self.rows[row].1(plugin, call),
            None => Box::pin(std::future::ready(Reply::unknown_method(call.method()))),
        }
    }
}

impl<P> Methods<P> {
    /// The rows for the manifest.
    pub fn specs(&self) -> impl Iterator<Item = &MethodSpec> {
        self.rows.iter().map(|(spec, _)| spec)
    }
}

impl<P: Send + Sync + 'static> Default for Methods<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// A method's row but for its schemas, which its handler gives.
#[derive(Debug, Clone)]
pub struct Method {
    spec: MethodSpec,
}

impl Method {
    /// For operators with any of these scopes; `[]` means every operator.
    pub fn operator(name: &str, scopes: &[&str]) -> Self {
        Self::with(name, Exposure::Operator, scopes)
    }

    /// For nodes.
    pub fn node(name: &str) -> Self {
        Self::with(name, Exposure::Node, &[])
    }

    /// For every connection, whatever its role and scopes.
    pub fn everyone(name: &str) -> Self {
        Self::with(name, Exposure::OperatorAndNode, &[])
    }

    /// For plugins that hold a grant.
    pub fn internal(name: &str) -> Self {
        Self::with(name, Exposure::Internal, &[])
    }

    /// What it does, in a sentence.
    pub fn summary(mut self, summary: &str) -> Self {
        self.spec.summary = summary.to_string();
        self
    }

    /// More about it: units, errors, what it leaves out.
    pub fn description(mut self, description: &str) -> Self {
        self.spec.description = description.to_string();
        self
    }

    /// It has effects.
    pub fn effects(mut self) -> Self {
        self.spec.effects = true;
        self
    }

    /// It needs an idempotency key, and the host replays its answer.
    pub fn replayed(mut self) -> Self {
        self.spec.idempotency = Idempotency::Replay;
        self
    }

    /// It takes an idempotency key and sees to duplicates itself.
    pub fn keyed(mut self) -> Self {
        self.spec.idempotency = Idempotency::Plugin;
        self
    }

    /// It sends interim answers.
    pub fn interim(mut self) -> Self {
        self.spec.replies = Replies::Interim;
        self
    }

    /// It runs on when its caller disconnects.
    pub fn detached(mut self) -> Self {
        self.spec.on_disconnect = OnDisconnect::Detach;
        self
    }

    /// Milliseconds until it is timed out; 0 is never.
    pub fn timeout_ms(mut self, ms: u64) -> Self {
        self.spec.timeout_ms = Some(ms);
        self
    }

    /// Agents may use it as a tool.
    pub fn tool(mut self) -> Self {
        self.spec.tool = true;
        self
    }

    fn with(name: &str, role: Exposure, scopes: &[&str]) -> Self {
        Method {
            spec: MethodSpec {
                name: name.to_string(),
                summary: String::new(),
                description: String::new(),
                role,
                scopes: scopes.iter().map(|scope| scope.to_string()).collect(),
                effects: false,
                idempotency: Idempotency::None,
                replies: Replies::Single,
                on_disconnect: OnDisconnect::Cancel,
                timeout_ms: None,
                tool: false,
                params: serde_json::json!({}).into(),
                result: None,
            },
        }
    }
}

/// Parameters of a method that takes none: an empty object, closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// Parameters that are not looked at: any object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnyParams {}
