//! Runs code of a plugin in a process of its own, so that a crash, an endless loop or an `exit` is a finding and not the
//! end. The child is this program once more; it writes down what it does, line by line, in a file that only the parent
//! reads, because standard output belongs to the plugin as well.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use plugin_api::{Manifest, hosting};
use plugin_kit::checks::{self, Subject, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::over_http;
use crate::failure::Failure;
use crate::session::block_on;

/// How long reading a manifest may take.
const MANIFEST_LIMIT: Duration = Duration::from_secs(10);
/// What the child is asked for when it is not a check.
const MANIFEST: &str = "@manifest";
/// How much of what a plugin that died said last is shown.
const LAST_WORDS: usize = 3;

/// How the parent tells the child what to do; nobody types these.
#[derive(Debug, Args)]
pub struct ChildArgs {
    /// Do this alone, in this process
    #[arg(long, hide = true, requires = "report")]
    one: Option<String>,
    /// Write down here what is done
    #[arg(long, hide = true, requires = "one")]
    report: Option<PathBuf>,
}

/// A line of the report.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// What is done next.
    Step(String),
    /// The end of a check.
    Verdict(Verdict),
    /// The manifest's text, or why there is none.
    Manifest(Result<String, String>),
}

impl ChildArgs {
    /// Does what the parent asked for, if this is a child.
    pub fn work(&self, library: &Path, config: Option<Value>) -> Option<Result<(), Failure>> {
        let (task, report) = self.one.as_deref().zip(self.report.as_deref())?;
        Some(work(task, report, library, config))
    }
}

fn work(task: &str, report: &Path, library: &Path, config: Option<Value>) -> Result<(), Failure> {
    let file = OpenOptions::new().append(true).open(report);
    let file = file.map_err(|error| Failure::usage(format!("{}: {error}", report.display())))?;
    let report = Arc::new(Report(Mutex::new(file)));
    report.write(&Line::Step("opening the library".into()));
    let opened = hosting::open(library).map_err(|why| why.to_string());
    if task == MANIFEST {
        let text = opened.and_then(|entry| hosting::manifest(entry).map_err(|why| why.to_string()));
        report.write(&Line::Manifest(text.map(str::to_string)));
        return Ok(());
    }
    if task == over_http::NAME {
        let step = |step: &str| report.write(&Line::Step(step.to_string()));
        let manifest = opened.and_then(|entry| hosting::manifest(entry).map_err(|why| why.to_string()));
        let verdict = match manifest.and_then(|text| Manifest::parse(text).map_err(|why| why.to_string())) {
            Ok(manifest) => over_http::check(library, &manifest, config.as_ref(), &step),
            Err(why) => Verdict::Skipped(format!("the manifest cannot be used: {why}")),
        };
        report.write(&Line::Verdict(verdict));
        return Ok(());
    }
    let check = checks::find(task).ok_or_else(|| Failure::usage(format!("there is no check {task:?}")))?;
    let verdict = match opened {
        Err(why) => Verdict::Failed(vec![why]),
        Ok(entry) => {
            let steps = report.clone();
            let subject = Subject::of_entry(entry).on_step(move |step| steps.write(&Line::Step(step.to_string())));
            check.run(&config.into_iter().fold(subject, Subject::config))
        }
    };
    report.write(&Line::Verdict(verdict));
    Ok(())
}

struct Report(Mutex<File>);

impl Report {
    fn write(&self, line: &Line) {
        let line = serde_json::to_string(line).expect("a line has only string keys");
        // The parent sees a report that breaks off.
        let _ = writeln!(self.0.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
    }
}

/// Runs one check in a child.
pub fn check(library: &Path, name: &str, config: Option<&str>, limit: Duration) -> Result<Verdict, Failure> {
    let ended = run(library, name, config, limit)?;
    Ok(match ended.last {
        Some(Line::Verdict(verdict)) => verdict,
        _ => Verdict::Failed(vec![ended.how()]),
    })
}

/// Reads the manifest in a child.
pub fn manifest(library: &Path) -> Result<String, Failure> {
    let ended = run(library, MANIFEST, None, MANIFEST_LIMIT)?;
    match ended.last {
        Some(Line::Manifest(text)) => text.map_err(Failure::failed),
        _ => Err(Failure::failed(ended.how())),
    }
}

/// How a child ended.
struct Ended {
    last: Option<Line>,
    /// `None`: it was killed when its time was over.
    status: Option<ExitStatus>,
    limit: Duration,
    said: String,
}

impl Ended {
    /// What became of one that did not come to its end.
    fn how(&self) -> String {
        let during = match &self.last {
            Some(Line::Step(step)) => format!(" during: {step}"),
            _ => String::new(),
        };
        let what = match self.status {
            None => format!("it was not done after {} s{during}", self.limit.as_secs()),
            Some(status) => format!("it ended the process ({}){during}", told(status)),
        };
        let lines: Vec<&str> = self.said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match lines.len() {
            0 => what,
            count => format!("{what}; it said last: {}", lines[count.saturating_sub(LAST_WORDS)..].join(" / ")),
        }
    }
}

fn told(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    let name = |signal| match signal {
        4 => " (illegal instruction)",
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic)",
        11 => " (segmentation fault)",
        _ => "",
    };
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}{}", name(signal)),
        (None, None) => status.to_string(),
    }
}

fn run(library: &Path, task: &str, config: Option<&str>, limit: Duration) -> Result<Ended, Failure> {
    let failed = |what: &str, error: std::io::Error| Failure::failed(format!("cannot {what}: {error}"));
    let report = NamedTempFile::new().map_err(|error| failed("make a temporary file", error))?;
    let own = std::env::current_exe().map_err(|error| failed("find this program", error))?;
    let mut command = tokio::process::Command::new(own);
    command.args(["plugins", "check", "--one", task, "--report"]).arg(report.path()).arg(library);
    command.args(config.map(|config| format!("--plugin-config={config}")));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    block_on(async {
        let child = command.spawn().map_err(|error| failed("start a child process", error))?;
        let (status, said) = match tokio::time::timeout(limit, child.wait_with_output()).await {
            Err(_) => (None, String::new()),
            Ok(Err(error)) => return Err(failed("wait for a child process", error)),
            Ok(Ok(output)) => (Some(output.status), String::from_utf8_lossy(&output.stderr).into_owned()),
        };
        let text = std::fs::read_to_string(report.path()).unwrap_or_default();
        // The last whole line: one that broke off says nothing.
        let last = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        Ok(Ended { last, status, limit, said })
    })
}
