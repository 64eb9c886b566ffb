//! `sessions.patch`: fields that clients set. A field that is absent stays, `null` clears it.

use std::sync::Arc;

use database::Answer;
use plugin_api::{Call, MethodError, NoParams};
use schemars::JsonSchema;
use schemas::scope::ADMIN;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::keys::{self, Key};
use crate::store::sessions;
use crate::{Sessions, present_or_null};

/// Longest label, in characters, by version of the protocol.
const LONGEST_LABEL: (usize, usize) = (64, 512);

type Field<T> = Option<Option<T>>;

/// Parameters of `sessions.patch`. From `agentId` on they are of protocol 4.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchParams {
    /// The session, in any spelling; made when it is absent.
    #[schemars(length(min = 1))]
    key: String,
    /// A name, unique among the agent's sessions.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(min = 1, max = 512))]
    label: Field<String>,
    /// `off`, `minimal`, `low`, `medium`, `high` or `xhigh`.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(min = 1))]
    thinking_level: Field<String>,
    /// `on`, `off` or `full`.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(min = 1))]
    verbose_level: Field<String>,
    /// `on`, `off` or `stream`.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(min = 1))]
    reasoning_level: Field<String>,
    /// What of an answer's cost is shown with it.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(extend("enum" = ["off", "tokens", "full", "on", null]))]
    response_usage: Field<String>,
    /// `on`, `off`, `ask` or `full`.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(min = 1))]
    elevated_level: Field<String>,
    /// `sandbox`, `gateway` or `node`.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(min = 1))]
    exec_host: Field<String>,
    /// `deny`, `allowlist` or `full`.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(min = 1))]
    exec_security: Field<String>,
    /// `off`, `on-miss` or `always`.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(min = 1))]
    exec_ask: Field<String>,
    /// The node on which programs run.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(min = 1))]
    exec_node: Field<String>,
    /// `provider/model`, or a model's own id where only one provider has it; `null` is the agent's default.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(min = 1))]
    model: Field<String>,
    /// The session that started this one; it never changes.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(min = 1))]
    spawned_by: Field<String>,
    /// Whether messages go out.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(extend("enum" = ["allow", "deny", null]))]
    send_policy: Field<String>,
    /// When a group is answered.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(extend("enum" = ["mention", "always", null]))]
    group_activation: Field<String>,
    /// The agent of a key that names none.
    #[serde(default)]
    agent_id: Option<String>,
    /// A group of sessions in lists.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(max = 512))]
    category: Field<String>,
    /// A picture in lists.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(max = 512))]
    icon: Field<String>,
    /// A colour in lists.
    #[serde(default, deserialize_with = "present_or_null")]
    #[schemars(length(max = 512))]
    color: Field<String>,
    /// Whether it comes first in lists.
    #[serde(default, deserialize_with = "present_or_null")]
    pinned: Field<bool>,
    /// Whether it is put away.
    #[serde(default, deserialize_with = "present_or_null")]
    archived: Field<bool>,
    /// Whether it is marked as not read.
    #[serde(default, deserialize_with = "present_or_null")]
    unread: Field<bool>,
    /// Whether answers shall come fast: `true`, `false` or a word.
    #[serde(default, deserialize_with = "any_value")]
    fast_mode: Option<Value>,
}

fn any_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Result of `sessions.patch`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Patched {
    /// Always true.
    ok: bool,
    /// Where sessions are kept; to administrators with the way there.
    path: String,
    /// The session, in its canonical spelling.
    key: String,
    /// Its entry.
    entry: Map<String, Value>,
}

impl Sessions {
    pub(crate) async fn patch(self: Arc<Self>, call: Call, params: PatchParams) -> Result<Patched, MethodError> {
        let caller = call.caller()?;
        if params.needs_admin() && !call.is_admin() && caller.plugin.is_none() {
            return Err(MethodError::missing_scope(ADMIN));
        }
        let key = self.names().await?.canonical(&params.key, params.agent_id.as_deref())?;
        let longest_label = if caller.protocol >= 4 { LONGEST_LABEL.1 } else { LONGEST_LABEL.0 };
        let mut fields = params.fields(longest_label)?;
        match params.model.as_ref().map(|model| model.as_deref().map(str::trim)) {
            Some(Some("")) => return Err(MethodError::invalid_request("invalid model: empty")),
            Some(Some(model)) => fields.extend(chosen(self.model(&call, model).await?)),
            Some(None) => fields.extend(MODEL.map(|field| (field.to_string(), Value::Null))),
            None => {}
        }
        let spawned_by = match params.spawned_by {
            Some(Some(parent)) if parent.trim().is_empty() => {
                return Err(MethodError::invalid_request("invalid spawnedBy: empty"));
            }
            Some(Some(parent)) => Some(Some(self.names().await?.canonical(&parent, None)?.text)),
            Some(None) => Some(None),
            None => None,
        };
        let (session, _) = self.with_room(|| self.set_fields(&key, &fields, &spawned_by)).await?;
        let entry = session.shown_entry();
        Ok(Patched { ok: true, path: self.shown_path(&call), key: session.key, entry })
    }

    /// Sets fields of a session, and whether it is new.
    fn set_fields(
        &self,
        key: &Key,
        fields: &Map<String, Value>,
        spawned_by: &Field<String>,
    ) -> Answer<(sessions::Session, bool)> {
        let (room, watch) = (self.room(), self.watch.clone());
        let (key, mut fields, spawned_by) = (key.clone(), fields.clone(), spawned_by.clone());
        let job = move |db: &database::rusqlite::Connection| {
            let now = schemas::now_ms();
            let (mut session, is_new) = sessions::find_or_make(db, &key, room, now)?;
            if let Some(parent) = spawned_by {
                may_be_spawned_by(&session, parent.as_deref())?;
                fields.extend(parent.map(|parent| ("spawnedBy".to_string(), json!(parent))));
            }
            sessions::set(&mut session.entry, fields)?;
            session.updated_at = now;
            sessions::save(db, &session, room)?;
            Ok((session, is_new))
        };
        let after = move |(session, is_new): &(sessions::Session, bool)| {
            watch.changed(&session.key, &session.agent_id, if *is_new { "create" } else { "patch" });
        };
        self.store.transaction_then(&self.host, job, after)
    }

    /// Provider and id of a model as somebody wrote it.
    async fn model(&self, call: &Call, written: &str) -> Result<(String, String), MethodError> {
        #[derive(Deserialize)]
        struct Catalog {
            models: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            id: String,
            provider: String,
        }
        let catalog: Catalog = call
            .invoke("models.list", &NoParams {})
            .with_own_grants()
            .send()
            .await
            .map_err(|error| MethodError::unavailable("model catalog unavailable").retryable().log(error))?;
        let fits = |model: &&Model| {
            let whole = written.strip_prefix(model.provider.as_str()).and_then(|rest| rest.strip_prefix('/'));
            whole.is_some_and(|id| id == model.id) || model.id == written
        };
        let mut found = catalog.models.iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(model), None) => Ok((model.provider.clone(), model.id.clone())),
            (Some(_), Some(_)) => Err(MethodError::invalid_request(format!(
                "invalid model: {written} is offered by several; write provider/model"
            ))),
            (None, _) if !catalog.models.is_empty() => {
                Err(MethodError::invalid_request(format!("model not allowed: {written}")))
            }
            // Without a catalogue nobody can tell what is not allowed.
            (None, _) => match written.split_once('/') {
                Some((provider, model)) if !provider.is_empty() && !model.is_empty() => {
                    Ok((provider.to_string(), model.to_string()))
                }
                _ => Err(MethodError::invalid_request(format!("invalid model: {written}"))),
            },
        }
    }
}

/// Fields that a chosen model sets: the choice, and what is shown until a run notes what answered.
const MODEL: [&str; 4] = ["providerOverride", "modelOverride", "modelProvider", "model"];

fn chosen((provider, model): (String, String)) -> [(String, Value); 4] {
    MODEL.map(|field| {
        let value = if field.starts_with("provider") || field == "modelProvider" { &provider } else { &model };
        (field.to_string(), json!(value))
    })
}

fn may_be_spawned_by(session: &sessions::Session, parent: Option<&str>) -> Result<(), MethodError> {
    let refused = |why: &str| Err(MethodError::invalid_request(why));
    let before = session.text("spawnedBy");
    match parent {
        None if before.is_some() => refused("spawnedBy cannot be cleared once set"),
        None => Ok(()),
        Some(_) if !keys::is_subagent(&session.key) => refused("spawnedBy is only supported for subagent:* sessions"),
        Some(parent) if before.is_some_and(|before| before != parent) => {
            refused("spawnedBy cannot be changed once set")
        }
        Some(_) => Ok(()),
    }
}

impl PatchParams {
    /// Whether it sets what only administrators may: how much an agent may do, and where.
    fn needs_admin(&self) -> bool {
        let theirs = [
            &self.verbose_level,
            &self.reasoning_level,
            &self.response_usage,
            &self.elevated_level,
            &self.exec_host,
            &self.exec_security,
            &self.exec_ask,
            &self.exec_node,
            &self.spawned_by,
            &self.send_policy,
            &self.group_activation,
        ];
        theirs.into_iter().any(Option::is_some)
    }

    /// Fields of the entry, but for the model and the session that started this one.
    fn fields(&self, longest_label: usize) -> Result<Map<String, Value>, MethodError> {
        let mut fields = Map::new();
        if let Some(label) = &self.label {
            let label = match label.as_deref().map(str::trim) {
                Some("") => return Err(MethodError::invalid_request("invalid label: empty")),
                Some(label) if label.chars().count() > longest_label => {
                    let why = format!("invalid label: too long (max {longest_label})");
                    return Err(MethodError::invalid_request(why));
                }
                label => label,
            };
            fields.insert("label".to_string(), json!(label));
        }
        for choice in CHOICES {
            match choice.of(self) {
                Some(Some(written)) => {
                    let value = choice.read(written).ok_or_else(|| choice.error())?;
                    let kept = Some(value).filter(|value| !(choice.off_is_absent && *value == "off"));
                    fields.insert(choice.field.to_string(), json!(kept));
                }
                Some(None) => drop(fields.insert(choice.field.to_string(), Value::Null)),
                None => {}
            }
        }
        match self.exec_node.as_ref().map(|node| node.as_deref().map(str::trim)) {
            Some(Some("")) => return Err(MethodError::invalid_request("invalid execNode: empty")),
            Some(node) => drop(fields.insert("execNode".to_string(), json!(node))),
            None => {}
        }
        let texts = [
            ("sendPolicy", &self.send_policy),
            ("groupActivation", &self.group_activation),
            ("category", &self.category),
            ("icon", &self.icon),
            ("color", &self.color),
        ];
        for (field, value) in texts {
            if let Some(value) = value {
                fields.insert(field.to_string(), json!(value));
            }
        }
        for (field, value) in [("pinned", self.pinned), ("archived", self.archived), ("unread", self.unread)] {
            if let Some(value) = value {
                fields.insert(field.to_string(), json!(value));
            }
        }
        if let Some(value) = &self.fast_mode {
            fields.insert("fastMode".to_string(), value.clone());
        }
        Ok(fields)
    }
}

/// A field with a few values, and other words for them.
struct Choice {
    field: &'static str,
    /// Words, and the value that they mean.
    words: &'static [(&'static [&'static str], &'static str)],
    /// The values, as the error names them.
    named: &'static str,
    off_is_absent: bool,
}

const OFF: (&[&str], &str) = (&["off", "false", "no", "0"], "off");
const ON: (&[&str], &str) = (&["on", "true", "yes", "1"], "on");

const CHOICES: [Choice; 8] = [
    Choice {
        field: "thinkingLevel",
        words: &[
            (&["off"], "off"),
            (&["minimal", "min", "think"], "minimal"),
            (&["low", "on", "enable", "enabled", "thinkhard", "think-hard", "think_hard"], "low"),
            (&["medium", "med", "mid", "thinkharder", "think-harder", "harder"], "medium"),
            (&["high", "highest", "max", "ultra", "ultrathink", "thinkhardest"], "high"),
            (&["xhigh", "x-high", "x_high"], "xhigh"),
        ],
        named: "off|minimal|low|medium|high|xhigh",
        off_is_absent: true,
    },
    Choice {
        field: "verboseLevel",
        words: &[OFF, ON, (&["minimal"], "on"), (&["full", "all", "everything"], "full")],
        named: "\"on\"|\"off\"",
        off_is_absent: false,
    },
    Choice {
        field: "reasoningLevel",
        words: &[
            OFF,
            (&["hide", "hidden", "disable", "disabled"], "off"),
            ON,
            (&["show", "visible", "enable", "enabled"], "on"),
            (&["stream", "streaming", "draft", "live"], "stream"),
        ],
        named: "\"on\"|\"off\"|\"stream\"",
        off_is_absent: true,
    },
    Choice {
        field: "responseUsage",
        words: &[(&["off"], "off"), (&["tokens", "on"], "tokens"), (&["full"], "full")],
        named: "\"off\"|\"tokens\"|\"full\"",
        off_is_absent: true,
    },
    Choice {
        field: "elevatedLevel",
        words: &[
            OFF,
            ON,
            (&["ask", "prompt", "approval", "approve"], "ask"),
            (&["full", "auto", "auto-approve", "autoapprove"], "full"),
        ],
        named: "\"on\"|\"off\"|\"ask\"|\"full\"",
        off_is_absent: false,
    },
    Choice {
        field: "execHost",
        words: &[(&["sandbox"], "sandbox"), (&["gateway"], "gateway"), (&["node"], "node")],
        named: "\"sandbox\"|\"gateway\"|\"node\"",
        off_is_absent: false,
    },
    Choice {
        field: "execSecurity",
        words: &[(&["deny"], "deny"), (&["allowlist"], "allowlist"), (&["full"], "full")],
        named: "\"deny\"|\"allowlist\"|\"full\"",
        off_is_absent: false,
    },
    Choice {
        field: "execAsk",
        words: &[(&["off"], "off"), (&["on-miss"], "on-miss"), (&["always"], "always")],
        named: "\"off\"|\"on-miss\"|\"always\"",
        off_is_absent: false,
    },
];

impl Choice {
    fn of<'a>(&self, params: &'a PatchParams) -> Option<Option<&'a str>> {
        let field = match self.field {
            "thinkingLevel" => &params.thinking_level,
            "verboseLevel" => &params.verbose_level,
            "reasoningLevel" => &params.reasoning_level,
            "responseUsage" => &params.response_usage,
            "elevatedLevel" => &params.elevated_level,
            "execHost" => &params.exec_host,
            "execSecurity" => &params.exec_security,
            _ => &params.exec_ask,
        };
        field.as_ref().map(Option::as_deref)
    }

    fn read(&self, written: &str) -> Option<&'static str> {
        let written = written.trim().to_ascii_lowercase();
        self.words.iter().find(|(words, _)| words.contains(&written.as_str())).map(|(_, value)| *value)
    }

    fn error(&self) -> MethodError {
        MethodError::invalid_request(format!("invalid {} (use {})", self.field, self.named))
    }
}
