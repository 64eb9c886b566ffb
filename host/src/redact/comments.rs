//! Comments of a configuration file: which of them may hold a secret. A parser drops them, so they are found here.

use std::ops::Range;

use crate::config::{last_word, names_pairs, sounds_secret, tells};

/// Where comments stand that hold one of the known secrets or look like a secret key with its value. The text is TOML.
pub(super) fn telling(text: &str, known: &[&str]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // A value that was commented out may go on in the comments of the next lines.
    let mut unfinished = None;
    for comment in all(text) {
        let content = &text[comment.clone()];
        if let Some(end) = unfinished {
            unfinished = (!content.contains(end)).then_some(end);
            found.push(comment);
        } else if let Some(value) = secret_value(content) {
            unfinished = closing(value);
            found.push(comment);
        } else if tells(content) || known.iter().any(|secret| content.contains(secret)) {
            found.push(comment);
        }
    }
    found
}

/// What follows the first secret key in a comment, if that is a value. Behind a colon only a single word is one: prose
/// has colons too.
fn secret_value(comment: &str) -> Option<&str> {
    comment.match_indices(['=', ':']).find_map(|(at, sign)| {
        let value = comment[at + 1..].trim();
        let says_nothing = ["", "\"\"", "''", "[]", "{}", "true", "false"].contains(&value);
        let is_prose = sign == ":" && value.contains(char::is_whitespace);
        let name = last_word(&comment[..at]);
        let is_named = sounds_secret(name) || (names_pairs(name) && value.starts_with('{'));
        (is_named && !says_nothing && !is_prose).then_some(value)
    })
}

/// How a value ends that is not finished on its line.
fn closing(value: &str) -> Option<&'static str> {
    let (begin, end) = [("\"\"\"", "\"\"\""), ("'''", "'''"), ("[", "]"), ("{", "}")]
        .into_iter()
        .find(|(begin, _)| value.starts_with(begin))?;
    (!value[begin.len()..].contains(end)).then_some(end)
}

/// Every comment, from its sign to the end of its line.
fn all(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].find(['#', '"', '\'']) {
        let start = at + next;
        let rest = &text[start..];
        let length = if rest.starts_with('#') {
            let length = rest.find(['\r', '\n']).unwrap_or(rest.len());
            found.push(start..start + length);
            length
        } else {
            string_length(rest)
        };
        at = start + length;
    }
    found
}

/// The length of the string that a text begins with, with its quotation marks.
fn string_length(text: &str) -> usize {
    let quote = &text[..1];
    let long = quote.repeat(3);
    let delimiter = if text.starts_with(&long) { &long } else { quote };
    let mut at = delimiter.len();
    while let Some(c) = text[at..].chars().next() {
        if text[at..].starts_with(delimiter) {
            at += delimiter.len();
            // Up to two quotation marks may stand at the end of a long string and belong to it.
            let own = text[at..].chars().take(2).take_while(|next| *next == c).count();
            return at + if delimiter.len() == 3 { own } else { 0 };
        }
        at += c.len_utf8();
        if c == '\\' && quote == "\"" {
            at += text[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_within_a_string_begins_no_comment() {
        let text = r###"
a = "# \" # 'ä" # 1
b = '# \' # 2
c = """# " # \""" #
#""""" # 3
"#" = ''' '' # '''''# 4
d = "" # 5
e = ['#', "\\"] # 6"###;
        toml::de::DeTable::parse(text).expect("this is TOML");
        let found: Vec<&str> = all(text).into_iter().map(|span| &text[span]).collect();
        assert_eq!(found, ["# 1", "# 2", "# 3", "# 4", "# 5", "# 6"]);
    }
}
