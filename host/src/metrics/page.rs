//! What `/metrics` shows, in Prometheus' text form: what was counted, and what is only looked at when somebody asks. What
//! is looked at has no cost as long as nobody does, and no series that outlives its plugin.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;

use schemas::protocol::Version;

use super::{described, process};
use crate::gateway::{Gateway, VERSION};
use crate::logging;

/// All of it as it is now.
pub fn render(gateway: &Gateway) -> String {
    let mut page = Page::of(&gateway.metrics.counted(gateway.calls.len()));
    page.one("clawhost_build_info", &[("version", VERSION)], 1.0);
    page.one("process_start_time_seconds", &[], gateway.facts.started_at_ms as f64 / 1000.0);
    plugins(gateway, &mut page);
    clients(gateway, &mut page);
    let pairing = gateway.pairing.counts(schemas::now_ms());
    page.one("clawhost_paired_devices", &[], pairing.devices as f64);
    page.one("clawhost_pairing_requests", &[], pairing.requests as f64);
    page.one("clawhost_setup_codes", &[], pairing.setup_codes as f64);
    page.one("clawhost_waiting_bytes", &[], gateway.outboxes.total.load(Ordering::Relaxed) as f64);
    page.one("clawhost_store_queue", &[], gateway.store.waiting() as f64);
    page.one("clawhost_store_failures_total", &[], gateway.store.failures() as f64);
    for (level, lines) in logging::counts::lines() {
        page.one("clawhost_log_lines_total", &[("level", level)], lines as f64);
    }
    page.one("clawhost_log_lines_lost_total", &[], logging::counts::lost() as f64);
    workers(gateway, &mut page);
    process::look(&mut page);
    page.finish()
}

fn plugins(gateway: &Gateway, page: &mut Page) {
    // There from the start, so that the first one is a difference.
    gateway.metrics.panics(|plugin, method, panics| {
        page.one("clawhost_panics_total", &[("method", method), ("plugin", plugin)], panics as f64);
    });
    let registry = gateway.registry.load();
    for plugin in registry.plugins() {
        let state = if plugin.has_failed() { "failed" } else { "running" };
        let labels = [("plugin", &*plugin.id), ("state", state), ("version", &plugin.manifest.version)];
        page.one("clawhost_plugin_state", &labels, 1.0);
        let in_flight = plugin.in_flight.load(Ordering::Relaxed);
        page.one("clawhost_plugin_calls_in_flight", &labels[..1], in_flight as f64);
    }
    for plugin in registry.idle() {
        let labels = [("plugin", plugin.id.as_str()), ("state", &plugin.state), ("version", &plugin.version)];
        page.one("clawhost_plugin_state", &labels, 1.0);
    }
}

/// By role and protocol; those that there are always have a line, so that nobody being there is a number too.
fn clients(gateway: &Gateway, page: &mut Page) {
    let mut counts: BTreeMap<(String, u32), usize> = BTreeMap::new();
    for version in [Version::V3, Version::V4] {
        counts.extend(["operator", "node"].map(|role| ((role.to_string(), version.number()), 0)));
    }
    gateway.connections.each(|connection| {
        let version = connection.version.number();
        match counts.iter_mut().find(|((role, known), _)| *known == version && role == connection.authority.role()) {
            Some((_, count)) => *count += 1,
            None => drop(counts.insert((connection.authority.role().to_string(), version), 1)),
        }
    });
    for ((role, version), count) in counts {
        page.one("clawhost_clients", &[("protocol", &version.to_string()), ("role", &role)], count as f64);
    }
}

fn workers(gateway: &Gateway, page: &mut Page) {
    let runtime = gateway.runtime.metrics();
    let workers = runtime.num_workers();
    page.one("clawhost_workers", &[], workers as f64);
    page.one("clawhost_tasks", &[], runtime.num_alive_tasks() as f64);
    let busy: f64 = (0..workers).map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64()).sum();
    page.one("clawhost_worker_busy_seconds_total", &[], busy);
}

/// Metrics by name, each with what is said of it and its lines.
pub(super) struct Page(BTreeMap<String, String>);

impl Page {
    /// With what the recorder has to show.
    fn of(counted: &str) -> Self {
        let mut page = Page(BTreeMap::new());
        for family in counted.split("\n\n").filter(|family| !family.trim().is_empty()) {
            let (head, mut lines): (Vec<_>, Vec<_>) = family.lines().partition(|line| line.starts_with('#'));
            // The recorder keeps them in no order.
            lines.sort_unstable();
            let name = lines.first().and_then(|line| line.split(['{', ' ']).next()).unwrap_or_default();
            let mut text = String::with_capacity(family.len() + 1);
            for line in head.into_iter().chain(lines) {
                text.push_str(line);
                text.push('\n');
            }
            page.0.insert(name.to_string(), text);
        }
        page
    }

    /// Adds a line.
    pub(super) fn one(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let text = self.0.entry(name.to_string()).or_insert_with(|| match described::of(name) {
            Some(known) => format!("# HELP {name} {}\n# TYPE {name} {}\n", known.help, known.kind.name()),
            None => String::new(),
        });
        text.push_str(name);
        for (place, (label, content)) in labels.iter().enumerate() {
            text.push(if place == 0 { '{' } else { ',' });
            text.push_str(label);
            text.push_str("=\"");
            for letter in content.chars() {
                match letter {
                    '\n' => text.push_str("\\n"),
                    '\\' | '"' => text.extend(['\\', letter]),
                    letter => text.push(letter),
                }
            }
            text.push('"');
        }
        let close = if labels.is_empty() { "" } else { "}" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{close} {value}");
    }

    fn finish(self) -> String {
        let mut text = String::with_capacity(self.0.values().map(|family| family.len() + 1).sum());
        for family in self.0.values() {
            text.push_str(family);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_and_labels_are_escaped() {
        let counted = "# TYPE b counter\nb{x=\"2\"} 1\nb{x=\"10\"} 1\n\n# HELP a Something.\n# TYPE a gauge\na 3\n\n";
        let mut page = Page::of(counted);
        page.one("aa", &[("l", "a\"b\\c\nd"), ("m", "")], 1.5);
        page.one("aa", &[], 1_795_784_825.25);
        page.one("clawhost_workers", &[], 2.0);
        let workers = described::of("clawhost_workers").unwrap().help;
        let expected = format!(
            "# HELP a Something.\n# TYPE a gauge\na 3\n\n\
             aa{{l=\"a\\\"b\\\\c\\nd\",m=\"\"}} 1.5\naa 1795784825.25\n\n\
             # TYPE b counter\nb{{x=\"10\"}} 1\nb{{x=\"2\"}} 1\n\n\
             # HELP clawhost_workers {workers}\n# TYPE clawhost_workers gauge\nclawhost_workers 2\n\n"
        );
        assert_eq!(page.finish(), expected);
    }
}
