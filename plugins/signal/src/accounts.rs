//! The numbers that the channel speaks for, how they stand, and whom they know.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_api::{Kv, MethodError, WriteError};
use schemas::now_ms;

use crate::envelope::{Envelope, Known};

/// The account of a daemon that has only one.
pub const ONLY: &str = "default";
/// People whose names are remembered, to show them in mentions.
const MOST_NAMES: usize = 1_000;

/// All accounts, the default one first.
pub struct Accounts(Vec<Account>);

/// One of them.
pub struct Account {
    /// Its number, or [`ONLY`].
    pub id: String,
    /// Its number, if it is configured.
    pub number: Option<String>,
    state: Mutex<Standing>,
}

/// How an account stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Whether somebody stopped it.
    pub is_stopped: bool,
    /// Whether the daemon has it, as far as it was asked.
    pub is_linked: Option<bool>,
    /// When a message last came in.
    pub last_inbound_at: Option<u64>,
    /// When one last went out.
    pub last_outbound_at: Option<u64>,
    /// Its own lasting id, once the daemon told it.
    uuid: Option<String>,
    /// Its own number, once the daemon told it.
    number: Option<String>,
}

impl Account {
    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.state().clone()
    }

    fn state(&self) -> MutexGuard<'_, Standing> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its number, as configured or as the daemon told.
    pub fn known_number(&self) -> Option<String> {
        self.number.clone().or_else(|| self.state().number.clone())
    }
}

fn stopped_key(id: &str) -> String {
    format!("stopped/{id}")
}

impl Accounts {
    /// Those of these numbers, or the only one of the daemon's.
    pub fn new(numbers: Vec<String>) -> Self {
        let account = |id: String, number: Option<String>| Account { id, number, state: Mutex::default() };
        if numbers.is_empty() {
            return Accounts(vec![account(ONLY.to_string(), None)]);
        }
        Accounts(numbers.into_iter().map(|number| account(number.clone(), Some(number))).collect())
    }

    /// Which of them somebody stopped before.
    pub fn recall(&self, kv: &Kv) {
        for account in &self.0 {
            account.state().is_stopped = kv.text(&stopped_key(&account.id)).is_ok_and(|text| text.is_some());
        }
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.0.iter()
    }

    /// The one used when none is named.
    pub fn default(&self) -> &Account {
        &self.0[0]
    }

    /// The one that somebody named.
    pub fn named(&self, id: Option<&str>) -> Result<&Account, MethodError> {
        let Some(id) = id.map(str::trim).filter(|id| !id.is_empty() && *id != ONLY) else { return Ok(self.default()) };
        self.0.iter().find(|account| account.id == id).ok_or_else(|| {
            let ids: Vec<&str> = self.0.iter().map(|account| account.id.as_str()).collect();
            MethodError::invalid_request(format!("Signal has no account {id:?} here; there is {}", ids.join(", ")))
        })
    }

    /// The one with this number. A daemon that names none, or has only one, means the default one.
    pub fn of_number(&self, number: Option<&str>) -> Option<&Account> {
        match (number, self.0.as_slice()) {
            (Some(number), accounts) if self.default().number.is_some() => {
                accounts.iter().find(|account| account.number.as_deref() == Some(number))
            }
            (_, [only]) => Some(only),
            _ => None,
        }
    }

    /// Whether somebody stopped one.
    pub fn is_stopped(&self, id: &str) -> bool {
        self.0.iter().any(|account| account.id == id && account.state().is_stopped)
    }

    /// Notes that one is stopped or started, for good.
    pub async fn set_stopped(&self, kv: &Kv, account: &Account, is_stopped: bool) -> Result<(), WriteError> {
        let key = stopped_key(&account.id);
        let batch = kv.batch();
        let batch = if is_stopped { batch.set(&key, "true") } else { batch.delete(&key) };
        batch.write().await?;
        account.state().is_stopped = is_stopped;
        Ok(())
    }

    /// Notes that something came in.
    pub fn heard(&self, id: &str) {
        self.change(id, |standing| standing.last_inbound_at = Some(now_ms()));
    }

    /// Notes that something went out.
    pub fn spoke(&self, id: &str) {
        self.change(id, |standing| standing.last_outbound_at = Some(now_ms()));
    }

    /// Notes whether the daemon has one.
    pub fn linked(&self, id: &str, is_linked: bool) {
        self.change(id, |standing| standing.is_linked = Some(is_linked));
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Standing)) {
        if let Some(account) = self.0.iter().find(|account| account.id == id) {
            change(&mut account.state());
        }
    }
}

/// Names of people, and which of them is the account itself.
#[derive(Default)]
pub struct People {
    names: Mutex<BTreeMap<String, String>>,
    own: Mutex<Vec<(Option<String>, Option<String>)>>,
}

impl People {
    /// Notes what a message tells of who sent it.
    pub fn learn(&self, number: Option<&str>, envelope: &Envelope, accounts: &Accounts) {
        if let Some(name) = envelope.source_name.as_deref().filter(|name| !name.is_empty()) {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            for id in [&envelope.source_uuid, &envelope.source_number].into_iter().flatten() {
                if names.len() < MOST_NAMES || names.contains_key(id) {
                    names.insert(id.clone(), name.to_string());
                }
            }
        }
        let Some(account) = accounts.of_number(number) else { return };
        let mut state = account.state();
        state.number = state.number.take().or_else(|| number.map(str::to_string));
        let own_number = account.number.as_ref().or(state.number.as_ref());
        // Its other devices tell its id.
        if own_number.is_some() && envelope.source_number.as_ref() == own_number && envelope.source_uuid.is_some() {
            state.uuid = envelope.source_uuid.clone();
        }
        let known = (account.number.clone().or(state.number.clone()), state.uuid.clone());
        drop(state);
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.retain(|(number, _)| *number != known.0);
        own.push(known);
    }
}

impl Known for People {
    fn is_self(&self, account: Option<&str>, number: Option<&str>, uuid: Option<&str>) -> bool {
        if account.is_some() && account == number {
            return true;
        }
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let own = own.iter().find(|(own, _)| own.as_deref() == account);
        own.is_some_and(|(_, own)| own.is_some() && own.as_deref() == uuid)
    }

    fn name(&self, number: Option<&str>, uuid: Option<&str>) -> Option<String> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        uuid.and_then(|id| names.get(id)).or_else(|| number.and_then(|id| names.get(id))).cloned()
    }
}
