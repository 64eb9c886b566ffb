//! What is delivered for those who watch a gateway: a configuration and alerts for Prometheus, and a dashboard for Grafana. A
//! real Prometheus reads a gateway that has seen some of everything, and each query of the dashboard finds something.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clawhost_tests::libraries::{Shelf, table};
use clawhost_tests::program::repository;
use clawhost_tests::prometheus::{Prometheus, documented, packaged, promtool};
use clawhost_tests::reloading::{changed, reload};
use clawhost_tests::support::{Client, Connect, Gateway, Key, Knock, TOKEN};
use serde_json::{Value, json};

const TEST_GATEWAY: &str = env!("CARGO_BIN_EXE_test_gateway");

/// Long enough to reach back to before anything had happened.
const RATE_INTERVAL: &str = "5m";

#[tokio::test]
async fn every_panel_of_the_dashboard_shows_something() {
    if !Prometheus::is_here("every_panel_of_the_dashboard_shows_something") {
        return;
    }
    let shelf = Shelf::default();
    let reborn = shelf.reborn('a');
    let fails = "[plugins.grumpy.config]\nfails_in = \"create\"\n";
    let config = format!("{fails}{}", table("reborn", &reborn));
    let gateway = Gateway::builder().program(TEST_GATEWAY).config(&config).start().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let watched = configured(folder.path(), gateway.port);
    promtool(&["check", "config", watched.to_str().expect("a path")], folder.path());
    let prometheus = Prometheus::start(&watched, folder.path()).await;
    // What happens from here on is a difference.
    prometheus.becomes_true("count_over_time(up{job=\"clawhost\"}[5m]) >= 2 and up{job=\"clawhost\"} == 1").await;

    let mut client = gateway.admin().await;
    let kept = eventful(&gateway, &mut client).await;
    let reborn = shelf.reborn('b');
    gateway.write_config(&format!("{fails}[plugins.vault]\nenabled = false\n{}", table("reborn", &reborn)));
    changed(&mut client, "vault").await;
    reload(&mut client, "reborn").await;
    // Rates are made of two looks at least.
    let looks = prometheus.query("count_over_time(up{job=\"clawhost\"}[5m])").await.expect("a count");
    let looks: u64 = looks[0]["value"][1].as_str().and_then(|count| count.parse().ok()).expect("a number");
    prometheus.becomes_true(&format!("count_over_time(up{{job=\"clawhost\"}}[5m]) >= {}", looks + 3)).await;

    let mut wrong = Vec::new();
    let queries = queries(&dashboard());
    for (place, query) in &queries {
        match prometheus.query(&filled(query)).await {
            Ok(rows) if rows.is_empty() => wrong.push(format!("{place}: nothing for {query}")),
            Ok(_) => {}
            Err(error) => wrong.push(format!("{place}: {error}")),
        }
    }
    let page = gateway.metrics().await;
    assert!(wrong.is_empty(), "{}\n{page}", wrong.join("\n"));
    assert!(queries.len() > 40, "only {} queries were found", queries.len());

    every_rule_works(&prometheus).await;
    client.ok("spike.open", json!({ "gate": "g" })).await;
    client.answer(&kept).await.expect("it was let go");
    client.close().await;
}

/// The rules as this Prometheus sees them, and those that have something to say about such a gateway.
async fn every_rule_works(prometheus: &Prometheus) {
    for alert in ["ClawhostPluginFailed", "ClawhostPanics", "ClawhostStalls", "ClawhostLimits"] {
        prometheus.becomes_true(&format!("ALERTS{{alertname=\"{alert}\"}}")).await;
    }
    let rules = prometheus.ask("rules", &[]).await.expect("the rules");
    let rules = rules["groups"][0]["rules"].as_array().expect("a list").clone();
    assert!(rules.len() > 10, "{rules:?}");
    for rule in rules {
        assert_eq!((&rule["health"], rule["lastError"].as_str()), (&json!("ok"), None), "{rule}");
    }
    assert!(prometheus.query("ALERTS{alertname=\"ClawhostDown\"}").await.expect("an answer").is_empty());
}

/// Some of everything; a call that goes on, by its id.
async fn eventful(gateway: &Gateway, client: &mut Client) -> String {
    client.ok("health", json!({})).await;
    client.ok("spike.sum", json!({ "a": 1 })).await;
    client.ok("reborn.echo", json!({ "value": 1 })).await;
    client.refused("spike.panic", json!({})).await;
    client.ok("spike.block", json!({ "ms": 150 })).await;
    client.refused("spike.timeout", json!({ "run": "late" })).await;
    client.ok("unruly.shout", json!({ "count": 2 })).await;
    let mut guesser = gateway.knock().await;
    guesser.connect(&Connect::operator().token("a guess")).await.expect_err("it is wrong");
    let mut stranger = gateway.knock_with(&Knock::remote()).await;
    stranger.connect(&Connect::node().device(&Key::new(1))).await.expect_err("nobody has approved it");
    for (path, status) in [("/wires/x", 200), ("/wires/fail", 500), ("/nothing", 404)] {
        assert_eq!(gateway.http("GET", path, &[]).await.status, status, "{path}");
    }
    client.request("spike.wait", json!({ "gate": "g" })).await
}

/// What is delivered, told where this gateway is and in how much of a hurry the test is.
fn configured(folder: &Path, port: u16) -> PathBuf {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut text = std::fs::read_to_string(packaged("prometheus/prometheus.yml")).expect("it is there");
    for (usual, here) in [
        ("scrape_interval: 15s", "scrape_interval: 1s".to_string()),
        ("evaluation_interval: 15s", "evaluation_interval: 1s".to_string()),
        ("- /etc/prometheus/clawhost.alerts.yml", format!("- {}", path("clawhost.alerts.yml"))),
        ("credentials_file: /etc/prometheus/clawhost.token", format!("credentials_file: {}", path("token"))),
        ("[\"127.0.0.1:18789\"]", format!("[\"127.0.0.1:{port}\"]")),
    ] {
        assert_eq!(text.matches(usual).count(), 1, "{usual}");
        text = text.replace(usual, &here);
    }
    let alerts = packaged("prometheus/clawhost.alerts.yml");
    std::fs::copy(alerts, folder.join("clawhost.alerts.yml")).expect("a file can be copied");
    std::fs::write(folder.join("token"), TOKEN).expect("a file can be written");
    let file = folder.join("prometheus.yml");
    std::fs::write(&file, text).expect("a file can be written");
    file
}

#[test]
fn every_alert_fires_for_what_it_is_about_and_for_nothing_else() {
    let alerts = packaged("prometheus/clawhost.alerts.yml");
    let cases = repository().join("tests/fixtures/prometheus/alerts.test.yml");
    let read =
        |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (rules, tried) = (read(&alerts), read(&cases));
    let names: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in &names {
        assert!(tried.contains(&format!("- name: {name}\n")), "no case lets {name} fire");
        assert!(tried.contains(&format!("{{ alertname: {name}, ")), "{name} is not tried where all is well");
    }
    if let Some(name) = unknown_metrics(&rules).next() {
        panic!("an alert asks for {name}, which nobody counts");
    }
    if !Prometheus::is_here("every_alert_fires_for_what_it_is_about_and_for_nothing_else") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for file in [&alerts, &cases] {
        std::fs::copy(file, folder.path().join(file.file_name().expect("a name"))).expect("a file can be copied");
    }
    promtool(&["check", "rules", "clawhost.alerts.yml"], folder.path());
    promtool(&["test", "rules", "alerts.test.yml"], folder.path());
}

/// What Grafana asks of a dashboard, as far as it can be seen without Grafana.
#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 42));
    assert!(dashboard.get("id").is_none_or(Value::is_null), "an id is of one Grafana");
    let variables = dashboard["templating"]["list"].as_array().expect("a list");
    let names: BTreeSet<&str> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["datasource", "instance", "job", "method"]));
    assert_eq!((&variables[0]["type"], &variables[0]["query"]), (&json!("datasource"), &json!("prometheus")));

    let mut ids = BTreeSet::new();
    let mut taken: BTreeMap<(u64, u64), &str> = BTreeMap::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}: its id comes twice");
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap_or_else(|| panic!("{title}: no {side}"));
        assert!(at("x") + at("w") <= 24 && at("w") > 0 && at("h") > 0, "{title} is beside the page");
        for place in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            if let Some(other) = taken.insert(place, title) {
                panic!("{title} lies on {other}");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}: says nothing");
        let targets = panel["targets"].as_array().expect("a list");
        assert!(!targets.is_empty(), "{title} asks for nothing");
        let references: BTreeSet<&str> = targets.iter().filter_map(|target| target["refId"].as_str()).collect();
        assert_eq!(references.len(), targets.len(), "{title}");
        for source in targets.iter().map(|target| &target["datasource"]).chain([&panel["datasource"]]) {
            assert_eq!(source, &json!({ "type": "prometheus", "uid": "${datasource}" }), "{title}");
        }
    }
    for (place, query) in queries(&dashboard) {
        if let Some(name) = unknown_metrics(&query).next() {
            panic!("{place} asks for {name}, which nobody counts");
        }
        let of_all = query.contains("{job=~\"$job\", instance=~\"$instance\"");
        assert!(of_all || place.starts_with("variable"), "{place}: {query} is not about the chosen gateways");
    }
    let asked: String = queries(&dashboard).into_iter().map(|(_, query)| format!("{query}\n")).collect();
    let unseen: Vec<String> = documented()
        .into_iter()
        .map(|row| row.name)
        .filter(|name| !names_in(&asked).any(|known| known == name))
        .collect();
    // What another panel says better, or who wants it looks for.
    let left_out = [
        "clawhost_connections",
        "clawhost_connections_opened_total",
        "clawhost_tailscale_identities_total",
        "clawhost_frames_received_total",
        "clawhost_frames_sent_total",
        "process_virtual_memory_bytes",
    ];
    assert_eq!(unseen, left_out, "metrics that no panel shows");
}

fn dashboard() -> Value {
    let file = packaged("grafana/clawhost.json");
    serde_json::from_str(&std::fs::read_to_string(file).expect("it is there")).expect("it is JSON")
}

/// All panels; those of a folded row stand in it.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().expect("a list").iter();
    panels.flat_map(|panel| [panel].into_iter().chain(panel["panels"].as_array().into_iter().flatten()))
}

/// Every query, and where it stands.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for panel in panels(dashboard) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let place = format!("{}, {}", panel["title"], target["refId"]);
            found.push((place, target["expr"].as_str().expect("a query").to_string()));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().expect("a list") {
        // Nothing was started anew while the test looked; that there is something to compare can be seen.
        let query = annotation["expr"].as_str().map(|query| query.strip_suffix(" > 0").unwrap_or(query));
        found.extend(query.map(|query| (format!("annotation {}", annotation["name"]), query.to_string())));
    }
    for variable in dashboard["templating"]["list"].as_array().expect("a list") {
        if variable["type"] != "query" {
            continue;
        }
        let query = variable["query"]["query"].as_str().expect("a query");
        let of = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')?.rsplit_once(", "));
        let (series, label) = of.unwrap_or_else(|| panic!("{query} is not understood"));
        found.push((format!("variable {}", variable["name"]), format!("group by ({label}) ({series})")));
    }
    found
}

/// The query as Grafana would send it with everything chosen.
fn filled(query: &str) -> String {
    let mut text = query.replace("$__rate_interval", RATE_INTERVAL);
    for variable in ["$instance", "$job", "$method"] {
        text = text.replace(variable, ".+");
    }
    assert!(!text.contains('$'), "{query} has a variable that is not known");
    text
}

/// Names in a text that are such as metrics have.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("clawhost_") || word.starts_with("process_"))
}

fn unknown_metrics(text: &str) -> impl Iterator<Item = &str> {
    let known: BTreeSet<String> = documented().into_iter().map(|row| row.name).collect();
    names_in(text).filter(move |name| !known.contains(*name))
}
