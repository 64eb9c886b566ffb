//! From the daemon to `channels.inbound`.
//!
//! A message is written down as soon as it has been read, since the daemon does not tell of it again, and forgotten when it
//! was taken. Messages of one chat are handed over one after another; one that is not taken holds up its own chat only,
//! and is handed over again, unless it is refused: then it is let go. Who hands over what may do so twice after a crash:
//! `channels.inbound` knows what it has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plugin_api::contracts::channel::{Inbound, Taken, is_refused};
use plugin_api::{MethodError, Spawned};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Signal;
use crate::envelope::{Kept, Told};
use crate::failure::for_log;

/// Chats whose messages are on their way at once; files are fetched for each.
const AT_ONCE: usize = 4;
/// How long `channels.inbound` may take to keep a message.
const TO_TAKE: Duration = Duration::from_secs(30);

/// Messages that wait to be taken.
pub struct Inbox {
    lanes: Mutex<Lanes>,
    /// Room for more; whoever reads from the daemon waits for it.
    pub room: Arc<Semaphore>,
    under_way: Semaphore,
}

#[derive(Default)]
struct Lanes {
    chats: BTreeMap<String, Lane>,
    /// What is in them, so that a message which comes on two connections is there once.
    known: BTreeSet<String>,
    closed: bool,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Arc<Waiting>>,
    handing_over: Option<Spawned>,
}

struct Waiting {
    /// Its place on the disk; none if it could not be written there.
    place: Option<u64>,
    kept: Kept,
    _room: Option<OwnedSemaphorePermit>,
}

impl Inbox {
    /// An empty one, with room for so many.
    pub fn new(most: usize) -> Self {
        Inbox { lanes: Mutex::default(), room: Arc::new(Semaphore::new(most)), under_way: Semaphore::new(AT_ONCE) }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lanes().known.len()
    }

    /// Ends handing over; what is left is on the disk.
    pub fn close(&self) {
        let mut lanes = self.lanes();
        lanes.closed = true;
        lanes.chats.values_mut().filter_map(|lane| lane.handing_over.take()).for_each(|task| task.cancel());
    }
}

/// What names a message among all of the plugin's.
fn name_of(inbound: &Inbound) -> String {
    format!("{}/{}/{}", inbound.account_id.as_deref().unwrap_or_default(), inbound.chat.id, inbound.message_id)
}

fn lane_of(inbound: &Inbound) -> String {
    format!("{}/{}", inbound.account_id.as_deref().unwrap_or_default(), inbound.chat.id)
}

impl Signal {
    /// Takes over what an earlier instance left.
    pub(crate) fn take_over(self: &Arc<Self>) -> Result<(), MethodError> {
        let waiting = self.store.waiting()?;
        if !waiting.is_empty() {
            self.host.info(&format!("{} messages that came before are handed over now", waiting.len()));
        }
        for (place, kept) in waiting {
            let room = self.inbox.room.clone().try_acquire_owned().ok();
            self.enqueue(Waiting { place: Some(place), kept, _room: room });
        }
        Ok(())
    }

    /// Takes what the daemon told.
    pub(crate) async fn take(self: &Arc<Self>, told: Value, room: Option<OwnedSemaphorePermit>) {
        let Some(kept) = self.understand(told) else { return };
        if !self.inbox.lanes().known.insert(name_of(&kept.inbound)) {
            return;
        }
        let place = match self.store.keep(&self.host, &kept).await {
            Ok(place) => Some(place),
            Err(error) => {
                self.host.error(&format!(
                    "a message could not be written down, and is lost if the gateway stops before it is taken: {error}"
                ));
                None
            }
        };
        self.enqueue(Waiting { place, kept, _room: room });
    }

    fn understand(&self, told: Value) -> Option<Kept> {
        let told: Told = match serde_json::from_value(told) {
            Ok(told) => told,
            Err(error) => {
                let fault = schemas::json::fault(&error);
                self.host.warn(&format!("a message of signal-cli was not understood and is passed over: it {fault}"));
                return None;
            }
        };
        if let Some(why) = &told.exception {
            self.host.warn(&format!("signal-cli could not read a message: {}", for_log(&why.to_string())));
        }
        if let Some(envelope) = &told.envelope {
            self.people.learn(told.account.as_deref(), envelope, &self.accounts);
        }
        let account = self.account_of_number(told.account.as_deref())?;
        let kept = told.message(Some(account), self.config.note_to_self, &self.people)?;
        self.accounts.heard(account);
        Some(kept)
    }

    fn enqueue(self: &Arc<Self>, waiting: Waiting) {
        let name = lane_of(&waiting.kept.inbound);
        let mut lanes = self.inbox.lanes();
        lanes.known.insert(name_of(&waiting.kept.inbound));
        lanes.chats.entry(name.clone()).or_default().waiting.push_back(Arc::new(waiting));
        self.go_on(&mut lanes, &name);
    }

    /// Hands over what waits for an account that was started again.
    pub(crate) fn go_on_with(self: &Arc<Self>, account: &str) {
        let mut lanes = self.inbox.lanes();
        let is_its = |lane: &Lane| {
            lane.waiting.front().is_some_and(|one| one.kept.inbound.account_id.as_deref() == Some(account))
        };
        let names: Vec<String> =
            lanes.chats.iter().filter(|(_, lane)| is_its(lane)).map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.go_on(&mut lanes, name));
    }

    fn go_on(self: &Arc<Self>, lanes: &mut Lanes, name: &str) {
        let closed = lanes.closed;
        let Some(lane) = lanes.chats.get_mut(name) else { return };
        if !closed && lane.handing_over.is_none() {
            let (plugin, name) = (self.clone(), name.to_string());
            lane.handing_over = Some(self.host.spawn(async move { plugin.hand_over_chat(&name).await }));
        }
    }

    /// Hands over a chat's messages until there is none.
    async fn hand_over_chat(self: &Arc<Self>, name: &str) {
        while let Some(waiting) = self.next_of(name) {
            let mut failures = 0;
            while let Err(error) = self.hand_over(&waiting.kept).await {
                if is_refused(&error) {
                    self.host.error(&format!("a message was refused, and is passed over: {error}"));
                    break;
                }
                failures += 1;
                if failures == 1 {
                    self.host.warn(&format!("a message was not taken and will be handed over again: {error}"));
                }
                let wait = error.shape().retry_after_ms.map(Duration::from_millis);
                tokio::time::sleep(wait.unwrap_or_default().max(self.config.pause(failures))).await;
            }
            if let Some(place) = waiting.place
                && let Err(error) = self.store.forget(&self.host, place).await
            {
                self.host.warn(&format!(
                    "a message that was handed over could not be forgotten, and will be handed over once more: {error}"
                ));
            }
            let mut lanes = self.inbox.lanes();
            lanes.known.remove(&name_of(&waiting.kept.inbound));
            if let Some(lane) = lanes.chats.get_mut(name) {
                lane.waiting.pop_front();
            }
        }
    }

    /// The next one of a chat. Without one nobody hands over for it any more, which `enqueue` sees.
    fn next_of(&self, name: &str) -> Option<Arc<Waiting>> {
        let mut lanes = self.inbox.lanes();
        let lane = lanes.chats.get_mut(name)?;
        let next = lane.waiting.front().cloned();
        let is_stopped =
            |one: &Arc<Waiting>| one.kept.inbound.account_id.as_deref().is_some_and(|id| self.accounts.is_stopped(id));
        match next.filter(|one| !is_stopped(one)) {
            Some(next) => Some(next),
            None if lane.waiting.is_empty() => {
                lanes.chats.remove(name);
                None
            }
            None => {
                lane.handing_over = None;
                None
            }
        }
    }

    async fn hand_over(self: &Arc<Self>, kept: &Kept) -> Result<(), MethodError> {
        let _turn = self.inbox.under_way.acquire().await;
        let mut inbound = kept.inbound.clone();
        self.add_files(kept, &mut inbound).await;
        let taken: Taken = self.host.invoke("channels.inbound", &inbound).timeout(TO_TAKE).send().await?;
        if self.config.read_receipts && matches!(taken.verdict.as_str(), "run" | "stop") {
            self.send_receipt(kept).await;
        }
        Ok(())
    }

    /// Tells the sender that the message was read. Nothing depends on it.
    async fn send_receipt(self: &Arc<Self>, kept: &Kept) {
        let Some(timestamp) = kept.receipt else { return };
        let params = json!({ "recipient": kept.inbound.from.id, "targetTimestamp": [timestamp], "type": "read" });
        let account = kept.inbound.account_id.as_deref().unwrap_or_default();
        let asked = self.ask("sendReceipt", params, account, self.config.request_timeout()).await;
        if let Err(failure) = asked {
            self.host.info(&format!("a receipt could not be sent: {failure:?}"));
        }
    }
}
