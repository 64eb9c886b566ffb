//! How does a plugin bring a message channel? Here it is a folder: what lies in `in` was written to the agent, and what the
//! gateway says lies in `out`. `cargo run --example channel`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use plugin_api::contracts::channel::{
    BAD_TARGET, Chat, Inbound, NOT_SENT, Query, Report, Send, Sender, Sent, Taken, is_refused,
};
use plugin_api::{
    Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup, Spawned, StartError,
};
use plugin_kit::Harness;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

pub(crate) struct Mailbox {
    host: Host,
    config: Config,
    looking: Mutex<Option<Spawned>>,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// A folder; `in` and `out` are made in it.
    folder: PathBuf,
    /// Milliseconds between two looks into it.
    #[serde(default = "half_a_second")]
    poll_ms: u64,
}

/// A letter in `in`: `<id>.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    from: String,
    text: String,
    /// The group that it was written to; without one it was written to the agent alone.
    group: Option<String>,
    /// Whether it names the agent.
    #[serde(default)]
    mentioned: bool,
}

static METHODS: LazyLock<Methods<Mailbox>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::internal("channel.mailbox.send").summary("Leaves a letter.").effects(), Mailbox::send)
        .add(Method::internal("channel.mailbox.status").summary("How the folder is doing."), Mailbox::status)
});

impl Plugin for Mailbox {
    fn manifest() -> Manifest {
        Manifest::new("mailbox", "1.0.0").invokes(&["channels.inbound"]).config::<Config>().methods(&METHODS)
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        Ok(Mailbox { host, config: setup.config()?, looking: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        for folder in ["in", "out"] {
            let folder = self.config.folder.join(folder);
            std::fs::create_dir_all(&folder)
                .map_err(|error| StartError::new(format!("folder: cannot make {}: {error}", folder.display())))?;
        }
        let mailbox = self.clone();
        let looking = self.host.spawn(async move { mailbox.look().await });
        *self.looking.lock().unwrap_or_else(PoisonError::into_inner) = Some(looking);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + std::marker::Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        // Another instance may begin to look now; letters can be sent by this one until it is stopped.
        if let Some(looking) = self.looking.lock().unwrap_or_else(PoisonError::into_inner).take() {
            looking.cancel();
        }
    }
}

plugin_api::plugin!(Mailbox);

impl Mailbox {
    async fn send(self: Arc<Self>, call: Call, message: Send) -> Result<Sent, MethodError> {
        if message.to.contains(['/', '\n']) {
            let error = MethodError::invalid_request(format!("{:?} is nobody's name", message.to));
            return Err(error.with_details(json!({ "code": BAD_TARGET })));
        }
        let letter = json!({ "to": message.to, "text": message.text, "key": message.idempotency_key });
        let folder = self.config.folder.join("out");
        let written = call.host().blocking(move || leave(&folder, &letter.to_string())).await?;
        let id = written.map_err(|error| {
            // It surely lies nowhere, and may be left later.
            MethodError::unavailable("the letter could not be left")
                .retryable()
                .with_details(json!({ "code": NOT_SENT }))
                .log(error)
        })?;
        Ok(Sent { message_id: id, ..Sent::default() })
    }

    async fn status(self: Arc<Self>, _: Call, _: Query) -> Result<Report, MethodError> {
        let summary = json!({ "configured": true, "running": true });
        Ok(Report {
            label: Some("Mailbox".to_string()),
            sender_label: Some("Name".to_string()),
            accounts: Some(vec![Map::from_iter([
                ("accountId".to_string(), json!("default")),
                ("running".to_string(), json!(true)),
            ])]),
            summary: summary.as_object().cloned(),
            ..Report::default()
        })
    }

    async fn look(&self) {
        loop {
            let folder = self.config.folder.join("in");
            match self.host.blocking(move || letters(&folder)).await {
                Ok(letters) => {
                    for (file, letter) in letters {
                        self.take(&file, letter).await;
                    }
                }
                Err(error) => self.host.warn(&format!("the letters cannot be read: {error}")),
            }
            self.host.sleep(Duration::from_millis(self.config.poll_ms)).await;
        }
    }

    /// Hands a letter over, and throws it away once it is kept elsewhere. What could not be handed over is tried again at
    /// the next look, but for one that is refused, which is laid aside.
    async fn take(&self, file: &Path, letter: Letter) {
        let (id, kind) = (letter.group.as_ref().unwrap_or(&letter.from), letter.group.as_ref().map(|_| "group"));
        let message = Inbound {
            channel: "mailbox".to_string(),
            message_id: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            from: Sender { id: letter.from.clone(), name: Some(letter.from.clone()), handle: None },
            chat: Chat { id: id.clone(), kind: kind.unwrap_or("direct").to_string(), ..Chat::default() },
            text: letter.text,
            mentioned: letter.mentioned,
            ..Inbound::default()
        };
        match self.host.invoke("channels.inbound", &message).send::<Taken>().await {
            Ok(_) => {
                if let Err(error) = std::fs::remove_file(file) {
                    // It comes again, and is known then.
                    self.host.warn(&format!("{} cannot be thrown away: {error}", file.display()));
                }
            }
            Err(error) => {
                self.host.warn(&format!("a letter was not taken: {error}"));
                if is_refused(&error)
                    && let Err(error) = std::fs::rename(file, file.with_extension("refused"))
                {
                    self.host.warn(&format!("{} cannot be laid aside: {error}", file.display()));
                }
            }
        }
    }
}

/// The letters that can be read, oldest name first.
fn letters(folder: &Path) -> Vec<(PathBuf, Letter)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let read = |file: PathBuf| {
        let letter = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
        Some((file, letter))
    };
    files.into_iter().filter_map(read).collect()
}

static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// Leaves a letter under the next number. It is there whole, or not at all.
fn leave(folder: &Path, letter: &str) -> std::io::Result<String> {
    let mut number = std::fs::read_dir(folder)?.count();
    loop {
        // Several letters may be left at once, so each has a draft of its own.
        let draft = folder.join(format!(".draft-{}-{}", std::process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed)));
        let file = folder.join(format!("{number:06}.json"));
        let mut writing = std::fs::File::create(&draft)?;
        writing.write_all(letter.as_bytes())?;
        writing.sync_all()?;
        // Unlike a renaming, this takes no other letter's place.
        let linked = std::fs::hard_link(&draft, &file);
        // It lies there now, or does not: a draft that stays behind changes nothing about that.
        let _ = std::fs::remove_file(&draft);
        match linked {
            Ok(()) => return Ok(format!("{number:06}")),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

fn half_a_second() -> u64 {
    500
}

pub(crate) fn main() {
    let folder = std::env::temp_dir().join(format!("clawhost-mailbox-{}", std::process::id()));
    let plugin = Harness::new::<Mailbox>()
        .config(json!({ "folder": folder }))
        .answer("channels.inbound", json!({ "verdict": "run", "runId": "1" }))
        .start();
    std::fs::write(folder.join("in/1.json"), r#"{ "from": "ann", "text": "Hello!" }"#)
        .expect("a letter can be written");
    plugin.wait_until("the letter", |plugin| {
        plugin.advance(Duration::from_secs(1));
        !folder.join("in/1.json").exists()
    });
    println!("handed over: {}", plugin.asked()[0].params);
    let answer = json!({ "to": "ann", "text": "Hello yourself.", "idempotencyKey": "k" });
    let sent = plugin.call_as(plugin_kit::Who::plugin("send"), "channel.mailbox.send", answer).payload();
    let file = folder.join("out").join(sent["messageId"].as_str().expect("an id")).with_extension("json");
    println!("left: {}", std::fs::read_to_string(file).expect("the letter is there"));
    plugin.stop();
    std::fs::remove_dir_all(folder).expect("the folder was ours");
}
