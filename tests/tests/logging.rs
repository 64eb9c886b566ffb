//! The log as whoever reads it has it: each line one thing that happened, as text or as JSON, from the level that was asked
//! for on.

use clawhost_tests::support::{Builder, Connect, Gateway, Stopped};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

/// An object in which no key comes twice.
struct Strict(Map<String, Value>);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Strict;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut access: M) -> Result<Strict, M::Error> {
                let mut map = Map::new();
                while let Some((key, value)) = access.next_entry::<String, Value>()? {
                    if map.contains_key(&key) {
                        return Err(serde::de::Error::custom(format!("{key} comes twice")));
                    }
                    map.insert(key, value);
                }
                Ok(Strict(map))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// The fields of a line, of which it has at least those that every line has.
fn fields(line: &str) -> Map<String, Value> {
    let Strict(fields) = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_else(|| panic!("no {field}: {line}"));
    let timestamp = text("timestamp");
    assert!(timestamp.len() >= 20 && timestamp.ends_with('Z') && timestamp.as_bytes()[10] == b'T', "{timestamp}");
    assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&text("level")), "{line}");
    assert!(!text("message").is_empty() && !text("target").is_empty(), "{line}");
    fields
}

/// What the log file holds, line by line.
fn in_file(stopped: &Stopped) -> Vec<Map<String, Value>> {
    let text = std::fs::read_to_string(stopped.state_dir().join("logs/clawhost.jsonl")).expect("a log file");
    assert!(text.ends_with('\n'), "the last line is whole");
    text.lines().map(fields).collect()
}

/// Lets something of each kind happen: an audit, a warning with two faults in it, a plugin that has its say.
async fn lively(builder: Builder) -> Stopped {
    let gateway = builder.start().await;
    let mut client = gateway.admin().await;
    client.ok("health", json!({})).await;
    client.refused("no.such\nmethod", json!({})).await;
    let mut stranger = gateway.knock().await;
    stranger.connect(&Connect::operator().token("wrong \n secret")).await.expect_err("the token is wrong");
    gateway.write_config("[gateway]\nprot = 1\nbnd = 2\n");
    gateway.log_line("the configuration was not taken over").await;
    client.close().await;
    gateway.stop().await
}

#[tokio::test]
async fn as_json_each_line_is_an_object_with_the_fields_of_what_happened() {
    let stopped = lively(Gateway::builder().config("[gateway.log]\nformat = \"json\"")).await;
    let lines: Vec<_> = stopped.log.lines().map(fields).collect();
    let said = |part: &str| {
        let is_it = |line: &&Map<String, Value>| line["message"].as_str().is_some_and(|text| text.contains(part));
        lines.iter().find(is_it).unwrap_or_else(|| panic!("no {part:?} in {lines:#?}"))
    };
    let start = said("listening on ws://");
    assert_eq!((&start["level"], &start["target"]), (&json!("INFO"), &json!("clawhost::boot")));
    assert!(start["plugins"].as_u64().is_some_and(|count| count > 0), "numbers are numbers: {start:?}");
    let wrong = said("the configuration was not taken over");
    assert_eq!(wrong["level"], "ERROR");
    let why = wrong["error"].as_str().expect("a text");
    assert!(why.contains("prot") && why.contains("bnd") && why.contains('\n'), "both faults, as they are: {why:?}");
    assert_eq!(said("a client is in")["target"], "clawhost::audit::connected");
    assert_eq!(said("refused a connection")["target"], "clawhost::audit::refused");
    assert!(said("refused a request")["error"].as_str().is_some_and(|text| text.contains("no.such\nmethod")));

    // The file has the same lines, each with a time of its own.
    let timeless = |mut line: Map<String, Value>| {
        line.remove("timestamp");
        line
    };
    // Lines that are written at the same time may come in either order.
    let sorted = |lines: Vec<Map<String, Value>>| {
        let mut lines: Vec<String> = lines.into_iter().map(|line| Value::from(timeless(line)).to_string()).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(lines), sorted(in_file(&stopped)));
}

#[tokio::test]
async fn as_text_each_line_begins_with_time_and_level() {
    let stopped = lively(Gateway::builder()).await;
    let lines: Vec<&str> = stopped.log.lines().collect();
    let file = in_file(&stopped);
    assert_eq!(lines.len(), file.len(), "a line for each:\n{}", stopped.log);
    for line in &lines {
        let time = line.split_whitespace().next().unwrap_or_default();
        assert!(time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{line:?}");
        assert!(!line.contains('\u{1b}'), "no colours where nobody looks: {line:?}");
    }
    // Lines that are written at the same time may come in either order.
    let mut left = lines.clone();
    for known in &file {
        let message = known["message"].as_str().expect("a text").replace('\n', "\\n");
        let is_it = |line: &&str| line.split_whitespace().nth(1) == known["level"].as_str() && line.contains(&message);
        let place = left.iter().position(is_it).unwrap_or_else(|| panic!("no line for {message:?}:\n{}", stopped.log));
        left.swap_remove(place);
    }
    let wrong = lines.iter().find(|line| line.contains("was not taken over")).expect("a line");
    assert!(wrong.contains("prot") && wrong.contains("bnd"), "both faults in one line: {wrong}");
}

/// By part as well: of this one all lines, of the others only what is wrong.
#[tokio::test]
async fn the_level_is_the_one_that_was_asked_for() {
    let level = "warn,clawhost::boot=info";
    let by_file = Gateway::builder().config(&format!("[gateway.log]\nformat = \"json\"\nlevel = \"{level}\""));
    let by_variables = Gateway::builder().variable("CLAWHOST_LOG", level).variable("CLAWHOST_LOG_FORMAT", "json");
    let by_flag = Gateway::builder()
        .config("[gateway.log]\nformat = \"json\"\nlevel = \"trace\"")
        .argument("--log-level")
        .argument(level);
    for builder in [by_file, by_variables, by_flag] {
        let stopped = lively(builder).await;
        for line in stopped.log.lines().map(fields) {
            let wrong = ["ERROR", "WARN"].contains(&line["level"].as_str().unwrap_or_default());
            assert!(wrong || (line["level"] == "INFO" && line["target"] == "clawhost::boot"), "{line:?}");
        }
        assert!(stopped.log.contains("listening on") && stopped.log.contains("was not taken over"), "{}", stopped.log);
    }
    let stopped = lively(Gateway::builder().config("[gateway.log]\nformat = \"json\"\nlevel = \"debug\"")).await;
    let debug = |line: &str| fields(line)["level"] == "DEBUG";
    assert!(stopped.log.lines().any(debug), "{}", stopped.log);
}

#[tokio::test]
async fn what_is_no_level_and_no_format_is_said() {
    for (key, value, known) in [("level", "loud", "\"debug\""), ("format", "xml", "\"json\"")] {
        let (code, said) = Gateway::builder().config(&format!("[gateway.log]\n{key} = \"{value}\"")).fail().await;
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(&format!("[gateway.log] {key} = {value:?}")) && said.contains(known), "{said}");
    }
}

#[tokio::test]
async fn lines_are_counted_by_level() {
    let gateway = Gateway::with_config("[gateway.limits]\nworker_stall_ms = 60_000").await;
    let of = |level: &str| format!("clawhost_log_lines_total{{level=\"{level}\"}}");
    assert_eq!((gateway.metric(&of("error")).await, gateway.metric(&of("warn")).await), (0.0, 0.0));
    gateway.write_config("[gateway]\nprot = 1\n");
    gateway.log_line("was not taken over").await;
    // All of them came before the one that was waited for.
    for (level, shown) in [("error", " ERROR "), ("warn", " WARN "), ("info", " INFO ")] {
        assert_eq!(gateway.metric(&of(level)).await, gateway.log_lines(shown).len() as f64, "{level}");
    }
    assert_eq!((gateway.metric(&of("error")).await, gateway.metric(&of("warn")).await), (1.0, 0.0));
    assert_eq!(gateway.metric("clawhost_log_lines_lost_total").await, 0.0);
}
