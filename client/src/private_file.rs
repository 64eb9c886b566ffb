//! Small files that hold secrets: readable by their owner only, replaced in one step, never half written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ClientError;

/// Far more than an identity or a token file needs.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// Reads a file; `None` says that it does not exist.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, ClientError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failure(path, "cannot be read", error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(|error| failure(path, "cannot be read", error))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(ClientError::File(format!("{}: larger than {MAX_SIZE} bytes", path.display())));
    }
    Ok(Some(bytes))
}

/// Writes the file if it does not exist. `false` says that another process was faster; its file stands.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<bool, ClientError> {
    let temporary = write_beside(path, bytes)?;
    // A link fails where a rename would replace, so two processes never end with different contents.
    let linked = fs::hard_link(&temporary, path);
    let removed = fs::remove_file(&temporary);
    match linked {
        Ok(()) => {
            removed.and_then(|()| sync_directory(path)).map_err(|error| failure(path, "cannot be written", error))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failure(path, "cannot be written", error)),
    }
}

/// Replaces the file's content in one step.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), ClientError> {
    let temporary = write_beside(path, bytes)?;
    fs::rename(&temporary, path).and_then(|()| sync_directory(path)).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failure(path, "cannot be written", error)
    })
}

/// Holds the lock of a file that several processes change, until dropped.
pub(crate) fn lock(path: &Path) -> Result<File, ClientError> {
    prepare_directory(path)?;
    let lock_path = beside(path, "lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = owner_only(&mut options)
        .open(&lock_path)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| failure(&lock_path, "cannot be locked", error))?;
    Ok(file)
}

fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, ClientError> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    prepare_directory(path)?;
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = beside(path, &format!("{}-{number}.tmp", std::process::id()));
    // A leftover of a process that had this id before is nobody's.
    let _ = fs::remove_file(&temporary);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let written = owner_only(&mut options).open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map(|()| temporary.clone()).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failure(path, "cannot be written", error)
    })
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

fn prepare_directory(path: &Path) -> Result<(), ClientError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else { return Ok(()) };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(directory).map_err(|error| failure(directory, "cannot be created", error))
}

fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Makes the new name durable; without it a power cut may bring the old content back.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

fn failure(path: &Path, what: &str, error: io::Error) -> ClientError {
    ClientError::File(format!("{}: {what}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn files_and_directories_belong_to_their_owner() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/file.json");
        assert!(create(&path, b"one").unwrap());
        assert!(!create(&path, b"two").unwrap(), "the first file stands");
        assert_eq!(read(&path).unwrap().unwrap(), b"one");
        replace(&path, b"three").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"three");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }
}
