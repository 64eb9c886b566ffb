//! The configuration: whether a start would take it, and what of it is allowed but should not stay.

use clawhost::config::{Config, ConfigError, Issue};

use super::finding::Finding;
use crate::cli::{Context, absolute};
use crate::commands::config;
use crate::failure::Failure;

const CHECK: &str = "config";

/// Reads it as a start would, and says what is wrong with it.
pub fn examine(context: &Context) -> Result<(Option<Config>, Vec<Finding>), Failure> {
    Ok(match config::load(context, &|name| std::env::var(name).ok()) {
        Ok(mut config) => {
            // What is said of the file holds wherever it is read.
            if let Some(file) = &mut config.file {
                file.path = absolute(std::mem::take(&mut file.path));
            }
            let doubts = config.warnings.iter().map(|warning| doubt(warning));
            let findings = std::iter::once(praise(&config)).chain(doubts).collect();
            (Some(config), findings)
        }
        Err(ConfigError { file, issues }) => {
            let file = file.map(absolute);
            let located = |issue: &Issue| {
                let finding = Finding::error(CHECK, issue.message.clone()).line(issue.line);
                let finding = if issue.path.is_empty() { finding } else { finding.key(issue.path.clone()) };
                let finding = finding.run("clawhost config check");
                file.iter().fold(finding, |finding, file| finding.file(file.clone()))
            };
            (None, issues.iter().map(located).collect())
        }
    })
}

fn praise(config: &Config) -> Finding {
    match &config.file {
        Some(file) => Finding::ok(CHECK, format!("{}: a start would take it", file.path.display())).file(&file.path),
        None => Finding::ok(CHECK, "there is no configuration file; the defaults hold"),
    }
}

/// A warning begins with the key that it is about.
fn doubt(warning: &str) -> Finding {
    let key = warning.split_whitespace().next().unwrap_or_default();
    let name = key.rsplit('.').next().unwrap_or(key);
    Finding::warning(CHECK, warning).key(key).edit(format!("take {name} out of the configuration unless you need it"))
}
