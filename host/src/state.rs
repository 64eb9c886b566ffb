//! The state folder: for its owner only, used by one gateway at a time, and written so that a crash leaves either the old
//! file or the new one.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::secret::Secret;

const LOCK: &str = "gateway.lock";
const DESCRIPTION: &str = "gateway.json";
const TOKEN: &str = "token";
/// Ends the names of files that are not yet written to their end.
const UNFINISHED: &str = ".new";
/// Names by which a folder is known to be a gateway's own.
const OWN_NAMES: [&str; 7] = [LOCK, DESCRIPTION, TOKEN, "state.db", "gateway.key", "config.toml", "logs"];
/// A command line that looks whether a gateway runs holds the lock for an instant; a start waits that long.
const LOCK_ATTEMPTS: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// What somebody else than the gateway may fail at, too.
const READ: &str = "cannot read";

/// The state folder of this gateway, locked for as long as the value lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    // The lock goes when the file is closed, also when the process is killed.
    _lock: File,
}

/// A gateway that runs on this machine, as its `gateway.json` describes it.
#[derive(Debug, Clone)]
pub struct LocalGateway {
    /// Where to connect: `ws://127.0.0.1:18789`.
    pub url: String,
    /// Its TCP port.
    pub port: u16,
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it started, in milliseconds since the epoch.
    pub started_at_ms: u64,
    /// How a client of the same owner authenticates.
    pub auth: LocalAuth,
    /// Fingerprint of its certificate, if it speaks TLS.
    pub tls_fingerprint: Option<String>,
    /// The configuration that it follows, which need not be there yet; absent from gateways that do not say.
    pub config: Option<PathBuf>,
}

/// How a client of the same owner authenticates.
#[derive(Debug, Clone)]
pub enum LocalAuth {
    /// With the shared token.
    Token(Secret),
    /// With the shared password.
    Password(Secret),
}

/// Why the state folder cannot be used. The text is for the operator and says what to do.
#[derive(Debug)]
pub struct StateError(String);

impl std::error::Error for StateError {}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl StateDir {
    /// Makes the folder if there is none, sees to it that only its owner has access, and locks it.
    pub fn open(path: &Path) -> Result<StateDir, StateError> {
        let created = !path.exists();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed(path, "cannot make", error))?;
        let lock_path = path.join(LOCK);
        if !created {
            restrict(path)?;
        }
        let lock = open_private(OpenOptions::new().read(true).write(true).create(true), &lock_path)
            .map_err(|error| failed(&lock_path, "cannot open", error))?;
        check_owner(path, &lock)?;
        lock_alone(&lock, path)?;
        // What a killed gateway left behind describes nobody.
        let description = path.join(DESCRIPTION);
        remove_if_there(&description).map_err(|error| failed(&description, "cannot remove", error))?;
        remove_unfinished(path);
        Ok(StateDir { path: path.to_path_buf(), _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join("state.db")
    }

    /// The key from which device tokens are derived.
    pub fn gateway_key(&self) -> PathBuf {
        self.path.join("gateway.key")
    }

    /// The shared token for a gateway that was given none: the one in the folder, made now if there is none.
    pub fn shared_token(&self) -> Result<Secret, StateError> {
        if let Some(token) = read_shared_token(&self.path)? {
            return Ok(token);
        }
        let path = self.path.join(TOKEN);
        let mut random = [0u8; 24];
        getrandom::fill(&mut random)
            .map_err(|error| StateError(format!("the system gives no random bytes: {error}")))?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        write_private(&path, format!("{token}\n").as_bytes()).map_err(|error| failed(&path, "cannot write", error))?;
        Ok(Secret::new(token))
    }

    /// The folders of plugins in it.
    pub fn plugin_folders(&self) -> PluginFolders {
        PluginFolders { path: self.path.clone() }
    }

    /// Tells clients of the same owner where this gateway is and how to get in. Called when it accepts connections.
    pub fn publish(&self, gateway: &LocalGateway) -> Result<(), StateError> {
        gateway.write_to(&self.path)
    }
}

/// Where plugins keep things in a state folder. Holding it holds no lock.
#[derive(Debug, Clone)]
pub struct PluginFolders {
    path: PathBuf,
}

impl PluginFolders {
    /// The folder of the copies of loaded libraries.
    pub fn libraries(&self) -> PathBuf {
        self.path.join("plugins")
    }

    /// The folder of a plugin's own files, made if there is none.
    pub fn data(&self, id: &str) -> Result<PathBuf, StateError> {
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if id.is_empty() || !id.chars().all(sound) {
            return Err(StateError(format!(
                "plugin id {id:?}: only letters, digits, \"-\" and \"_\" make a folder's name"
            )));
        }
        let path = self.path.join("data").join(id);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| failed(&path, "cannot make", error))?;
        Ok(path)
    }
}

impl Drop for StateDir {
    /// Clients must not find a gateway that is gone. A failure leaves a file which the free lock shows to be stale.
    fn drop(&mut self) {
        if let Err(error) = remove_if_there(&self.path.join(DESCRIPTION)) {
            tracing::warn!(%error, "gateway.json is left behind");
        }
    }
}

impl LocalGateway {
    /// Describes it in the state folder of a gateway that runs.
    pub(crate) fn write_to(&self, state_dir: &Path) -> Result<(), StateError> {
        let path = state_dir.join(DESCRIPTION);
        let text = serde_json::to_vec_pretty(&self.to_json()).expect("a JSON value is serialisable");
        write_private(&path, &text).map_err(|error| failed(&path, "cannot write", error))
    }

    fn to_json(&self) -> Value {
        let auth = match &self.auth {
            LocalAuth::Token(token) => json!({"mode": "token", "token": token.expose()}),
            LocalAuth::Password(password) => json!({"mode": "password", "password": password.expose()}),
        };
        let mut described = json!({
            "url": self.url, "port": self.port, "pid": self.pid, "version": self.version,
            "startedAtMs": self.started_at_ms, "auth": auth,
        });
        if let Some(fingerprint) = &self.tls_fingerprint {
            described["tlsFingerprint"] = json!(fingerprint);
        }
        if let Some(config) = &self.config {
            described["configPath"] = json!(config.to_string_lossy());
        }
        described
    }

    fn from_json(value: &Value) -> Option<LocalGateway> {
        let auth = &value["auth"];
        Some(LocalGateway {
            url: value["url"].as_str()?.to_string(),
            port: value["port"].as_u64()?.try_into().ok()?,
            pid: value["pid"].as_u64()?.try_into().ok()?,
            version: value["version"].as_str()?.to_string(),
            started_at_ms: value["startedAtMs"].as_u64()?,
            auth: match auth["mode"].as_str()? {
                "token" => LocalAuth::Token(Secret::new(auth["token"].as_str()?)),
                "password" => LocalAuth::Password(Secret::new(auth["password"].as_str()?)),
                _ => return None,
            },
            tls_fingerprint: value["tlsFingerprint"].as_str().map(str::to_string),
            config: value["configPath"].as_str().map(PathBuf::from),
        })
    }
}

/// The gateway that runs with this state folder, if one does. A file that a killed gateway left is passed over: nobody
/// holds its lock.
pub fn read_gateway_json(state_dir: &Path) -> Option<LocalGateway> {
    let lock = File::open(state_dir.join(LOCK)).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => described(state_dir),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// The token in the state folder, if there is one. One that others can read is refused rather than used.
pub fn read_shared_token(state_dir: &Path) -> Result<Option<Secret>, StateError> {
    let path = state_dir.join(TOKEN);
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&path, READ, error)),
    };
    if metadata.mode() & 0o077 != 0 {
        return Err(StateError(format!(
            "{}: others than its owner can read the token; delete the file so that a new one is made, or, if nobody has \
             read it, run chmod 600 on it",
            path.display()
        )));
    }
    let text = fs::read_to_string(&path).map_err(|error| failed(&path, READ, error))?;
    let token = text.trim();
    if token.is_empty() {
        let sentence = "the token file is empty; delete it so that a new token is made";
        return Err(StateError(format!("{}: {sentence}", path.display())));
    }
    Ok(Some(Secret::new(token)))
}

/// Whether the state folder holds a token.
pub fn has_shared_token(state_dir: &Path) -> bool {
    fs::metadata(state_dir.join(TOKEN)).is_ok_and(|metadata| metadata.len() > 0)
}

/// Replaces a file, readable by its owner only, in one step: after a crash there is the old content or the new one.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a file name is needed"))?;
    let temporary = folder.join(format!(".{}.{}{UNFINISHED}", name.to_string_lossy(), std::process::id()));
    remove_if_there(&temporary)?;
    let written = open_private(OpenOptions::new().write(true).create_new(true), &temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // The error that counts is the one in hand.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(folder)?.sync_all()
}

/// Removes what a gateway was writing when it was killed: such a file is read by nobody and may hold a secret.
fn remove_unfinished(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_unfinished = name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(UNFINISHED));
        if is_unfinished && let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(%error, file = %entry.path().display(), "an unfinished file cannot be deleted");
        }
    }
}

/// Opens a file, with access for its owner only if it is made now.
pub(crate) fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.mode(0o600).open(path)
}

/// Takes access from everybody but the owner, if the folder is a gateway's or empty. Any other folder was named by
/// mistake, and changing it could lock out who needs it.
fn restrict(path: &Path) -> Result<(), StateError> {
    let metadata = fs::metadata(path).map_err(|error| failed(path, READ, error))?;
    if metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    let mut entries = fs::read_dir(path).map_err(|error| failed(path, READ, error))?.peekable();
    let own = entries.peek().is_none()
        || entries.flatten().any(|entry| OWN_NAMES.iter().any(|name| entry.file_name().as_os_str() == *name));
    if !own {
        return Err(StateError(format!(
            "{}: the state folder is open to others and holds files of something else; name a folder of its own, or run \
             chmod 700 on this one",
            path.display()
        )));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(|error| {
        StateError(format!("{}: the state folder is open to others and cannot be closed: {error}", path.display()))
    })
}

/// Refuses a folder of another user, who could read and replace everything in it.
fn check_owner(path: &Path, lock: &File) -> Result<(), StateError> {
    let folder = fs::metadata(path).map_err(|error| failed(path, READ, error))?.uid();
    let lock = lock.metadata().map_err(|error| failed(path, READ, error))?.uid();
    // Root in a container keeps its state in a volume that belongs to somebody else.
    if folder != lock && lock != 0 {
        return Err(StateError(format!("{}: the state folder belongs to another user ({folder})", path.display())));
    }
    Ok(())
}

fn lock_alone(lock: &File, path: &Path) -> Result<(), StateError> {
    for attempt in 1.. {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                let who = match described(path) {
                    Some(other) => format!("pid {}, {}", other.pid, other.url),
                    None => "still starting".to_string(),
                };
                let sentence = "another gateway is already running with this state directory";
                return Err(StateError(format!("{sentence} ({who}): {}", path.display())));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&path.join(LOCK), "cannot lock", error)),
        }
    }
    Ok(())
}

fn described(state_dir: &Path) -> Option<LocalGateway> {
    let text = fs::read(state_dir.join(DESCRIPTION)).ok()?;
    LocalGateway::from_json(&serde_json::from_slice(&text).ok()?)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn failed(path: &Path, what: &str, error: io::Error) -> StateError {
    // In the words of the store for its file.
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on its disk",
        io::ErrorKind::ReadOnlyFilesystem => "; the gateway must be able to write to it and to its folder",
        io::ErrorKind::PermissionDenied if what != READ => {
            "; the gateway must be able to write to it and to its folder"
        }
        _ => "",
    };
    StateError(format!("{}: {what}: {error}{remedy}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn example() -> LocalGateway {
        LocalGateway {
            url: "ws://127.0.0.1:4711".to_string(),
            port: 4711,
            pid: 7,
            version: "1.2.3".to_string(),
            started_at_ms: 5,
            auth: LocalAuth::Token(Secret::new("hunter2")),
            tls_fingerprint: Some("sha256:00".to_string()),
            config: Some("/etc/own.toml".into()),
        }
    }

    #[test]
    fn a_new_folder_is_its_owners_and_the_token_stays() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/state");
        assert!(!has_shared_token(&path));
        let state = StateDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        let token = state.shared_token().unwrap();
        assert_eq!(token.expose().len(), 48);
        assert_eq!(mode(&path.join("token")), 0o600);
        assert!(has_shared_token(&path));
        drop(state);
        assert!(StateDir::open(&path).unwrap().shared_token().unwrap().matches(token.expose()));
        let data = StateDir::open(&path).unwrap().plugin_folders().data("health").unwrap();
        assert_eq!((mode(&data), mode(data.parent().unwrap())), (0o700, 0o700));
    }

    #[test]
    fn a_token_that_others_read_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        let state = StateDir::open(&path).unwrap();
        state.shared_token().unwrap();
        fs::set_permissions(path.join("token"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(state.shared_token().unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(path.join("token"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(path.join("token"), "\n").unwrap();
        assert!(state.shared_token().unwrap_err().to_string().contains("is empty"));
    }

    #[test]
    fn the_second_gateway_is_told_about_the_first() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        let first = StateDir::open(&path).unwrap();
        assert!(StateDir::open(&path).unwrap_err().to_string().contains("already running"));
        first.publish(&example()).unwrap();
        assert_eq!(mode(&path.join("gateway.json")), 0o600);
        let error = StateDir::open(&path).unwrap_err().to_string();
        assert!(error.contains("(pid 7, ws://127.0.0.1:4711)"), "{error}");
        let found = read_gateway_json(&path).unwrap();
        assert_eq!((found.port, found.started_at_ms), (4711, 5));
        assert_eq!(found.tls_fingerprint.as_deref(), Some("sha256:00"));
        assert!(matches!(found.auth, LocalAuth::Token(token) if token.matches("hunter2")));
        drop(first);
        assert!(!path.join("gateway.json").exists());
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn what_a_killed_gateway_left_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        assert!(read_gateway_json(&path).is_none());
        drop(StateDir::open(&path).unwrap());
        write_private(&path.join(DESCRIPTION), &serde_json::to_vec(&example().to_json()).unwrap()).unwrap();
        assert!(read_gateway_json(&path).is_none(), "nobody holds the lock");
        let unfinished = path.join(".gateway.json.1.new");
        fs::write(&unfinished, "a secret").unwrap();
        let state = StateDir::open(&path).unwrap();
        assert!(!unfinished.exists(), "what was being written is read by nobody");
        assert!(read_gateway_json(state.path()).is_none(), "the new gateway has not said where it is");
    }

    #[test]
    fn folders_of_something_else_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("home");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path.join("letter.txt"), "").unwrap();
        assert!(StateDir::open(&path).unwrap_err().to_string().contains("chmod 700"));
        assert_eq!(mode(&path), 0o755);
        fs::remove_file(path.join("letter.txt")).unwrap();
        drop(StateDir::open(&path).unwrap());
        assert_eq!(mode(&path), 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        drop(StateDir::open(&path).unwrap());
        assert_eq!(mode(&path), 0o700, "a gateway's own folder is closed again");
    }

    #[test]
    fn a_file_is_replaced_in_one_step_and_data_folders_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        fs::write(&path, "old").unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "no temporary file stays");
        let state = StateDir::open(&root.path().join("state")).unwrap();
        for wrong in ["", "..", "a/b", "a.b"] {
            assert!(state.plugin_folders().data(wrong).is_err(), "{wrong}");
        }
    }
}
