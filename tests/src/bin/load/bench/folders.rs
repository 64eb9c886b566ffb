//! No folder of this machine in a record. It is shown to everybody, and where somebody keeps their files is nobody's business: of
//! a path only the last name stays, whoever's words it came in with.

use serde_json::Value;

/// Strips all texts of a record.
pub fn strip(value: &mut Value) {
    match value {
        Value::String(text) => *text = stripped(text),
        Value::Array(values) => values.iter_mut().for_each(strip),
        Value::Object(values) => values.values_mut().for_each(strip),
        _ => {}
    }
}

/// What a path may stand in; it may have spaces in it then.
const QUOTES: &str = "'\"`";
/// What ends a path beside white space.
const ENDS: &str = "'\"`()[]{}<>=,;:|&";

fn stripped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(slash) = rest.find('/') {
        let (before, from) = rest.split_at(slash);
        out += before;
        let end = match out.chars().next_back() {
            // The address of a host is no path, but that of a file is.
            Some(':') if from.starts_with("//") && !from.starts_with("///") => {
                let address = from.find(|c: char| c.is_whitespace() || QUOTES.contains(c)).unwrap_or(from.len());
                out += &from[..address];
                rest = &from[address..];
                continue;
            }
            // A path that begins at a folder which is not named.
            Some(last) if !last.is_whitespace() && !ENDS.contains(last) => {
                let relative = from.find(ends_a_path).unwrap_or(from.len());
                out += &from[..relative];
                rest = &from[relative..];
                continue;
            }
            Some(quote) if QUOTES.contains(quote) => from.find(quote).or_else(|| from.find(ends_a_path)),
            _ => from.find(ends_a_path),
        };
        let (path, after) = from.split_at(end.unwrap_or(from.len()));
        out += if path == "/" { path } else { path.rsplit('/').next().unwrap_or_default() };
        rest = after;
    }
    out + rest
}

fn ends_a_path(c: char) -> bool {
    c.is_whitespace() || ENDS.contains(c)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_names_no_folder() {
        let mut record =
            json!({ "absent": "npm: /a/b/x.json is bad, ws://a/b", "more": [{ "of": "tests/bench/run" }, 7] });
        strip(&mut record);
        assert_eq!(
            record,
            json!({ "absent": "npm: x.json is bad, ws://a/b", "more": [{ "of": "tests/bench/run" }, 7] })
        );
    }

    #[test]
    fn a_path_begins_wherever_a_word_may() {
        for (text, expected) in [
            ("open '/home/u/x' failed", "open 'x' failed"),
            ("open \"/home/u/my files/x y\", mode r", "open \"x y\", mode r"),
            ("it's in /home/u/x", "it's in x"),
            ("not closed: '/home/u/x y", "not closed: 'x y"),
            ("at run (/home/u/x.js:3:4)", "at run (x.js:3:4)"),
            ("[/home/u/x] {/home/u/y} </home/u/z>", "[x] {y} <z>"),
            ("--prefix=/home/u/x --to=/home/u/y/", "--prefix=x --to="),
            ("PATH=/home/u/bin:/usr/bin", "PATH=bin:bin"),
            ("a line\n/home/u/x\ta tab", "a line\nx\ta tab"),
            ("file:///home/u/x", "file:x"),
            ("`/home/u/x`, /home/u/y, and /z", "`x`, y, and z"),
        ] {
            assert_eq!(stripped(text), expected, "{text}");
        }
    }

    #[test]
    fn what_names_no_folder_stays() {
        for text in [
            "tests/bench/run --no-build",
            "../x/y and ./z",
            "https://registry.npmjs.org/openclaw/-/x.tgz (404)",
            "ws://127.0.0.1:4711/a/b",
            "19904 is what fits (`ulimit -n`)",
            "EPYC 1/2 a / b",
            "",
        ] {
            assert_eq!(stripped(text), text);
        }
    }
}
