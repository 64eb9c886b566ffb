//! A bot as it stands: whether it runs, what went wrong last, and what is kept of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_api::{Host, HostError, Spawned, WriteError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::Bot;
use crate::inbound::Me;

/// How long the server keeps updates, and so how long a place among them means anything: after a quiet week their numbers
/// begin anew, and an old place would confirm what was never seen.
const OFFSET_HOLDS_MS: u64 = 24 * 60 * 60 * 1000;

/// A bot and how it stands.
pub struct Account {
    pub bot: Bot,
    state: Mutex<State>,
}

/// How a bot stands.
#[derive(Default)]
pub struct State {
    /// Who the server says it is.
    pub me: Option<Me>,
    pub is_running: bool,
    pub last_error: Option<String>,
    pub last_start_at: Option<u64>,
    pub last_stop_at: Option<u64>,
    pub last_inbound_at: Option<u64>,
    pub last_outbound_at: Option<u64>,
    pub work: Option<Spawned>,
}

/// The place among the updates up to which they were taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// The bot's number: another bot's place means nothing.
    bot: i64,
    offset: i64,
    at: u64,
}

impl Account {
    pub fn new(bot: Bot) -> Self {
        Account { bot, state: Mutex::default() }
    }

    pub fn id(&self) -> &str {
        &self.bot.id
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who it is, as far as that is known.
    pub fn me(&self) -> Me {
        self.state().me.clone().unwrap_or_default()
    }

    /// Something went wrong. The sentence is for people.
    pub fn failed(&self, why: String) {
        self.state().last_error = Some(why);
    }

    /// Something went well.
    pub fn is_well(&self) {
        self.state().last_error = None;
    }

    /// Ends its work; whether there was any.
    pub fn cancel(&self) -> bool {
        // Out of the lock first: what is cancelled may be about to take it.
        let work = {
            let mut state = self.state();
            if std::mem::take(&mut state.is_running) {
                state.last_stop_at = Some(schemas::now_ms());
            }
            state.work.take()
        };
        work.inspect(|work| work.cancel()).is_some()
    }

    /// Whether somebody stopped it, which a restart does not change.
    pub fn is_stopped(&self, host: &Host) -> bool {
        host.kv().text(&self.stopped_key()).is_ok_and(|text| text.is_some())
    }

    pub async fn set_stopped(&self, host: &Host, stopped: bool) -> Result<(), WriteError> {
        let batch = host.kv().batch();
        let key = self.stopped_key();
        if stopped { batch.set(&key, "true").write().await } else { batch.delete(&key).write().await }
    }

    /// From where on updates are wanted; nothing if the server knows best.
    pub fn offset(&self, host: &Host) -> Option<i64> {
        let place: Place = host.kv().json(&self.offset_key()).ok().flatten()?;
        let holds = schemas::now_ms().saturating_sub(place.at) < OFFSET_HOLDS_MS;
        (place.bot == self.me().id && holds).then_some(place.offset)
    }

    /// Everything before this was taken.
    pub async fn set_offset(&self, host: &Host, offset: i64) -> Result<(), WriteError> {
        let write = {
            let state = self.state();
            // Who was stopped meanwhile may be forgotten: nothing is kept of it behind that.
            if !state.is_running {
                return Ok(());
            }
            let bot = state.me.as_ref().map_or(0, |me| me.id);
            host.kv().set_json(&self.offset_key(), &Place { bot, offset, at: schemas::now_ms() })
        };
        write.await
    }

    /// Forgets everything but that it is stopped; whether there was anything.
    pub async fn forget(&self, host: &Host) -> Result<bool, WriteError> {
        let known = host.kv().text(&self.offset_key()).map_err(|error: HostError| WriteError::Host(error))?.is_some();
        host.kv().batch().delete(&self.offset_key()).write().await?;
        Ok(self.state().me.take().is_some() || known)
    }

    /// As `channels.status` shows it.
    pub fn row(&self, host: &Host, has_token: Result<(), String>) -> Map<String, Value> {
        let is_stopped = self.is_stopped(host);
        let state = self.state();
        let mut row = json!({
            "accountId": self.id(),
            "enabled": !is_stopped,
            "configured": has_token.is_ok(),
            "running": state.is_running,
            "mode": if self.bot.webhook.is_some() { "webhook" } else { "polling" },
            "tokenSource": match (&has_token, &self.bot.token) {
                (Err(_), _) => "none",
                (_, outside::service::KeySource::File(_)) => "file",
                (_, outside::service::KeySource::Env(_)) => "env",
            },
            "lastError": has_token.err().or_else(|| state.last_error.clone()),
            "lastStartAt": state.last_start_at,
            "lastStopAt": state.last_stop_at,
            "lastInboundAt": state.last_inbound_at,
            "lastOutboundAt": state.last_outbound_at,
        });
        if let Some(name) = &self.bot.name {
            row["name"] = json!(name);
        }
        if let Some(me) = &state.me {
            row["botUsername"] = json!(me.username);
        }
        row.as_object().cloned().unwrap_or_default()
    }

    fn stopped_key(&self) -> String {
        format!("stopped/{}", self.id())
    }

    fn offset_key(&self) -> String {
        format!("offset/{}", self.id())
    }
}
