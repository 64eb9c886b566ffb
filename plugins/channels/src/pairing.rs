//! `channels.pairing.*` and `channels.senders.*`: who knocks, and who was let in.

use std::sync::Arc;

use jiff::Timestamp;
use plugin_api::contracts::channel::Deliver;
use plugin_api::{Call, MethodError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::people::{self, Knock};
use crate::report::{DEFAULT_ACCOUNT, Shown};
use crate::{Channels, words};

/// Parameters of `channels.pairing.list`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListParams {
    /// Only this channel.
    #[serde(default)]
    channel: Option<String>,
    /// Only this account.
    #[serde(default)]
    account_id: Option<String>,
}

/// Result of `channels.pairing.list`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Accounts that people can knock at.
    accounts: Vec<Account>,
    /// Those who knock, oldest first.
    requests: Vec<Request>,
    /// Always true: nobody becomes an owner by being let in.
    command_owner_configured: bool,
    /// How many may knock, and for how long.
    limits: Limits,
}

/// An account of a channel.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The channel.
    channel: String,
    /// Its name.
    channel_label: String,
    /// The account.
    account_id: String,
    /// The account's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account_label: Option<String>,
    /// Always true: who is let in can be told.
    notify_supported: bool,
}

/// Somebody who knocks. The code is not shown: they were told it, and who approves by code has heard it from them.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Names the request.
    request_id: String,
    /// The account they wrote to.
    #[serde(flatten)]
    account: Account,
    /// The channel's lasting id of them.
    sender_id: String,
    /// What such ids are called.
    sender_label: String,
    /// `name` and `handle`, as they call themselves.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    metadata: Map<String, Value>,
    /// When they first wrote, as `2026-01-31T12:00:00Z`.
    created_at: String,
    /// When they last wrote.
    last_seen_at: String,
    /// When they will be forgotten.
    expires_at: String,
}

/// Limits of knocking.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Most who knock at an account.
    pending_per_account: u64,
    /// Milliseconds until one is forgotten.
    ttl_ms: u64,
}

/// Parameters of `channels.pairing.approve`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApproveParams {
    /// The channel.
    #[schemars(length(min = 1))]
    channel: String,
    /// The account; any of the channel when absent.
    #[serde(default)]
    account_id: Option<String>,
    /// The request, or the code that the sender was told.
    #[schemars(length(min = 1))]
    request_id: String,
    /// Whether the sender is told.
    #[serde(default)]
    notify: Option<bool>,
    /// Refused: there are no such owners here.
    #[serde(default)]
    bootstrap_command_owner: Option<bool>,
}

/// Result of `channels.pairing.approve`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approved {
    /// The request.
    request_id: String,
    /// Who may write now.
    sender_id: String,
    /// `not-requested`, `sent` or `failed`.
    notification: &'static str,
    /// `not-requested` or `unavailable`.
    command_owner_bootstrap: &'static str,
}

/// Parameters of `channels.pairing.dismiss`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DismissParams {
    /// The channel.
    #[schemars(length(min = 1))]
    channel: String,
    /// The account; any of the channel when absent.
    #[serde(default)]
    account_id: Option<String>,
    /// The request, or the code that the sender was told.
    #[schemars(length(min = 1))]
    request_id: String,
}

/// Result of `channels.pairing.dismiss`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dismissed {
    /// The request.
    request_id: String,
    /// Who was turned away.
    sender_id: String,
}

/// Parameters of `channels.senders.list`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendersParams {
    /// Only this channel.
    #[serde(default)]
    channel: Option<String>,
}

/// Result of `channels.senders.list`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Senders {
    /// Those who were let in, by channel and account.
    senders: Vec<Sender>,
}

/// Somebody who was let in.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// The channel.
    channel: String,
    /// The account.
    account_id: String,
    /// The channel's lasting id of them.
    sender_id: String,
    /// What they called themselves then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Their handle then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handle: Option<String>,
    /// When they were let in, as `2026-01-31T12:00:00Z`.
    approved_at: String,
}

/// Parameters of `channels.senders.remove`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveParams {
    /// The channel.
    #[schemars(length(min = 1))]
    channel: String,
    /// The account; the channel's unnamed one when absent.
    #[serde(default)]
    account_id: Option<String>,
    /// The channel's lasting id of them.
    #[schemars(length(min = 1))]
    sender_id: String,
}

/// Result of `channels.senders.remove`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Removed {
    /// Whether they had been let in.
    removed: bool,
}

impl Channels {
    pub(crate) async fn pairing_list(self: Arc<Self>, _: Call, params: ListParams) -> Result<Listed, MethodError> {
        let only = said(params.channel);
        if let Some(only) = &only
            && self.directory.find(only).await?.is_none()
        {
            return Err(MethodError::invalid_request(format!("unknown pairing channel: {only}")));
        }
        let shown = self.shown(only.as_deref()).await?;
        let ttl = self.config.pairing_ttl_ms;
        let knocks = self.db(move |db| people::knocks(db, schemas::now_ms(), ttl)).await?;
        let only_account = said(params.account_id);
        let is_asked = |account: &str| only_account.as_deref().is_none_or(|only| only.eq_ignore_ascii_case(account));
        let is_asked_channel = |id: &str| only.as_deref().is_none_or(|only| only.eq_ignore_ascii_case(id));
        let accounts = shown.iter().flat_map(|(id, shown)| accounts(id, shown));
        let requests = knocks
            .into_iter()
            .filter(|knock| is_asked_channel(&knock.person.channel) && is_asked(&knock.person.account))
            .map(|knock| {
                let channel = shown.iter().find(|(id, _)| *id == knock.person.channel);
                request(knock, channel.map(|(_, shown)| shown), ttl)
            });
        Ok(Listed {
            requests: requests.collect(),
            accounts: accounts.filter(|account| is_asked(&account.account_id)).collect(),
            command_owner_configured: true,
            limits: Limits { pending_per_account: self.config.max_pairing_requests, ttl_ms: ttl },
        })
    }

    pub(crate) async fn pairing_approve(
        self: Arc<Self>,
        _: Call,
        params: ApproveParams,
    ) -> Result<Approved, MethodError> {
        let knock = self.take_knock(params.channel, params.account_id, params.request_id, true).await?;
        let notification = match params.notify {
            Some(true) => {
                let deliver = Deliver {
                    text: words::WELCOME.to_string(),
                    idempotency_key: format!("welcome-{}", knock.request_id),
                    ..self.to_person(&knock)
                };
                match self.deliver(&deliver).await {
                    Ok(_) => "sent",
                    Err(error) => {
                        self.host.warn(&format!("somebody who was let in could not be told: {error}"));
                        "failed"
                    }
                }
            }
            _ => "not-requested",
        };
        let wants_owner = params.bootstrap_command_owner == Some(true);
        Ok(Approved {
            request_id: knock.request_id,
            sender_id: knock.person.sender,
            notification,
            command_owner_bootstrap: if wants_owner { "unavailable" } else { "not-requested" },
        })
    }

    pub(crate) async fn pairing_dismiss(
        self: Arc<Self>,
        _: Call,
        params: DismissParams,
    ) -> Result<Dismissed, MethodError> {
        let knock = self.take_knock(params.channel, params.account_id, params.request_id, false).await?;
        Ok(Dismissed { request_id: knock.request_id, sender_id: knock.person.sender })
    }

    async fn take_knock(
        &self,
        channel: String,
        account: Option<String>,
        request: String,
        lets_in: bool,
    ) -> Result<Knock, MethodError> {
        // The channel may be switched off by now; its people are still there.
        let channel = self.directory.find(&channel).await?.unwrap_or(channel);
        let (account, ttl, now) = (said(account), self.config.pairing_ttl_ms, schemas::now_ms());
        let knock = self
            .db(move |db| {
                let knock = people::answer(db, &channel, account.as_deref(), &request, now, ttl)?;
                if let (Some(knock), true) = (&knock, lets_in) {
                    people::let_in(db, knock, now)?;
                }
                Ok(knock)
            })
            .await?;
        let knock = knock.ok_or_else(|| MethodError::invalid_request("pending DM access request no longer exists"))?;
        let (what, who) = (if lets_in { "let in" } else { "turned away" }, &knock.person);
        self.host.info(&format!("{} of {} was {what}", who.sender, who.channel));
        Ok(knock)
    }

    pub(crate) async fn senders_list(self: Arc<Self>, _: Call, params: SendersParams) -> Result<Senders, MethodError> {
        let only = said(params.channel).map(|only| only.to_lowercase());
        let senders = self.db(move |db| people::senders(db, only.as_deref())).await?;
        let senders = senders.into_iter().map(|(person, at)| Sender {
            channel: person.channel,
            account_id: person.account,
            sender_id: person.sender,
            name: person.name,
            handle: person.handle,
            approved_at: iso(at),
        });
        Ok(Senders { senders: senders.collect() })
    }

    pub(crate) async fn senders_remove(self: Arc<Self>, _: Call, params: RemoveParams) -> Result<Removed, MethodError> {
        let account = said(params.account_id).unwrap_or_else(|| DEFAULT_ACCOUNT.to_string());
        let RemoveParams { channel, sender_id, .. } = params;
        let name = format!("{sender_id} of {channel}");
        let removed = self.db(move |db| people::put_out(db, &channel, &account, &sender_id)).await?;
        if removed {
            self.host.info(&format!("{name} is let in no more"));
        }
        Ok(Removed { removed })
    }
}

fn accounts(id: &str, shown: &Shown) -> Vec<Account> {
    let name = |field: &Map<String, Value>, key: &str| field.get(key).and_then(Value::as_str).map(str::to_string);
    let named = shown.accounts.iter().filter(|account| account.get("configured") != Some(&Value::Bool(false)));
    named
        .map(|account| Account {
            channel: id.to_string(),
            channel_label: shown.label.clone(),
            account_id: name(account, "accountId").unwrap_or_else(|| DEFAULT_ACCOUNT.to_string()),
            account_label: name(account, "name"),
            notify_supported: true,
        })
        .collect()
}

fn request(knock: Knock, shown: Option<&Shown>, ttl_ms: u64) -> Request {
    let person = knock.person;
    let account = shown
        .and_then(|shown| {
            accounts(&person.channel, shown).into_iter().find(|account| account.account_id == person.account)
        })
        .unwrap_or_else(|| Account {
            channel_label: shown.map_or_else(|| person.channel.clone(), |shown| shown.label.clone()),
            channel: person.channel,
            account_id: person.account,
            account_label: None,
            notify_supported: true,
        });
    let mut metadata = Map::new();
    for (key, text) in [("name", person.name), ("handle", person.handle)] {
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            metadata.insert(key.to_string(), Value::from(text));
        }
    }
    Request {
        request_id: knock.request_id,
        account,
        sender_id: person.sender,
        sender_label: shown.map_or_else(|| crate::report::SENDER.to_string(), |shown| shown.sender_label.clone()),
        metadata,
        created_at: iso(knock.created_at),
        last_seen_at: iso(knock.seen_at),
        expires_at: iso(knock.created_at.saturating_add(ttl_ms)),
    }
}

fn iso(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.unwrap_or_default().to_string()
}

fn said(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_string()).filter(|text| !text.is_empty())
}
