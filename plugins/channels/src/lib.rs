//! `channels.status`: how the message channels are doing, whichever there are.
//!
//! No channel is known here. One exists when its plugin declares the internal method `channel.<id>.status`, which takes
//! [`Query`] and answers [`plugin_api::contracts::channel::Report`]. All are asked at once, under one deadline; one that
//! fails or is late shows that as its `lastError`, and the others are shown as ever.

mod report;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use plugin_api::abi::extension;
use plugin_api::contracts::channel::Query;
use plugin_api::{
    Call, CreateError, Host, InvokeReplies, InvokeReply, Manifest, Method, MethodError, Methods, NoParams, Plugin,
    Reply, Setup, lenient,
};
use schemars::JsonSchema;
use schemas::scope;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use report::Shown;

/// How long channels may take when the caller does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The least that callers can give them.
const LEAST_TIMEOUT: Duration = Duration::from_secs(1);
/// What is kept of the caller's own deadline for putting the answer together.
const TO_ANSWER: Duration = Duration::from_millis(250);

/// The plugin.
pub struct Channels;

static METHODS: LazyLock<Methods<Channels>> = LazyLock::new(|| {
    Methods::new().add(
        Method::operator("channels.status", &[scope::READ]).summary("How the message channels are doing.").description(
            "`probe` has each channel ask its service; `timeoutMs` (default 10,000, at least 1,000) is for all of them \
             together. A channel that fails or is late is shown with `lastError`.",
        ),
        Channels::status,
    )
});

impl Plugin for Channels {
    fn manifest() -> Manifest {
        Manifest::new("channels", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Shows how the message channels are doing.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::CALLER])
            .invokes(&["host.registry.list", "channel.*"])
            .methods(&METHODS)
    }

    fn create(_: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Channels)
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Channels);

impl Channels {
    async fn status(self: Arc<Self>, call: Call, params: StatusParams) -> Result<StatusResult, MethodError> {
        let mut ids = channel_ids(&call).await?;
        if let Some(only) = params.channel.as_deref().map(str::trim).filter(|only| !only.is_empty()) {
            ids.retain(|id| id.eq_ignore_ascii_case(only));
        }
        let timeout = timeout(params.timeout_ms, call.time_left());
        let query = Query { probe: params.probe.unwrap_or(false), timeout_ms: timeout.as_millis() as u64 };
        // All are asked before the first is waited for.
        let asked: Vec<(String, InvokeReplies)> = ids
            .into_iter()
            .map(|id| {
                let method = format!("channel.{id}.status");
                let replies = call.invoke(&method, &query).with_own_grants().timeout(timeout).replies();
                (id, replies)
            })
            .collect();
        let mut result = StatusResult { ts: schemas::now_ms(), ..StatusResult::default() };
        for (id, mut replies) in asked {
            let answer = loop {
                if let InvokeReply::Final(answer) = replies.next().await {
                    break answer;
                }
            };
            if let Err(error) = &answer {
                call.host().warn(&format!("channel {id} did not tell its status: {error}"));
            }
            result.add(Shown::from_answer(&id, answer), id);
        }
        Ok(result)
    }
}

/// Parameters of `channels.status`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusParams {
    /// Whether each channel asks its service.
    #[serde(default)]
    pub probe: Option<bool>,
    /// How long that may take, in milliseconds.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    pub timeout_ms: Option<u64>,
    /// Only this channel (protocol 4).
    #[serde(default)]
    pub channel: Option<String>,
}

/// Result of `channels.status`.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusResult {
    /// When it was asked, in milliseconds since the epoch.
    pub ts: u64,
    /// Ids, sorted.
    pub channel_order: Vec<String>,
    /// Names by id.
    pub channel_labels: BTreeMap<String, String>,
    /// Longer names by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channel_detail_labels: BTreeMap<String, String>,
    /// Names of symbols of Apple's systems by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channel_system_images: BTreeMap<String, String>,
    /// The above once more, as a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channel_meta: Vec<ChannelMeta>,
    /// Summaries by id; each says at least whether it is `configured`.
    pub channels: BTreeMap<String, Map<String, Value>>,
    /// Accounts by id; each with an `accountId`.
    pub channel_accounts: BTreeMap<String, Vec<Map<String, Value>>>,
    /// The account used when none is named, by id.
    pub channel_default_account_id: BTreeMap<String, String>,
}

/// How a channel is named.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMeta {
    /// Its id.
    pub id: String,
    /// Its name.
    pub label: String,
    /// Its longer name.
    pub detail_label: String,
    /// Name of a symbol of Apple's systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_image: Option<String>,
}

impl StatusResult {
    fn add(&mut self, shown: Shown, id: String) {
        self.channel_order.push(id.clone());
        self.channel_labels.insert(id.clone(), shown.label.clone());
        self.channel_detail_labels.insert(id.clone(), shown.detail_label.clone());
        if let Some(image) = &shown.system_image {
            self.channel_system_images.insert(id.clone(), image.clone());
        }
        self.channels.insert(id.clone(), shown.summary);
        self.channel_accounts.insert(id.clone(), shown.accounts);
        self.channel_default_account_id.insert(id.clone(), shown.default_account_id);
        self.channel_meta.push(ChannelMeta {
            id,
            label: shown.label,
            detail_label: shown.detail_label,
            system_image: shown.system_image,
        });
    }
}

/// Ids of the channels that tell their status, sorted.
async fn channel_ids(call: &Call) -> Result<Vec<String>, MethodError> {
    let registry: Registry = call.invoke("host.registry.list", &NoParams {}).with_own_grants().send().await?;
    let id = |row: &Row| Some(row.spec.name.strip_prefix("channel.")?.strip_suffix(".status")?.to_string());
    let mut ids: Vec<String> = registry.methods.iter().filter_map(id).filter(|id| !id.is_empty()).collect();
    ids.sort();
    Ok(ids)
}

/// What the caller gives them, but never so long that its own deadline would pass without any answer.
fn timeout(asked_ms: Option<u64>, time_left: Option<Duration>) -> Duration {
    let asked = asked_ms.map_or(DEFAULT_TIMEOUT, Duration::from_millis).max(LEAST_TIMEOUT);
    match time_left {
        Some(left) => asked.min(left.saturating_sub(TO_ANSWER)).max(Duration::from_millis(1)),
        None => asked,
    }
}

/// Of the registry, only names matter here; its schemas are skipped unread.
#[derive(Deserialize)]
struct Registry {
    methods: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    name: String,
}

#[cfg(test)]
mod tests;
