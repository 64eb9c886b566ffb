//! `channels.inbound`: a message comes in. What becomes of it is decided and on disk before its channel hears of it; then
//! the session's lane goes on (`lanes.rs`).

use std::sync::Arc;

use database::rusqlite::Connection;
use plugin_api::contracts::channel::{Deliver, Inbound, Taken, is_stop_word};
use plugin_api::contracts::run::{AbortRuns, Aborted};
use plugin_api::{Call, MethodError};

use crate::people::{Knock, Knocked, Person};
use crate::rules::{self, DIRECT, Decision, Rule};
use crate::{Channels, ChannelsConfig, book, directory, lanes, people, words};

/// What was found to be done with a message.
enum Found {
    Ignore,
    Duplicate {
        session: String,
        run_id: Option<String>,
    },
    Pairing(Knocked),
    /// The session, and whether messages of it were waiting.
    Stop(String, bool),
    Refuse(String),
    Run {
        session: String,
        run_id: String,
    },
}

impl Channels {
    pub(crate) async fn inbound(self: Arc<Self>, call: Call, mut message: Inbound) -> Result<Taken, MethodError> {
        self.check_sender(&call, &message).await?;
        self.bound(&mut message);
        let (plugin, kept) = (self.clone(), message.clone());
        let found = self.db(move |db| find(db, &plugin.config, kept, schemas::now_ms())).await?;
        let taken = |verdict: &str, run_id: Option<String>| Taken { verdict: verdict.to_string(), run_id };
        Ok(match found {
            Found::Ignore => taken("ignored", None),
            Found::Duplicate { session, run_id } => self.gone_on_with(&session, taken("duplicate", run_id))?,
            Found::Pairing(knocked) => {
                self.tell_code(knocked, &message);
                taken("pairing", None)
            }
            Found::Stop(session, dropped) => {
                self.stop_runs(session, dropped, message);
                taken("stop", None)
            }
            Found::Refuse(session) => {
                self.refuse(session, &message);
                taken("refused", None)
            }
            Found::Run { session, run_id } => self.gone_on_with(&session, taken("run", Some(run_id)))?,
        })
    }

    /// Has the session's lane go on. An instance that is being replaced begins nothing, and the next one may have looked for
    /// open messages too early to see this one. So it is to be handed over again, to that instance, which finds it open.
    fn gone_on_with(self: &Arc<Self>, session: &str, taken: Taken) -> Result<Taken, MethodError> {
        match lanes::wake(self, session) {
            true => Ok(taken),
            false => Err(MethodError::unavailable("the channels are being made anew").retryable()),
        }
    }

    /// A channel speaks for itself only, and says what has to be said.
    async fn check_sender(&self, call: &Call, message: &Inbound) -> Result<(), MethodError> {
        let plugin = call.caller()?.plugin.unwrap_or_default();
        let is_its = |channels: Arc<directory::Channels>| {
            channels.get(&message.channel).is_some_and(|channel| channel.belongs_to(&plugin))
        };
        // A channel that has just come may write before it is known here, and lets go of a message that is refused.
        if !is_its(self.directory.read().await?) && !is_its(self.directory.read_anew().await?) {
            let why = format!("the plugin {plugin} is not the channel {:?}", message.channel);
            return Err(MethodError::invalid_request(why));
        }
        let missing = [
            ("messageId", &message.message_id),
            ("from.id", &message.from.id),
            ("chat.id", &message.chat.id),
            ("chat.kind", &message.chat.kind),
        ];
        match missing.into_iter().find(|(_, text)| text.trim().is_empty()) {
            Some((field, _)) => Err(MethodError::invalid_request(format!("{field} is missing"))),
            None => Ok(()),
        }
    }

    /// Takes from a message what is over the limits, and says so in it.
    fn bound(&self, message: &mut Inbound) {
        message.text = words::cut(&message.text, self.config.max_text_bytes);
        let mut left = self.config.max_media_bytes;
        for media in &mut message.media {
            let size = media.data.as_ref().map_or(0, |data| data.len() / 4 * 3);
            match size <= left {
                true => left -= size,
                false => media.data = None,
            }
        }
    }

    /// Tells somebody the code, unless they know it. They are told again when that fails and they write again.
    fn tell_code(self: &Arc<Self>, knocked: Knocked, message: &Inbound) {
        let knock = match knocked {
            Knocked::Tell(knock) => knock,
            Knocked::Told => return,
            Knocked::TooMany => {
                let Inbound { channel, .. } = message;
                let most = self.config.max_pairing_requests;
                return self.host.warn(&format!(
                    "somebody who is not known wrote on {channel} and was passed over: {most} wait to be let in already \
                     (max_pairing_requests)"
                ));
            }
        };
        let plugin = self.clone();
        self.host.spawn(async move {
            let deliver = Deliver {
                text: words::knock(&knock.person.channel, &knock.code),
                idempotency_key: format!("pairing-{}", knock.request_id),
                ..plugin.to_person(&knock)
            };
            plugin.host.info(&format!(
                "somebody who is not known wrote on {}: clawhost channels pairing shows who",
                knock.person.channel
            ));
            match plugin.deliver(&deliver).await {
                Ok(_) => {
                    let request_id = knock.request_id;
                    if let Err(error) = plugin.db(move |db| people::told(db, &request_id)).await {
                        plugin.host.warn(&format!("that somebody was told a code could not be kept: {error}"));
                    }
                }
                Err(error) => plugin.host.warn(&format!("somebody could not be told their code: {error}")),
            }
        });
    }

    /// A message for somebody who knocks, without a text.
    pub(crate) fn to_person(&self, knock: &Knock) -> Deliver {
        let Person { channel, account, .. } = &knock.person;
        Deliver {
            channel: Some(channel.clone()),
            to: Some(knock.chat.clone()),
            account_id: (account != crate::report::DEFAULT_ACCOUNT).then(|| account.clone()),
            ..Deliver::default()
        }
    }

    fn stop_runs(self: &Arc<Self>, session: String, dropped: bool, message: Inbound) {
        let plugin = self.clone();
        self.host.spawn(async move {
            let stop =
                AbortRuns { session_key: Some(session), stop_reason: Some("stop".to_string()), ..AbortRuns::default() };
            let stopped = plugin.host.invoke("agent.abort", &stop).send::<Aborted>().await;
            let text = match stopped {
                Ok(stopped) if stopped.run_ids.is_empty() && !dropped => words::NOTHING_RUNS,
                Ok(_) => words::STOPPED,
                Err(error) => {
                    plugin.host.warn(&format!("an agent could not be stopped: {error}"));
                    words::FAILED
                }
            };
            plugin.answer_quietly(&message, text, "stop").await;
        });
    }

    /// Tells somebody that their message was not taken; once, until what waits before it has been answered.
    fn refuse(self: &Arc<Self>, session: String, message: &Inbound) {
        let Inbound { channel, .. } = message;
        let most = self.config.max_waiting;
        self.host
            .warn(&format!("a message on {channel} was not taken: {most} of its session wait already (max_waiting)"));
        if !lanes::tell_full(self, &session) {
            return;
        }
        let (plugin, message) = (self.clone(), message.clone());
        self.host.spawn(async move { plugin.answer_quietly(&message, words::TOO_MANY, "refused").await });
    }

    /// Says something to the sender that no agent said. The log hears of a failure, and nobody else.
    async fn answer_quietly(&self, message: &Inbound, text: &str, what: &str) {
        let deliver = Deliver {
            text: text.to_string(),
            idempotency_key: format!("{what}-{}", uuid::Uuid::new_v4()),
            ..self.reply_to(message)
        };
        if let Err(error) = self.deliver(&deliver).await {
            self.host.warn(&format!("somebody on {} could not be answered: {error}", message.channel));
        }
    }

    /// An answer to a message, without a text.
    pub(crate) fn reply_to(&self, message: &Inbound) -> Deliver {
        Deliver {
            channel: Some(message.channel.clone()),
            to: Some(message.chat.id.clone()),
            account_id: message.account_id.clone(),
            thread_id: message.chat.thread_id.clone(),
            // Among several it is seen whom the answer is for.
            reply_to: (message.chat.kind != DIRECT).then(|| message.message_id.clone()),
            ..Deliver::default()
        }
    }
}

/// Decides, and keeps what has to be kept, in one transaction.
fn find(db: &Connection, config: &ChannelsConfig, message: Inbound, now: u64) -> Result<Found, MethodError> {
    let is_paired = people::is_paired(db, &Person::of(&message))?;
    let rule = match rules::decide(&config.rules, &message, is_paired) {
        Decision::Ignore => return Ok(Found::Ignore),
        Decision::Ask => {
            let (ttl, most) = (config.pairing_ttl_ms, config.max_pairing_requests);
            return Ok(Found::Pairing(people::knock(db, &message, now, ttl, most)?));
        }
        Decision::Answer(rule) => rule,
    };
    let key = book::key(&message);
    if let Some(seen) = book::seen(db, &key)? {
        return Ok(Found::Duplicate { session: seen.session, run_id: seen.run_id });
    }
    let session = rule.session_key(&message);
    if is_stop_word(&message.text) && is_for_the_agent(&message) {
        let dropped = book::close_all(db, &session)?;
        book::note(db, &key, &session, now, config.keep_messages)?;
        return Ok(Found::Stop(session, dropped));
    }
    let (all, of_session) = book::open_count(db, &session)?;
    if of_session >= config.max_waiting {
        book::note(db, &key, &session, now, config.keep_messages)?;
        return Ok(Found::Refuse(session));
    }
    if all >= config.max_open {
        let why = format!("{all} messages wait to be answered already (max_open)");
        return Err(MethodError::unavailable(why).retry_after(std::time::Duration::from_secs(5)));
    }
    let run_id = format!("inbound-{}", uuid::Uuid::new_v4());
    let open = book::Open {
        place: 0,
        session: session.clone(),
        agent: rule.agent.clone(),
        run_id: run_id.clone(),
        may_reset: may_reset(rule, &message),
        message,
    };
    book::open(db, &key, &open, now)?;
    Ok(Found::Run { session, run_id })
}

/// Whether a word is meant for the agent, and not for somebody else of a group.
fn is_for_the_agent(message: &Inbound) -> bool {
    message.chat.kind == DIRECT || message.mentioned || message.text.trim_start().starts_with('/')
}

/// Whether somebody may begin a conversation anew: their own, or one in which a rule names them.
fn may_reset(rule: &Rule, message: &Inbound) -> bool {
    message.chat.kind == DIRECT || rule.session == rules::SessionOf::Sender || rule.names(message)
}
