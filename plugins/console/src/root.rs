//! A page from elsewhere: the files of a folder, under the same rules as our own page.

use std::path::Path;
use std::time::SystemTime;

use folder::{Found, kinds};
use plugin_api::http::{self, Exchange, Response};

use crate::{Console, answer};

const PAGE: &str = "/index.html";
/// A larger page is sent as it is, and scripts within it do not run.
const LARGEST_PAGE: u64 = 4 * 1024 * 1024;

/// Whether a folder can be served.
pub fn check(root: &Path) -> Result<(), String> {
    if !root.is_absolute() {
        return Err(format!("root {} has to be an absolute path", root.display()));
    }
    if !root.is_dir() {
        return Err(format!("root {} is no folder", root.display()));
    }
    Ok(())
}

/// Answers with one of its files. Pages of one document keep their places in the path, so whoever opens such a place in a
/// browser is given the document; programs that ask for what is not there are told so.
pub async fn answer(console: &Console, root: &Path, exchange: Exchange, below: &str) -> http::Result {
    if let Some((found, tag)) = look(console, root, below).await? {
        return send(console, exchange, found, tag, below).await;
    }
    let is_place = !below.rsplit('/').next().unwrap_or_default().contains('.');
    let by_browser = exchange.header("accept").is_some_and(|accept| accept.contains("text/html"));
    if is_place
        && by_browser
        && folder::Path::of(below).is_some()
        && let Some((found, tag)) = look(console, root, PAGE).await?
    {
        return send(console, exchange, found, tag, PAGE).await;
    }
    exchange.respond(answer::nothing(&console.policy)).await
}

/// The file at a path, and what it is known by until it changes.
async fn look(console: &Console, root: &Path, below: &str) -> http::Result<Option<(Found, String)>> {
    let Some(path) = folder::Path::of(below) else { return Ok(None) };
    let root = root.to_path_buf();
    let found = console.host.blocking(move || {
        let found = folder::find(&root, &path)?;
        let tag = match &found {
            Found::File { file, length, .. } => Some(tag(*length, file.metadata()?.modified().ok())),
            Found::Nothing | Found::Folder => None,
        };
        Ok::<_, std::io::Error>(tag.map(|tag| (found, tag)))
    });
    found.await?.map_err(|error| http::Error::failed(format!("a file of the page cannot be read: {error}")))
}

fn tag(length: u64, changed: Option<SystemTime>) -> String {
    let since = changed.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
    format!("W/\"{length:x}-{:x}\"", since.as_nanos())
}

async fn send(console: &Console, exchange: Exchange, found: Found, tag: String, path: &str) -> http::Result {
    let Found::File { file, length, name } = found else {
        return exchange.respond(answer::nothing(&console.policy)).await;
    };
    let kind = kinds::of(&name);
    let is_known = exchange.header("if-none-match").is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let dressed = |response: Response, policy: &str| answer::file(response, policy, path).header("etag", &tag);
    if kind == kinds::PAGE && length <= LARGEST_PAGE {
        // Also where it is known: what the browser has of it takes over the headers of this answer.
        let (_, page) = folder::read(&console.host, file, length).await?;
        let policy = answer::policy_of_page(&String::from_utf8_lossy(&page), console.inline_styles);
        let response = if is_known { Response::status(304) } else { Response::body(kind, page) };
        return exchange.respond(dressed(response, &policy)).await;
    }
    if is_known {
        return exchange.respond(dressed(Response::status(304), &console.policy)).await;
    }
    let head = dressed(Response::begin(kind), &console.policy);
    folder::send(&console.host, exchange, head, file, length).await
}
