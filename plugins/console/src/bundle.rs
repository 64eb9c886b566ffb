//! The page that is part of the program.

use folder::kinds;
use plugin_api::http::{self, Exchange, Response};

use crate::{Console, answer};

/// Path and content of each file, sorted by path.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/bundle.rs"));
const PAGE: &str = "/index.html";

/// Answers with one of its files. Places on the page are behind `#`, so every other path is nothing.
pub async fn answer(console: &Console, exchange: Exchange, below: &str) -> http::Result {
    let path = if below == "/" { PAGE } else { below };
    match FILES.binary_search_by_key(&path, |(known, _)| known) {
        Ok(place) => {
            let response = Response::body(kinds::of(path), FILES[place].1);
            exchange.respond(answer::file(response, &console.policy, path)).await
        }
        Err(_) => exchange.respond(answer::nothing(&console.policy)).await,
    }
}

#[cfg(test)]
pub fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(path, _)| *path)
}
