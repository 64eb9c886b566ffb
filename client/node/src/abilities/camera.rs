//! `camera.list`, `camera.snap`, `camera.clip`: what a camera of this machine sees.

use std::fs;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::ffmpeg::{self, Ffmpeg, Input};
use crate::ability::{Ability, Answer, Refusal, Work, read};

/// How long a clip may be.
const MAX_CLIP_MS: u64 = 60_000;
/// How long one is unless somebody says.
const CLIP_MS: u64 = 3_000;
/// How long a picture may wait for its moment.
const MAX_DELAY_MS: u64 = 10_000;
/// Between 0 and 1.
const QUALITY: f64 = 0.9;

/// A camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is asked for by.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// As its user wrote it.
    pub said: String,
    input: Input,
}

impl FromStr for Source {
    type Err = String;

    /// A device such as `/dev/video0`, an address of a stream (`rtsp:`, `http:`, `https:`), or `test` for a picture that is
    /// generated.
    fn from_str(text: &str) -> Result<Self, String> {
        let input = |format, from: &str, options: &[&str]| Input {
            format,
            from: from.to_string(),
            options: options.iter().map(|option| option.to_string()).collect(),
        };
        let (input, name) = match text.split_once(':') {
            _ if text == "test" => (input("lavfi", "testsrc2=size=640x480:rate=15", &[]), "generated picture"),
            _ if text.starts_with("/dev/") => (input("v4l2", text, &[]), text),
            Some(("rtsp", _)) => (input("rtsp", text, &["-rtsp_transport", "tcp"]), "network camera"),
            Some(("http" | "https", _)) => (input("mpjpeg", text, &[]), "network camera"),
            _ => {
                return Err(format!(
                    "{text:?} is no camera; a device such as /dev/video0, an rtsp: or http: address or \"test\" is"
                ));
            }
        };
        // An address may hold a password, so it is nobody's name.
        let id = if input.format == "v4l2" || text == "test" { text.to_string() } else { "network".to_string() };
        Ok(Source { id, name: name.to_string(), said: text.to_string(), input })
    }
}

impl Source {
    /// Whether it is an address, which may hold a password.
    pub fn is_address(&self) -> bool {
        matches!(self.input.format, "rtsp" | "mpjpeg")
    }
}

/// Takes pictures.
pub struct Camera {
    ffmpeg: Ffmpeg,
    more: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snap {
    #[serde(default)]
    device_id: Option<String>,
    #[serde(default)]
    max_width: Option<u32>,
    #[serde(default)]
    quality: Option<f64>,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    delay_ms: Option<u64>,
    #[serde(default)]
    duration_ms: Option<u64>,
}

impl Camera {
    /// On a machine with a camera, or with one that its user named.
    pub fn find(ffmpeg: &Ffmpeg, more: Vec<Source>) -> Option<Self> {
        let camera = Camera { ffmpeg: ffmpeg.clone(), more };
        (!camera.sources().is_empty()).then_some(camera)
    }

    /// Cameras come and go, so they are looked for each time.
    fn sources(&self) -> Vec<Source> {
        let mut sources = plugged_in();
        sources.extend(
            self.more
                .iter()
                .filter(|more| !sources.iter().any(|found| found.id == more.id))
                .cloned()
                .collect::<Vec<_>>(),
        );
        sources
    }

    async fn look(&self, command: &str, params: &str, deadline: Instant) -> Answer {
        let sources = self.sources();
        if command == "camera.list" {
            let devices = sources
                .iter()
                .map(|Source { id, name, .. }| json!({ "id": id, "name": name, "position": "unspecified" }));
            return Ok(json!({ "devices": devices.collect::<Vec<_>>() }));
        }
        let wish: Snap = read(command, params)?;
        let wanted = wish.device_id.as_deref().filter(|id| !id.is_empty());
        let source = match wanted {
            Some(id) => sources
                .iter()
                .find(|source| source.id == id)
                .ok_or_else(|| Refusal::invalid(format!("deviceId: there is no camera {id}")))?,
            None => sources.first().ok_or_else(|| Refusal::unavailable("the camera is gone"))?,
        };
        if command == "camera.clip" {
            let format = known_format(wish.format.as_deref(), "mp4", &["mp4"])?;
            let duration_ms = wish.duration_ms.unwrap_or(CLIP_MS).clamp(1, MAX_CLIP_MS);
            let clip = self.ffmpeg.recording(&source.input, duration_ms, deadline).await?;
            return Ok(
                json!({ "format": format, "base64": ffmpeg::base64(&clip), "durationMs": duration_ms, "hasAudio": false }),
            );
        }
        let format = known_format(wish.format.as_deref(), "jpg", &["jpg", "png"])?;
        if let Some(delay) = wish.delay_ms {
            sleep(Duration::from_millis(delay.min(MAX_DELAY_MS))).await;
        }
        let quality = wish.quality.unwrap_or(QUALITY);
        let max_width = wish.max_width.filter(|width| *width > 0);
        let picture = self.ffmpeg.picture(&source.input, format, max_width, quality, deadline).await?;
        let (width, height) =
            ffmpeg::size(&picture).ok_or_else(|| Refusal::unavailable("the camera gave no picture"))?;
        Ok(json!({ "format": format, "base64": ffmpeg::base64(&picture), "width": width, "height": height }))
    }
}

impl Ability for Camera {
    fn cap(&self) -> &'static str {
        "camera"
    }

    fn commands(&self) -> &'static [&'static str] {
        &["camera.clip", "camera.list", "camera.snap"]
    }

    fn run<'a>(&'a self, command: &'a str, params: &'a str, deadline: Instant) -> Work<'a> {
        Box::pin(self.look(command, params, deadline))
    }
}

/// The format asked for, in the spelling of answers.
pub(super) fn known_format(
    asked: Option<&str>,
    usual: &'static str,
    known: &[&'static str],
) -> Result<&'static str, Refusal> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(usual) };
    let asked = if asked == "jpeg" { "jpg" } else { asked };
    let found = known.iter().find(|format| **format == asked).copied();
    found.ok_or_else(|| Refusal::invalid(format!("format: {asked:?} is none of {}", known.join(", "))))
}

/// The cameras that Linux knows, by number.
fn plugged_in() -> Vec<Source> {
    let Ok(entries) = fs::read_dir("/sys/class/video4linux") else { return Vec::new() };
    let mut devices: Vec<_> = entries
        .filter_map(Result::ok)
        // A camera has several devices; the first takes pictures, the others tell about them.
        .filter(|entry| fs::read_to_string(entry.path().join("index")).is_ok_and(|index| index.trim() == "0"))
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect();
    devices.sort();
    let source = |(device, place): (String, std::path::PathBuf)| {
        let mut source: Source = format!("/dev/{device}").parse().ok()?;
        if let Ok(name) = fs::read_to_string(place.join("name")) {
            source.name = name.trim().to_string();
        }
        Some(source)
    };
    devices.into_iter().filter_map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_a_device_a_stream_or_a_test() {
        assert_eq!("/dev/video7".parse::<Source>().unwrap().input.format, "v4l2");
        let network: Source = "rtsp://user:pass@camera/1".parse().unwrap();
        assert!(network.input.format == "rtsp" && !network.id.contains("pass") && !network.name.contains("pass"));
        let is_address = |text: &str| text.parse::<Source>().unwrap().is_address();
        assert!(is_address("rtsp://camera/1") && is_address("https://camera/?key=1"));
        assert!(!is_address("/dev/video0") && !is_address("test"));
        for wrong in ["", "video0", "/etc/passwd", "file:///etc/passwd", "concat:a"] {
            assert!(wrong.parse::<Source>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn pictures_and_clips_have_what_was_asked_for() {
        let Some(ffmpeg) = Ffmpeg::find() else {
            return ffmpeg::testing::skip("pictures_and_clips_have_what_was_asked_for");
        };
        let camera = Camera::find(&ffmpeg, vec!["test".parse().unwrap()]).unwrap();
        let deadline = || Instant::now() + Duration::from_secs(60);
        let listed = camera.run("camera.list", "{}", deadline()).await.unwrap();
        assert!(listed["devices"].as_array().unwrap().iter().any(|device| device["id"] == "test"));
        let snap = camera.run("camera.snap", r#"{"deviceId":"test","maxWidth":320}"#, deadline()).await.unwrap();
        assert_eq!((&snap["format"], &snap["width"], &snap["height"]), (&json!("jpg"), &json!(320), &json!(240)));
        let snap = camera.run("camera.snap", r#"{"deviceId":"test","format":"png"}"#, deadline()).await.unwrap();
        assert_eq!((&snap["format"], &snap["width"]), (&json!("png"), &json!(640)));
        let clip = camera.run("camera.clip", r#"{"deviceId":"test","durationMs":400}"#, deadline()).await.unwrap();
        assert_eq!(
            (&clip["format"], &clip["durationMs"], &clip["hasAudio"]),
            (&json!("mp4"), &json!(400), &json!(false))
        );
        assert!(ffmpeg::testing::is_mp4(&clip["base64"]));
        for (params, key) in [(r#"{"deviceId":"no"}"#, "deviceId"), (r#"{"deviceId":"test","format":"gif"}"#, "format")]
        {
            assert!(camera.run("camera.snap", params, deadline()).await.unwrap_err().message.starts_with(key));
        }
    }
}
