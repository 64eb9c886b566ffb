//! The canvas from outside: who is told where it is, who gets in, what is shown there, and that pages hear of changes.

use std::os::unix::fs::symlink;
use std::path::Path;

use clawhost_tests::support::{Answer, Client, Connect, Gateway, Key, PATIENCE, TOKEN};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

const SOCKETS: [(&str, &str); 3] =
    [("clawdbot", "/__clawdbot/ws"), ("moltbot", "/__moltbot/ws"), ("openclaw", "/__openclaw__/ws")];

/// A gateway that shows this folder.
async fn showing(folder: &Path, more: &str) -> Gateway {
    Gateway::with_config(&format!("[plugins.canvas.config]\nroot = {folder:?}\n{more}")).await
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

fn of_protocol(connect: Connect, protocol: u64) -> Connect {
    connect.with("minProtocol", json!(protocol)).with("maxProtocol", json!(protocol))
}

/// What comes before the canvas in the address that a client was told: its capability.
fn base(gateway: &Gateway, told: &Value) -> String {
    let address = format!("http://127.0.0.1:{}", gateway.port);
    let told = told.as_str().unwrap_or_else(|| panic!("an address instead of {told}"));
    let base = told.strip_prefix(&address).unwrap_or_else(|| panic!("{told} is not at {address}"));
    assert!(base.starts_with("/__openclaw__/cap/") && base.len() > 40, "{base}");
    base.to_string()
}

fn base_of(gateway: &Gateway, client: &Client) -> String {
    base(gateway, &client.hello["canvasHostUrl"])
}

async fn get(gateway: &Gateway, path: &str) -> Answer {
    gateway.http("GET", path, &[]).await
}

fn has(answer: &Answer, header: &str) -> bool {
    answer.head.lines().any(|line| line == header)
}

async fn listen(gateway: &Gateway, path: &str) -> Result<WebSocketStream<TcpStream>, u16> {
    let stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.expect("the port is open");
    let address = format!("ws://127.0.0.1:{}{path}", gateway.port);
    match timeout(PATIENCE, client_async(address, stream)).await.expect("an answer to the upgrade") {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn hears(socket: &mut WebSocketStream<TcpStream>) -> Message {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("a message") {
            Some(Ok(Message::Ping(_))) => {}
            Some(Ok(message)) => return message,
            other => panic!("a message instead of {other:?}"),
        }
    }
}

#[tokio::test]
async fn operators_and_nodes_are_told_an_address_that_lets_them_in() {
    let files = folder(&[("a.txt", "shown")]);
    let gateway = showing(files.path(), "").await;
    let reader = Connect::operator().scopes(&["operator.read"]);
    let node = |number| Connect::node().device(&Key::new(number));
    let told = [
        (of_protocol(reader.clone(), 3), "/canvasHostUrl"),
        (of_protocol(node(1), 3), "/canvasHostUrl"),
        (of_protocol(reader, 4), "/pluginSurfaceUrls/canvas"),
        (of_protocol(node(2).with("caps", json!(["canvas"])), 4), "/pluginSurfaceUrls/canvas"),
    ];
    for (connect, place) in told {
        let client = gateway.connect(&connect).await;
        let address = client.hello.pointer(place).unwrap_or_else(|| panic!("no {place} in {}", client.hello));
        let file = get(&gateway, &format!("{}/__openclaw__/canvas/a.txt", base(&gateway, address))).await;
        assert_eq!((file.status, file.body.as_str()), (200, "shown"));
        client.close().await;
    }
    let untold = [
        of_protocol(node(3).with("caps", json!(["camera"])), 4),
        of_protocol(Connect::operator().scopes(&["operator.pairing"]), 3),
        of_protocol(Connect::operator().scopes(&["operator.pairing"]), 4),
    ];
    for connect in untold {
        let client = gateway.connect(&connect).await;
        for field in ["canvasHostUrl", "pluginSurfaceUrls"] {
            assert!(client.hello.get(field).is_none(), "{}", client.hello);
        }
        client.close().await;
    }
}

#[tokio::test]
async fn nobody_gets_in_without_an_address_of_theirs() {
    let files = folder(&[("a.txt", "shown")]);
    let gateway = showing(files.path(), "").await;
    let bearer = format!("Bearer {TOKEN}");
    let mut paths = vec!["/__openclaw__/canvas/a.txt", "/__moltbot__/a2ui/", "/__clawdbot__/a2ui/a2ui.js"];
    paths.extend(SOCKETS.map(|(_, socket)| socket));
    for path in paths {
        let wrong = format!("/__openclaw__/cap/{}{path}", "A".repeat(32));
        assert_eq!(get(&gateway, path).await.status, 401, "{path}");
        assert_eq!(get(&gateway, &wrong).await.status, 401, "{path}");
        let allowed = gateway.http("GET", path, &[("Authorization", &bearer)]).await;
        assert_eq!(allowed.status, if path.ends_with("/ws") { 426 } else { 200 }, "{path}");
    }
    for (_, socket) in SOCKETS {
        assert_eq!(listen(&gateway, socket).await.expect_err("nobody is let in"), 401);
    }
}

#[tokio::test]
async fn an_address_ends_with_what_it_stands_on() {
    let files = folder(&[("a.txt", "shown")]);
    let gateway = showing(files.path(), "").await;
    let key = Key::new(1);
    let mut admin = gateway.admin().await;
    let node = gateway.node(&key).await;
    let of_node = format!("{}/__openclaw__/canvas/a.txt", base_of(&gateway, &node));
    let of_admin = format!("{}/__openclaw__/canvas/a.txt", base_of(&gateway, &admin));
    node.close().await;
    assert_eq!(get(&gateway, &of_node).await.status, 200, "a page outlives a reconnect");
    let waiting = format!("{}/__openclaw__/ws", of_node.trim_end_matches("/__openclaw__/canvas/a.txt"));
    let mut waiting = listen(&gateway, &waiting).await.expect("it is let in");
    admin.ok("device.pair.remove", json!({ "deviceId": key.id() })).await;
    let Message::Close(frame) = hears(&mut waiting).await else { panic!("what is open ends as well") };
    assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(1008));
    assert_eq!(get(&gateway, &of_node).await.status, 401, "the device was removed");

    assert_eq!(get(&gateway, &of_admin).await.status, 200);
    admin.close().await;
    let ends = async { while get(&gateway, &of_admin).await.status != 401 {} };
    timeout(PATIENCE, ends).await.expect("without a device it ends with the connection");
}

#[tokio::test]
async fn who_is_told_an_address_gets_a_fresh_one_before_it_ends() {
    let files = folder(&[("a.txt", "shown")]);
    let gateway = Gateway::with_config(&format!(
        "[gateway.limits]\nsurface_ttl_ms = 60000\n[plugins.canvas.config]\nroot = {:?}\n",
        files.path()
    ))
    .await;
    let key = Key::new(1);
    let shown = async |base: &str| get(&gateway, &format!("{base}/__openclaw__/canvas/a.txt")).await.status;
    let node = of_protocol(Connect::node().device(&key).with("caps", json!(["canvas"])), 4);
    let mut first = gateway.connect(&node).await;
    let told = first.hello["pluginSurfaceUrls"]["canvas"].clone();
    let fresh = first.ok("node.pluginSurface.refresh", json!({ "surface": "canvas", "observedUrl": told })).await;
    let now = fresh["pluginSurfaceUrls"]["canvas"].clone();
    assert!(fresh["surface"] == "canvas" && now != told, "{fresh}");
    let left = fresh["expiresAtMs"].as_u64().expect("a time").saturating_sub(schemas::now_ms());
    assert!((50_000..=60_000).contains(&left), "{left} ms");
    let (told, now) = (base(&gateway, &told), base(&gateway, &now));
    assert_eq!((shown(&told).await, shown(&now).await), (200, 200), "a page that is open is not cut off");

    // Another connection of the device is told the same, and who asks with an address that is not in force learns of it.
    let mut second = gateway.connect(&node).await;
    assert_eq!(base(&gateway, &second.hello["pluginSurfaceUrls"]["canvas"]), now);
    let stale = json!({ "surface": "canvas", "observedUrl": format!("http://127.0.0.1:1{told}") });
    let same = second.ok("node.pluginSurface.refresh", stale).await;
    assert_eq!(base(&gateway, &same["pluginSurfaceUrls"]["canvas"]), now);
    // Of those before it only the last one is good.
    let third = second.ok("node.pluginSurface.refresh", json!({ "surface": "canvas" })).await;
    let third = base(&gateway, &third["pluginSurfaceUrls"]["canvas"]);
    assert_eq!((shown(&told).await, shown(&now).await, shown(&third).await), (401, 200, 200));

    for (surface, wrong) in [("camera", "UNAVAILABLE"), ("", "INVALID_REQUEST")] {
        assert_eq!(first.refused("node.pluginSurface.refresh", json!({ "surface": surface })).await.code, wrong);
    }
    let mut elsewhere = gateway.connect(&of_protocol(Connect::node().device(&Key::new(2)), 4)).await;
    let refused = elsewhere.refused("node.pluginSurface.refresh", json!({ "surface": "canvas" })).await;
    assert_eq!(refused.code, "UNAVAILABLE", "it does not say that it shows a canvas");

    // Protocol 3 has words of its own, and operators a method.
    let mut older = gateway.connect(&of_protocol(Connect::node().device(&Key::new(3)), 3)).await;
    let fresh = older.ok("node.canvas.capability.refresh", json!({})).await;
    let of_older = base(&gateway, &fresh["canvasHostUrl"]);
    assert!(of_older.ends_with(fresh["canvasCapability"].as_str().expect("a capability")), "{fresh}");
    assert!(fresh["canvasCapabilityExpiresAtMs"].is_u64() && of_older != base_of(&gateway, &older), "{fresh}");
    assert_eq!(shown(&of_older).await, 200);
    let mut reader = gateway.operator(&["operator.read"]).await;
    let fresh = reader.ok("plugin.surface.refresh", json!({ "surface": "canvas" })).await;
    let of_reader = base(&gateway, &fresh["pluginSurfaceUrls"]["canvas"]);
    let before = base_of(&gateway, &reader);
    assert_eq!((shown(&before).await, shown(&of_reader).await), (200, 200));

    // They end with what they stand on, those before them too.
    reader.close().await;
    let end = async { while shown(&before).await != 401 || shown(&of_reader).await != 401 {} };
    timeout(PATIENCE, end).await.expect("without a device they end with the connection");
    let mut admin = gateway.admin().await;
    admin.ok("device.pair.remove", json!({ "deviceId": key.id() })).await;
    assert_eq!((shown(&now).await, shown(&third).await), (401, 401));
}

#[tokio::test]
async fn files_are_shown_under_every_name_of_the_product() {
    let files = folder(&[("a b/é.css", "x"), ("a b/index.html", "<body>page</body>"), ("index.html", "<p>top")]);
    let gateway = showing(files.path(), "").await;
    let client = gateway.admin().await;
    let base = base_of(&gateway, &client);
    for (brand, socket) in SOCKETS {
        let canvas = format!("{base}/__{brand}__/canvas");
        let file = get(&gateway, &format!("{canvas}/a%20b/%C3%A9.css")).await;
        assert_eq!((file.status, file.body.as_str()), (200, "x"));
        for header in [
            "content-type: text/css; charset=utf-8",
            "content-length: 1",
            "cache-control: no-store",
            "referrer-policy: no-referrer",
            "x-content-type-options: nosniff",
        ] {
            assert!(has(&file, header), "{header} is not in {}", file.head);
        }
        let head = gateway.http("HEAD", &format!("{canvas}/a%20b/%C3%A9.css"), &[]).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert!(has(&head, "content-length: 1"), "{}", head.head);

        let page = get(&gateway, &format!("{canvas}/a%20b/")).await;
        assert!(page.status == 200 && page.body.starts_with("<body>page<script data-since="), "{page:?}");
        assert!(page.body.ends_with("</script>\n</body>"), "{page:?}");
        let without_slash = get(&gateway, &format!("{canvas}/a%20b?q=1")).await;
        assert_eq!(without_slash.status, 302);
        assert!(has(&without_slash, "location: ./a%20b/?q=1"), "{}", without_slash.head);
        assert_eq!(get(&gateway, &format!("{canvas}/none")).await.status, 404);
        assert_eq!(gateway.http("PUT", &format!("{canvas}/a.txt"), &[]).await.status, 405);

        let a2ui = get(&gateway, &format!("{base}/__{brand}__/a2ui/?platform=ios")).await;
        assert!(a2ui.status == 200 && a2ui.body.contains("src=\"a2ui.js\""), "{a2ui:?}");
        let plain = get(&gateway, &format!("{base}{socket}")).await;
        assert_eq!((plain.status, plain.body.as_str()), (426, "upgrade required"));
        assert!(has(&plain, "upgrade: websocket"), "{}", plain.head);
    }
    client.close().await;
}

#[tokio::test]
async fn nothing_outside_the_folder_is_shown() {
    let files = folder(&[("in/a.txt", "shown"), (".hidden", "secret")]);
    let outside = folder(&[("index.html", "secret")]);
    symlink(outside.path(), files.path().join("out")).expect("a link");
    symlink(outside.path().join("index.html"), files.path().join("out.html")).expect("a link");
    symlink("in/a.txt", files.path().join("inner.txt")).expect("a link");
    let gateway = showing(files.path(), "").await;
    let client = gateway.admin().await;
    let canvas = format!("{}/__openclaw__/canvas", base_of(&gateway, &client));
    assert_eq!(get(&gateway, &format!("{canvas}/in/a.txt")).await.status, 200);
    let above = format!("../{}/index.html", outside.path().file_name().expect("a name").display());
    let attacks = [
        (400, above.clone()),
        (400, above.replace("..", "%2e%2e")),
        (400, above.replace("..", ".%2E")),
        (404, above.replace('/', "%2f")),
        (404, format!("in/{}", format!("../{above}").replace('/', "%2F"))),
        (400, above.replace('/', "%5c")),
        (400, format!("in//{above}")),
        (400, "in/a.txt%00.html".to_string()),
        (404, "in%2fa.txt".to_string()),
        (404, "in/a.txt/".to_string()),
        (404, ".hidden".to_string()),
        (404, "%2ehidden".to_string()),
        (404, "out/".to_string()),
        (404, "out/index.html".to_string()),
        (404, "out.html".to_string()),
        (404, "inner.txt".to_string()),
    ];
    for (status, path) in attacks {
        let answer = get(&gateway, &format!("{canvas}/{path}")).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let told = format!("{}{}", answer.head, answer.body);
        assert!(!told.contains("secret") && !told.contains("/tmp"), "{path}: {answer:?}");
    }
    client.close().await;
}

#[tokio::test]
async fn a_file_has_a_largest_size_and_comes_whole_below_it() {
    let limit = 300 * 1024;
    let text = "0123456789abcde\n".repeat(limit / 16);
    let files = folder(&[("fits.txt", &text), ("large.txt", &format!("{text}!"))]);
    let gateway = showing(files.path(), &format!("max_file_bytes = {limit}\n")).await;
    let client = gateway.admin().await;
    let canvas = format!("{}/__openclaw__/canvas", base_of(&gateway, &client));
    let fits = get(&gateway, &format!("{canvas}/fits.txt")).await;
    assert!(fits.status == 200 && fits.body == text, "{} bytes of {limit}, {}", fits.body.len(), fits.head);
    let head = gateway.http("HEAD", &format!("{canvas}/fits.txt"), &[]).await;
    assert!(head.body.is_empty() && has(&head, &format!("content-length: {limit}")), "{head:?}");
    assert_eq!(get(&gateway, &format!("{canvas}/large.txt")).await.status, 413);
    client.close().await;
}

#[tokio::test]
async fn pages_hear_of_changes_until_the_gateway_stops() {
    let files = folder(&[("index.html", "<p>"), ("deep/er/a.css", "a")]);
    let gateway = showing(files.path(), "max_sockets = 3\n").await;
    let client = gateway.admin().await;
    let base = base_of(&gateway, &client);
    let mut sockets = Vec::new();
    for (_, path) in SOCKETS {
        sockets.push(listen(&gateway, &format!("{base}{path}")).await.expect("an upgrade"));
    }
    assert_eq!(listen(&gateway, &format!("{base}/__openclaw__/ws")).await.expect_err("no place is left"), 503);
    std::fs::write(files.path().join("deep/er/a.css"), "b").expect("a file");
    for socket in &mut sockets {
        assert_eq!(hears(socket).await, Message::text("reload"));
    }
    // Whoever sends nonsense is heard by nobody, and whoever goes makes room.
    sockets[0].send(Message::text("reload")).await.expect("it is taken");
    sockets[1].close(None).await.expect("it is open");
    let ends = async { while !matches!(sockets[1].next().await, None | Some(Err(_))) {} };
    timeout(PATIENCE, ends).await.expect("an end");
    let again = async {
        loop {
            // A page that was sent before the change hears of it at once.
            if let Ok(socket) = listen(&gateway, &format!("{base}/__moltbot/ws?since=1")).await {
                return socket;
            }
        }
    };
    let mut again = timeout(PATIENCE, again).await.expect("a place");
    assert_eq!(hears(&mut again).await, Message::text("reload"));
    client.close().await;
    gateway.terminate();
    let Message::Close(Some(frame)) = hears(&mut again).await else { panic!("a close") };
    assert_eq!(u16::from(frame.code), 1012);
    // The other ends of the sockets are let go of, so that the gateway need not wait.
    drop((sockets, again));
    gateway.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_made_anew_is_watched_again() {
    let above = folder(&[("site/index.html", "old")]);
    let site = above.path().join("site");
    let gateway = showing(&site, "").await;
    let client = gateway.admin().await;
    let base = base_of(&gateway, &client);
    let mut socket = listen(&gateway, &format!("{base}/__openclaw__/ws")).await.expect("an upgrade");
    std::fs::remove_dir_all(&site).expect("a folder");
    std::fs::create_dir(&site).expect("a folder");
    for text in ["new", "newer", "newest"] {
        std::fs::write(site.join("index.html"), text).expect("a file");
        assert_eq!(hears(&mut socket).await, Message::text("reload"), "{text}");
        let page = get(&gateway, &format!("{base}/__openclaw__/canvas/")).await.body;
        assert!(page.starts_with(&format!("{text}<script")), "{page}");
    }
    client.close().await;
}

#[tokio::test]
async fn what_is_switched_off_is_not_there() {
    let files = folder(&[("index.html", "<body></body>")]);
    let gateway = showing(files.path(), "live_reload = false\n").await;
    let client = gateway.admin().await;
    let base = base_of(&gateway, &client);
    assert_eq!(get(&gateway, &format!("{base}/__openclaw__/canvas/")).await.body, "<body></body>");
    assert_eq!(get(&gateway, &format!("{base}/__openclaw__/ws")).await.status, 404);
    assert_eq!(listen(&gateway, &format!("{base}/__moltbot/ws")).await.expect_err("nothing to hear"), 404);
    client.close().await;

    let gateway = Gateway::with_config("[plugins.canvas]\nenabled = false\n").await;
    let client = gateway.admin().await;
    assert!(client.hello.get("canvasHostUrl").is_none(), "{}", client.hello);
    assert_eq!(get(&gateway, "/__openclaw__/canvas/").await.status, 404);
    client.close().await;
}
