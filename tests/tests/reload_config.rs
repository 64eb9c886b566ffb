//! `config.toml` changes while the gateway runs: what it says of plugins and methods holds at once, and what is wrong with
//! it changes nothing.

use std::os::unix::fs::symlink;

use clawhost_tests::libraries::{Shelf, table};
use clawhost_tests::program::Home;
use clawhost_tests::reloading::{changed, is_served, read_up, reload, row, start};
use clawhost_tests::support::{Client, Gateway};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_test_gateway");

async fn unknown(client: &mut Client, method: &str) {
    assert_eq!(client.refused(method, json!({})).await.message, format!("unknown method: {method}"));
}

#[tokio::test]
async fn plugins_come_and_go_with_their_tables() {
    let shelf = Shelf::default();
    let gateway = start(PROGRAM, "").await;
    let mut client = gateway.admin().await;
    gateway.replace_config("[plugins.vault]\nenabled = false");
    changed(&mut client, "vault").await;
    unknown(&mut client, "vault.read").await;
    assert_eq!(row(&mut client, "vault").await["state"], "disabled");
    assert!(!is_served(&gateway, "vault.read").await);

    let library = table("reborn", &shelf.reborn('a'));
    gateway.write_config(&library);
    // Both are one change.
    assert_eq!(changed(&mut client, "vault").await["plugins"], json!(["reborn", "vault"]));
    client.ok("vault.read", json!({})).await;
    client.ok("reborn.who", json!({})).await;
    assert!(is_served(&gateway, "reborn.who").await);

    gateway.replace_config(&format!("{library}enabled = false"));
    changed(&mut client, "reborn").await;
    unknown(&mut client, "reborn.who").await;
    assert_eq!(row(&mut client, "reborn").await["state"], "disabled");
    gateway.replace_config(&library);
    changed(&mut client, "reborn").await;
    client.ok("reborn.who", json!({})).await;

    gateway.write_config("# nothing any more");
    changed(&mut client, "reborn").await;
    unknown(&mut client, "reborn.who").await;
    assert!(row(&mut client, "reborn").await.is_null(), "nobody speaks of it any more");
    client.close().await;
}

#[tokio::test]
async fn methods_are_switched_on_and_off() {
    let gateway = start(PROGRAM, "").await;
    let mut client = gateway.admin().await;
    gateway.write_config("[plugins.vault]\nmethods = [\"vault.read\"]");
    changed(&mut client, "vault").await;
    client.ok("vault.read", json!({})).await;
    unknown(&mut client, "vault.admin").await;
    assert!(!is_served(&gateway, "vault.admin").await);

    gateway.write_config("[gateway.methods]\ndeny = [\"vault.*\"]");
    changed(&mut client, "vault").await;
    unknown(&mut client, "vault.read").await;
    assert!(!is_served(&gateway, "vault.read").await);

    // Rules alone concern no plugin, and clients are told all the same.
    let told = client.heard("plugins.changed").len();
    gateway.write_config("[gateway.methods]\ndeny = [\"vault.admin\"]");
    let event = client.event("plugins.changed").await.payload;
    assert_eq!(event.expect("a payload")["plugins"], json!([]));
    assert_eq!(client.heard("plugins.changed").len(), told + 1);
    client.ok("vault.read", json!({})).await;
    unknown(&mut client, "vault.admin").await;
    client.close().await;
}

/// As a ConfigMap is mounted.
#[test]
fn a_configuration_behind_links_is_followed_where_they_lead() {
    let home = Home::default();
    let path = |name: &str| home.path().join(name);
    let write = |name: &str, limits: &str| {
        std::fs::write(path(name), format!("[gateway.limits]\n{limits}")).expect("a file can be written");
    };
    let swap = |folder: &str| {
        symlink(folder, path("..data_tmp")).expect("a link can be made");
        std::fs::rename(path("..data_tmp"), path("..data")).expect("it can take another one's place");
    };
    for folder in ["..1", "..2"] {
        std::fs::create_dir(path(folder)).expect("a folder can be made");
    }
    write("..1/config.toml", "tick_interval_ms = 1000\n");
    write("..2/config.toml", "tick_interval_ms = 2000\n");
    swap("..1");
    symlink("..data/config.toml", path("config.toml")).expect("a link can be made");
    let gateway = home.start();
    swap("..2");
    gateway.wait_for("gateway.limits.tick_interval_ms");
    write("..2/config.toml", "tick_interval_ms = 2000\nhttp_stall_ms = 5000\n");
    gateway.wait_for("gateway.limits.http_stall_ms");
}

#[tokio::test]
async fn patterns_that_match_no_method_are_named() {
    let off = "[plugins.vault]\nenabled = false\n";
    let gateway = start(PROGRAM, &format!("[gateway.methods]\ndeny = [\"vault.admin\", \"vault.raed\"]\n{off}")).await;
    let line = gateway.log_line("matches no method").await;
    for word in ["test.toml", "[gateway.methods] deny", "\"vault.raed\"", "\"vault.read\""] {
        assert!(line.contains(word), "{word}: {line}");
    }
    gateway.write_config("[gateway.methods]\ndeny = [\"vault.raed\"]\n[gateway.methods.node]\nallow = [\"vualt.*\"]\n");
    let line = gateway.log_line("vualt.*").await;
    assert!(line.contains("[gateway.methods.node] allow"), "{line}");
    let lines = gateway.log_lines("matches no method");
    assert_eq!(lines.len(), 2, "methods of what is switched off are known, and nothing is said twice: {lines:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_file_that_is_wrong_changes_nothing() {
    let gateway = start(PROGRAM, "[plugins.vault]\nmethods = [\"vault.read\"]\n").await;
    let mut client = gateway.admin().await;
    for (text, words) in [
        ("[plugins.vault]\nenabled = false\n[plugins.vault\n", &["test.toml:3"][..]),
        ("[plugins.vault]\nenabled = \"no\"\n", &["test.toml:2", "enabled"]),
        ("[gateway]\nprot = 1\n[plugins.vault]\nenabled = false\n", &["test.toml:2", "port", "prot"]),
        ("[plugins.valt]\nenabled = false\n", &["test.toml:1", "valt", "vault"]),
        ("[plugins.x]\npath = \"x.so\"\nsha256 = \"12\"\n", &["test.toml:3", "sha256"]),
    ] {
        gateway.write_config(text);
        let line = gateway.log_line(words[1..].first().unwrap_or(&words[0])).await;
        for word in words.iter().chain(&["was not taken over", "stays in force"]) {
            assert!(line.contains(word), "{word:?} is not said of {text:?}: {line}");
        }
        client.ok("vault.read", json!({})).await;
        unknown(&mut client, "vault.admin").await;
    }
    read_up(&mut client).await;
    assert_eq!(client.heard("plugins.changed").len(), 0);
    gateway.replace_config("");
    changed(&mut client, "vault").await;
    client.ok("vault.admin", json!({})).await;
    client.close().await;
}

#[tokio::test]
async fn keys_that_hold_after_a_restart_are_named() {
    let gateway = start(PROGRAM, "[gateway.limits]\ntick_interval_ms = 1000\n").await;
    gateway.write_config("[gateway.limits]\ntick_interval_ms = 2000\n");
    let line = gateway.log_line("holds after a restart").await;
    assert!(line.contains("gateway.limits.tick_interval_ms"), "{line}");
    gateway.log_line("nothing changes for plugins and methods").await;
    let mut client = gateway.admin().await;
    read_up(&mut client).await;
    assert_eq!(client.heard("plugins.changed").len(), 0);
    // Not named again when something else changes, and named by a reload too.
    gateway.write_config("[gateway.limits]\ntick_interval_ms = 2000\n[gateway.log]\nlevel = \"debug\"\n");
    reload(&mut client, "vault").await;
    gateway.log_line("gateway.log.level").await;
    let lines = gateway.log_lines("holds after a restart");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].contains("gateway.log.level"), "{lines:?}");
    client.close().await;
}

#[tokio::test]
async fn the_signal_does_the_same_and_looks_at_files() {
    let shelf = Shelf::default();
    let file = shelf.reborn('a');
    let config = format!("[gateway.plugins]\nallow_unpinned = true\n[plugins.reborn]\npath = {file:?}\n");
    let gateway = start(PROGRAM, &config).await;
    let mut client = gateway.admin().await;
    let first = client.ok("reborn.who", json!({})).await;
    gateway.hang_up();
    gateway.log_line("nothing changes for plugins and methods").await;
    assert_eq!(client.ok("reborn.who", json!({})).await, first);
    shelf.reborn('b');
    gateway.hang_up();
    assert_eq!(changed(&mut client, "reborn").await["plugins"], json!(["reborn"]));
    assert_eq!(client.ok("reborn.who", json!({})).await["build"], "1.0.0-build-b");
    // One that could not be loaded is looked at too, once its file is right.
    shelf.write("libreborn.so", b"no library");
    gateway.hang_up();
    gateway.log_line("was not changed as asked").await;
    assert_eq!(client.ok("reborn.who", json!({})).await["build"], "1.0.0-build-b");
    assert_eq!(client.heard("plugins.changed").len(), 1, "what goes on as it was is no news");
    shelf.reborn('c');
    gateway.hang_up();
    changed(&mut client, "reborn").await;
    assert_eq!(client.ok("reborn.who", json!({})).await["build"], "1.0.0-build-c");
    client.close().await;
}

#[tokio::test]
async fn the_signal_tries_again_what_never_came_up() {
    let shelf = Shelf::default();
    let file = shelf.write("libreborn.so", b"no library");
    let config = format!("[gateway.plugins]\nallow_unpinned = true\n[plugins.reborn]\npath = {file:?}\n");
    let gateway = start(PROGRAM, &config).await;
    let mut client = gateway.admin().await;
    assert_eq!(row(&mut client, "reborn").await["state"], "failed");
    shelf.reborn('a');
    gateway.hang_up();
    changed(&mut client, "reborn").await;
    assert_eq!(client.ok("reborn.who", json!({})).await["build"], "1.0.0-build-a");
    client.close().await;
}

#[tokio::test]
async fn what_a_reload_of_another_plugin_read_is_not_forgotten() {
    let gateway = start(PROGRAM, "").await;
    let mut client = gateway.admin().await;
    // Read by the reload before the change is noticed by itself.
    gateway.write_config("[plugins.vault]\nenabled = false");
    reload(&mut client, "grumpy").await;
    changed(&mut client, "vault").await;
    unknown(&mut client, "vault.read").await;
    client.close().await;
}

#[tokio::test]
async fn a_gateway_without_a_file_reads_none() {
    let gateway = Gateway::start().await;
    gateway.hang_up();
    gateway.log_line("nothing changes for plugins and methods").await;
    gateway.assert_healthy().await;
}
