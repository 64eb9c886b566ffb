//! Which commands a node may offer at all, by the kind of machine it is. What is not in its list is withheld when the node
//! connects and refused when somebody asks for it, whatever was approved; the configuration adds and takes away.
//!
//! The lists are those of protocol 3, narrowed where protocol 4 became stricter: what films, records, writes into other
//! people's data or sends messages needs a word in the configuration, and a machine of an unknown kind is trusted with
//! little.

use std::collections::BTreeSet;

/// The kind of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// iPhones and iPads.
    Ios,
    /// Android.
    Android,
    /// macOS.
    Macos,
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// Whatever else.
    Unknown,
}

/// The commands of a canvas.
const CANVAS: [&str; 8] = [
    "canvas.present",
    "canvas.hide",
    "canvas.navigate",
    "canvas.eval",
    "canvas.snapshot",
    "canvas.a2ui.push",
    "canvas.a2ui.pushJSONL",
    "canvas.a2ui.reset",
];

/// What every phone, tablet and Mac may offer beside its canvas.
const SENSES: [&str; 2] = ["camera.list", "location.get"];

/// What a machine with a keyboard may offer.
const DESKTOP: [&str; 15] = [
    "browser.proxy",
    "browser.proxy.upload.v1",
    "desktop.stream",
    "fs.listDir",
    "mcp.tools.call.v1",
    "ollama.chat",
    "ollama.models",
    "screen.snapshot",
    "system.execApprovals.get",
    "system.execApprovals.set",
    "system.notify",
    "system.run",
    "system.run.prepare",
    "system.which",
    "terminal.upload",
];

/// What a machine of an unknown kind may offer.
const UNKNOWN: [&str; 3] = ["camera.list", "location.get", "system.notify"];

/// Commands that only an admin may use.
const FOR_ADMINS: [&str; 4] = ["browser.proxy", "browser.proxy.upload.v1", "fs.listDir", "terminal.upload"];

/// Commands that only an admin may approve.
const APPROVED_BY_ADMINS: [&str; 5] =
    ["system.run", "system.run.prepare", "system.which", "fs.listDir", "terminal.upload"];
const APPROVED_BY_ADMINS_FROM: [&str; 2] = ["system.execApprovals.", "browser.proxy"];

/// What the configuration says of commands.
#[derive(Debug, Default)]
pub struct Policy {
    allow: BTreeSet<String>,
    deny: BTreeSet<String>,
}

impl Policy {
    /// The defaults with these added and those taken away. What is in both lists is taken away.
    pub fn new(allow: Vec<String>, deny: Vec<String>) -> Self {
        let set = |list: Vec<String>| list.iter().map(|name| name.trim().to_string()).collect();
        Policy { allow: set(allow), deny: set(deny) }
    }

    /// Whether a machine of this kind may offer the command.
    pub fn admits(&self, class: Class, command: &str) -> bool {
        !self.deny.contains(command) && (self.allow.contains(command) || class.offers(command))
    }

    /// Why a command is not admitted, for the operator who asked.
    pub fn reason(&self, command: &str) -> String {
        if self.deny.contains(command) {
            format!("{command:?} is in plugins.node.config.deny_commands")
        } else {
            format!("{command:?} is not offered by nodes of this kind unless plugins.node.config.allow_commands has it")
        }
    }
}

impl Class {
    /// The kind of a machine that calls itself so. The platform decides; a device family that contradicts it makes the
    /// machine unknown.
    pub fn of(platform: Option<&str>, device_family: Option<&str>) -> Self {
        let platform = platform.unwrap_or_default().trim().to_ascii_lowercase();
        let family = device_family.unwrap_or_default().trim().to_ascii_lowercase();
        let begins = [
            ("ios", Class::Ios),
            ("ipados", Class::Ios),
            ("android", Class::Android),
            ("mac", Class::Macos),
            ("darwin", Class::Macos),
            ("win", Class::Windows),
            ("linux", Class::Linux),
        ];
        let class = begins.iter().find(|(begin, _)| platform.starts_with(begin)).map_or(Class::Unknown, |row| row.1);
        let holds = [
            ("iphone", Class::Ios),
            ("ipad", Class::Ios),
            ("ios", Class::Ios),
            ("android", Class::Android),
            ("mac", Class::Macos),
            ("windows", Class::Windows),
            ("linux", Class::Linux),
        ];
        match holds.iter().find(|(part, _)| family.contains(part)) {
            Some((_, other)) if *other != class => Class::Unknown,
            _ => class,
        }
    }

    fn offers(self, command: &str) -> bool {
        let lists: &[&[&str]] = match self {
            Class::Ios | Class::Android => &[&CANVAS, &SENSES],
            Class::Macos => &[&CANVAS, &SENSES, &DESKTOP],
            Class::Linux | Class::Windows => &[&DESKTOP],
            Class::Unknown => &[&UNKNOWN],
        };
        lists.iter().any(|list| list.contains(&command))
    }
}

/// Whether only an admin may use the command.
pub fn is_for_admins(command: &str) -> bool {
    FOR_ADMINS.contains(&command)
}

/// Whether only an admin may approve the command.
pub fn is_approved_by_admins(command: &str) -> bool {
    APPROVED_BY_ADMINS.contains(&command) || APPROVED_BY_ADMINS_FROM.iter().any(|begin| command.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_decides_and_a_family_may_only_contradict() {
        for (platform, family, class) in [
            ("iOS 18.1", "iPhone", Class::Ios),
            ("iPadOS 17", "iPad", Class::Ios),
            ("Android 15", "Android", Class::Android),
            ("darwin", "", Class::Macos),
            ("macos", "Mac", Class::Macos),
            ("win32", "Windows", Class::Windows),
            ("linux 6.1", "Linux", Class::Linux),
            ("linux", "iPhone", Class::Unknown),
            ("ios", "Mac", Class::Unknown),
            ("watchos", "", Class::Unknown),
            ("", "iPhone", Class::Unknown),
            ("plan9", "", Class::Unknown),
        ] {
            assert_eq!(Class::of(Some(platform), Some(family)), class, "{platform} {family}");
        }
        assert_eq!(Class::of(None, None), Class::Unknown);
    }

    #[test]
    fn what_spies_or_sends_needs_a_word_in_the_configuration() {
        let policy = Policy::default();
        let classes = [Class::Ios, Class::Android, Class::Macos, Class::Linux, Class::Windows, Class::Unknown];
        for command in ["camera.snap", "camera.clip", "screen.record", "sms.send", "sms.search", "contacts.add"] {
            assert!(classes.iter().all(|class| !policy.admits(*class, command)), "{command}");
        }
        assert!(policy.admits(Class::Linux, "system.run") && policy.admits(Class::Ios, "canvas.eval"));
        assert!(!policy.admits(Class::Ios, "system.run") && !policy.admits(Class::Unknown, "system.run"));
        assert!(!policy.admits(Class::Unknown, "canvas.eval") && policy.admits(Class::Unknown, "system.notify"));

        let policy = Policy::new(
            vec!["camera.snap".into(), "system.which".into()],
            vec!["system.run".into(), "system.which".into()],
        );
        assert!(policy.admits(Class::Android, "camera.snap"));
        assert!(!policy.admits(Class::Linux, "system.run"));
        assert!(!policy.admits(Class::Linux, "system.which"), "what is denied is denied");
        assert!(policy.reason("system.run").contains("deny_commands"));
        assert!(policy.reason("sms.send").contains("allow_commands"));
    }

    #[test]
    fn what_runs_programs_is_for_admins_to_approve() {
        for command in
            ["system.run", "system.which", "system.execApprovals.set", "browser.proxy.upload.v1", "fs.listDir"]
        {
            assert!(is_approved_by_admins(command), "{command}");
        }
        assert!(!is_approved_by_admins("system.notify") && !is_approved_by_admins("camera.list"));
        assert!(is_for_admins("browser.proxy") && !is_for_admins("system.run"));
    }
}
