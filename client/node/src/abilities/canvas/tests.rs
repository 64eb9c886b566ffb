//! With the real browser, and with pages from a server of this test's own.

use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::abilities::ffmpeg;
use crate::gateway::Line;

/// A canvas, or the news that there is no browser. As root there is one without its sandbox only.
fn canvas(test: &str) -> Option<(Canvas, Gateway)> {
    canvas_and_line(test).map(|(canvas, gateway, _)| (canvas, gateway))
}

/// The same with what the session reads.
fn canvas_and_line(test: &str) -> Option<(Canvas, Gateway, Line)> {
    let sandbox = !rustix::process::geteuid().is_root();
    let Some(program) = Program::find(None, sandbox).unwrap() else {
        ffmpeg::testing::skip(test);
        return None;
    };
    let (gateway, line) = Gateway::new();
    Some((Canvas::new(program, gateway.clone()), gateway, line))
}

async fn ask(canvas: &Canvas, command: &str, params: Value) -> Answer {
    within_time(canvas, command, params, Duration::from_secs(60)).await
}

async fn within_time(canvas: &Canvas, command: &str, params: Value, time: Duration) -> Answer {
    canvas.run(command, &params.to_string(), Instant::now() + time).await
}

async fn eval(canvas: &Canvas, script: &str) -> String {
    let answer = ask(canvas, "canvas.eval", json!({ "javaScript": script })).await.unwrap();
    answer["result"].as_str().unwrap().to_string()
}

/// A server of pages by their path, or of headers that send on; anything else is not found.
async fn serve(pages: &'static [(&'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    if socket.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let head = String::from_utf8_lossy(&head);
                let path = head.split([' ', '?']).nth(1).unwrap_or_default();
                let page = pages.iter().find(|(known, _)| *known == path).map(|(_, page)| *page);
                let status = match page {
                    Some(page) if page.starts_with("location: ") => &format!("302 Found\r\n{page}"),
                    Some("" | "refused") => "401 Unauthorized",
                    Some(_) => "200 OK",
                    None => "404 Not Found",
                };
                let page = page.unwrap_or("<title>nothing</title>");
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
                    page.len()
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

/// The browser's group of processes, and its profile.
async fn running(canvas: &Canvas) -> Option<(Pid, std::path::PathBuf)> {
    let state = canvas.state.lock().await;
    state.browser.as_ref().map(Chromium::running)
}

#[tokio::test]
async fn a_page_is_shown_asked_and_drawn() {
    let Some((canvas, gateway)) = canvas("a_page_is_shown_asked_and_drawn") else { return };
    let server =
        serve(&[("/one", "<title>one</title><body style='background:red'>"), ("/two", "<title>two</title>")]).await;
    let placed = json!({ "url": format!("{server}/one"), "placement": { "x": 5, "width": 400, "height": 300 } });
    assert_eq!(ask(&canvas, "canvas.present", placed).await.unwrap(), Value::Null);
    assert_eq!(eval(&canvas, "document.title").await, "one");
    assert_eq!(eval(&canvas, "Promise.resolve({ a: [1, innerWidth] })").await, r#"{"a":[1,400]}"#);
    assert_eq!(eval(&canvas, "undefined").await + &eval(&canvas, "NaN").await, "NaN");

    let size = |drawn: &Value| ffmpeg::size(&STANDARD.decode(drawn["base64"].as_str().unwrap()).unwrap()).unwrap();
    let drawn = ask(&canvas, "canvas.snapshot", json!({ "format": "png" })).await.unwrap();
    assert_eq!((drawn["format"].as_str(), size(&drawn)), (Some("png"), (400, 300)));
    let drawn = ask(&canvas, "canvas.snapshot", json!({ "maxWidth": 200, "quality": 0.5 })).await.unwrap();
    assert_eq!((drawn["format"].as_str(), size(&drawn)), (Some("jpeg"), (200, 150)));

    gateway.at(Some(server));
    ask(&canvas, "canvas.navigate", json!({ "url": "/two" })).await.unwrap();
    assert_eq!(ask(&canvas, "canvas.present", json!({})).await.unwrap(), Value::Null);
    assert_eq!(eval(&canvas, "document.title").await, "two");

    assert!(running(&canvas).await.is_some());
    assert_eq!(ask(&canvas, "canvas.hide", json!({})).await.unwrap(), Value::Null);
    assert!(running(&canvas).await.is_none());
    assert_eq!(eval(&canvas, "location.href").await, "about:blank");
    canvas.stop().await;
}

#[tokio::test]
async fn scripts_have_an_end_and_their_results_a_limit() {
    let Some((canvas, _)) = canvas("scripts_have_an_end_and_their_results_a_limit") else { return };
    let eval_within = |script: &'static str, time: u64| {
        within_time(&canvas, "canvas.eval", json!({ "javaScript": script }), Duration::from_secs(time))
    };
    // Started, so that what follows has its time for itself.
    assert_eq!(eval(&canvas, "1 + 1").await, "2");
    for script in ["while (true) {}", "new Promise(() => {})"] {
        assert_eq!(eval_within(script, 2).await.unwrap_err().code, TIMEOUT, "{script}");
        assert_eq!(eval(&canvas, "1 + 1").await, "2", "after {script}");
    }
    let thrown = eval_within("missing.thing", 60).await.unwrap_err();
    assert!(thrown.message.contains("ReferenceError: missing is not defined"), "{thrown:?}");
    let large = eval_within("'x'.repeat(1024 * 1024 + 1)", 60).await.unwrap_err();
    assert!(large.code == "UNAVAILABLE" && large.message.contains("1048577 bytes"), "{large:?}");
    assert_eq!(
        eval(&canvas, "String(confirm('?')) + alert('!') + window.open('about:blank')").await,
        "falseundefinednull"
    );
    let script = "x".repeat(MAX_INPUT);
    let refused = ask(&canvas, "canvas.eval", json!({ "javaScript": script })).await.unwrap_err();
    assert!(refused.code == "INVALID_REQUEST" && refused.message.contains("the most"), "{refused:?}");
    canvas.stop().await;
}

#[tokio::test]
async fn nothing_but_the_web_is_shown() {
    let Some((canvas, _)) = canvas("nothing_but_the_web_is_shown") else { return };
    let long = format!("http://x/{}", "y".repeat(MAX_URL));
    for url in [
        "file:///etc/passwd",
        "chrome://version",
        "data:text/html,x",
        "javascript:1",
        "about:blank",
        "//x",
        "http:x",
        "",
        &long,
    ] {
        let refused = ask(&canvas, "canvas.navigate", json!({ "url": url })).await.unwrap_err();
        assert!(refused.code == "INVALID_REQUEST" && refused.message.starts_with("url: "), "{url}: {refused:?}");
    }
    let path = ask(&canvas, "canvas.navigate", json!({ "url": "/x" })).await.unwrap_err();
    assert_eq!(path.code, "UNAVAILABLE", "there is no gateway");
    assert!(running(&canvas).await.is_none(), "nothing was started for these");

    let server = serve(&[("/one", "<title>one</title>"), ("/file", "location: file:///etc/hostname")]).await;
    let sent_on = ask(&canvas, "canvas.navigate", json!({ "url": format!("{server}/file") })).await.unwrap_err();
    assert!(sent_on.message.contains("ERR_UNSAFE_REDIRECT"), "{sent_on:?}");
    ask(&canvas, "canvas.navigate", json!({ "url": format!("{server}/one") })).await.unwrap();
    for script in [
        "location.href = 'file:///etc/hostname'",
        "location.href = 'chrome://version'",
        "location.href = 'data:text/html,x'",
    ] {
        ask(&canvas, "canvas.eval", json!({ "javaScript": script })).await.unwrap();
        // Questions to the server take longer than leaving for a file would.
        let still = "fetch('/one').then(() => fetch('/one')).then(() => document.title)";
        assert_eq!(eval(&canvas, still).await, "one", "{script}");
    }
    let read = json!({ "javaScript": "fetch('file:///etc/hostname').then(file => file.text())" });
    assert!(ask(&canvas, "canvas.eval", read).await.unwrap_err().message.contains("Failed to fetch"));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = ask(&canvas, "canvas.navigate", json!({ "url": format!("http://{closed}/") })).await.unwrap_err();
    assert!(nobody.message.contains("ERR_CONNECTION_REFUSED"), "{nobody:?}");
    canvas.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_browser_is_nobody_elses_and_leaves_nothing() {
    let Some((canvas, _)) = canvas("the_browser_is_nobody_elses_and_leaves_nothing") else { return };
    assert_eq!(eval(&canvas, "1").await, "1");
    let (group, profile) = running(&canvas).await.unwrap();
    assert_eq!(std::fs::metadata(&profile).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(listening(group), Vec::<String>::new());
    canvas.stop().await;
    assert!(!profile.exists());
    gone(group).await;

    // Dropped in the middle, as when the program ends without asking.
    assert_eq!(eval(&canvas, "1").await, "1");
    let (group, _) = running(&canvas).await.unwrap();
    assert!(!processes(group).is_empty(), "they are looked at");
    drop(canvas);
    gone(group).await;
}

/// Waits until no process of a group is left.
#[cfg(target_os = "linux")]
async fn gone(group: Pid) {
    let all = async {
        while !processes(group).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("all of them end");
}

/// What Linux has on the processes of a group; those that only wait for somebody to take note of their end count no more.
#[cfg(target_os = "linux")]
fn processes(group: Pid) -> Vec<std::path::PathBuf> {
    let group = group.as_raw_nonzero().to_string();
    let folders = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let of_group = |folder: &std::path::PathBuf| {
        let stat = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
        // After the name, which may hold anything: state, parent, group.
        let rest: Vec<_> = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        rest.len() > 2 && rest[0] != "Z" && rest[2] == group
    };
    folders.filter(of_group).collect()
}

/// TCP sockets that listen and are held by a process of this group.
#[cfg(target_os = "linux")]
fn listening(group: Pid) -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let lines = read("/proc/net/tcp") + &read("/proc/net/tcp6");
    let rows = lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listen = rows.filter(|row| row.get(3) == Some(&"0A"));
    let inodes: Vec<String> = listen.map(|row| format!("socket:[{}]", row[9])).collect();
    let open = processes(group).into_iter().filter_map(|folder| std::fs::read_dir(folder.join("fd")).ok());
    let files = open.flatten().flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
    let files: Vec<String> = files.map(|to| to.display().to_string()).collect();
    assert!(files.iter().any(|to| to.starts_with("socket:")), "what they have open is looked at");
    files.into_iter().filter(|to| inodes.contains(to)).collect()
}

#[tokio::test]
async fn a_browser_that_crashed_or_hangs_is_started_again_with_what_it_showed() {
    let test = "a_browser_that_crashed_or_hangs_is_started_again_with_what_it_showed";
    let Some((canvas, _)) = canvas(test) else { return };
    let server = serve(&[("/one", "<title>one</title>")]).await;
    ask(&canvas, "canvas.present", json!({ "url": format!("{server}/one") })).await.unwrap();
    let (first, _) = running(&canvas).await.unwrap();
    kill_process_group(first, Signal::KILL).unwrap();
    while !canvas.state.lock().await.browser.as_ref().unwrap().is_over() {
        tokio::task::yield_now().await;
    }
    assert_eq!(eval(&canvas, "document.title").await, "one");
    let (second, _) = running(&canvas).await.unwrap();
    assert_ne!(first, second);

    // It hangs outside of the script, so nothing stops it.
    let hang = json!({ "javaScript": "new Promise(() => setTimeout(() => { while (true) {} }))" });
    let stuck = within_time(&canvas, "canvas.eval", hang, Duration::from_secs(2)).await;
    assert_eq!(stuck.unwrap_err().code, TIMEOUT);
    assert_eq!(eval(&canvas, "document.title").await, "one");
    assert_ne!(running(&canvas).await.unwrap().0, second);
    canvas.stop().await;
}

const A2UI: &str = "<title>a2ui</title><script>
    globalThis.seen = [];
    setTimeout(() => globalThis.clawdbotA2UI = {
        applyMessages: messages => { seen.push(...messages); return messages.length ? { ok: true, surfaces: ['main'] } : { ok: false, error: 'none came' } },
        reset: () => { seen.length = 0 },
    }, 200);
</script>";

#[tokio::test]
async fn messages_reach_the_page_of_the_gateway() {
    let Some((canvas, gateway)) = canvas("messages_reach_the_page_of_the_gateway") else { return };
    let server = serve(&[("/cap/__moltbot__/a2ui/", A2UI), ("/plain", "<title>plain</title>")]).await;
    let push = json!({ "messages": [{ "text": "</script>\u{2028}`${1}`" }, 2] });
    let nowhere = ask(&canvas, "canvas.a2ui.push", push.clone()).await.unwrap_err();
    assert!(nowhere.message.contains("gave no canvas address"), "{nowhere:?}");
    gateway.at(Some(format!("{server}/elsewhere")));
    let none = ask(&canvas, "canvas.present", json!({})).await.unwrap_err();
    assert!(none.message.contains("serves no A2UI page"), "{none:?}");

    gateway.at(Some(format!("{server}/cap")));
    let told = ask(&canvas, "canvas.a2ui.push", push).await.unwrap();
    assert_eq!(told, json!({ "ok": true, "surfaces": ["main"] }));
    assert_eq!(
        eval(&canvas, "location.pathname + JSON.stringify(seen)").await,
        "/cap/__moltbot__/a2ui/[{\"text\":\"</script>\u{2028}`${1}`\"},2]"
    );
    let lines = "{\"a\":1}\n\n[3]\r\n";
    ask(&canvas, "canvas.a2ui.pushJSONL", json!({ "jsonl": lines })).await.unwrap();
    assert_eq!(eval(&canvas, "seen.slice(2)").await, r#"[{"a":1},[3]]"#);
    let broken = ask(&canvas, "canvas.a2ui.pushJSONL", json!({ "jsonl": "1\nalert(1)" })).await.unwrap_err();
    assert!(broken.code == "INVALID_REQUEST" && broken.message.contains("line 2"), "{broken:?}");
    assert_eq!(ask(&canvas, "canvas.a2ui.reset", json!({})).await.unwrap(), Value::Null);
    assert_eq!(eval(&canvas, "seen.length").await, "0");
    let refused = ask(&canvas, "canvas.a2ui.push", json!({ "messages": [] })).await.unwrap_err();
    assert!(refused.message.ends_with("refused: none came"), "{refused:?}");

    // Whatever else is shown gives way to it.
    ask(&canvas, "canvas.navigate", json!({ "url": format!("{server}/plain") })).await.unwrap();
    ask(&canvas, "canvas.a2ui.push", json!({ "messages": [1] })).await.unwrap();
    assert_eq!(eval(&canvas, "document.title + seen").await, "a2ui1");
    canvas.stop().await;
}

#[tokio::test]
async fn a_canvas_whose_address_has_ended_is_shown_at_a_fresh_one() {
    let test = "a_canvas_whose_address_has_ended_is_shown_at_a_fresh_one";
    let Some((canvas, gateway, mut line)) = canvas_and_line(test) else { return };
    let server = serve(&[
        ("/old/page", ""),
        ("/old/__openclaw__/a2ui/", "refused"),
        ("/new/page", "<title>page</title>"),
        ("/new/__openclaw__/a2ui/", A2UI),
    ])
    .await;
    let (old, new) = (format!("{server}/old"), format!("{server}/new"));
    gateway.at(Some(old.clone()));
    let session = {
        let (gateway, new) = (gateway.clone(), new.clone());
        tokio::spawn(async move {
            for renewal in [Ok(()), Ok(()), Err("not now".to_string())] {
                let told = line.renewals.recv().await.unwrap();
                if renewal.is_ok() {
                    gateway.at(Some(new.clone()));
                }
                told.send(renewal).unwrap();
            }
        })
    };
    ask(&canvas, "canvas.navigate", json!({ "url": "/page" })).await.unwrap();
    assert_eq!(eval(&canvas, "document.title").await, "page");
    gateway.at(Some(old.clone()));
    ask(&canvas, "canvas.a2ui.push", json!({ "messages": [1] })).await.unwrap();
    assert_eq!(eval(&canvas, "location.pathname + seen").await, "/new/__openclaw__/a2ui/1");
    gateway.at(Some(old));
    let refused = ask(&canvas, "canvas.navigate", json!({ "url": "/page" })).await.unwrap_err();
    assert!(refused.code == "UNAVAILABLE" && refused.message.ends_with("not now"), "{refused:?}");
    session.await.unwrap();
    canvas.stop().await;
}

#[test]
fn a_sandbox_is_given_up_only_where_somebody_said_so() {
    assert!(Program::find(Some(std::path::Path::new("/no/such/browser")), true).is_err());
    let shell = std::path::Path::new("/bin/sh");
    let found = Program::find(Some(shell), true);
    assert_eq!(found.is_err(), rustix::process::geteuid().is_root(), "{found:?}");
    assert!(Program::find(Some(shell), false).unwrap().is_some());
}

#[tokio::test]
async fn what_is_no_browser_is_an_error_without_its_words() {
    let program = Program::find(Some(std::path::Path::new("/bin/false")), false).unwrap().unwrap();
    let (gateway, _) = Gateway::new();
    let refused = ask(&Canvas::new(program, gateway), "canvas.eval", json!({ "javaScript": "1" })).await.unwrap_err();
    assert!(refused.code == "UNAVAILABLE" && !refused.message.contains("/bin"), "{refused:?}");
}
