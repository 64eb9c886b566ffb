//! Files: those that came with a message, fetched, and those that go with one, told apart by their kind.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outside::hyper::Uri;
use plugin_api::MethodError;
use plugin_api::contracts::channel::Media;
use serde_json::json;

use crate::Telegram;
use crate::account::Account;
use crate::api::Fault;
use crate::inbound::Attachment;
use crate::shapes::File;

/// How often a file is asked for before the message goes without it.
const MOST_TRIES: u32 = 3;
/// Largest picture that Telegram takes as one, and longest name of a file.
const MOST_PHOTO: usize = 10_000_000;
const MOST_NAME: usize = 200;

impl Telegram {
    /// A file that came with a message; or a remark in its place.
    pub(crate) async fn fetch(&self, account: &Account, attachment: &Attachment) -> Result<Media, String> {
        let (file, what) = (&attachment.file, attachment.what);
        let name = file.file_name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let most = self.config.max_media_bytes;
        let too_large = || format!("[{what}{name}: larger than {most} bytes, and not fetched]");
        if file.file_size.is_some_and(|size| size > most) {
            return Err(too_large());
        }
        let mut tries = 0;
        let (bytes, path) = loop {
            match self.fetch_once(account, file).await {
                Ok(fetched) => break fetched,
                Err(Fault::TooLarge(_)) => return Err(too_large()),
                Err(fault) => {
                    tries += 1;
                    let wait = fault.refusal().and_then(|refusal| refusal.retry_after);
                    let is_final = fault.refusal().is_some_and(|refusal| refusal.code != 429);
                    if is_final || tries >= MOST_TRIES {
                        self.host.warn(&format!("Telegram: a {what} could not be fetched: {fault}"));
                        return Err(format!("[{what}{name}: could not be fetched]"));
                    }
                    self.host.sleep(self.config.backoff(tries).max(wait.unwrap_or_default())).await;
                }
            }
        };
        let given = file.file_name.clone().or_else(|| path.rsplit('/').next().map(str::to_string));
        let kind = file.mime_type.clone().unwrap_or_else(|| attachment.kind.to_string());
        Ok(Media { url: None, data: Some(STANDARD.encode(bytes)), mime_type: Some(kind), file_name: given })
    }

    async fn fetch_once(&self, account: &Account, file: &File) -> Result<(Vec<u8>, String), Fault> {
        let most = self.config.max_media_bytes;
        let found: File = self.request(account, "getFile", json!({ "file_id": file.file_id })).await?;
        if found.file_size.is_some_and(|size| size > most) {
            return Err(Fault::TooLarge(most));
        }
        let path = found.file_path.unwrap_or_default();
        let bytes = self.lines.file(&self.host, &account.bot, &path, most).await?;
        Ok((bytes, path))
    }

    /// A file that is to go out, as it is handed to Telegram.
    pub(crate) async fn outgoing(&self, media: &Media, gif_playback: bool) -> Result<Outgoing, MethodError> {
        let most = self.config.max_upload_bytes;
        let wrong = |why: String| MethodError::invalid_request(format!("telegram: {why}"));
        let too_large = || wrong(format!("a file is larger than max_upload_bytes ({most})"));
        let url = media.url.as_deref().map(str::trim).filter(|url| !url.is_empty());
        let content = match (&media.data, url) {
            (Some(data), None) => {
                if data.len() as u64 / 4 * 3 > most + 3 {
                    return Err(too_large());
                }
                let bytes = STANDARD.decode(data.trim()).map_err(|_| wrong("a file is not in base64".to_string()))?;
                Content::Bytes(bytes)
            }
            (None, Some(url)) if url.starts_with("https://") => Content::Address(url.to_string()),
            // Telegram does not get there.
            (None, Some(url)) if is_local(url) => {
                let fetched = self.lines.local_file(&self.host, url, most).await;
                Content::Bytes(fetched.map_err(|fault| match fault {
                    Fault::TooLarge(_) => too_large(),
                    fault => wrong("a file of this machine could not be fetched".to_string()).log(fault),
                })?)
            }
            (None, Some(_)) => return Err(wrong("the address of a file begins with https://".to_string())),
            _ => return Err(wrong("a file needs either an address or bytes".to_string())),
        };
        if let Content::Bytes(bytes) = &content
            && bytes.len() as u64 > most
        {
            return Err(too_large());
        }
        let from_url = || url.and_then(|url| url.split(['?', '#']).next()?.rsplit('/').next()).map(str::to_string);
        let name = media.file_name.clone().or_else(from_url).filter(|name| !name.is_empty());
        let kind = media.mime_type.as_deref().map(|kind| kind.split(';').next().unwrap_or(kind).trim().to_lowercase());
        let kind = kind.filter(|kind| !kind.is_empty());
        let kind = kind.unwrap_or_else(|| by_name(name.as_deref().unwrap_or_default()).to_string());
        let mut shape = Shape::of(&kind, gif_playback);
        if shape == Shape::Photo && matches!(&content, Content::Bytes(bytes) if bytes.len() > MOST_PHOTO) {
            shape = Shape::Document;
        }
        let name = name.unwrap_or_else(|| shape.field().to_string()).chars().take(MOST_NAME).collect();
        Ok(Outgoing { content, name, kind, shape })
    }
}

/// A file that is to go out.
pub struct Outgoing {
    pub content: Content,
    pub name: String,
    pub kind: String,
    pub shape: Shape,
}

/// What it consists of.
pub enum Content {
    Address(String),
    Bytes(Vec<u8>),
}

/// As what Telegram shows a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Photo,
    Animation,
    Video,
    Voice,
    Audio,
    Document,
}

impl Shape {
    fn of(kind: &str, gif_playback: bool) -> Self {
        match kind {
            "image/gif" => Shape::Animation,
            "image/jpeg" | "image/png" | "image/webp" => Shape::Photo,
            "video/mp4" | "video/quicktime" if gif_playback => Shape::Animation,
            "video/mp4" | "video/quicktime" => Shape::Video,
            "audio/ogg" | "audio/opus" => Shape::Voice,
            "audio/mpeg" | "audio/mp3" | "audio/mp4" | "audio/m4a" | "audio/x-m4a" => Shape::Audio,
            _ => Shape::Document,
        }
    }

    /// The parameter that takes it.
    pub fn field(self) -> &'static str {
        match self {
            Shape::Photo => "photo",
            Shape::Animation => "animation",
            Shape::Video => "video",
            Shape::Voice => "voice",
            Shape::Audio => "audio",
            Shape::Document => "document",
        }
    }

    /// The method that sends it.
    pub fn method(self) -> &'static str {
        match self {
            Shape::Photo => "sendPhoto",
            Shape::Animation => "sendAnimation",
            Shape::Video => "sendVideo",
            Shape::Voice => "sendVoice",
            Shape::Audio => "sendAudio",
            Shape::Document => "sendDocument",
        }
    }
}

/// A kind by the end of a name.
fn by_name(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
    match end.as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

/// Whether an address is one of this machine, over plain HTTP.
fn is_local(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    uri.scheme_str() == Some("http") && (is_loopback || host.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_shown_as_what_it_is() {
        for (kind, gif, expected) in [
            ("image/png", false, "sendPhoto"),
            ("image/gif", false, "sendAnimation"),
            ("image/svg+xml", false, "sendDocument"),
            ("video/mp4", false, "sendVideo"),
            ("video/mp4", true, "sendAnimation"),
            ("video/x-matroska", true, "sendDocument"),
            ("audio/ogg", false, "sendVoice"),
            ("audio/mpeg", false, "sendAudio"),
            ("application/pdf", false, "sendDocument"),
        ] {
            assert_eq!(Shape::of(kind, gif).method(), expected, "{kind}");
        }
        assert_eq!(
            (by_name("a.b.JPG"), by_name("jpg"), by_name("")),
            ("image/jpeg", "application/octet-stream", "application/octet-stream")
        );
    }

    #[test]
    fn only_this_machine_is_local() {
        for local in ["http://127.0.0.1:8080/a", "http://localhost/a", "http://[::1]:1/a"] {
            assert!(is_local(local), "{local}");
        }
        for other in [
            "http://10.0.0.1/a",
            "https://127.0.0.1/a",
            "http://127.0.0.1.example/a",
            "ftp://localhost/a",
            "x",
            "http://me@example.org#@localhost/",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }
}
