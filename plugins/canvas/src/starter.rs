//! The folder that is shown, when it is not there yet.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The page that a new folder begins with.
pub const PAGE: &str = include_str!("page/starter.html");

/// Makes the folder with a first page in it. One that is there is left as it is.
pub fn prepare(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    let mut page = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(root.join("index.html"))?;
    page.write_all(PAGE.as_bytes())
}
