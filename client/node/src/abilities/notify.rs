//! `system.notify`: a message on the screen, by `notify-send` where a desktop is there to show it.

use std::path::PathBuf;
use std::process::Stdio;

use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::Instant;

use super::program;
use crate::ability::{Ability, Refusal, Work, read};

/// Shows messages.
pub struct Notify {
    program: PathBuf,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    title: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    priority: Option<String>,
}

impl Notify {
    /// On a machine with a session bus to send to and the program that does.
    pub fn find() -> Option<Self> {
        std::env::var_os("DBUS_SESSION_BUS_ADDRESS")?;
        program("notify-send", None).map(|program| Notify { program })
    }
}

impl Ability for Notify {
    fn cap(&self) -> &'static str {
        "system"
    }

    fn commands(&self) -> &'static [&'static str] {
        &["system.notify"]
    }

    fn run<'a>(&'a self, command: &'a str, params: &'a str, _: Instant) -> Work<'a> {
        Box::pin(async move {
            let Message { title, body, priority } = read(command, params)?;
            if title.trim().is_empty() && body.trim().is_empty() {
                return Err(Refusal::invalid("a notification needs a title or a body"));
            }
            let urgency = match priority.as_deref() {
                Some("passive") => "low",
                Some("timeSensitive") => "critical",
                _ => "normal",
            };
            let title = if title.trim().is_empty() { "clawhost" } else { &title };
            let done = Command::new(&self.program)
                .args(["--app-name=clawhost", &format!("--urgency={urgency}"), "--", title, &body])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .status()
                .await;
            match done {
                Ok(status) if status.success() => Ok(Value::Null),
                Ok(status) => Err(Refusal::unavailable(format!("the notification was not shown ({status})"))),
                Err(error) => Err(Refusal::unavailable(format!("the notification was not shown ({error})"))),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_message_is_handed_over_word_for_word() {
        let folder = tempfile::tempdir().unwrap();
        let (stand_in, said) = (folder.path().join("notify-send"), folder.path().join("said"));
        std::fs::write(&stand_in, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", said.display())).unwrap();
        std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o755)).unwrap();
        let notify = Notify { program: stand_in };
        let params = r#"{"title":"--help","body":"a $(b)","priority":"timeSensitive"}"#;
        assert_eq!(notify.run("system.notify", params, Instant::now()).await, Ok(Value::Null));
        let said = std::fs::read_to_string(said).unwrap();
        assert_eq!(said, "--app-name=clawhost\n--urgency=critical\n--\n--help\na $(b)\n");
        assert!(notify.run("system.notify", "{}", Instant::now()).await.is_err());
        let gone = Notify { program: folder.path().join("gone") };
        assert_eq!(gone.run("system.notify", params, Instant::now()).await.unwrap_err().code, "UNAVAILABLE");
    }
}
