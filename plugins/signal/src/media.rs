//! Files: those that came are fetched from the daemon, those to send become `data:` addresses, which it takes.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outside::http::{Answer, Trouble};
use plugin_api::contracts::channel::{Inbound, Media};
use plugin_api::{Host, MethodError};
use serde_json::{Map, Value, json};

use crate::Signal;
use crate::envelope::{File, Kept};
use crate::failure::{for_log, not_sent};
use crate::target::Target;

/// Longest name of a file, in characters.
const LONGEST_NAME: usize = 120;
/// The kind of a file of which nothing is known.
const ANY: &str = "application/octet-stream";

impl Signal {
    /// Adds the files of a message. What cannot be had is told in its text: a message is not kept back for a file.
    pub(crate) async fn add_files(self: &Arc<Self>, kept: &Kept, inbound: &mut Inbound) {
        for (place, file) in kept.files.iter().enumerate() {
            match self.fetch(kept, file, place).await {
                Ok(media) => inbound.media.push(media),
                Err(why) => {
                    let name = file.filename.as_deref().or(file.content_type.as_deref()).unwrap_or("a file");
                    let gap = if inbound.text.is_empty() { "" } else { "\n" };
                    inbound.text.push_str(&format!("{gap}[{}: {why}]", fit_name(name)));
                }
            }
        }
    }

    async fn fetch(self: &Arc<Self>, kept: &Kept, file: &File, place: usize) -> Result<Media, String> {
        let config = &self.config;
        if !config.fetch_media {
            return Err("a file that is not fetched (fetch_media)".to_string());
        }
        if place >= config.max_media {
            return Err(format!("a file beyond the first {} (max_media)", config.max_media));
        }
        let too_large = || format!("a file over {} bytes (max_media_bytes)", config.max_media_bytes);
        if file.size.is_some_and(|size| size > config.max_media_bytes as u64) {
            return Err(too_large());
        }
        let id = file.id.as_deref().filter(|id| !id.is_empty()).ok_or("a file that signal-cli did not fetch")?;
        let mut params = Map::from_iter([("id".to_string(), json!(id))]);
        match Target::parse(&kept.inbound.chat.id) {
            Ok(group @ Target::Group(_)) => params.extend(group.params()),
            _ => drop(params.insert("recipient".to_string(), json!(kept.inbound.from.id))),
        }
        let account = kept.inbound.account_id.as_deref().unwrap_or_default();
        let asked = self.ask("getAttachment", Value::Object(params), account, config.request_timeout()).await;
        let answer = asked.map_err(|failure| {
            self.host.warn(&format!("a file could not be fetched from signal-cli: {failure:?}"));
            "a file that could not be fetched".to_string()
        })?;
        let data = answer["data"].as_str().or(answer.as_str()).ok_or("a file that could not be fetched")?;
        if data.len() / 4 * 3 > config.max_media_bytes + 2 {
            return Err(too_large());
        }
        Ok(Media {
            url: None,
            data: Some(data.to_string()),
            mime_type: Some(fit_kind(file.content_type.as_deref()).to_string()),
            file_name: file.filename.as_deref().map(fit_name).filter(|name| !name.is_empty()),
        })
    }

    /// Files to send, as the daemon takes them.
    pub(crate) async fn attachments(&self, host: &Host, media: &[Media]) -> Result<Vec<String>, MethodError> {
        if media.len() > self.config.max_media {
            let why =
                format!("at most {} files go with a message (plugins.signal.config.max_media)", self.config.max_media);
            return Err(MethodError::invalid_request(why));
        }
        let mut all = Vec::with_capacity(media.len());
        for one in media {
            all.push(self.attachment(host, one).await?);
        }
        Ok(all)
    }

    async fn attachment(&self, host: &Host, media: &Media) -> Result<String, MethodError> {
        let (bytes, kind) = match (&media.data, &media.url) {
            (Some(data), _) => {
                let bytes = STANDARD.decode(data.trim());
                (bytes.map_err(|_| MethodError::invalid_request("the data of a file is no base64"))?, None)
            }
            (None, Some(url)) => self.download(host, url).await?,
            (None, None) => return Err(MethodError::invalid_request("a file has neither an address nor data")),
        };
        if bytes.is_empty() {
            return Err(MethodError::invalid_request("a file is empty"));
        }
        if bytes.len() > self.config.max_media_bytes {
            return Err(self.too_large());
        }
        let kind = fit_kind(media.mime_type.as_deref().or(kind.as_deref()));
        let name = media.file_name.clone().or_else(|| media.url.as_deref().and_then(name_in));
        let name = name.map(|name| fit_name(&name)).filter(|name| !name.is_empty());
        let name = name.map(|name| format!(";filename={}", encoded(&name))).unwrap_or_default();
        Ok(format!("data:{kind}{name};base64,{}", STANDARD.encode(bytes)))
    }

    fn too_large(&self) -> MethodError {
        let most = self.config.max_media_bytes;
        MethodError::invalid_request(format!(
            "a file is larger than {most} bytes (plugins.signal.config.max_media_bytes)"
        ))
    }

    async fn download(&self, host: &Host, url: &str) -> Result<(Vec<u8>, Option<String>), MethodError> {
        let request = outside::http::get(url).filter(|request| {
            let name = request.uri().host().unwrap_or_default();
            match request.uri().scheme_str() {
                Some("https") => true,
                Some("http") => self.config.local_media && matches!(name, "127.0.0.1" | "localhost" | "[::1]"),
                _ => false,
            }
        });
        let request = request.ok_or_else(|| MethodError::invalid_request("files must be named by https addresses"))?;
        let lost = |trouble: Trouble| match trouble {
            Trouble::TooLarge(_) => self.too_large(),
            other => {
                not_sent("a file of the message could not be fetched").retryable().log(for_log(&other.to_string()))
            }
        };
        let mut answer: Answer = self.downloads.send(host, request).await.map_err(lost)?;
        let status = answer.status();
        if !status.is_success() {
            let hint = if status.is_redirection() { "; redirects are not followed" } else { "" };
            return Err(not_sent(format!(
                "a file of the message could not be fetched (HTTP {}{hint})",
                status.as_u16()
            )));
        }
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).map(str::to_string);
        Ok((answer.body().await.map_err(lost)?, kind))
    }
}

/// A kind as it can stand in a `data:` address, without its parameters.
fn fit_kind(kind: Option<&str>) -> &str {
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._!#$&^".contains(&byte))
    };
    let is_kind =
        kind.len() <= 100 && kind.split_once('/').is_some_and(|(first, second)| is_word(first) && is_word(second));
    if is_kind { kind } else { ANY }
}

/// A name that is a name only, and not a path.
fn fit_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    kept.trim().trim_start_matches('.').to_string()
}

/// The last part of an address's path.
fn name_in(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?.split_once("://")?.1;
    let name = path.split_once('/')?.1.rsplit('/').next()?;
    (!name.is_empty()).then(|| name.to_string())
}

/// A name in a `data:` address: whatever could end it there is encoded.
fn encoded(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_data_address() {
        assert_eq!(encoded(&fit_name("../a b;base64,é.png")), "a%20b%3Bbase64%2C%C3%A9.png");
        assert_eq!(
            (fit_name("C:\\x\\y.txt").as_str(), fit_name("/etc/.hidden\n").as_str(), fit_name("..").as_str()),
            ("y.txt", "hidden", "")
        );
        for (kind, fit) in [
            ("image/png", "image/png"),
            ("text/plain; charset=utf-8", "text/plain"),
            ("image/svg+xml", "image/svg+xml"),
            ("x", ANY),
            ("a/b,c", ANY),
            ("a/b/c", ANY),
            ("", ANY),
        ] {
            assert_eq!(fit_kind(Some(kind)), fit, "{kind}");
        }
        assert_eq!(name_in("https://a.b/c/d.png?x=/y#z").as_deref(), Some("d.png"));
        assert_eq!((name_in("https://a.b/"), name_in("https://a.b")), (None, None));
    }
}
