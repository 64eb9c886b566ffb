//! A child process, its lines on standard error, and its end, as things one can wait for.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A running child.
pub(super) struct Process {
    shared: Arc<Shared>,
}

struct Shared {
    child: Mutex<Child>,
    state: Mutex<State>,
    changed: Notify,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    status: Option<ExitStatus>,
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = child.stderr.take().expect("standard error is piped");
        let shared = Arc::new(Shared {
            child: Mutex::new(child),
            state: Mutex::default(),
            changed: Notify::new(),
            ended: Condvar::new(),
        });
        let reader = shared.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                reader.state().lines.push(line);
                reader.changed.notify_waiters();
            }
            // Standard error closes when the process ends, so this waits for an instant only.
            let status = lock(&reader.child).wait().ok();
            reader.state().status = status;
            reader.changed.notify_waiters();
            reader.ended.notify_all();
        });
        Process { shared }
    }

    /// The first line for which this gives something; `Err` is the end of the process.
    pub async fn line<T>(&self, mut find: impl FnMut(&str) -> Option<T>) -> Result<T, ExitStatus> {
        let mut read = 0;
        loop {
            let changed = self.shared.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.shared.state();
                for line in &state.lines[read..] {
                    if let Some(found) = find(line) {
                        return Ok(found);
                    }
                }
                read = state.lines.len();
                if let Some(status) = state.status {
                    return Err(status);
                }
            }
            changed.await;
        }
    }

    /// Waits for the end.
    pub async fn end(&self) -> ExitStatus {
        self.line::<()>(|_| None).await.expect_err("no line is looked for")
    }

    pub fn lines(&self) -> Vec<String> {
        self.shared.state().lines.clone()
    }

    pub fn has_ended(&self) -> bool {
        self.shared.state().status.is_some()
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        lock(&self.shared.child).id()
    }

    /// Sends it a signal by its name, if it still runs.
    pub fn signal(&self, name: &str) {
        let child = lock(&self.shared.child);
        if self.shared.state().status.is_none() {
            let _ = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
        }
    }

    /// Ends it on the spot.
    pub fn kill(&self) {
        let _ = lock(&self.shared.child).kill();
    }

    /// Waits for the end without a runtime; `None` when it does not come in time.
    pub fn wait(&self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        let mut state = self.shared.state();
        while state.status.is_none() {
            let left = until.checked_duration_since(Instant::now())?;
            state = self.shared.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.status
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
