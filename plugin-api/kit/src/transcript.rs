//! What happened in a scenario, as lines, so that two runs of it can be compared: a plugin that is linked in and the same
//! one from its library, or one before and after a change.

use std::fmt::Write;

use plugin_api::abi::gwp_call;
use serde_json::json;

use crate::harness::Harness;
use crate::running::Running;
use crate::world::State;

impl Running {
    /// What has happened so far: the test's calls with their answers in the order they were asked, then events, calls to
    /// others, the log, the snapshot and the key-value state.
    pub fn transcript(&self) -> Vec<String> {
        lines(&self.world.look())
    }
}

/// Runs one scenario in each harness and fails the test where the second does not do what the first does. The names say
/// which is which in the message: `same(["linked in", "loaded"], [one, other], |plugin| …)`.
#[track_caller]
pub fn same(names: [&str; 2], harnesses: [Harness; 2], scenario: impl Fn(&Running)) {
    let [one, other] = harnesses.map(|harness| {
        let plugin = harness.start();
        scenario(&plugin);
        plugin.settle();
        plugin.stop();
        plugin.transcript()
    });
    if let Some((line, one, other)) = first_difference(&one, &other) {
        panic!("line {line} of the transcripts differs\n{}: {one}\n{}: {other}", names[0], names[1]);
    }
}

fn first_difference<'t>(one: &'t [String], other: &'t [String]) -> Option<(usize, &'t str, &'t str)> {
    let line = |lines: &'t [String], index: usize| lines.get(index).map_or("(nothing more)", String::as_str);
    let longest = one.len().max(other.len());
    (0..longest).map(|index| (index + 1, line(one, index), line(other, index))).find(|(_, one, other)| one != other)
}

fn lines(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    let mut calls: Vec<_> = state.pending.iter().collect();
    calls.sort_by_key(|(call, _): &(&gwp_call, _)| **call);
    for (_, heard) in calls {
        lines.push(format!("> {} {}", heard.method, heard.params));
        lines.extend(heard.interims.iter().map(|interim| format!("< interim {interim}")));
        lines.extend(heard.result.iter().map(|result| match result {
            Ok(payload) => format!("< {payload}"),
            Err(error) => format!("< error {}", json!(error)),
        }));
        lines.extend(heard.error_payload.iter().map(|payload| format!("< with {payload}")));
    }
    for event in &state.emitted {
        let mut line = format!("event {} of {}: {}", event.name, event.plugin, event.payload);
        if let Some(conns) = &event.conns {
            let _ = write!(line, " to {conns:?}");
        }
        lines.push(line);
    }
    lines.extend(state.asked.iter().map(|asked| format!("{} asked {} {}", asked.by, asked.method, asked.params)));
    // Panics are said by the hook of a library, and by that of the program for what is linked in.
    let logs = state.logs.iter().filter(|log| log.target != "panic");
    lines.extend(logs.map(|log| format!("log {} {}: {} {}", log.level, log.target, log.message, log.fields)));
    let mut parts: Vec<_> =
        state.snapshots.iter().map(|(key, (_, value))| format!("snapshot {key}: {value}")).collect();
    parts.sort();
    lines.append(&mut parts);
    let mut entries: Vec<_> = state
        .kv
        .iter()
        .flat_map(|(plugin, entries)| {
            entries.iter().map(move |(key, value)| format!("kv of {plugin}: {key} = {value}"))
        })
        .collect();
    entries.sort();
    lines.append(&mut entries);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_found_where_it_begins() {
        let lines = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        assert_eq!(first_difference(&lines("a b"), &lines("a b")), None);
        assert_eq!(first_difference(&lines("a b c"), &lines("a x c")), Some((2, "b", "x")));
        assert_eq!(first_difference(&lines("a"), &lines("a b")), Some((2, "(nothing more)", "b")));
    }
}
