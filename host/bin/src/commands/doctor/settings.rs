//! The configuration: whether a start would take it, and what of it is allowed but should not stay.

use std::path::{Path, PathBuf};

use clawhost::config::{Config, ConfigError, Issue};
use clawhost::state::LocalGateway;

use super::finding::{Finding, quoted};
use crate::cli::{Context, absolute};
use crate::commands::config;

const CHECK: &str = "config";

/// What a look at it gave.
pub struct Looked {
    /// The configuration, unless it is wrong.
    pub config: Option<Config>,
    /// The file that was looked at, or for.
    pub file: Option<PathBuf>,
    /// What is to be said of it.
    pub findings: Vec<Finding>,
}

/// Reads it as a start would, and says what is wrong with it.
pub fn examine(context: &Context) -> Looked {
    let loaded = config::load(context, &|name| std::env::var(name).ok());
    let looked_at = config::looked_at(&loaded);
    let (config, findings) = match loaded {
        Ok(config) => {
            let doubts = config.warnings.iter().map(|warning| doubt(warning));
            let findings = std::iter::once(praise(&config)).chain(doubts).collect();
            (Some(config), findings)
        }
        Err(ConfigError { file, issues }) => {
            let located = |issue: &Issue| {
                let finding = Finding::error(CHECK, issue.message.clone()).line(issue.line);
                let finding = if issue.path.is_empty() { finding } else { finding.key(issue.path.clone()) };
                let finding = finding.run("clawhost config check");
                file.iter().fold(finding, |finding, file| finding.file(file.clone()))
            };
            (None, issues.iter().map(located).collect())
        }
    };
    Looked { config, file: looked_at, findings }
}

/// What is to be said if the gateway that runs reads another file.
pub fn other(looked_at: &Path, running: &LocalGateway) -> Option<Finding> {
    let followed = config::read_instead(looked_at, running)?;
    let (this, that) = (looked_at.display(), followed.display());
    let what = format!("the gateway that runs reads {that}, and what is said here of a configuration is about {this}");
    let found = Finding::warning(CHECK, what).file(&followed);
    Some(match followed.exists() {
        true => found.run(format!("clawhost doctor --config {}", quoted(&followed))),
        false => found.edit("start it from this folder, or with --config, if it is to read this one"),
    })
}

fn praise(config: &Config) -> Finding {
    match &config.file {
        Some(file) => Finding::ok(CHECK, format!("{}: a start would take it", file.path.display())).file(&file.path),
        None => {
            let (here, usual) = (absolute("config.toml".into()), config.followed());
            let (here, usual) = (here.display(), usual.display());
            Finding::ok(CHECK, format!("there is no configuration file, neither {here} nor {usual}; the defaults hold"))
        }
    }
}

/// A warning begins with the key that it is about.
fn doubt(warning: &str) -> Finding {
    let key = warning.split_whitespace().next().unwrap_or_default();
    let name = key.rsplit('.').next().unwrap_or(key);
    Finding::warning(CHECK, warning).key(key).edit(format!("take {name} out of the configuration unless you need it"))
}
