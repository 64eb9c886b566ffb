//! Answers one message: an agent runs, and what it says goes out on the channel that the message came from.
//!
//! All of it can be begun again. The run is known to the agent by its name, so that it is joined, or gives its outcome; the
//! answer is known to `send` by its key, so that it goes out once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use database::rusqlite::Connection;
use plugin_api::contracts::channel::{BAD_TARGET, Deliver, Delivered, Inbound, NOT_SENT, OUTCOME_UNKNOWN, Typing};
use plugin_api::contracts::run::{AbortRuns, RunOutcome, RunRequest, status};
use plugin_api::contracts::session::{OpenSession, SessionOpened};
use plugin_api::{InvokeReply, MethodError, Spawned};
use schemas::error::code::UNAVAILABLE;
use serde_json::{Map, Value, json};

use crate::book::Open;
use crate::rules::DIRECT;
use crate::{Channels, book, words};

/// What a run that answers a message is called in [`RunRequest::origin`].
const ORIGIN: &str = "inbound";
/// How long a sign of typing lasts, less a little.
const TYPING: Duration = Duration::from_secs(4);
/// Before the second try; each further one waits twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest wait between tries.
pub const LONG_PAUSE: Duration = Duration::from_secs(30);

/// Answers a message, and closes it.
pub async fn answer(plugin: &Arc<Channels>, open: Open) {
    let text = match anew(&open) {
        Some(rest) => begin_anew(plugin, &open, rest).await,
        None => ask(plugin, &open, words::message(&open.message)).await,
    };
    let text = match text {
        Ok(text) => text,
        Err(again) => return reopen(plugin, open.place, again).await,
    };
    if let Some(text) = text {
        let key = format!("{}/answer", open.run_id);
        let deliver = Deliver { text, idempotency_key: key, ..plugin.reply_to(&open.message) };
        send(plugin, &open.message, &deliver).await;
    }
    let (place, most) = (open.place, plugin.config.keep_messages);
    keep(plugin, "an answered message", move |db| book::close(db, place, most)).await;
}

/// A run's new name, since it never began under the old one.
struct Again(String);

async fn reopen(plugin: &Arc<Channels>, place: i64, Again(run_id): Again) {
    keep(plugin, "a message's new run", move |db| book::answer_by(db, place, &run_id)).await;
}

/// What stands behind a word that begins a conversation anew; nothing if the message does not begin with one, or may not.
fn anew(open: &Open) -> Option<&str> {
    let text = open.message.text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let is_word = word.eq_ignore_ascii_case("/new") || word.eq_ignore_ascii_case("/reset");
    (is_word && open.may_reset).then_some(rest.trim())
}

async fn begin_anew(plugin: &Arc<Channels>, open: &Open, rest: &str) -> Result<Option<String>, Again> {
    // A session that is not there yet has nothing to forget.
    if let Err(error) = plugin.host.invoke("sessions.reset", &json!({ "key": open.session })).raw().await {
        plugin.host.warn(&format!("the session {} was not begun anew: {error}", open.session));
    }
    if rest.is_empty() && open.message.media.is_empty() {
        return Ok(Some(words::ANEW.to_string()));
    }
    let message = Inbound { text: rest.to_string(), ..open.message.clone() };
    // Begun again after a crash, the conversation would lose what was said in it since.
    let (place, kept) = (open.place, message.clone());
    keep(plugin, "that a conversation has begun anew", move |db| book::begun_anew(db, place, &kept)).await;
    ask(plugin, open, words::message(&message)).await
}

/// Has the agent run. What to say to the sender.
async fn ask(plugin: &Arc<Channels>, open: &Open, message: String) -> Result<Option<String>, Again> {
    note_route(plugin, open).await;
    let request = RunRequest {
        run_id: open.run_id.clone(),
        // An agent is told something in any case; a blank says that only what is attached counts.
        message: if message.is_empty() { " ".to_string() } else { message },
        session_key: Some(open.session.clone()),
        agent_id: open.agent.clone(),
        origin: ORIGIN.to_string(),
        attachments: attachments(&open.message),
        extra_system_prompt: Some(words::place(&open.message)),
        ..RunRequest::default()
    };
    let typing = show_typing(plugin, &open.message).await;
    let outcome = run(plugin, open, &request).await;
    if let Some(typing) = typing {
        typing.cancel();
    }
    match outcome {
        Ok(outcome) => said(plugin, open, outcome),
        Err(error) => {
            plugin.host.warn(&format!("a message on {} was not answered: {error}", open.message.channel));
            Ok(Some(words::FAILED.to_string()))
        }
    }
}

/// What an outcome has to say to the sender.
fn said(plugin: &Channels, open: &Open, outcome: RunOutcome) -> Result<Option<String>, Again> {
    let text = outcome.text.trim();
    Ok(match outcome.status.as_str() {
        status::OK if text.is_empty() => None,
        status::OK if open.message.chat.kind != DIRECT && text == words::SILENCE => None,
        status::OK => Some(text.to_string()),
        status::ABORTED => None,
        status::TIMEOUT => Some(words::TOOK_TOO_LONG.to_string()),
        status::INTERRUPTED if outcome.started_at.is_none() => {
            return Err(Again(format!("inbound-{}", uuid::Uuid::new_v4())));
        }
        status::INTERRUPTED => Some(words::INTERRUPTED.to_string()),
        _ => {
            let why = outcome.error.as_deref().unwrap_or("the run says not why");
            plugin.host.warn(&format!("run {} of a message on {} failed: {why}", open.run_id, open.message.channel));
            Some(words::FAILED.to_string())
        }
    })
}

async fn run(plugin: &Arc<Channels>, open: &Open, request: &RunRequest) -> Result<RunOutcome, MethodError> {
    let mut patience = Patience::new(plugin.config.retry_for_ms);
    loop {
        let mut replies = plugin.host.invoke("agent.run", request).replies();
        let error = loop {
            match replies.next().await {
                InvokeReply::Interim(_) => stop_if_unwanted(plugin, open).await,
                InvokeReply::Final(Ok(payload)) => match serde_json::from_str(payload.get()) {
                    Ok(outcome) => return Ok(outcome),
                    Err(error) => break MethodError::unavailable("the agent's answer has another form").log(error),
                },
                InvokeReply::Final(Err(error)) => break error,
            }
        };
        // An agent that is being replaced may answer in a moment.
        let may_pass = error.shape().code == UNAVAILABLE;
        if !patience.wait(plugin, &error, may_pass).await {
            return Err(error);
        }
    }
}

/// Somebody may have said stop before the agent had the run.
async fn stop_if_unwanted(plugin: &Arc<Channels>, open: &Open) {
    let place = open.place;
    if let Ok(false) = plugin.db(move |db| book::is_open(db, place)).await {
        let stop = AbortRuns {
            run_id: Some(open.run_id.clone()),
            stop_reason: Some("stop".to_string()),
            ..AbortRuns::default()
        };
        if let Err(error) = plugin.host.invoke("agent.abort", &stop).raw().await {
            plugin.host.warn(&format!("run {} could not be stopped: {error}", open.run_id));
        }
    }
}

/// Tells the session where it was last spoken in, so that whatever else it has to say finds its way.
async fn note_route(plugin: &Arc<Channels>, open: &Open) {
    let Inbound { channel, account_id, chat, from, .. } = &open.message;
    let mut set = Map::new();
    set.insert("lastChannel".to_string(), json!(channel));
    set.insert("lastTo".to_string(), json!(chat.id));
    set.insert("lastAccountId".to_string(), json!(account_id));
    set.insert("lastThreadId".to_string(), json!(chat.thread_id));
    if !open.session.ends_with("main") {
        set.insert("channel".to_string(), json!(channel));
        set.insert("chatType".to_string(), json!(chat.kind));
        let name = match chat.kind.as_str() {
            DIRECT => from.name.as_ref().or(from.handle.as_ref()),
            _ => chat.title.as_ref(),
        };
        if let Some(name) = name.filter(|name| !name.trim().is_empty()) {
            let field = if chat.kind == DIRECT { "displayName" } else { "subject" };
            set.insert(field.to_string(), Value::from(words::cut(name, 200)));
        }
    }
    let session = OpenSession { key: open.session.clone(), agent_id: open.agent.clone(), create: true, set };
    if let Err(error) = plugin.host.invoke("session.store.open", &session).send::<SessionOpened>().await {
        plugin.host.warn(&format!("the session {} does not know where it was spoken in: {error}", open.session));
    }
}

/// Pictures, as an agent takes them.
fn attachments(message: &Inbound) -> Vec<Value> {
    let shown = message.media.iter().filter(|media| words::is_shown(media));
    shown
        .map(|media| {
            json!({ "type": "image", "mimeType": media.mime_type, "fileName": media.file_name, "content": media.data })
        })
        .collect()
}

/// Shows that somebody types, until it is cancelled.
async fn show_typing(plugin: &Arc<Channels>, message: &Inbound) -> Option<Spawned> {
    let can = plugin
        .directory
        .read()
        .await
        .is_ok_and(|channels| channels.get(&message.channel).is_some_and(|channel| channel.can("typing")));
    let method = format!("channel.{}.typing", message.channel);
    let typing = Typing {
        to: message.chat.id.clone(),
        account_id: message.account_id.clone(),
        thread_id: message.chat.thread_id.clone(),
    };
    let plugin = plugin.clone();
    can.then(|| {
        plugin.clone().host.spawn(async move {
            // A channel that cannot now is asked no more for this message.
            while plugin.host.invoke(&method, &typing).timeout(TYPING).raw().await.is_ok() {
                plugin.host.sleep(TYPING).await;
            }
        })
    })
}

/// Sends an answer, as often as it surely did not go out and may go out later.
async fn send(plugin: &Arc<Channels>, message: &Inbound, deliver: &Deliver) {
    let mut patience = Patience::new(plugin.config.retry_for_ms);
    while let Err(error) = plugin.deliver(deliver).await {
        if !patience.wait(plugin, &error, may_go_out_later(&error)).await {
            return plugin
                .host
                .warn(&format!("the answer to a message on {} did not go out: {error}", message.channel));
        }
    }
}

/// Whether another try may send what this one did not. It goes out once in any case, by its key.
fn may_go_out_later(error: &MethodError) -> bool {
    let shape = error.shape();
    match shape.details.as_ref().and_then(|details| details["code"].as_str()) {
        Some(OUTCOME_UNKNOWN) => false,
        Some(NOT_SENT | BAD_TARGET) => shape.retryable == Some(true),
        // No channel has said anything: `send` is full, is being replaced, or is not there.
        _ => shape.code == UNAVAILABLE,
    }
}

impl Channels {
    /// Sends a message to people.
    pub(crate) async fn deliver(&self, deliver: &Deliver) -> Result<Delivered, MethodError> {
        self.host.invoke("send.deliver", deliver).send().await
    }
}

/// Writes something down, however long the disk cannot.
async fn keep(
    plugin: &Arc<Channels>,
    what: &str,
    job: impl Fn(&Connection) -> Result<(), MethodError> + Clone + Send + 'static,
) {
    let mut troubled = false;
    while let Err(error) = plugin.db(job.clone()).await {
        if !std::mem::replace(&mut troubled, true) {
            plugin.host.error(&format!("{what} could not be written down yet: {error}"));
        }
        plugin.host.sleep(LONG_PAUSE).await;
    }
}

/// How long something is tried again.
struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    fn new(ms: u64) -> Self {
        Patience { until: Instant::now() + Duration::from_millis(ms), pause: PAUSE }
    }

    /// Waits before the next try; `false` when there shall be none.
    async fn wait(&mut self, plugin: &Channels, error: &MethodError, may_pass: bool) -> bool {
        let pause = error.shape().retry_after_ms.map_or(self.pause, Duration::from_millis).max(self.pause);
        if !may_pass || Instant::now() + pause > self.until {
            return false;
        }
        self.pause = (self.pause * 2).min(LONG_PAUSE);
        plugin.host.sleep(pause).await;
        true
    }
}
