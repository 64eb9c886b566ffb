//! The way of a new author, from outside: a project, its tests, the checks, the configuration, a gateway, a call.

use std::path::Path;

use clawhost_tests::compiler::{Compiler, Language};
use clawhost_tests::program::{Gateway, Home};
use clawhost_tests::projects::Workshop;
use clawhost_tests::support::example_library;
use plugin_kit::{Harness, same};
use serde_json::json;

/// The plugin in Rust that the tests load, linked in as well.
#[path = "../examples/loaded.rs"]
mod loaded;

/// What an author does to know that a library does what its source does.
#[test]
fn a_library_does_what_the_same_plugin_does_when_it_is_linked_in() {
    let linked = Harness::of_entry(&loaded::gwp_entry_v1);
    let library = Harness::of_file(example_library("loaded"));
    let said = |harness: Harness| harness.answer_with("health", |call| call.finish(Ok(json!({ "ok": true }))));
    same(["linked in", "loaded"], [said(linked), said(library)], |plugin| {
        plugin.call("loaded.echo", json!({ "text": "hello" })).payload();
        plugin.call("loaded.ask", json!({ "method": "health" })).payload();
        plugin.call("loaded.ask", json!({ "method": "nothing" })).error();
        plugin.call("loaded.echo", json!([])).error();
        plugin.call("loaded.panic", json!({})).error();
    });
}

fn workshop() -> Workshop {
    Workshop::new(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects"))
}

#[track_caller]
fn works(workshop: &Workshop, block: &str) -> String {
    workshop.shell(block).unwrap_or_else(|why| panic!("{why}"))
}

#[test]
fn a_plugin_in_rust_goes_from_a_template_to_an_answer() {
    let workshop = workshop();
    let wrote = works(&workshop, "clawhost plugins new my-greeter");
    assert!(wrote.contains("next: cd my-greeter && cargo test"), "{wrote}");
    works(&workshop, "cd my-greeter\ncargo test\ncargo build");
    let checked = works(&workshop, "clawhost plugins check my-greeter/target/debug/libmy_greeter.so");
    assert!(checked.ends_with("16 passed, 0 failed, 1 skipped\n"), "{checked}");
    let added = works(
        &workshop,
        "clawhost plugins add my-greeter/target/debug/libmy_greeter.so --plugin-config '{\"greeting\": \"Moin\"}'",
    );
    assert!(added.contains("my-greeter.greet  operator.read  Greets somebody."), "{added}");

    let _gateway = workshop.home.start();
    let greeting = works(&workshop, r#"clawhost call my-greeter.greet --params '{"name": "Ada"}' --json"#);
    assert_eq!(greeting, "{\"text\":\"Moin, Ada!\"}\n");
    let page = works(&workshop, "clawhost methods my-greeter.greet");
    assert!(page.starts_with("my-greeter.greet (method of my-greeter)\nGreets somebody.\n"), "{page}");
}

#[test]
fn a_plugin_in_c_goes_from_a_template_to_an_answer() {
    if Compiler::find(Language::C).is_none() {
        return;
    }
    let workshop = workshop();
    works(&workshop, "clawhost plugins new my-echo --lang c\ncd my-echo\nmake\nmake check");
    let config = workshop.home.path().join("gateway.toml");
    std::fs::write(&config, "# ours\n[gateway.limits] # few\n\n# the end\n").expect("a file can be written");
    works(&workshop, "chmod 640 gateway.toml\nclawhost plugins add my-echo/my-echo.so --config gateway.toml");
    works(&workshop, "test $(stat -c %a gateway.toml) = 640");
    let written = std::fs::read_to_string(&config).expect("it is there");
    assert!(
        written.starts_with("# ours\n[gateway.limits] # few\n\n# the end\n\n[plugins.my-echo]\npath = "),
        "{written}"
    );

    let _gateway = Gateway::start(workshop.home.command(["run", "--port", "0", "--config", "gateway.toml"]));
    let answer = works(&workshop, r#"clawhost call my-echo.repeat --params '{"text": "hello"}' --json"#);
    assert_eq!(answer, "{\"text\":\"hello\"}\n");
    let again = works(&workshop, "clawhost plugins add my-echo/my-echo.so --config gateway.toml");
    assert!(again.contains("updated [plugins.my-echo]") && again.contains("takes this up at once"), "{again}");
    assert_eq!(std::fs::read_to_string(&config).expect("it is there"), written);
}

/// Wherever somebody is who adds a plugin: what is written is what the running gateway follows, and it takes it up.
#[test]
fn a_plugin_is_added_to_the_gateway_that_is_running() {
    if Compiler::find(Language::C).is_none() {
        return;
    }
    for configured in [true, false] {
        let workshop = workshop();
        works(&workshop, "clawhost plugins new my-echo --lang c\ncd my-echo\nmake");
        if configured {
            workshop.home.configure("# of the gateway\n");
        }
        let gateway = workshop.home.start();
        let added = works(&workshop, "cd my-echo\nclawhost plugins add my-echo.so");
        assert!(added.contains("takes this up at once"), "{added}");
        let folder = if configured { workshop.home.path().to_path_buf() } else { workshop.home.state() };
        let written = std::fs::read_to_string(folder.join("config.toml")).expect("it is there");
        assert_eq!((written.contains("[plugins.my-echo]"), written.contains("# of the gateway")), (true, configured));
        assert!(!workshop.home.path().join("my-echo/config.toml").exists());
        gateway.wait_for("a plugin was changed");
        let answer = works(&workshop, r#"clawhost call my-echo.repeat --params '{"text": "hello"}' --json"#);
        assert_eq!(answer, "{\"text\":\"hello\"}\n");

        std::fs::write(workshop.home.path().join("other.toml"), "").expect("a file can be written");
        let elsewhere = works(&workshop, "clawhost plugins add my-echo/my-echo.so --config other.toml");
        assert!(elsewhere.contains("does not read this file, but") && elsewhere.contains("config.toml"), "{elsewhere}");
    }
}

#[test]
fn a_gateway_for_one_plugin_says_how_to_call_it() {
    if Compiler::find(Language::C).is_none() {
        return;
    }
    let workshop = workshop();
    works(&workshop, "clawhost plugins new my-echo --lang c\ncd my-echo\nmake");
    let gateway =
        Gateway::start(workshop.home.command(["plugins", "run", "my-echo/my-echo.so", "--state-dir", "state"]));
    let line = gateway.wait_for("try: clawhost ");
    let command = line.split_once("try: ").expect("it was looked for").1;
    assert_eq!(works(&workshop, &format!("{command} --json")), "{\"text\":\"text\"}\n");
    let plugins = workshop.home.json("plugins --state-dir state");
    let ids: Vec<_> = plugins["plugins"].as_array().into_iter().flatten().map(|plugin| &plugin["id"]).collect();
    assert!(ids.contains(&&json!("my-echo")), "{ids:?}");

    // The next build is taken up without being asked for.
    works(&workshop, "sed -i 's/0\\.1\\.0/0.2.0/' my-echo/my-echo.c\ncd my-echo\nmake");
    gateway.wait_for("reloaded my-echo");
    let plugins = workshop.home.json("plugins --state-dir state");
    let rows = plugins["plugins"].as_array().cloned().unwrap_or_default();
    let own = rows.iter().find(|plugin| plugin["id"] == "my-echo").expect("it runs");
    assert_eq!(own["version"], "0.2.0", "{own}");
    let again = works(&workshop, "clawhost --state-dir state plugins reload my-echo");
    assert!(again.starts_with("reloaded my-echo"), "{again}");
}

/// Grants are the operator's to give: without a terminal somebody has to say `--yes`.
#[test]
fn what_a_plugin_asks_for_is_not_granted_silently() {
    if Compiler::find(Language::C).is_none() {
        return;
    }
    let workshop = workshop();
    let edit = r#"sed -i 's/\\"version\\"/\\"invokes\\": [\\"health\\"], &/' asks/asks.c"#;
    works(&workshop, &format!("clawhost plugins new asks --lang c\n{edit}\ncd asks\nmake"));
    let refused = workshop.home.run("plugins add asks/asks.so");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("call health") && refused.err.contains("--yes grants it"), "{refused:?}");
    assert!(!workshop.home.state().join("config.toml").exists());
    let added = workshop.home.run("plugins add asks/asks.so --yes");
    assert_eq!(added.code, Some(0), "{added:?}");
    let written = std::fs::read_to_string(workshop.home.state().join("config.toml")).expect("it was written");
    assert!(written.contains("grants = { invoke = [\"health\"] }"), "{written}");
    // What was granted once need not be asked for again.
    assert_eq!(workshop.home.run("plugins add asks/asks.so").code, Some(0));
}

#[test]
fn mistakes_are_named() {
    let home = Home::default();
    let cases = [
        ("plugins new Weather", 2, "lower-case letters"),
        ("plugins new health", 2, "linked into this gateway"),
        ("plugins new weather --lang cobol", 2, "rust, c"),
        ("plugins add absent.so", 1, "there is no such file"),
        ("plugins run absent.so", 1, "there is no such file"),
        ("plugins reload weather", 1, "no gateway is running"),
    ];
    for (line, code, words) in cases {
        let outcome = home.run(line);
        assert!(outcome.code == Some(code) && outcome.err.contains(words), "{line}: {outcome:?}");
    }
    std::fs::create_dir(home.path().join("full")).expect("a folder can be made");
    std::fs::write(home.path().join("full/mine"), "").expect("a file can be written");
    let outcome = home.run("plugins new full");
    assert!(outcome.code == Some(1) && outcome.err.contains("nothing was written"), "{outcome:?}");
    let gateway = home.start();
    let outcome = home.run("plugins reload absent");
    assert!(outcome.code == Some(1) && !outcome.err.is_empty(), "{outcome:?}");
    drop(gateway);
}
