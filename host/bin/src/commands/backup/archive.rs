//! The tar file: written from the copies, then read again, since a backup nobody can read is none.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};

use super::collect::Collected;

/// Writes the files below `folder` and waits until the disk has them.
pub fn write(file: &File, folder: &Path, files: &[Collected]) -> io::Result<()> {
    let mut builder = Builder::new(BufWriter::new(file));
    let mut made: Vec<&str> = Vec::new();
    for collected in files {
        // Folders come before what is in them, so that unpacking gives them to their owner alone.
        for (place, _) in collected.name.match_indices('/') {
            let parent = &collected.name[..place];
            if !made.contains(&parent) {
                made.push(parent);
                let mut header = header(EntryType::Directory, 0, 0o700);
                builder.append_data(&mut header, format!("{parent}/"), io::empty())?;
            }
        }
        let mut header = header(EntryType::Regular, collected.bytes, 0o600);
        builder.append_data(&mut header, &collected.name, File::open(folder.join(&collected.name))?)?;
    }
    builder.into_inner()?.flush()?;
    file.sync_all()
}

/// Reads the archive and compares it with what should be in it.
pub fn verify(path: &Path, files: &[Collected]) -> Result<(), String> {
    let found = list(path).map_err(|error| format!("the backup cannot be read again: {error}"))?;
    let expected: Vec<_> = files.iter().map(|file| (file.name.clone(), file.bytes)).collect();
    if found == expected { Ok(()) } else { Err("the backup does not hold what was written into it".to_string()) }
}

fn list(path: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in Archive::new(BufReader::new(File::open(path)?)).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let bytes = io::copy(&mut entry, &mut io::sink())?;
        if entry.header().entry_type().is_file() {
            files.push((name, bytes));
        }
    }
    Ok(files)
}

fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(schemas::now_ms() / 1_000);
    header
}

#[cfg(test)]
mod tests {
    use super::super::collect::Kind;
    use super::*;

    #[test]
    fn an_archive_that_lacks_something_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let long = format!("data/{}/file", "x".repeat(200));
        std::fs::create_dir_all(root.path().join(&long).parent().unwrap()).unwrap();
        std::fs::write(root.path().join(&long), "four").unwrap();
        let file = |name: &str, bytes| Collected { name: name.to_string(), bytes, kind: Kind::File };
        let path = root.path().join("a.tar");
        write(&File::create(&path).unwrap(), root.path(), &[file(&long, 4)]).unwrap();
        verify(&path, &[file(&long, 4)]).unwrap();
        assert!(verify(&path, &[file(&long, 5)]).is_err());
        assert!(verify(&path, &[file(&long, 4), file("b", 0)]).is_err());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(verify(&path, &[file(&long, 4)]).is_err());
    }
}
