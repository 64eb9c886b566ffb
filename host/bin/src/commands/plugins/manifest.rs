//! A plugin's manifest for people.

use plugin_api::http::Admission;
use plugin_api::{Exposure, Manifest};

use crate::show::{Style, Table, clean};

/// What it is, what it serves, and what it asks for.
pub fn render(manifest: &Manifest, style: Style) -> String {
    let mut text = format!("{} {}", style.bold(&clean(&manifest.id)), clean(&manifest.version));
    for (before, what) in [(" by ", &manifest.vendor), (", licence ", &manifest.license), (": ", &manifest.summary)] {
        if !what.is_empty() {
            text.push_str(&format!("{before}{}", clean(what)));
        }
    }
    text.push('\n');
    let mut methods = Table::new(&["METHOD", "FOR", "SUMMARY"]);
    for method in &manifest.methods {
        methods.row([method.name.clone(), audience(method.role, &method.scopes), method.summary.clone()]);
    }
    let mut events = Table::new(&["EVENT", "FOR", "SUMMARY"]);
    for event in &manifest.events {
        events.row([event.name.clone(), audience(event.role, &event.scopes), event.summary.clone()]);
    }
    let mut paths = Table::new(&["PATH", "FOR", "SUMMARY"]);
    for row in &manifest.http {
        let verbs = if row.upgrade { "WebSocket".to_string() } else { row.verbs.join(", ") };
        paths.row([format!("{} ({verbs})", row.path), admission(row.admit).into(), row.summary.clone()]);
    }
    for table in [methods, events, paths].into_iter().filter(|table| !table.is_empty()) {
        text.push_str(&table.render(style));
    }
    for (what, list) in [("needs", &manifest.requires), ("calls", &manifest.invokes), ("hears", &manifest.hears)] {
        if !list.is_empty() {
            text.push_str(&format!("{} {}\n", style.bold(&format!("{what}:")), clean(&list.join(", "))));
        }
    }
    text
}

fn audience(role: Exposure, scopes: &[String]) -> String {
    match role {
        Exposure::Operator if scopes.is_empty() => "every operator".into(),
        Exposure::Operator => scopes.join(", "),
        Exposure::Node => "nodes".into(),
        Exposure::OperatorAndNode => "everyone".into(),
        Exposure::Internal => "plugins".into(),
    }
}

fn admission(admit: Admission) -> &'static str {
    match admit {
        Admission::Gateway => "whoever has the gateway's token",
        Admission::Capability => "paired nodes and operators",
        Admission::Plugin => "whom the plugin lets in",
        Admission::Anyone => "anyone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_an_operator_decides_about_is_shown() {
        let manifest = r#"{"manifest":1,"id":"w","version":"1","vendor":"org.example","summary":"Weather.",
            "invokes":["send"],"methods":[{"name":"w.now","summary":"Now.","role":"operator","scopes":["operator.read"],
            "params":{}}],"http":[{"path":"/w","verbs":["POST"],"admit":"anyone","summary":"A hook."}]}"#;
        let shown = render(&Manifest::parse(manifest).unwrap(), Style::plain());
        let expected = "w 1 by org.example: Weather.\nMETHOD  FOR            SUMMARY\nw.now   operator.read  Now.\n\
             PATH       FOR     SUMMARY\n/w (POST)  anyone  A hook.\ncalls: send\n";
        assert_eq!(shown, expected);
    }
}
