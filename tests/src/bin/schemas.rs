//! Writes `schemas/json/` and `schemas/features.json` anew, and removes what no longer belongs there.

use std::path::Path;
use std::{fs, io};

use clawhost_tests::published;

fn main() -> io::Result<()> {
    let (folder, files) = (published::folder(), published::files());
    fs::create_dir_all(folder.join("json"))?;
    for entry in fs::read_dir(folder.join("json"))? {
        let path = entry?.path();
        let name = format!("json/{}", path.file_name().unwrap_or_default().to_string_lossy());
        if !files.contains_key(&name) {
            fs::remove_file(&path)?;
            println!("removed {name}");
        }
    }
    for (name, text) in &files {
        write_if_changed(&folder.join(name), text)?;
    }
    println!("{} files are up to date", files.len());
    Ok(())
}

fn write_if_changed(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text)?;
    println!("wrote {}", path.file_name().unwrap_or_default().to_string_lossy());
    Ok(())
}
