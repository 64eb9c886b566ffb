//! The page that draws A2UI messages. It is part of the program and has nothing to wait for, so it never reloads by itself.

use folder::kinds;
use plugin_api::http::{self, Exchange, Response};

use crate::{quiet, redirect};

const PAGE: &str = include_str!("page/a2ui.html");
const STYLE: &str = include_str!("page/a2ui.css");
const SCRIPTS: [(&str, &str); 2] =
    [("/a2ui.js", include_str!("page/a2ui.js")), ("/widgets.js", include_str!("page/widgets.js"))];

/// Answers with one of its files.
pub async fn show(exchange: Exchange) -> http::Result {
    let (name, text) = match exchange.below() {
        "" => return redirect(exchange).await,
        "/" | "/index.html" => ("index.html", PAGE),
        "/a2ui.css" => ("a2ui.css", STYLE),
        below => match SCRIPTS.iter().find(|(path, _)| *path == below) {
            Some((path, script)) => (&path[1..], *script),
            None => return exchange.respond(quiet(Response::status(404))).await,
        },
    };
    exchange.respond(quiet(Response::body(kinds::of(name), text))).await
}
