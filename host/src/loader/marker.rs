//! A note on disk, "this file is being loaded", there only while code of a plugin runs for the first time. A start that
//! finds one knows what the last start died of, and leaves that file out.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Fault, store};

/// The name of the folder of notes, in the folder of copies.
const FOLDER: &str = "loading";

/// The note; gone when dropped.
///
/// It is written but not forced to the disk: what a process wrote is there after that process died, whatever it died of.
/// Only a machine that goes down loses it, and then no plugin is to blame.
#[derive(Debug)]
pub struct Marker(PathBuf);

impl Marker {
    /// Notes that this build of the plugin is being loaded.
    pub fn set(folder: &Path, id: &str, sha256: &str) -> Result<Marker, Fault> {
        let path = place(folder, id);
        let written = store::private_folder(&folder.join(FOLDER)).and_then(|()| write(&path, sha256));
        match written {
            Ok(()) => Ok(Marker(path)),
            Err(error) => Err(Fault::Copy { path, why: error.to_string() }),
        }
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            let note = self.0.display();
            tracing::warn!(%error, %note, "a note cannot be deleted; the next start will leave the plugin out");
        }
    }
}

/// Refuses a build that the gateway died of. Another build of the plugin is another try.
pub fn check(folder: &Path, id: &str, sha256: &str) -> Result<(), Fault> {
    let path = place(folder, id);
    match fs::read_to_string(&path) {
        Ok(text) if text.trim() == sha256 => Err(Fault::Crashed { marker: path }),
        _ => Ok(()),
    }
}

/// Whether anything is noted of a plugin.
pub fn is_set(folder: &Path, id: &str) -> bool {
    place(folder, id).exists()
}

/// Forgets what is noted of a plugin, if anything is.
pub fn clear(folder: &Path, id: &str) {
    let _ = fs::remove_file(place(folder, id));
}

/// Where the note of a plugin is. Ids have no characters that mean anything in a path.
fn place(folder: &Path, id: &str) -> PathBuf {
    folder.join(FOLDER).join(id)
}

fn write(path: &Path, sha256: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(format!("{sha256}\n").as_bytes())
}
