//! `/telegram/<path>`: Telegram brings a bot its messages. It shows a secret with each, and hears 200 when the message is
//! taken, or never will be; after anything else it comes again, and all that is behind it waits.

use std::sync::Arc;

use outside::service::Key;
use plugin_api::Host;
use plugin_api::http::{self, Exchange, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Telegram;
use crate::api::{self, Fault};
use crate::config::{Bot, Webhook};

/// Where all paths lie.
pub const PATH: &str = "/telegram";
/// Largest update.
pub const MOST_BODY: u64 = 1024 * 1024;
/// How long one may take to be taken; Telegram waits for a minute.
pub const TIMEOUT_MS: u64 = 55_000;

/// What Telegram shows with each update.
pub async fn secret(host: &Host, bot: &Bot, hook: &Webhook) -> Result<Key, Fault> {
    if let Some(source) = &hook.secret {
        let key = source.read(host).await.map_err(Fault::NoToken)?;
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        return match key.reveal().bytes().all(is_fit) && (16..=256).contains(&key.reveal().len()) {
            true => Ok(key),
            false => Err(Fault::NoToken("the webhook's secret has 16 to 256 letters, digits, - and _".to_string())),
        };
    }
    let token = api::token(host, &bot.token).await?;
    let digest = Sha256::digest(format!("clawhost telegram webhook {} {}", bot.id, token.reveal()));
    Ok(Key::new(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

impl Telegram {
    pub(crate) async fn brought(self: Arc<Self>, mut exchange: Exchange) -> http::Result {
        let path = exchange.below().trim_start_matches('/').to_string();
        let named = self.accounts.iter().find_map(|account| {
            let hook = account.bot.webhook.as_ref().filter(|hook| hook.path == path)?;
            Some((account, hook))
        });
        let Some((account, hook)) = named else { return exchange.respond(Response::status(404)).await };
        let secret = match secret(&self.host, &account.bot, hook).await {
            Ok(secret) => secret,
            Err(fault) => {
                self.host.warn(&format!("Telegram account {}: {fault}", account.id()));
                return exchange.respond(Response::status(503)).await;
            }
        };
        let shown = exchange.header("x-telegram-bot-api-secret-token").unwrap_or_default();
        // Hashed first, so that the time says nothing of the length either.
        let is_it = Sha256::digest(shown).ct_eq(&Sha256::digest(secret.reveal()));
        if !bool::from(is_it) {
            return exchange.respond(Response::status(401)).await;
        }
        if !account.state().is_running {
            // Stopped, or not yet introduced: who the bot is has to be known first.
            return exchange.respond(Response::status(503).header("retry-after", "5")).await;
        }
        let body = exchange.body().await?;
        let update = match serde_json::from_slice::<Value>(&body) {
            Ok(update) => update,
            Err(error) => {
                let (id, fault) = (account.id(), schemas::json::fault(&error));
                let what = format!("Telegram account {id}: an update was not understood and is passed over");
                self.host.warn(&format!("{what}: it {fault}"));
                return exchange.respond(Response::status(200)).await;
            }
        };
        if let Some(inbound) = self.read(account, &update).await
            && let Err(error) = self.hand_over(account, &inbound).await
            && self.comes_again(account, &inbound, &error, true)
        {
            return exchange.respond(Response::status(503).header("retry-after", "5")).await;
        }
        exchange.respond(Response::status(200)).await
    }
}
