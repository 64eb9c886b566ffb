//! Pictures and recordings, made by ffmpeg.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;
use tokio::time::Instant;

use super::{process, program};
use crate::ability::{Refusal, TIMEOUT};

/// Bytes of a picture or recording; a gateway takes no more in one answer, and base64 adds a third.
const MAX_BYTES: usize = 18 * 1024 * 1024;

/// The program.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    program: PathBuf,
}

/// What a recording is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// `-f`
    pub format: &'static str,
    /// `-i`
    pub from: String,
    /// Options before it.
    pub options: Vec<String>,
}

impl Ffmpeg {
    /// On a machine that has it.
    pub fn find() -> Option<Self> {
        program("ffmpeg", None).map(|program| Ffmpeg { program })
    }

    /// One frame, as `jpg` or `png`, no wider than `max_width` pixels. `quality` is between 0 and 1.
    pub async fn picture(
        &self,
        input: &Input,
        format: &str,
        max_width: Option<u32>,
        quality: f64,
        deadline: Instant,
    ) -> Result<Vec<u8>, Refusal> {
        let codec = if format == "png" { "png" } else { "mjpeg" };
        // Of mjpeg's scale, 2 is best and 31 is worst.
        let scale = (31.0 - 29.0 * quality.clamp(0.0, 1.0)).round();
        let mut arguments = vec!["-frames:v".to_string(), "1".to_string(), "-q:v".to_string(), scale.to_string()];
        if let Some(width) = max_width {
            arguments.extend(["-vf".to_string(), format!("scale='min({width},iw)':-2")]);
        }
        arguments.extend(["-c:v", codec, "-f", "image2pipe", "pipe:1"].map(str::to_string));
        self.run(input, &arguments, deadline).await
    }

    /// A recording as MP4, without sound.
    pub async fn recording(&self, input: &Input, duration_ms: u64, deadline: Instant) -> Result<Vec<u8>, Refusal> {
        let duration = format!("{}.{:03}", duration_ms / 1_000, duration_ms % 1_000);
        let arguments = [
            // Even sizes, since the usual form of colours has one value for four pixels.
            "-t",
            &duration,
            "-an",
            "-vf",
            "crop=trunc(iw/2)*2:trunc(ih/2)*2",
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-movflags",
            "frag_keyframe+empty_moov",
            "-f",
            "mp4",
            "pipe:1",
        ];
        self.run(input, &arguments.map(str::to_string), deadline).await
    }

    async fn run(&self, input: &Input, arguments: &[String], deadline: Instant) -> Result<Vec<u8>, Refusal> {
        let mut command = Command::new(&self.program);
        command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-f", input.format]);
        command.args(&input.options).args(["-i", &input.from]).args(arguments);
        let ended = process::run(command, MAX_BYTES, deadline)
            .await
            .map_err(|error| Refusal::unavailable(format!("ffmpeg could not be run: {error}")))?;
        let Some(status) = ended.status else {
            return Err(Refusal { code: TIMEOUT, message: "the recording took too long".to_string() });
        };
        if ended.stdout.dropped > 0 {
            return Err(Refusal::unavailable(format!("the recording is larger than {MAX_BYTES} bytes; ask for less")));
        }
        if !status.success() || ended.stdout.bytes.is_empty() {
            let said = ended.stderr.text();
            tracing::warn!(said, %status, "ffmpeg failed");
            let last = said.lines().last().unwrap_or("it did not say why").to_string();
            return Err(Refusal::unavailable(format!("ffmpeg failed: {last}")));
        }
        Ok(ended.stdout.bytes)
    }
}

/// Bytes as they stand in an answer.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Width and height of a JPEG or PNG.
pub fn size(picture: &[u8]) -> Option<(u32, u32)> {
    if let Some(rest) = picture.strip_prefix(b"\x89PNG\r\n\x1a\n") {
        let number = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
        return Some((number(8)?, number(12)?));
    }
    let mut rest = picture.strip_prefix(b"\xff\xd8")?;
    loop {
        let [0xff, marker, high, low, after @ ..] = rest else { return None };
        match marker {
            // A start of frame, of whatever kind; those between are tables.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [_, h1, h0, w1, w0, ..] = after else { return None };
                return Some((u16::from_be_bytes([*w1, *w0]).into(), u16::from_be_bytes([*h1, *h0]).into()));
            }
            _ => rest = after.get(usize::from(u16::from_be_bytes([*high, *low])).checked_sub(2)?..)?,
        }
    }
}

/// For tests that need the real programs: they say loudly that they did nothing without them, unless
/// `CLAWHOST_REQUIRE_MEDIA=1`, which continuous integration sets, makes that a failure.
#[cfg(test)]
pub mod testing {
    use std::io::Write;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    pub fn skip(test: &str) {
        let required = std::env::var_os("CLAWHOST_REQUIRE_MEDIA").is_some_and(|value| value == "1");
        assert!(!required, "{test}: ffmpeg, Xvfb, Chromium or dbus-daemon is missing");
        // Past what the harness keeps to itself while a test passes.
        writeln!(std::io::stderr(), "SKIPPED: {test}: ffmpeg, Xvfb, Chromium or dbus-daemon is missing").unwrap();
    }

    /// Of an MP4 the first box is its type, after four bytes of length.
    pub fn is_mp4(text: &serde_json::Value) -> bool {
        let bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
        &bytes[4..8] == b"ftyp" && bytes.windows(4).any(|word| word == b"mdat")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_picture_says_how_large_it_is() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0";
        assert_eq!(size(png), Some((640, 480)));
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08\0\x10\0\x20\x01";
        assert_eq!(size(jpeg), Some((32, 16)));
        for broken in [&b""[..], b"\xff\xd8", b"\xff\xd8\xff\xe0\0\0", b"\xff\xd8\xff\xe0\xff\xffab", b"GIF89a"] {
            assert_eq!(size(broken), None);
        }
    }

    #[tokio::test]
    async fn a_failure_says_what_ffmpeg_said() {
        let Some(ffmpeg) = Ffmpeg::find() else {
            return testing::skip("a_failure_says_what_ffmpeg_said");
        };
        let nothing = Input { format: "lavfi", from: "no_such_source".to_string(), options: Vec::new() };
        let deadline = Instant::now() + Duration::from_secs(30);
        let refused = ffmpeg.picture(&nothing, "jpg", None, 0.8, deadline).await.unwrap_err();
        assert!(refused.message.starts_with("ffmpeg failed: "), "{refused:?}");
    }
}
