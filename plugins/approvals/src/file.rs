//! The gateway's own file of what may run without asking, in the form that gateways and their clients know. It lies in this
//! plugin's folder: that of a node on the same machine is its user's, and another one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use plugin_api::lenient;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

const NAME: &str = "exec-approvals.json";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsFile {
    /// Always 1.
    #[schemars(range(min = 1, max = 1))]
    #[serde(deserialize_with = "lenient::uint")]
    pub version: u64,
    /// Where a program asks the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<Socket>,
    /// For every agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Rules>,
    /// For one agent, by its id.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    #[schemars(schema_with = "lenient::nullable::<BTreeMap<String, AgentRules>>")]
    pub agents: BTreeMap<String, AgentRules>,
}

/// A program that asks the user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Socket {
    /// Its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What lets in there; written, and never read out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What holds unless an agent has rules of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rules {
    /// `deny`, `allowlist` or `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<String>,
    /// `off`, `on-miss` or `always`: when operators are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// What holds when nobody can be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_fallback: Option<String>,
    /// Whether programs of skills may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_allow_skills: Option<bool>,
}

/// An agent's rules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentRules {
    /// `deny`, `allowlist` or `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<String>,
    /// `off`, `on-miss` or `always`: when operators are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// What holds when nobody can be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_fallback: Option<String>,
    /// Whether programs of skills may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_allow_skills: Option<bool>,
    /// Programs that may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowlist: Option<Vec<Allowed>>,
}

/// A program that may run. What is said beyond this is kept: it may bound what is allowed, and leaving it out would allow
/// more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allowed {
    /// Which programs.
    #[schemars(length(min = 1))]
    pub pattern: String,
    /// Id, when it was last used and how, and whatever else was said.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// The file as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Snapshot {
    /// Where it is.
    pub path: String,
    /// Whether it is.
    pub exists: bool,
    /// SHA-256 of its text, in hex.
    pub hash: String,
    /// What it says, without the socket's token.
    pub file: ApprovalsFile,
}

/// Why nothing came of it.
#[derive(Debug, PartialEq)]
pub enum Fault {
    /// The request is wrong; for whoever asked.
    Refused(String),
    /// The disk or the file is; for the log.
    Failed(String),
}

/// The file, wherever it is.
pub struct Store {
    path: PathBuf,
    max_bytes: usize,
    /// One change at a time, so that two with the same hash do not both hold.
    changing: Mutex<()>,
}

impl Store {
    /// The one of this folder.
    pub fn in_folder(folder: &Path, max_bytes: usize) -> Self {
        Store { path: folder.join(NAME), max_bytes, changing: Mutex::default() }
    }

    /// What clients are shown.
    pub fn snapshot(&self) -> Result<Snapshot, Fault> {
        let found = self.load().map_err(|why| Fault::Failed(format!("{}: {why}", self.path.display())))?;
        let exists = found.is_some();
        let (text, mut file) = found.unwrap_or_else(|| (String::new(), ApprovalsFile::empty()));
        if let Some(socket) = &mut file.socket {
            socket.token = None;
        }
        Ok(Snapshot { path: self.path.display().to_string(), exists, hash: hash(&text), file })
    }

    /// Replaces the file, if it still is what `base_hash` says. The socket and its token stay unless others are given.
    pub fn replace(&self, mut file: ApprovalsFile, base_hash: Option<&str>) -> Result<Snapshot, Fault> {
        const AGAIN: &str = "re-run exec.approvals.get and retry";
        let refused = |why: &str| Fault::Refused(format!("exec approvals {why}; {AGAIN}"));
        file.check().map_err(|why| Fault::Refused(format!("invalid exec.approvals.set params: {why}")))?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // What cannot be read is not written over.
        let found = self.load().map_err(|_| refused("base hash unavailable"))?;
        if let Some((text, before)) = found {
            let base = base_hash.ok_or_else(|| refused("base hash required"))?;
            if base != hash(&text) {
                return Err(refused("changed since last load"));
            }
            let old = before.socket.unwrap_or_default();
            let new = file.socket.unwrap_or_default();
            let socket = Socket { path: new.path.or(old.path), token: new.token.or(old.token) };
            file.socket = (socket != Socket::default()).then_some(socket);
        }
        self.save(&file)?;
        self.snapshot()
    }

    fn load(&self) -> Result<Option<(String, ApprovalsFile)>, String> {
        let bytes = match fs::metadata(&self.path) {
            Ok(found) if found.len() > self.max_bytes as u64 => {
                return Err(format!("larger than {} bytes (max_file_bytes)", self.max_bytes));
            }
            Ok(_) => fs::read(&self.path).map_err(|error| error.to_string())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let text = String::from_utf8(bytes).map_err(|_| "not UTF-8")?;
        let file: ApprovalsFile = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        file.check()?;
        Ok(Some((text, file)))
    }

    fn save(&self, file: &ApprovalsFile) -> Result<(), Fault> {
        let mut text = serde_json::to_vec_pretty(file).map_err(|error| Fault::Failed(error.to_string()))?;
        text.push(b'\n');
        if text.len() > self.max_bytes {
            let most = self.max_bytes;
            return Err(Fault::Refused(format!("the file is larger than {most} bytes (max_file_bytes)")));
        }
        let written = || -> io::Result<()> {
            // Made for its owner only, and put in place in one step.
            let folder = self.path.parent().unwrap_or(Path::new("."));
            let mut beside = tempfile::NamedTempFile::new_in(folder)?;
            beside.write_all(&text)?;
            beside.as_file().sync_all()?;
            beside.persist(&self.path)?;
            // Else a power cut may bring the old file back after the answer.
            fs::File::open(folder)?.sync_all()
        };
        written().map_err(|error| Fault::Failed(format!("{}: cannot be written: {error}", self.path.display())))
    }
}

impl ApprovalsFile {
    fn empty() -> Self {
        ApprovalsFile { version: 1, socket: None, defaults: None, agents: BTreeMap::new() }
    }

    fn check(&self) -> Result<(), String> {
        if self.version != 1 {
            return Err(format!("version: {} is not known; 1 is", self.version));
        }
        let agents = self.agents.values().map(|rules| (&rules.security, &rules.ask, &rules.ask_fallback));
        let defaults = self.defaults.iter().map(|rules| (&rules.security, &rules.ask, &rules.ask_fallback));
        for (security, ask, fallback) in agents.chain(defaults) {
            one_of("security", security, &["deny", "allowlist", "full"])?;
            one_of("ask", ask, &["off", "on-miss", "always"])?;
            one_of("askFallback", fallback, &["deny", "allowlist", "full"])?;
        }
        Ok(())
    }
}

fn one_of(key: &str, value: &Option<String>, known: &[&str]) -> Result<(), String> {
    match value.as_deref() {
        Some(value) if !known.contains(&value) => Err(format!("{key} is one of {}", known.join(", "))),
        _ => Ok(()),
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
