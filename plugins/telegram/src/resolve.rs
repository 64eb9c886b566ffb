//! Whom a target means. People are known by the sign of their number; groups and channels Telegram is asked for, once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use plugin_api::MethodError;
use plugin_api::contracts::channel::Resolved;
use serde_json::json;

use crate::Telegram;
use crate::account::Account;
use crate::api::Fault;
use crate::shapes::Chat;
use crate::target::{ChatId, Target, bad};

/// Chats that are remembered; when there are more, all are asked for anew.
const MOST_CHATS: usize = 1_000;

/// Chats that were asked for, by account and name or number.
#[derive(Default)]
pub struct Chats(Mutex<HashMap<(String, String), Chat>>);

impl Chats {
    fn known(&self, key: &(String, String)) -> Option<Chat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn keep(&self, key: (String, String), chat: Chat) {
        let mut chats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if chats.len() >= MOST_CHATS {
            chats.clear();
        }
        chats.insert(key, chat);
    }
}

impl Telegram {
    pub(crate) async fn resolved(&self, account: &Account, target: Target) -> Result<Resolved, MethodError> {
        if let ChatId::Number(number) = &target.chat
            && *number > 0
        {
            return Ok(Resolved { to: target.written(), chat_type: Some("direct".to_string()), label: None });
        }
        let key = (account.id().to_string(), target.chat.written().to_lowercase());
        let chat = match self.chats.known(&key) {
            Some(chat) => chat,
            None => match self.request::<Chat>(account, "getChat", json!({ "chat_id": target.chat.value() })).await {
                Ok(chat) => {
                    self.chats.keep(key, chat.clone());
                    chat
                }
                Err(fault) if fault.is(400) || fault.is(403) => {
                    let why =
                        "there is no such group or channel that the bot knows; people are reached by their number";
                    return Err(bad(why).log(fault));
                }
                // It can be sent to all the same, or will be refused then.
                Err(fault) => return Ok(unasked(target, fault, self)),
            },
        };
        Ok(Resolved {
            to: Target { chat: ChatId::Number(chat.id), topic: target.topic }.written(),
            chat_type: Some(chat.contract_kind().to_string()),
            label: chat.full_name(),
        })
    }
}

fn unasked(target: Target, fault: Fault, telegram: &Telegram) -> Resolved {
    telegram.host.warn(&format!("Telegram could not be asked who {} is: {fault}", target.chat.written()));
    Resolved { to: target.written(), chat_type: Some("group".to_string()), label: None }
}
