//! The form of a file, as numbered steps. Before a file with content is taken forward, a copy of it is kept beside it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use crate::{Shape, file};

/// How many steps a file has taken.
pub fn taken(connection: &Connection, shape: &Shape) -> rusqlite::Result<usize> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let is_first = match shape.first_table {
        Some(table) if version == 0 => connection.table_exists(None, table)?,
        _ => false,
    };
    Ok(if is_first { 1 } else { version as usize })
}

/// Refuses a file that has taken steps which this program does not know.
pub fn known(taken: usize, steps: &[&str]) -> Result<(), String> {
    if taken <= steps.len() {
        return Ok(());
    }
    Err(format!(
        "was written by a newer version (form {taken}, this one knows {}); run that version, or move the file away",
        steps.len()
    ))
}

/// Takes a file through the steps it has not taken yet, each in one transaction.
pub fn migrate(connection: &mut Connection, path: &Path, shape: &Shape) -> Result<(), String> {
    let taken = taken(connection, shape).map_err(|error| format!("cannot be read: {error}"))?;
    known(taken, shape.steps)?;
    if taken > 0 && taken < shape.steps.len() {
        keep_copy(connection, path, taken)?;
    }
    // A file without a number is given one, even where there is no step left to take.
    for version in taken.max(1)..=shape.steps.len() {
        take(connection, shape, version).map_err(|error| format!("cannot be taken to form {version}: {error}"))?;
    }
    Ok(())
}

fn take(connection: &mut Connection, shape: &Shape, version: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another instance may have taken the step while this one waited for its turn.
    if taken(&transaction, shape)? < version {
        transaction.execute_batch(shape.steps[version - 1])?;
    }
    let counted: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if (counted as usize) < version {
        transaction.pragma_update(None, "user_version", version as u32)?;
    }
    transaction.commit()
}

/// Writes `<file>.v<N>.bak`: a consistent copy, complete before it gets its name.
fn keep_copy(connection: &Connection, path: &Path, version: usize) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let copy = path.with_file_name(format!("{name}.v{version}.bak"));
    let partial: PathBuf = path.with_file_name(format!("{name}.v{version}.bak.partial"));
    let failed = |cause: String| format!("cannot be copied to {} before migrating it: {cause}", copy.display());
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error.to_string())),
        _ => {}
    }
    file::create_private(&partial).map_err(failed)?;
    connection
        .backup("main", &partial, None::<fn(rusqlite::backup::Progress)>)
        .map_err(|error| failed(error.to_string()))?;
    std::fs::rename(&partial, &copy).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE a(x); INSERT INTO a VALUES (1)";
    const SECOND: &str = "ALTER TABLE a ADD COLUMN y";

    fn shape(steps: &'static [&'static str]) -> Shape {
        Shape::new("test.db", "tests", steps)
    }

    #[test]
    fn an_old_file_is_kept_and_a_newer_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let open = |steps| file::open(&path, &shape(steps));
        open(&[FIRST]).unwrap();
        open(&[FIRST, SECOND]).unwrap().query_row("SELECT x, y FROM a", [], |_| Ok(())).unwrap();
        let copy = Connection::open(folder.path().join("test.db.v1.bak")).unwrap();
        assert!(copy.prepare("SELECT y FROM a").is_err(), "the copy has the old form");
        let before = std::fs::read(&path).unwrap();
        let error = open(&[FIRST]).unwrap_err();
        assert!(error.contains("newer version (form 2, this one knows 1)"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let error = open(&[FIRST, SECOND, "CREATE TABLE b(x); nonsense"]).unwrap_err();
        assert!(error.contains("form 3"), "{error}");
        let file = open(&[FIRST, SECOND]).unwrap();
        assert!(file.prepare("SELECT * FROM b").is_err(), "a step that fails changes nothing");
    }

    #[test]
    fn a_file_of_before_the_numbers_has_taken_the_first_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE a(x); INSERT INTO a VALUES (7)").unwrap();
        let version = |file: &Connection| file.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
        let file = file::open(&path, &shape(&[FIRST]).first_table("a")).unwrap();
        assert_eq!(version(&file), Ok(1));
        drop(file);
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 0).unwrap();
        let file = file::open(&path, &shape(&[FIRST, SECOND]).first_table("a")).unwrap();
        assert_eq!(version(&file), Ok(2));
        let row = file.query_row("SELECT x, y FROM a", [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)));
        assert_eq!(row, Ok((7, None::<i64>)));
        // A new file takes the first step, whatever the table is called.
        let new = file::open(&folder.path().join("new.db"), &shape(&[FIRST]).first_table("a")).unwrap();
        assert_eq!(version(&new), Ok(1));
    }
}
