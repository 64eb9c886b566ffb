//! The names of all that is counted, and what each means. The table in ARCHITECTURE.md has the same rows; a test compares
//! both with what a running gateway shows.

/// What is said of a metric.
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// Whether it only ever grows.
    pub kind: Kind,
    /// What it means, in one line.
    pub help: &'static str,
}

/// How a metric is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It grows until the gateway ends; its rate is what is looked at.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    /// The word of Prometheus' text form.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// What is said of this one.
pub fn of(name: &str) -> Option<&'static Described> {
    DESCRIBED.iter().find(|described| described.name == name)
}

/// Declares them by kind, so that each is one line.
macro_rules! described {
    ($($kind:ident $name:literal $help:literal;)+) => {
        &[$(Described { name: $name, kind: Kind::$kind, help: $help },)+]
    };
}

/// All of them.
pub const DESCRIBED: &[Described] = described! {
    Counter "clawhost_calls_total" "Calls that were asked for, also those that were refused.";
    Counter "clawhost_call_errors_total" "Calls that were answered with an error.";
    Counter "clawhost_call_microseconds_total" "Time from the begin of calls to their last answer, added up.";
    Counter "clawhost_call_queue_microseconds_total" "Time that calls waited for a thread of their plugin, added up; only plugins with threads of their own let them wait.";
    Gauge "clawhost_calls_in_flight" "Calls that are running.";
    Gauge "clawhost_plugin_calls_in_flight" "Of these, the calls that a plugin is answering.";
    Counter "clawhost_worker_stalls_total" "Times that code of a plugin kept a worker, or a thread of its own, for longer than worker_stall_ms; method is empty beside calls.";
    Counter "clawhost_panics_total" "Times that code of a plugin panicked; method is empty beside calls.";
    Gauge "clawhost_plugin_state" "1 for the state that a plugin is in: running, disabled or failed.";
    Counter "clawhost_plugin_changes_total" "Times that a plugin was made anew, enabled, disabled or taken away while the gateway ran; outcome is done or failed.";
    Counter "clawhost_library_reloads_total" "Libraries that reloads have mapped. Code once loaded stays in memory, up to max_reloads.";
    Gauge "clawhost_config_valid" "1 while the configuration on the disk can be read, 0 while the one before it stays in force.";

    Gauge "clawhost_connections" "Open WebSocket connections, before and after their handshake.";
    Gauge "clawhost_clients" "Of these, the ones that have joined.";
    Counter "clawhost_connections_opened_total" "WebSocket connections that were opened.";
    Counter "clawhost_handshakes_total" "Handshakes that have ended; outcome is accepted or the reason of the refusal.";
    Gauge "clawhost_pending_handshakes" "Connections that have not finished their handshake.";
    Gauge "clawhost_pending_heads" "Sockets that have not sent a request yet, or none after the last.";
    Counter "clawhost_upgrades_refused_total" "Requests that were turned away for their Host or Origin.";
    Counter "clawhost_tls_handshakes_failed_total" "TLS handshakes that came to nothing.";
    Counter "clawhost_tailscale_identities_total" "Identities that the Tailscale daemon was asked about; outcome is confirmed or the reason of the doubt.";
    Gauge "clawhost_paired_devices" "Devices that are paired.";
    Gauge "clawhost_pairing_requests" "Devices that wait to be approved.";
    Gauge "clawhost_setup_codes" "Setup codes that wait to be used.";

    Counter "clawhost_frames_received_total" "Frames read from WebSocket connections.";
    Counter "clawhost_frames_sent_total" "Frames queued for WebSocket connections.";
    Counter "clawhost_bytes_received_total" "Bytes read from WebSocket connections.";
    Counter "clawhost_bytes_sent_total" "Bytes written to WebSocket connections.";
    Gauge "clawhost_waiting_bytes" "Bytes that wait for WebSocket connections to take them, in steps of 16 KiB a connection.";
    Counter "clawhost_events_total" "Events that plugins have published.";
    Counter "clawhost_events_dropped_total" "Events that were left out for connections that are too slow.";
    Counter "clawhost_reads_paused_total" "Times that a connection was not read for a moment because its requests are refused again and again.";
    Counter "clawhost_limit_hits_total" "Times that a limit was hit, by its key in [gateway.limits] or [gateway.plugins].";

    Counter "clawhost_http_answers_total" "HTTP requests that were answered, by the class of the status; upgrades are 1xx.";
    Counter "clawhost_http_requests_total" "HTTP requests that were handed to a plugin.";
    Counter "clawhost_http_failures_total" "HTTP requests to a plugin that were answered with a status of 500 or more, by it or in its place.";
    Gauge "clawhost_http_exchanges" "HTTP requests and WebSockets that plugins are answering.";

    Gauge "clawhost_store_queue" "Writes to state.db that wait for the disk.";
    Counter "clawhost_store_failures_total" "Reads and writes of state.db that failed, or that found the queue full.";
    Counter "clawhost_log_lines_total" "Lines of the log, by level; those that were held back as repetitions are among them.";
    Counter "clawhost_log_lines_lost_total" "Lines of the log file that were lost because the disk did not keep up.";

    Gauge "clawhost_build_info" "1; the version is that of the program.";
    Gauge "clawhost_workers" "Threads that serve connections.";
    Counter "clawhost_worker_busy_seconds_total" "Time in which these threads had something to do, added up.";
    Gauge "clawhost_tasks" "Tasks that are alive: connections, sockets, timers.";

    Gauge "process_start_time_seconds" "When the gateway started, in seconds since 1970.";
    Counter "process_cpu_seconds_total" "CPU time of the process, in the system and in its own code. On Linux.";
    Gauge "process_resident_memory_bytes" "Memory of the process that is resident. On Linux.";
    Gauge "process_virtual_memory_bytes" "Address space of the process. On Linux.";
    Gauge "process_threads" "Threads of the process. On Linux.";
    Gauge "process_open_fds" "Descriptors that the process has open. On Linux.";
    Gauge "process_max_fds" "Descriptors that the process may have open. On Linux.";
};

/// Limits that are counted when they are hit: each is there from the start, so that the first hit is a difference.
pub const LIMITS: &[&str] = &[
    "http_stall_ms",
    "idempotency_entries",
    "invoke_depth",
    "kv_bytes",
    "max_buffered_bytes",
    "max_buffered_hard_bytes",
    "max_buffered_total_bytes",
    "max_connections",
    "max_http_body_bytes",
    "max_http_buffered_bytes",
    "max_http_exchanges",
    "max_http_exchanges_per_ip",
    "max_in_flight",
    "max_outbound_bytes",
    "max_panics",
    "max_payload",
    "max_payload_4",
    "max_pending_handshakes",
    "max_pending_handshakes_per_ip",
    "max_plugin_in_flight",
    "max_plugin_invokes",
    "max_plugin_jobs",
    "max_plugin_principals",
    "max_plugin_subscriptions",
    "max_plugin_timers",
    "max_preauth_bytes",
    "max_principals",
    "max_refused_calls",
    "max_reloads",
    "max_setup_codes",
    "max_snapshot_bytes",
    "method_timeout_ms",
    "ping_interval_ms",
    "plugin_backlog_bytes",
    "plugin_backlog_events",
    "worker_stall_ms",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn names_are_different_and_end_as_their_kind_does() {
        let names: BTreeSet<_> = DESCRIBED.iter().map(|described| described.name).collect();
        assert_eq!(names.len(), DESCRIBED.len());
        for Described { name, kind, help } in DESCRIBED {
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(help.starts_with(|c: char| c.is_uppercase() || c == '1') && help.ends_with('.'), "{name}: {help}");
            assert!(!help.contains(['\n', '\\', '|']), "{name}: {help}");
        }
    }

    #[test]
    fn limits_are_keys_of_the_configuration() {
        let is_known = |table: &str, limit: &str| {
            let issues = Config::validate_text(&format!("[gateway.{table}]\n{limit} = \"\"\n"));
            issues.iter().all(|issue| !issue.message.contains("unknown key"))
        };
        assert!(!is_known("limits", "max_nothing"));
        for limit in LIMITS {
            assert!(is_known("limits", limit) || is_known("plugins", limit), "{limit}");
        }
        assert!(LIMITS.is_sorted());
    }

    /// Whoever counts a limit writes its name out.
    #[test]
    fn every_limit_that_is_counted_is_there_from_the_start() {
        let mut counted = BTreeSet::new();
        for_each_source(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path(), &mut |text| {
            for call in ["limit_hit(\"", "limit(\""] {
                counted.extend(text.split(call).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_string())));
            }
        });
        assert!(counted.len() > 10, "{counted:?}");
        let missing: Vec<_> = counted.iter().filter(|name| !LIMITS.contains(&name.as_str())).collect();
        assert!(missing.is_empty(), "not in LIMITS: {missing:?}");
    }

    fn for_each_source(folder: &Path, visit: &mut impl FnMut(&str)) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                for_each_source(&path, visit);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                visit(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
}
