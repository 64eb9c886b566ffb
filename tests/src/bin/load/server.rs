//! Servers that this tool starts, and how long they take to say where they listen.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::report::Outcome;
use crate::wire::Target;

/// How long a server may take to say where it listens.
const START_PATIENCE: Duration = Duration::from_secs(15);
const TOKEN: &str = "load-compare";

/// A server this tool started; it ends with this value.
pub struct Server {
    _child: Running,
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
        let mut command = Command::new(absolute(program)?);
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

    /// The bare server.
    pub async fn bare(program: &Path) -> Outcome<Self> {
        let mut command = Command::new(absolute(program)?);
        command.args(["--port", "0", "--exit-on-stdin-close"]);
        Self::start(command, program, None, None).await
    }

    /// Starts it and waits until it says where it listens, in a line of its output or in `announcement`.
    async fn start(
        mut command: Command,
        program: &Path,
        token: Option<&str>,
        announcement: Option<&Path>,
    ) -> Outcome<Self> {
        let name = program.display().to_string();
        let started = Instant::now();
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        let mut child = Running(child);
        let (sender, mut lines) = mpsc::channel(64);
        follow(child.0.stdout.take(), sender.clone());
        follow(child.0.stderr.take(), sender);
        let mut last = String::new();
        let url = loop {
            if started.elapsed() > START_PATIENCE {
                return Err(format!("{name} did not say where it listens within {} s", START_PATIENCE.as_secs()));
            }
            let announced = announcement.and_then(|path| std::fs::read_to_string(path).ok());
            if let Some(url) = announced.as_deref().and_then(address) {
                break url;
            }
            match tokio::time::timeout(Duration::from_millis(5), lines.recv()).await {
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
        let pid = child.0.id();
        let target = Target::new(&url, token.map(str::to_string), Some(pid))?;
        Ok(Server { _child: child, pid, target, start })
    }
}

/// A process that is ended when this is dropped, also on the way out of a failure.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it ended by itself; then there is only its status to collect.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
