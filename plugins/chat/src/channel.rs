//! Messages that no run made: `chat.inject`, and the channel `webchat`, which is whoever follows a session here.

use std::sync::Arc;

use plugin_api::contracts::channel::{BAD_TARGET, NOT_SENT, Send, Sent};
use plugin_api::contracts::session::{AppendMessages, Appended, OpenSession, SessionOpened};
use plugin_api::contracts::{Message, Part, role};
use plugin_api::{Call, MethodError};
use serde_json::{Map, Value, json};

use crate::Chat;
use crate::event::{ChatEvent, State};
use crate::params::{Inject, Injected};
use crate::send::own;

/// How a message ended that no agent made.
const INJECTED: &str = "injected";

impl Chat {
    pub(crate) async fn inject(self: Arc<Self>, call: Call, params: Inject) -> Result<Injected, MethodError> {
        let Inject { session_key, message, label } = params;
        let text = match label.filter(|label| !label.is_empty()) {
            Some(label) => format!("[{label}]\n\n{message}"),
            None => message,
        };
        opened(&call, &session_key).await?;
        let message_id = self.put(&call, &session_key, Message::text(role::ASSISTANT, text)).await?;
        Ok(Injected { ok: true, message_id })
    }

    pub(crate) async fn channel_send(self: Arc<Self>, call: Call, send: Send) -> Result<Sent, MethodError> {
        let bad = |error: MethodError| error.with_details(json!({ "code": BAD_TARGET }));
        let session = opened(&call, &send.to).await.map_err(bad)?;
        let mut content = Vec::new();
        let addresses = send.media.iter().filter_map(|media| media.url.as_deref());
        let lines: Vec<&str> =
            [send.text.as_str()].into_iter().filter(|text| !text.is_empty()).chain(addresses).collect();
        if !lines.is_empty() {
            content.push(Part::Text { text: lines.join("\n") });
        }
        for media in send.media {
            if let (Some(data), Some(mime_type)) = (media.data, media.mime_type)
                && mime_type.starts_with("image/")
            {
                content.push(Part::Image { mime_type, data });
            }
        }
        let id = Some(format!("send-{}", send.idempotency_key));
        let message = Message { id, role: role::ASSISTANT.to_string(), content, ..Message::default() };
        let unsent = |error: MethodError| error.with_details(json!({ "code": NOT_SENT }));
        // Nobody who follows it has spelled it, so it is told under the key that lists show.
        let message_id = self.put(&call, &session.key, message).await.map_err(unsent)?;
        Ok(Sent { message_id, place: Map::from_iter([("conversationId".to_string(), Value::from(session.key))]) })
    }

    /// Puts a message at the end of a session, and shows it when it is there to stay.
    async fn put(&self, call: &Call, key: &str, message: Message) -> Result<String, MethodError> {
        let now = schemas::now_ms();
        let message = Message { timestamp: Some(now), stop_reason: Some(INJECTED.to_string()), ..message };
        let shown = Message {
            role: role::ASSISTANT.to_string(),
            content: message.content.clone(),
            timestamp: Some(now),
            ..Message::default()
        };
        let append =
            AppendMessages { key: key.to_string(), session_id: None, messages: vec![message], set: Map::new() };
        let appended: Appended = own(call, "session.store.append", &append).await.map_err(unwritten)?;
        let message_id = appended.ids.into_iter().next().ok_or_else(|| {
            MethodError::unavailable("failed to write transcript: nothing was written").log("no id came back")
        })?;
        let _order = self.runs();
        self.emit(&ChatEvent {
            run_id: format!("inject-{message_id}"),
            session_key: key.to_string(),
            seq: 0,
            state: State::Final,
            message: Some(shown),
            stop_reason: Some(INJECTED.to_string()),
            ..ChatEvent::default()
        });
        Ok(message_id)
    }
}

async fn opened(call: &Call, key: &str) -> Result<SessionOpened, MethodError> {
    let open = OpenSession { key: key.to_string(), agent_id: None, create: false, set: Map::new() };
    let opened: Result<SessionOpened, _> = own(call, "session.store.open", &open).await;
    opened.map_err(|error| {
        let code = error.shape().details.as_ref().and_then(|details| details["code"].as_str());
        if code == Some("NO_SESSION") { MethodError::invalid_request("session not found") } else { error }
    })
}

fn unwritten(error: MethodError) -> MethodError {
    let message = format!("failed to write transcript: {}", error.shape().message);
    MethodError::unavailable(message).log(error)
}
