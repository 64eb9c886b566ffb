//! Writes `plugin-api/include/gwp.h` anew.

use std::{fs, io};

use clawhost_tests::header;

fn main() -> io::Result<()> {
    let (path, text) = (header::path(), header::text());
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        println!("gwp.h is up to date");
        return Ok(());
    }
    fs::write(&path, text)?;
    println!("wrote gwp.h");
    Ok(())
}
