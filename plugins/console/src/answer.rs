//! What every answer here says beside its content: who may do what with it in a browser, and how long it is kept.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use plugin_api::http::Response;
use sha2::{Digest, Sha256};

/// A file whose name says what is in it is another file when it changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Kept, and asked for each time whether it is still the same.
const ASK: &str = "no-cache";
/// Characters of the hash at the end of a built file's name.
const HASH: usize = 8;

/// The content security policy: everything from here, nothing inline, no other host, in nobody's frame.
pub fn policy() -> String {
    policy_of("", "'self'", "'self'")
}

/// The same for a page from elsewhere: scripts within it run by their hashes, so that none can be put in, and it may read what
/// it has written into an address of its own (`data:`).
pub fn policy_of_page(page: &str, inline_styles: bool) -> String {
    let style = if inline_styles { "'self' 'unsafe-inline'" } else { "'self'" };
    let hashes: String = inline_scripts(page)
        .map(|script| format!(" 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(script.as_bytes()))))
        .collect();
    policy_of(&hashes, style, "'self' data:")
}

fn policy_of(hashes: &str, style: &str, connect: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'{hashes}; style-src {style}; img-src 'self' data: blob:; font-src 'self'; \
         connect-src {connect}; media-src 'self' data: blob:; manifest-src 'self'; worker-src 'self'; form-action 'none'; \
         base-uri 'none'; frame-ancestors 'none'"
    )
}

/// What stands within the script elements of a page that name no file.
fn inline_scripts(page: &str) -> impl Iterator<Item = &str> {
    // Of the same length as the page, since only ASCII letters change.
    let small = page.to_ascii_lowercase();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let tag = at + small[at..].find("<script")?;
            let begin = tag + small[tag..].find('>')? + 1;
            let end = begin + small[begin..].find("</script")?;
            at = end;
            let has_file = small[tag..begin].split_ascii_whitespace().any(|word| word.starts_with("src="));
            if !has_file {
                return Some(&page[begin..end]);
            }
        }
    })
}

/// With the headers of every answer here.
pub fn guarded(response: Response, policy: &str) -> Response {
    response
        .header("content-security-policy", policy)
        .header("x-content-type-options", "nosniff")
        .header("x-frame-options", "DENY")
        .header("referrer-policy", "no-referrer")
        .header("cross-origin-opener-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin")
        .header("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
}

/// The same for a file, with how long it is kept.
pub fn file(response: Response, policy: &str, path: &str) -> Response {
    let keep = if is_hashed(path) { FOR_EVER } else { ASK };
    guarded(response, policy).header("cache-control", keep)
}

/// 404
pub fn nothing(policy: &str) -> Response {
    guarded(Response::status(404), policy).header("cache-control", "no-store")
}

/// 302
pub fn redirect(policy: &str, place: &str) -> Response {
    guarded(Response::status(302), policy).header("cache-control", ASK).header("location", place)
}

/// Whether the name of a file holds a hash of its content, as the usual tools write it: `assets/index-D90fEY0m.js`. A word
/// of that length is written small, so a hash without a capital letter is taken for one, and asked for each time.
fn is_hashed(path: &str) -> bool {
    let Some((folder, name)) = path.rsplit_once('/') else { return false };
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    let Some(at) = stem.len().checked_sub(HASH).filter(|at| stem.is_char_boundary(*at)) else { return false };
    let (before, hash) = stem.split_at(at);
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    folder.ends_with("/assets")
        && before.ends_with(['-', '.'])
        && hash.bytes().all(is_word)
        && hash.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_hash_are_kept_for_ever() {
        for path in ["/assets/index-D90fEY0m.js", "/x/assets/a-B-_45678.css", "/assets/style-BZYzZXUK.css.map"] {
            assert!(is_hashed(path), "{path}");
        }
        for path in [
            "/index.html",
            "/assets/index.js",
            "/assets/my-document.css",
            "/assets/D90fEY0m.js",
            "/index-D90fEY0m.js",
            "/assets/indexD90fEY0m.js",
            "/assets/index-ÄÖÜäöüß.js",
            "/assets/",
        ] {
            assert!(!is_hashed(path), "{path}");
        }
    }

    #[test]
    fn scripts_within_a_page_run_by_their_hashes_only() {
        assert!(!policy().contains("unsafe") && !policy().contains("sha256"));
        let page = "<p><SCRIPT type=x>1</SCRIPT><script async src=\"a.js\"></script><script></script><script>é</script ><script>";
        assert_eq!(inline_scripts(page).collect::<Vec<_>>(), ["1", "", "é"]);
        let of_page = policy_of_page("<script>1</script>", false);
        // `printf 1 | openssl dgst -sha256 -binary | base64`
        let hash = "script-src 'self' 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=';";
        assert!(of_page.contains(hash) && !of_page.contains("unsafe"), "{of_page}");
        assert_eq!(policy_of_page("", true).matches("unsafe").count(), 1);
    }
}
