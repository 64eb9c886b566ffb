//! WebSocket frames as this side sends them: whole, unmasked, written straight into the connection's outgoing bytes.
//! Reading is tungstenite's; writing is ten lines, and saves a copy and an allocation a frame.

use std::borrow::Cow;

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
/// A ping without a payload.
pub const PING: [u8; 2] = [0x89, 0];

/// Appends a text frame whose content `write` appends.
pub fn text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    /// Header of a payload from 126 bytes to 64 KiB, which most are.
    const GUESS: usize = 4;
    let start = out.len();
    out.extend_from_slice(&[0; GUESS]);
    write(out);
    let len = out.len() - start - GUESS;
    let (header, size) = header(TEXT, len);
    match size.cmp(&GUESS) {
        std::cmp::Ordering::Equal => {}
        std::cmp::Ordering::Less => {
            out.copy_within(start + GUESS.., start + size);
            out.truncate(start + size + len);
        }
        std::cmp::Ordering::Greater => {
            out.resize(start + size + len, 0);
            out.copy_within(start + GUESS..start + GUESS + len, start + size);
        }
    }
    out[start..start + size].copy_from_slice(&header[..size]);
}

/// Appends a text frame made of these parts.
pub fn text_of_parts(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let len = parts.iter().map(|part| part.len()).sum();
    let (header, size) = header(TEXT, len);
    out.reserve(size + len);
    out.extend_from_slice(&header[..size]);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Appends a close frame; the reason is cut to what the protocol allows, on a character boundary.
pub fn close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let reason = cut(reason, schemas::protocol::MAX_CLOSE_REASON);
    out.extend_from_slice(&[CLOSE, 2 + reason.len() as u8]);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// The longest prefix of at most `max` bytes that ends on a character boundary.
pub fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

fn header(opcode: u8, len: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = opcode;
    match len {
        0..126 => {
            header[1] = len as u8;
            (header, 2)
        }
        126..65536 => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            (header, 4)
        }
        _ => {
            header[1] = 127;
            header[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            (header, 10)
        }
    }
}

/// Where the frame ends that has begun before this place, in bytes that are whole frames of this side's. The end of all, if
/// they are something else: the answer to an upgrade goes before the first frames.
pub fn end_of_begun(frames: &[u8], place: usize) -> usize {
    let mut end = 0;
    while end < place {
        end = next(frames, end);
    }
    end
}

/// Where the first close frame begins, from this beginning of a frame on; the end of all, if there is none.
pub fn close_from(frames: &[u8], mut begin: usize) -> usize {
    while frames.get(begin).is_some_and(|opcode| *opcode != CLOSE) {
        begin = next(frames, begin);
    }
    begin
}

/// Where the frame after the one that begins here begins.
fn next(frames: &[u8], begin: usize) -> usize {
    let rest = &frames[begin..];
    let number = |bytes: Option<&[u8]>| {
        bytes.unwrap_or_default().iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let length = match rest {
        [TEXT | CLOSE | 0x89 | 0x8a, 126, ..] => 4 + number(rest.get(2..4)),
        [TEXT | CLOSE | 0x89 | 0x8a, 127, ..] => number(rest.get(2..10)).saturating_add(10),
        [TEXT | CLOSE | 0x89 | 0x8a, length, ..] => 2 + usize::from(*length),
        _ => rest.len(),
    };
    begin + length.min(rest.len())
}

/// A text of a plugin as one line of bounded length: a log has lines of its own only.
pub fn one_line(text: &str) -> Cow<'_, str> {
    const MAX: usize = 8 * 1024;
    let cut = cut(text, MAX);
    if cut.len() == text.len() && !text.contains(char::is_control) {
        return text.into();
    }
    let mut line = String::with_capacity(cut.len() + 16);
    for c in cut.chars() {
        if c.is_control() && c != '\t' { line.extend(c.escape_default()) } else { line.push(c) }
    }
    if cut.len() < text.len() {
        line.push_str(&format!(" … ({} bytes)", text.len()));
    }
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use tokio_tungstenite::tungstenite::protocol::frame::FrameSocket;

    fn read_back(bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let mut socket = FrameSocket::new(Cursor::new(bytes));
        std::iter::from_fn(|| socket.read(None).expect("well-formed"))
            .map(|frame| frame.into_payload().to_vec())
            .collect()
    }

    #[test]
    fn frames_of_every_length_class_read_back() {
        for len in [0, 1, 125, 126, 127, 65535, 65536, 100_000] {
            let payload = vec![b'x'; len];
            let mut out = Vec::new();
            text(&mut out, |out| out.extend_from_slice(b"before"));
            text(&mut out, |out| out.extend_from_slice(&payload));
            text_of_parts(&mut out, &[&payload, b"!"]);
            let frames = read_back(out);
            assert_eq!(frames[0], b"before");
            assert!(frames[1] == payload, "{len}");
            assert_eq!(frames[2].len(), len + 1);
        }
    }

    #[test]
    fn a_frame_that_has_begun_ends_where_the_next_one_begins() {
        let (mut out, mut ends) = (Vec::new(), vec![0]);
        for len in [0, 5, 125, 126, 65535, 65536] {
            text(&mut out, |out| out.resize(out.len() + len, b'x'));
            ends.push(out.len());
        }
        for pair in ends.windows(2) {
            assert_eq!(end_of_begun(&out, pair[0]), pair[0], "nothing has begun there");
            for place in [pair[0] + 1, pair[1] - 1, pair[1]] {
                assert_eq!(end_of_begun(&out, place), pair[1]);
            }
        }
        assert_eq!(close_from(&out, ends[2]), out.len(), "there is none");
        out.extend_from_slice(&PING);
        let begin = out.len();
        close(&mut out, 1008, "slow consumer");
        assert_eq!((close_from(&out, ends[2]), close_from(&out, begin)), (begin, begin));
        assert_eq!(end_of_begun(b"HTTP/1.1 101", 5), 12, "what is no frame is left alone");
    }

    #[test]
    fn close_reasons_are_cut_between_characters() {
        let mut out = Vec::new();
        close(&mut out, 1008, &"é".repeat(100));
        let payload = read_back(out).remove(0);
        assert_eq!(u16::from_be_bytes([payload[0], payload[1]]), 1008);
        assert_eq!(std::str::from_utf8(&payload[2..]).expect("whole characters").len(), 120);
    }
}
