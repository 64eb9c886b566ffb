//! An attack, how it is tried, and what is said of it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use clawhost_tests::support::Knock;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::time::timeout;

use crate::memory::Memory;
use crate::target::{Target, lockout};

/// How long a healthy client may wait from knocking to the answer.
const HEALTHY: Duration = Duration::from_secs(10);

/// One attack.
pub struct Attack {
    /// `family: what is done`
    pub name: String,
    needs_this_machine: bool,
    run: Run,
}

type Run = Box<dyn Fn(Arc<Target>) -> BoxFuture<'static, Outcome>>;

/// `Ok` is an attack that was withstood.
pub type Outcome = Result<(), Finding>;

/// What should have happened, and what did.
#[derive(Debug)]
pub struct Finding {
    expected: String,
    got: String,
}

/// What is printed of an attack.
pub enum Verdict {
    Withstood,
    Failed(Finding),
    /// It needs the rights of a client on the gateway's machine.
    Skipped,
}

impl Attack {
    pub fn new<F>(family: &str, what: &str, run: impl Fn(Arc<Target>) -> F + 'static) -> Attack
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let run: Run = Box::new(move |target| run(target).boxed());
        Attack { name: format!("{family}: {what}"), needs_this_machine: false, run }
    }

    /// To be tried from the gateway's machine only: who is local is paired without being asked, and never locked out.
    pub fn on_this_machine(self) -> Attack {
        Attack { needs_this_machine: true, ..self }
    }

    pub async fn try_on(&self, target: &Arc<Target>, memory: Option<&Memory>) -> Verdict {
        if self.needs_this_machine && !target.is_this_machine() {
            return Verdict::Skipped;
        }
        match self.outcome(target, memory).await {
            Ok(()) => Verdict::Withstood,
            Err(finding) => Verdict::Failed(finding),
        }
    }

    async fn outcome(&self, target: &Arc<Target>, memory: Option<&Memory>) -> Outcome {
        guarded((self.run)(target.clone())).await?;
        healthy(target).await?;
        match memory {
            Some(memory) => memory.settles(target).await,
            None => Ok(()),
        }
    }
}

/// A new client is let in and `health` is answered, within [`HEALTHY`].
pub async fn healthy(target: &Arc<Target>) -> Outcome {
    let target = target.clone();
    let served = async move {
        let mut client = target.admin().await;
        let health = client.ok("health", json!({})).await;
        check("health that is ok", &health, health["ok"] == true)
    };
    let in_time = format!("a healthy client served within {HEALTHY:?}");
    match timeout(HEALTHY, guarded(served)).await {
        Ok(outcome) => outcome.map_err(|finding| Finding::new(&in_time, finding.got)),
        Err(_) => Err(Finding::new(&in_time, "no answer")),
    }
}

/// Clients that look as if they came from afar are judged by the token, and not by the guesses of a run before this one.
pub async fn not_locked_out(target: &Arc<Target>) -> Outcome {
    let target = target.clone();
    guarded(async move {
        let result = target.knock_with(&Knock::remote()).await.connect(&target.operator()).await;
        let wait = lockout(&result).and_then(|error| error.retry_after_ms);
        let told = format!("one that is locked out for {} ms more", wait.unwrap_or_default());
        check("a client that may try the token", told, wait.is_none())
    })
    .await
}

/// An error unless it fits.
pub fn check(expected: &str, got: impl fmt::Debug, fits: bool) -> Outcome {
    if fits { Ok(()) } else { Err(Finding::new(expected, format!("{got:?}"))) }
}

/// In a task of its own, so that a panic of the tests' client is a finding.
async fn guarded(work: impl Future<Output = Outcome> + Send + 'static) -> Outcome {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => {
            let panic = error.into_panic();
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
            Err(Finding::new("a gateway that keeps to the protocol", text))
        }
    }
}

impl Finding {
    pub fn new(expected: impl Into<String>, got: impl Into<String>) -> Finding {
        Finding { expected: expected.into(), got: got.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More of an answer would hide the next line.
        const LONGEST: usize = 300;
        let got = self.got.replace('\n', " ");
        write!(f, "expected {}, got {}", self.expected, &got[..got.floor_char_boundary(LONGEST)])
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Withstood => f.write_str("ok"),
            Verdict::Failed(finding) => write!(f, "FAILED: {finding}"),
            Verdict::Skipped => f.write_str("skipped: only a client on the gateway's machine can tell"),
        }
    }
}
