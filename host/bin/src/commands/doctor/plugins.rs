//! Plugins: those of the gateway that runs as it tells of them, and without one those of the configuration, as far as a
//! start can be foreseen.

use std::path::Path;

use clawhost::config::{Config, PluginSettings};
use clawhost::loader::{self, Checks};
use clawhost::plugins;
use plugin_api::Manifest;
use plugin_api::catalogue::PluginState;

use super::Patient;
use super::finding::{Finding, quoted};
use crate::builtin;
use crate::commands::plugins::manifest_of;
use crate::failure::Failure;

const CHECK: &str = "plugins";

/// What a start would make of the tables of plugins.
pub fn of_config(patient: &Patient) -> Result<Vec<Finding>, Failure> {
    let Some(config) = &patient.config else { return Ok(Vec::new()) };
    let linked = plugins::linked(builtin::EXPECTED).map_err(Failure::failed)?;
    let mut findings: Vec<Finding> = Vec::new();
    for issue in plugins::check_tables(config, &linked) {
        let found = Finding::error(CHECK, issue.message).key(issue.path).line(issue.line).run("clawhost config check");
        findings.push(config.file.iter().fold(found, |found, file| found.file(&file.path)));
    }
    let loaded = config.plugins.iter().filter(|(_, settings)| settings.enabled);
    for (id, settings) in loaded {
        let Some(file) = config.plugin_file(settings) else { continue };
        if let Err(why) = try_file(config, settings, &file) {
            let found = Finding::error(CHECK, format!("{id} would not be loaded: {why}"));
            let found = found.key(format!("plugins.{id}.path")).line(settings.line);
            findings.push(found.run(format!("clawhost plugins check {0} && clawhost plugins add {0}", quoted(&file))));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "a start would take every plugin's table, and the files that tables name"));
    }
    Ok(findings)
}

/// The checks of a start. The file's own code runs last, in a process of its own, and only if the bytes are those that
/// somebody wrote down.
fn try_file(config: &Config, settings: &PluginSettings, file: &Path) -> Result<(), String> {
    let copies = tempfile::tempdir().map_err(|error| format!("no temporary folder can be made: {error}"))?;
    let checks = Checks::configured(&config.gateway.plugins, settings);
    let admitted = loader::admit(copies.path(), file, &checks).map_err(|refusal| refusal.to_string())?;
    if settings.sha256.is_none() {
        return Ok(());
    }
    let text = manifest_of(&admitted.copy).map_err(|failure| format!("{}: {}", file.display(), failure.sentence()))?;
    Manifest::parse(&text).map(drop).map_err(|error| format!("{}: {error}", file.display()))
}

/// What the gateway says of its own.
pub fn of_gateway(plugins: &[PluginState]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for plugin in plugins {
        let id = &plugin.id;
        if plugin.state == "failed" {
            let why = plugin.error.as_deref().unwrap_or("the log says why");
            let found = Finding::error(CHECK, format!("{id} failed: {why}")).key(format!("plugins.{id}"));
            findings.push(found.run(format!("clawhost plugins reload {id}")));
        } else if plugin.panics > 0 {
            let what = format!("{id} panicked {} times since the gateway started", plugin.panics);
            findings.push(Finding::warning(CHECK, what).key(format!("plugins.{id}")).run("clawhost logs"));
        }
    }
    let running = plugins.iter().filter(|plugin| plugin.state == "running").count();
    findings.push(Finding::ok(CHECK, format!("{running} plugins run")));
    findings
}
