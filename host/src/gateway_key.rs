//! The key that device tokens are derived from. It lives in a file of its own, so that a copy of the database lets nobody
//! in. Losing it would silently lock out every paired device, so a missing key beside paired devices stops the start. So
//! does a key beside a database that is gone.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

/// Name of the file in the state directory.
pub const FILE: &str = "gateway.key";
const LENGTH: usize = 32;
/// No SQLite file with content is smaller; of some smaller ones SQLite makes a new one.
const DATABASE_HEADER: u64 = 100;

/// 32 random bytes, wiped when dropped and never shown.
#[derive(Clone)]
pub struct GatewayKey(Zeroizing<[u8; LENGTH]>);

/// Refuses a state directory whose state file is gone or empty while its key is there. The key is drawn when the state
/// file has content on the disk, so a start that was cut short never leaves it alone, and a new state file in its place
/// would forget every device without a word.
pub fn check_database(state_dir: &Path, database: &Path) -> Result<(), String> {
    let shown = database.display();
    let lost = match fs::metadata(database) {
        Ok(file) if file.len() >= DATABASE_HEADER => return Ok(()),
        Ok(_) => "is empty or cut short",
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "is missing",
        Err(error) => return Err(format!("{shown}: cannot be looked at: {error}")),
    };
    match state_dir.join(FILE).try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(format!(
            "{shown}: {lost}, but {FILE} beside it says that it held the state of this gateway; restore it from a \
             backup, or move {FILE} away too and pair all devices again; nothing was written to it"
        )),
        Err(error) => Err(format!("{}: cannot be looked at: {error}", state_dir.join(FILE).display())),
    }
}

impl GatewayKey {
    /// Reads the key of a state directory, or draws one if no device depends on it yet.
    pub fn load_or_create(state_dir: &Path, has_devices: bool) -> Result<Self, String> {
        let path = state_dir.join(FILE);
        let in_file = |cause: String| format!("{}: {cause}", path.display());
        match File::open(&path) {
            Ok(file) => Self::read(file).map_err(in_file),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(in_file(format!("cannot be opened: {error}")))
            }
            Err(_) if has_devices => Err(in_file(
                "is missing, but state.db beside it holds paired devices whose tokens depend on it; restore it from a \
                 backup, or move state.db away and pair all devices again"
                    .to_string(),
            )),
            Err(_) => Self::create(&path).map_err(in_file),
        }
    }

    /// A key with these bytes.
    pub fn from_bytes(bytes: [u8; LENGTH]) -> Self {
        GatewayKey(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    fn read(file: File) -> Result<Self, String> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(format!(
                    "can be read by other users (mode {:03o}); make it private with `chmod 600`, and if it may have \
                     been read, remove it and state.db and pair all devices again",
                    mode & 0o777
                ));
            }
        }
        let mut content = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
        let limit = LENGTH as u64 + 1;
        file.take(limit).read_to_end(&mut content).map_err(|error| format!("cannot be read: {error}"))?;
        let bytes: [u8; LENGTH] = content.as_slice().try_into().map_err(|_| {
            format!("must hold exactly {LENGTH} bytes and does not; restore it from a backup of the state directory")
        })?;
        Ok(Self::from_bytes(bytes))
    }

    /// Written under another name first: a key that is there is a whole key.
    fn create(path: &Path) -> Result<Self, String> {
        let mut key = Zeroizing::new([0u8; LENGTH]);
        getrandom::fill(key.as_mut_slice()).map_err(|error| format!("no random bytes for a new key: {error}"))?;
        let partial = path.with_extension("key.partial");
        let failed = |error: std::io::Error| format!("cannot be created: {error}");
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&partial).map_err(failed)?;
        file.write_all(key.as_slice()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&partial, path).map_err(failed)?;
        #[cfg(unix)]
        if let Some(directory) = path.parent() {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        }
        Ok(GatewayKey(key))
    }
}

impl std::fmt::Debug for GatewayKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GatewayKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_drawn_once() {
        let directory = tempfile::tempdir().unwrap();
        let first = GatewayKey::load_or_create(directory.path(), false).unwrap();
        let again = GatewayKey::load_or_create(directory.path(), true).unwrap();
        assert_eq!(first.bytes(), again.bytes());
        assert_ne!(first.bytes(), [0; LENGTH]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left behind");
        assert_eq!(format!("{first:?}"), "GatewayKey(…)");
    }

    #[test]
    fn a_missing_key_beside_devices_is_fatal() {
        let directory = tempfile::tempdir().unwrap();
        let error = GatewayKey::load_or_create(directory.path(), true).unwrap_err();
        assert!(error.contains("gateway.key") && error.contains("restore it from a backup"), "{error}");
        assert!(!directory.path().join(FILE).exists());
    }

    #[test]
    fn a_key_beside_an_empty_or_missing_state_file_is_fatal() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("state.db");
        let check = || check_database(directory.path(), &database);
        assert_eq!(check(), Ok(()), "a first start");
        fs::write(&database, b"").unwrap();
        assert_eq!(check(), Ok(()), "a first start that was cut short");
        GatewayKey::load_or_create(directory.path(), false).unwrap();
        let empty = check().unwrap_err();
        fs::remove_file(&database).unwrap();
        let missing = check().unwrap_err();
        assert!(empty.contains("state.db: is empty or cut short, but gateway.key"), "{empty}");
        assert!(missing.contains("state.db: is missing") && missing.contains("restore it from a backup"), "{missing}");
        fs::write(&database, [7; 100]).unwrap();
        assert_eq!(check(), Ok(()), "what is in it is for the store to judge");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_of_the_wrong_length_or_open_to_others_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        for length in [0, LENGTH - 1, LENGTH + 1] {
            fs::write(&path, vec![7; length]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = GatewayKey::load_or_create(directory.path(), false).unwrap_err();
            assert!(error.contains("exactly 32 bytes"), "{error}");
        }
        fs::write(&path, [7; LENGTH]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = GatewayKey::load_or_create(directory.path(), false).unwrap_err();
        assert!(error.contains("mode 640") && error.contains("chmod 600"), "{error}");
    }
}
