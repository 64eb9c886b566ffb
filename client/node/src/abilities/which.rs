//! `system.which`: where programs are.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::program;
use crate::ability::{Ability, Refusal, Work, read};

/// More names than that are no question.
const MAX_NAMES: usize = 256;

/// Finds programs on the `PATH`.
pub struct Which;

#[derive(Deserialize)]
struct Names {
    bins: Vec<String>,
}

impl Ability for Which {
    fn cap(&self) -> &'static str {
        "system"
    }

    fn commands(&self) -> &'static [&'static str] {
        &["system.which"]
    }

    fn run<'a>(&'a self, command: &'a str, params: &'a str, _: Instant) -> Work<'a> {
        Box::pin(async move {
            let Names { bins } = read(command, params)?;
            if bins.len() > MAX_NAMES {
                return Err(Refusal::invalid(format!("bins: at most {MAX_NAMES} names")));
            }
            // Names only: whether a file of any path exists is not what this tells.
            let found = bins.iter().filter(|name| !name.contains('/'));
            let found: BTreeMap<_, _> = found.filter_map(|name| Some((name, program(name, None)?))).collect();
            Ok(json!({ "bins": found }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_is_there_is_named() {
        let params = r#"{"bins":["sh","no-such-program-here","/bin/sh",""]}"#;
        let answer = Which.run("system.which", params, Instant::now()).await.unwrap();
        let bins = answer["bins"].as_object().unwrap();
        assert_eq!(bins.len(), 1);
        assert!(bins["sh"].as_str().unwrap().ends_with("/sh"));
        assert!(Which.run("system.which", "{}", Instant::now()).await.unwrap_err().message.contains("bins"));
    }
}
