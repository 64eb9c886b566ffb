//! Linking: the daemon becomes a further device of somebody's telephone, which scans a code for it.

use std::sync::Arc;
use std::time::Duration;

use plugin_api::contracts::channel::{Account as Named, LoggedOut, Login, LoginState};
use plugin_api::{Call, MethodError, Spawned};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::Signal;
use crate::accounts::Account;
use crate::failure::{for_log, of_request};
use crate::picture;
use crate::rpc::Failure;

/// How long a code is scanned for; Signal gives it up earlier.
const TO_SCAN: Duration = Duration::from_secs(300);
/// How long one login is waited for, if nobody says.
const TO_WAIT: Duration = Duration::from_secs(60);
/// What is left of the caller's time, so that an answer still reaches it.
const TO_ANSWER: Duration = Duration::from_millis(500);
/// JSON-RPC: there is no such method, as in a daemon that has one account for good.
const NO_SUCH_METHOD: i64 = -32_601;

/// A code that waits to be scanned.
pub struct Linking {
    uri: String,
    /// The number that was linked, or why none was.
    outcome: watch::Receiver<Option<Result<String, String>>>,
    task: Spawned,
}

impl Drop for Linking {
    fn drop(&mut self) {
        self.task.cancel();
    }
}

impl Signal {
    pub(crate) async fn login(self: Arc<Self>, _: Call, login: Login) -> Result<LoginState, MethodError> {
        let account = self.accounts.named(login.account_id.as_deref())?;
        self.configured()?;
        if !login.force && self.is_linked(account).await? {
            return Ok(done(format!("Signal is linked already{}.", of(account.known_number().as_deref()))));
        }
        let under_way = match &*self.linking() {
            Some(linking) if !login.force && linking.outcome.borrow().is_none() => Some(linking.uri.clone()),
            _ => None,
        };
        let uri = match under_way {
            Some(uri) => uri,
            None => self.begin_linking().await?,
        };
        Ok(LoginState {
            connected: false,
            qr_data_url: picture::data_url(&uri),
            message: "Scan this code with Signal on your telephone: Settings, Linked devices, Link a new device."
                .to_string(),
        })
    }

    async fn begin_linking(self: &Arc<Self>) -> Result<String, MethodError> {
        let answer = self.ask_plainly("startLink", json!({}), self.config.request_timeout()).await.map_err(|failure| match failure {
            Failure::Refused(refusal) if refusal.code == NO_SUCH_METHOD => MethodError::unavailable(
                "signal-cli's daemon has one account for good and links no other; start it without -a, or link with signal-cli link",
            ),
            other => of_request(other),
        })?;
        let uri = answer["deviceLinkUri"].as_str().unwrap_or_default().to_string();
        if uri.is_empty() {
            return Err(MethodError::unavailable("signal-cli's answer was not understood"));
        }
        let (tell, outcome) = watch::channel(None);
        let (plugin, code) = (self.clone(), uri.clone());
        let task = self.host.spawn(async move {
            let params = json!({ "deviceLinkUri": code, "deviceName": plugin.config.device_name });
            let linked = plugin.ask_plainly("finishLink", params, TO_SCAN).await;
            let outcome = plugin.linked(linked).await;
            let _ = tell.send(Some(outcome));
        });
        *self.linking() = Some(Linking { uri: uri.clone(), outcome, task });
        Ok(uri)
    }

    /// What came of a code.
    async fn linked(self: &Arc<Self>, answer: Result<Value, Failure>) -> Result<String, String> {
        match answer {
            Ok(answer) => {
                let number = answer["number"].as_str().unwrap_or_default().to_string();
                self.host.info("a telephone has linked signal-cli as its device");
                if let Ok(account) = self.accounts.named(Some(&number)) {
                    self.accounts.linked(&account.id, true);
                }
                // Streams of before do not have the new account in them.
                self.listen_anew().await;
                Ok(number)
            }
            Err(failure) => {
                self.host.warn(&format!("signal-cli was not linked: {}", for_log(&format!("{failure:?}"))));
                Err("The code was not scanned in time, or the telephone refused; begin again.".to_string())
            }
        }
    }

    pub(crate) async fn login_wait(self: Arc<Self>, call: Call, login: Login) -> Result<LoginState, MethodError> {
        let account = self.accounts.named(login.account_id.as_deref())?;
        self.configured()?;
        let outcome = self.linking().as_ref().map(|linking| linking.outcome.clone());
        let Some(mut outcome) = outcome else {
            if self.is_linked(account).await? {
                return Ok(done(format!("Signal is linked{}.", of(account.known_number().as_deref()))));
            }
            return Ok(waiting("No login is under way; begin one first."));
        };
        let asked = login.timeout_ms.map_or(TO_WAIT, Duration::from_millis);
        let left = call.time_left().map_or(asked, |left| left.saturating_sub(TO_ANSWER));
        let result = match timeout(asked.min(left), outcome.wait_for(Option::is_some)).await {
            Err(_) => return Ok(waiting("The code was not scanned yet.")),
            // Whoever would have told is gone: another login took its place.
            Ok(Err(_)) => return Ok(waiting("The code is no longer good; begin again.")),
            Ok(Ok(outcome)) => outcome.clone(),
        };
        match result {
            Some(Ok(number)) if account.number.as_ref().is_some_and(|wanted| *wanted != number) => {
                let message =
                    format!("Signal is linked{}, but plugins.signal.config names another number.", of(Some(&number)));
                Ok(waiting(&message))
            }
            Some(Ok(number)) => Ok(done(format!("Signal is linked{}.", of(Some(&number))))),
            Some(Err(why)) => Ok(waiting(&why)),
            None => Ok(waiting("The code was not scanned yet.")),
        }
    }

    /// Has the daemon forget an account that Signal has forgotten. One that is still registered is left alone: its keys
    /// could not be made again.
    pub(crate) async fn logout(self: Arc<Self>, _: Call, named: Named) -> Result<LoggedOut, MethodError> {
        let account = self.accounts.named(named.account_id.as_deref())?;
        self.configured()?;
        let Some(number) = account.known_number() else {
            return Err(MethodError::invalid_request(
                "which number is to be logged out is not known; set plugins.signal.config.account",
            ));
        };
        let params = json!({ "account": number });
        let asked = self.ask_plainly("deleteLocalAccountData", params, self.config.request_timeout()).await;
        asked.map_err(|failure| match failure {
            Failure::Refused(refusal) if refusal.code == -1 && refusal.message.contains("registered") => MethodError::unavailable(
                "Signal still has this device: remove it on the telephone (Settings, Linked devices) first, or run signal-cli \
                 deleteLocalAccountData --ignore-registered",
            ),
            Failure::Refused(refusal) if refusal.code == NO_SUCH_METHOD => {
                MethodError::unavailable("signal-cli's daemon has one account for good; end it and run signal-cli deleteLocalAccountData")
            }
            other => of_request(other),
        })?;
        self.accounts.linked(&account.id, false);
        self.listen_anew().await;
        Ok(LoggedOut { cleared: true })
    }

    /// Whether the daemon has an account.
    async fn is_linked(self: &Arc<Self>, account: &Account) -> Result<bool, MethodError> {
        self.look_for_accounts(self.config.request_timeout()).await.map_err(of_request)?;
        Ok(account.standing().is_linked == Some(true))
    }

    /// Asks the daemon which accounts it has.
    pub(crate) async fn look_for_accounts(self: &Arc<Self>, limit: Duration) -> Result<(), Failure> {
        let listed = match self.ask_plainly("listAccounts", json!({}), limit).await {
            Ok(listed) => listed,
            // A daemon with one account for good has it, or would not run.
            Err(Failure::Refused(refusal)) if refusal.code == NO_SUCH_METHOD => {
                self.accounts.iter().for_each(|account| self.accounts.linked(&account.id, true));
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        let numbers: Vec<&str> =
            listed.as_array().into_iter().flatten().filter_map(|row| row["number"].as_str()).collect();
        for account in self.accounts.iter() {
            let is_there = match &account.number {
                Some(number) => numbers.contains(&number.as_str()),
                None => !numbers.is_empty(),
            };
            self.accounts.linked(&account.id, is_there);
        }
        Ok(())
    }
}

fn of(number: Option<&str>) -> String {
    number.filter(|number| !number.is_empty()).map(|number| format!(" with {number}")).unwrap_or_default()
}

fn done(message: String) -> LoginState {
    LoginState { connected: true, qr_data_url: None, message }
}

fn waiting(message: &str) -> LoginState {
    LoginState { connected: false, qr_data_url: None, message: message.to_string() }
}
