//! `clawhost chat`: a conversation, a line at a time. From a terminal `/stop` works while an answer comes; piped lines wait
//! for the answer to the one before.

use std::io::{BufRead, IsTerminal};

use clap::Args;
use client::{Connection, EventStream};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::answer::{Ended, Text, follow, stop, visible};
use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{print, remark};

/// Arguments of `chat`.
#[derive(Debug, Args)]
pub struct ChatArgs {
    /// The session
    #[arg(long, value_name = "KEY", default_value = "main")]
    session: String,
}

/// Talks until the input ends, /quit, or Ctrl-C while nothing is being answered.
pub fn run(args: ChatArgs, context: &Context) -> Result<(), Failure> {
    context.with_gateway(async |connection| {
        Question::new("chat.send", "chat").check(connection)?;
        let mut talk = Talk {
            connection,
            events: connection.events(),
            lines: lines_of_stdin(),
            at_terminal: std::io::stdin().is_terminal(),
            session: args.session,
            has_failed: false,
        };
        if talk.at_terminal {
            remark("/stop stops an answer, /new begins anew, /quit ends");
        }
        talk.go().await
    })
}

struct Talk<'a> {
    connection: &'a Connection,
    events: EventStream,
    lines: mpsc::Receiver<std::io::Result<String>>,
    at_terminal: bool,
    session: String,
    has_failed: bool,
}

impl Talk<'_> {
    async fn go(&mut self) -> Result<(), Failure> {
        let mut waiting = None;
        loop {
            if self.at_terminal && waiting.is_none() {
                print("> ")?;
            }
            let line = match waiting.take() {
                Some(line) => Some(line),
                None => tokio::select! {
                    line = self.lines.recv() => line.transpose().map_err(unread)?,
                    // Once somebody has listened for it, it ends nothing by itself any more.
                    Ok(()) = tokio::signal::ctrl_c() => None,
                },
            };
            let Some(line) = line else { break };
            match line.trim() {
                "" => {}
                "/quit" | "/exit" => break,
                "/stop" => {
                    stop(self.connection, &self.session, None).await?;
                }
                "/new" => {
                    let done: Result<Value, _> =
                        self.connection.request("sessions.reset", json!({ "key": self.session })).await;
                    match done {
                        Ok(_) => remark("a new conversation"),
                        Err(error) => self.failed(&error.to_string()),
                    }
                }
                _ => waiting = self.say(&line).await?,
            }
        }
        if self.has_failed { Err(Failure::Said(1)) } else { Ok(()) }
    }

    /// Says something and prints the answer. A line that came meanwhile is given back.
    async fn say(&mut self, message: &str) -> Result<Option<String>, Failure> {
        let run_id = uuid::Uuid::new_v4().to_string();
        // What came while nobody read is more than is kept, after a while, and none of it is about this run.
        self.events = self.connection.events();
        let params = json!({ "sessionKey": self.session, "message": message, "idempotencyKey": run_id });
        let taken: Result<Value, _> = self.connection.request("chat.send", params).await;
        match taken {
            Ok(answer) if answer["runId"].is_string() => {}
            // A word that stops what runs.
            Ok(_) => return Ok(None),
            Err(error) if error.shape().is_some() => {
                self.failed(&error.to_string());
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        let (mut text, mut waiting) = (Text::default(), None);
        let ended = {
            let answer = follow(&mut self.events, self.connection, &run_id, &mut text);
            tokio::pin!(answer);
            loop {
                tokio::select! {
                    ended = &mut answer => break ended?,
                    line = self.lines.recv(), if self.at_terminal && waiting.is_none() => {
                        match line.transpose().map_err(unread)?.as_deref().map(str::trim) {
                            Some("/stop") => drop(stop(self.connection, &self.session, Some(&run_id)).await?),
                            Some(line) => waiting = Some(line.to_string()),
                            None => waiting = Some("/quit".to_string()),
                        }
                    }
                    _ = tokio::signal::ctrl_c() => drop(stop(self.connection, &self.session, Some(&run_id)).await?),
                }
            }
        };
        print(text.finish())?;
        match ended {
            Ended::Said => {}
            Ended::Stopped(_) => remark("stopped"),
            Ended::Failed(why) => self.failed(&why),
        }
        Ok(waiting)
    }

    fn failed(&mut self, why: &str) {
        self.has_failed = true;
        remark(&format!("error: {}", visible(why)));
    }
}

/// Lines of standard input. The thread ends with the input, or with the program.
fn lines_of_stdin() -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn unread(error: std::io::Error) -> Failure {
    Failure::failed(format!("cannot read standard input: {error}"))
}
