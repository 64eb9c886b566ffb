//! `session.store.*`: what other plugins ask of the store. Everything here is on the disk when it is answered.

use std::sync::Arc;

use database::Answer;
use plugin_api::contracts::session::{Appended, NoteSession, OpenSession, ReadTranscript, SessionOpened};
use plugin_api::{Call, MethodError, lenient};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::Sessions;
use crate::keys::Key;
use crate::rows;
use crate::store::sessions::{self, Filter, Session};
use crate::store::transcripts::{self, Conversation, Window, Written};

/// Parameters of `session.store.append`, as the contract has them, with messages as they come: a part of a kind that this
/// version does not know is kept as it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Append {
    /// The session, in any spelling.
    key: String,
    /// The conversation they belong to; the present one when absent.
    #[serde(default)]
    session_id: Option<String>,
    /// The messages.
    messages: Vec<Map<String, Value>>,
    /// Fields of the session's entry to set with them.
    #[serde(default)]
    set: Map<String, Value>,
}

/// Result of `session.store.transcript`, as the contract has it, with messages as they were written.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Read {
    /// The session, in its canonical spelling.
    key: String,
    /// The conversation; absent when there is no such session.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// Messages, oldest first.
    #[schemars(with = "Vec<Map<String, Value>>")]
    messages: Vec<Box<RawValue>>,
    /// How many the conversation has.
    total: u64,
    /// Whether there are older ones.
    has_more: bool,
    /// The session's entry.
    entry: Map<String, Value>,
}

/// Parameters of `session.store.summary`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summarize {
    /// Agents that are told of one by one.
    #[serde(default)]
    agents: Vec<String>,
    /// Sessions that are told of: of all agents, and of each.
    #[serde(default = "ten", deserialize_with = "lenient::uint")]
    recent: u64,
}

fn ten() -> u64 {
    10
}

/// Result of `session.store.summary`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Where they are kept, without the way there.
    path: String,
    /// How many there are.
    count: u64,
    /// Those used last.
    recent: Vec<Map<String, Value>>,
    /// The same by agent.
    by_agent: Vec<OfAgent>,
}

/// Sessions of an agent.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OfAgent {
    /// The agent.
    agent_id: String,
    /// Where they are kept, without the way there.
    path: String,
    /// How many there are.
    count: u64,
    /// Those used last.
    recent: Vec<Map<String, Value>>,
}

/// What a write of messages came to.
struct Grown {
    session: Option<Session>,
    is_new: bool,
    conversation: Conversation,
    written: Vec<Written>,
}

impl Sessions {
    pub(crate) async fn open(self: Arc<Self>, _: Call, params: OpenSession) -> Result<SessionOpened, MethodError> {
        let key = self.names().await?.canonical(&params.key, params.agent_id.as_deref())?;
        if params.set.is_empty() {
            let text = key.text.clone();
            // Most sessions are there, and nothing of them changes: that takes no write.
            if let Some(session) = self.store.read(&self.host, move |db| sessions::find(db, &text)).await? {
                return Ok(session.opened(false));
            }
            if !params.create {
                return Err(no_session(&params.key));
            }
        }
        self.with_room(|| self.open_and_set(&key, &params)).await
    }

    fn open_and_set(&self, key: &Key, params: &OpenSession) -> Answer<SessionOpened> {
        let (room, watch) = (self.room(), self.watch.clone());
        let (key, params) = (key.clone(), params.clone());
        let job = move |db: &database::rusqlite::Connection| {
            let now = schemas::now_ms();
            if !params.create && sessions::find(db, &key.text)?.is_none() {
                return Err(no_session(&params.key));
            }
            let (mut session, is_new) = sessions::find_or_make(db, &key, room, now)?;
            if !params.set.is_empty() {
                sessions::set(&mut session.entry, params.set)?;
                session.updated_at = now;
                sessions::save(db, &session, room)?;
            }
            Ok(session.opened(is_new))
        };
        let after = move |opened: &SessionOpened| {
            watch.changed(&opened.key, &opened.agent_id, if opened.is_new { "create" } else { "patch" });
        };
        self.store.transaction_then(&self.host, job, after)
    }

    pub(crate) async fn append(self: Arc<Self>, _: Call, params: Append) -> Result<Appended, MethodError> {
        let key = self.names().await?.canonical(&params.key, None)?;
        let (room, max_bytes, watch) = (self.room(), self.config.max_message_bytes, self.watch.clone());
        let (text, agent_id) = (key.text.clone(), key.agent_id.clone());
        let job = move |db: &database::rusqlite::Connection| {
            let now = schemas::now_ms();
            let present = sessions::find(db, &key.text)?;
            let named = match &params.session_id {
                Some(id) if present.as_ref().is_none_or(|session| session.session_id != *id) => Some(id),
                _ => None,
            };
            if let Some(id) = named {
                // Of before a reset or a deletion. It grows where it is kept; the session has gone on without it.
                let mut conversation = transcripts::find(db, &key.text, id)?.ok_or_else(|| no_session(&key.text))?;
                let written = transcripts::append(db, &mut conversation, params.messages, now, max_bytes)?;
                return Ok(Grown { session: None, is_new: false, conversation, written });
            }
            let (mut session, is_new) = match present {
                Some(session) => (session, false),
                None => sessions::find_or_make(db, &key, room, now)?,
            };
            let found = transcripts::find(db, &key.text, &session.session_id)?;
            let mut conversation = found.ok_or_else(|| no_session(&key.text))?;
            let written = transcripts::append(db, &mut conversation, params.messages, now, max_bytes)?;
            sessions::set(&mut session.entry, params.set)?;
            session.updated_at = now;
            sessions::save(db, &session, room)?;
            Ok(Grown { session: Some(session), is_new, conversation, written })
        };
        let (told, agent) = (text.clone(), agent_id);
        let after = move |grown: &Grown| {
            watch.written(&told, &agent, &grown.conversation.session_id, &grown.written);
            if grown.session.is_some() {
                watch.changed(&told, &agent, if grown.is_new { "create" } else { "message" });
            }
        };
        let grown = self.store.transaction_then(&self.host, job, after).await?;
        Ok(Appended {
            key: text,
            session_id: grown.conversation.session_id,
            ids: grown.written.into_iter().map(|message| message.id).collect(),
            total: grown.conversation.total,
        })
    }

    pub(crate) async fn transcript(self: Arc<Self>, _: Call, params: ReadTranscript) -> Result<Read, MethodError> {
        let key = self.names().await?.canonical(&params.key, None)?.text;
        let window = self.window(params.limit, params.offset, params.max_bytes);
        self.store
            .read(&self.host, move |db| {
                let session = sessions::find(db, &key)?;
                let session_id = params.session_id.or_else(|| Some(session.as_ref()?.session_id.clone()));
                let entry = session.map(|session| session.shown_entry()).unwrap_or_default();
                let conversation = match session_id {
                    Some(id) => transcripts::find(db, &key, &id)?,
                    None => None,
                };
                let Some(conversation) = conversation else { return Ok(Read { key, entry, ..Read::default() }) };
                let piece = transcripts::read(db, &conversation, window)?;
                Ok(Read {
                    key,
                    session_id: Some(conversation.session_id),
                    messages: piece.messages,
                    total: conversation.total,
                    has_more: piece.has_more,
                    entry,
                })
            })
            .await
    }

    pub(crate) async fn note(self: Arc<Self>, call: Call, params: NoteSession) -> Result<SessionOpened, MethodError> {
        let NoteSession { key, set } = params;
        self.open(call, OpenSession { key, agent_id: None, create: true, set }).await
    }

    pub(crate) async fn summary(self: Arc<Self>, _: Call, params: Summarize) -> Result<Summary, MethodError> {
        let recent = params.recent.min(self.config.max_listed);
        self.store
            .read(&self.host, move |db| {
                let shown = |agent_id: Option<String>| {
                    let filter = Filter { agent_id, archived: Some(false), ..Filter::default() };
                    let now = schemas::now_ms();
                    let found = sessions::page(db, &filter, 0, recent)?;
                    let count = sessions::count_of(db, &filter)?;
                    Ok::<_, MethodError>((count, found.iter().map(|session| status(session, now)).collect::<Vec<_>>()))
                };
                let (count, recent) = shown(None)?;
                let of_agent = |agent: String| {
                    let agent_id = crate::keys::agent_id(&agent);
                    let (count, recent) = shown(Some(agent_id.clone()))?;
                    Ok(OfAgent { agent_id, path: crate::store::FILE.to_string(), count, recent })
                };
                let by_agent = params.agents.into_iter().map(of_agent).collect::<Result<_, MethodError>>()?;
                Ok(Summary { path: crate::store::FILE.to_string(), count, recent, by_agent })
            })
            .await
    }

    /// What may be read of a transcript at once.
    pub(crate) fn window(&self, limit: Option<u64>, offset: u64, max_bytes: Option<u64>) -> Window {
        let readable = self.config.max_messages.saturating_sub(offset);
        Window {
            limit: limit.unwrap_or(u64::MAX).min(readable),
            offset,
            max_bytes: max_bytes.unwrap_or(u64::MAX).min(self.config.max_read_bytes),
        }
    }
}

/// A session as `status` shows it.
fn status(session: &Session, now: u64) -> Map<String, Value> {
    let count = |field: &str| session.entry.get(field).and_then(Value::as_u64);
    let (total, most) = (count("totalTokens"), count("contextTokens").filter(|most| *most > 0));
    let remaining = total.zip(most).map(|(total, most)| most.saturating_sub(total));
    let percent = total.zip(most).map(|(total, most)| (total.saturating_mul(100) / most).min(999));
    let mut row = Map::new();
    for field in ["thinkingLevel", "verboseLevel", "reasoningLevel", "elevatedLevel", "systemSent", "abortedLastRun"] {
        if let Some(value) = session.entry.get(field) {
            row.insert(field.to_string(), value.clone());
        }
    }
    for field in ["inputTokens", "outputTokens"] {
        if let Some(value) = count(field) {
            row.insert(field.to_string(), json!(value));
        }
    }
    let rest = [
        ("agentId", json!(session.agent_id)),
        ("key", json!(session.key)),
        ("kind", json!(rows::kind(session))),
        ("sessionId", json!(session.session_id)),
        ("updatedAt", json!(session.updated_at)),
        ("age", json!(now.saturating_sub(session.updated_at))),
        ("totalTokens", json!(total)),
        ("remainingTokens", json!(remaining)),
        ("percentUsed", json!(percent)),
        ("model", json!(rows::model(session).1)),
        ("contextTokens", json!(most)),
        ("flags", json!([])),
    ];
    row.extend(rest.map(|(field, value)| (field.to_string(), value)));
    row
}

fn no_session(key: &str) -> MethodError {
    MethodError::invalid_request(format!("No session found: {key}")).with_details(json!({ "code": "NO_SESSION" }))
}
