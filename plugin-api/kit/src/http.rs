//! HTTP in a test, without a socket: [`Running::http`] is the client.

use std::sync::Arc;

use plugin_api::abi::*;
use plugin_api::hosting::{AnswerHead, HttpRequest, Instance};
use plugin_api::http::{Head, Message};

use crate::running::Running;
use crate::world::{Stage, State, World};

/// A request to come.
#[derive(Debug, Clone)]
pub struct Ask {
    verb: String,
    path: String,
    query: Option<String>,
    body: Vec<u8>,
    head: Head,
    upgrade: bool,
}

impl Ask {
    /// A request with this verb, and a path with or without a query.
    pub fn new(verb: &str, target: &str) -> Self {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_string())));
        let head = Head { scheme: "http".to_string(), admitted: "none".to_string(), ..Head::default() };
        Ask { verb: verb.to_string(), path: path.to_string(), query, body: Vec::new(), head, upgrade: false }
    }

    /// A `GET`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A `POST` with this body.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Ask { body: body.into(), ..Self::new("POST", target) }
    }

    /// For a WebSocket.
    pub fn upgrade(target: &str) -> Self {
        Ask { upgrade: true, ..Self::get(target) }
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.headers.push((name.to_ascii_lowercase(), value.to_string()));
        self
    }

    /// As it comes with a capability whose address begins like this.
    pub fn below(mut self, base: &str) -> Self {
        (self.head.base, self.head.admitted) = (base.to_string(), "capability".to_string());
        self
    }
}

/// What a request was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u32,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body as far as it came.
    pub body: Vec<u8>,
    /// Whether it came to its end.
    pub whole: bool,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A request that was sent.
pub struct Asking {
    world: Arc<World>,
    number: u64,
}

/// An exchange as the harness knows it.
#[derive(Default)]
pub(crate) struct Live {
    plugin: usize,
    upgrade: bool,
    /// The answer is whole without a body: what is written of one goes nowhere.
    bodiless: bool,
    answer: Option<AnswerHead>,
    body: Vec<u8>,
    /// Bytes that were written of it, which may be more than were promised.
    written: u64,
    messages: Vec<Message>,
    taken: usize,
    /// What is left of the request's body, until its end was told.
    to_come: Option<Vec<u8>>,
    /// Bytes of it that the plugin lets come.
    credit: u64,
    /// Somebody hands it over.
    handed: bool,
    /// What was written was refused for now, and whoever wrote it waits to be told that there is room.
    was_full: bool,
    ended: bool,
    cut: bool,
    told: bool,
}

impl Live {
    /// As much of the body as the plugin lets come, or its end, which comes without being asked for.
    fn next_part(&mut self) -> Option<(i32, Vec<u8>)> {
        if self.upgrade || self.told || self.cut {
            return None;
        }
        let left = self.to_come.as_mut()?;
        if left.is_empty() {
            self.to_come = None;
            return Some((GWP_HTTP_END, Vec::new()));
        }
        let count = usize::try_from(self.credit).map_or(left.len(), |credit| credit.min(left.len()));
        self.credit -= count as u64;
        (count > 0).then(|| (GWP_HTTP_BODY, left.drain(..count).collect()))
    }

    fn is_socket(&self) -> Option<bool> {
        self.answer.as_ref().map(AnswerHead::takes_upgrade)
    }

    /// How many bytes the head promised, of a body that there is.
    fn promised(&self) -> Option<u64> {
        self.answer.as_ref().filter(|_| !self.bodiless).and_then(AnswerHead::promised)
    }

    /// A part of the body: the peer reads as much as it was promised.
    fn take_part(&mut self, part: &[u8]) {
        if self.bodiless {
            return;
        }
        self.written += part.len() as u64;
        self.body.extend_from_slice(part);
        if let Some(promised) = self.promised() {
            self.body.truncate(usize::try_from(promised).unwrap_or(usize::MAX));
        }
    }
}

impl Running {
    /// Sends a request over HTTP. The row of the manifest that takes it must be there.
    #[track_caller]
    pub fn http(&self, ask: Ask) -> Asking {
        let manifest = self.manifest();
        let rows = manifest.http.iter().filter(|row| row.takes(&ask.path));
        let row = rows.max_by_key(|row| row.prefix().len()).expect("a row of the manifest that takes the path");
        let (number, instance) = {
            let mut state = self.world.change();
            let number = state.next();
            let (upgrade, bodiless) = (ask.upgrade, ask.verb == "HEAD");
            let live = Live { upgrade, bodiless, to_come: Some(ask.body.clone()), ..Live::default() };
            state.exchanges.insert(number, live);
            (number, state.instances[0].instance.clone().expect("a running instance"))
        };
        let (route, head) = (row.path.clone(), serde_json::to_string(&ask.head).unwrap_or_default());
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        self.world.pool.run(move || {
            instance.http_request(&HttpRequest {
                exchange: number,
                flags: GWP_HTTP_REQ_LOCAL
                    | flag(ask.upgrade, GWP_HTTP_REQ_UPGRADE)
                    | flag(!ask.body.is_empty(), GWP_HTTP_REQ_BODY),
                body_len: ask.body.len() as u64,
                verb: &ask.verb,
                path: &ask.path,
                query: ask.query.as_deref(),
                route: &route,
                head: &head,
            });
        });
        Asking { world: self.world.clone(), number }
    }
}

impl Asking {
    /// Waits for the whole answer.
    #[track_caller]
    pub fn wait(self) -> Answer {
        let number = self.number;
        let answer = self.world.wait("the end of an answer", |state| {
            let live = &state.exchanges[&number];
            let (status, headers) =
                live.answer.clone().map_or((0, Vec::new()), |head| (u32::from(head.status), head.headers));
            (live.ended || live.cut).then(|| Answer { status, headers, body: live.body.clone(), whole: live.ended })
        });
        self.close();
        answer
    }

    /// Waits until this many bytes of the answer have come, and gives all that came.
    #[track_caller]
    pub fn wait_for(&self, bytes: usize) -> Vec<u8> {
        self.world.wait("a part of an answer", |state| {
            let body = &state.exchanges[&self.number].body;
            (body.len() >= bytes).then(|| body.clone())
        })
    }

    /// Waits until the upgrade was taken.
    #[track_caller]
    pub fn upgraded(&self) {
        self.world.wait("an upgrade", |state| {
            state.exchanges[&self.number].answer.as_ref().map(|head| assert_eq!(head.status, 101, "an upgrade"))
        });
    }

    /// Waits for the next message.
    #[track_caller]
    pub fn message(&self) -> Message {
        self.world.wait("a message", |state| {
            let live = state.exchanges.get_mut(&self.number)?;
            let message = live.messages.get(live.taken).cloned()?;
            live.taken += 1;
            Some(message)
        })
    }

    /// Sends a text.
    pub fn say(&self, text: &str) {
        tell(&self.world, self.number, GWP_HTTP_TEXT, text.as_bytes().to_vec());
    }

    /// The client goes.
    pub fn hang_up(self) {
        self.close();
    }

    fn close(&self) {
        let first = {
            let mut state = self.world.change();
            let live = state.exchanges.get_mut(&self.number);
            live.is_some_and(|live| !std::mem::replace(&mut live.told, true))
        };
        if first {
            tell(&self.world, self.number, GWP_HTTP_CLOSED, br#"{"why":"peer"}"#.to_vec());
            self.world.settle_workers();
        }
    }
}

/// Tells the plugin something of an exchange, from a worker.
fn tell(world: &Arc<World>, number: u64, kind: i32, data: Vec<u8>) {
    let instance = {
        let state = world.look();
        let live = state.exchanges.get(&number).map(|live| live.plugin);
        live.and_then(|plugin| state.instances[plugin].instance.clone())
    };
    if let Some(instance) = instance {
        world.pool.run(move || instance.http_event(number, kind, &data));
    }
}

/// The host's side of the table.
impl World {
    pub(crate) fn http_head(&self, plugin: usize, number: u64, status: u32, headers: &[u8]) -> i32 {
        let mut state = self.change();
        let live = match offered(&mut state, plugin, number) {
            Ok(live) => live,
            Err(code) => return code,
        };
        let why = match AnswerHead::read(status, headers, live.upgrade) {
            _ if live.answer.is_some() => "began an answer that had begun".to_string(),
            Ok(head) => {
                live.bodiless |= head.is_bodiless();
                live.answer = Some(head);
                return GWP_OK;
            }
            Err(why) => format!("began an answer with {why}"),
        };
        state.blame(plugin, why);
        GWP_INVALID
    }

    pub(crate) fn http_write(&self, plugin: usize, number: u64, kind: i32, data: &[u8]) -> i32 {
        let mut state = self.change();
        let live = match offered(&mut state, plugin, number) {
            Ok(live) => live,
            Err(code) => {
                if let Some(live) = live(&mut state, plugin, number) {
                    live.was_full = code == GWP_BUSY;
                }
                return code;
            }
        };
        match (kind, live.is_socket()) {
            _ if live.ended => {}
            (GWP_HTTP_BODY, Some(false)) => {
                live.take_part(data);
                return GWP_OK;
            }
            (GWP_HTTP_TEXT, Some(true)) => {
                let Ok(text) = std::str::from_utf8(data) else {
                    state.blame(plugin, "wrote a message of text that is not UTF-8");
                    return GWP_INVALID;
                };
                live.messages.push(Message::Text(text.to_string()));
                return GWP_OK;
            }
            (GWP_HTTP_BINARY, Some(true)) => {
                live.messages.push(Message::Binary(data.to_vec()));
                return GWP_OK;
            }
            _ => {}
        }
        state.blame(plugin, format_args!("wrote {kind} where nothing is written"));
        GWP_INVALID
    }

    pub(crate) fn http_end(&self, plugin: usize, number: u64, code: u32) -> i32 {
        let mut state = self.change();
        let live = match offered(&mut state, plugin, number) {
            Ok(live) => live,
            Err(code) => return code,
        };
        if live.is_socket() == Some(true) && !matches!(code, 0 | 1000 | 1001 | 1003 | 1007..=1014 | 3000..=4999) {
            state.blame(plugin, format_args!("closed a WebSocket with code {code}, which none may be closed with"));
            return GWP_INVALID;
        }
        if live.answer.is_none() || live.ended {
            state.blame(plugin, "ended an answer that had not begun, or had ended");
            return GWP_INVALID;
        }
        let (promised, written) = (live.promised(), live.written);
        // A peer that got less than it was promised sees that the answer is not whole.
        (live.ended, live.cut) = match promised {
            Some(promised) if written < promised => (false, true),
            _ => (true, false),
        };
        if let Some(promised) = promised.filter(|promised| *promised != written) {
            state.blame(plugin, format_args!("wrote {written} bytes of a body whose content-length is {promised}"));
        }
        GWP_OK
    }

    pub(crate) fn http_read(self: &Arc<Self>, plugin: usize, number: u64, bytes: u64) -> i32 {
        let first = {
            let mut state = self.change();
            let live = match offered(&mut state, plugin, number) {
                Ok(live) => live,
                Err(code) => return code,
            };
            live.credit = live.credit.saturating_add(bytes);
            !std::mem::replace(&mut live.handed, true)
        };
        if first {
            // One part after the other, as a gateway does.
            let world = self.clone();
            self.pool.run(move || {
                while let Some((instance, kind, part)) = world.next_part(number) {
                    instance.http_event(number, kind, &part);
                }
            });
        }
        GWP_OK
    }

    /// What comes next of a body, and whom to tell.
    fn next_part(&self, number: u64) -> Option<(Arc<Instance>, i32, Vec<u8>)> {
        let mut state = self.change();
        let live = state.exchanges.get_mut(&number)?;
        let (plugin, part) = (live.plugin, live.next_part());
        live.handed = part.is_some();
        let (kind, part) = part?;
        Some((state.instances[plugin].instance.clone()?, kind, part))
    }

    pub(crate) fn http_abort(&self, plugin: usize, number: u64) -> i32 {
        let mut state = self.change();
        let Some(live) = live(&mut state, plugin, number) else { return GWP_GONE };
        live.cut = true;
        GWP_OK
    }

    /// Whoever was told to wait with what it writes is told that there is room.
    pub(crate) fn http_writable(self: &Arc<Self>) {
        let waiting: Vec<u64> = {
            let mut state = self.change();
            let open = state.exchanges.iter_mut().filter(|(_, live)| !live.told && !live.cut);
            open.filter_map(|(number, live)| std::mem::take(&mut live.was_full).then_some(*number)).collect()
        };
        waiting.into_iter().for_each(|number| tell(self, number, GWP_HTTP_WRITABLE, Vec::new()));
    }
}

/// An exchange that is not over, unless the test has the host refuse HTTP.
fn offered(state: &mut State, plugin: usize, number: u64) -> Result<&mut Live, i32> {
    match state.refused.get(extension::HTTP) {
        Some(&code) => Err(code),
        None => live(state, plugin, number).ok_or(GWP_GONE),
    }
}

fn live(state: &mut State, plugin: usize, number: u64) -> Option<&mut Live> {
    if state.instances[plugin].stage == Stage::Destroyed {
        return None;
    }
    state.exchanges.get_mut(&number).filter(|live| live.plugin == plugin && !live.told && !live.cut)
}
