//! `clawhost agent`: one message to an agent, and its answer as it comes. Ctrl-C stops the run; where the gateway does not
//! stop it, it is said that it goes on. A second Ctrl-C waits for nothing more.

use std::time::Duration;

use clap::Args;
use client::{Connection, EventStream};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::signal::ctrl_c;
use tokio::sync::SetOnce;

use super::answer::{Ended, Text, follow, stop};
use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{json_text, print};

/// How long a run may take when nobody says.
const LIMIT: Duration = Duration::from_secs(600);
/// What the gateway is given beyond that to say that it took too long.
const GRACE: Duration = Duration::from_secs(15);

/// Arguments of `agent`.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// What to say to the agent
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    message: String,
    /// The agent, if not the default one
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// The session, if not the agent's main one
    #[arg(long, value_name = "KEY")]
    session: Option<String>,
    /// How much it shall think, such as low or high
    #[arg(long, value_name = "LEVEL")]
    thinking: Option<String>,
}

/// Says it, and prints the answer. `--timeout` is for the whole run.
pub fn run(args: AgentArgs, context: &Context) -> Result<(), Failure> {
    let limit = context.target.timeout.unwrap_or(LIMIT);
    let run_id = uuid::Uuid::new_v4().to_string();
    let mut params = json!({
        "message": args.message, "idempotencyKey": run_id, "deliver": false,
        "timeout": limit.as_secs_f64().ceil() as u64,
    });
    for (key, value) in [("agentId", &args.agent), ("sessionKey", &args.session), ("thinking", &args.thinking)] {
        if let Some(value) = value {
            params[key] = json!(value);
        }
    }
    context.with_gateway(async |connection| {
        let mut events = connection.events();
        let taken = SetOnce::new();
        let question = Question::new("agent", "agent").with(params);
        question.check(connection)?;
        let asking = ask(connection, &mut events, &question, (&run_id, &taken), limit + GRACE, context.json);
        tokio::pin!(asking);
        tokio::select! {
            done = &mut asking => return done,
            _ = ctrl_c() => {}
        }
        let said = args.session.as_deref().unwrap_or("main");
        // What the gateway has not taken yet, it would not find to stop.
        let key = tokio::select! {
            done = &mut asking => return done,
            key = taken.wait() => key.as_deref().unwrap_or(said),
            _ = ctrl_c() => return Err(goes_on(&run_id, said, "the gateway has not taken it yet")),
        };
        let stopped = tokio::select! {
            stopped = stop(connection, key, Some(&run_id)) => stopped,
            _ = ctrl_c() => return Err(goes_on(&run_id, key, "the gateway has not said that it stopped it")),
        };
        Err(match stopped {
            Ok(stopped) if stopped["aborted"] == true => Failure::failed("stopped"),
            Ok(_) => goes_on(&run_id, key, "the gateway found nothing to stop"),
            Err(failure) => goes_on(&run_id, key, &failure.sentence()),
        })
    })
}

/// A run that this program leaves behind.
fn goes_on(run_id: &str, key: &str, why: &str) -> Failure {
    let stop = json!({ "sessionKey": key, "runId": run_id });
    Failure::failed(format!(
        "not stopped: {why}\nunless it has ended, the run goes on in the gateway: `clawhost sessions show {key}` shows what \
         comes of it, `clawhost call chat.abort --params '{stop}'` stops it"
    ))
}

async fn ask(
    connection: &Connection,
    events: &mut EventStream,
    question: &Question<'_>,
    (run_id, taken): (&str, &SetOnce<Option<String>>),
    limit: Duration,
    as_json: bool,
) -> Result<(), Failure> {
    let params = serde_json::value::to_raw_value(&question.params).expect("a JSON value is serialisable");
    let answer = connection.request_final(question.method, Some(&params), Some(limit), |accepted: &RawValue| {
        // With the session, where the gateway says which it is.
        let _ = taken.set(understood(accepted)["sessionKey"].as_str().map(str::to_string));
    });
    if as_json {
        let answer = answer.await?;
        print(&format!("{}\n", json_text::compact(answer.get())))?;
        // The answer says it already.
        return if was_stopped(&understood(&answer)) { Err(Failure::Said(1)) } else { Ok(()) };
    }
    let mut text = Text::default();
    let answer = {
        let grows = async {
            match follow(events, connection, run_id, &mut text).await {
                // The answer says the same, and more.
                Ok(Ended::Said | Ended::Failed(_)) => std::future::pending().await,
                Ok(Ended::Stopped(why)) => Failure::failed(format!("the run was stopped ({why})")),
                Err(failure) => failure,
            }
        };
        tokio::select! {
            answer = answer => answer,
            failure = grows => {
                print(text.finish())?;
                return Err(failure);
            }
        }
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            print(text.finish())?;
            return Err(error.into());
        }
    };
    let answer = understood(&answer);
    if let Some(payloads) = answer["result"]["payloads"].as_array() {
        let texts: Vec<&str> = payloads.iter().filter_map(|payload| payload["text"].as_str()).collect();
        if !texts.is_empty() {
            print(&text.grow(&texts.join("\n")))?;
        }
    }
    print(text.finish())?;
    if was_stopped(&answer) { Err(Failure::failed("the run was stopped")) } else { Ok(()) }
}

fn understood(answer: &RawValue) -> Value {
    serde_json::from_str(answer.get()).unwrap_or_default()
}

fn was_stopped(answer: &Value) -> bool {
    answer["result"]["meta"]["aborted"] == true
}
