//! What an agent's answer to a heartbeat means.

/// The word for "nothing needs attention".
pub const TOKEN: &str = "HEARTBEAT_OK";

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// Nothing was said.
    Empty,
    /// All is well.
    Fine,
    /// Somebody should hear this.
    News(&'a str),
}

/// Looks for the word at either end, also where it is marked up or followed by a full stop; with it, a few characters more
/// are still "all is well".
pub fn meaning(text: &str, ack_max_chars: u64) -> Meaning<'_> {
    let text = text.trim();
    if text.is_empty() {
        return Meaning::Empty;
    }
    let marks = |c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`' | '.' | '!' | '"');
    let bare = text.trim_matches(marks);
    let rest = bare.strip_prefix(TOKEN).or_else(|| bare.strip_suffix(TOKEN));
    match rest.map(|rest| rest.trim_matches(marks)) {
        None => Meaning::News(text),
        Some(rest) if rest.chars().count() as u64 <= ack_max_chars => Meaning::Fine,
        Some(rest) => Meaning::News(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_well_or_somebody_should_hear_it() {
        for (text, expected) in [
            ("", Meaning::Empty),
            (" \n", Meaning::Empty),
            ("HEARTBEAT_OK", Meaning::Fine),
            ("**HEARTBEAT_OK**.", Meaning::Fine),
            ("HEARTBEAT_OK all well", Meaning::Fine),
            ("all well: HEARTBEAT_OK", Meaning::Fine),
            ("HEARTBEAT_OK but the door is open", Meaning::News("but the door is open")),
            ("The door is open.", Meaning::News("The door is open.")),
            ("say HEARTBEAT_OK if so", Meaning::News("say HEARTBEAT_OK if so")),
        ] {
            assert_eq!(meaning(text, 10), expected, "{text:?}");
        }
    }
}
