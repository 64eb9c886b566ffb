//! Programs that work for a plugin, without a shell: in a group of their own, which is killed when nobody waits for it any
//! more, with a few variables of the environment, and with bounds on what they write.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Variables that every program is given, if they are set: without them few find anything.
const ALWAYS: [&str; 9] = ["HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"];
/// How much of what a program complains is kept: its end.
const COMPLAINTS: usize = 4 * 1024;
/// How long complaints are read on after the program has ended.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// A program to start.
#[derive(Debug, Clone)]
pub struct Program {
    /// Which: a path, or a name to look for in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where it runs.
    pub cwd: Option<PathBuf>,
    /// Names of further variables that it is given.
    pub env: Vec<String>,
}

/// A program that runs. Dropping it kills it with all that it started, unless it has ended.
pub struct Running {
    child: Child,
    group: Option<Pid>,
    over: bool,
    complaints: Arc<Mutex<Vec<u8>>>,
    /// Reads complaints, writes input; neither outlives this.
    helpers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts it.
    pub fn start(&self) -> io::Result<(Running, ChildStdin, ChildStdout)> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in ALWAYS.into_iter().chain(self.env.iter().map(String::as_str)) {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(folder) = &self.cwd {
            command.current_dir(folder);
        }
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let piped = || io::Error::other("a pipe is missing");
        let (stdin, stdout) = (child.stdin.take().ok_or_else(piped)?, child.stdout.take().ok_or_else(piped)?);
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let helpers = child.stderr.take().map(|stderr| tokio::spawn(keep_end(stderr, complaints.clone())));
        Ok((Running { child, group, over: false, complaints, helpers: helpers.into_iter().collect() }, stdin, stdout))
    }
}

impl Running {
    /// Writes to its input and closes it, while its output is read. A program that does not want its input is left alone.
    pub fn feed(&mut self, mut stdin: ChildStdin, input: Vec<u8>) {
        self.helpers.push(tokio::spawn(async move {
            let _ = stdin.write_all(&input).await;
        }));
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.over = true;
        if let Some(reading) = self.helpers.first_mut() {
            let _ = timeout(AFTERWARDS, reading).await;
        }
        Ok(status)
    }

    /// The end of what it complained so far, as one line.
    pub fn complaints(&self) -> String {
        let kept = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.helpers.iter().for_each(JoinHandle::abort);
        if let Some(group) = self.group.filter(|_| !self.over) {
            // Gone already is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

async fn keep_end(mut stderr: ChildStderr, kept: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 4 * 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&buffer[..count]);
        let too_many = kept.len().saturating_sub(COMPLAINTS);
        kept.drain(..too_many);
    }
}

/// What a program writes, bounded.
pub struct Output {
    stdout: ChildStdout,
    buffer: Vec<u8>,
    read: u64,
    limit: u64,
}

/// Why there is no more output.
#[derive(Debug)]
pub enum OutputError {
    /// It is more than this many bytes.
    TooMuch(u64),
    /// It could not be read.
    Io(io::Error),
}

impl Output {
    /// What comes from here, up to this many bytes.
    pub fn new(stdout: ChildStdout, limit: u64) -> Self {
        Output { stdout, buffer: Vec::new(), read: 0, limit }
    }

    /// The next line, without its end; `None` at the end of the output. It may be dropped while it waits: nothing is lost.
    pub async fn line(&mut self) -> Result<Option<Vec<u8>>, OutputError> {
        let mut looked_at = 0;
        loop {
            if let Some(end) = self.buffer[looked_at..].iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=looked_at + end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
            looked_at = self.buffer.len();
            if !self.more().await? {
                let rest = std::mem::take(&mut self.buffer);
                return Ok((!rest.is_empty()).then_some(rest));
            }
        }
    }

    /// The next text, cut where it may be cut; `None` at the end of the output.
    pub async fn text(&mut self) -> Result<Option<String>, OutputError> {
        loop {
            let whole = whole_characters(&self.buffer);
            if whole > 0 {
                let text: Vec<u8> = self.buffer.drain(..whole).collect();
                return Ok(Some(String::from_utf8_lossy(&text).into_owned()));
            }
            if !self.more().await? {
                let rest = std::mem::take(&mut self.buffer);
                return Ok((!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned()));
            }
        }
    }

    async fn more(&mut self) -> Result<bool, OutputError> {
        let count = self.stdout.read_buf(&mut self.buffer).await.map_err(OutputError::Io)?;
        self.read += count as u64;
        if self.read > self.limit { Err(OutputError::TooMuch(self.limit)) } else { Ok(count > 0) }
    }
}

/// How many bytes from the front are not the beginning of a character whose rest is yet to come.
fn whole_characters(bytes: &[u8]) -> usize {
    let begins = |byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
    let Some(back) = bytes.iter().rev().take(3).position(begins) else { return bytes.len() };
    let start = bytes.len() - 1 - back;
    let length = match bytes[start] {
        0b1100_0000..=0b1101_1111 => 2,
        0b1110_0000..=0b1110_1111 => 3,
        0b1111_0000..=0b1111_0111 => 4,
        _ => 1,
    };
    if start + length > bytes.len() { start } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stay_whole() {
        let text = "aé€😀".as_bytes();
        for cut in 0..=text.len() {
            let whole = whole_characters(&text[..cut]);
            assert!(std::str::from_utf8(&text[..whole]).is_ok() && cut - whole < 4, "{cut}: {whole}");
        }
        assert_eq!(whole_characters(b"a\xff"), 2, "what is no character is not waited for");
    }
}
