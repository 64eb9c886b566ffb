//! When the operator's certificate files are to be read again. Two files cannot be replaced in one step: what is new is read
//! when it has stayed the same from one look to the next, and what turns out to be wrong is not read again until it changes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What two files look like without being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look([Option<Stamp>; 2]);

/// Which file it is, how long, and when it was modified and changed. The last is the one time that no copy brings along.
type Stamp = (u64, u64, [i64; 4]);

impl Look {
    /// What they look like now.
    pub fn at(cert: &Path, key: &Path) -> Self {
        Look([cert, key].map(|path| {
            let data = std::fs::metadata(path).ok()?;
            Some((data.ino(), data.size(), [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()]))
        }))
    }
}

/// What was seen of them.
#[derive(Debug, Default)]
pub struct Sight {
    seen: Option<Look>,
    read: Option<Look>,
}

impl Sight {
    /// They are read, looking like this.
    pub fn read(&mut self, look: Look) {
        self.read = Some(look);
    }

    /// Whether this look is another one than when they were read, and the same as when they were seen.
    pub fn is_new(&mut self, look: Look) -> bool {
        let is_calm = self.seen.as_ref() == Some(&look);
        let is_new = self.read.as_ref() != Some(&look);
        self.seen = Some(look);
        is_calm && is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_when_they_are_new_and_nobody_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
        let look = || Look::at(&cert, &key);
        let mut sight = Sight::default();
        sight.read(look());
        assert!(!sight.is_new(look()) && !sight.is_new(look()), "none were there, and none are");
        std::fs::write(&cert, "a").unwrap();
        assert!(!sight.is_new(look()), "somebody may be at it");
        std::fs::write(&key, "a").unwrap();
        assert!(!sight.is_new(look()), "and was");
        assert!(sight.is_new(look()));
        assert!(sight.is_new(look()), "until they are read");
        sight.read(look());
        assert!(!sight.is_new(look()));
        let file = std::fs::File::options().write(true).open(&key).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        std::fs::write(folder.path().join("b"), "b").unwrap();
        std::fs::File::options().write(true).open(folder.path().join("b")).unwrap().set_modified(before).unwrap();
        std::fs::rename(folder.path().join("b"), &key).unwrap();
        assert!(!sight.is_new(look()) && sight.is_new(look()), "as long and as old as the one before, and another one");
    }
}
