//! The DevTools protocol over two pipes: each message is JSON with a NUL behind it. Nobody else can get at a pipe, while a
//! port would let in every program of this machine that finds it.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot, watch};

/// The largest message that is read; a picture of a large page is one.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// Messages that wait to be written.
const OUTGOING: usize = 64;

/// A browser at the other end.
pub struct DevTools {
    outgoing: mpsc::Sender<Vec<u8>>,
    waiting: Arc<Waiting>,
    over: watch::Receiver<bool>,
    last_id: AtomicU64,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Fault {
    /// The browser is gone.
    Gone,
    /// It refused, and said why.
    Refused(String),
}

/// What an event makes this side do.
#[derive(Debug)]
pub enum Reaction {
    /// Nothing.
    None,
    /// Send this command where the event came from, without waiting for its answer.
    Send(&'static str, Value),
    /// Give the browser up.
    End,
}

type Answer = Result<Box<RawValue>, Fault>;

/// Who waits for which answer; nobody any more once the browser is gone.
#[derive(Default)]
struct Waiting(Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default)]
    params: Option<Value>,
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    message: String,
}

impl DevTools {
    /// Talks over these two, and does what `react` says about each event.
    pub fn over(
        from: impl AsyncRead + Send + Unpin + 'static,
        to: impl AsyncWrite + Send + Unpin + 'static,
        react: impl Fn(&str, &Value) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let (ending, over) = watch::channel(false);
        let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
        tokio::spawn(write(to, queue, over.clone()));
        let reader = Reader { waiting: waiting.clone(), outgoing: outgoing.clone(), react };
        tokio::spawn(async move {
            if let Err(error) = reader.read(BufReader::new(from)).await {
                tracing::warn!(%error, "the browser is given up");
            }
            reader.waiting.end();
            // With its pipe closed it ends by itself, too.
            let _ = ending.send(true);
        });
        DevTools { outgoing, waiting, over, last_id: AtomicU64::new(0) }
    }

    /// Whether the browser is gone.
    pub fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Asks, in a session with a page or the browser itself. Whoever no longer waits can drop this.
    pub async fn call<T: DeserializeOwned>(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<T, Fault> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = self.waiting.add(id).ok_or(Fault::Gone)?;
        let _entry = Entry { waiting: &self.waiting, id };
        self.outgoing.send(message(id, session, method, &params)).await.map_err(|_| Fault::Gone)?;
        let result = answer.await.unwrap_or(Err(Fault::Gone))?;
        serde_json::from_str(result.get())
            .map_err(|error| Fault::Refused(format!("{method} was answered with something else: {error}")))
    }
}

/// A place among those who wait, given back however the wait ends.
struct Entry<'a> {
    waiting: &'a Waiting,
    id: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.waiting.take(self.id);
    }
}

impl Waiting {
    fn add(&self, id: u64) -> Option<oneshot::Receiver<Answer>> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.insert(id, sender);
        Some(receiver)
    }

    fn take(&self, id: u64) -> Option<oneshot::Sender<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.remove(&id)
    }

    fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

struct Reader<R> {
    waiting: Arc<Waiting>,
    outgoing: mpsc::Sender<Vec<u8>>,
    react: R,
}

impl<R: Fn(&str, &Value) -> Reaction> Reader<R> {
    async fn read(&self, mut from: impl AsyncBufRead + Unpin) -> io::Result<()> {
        let mut text = Vec::new();
        while next(&mut from, &mut text).await? {
            if !self.heard(serde_json::from_slice(&text)?) {
                break;
            }
        }
        Ok(())
    }

    /// Whether to go on.
    fn heard(&self, incoming: Incoming) -> bool {
        let Incoming { id, method, session_id, params, result, error } = incoming;
        if let Some(id) = id {
            let answer = match (result, error) {
                (_, Some(Complaint { message })) => Err(Fault::Refused(message)),
                (Some(result), None) => Ok(result),
                (None, None) => Err(Fault::Refused("an answer without a result".to_string())),
            };
            if let Some(asker) = self.waiting.take(id) {
                // Who asked may have gone.
                let _ = asker.send(answer);
            }
            return true;
        }
        match (self.react)(method.as_deref().unwrap_or_default(), &params.unwrap_or_default()) {
            Reaction::None => true,
            // Nobody waits for the answer to 0. Not waiting here keeps the reader from waiting for itself.
            Reaction::Send(method, params) => {
                self.outgoing.try_send(message(0, session_id.as_deref(), method, &params)).is_ok()
            }
            Reaction::End => false,
        }
    }
}

/// The next message, without its NUL; false at the end.
async fn next(from: &mut (impl AsyncBufRead + Unpin), text: &mut Vec<u8>) -> io::Result<bool> {
    text.clear();
    loop {
        let there = from.fill_buf().await?;
        if there.is_empty() {
            return Ok(false);
        }
        let end = there.iter().position(|byte| *byte == 0);
        let used = end.unwrap_or(there.len());
        text.extend_from_slice(&there[..used]);
        from.consume(end.map_or(used, |end| end + 1));
        if text.len() > MAX_MESSAGE {
            return Err(io::Error::other(format!("a message has more than {MAX_MESSAGE} bytes")));
        }
        if end.is_some() {
            return Ok(true);
        }
    }
}

fn message(id: u64, session: Option<&str>, method: &str, params: &Value) -> Vec<u8> {
    let mut message = json!({ "id": id, "method": method, "params": params });
    if let Some(session) = session {
        message["sessionId"] = json!(session);
    }
    let mut text = message.to_string().into_bytes();
    text.push(0);
    text
}

/// Writes until there is nobody to write for; closing its pipe ends the browser.
async fn write(
    mut to: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Vec<u8>>,
    mut over: watch::Receiver<bool>,
) -> Option<()> {
    loop {
        let text = tokio::select! {
            text = queue.recv() => text?,
            _ = over.wait_for(|over| *over) => return None,
        };
        to.write_all(&text).await.ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};

    /// The browser's end.
    struct Other {
        from: BufReader<ReadHalf<DuplexStream>>,
        to: WriteHalf<DuplexStream>,
    }

    impl Other {
        async fn hears(&mut self) -> Value {
            let mut text = Vec::new();
            assert!(next(&mut self.from, &mut text).await.unwrap());
            serde_json::from_slice(&text).unwrap()
        }

        async fn says(&mut self, message: Value) {
            self.to.write_all(format!("{message}\0").as_bytes()).await.unwrap();
        }
    }

    fn pair() -> (Arc<DevTools>, Other) {
        let (here, there) = duplex(16);
        let (from, to) = split(here);
        let react = |event: &str, _: &Value| match event {
            "ask" => Reaction::Send("answer", json!({ "accept": false })),
            "crash" => Reaction::End,
            _ => Reaction::None,
        };
        let (other_from, other_to) = split(there);
        let other = Other { from: BufReader::new(other_from), to: other_to };
        (Arc::new(DevTools::over(from, to, react)), other)
    }

    #[tokio::test]
    async fn answers_find_who_asked_whatever_their_order() {
        let (devtools, mut other) = pair();
        let ask = |session: Option<&'static str>, method: &'static str| {
            let devtools = devtools.clone();
            tokio::spawn(async move { devtools.call::<Value>(session, method, json!({ "a": 1 })).await })
        };
        let first = ask(None, "one");
        let one = other.hears().await;
        assert_eq!(one, json!({ "id": 1, "method": "one", "params": { "a": 1 } }));
        let second = ask(Some("s"), "two");
        assert_eq!(other.hears().await["sessionId"], "s");
        other.says(json!({ "id": 7, "result": {} })).await;
        other.says(json!({ "id": 2, "error": { "code": -1, "message": "no" } })).await;
        other.says(json!({ "id": 1, "result": { "b": 2 } })).await;
        assert_eq!(first.await.unwrap().unwrap(), json!({ "b": 2 }));
        assert!(matches!(second.await.unwrap(), Err(Fault::Refused(why)) if why == "no"));
    }

    #[tokio::test]
    async fn events_are_reacted_to_and_the_end_is_the_end_for_all() {
        let (devtools, mut other) = pair();
        other.says(json!({ "method": "ask", "params": {}, "sessionId": "s" })).await;
        let reaction = json!({ "id": 0, "method": "answer", "params": { "accept": false }, "sessionId": "s" });
        assert_eq!(other.hears().await, reaction);
        let asked = tokio::spawn({
            let devtools = devtools.clone();
            async move { devtools.call::<Value>(None, "one", json!({})).await }
        });
        other.hears().await;
        assert!(!devtools.is_over());
        other.says(json!({ "method": "crash" })).await;
        assert!(matches!(asked.await.unwrap(), Err(Fault::Gone)));
        assert!(matches!(devtools.call::<Value>(None, "two", json!({})).await, Err(Fault::Gone)));
    }

    #[tokio::test]
    async fn who_no_longer_waits_leaves_nothing_behind() {
        let (devtools, mut other) = pair();
        {
            let call = devtools.call::<Value>(None, "one", json!({}));
            tokio::pin!(call);
            tokio::select! {
                _ = &mut call => unreachable!("nothing was answered"),
                _ = other.hears() => {}
            }
        }
        assert!(devtools.waiting.0.lock().unwrap().as_ref().unwrap().is_empty());
    }
}
