//! Files below one folder, and nothing else: a path is opened name by name, and no name may be a link.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// The page of a folder.
const INDEX: &str = "index.html";

/// What was asked for, as names.
#[derive(Debug, PartialEq, Eq)]
pub struct Path {
    names: Vec<String>,
    /// Whether it ends with a slash, and so is a folder.
    is_folder: bool,
}

/// What lies at a path.
pub enum Found {
    /// Nothing that is shown.
    Nothing,
    /// A folder that was asked for without a slash at its end.
    Folder,
    /// A file.
    File {
        /// Open for reading.
        file: File,
        /// Its size.
        length: u64,
        /// Its own name.
        name: String,
    },
}

impl Path {
    /// The names in a path as it was sent: empty, or beginning with a slash. `None` for what cannot be the path of a file
    /// that is shown: names that are hidden, dots, or have a slash in them once they are decoded.
    pub fn of(sent: &str) -> Option<Self> {
        let Some(sent) = sent.strip_prefix('/') else {
            return sent.is_empty().then(|| Path { names: Vec::new(), is_folder: false });
        };
        let is_folder = sent.is_empty() || sent.ends_with('/');
        let sent = sent.strip_suffix('/').unwrap_or(sent);
        let names = match sent {
            "" => Vec::new(),
            sent => sent.split('/').map(name).collect::<Option<_>>()?,
        };
        Some(Path { names, is_folder })
    }
}

/// A name out of a path.
fn name(sent: &str) -> Option<String> {
    let name = decoded(sent)?;
    let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    is_plain.then_some(name)
}

/// Without percent-encoding. `None` if it is broken, or hides something that is no text.
fn decoded(sent: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(sent.len());
    let mut rest = sent.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (pair, after) = rest.split_at_checked(2)?;
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        bytes.push((digit(0)? * 16 + digit(1)?) as u8);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// Opens what lies at a path below a folder. Blocks.
pub fn find(root: &std::path::Path, path: &Path) -> io::Result<Found> {
    match open(root, path) {
        Ok(found) => Ok(found),
        Err(
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::PERM | Errno::NAMETOOLONG | Errno::NXIO,
        ) => Ok(Found::Nothing),
        Err(error) => Err(error.into()),
    }
}

fn open(root: &std::path::Path, path: &Path) -> Result<Found, Errno> {
    // Nothing waits for the other end of a pipe, and nothing becomes the terminal of this process.
    let way = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut here = rustix::fs::openat(CWD, root, way | OFlags::DIRECTORY, Mode::empty())?;
    for name in &path.names {
        here = rustix::fs::openat(&here, name.as_str(), way | OFlags::NOFOLLOW, Mode::empty())?;
    }
    let mut about = rustix::fs::fstat(&here)?;
    let mut name = path.names.last().map(String::as_str).unwrap_or_default();
    match (FileType::from_raw_mode(about.st_mode), path.is_folder) {
        (FileType::Directory, false) => return Ok(Found::Folder),
        (FileType::Directory, true) => {
            here = rustix::fs::openat(&here, INDEX, way | OFlags::NOFOLLOW, Mode::empty())?;
            about = rustix::fs::fstat(&here)?;
            name = INDEX;
        }
        (_, true) => return Ok(Found::Nothing),
        (_, false) => {}
    }
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Ok(Found::Nothing);
    }
    let length = u64::try_from(about.st_size).unwrap_or_default();
    Ok(Found::File { file: File::from(here), length, name: name.to_string() })
}

/// Reads at most so many bytes, and gives the file back. Blocks.
pub(crate) fn read(mut file: File, bytes: u64) -> (File, io::Result<Vec<u8>>) {
    let mut read = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    let done = Read::by_ref(&mut file).take(bytes).read_to_end(&mut read);
    (file, done.map(|_| read))
}
