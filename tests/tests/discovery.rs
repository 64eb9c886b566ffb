//! Apps find the gateway by mDNS, and nobody finds one that only this machine can reach. All of it happens on the loopback
//! interface.

use std::time::Instant;

use clawhost_tests::program::{Home, PATIENCE};
use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent};
use serde_json::{Value, json};

const OPENCLAW: &str = "_openclaw-gw._tcp.local.";
const OLDER: [(&str, &str); 2] = [("_moltbot-gw._tcp.local.", "Moltbot"), ("_clawdbot-gw._tcp.local.", "Clawdbot")];

/// An app that looks for gateways of one service type on this machine.
struct Browser {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
}

impl Browser {
    fn of(kind: &str) -> Self {
        let daemon = ServiceDaemon::new().expect("a thread");
        daemon.disable_interface(IfKind::All).expect("it runs");
        daemon.enable_interface(IfKind::LoopbackV4).expect("it runs");
        let events = daemon.browse(kind).expect("a service type");
        Browser { daemon, events }
    }

    /// Waits for what of this instance fits.
    fn wait<T>(&self, name: &str, mut fits: impl FnMut(ServiceEvent) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            let event = self.events.recv_deadline(end);
            let event = event.unwrap_or_else(|_| panic!("{name}: nothing came; does loopback take multicast here?"));
            if let Some(found) = fits(event) {
                return found;
            }
        }
    }

    fn found(&self, name: &str) -> ResolvedService {
        self.wait(name, |event| match event {
            // Its addresses may come a moment later than the rest.
            ServiceEvent::ServiceResolved(service) if service.get_fullname().starts_with(name) => {
                (!service.get_addresses_v4().is_empty()).then_some(*service)
            }
            _ => None,
        })
    }

    fn lost(&self, name: &str) {
        self.wait(name, |event| {
            matches!(event, ServiceEvent::ServiceRemoved(_, of) if of.starts_with(name)).then_some(())
        });
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.daemon.shutdown();
    }
}

/// The name of a gateway that no other test and no other run has.
fn name(test: &str) -> String {
    format!("{test} {}", std::process::id())
}

fn announced(name: &str, mode: &str) -> String {
    format!("[plugins.discovery.config]\nmode = \"{mode}\"\nname = \"{name}\"\ninterfaces = [\"lo\"]\n")
}

fn facts(service: &ResolvedService) -> Value {
    let facts = service.get_properties().iter();
    facts.map(|fact| (fact.key().to_string(), json!(fact.val_str()))).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn apps_find_the_gateway_and_its_certificate_until_it_stops() {
    let home = Home::default();
    let name = name("found");
    home.configure(&format!("[gateway.tls]\nenabled = true\n{}", announced(&name, "on")));
    let mut gateway = home.start();
    let fingerprint = home.json("status")["tlsFingerprint"].as_str().expect("it speaks TLS").replace("sha256:", "");

    let browser = Browser::of(OPENCLAW);
    let service = browser.found(&name);
    assert!(service.get_fullname().starts_with(&format!("{name} (OpenClaw).")), "{service:?}");
    assert_eq!(service.get_port(), gateway.port);
    assert_eq!(service.get_addresses_v4(), [[127, 0, 0, 1].into()].into());
    let expected = json!({
        "role": "gateway",
        "transport": "gateway",
        "gatewayPort": gateway.port.to_string(),
        "canvasPort": gateway.port.to_string(),
        "lanHost": service.get_hostname().trim_end_matches('.'),
        "displayName": name,
        "gatewayTls": "1",
        "gatewayTlsSha256": fingerprint,
    });
    assert_eq!(facts(&service), expected, "and nothing else");
    for (kind, brand) in OLDER {
        let older = Browser::of(kind).found(&name);
        assert!(older.get_fullname().starts_with(&format!("{name} ({brand}).")), "{older:?}");
        assert_eq!((older.get_port(), facts(&older)), (gateway.port, expected.clone()));
    }
    gateway.wait_for("the gateway is announced on the network");

    assert!(gateway.terminate().is_some_and(|status| status.success()));
    browser.lost(&name);
}

#[test]
fn a_change_of_the_configuration_ends_and_begins_it() {
    let home = Home::default();
    let name = name("changed");
    home.configure(&announced(&name, "on"));
    let gateway = home.start();
    let browser = Browser::of(OPENCLAW);
    assert!(facts(&browser.found(&name)).get("gatewayTls").is_none(), "it speaks no TLS");

    home.configure(&announced(&name, "off"));
    browser.lost(&name);
    home.configure(&announced(&name, "on"));
    assert_eq!(browser.found(&name).get_port(), gateway.port);
}

#[test]
fn a_gateway_that_only_this_machine_can_reach_is_announced_to_nobody() {
    let home = Home::default();
    let gateway = home.start();
    gateway.wait_for("the gateway is not announced: nobody but this machine can reach it");
    let threads = std::fs::read_dir(format!("/proc/{}/task", gateway.pid()));
    for thread in threads.into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        assert!(!name.starts_with("mDNS"), "nothing of it runs");
    }
}
