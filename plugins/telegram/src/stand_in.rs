//! A Bot API in Telegram's place, for tests, over real sockets. It knows one bot, and keeps its updates until they are
//! confirmed.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use outside::stand_in::{Act, Asked, Server, whole};
use serde_json::{Value, json};

/// The bot's token, its number and its name.
pub const TOKEN: &str = "99:a-token-that-no-log-shows";
/// The bot's number.
pub const BOT: i64 = 99;
/// The bot's name.
pub const USERNAME: &str = "claw_bot";

/// How long a test waits before it fails, and how long it goes without a look.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The server.
pub struct BotApi {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    updates: Vec<Value>,
    next_update: i64,
    next_message: i64,
    script: VecDeque<(String, Vec<Act>)>,
    file: Vec<u8>,
}

impl BotApi {
    /// One without updates.
    pub fn start() -> Self {
        let shared: Arc<Shared> = Arc::default();
        {
            let mut state = shared.state();
            (state.next_update, state.next_message, state.file) = (1000, 500, b"\xff\xd8 a photo".to_vec());
        }
        let answering = shared.clone();
        BotApi { server: Server::start(move |asked| answering.answer(asked)), shared }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Something happens: `kind` is `message` and the like. Its number.
    pub fn push(&self, kind: &str, content: Value) -> i64 {
        let mut state = self.shared.state();
        let id = state.next_update;
        state.next_update += 1;
        state.updates.push(json!({ "update_id": id, kind: content }));
        self.shared.changed.notify_all();
        id
    }

    /// The next request of this method is answered so, instead of as usual.
    pub fn script(&self, method: &str, acts: Vec<Act>) {
        self.shared.state().script.push_back((method.to_string(), acts));
    }

    /// What files consist of.
    pub fn file(&self, bytes: &[u8]) {
        self.shared.state().file = bytes.to_vec();
    }

    /// Numbers of the updates that were not confirmed.
    pub fn unconfirmed(&self) -> Vec<i64> {
        self.shared.state().updates.iter().filter_map(|update| update["update_id"].as_i64()).collect()
    }

    /// Requests of this method so far.
    pub fn asked(&self, method: &str) -> Vec<Asked> {
        let is_it = |asked: &Asked| asked.what.rsplit('/').next() == Some(method);
        self.server.asked().into_iter().filter(is_it).collect()
    }

    /// What these requests carried.
    pub fn params(&self, method: &str) -> Vec<Value> {
        self.asked(method).iter().map(Asked::json).collect()
    }

    /// Waits until this holds.
    #[track_caller]
    pub fn wait(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what} did not come in time");
            // Whatever happened between the look and this is seen soon all the same.
            drop(self.shared.changed.wait_timeout(self.shared.state(), left.min(LOOK_AGAIN)));
        }
    }

    /// Waits until the other side has closed a connection in the midst of an answer.
    #[track_caller]
    pub fn wait_closed(&self) {
        self.server.wait_closed();
    }
}

/// A message of a person in a direct chat.
pub fn direct(text: &str) -> Value {
    json!({
        "message_id": 5, "date": 1_700_000_000, "text": text, "chat": { "id": 7, "type": "private", "first_name": "Ada" },
        "from": { "id": 7, "is_bot": false, "first_name": "Ada", "username": "ada" },
    })
}

/// A result.
pub fn ok(result: Value) -> Vec<Act> {
    whole("200 OK", "content-type: application/json\r\n", &json!({ "ok": true, "result": result }).to_string())
}

/// A refusal, with further fields.
pub fn refusal(code: u16, description: &str, parameters: Value) -> Vec<Act> {
    let body = json!({ "ok": false, "error_code": code, "description": description, "parameters": parameters });
    whole(&format!("{code} X"), "content-type: application/json\r\n", &body.to_string())
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, asked: &Asked) -> Vec<Act> {
        self.changed.notify_all();
        let path = asked.what.split_once(' ').map_or("", |(_, path)| path);
        let method = path.rsplit('/').next().unwrap_or_default();
        {
            let mut state = self.state();
            if let Some(at) = state.script.iter().position(|(scripted, _)| scripted == method) {
                return state.script.remove(at).map(|(_, acts)| acts).unwrap_or_default();
            }
        }
        if path.starts_with(&format!("/file/bot{TOKEN}/")) {
            let bytes = self.state().file.clone();
            let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes.len()).into_bytes();
            answer.extend_from_slice(&bytes);
            return vec![Act::Write(answer)];
        }
        if !path.starts_with(&format!("/bot{TOKEN}/")) {
            return refusal(401, "Unauthorized", json!({}));
        }
        let params: Value = serde_json::from_slice(&asked.bytes).unwrap_or_default();
        match method {
            "getMe" => ok(json!({ "id": BOT, "is_bot": true, "first_name": "Claw", "username": USERNAME })),
            "getUpdates" => ok(Value::Array(self.updates(&params))),
            "setWebhook" | "deleteWebhook" | "sendChatAction" => ok(json!(true)),
            "getChat" => match params["chat_id"].as_str() {
                Some("@the_news") => {
                    ok(json!({ "id": -1009, "type": "channel", "title": "News", "username": "the_news" }))
                }
                Some(_) => refusal(400, "Bad Request: chat not found", json!({})),
                None => ok(json!({ "id": params["chat_id"], "type": "supergroup", "title": "Team" })),
            },
            "getFile" => {
                let id = params["file_id"].as_str().unwrap_or_default();
                ok(json!({ "file_id": id, "file_path": format!("photos/{id}.jpg") }))
            }
            _ if method.starts_with("send") => ok(self.sent(&params, &asked.body)),
            _ => refusal(404, "Not Found", json!({})),
        }
    }

    /// Updates from the offset on; those before it are confirmed. Waits for some as long as it may.
    fn updates(&self, params: &Value) -> Vec<Value> {
        let until = Instant::now() + Duration::from_secs(params["timeout"].as_u64().unwrap_or(0));
        let mut state = self.state();
        if let Some(offset) = params["offset"].as_i64() {
            state.updates.retain(|update| update["update_id"].as_i64() >= Some(offset));
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if !state.updates.is_empty() || left.is_zero() {
                return state.updates.clone();
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn sent(&self, params: &Value, body: &str) -> Value {
        let mut state = self.state();
        state.next_message += 1;
        let in_form = || body.split("name=\"chat_id\"\r\n\r\n").nth(1)?.split("\r\n").next()?.parse::<i64>().ok();
        let chat = params["chat_id"].as_i64().or_else(in_form).unwrap_or(-1009);
        let mut sent = json!({ "message_id": state.next_message, "chat": { "id": chat, "type": "private" } });
        if params.get("question").is_some() {
            sent["poll"] = json!({ "id": "poll-1", "question": params["question"] });
        }
        sent
    }
}
