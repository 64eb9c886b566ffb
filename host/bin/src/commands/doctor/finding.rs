//! What a check found: how grave it is, what and where it is, and what to do about it. Nothing here holds a secret.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::show::{Style, clean};

/// How grave something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// It is as it should be.
    Ok,
    /// It is worth knowing.
    Note,
    /// It works, and should not stay so.
    Warning,
    /// It does not work, or lets others in.
    Error,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }

    fn paint(self, style: Style) -> String {
        let word = format!("{:<7}", self.word());
        match self {
            Level::Ok => style.green(&word),
            Level::Note => word,
            Level::Warning => style.bold(&word),
            Level::Error => style.red(&word),
        }
    }
}

/// What can be done about something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// A command to run.
    Run(String),
    /// A change to make by hand.
    Edit(String),
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How grave it is.
    pub level: Level,
    /// The check, in a word.
    pub check: &'static str,
    /// What was found, in a sentence.
    pub what: String,
    file: Option<PathBuf>,
    line: Option<usize>,
    key: Option<String>,
    value: Option<Value>,
    remedy: Option<Remedy>,
    /// The rights that a file should have.
    mode: Option<(PathBuf, u32)>,
    fixed: bool,
}

impl Finding {
    fn new(level: Level, check: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        let (file, line, key, value, remedy, mode) = (None, None, None, None, None, None);
        Finding { level, check, what, file, line, key, value, remedy, mode, fixed: false }
    }

    /// Something as it should be.
    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Finding::new(Level::Ok, check, what)
    }

    /// Something worth knowing.
    pub fn note(check: &'static str, what: impl Into<String>) -> Self {
        Finding::new(Level::Note, check, what)
    }

    /// Something that should not stay so.
    pub fn warning(check: &'static str, what: impl Into<String>) -> Self {
        Finding::new(Level::Warning, check, what)
    }

    /// Something that does not work.
    pub fn error(check: &'static str, what: impl Into<String>) -> Self {
        Finding::new(Level::Error, check, what)
    }

    /// In this file.
    pub fn file(self, file: impl Into<PathBuf>) -> Self {
        Finding { file: Some(file.into()), ..self }
    }

    /// At this line of the file.
    pub fn line(self, line: Option<usize>) -> Self {
        Finding { line, ..self }
    }

    /// By this key of the configuration.
    pub fn key(self, key: impl Into<String>) -> Self {
        Finding { key: Some(key.into()), ..self }
    }

    /// With this value, which is never a secret.
    pub fn value(self, value: impl Into<Value>) -> Self {
        Finding { value: Some(value.into()), ..self }
    }

    /// This command helps.
    pub fn run(self, command: impl Into<String>) -> Self {
        Finding { remedy: Some(Remedy::Run(command.into())), ..self }
    }

    /// This change helps.
    pub fn edit(self, change: impl Into<String>) -> Self {
        Finding { remedy: Some(Remedy::Edit(change.into())), ..self }
    }

    /// These rights help, which `--fix` gives the file as well.
    pub fn chmod(self, path: &Path, mode: u32) -> Self {
        let command = format!("chmod {mode:o} {}", quoted(path));
        Finding { mode: Some((path.to_path_buf(), mode)), ..self.file(path).run(command) }
    }

    fn fix(&mut self) {
        let Some((path, mode)) = &self.mode else { return };
        // A link may lead to what is somebody else's business.
        let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        let changed = if is_link {
            Err("it is a link".to_string())
        } else {
            fs::set_permissions(path, Permissions::from_mode(*mode)).map_err(|error| error.to_string())
        };
        match changed {
            Ok(()) => {
                self.level = Level::Ok;
                self.what.push_str(&format!("; it has the mode {mode:04o} now"));
                (self.fixed, self.remedy) = (true, None);
            }
            Err(why) => self.what.push_str(&format!("; that could not be changed: {why}")),
        }
    }

    fn to_json(&self) -> Value {
        let mut shown = json!({ "level": self.level.word(), "check": self.check, "what": self.what });
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                shown[name] = value;
            }
        };
        put("file", self.file.as_ref().map(|file| json!(file)));
        put("line", self.line.map(Value::from));
        put("key", self.key.clone().map(Value::from));
        put("value", self.value.clone());
        put("fixed", self.fixed.then_some(Value::Bool(true)));
        put(
            "remedy",
            self.remedy.as_ref().map(|remedy| match remedy {
                Remedy::Run(command) => json!({ "run": command }),
                Remedy::Edit(change) => json!({ "edit": change }),
            }),
        );
        shown
    }

    fn render(&self, style: Style) -> String {
        let start = format!("{} {:<12} ", self.level.paint(style), self.check);
        let mut text = format!("{start}{}\n", clean(&self.what));
        let indent = " ".repeat(21);
        let mut more = |words: String| text.push_str(&format!("{indent}{}\n", clean(&words)));
        if let Some(place) = self.place() {
            more(format!("in {place}"));
        }
        match &self.remedy {
            Some(Remedy::Run(command)) => more(format!("run: {command}")),
            Some(Remedy::Edit(change)) => more(format!("edit: {change}")),
            None => {}
        }
        text
    }

    /// Where it is, as far as the sentence does not say so already.
    fn place(&self) -> Option<String> {
        let file = self.file.as_ref().map(|file| match self.line {
            Some(line) => format!("{}:{line}", file.display()),
            None => file.display().to_string(),
        });
        let value = self.value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
        let key = self.key.as_ref().map(|key| format!("{key}{value}"));
        let said = |place: &String| !self.what.contains(place.as_str());
        let words: Vec<String> = [file, key].into_iter().flatten().filter(said).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// Everything that was found, in the order in which it was looked at.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Adds one thing.
    pub fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Adds several.
    pub fn extend(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
    }

    /// Repairs what can be repaired without a risk.
    pub fn fix(&mut self) {
        self.findings.iter_mut().for_each(Finding::fix);
    }

    /// How many are of this level.
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// For scripts.
    pub fn to_json(&self) -> Value {
        json!({
            "ok": self.count(Level::Error) == 0,
            "errors": self.count(Level::Error),
            "warnings": self.count(Level::Warning),
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        })
    }

    /// For people.
    pub fn render(&self, style: Style) -> String {
        let lines: String = self.findings.iter().map(|finding| finding.render(style)).collect();
        let count = |level: Level| match self.count(level) {
            1 => format!("1 {}", level.word()),
            many => format!("{many} {}s", level.word()),
        };
        format!("{lines}{}, {}, {}\n", count(Level::Error), count(Level::Warning), count(Level::Note))
    }
}

/// A path as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if text.chars().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_what_where_and_what_helps() {
        let mut report = Report::default();
        report.push(Finding::ok("clock", "the clock is right"));
        let open = Finding::error("files", "others can read it\u{7}").chmod(Path::new("/s/my token"), 0o600);
        report.push(open.key("gateway.auth.token_file"));
        report.push(Finding::warning("bind", "open").key("gateway.bind").value("lan").edit("bind = \"loopback\""));
        let expected = "\
ok      clock        the clock is right
error   files        others can read it\\u{7}
                     in /s/my token, gateway.auth.token_file
                     run: chmod 600 '/s/my token'
warning bind         open
                     in gateway.bind = \"lan\"
                     edit: bind = \"loopback\"
1 error, 1 warning, 0 notes
";
        assert_eq!(report.render(Style::plain()), expected);
        let shown = report.to_json();
        assert_eq!((&shown["ok"], &shown["errors"], &shown["warnings"]), (&json!(false), &json!(1), &json!(1)));
        assert_eq!(shown["findings"][1]["remedy"], json!({"run": "chmod 600 '/s/my token'"}));
        assert_eq!(shown["findings"][2]["value"], "lan");
        assert!(shown["findings"][0].get("remedy").is_none());
    }

    #[test]
    fn rights_are_taken_away_but_not_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        let mut report = Report::default();
        report.push(Finding::error("files", "open").chmod(&link, 0o600));
        report.fix();
        assert_eq!((report.count(Level::Error), mode()), (1, 0o644));
        report.push(Finding::error("files", "open").chmod(&file, 0o600));
        report.fix();
        assert_eq!((report.count(Level::Error), report.count(Level::Ok), mode()), (1, 1, 0o600));
    }

    #[test]
    fn paths_are_quoted_where_a_shell_would_stumble() {
        assert_eq!(quoted(Path::new("/home/me/.clawhost/token")), "/home/me/.clawhost/token");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
