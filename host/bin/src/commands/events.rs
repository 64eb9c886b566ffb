//! `clawhost events`: one line for each event, until Ctrl-C. A lost connection is made again, and with a gateway of
//! this machine its address and secret are looked up again too, since a restart may have changed both.

use clap::Args;
use client::event::EventFrame;
use client::retry::{Verdict, verdict};
use client::{Backoff, ClientError, Connection, Event};
use serde_json::json;
use serde_json::value::RawValue;

use crate::cli::Context;
use crate::failure::Failure;
use crate::session::{block_on, until_interrupted};
use crate::show::{Style, clean, clock, json_text, print, remark};

/// Arguments of `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only events of this name; * stands for anything, and the flag may be repeated
    #[arg(long = "name", value_name = "PATTERN")]
    names: Vec<String>,
}

/// Follows the stream.
pub fn run(args: EventsArgs, context: &Context) -> Result<(), Failure> {
    block_on(until_interrupted(follow(&args, context)))
}

async fn follow(args: &EventsArgs, context: &Context) -> Result<(), Failure> {
    let mut backoff = Backoff::default();
    // The first connection has to stand: a wrong address or secret shall not look like silence.
    let mut connection = Connection::open(context.target.options()?).await?;
    loop {
        remark(&format!("connected to gateway {}", clean(&connection.hello().server.version)));
        let lost = read(&connection, args, context).await?;
        remark(&format!("{}; connecting again", clean(&lost.to_string())));
        connection = reconnect(&mut backoff, context).await?;
        backoff.reset();
    }
}

/// Prints events until the connection is over, and says why it is.
async fn read(connection: &Connection, args: &EventsArgs, context: &Context) -> Result<ClientError, Failure> {
    let mut events = connection.events();
    while let Some(event) = events.next().await {
        match event {
            Event::Frame(frame) if args.wants(&frame.event) => {
                let line = if context.json { for_scripts(&frame) } else { for_people(&frame, context.style) };
                print(&format!("{line}\n"))?;
            }
            Event::Frame(_) => {}
            Event::Gap { expected, received } => {
                remark(&format!("lost: {} events before #{received}", received.saturating_sub(expected)));
            }
            Event::Lagged { missed } => {
                remark(&format!("lost: {missed} events, which came faster than they were read"))
            }
        }
    }
    Ok(connection.closed().await)
}

async fn reconnect(backoff: &mut Backoff, context: &Context) -> Result<Connection, Failure> {
    loop {
        tokio::time::sleep(backoff.delay()).await;
        let opened = match context.target.options() {
            Ok(options) => Connection::open(options).await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        match opened {
            Ok(connection) => return Ok(connection),
            Err(failure) if is_final(&failure) => return Err(failure),
            // No gateway yet, or not one that lets in: it may be starting.
            Err(_) => {}
        }
    }
}

fn is_final(failure: &Failure) -> bool {
    match failure {
        Failure::Client(error) => verdict(error) == Verdict::GiveUp,
        Failure::Failed(_) => false,
        Failure::Usage(_) | Failure::Said(_) | Failure::NobodyReads => true,
    }
}

impl EventsArgs {
    fn wants(&self, event: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|pattern| fits(pattern, event))
    }
}

/// Whether a name fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let (tail, middle) = parts.split_last().expect("splitting gives at least one part");
    for part in middle {
        match left.find(part) {
            Some(place) => left = &left[place + part.len()..],
            None => return false,
        }
    }
    left.ends_with(tail)
}

fn for_people(frame: &EventFrame, style: Style) -> String {
    let number = frame.seq.map(|seq| format!(" #{seq}")).unwrap_or_default();
    let name = style.bold(&clean(&frame.event));
    let payload = frame.payload.as_deref().map(RawValue::get).map(json_text::compact).unwrap_or_default();
    format!("{} {name}{number} {payload}", clock(schemas::now_ms())).trim_end().to_string()
}

fn for_scripts(frame: &EventFrame) -> String {
    let mut line = json!({ "event": frame.event });
    if let Some(seq) = frame.seq {
        line["seq"] = json!(seq);
    }
    if let Some(version) = frame.state_version {
        line["stateVersion"] = json!(version);
    }
    let mut text = line.to_string();
    if let Some(payload) = &frame.payload {
        // Put in as text, so that it stays as the gateway sent it.
        text.truncate(text.len() - 1);
        text.push_str(&format!(",\"payload\":{}}}", json_text::compact(payload.get())));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> EventFrame {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn patterns_fit_names() {
        for (pattern, name, expected) in [
            ("tick", "tick", true),
            ("tick", "ticks", false),
            ("*", "anything", true),
            ("device.*", "device.pair.requested", true),
            ("device.*", "devices", false),
            ("*.requested", "device.pair.requested", true),
            ("d*pair*d", "device.pair.requested", true),
            ("d*pair*x*d", "device.pair.requested", false),
            ("aa*aa", "aaa", false),
            ("**", "", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        assert!(EventsArgs { names: vec![] }.wants("x"));
        assert!(!EventsArgs { names: vec!["a".into(), "b*".into()] }.wants("x"));
    }

    #[test]
    fn one_line_an_event() {
        let event = frame(
            "{\"type\":\"event\",\"event\":\"health\",\"seq\":7,\"payload\":{\"b\":1.50,\n\"a\":[ ]},\
                           \"stateVersion\":{\"presence\":1,\"health\":2}}",
        );
        let script = for_scripts(&event);
        assert!(script.ends_with(r#","payload":{"b":1.50,"a":[]}}"#), "{script}");
        let read: serde_json::Value = serde_json::from_str(&script).unwrap();
        assert_eq!((&read["seq"], &read["stateVersion"]["health"]), (&json!(7), &json!(2)));
        assert!(for_people(&event, Style::plain()).ends_with(r#"Z health #7 {"b":1.50,"a":[]}"#));
        assert_eq!(for_scripts(&frame(r#"{"type":"event","event":"x"}"#)), r#"{"event":"x"}"#);
    }

    #[test]
    fn waiting_makes_sense_only_while_something_can_change() {
        assert!(!is_final(&Failure::failed("no gateway is running")));
        assert!(!is_final(&ClientError::Io("refused".into()).into()));
        assert!(is_final(&Failure::usage("config")));
        assert!(is_final(&ClientError::Options("address".into()).into()));
    }
}
