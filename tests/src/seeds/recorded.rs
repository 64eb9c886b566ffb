//! What fuzzing takes from recordings: the conversations that tests play again, lines of others, and requests of a client of
//! the HTTP doors.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::files;

/// The gateway's usual port, in the place of the one that was recorded.
const HOST: &str = "127.0.0.1:18789";

/// Every line of every recording.
fn lines() -> Vec<Value> {
    let files = ["tests/transcripts", "tests/fixtures/recorded"].into_iter().flat_map(files);
    let lines: Vec<Vec<Value>> = files
        .map(|file| {
            file.lines().map(|line| serde_json::from_str(line).expect("a line of a recording is JSON")).collect()
        })
        .collect();
    lines.concat()
}

/// Every frame, once.
pub fn frames() -> Vec<String> {
    once(lines().iter().filter_map(|line| line.get("frame").map(Value::to_string)))
}

/// Heads of requests: what is asked for, and a line for each header.
pub fn heads() -> Vec<String> {
    let head = |line: &Value| {
        let (url, headers) = (line["url"].as_str()?, line["headers"].as_object()?);
        let headers = headers.iter().filter_map(|(name, value)| Some(format!("{name}: {}", value.as_str()?)));
        let head = format!("{url}\n{}", headers.collect::<Vec<_>>().join("\n"));
        Some(line["headers"]["host"].as_str().map_or(head.clone(), |host| head.replace(host, HOST)))
    };
    once(lines().iter().filter_map(head))
}

/// Bodies of requests to this path.
pub fn bodies(path: &str) -> Vec<String> {
    let lines = lines();
    let to_path = lines.iter().filter(|line| line["url"] == path);
    once(to_path.filter_map(|line| Some(line["body"].as_str()?.to_string())))
}

/// Parameters of methods and payloads of events whose names begin like this.
pub fn said(names: &[&str]) -> Vec<String> {
    let about = |line: &Value| {
        let frame = line.get("frame")?;
        let name = frame["method"].as_str().or(frame["event"].as_str())?;
        let said = frame.get("params").or(frame.get("payload"))?;
        names.iter().any(|beginning| name.starts_with(beginning)).then(|| said.to_string())
    };
    once(lines().iter().filter_map(about))
}

/// What people wrote, as messages of a transcript.
pub fn messages() -> Vec<String> {
    let written = |line: &Value| {
        let text = line["frame"]["params"]["message"].as_str()?;
        Some(json!({ "role": "user", "content": text }).to_string())
    };
    once(lines().iter().filter_map(written))
}

/// Rows of sessions, wherever a gateway showed some.
pub fn sessions() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if fields.contains_key("key") && fields.contains_key("sessionId") {
                    found.push(value.to_string());
                }
                fields.values().for_each(|value| collect(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    lines().iter().for_each(|line| collect(&line["frame"]["payload"], &mut found));
    once(found)
}

fn once(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    texts.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
