//! The log: lines on standard error, and JSON lines in a file that is rotated by size and count. Writing happens on a
//! thread of its own, so a slow disk stops no connection; a full queue loses lines and says how many. Lines that one place
//! in the code repeats are held back and counted, because a peer that is refused a million times must not fill a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Instant;

use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

pub mod counts;
mod one_line;
mod queue;
mod repeats;
mod rotation;

use one_line::OneLine;
use queue::{Message, Queue};
use repeats::Repeats;
use rotation::RotatingFile;

use crate::config::{LogFormat, LogSettings};

/// Lines that may wait for the writing thread.
const QUEUE_LINES: usize = 8_192;

/// Keeps the log going. Dropping it writes what still waits.
#[must_use = "the log ends when this is dropped"]
#[derive(Debug)]
pub struct LogGuard {
    queue: Queue,
    thread: Option<std::thread::JoinHandle<()>>,
    file: Option<PathBuf>,
}

/// Why there is no log.
#[derive(Debug)]
pub struct LogError(String);

impl std::error::Error for LogError {}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Starts the log of this process; possible once.
pub fn init(settings: &LogSettings, state_dir: &Path) -> Result<LogGuard, LogError> {
    let (subscriber, guard) = prepare(settings, state_dir)?;
    subscriber.try_init().map_err(|_| LogError("this process has a log already".to_string()))?;
    Ok(guard)
}

/// The log without making it the process's own.
fn prepare(
    settings: &LogSettings,
    state_dir: &Path,
) -> Result<(impl Subscriber + Send + Sync + 'static, LogGuard), LogError> {
    let path = log_file(state_dir);
    let file = match settings.file {
        true => Some(
            RotatingFile::open(&path, settings.max_bytes, settings.files)
                .map_err(|error| LogError(format!("{}: cannot open the log: {error}", path.display())))?,
        ),
        false => None,
    };
    let (sender, receiver) = sync_channel(QUEUE_LINES);
    let queue = Queue::new(sender);
    let repeats = Arc::new(Repeats::new(queue.clone()));
    let filter = EnvFilter::try_new(&settings.level)
        .map_err(|error| LogError(format!("gateway.log.level = {:?}: {error}", settings.level)))?;

    let stderr: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
        LogFormat::Text => {
            let coloured =
                std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
            fmt::layer().with_ansi(coloured).with_target(false).with_writer(|| OneLine).boxed()
        }
    };
    let mut layers = vec![stderr];
    if file.is_some() {
        layers.push(fmt::layer().json().flatten_event(true).with_writer(queue.clone()).boxed());
    }
    let writing = repeats.clone();
    let thread = std::thread::Builder::new()
        .name("clawhost-log".to_string())
        .spawn(move || write(&receiver, file, &writing))
        .map_err(|error| LogError(format!("cannot start the log's thread: {error}")))?;
    let guard = LogGuard { queue, thread: Some(thread), file: settings.file.then_some(path) };
    let subscriber = tracing_subscriber::registry().with(layers).with(filter).with(repeats::Layer::new(repeats));
    Ok((subscriber, guard))
}

/// The current log file of a state folder.
pub fn log_file(state_dir: &Path) -> PathBuf {
    state_dir.join("logs").join("clawhost.jsonl")
}

impl LogGuard {
    /// The log file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Waits until everything logged so far is written.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.send(Message::Flush(done)) {
            // A thread that is gone has nothing left to write.
            let _ = written.recv();
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        if self.queue.send(Message::Stop)
            && let Some(thread) = self.thread.take()
        {
            // It cannot be helped if it panicked, and the process is about to end.
            let _ = thread.join();
        }
    }
}

/// The writing thread: lines as they come, and once a window of held-back lines is over, how many they were.
fn write(messages: &Receiver<Message>, mut file: Option<RotatingFile>, repeats: &Repeats) {
    loop {
        let message = match repeats.next_summary(Instant::now()) {
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(wait) => messages.recv_timeout(wait),
        };
        match message {
            Ok(Message::Line(line)) => {
                if let Some(file) = &mut file {
                    file.write(&line);
                }
            }
            Ok(Message::Lost(lines)) => tracing::warn!(lines, "log lines were lost, the queue was full"),
            Ok(Message::HeldBack) | Err(RecvTimeoutError::Timeout) => {}
            // The other side may have stopped waiting.
            Ok(Message::Flush(done)) => drop(done.try_send(())),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
        for summary in repeats.summaries(Instant::now()) {
            summary.log();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_reach_the_file_and_repeated_ones_are_held_back() {
        let folder = tempfile::tempdir().unwrap();
        let settings = LogSettings {
            level: "info".to_string(),
            file: true,
            max_bytes: 1 << 20,
            files: 2,
            format: LogFormat::Text,
        };
        let (subscriber, guard) = prepare(&settings, folder.path()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("not of this level");
            for number in 0..repeats::MOST_IN_WINDOW + 5 {
                tracing::info!(number, "again and again");
            }
            guard.flush();
        });
        let text = std::fs::read_to_string(guard.file().unwrap()).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect();
        assert_eq!(lines.len(), repeats::MOST_IN_WINDOW as usize);
        assert_eq!((&lines[3]["number"], &lines[3]["message"]), (&3.into(), &"again and again".into()));
        assert!(lines[0]["timestamp"].is_string() && lines[0]["level"] == "INFO");
    }

    #[test]
    fn a_flush_is_answered_before_the_end() {
        let (sender, receiver) = sync_channel(4);
        let repeats = Repeats::new(Queue::new(sender.clone()));
        let (done, written) = sync_channel(1);
        sender.send(Message::Flush(done)).unwrap();
        sender.send(Message::Stop).unwrap();
        write(&receiver, None, &repeats);
        assert!(written.recv().is_ok());
    }
}
