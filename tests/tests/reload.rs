//! `plugins.reload`, at the wire: new code and new configuration for one plugin while everything else goes on.

use clawhost_tests::libraries::{Shelf, table};
use clawhost_tests::reloading::{changed, is_served, read_up, reload, reload_fails, row, start};
use clawhost_tests::support::{Client, Connect, Gateway};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_test_gateway");
/// What `reborn` may call and hear.
const GRANTS: &str = "grants = { invoke = [\"spike.*\", \"reborn.*\"], hear = [\"host.connection.*\"] }\n";

fn reborn(shelf: &Shelf, build: char, config: &str) -> String {
    format!("{}{GRANTS}[plugins.reborn.config]\n{config}\n", table("reborn", &shelf.reborn(build)))
}

async fn who(client: &mut Client) -> Value {
    client.ok("reborn.who", json!({})).await
}

#[tokio::test]
async fn new_code_takes_over_and_nobody_is_lost() {
    let shelf = Shelf::default();
    let gateway = start(PROGRAM, &reborn(&shelf, 'a', "")).await;
    let mut caller = gateway.admin().await;
    let mut bystander = gateway.admin().await;
    let old = who(&mut caller).await;
    assert_eq!(old["build"], "1.0.0-build-a");
    // Answered when the gate is opened, which happens after the reload.
    let through = json!({ "method": "spike.wait", "params": { "gate": "later" } });
    let slow = [
        caller.request("reborn.through", through.clone()).await,
        bystander.request("reborn.through", through.clone()).await,
    ];
    who(&mut bystander).await;

    gateway.replace_config(&reborn(&shelf, 'b', ""));
    let state = reload(&mut caller, "reborn").await;
    assert_eq!((&state["version"], &state["state"]), (&json!("1.0.0-build-b"), &json!("running")));
    assert_eq!(row(&mut caller, "reborn").await, state);
    let new = who(&mut bystander).await;
    assert_eq!(new["build"], "1.0.0-build-b");
    assert!(new["instance"].as_u64() > old["instance"].as_u64(), "{old} {new}");

    bystander.ok("spike.open", json!({ "gate": "later" })).await;
    let answers = [caller.answer(&slow[0]).await, bystander.answer(&slow[1]).await];
    for answer in answers {
        let answer = answer.expect("the old instance answers what it was asked");
        assert_eq!((&answer["instance"], &answer["stopped"]), (&old["instance"], &json!(false)), "{answer}");
    }
    gateway.assert_healthy().await;
    assert!(is_served(&gateway, "reborn.who").await);
    caller.close().await;
    bystander.close().await;
}

#[tokio::test]
async fn clients_notice_one_event_and_nothing_else() {
    let shelf = Shelf::default();
    let file = shelf.reborn('a');
    let unpinned = format!("[gateway.plugins]\nallow_unpinned = true\n[plugins.reborn]\npath = {file:?}\n");
    let gateway = start(PROGRAM, &unpinned).await;
    let mut admin = gateway.admin().await;
    let mut bystander = gateway.admin().await;
    read_up(&mut bystander).await;
    let before = bystander.checks().seq();
    shelf.reborn('b');
    assert_eq!(reload(&mut admin, "reborn").await["version"], "1.0.0-build-b");
    let told = changed(&mut bystander, "reborn").await;
    assert_eq!(told, json!({ "generation": 2, "plugins": ["reborn"] }));
    read_up(&mut bystander).await;
    assert_eq!(bystander.heard("plugins.changed").len(), 1);
    // Health and ticks come by themselves; there is nothing beside them.
    let of_itself = ["health", "tick"].map(|name| bystander.heard(name)).concat();
    let of_itself = of_itself.iter().filter(|event| event.seq > Some(before)).count() as u64;
    assert_eq!(bystander.checks().seq(), before + 1 + of_itself);
    // The same file again is a reload too: what it kept in memory is gone.
    reload(&mut admin, "reborn").await;
    assert_eq!(changed(&mut bystander, "reborn").await["generation"], 3);
    admin.close().await;
    bystander.close().await;
}

#[tokio::test]
async fn only_admins_reload_and_only_what_there_is() {
    let gateway = start(PROGRAM, "").await;
    let mut reader = gateway.operator(&["operator.read", "operator.write"]).await;
    let error = reader.refused("plugins.reload", json!({ "id": "system" })).await;
    assert!(error.message.contains("operator.admin"), "{error:?}");
    reader.close().await;
    let mut admin = gateway.admin().await;
    for (params, word) in [(json!({ "id": "nobody" }), "nobody"), (json!({}), "id"), (json!({ "id": 7 }), "id")] {
        let error = admin.refused("plugins.reload", params).await;
        assert!(error.code == "INVALID_REQUEST" && error.message.contains(word), "{error:?}");
    }
    read_up(&mut admin).await;
    assert_eq!(admin.heard("plugins.changed").len(), 0);
    admin.close().await;
}

#[tokio::test]
async fn one_that_cannot_be_made_leaves_the_old_one() {
    let shelf = Shelf::default();
    let gateway = start(PROGRAM, &reborn(&shelf, 'a', "note = \"first\"")).await;
    let mut admin = gateway.admin().await;
    let old = who(&mut admin).await;
    let right = reborn(&shelf, 'b', "");
    let digits = right.find("sha256 = \"").expect("it is pinned") + "sha256 = \"".len();
    let wrong_pin = format!("{}0000{}", &right[..digits], &right[digits + 4..]);
    let gone = right.replace("libreborn.so", "gone.so");
    for (config, words) in [
        (reborn(&shelf, 'b', "note = 7"), &["note", "test.toml:"][..]),
        (reborn(&shelf, 'b', "fails_in = \"create\""), &["fails_in says so"]),
        (reborn(&shelf, 'b', "fails_in = \"panic\""), &["create"]),
        (wrong_pin, &["SHA-256"]),
        (gone, &["gone.so", "no such file"]),
        (right.replace("grants", "method = 1\ngrants"), &["test.toml:", "method"]),
        (right.replace("grants", "methods = [\"reborn.whoo\"]\ngrants"), &["reborn.whoo", "reborn.who"]),
    ] {
        gateway.replace_config(&config);
        let (why, state) = reload_fails(&mut admin, "reborn").await;
        for word in words {
            assert!(why.contains(word), "{word:?} is not said: {why}");
        }
        assert_eq!((&state["state"], &state["version"]), (&json!("running"), &json!("1.0.0-build-a")), "{why}");
        assert_eq!(who(&mut admin).await, old, "{why}");
    }
    gateway.replace_config(&right);
    reload(&mut admin, "reborn").await;
    assert_eq!(who(&mut admin).await["build"], "1.0.0-build-b");
    admin.close().await;
}

#[tokio::test]
async fn one_that_does_not_start_runs_as_it_did_before() {
    let shelf = Shelf::default();
    let gateway = start(PROGRAM, &reborn(&shelf, 'a', "note = \"first\"")).await;
    let mut admin = gateway.admin().await;
    // The configuration in between could not be used: what is gone back to is what ran.
    let unusable = reborn(&shelf, 'a', "fails_in = \"create\"");
    gateway.replace_config(&unusable);
    reload_fails(&mut admin, "reborn").await;
    // Nor does it become what ran by a change of something else.
    gateway.replace_config(&format!("{unusable}# x\n"));
    gateway.log_line("nothing changes for plugins").await;
    for _ in 0..2 {
        gateway.replace_config(&reborn(&shelf, 'b', "fails_in = \"start\"\nnote = \"second\""));
        let (why, state) = reload_fails(&mut admin, "reborn").await;
        assert!(why.contains("start failed") && why.contains("it runs as before"), "{why}");
        assert_eq!((&state["state"], &state["version"]), (&json!("running"), &json!("1.0.0-build-a")));
        let now = who(&mut admin).await;
        assert_eq!((&now["build"], &now["value"]), (&json!("1.0.0-build-a"), &json!("first")));
    }
    admin.close().await;
}

#[tokio::test]
async fn a_plugin_that_is_linked_in_gets_its_new_configuration() {
    let gateway = start(PROGRAM, "").await;
    let mut admin = gateway.admin().await;
    let grumpy = |fails_in: &str| format!("[plugins.grumpy.config]\nfails_in = \"{fails_in}\"");
    for fails_in in ["create", "panic"] {
        gateway.replace_config(&grumpy(fails_in));
        let (why, state) = reload_fails(&mut admin, "grumpy").await;
        assert!(why.contains("goes on"), "{why}");
        assert_eq!(state["state"], "running");
        assert_eq!(admin.ok("grumpy.hello", json!({})).await["mood"], "grumpy");
    }
    gateway.replace_config(&grumpy("start"));
    let (why, _) = reload_fails(&mut admin, "grumpy").await;
    assert!(why.contains("start failed") && why.contains("as before"), "{why}");
    assert_eq!(admin.ok("grumpy.hello", json!({})).await["mood"], "grumpy");
    // A file that is for another one is no way to replace it.
    gateway.replace_config("[plugins.grumpy]\npath = \"grumpy.so\"");
    let (why, _) = reload_fails(&mut admin, "grumpy").await;
    assert!(why.contains("linked into this program"), "{why}");
    gateway.replace_config("[plugins.grumpy]\nenabled = false");
    assert_eq!(reload(&mut admin, "grumpy").await["state"], "disabled");
    assert_eq!(admin.refused("grumpy.hello", json!({})).await.message, "unknown method: grumpy.hello");
    gateway.replace_config("");
    assert_eq!(reload(&mut admin, "grumpy").await["state"], "running");
    admin.ok("grumpy.hello", json!({})).await;
    admin.close().await;
}

#[tokio::test]
async fn new_code_is_mapped_so_often_and_no_more() {
    let shelf = Shelf::default();
    let limit = "[gateway.plugins]\nmax_reloads = 2\n";
    let with = |build| format!("{limit}{}", reborn(&shelf, build, ""));
    let gateway = start(PROGRAM, &with('a')).await;
    let mut admin = gateway.admin().await;
    // Code that is mapped already costs nothing.
    for build in ['b', 'a', 'b', 'c', 'a'] {
        gateway.replace_config(&with(build));
        reload(&mut admin, "reborn").await;
        assert_eq!(who(&mut admin).await["build"], format!("1.0.0-build-{build}"));
    }
    gateway.replace_config(&with('d'));
    let (why, state) = reload_fails(&mut admin, "reborn").await;
    assert!(why.contains("max_reloads") && why.contains("restart the gateway"), "{why}");
    assert_eq!(state["version"], "1.0.0-build-a");
    assert_eq!(who(&mut admin).await["build"], "1.0.0-build-a");
    assert!(gateway.metric("clawhost_limit_hits_total{limit=\"max_reloads\"}").await >= 1.0);
    admin.close().await;
}

#[tokio::test]
async fn each_open_connection_is_told_of_once() {
    let shelf = Shelf::default();
    let gateway = start(PROGRAM, &reborn(&shelf, 'a', "hears = true")).await;
    let mut admin = gateway.admin().await;
    let others = [gateway.admin().await, gateway.connect(&Connect::node()).await];
    let gone = gateway.admin().await;
    gone.close().await;
    gateway.replace_config(&reborn(&shelf, 'b', "hears = true\nnote = \"b\""));
    reload(&mut admin, "reborn").await;
    let late = gateway.admin().await;
    let conn_id = |client: &Client| client.hello["server"]["connId"].as_str().expect("an id").to_string();
    let heard = loop {
        // It hears on threads of its own; each look is a call.
        let heard = admin.ok("reborn.heard", json!({})).await["value"].clone();
        if heard.to_string().contains(&conn_id(&late)) {
            break heard;
        }
    };
    let heard = heard.as_array().expect("a list");
    let times = |id: &str, replay: bool| {
        let entry = json!({ "event": "host.connection.opened", "connId": id, "replay": replay });
        heard.iter().filter(|known| **known == entry).count()
    };
    for client in [&admin, &others[0], &others[1]] {
        let id = conn_id(client);
        assert_eq!((times(&id, true), times(&id, false)), (1, 0), "{id} in {heard:?}");
    }
    assert_eq!((times(&conn_id(&late), true), times(&conn_id(&late), false)), (0, 1), "{heard:?}");
    assert_eq!(heard.iter().filter(|known| known["event"] == "host.connection.opened").count(), 4, "{heard:?}");
    for client in others.into_iter().chain([late, admin]) {
        client.close().await;
    }
}

#[tokio::test]
async fn who_is_here_is_known_to_the_next_presence() {
    let gateway = Gateway::start().await;
    let desktop =
        Connect::operator().client("test", "ui").about("displayName", "A desktop").about("instanceId", "desk");
    let mut desktop = gateway.connect(&desktop).await;
    let mut admin = gateway.admin().await;
    desktop.event_with("presence", |payload| payload.to_string().contains("A desktop")).await;
    let rows = |list: Value| {
        let mut rows = list.as_array().expect("a list").clone();
        rows.iter_mut().for_each(|row| drop(row.as_object_mut().map(|row| row.remove("ts"))));
        rows.sort_by_key(Value::to_string);
        rows
    };
    let before = rows(admin.ok("system-presence", json!({})).await);
    assert!(before.len() >= 2, "{before:?}");
    read_up(&mut desktop).await;
    let told_before = desktop.heard("presence").len();
    let begun = std::time::Instant::now();
    reload(&mut admin, "presence").await;
    changed(&mut desktop, "presence").await;
    let newcomer = gateway.admin().await;
    assert_eq!(rows(newcomer.hello["snapshot"]["presence"].clone()), before, "the snapshot");
    // Its own row and the connections' come in turn.
    while rows(admin.ok("system-presence", json!({})).await) != before {}
    desktop.ok("health", json!({})).await;
    // Its own row and the connections' in turn, each behind a pause; a slow machine has room for more of these.
    let (told, most) = (desktop.heard("presence").len() - told_before, 2 + begun.elapsed().as_millis() / 500);
    assert!(told as u128 <= most, "{told} lists for one reload in {:?}", begun.elapsed());
    for event in &desktop.heard("presence")[told_before..] {
        let list = event.payload.as_ref().expect("a payload")["presence"].clone();
        assert_eq!(rows(list), before, "nobody came or went");
    }
    for client in [desktop, admin, newcomer] {
        client.close().await;
    }
}

#[tokio::test]
async fn every_plugin_that_is_linked_in_can_be_made_anew() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.admin().await;
    let smoke = ["status", "health", "system-presence", "system.methods", "system.plugins", "system.connections"];
    let before = admin.ok("system.methods", json!({})).await;
    let plugins = admin.ok("system.plugins", json!({})).await;
    let runs = |row: &&Value| row["state"] == "running";
    let rows = plugins["plugins"].as_array().expect("a list");
    let ids: Vec<_> = rows.iter().filter(runs).map(|row| row["id"].clone()).collect();
    assert!(ids.len() >= 25, "{ids:?}");
    for id in &ids {
        let id = id.as_str().expect("an id");
        let state = reload(&mut admin, id).await;
        assert_eq!((&state["id"], &state["state"]), (&json!(id), &json!("running")));
        changed(&mut admin, id).await;
        for method in smoke.iter().chain(&["device.pair.list", "agents.list", "models.list", "channels.status"]) {
            admin.ok(method, json!({})).await;
        }
    }
    assert_eq!(admin.heard("plugins.changed").len(), ids.len(), "one event each");
    assert_eq!(admin.ok("system.methods", json!({})).await, before);
    gateway.assert_healthy().await;
    let lines = gateway.log_lines("the plugin did not");
    assert!(lines.is_empty(), "{lines:?}");
    admin.close().await;
}
