//! Linking, and forgetting.

use super::*;

const URI: &str = "sgnl://linkdevice?uuid=abc&pub_key=def";

#[test]
fn a_telephone_links_the_daemon() {
    for way in WAYS {
        let scanned = Arc::new(Gate::default());
        let gate = scanned.clone();
        let daemon = Daemon::start(move |asked| match asked.method.as_str() {
            "startLink" => Reply::Result(json!({ "deviceLinkUri": URI })),
            "finishLink" => Reply::Later(gate.clone()),
            "listAccounts" => Reply::Result(json!([])),
            _ => Reply::Result(json!({})),
        });
        let plugin = harness(address(&daemon, way), json!({ "device_name": "the kitchen" })).start();
        daemon.wait_listener(1);
        let none = call(&plugin, "login.wait", json!({})).payload();
        assert_eq!(
            (&none["connected"], &none["message"]),
            (&json!(false), &json!("No login is under way; begin one first."))
        );
        let begun = call(&plugin, "login", json!({})).payload();
        assert_eq!(begun["connected"], false);
        assert!(begun["qrDataUrl"].as_str().unwrap().starts_with("data:image/png;base64,iVBORw0KGgo"));
        let again = call(&plugin, "login", json!({})).payload();
        assert_eq!(
            (&again["qrDataUrl"], daemon.asked("startLink").len()),
            (&begun["qrDataUrl"], 1),
            "one code at a time"
        );
        assert_eq!(daemon.wait_asked("finishLink", 1), json!({ "deviceLinkUri": URI, "deviceName": "the kitchen" }));
        let early = call(&plugin, "login.wait", json!({ "timeoutMs": 20 })).payload();
        assert_eq!((&early["connected"], &early["message"]), (&json!(false), &json!("The code was not scanned yet.")));
        let before = daemon.connections();
        scanned.open(json!({ "number": ME }));
        let done = call(&plugin, "login.wait", json!({ "timeoutMs": 10_000 })).payload();
        assert_eq!(done, json!({ "connected": true, "message": format!("Signal is linked with {ME}.") }));
        // The new account is in a new stream only.
        daemon.wait_listener(before + 1);
    }
}

#[test]
fn a_link_that_cannot_be_or_fails_is_told() {
    let linked = Daemon::obliging(ME);
    let plugin = harness(&linked.http, json!({})).start();
    let already = call(&plugin, "login", json!({})).payload();
    assert_eq!(
        (&already["connected"], already["message"].as_str().unwrap()),
        (&json!(true), &*format!("Signal is linked already with {ME}."))
    );
    // It is started with one account for good.
    let error = call(&plugin, "login", json!({ "force": true })).error();
    assert!(error.message.contains("start it without -a"), "{}", error.message);

    let daemon = Daemon::start(|asked| match asked.method.as_str() {
        "startLink" => Reply::Result(json!({ "deviceLinkUri": URI })),
        "finishLink" => Reply::Error(-1, "Link request timed out, please try again.".into(), Value::Null),
        _ => Reply::Result(json!([])),
    });
    let plugin = harness(&daemon.http, json!({})).start();
    call(&plugin, "login", json!({})).payload();
    let failed = call(&plugin, "login.wait", json!({ "timeoutMs": 10_000 })).payload();
    assert_eq!(failed["connected"], false);
    assert!(failed["message"].as_str().unwrap().contains("begin again"), "{failed}");

    let other = Daemon::start(|asked| match asked.method.as_str() {
        "startLink" => Reply::Result(json!({ "deviceLinkUri": URI })),
        "finishLink" => Reply::Result(json!({ "number": BOB })),
        _ => Reply::Result(json!([])),
    });
    let plugin = harness(&other.http, json!({})).start();
    call(&plugin, "login", json!({})).payload();
    let wrong = call(&plugin, "login.wait", json!({ "timeoutMs": 10_000 })).payload();
    assert_eq!(wrong["connected"], false);
    assert!(wrong["message"].as_str().unwrap().contains("names another number"), "{wrong}");
}

#[test]
fn only_what_signal_has_forgotten_is_forgotten() {
    let registered =
        Daemon::start(|_| Reply::Error(-1, "Not deleting account, it is still registered.".into(), Value::Null));
    let plugin = harness(&registered.http, json!({})).start();
    let error = call(&plugin, "logout", json!({})).error();
    assert!(error.message.contains("remove it on the telephone"), "{}", error.message);
    assert_eq!(registered.asked("deleteLocalAccountData"), [json!({ "account": ME })]);

    let gone = Daemon::start(|_| Reply::Result(json!({})));
    let plugin = harness(&gone.tcp, json!({})).start();
    assert_eq!(call(&plugin, "logout", json!({})).payload(), json!({ "cleared": true }));
    assert_eq!(account(&plugin, false)["linked"], false);
}
