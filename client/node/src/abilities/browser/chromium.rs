//! Chromium, or Chrome: found, started with a profile of its own that nobody else may read, and ended with all it started.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::devtools::{DevTools, Fault, Reaction};
use super::page::Size;
use crate::abilities::process::{self, Group, Kept};
use crate::abilities::program;
use crate::ability::Refusal;

/// What it is called, the first that is there.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"];
/// Where it is on a Mac.
const PLACES: [&str; 2] = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
/// How long it may take to end when it is asked to, before it is ended.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes kept of what it complains.
const MAX_COMPLAINTS: usize = 16 * 1024;
/// It reads from 3 and writes to 4. A shell puts its input and output there; it is told a fixed text, and the rest as
/// arguments.
const ON_PIPES: &str = r#"exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#;
/// No window, no first-run questions, nothing fetched for itself, nothing kept in the desktop's key store, one page.
const FLAGS: [&str; 19] = [
    "--remote-debugging-pipe",
    "--headless=new",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-startup-window",
    "--block-new-web-contents",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--hide-scrollbars",
    "--metrics-recording-only",
    "--mute-audio",
    "--password-store=basic",
    "--use-mock-keychain",
];

/// A browser that could be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    sandbox: bool,
}

impl Program {
    /// The one at this path, or else one that this machine has. It keeps its pages in a sandbox unless its user says
    /// otherwise; as root it does not start with one.
    pub fn find(said: Option<&Path>, sandbox: bool) -> Result<Option<Self>, String> {
        let path = match said {
            Some(path) => {
                let found = path.to_str().and_then(|name| program(name, None));
                Some(found.ok_or_else(|| format!("{}: is no program", path.display()))?)
            }
            None => NAMES.into_iter().chain(PLACES).find_map(|name| program(name, None)),
        };
        if path.is_some() && sandbox && rustix::process::geteuid().is_root() {
            return Err(
                "as root, Chromium starts without its sandbox only, which takes --browser-without-sandbox; another user is better"
                    .to_string(),
            );
        }
        Ok(path.map(|path| Program { path, sandbox }))
    }
}

/// A browser that runs, with its one page. It is ended when this is dropped.
pub struct Chromium {
    pub(super) devtools: DevTools,
    pub(super) session: String,
    // In this order: what runs ends before its files go.
    group: Group,
    complaints: JoinHandle<Kept>,
    profile: TempDir,
}

impl Chromium {
    /// Starts one.
    pub async fn start(program: &Program, size: Size) -> Result<Self, Refusal> {
        let failed = |error: std::io::Error| {
            tracing::warn!(%error, program = %program.path.display(), "the browser cannot be started");
            Refusal::unavailable("the browser cannot be started; the log of this node says why")
        };
        let profile = tempfile::Builder::new()
            .prefix("clawhost-canvas-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(failed)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", ON_PIPES, "sh"]).arg(&program.path).args(FLAGS);
        command.arg(format!("--window-size={},{}", size.width, size.height));
        let mut data = std::ffi::OsString::from("--user-data-dir=");
        data.push(profile.path());
        command.arg(data);
        if !program.sandbox {
            command.arg("--no-sandbox");
        }
        process::forget_own(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = Group::spawn(&mut command).map_err(failed)?;
        let (to, from, errors) = (group.child.stdin.take(), group.child.stdout.take(), group.child.stderr.take());
        let (Some(to), Some(from)) = (to, from) else {
            return Err(failed(std::io::Error::other("it has no pipes")));
        };
        let complaints = tokio::spawn(async move {
            let mut kept = Kept::up_to(MAX_COMPLAINTS);
            kept.fill(errors).await;
            kept
        });
        let page = Arc::new(OnceLock::new());
        let devtools = DevTools::over(from, to, reactions(page.clone()));
        match open(&devtools, &page).await {
            Ok(session) => Ok(Chromium { devtools, session, group, complaints, profile }),
            Err(fault) => {
                drop(group);
                let said = timeout(PATIENCE, complaints).await;
                let said = said.ok().and_then(Result::ok).map(|kept| kept.text());
                tracing::warn!(?fault, said, program = %program.path.display(), "the browser did not start");
                Err(Refusal::unavailable("the browser did not start; the log of this node says why"))
            }
        }
    }

    /// Whether it is gone: closed, crashed, or no longer to be reached.
    pub fn is_over(&self) -> bool {
        self.devtools.is_over()
    }

    /// Its processes, and its files.
    #[cfg(test)]
    pub fn running(&self) -> (rustix::process::Pid, PathBuf) {
        (self.group.id().expect("it runs"), self.profile.path().to_path_buf())
    }

    /// Ends it, and returns when it and its files are gone.
    pub async fn end(mut self) {
        let asked = async {
            let _ = self.devtools.call::<Value>(None, "Browser.close", json!({})).await;
            self.group.child.wait().await
        };
        let _ = timeout(PATIENCE, asked).await;
        let Chromium { devtools, group, complaints, profile, .. } = self;
        group.end().await;
        drop(devtools);
        // Everything it started held this open.
        let _ = timeout(PATIENCE, complaints).await;
        if let Err(error) = profile.close() {
            tracing::warn!(%error, "files of the browser were left behind");
        }
    }
}

/// Opens the page, and attaches to it; the session's id.
async fn open(devtools: &DevTools, page: &OnceLock<String>) -> Result<String, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Created {
        target_id: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Attached {
        session_id: String,
    }
    let Created { target_id } = devtools.call(None, "Target.createTarget", json!({ "url": "about:blank" })).await?;
    let _ = page.set(target_id.clone());
    let attach = json!({ "targetId": target_id, "flatten": true });
    let Attached { session_id } = devtools.call(None, "Target.attachToTarget", attach).await?;
    devtools.call::<Value>(Some(&session_id), "Page.enable", json!({})).await?;
    devtools.call::<Value>(None, "Target.setDiscoverTargets", json!({ "discover": true })).await?;
    devtools.call::<Value>(None, "Browser.setDownloadBehavior", json!({ "behavior": "deny" })).await?;
    Ok(session_id)
}

/// A page asks nobody, opens no other page, and takes the browser with it when it crashes.
fn reactions(page: Arc<OnceLock<String>>) -> impl Fn(&str, &Value) -> Reaction + Send + Sync {
    move |event, params| {
        let ours = |id: &Value| id.as_str().is_some_and(|id| page.get().is_some_and(|page| page == id));
        match event {
            "Page.javascriptDialogOpening" => {
                // Whoever wants to leave may.
                let accept = params["type"] == "beforeunload";
                Reaction::Send("Page.handleJavaScriptDialog", json!({ "accept": accept }))
            }
            "Target.targetCreated" => {
                let target = &params["targetInfo"];
                if target["type"] == "page" && !ours(&target["targetId"]) {
                    return Reaction::Send("Target.closeTarget", json!({ "targetId": target["targetId"] }));
                }
                Reaction::None
            }
            "Target.targetCrashed" | "Target.targetDestroyed" if ours(&params["targetId"]) => Reaction::End,
            _ => Reaction::None,
        }
    }
}
