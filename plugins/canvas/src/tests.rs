use std::os::unix::fs::symlink;
use std::time::Duration;

use folder::CHUNK;
use plugin_api::http::Message;
use plugin_kit::http::{Answer, Ask};
use plugin_kit::{Harness, Running};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Canvas, starter};

/// A canvas that shows a folder of the test's.
struct Shown {
    canvas: Running,
    folder: TempDir,
}

fn shown(config: Value) -> Shown {
    let folder = TempDir::new().expect("a temporary folder");
    let mut all = json!({ "root": folder.path() });
    all.as_object_mut().expect("an object").extend(config.as_object().expect("an object").clone());
    Shown { canvas: Harness::new::<Canvas>().config(all).start(), folder }
}

impl Shown {
    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let file = self.folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, bytes).expect("a file");
    }

    fn get(&self, path: &str) -> Answer {
        self.canvas.http(Ask::get(path)).wait()
    }

    fn status(&self, path: &str) -> u32 {
        self.get(&format!("/__openclaw__/canvas{path}")).status
    }
}

#[test]
fn a_new_folder_begins_with_a_page() {
    let canvas = Harness::new::<Canvas>().start();
    let folder = canvas.data_dir().join("canvas");
    assert_eq!(std::fs::read_to_string(folder.join("index.html")).expect("a page"), starter::PAGE);
    let page = canvas.http(Ask::get("/__moltbot__/canvas/")).wait();
    assert!(page.status == 200 && page.text().contains("<h1>Canvas</h1>"), "{page:?}");

    let canvas = shown(json!({}));
    assert_eq!(canvas.status("/"), 404, "a folder that was there is left as it is");
}

#[test]
fn files_and_folders_are_shown_under_every_name() {
    let canvas = shown(json!({}));
    canvas.put("a b/é.CSS", "x");
    canvas.put("a b/index.html", "<p>");
    for brand in ["clawdbot", "moltbot", "openclaw"] {
        let file = canvas.get(&format!("/__{brand}__/canvas/a%20b/%c3%A9.CSS"));
        assert_eq!((file.status, file.text().as_str()), (200, "x"));
        assert_eq!(file.header("content-type"), Some("text/css; charset=utf-8"));
        assert_eq!(file.header("content-length"), Some("1"));
        for (name, value) in
            [("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff")]
        {
            assert_eq!(file.header(name), Some(value));
        }
        let folder = canvas.get(&format!("/__{brand}__/canvas/a%20b?q=1"));
        assert_eq!((folder.status, folder.header("location")), (302, Some("./a%20b/?q=1")));
        let top = canvas.get(&format!("/__{brand}__/canvas"));
        assert_eq!((top.status, top.header("location")), (302, Some("./canvas/")));
        let page = canvas.get(&format!("/__{brand}__/canvas/a%20b/"));
        assert!(page.status == 200 && page.text().starts_with("<p><script data-since="), "{page:?}");
    }
}

#[test]
fn nothing_else_is_shown() {
    let canvas = shown(json!({}));
    canvas.put("in/a.txt", "x");
    canvas.put(".hidden", "x");
    canvas.put("in/.git/config", "x");
    let outside = TempDir::new().expect("a temporary folder");
    std::fs::write(outside.path().join("index.html"), "secret").expect("a file");
    let root = canvas.folder.path();
    symlink(outside.path(), root.join("out")).expect("a link");
    symlink(outside.path().join("index.html"), root.join("out.html")).expect("a link");
    symlink(root.join("in/a.txt"), root.join("inner.txt")).expect("a link");
    std::fs::create_dir(root.join("linked")).expect("a folder");
    symlink(outside.path().join("index.html"), root.join("linked/index.html")).expect("a link");
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .expect("a pipe");
    assert_eq!(canvas.status("/in/a.txt"), 200);
    for path in [
        "/none",
        "/in/a.txt/",
        "/in/a.txt/b",
        "/in/",
        "/.hidden",
        "/%2ehidden",
        "/in/.git/config",
        "/..",
        "/%2e%2e/x",
        "/in%2fa.txt",
        "/in/..%2f..%2fetc/passwd",
        "/in%5ca.txt",
        "/a%00",
        "/a%",
        "/a%zz",
        "/%ff",
        "/out/",
        "/out",
        "/out/index.html",
        "/out.html",
        "/inner.txt",
        "/linked/",
        "/linked/index.html",
        "/pipe",
        "//in/a.txt",
    ] {
        let answer = canvas.get(&format!("/__openclaw__/canvas{path}"));
        assert_eq!((answer.status, answer.text().as_str()), (404, "Not Found"), "{path}");
    }
}

#[test]
fn large_files_come_piece_by_piece_up_to_a_limit() {
    let limit = 3 * CHUNK;
    let canvas = shown(json!({ "max_file_bytes": limit }));
    let bytes: Vec<u8> = (0..limit).map(|byte| (byte % 251) as u8).collect();
    canvas.put("a.bin", &bytes);
    canvas.put("b.bin", [bytes.as_slice(), b"!"].concat());
    let file = canvas.get("/__openclaw__/canvas/a.bin");
    assert!(file.status == 200 && file.whole && file.body == bytes);
    assert_eq!(file.header("content-length"), Some(limit.to_string().as_str()));
    let head = canvas.canvas.http(Ask::new("HEAD", "/__openclaw__/canvas/a.bin")).wait();
    assert_eq!((head.status, head.header("content-length")), (200, Some(limit.to_string().as_str())));
    let large = canvas.get("/__openclaw__/canvas/b.bin");
    assert_eq!((large.status, large.text().as_str()), (413, "this file is larger than the canvas shows"));
}

#[test]
fn pages_hear_of_changes_as_long_as_there_is_a_place() {
    let canvas = shown(json!({ "max_sockets": 1, "reload_debounce_ms": 75 }));
    let plain = canvas.get("/__moltbot/ws");
    assert_eq!((plain.status, plain.text().as_str()), (426, "upgrade required"));
    assert_eq!(plain.header("upgrade"), Some("websocket"));

    // It has seen an older state than this one.
    let socket = canvas.canvas.http(Ask::upgrade("/__openclaw__/ws?since=1"));
    socket.upgraded();
    assert_eq!(socket.message(), Message::Text("reload".to_string()));
    assert_eq!(canvas.canvas.http(Ask::upgrade("/__clawdbot/ws")).wait().status, 503);

    canvas.put("a.txt", "x");
    canvas.canvas.wait_until("a touch", |canvas| canvas.timers() > 0);
    canvas.canvas.advance(Duration::from_secs(5));
    assert_eq!(socket.message(), Message::Text("reload".to_string()));
    socket.hang_up();
    let next = canvas.canvas.http(Ask::upgrade("/__clawdbot/ws"));
    next.upgraded();
    next.hang_up();
}

#[test]
fn without_live_reload_pages_are_sent_as_they_are() {
    let canvas = shown(json!({ "live_reload": false }));
    canvas.put("a.html", "<body></body>");
    assert_eq!(canvas.get("/__openclaw__/canvas/a.html").text(), "<body></body>");
    assert_eq!(canvas.canvas.http(Ask::upgrade("/__openclaw__/ws")).wait().status, 404);
    assert_eq!(canvas.get("/__openclaw__/ws").status, 404);
}

#[test]
fn the_page_of_a2ui_is_whole() {
    let canvas = shown(json!({}));
    assert_eq!(canvas.get("/__openclaw__/a2ui?platform=ios").header("location"), Some("./a2ui/?platform=ios"));
    let page = canvas.get("/__openclaw__/a2ui/?platform=ios").text();
    for (attribute, kind) in [("src=\"", "text/javascript; charset=utf-8"), ("href=\"", "text/css; charset=utf-8")] {
        let named: Vec<&str> = page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(!named.is_empty(), "{page}");
        for name in named {
            let file = canvas.get(&format!("/__openclaw__/a2ui/{name}"));
            assert_eq!((file.status, file.header("content-type")), (200, Some(kind)), "{name}");
        }
    }
    assert_eq!(canvas.get("/__openclaw__/a2ui/none").status, 404);
}

#[test]
fn a_root_that_depends_on_where_it_was_started_is_refused() {
    let error = Harness::new::<Canvas>().config(json!({ "root": "pages" })).create_error();
    assert!(error.contains("absolute"), "{error}");
}
