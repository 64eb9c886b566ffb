//! Files that are read and written for a program, below its folder and nowhere else. This holds the program to what it was
//! configured for; it is no wall, for the program is of the same user and has hands of its own.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use plugin_api::Host;
use serde_json::{Value, json};

use crate::{AcpConfig, Files};

/// JSON-RPC's codes for parameters that are wrong, and for what went wrong inside.
const WRONG_PARAMS: i32 = -32602;
const INTERNAL: i32 = -32603;

type Answer = Result<Value, (i32, &'static str)>;

pub(crate) async fn serve(host: &Host, config: &AcpConfig, folder: &Path, is_write: bool, params: &Value) -> Answer {
    let is_allowed = if is_write { config.files == Files::Write } else { config.files != Files::None };
    if !is_allowed {
        return Err((WRONG_PARAMS, "this client does not do it for the program"));
    }
    let Some(path) = params["path"].as_str().map(PathBuf::from) else {
        return Err((WRONG_PARAMS, "a path is needed"));
    };
    let (folder, limit, params) = (folder.to_path_buf(), config.max_file_bytes, params.clone());
    let job =
        move || if is_write { write(&folder, &path, limit, &params) } else { read(&folder, &path, limit, &params) };
    host.blocking(job).await.unwrap_or(Err((INTERNAL, "the gateway is busy")))
}

fn read(folder: &Path, path: &Path, limit: u64, params: &Value) -> Answer {
    let path = below(folder, path)?;
    is_file(&path)?;
    let file = fs::File::open(path).map_err(told)?;
    let mut text = String::new();
    file.take(limit.saturating_add(1)).read_to_string(&mut text).map_err(told)?;
    if text.len() as u64 > limit {
        return Err((WRONG_PARAMS, "the file is too large"));
    }
    let (line, count) = (params["line"].as_u64(), params["limit"].as_u64());
    if line.is_some() || count.is_some() {
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let skipped = whole(line.unwrap_or(1).saturating_sub(1));
        text = text.split_inclusive('\n').skip(skipped).take(count.map_or(usize::MAX, whole)).collect();
    }
    Ok(json!({ "content": text }))
}

fn write(folder: &Path, path: &Path, limit: u64, params: &Value) -> Answer {
    let Some(content) = params["content"].as_str() else { return Err((WRONG_PARAMS, "a content is needed")) };
    if content.len() as u64 > limit {
        return Err((WRONG_PARAMS, "the content is too large"));
    }
    let path = match below(folder, path) {
        // A file that is not there yet is below the folder if its own folder is.
        Err(_) if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(OUTSIDE) };
            below(folder, parent)?.join(name)
        }
        path => {
            let path = path?;
            is_file(&path)?;
            path
        }
    };
    fs::write(path, content).map_err(told)?;
    Ok(json!({}))
}

const OUTSIDE: (i32, &str) = (WRONG_PARAMS, "the path is not below the session's folder");

/// Where a path leads to, if that is below the folder, whatever links and dots are in it.
fn below(folder: &Path, path: &Path) -> Result<PathBuf, (i32, &'static str)> {
    if !path.is_absolute() {
        return Err((WRONG_PARAMS, "an absolute path is needed"));
    }
    let (folder, path) = (folder.canonicalize().map_err(told)?, path.canonicalize().map_err(told)?);
    if path.starts_with(folder) { Ok(path) } else { Err(OUTSIDE) }
}

/// A pipe has nobody at its other end, perhaps for ever, and would keep whoever opens it.
fn is_file(path: &Path) -> Result<(), (i32, &'static str)> {
    if fs::metadata(path).map_err(told)?.is_file() { Ok(()) } else { Err((WRONG_PARAMS, "it is no file")) }
}

fn told(error: io::Error) -> (i32, &'static str) {
    match error.kind() {
        io::ErrorKind::NotFound => (WRONG_PARAMS, "there is no such file"),
        io::ErrorKind::InvalidData => (WRONG_PARAMS, "the file is no text"),
        _ => (INTERNAL, "the file cannot be used"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_outside_of_the_folder_are_nobodys_business() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("work");
        fs::create_dir(&folder).unwrap();
        fs::write(top.path().join("secret"), "s").unwrap();
        fs::write(folder.join("file"), "one\ntwo\nthree\n").unwrap();
        std::os::unix::fs::symlink(top.path().join("secret"), folder.join("link")).unwrap();
        std::os::unix::fs::symlink(top.path().join("new"), folder.join("dangling")).unwrap();
        let none = json!({});
        assert_eq!(read(&folder, &folder.join("file"), 100, &none).unwrap()["content"], "one\ntwo\nthree\n");
        let some = json!({ "line": 2, "limit": 1 });
        assert_eq!(read(&folder, &folder.join("file"), 100, &some).unwrap()["content"], "two\n");
        assert!(read(&folder, &folder.join("file"), 3, &none).unwrap_err().1.contains("too large"));
        for path in [top.path().join("secret"), folder.join("link"), folder.join("../secret"), "/etc/hostname".into()] {
            assert_eq!(read(&folder, &path, 100, &none), Err(OUTSIDE), "{}", path.display());
        }
        assert!(read(&folder, Path::new("file"), 100, &none).unwrap_err().1.contains("absolute"));

        let content = json!({ "content": "new" });
        assert_eq!(write(&folder, &folder.join("new"), 100, &content), Ok(json!({})));
        assert_eq!(fs::read_to_string(folder.join("new")).unwrap(), "new");
        for path in [top.path().join("new"), folder.join("../new"), folder.join("link"), folder.join("dangling")] {
            assert!(write(&folder, &path, 100, &content).is_err(), "{}", path.display());
        }
        assert!(!top.path().join("new").exists());
        assert_eq!(fs::read_to_string(top.path().join("secret")).unwrap(), "s");
        assert!(write(&folder, &folder.join("x"), 2, &content).unwrap_err().1.contains("too large"));
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().to_path_buf();
        let pipe = folder.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for path in [pipe, folder.clone()] {
                let content = json!({ "content": "new" });
                let answers = [read(&folder, &path, 100, &json!({})), write(&folder, &path, 100, &content)];
                answers.into_iter().for_each(|answer| tell.send(answer.unwrap_err().1).unwrap());
            }
        });
        for _ in 0..4 {
            assert_eq!(told.recv_timeout(std::time::Duration::from_secs(20)), Ok("it is no file"));
        }
    }
}
