//! Who may run programs on this machine: a file that its user writes, in the form that gateways and their clients know as
//! exec approvals. Without it nothing may.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Far more than a list of programs needs.
const MAX_SIZE: u64 = 1024 * 1024;

/// The file, wherever it is.
#[derive(Debug, Clone)]
pub struct Approvals {
    path: PathBuf,
}

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Always 1.
    pub version: u8,
    /// Where another program asks its user; kept, and used by nobody here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<Socket>,
    /// For every agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Rules>,
    /// For one agent, by its id; `*` for every one.
    #[serde(default)]
    pub agents: BTreeMap<String, AgentRules>,
}

/// A program that asks the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Socket {
    /// Its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What lets in there; never told to a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What holds unless an agent has rules of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rules {
    /// `deny`, `allowlist` or `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<String>,
    /// `off`, `on-miss` or `always`: whether an operator's decision stands in for the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// What holds when nobody can be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_fallback: Option<String>,
    /// Not used here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_allow_skills: Option<bool>,
}

/// An agent's rules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentRules {
    /// What differs from the defaults.
    #[serde(flatten)]
    pub rules: Rules,
    /// Programs that may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowlist: Option<Vec<Allowed>>,
}

/// A program that may run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allowed {
    /// An id for editors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its path; `*` stands for any text without a slash, `**` for any.
    pub pattern: String,
    /// When it last ran, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<u64>,
    /// What it last ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_command: Option<String>,
    /// Where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_resolved_path: Option<String>,
}

/// The file as a gateway's clients see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// Where it is.
    pub path: String,
    /// Whether it is.
    pub exists: bool,
    /// SHA-256 of its text, in hex.
    pub hash: String,
    /// What it says, without the socket's token.
    pub file: File,
}

/// Whether a program may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It may not; the sentence says why, and what would change that.
    Denied(Reason, &'static str),
}

/// Why a program may not run, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing may run here.
    Disabled,
    /// It is not on the list.
    Unlisted,
    /// An operator was to allow it, and none did.
    NotApproved,
    /// An operator said no.
    Refused,
}

impl Reason {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Disabled => "disabled",
            Reason::Unlisted => "allowlist-miss",
            Reason::NotApproved => "approval-required",
            Reason::Refused => "user-denied",
        }
    }
}

/// What an operator decided about a run, as the gateway says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nobody was asked.
    None,
    /// It may run, now.
    Once,
    /// It may run, now and from now on.
    Always,
    /// It may not.
    Deny,
}

/// A program that somebody wants to run.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Where it is, with links followed by nobody.
    pub program: &'a Path,
    /// The agent that wants it.
    pub agent: Option<&'a str>,
    /// What the gateway says that an operator decided.
    pub decision: Decision,
}

impl Approvals {
    /// Of this file, which need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Approvals { path: path.into() }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a program may run, by what the file says now. A file that cannot be read allows nothing.
    pub fn judge(&self, wish: Wish<'_>) -> Verdict {
        match self.load() {
            Ok(Some((_, file))) => file.judge(wish),
            Ok(None) => Verdict::Denied(
                Reason::Disabled,
                "nobody has allowed programs to run on this node; its user can, see `clawhost node allow`",
            ),
            Err(error) => {
                tracing::error!(path = %self.path.display(), error, "the exec approvals cannot be used, so nothing may run");
                Verdict::Denied(Reason::Disabled, "the exec approvals of this node cannot be read")
            }
        }
    }

    /// Lets programs that fit a pattern run, for every agent.
    pub fn allow(&self, pattern: &str) -> Result<(), String> {
        check_pattern(pattern)?;
        let before = self.load().map_err(|why| format!("{}: {why}", self.path.display()))?;
        let mut file = before.map_or_else(|| File { version: 1, ..File::default() }, |(_, file)| file);
        let rules = file.agents.entry("*".to_string()).or_default();
        rules.rules.security = Some("allowlist".to_string());
        let list = rules.allowlist.get_or_insert_default();
        if !list.iter().any(|allowed| allowed.pattern == pattern) {
            let id = Some(uuid::Uuid::new_v4().to_string());
            list.push(Allowed { id, pattern: pattern.to_string(), ..Allowed::default() });
        }
        self.save(&file)
    }

    /// Lets one program run from now on, for the agent whose operator said so, or for every one. The rules stay as they are.
    pub fn allow_always(&self, program: &Path, agent: Option<&str>) -> Result<(), String> {
        let pattern = program.to_str().filter(|path| !path.contains('*')).ok_or("its path would be a pattern")?;
        let Some((_, mut file)) = self.load()? else { return Ok(()) };
        let rules = file.agents.entry(agent.unwrap_or("*").to_string()).or_default();
        let list = rules.allowlist.get_or_insert_default();
        if list.iter().any(|allowed| allowed.pattern == pattern) {
            return Ok(());
        }
        let id = Some(uuid::Uuid::new_v4().to_string());
        list.push(Allowed { id, pattern: pattern.to_string(), ..Allowed::default() });
        self.save(&file)
    }

    /// What a gateway's clients are shown.
    pub fn snapshot(&self) -> Result<Snapshot, String> {
        let (text, mut file, exists) = match self.load()? {
            Some((text, file)) => (text, file, true),
            None => (String::new(), File { version: 1, ..File::default() }, false),
        };
        if let Some(socket) = &mut file.socket {
            socket.token = None;
        }
        Ok(Snapshot { path: self.path.display().to_string(), exists, hash: hash(&text), file })
    }

    /// Replaces the file, if it still is what `base_hash` says. The socket and its token stay unless others are given.
    pub fn replace(&self, mut file: File, base_hash: Option<&str>) -> Result<Snapshot, String> {
        file.check()?;
        if let Some((text, before)) = self.load()? {
            let base = base_hash.ok_or("exec approvals base hash required; re-run exec.approvals.get and retry")?;
            if base != hash(&text) {
                return Err("exec approvals changed since last load; re-run exec.approvals.get and retry".to_string());
            }
            file.socket = match (file.socket, before.socket) {
                (Some(mut new), Some(old)) => {
                    new.token = new.token.or(old.token);
                    Some(new)
                }
                (new, old) => new.or(old),
            };
        }
        self.save(&file)?;
        self.snapshot()
    }

    fn load(&self) -> Result<Option<(String, File)>, String> {
        let bytes = match fs::metadata(&self.path) {
            Ok(found) if found.len() > MAX_SIZE => return Err(format!("larger than {MAX_SIZE} bytes")),
            Ok(_) => fs::read(&self.path).map_err(|error| error.to_string())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let text = String::from_utf8(bytes).map_err(|_| "not UTF-8")?;
        let file: File = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        file.check()?;
        Ok(Some((text, file)))
    }

    fn save(&self, file: &File) -> Result<(), String> {
        let written = || -> io::Result<()> {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            // Made for its owner only, and put in place in one step.
            let mut beside = tempfile::NamedTempFile::new_in(folder)?;
            beside.write_all(&serde_json::to_vec_pretty(file)?)?;
            beside.write_all(b"\n")?;
            beside.as_file().sync_all()?;
            beside.persist(&self.path)?;
            Ok(())
        };
        written().map_err(|error| format!("{}: cannot be written: {error}", self.path.display()))
    }
}

impl File {
    fn check(&self) -> Result<(), String> {
        if self.version != 1 {
            return Err(format!("version: {} is not known; 1 is", self.version));
        }
        let rules = self.defaults.iter().chain(self.agents.values().map(|agent| &agent.rules));
        for rules in rules {
            one_of("security", &rules.security, &["deny", "allowlist", "full"])?;
            one_of("ask", &rules.ask, &["off", "on-miss", "always"])?;
            one_of("askFallback", &rules.ask_fallback, &["deny", "allowlist", "full"])?;
        }
        let mut lists = self.agents.values().flat_map(|agent| agent.allowlist.iter().flatten());
        lists.try_for_each(|allowed| check_pattern(&allowed.pattern))
    }

    fn judge(&self, wish: Wish<'_>) -> Verdict {
        let own = wish.agent.and_then(|agent| self.agents.get(agent));
        let levels = [own, self.agents.get("*")];
        let rules = || levels.into_iter().flatten().map(|agent| &agent.rules).chain(&self.defaults);
        let security = rules().find_map(|rules| rules.security.as_deref()).unwrap_or("deny");
        let ask = rules().find_map(|rules| rules.ask.as_deref()).unwrap_or("off");
        let mut listed = levels.into_iter().flatten().flat_map(|agent| agent.allowlist.iter().flatten());
        let approved = matches!(wish.decision, Decision::Once | Decision::Always);
        match (security, ask) {
            ("full" | "allowlist", _) if wish.decision == Decision::Deny => {
                Verdict::Denied(Reason::Refused, "an operator refused it")
            }
            ("full" | "allowlist", "always") if !approved => {
                Verdict::Denied(Reason::NotApproved, "an operator has to allow each program")
            }
            ("full", _) => Verdict::Allowed,
            ("allowlist", _) if listed.any(|allowed| fits(&allowed.pattern, wish.program)) => Verdict::Allowed,
            // What an operator decides counts where the user of this machine wants it asked, and nowhere else.
            ("allowlist", "on-miss" | "always") if approved => Verdict::Allowed,
            ("allowlist", "on-miss") => Verdict::Denied(
                Reason::NotApproved,
                "the program is not on this node's allow list; an operator can allow it",
            ),
            ("allowlist", _) => Verdict::Denied(Reason::Unlisted, "the program is not on this node's allow list"),
            _ => Verdict::Denied(Reason::Disabled, "programs may not run on this node"),
        }
    }
}

fn one_of(key: &str, value: &Option<String>, known: &[&str]) -> Result<(), String> {
    match value.as_deref() {
        Some(value) if !known.contains(&value) => Err(format!("{key}: {value:?} is none of {}", known.join(", "))),
        _ => Ok(()),
    }
}

fn check_pattern(pattern: &str) -> Result<(), String> {
    // A bare name would mean whatever comes first on somebody's PATH.
    let sound = pattern.starts_with('/') || pattern.starts_with("**");
    if sound { Ok(()) } else { Err(format!("pattern: {pattern:?} is no path from the root, such as /usr/bin/git")) }
}

/// Whether a path fits a pattern: `*` is any text without a slash, `**` is any text. A path with `..` fits none: it may
/// lead out of what the pattern names.
fn fits(pattern: &str, path: &Path) -> bool {
    fn rest(pattern: &[u8], path: &[u8]) -> bool {
        match pattern {
            [] => path.is_empty(),
            [b'*', b'*', after @ ..] => (0..=path.len()).any(|from| rest(after, &path[from..])),
            [b'*', after @ ..] => {
                let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
                (0..=end).any(|from| rest(after, &path[from..]))
            }
            [first, after @ ..] => path.split_first().is_some_and(|(byte, path)| byte == first && rest(after, path)),
        }
    }
    // Each star multiplies the ways to try.
    const MAX_STARS: usize = 8;
    let stars = pattern.bytes().filter(|byte| *byte == b'*').count();
    let leads_up = path.components().any(|part| part == Component::ParentDir);
    stars <= MAX_STARS && !leads_up && rest(pattern.as_bytes(), path.as_os_str().as_encoded_bytes())
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(value: serde_json::Value) -> File {
        serde_json::from_value(value).unwrap()
    }

    fn judge(file: &File, program: &str, agent: Option<&str>, approved: bool) -> bool {
        let decision = if approved { Decision::Once } else { Decision::None };
        let verdict = |decision| file.judge(Wish { program: Path::new(program), agent, decision });
        assert_ne!(verdict(Decision::Deny), Verdict::Allowed, "no is no");
        assert_eq!(verdict(Decision::Always), verdict(Decision::Once));
        verdict(decision) == Verdict::Allowed
    }

    #[test]
    fn nothing_runs_unless_somebody_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let approvals = Approvals::at(folder.path().join("sub/exec-approvals.json"));
        let wish = Wish { program: Path::new("/usr/bin/git"), agent: None, decision: Decision::Once };
        assert!(matches!(approvals.judge(wish), Verdict::Denied(Reason::Disabled, _)));
        approvals.allow("/usr/bin/git").unwrap();
        assert_eq!(approvals.judge(wish), Verdict::Allowed);
        approvals.allow("/usr/bin/git").unwrap();
        assert_eq!(approvals.snapshot().unwrap().file.agents["*"].allowlist.as_ref().unwrap().len(), 1);
        assert!(matches!(
            approvals.judge(Wish { program: Path::new("/usr/bin/gitk"), ..wish }),
            Verdict::Denied(Reason::Unlisted, _)
        ));
        assert!(approvals.allow("git").unwrap_err().contains("from the root"));
        for text in [
            r#"{"version":1,"agents":{"*":{"security":"ful"}}}"#,
            r#"{"version":1,"defaults":{"security":"full"},"agents":{"*":{"securty":"deny"}}}"#,
        ] {
            fs::write(approvals.path(), text).unwrap();
            assert!(
                matches!(approvals.judge(wish), Verdict::Denied(Reason::Disabled, _)),
                "a file that is not understood allows nothing"
            );
            let why = approvals.allow("/usr/bin/git").unwrap_err();
            assert!(why.contains("exec-approvals.json"), "{why}");
            assert_eq!(fs::read_to_string(approvals.path()).unwrap(), text, "nothing is written over it");
        }
    }

    #[test]
    fn levels_apply_in_their_order() {
        let rules = file(json!({ "version": 1, "defaults": { "security": "full" }, "agents": {
            "main": { "security": "allowlist", "allowlist": [{ "pattern": "/usr/bin/*" }] },
            "careful": { "security": "allowlist", "ask": "on-miss" },
            "shy": { "security": "deny", "ask": "always" },
            "watched": { "ask": "always" },
        } }));
        assert!(judge(&rules, "/bin/x", None, false));
        assert!(judge(&rules, "/usr/bin/x", Some("main"), false));
        assert!(!judge(&rules, "/usr/bin/deep/x", Some("main"), false));
        assert!(!judge(&rules, "/bin/x", Some("main"), true), "nobody asked for operators there");
        assert!(!judge(&rules, "/bin/x", Some("careful"), false) && judge(&rules, "/bin/x", Some("careful"), true));
        assert!(!judge(&rules, "/bin/x", Some("shy"), true));
        assert!(!judge(&rules, "/bin/x", Some("watched"), false) && judge(&rules, "/bin/x", Some("watched"), true));
        assert!(judge(&rules, "/bin/x", Some("unknown"), false));
    }

    #[test]
    fn patterns_stop_at_a_slash_unless_they_say_otherwise() {
        for (pattern, path, expected) in [
            ("/usr/bin/*", "/usr/bin/git", true),
            ("/usr/bin/*", "/usr/bin/a/git", false),
            ("/usr/**/git", "/usr/a/b/git", true),
            ("**/git", "/opt/git", true),
            ("/usr/bin/git", "/usr/bin/git2", false),
            ("/************", "/x", false),
            ("/opt/tools/**", "/opt/tools/a/../../../bin/sh", false),
            ("/usr/*/git", "/usr/../git", false),
            ("/opt/tools/**", "/opt/tools/..a", true),
        ] {
            assert_eq!(fits(pattern, Path::new(path)), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_change_needs_to_know_what_it_changes_and_never_learns_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let approvals = Approvals::at(folder.path().join("exec-approvals.json"));
        let with_socket = file(json!({ "version": 1, "socket": { "path": "/s", "token": "secret" } }));
        let first = approvals.replace(with_socket, None).unwrap();
        assert_eq!(first.file.socket, Some(Socket { path: Some("/s".into()), token: None }));
        let next = file(json!({ "version": 1, "defaults": { "security": "full" } }));
        assert!(approvals.replace(next.clone(), None).unwrap_err().contains("base hash required"));
        assert!(approvals.replace(next.clone(), Some("0")).unwrap_err().contains("changed since"));
        let second = approvals.replace(next, Some(&first.hash)).unwrap();
        assert_ne!(second.hash, first.hash);
        let text = fs::read_to_string(approvals.path()).unwrap();
        assert!(text.contains("secret"), "it was kept");
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(approvals.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
