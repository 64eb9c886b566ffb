//! What a `system-event` says: free text, fields beside it, and the one form of text that desktop apps send, which has
//! the fields inside: `Node: HOST (IP) · app VERSION · last input Ns ago · mode MODE · reason REASON`.
//!
//! Clients of every age send this; a field of a wrong type is passed over instead of refused.

use schemas::PresenceEntry;
use serde_json::{Map, Value};

/// Longest text kept; longer ones are cut. A row goes to every operator, and to each of them again at every change.
const MAX_TEXT: usize = 2_000;
/// Longest field kept.
const MAX_FIELD: usize = 200;
/// Most items of a list kept.
pub(crate) const MAX_ITEMS: usize = 32;

/// A `system-event`, read.
pub(crate) struct Announcement {
    /// The row it is about.
    pub(crate) key: String,
    /// What it says of that row.
    pub(crate) entry: PresenceEntry,
    /// The text, trimmed and bounded.
    pub(crate) text: String,
    /// Whether the text has the form of a machine's report rather than of news for an agent.
    is_report: bool,
}

impl Announcement {
    /// Reads the parameters; `None` without a text.
    pub(crate) fn read(params: &Map<String, Value>, now_ms: u64) -> Option<Self> {
        let text = params.get("text").and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())?;
        let text = clip(text, MAX_TEXT);
        let inside = report(&text);
        let field = |name: &str| params.get(name).and_then(Value::as_str).and_then(word);
        let entry = PresenceEntry {
            host: field("host").or(inside.host.clone()),
            ip: field("ip").or(inside.ip),
            version: field("version").or(inside.version),
            platform: field("platform"),
            device_family: field("deviceFamily"),
            model_identifier: field("modelIdentifier"),
            mode: field("mode").or(inside.mode),
            reason: field("reason").or(inside.reason),
            device_id: field("deviceId"),
            instance_id: field("instanceId"),
            last_input_seconds: params.get("lastInputSeconds").and_then(seconds).or(inside.last_input_seconds),
            tags: params.get("tags").and_then(words),
            roles: params.get("roles").and_then(words),
            scopes: params.get("scopes").and_then(words),
            text: Some(text.clone()),
            ts: now_ms,
        };
        let key = [&entry.device_id, &entry.instance_id, &inside.host, &entry.ip].into_iter().flatten().next();
        let key = key.cloned().unwrap_or_else(|| text.chars().take(64).collect()).to_lowercase();
        let is_report = text.starts_with("Node:");
        Some(Announcement { key, entry, text, is_report })
    }

    /// Whether agents should hear of it. A machine reports every few minutes that it is still there; that is news only
    /// when something about it changed.
    pub(crate) fn is_news(&self, before: Option<&PresenceEntry>, after: &PresenceEntry) -> bool {
        if !self.is_report {
            return true;
        }
        let Some(before) = before else { return true };
        let reason = after.reason.as_deref().unwrap_or_default().to_lowercase();
        let routine = reason.starts_with("periodic") || reason == "heartbeat";
        before.host != after.host
            || before.ip != after.ip
            || before.version != after.version
            || before.mode != after.mode
            || (before.reason != after.reason && !routine)
    }
}

/// The fields inside a report; none in any other text. Parts may be missing or come in another order.
fn report(text: &str) -> PresenceEntry {
    let mut entry = PresenceEntry::default();
    let Some(rest) = text.strip_prefix("Node:") else { return entry };
    let mut parts = rest.split('·').map(str::trim);
    let machine = parts.next().unwrap_or_default();
    match machine.rsplit_once('(') {
        Some((host, ip)) if ip.ends_with(')') => {
            entry.host = word(host);
            entry.ip = word(ip.trim_end_matches(')'));
        }
        _ => entry.host = word(machine),
    }
    for part in parts {
        if let Some(version) = part.strip_prefix("app ") {
            entry.version = word(version);
        } else if let Some(ago) = part.strip_prefix("last input ") {
            entry.last_input_seconds = ago.strip_suffix("s ago").and_then(|seconds| seconds.trim().parse().ok());
        } else if let Some(mode) = part.strip_prefix("mode ") {
            entry.mode = word(mode);
        } else if let Some(reason) = part.strip_prefix("reason ") {
            entry.reason = word(reason);
        }
    }
    entry
}

fn word(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| clip(text, MAX_FIELD))
}

fn words(value: &Value) -> Option<Vec<String>> {
    let items: Option<Vec<&str>> = value.as_array()?.iter().map(Value::as_str).collect();
    let words: Vec<String> = items?.into_iter().filter_map(word).take(MAX_ITEMS).collect();
    (!words.is_empty()).then_some(words)
}

fn seconds(value: &Value) -> Option<u64> {
    let number = value.as_f64()?;
    (0.0..=9e15).contains(&number).then_some(number as u64)
}

fn clip(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(params: Value) -> Option<Announcement> {
        Announcement::read(params.as_object().unwrap(), 5)
    }

    const LINE: &str = "Node: Desk (10.0.0.4) · app 2026.1.24 · last input 12s ago · mode local · reason periodic";

    #[test]
    fn a_report_has_its_fields_inside() {
        let said = read(json!({ "text": LINE })).unwrap();
        let entry = &said.entry;
        assert_eq!((entry.host.as_deref(), entry.ip.as_deref()), (Some("Desk"), Some("10.0.0.4")));
        assert_eq!((entry.version.as_deref(), entry.last_input_seconds), (Some("2026.1.24"), Some(12)));
        assert_eq!((entry.mode.as_deref(), entry.reason.as_deref()), (Some("local"), Some("periodic")));
        assert_eq!((said.key.as_str(), entry.text.as_deref(), entry.ts), ("desk", Some(LINE), 5));
        let short = read(json!({ "text": "Node: My Desk · mode local" })).unwrap();
        assert_eq!((short.entry.host.as_deref(), short.entry.ip), (Some("My Desk"), None));
        assert_eq!(read(json!({ "text": "Node:" })).unwrap().entry.host, None);
    }

    #[test]
    fn fields_beside_the_text_win_and_wrong_ones_are_passed_over() {
        let said = read(json!({
            "text": LINE, "host": "Other", "ip": 7, "mode": "", "deviceId": "DEV", "lastInputSeconds": 3.9,
            "tags": ["a", "", "b"], "roles": ["x", 1], "scopes": "operator.read", "reason": null,
        }))
        .unwrap();
        let entry = said.entry;
        assert_eq!((entry.host.as_deref(), entry.ip.as_deref()), (Some("Other"), Some("10.0.0.4")));
        assert_eq!((entry.mode.as_deref(), entry.reason.as_deref()), (Some("local"), Some("periodic")));
        assert_eq!((entry.last_input_seconds, said.key.as_str()), (Some(3), "dev"));
        assert_eq!(
            (entry.tags.unwrap().as_slice(), entry.roles, entry.scopes),
            (&["a".into(), "b".into()][..], None, None)
        );
        let negative = read(json!({ "text": LINE, "lastInputSeconds": -1 })).unwrap();
        assert_eq!(negative.entry.last_input_seconds, Some(12));
    }

    #[test]
    fn keys_in_their_order() {
        let key = |params| read(params).unwrap().key;
        assert_eq!(key(json!({ "text": LINE, "deviceId": "D", "instanceId": "I" })), "d");
        assert_eq!(key(json!({ "text": LINE, "instanceId": "I" })), "i");
        assert_eq!(key(json!({ "text": "hello", "ip": "10.0.0.9" })), "10.0.0.9");
        assert_eq!(key(json!({ "text": "Ü".repeat(100) })), "ü".repeat(64));
    }

    #[test]
    fn a_text_is_needed_and_bounded() {
        for params in [json!({}), json!({ "text": " \n" }), json!({ "text": 5 }), json!({ "text": null })] {
            assert!(read(params).is_none());
        }
        assert_eq!(read(json!({ "text": "é".repeat(3_000) })).unwrap().text.chars().count(), 2_000);
    }

    #[test]
    fn a_report_is_news_when_something_changed() {
        let said = read(json!({ "text": LINE })).unwrap();
        let row = said.entry.clone();
        assert!(said.is_news(None, &row));
        assert!(!said.is_news(Some(&row), &row));
        let changed = |change: fn(&mut PresenceEntry)| {
            let mut before = row.clone();
            change(&mut before);
            said.is_news(Some(&before), &row)
        };
        assert!(changed(|row| row.ip = None));
        assert!(changed(|row| row.version = Some("1".into())));
        assert!(!changed(|row| row.last_input_seconds = None));
        assert!(!changed(|row| row.reason = Some("connect".into())), "the new reason is routine");
        let mut left = row.clone();
        left.reason = Some("sleep".into());
        assert!(said.is_news(Some(&row), &left));
        let words = read(json!({ "text": "Backup finished" })).unwrap();
        assert!(words.is_news(Some(&words.entry), &words.entry));
    }
}
