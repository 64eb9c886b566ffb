//! Hearing the daemon: a stream of events over HTTP for each account, or one connection over a socket for all of them.
//!
//! Nothing more is read while there is no room to keep it. When listening ends, what has already come is still taken: the
//! daemon does not tell of it again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outside::Method;
use outside::http::Answer;
use outside::sse::Parser;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::Signal;
use crate::address::Address;
use crate::failure::for_log;
use crate::lines::Lines;
use crate::rpc::request;

/// How long what has come is waited for when listening ends: since the last of it, and altogether.
const LINGER: Duration = Duration::from_millis(50);
const LINGER_AT_MOST: Duration = Duration::from_millis(500);

/// Somebody listens. Dropping this ends it, and waits for nothing.
pub struct Feed {
    stop: watch::Sender<bool>,
    link: Arc<Mutex<Link>>,
}

/// How a connection stands.
#[derive(Debug, Clone, Default)]
pub struct Link {
    /// Whether there is one.
    pub is_connected: bool,
    /// Why there was none last, for people.
    pub last_error: Option<String>,
}

impl Feed {
    /// How it stands.
    pub fn link(&self) -> Link {
        lock(&self.link).clone()
    }
}

/// Ends them, and waits until nothing more is taken.
pub async fn end_all(feeds: impl Iterator<Item = Feed>) {
    let feeds: Vec<Feed> = feeds.collect();
    for feed in &feeds {
        let _ = feed.stop.send(true);
    }
    for feed in feeds {
        feed.stop.closed().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until listening is to end.
async fn is_over(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|&stop| stop).await;
}

/// Why a connection is over.
enum Over {
    Ended,
    /// For people, and for the log.
    Broke(&'static str, String),
}

/// A connection that events come from.
enum Source {
    Http { answer: Box<Answer>, parser: Parser, events: VecDeque<String>, most: usize },
    Lines { lines: Lines, stall: Duration },
}

impl Signal {
    /// Begins to listen: for one account, or for all of them.
    pub(crate) fn listen(self: &Arc<Self>, account: Option<String>) -> Feed {
        let (stop, stopped) = watch::channel(false);
        let link = Arc::<Mutex<Link>>::default();
        let (plugin, state) = (self.clone(), link.clone());
        self.host.spawn(async move { plugin.keep_listening(account, &state, stopped).await });
        Feed { stop, link }
    }

    async fn keep_listening(
        self: Arc<Self>,
        account: Option<String>,
        link: &Mutex<Link>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let over = tokio::select! {
                biased;
                () = is_over(&mut stop) => Over::Ended,
                opened = self.open(account.as_deref()) => match opened {
                    Ok(source) => {
                        *lock(link) = Link { is_connected: true, last_error: None };
                        self.host.info("signal-cli's daemon is connected");
                        self.take_all(source, stop.clone()).await
                    }
                    Err(over) => over,
                },
            };
            let Over::Broke(sentence, why) = over else { break };
            // One that held for a while was none of the failures before it.
            let has_held = lock(link).is_connected && began.elapsed() > self.config.pause(failures.max(1));
            failures = if has_held { 1 } else { failures + 1 };
            *lock(link) = Link { is_connected: false, last_error: Some(sentence.to_string()) };
            if failures == 1 {
                self.host.warn(&format!("{sentence}; it is connected again as soon as it is there: {}", for_log(&why)));
            }
            tokio::select! {
                () = is_over(&mut stop) => break,
                () = sleep(self.config.pause(failures)) => {}
            }
        }
        lock(link).is_connected = false;
    }

    async fn take_all(self: &Arc<Self>, mut source: Source, mut stop: watch::Receiver<bool>) -> Over {
        let mut told_full = false;
        loop {
            if self.inbox.room.available_permits() == 0 && !std::mem::replace(&mut told_full, true) {
                let most = self.config.max_waiting;
                self.host.warn(&format!(
                    "{most} messages wait to be taken already (max_waiting); no more are read until then"
                ));
            }
            let (room, told) = tokio::select! {
                biased;
                () = is_over(&mut stop) => {
                    self.linger(source).await;
                    return Over::Ended;
                }
                next = async {
                    let room = self.inbox.room.clone().acquire_owned().await.ok();
                    (room, source.next().await)
                } => next,
            };
            match told {
                Ok(told) => self.take(told, room).await,
                Err(over) => return over,
            }
        }
    }

    /// Takes what has come and was not read yet. It is read first, since writing it down takes longer.
    async fn linger(self: &Arc<Self>, mut source: Source) {
        let until = Instant::now() + LINGER_AT_MOST;
        let mut left = Vec::new();
        while Instant::now() < until
            && let Ok(Ok(told)) = timeout(LINGER, source.next()).await
        {
            left.push(told);
        }
        for told in left {
            let room = self.inbox.room.clone().try_acquire_owned().ok();
            self.take(told, room).await;
        }
    }

    async fn open(&self, account: Option<&str>) -> Result<Source, Over> {
        const AWAY: &str = "signal-cli's daemon could not be reached";
        let away = |why: String| Over::Broke(AWAY, why);
        let Some(daemon) = &self.daemon else { return Err(Over::Ended) };
        let most = self.config.max_event_bytes;
        let stall = Duration::from_millis(self.config.stall_timeout_ms);
        let Address::Http(service) = &daemon.address else {
            let lines = daemon.lines(most).await.unwrap_or_else(|| Err(std::io::Error::other("no socket")));
            let lines = lines.map_err(|error| away(error.to_string()))?;
            return Ok(Source::Lines { lines, stall });
        };
        let number = account.map(|number| format!("?account={}", number.replace('+', "%2B"))).unwrap_or_default();
        let request = service.request(Method::GET, &format!("/api/v1/events{number}"), None);
        let request = request.map_err(|error| away(error.to_string()))?;
        let answer = self.events.send(&self.host, request).await.map_err(|trouble| away(trouble.to_string()))?;
        match answer.status().as_u16() {
            200 => {
                Ok(Source::Http { answer: Box::new(answer), parser: Parser::default(), events: VecDeque::new(), most })
            }
            400 => Err(Over::Broke("signal-cli's daemon does not have this account", "HTTP 400".to_string())),
            status => {
                let sentence = "what answers at the address of signal-cli's daemon is none";
                Err(Over::Broke(sentence, format!("HTTP {status}")))
            }
        }
    }
}

impl Source {
    /// The next message. It may be dropped while it waits: nothing is lost.
    async fn next(&mut self) -> Result<Value, Over> {
        match self {
            Source::Http { answer, parser, events, most } => loop {
                if let Some(event) = events.pop_front() {
                    match serde_json::from_str(&event) {
                        Ok(told) => return Ok(told),
                        Err(error) => return Err(broke(format!("an event is no JSON: {error}"))),
                    }
                }
                let chunk = answer.chunk().await.map_err(|trouble| broke(trouble.to_string()))?;
                let chunk = chunk.ok_or_else(|| broke("it was closed".to_string()))?;
                events.extend(parser.push(&chunk).into_iter().map(|event| event.data));
                if parser.kept() > *most {
                    return Err(broke(format!("an event is larger than {most} bytes (max_event_bytes)")));
                }
            },
            Source::Lines { lines, stall } => next_line(lines, *stall).await,
        }
    }
}

/// The next message over a socket, which has no sign of life of its own: it is asked for one. How long it has been silent
/// counts from here on, since nothing was read of it while there was no room.
async fn next_line(lines: &mut Lines, stall: Duration) -> Result<Value, Over> {
    let (mut heard, mut pings) = (Instant::now(), 0u32);
    loop {
        let ping_at = heard + stall / 3 * (pings + 1);
        let line = tokio::select! {
            line = lines.next() => line.map_err(|error| broke(error.to_string()))?,
            () = tokio::time::sleep_until(ping_at) => {
                if heard.elapsed() >= stall {
                    return Err(broke("nothing came within stall_timeout_ms".to_string()));
                }
                pings += 1;
                let ping = request("version", json!({}), json!("alive"));
                let written = timeout(stall, lines.write(&ping)).await;
                written.map_err(|_| broke("it takes nothing".to_string()))?.map_err(|error| broke(error.to_string()))?;
                continue;
            }
        };
        let line = line.ok_or_else(|| broke("it was closed".to_string()))?;
        (heard, pings) = (Instant::now(), 0);
        let mut told: Value = match serde_json::from_slice(&line) {
            Ok(told) => told,
            Err(error) => return Err(broke(format!("a line is no JSON: {error}"))),
        };
        if told["method"] == "receive" {
            // Where it was asked to listen, it says for which question.
            let mut params = told["params"].take();
            return Ok(if params["result"].is_object() { params["result"].take() } else { params });
        }
    }
}

fn broke(why: String) -> Over {
    Over::Broke("the connection to signal-cli's daemon broke", why)
}
