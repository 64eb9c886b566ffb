use std::net::IpAddr;

use plugin_api::catalogue::GatewayInfo;
use plugin_kit::{Harness, sample};
use serde_json::{Value, json};

use super::announcement::Announcement;
use super::{Discovery, DiscoveryConfig, Mode};

fn gateway(addresses: &[&str]) -> GatewayInfo {
    let addresses = addresses.iter().map(|address| address.to_string()).collect();
    GatewayInfo { addresses, host: "box.lan".into(), ..sample::gateway_info() }
}

fn config(mode: Mode) -> DiscoveryConfig {
    DiscoveryConfig { mode, ..DiscoveryConfig::default() }
}

const LOOPBACK: [&str; 2] = ["127.0.0.1:7", "[::1]:7"];

#[test]
fn only_a_gateway_that_others_can_reach_is_announced_by_itself() {
    let addresses = |mode: Mode, listening: &[&str]| {
        let announcement = Announcement::of(&gateway(listening), &config(mode)).ok()?;
        Some(announcement.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>())
    };
    let some = |addresses: &[&str]| Some(addresses.iter().map(|address| address.to_string()).collect::<Vec<_>>());
    assert_eq!(addresses(Mode::Auto, &LOOPBACK), None);
    assert_eq!(addresses(Mode::On, &LOOPBACK), some(&["127.0.0.1", "::1"]));
    assert_eq!(addresses(Mode::Auto, &["192.0.2.7:7", "127.0.0.1:7"]), some(&["192.0.2.7"]));
    for mode in [Mode::Auto, Mode::On] {
        assert_eq!(addresses(mode, &["0.0.0.0:7"]), some(&["0.0.0.0"]));
        assert_eq!(addresses(mode, &[]), None);
    }
    assert_eq!(addresses(Mode::Off, &["0.0.0.0:7"]), None);
}

#[test]
fn an_announcement_tells_where_it_is_and_nothing_else() {
    let facts = |info: &GatewayInfo, config: &DiscoveryConfig| -> Value {
        let facts = Announcement::of(info, config).unwrap().facts();
        facts.into_iter().map(|(key, value)| (key.to_string(), json!(value))).collect::<serde_json::Map<_, _>>().into()
    };
    let plain = json!({
        "role": "gateway", "transport": "gateway", "gatewayPort": "7", "lanHost": "box.local", "displayName": "box",
    });
    assert_eq!(facts(&gateway(&["0.0.0.0:7"]), &config(Mode::Auto)), plain);
    let mut named = plain.clone();
    named["displayName"] = json!("Küche");
    named["canvasPort"] = json!("18793");
    named["gatewayTls"] = json!("1");
    named["gatewayTlsSha256"] = json!("ab01");
    let info = GatewayInfo {
        tls_fingerprint: Some("sha256:ab01".into()),
        surface_ports: [("canvas".into(), 18793), ("other".into(), 7)].into(),
        ..gateway(&["0.0.0.0:7"])
    };
    let config = DiscoveryConfig { name: Some("Küche".into()), ..config(Mode::Auto) };
    assert_eq!(facts(&info, &config), named);
}

#[test]
fn names_fit_into_dns() {
    let of = |host: &str, name: Option<String>| {
        let info = GatewayInfo { host: host.into(), ..gateway(&["0.0.0.0:7"]) };
        Announcement::of(&info, &DiscoveryConfig { name, ..config(Mode::Auto) }).unwrap()
    };
    assert_eq!(of("Anna's box.lan", None).host, "Anna-s-box.local");
    assert_eq!(of("…", None).host, "clawhost.local");
    let long = of(&"x".repeat(200), Some("ü".repeat(100)));
    assert_eq!((long.host.len(), long.name.len()), (63 + 6, 52));
}

#[test]
fn on_loopback_and_when_off_nothing_runs() {
    let start = |config: Value| {
        Harness::new::<Discovery>().config(config).answer("host.gateway.info", gateway(&LOOPBACK)).start()
    };
    let quiet = start(json!({}));
    quiet.rest();
    let logs = quiet.logs();
    assert!(logs.len() == 1 && logs[0].message.contains("nobody but this machine"), "{logs:?}");
    let off = start(json!({ "mode": "off" }));
    off.rest();
    assert!(off.logs().is_empty() && off.asked().is_empty());
    for discovery in [quiet, off] {
        assert_eq!(discovery.timers(), 0);
        discovery.quiesce();
    }
    let wrong = Harness::new::<Discovery>().config(json!({ "mode": "sometimes" })).create_error();
    assert!(wrong.contains("mode"), "{wrong}");
}
