//! `clawhost plugins`: which plugins there are and how they are doing.

use plugin_api::catalogue::PluginState;
use serde::Deserialize;

use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, Table, clean};

/// Prints the list.
pub fn run(context: &Context) -> Result<(), Failure> {
    context.show(&Question::new("system.plugins", "system"), |list: Plugins| Ok(render(&list.plugins, context.style)))
}

#[derive(Deserialize)]
struct Plugins {
    plugins: Vec<PluginState>,
}

fn render(plugins: &[PluginState], style: Style) -> String {
    let mut table =
        Table::new(&["PLUGIN", "VERSION", "ORIGIN", "STATE", "METHODS", "CALLS", "ERRORS", "PANICS", "SUMMARY"]);
    for plugin in plugins {
        table.row([
            plugin.id.clone(),
            plugin.version.clone(),
            plugin.origin.clone(),
            plugin.state.clone(),
            plugin.methods.len().to_string(),
            plugin.calls.to_string(),
            plugin.errors.to_string(),
            plugin.panics.to_string(),
            plugin.summary.clone(),
        ]);
    }
    let mut text = table.render(style);
    for plugin in plugins {
        let port_fault = plugin.http_port.as_ref().and_then(|port| port.error.as_ref());
        for error in plugin.error.iter().chain(port_fault) {
            text.push_str(&format!("{} {}\n", style.red(&format!("{}:", clean(&plugin.id))), clean(error)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn why_a_plugin_failed_is_below() {
        let list = json!({"plugins": [
            {"id": "health", "version": "1.0.0", "summary": "How it is.", "origin": "linked", "state": "running",
             "methods": ["health"], "events": ["health"], "calls": 12, "errors": 1, "panics": 0,
             "httpPort": {"port": 18793, "error": "taken"}},
            {"id": "voice", "version": "2.0.0", "origin": "loaded", "state": "failed", "error": "no\u{7}file",
             "methods": [], "events": [], "calls": 0, "errors": 0, "panics": 0},
        ]});
        let list: Plugins = serde_json::from_value(list).unwrap();
        let expected = "PLUGIN  VERSION  ORIGIN  STATE    METHODS  CALLS  ERRORS  PANICS  SUMMARY\n\
                        health  1.0.0    linked  running  1        12     1       0       How it is.\n\
                        voice   2.0.0    loaded  failed   0        0      0       0       -\n\
                        health: taken\n\
                        voice: no\\u{7}file\n";
        assert_eq!(render(&list.plugins, Style::plain()), expected);
    }
}
