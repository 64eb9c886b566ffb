//! The conversation: what the store of sessions keeps, and what a model is shown of it. Without such a store runs still
//! work, each without a memory.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use plugin_api::contracts::session::{
    AppendMessages, Appended, OpenSession, ReadTranscript, SessionOpened, Transcript,
};
use plugin_api::contracts::{Message, Part, role};
use plugin_api::{Host, MethodError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

const OPEN: &str = "session.store.open";
const APPEND: &str = "session.store.append";
const TRANSCRIPT: &str = "session.store.transcript";

/// The store of sessions.
pub struct Store {
    host: Host,
    has_warned: AtomicBool,
}

/// Whether an error says that there is no such method.
pub fn is_unknown(error: &MethodError, method: &str) -> bool {
    error.shape().message == format!("unknown method: {method}")
}

/// Whether an error says that there is no such session, or no such conversation of it.
pub fn is_absent(error: &MethodError) -> bool {
    error.shape().details.as_ref().is_some_and(|details| details["code"] == "NO_SESSION")
}

impl Store {
    /// The store of this gateway, if it has one.
    pub fn new(host: Host) -> Self {
        Store { host, has_warned: AtomicBool::new(false) }
    }

    async fn ask<T: DeserializeOwned>(&self, method: &str, params: &impl Serialize) -> Result<Option<T>, MethodError> {
        match self.host.invoke(method, params).send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if is_unknown(&error, method) => {
                if !self.has_warned.swap(true, Ordering::Relaxed) {
                    self.host.warn("no plugin keeps sessions, so agents remember nothing between two runs");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A session as it is; `None` when it is absent or nobody keeps sessions.
    pub async fn find(&self, key: &str, agent_id: &str) -> Result<Option<SessionOpened>, MethodError> {
        let agent_id = Some(agent_id.to_string());
        let open = OpenSession { key: key.to_string(), agent_id, create: false, set: Map::new() };
        match self.ask(OPEN, &open).await {
            Err(error) if is_absent(&error) => Ok(None),
            other => other,
        }
    }

    /// Opens a session, which is made if it is absent; `None` when nobody keeps sessions.
    pub async fn open(
        &self,
        key: &str,
        agent_id: &str,
        set: Map<String, Value>,
    ) -> Result<Option<SessionOpened>, MethodError> {
        let open = OpenSession { key: key.to_string(), agent_id: Some(agent_id.to_string()), create: true, set };
        self.ask(OPEN, &open).await
    }

    /// Appends messages to a conversation.
    pub async fn append(
        &self,
        key: &str,
        session_id: Option<&str>,
        messages: Vec<Message>,
        set: Map<String, Value>,
    ) -> Result<(), MethodError> {
        let session_id = session_id.map(str::to_string);
        let append = AppendMessages { key: key.to_string(), session_id, messages, set };
        self.ask::<Appended>(APPEND, &append).await.map(drop)
    }

    /// The end of a conversation.
    pub async fn transcript(
        &self,
        key: &str,
        session_id: Option<&str>,
        limit: u64,
        max_bytes: u64,
    ) -> Result<Vec<Message>, MethodError> {
        let read = ReadTranscript {
            key: key.to_string(),
            session_id: session_id.map(str::to_string),
            limit: Some(limit),
            max_bytes: Some(max_bytes),
            ..ReadTranscript::default()
        };
        Ok(self.ask::<Transcript>(TRANSCRIPT, &read).await?.map(|transcript| transcript.messages).unwrap_or_default())
    }
}

/// A conversation as models take it: it begins with a person, remarks of the gateway and failed answers are left out, and
/// each call of a tool has its result right behind it.
pub fn tidy(messages: Vec<Message>) -> Vec<Message> {
    let is_shown = |message: &Message| {
        let failed = message.role == role::ASSISTANT && message.stop_reason.as_deref() == Some("error");
        message.role != role::SYSTEM && !failed && !message.content.is_empty()
    };
    let mut tidied: Vec<Message> = Vec::with_capacity(messages.len());
    // Calls of the last answer that have no result yet.
    let mut open: Vec<(String, String)> = Vec::new();
    let mut rest = messages.into_iter().filter(is_shown).skip_while(|message| message.role != role::USER);
    let mut known = HashSet::new();
    loop {
        let message = rest.next();
        if let Some(result) = message.as_ref().filter(|message| message.role == role::TOOL_RESULT) {
            let call = result.tool_call_id.clone().unwrap_or_default();
            // A result that answers nothing is nothing.
            if let Some(place) = open.iter().position(|(id, _)| *id == call) {
                open.remove(place);
                tidied.extend(message);
            }
            continue;
        }
        for (id, name) in std::mem::take(&mut open) {
            tidied.push(tool_result(&id, &name, "It was not carried out: the run ended before.", true));
        }
        let Some(mut message) = message else { return tidied };
        if message.role == role::ASSISTANT {
            message.content.retain(|part| match part {
                Part::ToolCall { id, name, .. } => {
                    let is_new = known.insert(id.clone());
                    if is_new {
                        open.push((id.clone(), name.clone()));
                    }
                    is_new
                }
                _ => true,
            });
            if message.content.is_empty() {
                continue;
            }
        }
        tidied.push(message);
    }
}

/// What a tool answered, as a message.
pub fn tool_result(call: &str, tool: &str, text: &str, is_error: bool) -> Message {
    Message {
        tool_call_id: Some(call.to_string()),
        tool_name: Some(tool.to_string()),
        is_error: Some(is_error),
        ..Message::text(role::TOOL_RESULT, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(ids: &[&str]) -> Message {
        let call =
            |id: &&str| Part::ToolCall { id: id.to_string(), name: "t".into(), arguments: serde_json::json!({}) };
        let content = ids.iter().map(call).collect();
        Message { role: role::ASSISTANT.to_string(), content, ..Message::default() }
    }

    #[test]
    fn models_are_shown_what_they_take() {
        let failed = Message { stop_reason: Some("error".into()), ..Message::text(role::ASSISTANT, "broken") };
        let shown = tidy(vec![
            tool_result("old", "t", "from before", false),
            Message::text(role::ASSISTANT, "from before"),
            Message::text(role::USER, "one"),
            Message::text(role::SYSTEM, "a remark"),
            failed,
            calls(&["a", "b"]),
            tool_result("a", "t", "done", false),
            tool_result("x", "t", "answers nothing", false),
            Message::text(role::USER, "two"),
            calls(&["a"]),
            tool_result("a", "t", "of a call that was there before", false),
            calls(&["c"]),
        ]);
        let roles: Vec<_> = shown.iter().map(|message| (&*message.role, message.tool_call_id.as_deref())).collect();
        let result = role::TOOL_RESULT;
        assert_eq!(
            roles,
            [
                ("user", None),
                ("assistant", None),
                (result, Some("a")),
                (result, Some("b")),
                ("user", None),
                ("assistant", None),
                (result, Some("c")),
            ]
        );
        assert_eq!(shown[3].is_error, Some(true));
    }
}
