//! Who may read and change the gateway's files: the state folder and what lies in it, the configuration, and the files of
//! secrets that it names.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clawhost::config::{Config, REDACTED};
use serde_json::Value;

use super::Patient;
use super::finding::{Finding, quoted};

const CHECK: &str = "permissions";
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;
/// Files of the state folder that let in whoever reads them.
const SECRET: [&str; 9] = [
    "cli-device.json",
    "cli-tokens.json",
    "gateway.json",
    "gateway.key",
    "node-cameras",
    "node-device.json",
    "node-tokens.json",
    "tls.key",
    "token",
];
/// Keys that name a file with a secret in it.
const SECRET_FILES: [&str; 6] =
    ["api_key_file", "key_file", "password_file", "secret_file", "token_file", "tokens_file"];

/// Looks at all of them.
pub fn examine(patient: &Patient) -> Vec<Finding> {
    let mut findings = state(&patient.state_dir);
    if let Some(config) = &patient.config {
        findings.extend(configuration(config));
        findings.extend(named_files(config));
    }
    if findings.is_empty() {
        findings
            .push(Finding::ok(CHECK, "nobody else can read or change the gateway's files").file(&patient.state_dir));
    }
    findings
}

fn state(folder: &Path) -> Vec<Finding> {
    let metadata = match fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return absent(folder),
        Err(error) => return vec![Finding::error(CHECK, format!("{}: {error}", folder.display())).file(folder)],
    };
    if !metadata.is_dir() {
        let what = format!("{} is no folder, so no state can be kept there", folder.display());
        return vec![Finding::error(CHECK, what).file(folder).key("gateway.state_dir").edit("name a folder")];
    }
    let mut findings: Vec<Finding> = of_other_user(folder, &metadata).into_iter().collect();
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS != 0 {
        let what = format!("others can enter the state folder (mode {mode:04o})");
        let found = if mode & OTHERS_WRITE != 0 { Finding::error(CHECK, what) } else { Finding::warning(CHECK, what) };
        findings.push(found.chmod(folder, 0o700));
    }
    let mut inside: Vec<PathBuf> = Vec::new();
    for folder in [folder.to_path_buf(), folder.join("logs")] {
        inside.extend(fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    inside.sort();
    findings.extend(inside.iter().filter_map(|path| kept(path)));
    findings
}

/// A file or folder in the state folder.
fn kept(path: &Path) -> Option<Finding> {
    let metadata = fs::symlink_metadata(path).ok().filter(|found| found.is_file() || found.is_dir())?;
    let mode = metadata.mode() & 0o7777;
    let name = path.file_name()?.to_string_lossy().into_owned();
    // A configuration is looked at by itself; without secrets in it everybody may read it.
    if mode & OTHERS == 0 || name == "config.toml" {
        return None;
    }
    let right = if metadata.is_dir() { 0o700 } else { 0o600 };
    let what = format!("others have rights on {} (mode {mode:04o})", path.display());
    let found = if SECRET.contains(&name.as_str()) {
        let more = "; if somebody else may have read it, make a new one instead";
        Finding::error(CHECK, format!("{what}, and it lets in whoever reads it{more}"))
    } else {
        Finding::warning(CHECK, what)
    };
    Some(found.chmod(path, right))
}

fn of_other_user(path: &Path, metadata: &Metadata) -> Option<Finding> {
    let us = rustix::process::geteuid().as_raw();
    (metadata.uid() != us && us != 0).then(|| {
        let what = format!("{} belongs to another user ({}), who can change it", path.display(), metadata.uid());
        Finding::error(CHECK, what).file(path).run(format!("sudo chown -R \"$(id -u)\" {}", quoted(path)))
    })
}

/// A folder that is not there: the first start makes it, if it can.
fn absent(folder: &Path) -> Vec<Finding> {
    let above = folder.ancestors().skip(1).find(|above| above.exists());
    let can = above.is_some_and(|above| rustix::fs::access(above, rustix::fs::Access::WRITE_OK).is_ok());
    let path = folder.display();
    vec![if can {
        Finding::note(CHECK, format!("{path} is not there yet; the first start of the gateway makes it")).file(folder)
    } else {
        let what = format!("{path} is not there and cannot be made, since you may not write above it");
        Finding::error(CHECK, what).file(folder).key("gateway.state_dir").edit("name a folder of yours, or --state-dir")
    }]
}

fn configuration(config: &Config) -> Vec<Finding> {
    let Some(file) = &config.file else { return Vec::new() };
    let Ok(metadata) = fs::metadata(&file.path) else { return Vec::new() };
    let (mode, path) = (metadata.mode() & 0o7777, file.path.display());
    let mut findings = Vec::new();
    let secrets = secrets_in(file.text.expose(), &config.redacted());
    if mode & OTHERS_WRITE != 0 {
        let what = format!("others can change {path} (mode {mode:04o}), and with it what the gateway loads and runs");
        findings.push(Finding::error(CHECK, what).chmod(&file.path, mode & 0o777 & !OTHERS_WRITE));
    }
    if mode & 0o044 != 0 && !secrets.is_empty() {
        let what = format!("others can read {path} (mode {mode:04o}), and there are secrets in it");
        findings.push(Finding::error(CHECK, what).key(secrets[0].clone()).chmod(&file.path, 0o600));
    } else if !secrets.is_empty() {
        let what = format!(
            "there are secrets in {path}, which is passed around and backed up more easily than a file of its own"
        );
        let keys = secrets.join(", ");
        findings
            .push(Finding::note(CHECK, what).file(&file.path).key(keys).edit("name a file of mode 600 with …_file"));
    }
    findings
}

/// Keys of the file itself that hold a secret.
fn secrets_in(text: &str, shown: &Value) -> Vec<String> {
    let file: toml::Table = text.parse().unwrap_or_default();
    let written = |path: &str| {
        path.split('.').try_fold(None, |at: Option<&toml::Value>, name| match at {
            None => file.get(name).map(Some),
            Some(value) => value.get(name).map(Some),
        })
    };
    let shared = ["gateway.auth.token", "gateway.auth.password"].into_iter().filter(|path| written(path).is_some());
    let mut found: Vec<String> = shared.map(str::to_string).collect();
    let named = written("gateway.auth.tokens").flatten().and_then(toml::Value::as_array).into_iter().flatten();
    if named.into_iter().any(|token| token.get("token").is_some()) {
        found.push("gateway.auth.tokens".to_string());
    }
    let plugins = shown["plugins"].as_object().into_iter().flatten();
    for (id, plugin) in plugins {
        hidden(&plugin["config"], &format!("plugins.{id}.config"), &mut found);
    }
    found
}

/// Paths of what is not shown.
fn hidden(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text == REDACTED => found.push(path.to_string()),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| hidden(value, &format!("{path}.{name}"), found))
        }
        Value::Array(items) => items.iter().for_each(|value| hidden(value, path, found)),
        _ => {}
    }
}

/// The files that the configuration names for secrets.
fn named_files(config: &Config) -> Vec<Finding> {
    let mut named = Vec::new();
    files_in(&config.redacted(), "", &mut named);
    let beside = config.file.as_ref().and_then(|file| file.path.parent());
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let open = named.into_iter().filter_map(|(key, text)| {
        let path = match (text.strip_prefix("~/"), &home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => beside.map_or_else(|| PathBuf::from(&text), |folder| folder.join(&text)),
        };
        let mode = fs::metadata(&path).ok()?.mode() & 0o7777;
        let what = format!("others have rights on {} (mode {mode:04o}), which holds a secret", path.display());
        (mode & OTHERS != 0).then(|| Finding::error(CHECK, what).key(key).chmod(&path, 0o600))
    });
    open.collect()
}

fn files_in(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match value.as_str() {
                    Some(text) if SECRET_FILES.contains(&name.as_str()) && !text.is_empty() => {
                        found.push((path, text.to_string()));
                    }
                    _ => files_in(value, &path, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|value| files_in(value, path, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_of_the_file_are_found_by_their_keys() {
        let text = "[gateway.auth]\ntoken = \"s\"\n[[gateway.auth.tokens]]\nname = \"a\"\ntoken = \"s\"\n";
        let shown = json!({"gateway": {"auth": {"password": REDACTED}},
            "plugins": {"x": {"config": {"a": [{"api_key": REDACTED}], "b": 1}}}});
        let expected = ["gateway.auth.token", "gateway.auth.tokens", "plugins.x.config.a.api_key"];
        assert_eq!(secrets_in(text, &shown), expected);
        assert_eq!(secrets_in("[gateway]\nport = 1\n", &json!({"plugins": {}})), [""; 0]);
    }

    #[test]
    fn files_of_secrets_are_found_at_every_depth() {
        let mut found = Vec::new();
        let shown = json!({"gateway": {"auth": {"token_file": "t", "password_file": ""}},
            "plugins": {"x": {"config": {"accounts": [{"token_file": "u"}], "log_file": "l"}}}});
        files_in(&shown, "", &mut found);
        let expected = [("gateway.auth.token_file", "t"), ("plugins.x.config.accounts.token_file", "u")];
        assert_eq!(found, expected.map(|(key, file)| (key.to_string(), file.to_string())));
    }
}
