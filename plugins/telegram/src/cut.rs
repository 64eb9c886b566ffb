//! Long texts in pieces that Telegram takes. It counts in UTF-16.

use crate::format;

/// Most of a message, and most of what stands below a file.
pub const MOST_TEXT: usize = 4096;
pub const MOST_CAPTION: usize = 1024;

/// The fence of a block of code, and the most of its first line that is repeated in the next piece.
const FENCE: &str = "```";
const MOST_FENCE: usize = 20;

/// How long a text is for Telegram.
pub fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A text in pieces of at most this length, cut between paragraphs, or else lines, or else words. A block of code that is
/// cut ends in the one piece and begins anew in the next.
pub fn pieces(text: &str, most: usize) -> Vec<String> {
    let mut rest = text.trim_end().to_string();
    let mut pieces = Vec::new();
    while length(&rest) > most {
        let at = place(&rest, most - FENCE.len() - 1);
        let mut piece = rest[..at].trim_end().to_string();
        let mut next = rest[at..].trim_start_matches('\n').to_string();
        match open_fence(&piece) {
            Some(fence) => {
                // A fence with nothing in it goes along with what it begins.
                let is_kept = piece.trim() != fence || fence.len() > MOST_FENCE;
                piece = if is_kept { format!("{piece}\n{FENCE}") } else { String::new() };
                let again = if fence.len() > MOST_FENCE { FENCE } else { fence.as_str() };
                next = format!("{again}\n{next}");
            }
            None => next = next.trim_start().to_string(),
        }
        if !piece.trim().is_empty() {
            pieces.push(piece);
        }
        rest = next;
    }
    if !rest.trim().is_empty() {
        pieces.push(rest);
    }
    pieces
}

/// Where to cut, in bytes: as late as possible, and never before a third unless there is nothing better.
fn place(text: &str, most: usize) -> usize {
    let mut units = 0;
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        units += c.len_utf16();
        if units > most {
            end = at;
            break;
        }
    }
    let window = &text[..end];
    let late = |at: &usize| *at >= end / 3 && *at > 0;
    let paragraph = window.rfind("\n\n").filter(late);
    let line = || window.rfind('\n').filter(late);
    let word = || window.rfind(char::is_whitespace).filter(late);
    paragraph.or_else(line).or_else(word).unwrap_or(end)
}

/// The first line of the block of code that a text ends within. What begins and ends one is what is shown as such.
fn open_fence(text: &str) -> Option<String> {
    let mut open: Option<&str> = None;
    for line in text.lines().filter(|line| format::fence(line).is_some()) {
        open = match open {
            None => Some(line.trim()),
            Some(_) => None,
        };
    }
    open.map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_it_pauses() {
        let cut = |text: &str, most: usize| pieces(text, most);
        assert_eq!(cut("", 20), Vec::<String>::new());
        assert_eq!(cut(" \n ", 20), Vec::<String>::new());
        assert_eq!(cut("short", 20), ["short"]);
        assert_eq!(cut("one two\n\nthree four five six", 24), ["one two", "three four five six"]);
        assert_eq!(cut("one two\nthree four five six", 24), ["one two", "three four five six"]);
        assert_eq!(cut("one two three four five six", 24), ["one two three four", "five six"]);
        assert_eq!(cut(&"x".repeat(45), 24), ["x".repeat(20), "x".repeat(20), "x".repeat(5)].map(String::from));
    }

    #[test]
    fn length_is_counted_as_telegram_does() {
        assert_eq!((length("aä€"), length("😀")), (3, 2));
        let smiles = "😀".repeat(3000);
        let cut = pieces(&smiles, MOST_TEXT);
        assert!(cut.iter().all(|piece| length(piece) <= MOST_TEXT), "no piece is too long");
        assert_eq!(cut.concat(), smiles);
    }

    #[test]
    fn a_block_of_code_is_closed_and_opened_again() {
        let code: String = (0..40).map(|line| format!("line {line}\n")).collect();
        let text = format!("Look:\n\n```rust\n{code}```\nDone.");
        let cut = pieces(&text, 120);
        assert!(cut.len() > 3);
        for piece in &cut {
            assert!(length(piece) <= 120, "{piece:?}");
            assert_eq!(piece.matches(FENCE).count() % 2, 0, "{piece:?}");
        }
        let lines: Vec<&str> =
            cut.iter().flat_map(|piece| piece.lines()).filter(|line| line.starts_with("line")).collect();
        assert_eq!(lines.join("\n") + "\n", code);
    }

    #[test]
    fn code_within_a_line_opens_no_block() {
        let text = format!("```code```\n\n{}\n\n{}", "a".repeat(60), "b".repeat(60));
        assert_eq!(pieces(&text, 100), [format!("```code```\n\n{}", "a".repeat(60)), "b".repeat(60)]);
    }

    #[test]
    fn every_text_comes_to_an_end() {
        for text in [
            format!("```{}\n{}", "r".repeat(300), "y".repeat(900)),
            format!("{}x", "\n".repeat(900)),
            "```\n".repeat(200),
        ] {
            let cut = pieces(&text, 100);
            assert!(cut.iter().all(|piece| length(piece) <= 100), "{cut:?}");
        }
    }
}
