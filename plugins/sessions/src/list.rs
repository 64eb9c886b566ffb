//! `sessions.list`.

use std::sync::Arc;

use plugin_api::{Call, MethodError, NoParams, lenient};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::keys;
use crate::rows::{self, Extras};
use crate::store::sessions::{self, Filter};
use crate::{Sessions, lenient_bool};

/// Parameters of `sessions.list`. From `offset` on they are of protocol 4.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListParams {
    /// At most so many.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991u64))]
    limit: Option<u64>,
    /// Only those used in the last so many minutes.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991u64))]
    active_minutes: Option<u64>,
    /// Whether `global` is listed.
    #[serde(default)]
    include_global: Option<bool>,
    /// Whether `unknown` is listed.
    #[serde(default)]
    include_unknown: Option<bool>,
    /// Whether rows have a `derivedTitle`.
    #[serde(default)]
    include_derived_titles: Option<bool>,
    /// Whether rows have a `lastMessagePreview`.
    #[serde(default)]
    include_last_message: Option<bool>,
    /// Only the one with this label.
    #[serde(default)]
    #[schemars(length(min = 1, max = 512))]
    label: Option<String>,
    /// Only those that this session started.
    #[serde(default)]
    #[schemars(length(min = 1))]
    spawned_by: Option<String>,
    /// Only those of this agent.
    #[serde(default)]
    #[schemars(length(min = 1))]
    agent_id: Option<String>,
    /// Only those with this in their name, label, subject, id or key.
    #[serde(default)]
    search: Option<String>,
    /// Without the first so many.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    offset: Option<u64>,
    /// Those that were put away, instead of the others.
    #[serde(default)]
    archived: Option<bool>,
    /// `createdAt`, or when they were used last.
    #[serde(default)]
    sort_by: Option<String>,
    /// Only those of agents that are configured.
    #[serde(default)]
    configured_agents_only: Option<bool>,
    /// Whether one's own come first; all belong to the operator.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one owner")]
    owner_first: Option<bool>,
}

/// Result of `sessions.list`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// When it was asked, in milliseconds since the epoch.
    ts: u64,
    /// Where they are kept; to administrators with the way there.
    path: String,
    /// How many are listed.
    count: u64,
    /// How many there are.
    total_count: u64,
    /// How many are listed at most.
    limit_applied: u64,
    /// Where the next page begins.
    next_offset: Option<u64>,
    /// Whether there is one.
    has_more: bool,
    /// Whose they are: there is one owner, who is not named.
    owners: Vec<Value>,
    /// What a new session starts with.
    defaults: Defaults,
    /// Those used last first.
    sessions: Vec<Map<String, Value>>,
}

/// What a new session starts with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Defaults {
    /// Who provides its model.
    pub model_provider: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// How much that model reads.
    pub context_tokens: Option<u64>,
}

impl Sessions {
    pub(crate) async fn list(self: Arc<Self>, call: Call, params: ListParams) -> Result<Listed, MethodError> {
        let names = self.names().await?;
        let ts = schemas::now_ms();
        let spawned_by = match &params.spawned_by {
            Some(key) => Some(names.canonical(key, None)?.text),
            None => None,
        };
        let agents = match params.configured_agents_only {
            Some(true) => self.configured_agents(&call).await,
            _ => None,
        };
        let whole = params.agent_id.is_none();
        let filter = Filter {
            agent_id: params.agent_id.as_deref().map(keys::agent_id),
            agents,
            label: params.label.as_deref().map(str::trim).map(str::to_string),
            spawned_by,
            session_id: None,
            since: params.active_minutes.map(|minutes| ts.saturating_sub(minutes.saturating_mul(60_000))),
            archived: Some(params.archived == Some(true)),
            global: whole && params.include_global == Some(true),
            unknown: whole && params.include_unknown == Some(true),
            by_creation: params.sort_by.as_deref() == Some("createdAt"),
        };
        let extras = Extras {
            titles: lenient_bool(params.include_derived_titles),
            last_message: lenient_bool(params.include_last_message),
        };
        let search = params.search.as_deref().map(str::trim).filter(|search| !search.is_empty()).map(str::to_string);
        let offset = params.offset.unwrap_or(0);
        let limit = params.limit.unwrap_or(self.config.max_listed).min(self.config.max_listed);
        let defaults = self.defaults(&call).await;
        let read = self.store.read(&self.host, move |db| {
            let Some(search) = search else {
                let total = sessions::count_of(db, &filter)?;
                let found = sessions::page(db, &filter, offset.min(total), limit)?;
                return Ok((total, found.iter().map(|session| rows::row(session, extras)).collect()));
            };
            let (mut total, mut found) = (0, Vec::new());
            sessions::walk(db, &filter, |session| {
                if rows::is_found(&session, &search) {
                    if total >= offset && (found.len() as u64) < limit {
                        found.push(rows::row(&session, extras));
                    }
                    total += 1;
                }
                true
            })?;
            Ok((total, found))
        });
        let (total_count, sessions): (u64, Vec<Map<String, Value>>) = read.await?;
        let count = sessions.len() as u64;
        let end = offset.saturating_add(count);
        let has_more = count > 0 && end < total_count;
        Ok(Listed {
            ts,
            path: self.shown_path(&call),
            count,
            total_count,
            limit_applied: limit,
            next_offset: has_more.then_some(end),
            has_more,
            owners: Vec::new(),
            defaults,
            sessions,
        })
    }

    /// Agents of the configuration; nothing when nobody can tell.
    async fn configured_agents(&self, call: &Call) -> Option<Vec<String>> {
        #[derive(Deserialize)]
        struct List {
            agents: Vec<Agent>,
        }
        #[derive(Deserialize)]
        struct Agent {
            id: String,
        }
        let list: List = call.invoke("agents.list", &NoParams {}).with_own_grants().send().await.ok()?;
        Some(list.agents.iter().map(|agent| keys::agent_id(&agent.id)).collect())
    }

    /// The default agent's first model.
    async fn defaults(&self, call: &Call) -> Defaults {
        #[derive(Deserialize)]
        struct Agent {
            #[serde(default)]
            models: Vec<String>,
        }
        let agent: Result<Agent, _> = call.invoke("agents.get", &NoParams {}).with_own_grants().send().await;
        let Some(model) = agent.ok().and_then(|agent| agent.models.into_iter().next()) else {
            return Defaults::default();
        };
        let (provider, model) = match model.split_once('/') {
            Some((provider, model)) => (provider.to_string(), Some(model.to_string())),
            None => (model, None),
        };
        Defaults { model_provider: Some(provider), model, context_tokens: None }
    }
}
