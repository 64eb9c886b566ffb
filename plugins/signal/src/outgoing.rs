//! `channel.signal.send` and `.typing`.

use std::sync::Arc;
use std::time::Duration;

use plugin_api::contracts::channel::{NOT_SENT, Send as ToSend, Sent, Typing};
use plugin_api::{Call, MethodError};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Signal;
use crate::accounts::Account;
use crate::cut::cut;
use crate::failure::{Outcome, of_request, of_send, unknown};
use crate::markup::Styled;
use crate::target::{Quoted, Target};

/// What is left of the caller's time when a rate limit has been waited for.
const TO_SEND: Duration = Duration::from_secs(10);
/// How often a rate limit is waited for.
const MOST_TRIES: u32 = 3;

impl Signal {
    pub(crate) async fn send(self: Arc<Self>, call: Call, message: ToSend) -> Result<Sent, MethodError> {
        let target = Target::parse(&message.to)?;
        let account = self.accounts.named(message.account_id.as_deref())?;
        self.configured()?;
        let quote = message.reply_to.as_deref().map(|id| self.quote(account, id)).transpose()?;
        let attachments = self.attachments(call.host(), &message.media).await?;
        let text = if self.config.markdown { Styled::of_markdown(&message.text) } else { Styled::plain(&message.text) };
        let parts = if text.text.trim().is_empty() {
            vec![Styled::default()]
        } else {
            cut(text, self.config.max_message_bytes)
        };
        if parts[0].text.is_empty() && attachments.is_empty() {
            return Err(MethodError::invalid_request("the message has neither a text nor a file"));
        }
        let last = parts.len() - 1;
        let (mut attachments, mut message_id) = (Some(attachments), String::new());
        for (place, part) in parts.into_iter().enumerate() {
            let mut params = target.params();
            params.insert("message".to_string(), json!(part.text));
            let styles: Vec<String> = part.styles.iter().map(ToString::to_string).collect();
            let files = attachments.take_if(|_| place == last).unwrap_or_default();
            for (name, values) in [("textStyle", styles), ("attachments", files)] {
                if !values.is_empty() {
                    params.insert(name.to_string(), json!(values));
                }
            }
            if let Some(quote) = quote.as_ref().filter(|_| place == 0) {
                params.extend(quote.clone());
            }
            match self.send_part(&call, account, params).await {
                Ok(id) => message_id = id,
                Err(error) if place == 0 => return Err(error),
                Err(error) => {
                    let message = format!(
                        "only {place} of {} parts of the message went out: {}",
                        last + 1,
                        error.shape().message
                    );
                    return Err(unknown(message).log(error));
                }
            }
        }
        let chat = Map::from_iter([("chatId".to_string(), json!(target.to_string()))]);
        Ok(Sent { message_id, place: chat })
    }

    /// Sends one message, and waits for a rate limit if the caller has the time.
    async fn send_part(
        self: &Arc<Self>,
        call: &Call,
        account: &Account,
        params: Map<String, Value>,
    ) -> Result<String, MethodError> {
        let mut tries = 1;
        loop {
            let asked =
                self.ask("send", Value::Object(params.clone()), &account.id, self.config.request_timeout()).await;
            let error = match asked {
                Ok(answer) => return self.sent(account, &answer),
                Err(failure) => of_send(failure),
            };
            let wait = error.shape().retry_after_ms.map(Duration::from_millis);
            let is_safe = error.shape().details.as_ref().is_some_and(|details| details["code"] == NOT_SENT);
            let left = call.time_left().unwrap_or(self.config.request_timeout());
            match wait.filter(|&wait| is_safe && tries < MOST_TRIES && wait + TO_SEND <= left) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
            tries += 1;
        }
    }

    fn sent(&self, account: &Account, answer: &Value) -> Result<String, MethodError> {
        let Some(timestamp) = answer["timestamp"].as_u64() else {
            return Err(unknown("signal-cli's answer was not understood; nobody knows whether the message went out"));
        };
        let outcomes: Vec<Outcome> = Deserialize::deserialize(&answer["results"]).unwrap_or_default();
        let missed = outcomes.iter().filter(|outcome| outcome.kind != "SUCCESS").count();
        if missed > 0 {
            self.host.warn(&format!("a message reached all but {missed} of the {} it is for", outcomes.len()));
        }
        self.accounts.spoke(&account.id);
        Ok(timestamp.to_string())
    }

    /// Parameters that quote a message. The apps look its text up themselves.
    fn quote(&self, account: &Account, id: &str) -> Result<Map<String, Value>, MethodError> {
        let Quoted { timestamp, author } = Quoted::parse(id)?;
        let author = author.or_else(|| account.known_number()).ok_or_else(|| {
            MethodError::invalid_request(format!(
                "replyTo: {id:?} does not say whose message it is, <timestamp>-<author>"
            ))
        })?;
        Ok(Map::from_iter([
            ("quoteTimestamp".to_string(), json!(timestamp)),
            ("quoteAuthor".to_string(), json!(author)),
        ]))
    }

    pub(crate) async fn typing(self: Arc<Self>, _: Call, typing: Typing) -> Result<Map<String, Value>, MethodError> {
        let target = Target::parse(&typing.to)?;
        let account = self.accounts.named(typing.account_id.as_deref())?;
        self.configured()?;
        let params = Value::Object(target.params());
        self.ask("sendTyping", params, &account.id, self.config.request_timeout()).await.map_err(of_request)?;
        Ok(Map::new())
    }
}
