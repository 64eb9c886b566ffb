//! `clawhost plugins reload`: new code and new configuration for one plugin of the running gateway.

use clap::Args;
use plugin_api::catalogue::PluginReloaded;
use serde_json::json;

use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{clean, json_text, print};

/// The method that does it, and the plugin that serves that.
const RELOAD: &str = "plugins.reload";
const SERVED_BY: &str = "system";

/// Arguments of `plugins reload`.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// The plugin's id, as `clawhost plugins` lists it
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
}

/// What to ask a gateway for.
pub fn question(id: &str) -> Question<'static> {
    Question::new(RELOAD, SERVED_BY).with(json!({ "id": id }))
}

/// Asks for it and says what became of it; leaves with 1 when the plugin runs on as it was.
pub fn run(args: ReloadArgs, context: &Context) -> Result<(), Failure> {
    let question = question(&args.name);
    let answer = context.with_gateway(async |connection| question.ask(connection).await)?;
    let outcome: PluginReloaded = serde_json::from_str(answer.get()).map_err(|error| {
        Failure::failed(format!("the answer to {RELOAD} is not understood ({error}); is the gateway another version?"))
    })?;
    match (context.json, outcome.reloaded) {
        (true, true) => print(&format!("{}\n", json_text::compact(answer.get()))),
        (true, false) => print(&format!("{}\n", json_text::compact(answer.get()))).and(Err(Failure::Said(1))),
        (false, true) => print(&format!("{}\n", sentence(&args.name, &outcome))),
        (false, false) => Err(Failure::failed(sentence(&args.name, &outcome))),
    }
}

/// What became of it.
pub fn sentence(id: &str, outcome: &PluginReloaded) -> String {
    let id = clean(id);
    if !outcome.reloaded {
        let why = outcome.error.as_deref().unwrap_or("the gateway does not say why");
        return format!("{id} was not reloaded: {}", clean(why));
    }
    let plugin = &outcome.plugin;
    // A plugin that the configuration has switched off is anew without any instance.
    let what = match plugin.methods.is_empty() {
        true => clean(&plugin.state),
        false => clean(&plugin.methods.join(", ")),
    };
    let port_fault = plugin.http_port.as_ref().and_then(|port| port.error.as_deref());
    let but = port_fault.map(|fault| format!("; but its HTTP is not served: {}", clean(fault))).unwrap_or_default();
    format!("reloaded {id} {}: {what}{but}", clean(&plugin.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_that_did_not_happen_is_not_called_one() {
        let told = |reloaded: bool, error: Option<&str>, state: &str, methods: &[&str]| {
            let plugin = json!({ "id": "weather", "version": "1.1.0", "origin": "loaded", "state": state,
                "methods": methods, "events": [], "calls": 0, "errors": 0, "panics": 0 });
            let answer = json!({ "reloaded": reloaded, "error": error, "plugin": plugin });
            sentence("weather", &serde_json::from_value(answer).unwrap())
        };
        let failed = told(false, Some("no\u{7}file"), "running", &["a"]);
        assert_eq!(failed, "weather was not reloaded: no\\u{7}file");
        assert_eq!(told(true, None, "running", &["a", "b"]), "reloaded weather 1.1.0: a, b");
        assert_eq!(told(true, None, "disabled", &[]), "reloaded weather 1.1.0: disabled");
        let unserved = json!({ "reloaded": true, "plugin": { "id": "weather", "version": "1.1.0", "origin": "linked",
            "state": "running", "methods": [], "events": [], "calls": 0, "errors": 0, "panics": 0,
            "httpPort": { "port": 18793, "error": "taken" } } });
        assert_eq!(
            sentence("weather", &serde_json::from_value(unserved).unwrap()),
            "reloaded weather 1.1.0: running; but its HTTP is not served: taken"
        );
    }
}
