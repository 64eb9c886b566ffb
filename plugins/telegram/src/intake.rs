//! How messages come in: asked for (`getUpdates`), or brought by Telegram (`setWebhook`). Either way an update counts as
//! taken when `channels.inbound` has it, and is handed over again after a while when that failed. One that is refused, and
//! would be again, is passed over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_api::MethodError;
use plugin_api::contracts::channel::{Inbound, Taken, is_refused};
use serde_json::{Value, json};

use crate::account::Account;
use crate::api::{Body, Fault, Line};
use crate::inbound::{self, Me};
use crate::shapes::{ALLOWED_UPDATES, Update, User};
use crate::{TO_TAKE, Telegram, webhook};

/// An empty answer that came sooner than this is waited after, so that nobody is asked without a pause.
const TOO_SOON_MS: u128 = 200;

/// What comes after a failure.
enum After {
    /// Another try.
    Again,
    /// Nothing, before somebody starts the account again.
    Over,
}

impl Telegram {
    /// Begins an account's work, unless somebody stopped it.
    pub(crate) fn begin(self: &Arc<Self>, at: usize) {
        let account = &self.accounts[at];
        account.cancel();
        if account.is_stopped(&self.host) {
            return;
        }
        account.state().last_start_at = Some(schemas::now_ms());
        let telegram = self.clone();
        let work = self.host.spawn(async move { telegram.work(at).await });
        account.state().work = Some(work);
        if self.is_ending() {
            account.cancel();
        }
    }

    async fn work(self: Arc<Self>, at: usize) {
        let account = &self.accounts[at];
        let mut failures = 0;
        while let Err(fault) = self.introduce(account).await {
            if let After::Over = self.after(account, fault, &mut failures, true).await {
                return;
            }
        }
        if account.bot.webhook.is_some() {
            // Telegram does the rest.
            return;
        }
        loop {
            let asked = Instant::now();
            match self.ask(account).await {
                Ok(updates) => {
                    failures = 0;
                    account.is_well();
                    let mut moved = false;
                    for update in &updates {
                        moved |= self.take(account, update).await;
                    }
                    if !moved && asked.elapsed().as_millis() < TOO_SOON_MS {
                        self.host.sleep(self.config.backoff(1)).await;
                    }
                }
                Err(fault) => {
                    if let After::Over = self.after(account, fault, &mut failures, false).await {
                        return;
                    }
                }
            }
        }
    }

    /// Learns who the bot is, and says how it wants its messages.
    async fn introduce(&self, account: &Account) -> Result<(), Fault> {
        let me = self.who(account).await?;
        if let Some(hook) = &account.bot.webhook {
            let secret = webhook::secret(&self.host, &account.bot, hook).await?;
            let wish = json!({
                "url": hook.url, "secret_token": secret.reveal(), "allowed_updates": ALLOWED_UPDATES,
                // One after the other, in their order.
                "max_connections": 1,
            });
            self.request::<Value>(account, "setWebhook", wish).await?;
        }
        let mut state = account.state();
        state.is_running = true;
        state.last_error = None;
        drop(state);
        let how = if account.bot.webhook.is_some() { "brings its messages" } else { "is asked for messages" };
        self.host.info(&format!("Telegram {how}: @{} (account {})", me.username, account.id()));
        Ok(())
    }

    /// Who the bot is, as the server says.
    pub(crate) async fn who(&self, account: &Account) -> Result<Me, Fault> {
        let user: User = self.request(account, "getMe", json!({})).await?;
        let me = Me { id: user.id, username: user.username.unwrap_or_default() };
        account.state().me = Some(me.clone());
        Ok(me)
    }

    async fn ask(&self, account: &Account) -> Result<Vec<Value>, Fault> {
        let mut ask = json!({ "timeout": self.config.poll_timeout_s, "allowed_updates": ALLOWED_UPDATES });
        if let Some(offset) = account.offset(&self.host) {
            ask["offset"] = json!(offset);
        }
        self.lines.call(&self.host, &account.bot, Line::Poll, "getUpdates", Body::Json(ask)).await
    }

    /// Sees to what went wrong, and waits until it may be tried again.
    async fn after(&self, account: &Account, fault: Fault, failures: &mut u32, is_first: bool) -> After {
        *failures = failures.saturating_add(1);
        let id = account.id();
        let over = match &fault {
            Fault::NoToken(_) => Some("there is no token; see token_file and token_env".to_string()),
            fault if fault.is(401) => Some("Telegram refuses the token (401); @BotFather has a new one".to_string()),
            fault if fault.is(404) && is_first => {
                Some("the server knows no such bot (404); is the token right, and base_url?".to_string())
            }
            _ => None,
        };
        if let Some(why) = over {
            self.host.error(&format!("Telegram account {id} is not running: {why} ({fault})"));
            let mut state = account.state();
            (state.is_running, state.last_error, state.last_stop_at) = (false, Some(why), Some(schemas::now_ms()));
            return After::Over;
        }
        let mut wait = self.config.backoff(*failures);
        let why = match &fault {
            Fault::Refused(refusal) if refusal.code == 409 && refusal.description.contains("webhook") => {
                // Left by somebody who had its messages brought.
                let removed = self.request::<Value>(account, "deleteWebhook", json!({})).await;
                match removed {
                    Ok(_) => "another address had its messages brought, which was ended".to_string(),
                    Err(why) => format!("another address has its messages brought, and that could not be ended: {why}"),
                }
            }
            // The instance before this one may still be asking, for as long as its last question is open.
            Fault::Refused(refusal) if refusal.code == 409 => {
                "another program asks for this bot's messages (409)".to_string()
            }
            Fault::Refused(refusal) => {
                wait = wait.max(refusal.retry_after.unwrap_or_default());
                format!("Telegram refused with {}", refusal.code)
            }
            Fault::Unreachable(_) => "Telegram could not be reached".to_string(),
            _ => "the connection to Telegram broke, or its server failed".to_string(),
        };
        if *failures == 1 {
            self.host.warn(&format!("Telegram account {id}: {why} ({fault})"));
        }
        account.failed(why);
        self.host.sleep(wait).await;
        After::Again
    }

    /// Hands an update over, as often as it takes, and notes that it is taken. False if it is none.
    async fn take(&self, account: &Account, update: &Value) -> bool {
        let Some(id) = update["update_id"].as_i64() else {
            self.host.warn(&format!("Telegram account {}: an update without a number is passed over", account.id()));
            return false;
        };
        if let Some(inbound) = self.read(account, update).await {
            let mut failures = 0;
            while let Err(error) = self.hand_over(account, &inbound).await {
                failures += 1;
                if !self.comes_again(account, &inbound, &error, failures == 1) {
                    break;
                }
                let asked = Duration::from_millis(error.shape().retry_after_ms.unwrap_or(0));
                self.host.sleep(self.config.backoff(failures).max(asked)).await;
            }
        }
        if let Err(error) = account.set_offset(&self.host, id + 1).await {
            // Whoever gets it again knows it by its number.
            self.host.warn(&format!("Telegram account {}: its place could not be kept: {error}", account.id()));
            // It comes again with the next answer, which nothing else would hold back.
            self.host.sleep(self.config.backoff(1)).await;
        }
        true
    }

    /// Whether a message that was not taken is to be handed over again. If it is refused, that would change nothing, and
    /// hold up everything behind it: it is passed over.
    pub(crate) fn comes_again(&self, account: &Account, inbound: &Inbound, error: &MethodError, is_news: bool) -> bool {
        let what = format!("message {} of chat {}", inbound.message_id, inbound.chat.id);
        if is_refused(error) {
            self.host.error(&format!("Telegram: {what} is refused, and passed over: {error}"));
            account.failed("a message was refused, and passed over".to_string());
            return false;
        }
        if is_news {
            self.host.warn(&format!("Telegram: {what} could not be handed over yet: {error}"));
        }
        account.failed("a message could not be handed over yet".to_string());
        true
    }

    /// What is to be handed over of an update, with its files; nothing of what is none of ours.
    pub(crate) async fn read(&self, account: &Account, update: &Value) -> Option<Inbound> {
        let update: Update = match serde_json::from_value(update.clone()) {
            Ok(update) => update,
            Err(error) => {
                let id = &update["update_id"];
                self.host.warn(&format!("Telegram: update {id} was not understood and is passed over: {error}"));
                return None;
            }
        };
        let (message, edited) = update.message()?;
        if edited && !self.config.edits {
            return None;
        }
        let (mut inbound, attachments) = inbound::read(message, edited, &account.me(), account.id())?;
        for attachment in attachments {
            match self.fetch(account, &attachment).await {
                Ok(media) => inbound.media.push(media),
                Err(remark) => {
                    let gap = if inbound.text.is_empty() { "" } else { "\n" };
                    inbound.text.push_str(&format!("{gap}{remark}"));
                }
            }
        }
        Some(inbound)
    }

    pub(crate) async fn hand_over(&self, account: &Account, inbound: &Inbound) -> Result<Taken, MethodError> {
        let taken: Taken = self.host.invoke("channels.inbound", inbound).timeout(TO_TAKE).send().await?;
        let mut state = account.state();
        state.last_inbound_at = Some(schemas::now_ms());
        state.last_error = None;
        Ok(taken)
    }

    /// Has a bot do something that takes no files.
    pub(crate) async fn request<T: serde::de::DeserializeOwned>(
        &self,
        account: &Account,
        method: &str,
        params: Value,
    ) -> Result<T, Fault> {
        self.lines.call(&self.host, &account.bot, Line::Call, method, Body::Json(params)).await
    }
}
