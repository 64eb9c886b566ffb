//! How things look: columns, times, JSON, and texts of strangers without what could deceive a terminal.

use std::io::{self, IsTerminal, Write};

use crate::failure::Failure;

pub mod json_text;
mod table;
mod time;

pub use table::Table;
pub use time::{ago, clock, span};

/// Writes to standard output. A reader that has gone is no error, so `clawhost methods | head` ends quietly.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::NobodyReads),
        Err(error) => Err(Failure::failed(format!("cannot write to standard output: {error}"))),
    }
}

/// Writes a remark to standard error, where it does not get into what a script reads.
pub fn remark(text: &str) {
    // Whoever closed standard error does not want it.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Colours, when somebody sees them.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    coloured: bool,
}

impl Style {
    /// For standard output.
    pub fn of_stdout() -> Self {
        Style { coloured: io::stdout().is_terminal() && wanted() }
    }

    /// For standard error.
    pub fn of_stderr() -> Self {
        Style { coloured: io::stderr().is_terminal() && wanted() }
    }

    /// Without colours.
    #[cfg(test)]
    pub fn plain() -> Self {
        Style { coloured: false }
    }

    /// A heading.
    pub fn bold(self, text: &str) -> String {
        self.wrapped("1", text)
    }

    /// Something that is wrong.
    pub fn red(self, text: &str) -> String {
        self.wrapped("31", text)
    }

    /// Something that is well.
    pub fn green(self, text: &str) -> String {
        self.wrapped("32", text)
    }

    fn wrapped(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

fn wanted() -> bool {
    let says = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    says("NO_COLOR").is_none() && says("TERM").is_none_or(|term| term != "dumb")
}

/// A text on one line, with everything visible that a terminal would obey. Names of devices are chosen by strangers who
/// wait to be approved.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if deceives(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Whether a terminal obeys this character rather than showing it.
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_strangers_cannot_move_the_cursor() {
        assert_eq!(clean("Anna’s phone"), "Anna’s phone");
        assert_eq!(clean("a\u{1b}[1A\nb\u{202e}c\u{9b}"), "a\\u{1b}[1A\\nb\\u{202e}c\\u{9b}");
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        assert_eq!(Style::plain().red("x"), "x");
        assert_eq!(Style { coloured: true }.red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
