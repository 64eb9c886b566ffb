//! `[plugins.telegram.config]`: which bots there are, and how each is reached.

use std::collections::BTreeMap;
use std::time::Duration;

use outside::service::{KeySource, address};
use plugin_api::CreateError;
use schemars::JsonSchema;
use serde::Deserialize;

/// Telegram's own server.
const TELEGRAM: &str = "https://api.telegram.org";
/// Where the token of the only bot is, if nothing else is said.
const TOKEN: &str = "TELEGRAM_BOT_TOKEN";
/// The account of whoever configures one bot and gives it no name.
pub const DEFAULT: &str = "default";
/// Bots that can be configured.
const MOST_ACCOUNTS: usize = 32;

/// `[plugins.telegram.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelegramConfig {
    /// A file that holds the bot's token, with access for its owner only; an absolute path.
    pub token_file: Option<String>,
    /// The variable of the environment that holds it; TELEGRAM_BOT_TOKEN if neither is set and there are no accounts.
    pub token_env: Option<String>,
    /// Further bots by name, each an account of this channel.
    pub accounts: BTreeMap<String, AccountConfig>,
    /// The account that sends when none is named; the one without a name, or else the first.
    pub default_account: Option<String>,
    /// The server of the Bot API: Telegram's, or one of your own.
    pub base_url: String,
    /// How messages come in.
    pub mode: Mode,
    /// With `webhook`: the address at which Telegram reaches this gateway, https, without the path.
    pub webhook_url: Option<String>,
    /// With `webhook`: what follows `/telegram/` in the path; the account's name if absent.
    pub webhook_path: Option<String>,
    /// A file that holds what Telegram shows with each update; made of the token if neither is set.
    pub webhook_secret_file: Option<String>,
    /// The variable of the environment that holds it.
    pub webhook_secret_env: Option<String>,
    /// Seconds that the server keeps a question for new messages open.
    #[schemars(range(max = 50))]
    pub poll_timeout_s: u64,
    /// Milliseconds until another try after a failure, the first time; each further one waits twice as long.
    #[schemars(range(min = 10))]
    pub retry_min_ms: u64,
    /// The longest wait between tries.
    #[schemars(range(min = 10))]
    pub retry_max_ms: u64,
    /// How texts are written: `markdown` is shown as such, `plain` as it stands.
    pub text_format: TextFormat,
    /// Whether Telegram shows what is behind the first address in a text.
    pub link_preview: bool,
    /// Whether edited messages are handed over.
    pub edits: bool,
    /// Largest file that is fetched for a message, in bytes; 0 fetches none.
    pub max_media_bytes: u64,
    /// Largest file that is sent, in bytes.
    #[schemars(range(min = 1))]
    pub max_upload_bytes: u64,
    /// Time to connect.
    #[schemars(range(min = 1))]
    pub connect_timeout_ms: u64,
    /// Time without an answer after which a request is given up.
    #[schemars(range(min = 1))]
    pub request_timeout_ms: u64,
    /// The same for requests with files.
    #[schemars(range(min = 1))]
    pub media_timeout_ms: u64,
}

impl Default for TelegramConfig {
    fn default() -> Self {
        TelegramConfig {
            token_file: None,
            token_env: None,
            accounts: BTreeMap::new(),
            default_account: None,
            base_url: TELEGRAM.to_string(),
            mode: Mode::Polling,
            webhook_url: None,
            webhook_path: None,
            webhook_secret_file: None,
            webhook_secret_env: None,
            poll_timeout_s: 30,
            retry_min_ms: 1_000,
            retry_max_ms: 60_000,
            text_format: TextFormat::Markdown,
            link_preview: true,
            edits: true,
            max_media_bytes: 5_000_000,
            max_upload_bytes: 50_000_000,
            connect_timeout_ms: 10_000,
            request_timeout_ms: 20_000,
            media_timeout_ms: 120_000,
        }
    }
}

/// `[plugins.telegram.config.accounts.<name>]`: what is not said here is as it is for the channel.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountConfig {
    /// A file that holds the bot's token, with access for its owner only; an absolute path.
    pub token_file: Option<String>,
    /// The variable of the environment that holds it.
    pub token_env: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// The server of the Bot API.
    pub base_url: Option<String>,
    /// How messages come in.
    pub mode: Option<Mode>,
    /// The address at which Telegram reaches this gateway.
    pub webhook_url: Option<String>,
    /// What follows `/telegram/` in the path; the account's name if absent.
    pub webhook_path: Option<String>,
    /// A file that holds what Telegram shows with each update.
    pub webhook_secret_file: Option<String>,
    /// The variable of the environment that holds it.
    pub webhook_secret_env: Option<String>,
}

/// How messages come in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The gateway asks for them.
    #[default]
    Polling,
    /// Telegram brings them, which needs an address that it can reach.
    Webhook,
}

/// How texts are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TextFormat {
    /// Markdown, shown as Telegram can.
    #[default]
    Markdown,
    /// As it stands.
    Plain,
}

/// A bot, with everything that was left out filled in.
#[derive(Debug, Clone)]
pub struct Bot {
    pub id: String,
    pub name: Option<String>,
    pub token: KeySource,
    pub base_url: String,
    pub webhook: Option<Webhook>,
}

/// How Telegram brings a bot its messages.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The whole address.
    pub url: String,
    /// What follows `/telegram/`.
    pub path: String,
    /// What it shows; made of the token if nothing is said.
    pub secret: Option<KeySource>,
}

impl TelegramConfig {
    /// The bots, the one without a name first. What is wrong is said with its key.
    pub fn bots(&self) -> Result<Vec<Bot>, CreateError> {
        if self.accounts.len() > MOST_ACCOUNTS {
            return Err(CreateError::new(format!("accounts: at most {MOST_ACCOUNTS} are possible")));
        }
        let mut bots = Vec::new();
        let is_named = self.token_file.is_some() || self.token_env.is_some();
        if is_named || self.accounts.is_empty() {
            let alone = AccountConfig {
                token_file: self.token_file.clone(),
                token_env: self.token_env.clone().or_else(|| (!is_named).then(|| TOKEN.to_string())),
                webhook_path: self.webhook_path.clone(),
                ..AccountConfig::default()
            };
            bots.push(self.bot(DEFAULT, "", &alone)?);
        }
        for (id, account) in &self.accounts {
            let is_fit = !id.is_empty() && id.len() <= 64 && id.bytes().all(is_plain);
            if !is_fit || bots.iter().any(|bot| bot.id == *id) {
                let why = "a name of its own is needed, of letters, digits, - and _";
                return Err(CreateError::new(format!("accounts.{id:?}: {why}")));
            }
            bots.push(self.bot(id, &format!("accounts.{id}."), account)?);
        }
        if let Some(wanted) = &self.default_account
            && !bots.iter().any(|bot| bot.id == *wanted)
        {
            return Err(CreateError::new(format!("default_account: there is no account {wanted:?}")));
        }
        for (place, bot) in bots.iter().enumerate() {
            let path = bot.webhook.as_ref().map(|webhook| &webhook.path);
            if path.is_some() && bots[..place].iter().any(|other| other.webhook.as_ref().map(|hook| &hook.path) == path)
            {
                return Err(CreateError::new(format!("the webhook_path of {:?} is another account's as well", bot.id)));
            }
        }
        Ok(bots)
    }

    /// The account that is meant when none is named.
    pub fn default_account<'a>(&'a self, bots: &'a [Bot]) -> &'a str {
        self.default_account.as_deref().unwrap_or_else(|| bots.first().map_or(DEFAULT, |bot| bot.id.as_str()))
    }

    fn bot(&self, id: &str, place: &str, account: &AccountConfig) -> Result<Bot, CreateError> {
        let wrong = |key: &str, why: &str| CreateError::new(format!("{place}{key}: {why}"));
        let key_at = |names: (&str, &str), file: &Option<String>, env: &Option<String>| {
            KeySource::of((names.0, file.as_deref()), (names.1, env.as_deref())).map_err(|(key, why)| wrong(key, &why))
        };
        let token = key_at(("token_file", "token_env"), &account.token_file, &account.token_env)?;
        let token = token.ok_or_else(|| wrong("token_file", "this or token_env has to say where the token is"))?;
        let base_url = account.base_url.as_ref().unwrap_or(&self.base_url);
        let base_url = address(base_url).ok_or_else(|| {
            wrong("base_url", "an address such as \"https://api.telegram.org\" is needed, without a token in it")
        })?;
        let webhook = match account.mode.unwrap_or(self.mode) {
            Mode::Polling => None,
            Mode::Webhook => {
                let public = account.webhook_url.as_ref().or(self.webhook_url.as_ref());
                let public = public.and_then(|public| address(public)).filter(|public| public.starts_with("https://"));
                let public = public.ok_or_else(|| {
                    wrong("webhook_url", "mode = \"webhook\" needs an address that begins with https://")
                })?;
                let path = account.webhook_path.clone().unwrap_or_else(|| id.to_string());
                if path.is_empty() || path.len() > 128 || !path.bytes().all(is_plain) {
                    return Err(wrong("webhook_path", "one segment of letters, digits, - and _ is needed"));
                }
                let own = account.webhook_secret_file.is_some() || account.webhook_secret_env.is_some();
                let (file, env) = match own {
                    true => (&account.webhook_secret_file, &account.webhook_secret_env),
                    false => (&self.webhook_secret_file, &self.webhook_secret_env),
                };
                let secret = key_at(("webhook_secret_file", "webhook_secret_env"), file, env)?;
                Some(Webhook { url: format!("{public}/telegram/{path}"), path, secret })
            }
        };
        let name = account.name.clone();
        Ok(Bot { id: id.to_string(), name, token, base_url: base_url.to_string(), webhook })
    }

    /// How long to wait after so many failures in a row.
    pub fn backoff(&self, failures: u32) -> Duration {
        let doubled = self.retry_min_ms.saturating_mul(1 << failures.saturating_sub(1).min(20));
        Duration::from_millis(doubled.min(self.retry_max_ms.max(self.retry_min_ms)))
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn bots(config: Value) -> Result<Vec<Bot>, String> {
        let config: TelegramConfig = serde_json::from_value(config).map_err(|error| error.to_string())?;
        config.bots().map_err(|error| error.to_string())
    }

    #[test]
    fn one_bot_or_several() {
        let alone = bots(json!({})).unwrap();
        assert_eq!((alone.len(), &*alone[0].id, &*alone[0].base_url), (1, "default", "https://api.telegram.org"));
        assert_eq!(alone[0].token, KeySource::Env("TELEGRAM_BOT_TOKEN".to_string()));
        let named = json!({ "base_url": "http://127.0.0.1:8081/", "accounts": {
            "b": { "token_file": "/b" }, "a": { "token_env": "A", "base_url": "https://other.example" },
        } });
        let several = bots(named).unwrap();
        let shown: Vec<_> = several.iter().map(|bot| (bot.id.as_str(), bot.base_url.as_str())).collect();
        assert_eq!(shown, [("a", "https://other.example"), ("b", "http://127.0.0.1:8081")]);
        let both = bots(json!({ "token_file": "/t", "accounts": { "a": { "token_env": "A" } } })).unwrap();
        assert_eq!(both.iter().map(|bot| bot.id.as_str()).collect::<Vec<_>>(), ["default", "a"]);
    }

    #[test]
    fn a_webhook_has_an_address_and_a_path_of_its_own() {
        let config = json!({ "mode": "webhook", "webhook_url": "https://claw.example/", "token_env": "T",
                             "accounts": { "a": { "token_env": "A" }, "p": { "token_env": "P", "mode": "polling" } } });
        let made = bots(config).unwrap();
        let urls: Vec<_> = made.iter().map(|bot| bot.webhook.as_ref().map(|webhook| webhook.url.as_str())).collect();
        let expected = [Some("https://claw.example/telegram/default"), Some("https://claw.example/telegram/a"), None];
        assert_eq!(urls, expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key() {
        for (config, words) in [
            (json!({ "token_env": "A", "token_file": "/b" }), "token_file: token_env is set as well"),
            (json!({ "token_file": "b" }), "token_file: an absolute path"),
            (json!({ "accounts": { "a": {} } }), "accounts.a.token_file: this or token_env"),
            (json!({ "accounts": { "a b": { "token_env": "A" } } }), "accounts.\"a b\": a name of its own"),
            (json!({ "token_env": "A", "accounts": { "default": { "token_env": "A" } } }), "a name of its own"),
            (json!({ "base_url": "api.telegram.org" }), "base_url: an address"),
            (json!({ "mode": "webhook" }), "webhook_url: mode"),
            (json!({ "mode": "webhook", "webhook_url": "http://a" }), "webhook_url: mode"),
            (json!({ "mode": "webhook", "webhook_url": "https://a", "webhook_path": "a/b" }), "webhook_path: one"),
            (json!({ "default_account": "x" }), "default_account: there is no account \"x\""),
            (json!({ "token": "1:a" }), "unknown field `token`"),
        ] {
            let told = bots(config.clone()).unwrap_err();
            assert!(told.contains(words), "{config}: {told}");
        }
        let twice = json!({ "mode": "webhook", "webhook_url": "https://a", "accounts": {
            "a": { "token_env": "A", "webhook_path": "x" }, "b": { "token_env": "B", "webhook_path": "x" } } });
        assert!(bots(twice).unwrap_err().contains("another account's"));
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        let config = TelegramConfig { retry_min_ms: 100, retry_max_ms: 350, ..TelegramConfig::default() };
        let waits: Vec<u128> = [0, 1, 2, 3, 4, 500].map(|count| config.backoff(count).as_millis()).to_vec();
        assert_eq!(waits, [100, 100, 200, 350, 350, 350]);
    }
}
