//! Reads the end of a file that somebody else writes, cuts and renames at the same time.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Size of the file.
    pub size: u64,
    /// Its last lines.
    pub lines: Vec<String>,
    /// There were more lines than bytes asked for.
    pub truncated: bool,
    /// The reading did not begin at the cursor.
    pub reset: bool,
}

/// Reads on from the cursor, or the last `max_bytes`. A missing file reads as nothing.
///
/// Everything comes from one open file: when it is rotated meanwhile, the answer is about the old one as it was, and the
/// next look, whose cursor is past the end of the new one, begins anew.
pub fn read(path: &Path, cursor: Option<u64>, limit: usize, max_bytes: u64) -> io::Result<Tail> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Tail::default()),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let Span { start, truncated, reset } = span(size, cursor, max_bytes);
    if start >= size {
        return Ok(Tail { size, lines: Vec::new(), truncated, reset });
    }
    // The byte before tells whether the first line is whole.
    let from = start.saturating_sub(1);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(size - from).read_to_end(&mut bytes)?;
    // Shorter than promised: the file was cut while it was read.
    let size = size.min(from + bytes.len() as u64);
    Ok(Tail { size, lines: lines(&bytes, start > 0, limit), truncated, reset })
}

struct Span {
    start: u64,
    truncated: bool,
    reset: bool,
}

/// Where to begin.
fn span(size: u64, cursor: Option<u64>, max_bytes: u64) -> Span {
    let tail = size.saturating_sub(max_bytes);
    match cursor {
        None => Span { start: tail, truncated: tail > 0, reset: false },
        // The file is shorter than it was: another one, or a cut one.
        Some(cursor) if cursor > size => Span { start: tail, truncated: tail > 0, reset: true },
        Some(cursor) if size - cursor > max_bytes => Span { start: tail, truncated: true, reset: true },
        Some(cursor) => Span { start: cursor, truncated: false, reset: false },
    }
}

/// The last whole lines. With `preceded`, the first byte is the one before the text. Cutting at line ends before decoding
/// keeps characters whole that the beginning of the reading cut in two.
fn lines(bytes: &[u8], preceded: bool, limit: usize) -> Vec<String> {
    let text = match bytes.split_first() {
        Some((b'\n', text)) if preceded => text,
        Some(_) if preceded => match bytes.iter().position(|&byte| byte == b'\n') {
            Some(end) => &bytes[end + 1..],
            None => &[],
        },
        _ => bytes,
    };
    if text.is_empty() {
        return Vec::new();
    }
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let last = text.rsplit(|&byte| byte == b'\n').take(limit);
    let mut lines: Vec<String> = last.map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tail(content: &[u8], cursor: Option<u64>, limit: usize, max_bytes: u64) -> Tail {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, content).unwrap();
        read(&path, cursor, limit, max_bytes).unwrap()
    }

    fn got(lines: &[&str], size: u64, truncated: bool, reset: bool) -> Tail {
        Tail { size, lines: lines.iter().map(|line| line.to_string()).collect(), truncated, reset }
    }

    const LOG: &[u8] = b"one\ntwo\nthree\n";

    #[test]
    fn without_a_cursor_the_end() {
        assert_eq!(tail(LOG, None, 500, 1000), got(&["one", "two", "three"], 14, false, false));
        assert_eq!(tail(LOG, None, 2, 1000), got(&["two", "three"], 14, false, false));
        assert_eq!(tail(LOG, None, 500, 14), got(&["one", "two", "three"], 14, false, false), "all of it fits");
        assert_eq!(tail(LOG, None, 500, 13), got(&["two", "three"], 14, true, false), "a line in part is left out");
        assert_eq!(
            tail(LOG, None, 500, 10),
            got(&["two", "three"], 14, true, false),
            "a line that begins there is not"
        );
        assert_eq!(tail(LOG, None, 500, 1), got(&[], 14, true, false), "only a line's end fits");
        assert_eq!(tail(b"", None, 500, 1000), got(&[], 0, false, false));
    }

    #[test]
    fn with_a_cursor_what_was_added() {
        assert_eq!(tail(LOG, Some(0), 500, 1000), got(&["one", "two", "three"], 14, false, false));
        assert_eq!(tail(LOG, Some(4), 500, 1000), got(&["two", "three"], 14, false, false));
        assert_eq!(tail(LOG, Some(5), 500, 1000), got(&["three"], 14, false, false), "in the middle of a line");
        assert_eq!(tail(LOG, Some(14), 500, 1000), got(&[], 14, false, false));
        assert_eq!(tail(LOG, Some(4), 500, 10), got(&["two", "three"], 14, false, false), "just near enough");
        assert_eq!(tail(LOG, Some(4), 500, 9), got(&["three"], 14, true, true), "too far behind");
        assert_eq!(tail(LOG, Some(15), 500, 1000), got(&["one", "two", "three"], 14, false, true), "rotated");
        assert_eq!(tail(LOG, Some(u64::MAX), 500, 6), got(&["three"], 14, true, true), "rotated and long");
        assert_eq!(tail(b"", Some(14), 500, 1000), got(&[], 0, false, true), "rotated, and nothing written yet");
    }

    #[test]
    fn lines_are_kept_as_they_are() {
        assert_eq!(tail(b"a\n\n\nb\n", None, 500, 1000).lines, ["a", "", "", "b"]);
        assert_eq!(tail(b"\n", None, 500, 1000).lines, [""]);
        assert_eq!(tail(b"a\nhalf", None, 500, 1000).lines, ["a", "half"], "a line being written");
        assert_eq!(tail(b"no end at all", None, 500, 5).lines, [""; 0]);
    }

    #[test]
    fn cut_and_broken_characters_do_no_harm() {
        let log = "ä1\nä2\nü\n".as_bytes();
        for max_bytes in 1..=log.len() as u64 {
            let lines = tail(log, None, 500, max_bytes).lines;
            assert!(lines.iter().all(|line| ["ä1", "ä2", "ü"].contains(&line.as_str())), "{max_bytes}: {lines:?}");
        }
        assert_eq!(tail(b"x\xff\xfey\nz\n", None, 500, 1000).lines, ["x\u{fffd}\u{fffd}y", "z"]);
    }

    #[test]
    fn following_a_log_gives_each_line_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let missing = read(&path, Some(7), 500, 1000).unwrap();
        assert_eq!(missing, Tail::default());
        let mut cursor = missing.size;
        let mut heard = Vec::new();
        let mut content = String::new();
        for number in 0..50 {
            content.push_str(&format!("line {number}\n"));
            if number % 20 == 19 {
                // Rotated: the reader was behind by less than a file, and hears what is there.
                content = format!("line {number}\n");
            }
            fs::write(&path, &content).unwrap();
            let tail = read(&path, Some(cursor), 500, 1000).unwrap();
            cursor = tail.size;
            heard.extend(tail.lines);
        }
        let expected: Vec<String> = (0..50).map(|number| format!("line {number}")).collect();
        assert_eq!(heard, expected);
    }

    #[test]
    fn a_huge_file_is_not_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let file = fs::File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        let tail = read(&path, Some(0), 500, 1000).unwrap();
        assert_eq!((tail.size, tail.truncated, tail.reset), (1 << 40, true, true));
        assert!(read(folder.path(), None, 500, 1000).is_err(), "a folder is no log");
    }
}
