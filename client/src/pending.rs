//! Requests that wait for their answer. A ticket takes its request out when the caller stops waiting, so the table never
//! holds more than there are callers; closing answers everybody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use crate::ClientError;
use crate::inbound::{self, Response};

/// The answer to a request.
pub(crate) type Answer = Result<Box<RawValue>, ClientError>;

/// Where interim answers go.
pub(crate) type InterimSender = mpsc::Sender<Box<RawValue>>;

/// The requests of one connection that wait.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last_id: u64,
    waiting: HashMap<u64, Waiter>,
    closed: Option<ClientError>,
}

#[derive(Debug)]
struct Waiter {
    reply: oneshot::Sender<Answer>,
    interim: Option<InterimSender>,
}

/// A place in the table; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    pending: Arc<Pending>,
    id: u64,
    pub(crate) reply: oneshot::Receiver<Answer>,
}

impl Pending {
    /// Adds a request; with `interim` an answer of status `accepted` goes there and the request waits on.
    pub(crate) fn add(self: &Arc<Self>, interim: Option<InterimSender>) -> Result<Ticket, ClientError> {
        let (sender, reply) = oneshot::channel();
        let mut table = self.table();
        if let Some(closed) = &table.closed {
            return Err(closed.clone());
        }
        table.last_id += 1;
        let id = table.last_id;
        table.waiting.insert(id, Waiter { reply: sender, interim });
        Ok(Ticket { pending: self.clone(), id, reply })
    }

    /// Hands an answer to whom it belongs. A late or unasked one is dropped.
    pub(crate) fn answer(&self, response: Response) {
        let Ok(id) = response.id.parse::<u64>() else { return };
        let mut table = self.table();
        if let Ok(payload) = &response.outcome
            && let Some(interim) = table.waiting.get(&id).and_then(|waiter| waiter.interim.as_ref())
            && inbound::is_interim(payload)
        {
            // Only the first matters; a caller that does not read has room for it.
            let _ = interim.try_send(payload.clone());
            return;
        }
        if let Some(waiter) = table.waiting.remove(&id) {
            let answer = response.outcome.map_err(|error| ClientError::Method(Box::new(error)));
            let _ = waiter.reply.send(answer);
        }
    }

    /// Answers everybody, now and later, with this error. The first close counts.
    pub(crate) fn close(&self, error: &ClientError) {
        let mut table = self.table();
        table.closed.get_or_insert_with(|| error.clone());
        for (_, waiter) in table.waiting.drain() {
            let _ = waiter.reply.send(Err(error.clone()));
        }
    }

    /// A panic elsewhere leaves the table whole: each change is one step.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The request's id on the wire.
    pub(crate) fn id(&self) -> String {
        self.id.to_string()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.pending.table().waiting.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(id: &str, payload: &str) -> Response {
        Response { id: id.to_string(), outcome: Ok(RawValue::from_string(payload.to_string()).unwrap()) }
    }

    #[tokio::test]
    async fn answers_find_their_request_and_tickets_leave() {
        let pending = Arc::new(Pending::default());
        let mut first = pending.add(None).unwrap();
        let second = pending.add(None).unwrap();
        drop(second);
        assert_eq!(pending.table().waiting.len(), 1);
        pending.answer(response("2", "{}"));
        pending.answer(response("nonsense", "{}"));
        pending.answer(response(&first.id(), r#"{"status":"accepted"}"#));
        let answer = (&mut first.reply).await.unwrap().unwrap();
        assert_eq!(answer.get(), r#"{"status":"accepted"}"#, "who did not ask for the final answer takes the first");
        drop(first);
        assert!(pending.table().waiting.is_empty());
    }

    #[tokio::test]
    async fn closing_answers_everybody() {
        let pending = Arc::new(Pending::default());
        let mut ticket = pending.add(None).unwrap();
        pending.close(&ClientError::Closed { code: 1012, reason: "service restart".into() });
        pending.close(&ClientError::abnormal_close());
        assert!(matches!((&mut ticket.reply).await.unwrap(), Err(ClientError::Closed { code: 1012, .. })));
        assert!(matches!(pending.add(None), Err(ClientError::Closed { code: 1012, .. })), "the first close counts");
    }
}
