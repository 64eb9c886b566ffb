//! A program that was started for somebody: its output bounded, its whole group ended when nobody waits any more.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout, timeout_at};

/// How long output is read on after the program itself has ended: somebody it left behind may hold its end open for ever.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// Beginnings of variables of this program's own.
const OWN_PREFIXES: [&str; 3] = ["CLAWHOST_", "OPENCLAW_", "CLAWDBOT_"];

/// What came of a program.
#[derive(Debug)]
pub struct Ended {
    /// How it ended; absent when its time was over first.
    pub status: Option<ExitStatus>,
    /// What it wrote.
    pub stdout: Kept,
    /// What it complained.
    pub stderr: Kept,
}

/// Runs a program to its end, or until `deadline`; then, and when this is dropped, it and all that it started is killed.
pub async fn run(mut command: Command, max_output: usize, deadline: Instant) -> io::Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(&mut command)?;
    let (mut stdout, mut stderr) = (Kept::up_to(max_output), Kept::up_to(max_output));
    let (out, err) = (group.child.stdout.take(), group.child.stderr.take());
    let mut reading = Box::pin(async { tokio::join!(stdout.fill(out), stderr.fill(err)) });
    let waiting = async {
        let mut read = false;
        loop {
            tokio::select! {
                status = group.child.wait() => break (status, read),
                _ = &mut reading, if !read => read = true,
            }
        }
    };
    let status = match timeout_at(deadline, waiting).await {
        Ok((status, read)) => {
            if !read {
                let _ = timeout(AFTERWARDS, &mut reading).await;
            }
            group.over = true;
            Some(status?)
        }
        Err(_) => None,
    };
    drop(reading);
    Ok(Ended { status, stdout, stderr })
}

/// Takes this program's own variables away from another one: they may hold secrets.
pub(super) fn forget_own(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if OWN_PREFIXES.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
            command.env_remove(name);
        }
    }
}

/// A child and whatever it starts, in a group of their own that is killed when this is dropped.
pub(super) struct Group {
    pub(super) child: Child,
    id: Option<Pid>,
    over: bool,
}

impl Group {
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Group { child, id, over: false })
    }

    #[cfg(test)]
    pub(super) fn id(&self) -> Option<Pid> {
        self.id
    }

    /// Kills what is left of it, and waits until the child itself is gone.
    pub(super) async fn end(mut self) {
        self.kill();
        let _ = self.child.wait().await;
        self.over = true;
    }

    fn kill(&self) {
        if let Some(id) = self.id {
            // Gone already is as good.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.over {
            self.kill();
        }
    }
}

/// The beginning of a program's output; the rest is read and dropped, so that the program is not held up.
#[derive(Debug)]
pub struct Kept {
    /// As many as were allowed.
    pub bytes: Vec<u8>,
    /// How many came after them.
    pub dropped: u64,
    limit: usize,
}

impl Kept {
    pub(super) fn up_to(limit: usize) -> Self {
        Kept { bytes: Vec::new(), limit, dropped: 0 }
    }

    pub(super) async fn fill(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let kept = count.min(self.limit - self.bytes.len());
            self.bytes.extend_from_slice(&buffer[..kept]);
            self.dropped += (count - kept) as u64;
        }
    }

    /// As text, which says where something is missing.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.dropped > 0 {
            text.push_str(&format!("\n[{} bytes more were not kept]", self.dropped));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, Read};

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[tokio::test]
    async fn output_and_exit_code_come_back() {
        let ended = run(shell("echo out; echo err >&2; exit 3"), 100, later()).await.unwrap();
        assert_eq!((ended.stdout.text(), ended.stderr.text()), ("out\n".to_string(), "err\n".to_string()));
        assert_eq!(ended.status.unwrap().code(), Some(3));
    }

    #[tokio::test]
    async fn too_much_output_is_cut_and_holds_nothing_up() {
        let ended = run(shell("yes | head -c 1000000"), 10, later()).await.unwrap();
        assert_eq!(ended.stdout.text(), "y\ny\ny\ny\ny\n\n[999990 bytes more were not kept]");
        assert!(ended.status.unwrap().success());
    }

    #[tokio::test]
    async fn whoever_takes_too_long_is_ended_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // Opening waits for whoever writes; the end comes when the last one that holds the other side is gone.
        let script = format!("exec 3>{}; sleep 600 & echo begun >&3; wait", pipe.display());
        let running = tokio::spawn(run(shell(&script), 100, later()));
        let (begun, mut held) = tokio::task::spawn_blocking(move || {
            let mut held = std::io::BufReader::new(std::fs::File::open(pipe).unwrap());
            let mut begun = String::new();
            held.read_line(&mut begun).unwrap();
            (begun, held)
        })
        .await
        .unwrap();
        assert_eq!(begun, "begun\n");
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        let last = tokio::task::spawn_blocking(move || held.read_to_end(&mut Vec::new()).unwrap());
        assert_eq!(timeout(Duration::from_secs(30), last).await.expect("all of them end").unwrap(), 0);
        let ended =
            run(shell("echo begun; sleep 600"), 100, Instant::now() + Duration::from_millis(300)).await.unwrap();
        assert!(ended.status.is_none());
    }
}
