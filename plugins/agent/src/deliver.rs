//! `deliver`: what an agent said in the end also goes out over a channel. Who may run an agent may send messages, so it is
//! done in the plugin's own name, once a run, and whoever asked is told what came of it.

use std::sync::Arc;

use plugin_api::contracts::channel::{Deliver, Delivered};
use plugin_api::contracts::run::status;
use plugin_api::contracts::session::{OpenSession, SessionOpened};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Agent;
use crate::desk::Run;
use crate::params::AgentParams;
use crate::signal::Signal;

/// Where an answer goes, as far as the request says; the rest is where the session last spoke.
pub struct Wish {
    channel: Option<String>,
    to: Option<String>,
    account_id: Option<String>,
    thread_id: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Whether it went out.
    ok: bool,
    /// The channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    channel: Option<String>,
    /// The channel's id of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    message_id: Option<String>,
    /// Why it did not go out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    error: Option<String>,
}

impl Delivery {
    fn failed(why: impl Into<String>) -> Self {
        Delivery { ok: false, channel: None, message_id: None, error: Some(why.into()) }
    }
}

impl Wish {
    /// What a request asks for; nothing unless `deliver` is true.
    pub fn of(params: &AgentParams) -> Option<Self> {
        let said = |first: &Option<String>, then: &Option<String>| {
            let texts = [first, then].into_iter().flatten().map(|text| text.trim());
            texts.filter(|text| !text.is_empty()).map(str::to_string).next()
        };
        params.deliver?.then(|| Wish {
            channel: said(&params.reply_channel, &params.channel)
                .filter(|channel| !channel.eq_ignore_ascii_case("last")),
            to: said(&params.reply_to, &params.to),
            account_id: said(&params.reply_account_id, &params.account_id),
            thread_id: said(&params.thread_id, &None),
        })
    }
}

impl Agent {
    /// Sends a run's answer out once the run has ended, whoever still waits for it. What came of it; nothing where there
    /// was nothing to send.
    pub fn deliver_later(self: &Arc<Self>, run: &Arc<Run>, wish: Wish) -> Arc<Signal<Option<Delivery>>> {
        let done: Arc<Signal<Option<Delivery>>> = Arc::default();
        let (agent, run, told) = (self.clone(), run.clone(), done.clone());
        self.host.spawn(async move {
            let outcome = run.ended.wait().await;
            let delivery = match outcome.status == status::OK && !outcome.text.is_empty() {
                true => Some(agent.deliver(&run, &outcome.text, wish).await),
                false => None,
            };
            if let Some(why) = delivery.as_ref().and_then(|delivery| delivery.error.as_ref()) {
                agent.host.warn(&format!("the answer of run {:?} was not delivered: {why}", run.id()));
            }
            told.set(delivery);
        });
        done
    }

    async fn deliver(&self, run: &Run, text: &str, wish: Wish) -> Delivery {
        let Some(deliver) = self.target(run, text, wish).await else {
            return Delivery::failed("nobody is named to send the answer to, and nobody wrote in this session yet");
        };
        match self.host.invoke("send.deliver", &deliver).send::<Delivered>().await {
            Ok(sent) => {
                Delivery { ok: true, channel: Some(sent.channel), message_id: Some(sent.sent.message_id), error: None }
            }
            Err(error) => Delivery::failed(error.shape().message.clone()),
        }
    }

    async fn target(&self, run: &Run, text: &str, wish: Wish) -> Option<Deliver> {
        let (mut channel, mut account_id, mut thread_id) = (wish.channel, wish.account_id, wish.thread_id);
        let to = match wish.to {
            Some(to) => to,
            None => {
                let open = OpenSession {
                    key: run.accepted.session_key.clone(),
                    agent_id: Some(run.accepted.agent_id.clone()),
                    create: false,
                    set: Map::new(),
                };
                let opened = self.host.invoke("session.store.open", &open).send::<SessionOpened>().await.ok()?;
                let last = |key: &str| opened.entry.get(key).and_then(Value::as_str).map(str::to_string);
                let spoken = last("lastChannel")?;
                // Somebody of another channel is nobody there.
                if channel.as_ref().is_some_and(|named| !named.eq_ignore_ascii_case(&spoken)) {
                    return None;
                }
                channel = Some(spoken);
                account_id = account_id.or_else(|| last("lastAccountId"));
                thread_id = thread_id.or_else(|| last("lastThreadId"));
                last("lastTo")?
            }
        };
        Some(Deliver {
            channel,
            to,
            text: text.to_string(),
            media: Vec::new(),
            account_id,
            thread_id,
            reply_to: None,
            silent: false,
            mirror_to: None,
            idempotency_key: format!("{}/answer", run.id()),
        })
    }
}
