//! `clawhost backup`: a consistent copy of this machine's gateway in one tar file, also while it runs. Unpacked into an
//! empty state folder it is that gateway again; so it holds secrets, and only its owner may read it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clawhost::config::Config;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::cli::Context;
use crate::failure::Failure;
use crate::show::{Table, print, remark};
use crate::target::Target;

mod archive;
mod collect;

use collect::{Collected, Collection};

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The tar file to write
    file: PathBuf,
    /// Replace a file that is there already
    #[arg(long)]
    force: bool,
}

/// Makes the backup and says what is in it.
pub fn run(args: BackupArgs, context: &Context) -> Result<(), Failure> {
    let state_dir = context.target.state_dir()?;
    let done = back_up(&args, &state_dir, config_file(&context.target))?;
    if context.json {
        let files: Vec<_> = done.iter().map(|file| json!({ "name": file.name, "bytes": file.bytes })).collect();
        return print(&format!("{}\n", json!({ "file": args.file, "files": files })));
    }
    let mut table = Table::new(&["FILE", "BYTES", "KIND"]);
    for file in &done {
        table.row([file.name.clone(), file.bytes.to_string(), file.kind.name().to_string()]);
    }
    print(&format!(
        "{}{} holds the gateway's secrets: keep it as safe as they are\n",
        table.render(context.style),
        args.file.display()
    ))
}

fn back_up(args: &BackupArgs, state_dir: &Path, config: Option<PathBuf>) -> Result<Vec<Collected>, Failure> {
    if !state_dir.join(collect::DATABASE).exists() {
        return Err(Failure::failed(format!("{} holds no gateway's state: nothing to back up", state_dir.display())));
    }
    let exists = || Failure::failed(format!("{} exists already; --force replaces it", args.file.display()));
    if !args.force && fs::symlink_metadata(&args.file).is_ok() {
        return Err(exists());
    }
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = |error: io::Error| Failure::failed(format!("{}: cannot write: {error}", args.file.display()));
    let real = folder.canonicalize().map_err(cannot)?;
    if state_dir.canonicalize().is_ok_and(|state_dir| real.starts_with(state_dir.join(collect::DATA))) {
        return Err(Failure::usage("a backup inside the data folder would become part of the next one"));
    }
    // Beside the file, where there has to be room for it anyway; both are their owner's alone.
    let staging = tempfile::Builder::new().prefix(".clawhost-backup-").tempdir_in(folder).map_err(cannot)?;
    let collected = Collection::new(state_dir, staging.path()).collect(config.as_deref())?;
    for skipped in &collected.skipped {
        remark(&format!("left out: {skipped}"));
    }
    let written = NamedTempFile::new_in(folder).map_err(cannot)?;
    archive::write(written.as_file(), staging.path(), &collected.files).map_err(cannot)?;
    archive::verify(written.path(), &collected.files).map_err(Failure::Failed)?;
    let published = match args.force {
        true => written.persist(&args.file),
        false => written.persist_noclobber(&args.file),
    };
    match published {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Err(exists()),
        Err(error) => return Err(cannot(error.error)),
    }
    // Without it a power cut may take the name away again.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot)?;
    Ok(collected.files)
}

/// The configuration file in use, also one that has mistakes in it.
fn config_file(target: &Target) -> Option<PathBuf> {
    match Config::load(target.overrides(), |name| std::env::var(name).ok()) {
        Ok(config) => config.file.map(|file| file.path),
        Err(error) => error.file,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rusqlite::Connection;

    use super::*;

    /// A gateway's folder with a database in use, as while it runs: rows are in the log that SQLite writes ahead.
    fn state(folder: &Path) -> Connection {
        fs::create_dir_all(folder.join("data/sessions/deep")).unwrap();
        for (name, text) in [
            ("gateway.key", "k"),
            ("token", "t"),
            ("tls.crt", "c"),
            ("tls.key", "p"),
            ("gateway.json", "{}"),
            ("data/sessions/deep/a.txt", "a"),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        fs::create_dir(folder.join("logs")).unwrap();
        fs::write(folder.join("logs/clawhost.jsonl"), "line").unwrap();
        let plugin = Connection::open(folder.join("data/sessions/own.sqlite")).unwrap();
        plugin.execute_batch("CREATE TABLE s (x); INSERT INTO s VALUES (1);").unwrap();
        let database = Connection::open(folder.join("state.db")).unwrap();
        let batch = "PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (41), (42);";
        database.execute_batch(batch).unwrap();
        database
    }

    fn names(files: &[Collected]) -> Vec<&str> {
        files.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn a_backup_taken_while_running_opens_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state");
        let running = state(&folder);
        assert!(folder.join("state.db-wal").metadata().unwrap().len() > 0);
        symlink("/etc", folder.join("data/sessions/elsewhere")).unwrap();
        let config = root.path().join("my.toml");
        fs::write(&config, "[gateway]\n").unwrap();
        let args = BackupArgs { file: root.path().join("b.tar"), force: false };
        let files = back_up(&args, &folder, Some(config)).unwrap();
        let expected = [
            "state.db",
            "gateway.key",
            "token",
            "tls.crt",
            "tls.key",
            "config.toml",
            "data/sessions/deep/a.txt",
            "data/sessions/own.sqlite",
        ];
        assert_eq!(names(&files), expected);
        assert_eq!(fs::metadata(&args.file).unwrap().permissions().mode() & 0o777, 0o600);

        let restored = root.path().join("restored");
        tar::Archive::new(File::open(&args.file).unwrap()).unpack(&restored).unwrap();
        let sum: i64 = Connection::open(restored.join("state.db"))
            .unwrap()
            .query_row("SELECT sum(x) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sum, 83);
        assert!(!restored.join("logs").exists() && !restored.join("state.db-wal").exists());
        assert_eq!(fs::metadata(restored.join("token")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(restored.join("data/sessions")).unwrap().permissions().mode() & 0o777, 0o700);
        running.execute("INSERT INTO t VALUES (1)", []).unwrap();
        let left = fs::read_dir(root.path())
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with('.'));
        assert_eq!(left.count(), 0, "nothing stays beside the backup");
    }

    #[test]
    fn a_file_that_is_there_stays_unless_forced() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state");
        let _running = state(&folder);
        let file = root.path().join("b.tar");
        fs::write(&file, "precious").unwrap();
        let failure = back_up(&BackupArgs { file: file.clone(), force: false }, &folder, None).unwrap_err();
        assert!(failure.sentence().contains("--force") && failure.code() == 1);
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        back_up(&BackupArgs { file: file.clone(), force: true }, &folder, None).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let inside = BackupArgs { file: folder.join("data/sessions/b.tar"), force: false };
        assert_eq!(back_up(&inside, &folder, None).unwrap_err().code(), 2);
        let nothing = back_up(&BackupArgs { file, force: true }, &root.path().join("none"), None).unwrap_err();
        assert!(nothing.sentence().contains("nothing to back up"));
    }

    #[test]
    fn a_damaged_database_is_no_backup() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state");
        drop(state(&folder));
        let path = folder.join("state.db");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0xff);
        fs::write(&path, bytes).unwrap();
        let args = BackupArgs { file: root.path().join("b.tar"), force: false };
        let failure = back_up(&args, &folder, None).unwrap_err();
        assert!(failure.sentence().contains("state.db"), "{failure:?}");
        assert!(!args.file.exists());
    }
}
