//! JSON as text: laid out for people, or on one line for scripts. Works on the text itself, so the order of keys and
//! every digit of a number stay as the gateway sent them.

use super::deceives;

/// Lays valid JSON out over several lines, without a newline at the end. What a terminal would obey is escaped, which
/// leaves the value the same.
pub fn pretty(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' => string(&mut out, &mut characters),
            '{' | '[' => {
                out.push(c);
                while characters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                match characters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        new_line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth -= 1;
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

/// Puts valid JSON on one line.
pub fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' => string(&mut out, &mut characters),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Takes a string over whose opening quote was read.
fn string(out: &mut String, characters: &mut impl Iterator<Item = char>) {
    out.push('"');
    while let Some(c) = characters.next() {
        match c {
            '"' => break,
            '\\' => {
                out.push(c);
                out.extend(characters.next());
            }
            // All of them are in the basic plane, so four digits are enough.
            c if deceives(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn order_and_digits_stay() {
        let text = r#"{"b":[1.50,-2e400,{}],"a":{"x\"}, {":null,"e":[ ]},"big":123456789012345678901234567890}"#;
        let expected = "{\n  \"b\": [\n    1.50,\n    -2e400,\n    {}\n  ],\n  \"a\": {\n    \"x\\\"}, {\": null,\n    \
                        \"e\": []\n  },\n  \"big\": 123456789012345678901234567890\n}";
        assert_eq!(pretty(text), expected);
        assert_eq!(compact(expected), text.replace("[ ]", "[]"));
        for scalar in ["null", "\"a b\"", "-1.0", "{}", "[]"] {
            assert_eq!((pretty(scalar).as_str(), compact(scalar).as_str()), (scalar, scalar));
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_means_the_same() {
        let text = "{\"name\":\"a\u{9b}2J\u{202e}b\u{7f} \\u001b \\\\\"}";
        for shown in [pretty(text), compact(text)] {
            assert!(!shown.contains(['\u{9b}', '\u{202e}', '\u{7f}']), "{shown}");
            let (before, after): (Value, Value) =
                (serde_json::from_str(text).unwrap(), serde_json::from_str(&shown).unwrap());
            assert_eq!(before, after);
        }
    }
}
