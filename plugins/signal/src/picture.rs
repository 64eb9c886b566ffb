//! A QR code as a picture, `data:image/png;base64,…`.
//!
//! The code comes from the crate that the command line draws with. The PNG is written here: black and white without
//! compression is five pieces in a row, where an encoder for all of PNG would be three crates more.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qrcode::{Color, EcLevel, QrCode};

/// White around the code, and pixels of each of its squares.
const QUIET: usize = 4;
const SCALE: usize = 6;

/// The picture of a text; `None` if it is too long for one.
pub fn data_url(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let is_dark = |x: usize, y: usize| {
        let inside = |at: usize| (QUIET..QUIET + width).contains(&at);
        inside(x) && inside(y) && colors[(y - QUIET) * width + x - QUIET] == Color::Dark
    };
    let png = png((width + 2 * QUIET) * SCALE, |x, y| is_dark(x / SCALE, y / SCALE));
    Some(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

/// A square picture of one bit a pixel.
fn png(side: usize, is_dark: impl Fn(usize, usize) -> bool) -> Vec<u8> {
    let mut rows = Vec::with_capacity(side * (side / 8 + 2));
    for y in 0..side {
        rows.push(0);
        for first in (0..side).step_by(8) {
            let pixel = |bit: usize| first + bit < side && !is_dark(first + bit, y);
            rows.push((0..8).fold(0, |byte, bit| byte << 1 | u8::from(pixel(bit))));
        }
    }
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = [(side as u32).to_be_bytes(), (side as u32).to_be_bytes()].concat();
    // One bit a pixel, grey; the only compression and filter there are; not interlaced.
    header.extend_from_slice(&[1, 0, 0, 0, 0]);
    piece(&mut bytes, b"IHDR", &header);
    piece(&mut bytes, b"IDAT", &stored(&rows));
    piece(&mut bytes, b"IEND", &[]);
    bytes
}

fn piece(bytes: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    bytes.extend_from_slice(&(content.len() as u32).to_be_bytes());
    let begin = bytes.len();
    bytes.extend_from_slice(kind);
    bytes.extend_from_slice(content);
    let sum = crc32(&bytes[begin..]);
    bytes.extend_from_slice(&sum.to_be_bytes());
}

/// Bytes in the form of zlib, as they are.
fn stored(content: &[u8]) -> Vec<u8> {
    const MOST: usize = 65_535;
    let mut bytes = vec![0x78, 0x01];
    let mut blocks = content.chunks(MOST).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        bytes.push(u8::from(blocks.peek().is_none()));
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&(!length).to_le_bytes());
        bytes.extend_from_slice(block);
    }
    let (low, high) = content.iter().fold((1u32, 0u32), |(low, high), &byte| {
        let low = (low + u32::from(byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    bytes.extend_from_slice(&(high << 16 | low).to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_their_standards() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(stored(b"Wikipedia")[2 + 5 + 9..], 0x11e6_0398u32.to_be_bytes());
    }

    #[test]
    fn a_picture_has_the_code_in_it() {
        let url = data_url("sgnl://linkdevice?uuid=abc&pub_key=def").unwrap();
        let bytes = STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let side = number(16);
        assert_eq!(
            (&bytes[..8], &bytes[12..16], side, number(20)),
            (&b"\x89PNG\r\n\x1a\n"[..], &b"IHDR"[..], side, side)
        );
        // Signature, then pieces of length, name, content and sum, to the end.
        let mut at = 8;
        let mut names = Vec::new();
        while at < bytes.len() {
            let length = number(at);
            let kind = bytes[at + 4..at + 8].to_vec();
            assert_eq!(crc32(&bytes[at + 4..at + 8 + length]), number(at + 8 + length) as u32);
            names.push(String::from_utf8(kind).unwrap());
            at += length + 12;
        }
        assert_eq!(names, ["IHDR", "IDAT", "IEND"]);
        // The first square of a code is dark, and what is around it is not: rows of one byte more than their pixels.
        let rows = &bytes[8 + 25 + 8 + 2 + 5..];
        let row = side.div_ceil(8) + 1;
        assert_eq!((rows[1], rows[row * QUIET * SCALE + 1 + QUIET * SCALE / 8]), (0xff, 0x00));
        assert!(data_url(&"x".repeat(5_000)).is_none());
    }
}
