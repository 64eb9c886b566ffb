//! `channels.status`: all channels that can tell are asked at once, under one deadline; one that fails or is late shows that
//! as its `lastError`, and the others are shown as ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plugin_api::contracts::channel::Query;
use plugin_api::{Call, InvokeReplies, InvokeReply, MethodError, lenient};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::Channels;
use crate::report::Shown;

/// How long channels may take when the caller does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The least that callers can give them.
const LEAST_TIMEOUT: Duration = Duration::from_secs(1);
/// What is kept of the caller's own deadline for putting the answer together.
const TO_ANSWER: Duration = Duration::from_millis(250);

impl Channels {
    pub(crate) async fn status(self: Arc<Self>, call: Call, params: StatusParams) -> Result<StatusResult, MethodError> {
        let timeout = timeout(params.timeout_ms, call.time_left());
        let query = Query { probe: params.probe.unwrap_or(false), timeout_ms: timeout.as_millis() as u64 };
        let mut result = StatusResult { ts: schemas::now_ms(), ..StatusResult::default() };
        for (id, answer) in self.ask_all(params.channel.as_deref(), query, timeout).await? {
            result.add(Shown::from_answer(&id, answer), id);
        }
        Ok(result)
    }

    /// The accounts of channels, as they are shown.
    pub(crate) async fn shown(&self, only: Option<&str>) -> Result<Vec<(String, Shown)>, MethodError> {
        let query = Query { probe: false, timeout_ms: DEFAULT_TIMEOUT.as_millis() as u64 };
        let answers = self.ask_all(only, query, DEFAULT_TIMEOUT).await?;
        Ok(answers.into_iter().map(|(id, answer)| (id.clone(), Shown::from_answer(&id, answer))).collect())
    }

    async fn ask_all(
        &self,
        only: Option<&str>,
        query: Query,
        timeout: Duration,
    ) -> Result<Vec<(String, Answer)>, MethodError> {
        let channels = self.directory.read().await?;
        let only = only.map(str::trim).filter(|only| !only.is_empty());
        let asked = channels
            .iter()
            .filter(|(id, channel)| channel.can("status") && only.is_none_or(|only| id.eq_ignore_ascii_case(only)));
        // All are asked before the first is waited for.
        let asked: Vec<(String, InvokeReplies)> = asked
            .map(|(id, _)| {
                let method = format!("channel.{id}.status");
                (id.clone(), self.host.invoke(&method, &query).timeout(timeout).replies())
            })
            .collect();
        let mut answers = Vec::with_capacity(asked.len());
        for (id, mut replies) in asked {
            let answer = loop {
                if let InvokeReply::Final(answer) = replies.next().await {
                    break answer;
                }
            };
            if let Err(error) = &answer {
                self.host.warn(&format!("channel {id} did not tell its status: {error}"));
            }
            answers.push((id, answer));
        }
        Ok(answers)
    }
}

/// What a channel answered: a report.
type Answer = Result<Box<RawValue>, MethodError>;

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

/// What the caller gives them, but never so long that its own deadline would pass without any answer.
pub fn timeout(asked_ms: Option<u64>, time_left: Option<Duration>) -> Duration {
    let asked = asked_ms.map_or(DEFAULT_TIMEOUT, Duration::from_millis).max(LEAST_TIMEOUT);
    match time_left {
        Some(left) => asked.min(left.saturating_sub(TO_ANSWER)).max(Duration::from_millis(1)),
        None => asked,
    }
}
