//! `clawhost config`: what a gateway started here would take from file, environment and flags; none has to run.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use clawhost::config::{Config, ConfigError, Issue, suggest};
use clawhost::plugins;
use clawhost::state::{LocalGateway, read_gateway_json};
use serde_json::{Value, json};

use crate::builtin;
use crate::cli::{Context, absolute};
use crate::failure::Failure;
use crate::show::{json_text, print, remark};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say all that is wrong with it; leaves with 2 if anything is
    Check,
    /// Print it with every default and without secrets
    Show,
}

/// Checks or shows.
pub fn run(command: ConfigCommand, context: &Context) -> Result<(), Failure> {
    let loaded = load(context, &|name| std::env::var(name).ok());
    match command {
        ConfigCommand::Check => check(with_plugins(loaded)?, context),
        ConfigCommand::Show => show(&loaded.map_err(|error| Failure::usage(error.to_string()))?, context),
    }
}

/// Reads the configuration as a start would, and tells all that is wrong with it at once. Its file is named so that it can be
/// found from everywhere.
pub(super) fn load(context: &Context, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    match Config::load(context.target.overrides(), env) {
        Ok(mut config) => {
            if let Some(file) = &mut config.file {
                file.path = absolute(std::mem::take(&mut file.path));
            }
            config.check_plugin_ids(builtin::EXPECTED).map(|()| config)
        }
        Err(mut error) => {
            let text = error.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
            error.issues.extend(text.iter().flat_map(|text| unknown_plugins(text)));
            error.file = error.file.map(absolute);
            Err(error)
        }
    }
}

/// The state folder as far as it can be known: with a broken configuration, the usual one.
pub(super) fn state_dir(context: &Context, config: Option<&Config>) -> PathBuf {
    let said = || context.target.state_dir().ok();
    let configured = config.map(|config| config.gateway.state_dir.clone());
    configured.or_else(said).unwrap_or_else(|| Config::default().gateway.state_dir)
}

/// The file that was read, or that a start would have read if it were there; unknown where none could be read at all.
pub(super) fn looked_at(loaded: &Result<Config, ConfigError>) -> Option<PathBuf> {
    match loaded {
        Ok(config) => Some(absolute(config.followed())),
        Err(error) => error.file.clone(),
    }
}

/// The file that a gateway which runs reads, if that is another one.
pub(super) fn read_instead(looked_at: &Path, running: &LocalGateway) -> Option<PathBuf> {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    running.config.clone().filter(|followed| whole(followed) != whole(looked_at))
}

/// The same with what the plugins say of their tables. A gateway would start without such a plugin, so only whoever asks
/// for a check hears of it here.
fn with_plugins(loaded: Result<Config, ConfigError>) -> Result<Result<Config, ConfigError>, Failure> {
    let linked = plugins::linked(builtin::EXPECTED).map_err(Failure::failed)?;
    Ok(loaded.and_then(|config| match plugins::check_tables(&config, &linked) {
        issues if issues.is_empty() => Ok(config),
        issues => Err(ConfigError { file: config.file.map(|file| file.path), issues }),
    }))
}

/// Plugins whose files are not opened here, with their files: what is in them is code.
fn unopened(config: &Config) -> impl Iterator<Item = (&String, PathBuf)> {
    let enabled = config.plugins.iter().filter(|(_, settings)| settings.enabled);
    enabled.filter_map(|(id, settings)| Some((id, config.plugin_file(settings)?)))
}

/// Tables of plugins that do not exist, in a file that has other mistakes too: all of them are told at once.
fn unknown_plugins(text: &str) -> Vec<Issue> {
    let file: toml::Table = text.parse().unwrap_or_default();
    let tables = file.get("plugins").and_then(toml::Value::as_table).into_iter().flatten();
    // A table with a path is that of a plugin from a shared library, which may have any id.
    let ids = tables.filter(|(_, table)| table.get("path").is_none()).map(|(id, _)| id);
    let unknown = ids.filter(|id| !builtin::EXPECTED.contains(&id.as_str()));
    let known = || builtin::EXPECTED.iter().copied();
    let issue = |id: &String| Issue {
        path: format!("plugins.{id}"),
        message: format!("[plugins.{id}]: no such plugin{}", suggest::hint(id, known())),
        line: None,
    };
    unknown.map(issue).collect()
}

fn check(loaded: Result<Config, ConfigError>, context: &Context) -> Result<(), Failure> {
    if context.json {
        print(&format!("{}\n", verdict(&loaded)))?;
    }
    let looked_at = looked_at(&loaded);
    let running = read_gateway_json(&state_dir(context, loaded.as_ref().ok()));
    if let (Some(file), Some(running)) = (&looked_at, &running)
        && let Some(other) = read_instead(file, running)
    {
        remark(&format!("note: this is about {}; the gateway that runs reads {}", file.display(), other.display()));
    }
    let config = match loaded {
        Ok(config) => config,
        Err(error) => {
            let count = error.issues.len();
            remark(&error.to_string());
            let things = if count == 1 { "1 thing is".to_string() } else { format!("{count} things are") };
            // For scripts everything is said; a second object would be one too many.
            let place = looked_at.map(|file| format!(" in {}", file.display())).unwrap_or_default();
            let sentence = format!("{things} wrong with the configuration{place}");
            return Err(if context.json { Failure::Said(2) } else { Failure::usage(sentence) });
        }
    };
    for warning in &config.warnings {
        remark(&format!("warning: {warning}"));
    }
    for (id, file) in unopened(&config) {
        let file = file.display();
        remark(&format!("not checked: [plugins.{id}] against {file}; `clawhost plugins check {file}` runs its code"));
    }
    if context.json { Ok(()) } else { print(&format!("{}: nothing is wrong\n", source(&config))) }
}

fn verdict(loaded: &Result<Config, ConfigError>) -> Value {
    match loaded {
        Ok(config) => json!({
            "valid": true, "path": config.file.as_ref().map(|file| &file.path), "issues": [],
            "warnings": config.warnings, "notChecked": unopened(config).map(|(id, _)| id).collect::<Vec<_>>(),
        }),
        Err(error) => {
            let issue = |issue: &Issue| json!({ "path": issue.path, "message": issue.message, "line": issue.line });
            let issues: Vec<_> = error.issues.iter().map(issue).collect();
            json!({ "valid": false, "path": error.file, "issues": issues, "warnings": [], "notChecked": [] })
        }
    }
}

fn show(config: &Config, context: &Context) -> Result<(), Failure> {
    let shown = config.redacted();
    if context.json {
        return print(&format!("{}\n", json_text::compact(&shown.to_string())));
    }
    let text = toml::to_string_pretty(&without_nulls(shown))
        .map_err(|error| Failure::failed(format!("the configuration cannot be shown as TOML: {error}")))?;
    print(&format!("# {}\n{text}", source(config)))
}

fn source(config: &Config) -> String {
    match &config.file {
        Some(file) => file.path.display().to_string(),
        None => "no configuration file".to_string(),
    }
}

/// TOML has no word for nothing; a key without a value is left out.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().filter(|item| !item.is_null()).map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(all(test, feature = "health"))]
mod tests {
    use super::*;
    use crate::show::Style;
    use crate::target::Target;

    fn loaded(text: &str) -> Result<Config, ConfigError> {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        let target = Target { config: Some(file), state_dir: Some(root.path().join("state")), ..Target::default() };
        load(&Context { target, json: false, style: Style::plain() }, &|_| None)
    }

    #[test]
    fn a_verdict_lists_everything() {
        let wrong = loaded("[gateway]\nprot = 1\nbind = 5\n");
        let verdict = verdict(&wrong);
        assert_eq!(verdict["valid"], false);
        assert_eq!(verdict["issues"].as_array().unwrap().len(), 2);
        assert_eq!(verdict["issues"][0]["line"], 2);
        assert_eq!(super::verdict(&loaded("[plugins.health]\nenabled = false\n"))["valid"], true);
        assert_eq!(super::verdict(&loaded("[plugins.healht]\n"))["valid"], false);
        let both = loaded("[plugins.healht]\n[gateway]\nprot = 1\n").unwrap_err().to_string();
        assert!(both.contains("did you mean \"port\"?") && both.contains("did you mean \"health\"?"), "{both}");
    }

    #[test]
    fn tables_of_plugins_are_checked_as_a_start_does() {
        let checked = |text: &str| with_plugins(loaded(text)).unwrap();
        for (text, line, fault) in [
            ("[plugins.status.config]\nfoo = 1\n", 1, "[plugins.status.config]: the plugin takes no configuration"),
            ("\n[plugins.health.config]\nrefresh_ms = \"x\"\n", 2, "at /refresh_ms: must be integer"),
            ("[plugins.health]\nmethods = [\"helth\"]\n", 1, "has no method \"helth\"; did you mean \"health\"?"),
        ] {
            let error = checked(text).unwrap_err();
            assert_eq!((error.issues.len(), error.issues[0].line), (1, Some(line)), "{error}");
            assert!(error.to_string().contains(fault), "{error}");
            assert!(loaded(text).is_ok(), "the gateway would start with {text}");
        }
        checked("[plugins.health.config]\nrefresh_ms = 30000\n").unwrap();
        checked("[plugins.status]\nenabled = false\n[plugins.status.config]\nfoo = 1\n").unwrap();
        let both = checked("[plugins.status.config]\nfoo = 1\n[plugins.health.config]\nfoo = 1\n").unwrap_err();
        assert_eq!(both.issues.len(), 2, "{both}");
    }

    #[test]
    fn files_of_plugins_are_not_opened() {
        let checked = with_plugins(loaded("[plugins.weather]\npath = \"w.so\"\n[plugins.weather.config]\na = 1\n"));
        assert_eq!(verdict(&checked.unwrap())["notChecked"], json!(["weather"]));
        let off = with_plugins(loaded("[plugins.weather]\npath = \"w.so\"\nenabled = false\n"));
        assert_eq!(verdict(&off.unwrap())["notChecked"], json!([]));
    }

    #[test]
    fn what_is_shown_is_toml_again() {
        let config = loaded("[gateway.auth]\ntoken = \"s3cret\"\n[plugins.health.config]\na = [1, \"x\"]\n").unwrap();
        let text = toml::to_string_pretty(&without_nulls(config.redacted())).unwrap();
        assert!(!text.contains("s3cret"));
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(read["gateway"]["auth"]["mode"].as_str(), Some("token"));
        assert_eq!(read["plugins"]["health"]["config"]["a"][0].as_integer(), Some(1));
        assert_eq!(without_nulls(json!({"a": null, "b": [null, {"c": null}]})), json!({"b": [{}]}));
    }
}
