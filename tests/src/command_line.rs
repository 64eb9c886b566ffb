//! Which commands and flags the program has, as its own help says. What documents, packages and completions name is held
//! against it.

use std::collections::BTreeSet;

use crate::program::Home;

/// A command with its flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its words after `clawhost`; none for the program itself.
    pub words: Vec<String>,
    /// Its flags, with their dashes.
    pub flags: BTreeSet<String>,
}

impl Command {
    /// `clawhost devices list`
    pub fn name(&self) -> String {
        std::iter::once("clawhost").chain(self.words.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }
}

/// Every command, the program itself first, each before what is below it.
pub fn commands(home: &Home) -> Vec<Command> {
    let mut found = Vec::new();
    add(home, Vec::new(), &mut found);
    found
}

/// Why a line as somebody would type it names no command of the program; what is in it beside commands and flags is
/// passed over.
pub fn fault(commands: &[Command], line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    if words.next() != Some("clawhost") {
        return Some(format!("{line:?} does not begin with clawhost"));
    }
    let mut command = &commands[0];
    for word in words {
        if let Some(flag) = word.strip_prefix("--").and_then(|word| word.split('=').next()) {
            if !command.flags.contains(&format!("--{flag}")) {
                return Some(format!("{line:?}: {} has no --{flag}", command.name()));
            }
            continue;
        }
        let holder = command;
        let is_below = |other: &&Command| other.words.split_last().is_some_and(|(_, above)| above == holder.words);
        let mut below = commands.iter().filter(is_below).peekable();
        // What follows a command that holds no others is its own affair.
        if below.peek().is_some() {
            match below.find(|below| below.words.last().is_some_and(|last| last == word)) {
                Some(below) => command = below,
                None => return Some(format!("{line:?}: {} has no command {word}", command.name())),
            }
        }
    }
    None
}

fn add(home: &Home, words: Vec<String>, found: &mut Vec<Command>) {
    let line = words.iter().map(String::as_str).chain(["--help"]).collect::<Vec<_>>().join(" ");
    let help = home.run(&line);
    assert_eq!(help.code, Some(0), "{line}: {help:?}");
    let below: Vec<String> = section(&help.out, "Commands:").filter(|name| name != "help").collect();
    let flags = help.out.split_whitespace().filter_map(|word| {
        let name = word.strip_prefix("--")?;
        let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(name.len());
        (end > 0).then(|| format!("--{}", &name[..end]))
    });
    found.push(Command { flags: flags.collect(), words: words.clone() });
    for name in below {
        add(home, words.iter().cloned().chain([name]).collect(), found);
    }
}

/// The first words of the lines of a section.
fn section<'a>(help: &'a str, heading: &'a str) -> impl Iterator<Item = String> + 'a {
    let lines = help.lines().skip_while(move |line| *line != heading).skip(1);
    let of_section = lines.take_while(|line| line.starts_with("  "));
    // Longer descriptions go on further to the right.
    let names = of_section.filter(|line| line.chars().nth(2).is_some_and(|c| c.is_ascii_alphanumeric()));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_string)
}
