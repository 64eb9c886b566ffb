//! Where a session last spoke, for messages that name nobody. It is known here alone: who has something to say names the
//! session.

use plugin_api::contracts::channel::{Deliver, LAST, NO_TARGET};
use plugin_api::contracts::session::{OpenSession, SessionOpened};
use plugin_api::{Call, MethodError};
use schemas::error::code;
use serde_json::{Map, Value, json};

use crate::Send;
use crate::routes::Routes;

/// A place where a session spoke.
struct Place {
    channel: String,
    to: String,
    account_id: Option<String>,
    thread_id: Option<String>,
}

impl Send {
    /// The message with everything that it leaves to where its session last spoke.
    pub(crate) async fn placed(&self, call: &Call, mut deliver: Deliver) -> Result<Deliver, MethodError> {
        let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let named = said(deliver.channel.take());
        let is_last = named.as_deref().is_some_and(|channel| channel.trim().eq_ignore_ascii_case(LAST));
        let named = named.filter(|_| !is_last);
        deliver.to = said(deliver.to.take());
        if deliver.to.is_some() {
            deliver.channel = match is_last {
                true => self.last_place(call, &deliver).await?.map(|place| place.channel),
                false => named,
            };
            return Ok(deliver);
        }
        let Some(place) = self.last_place(call, &deliver).await? else {
            return Err(no_target("nobody is named to send to, and nobody wrote in this session yet".to_string()));
        };
        if let Some(named) = &named {
            // Somebody of another channel is nobody there.
            let channel = Routes::ask(call).await?.send(Some(named), &self.config)?;
            if !channel.id.eq_ignore_ascii_case(&place.channel) {
                let why = format!("the session last spoke on {}, not on {named}; name whom to send to", place.channel);
                return Err(no_target(why));
            }
        }
        deliver.channel = Some(place.channel);
        deliver.to = Some(place.to);
        deliver.account_id = deliver.account_id.or(place.account_id);
        deliver.thread_id = deliver.thread_id.or(place.thread_id);
        Ok(deliver)
    }

    /// Where its session last spoke, if it is named, is there, and spoke.
    async fn last_place(&self, call: &Call, deliver: &Deliver) -> Result<Option<Place>, MethodError> {
        let Some(key) = &deliver.session_key else { return Ok(None) };
        let open = OpenSession { key: key.clone(), agent_id: None, create: false, set: Map::new() };
        let opened = call.invoke("session.store.open", &open).with_own_grants().send::<SessionOpened>().await;
        let entry = match opened {
            Ok(opened) => opened.entry,
            Err(error) if error.shape().code == code::INVALID_REQUEST => return Ok(None),
            Err(error) => return Err(error),
        };
        let last = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_string);
        let (Some(channel), Some(to)) = (last("lastChannel"), last("lastTo")) else { return Ok(None) };
        Ok(Some(Place { channel, to, account_id: last("lastAccountId"), thread_id: last("lastThreadId") }))
    }
}

fn no_target(why: String) -> MethodError {
    MethodError::invalid_request(why).with_details(json!({ "code": NO_TARGET }))
}
