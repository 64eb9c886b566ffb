//! Plugins from shared libraries, at the wire: what is loaded, what is refused and with which words, and that the gateway
//! goes on serving everything else.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use clawhost_tests::libraries::{Shelf, manifest, table};
use clawhost_tests::support::{Client, Gateway};
use serde_json::{Value, json};

/// What is wrong with a plugin, and words that have to be said of it.
type Fault<'a> = (&'a str, &'a [&'a str]);

async fn plugin(client: &mut Client, id: &str) -> Value {
    let plugins = client.ok("system.plugins", json!({})).await;
    let rows = plugins["plugins"].as_array().expect("a list");
    let found = rows.iter().rev().find(|plugin| plugin["id"] == id && plugin["origin"] == "loaded").cloned();
    found.unwrap_or_else(|| panic!("{id} is not listed: {plugins}"))
}

/// Each of these plugins is listed as failed with these words, the rest serves, and only an admin learns of files.
async fn assert_failed(gateway: &Gateway, shelf: &Shelf, faults: &[Fault<'_>]) {
    let mut admin = gateway.admin().await;
    let mut reader = gateway.operator(&["operator.read"]).await;
    let folder = shelf.path().display().to_string();
    for (id, words) in faults {
        let state = plugin(&mut admin, id).await;
        assert_eq!(state["state"], "failed", "{state}");
        let why = state["error"].as_str().expect("a reason");
        for word in *words {
            assert!(why.contains(word), "{id}: {word:?} is not said: {why}");
        }
        let shown = plugin(&mut reader, id).await["error"].as_str().expect("a reason").to_string();
        assert!(!shown.contains(&folder) && !shown.contains(".toml"), "{id}: {shown}");
        // It is drawn up anew after every change; each look is a request.
        while !admin.ok("health", json!({})).await["plugins"]["errors"].to_string().contains(&format!("{id:?}")) {}
        let name = format!("{id}.echo");
        assert_eq!(admin.refused(&name, json!({})).await.message, format!("unknown method: {name}"));
    }
    let log = gateway.log_line("a plugin is disabled").await;
    assert!(log.contains("file="), "{log}");
    for method in ["status", "system-presence", "health"] {
        admin.ok(method, json!({})).await;
    }
    admin.close().await;
    reader.close().await;
}

#[tokio::test]
async fn a_library_in_rust_becomes_a_plugin_like_any_other() {
    let shelf = Shelf::default();
    let config = table("loaded", &shelf.rust());
    let gateway = Gateway::with_config(&config).await;
    let mut client = gateway.admin().await;
    let features = client.hello["features"].to_string();
    assert!(features.contains("\"loaded.echo\"") && features.contains("\"loaded.said\""), "{features}");
    assert_eq!(client.ok("loaded.echo", json!({ "a": [1, "ü"] })).await, json!({ "a": [1, "ü"] }));
    assert_eq!(client.event("loaded.said").await.payload, Some(json!({ "a": [1, "ü"] })));
    // A library has a log and a panic hook of its own; both lead to the gateway's log.
    let heard = gateway.log_line("heard something").await;
    assert!(heard.contains("WARN") && heard.contains("loaded") && heard.contains("{\\\"fields\\\":1}"), "{heard}");
    let panicked = client.refused("loaded.panic", json!({})).await;
    gateway.log_line("as it was asked to at ").await;
    assert_eq!((panicked.code.as_str(), panicked.retryable), ("UNAVAILABLE", Some(true)));
    // What its manifest wishes for is not what it is granted.
    client.refused("loaded.ask", json!({ "method": "status" })).await;
    let state = plugin(&mut client, "loaded").await;
    assert_eq!((&state["state"], &state["version"], &state["panics"]), (&json!("running"), &json!("1.2.3"), &json!(1)));
    gateway.log_line("a plugin is loaded").await;
    client.close().await;

    let granted =
        format!("{config}methods = [\"loaded.ask\"]\ngrants = {{ invoke = [\"status\"] }}\nisolation = \"inline\"");
    let gateway = gateway.stop().await.builder().config(&granted).start().await;
    let mut client = gateway.admin().await;
    client.ok("loaded.ask", json!({ "method": "status" })).await;
    client.refused("loaded.ask", json!({ "method": "health" })).await;
    assert_eq!(client.refused("loaded.echo", json!({})).await.message, "unknown method: loaded.echo");
    client.close().await;

    let gateway = gateway.stop().await.builder().config(&format!("{config}enabled = false")).start().await;
    let mut client = gateway.admin().await;
    assert_eq!(plugin(&mut client, "loaded").await["state"], "disabled");
    client.close().await;
}

#[tokio::test]
async fn a_library_in_rust_may_fail_wherever_it_likes() {
    let shelf = Shelf::default();
    let config = table("loaded", &shelf.rust());
    let mut stopped = Gateway::with_config(&config).await.stop().await;
    for (stage, words) in [
        ("create", &["fails_in says so", "test.toml:1", "[plugins.loaded.config]"][..]),
        ("panic", &[][..]),
        ("start", &["start failed"][..]),
    ] {
        let config = format!("{config}[plugins.loaded.config]\nfails_in = \"{stage}\"");
        let gateway = stopped.builder().config(&config).start().await;
        assert_failed(&gateway, &shelf, &[("loaded", words)]).await;
        stopped = gateway.stop().await;
    }
    let gateway = stopped.builder().config(&format!("{config}[plugins.loaded.config]\nfials_in = 1")).start().await;
    assert_failed(&gateway, &shelf, &[("loaded", &["fials_in", "test.toml:1"])]).await;
}

#[tokio::test]
async fn files_that_are_not_what_the_operator_meant() {
    let shelf = Shelf::default();
    let whole = fs::read(shelf.rust()).expect("it was built");
    let library = |name: &str| shelf.write(name, &whole);
    let mut config = String::new();
    let mut add = |id: &str, path: &PathBuf, more: &str| {
        config.push_str(&format!("[plugins.{id}]\npath = {:?}\n{more}\n", path.display().to_string()));
    };
    let zeros = format!("sha256 = \"{}\"", "0".repeat(64));
    let pinned = |path: &PathBuf| {
        let sum = clawhost::loader::file::read(path).expect("it can be read").sha256;
        format!("sha256 = \"{sum}\"")
    };

    for (id, bytes) in [
        ("empty", &b""[..]),
        ("script", b"#!/bin/sh\nexit 0\n"),
        ("text", b"hello"),
        ("truncated", &whole[..whole.len() / 2]),
    ] {
        let path = shelf.write(&format!("{id}.so"), bytes);
        add(id, &path, &pinned(&path));
    }
    let mut foreign = whole.clone();
    foreign[18..20].copy_from_slice(&8u16.to_ne_bytes());
    let foreign = shelf.write("machine.so", &foreign);
    add("machine", &foreign, &pinned(&foreign));
    add("missing", &shelf.path().join("missing.so"), &zeros);
    symlink(library("aim.so"), shelf.path().join("link.so")).expect("a link can be made");
    add("link", &shelf.path().join("link.so"), &zeros);
    fs::create_dir(shelf.path().join("folder.so")).expect("a folder can be made");
    add("folder", &shelf.path().join("folder.so"), &zeros);
    let open = library("open.so");
    let sum = pinned(&open);
    fs::set_permissions(&open, Permissions::from_mode(0o666)).expect("permissions can be changed");
    add("open", &open, &sum);
    let above = shelf.path().join("above");
    fs::create_dir_all(above.join("inner")).expect("a folder can be made");
    let inner = shelf.write("above/inner/x.so", &whole);
    let sum = pinned(&inner);
    fs::set_permissions(&above, Permissions::from_mode(0o777)).expect("permissions can be changed");
    add("above", &inner, &sum);
    add("changed", &library("changed.so"), &zeros);
    add("unpinned", &library("unpinned.so"), "");
    // What is right goes on beside all of it.
    let right = library("right.so");
    add("loaded", &right, &pinned(&right));

    let gateway = Gateway::with_config(&config).await;
    assert_failed(
        &gateway,
        &shelf,
        &[
            ("empty", &["empty.so", "is empty", "test.toml:1: [plugins.empty]"]),
            ("script", &["script.so", "is a script"]),
            ("text", &["no shared library"]),
            ("truncated", &["truncated.so", "is truncated", "copy or download it again"]),
            ("machine", &["another machine", "a build for"]),
            ("missing", &["missing.so", "no such file", "correct path"]),
            ("link", &["link.so", "symbolic link", "name the file itself"]),
            ("folder", &["no regular file"]),
            ("open", &["open.so", "(mode 0666)", "chmod go-w"]),
            ("above", &["others may write to", "above (mode 0777)", "chmod go-w"]),
            ("changed", &["changed.so", "its SHA-256 is", "000000000", "write the new sum"]),
            ("unpinned", &["no checksum", "add sha256 = \""]),
        ],
    )
    .await;
    let mut client = gateway.admin().await;
    client.ok("loaded.echo", json!({})).await;
    client.close().await;
}

#[tokio::test]
async fn with_keys_only_signed_files_are_loaded() {
    use ed25519_dalek::{Signer, SigningKey};
    let shelf = Shelf::default();
    let file = shelf.rust();
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = base64(&key.sign(&fs::read(&file).expect("it was built")).to_bytes());
    let other = base64(&key.sign(b"other bytes").to_bytes());
    let (keys, table) = (
        format!("[gateway.plugins]\nkeys = [\"{}\"]\n", base64(key.verifying_key().as_bytes())),
        table("loaded", &file),
    );
    let gateway = Gateway::with_config(&format!("{keys}{table}signature = \"{signature}\"")).await;
    let mut client = gateway.admin().await;
    client.ok("loaded.echo", json!({})).await;
    client.close().await;
    let gateway = gateway.stop().await.builder().config(&format!("{keys}{table}")).start().await;
    assert_failed(&gateway, &shelf, &[("loaded", &["no signature", "add signature = "])]).await;
    let gateway = gateway.stop().await.builder().config(&format!("{keys}{table}signature = \"{other}\"")).start().await;
    assert_failed(&gateway, &shelf, &[("loaded", &["was not made for these bytes", "ask its author"])]).await;
}

#[tokio::test]
async fn tables_that_cannot_be_right_stop_the_start() {
    for (config, parts) in [
        (
            "[plugins.x]\npath = \"x.so\"\nsha256 = \"abc\"",
            &["test.toml:3", "[plugins.x] sha256 = \"abc\"", "64 hexadecimal"][..],
        ),
        ("[plugins.x]\npath = \"x.so\"\nsignature = \"abc\"", &["test.toml:3", "64 bytes in base64"]),
        ("[gateway.plugins]\nkeys = [\"abc\"]", &["test.toml:2", "[gateway.plugins] keys", "32 bytes in base64"]),
        ("[plugins.X]\npath = \"x.so\"", &["test.toml:1", "[plugins.X]", "lower-case letters"]),
        ("[plugins.status]\nsha256 = \"abc\"", &["test.toml:2", "no path beside it"]),
        ("[gateway.plugins]\ncreate_ms = 1", &["test.toml:2", "10 to 600000"]),
    ] {
        let (code, log) = Gateway::builder().config(config).fail().await;
        assert_eq!(code, 2, "{config}: {log}");
        for part in parts {
            assert!(log.contains(part), "{part:?} is not said for {config:?}: {log}");
        }
    }
}

#[tokio::test]
async fn libraries_that_are_no_plugins_and_manifests_that_are_none() {
    let shelf = Shelf::default();
    let changed = |id: &str, change: &dyn Fn(&mut Value)| {
        let mut manifest = manifest(id);
        change(&mut manifest);
        shelf.c_with(id, &manifest.to_string(), &[])
    };
    let Some(magic) = shelf.c("magic", &["MAGIC=0x12345678"]) else { return };
    let made = [
        ("magic", Some(magic)),
        ("size", shelf.c("size", &["SIZE=8"])),
        ("symbol", shelf.c("symbol", &["NO_ENTRY"])),
        ("huge", shelf.c("huge", &["HUGE_MANIFEST"])),
        ("nojson", shelf.c_with("nojson", "{ \"manifest\": 1,", &[])),
        ("latin", shelf.c("latin", &["NOT_UTF8"])),
        ("other", changed("other", &|it| it["id"] = json!("another"))),
        ("schema", changed("schema", &|it| it["methods"][0]["params"] = json!({ "type": "objekt" }))),
        ("role", changed("role", &|it| it["methods"][0]["role"] = json!("king"))),
        ("reserved", changed("reserved", &|it| it["methods"][0]["name"] = json!("host.evil"))),
        ("tick", changed("tick", &|it| it["events"] = json!([{ "name": "tick", "role": "operator", "scopes": [] }]))),
        ("taken", changed("taken", &|it| it["methods"][0]["name"] = json!("status"))),
        ("twice", changed("twice", &|it| it["methods"][0]["name"] = it["methods"][1]["name"].clone())),
        ("noscope", changed("noscope", &|it| drop(it["methods"][0].as_object_mut().map(|it| it.remove("scopes"))))),
        ("future", changed("future", &|it| it["requires"] = json!(["gwp.exec/1", "gwp.time-travel/1"]))),
        ("draft", changed("draft", &|it| it["requires"] = json!(["draft.http/2"]))),
        ("version", changed("version", &|it| it["manifest"] = json!(2))),
        (
            "scopes",
            changed("scopes", &|it| it["methods"][0]["scopes"] = (0..80).map(|n| json!(format!("s.{n}"))).collect()),
        ),
        ("hidden", changed("hidden", &|it| it["methods"][0]["name"] = json!("hidden.\u{200b}echo"))),
        ("lacking", shelf.c("lacking", &["LACKS_A_FUNCTION"])),
        ("status", shelf.c("status", &[])),
    ];
    let mut config: String =
        made.iter().filter_map(|(id, file)| Some(table(id, file.as_deref()?))).collect::<Vec<_>>().join("\n");
    // Two of somebody else's may not have the same names either: the first by name is served.
    let first = changed("aaa", &|it| it["methods"][0]["name"] = json!("common.echo")).expect("there is a compiler");
    let second = changed("bbb", &|it| it["methods"][0]["name"] = json!("common.echo")).expect("there is a compiler");
    config.push_str(&format!("{}{}", table("aaa", &first), table("bbb", &second)));

    let gateway = Gateway::with_config(&config).await;
    let faults: &[Fault<'_>] = &[
        ("magic", &["magic number 0x12345678", "gwp.h"]),
        ("size", &["entry table of 8 bytes", "gwp.h"]),
        ("symbol", &["exports no gwp_entry_v1", "its author"]),
        ("huge", &["its manifest cannot be served", "1048576"]),
        ("nojson", &["its manifest cannot be served", "EOF"]),
        ("latin", &["its manifest cannot be served", "not UTF-8"]),
        ("other", &["calls itself \"another\"", "[plugins.another]"]),
        ("schema", &["schema.echo", "objekt"]),
        ("role", &["its manifest cannot be served", "role is"]),
        ("reserved", &["\"host.evil\"", "reserved"]),
        ("tick", &["\"tick\"", "reserved"]),
        ("taken", &["\"status\"", "claimed by \"status\" and by \"taken\""]),
        ("twice", &["twice.last", "stands twice"]),
        ("noscope", &["scopes"]),
        ("future", &["gwp.time-travel/1", "does not offer"]),
        ("draft", &["draft.http/2", "allow_draft_extensions = true"]),
        ("version", &["manifest version 2"]),
        ("scopes", &["asks for 80 different scopes", "at most 64"]),
        ("hidden", &["visible ASCII"]),
        ("lacking", &["the system cannot load it", "a_function_of_nobody"]),
        ("bbb", &["\"common.echo\"", "claimed by \"aaa\" and by \"bbb\""]),
        ("status", &["\"status\" is linked into this program", "cannot take its place", "status.so"]),
    ];
    assert_failed(&gateway, &shelf, faults).await;
    let mut client = gateway.admin().await;
    client.ok("common.echo", json!({})).await;
    client.close().await;
}

#[tokio::test]
async fn a_plugin_that_does_not_come_up_holds_up_nobody() {
    let shelf = Shelf::default();
    let mut config = "[gateway.plugins]\ncreate_ms = 3_000\n".to_string();
    let faults: &[Fault<'_>] = &[
        ("fails", &["the moon is full", "[plugins.fails.config]"]),
        ("silent", &["create failed with code -1 and no reason"]),
        ("blocks", &["create took longer than 3000 ms", "create_ms"]),
        ("empty", &["start failed with code -2"]),
        ("haunts", &["the moon is full"]),
        ("rants", &["x ERROR the gateway"]),
        ("start-fails", &["start failed: the stars are wrong"]),
        ("start-blocks", &["start took longer than 3000 ms"]),
    ];
    for (id, _) in faults.iter().chain(&[("fine", &[][..])]) {
        let Some(file) = shelf.c(id, &[]) else { return };
        config.push_str(&format!("{}[plugins.{id}.config]\ncreate = \"{id}\"\n", table(id, &file)));
    }
    let gateway = Gateway::with_config(&config).await;
    assert_failed(&gateway, &shelf, faults).await;
    let mut client = gateway.admin().await;
    assert_eq!(client.ok("fine.echo", json!({ "a": 1 })).await, json!({ "a": 1 }));
    client.close().await;
    // Code of these two still runs: if the process dies of it, the next one knows of whom.
    let notes = fs::read_dir(gateway.state_file("plugins/loading")).expect("a folder");
    let mut notes: Vec<_> = notes.map(|note| note.expect("a note").file_name()).collect();
    notes.sort();
    assert_eq!(notes, ["blocks", "start-blocks"]);
}

#[tokio::test]
async fn a_plugin_that_takes_the_gateway_down_is_left_out_until_it_changes() {
    let shelf = Shelf::default();
    let Some(fine) = shelf.c("fine", &[]) else { return };
    for (what, definitions, keys) in [
        ("its initialiser", &["DIES_ON_LOAD"][..], ""),
        ("create", &[][..], "[plugins.dies.config]\ncreate = \"aborts\"\n"),
    ] {
        let deadly = shelf.c("dies", definitions).expect("there is a compiler");
        let config = format!("{}{}{keys}", table("fine", &fine), table("dies", &deadly));
        let builder = Gateway::builder().config(&config);
        let state = builder.state_dir();
        assert_ends(builder.clone()).await;
        let marker = state.join("plugins/loading/dies");
        let gateway = builder.clone().start().await;
        let clear = format!("delete {}", marker.display());
        assert_failed(&gateway, &shelf, &[("dies", &["the gateway ended while it was loading", &clear])]).await;
        gateway.stop().await;
        // It was told how to try again, and does.
        fs::remove_file(&marker).unwrap_or_else(|error| panic!("{what}: {}: {error}", marker.display()));
        assert_ends(builder.clone()).await;
        // Another build is another try.
        let mended = shelf.c("dies", &["BUILD=2"]).expect("there is a compiler");
        let config = format!("{}{}", table("fine", &fine), table("dies", &mended));
        let gateway = builder.config(&config).start().await;
        let mut client = gateway.admin().await;
        client.ok("dies.echo", json!({})).await;
        client.ok("fine.echo", json!({})).await;
        client.close().await;
        gateway.stop().await;
        assert!(!marker.exists(), "{what}");
    }
}

#[tokio::test]
async fn what_was_checked_is_what_is_loaded() {
    use clawhost::loader::{Checks, admit};
    let shelf = Shelf::default();
    let Some(file) = shelf.c("fine", &[]) else { return };
    let state = tempfile::tempdir().expect("a temporary folder can be made");
    let checks = Checks { allow_unpinned: true, ..Checks::default() };
    let admitted = admit(&state.path().join("plugins"), &file, &checks).expect("it is fine");
    shelf.write("fine.so", b"#!/bin/sh\n");
    assert_eq!(admitted.open().expect("the copy is loaded").manifest.id, "fine");

    // The original may be overwritten while it is in use.
    let file = shelf.c("fine", &[]).expect("there is a compiler");
    let config = table("fine", &file);
    let gateway = Gateway::with_config(&config).await;
    fs::write(&file, "not any more").expect("it is ours");
    let mut client = gateway.admin().await;
    client.ok("fine.echo", json!({})).await;
    client.close().await;
    let copies = gateway.state_file("plugins");
    assert_eq!(fs::metadata(&copies).expect("a folder").permissions().mode() & 0o777, 0o700);
    // The copy alone is not enough: the file that is named has to be the one that was meant.
    let gateway = gateway.stop().await.restart().await;
    assert_failed(&gateway, &shelf, &[("fine", &["replaced by another build"])]).await;
}

#[tokio::test]
async fn answers_that_are_none_reach_nobody() {
    let shelf = Shelf::default();
    let Some(file) = shelf.c("bad", &[]) else { return };
    let table = table("bad", &file);
    for isolation in ["pool", "inline"] {
        let config = format!("{table}isolation = \"{isolation}\"\n[gateway.limits]\nmax_outbound_bytes = 1_048_576");
        let gateway = Gateway::with_config(&config).await;
        let mut client = gateway.admin().await;
        assert_eq!(client.ok("bad.twice", json!({})).await, 1);
        last(&mut client, -4).await;
        assert_eq!(client.ok("bad.foreign", json!({})).await, "from afar");
        assert_eq!(client.ok("bad.stranger", json!({})).await, -4, "a call that is not its own");
        for method in ["bad.malformed", "bad.latin", "bad.two_values", "bad.no_error", "bad.half_error"] {
            let error = client.refused(method, json!({})).await;
            assert_eq!((&*error.code, &*error.message), ("UNAVAILABLE", "the method gave a broken answer"), "{method}");
            last(&mut client, -1).await;
        }
        assert!(client.refused("bad.huge", json!({})).await.message.contains("larger"));
        last(&mut client, -7).await;
        assert_eq!(client.ok("bad.undeclared", json!({})).await, -1, "an interim answer that its manifest lacks");
        assert_eq!(client.ok("bad.interim", json!({})).await, -1, "a broken interim answer");
        assert_eq!(client.ok("bad.kind", json!({})).await, -1);
        for method in ["bad.never", "bad.late"] {
            assert_eq!(client.refused(method, json!({})).await.message, format!("{method} timed out after 200 ms"));
        }
        last(&mut client, -4).await;
        assert_eq!(client.ok("bad.echo", json!({ "still": "here" })).await, json!({ "still": "here" }));
        // Its last thread outlives it and is told so.
        gateway.replace_config("");
        let told = gateway.state_file("data/bad/after-destroy");
        while !fs::read_to_string(&told).is_ok_and(|told| !told.is_empty()) {
            client.ok("health", json!({})).await;
        }
        assert_eq!(fs::read_to_string(&told).expect("it was there"), "-4");
        client.close().await;
        gateway.assert_healthy().await;
    }
}

#[tokio::test]
async fn a_plugin_writes_one_line_at_a_time_into_the_log() {
    let shelf = Shelf::default();
    let Some(file) = shelf.c("bad", &[]) else { return };
    let gateway = Gateway::with_config(&table("bad", &file)).await;
    let mut client = gateway.admin().await;
    client.ok("bad.shout", json!({})).await;
    let line = gateway.log_line("the gateway was taken over").await;
    assert!(
        line.contains("x\\nERROR the gateway") && line.contains("(1048") && line.len() < 20_000,
        "{} bytes",
        line.len()
    );
    assert!(gateway.log_lines("").iter().all(|line| !line.starts_with("ERROR")));
    client.close().await;
}

#[tokio::test]
async fn a_plugin_that_blocks_every_call_stops_nobody_else() {
    let shelf = Shelf::default();
    let Some(file) = shelf.c("bad", &[]) else { return };
    let config = format!("{}[gateway.limits]\ntick_interval_ms = 50", table("bad", &file));
    let gateway = Gateway::with_config(&config).await;
    let mut client = gateway.admin().await;
    let mut blocked = Vec::new();
    for _ in 0..32 {
        blocked.push(client.request("bad.block", json!({})).await);
    }
    client.event("tick").await;
    client.ok("status", json!({})).await;
    gateway.assert_healthy().await;
    for id in blocked {
        assert_eq!(client.answer(&id).await.expect_err("it blocks").message, "bad.block timed out after 200 ms");
    }
    client.close().await;
}

/// What the host said to the last answer that it should not hear.
async fn last(client: &mut Client, code: i32) {
    assert_eq!(client.ok("bad.last", json!({})).await, code);
}

/// Starts a gateway that dies of a plugin.
async fn assert_ends(builder: clawhost_tests::support::Builder) {
    let log = builder.dies().await;
    assert!(!log.contains("listening on"), "{log}");
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
