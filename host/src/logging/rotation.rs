//! A file that is put aside when it is full: `clawhost.jsonl`, then `clawhost.jsonl.1` and so on, the oldest last.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::state::open_private;

/// The current file and what to do when it is full.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    max_bytes: u64,
    files: usize,
}

impl RotatingFile {
    /// Opens the file, making its folder if there is none.
    pub(super) fn open(path: &Path, max_bytes: u64, files: usize) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = RotatingFile { path: path.to_path_buf(), file: None, size: 0, max_bytes, files };
        file.reopen()?;
        Ok(file)
    }

    /// Appends a line. A disk that takes nothing loses the line: there is nobody left to tell but standard error, which
    /// has it already. The next line tries again.
    pub(super) fn write(&mut self, line: &[u8]) {
        if self.size > 0 && self.size + line.len() as u64 > self.max_bytes {
            self.rotate();
        }
        if self.file.is_none() && self.reopen().is_err() {
            return;
        }
        let Some(file) = &mut self.file else { return };
        match file.write_all(line) {
            Ok(()) => self.size += line.len() as u64,
            Err(_) => self.file = None,
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = open_private(OpenOptions::new().append(true).create(true), &self.path)?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    /// Renames every file to the next number. One that cannot be renamed is overwritten or grows, never an error.
    fn rotate(&mut self) {
        self.file = None;
        if self.files == 1 {
            let _ = fs::remove_file(&self.path);
        }
        for number in (1..self.files).rev() {
            let younger = if number == 1 { self.path.clone() } else { self.aside(number - 1) };
            let _ = fs::rename(younger, self.aside(number));
        }
    }

    fn aside(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/log.jsonl");
        let mut file = RotatingFile::open(&path, 10, 3).unwrap();
        for line in ["one 56789\n", "two 56789\n", "3\n", "4\n", "five 6789\n", "six 56789\n"] {
            file.write(line.as_bytes());
        }
        let text = |name: &str| fs::read_to_string(folder.path().join("logs").join(name)).unwrap();
        assert_eq!(text("log.jsonl"), "six 56789\n");
        assert_eq!(text("log.jsonl.1"), "five 6789\n");
        assert_eq!(text("log.jsonl.2"), "3\n4\n");
        assert_eq!(fs::read_dir(folder.path().join("logs")).unwrap().count(), 3);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_earlier_file_is_continued_and_one_file_alone_starts_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        RotatingFile::open(&path, 10, 1).unwrap().write(b"1234\n");
        let mut file = RotatingFile::open(&path, 10, 1).unwrap();
        file.write(b"5678\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "1234\n5678\n");
        file.write(b"9\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "9\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_vanishes_loses_lines_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/log.jsonl");
        let mut file = RotatingFile::open(&path, 10, 2).unwrap();
        fs::remove_dir_all(folder.path().join("logs")).unwrap();
        file.write(b"to nowhere\n");
        file.write(b"to nowhere\n");
        fs::create_dir(folder.path().join("logs")).unwrap();
        file.write(b"back\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "back\n");
    }
}
