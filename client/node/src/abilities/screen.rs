//! `screen.record`: what the screen of this machine shows, where its display is an X server.

use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::camera::known_format;
use super::ffmpeg::{self, Ffmpeg, Input};
use crate::ability::{Ability, Refusal, Work, read};

/// How long a recording may be.
const MAX_RECORDING_MS: u64 = 60_000;
/// How long one is unless somebody says.
const RECORDING_MS: u64 = 10_000;
/// Pictures a second unless somebody says, and at most.
const FPS: f64 = 10.0;
const MAX_FPS: f64 = 30.0;

/// Records the screen.
pub struct Screen {
    ffmpeg: Ffmpeg,
    display: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wish {
    #[serde(default)]
    screen_index: Option<u32>,
    #[serde(default)]
    duration_ms: Option<u64>,
    #[serde(default)]
    fps: Option<f64>,
    #[serde(default)]
    format: Option<String>,
}

impl Screen {
    /// On a machine with a display.
    pub fn find(ffmpeg: Ffmpeg) -> Option<Self> {
        let display = std::env::var("DISPLAY").ok().filter(|display| !display.is_empty())?;
        Some(Screen { ffmpeg, display })
    }
}

impl Ability for Screen {
    fn cap(&self) -> &'static str {
        "screen"
    }

    fn commands(&self) -> &'static [&'static str] {
        &["screen.record"]
    }

    fn run<'a>(&'a self, command: &'a str, params: &'a str, deadline: Instant) -> Work<'a> {
        Box::pin(async move {
            let wish: Wish = read(command, params)?;
            if wish.screen_index.is_some_and(|index| index > 0) {
                return Err(Refusal::invalid("screenIndex: this node has one screen, 0"));
            }
            let format = known_format(wish.format.as_deref(), "mp4", &["mp4"])?;
            let duration_ms = wish.duration_ms.unwrap_or(RECORDING_MS).clamp(1, MAX_RECORDING_MS);
            let fps = wish.fps.filter(|fps| *fps > 0.0).unwrap_or(FPS).min(MAX_FPS);
            let options = vec!["-framerate".to_string(), fps.to_string()];
            let input = Input { format: "x11grab", from: self.display.clone(), options };
            let recording = self.ffmpeg.recording(&input, duration_ms, deadline).await?;
            Ok(json!({
                "format": format,
                "base64": ffmpeg::base64(&recording),
                "durationMs": duration_ms,
                "fps": fps,
                "screenIndex": 0,
                "hasAudio": false,
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abilities::program;
    use std::process::Stdio;
    use std::time::Duration;
    use tokio::io::{AsyncBufReadExt, BufReader};

    /// A display that nobody looks at; gone when dropped.
    struct Xvfb(#[allow(dead_code, reason = "held for its end")] tokio::process::Child);

    async fn display() -> Option<(Xvfb, String)> {
        let program = program("Xvfb", None)?;
        let mut command = tokio::process::Command::new(program);
        // It writes the number it took, once it is ready.
        command.args(["-displayfd", "1", "-screen", "0", "320x240x24", "-nolisten", "tcp"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().ok()?;
        let mut number = String::new();
        BufReader::new(child.stdout.take()?).read_line(&mut number).await.ok()?;
        Some((Xvfb(child), format!(":{}", number.trim())))
    }

    #[tokio::test]
    async fn what_is_shown_is_recorded() {
        let (Some(ffmpeg), Some((_xvfb, display))) = (Ffmpeg::find(), display().await) else {
            return ffmpeg::testing::skip("what_is_shown_is_recorded");
        };
        let screen = Screen { ffmpeg, display };
        let deadline = Instant::now() + Duration::from_secs(60);
        let params = r#"{"durationMs":500,"fps":5,"screenIndex":0}"#;
        let recorded = screen.run("screen.record", params, deadline).await.unwrap();
        assert_eq!((&recorded["format"], &recorded["fps"]), (&json!("mp4"), &json!(5.0)));
        assert!(ffmpeg::testing::is_mp4(&recorded["base64"]));
        let other = screen.run("screen.record", r#"{"screenIndex":1}"#, deadline).await.unwrap_err();
        assert!(other.message.starts_with("screenIndex"));
        let gone = Screen { display: ":4096".to_string(), ..screen };
        assert_eq!(gone.run("screen.record", params, deadline).await.unwrap_err().code, "UNAVAILABLE");
    }
}
