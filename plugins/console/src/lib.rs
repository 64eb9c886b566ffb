//! A page on the gateway's port, by which people talk to agents, watch the gateway and decide about what waits for them.
//!
//! It serves no method and knows no secret: the page is for anyone, and what it can do is what the gateway lets its
//! connection do, as with any other client. Its sources are in `web`; what is built of them is in `dist`, and part of the
//! program. Instead of it the files of a folder can be served, a page that somebody has from elsewhere.

mod answer;
mod bundle;
mod root;

use std::path::PathBuf;
use std::sync::Arc;

use plugin_api::catalogue::GatewayInfo;
use plugin_api::http::{self, Exchange, HttpSpec};
use plugin_api::{Call, CreateError, Host, Manifest, MethodError, NoParams, Plugin, Reply, Setup, StartError};
use schemars::JsonSchema;
use serde::Deserialize;

/// `[plugins.console.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleConfig {
    /// The path below which the page is.
    #[schemars(length(min = 1, max = 200))]
    pub base_path: String,
    /// A folder whose files are served instead of the page, an absolute path.
    #[schemars(length(min = 1))]
    pub root: Option<PathBuf>,
    /// Whether a page of `root` may have styles in its elements, which some pages from elsewhere need.
    pub inline_styles: bool,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        ConsoleConfig { base_path: "/".to_string(), root: None, inline_styles: false }
    }
}

/// The plugin.
pub struct Console {
    host: Host,
    /// Without a slash at its end: empty at the top.
    base: String,
    root: Option<PathBuf>,
    inline_styles: bool,
    policy: String,
}

impl Plugin for Console {
    fn manifest() -> Manifest {
        Manifest::new("console", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("A page to talk to agents, to watch the gateway and to decide about what waits.")
            .invokes(&["host.gateway.info"])
            .config::<ConsoleConfig>()
            .http(
                HttpSpec::anyone("/")
                    .summary("The page. It is for anyone; what it can do is for its connection to say."),
            )
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let ConsoleConfig { base_path, root, inline_styles } = setup.config()?;
        let base = base_of(&base_path).map_err(CreateError::new)?;
        if let Some(root) = &root {
            root::check(root).map_err(CreateError::new)?;
        }
        Ok(Console { host, base, root, inline_styles, policy: answer::policy() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let console = self.clone();
        self.host.spawn(async move { console.say_where().await });
        Ok(())
    }

    async fn call(self: Arc<Self>, _: Call) -> Reply {
        Reply::Error(MethodError::unavailable("console serves no method"))
    }

    async fn http(self: Arc<Self>, exchange: Exchange) -> http::Result {
        match exchange.path().strip_prefix(&self.base) {
            Some("") => self.redirect(exchange).await,
            Some(below) if below.starts_with('/') => {
                let below = below.to_string();
                match &self.root {
                    Some(root) => root::answer(&self, root, exchange, &below).await,
                    None => bundle::answer(&self, exchange, &below).await,
                }
            }
            _ => exchange.respond(answer::nothing(&self.policy)).await,
        }
    }
}

plugin_api::plugin!(Console);

impl Console {
    /// To the base path with a slash at its end, from where the page's relative links lead to its files.
    async fn redirect(&self, exchange: Exchange) -> http::Result {
        let last = self.base.rsplit('/').next().unwrap_or_default();
        let query = exchange.query().map(|query| format!("?{query}")).unwrap_or_default();
        exchange.respond(answer::redirect(&self.policy, &format!("./{last}/{query}"))).await
    }

    /// Who starts a gateway for the first time learns where to look.
    async fn say_where(&self) {
        let info: Result<GatewayInfo, _> = self.host.invoke("host.gateway.info", &NoParams {}).send().await;
        let Ok(info) = info else { return };
        let Some(address) = info.addresses.first() else { return };
        let scheme = if info.tls_fingerprint.is_some() { "https" } else { "http" };
        // Where it listens everywhere, a browser on this machine finds it on loopback.
        let address = address.replacen("0.0.0.0", "127.0.0.1", 1).replacen("[::]", "[::1]", 1);
        let base = &self.base;
        self.host.info(&format!(
            "the page is at {scheme}://{address}{base}/; `clawhost dashboard` prints a link that lets a browser in"
        ));
    }
}

/// The base path without a slash at its end.
fn base_of(path: &str) -> Result<String, String> {
    let base = path.trim_end_matches('/');
    let is_name = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
    };
    match base.strip_prefix('/') {
        None if base.is_empty() && path.starts_with('/') => Ok(String::new()),
        Some(names) if names.split('/').all(is_name) => Ok(base.to_string()),
        _ => {
            Err(format!("base_path {path:?} has to begin with a slash and be made of plain names, as in \"/control\""))
        }
    }
}

#[cfg(test)]
mod tests;
