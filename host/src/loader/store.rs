//! Copies of libraries, each named after its checksum: what is loaded is out of reach of whoever writes to the original,
//! and new code of a plugin has a new path, without which the system's loader would hand out the old code again.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Fault;
use super::file::{self, Contents};

const SUFFIX: &str = ".so";
const UNFINISHED: &str = ".new";

/// The copy of these bytes in the folder, made now or found there and compared. The folder is made if there is none, and
/// closed to others.
pub(super) fn keep(folder: &Path, found: &Contents) -> Result<PathBuf, Fault> {
    let copy = folder.join(format!("{}{SUFFIX}", found.sha256));
    let failed = |error: io::Error| Fault::Copy { path: copy.clone(), why: error.to_string() };
    private_folder(folder).map_err(failed)?;
    if !is_copy(&copy, &found.bytes) {
        write(&copy, &found.bytes).map_err(failed)?;
    }
    Ok(copy)
}

/// Makes a folder with access for its owner only.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if fs::symlink_metadata(folder)?.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Deletes the copies that are not among these checksums, and what a killed gateway left half written. A failure is not
/// worth more than a line: the files are only in the way.
pub fn prune(folder: &Path, needed: &[&str]) {
    let is_ours = |name: &str| match name.strip_suffix(SUFFIX) {
        Some(sum) => sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()) && !needed.contains(&sum),
        None => name.starts_with('.') && name.ends_with(UNFINISHED),
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_ours(&entry.file_name().to_string_lossy())
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!(%error, file = %entry.path().display(), "an old copy of a plugin cannot be deleted");
        }
    }
}

/// Whether the file is a copy of these bytes that nobody can change. It is compared byte by byte: that is faster than
/// another checksum, and finds a copy that was cut short by a crash as well.
fn is_copy(path: &Path, bytes: &[u8]) -> bool {
    let Ok(mut file) = file::open(path) else { return false };
    let Ok(metadata) = file.metadata() else { return false };
    let us = rustix::process::geteuid().as_raw();
    let sound = metadata.is_file() && metadata.uid() == us && metadata.mode() & 0o7777 == 0o400;
    if !sound || metadata.len() != bytes.len() as u64 {
        return false;
    }
    let mut there = Vec::with_capacity(bytes.len());
    file.read_to_end(&mut there).is_ok() && there == bytes
}

/// Writes beside the place and moves, so that a library which is in use is replaced and never changed. It is not forced
/// to the disk: after a power cut a broken copy is found by comparing, and written anew.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Two tables may name the same bytes, and are read at the same time.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!(".{}.{}{UNFINISHED}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let temporary = path.with_file_name(name);
    let written = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        // The mask of the process may have taken even this.
        file.set_permissions(Permissions::from_mode(0o400))?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // The error that counts is the one in hand.
        let _ = fs::remove_file(&temporary);
    }
    written
}
