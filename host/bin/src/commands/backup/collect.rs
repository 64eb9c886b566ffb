//! What belongs into a backup, copied to where nobody changes it any more. Databases are copied by SQLite itself, which
//! takes what was committed and nothing else, whoever writes meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::failure::Failure;

/// The gateway's own database.
pub const DATABASE: &str = "state.db";
/// The folder of the plugins' files.
pub const DATA: &str = "data";
/// Single files of the state folder. The log, the lock and the description of the running process are of no use later.
const FILES: [&str; 4] = ["gateway.key", "token", "tls.crt", "tls.key"];
const CONFIG: &str = "config.toml";

/// The first bytes of every SQLite database.
const HEADER: &[u8; 16] = b"SQLite format 3\0";
/// What SQLite keeps beside a database; the copy of the database holds what counts of it.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// How often a database may be busy, and how long to wait each time.
const ATTEMPTS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(10);

/// Copies a state folder.
pub struct Collection<'a> {
    from: &'a Path,
    to: &'a Path,
    done: Done,
}

/// What was copied.
#[derive(Default)]
pub struct Done {
    /// In the order of the archive.
    pub files: Vec<Collected>,
    /// What was not, and why.
    pub skipped: Vec<String>,
}

/// A file of the backup.
#[derive(Debug)]
pub struct Collected {
    /// Its path in the archive.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// How it was copied.
    pub kind: Kind,
}

/// How a file was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By SQLite, and checked.
    Database,
    /// Byte by byte.
    File,
}

impl Kind {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Database => "database, checked",
            Kind::File => "file",
        }
    }
}

impl<'a> Collection<'a> {
    /// Copies the state folder `from` into the empty folder `to`.
    pub fn new(from: &'a Path, to: &'a Path) -> Self {
        Collection { from, to, done: Done::default() }
    }

    /// Copies everything, the configuration too if there is one.
    pub fn collect(mut self, config: Option<&Path>) -> Result<Done, Failure> {
        self.take(&self.from.join(DATABASE), DATABASE)?;
        for name in FILES {
            let path = self.from.join(name);
            if path.exists() {
                self.take(&path, name)?;
            }
        }
        if let Some(path) = config {
            self.take(path, CONFIG)?;
        }
        let data = self.from.join(DATA);
        if data.exists() {
            self.take_folder(&data, DATA)?;
        }
        Ok(self.done)
    }

    fn take_folder(&mut self, folder: &Path, name: &str) -> Result<(), Failure> {
        let unreadable = |error| failed(folder, "cannot read", &error);
        let mut entries =
            fs::read_dir(folder).map_err(unreadable)?.collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let Some(own) = entry.file_name().to_str().map(str::to_string) else {
                self.done.skipped.push(format!("{}: its name is not UTF-8", path.display()));
                continue;
            };
            let name = format!("{name}/{own}");
            let kind = entry.file_type().map_err(|error| failed(&path, "cannot read", &error))?;
            if kind.is_dir() {
                self.take_folder(&path, &name)?;
            } else if !kind.is_file() {
                self.done.skipped.push(format!("{}: neither a file nor a folder", path.display()));
            } else if !belongs_to_database(&path) {
                self.take(&path, &name)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, path: &Path, name: &str) -> Result<(), Failure> {
        let copy = self.to.join(name);
        let parent = copy.parent().expect("a file is in a folder");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(|error| failed(parent, "cannot make", &error))?;
        let kind = match is_database(path) {
            Ok(true) => Kind::Database,
            Ok(false) => Kind::File,
            // Plugins remove files of theirs when they like.
            Err(error) if error.kind() == io::ErrorKind::NotFound && name.starts_with(DATA) => return Ok(()),
            Err(error) => return Err(failed(path, "cannot read", &error)),
        };
        match kind {
            Kind::Database => copy_database(path, &copy).map_err(|why| failed(path, "cannot be copied", &why))?,
            Kind::File => copy_file(path, &copy).map_err(|error| failed(path, "cannot be copied", &error))?,
        }
        let bytes = fs::metadata(&copy).map_err(|error| failed(&copy, "cannot read", &error))?.len();
        self.done.files.push(Collected { name: name.to_string(), bytes, kind });
        Ok(())
    }
}

fn is_database(path: &Path) -> io::Result<bool> {
    let mut header = Vec::with_capacity(HEADER.len());
    File::open(path)?.take(HEADER.len() as u64).read_to_end(&mut header)?;
    Ok(header == HEADER)
}

/// Whether SQLite made this file for a database beside it.
fn belongs_to_database(path: &Path) -> bool {
    let text = path.to_string_lossy();
    COMPANIONS.iter().any(|ending| {
        text.strip_suffix(ending).is_some_and(|database| is_database(Path::new(database)).unwrap_or(false))
    })
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut File::open(from)?, &mut copy)?;
    Ok(())
}

fn copy_database(from: &Path, to: &Path) -> Result<(), String> {
    let words = |error: rusqlite::Error| error.to_string();
    // Made first, so that nobody else can read it for a moment.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(|error| error.to_string())?;
    let source = Connection::open_with_flags(from, read_only()).map_err(words)?;
    let mut copy = Connection::open(to).map_err(words)?;
    copy_pages(&Backup::new(&source, &mut copy).map_err(words)?)?;
    drop(source);
    // The copy shall be one file, whatever the original keeps beside itself.
    copy.pragma_update(None, "journal_mode", "DELETE").map_err(words)?;
    copy.close().map_err(|(_, error)| error.to_string())?;
    check(to)
}

/// Copies all pages in one step: in several, SQLite would start over whenever somebody writes between two of them.
fn copy_pages(backup: &Backup<'_, '_>) -> Result<(), String> {
    for _ in 0..ATTEMPTS {
        match backup.step(-1).map_err(|error| error.to_string())? {
            StepResult::Done => return Ok(()),
            // Somebody holds it for a moment.
            _ => std::thread::sleep(PAUSE),
        }
    }
    Err("it is locked by somebody else".to_string())
}

/// Opens the copy anew and lets SQLite look at all of it.
fn check(path: &Path) -> Result<(), String> {
    let copy = Connection::open_with_flags(path, read_only()).map_err(|error| error.to_string())?;
    let verdict: String =
        copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(|error| error.to_string())?;
    if verdict == "ok" { Ok(()) } else { Err(format!("the copy is damaged, and so is the original: {verdict}")) }
}

fn read_only() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn failed(path: &Path, what: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {what}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_known_by_their_header() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("short"), "SQLite").unwrap();
        fs::write(path("db"), [HEADER.as_slice(), b"more"].concat()).unwrap();
        for name in ["db-wal", "short-wal"] {
            fs::write(path(name), "").unwrap();
        }
        assert!(is_database(&path("db")).unwrap() && !is_database(&path("short")).unwrap());
        assert!(belongs_to_database(&path("db-wal")));
        assert!(!belongs_to_database(&path("short-wal")), "a file of somebody with an unlucky name");
        assert!(!belongs_to_database(&path("db")));
    }
}
