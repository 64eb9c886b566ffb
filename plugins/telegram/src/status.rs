//! How the bots are doing, for `channels.status`.

use std::time::{Duration, Instant};

use outside::timeout;
use plugin_api::contracts::channel::{Query, Report};
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::{Telegram, api, outbound};

/// What is kept of the time for putting the answer together, and what a probe has in any case.
const TO_ANSWER: Duration = Duration::from_millis(200);
const LEAST: Duration = Duration::from_millis(500);

impl Telegram {
    pub(crate) async fn report(&self, query: Query) -> Report {
        let mut accounts = Vec::with_capacity(self.accounts.len());
        // One after the other in no more time than there is for all.
        let until = Instant::now() + Duration::from_millis(query.timeout_ms).saturating_sub(TO_ANSWER).max(LEAST);
        for account in &self.accounts {
            let token = api::token(&self.host, &account.bot.token).await;
            let has_token =
                token.as_ref().map(drop).map_err(|_| "there is no token; see token_file and token_env".to_string());
            let probe = match has_token.is_ok() && query.probe {
                true => Some(self.probe(account, until).await),
                false => None,
            };
            let mut row = account.row(&self.host, has_token);
            if let Some(probe) = probe {
                row.insert("probe".to_string(), probe);
                row.insert("lastProbeAt".to_string(), json!(schemas::now_ms()));
            }
            accounts.push(row);
        }
        Report {
            label: Some("Telegram".to_string()),
            detail_label: Some("Telegram bot".to_string()),
            system_image: Some("paperplane".to_string()),
            default_account_id: Some(self.default_account.clone()),
            sender_label: Some("Telegram user id".to_string()),
            summary: Some(self.summary(&accounts)),
            accounts: Some(accounts),
        }
    }

    /// The channel as a whole is as its default account; it is configured and running as soon as one account is.
    fn summary(&self, accounts: &[Map<String, Value>]) -> Map<String, Value> {
        let any = |field: &str| accounts.iter().any(|account| account[field] == true);
        let default = accounts.iter().find(|account| account["accountId"] == json!(self.default_account));
        let mut summary = Map::new();
        summary.insert("configured".to_string(), json!(any("configured")));
        summary.insert("running".to_string(), json!(any("running")));
        let fields =
            ["mode", "tokenSource", "lastError", "lastStartAt", "lastStopAt", "lastProbeAt", "botUsername", "probe"];
        for field in fields {
            if let Some(value) = default.and_then(|account| account.get(field)) {
                summary.insert(field.to_string(), value.clone());
            }
        }
        summary
    }

    async fn probe(&self, account: &Account, until: Instant) -> Value {
        let begun = Instant::now();
        let answer = timeout(until.saturating_duration_since(begun), self.who(account)).await;
        let elapsed = begun.elapsed().as_millis() as u64;
        match answer {
            Some(Ok(me)) => {
                json!({ "ok": true, "elapsedMs": elapsed, "bot": { "id": me.id, "username": me.username } })
            }
            Some(Err(fault)) => {
                self.host.warn(&format!("Telegram account {} was asked in vain: {fault}", account.id()));
                let error = match &fault {
                    api::Fault::Refused(refusal) => outbound::meaning(refusal),
                    _ => "Telegram could not be reached".to_string(),
                };
                json!({ "ok": false, "elapsedMs": elapsed, "error": error })
            }
            None => json!({ "ok": false, "elapsedMs": elapsed, "error": "Telegram did not answer in time" }),
        }
    }
}
