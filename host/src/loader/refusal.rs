//! Why a plugin was not loaded, in sentences that say whose fault it is and what to do.

use std::path::PathBuf;

use plugin_api::hosting::EntryError;

/// A file that was not loaded. Prints the file, what is wrong, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file as it was named.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a file, its folder, or what the file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be opened or read.
    Read(String),
    /// There is none.
    Missing,
    /// It is a symbolic link.
    Link,
    /// It is a folder, a pipe or the like.
    NotAFile,
    /// It belongs to somebody else.
    Owner {
        /// What does: the file, or a folder above it.
        path: PathBuf,
        /// To whom.
        uid: u32,
    },
    /// Others may change it.
    Writable {
        /// What they may change: the file, or a folder above it.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is larger than any plugin.
    TooLarge {
        /// Its size in bytes.
        bytes: u64,
    },
    /// Its table has no checksum.
    Unpinned {
        /// The file's.
        found: String,
    },
    /// It is not the file whose checksum was written down.
    Sum {
        /// The one in the table.
        pinned: String,
        /// The file's.
        found: String,
    },
    /// There are keys, and its table has no signature.
    Unsigned,
    /// None of the keys made the signature for these bytes.
    Signature {
        /// How many keys there are.
        keys: usize,
    },
    /// By its first bytes it is no library for this machine; what it is instead.
    Image(String),
    /// The copy could not be written.
    Copy {
        /// Where.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The system's loader refused it; in its own words.
    Library(String),
    /// It is a library, but no plugin of this major.
    Symbol,
    /// It has an entry that this gateway cannot use.
    Entry(EntryError),
    /// Its manifest cannot be read.
    Manifest(String),
    /// The gateway ended while it was loading this file.
    Crashed {
        /// The file that says so.
        marker: PathBuf,
    },
    /// The system gives no thread to run its code on.
    Thread(String),
    /// A step panicked on the gateway's side of the boundary.
    Panicked {
        /// What was being done.
        step: &'static str,
    },
    /// A step took longer than `create_ms`.
    Slow {
        /// What was being done.
        step: &'static str,
        /// The patience, in milliseconds.
        patience_ms: u64,
    },
}

impl std::error::Error for Refusal {}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.fault)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Read(why) => write!(f, "it cannot be read: {why}"),
            Fault::Missing => f.write_str("there is no such file; correct path, or build the plugin"),
            Fault::Link => f.write_str(
                "it is a symbolic link, which could point elsewhere tomorrow; name the file itself",
            ),
            Fault::NotAFile => f.write_str("it is no regular file; name the shared library itself"),
            Fault::Owner { path, uid } => {
                let path = path.display();
                write!(f, "{path} belongs to user {uid}, who could change what is loaded; chown it to root or to the user the gateway runs as")
            }
            Fault::Writable { path, mode } => {
                let path = path.display();
                write!(f, "others may write to {path} (mode {mode:04o}) and could change what is loaded; run chmod go-w {path}")
            }
            Fault::TooLarge { bytes } => write!(f, "it has {bytes} bytes, and {} are the most", super::MAX_FILE),
            Fault::Unpinned { found } => write!(
                f,
                "no checksum is written down for it; if the file is the one you mean, add sha256 = \"{found}\""
            ),
            Fault::Sum { pinned, found } => write!(
                f,
                "its SHA-256 is {found}, but {pinned} is written down: it was changed, or replaced by another build; if that is what you \
                 mean, write the new sum"
            ),
            Fault::Unsigned => f.write_str(
                "it has no signature, and gateway.plugins.keys asks for one; add signature = \"…\" as its author gives it, or sign the \
                 file with a key of your own",
            ),
            Fault::Signature { keys: 1 } => f.write_str(
                "its signature was not made for these bytes with the key in gateway.plugins.keys; ask its author for the signature of this \
                 very file",
            ),
            Fault::Signature { keys } => write!(
                f,
                "its signature was not made for these bytes with any of the {keys} keys in gateway.plugins.keys; ask its author for the \
                 signature of this very file"
            ),
            Fault::Image(what) => f.write_str(what),
            Fault::Copy { path, why } => write!(f, "{} cannot be written: {why}", path.display()),
            Fault::Library(why) => {
                write!(f, "the system cannot load it: {why}; it was built for another system, or a library it needs is missing")
            }
            Fault::Symbol => f.write_str(
                "it is a library, but no plugin: it exports no gwp_entry_v1; its author has to export it (in Rust with \
                 plugin_api::dylib!)",
            ),
            Fault::Entry(error) => write!(f, "{error}; its author has to build it against gwp.h of this major version"),
            Fault::Manifest(why) => write!(f, "its manifest cannot be served, which is for its author to mend: {why}"),
            Fault::Crashed { marker } => write!(
                f,
                "the gateway ended while it was loading this file, so it is skipped now; another build of it is tried by \
                 itself; to try this one again, delete {}",
                marker.display()
            ),
            Fault::Thread(why) => write!(f, "there is no thread to load it on: {why}; this machine has too many"),
            Fault::Panicked { step } => write!(f, "{step} panicked; the gateway's log has the details"),
            Fault::Slow { step, patience_ms } => write!(
                f,
                "{step} took longer than {patience_ms} ms and was given up; its author has to do what takes long later, or \
                 raise gateway.plugins.create_ms"
            ),
        }
    }
}
