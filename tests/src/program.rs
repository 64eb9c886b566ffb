//! The `clawhost` program as a user has it: a command line, a home folder of its own, and what it prints. Nothing of the
//! machine's own configuration or state reaches it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::clawhost;

/// How long anything may take that takes no time on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Prefixes of the variables that the program reads.
const PREFIXES: [&str; 3] = ["CLAWHOST_", "OPENCLAW_", "CLAWDBOT_"];

/// The top folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the repository")
}

/// A home folder, in which the program runs and keeps its state.
pub struct Home {
    folder: TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A gateway that runs; killed when dropped.
pub struct Gateway {
    child: Child,
    lines: Arc<Lines>,
    /// Where it listens.
    pub url: String,
    /// The same, as a port.
    pub port: u16,
}

/// What a gateway has said so far.
#[derive(Default)]
struct Lines {
    said: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Default for Home {
    fn default() -> Self {
        Home { folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }
}

impl Home {
    /// The folder itself, where commands run.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The state folder, if nothing else is said.
    pub fn state(&self) -> PathBuf {
        self.path().join(".clawhost")
    }

    /// Writes `config.toml` where commands run.
    pub fn configure(&self, text: &str) -> &Self {
        std::fs::write(self.path().join("config.toml"), text).expect("a file can be written");
        self
    }

    /// The program with these arguments, not started yet.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(clawhost());
        self.isolate(&mut command);
        command.current_dir(self.path()).args(arguments);
        command
    }

    /// Takes everything from a command's environment by which the machine's own gateway could be meant.
    pub fn isolate(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix))) {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.path()).env_remove("RUST_LOG").stdin(Stdio::null());
    }

    /// Runs a command line, such as `call health`, to its end.
    pub fn run(&self, line: &str) -> Outcome {
        Outcome::of(self.command(line.split_whitespace()), line)
    }

    /// Runs a command line with `--json` that has to succeed, and reads what it printed.
    pub fn json(&self, line: &str) -> Value {
        let outcome = self.run(&format!("{line} --json"));
        assert_eq!(outcome.code, Some(0), "{line}: {outcome:?}");
        serde_json::from_str(&outcome.out)
            .unwrap_or_else(|error| panic!("{line} printed no JSON: {error}: {outcome:?}"))
    }

    /// Starts a gateway on a free port and waits until it accepts.
    pub fn start(&self) -> Gateway {
        Gateway::start(self.command(["run", "--port", "0"]))
    }

    /// The token that a gateway made for itself.
    pub fn token(&self) -> String {
        let text = std::fs::read_to_string(self.state().join("token")).expect("the gateway has made a token");
        text.trim().to_string()
    }
}

impl Outcome {
    /// Runs a command to its end; `what` is for the message when it has none.
    pub fn of(mut command: Command, what: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let out = collect(child.stdout.take().expect("it is piped"));
        let err = collect(child.stderr.take().expect("it is piped"));
        let status = wait(&mut child, PATIENCE).unwrap_or_else(|| {
            let _ = child.kill();
            panic!("{what}: still running after {PATIENCE:?}");
        });
        let text = |reader: std::thread::JoinHandle<String>| reader.join().expect("a pipe can be read");
        Outcome { code: status.code(), out: text(out), err: text(err) }
    }
}

impl Gateway {
    /// Starts this command and waits until it accepts.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let lines = Arc::new(Lines::default());
        let (heard, stderr) = (lines.clone(), child.stderr.take().expect("it is piped"));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                heard.add(line);
            }
            heard.end();
        });
        let mut gateway = Gateway { child, lines, url: String::new(), port: 0 };
        let line = gateway.wait_for("listening on ws");
        let is_url = |word: &&str| word.starts_with("ws://") || word.starts_with("wss://");
        let url = line.split_whitespace().find(is_url).expect("the line names it");
        gateway.port = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address has a port");
        gateway.url = url.to_string();
        gateway
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first line of standard error that holds this text, now or soon.
    pub fn wait_for(&self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut said = self.lines.said.lock().expect("no reader panics");
        loop {
            if let Some(line) = said.0.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!said.1 && !left.is_zero(), "the gateway never said {text:?}, but: {:#?}", said.0);
            said = self.lines.changed.wait_timeout(said, left).expect("no reader panics").0;
        }
    }

    /// Everything it has said on standard error.
    pub fn said(&self) -> Vec<String> {
        self.lines.said.lock().expect("no reader panics").0.clone()
    }

    /// Asks it to end, as a service manager does, and waits for that. `None` says that it did not.
    pub fn terminate(&mut self) -> Option<ExitStatus> {
        self.signal("TERM");
        wait(&mut self.child, PATIENCE)
    }

    /// Ends it without a warning.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it this signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal can be sent");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Lines {
    fn add(&self, line: String) {
        self.said.lock().expect("no reader panics").0.push(line);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.said.lock().expect("no reader panics").1 = true;
        self.changed.notify_all();
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The end of a process, if it comes in time. The system tells nobody about it who does not block, so it is looked for.
pub fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + patience;
    loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) => return Some(status),
            None if Instant::now() >= end => return None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
