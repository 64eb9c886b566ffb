//! A run as a door follows it: what the agent says on the way, and how it ends.
//!
//! What was said and not yet sent is kept as one text, so that a client that reads slowly is sent more at once, and not a
//! queue of small pieces.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use plugin_api::contracts::run::{AbortRuns, Aborted, RunOutcome, RunRequest};
use plugin_api::{HeardEvent, Host, InvokeReplies, InvokeReply, Sleep};
use serde::Deserialize;

use crate::refusal::Refusal;

/// How much longer than the run itself its answer is waited for.
const TO_ANSWER: Duration = Duration::from_secs(30);
/// What parts what an agent says before it uses a tool from what it says afterwards.
const BETWEEN: &str = "\n\n";

/// The runs that doors wait for.
pub struct Runs {
    open: Mutex<HashMap<String, Arc<Mutex<Said>>>>,
    most: usize,
    longest: usize,
}

/// What an agent said in a run.
#[derive(Default)]
struct Said {
    text: String,
    /// What was heard last: the whole of what the agent had said then, or of its present piece.
    heard: String,
    /// The run has ended, and what is heard late is known from its outcome.
    is_over: bool,
    too_long: bool,
    waker: Option<Waker>,
}

/// The part of an `agent` event that is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Heard {
    run_id: String,
    stream: String,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default)]
    text: Option<String>,
}

impl Runs {
    pub fn new(most: usize, longest: usize) -> Self {
        Runs { open: Mutex::default(), most, longest }
    }

    /// Something happens in a run, of these doors or of others.
    pub fn hear(&self, event: &HeardEvent<'_>) {
        if lock(&self.open).is_empty() {
            return;
        }
        let Ok(Heard { run_id, stream, data }) = event.payload() else { return };
        let said = lock(&self.open).get(&run_id).cloned();
        if let (Some(said), "assistant", Some(text)) = (said, stream.as_str(), data.text) {
            said_so_far(&said, &text, self.longest);
        }
    }

    fn open(&self, run_id: &str) -> Result<Arc<Mutex<Said>>, Refusal> {
        let mut open = lock(&self.open);
        if open.len() >= self.most {
            let why = "too many runs at once (max_runs); try again in a moment";
            let busy = Refusal::new(429, why).code("rate_limit_exceeded");
            return Err(Refusal { retry_after_ms: Some(1_000), limit: Some("max_runs"), ..busy });
        }
        let said: Arc<Mutex<Said>> = Arc::default();
        open.insert(run_id.to_string(), said.clone());
        Ok(said)
    }
}

impl Said {
    /// What an agent has said so far: all of it, or its present piece.
    fn so_far(&mut self, text: &str, longest: usize) {
        // What was heard already, late.
        if self.is_over || self.heard.starts_with(text) {
            return;
        }
        let known = self.heard.trim_end();
        // Blanks at the end of a piece give way to what parts it from the next one.
        let goes_on = text.strip_prefix(self.heard.as_str()).or_else(|| {
            let more = text.strip_prefix(known).filter(|_| !known.is_empty())?;
            more.starts_with(BETWEEN).then_some(more)
        });
        self.heard = text.to_string();
        self.push(goes_on.is_none(), goes_on.unwrap_or(text), longest);
    }

    /// The last piece of a run that has ended, without blanks around it: what of it was not heard yet.
    fn last(&mut self, text: &str, longest: usize) {
        if !std::mem::replace(&mut self.is_over, true) && !self.text.trim_end().ends_with(text) {
            let rest = self.begun(text);
            self.push(rest.is_none(), rest.unwrap_or(text), longest);
        }
    }

    /// What is left of a piece whose beginning is the end of what was said.
    fn begun<'a>(&self, piece: &'a str) -> Option<&'a str> {
        let parts = self.text.match_indices(BETWEEN).map(|(at, between)| at + between.len());
        let ends = std::iter::once(0).chain(parts).map(|begin| self.text[begin..].trim_start());
        ends.filter(|end| !end.is_empty()).find_map(|end| piece.strip_prefix(end))
    }

    fn push(&mut self, parted: bool, more: &str, longest: usize) {
        let between = if parted && !self.text.is_empty() { BETWEEN } else { "" };
        if self.text.len() + between.len() + more.len() > longest {
            self.too_long = true;
        } else {
            self.text.push_str(between);
            self.text.push_str(more);
        }
    }
}

/// Takes what an agent has said so far, and wakes whoever waits for it.
fn said_so_far(said: &Mutex<Said>, text: &str, longest: usize) {
    let waker = {
        let mut said = lock(said);
        said.so_far(text, longest);
        said.waker.take()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// What happens next in a run.
pub enum Step {
    /// It was taken on.
    Accepted,
    /// The agent said more.
    More(String),
    /// Nothing happened for a while.
    Quiet,
    /// It is over.
    Ended(Box<Result<RunOutcome, Refusal>>),
}

/// A run that a door waits for. Let go of before its end, it is stopped.
pub struct Run {
    host: Host,
    runs: Arc<Runs>,
    id: String,
    replies: InvokeReplies,
    said: Arc<Mutex<Said>>,
    sent: usize,
    outcome: Option<RunOutcome>,
    over: bool,
    quiet: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Run {
    /// Begins it.
    pub fn begin(host: &Host, runs: &Arc<Runs>, request: &RunRequest, quiet: Duration) -> Result<Run, Refusal> {
        let said = runs.open(&request.run_id)?;
        let timeout = Duration::from_millis(request.timeout_ms.unwrap_or_default()) + TO_ANSWER;
        Ok(Run {
            host: host.clone(),
            runs: runs.clone(),
            id: request.run_id.clone(),
            replies: host.invoke("agent.run", request).timeout(timeout).replies(),
            said,
            sent: 0,
            outcome: None,
            over: false,
            quiet,
            sleep: Box::pin(host.sleep(quiet)),
        })
    }

    /// What happens next.
    pub async fn next(&mut self) -> Step {
        let step = self.wait().await;
        match &step {
            Step::Ended(_) => {}
            _ => self.sleep = Box::pin(self.host.sleep(self.quiet)),
        }
        step
    }

    async fn wait(&mut self) -> Step {
        loop {
            let Run { replies, said, sent, outcome, sleep, over, .. } = self;
            let mut reply = pin!(replies.next());
            let came = std::future::poll_fn(|context| {
                {
                    let mut said = lock(said);
                    if said.too_long {
                        return Poll::Ready(Err(Step::Ended(Box::new(Err(Refusal::new(
                            500,
                            "the answer is too long",
                        )
                        .code("answer_too_long"))))));
                    }
                    if said.text.len() > *sent {
                        let more = said.text[*sent..].to_string();
                        *sent = said.text.len();
                        return Poll::Ready(Err(Step::More(more)));
                    }
                    said.waker = Some(context.waker().clone());
                }
                if let Some(outcome) = outcome.take() {
                    return Poll::Ready(Err(Step::Ended(Box::new(Ok(outcome)))));
                }
                if let Poll::Ready(reply) = reply.as_mut().poll(context) {
                    return Poll::Ready(Ok(reply));
                }
                sleep.as_mut().poll(context).map(|()| Err(Step::Quiet))
            })
            .await;
            match came {
                Err(step) => return step,
                Ok(InvokeReply::Interim(_)) => return Step::Accepted,
                Ok(InvokeReply::Final(Err(error))) => {
                    *over = true;
                    return Step::Ended(Box::new(Err(Refusal::of_method(&error))));
                }
                Ok(InvokeReply::Final(Ok(payload))) => {
                    *over = true;
                    let Ok(ended) = serde_json::from_str::<RunOutcome>(payload.get()) else {
                        return Step::Ended(Box::new(Err(Refusal::new(
                            500,
                            "the run ended in a way that is not understood",
                        ))));
                    };
                    // Its last words may not have been heard yet.
                    if Refusal::of_outcome(&ended).is_none() {
                        lock(said).last(&ended.text, self.runs.longest);
                    }
                    *outcome = Some(ended);
                }
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        lock(&self.runs.open).remove(&self.id);
        if self.over {
            return;
        }
        let stop =
            AbortRuns { run_id: Some(self.id.clone()), stop_reason: Some("rpc".to_string()), ..AbortRuns::default() };
        let host = self.host.clone();
        self.host.spawn(async move {
            if let Err(error) = host.invoke("agent.abort", &stop).send::<Aborted>().await {
                host.warn(&format!("a run whose client has gone could not be stopped: {error}"));
            }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_grows_piece_by_piece_and_is_bounded() {
        let said = Mutex::default();
        for text in ["Let", "Let me look", "Let me", "5", "5 it is", "5 it is"] {
            said_so_far(&said, text, 30);
        }
        assert_eq!(lock(&said).text, "Let me look\n\n5 it is");
        said_so_far(&said, "5 it is, and this is too much", 30);
        assert!(lock(&said).too_long && lock(&said).text.len() <= 30);
    }

    #[test]
    fn the_last_words_are_said_once() {
        let cases: [(&[&str], &str, &str); 8] = [
            (&["Look", "Look\n\nFive.\n"], "Five.", "Look\n\nFive.\n"),
            (&["Look \n", "Look\n\nFi", "Look\n\nFive.\n"], "Five.", "Look \n\n\nFive.\n"),
            (&["Look", "Look\n\nIt"], "It is five.", "Look\n\nIt is five."),
            (&["Look", "Fi"], "Five.", "Look\n\nFive."),
            (&["Look"], "Five.", "Look\n\nFive."),
            (&["One.\n\nTw"], "One.\n\nTwo.", "One.\n\nTwo."),
            (&["Five. "], "", "Five. "),
            (&[], "Five.", "Five."),
        ];
        for (heard, outcome, all) in cases {
            let said = Mutex::default();
            heard.iter().for_each(|text| said_so_far(&said, text, 100));
            lock(&said).last(outcome, 100);
            // What is heard after the end.
            said_so_far(&said, "Look\n\nFive. And more.\n", 100);
            assert_eq!(lock(&said).text, all, "{heard:?}");
        }
    }
}
