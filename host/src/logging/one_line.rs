//! Lines of text on standard error, one for each thing that is logged. What peers, plugins and the system say stands in
//! them, and must not look like a line of its own.

use std::borrow::Cow;
use std::io::{self, Write};

/// Writes each line in one go.
pub(super) struct OneLine;

impl Write for OneLine {
    /// Takes a whole line, which is how they come.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(&in_one(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The line without breaks but for the one at its end.
fn in_one(line: &[u8]) -> Cow<'_, [u8]> {
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    if !body.contains(&b'\n') && !body.contains(&b'\r') {
        return Cow::Borrowed(line);
    }
    let mut escaped = Vec::with_capacity(line.len() + 8);
    for byte in body {
        match byte {
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            byte => escaped.push(*byte),
        }
    }
    escaped.extend_from_slice(&line[body.len()..]);
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_a_break() {
        assert!(matches!(in_one(b"as it is\n"), Cow::Borrowed(b"as it is\n")));
        assert_eq!(&*in_one("ä\nb\r\nc\n".as_bytes()), "ä\\nb\\r\\nc\n".as_bytes());
        assert_eq!(&*in_one(b"a\n\n"), b"a\\n\n");
        assert_eq!(&*in_one(b""), b"");
    }
}
