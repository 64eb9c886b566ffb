//! `channels.start`, `channels.stop`, `channels.logout` and `web.login.*`: passed on to the channel that is meant.

use std::sync::Arc;
use std::time::Duration;

use plugin_api::contracts::channel::{self, LoggedOut, Login, LoginState};
use plugin_api::{Call, MethodError, lenient};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Channels;
use crate::report::DEFAULT_ACCOUNT;

/// How long a channel may take to start, stop or log out.
const TO_ACT: Duration = Duration::from_secs(30);
/// How long a login is waited for when nobody says.
const TO_LOG_IN_MS: u64 = 30_000;
/// How long it may be waited for at most.
const LONGEST_LOGIN_MS: u64 = 600_000;

/// Parameters of `channels.start`, `channels.stop` and `channels.logout`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Which {
    /// The channel.
    #[schemars(length(min = 1))]
    channel: String,
    /// The account; the channel's default when absent.
    #[serde(default)]
    account_id: Option<String>,
}

/// Result of `channels.start`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The channel.
    channel: String,
    /// The account.
    account_id: String,
    /// Always true.
    started: bool,
}

/// Result of `channels.stop`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// The channel.
    channel: String,
    /// The account.
    account_id: String,
    /// Always true.
    stopped: bool,
}

/// Result of `channels.logout`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggedOutOf {
    /// The channel.
    channel: String,
    /// The account.
    account_id: String,
    /// Whether something was kept and is gone now.
    cleared: bool,
    /// Always true.
    logged_out: bool,
}

/// Parameters of `web.login.start`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginParams {
    /// Whether to begin anew although it is logged in.
    #[serde(default)]
    force: Option<bool>,
    /// How long to wait for the picture, in milliseconds.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    timeout_ms: Option<u64>,
    /// Makes no difference.
    #[serde(default)]
    #[expect(dead_code, reason = "clients send it")]
    verbose: Option<bool>,
    /// The account.
    #[serde(default)]
    account_id: Option<String>,
}

/// Result of `web.login.start`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginStarted {
    /// A picture to scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr_data_url: Option<String>,
    /// What to do next.
    message: String,
}

/// Parameters of `web.login.wait`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginWaitParams {
    /// How long to wait, in milliseconds.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    timeout_ms: Option<u64>,
    /// The account.
    #[serde(default)]
    account_id: Option<String>,
    /// The picture that is shown (protocol 4); makes no difference.
    #[serde(default)]
    #[expect(dead_code, reason = "clients send it")]
    current_qr_data_url: Option<String>,
}

/// Result of `web.login.wait`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoginWaited {
    /// Whether the account is connected.
    connected: bool,
    /// What to do next.
    message: String,
}

impl Channels {
    pub(crate) async fn start_channel(self: Arc<Self>, _: Call, which: Which) -> Result<Started, MethodError> {
        let (channel, account_id) = self.act("start", which).await?;
        Ok(Started { channel, account_id, started: true })
    }

    pub(crate) async fn stop_channel(self: Arc<Self>, _: Call, which: Which) -> Result<Stopped, MethodError> {
        let (channel, account_id) = self.act("stop", which).await?;
        Ok(Stopped { channel, account_id, stopped: true })
    }

    async fn act(&self, what: &str, which: Which) -> Result<(String, String), MethodError> {
        let (id, account) = self.capable(what, which).await?;
        self.host.invoke(&format!("channel.{id}.{what}"), &account).timeout(TO_ACT).raw().await?;
        Ok((id, name(account)))
    }

    pub(crate) async fn logout(self: Arc<Self>, _: Call, which: Which) -> Result<LoggedOutOf, MethodError> {
        let (id, account) = self.capable("logout", which).await?;
        let asked = self.host.invoke(&format!("channel.{id}.logout"), &account).timeout(TO_ACT);
        let LoggedOut { cleared } = asked.send().await?;
        Ok(LoggedOutOf { channel: id, account_id: name(account), cleared, logged_out: true })
    }

    /// The channel that is meant, if it can do this.
    async fn capable(&self, what: &str, which: Which) -> Result<(String, channel::Account), MethodError> {
        let invalid = |why: String| Err(MethodError::invalid_request(why));
        let Some(id) = self.directory.find(&which.channel).await? else {
            return invalid(format!("invalid channels.{what} channel"));
        };
        let can = self.directory.read().await?.get(&id).is_some_and(|channel| channel.can(what));
        match can {
            true => Ok((id, channel::Account { account_id: which.account_id })),
            false => invalid(format!("channel {id} does not support {what}")),
        }
    }

    pub(crate) async fn login_start(
        self: Arc<Self>,
        _: Call,
        params: LoginParams,
    ) -> Result<LoginStarted, MethodError> {
        let id = self.login_channel().await?;
        let account = channel::Account { account_id: params.account_id.clone() };
        // What cannot be stopped was not running; the login itself says what is wrong.
        let _ = self.host.invoke(&format!("channel.{id}.stop"), &account).timeout(TO_ACT).raw().await;
        let state = self.login(&id, "login", params.account_id, params.force, params.timeout_ms).await?;
        Ok(LoginStarted { qr_data_url: state.qr_data_url, message: state.message })
    }

    pub(crate) async fn login_wait(
        self: Arc<Self>,
        _: Call,
        params: LoginWaitParams,
    ) -> Result<LoginWaited, MethodError> {
        let id = self.login_channel().await?;
        let account = channel::Account { account_id: params.account_id.clone() };
        let state = self.login(&id, "login.wait", params.account_id, None, params.timeout_ms).await?;
        if state.connected
            && let Err(error) = self.host.invoke(&format!("channel.{id}.start"), &account).timeout(TO_ACT).raw().await
        {
            self.host.warn(&format!("channel {id} is logged in and was not started: {error}"));
        }
        Ok(LoginWaited { connected: state.connected, message: state.message })
    }

    async fn login(
        &self,
        id: &str,
        what: &str,
        account_id: Option<String>,
        force: Option<bool>,
        timeout_ms: Option<u64>,
    ) -> Result<LoginState, MethodError> {
        let timeout_ms = timeout_ms.unwrap_or(TO_LOG_IN_MS).min(LONGEST_LOGIN_MS);
        let login = Login { account_id, force: force.unwrap_or(false), timeout_ms: Some(timeout_ms) };
        let patience = Duration::from_millis(timeout_ms) + TO_ACT;
        self.host.invoke(&format!("channel.{id}.{what}"), &login).timeout(patience).send().await
    }

    /// The channel that one logs in to by a picture: the configured one, or the first.
    async fn login_channel(&self) -> Result<String, MethodError> {
        let invalid = |why: String| Err(MethodError::invalid_request(why));
        let channels = self.directory.read().await?;
        let can = |id: &str| channels.get(id).is_some_and(|channel| channel.can("login") && channel.can("login.wait"));
        match &self.config.web_login {
            Some(id) if can(id) => Ok(id.clone()),
            Some(id) => invalid(format!("web login is not supported by provider {id}")),
            None => match channels.keys().find(|id| can(id)) {
                Some(id) => Ok(id.clone()),
                None => invalid("web login provider is not available".to_string()),
            },
        }
    }
}

fn name(account: channel::Account) -> String {
    account.account_id.unwrap_or_else(|| DEFAULT_ACCOUNT.to_string())
}
