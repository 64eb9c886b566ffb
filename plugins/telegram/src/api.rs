//! The Bot API as this channel speaks it: one request, one answer, and what a failure means.
//!
//! The token is part of every address. So no address is in an error here, and what other people's servers and libraries
//! said of a failure goes through [`Key::hidden_in`].

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use outside::Method as Verb;
use outside::http::{Client, Limits, Trouble};
use outside::hyper::Request;
use outside::multipart::Form;
use outside::service::{Key, KeySource};
use plugin_api::Host;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{Bot, TelegramConfig};
use crate::shapes::Envelope;

/// Largest answer that is read, but for files.
const MOST_ANSWER: u64 = 16 * 1024 * 1024;
/// How much longer than the server holds a question for updates open its answer may take.
const BEYOND_POLL: Duration = Duration::from_secs(10);
/// How much of what a server said is kept for the log.
const FOR_LOG: usize = 500;
/// Longest wait in seconds that a server can ask for: longer than anybody waits, and short enough to be added to a time.
const MOST_WAIT: u64 = 30 * 24 * 60 * 60;

/// The connections, which all bots share.
pub struct Lines {
    calls: Client,
    polls: Client,
    uploads: Client,
    files: Client,
}

/// Which of them a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Call,
    Poll,
    Upload,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no token; why, for the log.
    NoToken(String),
    /// No connection came about, so the server has nothing.
    Unreachable(String),
    /// Nobody knows whether the server did it: the connection broke, or the server itself failed.
    Unknown(String),
    /// The server refused.
    Refused(Refusal),
    /// What was to be fetched is larger than this.
    TooLarge(u64),
}

/// A refusal in the server's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    /// What it said, without the token.
    pub description: String,
    pub retry_after: Option<Duration>,
    pub migrate_to: Option<i64>,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::NoToken(why) => write!(f, "there is no token: {why}"),
            Fault::Unreachable(why) | Fault::Unknown(why) => f.write_str(why),
            Fault::Refused(refusal) => write!(f, "refused with {}: {}", refusal.code, refusal.description),
            Fault::TooLarge(most) => write!(f, "larger than {most} bytes"),
        }
    }
}

impl Fault {
    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Fault::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether it was refused with this code.
    pub fn is(&self, code: u16) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == code)
    }
}

/// What a request carries.
pub enum Body {
    Json(Value),
    Form(Form),
}

impl Lines {
    pub fn new(config: &TelegramConfig) -> Self {
        let connect = Duration::from_millis(config.connect_timeout_ms);
        let client = |stall: Duration, max_bytes: u64| Client::new(Limits { connect, stall, max_bytes });
        let media = Duration::from_millis(config.media_timeout_ms);
        let request = Duration::from_millis(config.request_timeout_ms);
        Lines {
            calls: client(request, MOST_ANSWER),
            polls: client(Duration::from_secs(config.poll_timeout_s) + BEYOND_POLL.max(request), MOST_ANSWER),
            uploads: client(media, MOST_ANSWER),
            files: client(media, config.max_media_bytes.max(config.max_upload_bytes)),
        }
    }

    /// Has a bot do something.
    pub async fn call<T: DeserializeOwned>(
        &self,
        host: &Host,
        bot: &Bot,
        line: Line,
        method: &str,
        body: Body,
    ) -> Result<T, Fault> {
        let key = token(host, &bot.token).await?;
        let (kind, body) = match body {
            Body::Json(json) => ("application/json".to_string(), Bytes::from(json.to_string())),
            Body::Form(form) => form.finish(),
        };
        let address = format!("{}/bot{}/{method}", bot.base_url, key.reveal());
        let request = request(Verb::POST, &address, Some(&kind), body)?;
        let client = match line {
            Line::Call => &self.calls,
            Line::Poll => &self.polls,
            Line::Upload => &self.uploads,
        };
        let mut answer = client.send(host, request).await.map_err(|trouble| lost(trouble, &key))?;
        let status = answer.status();
        let body = answer.body().await.map_err(|trouble| lost(trouble, &key))?;
        let envelope: Option<Envelope> = serde_json::from_slice(&body).ok();
        match envelope {
            Some(envelope) if envelope.ok => serde_json::from_value(envelope.result)
                .map_err(|error| Fault::Unknown(format!("the answer to {method} was not understood: {error}"))),
            Some(envelope) => Err(refused(envelope, status.as_u16(), &key)),
            None => {
                let said = tidy(&String::from_utf8_lossy(&body), &key);
                match status.as_u16() {
                    code @ 300..500 => Err(Fault::Refused(Refusal { code, description: said, ..Refusal::default() })),
                    code => Err(Fault::Unknown(format!("an answer with status {code} that is none: {said}"))),
                }
            }
        }
    }

    /// Fetches a file that the server keeps for a bot.
    pub async fn file(&self, host: &Host, bot: &Bot, path: &str, most: u64) -> Result<Vec<u8>, Fault> {
        let key = token(host, &bot.token).await?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if path.starts_with('/') || path.split('/').any(|part| part == "..") || !path.bytes().all(is_plain) {
            return Err(Fault::Refused(Refusal {
                description: "a path that is not followed".into(),
                ..Refusal::default()
            }));
        }
        let address = format!("{}/file/bot{}/{path}", bot.base_url, key.reveal());
        self.fetch(host, &address, most, &key).await
    }

    /// Fetches what is at an address of this machine.
    pub async fn local_file(&self, host: &Host, address: &str, most: u64) -> Result<Vec<u8>, Fault> {
        self.fetch(host, address, most, &Key::default()).await
    }

    async fn fetch(&self, host: &Host, address: &str, most: u64, key: &Key) -> Result<Vec<u8>, Fault> {
        let request = request(Verb::GET, address, None, Bytes::new())?;
        let mut answer = self.files.send(host, request).await.map_err(|trouble| lost(trouble, key))?;
        let code = answer.status().as_u16();
        if !answer.status().is_success() {
            return Err(Fault::Refused(Refusal {
                code,
                description: "there is no such file".into(),
                ..Refusal::default()
            }));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|trouble| lost(trouble, key))? {
            if (bytes.len() + chunk.len()) as u64 > most {
                return Err(Fault::TooLarge(most));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// A bot's token.
pub async fn token(host: &Host, source: &KeySource) -> Result<Key, Fault> {
    let key = source.read(host).await.map_err(Fault::NoToken)?;
    // It becomes part of a path.
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b":-_".contains(&byte);
    let has_number = bot_number(&key).is_some();
    if has_number && key.reveal().bytes().all(is_fit) {
        return Ok(key);
    }
    Err(Fault::NoToken("what is there is no token, which looks like 123456:ABC…".to_string()))
}

/// A bot's number: what stands before the colon of its token, and is no secret.
pub fn bot_number(token: &Key) -> Option<i64> {
    token.reveal().split_once(':').and_then(|(number, rest)| number.parse().ok().filter(|_| !rest.is_empty()))
}

fn request(verb: Verb, address: &str, kind: Option<&str>, body: Bytes) -> Result<Request<Full<Bytes>>, Fault> {
    let mut request = Request::builder().method(verb).uri(address);
    request = request.header("user-agent", concat!("clawhost/", env!("CARGO_PKG_VERSION")));
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    // The error would name the address.
    request.body(Full::new(body)).map_err(|_| Fault::Unreachable("this is no address".to_string()))
}

fn lost(trouble: Trouble, key: &Key) -> Fault {
    let said = tidy(&trouble.to_string(), key);
    match trouble {
        Trouble::Unreachable(_) => Fault::Unreachable(said),
        Trouble::Broken(_) | Trouble::Stalled(_) => Fault::Unknown(said),
        Trouble::TooLarge(most) => Fault::TooLarge(most),
    }
}

fn refused(envelope: Envelope, status: u16, key: &Key) -> Fault {
    let code = envelope.error_code.unwrap_or(status);
    let description = tidy(&envelope.description, key);
    if code >= 500 {
        return Fault::Unknown(format!("the server failed with {code}: {description}"));
    }
    Fault::Refused(Refusal {
        code,
        description,
        retry_after: envelope.parameters.retry_after.map(|seconds| Duration::from_secs(seconds.min(MOST_WAIT))),
        migrate_to: envelope.parameters.migrate_to_chat_id,
    })
}

/// Somebody else's words as a part of one line, bounded and without the token.
fn tidy(text: &str, key: &Key) -> String {
    let hidden = key.hidden_in(text);
    hidden.chars().take(FOR_LOG).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
