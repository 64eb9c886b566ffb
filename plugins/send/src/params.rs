//! What clients say, and what of it is refused.

use plugin_api::contracts::channel::{Deliver, Media};
use plugin_api::{MethodError, lenient};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::SendConfig;

/// Parameters of `send`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendParams {
    /// To whom, as the channel's people write it.
    #[schemars(length(min = 1))]
    pub to: String,
    /// The text; may be left out when there are files (protocol 4).
    #[serde(default)]
    pub message: Option<String>,
    /// A file, by address.
    #[serde(default)]
    pub media_url: Option<String>,
    /// Files, by address.
    #[serde(default)]
    pub media_urls: Option<Vec<String>>,
    /// Whether a film is shown as a moving picture.
    #[serde(default)]
    pub gif_playback: Option<bool>,
    /// The channel.
    #[serde(default)]
    pub channel: Option<String>,
    /// The account to send with.
    #[serde(default)]
    pub account_id: Option<String>,
    /// The agent whose session is derived from the route (protocol 4).
    #[serde(default)]
    pub agent_id: Option<String>,
    /// A thread or topic (protocol 4).
    #[serde(default)]
    pub thread_id: Option<String>,
    /// The message that it answers (protocol 4).
    #[serde(default)]
    pub reply_to_id: Option<String>,
    /// Whether nobody's device shall make a sound (protocol 4).
    #[serde(default)]
    pub silent: Option<bool>,
    /// The session that notes it.
    #[serde(default)]
    pub session_key: Option<String>,
    /// Names this message.
    #[schemars(length(min = 1))]
    pub idempotency_key: String,
}

/// Parameters of `poll`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PollParams {
    /// To whom.
    #[schemars(length(min = 1))]
    pub to: String,
    /// What is asked.
    #[schemars(length(min = 1))]
    pub question: String,
    /// What can be answered.
    #[schemars(length(min = 2, max = 12), inner(length(min = 1)))]
    pub options: Vec<String>,
    /// How many answers one may give.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1, max = 12))]
    pub max_selections: Option<u64>,
    /// How long it is open, in hours.
    #[serde(default, deserialize_with = "lenient::optional_uint")]
    #[schemars(range(min = 1))]
    pub duration_hours: Option<u64>,
    /// The channel.
    #[serde(default)]
    pub channel: Option<String>,
    /// The account to send with.
    #[serde(default)]
    pub account_id: Option<String>,
    /// Names this poll.
    #[schemars(length(min = 1))]
    pub idempotency_key: String,
}

impl SendParams {
    pub(crate) fn into_deliver(self) -> Result<Deliver, MethodError> {
        let addresses = self.media_url.into_iter().chain(self.media_urls.unwrap_or_default());
        let media = addresses
            .filter(|address| !address.trim().is_empty())
            .map(|address| Media { url: Some(address.trim().to_string()), ..Media::default() });
        Ok(Deliver {
            channel: self.channel,
            to: Some(self.to),
            session_key: None,
            text: self.message.unwrap_or_default(),
            media: media.collect(),
            account_id: self.account_id,
            thread_id: self.thread_id,
            reply_to: self.reply_to_id,
            silent: self.silent.unwrap_or(false),
            mirror_to: None,
            idempotency_key: self.idempotency_key,
        })
    }
}

/// What is wrong with a message whatever the channel is.
pub(crate) fn check(deliver: &Deliver, config: &SendConfig) -> Result<(), MethodError> {
    let wrong = |why: String| Err(MethodError::invalid_request(why));
    if deliver.to.as_deref().is_none_or(|to| to.trim().is_empty()) {
        return wrong("to must not be empty".to_string());
    }
    if deliver.text.trim().is_empty() && deliver.media.is_empty() {
        return wrong("message must not be empty without mediaUrl or mediaUrls".to_string());
    }
    if deliver.text.len() > config.max_text_bytes {
        return wrong(format!("message is larger than {} bytes (max_text_bytes)", config.max_text_bytes));
    }
    if deliver.media.len() > config.max_media {
        return wrong(format!("more than {} files (max_media)", config.max_media));
    }
    match deliver.media.iter().filter_map(|media| media.url.as_deref()).all(|url| may_be_fetched(url, config)) {
        true => Ok(()),
        false => wrong("files must be named by https addresses".to_string()),
    }
}

fn may_be_fetched(address: &str, config: &SendConfig) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A name before `@` would make the host look like another one.
    if authority.is_empty() || authority.contains(['@', '\\']) || address.chars().any(|c| c.is_whitespace()) {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    scheme.eq_ignore_ascii_case("https") || (config.local_media && is_here && scheme.eq_ignore_ascii_case("http"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_fetched_over_https_only() {
        let closed = SendConfig::default();
        let open = SendConfig { local_media: true, ..SendConfig::default() };
        for (address, by_default, when_local) in [
            ("https://example.org/a.png", true, true),
            ("HTTPS://example.org", true, true),
            ("http://example.org/a.png", false, false),
            ("http://127.0.0.1:9/a", false, true),
            ("http://[::1]:9/a", false, true),
            ("http://localhost/a", false, true),
            ("http://127.0.0.1@example.org/a", false, false),
            ("http://localhost.example.org/a", false, false),
            ("file:///etc/passwd", false, false),
            ("/etc/passwd", false, false),
            ("https://", false, false),
        ] {
            assert_eq!(may_be_fetched(address, &closed), by_default, "{address}");
            assert_eq!(may_be_fetched(address, &open), when_local, "{address}");
        }
    }
}
