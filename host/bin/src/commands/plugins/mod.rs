//! `clawhost plugins`: what runs in a gateway, and everything an author needs: a new project, the test kit, the way into
//! a configuration, a gateway to try it in. Code of somebody else's library runs in child processes only, but for `run`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::failure::Failure;

mod add;
mod check;
mod child;
mod file;
mod list;
mod manifest;
mod new;
mod over_http;
mod reload;
mod run;
mod table;

/// Arguments of `plugins`.
#[derive(Debug, Args)]
pub struct PluginsArgs {
    #[command(subcommand)]
    command: Option<PluginsCommand>,
}

#[derive(Debug, Subcommand)]
enum PluginsCommand {
    /// List the plugins and how they are doing (the default)
    List,
    /// Write a project that builds, tests and loads as it is
    New(new::NewArgs),
    /// Try a plugin's library against everything the interface asks of it; its methods are called
    Check(check::CheckArgs),
    /// Check a plugin's library and write its table into the configuration
    Add(add::AddArgs),
    /// Run a gateway with this plugin alone, which reloads it when the file changes
    Run(run::RunPluginArgs),
    /// Make the running gateway take a plugin's library and configuration anew
    Reload(reload::ReloadArgs),
}

impl PluginsArgs {
    /// Whether the command looks at this machine only.
    pub fn is_local(&self) -> bool {
        use PluginsCommand::{Add, Check, New, Run};
        matches!(self.command, Some(New(_) | Check(_) | Add(_) | Run(_)))
    }
}

/// The library that a command is about, and how to make its instances.
#[derive(Debug, Args)]
struct LibraryArgs {
    /// The plugin's shared library
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its configuration: JSON, @FILE to read it from a file, or - for standard input [default: made up from its schema]
    #[arg(long, value_name = "JSON")]
    plugin_config: Option<String>,
}

impl LibraryArgs {
    fn config(&self) -> Result<Option<serde_json::Value>, Failure> {
        let Some(argument) = &self.plugin_config else { return Ok(None) };
        let config = super::call::json_argument("--plugin-config", argument)?;
        let config: serde_json::Value = serde_json::from_str(config.get()).expect("it was read as JSON");
        if !config.is_object() {
            return Err(Failure::usage("--plugin-config is not a JSON object, such as {\"key\": 1}"));
        }
        Ok(Some(config))
    }
}

/// The manifest of a library that was looked at already. Its code runs in a process of its own.
pub fn manifest_of(copy: &std::path::Path) -> Result<String, Failure> {
    child::manifest(copy)
}

/// Does what was asked.
pub fn run(args: PluginsArgs, context: &Context) -> Result<(), Failure> {
    match args.command {
        None | Some(PluginsCommand::List) => list::run(context),
        Some(PluginsCommand::New(args)) => new::run(args, context),
        Some(PluginsCommand::Check(args)) => check::run(args, context),
        Some(PluginsCommand::Add(args)) => add::run(args, context),
        Some(PluginsCommand::Run(args)) => run::run(args, context),
        Some(PluginsCommand::Reload(args)) => reload::run(args, context),
    }
}
