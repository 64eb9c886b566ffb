//! What Prometheus reads of a gateway, and Prometheus itself: the Debian package `prometheus`, or whatever is called
//! `prometheus` and `promtool` here.
//!
//! Where there is none a test says loudly that it did nothing, unless `CLAWHOST_REQUIRE_PROMETHEUS=1`, which continuous
//! integration sets, makes that a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::program::wait;
use crate::support::{PATIENCE, http};

/// A metric as a page in Prometheus' text form shows it.
#[derive(Debug, Default, PartialEq)]
pub struct Family {
    /// What is said of it.
    pub help: String,
    /// `counter` or `gauge`.
    pub kind: String,
    /// Its lines: labels, and the value.
    pub samples: Vec<(BTreeMap<String, String>, f64)>,
}

impl Family {
    /// The value of the line with these labels and no others.
    pub fn value(&self, labels: &[(&str, &str)]) -> Option<f64> {
        let owned = labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let labels: BTreeMap<String, String> = owned.collect();
        self.samples.iter().find(|(known, _)| *known == labels).map(|(_, value)| *value)
    }

    /// Names of the labels of all lines.
    pub fn labels(&self) -> BTreeSet<Vec<&str>> {
        self.samples.iter().map(|(labels, _)| labels.keys().map(String::as_str).collect()).collect()
    }
}

/// Reads such a page; panics at whatever Prometheus would not take, and at names that come twice.
pub fn read(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in page.lines().filter(|line| !line.is_empty()) {
        let words = |rest: &str| rest.split_once(' ').map(|(a, b)| (a.to_string(), b.to_string())).expect("two words");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = words(rest);
            assert!(families.insert(name.clone(), Family { help, ..Family::default() }).is_none(), "{name} twice");
            current = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = words(rest);
            assert_eq!(name, current, "nothing is said of it");
            families.get_mut(&name).expect("its help came before").kind = kind;
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?} has no value"));
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            assert_eq!(name, current, "{line:?} stands with another one");
            let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line:?} is not closed"));
            let value = value.parse().unwrap_or_else(|_| panic!("{line:?} has no number"));
            let labels = read_labels(labels);
            let family = families.get_mut(name).expect("its type came before");
            assert!(family.samples.iter().all(|(known, _)| *known != labels), "{line:?} comes twice");
            family.samples.push((labels, value));
        }
    }
    families
}

/// `a="b",c="d"`
fn read_labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut letters = after.char_indices();
        let end = loop {
            match letters.next().unwrap_or_else(|| panic!("{text:?} is not closed")) {
                (at, '"') => break at,
                (_, '\\') => match letters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, letter)) => value.push(letter),
                    None => panic!("{text:?} is not closed"),
                },
                (_, letter) => value.push(letter),
            }
        };
        labels.insert(name.trim_start_matches(',').to_string(), value);
        rest = &after[end + 1..];
    }
    assert!(rest.is_empty(), "{text:?} is not understood");
    labels
}

/// A row of the table of metrics in ARCHITECTURE.md.
pub struct Row {
    /// The metric.
    pub name: String,
    /// Its labels, sorted.
    pub labels: Vec<String>,
    /// What it means.
    pub meaning: String,
}

/// All rows.
pub fn documented() -> Vec<Row> {
    let text = std::fs::read_to_string(crate::program::repository().join("ARCHITECTURE.md")).expect("it is there");
    let section = text.split("\n## ").find(|section| section.starts_with("What is counted\n")).expect("the section");
    let cells = section.lines().filter(|line| line.starts_with("| `"));
    let rows = cells.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, labels, meaning] = cells[..] else { panic!("{line:?} has not three columns") };
        let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_string).collect::<Vec<_>>();
        let labels = quoted(labels);
        assert!(labels.is_sorted(), "{line:?}: the labels are not sorted");
        Row { name: quoted(name).concat(), labels, meaning: meaning.to_string() }
    });
    rows.collect()
}

/// A Prometheus that runs, with a folder of its own.
pub struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    /// Whether it is here. `false` is said aloud, under the name of the test, and is a failure where it has to be here.
    pub fn is_here(test: &str) -> bool {
        let lacks = |program: &&str| {
            let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            !asked.is_ok_and(|status| status.success())
        };
        let Some(missing) = ["prometheus", "promtool"].into_iter().find(|program| lacks(program)) else { return true };
        let required = std::env::var_os("CLAWHOST_REQUIRE_PROMETHEUS").is_some_and(|value| value == "1");
        assert!(!required, "{test}: there is no {missing}");
        // Past the runner, which keeps back what a test that passes prints.
        writeln!(std::io::stderr(), "SKIPPED {test}: there is no {missing}").expect("standard error is open");
        false
    }

    /// Starts it with this configuration and waits until it can be asked. What it keeps lies in this folder.
    pub async fn start(config: &Path, folder: &Path) -> Self {
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]);
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("prometheus starts");
        let stderr = child.stderr.take().expect("it is piped");
        let (tell, mut told) = tokio::sync::mpsc::channel(64);
        std::thread::spawn(move || {
            // Read to its end, whether somebody listens or not, so that it never waits to be read.
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = tell.blocking_send(line);
            }
        });
        let mut lines = Vec::new();
        let (mut port, mut ready) = (None, false);
        let up = async {
            while port.is_none() || !ready {
                let line = told.recv().await.unwrap_or_else(|| panic!("prometheus ended:\n{}", lines.join("\n")));
                ready |= line.contains("Server is ready to receive web requests");
                if line.contains("msg=\"Listening on\"")
                    && let Some((_, rest)) = line.split_once("address=127.0.0.1:")
                {
                    port = rest.split_whitespace().next().and_then(|port| port.parse().ok());
                }
                lines.push(line);
            }
        };
        let in_time = timeout(PATIENCE, up).await.is_ok();
        let port = port.filter(|_| in_time);
        let mut prometheus = Prometheus { child, port: port.unwrap_or_default() };
        if port.is_none() {
            prometheus.end();
            panic!("prometheus is not up:\n{}", lines.join("\n"));
        }
        prometheus
    }

    /// What it answers to a path of its API: the `data`; the error is its own sentence.
    pub async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let query: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let request = format!(
            "GET /api/v1/{path}?{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
            query.join("&"),
            self.port
        );
        let answer = http(self.port, &request).await;
        let body =
            if answer.head.contains("transfer-encoding: chunked") { unchunked(&answer.body) } else { answer.body };
        let json: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        match json["status"].as_str() {
            Some("success") => Ok(json["data"].clone()),
            _ => Err(format!("{}: {}", answer.status, json["error"])),
        }
    }

    /// The rows of an instant query.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let data = self.ask("query", &[("query", query)]).await?;
        match (data["resultType"].as_str(), data["result"].as_array()) {
            (Some("vector"), Some(rows)) => Ok(rows.clone()),
            _ => Err(format!("{query}: not a vector: {data}")),
        }
    }

    /// Waits until a query has rows; each look is a request.
    pub async fn becomes_true(&self, query: &str) {
        /// Nothing new can be seen more often than something is scraped.
        const PACE: Duration = Duration::from_millis(100);
        let holds = async {
            while self.query(query).await.unwrap_or_else(|error| panic!("{query}: {error}")).is_empty() {
                sleep(PACE).await;
            }
        };
        if timeout(PATIENCE, holds).await.is_err() {
            let targets = self.ask("targets", &[]).await;
            panic!("{query} has no rows; {targets:?}");
        }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs promtool, which has to be content: what it printed.
pub fn promtool(arguments: &[&str], folder: &Path) -> String {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool starts");
    let Some(_) = wait(&mut child, PATIENCE) else {
        let _ = child.kill();
        panic!("promtool {arguments:?} does not end");
    };
    let output = child.wait_with_output().expect("it has ended");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

/// A file of what is delivered for Prometheus and Grafana.
pub fn packaged(name: &str) -> PathBuf {
    crate::program::repository().join("packaging").join(name)
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A body of chunks in one piece.
fn unchunked(body: &str) -> String {
    let (mut whole, mut rest) = (String::new(), body);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
        if size == 0 {
            break;
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read() {
        let page = "# HELP a Says something.\n# TYPE a counter\na{x=\"1\",y=\"q \\\"r\\\" \\\\ \\n, z\"} 2\na 3.5\n\n\
                    # HELP b More.\n# TYPE b gauge\nb 1\n";
        let families = read(page);
        let a = &families["a"];
        assert_eq!((a.help.as_str(), a.kind.as_str()), ("Says something.", "counter"));
        assert_eq!(a.value(&[("x", "1"), ("y", "q \"r\" \\ \n, z")]), Some(2.0));
        assert_eq!((a.value(&[]), a.value(&[("x", "1")])), (Some(3.5), None));
        assert_eq!(a.labels(), BTreeSet::from([vec![], vec!["x", "y"]]));
        assert_eq!(families["b"].value(&[]), Some(1.0));
    }

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(unchunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde");
        assert_eq!(encoded("a{b=~\"c\"}"), "a%7Bb%3D~%22c%22%7D");
    }
}
