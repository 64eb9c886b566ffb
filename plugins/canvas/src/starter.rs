//! The folder that is shown, when it is not there yet.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The page that a new folder begins with.
pub const PAGE: &str = include_str!("page/starter.html");

/// Makes the folder with a first page in it. One that is there is left as it is.
pub fn prepare(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    fs::write(root.join("index.html"), PAGE)
}
