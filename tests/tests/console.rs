//! The page from outside, without a browser: who is served what, under which headers, and that what is served is what its
//! sources make. `console_browser.rs` looks at it as people do.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use clawhost_tests::compiler::skip;
use clawhost_tests::program::{Home, Outcome, repository};
use clawhost_tests::support::{Answer, Connect, Gateway, Key, Knock, Payload, TOKEN};
use schemas::setup_code::SetupCode;
use serde_json::{Value, json};
use tempfile::TempDir;

fn has(answer: &Answer, header: &str) -> bool {
    answer.head.lines().any(|line| line == header)
}

async fn get(gateway: &Gateway, path: &str) -> Answer {
    gateway.http("GET", path, &[]).await
}

#[tokio::test]
async fn a_fresh_gateway_shows_the_page() {
    let gateway = Gateway::start().await;
    let page = get(&gateway, "/").await;
    assert_eq!(page.status, 200, "{page:?}");
    for header in [
        "content-type: text/html; charset=utf-8",
        "cache-control: no-cache",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
    ] {
        assert!(has(&page, header) || page.head.contains(header), "{header}: {}", page.head);
    }
    let policy = page.head.lines().find(|line| line.starts_with("content-security-policy: ")).expect("a policy");
    for part in [
        "default-src 'none'",
        "script-src 'self';",
        "style-src 'self';",
        "connect-src 'self';",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let script = page.body.split("src=\"./").nth(1).and_then(|rest| rest.split('"').next()).expect("a script");
    let script = get(&gateway, &format!("/{script}")).await;
    assert!(
        script.status == 200 && has(&script, "cache-control: public, max-age=31536000, immutable"),
        "{}",
        script.head
    );
    let head = gateway.http("HEAD", "/", &[]).await;
    assert!(head.status == 200 && head.body.is_empty() && head.head.contains("content-length: "), "{head:?}");
    for (verb, path, status) in [
        ("POST", "/", 404),
        ("DELETE", "/index.html", 404),
        ("GET", "/none", 404),
        ("GET", "/chat", 404),
        ("GET", "/../etc/passwd", 400),
        ("GET", "/%2e%2e/x", 400),
        ("GET", "/a//b", 400),
    ] {
        assert_eq!(gateway.http(verb, path, &[]).await.status, status, "{verb} {path}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn whatever_takes_all_paths_leaves_those_of_others_alone() {
    let gateway = Gateway::start().await;
    // The gateway's own, those of plugins, and the protocol itself, which takes upgrades of every path.
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(get(&gateway, "/metrics").await.status, 401);
    assert!(gateway.http("GET", "/metrics", &[("Authorization", &bearer)]).await.body.contains("clawhost_connections"));
    assert_eq!(get(&gateway, "/__openclaw__/canvas/").await.status, 401);
    assert_eq!(get(&gateway, "/v1/models").await.status, 401);
    gateway.admin().await.close().await;
    // Pages of other origins, and what nodes were told of other things.
    let foreign = gateway.http("GET", "/", &[("Origin", "https://evil.example")]).await;
    assert_eq!(foreign.status, 403, "{foreign:?}");
    let guessed = format!("/__openclaw__/cap/{}/", "A".repeat(32));
    assert_eq!(get(&gateway, &guessed).await.status, 404);
    gateway.stop().await;

    let gateway = Gateway::with_config("[gateway.metrics]\nenabled = false").await;
    assert_eq!(gateway.http("GET", "/metrics", &[("Authorization", &bearer)]).await.status, 404);
    gateway.stop().await;
}

#[tokio::test]
async fn without_the_plugin_there_is_nothing() {
    let gateway = Gateway::with_config("[plugins.console]\nenabled = false").await;
    for path in ["/", "/index.html", "/icon.svg"] {
        let answer = get(&gateway, path).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, "Not Found"), "{path}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_page_of_a_folder_is_served_instead() {
    let files = TempDir::new().expect("a temporary folder");
    let outside = TempDir::new().expect("a temporary folder");
    let put = |name: &str, text: &str| {
        let file = files.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    };
    put("index.html", "<title>theirs</title>");
    put("assets/app-D90fEY0m.js", "1");
    put(".env", "secret");
    std::fs::write(outside.path().join("secret.txt"), "secret").expect("a file");
    symlink(outside.path(), files.path().join("out")).expect("a link");
    symlink(outside.path().join("secret.txt"), files.path().join("secret.txt")).expect("a link");
    let config = format!("[plugins.console.config]\nroot = {:?}\nbase_path = \"/control\"\n", files.path());
    let gateway = Gateway::with_config(&config).await;
    let to = get(&gateway, "/control").await;
    assert!(to.status == 302 && has(&to, "location: ./control/"), "{to:?}");
    let page = get(&gateway, "/control/").await;
    assert_eq!((page.status, page.body.contains("theirs")), (200, true), "{page:?}");
    assert!(page.head.contains("frame-ancestors 'none'") && page.head.contains("script-src 'self';"), "{}", page.head);
    let place = gateway.http("GET", "/control/chat/main", &[("Accept", "text/html")]).await;
    assert!(place.status == 200 && place.body.contains("theirs"), "{place:?}");
    let script = get(&gateway, "/control/assets/app-D90fEY0m.js").await;
    assert!(script.status == 200 && has(&script, "content-type: text/javascript; charset=utf-8"), "{script:?}");
    let paths = [
        "/",
        "/controls",
        "/control/.env",
        "/control/%2eenv",
        "/control/out/secret.txt",
        "/control/secret.txt",
        "/control/%2e%2e%2fsecret.txt",
        "/control/none.js",
        "/control/chat",
    ];
    for path in paths {
        let answer = get(&gateway, path).await;
        assert!(answer.status == 404 && !answer.body.contains("secret"), "{path}: {answer:?}");
    }
    gateway.stop().await;

    // A folder that is not there takes the page away, and nothing else.
    let gateway = Gateway::with_config("[plugins.console.config]\nroot = \"/no/such/folder\"").await;
    assert_eq!(get(&gateway, "/").await.status, 404);
    let mut client = gateway.admin().await;
    let plugins = client.ok("system.plugins", json!({})).await;
    let console = plugins["plugins"].as_array().expect("a list").iter().find(|plugin| plugin["id"] == "console");
    let console = console.expect("it is listed");
    assert_eq!(console["state"], "failed");
    assert!(console["error"].as_str().expect("a reason").contains("/no/such/folder is no folder"), "{console}");
    client.close().await;
    gateway.stop().await;
}

/// Who was approved for less than it asks for is told what it may ask for, once it has proved its key.
#[tokio::test]
async fn a_device_learns_what_it_was_approved_for() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    let code = admin.ok("device.pair.setupCode", json!({ "scopes": ["operator.read"], "url": "ws://h:1" })).await;
    let code = SetupCode::decode(code["setupCode"].as_str().expect("a text")).expect("a code");
    let key = Key::new(1);
    let of_4 = Connect::operator().payload(Payload::V3).with("minProtocol", json!(4)).with("maxProtocol", json!(4));
    let all = of_4.scopes(&["operator.admin", "operator.read"]).device(&key);
    let mut client = gateway.knock_with(&Knock::remote()).await;
    let by_code = all.clone().with("auth", json!({ "bootstrapToken": code.bootstrap_token }));
    client.connect(&by_code).await.expect("it was invited");
    let token = client.hello["auth"]["deviceToken"].as_str().expect("a token").to_string();
    client.close().await;

    let at = &gateway;
    let refusal = |connect: Connect| async move {
        let mut client = at.knock_with(&Knock::remote()).await;
        client.connect(&connect).await.expect_err("it reaches less far").error.details.expect("details")
    };
    let details = refusal(all.clone().with("auth", json!({ "deviceToken": token }))).await;
    assert_eq!(
        (&details["code"], &details["approvedScopes"]),
        (&json!("AUTH_SCOPE_MISMATCH"), &json!(["operator.read"]))
    );
    let wrong = refusal(all.clone().with("auth", json!({ "deviceToken": "f".repeat(32) }))).await;
    assert_eq!((&wrong["code"], wrong.get("approvedScopes")), (&json!("AUTH_DEVICE_TOKEN_MISMATCH"), None));
    let pending = admin.ok("device.pair.list", json!({})).await["pending"].clone();
    assert_eq!(pending, json!([]), "nobody is asked for more");
    admin.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_was_counted_is_told_to_who_may_read() {
    let gateway = Gateway::start().await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    for _ in 0..3 {
        reader.ok("status", json!({})).await;
    }
    reader.refused("agents.list", json!({ "x": 1 })).await;
    let counted = reader.ok("system.metrics", json!({})).await;
    let of = |method: &str| {
        let rows = counted["methods"].as_array().expect("a list");
        rows.iter().find(|row| row["method"] == method).cloned().unwrap_or_else(|| panic!("{method}: {counted}"))
    };
    assert_eq!((&of("status")["calls"], &of("status")["plugin"]), (&json!(3), &json!("status")));
    assert!(of("status")["microseconds"].as_u64().is_some_and(|time| time > 0));
    reader.close().await;
    gateway.stop().await;
}

#[test]
fn the_command_line_prints_a_link_that_lets_in_once() {
    let home = Home::default();
    home.configure("[plugins.console.config]\nbase_path = \"/ui\"\n");
    let mut gateway = home.start();
    gateway.wait_for("clawhost dashboard");
    let told = home.json("dashboard --scopes operator.read");
    let link = told["url"].as_str().expect("a link");
    let expected = format!("http://127.0.0.1:{}/ui/#code=", gateway.port);
    assert!(link.starts_with(&expected) && !link.contains(&home.token()), "{link}");
    assert_eq!(told["scopes"], json!(["operator.read"]));
    let said = home.run("dashboard --reach https://gw.example/").out;
    assert!(said.contains("\nhttps://gw.example/ui/#code=") && said.contains("once, within 10 min"), "{said}");
    assert_eq!(home.run("dashboard --reach gw.example").code, Some(2));
    home.configure("[plugins.console]\nenabled = false\n");
    gateway.wait_for("console");
    let gone =
        std::iter::repeat_with(|| home.run("dashboard")).take(200).find(|run| run.code != Some(0)).expect("it goes");
    assert!(gone.err.contains("this gateway serves no page"), "{gone:?}");
    gateway.terminate();
}

fn web() -> PathBuf {
    repository().join("plugins/console/web")
}

/// Files below a folder, by their paths in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn collect(top: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(top, &path, files);
            } else {
                let name = path.strip_prefix(top).expect("it was found below").to_path_buf();
                files.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(folder, folder, &mut found);
    found
}

/// What is served is built beforehand, so that the gateway builds without Node.js: it has to be what the sources make.
#[test]
fn what_is_served_is_what_the_sources_make() {
    let lock: Value = read_json(&web().join("package-lock.json")).expect("the lock file");
    let wanted = lock["packages"]["node_modules/vite"]["version"].clone();
    let there = read_json(&web().join("node_modules/vite/package.json")).map(|package| package["version"].clone());
    if there != Some(wanted) {
        return skip("CLAWHOST_REQUIRE_BROWSER", "the page is not built: run `npm ci` in plugins/console/web");
    }
    let out = TempDir::new().expect("a temporary folder");
    for arguments in [vec!["tsc", "--noEmit"], vec!["vite", "build", "--outDir", out.path().to_str().expect("a path")]]
    {
        let mut command = Command::new("npx");
        command.arg("--no-install").args(&arguments).current_dir(web());
        let outcome = Outcome::of(command, arguments[0]);
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
    }
    let (fresh, served) = (files(out.path()), files(&repository().join("plugins/console/dist")));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    let what = "run `npm run build` in plugins/console/web and commit plugins/console/dist";
    assert_eq!(names(&fresh), names(&served), "{what}");
    assert!(fresh == served, "{what}");
}

/// The lock files are for every machine: they must not say where packages come from.
#[test]
fn the_lock_files_name_packages_and_hashes_only() {
    for folder in [web(), repository().join("tests/browser")] {
        let lock = read_json(&folder.join("package-lock.json")).expect("the lock file");
        let packages = lock["packages"].as_object().expect("it lists packages");
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(package.get("resolved").is_none(), "{name} has an address");
            assert!(
                package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-")),
                "{name} has no hash"
            );
        }
        let wanted = read_json(&folder.join("package.json")).expect("the package");
        let versions = ["dependencies", "devDependencies"].map(|kind| wanted[kind].as_object().cloned());
        for (name, version) in versions.into_iter().flatten().flatten() {
            assert_eq!(packages[&format!("node_modules/{name}")]["version"], version, "{name} is pinned");
        }
    }
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}
