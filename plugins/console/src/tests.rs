use std::os::unix::fs::symlink;

use plugin_kit::http::{Answer, Ask};
use plugin_kit::{Harness, Running};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Console, base_of, bundle};

fn console(config: Value) -> Running {
    Harness::new::<Console>().config(config).start()
}

fn get(console: &Running, path: &str) -> Answer {
    console.http(Ask::get(path)).wait()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    }
    folder
}

#[test]
fn the_page_is_whole_and_asks_for_nothing_elsewhere() {
    let console = console(json!({}));
    let page = get(&console, "/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("script-src 'self';") && !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    let text = page.text();
    assert!(!text.contains("<style") && !text.contains("style=") && !text.contains("://"), "{text}");
    for tag in text.split("<script").skip(1) {
        assert!(tag.contains("></script>"), "a script within the page: {tag}");
    }
    let named = ["src=\"./", "href=\"./"].into_iter().flat_map(|attribute| text.split(attribute).skip(1));
    let named: Vec<&str> = named.filter_map(|rest| rest.split('"').next()).collect();
    assert!(named.len() >= 3, "{text}");
    for name in named {
        let file = get(&console, &format!("/{name}"));
        assert_eq!(file.status, 200, "{name}");
        let keep = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(file.header("cache-control"), Some(keep), "{name}");
    }
    assert!(bundle::paths().all(|path| get(&console, path).status == 200));
}

#[test]
fn every_answer_is_guarded() {
    let files = folder(&[("index.html", "<p>")]);
    for config in [json!({}), json!({ "root": files.path() }), json!({ "base_path": "/ui" })] {
        let console = console(config);
        for path in ["/", "/index.html", "/none", "/ui", "/ui/"] {
            let answer = get(&console, path);
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("referrer-policy", "no-referrer"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{path}: {name}");
            }
            let policy = answer.header("content-security-policy").expect("a policy");
            assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        }
    }
}

#[test]
fn below_a_base_path_and_nowhere_else() {
    let console = console(json!({ "base_path": "/my/ui/" }));
    let to = get(&console, "/my/ui?a=1");
    assert_eq!((to.status, to.header("location")), (302, Some("./ui/?a=1")));
    assert_eq!(get(&console, "/my/ui/").status, 200);
    assert_eq!(get(&console, "/my/ui/icon.svg").header("content-type"), Some("image/svg+xml"));
    for path in ["/", "/my", "/my/", "/my/uix", "/my/ui/none", "/icon.svg"] {
        assert_eq!(get(&console, path).status, 404, "{path}");
    }
    for wrong in ["", "ui", "/a b", "/a//b", "/..", "/a/../b", "/.hidden", "//", "/ä"] {
        // Slashes alone are the top.
        assert_eq!(base_of(wrong).is_err(), wrong != "//", "{wrong}");
    }
}

#[test]
fn a_folder_is_served_instead() {
    let files = folder(&[
        ("index.html", "<title>theirs</title>"),
        ("inline.html", "<script>1</script>"),
        ("assets/app-D90fEY0m.js", "1"),
        ("assets/plain.js", "2"),
        ("deep/a.txt", "x"),
        (".env", "secret"),
        (".git/config", "secret"),
    ]);
    let outside = folder(&[("secret.txt", "secret")]);
    symlink(outside.path().join("secret.txt"), files.path().join("out.txt")).expect("a link");
    symlink(outside.path(), files.path().join("out")).expect("a link");
    let console = console(json!({ "root": files.path() }));
    assert_eq!(get(&console, "/").text(), "<title>theirs</title>");
    for (path, kind, keep) in [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/assets/app-D90fEY0m.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        ("/assets/plain.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/deep/a.txt", "text/plain; charset=utf-8", "no-cache"),
    ] {
        let file = get(&console, path);
        assert_eq!((file.status, file.header("content-type")), (200, Some(kind)), "{path}");
        assert_eq!(file.header("cache-control"), Some(keep), "{path}");
    }
    let inline = get(&console, "/inline.html");
    let policy = inline.header("content-security-policy").expect("a policy");
    assert!(policy.contains("script-src 'self' 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=';"), "{policy}");
    for path in [
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/out.txt",
        "/out/secret.txt",
        "/%2e%2e/secret.txt",
        "/deep/..%2f..%2fsecret.txt",
        "/deep%2fa.txt",
        "/none.js",
        "/chat",
        "/deep",
    ] {
        assert_eq!(get(&console, path).status, 404, "{path}");
    }
}

#[test]
fn a_browser_that_opens_a_place_on_the_page_is_given_the_page() {
    let files = folder(&[("index.html", "<title>theirs</title>")]);
    let console = console(json!({ "root": files.path(), "base_path": "/ui" }));
    let open = |path: &str| console.http(Ask::get(path).header("accept", "text/html,*/*;q=0.8")).wait();
    for path in ["/ui/chat", "/ui/chat/main"] {
        let page = open(path);
        assert_eq!((page.status, page.text().as_str()), (200, "<title>theirs</title>"), "{path}");
        assert_eq!(page.header("cache-control"), Some("no-cache"));
    }
    for path in ["/ui/none.js", "/ui/.hidden", "/chat", "/ui/%2e%2e%2fetc"] {
        assert_eq!(open(path).status, 404, "{path}");
    }
    assert_eq!(get(&console, "/ui/chat").status, 404, "a program is told that there is nothing");
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let files = folder(&[("index.html", "<p>")]);
    let console = console(json!({ "root": files.path() }));
    let tag = get(&console, "/").header("etag").expect("a tag").to_string();
    let again = |tag: &str| console.http(Ask::get("/").header("if-none-match", tag)).wait();
    let same = again(&format!("\"x\", {tag}"));
    assert_eq!((same.status, same.body.len()), (304, 0));
    std::fs::write(files.path().join("index.html"), "<p>changed").expect("a file");
    assert_eq!(again(&tag).text(), "<p>changed");
}

#[test]
fn what_cannot_be_served_is_refused_with_its_key() {
    for (config, said) in [
        (json!({ "root": "pages" }), "root pages has to be an absolute path"),
        (json!({ "root": "/no/such/folder" }), "root /no/such/folder is no folder"),
        (json!({ "base_path": "ui" }), "base_path \"ui\" has to begin with a slash"),
    ] {
        let error = Harness::new::<Console>().config(config).create_error();
        assert!(error.contains(said), "{error}");
    }
}
