//! Files of one folder, shown over HTTP: what several plugins do, and none may do wrongly.
//!
//! A path that a client sent is taken apart into names ([`Path`]), which are opened one below the other, none of them a link
//! ([`find`]): nothing outside the folder is shown, whatever the path says and whatever happens in the folder meanwhile.

mod files;
pub mod kinds;

use std::fs::File;

use plugin_api::Host;
use plugin_api::http::{self, Exchange, Response};

pub use files::{Found, Path, find};

/// What is read and sent at once, in bytes.
pub const CHUNK: u64 = 64 * 1024;

/// Answers with a file, piece by piece. `head` is all but the length.
pub async fn send(host: &Host, exchange: Exchange, head: Response, mut file: File, length: u64) -> http::Result {
    let head = head.header("content-length", &length.to_string());
    if exchange.verb() == "HEAD" {
        return exchange.respond(head).await;
    }
    let (mut answer, _) = exchange.stream(head)?;
    let mut left = length;
    while left > 0 {
        let bytes;
        (file, bytes) = read(host, file, left.min(CHUNK)).await?;
        if bytes.is_empty() {
            return Err(http::Error::failed("a file became shorter while it was sent"));
        }
        left -= bytes.len() as u64;
        answer.write(&bytes).await?;
    }
    answer.end()
}

/// Reads at most so many bytes where that may block, and gives the file back.
pub async fn read(host: &Host, file: File, bytes: u64) -> http::Result<(File, Vec<u8>)> {
    let (file, read) = host.blocking(move || files::read(file, bytes)).await?;
    let read = read.map_err(|error| http::Error::failed(format!("a file cannot be read: {error}")))?;
    Ok((file, read))
}
