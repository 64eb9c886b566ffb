//! `deliver`: what an agent said in the end also goes out over a channel. Who may run an agent may send messages, so it is
//! done in the plugin's own name, once a run, and whoever asked is told what came of it. The wish is in the book with the
//! run, and what came of it as well, so that an answer also goes out when the gateway stopped before.

use std::sync::Arc;
use std::time::Duration;

use plugin_api::MethodError;
use plugin_api::contracts::channel::{BAD_TARGET, Deliver, Delivered, NO_TARGET, OUTCOME_UNKNOWN};
use plugin_api::contracts::run::{RunOutcome, status};
use schemars::JsonSchema;
use schemas::error::code;
use serde::{Deserialize, Serialize};

use crate::Agent;
use crate::book::Undelivered;
use crate::desk::Run;
use crate::params::AgentParams;
use crate::shared::Delivering;
use crate::signal::Signal;
use crate::store::is_unknown;

/// How often an answer is handed over while nothing went out, and how long before the second time.
const TRIES: u32 = 6;
const WAIT: Duration = Duration::from_secs(1);
const METHOD: &str = "send.deliver";

/// Where an answer goes, as far as the request says; the rest is where the session last spoke.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    channel: Option<String>,
    to: Option<String>,
    account_id: Option<String>,
    thread_id: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The same for programs: `OUTCOME_UNKNOWN` when nobody knows whether it went out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    code: Option<String>,
}

impl Delivery {
    fn sent(delivered: Delivered) -> Self {
        let Delivered { channel, sent, .. } = delivered;
        Delivery { ok: true, channel: Some(channel), message_id: Some(sent.message_id), error: None, code: None }
    }

    fn failed(error: &MethodError) -> Self {
        let why = error.shape().message.clone();
        Delivery { ok: false, channel: None, message_id: None, error: Some(why), code: None }
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
            channel: said(&params.reply_channel, &params.channel),
            to: said(&params.reply_to, &params.to),
            account_id: said(&params.reply_account_id, &params.account_id),
            thread_id: said(&params.thread_id, &None),
        })
    }
}

/// What a try came to.
enum Tried {
    /// It went out, or nobody knows, or it never can.
    Over(Delivery),
    /// Nothing went out, and that may change.
    Again(Delivery),
}

impl Agent {
    /// Sends a run's answer out once the run has ended, whoever still waits for it. What came of it; nothing where there
    /// was nothing to send.
    pub fn deliver_later(self: &Arc<Self>, run: &Arc<Run>, wish: Wish) -> Arc<Signal<Option<Delivery>>> {
        let done: Arc<Signal<Option<Delivery>>> = Arc::default();
        let (agent, run, told) = (self.clone(), run.clone(), done.clone());
        let duty = Delivering::new(self, run.id());
        self.host.spawn(async move {
            let outcome = run.ended.wait().await;
            if outcome.status != status::OK {
                duty.done();
                told.set(None);
                return;
            }
            let delivery = match outcome.text.is_empty() {
                true => None,
                false => Some(agent.deliver(&outcome, &wish).await),
            };
            agent.note_delivery(run.id(), delivery.as_ref()).await;
            duty.done();
            told.set(delivery);
        });
        done
    }

    /// Sends out what was to be sent out when the gateway, or the instance before this one, stopped. A message that is known
    /// to `send` is not sent again.
    pub async fn deliver_left(self: Arc<Self>) {
        let mut wait = WAIT;
        for turn in 1..=TRIES {
            let left = match self.book().undelivered(&self.host).await {
                Ok(left) => left,
                Err(error) => return self.host.error(&format!("answers to deliver could not be read: {error}")),
            };
            let left: Vec<_> =
                left.into_iter().filter(|left| !self.shared.is_delivering(&left.outcome.run_id)).collect();
            if left.is_empty() {
                return;
            }
            for Undelivered { outcome, wish } in left {
                if outcome.text.is_empty() {
                    self.note_delivery(&outcome.run_id, None).await;
                    continue;
                }
                // Channels may not be there yet, so that what is refused now need not be wrong.
                let delivery = match self.try_to_deliver(&outcome, &wish, true).await {
                    Tried::Again(_) if turn < TRIES => continue,
                    Tried::Over(delivery) | Tried::Again(delivery) => delivery,
                };
                self.note_delivery(&outcome.run_id, Some(&delivery)).await;
            }
            self.host.sleep(wait).await;
            wait *= 2;
        }
    }

    async fn deliver(&self, outcome: &RunOutcome, wish: &Wish) -> Delivery {
        let mut wait = WAIT;
        for _ in 1..TRIES {
            match self.try_to_deliver(outcome, wish, false).await {
                Tried::Over(delivery) => return delivery,
                Tried::Again(_) => self.host.sleep(wait).await,
            }
            wait *= 2;
        }
        match self.try_to_deliver(outcome, wish, false).await {
            Tried::Over(delivery) | Tried::Again(delivery) => delivery,
        }
    }

    async fn try_to_deliver(&self, outcome: &RunOutcome, wish: &Wish, is_start: bool) -> Tried {
        let deliver = Deliver {
            channel: wish.channel.clone(),
            to: wish.to.clone(),
            session_key: Some(outcome.session_key.clone()),
            text: outcome.text.clone(),
            account_id: wish.account_id.clone(),
            thread_id: wish.thread_id.clone(),
            idempotency_key: format!("{}/answer", outcome.run_id),
            ..Deliver::default()
        };
        let error = match self.host.invoke(METHOD, &deliver).send::<Delivered>().await {
            Ok(sent) => return Tried::Over(Delivery::sent(sent)),
            Err(error) => error,
        };
        let code = error.shape().details.as_ref().and_then(|details| details["code"].as_str()).map(str::to_string);
        let is_over = match code.as_deref() {
            Some(OUTCOME_UNKNOWN | BAD_TARGET | NO_TARGET) => true,
            // Also when the gateway stops: the next start goes on with it.
            Some(_) => false,
            None => !is_start && error.shape().code == code::INVALID_REQUEST && !is_unknown(&error, METHOD),
        };
        let failed = Delivery { code, ..Delivery::failed(&error) };
        if is_over { Tried::Over(failed) } else { Tried::Again(failed) }
    }

    /// Notes what came of it, and says in the log what did not go out.
    async fn note_delivery(&self, run_id: &str, delivery: Option<&Delivery>) {
        if let Some(why) = delivery.and_then(|delivery| delivery.error.as_ref()) {
            self.host.warn(&format!("the answer of run {run_id:?} was not delivered: {why}"));
        }
        if let Err(error) = self.book().delivered(&self.host, run_id, delivery).await {
            self.host.error(&format!("that the answer of run {run_id:?} was delivered is not in the book: {error}"));
        }
    }
}
