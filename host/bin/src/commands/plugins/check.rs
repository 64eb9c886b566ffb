//! `clawhost plugins check`: the test kit's checks on a library, and one over HTTP, each in a child process.

use std::time::Duration;

use clap::Args;
use plugin_kit::checks::{self, Verdict};
use serde_json::{Value, json};

use super::LibraryArgs;
use super::child::{self, ChildArgs};
use super::file::Library;
use super::over_http;
use crate::cli::Context;
use crate::failure::Failure;
use crate::show::{Style, clean, print};

/// Arguments of `plugins check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    library: LibraryArgs,
    /// Make only this check; may be given several times
    #[arg(long, value_name = "CHECK", value_parser = clap::builder::PossibleValuesParser::new(names()))]
    only: Vec<String>,
    /// How long one check may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = LIMIT, value_parser = clap::value_parser!(u64).range(1..=3600))]
    limit: u64,
    #[command(flatten)]
    child: ChildArgs,
}

/// Seconds for one check, unless said otherwise.
const LIMIT: u64 = 60;

/// One thing that is checked: its name, and what holds of a plugin that passes.
#[derive(Clone, Copy)]
struct Check {
    name: &'static str,
    about: &'static str,
}

/// The test kit's, and the one that takes a gateway.
fn all() -> Vec<Check> {
    let of_kit = checks::ALL.iter().map(|check| Check { name: check.name, about: check.about });
    of_kit.chain([Check { name: over_http::NAME, about: over_http::ABOUT }]).collect()
}

fn names() -> Vec<&'static str> {
    all().iter().map(|check| check.name).collect()
}

/// What to try.
pub struct Plan {
    /// The configuration of the instances; made up if absent.
    config: Option<String>,
    /// Only these checks; all if it is empty.
    only: Vec<String>,
    limit: Duration,
}

impl Plan {
    /// Every check.
    pub fn all(config: Option<&Value>) -> Self {
        Plan { config: config.map(Value::to_string), only: Vec::new(), limit: Duration::from_secs(LIMIT) }
    }

    fn checks(&self) -> Vec<Check> {
        let is_meant = |check: &Check| self.only.is_empty() || self.only.iter().any(|name| name == check.name);
        all().into_iter().filter(is_meant).collect()
    }
}

/// Checks and prints what was found; leaves with 1 if anything was.
pub fn run(args: CheckArgs, context: &Context) -> Result<(), Failure> {
    let config = args.library.config()?;
    if let Some(done) = args.child.work(&args.library.file, config.clone()) {
        return done;
    }
    let library = Library::look(&args.library.file)?;
    let plan = Plan { only: args.only, limit: Duration::from_secs(args.limit), ..Plan::all(config.as_ref()) };
    let results = make(&library, &plan, context)?;
    let passed = results.iter().all(|result| !result.failed());
    if context.json {
        let checks: Vec<Value> = results.iter().map(Checked::to_json).collect();
        let report = json!({ "file": library.path, "sha256": library.sha256, "passed": passed, "checks": checks });
        print(&format!("{report}\n"))?;
    }
    if passed { Ok(()) } else { Err(Failure::Said(1)) }
}

/// A check and how it ended.
pub struct Checked {
    check: Check,
    verdict: Verdict,
}

impl Checked {
    /// Whether something was found.
    pub fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_))
    }

    fn to_json(&self) -> Value {
        let mut shown = serde_json::to_value(&self.verdict).unwrap_or_default();
        shown["name"] = json!(self.check.name);
        shown["about"] = json!(self.check.about);
        shown
    }
}

/// What holds of a [`Library`]: a gateway looks at the file before it runs any of its code, and so do we.
const ABOUT_FILE: &str = "it is a library for this machine, and nobody else can write to it";

/// Makes the checks, and says for people what comes of each as soon as it is known. A library without an entry is not tried
/// any further.
pub fn make(library: &Library, plan: &Plan, context: &Context) -> Result<Vec<Checked>, Failure> {
    let say = |text: &str| if context.json { Ok(()) } else { print(text) };
    say(&format!("{}\nsha256 {}\n", clean(&library.path.to_string_lossy()), library.sha256))?;
    say(&format!("{} {:<15} {ABOUT_FILE}\n", context.style.green("ok     "), "file"))?;
    let checks = plan.checks();
    let mut results = Vec::new();
    for &check in &checks {
        let verdict = child::check(&library.copy, check.name, plan.config.as_deref(), plan.limit)?;
        say(&line(check, &verdict, context.style))?;
        results.push(Checked { check, verdict });
        if check.name == checks::ALL[0].name && results[0].failed() {
            break;
        }
    }
    say(&summary(&results, checks.len()))?;
    Ok(results)
}

fn line(check: Check, verdict: &Verdict, style: Style) -> String {
    let start = |word: &str, paint: fn(Style, &str) -> String| {
        format!("{} {:<15} ", paint(style, &format!("{word:<7}")), check.name)
    };
    match verdict {
        Verdict::Passed => format!("{}{}\n", start("ok", Style::green), check.about),
        Verdict::Skipped(why) => format!("{}{}\n", start("skipped", Style::bold), clean(why)),
        Verdict::Failed(findings) => {
            let start = start("FAILED", Style::red);
            findings.iter().map(|finding| format!("{start}{}\n", clean(finding))).collect()
        }
    }
}

fn summary(results: &[Checked], planned: usize) -> String {
    let count = |wanted: fn(&Verdict) -> bool| results.iter().filter(|result| wanted(&result.verdict)).count();
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    let skipped = count(|verdict| matches!(verdict, Verdict::Skipped(_)));
    let untried = planned - results.len();
    let mut text = format!("{} passed, {failed} failed, {skipped} skipped", results.len() - failed - skipped);
    if untried > 0 {
        text.push_str(&format!(", {untried} not tried"));
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_line_and_each_finding_too() {
        let check = all()[0];
        let shown = |verdict| line(check, &verdict, Style::plain());
        assert_eq!(shown(Verdict::Passed), format!("ok      entry           {}\n", check.about));
        let failed = Verdict::Failed(vec!["one\u{7}".into(), "two".into()]);
        assert_eq!(shown(failed), "FAILED  entry           one\\u{7}\nFAILED  entry           two\n");
        let results = [Checked { check, verdict: Verdict::Failed(vec![]) }];
        assert_eq!(summary(&results, 3), "0 passed, 1 failed, 0 skipped, 2 not tried\n");
        assert_eq!(results[0].to_json()["verdict"], "failed");
    }
}
