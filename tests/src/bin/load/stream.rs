//! What a run says, looked at event by event: nothing is missing, nothing comes twice or out of order, and in the end it is
//! what the agent was told.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

/// An event `agent` or `chat`.
#[derive(Deserialize)]
pub struct Event<'a> {
    pub event: &'a str,
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload<'a> {
    #[serde(borrow)]
    pub run_id: Cow<'a, str>,
    #[serde(default)]
    seq: u64,
    /// Of `agent`.
    #[serde(default, borrow)]
    stream: Option<&'a str>,
    #[serde(default)]
    data: Value,
    /// Of `chat`.
    #[serde(default, borrow)]
    state: Option<&'a str>,
    #[serde(default)]
    message: Value,
}

/// One run, as its client sees it.
pub struct Stream {
    /// What it is told, and has to say.
    pub expected: String,
    /// Whether `chat` events tell of it, too.
    pub is_chat: bool,
    /// When it is asked for.
    pub asked: Instant,
    /// From the question to the first words.
    pub first: Option<Duration>,
    /// From the question to the end.
    pub ended: Option<Duration>,
    /// What is wrong with it, first.
    pub fault: Option<String>,
    seq: u64,
    said: String,
    chat_seq: u64,
    chat_said: String,
    is_final: bool,
}

impl Stream {
    pub fn new(expected: String, is_chat: bool, asked: Instant) -> Self {
        Stream {
            expected,
            is_chat,
            asked,
            first: None,
            ended: None,
            fault: None,
            seq: 0,
            said: String::new(),
            chat_seq: 0,
            chat_said: String::new(),
            is_final: false,
        }
    }

    /// Whether everything has come that was to come, or never will.
    pub fn is_over(&self) -> bool {
        self.fault.is_some() || self.ended.is_some() && (self.is_final || !self.is_chat)
    }

    pub fn hear(&mut self, event: &Event<'_>) {
        let heard = match event.event {
            "agent" => self.hear_agent(&event.payload),
            _ => self.hear_chat(&event.payload),
        };
        if let Err(why) = heard {
            self.fail(why);
        }
    }

    pub fn fail(&mut self, why: String) {
        self.fault.get_or_insert(why);
    }

    /// No more is read.
    pub fn finish(&mut self) {
        if !self.is_over() {
            let Stream { seq, said, is_final, .. } = self;
            let why = format!("it has no end: {seq} events, {} bytes of text, chat's end: {is_final}", said.len());
            self.fail(why);
        }
    }

    fn hear_agent(&mut self, event: &Payload<'_>) -> Result<(), String> {
        if event.seq != self.seq + 1 {
            return Err(format!("event {} of a run follows on {}", event.seq, self.seq));
        }
        self.seq = event.seq;
        if self.ended.is_some() {
            return Err("an event of a run follows on its end".to_string());
        }
        let text = |name: &str| event.data[name].as_str().unwrap_or_default();
        match event.stream {
            Some("assistant") => {
                self.first.get_or_insert(self.asked.elapsed());
                self.said.push_str(text("delta"));
                if text("text") != self.said || !self.expected.starts_with(self.said.trim_end()) {
                    return Err(format!("the text {:?} is not what was said so far", text("text")));
                }
            }
            Some("lifecycle") if matches!(text("phase"), "end" | "error") => {
                self.ended = Some(self.asked.elapsed());
                if text("phase") == "error" || self.said.trim_end() != self.expected {
                    return Err(format!("a run ended with {:?}: {}", self.said, event.data));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn hear_chat(&mut self, event: &Payload<'_>) -> Result<(), String> {
        // Told of runs of `agent` as well.
        let text = event.message["content"][0]["text"].as_str().unwrap_or_default();
        if self.is_final || event.seq < self.chat_seq {
            return Err(format!("a chat event {} follows on {}", event.seq, self.chat_seq));
        }
        if !text.starts_with(self.chat_said.trim_end()) {
            return Err(format!("the chat's text {text:?} does not go on from {:?}", self.chat_said));
        }
        (self.chat_seq, self.chat_said) = (event.seq, text.to_string());
        match event.state {
            Some("delta") => Ok(()),
            Some("final") if text.trim_end() == self.expected => {
                self.is_final = true;
                Ok(())
            }
            state => Err(format!("a chat ended with {state:?} and {text:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(events: &[&str]) -> Stream {
        let mut stream = Stream::new("one two".to_string(), false, Instant::now());
        for event in events {
            stream.hear(&serde_json::from_str(event).expect("an event"));
        }
        stream
    }

    const BEGIN: &str =
        r#"{"event":"agent","payload":{"runId":"r","seq":1,"stream":"lifecycle","data":{"phase":"start"}}}"#;
    const ONE: &str = r#"{"event":"agent","payload":{"runId":"r","seq":2,"stream":"assistant","data":{"text":"one ","delta":"one "}}}"#;
    const TWO: &str = r#"{"event":"agent","payload":{"runId":"r","seq":3,"stream":"assistant","data":{"text":"one two","delta":"two"}}}"#;
    const END: &str =
        r#"{"event":"agent","payload":{"runId":"r","seq":4,"stream":"lifecycle","data":{"phase":"end"}}}"#;

    #[test]
    fn a_stream_is_whole_or_says_what_is_wrong() {
        let whole = heard(&[BEGIN, ONE, TWO, END]);
        assert!(whole.is_over() && whole.fault.is_none() && whole.first.is_some());
        assert!(heard(&[BEGIN, TWO, END]).fault.is_some_and(|why| why.contains("event 3 of a run follows on 1")));
        assert!(heard(&[BEGIN, ONE, ONE]).fault.is_some());
        let early = END.replace("\"seq\":4", "\"seq\":3");
        assert!(heard(&[BEGIN, ONE, &early]).fault.is_some_and(|why| why.contains("a run ended with \"one \"")));
        let mut endless = heard(&[BEGIN, ONE, TWO]);
        assert!(!endless.is_over());
        endless.finish();
        assert!(endless.fault.is_some());
    }
}
