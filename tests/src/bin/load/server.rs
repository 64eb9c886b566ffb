//! Servers that this tool starts, and how long they take to say where they listen. However the tool ends, they do not
//! outlive it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::report::Outcome;
use crate::wire::Target;

/// How long a server may take to say where it listens.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks whether it has said so in a file.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long a gateway that is a program of node may take until it accepts.
const FOREIGN_PATIENCE: Duration = Duration::from_secs(90);
/// Between two tries to connect to one.
const KNOCK_EVERY: Duration = Duration::from_millis(5);
const TOKEN: &str = "load-compare";
/// Beginnings of the variables that servers read, which are not meant for these.
const VARIABLES: [&str; 4] = ["CLAWHOST_", "OPENCLAW_", "CLAWDBOT_", "MOLTBOT_"];

/// A server this tool started; it ends with this value.
pub struct Server {
    child: Running,
    /// Its process.
    pub pid: u32,
    /// Where it is driven.
    pub target: Target,
    /// From the start of its process until it said where it listens.
    start: Duration,
}

impl Server {
    /// A gateway with its state in this folder.
    pub async fn gateway(program: &Path, config: Option<&Path>, directory: &Path) -> Outcome<Self> {
        let state = directory.join("state");
        let announcement = state.join("gateway.json");
        // One that was killed has left its own there.
        let _ = std::fs::remove_file(&announcement);
        // It runs in a folder of its own, where no configuration lies that it could find.
        let mut command = command(&absolute(program)?);
        command.args(["--port", "0", "--token", TOKEN, "--state-dir"]).arg(&state).current_dir(directory);
        if let Some(config) = config {
            command.arg("--config").arg(absolute(config)?);
        }
        Self::start(command, program, Some(TOKEN), Some(&announcement)).await
    }

    /// Milliseconds from the start of its process until it accepted.
    pub fn start_ms(&self) -> f64 {
        self.start.as_secs_f64() * 1000.0
    }

    /// The bare server, with these further arguments.
    pub async fn bare(program: &Path, more: &[String]) -> Outcome<Self> {
        let mut command = command(&absolute(program)?);
        command.args(["--port", "0", "--exit-on-stdin-close"]).args(more);
        Self::start(command, program, None, None).await
    }

    /// The bare server in node, with these further arguments.
    pub async fn bare_node(node: &Path, script: &Path, more: &[String]) -> Outcome<Self> {
        let mut command = command(node);
        command.arg(absolute(script)?).args(["--port", "0"]).args(more);
        Self::start(command, script, None, None).await
    }

    /// The gateway of the npm package `openclaw` in this folder, with all that it keeps in `home`.
    pub async fn published(node: &Path, package: &Path, home: &Path) -> Outcome<Self> {
        let program = absolute(&package.join("openclaw.mjs"))?;
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| format!("no free port: {error}"))?
            .port();
        let mut command = command(node);
        command
            .arg(&program)
            .args(["gateway", "run", "--bind", "loopback", "--auth", "token", "--token", TOKEN])
            // Without it nothing starts before somebody has answered questions.
            .arg("--allow-unconfigured")
            .args(["--port", &port.to_string()])
            .current_dir(home)
            .env("HOME", home)
            // It tells nobody that it was here.
            .env("OPENCLAW_DISABLE_BONJOUR", "1")
            .env("DO_NOT_TRACK", "1")
            // Its process is the one that was started, or it could not be measured.
            .env("OPENCLAW_NO_RESPAWN", "1");
        let started = Instant::now();
        let mut child = Running::spawn(command, &program.display().to_string())?;
        let last = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let mut lines = child.lines();
        let kept = last.clone();
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                *kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = line;
            }
        });
        let said = || last.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if !child.is_running() {
                return Err(format!("it ended at once: {}", said()));
            }
            if started.elapsed() > FOREIGN_PATIENCE {
                return Err(format!("it did not accept within {} s: {}", FOREIGN_PATIENCE.as_secs(), said()));
            }
            tokio::time::sleep(KNOCK_EVERY).await;
        }
        let start = started.elapsed();
        let pid = child.id();
        let target = Target::new(&format!("ws://127.0.0.1:{port}"), Some(TOKEN.to_string()), Some(pid))?;
        Ok(Server { child, pid, target, start })
    }

    /// The same, driven in this version of the protocol.
    pub fn speaking(mut self, protocol: u32) -> Self {
        self.target = self.target.speaking(protocol);
        self
    }

    /// Whether its process is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.is_running()
    }

    /// Starts it and waits until it says where it listens, in a line of its output or in `announcement`.
    async fn start(
        command: Command,
        program: &Path,
        token: Option<&str>,
        announcement: Option<&Path>,
    ) -> Outcome<Self> {
        let name = program.display().to_string();
        let started = Instant::now();
        let mut child = Running::spawn(command, &name)?;
        let mut lines = child.lines();
        let mut last = String::new();
        let url = loop {
            if started.elapsed() > START_PATIENCE {
                return Err(format!("{name} did not say where it listens within {} s", START_PATIENCE.as_secs()));
            }
            let announced = announcement.and_then(|path| std::fs::read_to_string(path).ok());
            if let Some(url) = announced.as_deref().and_then(address) {
                break url;
            }
            match tokio::time::timeout(LOOK_EVERY, lines.recv()).await {
                Ok(Some(line)) => match address(&line) {
                    Some(url) => break url,
                    None => last = line,
                },
                Ok(None) => return Err(format!("{name} ended at once: {last}")),
                Err(_) => {}
            }
        };
        let start = started.elapsed();
        // Whoever stops reading a pipe stops the writer.
        tokio::spawn(async move { while lines.recv().await.is_some() {} });
        let pid = child.id();
        let target = Target::new(&url, token.map(str::to_string), Some(pid))?;
        Ok(Server { child, pid, target, start })
    }
}

/// A process in a group of its own. The group is ended when this is dropped, also on the way out of a failure, and when this
/// tool is killed: `leash` waits for the end of a pipe that only the tool holds.
struct Running {
    child: Child,
    leash: Option<Child>,
}

impl Running {
    fn spawn(mut command: Command, name: &str) -> Outcome<Self> {
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        let leash = Command::new("sh")
            .args(["-c", &format!("cat >/dev/null; {}", kill(child.id()))])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let mut running = Running { child, leash: None };
        running.leash = Some(leash.map_err(|error| format!("no shell to watch over {name}: {error}"))?);
        Ok(running)
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it says, line by line.
    fn lines(&mut self) -> mpsc::Receiver<String> {
        let (sender, lines) = mpsc::channel(64);
        follow(self.child.stdout.take(), sender.clone());
        follow(self.child.stderr.take(), sender);
        lines
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // While nobody has collected its status, its number belongs to nobody else. Each step fails where there is nothing
        // left to end.
        if let Ok(None) = self.child.try_wait() {
            let _ = Command::new("sh").args(["-c", &kill(self.child.id())]).stderr(Stdio::null()).status();
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if let Some(leash) = &mut self.leash {
            let _ = leash.kill();
            let _ = leash.wait();
        }
    }
}

/// The command of a shell that ends a group of processes.
fn kill(group: u32) -> String {
    format!("kill -KILL -{group}")
}

/// A program in an environment in which nothing is meant for it but what this tool says.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| VARIABLES.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG");
    command
}

/// The same file from any folder.
fn absolute(file: &Path) -> Outcome<PathBuf> {
    file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))
}

fn follow(pipe: Option<impl Read + Send + 'static>, lines: mpsc::Sender<String>) {
    let Some(pipe) = pipe else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
}

/// The first `ws://HOST:PORT` in a text.
fn address(text: &str) -> Option<String> {
    let rest = &text[text.find("ws://")? + 5..];
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".-:[]".contains(c))).unwrap_or(rest.len());
    let authority = rest[..end].trim_end_matches(['.', ':', '-']);
    authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok_and(|port| port != 0))?;
    Some(format!("ws://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_a_line() {
        for line in
            ["ready on ws://127.0.0.1:4711", r#"{"url":"ws://127.0.0.1:4711","pid":1}"#, "at ws://127.0.0.1:4711."]
        {
            assert_eq!(address(line).as_deref(), Some("ws://127.0.0.1:4711"), "{line}");
        }
        assert_eq!(address("on ws://[::1]:9 now").as_deref(), Some("ws://[::1]:9"));
        for line in ["", "ws://", "ws://host", "ws://127.0.0.1:0", "http://127.0.0.1:1"] {
            assert_eq!(address(line), None, "{line}");
        }
    }
}
