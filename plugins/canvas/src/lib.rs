//! What nodes and operators show of the owner's own pages: the files of one folder, which reload by themselves when they
//! change, and a page that draws what agents describe by A2UI messages.
//!
//! It serves no method. All of it is HTTP, at the paths of the product's three names, for who shows the gateway's secret or
//! comes with the address that hello-ok told.

mod a2ui;
mod reload;
mod starter;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use folder::{Found, kinds};
use plugin_api::http::{self, Exchange, HttpSpec, Response};
use plugin_api::{Call, CreateError, Host, Manifest, MethodError, Plugin, Reply, Setup, Spawned, StartError};
use schemars::JsonSchema;
use serde::Deserialize;

use reload::Reload;

/// The product's three names.
const BRANDS: [&str; 3] = ["clawdbot", "moltbot", "openclaw"];
/// Where pages wait for changes; two of them are not below their brand's other paths.
const SOCKETS: [&str; 3] = ["/__clawdbot/ws", "/__moltbot/ws", "/__openclaw__/ws"];
/// Largest message of a page, which has nothing to say.
const MAX_MESSAGE: u64 = 1024;
/// A larger page is sent as it is, piece by piece, and does not reload by itself.
const LARGEST_PAGE: u64 = 4 * 1024 * 1024;

/// `[plugins.canvas.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CanvasConfig {
    /// The folder that is shown, an absolute path; if absent, `canvas` in the plugin's own folder. Made with a first page
    /// when it is not there.
    #[schemars(length(min = 1))]
    pub root: Option<PathBuf>,
    /// Whether pages reload when a file below the folder changes.
    pub live_reload: bool,
    /// Largest file that is shown, in bytes.
    pub max_file_bytes: u64,
    /// Milliseconds without a change after which pages reload.
    #[schemars(range(min = 1, max = 60_000))]
    pub reload_debounce_ms: u64,
    /// Pages that can wait for changes at once.
    pub max_sockets: usize,
}

impl Default for CanvasConfig {
    fn default() -> Self {
        CanvasConfig {
            root: None,
            live_reload: true,
            max_file_bytes: 64 * 1024 * 1024,
            reload_debounce_ms: 75,
            max_sockets: 64,
        }
    }
}

/// The plugin.
pub struct Canvas {
    host: Host,
    config: CanvasConfig,
    root: PathBuf,
    reload: Reload,
    task: Mutex<Option<Spawned>>,
}

impl Plugin for Canvas {
    fn manifest() -> Manifest {
        let manifest = Manifest::new("canvas", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Shows pages of the owner and what agents describe by A2UI on nodes and operators' screens.")
            .config::<CanvasConfig>();
        let surface = |path: String, summary: &str| HttpSpec::capability(&path).surface("canvas").summary(summary);
        let manifest = BRANDS.iter().fold(manifest, |manifest, brand| {
            manifest
                .http(surface(format!("/__{brand}__/canvas"), "Files of the canvas folder."))
                .http(surface(format!("/__{brand}__/a2ui"), "A page that draws A2UI messages."))
        });
        SOCKETS.iter().fold(manifest, |manifest, path| {
            let socket = HttpSpec::capability(path).verbs(&["GET"]).upgrade(MAX_MESSAGE);
            manifest.http(socket.summary("Says `reload` when a file of the canvas folder has changed."))
        })
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: CanvasConfig = setup.config()?;
        let root = match &config.root {
            Some(root) if root.is_absolute() => root.clone(),
            Some(_) => return Err(CreateError::new("root has to be an absolute path")),
            None => setup.data_dir()?.join("canvas"),
        };
        let reload = Reload::new(config.max_sockets);
        Ok(Canvas { host, config, root, reload, task: Mutex::default() })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        if let Err(error) = starter::prepare(&self.root) {
            self.host.warn(&format!("the canvas folder {} cannot be made: {error}", self.root.display()));
        }
        if self.config.live_reload {
            let canvas = self.clone();
            let task = self.host.spawn(async move { reload::watch(&canvas).await });
            *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        }
        Ok(())
    }

    async fn call(self: Arc<Self>, _: Call) -> Reply {
        Reply::Error(MethodError::unavailable("canvas serves no method"))
    }

    async fn http(self: Arc<Self>, exchange: Exchange) -> http::Result {
        match exchange.route().rsplit('/').next() {
            Some("canvas") => self.show(exchange).await,
            Some("a2ui") => a2ui::show(exchange).await,
            _ if !self.config.live_reload => exchange.respond(quiet(Response::status(404))).await,
            _ => self.reload.follow(exchange).await,
        }
    }

    async fn quiesce(&self) {
        // Out of the lock first: the watch ends with the task.
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.cancel();
        }
    }
}

plugin_api::plugin!(Canvas);

impl Canvas {
    /// Answers with a file.
    async fn show(&self, exchange: Exchange) -> http::Result {
        let Some(path) = folder::Path::of(exchange.below()) else {
            return exchange.respond(quiet(Response::status(404))).await;
        };
        let root = self.root.clone();
        let found = self.host.blocking(move || folder::find(&root, &path)).await?;
        match found.map_err(|error| http::Error::failed(format!("a file of the canvas cannot be read: {error}")))? {
            Found::Nothing => exchange.respond(quiet(Response::status(404))).await,
            Found::Folder => redirect(exchange).await,
            Found::File { length, .. } if length > self.config.max_file_bytes => {
                let refusal = Response::text("this file is larger than the canvas shows").with_status(413);
                exchange.respond(quiet(refusal)).await
            }
            Found::File { file, length, name } => {
                let kind = kinds::of(&name);
                if self.config.live_reload && kind.starts_with("text/html") && length <= LARGEST_PAGE {
                    return self.page(exchange, file, length).await;
                }
                folder::send(&self.host, exchange, quiet(Response::begin(kind)), file, length).await
            }
        }
    }

    /// A page, with the script that waits for changes.
    async fn page(&self, exchange: Exchange, file: File, length: u64) -> http::Result {
        // Told before it is read: what changes meanwhile counts as a change.
        let since = self.reload.since().await;
        let (_, page) = folder::read(&self.host, file, length).await?;
        let page = reload::with_script(page, since);
        exchange.respond(quiet(Response::body(kinds::PAGE, page))).await
    }
}

/// Sends a client to the same folder with a slash at its end, from where relative links lead into it. The address is
/// relative too: what comes before it is the client's business.
async fn redirect(exchange: Exchange) -> http::Result {
    let last = exchange.path().rsplit('/').next().unwrap_or_default();
    let query = exchange.query().map(|query| format!("?{query}")).unwrap_or_default();
    let place = format!("./{last}/{query}");
    exchange.respond(quiet(Response::status(302).header("location", &place))).await
}

/// With the headers of every answer here. The address of a page lets its bearer in, so it is told to nobody.
fn quiet(response: Response) -> Response {
    response
        .header("cache-control", "no-store")
        .header("referrer-policy", "no-referrer")
        .header("x-content-type-options", "nosniff")
}

#[cfg(test)]
mod tests;
