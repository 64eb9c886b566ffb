//! A gateway of an older form is updated, and killed while the new one takes its databases forward. Whenever that is: each file
//! is whole, of one form or the next, and has every row; the next start finishes, and a copy of the old form is kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clawhost_tests::chance::kills;
use clawhost_tests::support::{Builder, Connect, Gateway, Key, Knock};
use database::rusqlite::Connection;
use serde_json::json;

use super::means::copy;

/// A database, and how it is told back to its first form.
struct Old {
    file: &'static str,
    /// Rows that are made of each: enough for a copy of the file, and for a look at each row, to take a while.
    rows: u64,
    /// Its table and column of names.
    named: (&'static str, &'static str),
    back: &'static str,
    forms: u32,
}

const STATE: Old = Old {
    file: "state.db",
    rows: 4_000,
    named: ("devices", "device_id"),
    back: "
        CREATE TABLE first (request_id TEXT PRIMARY KEY, device_id TEXT NOT NULL UNIQUE, record TEXT NOT NULL,
                            ts INTEGER NOT NULL) STRICT;
        -- Tomorrow, so that it does not expire in a long run.
        INSERT INTO first SELECT request_id, device_id, json_set(record, '$.ts', ts + 86400000), ts + 86400000
            FROM pending_pairings;
        DROP TABLE pending_pairings;
        ALTER TABLE first RENAME TO pending_pairings;
        ALTER TABLE devices DROP COLUMN pins;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $ROWS)
            INSERT INTO devices SELECT device_id || '-' || i, public_key, display_name, platform, device_family, client_id,
                client_mode, role, roles, scopes, remote_ip, label, approved_via, created_at_ms, approved_at_ms,
                last_seen_at_ms FROM devices, n;
        PRAGMA user_version = 1;",
    forms: 3,
};

const RUNS: Old = Old {
    file: "data/agent/runs.db",
    rows: 8_000,
    named: ("runs", "run_id"),
    back: "
        DROP INDEX runs_undelivered;
        ALTER TABLE runs DROP COLUMN wish;
        ALTER TABLE runs DROP COLUMN delivery;
        ALTER TABLE runs DROP COLUMN message;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $ROWS)
            INSERT INTO runs SELECT NULL, run_id || '-' || i, session_key, session_id, agent_id, origin, process, state,
                accepted_at, started_at, ended_at, outcome, noted FROM runs, n;
        PRAGMA user_version = 1;",
    forms: 3,
};

/// So many kills fall into each part of a migration several times.
const MANY: u64 = 20;

#[tokio::test]
async fn a_gateway_that_is_killed_while_it_migrates_loses_nothing() {
    let (kills, mut chance) = kills("migrations", MANY);
    let (old, builder) = old_state().await;
    // How long a start takes from there on at the most, since the steps themselves are seen by nobody.
    put_back(&old, &builder);
    let begun = Instant::now();
    let mut gateway = builder.clone().start().await;
    let whole = begun.elapsed();
    let mut found = BTreeMap::<String, u64>::new();
    for kill in 0..kills {
        gateway.kill().await;
        put_back(&old, &builder);
        // Amid the copy of either file, or amid its steps, which begin when there is a copy: half of them on the spot, and the
        // others some time later, which is rather soon than late.
        let (amid, is_copied) = ([&STATE, &RUNS][kill as usize % 2], kill / 2 % 2 == 1);
        let (partial, copy) =
            (amid.beside(&builder.state_dir(), "bak.partial"), amid.beside(&builder.state_dir(), "bak"));
        let moment = chance.moment(whole);
        let wait = if chance.below(2) == 0 { Duration::ZERO } else { chance.moment(moment) };
        let mut since = None;
        let is_time = || {
            if since.is_none() && (copy.exists() || !is_copied && partial.exists()) {
                since = Some(Instant::now());
            }
            since.is_some_and(|since| since.elapsed() >= wait)
        };
        let said = builder.clone().killed_when(is_time).await;
        assert!(said.is_some(), "it ended by itself");
        for old in [&STATE, &RUNS] {
            *found.entry(format!("{} {}", old.file, old.stage(&builder.state_dir()))).or_default() += 1;
        }
        gateway = builder.clone().start().await;
        let mut admin = gateway.admin().await;
        let list = admin.ok("device.pair.list", json!({})).await;
        let names = |part: &str| list[part].as_array().map_or(0, Vec::len) as u64;
        assert_eq!((names("paired"), names("pending")), (STATE.rows + 1, 1));
        for run in ["run".to_string(), format!("run-{}", RUNS.rows)] {
            let waited = admin.ok("agent.wait", json!({ "runId": run, "timeoutMs": 0 })).await;
            assert_eq!(waited["status"], "ok", "{run}: {waited}");
        }
        admin.close().await;
        for old in [&STATE, &RUNS] {
            assert_eq!(old.look(&builder.state_dir()), old.forms);
            let copy = old.beside(&builder.state_dir(), "bak");
            assert_eq!(old.form_and_rows(&copy), (1, old.rows + 1), "the copy of the old form");
        }
    }
    eprintln!("{kills} kills: {found:?}");
    if kills >= MANY {
        for amid in [AMID_THE_COPY, AMID_THE_STEPS] {
            assert!(found.keys().any(|stage| stage.ends_with(amid)), "none was {amid}: {found:?}");
        }
    }
    gateway.stop().await;
}

/// A state folder as an older gateway left it, and a gateway that is about to use one like it.
async fn old_state() -> (tempfile::TempDir, Builder) {
    let gateway = Gateway::builder().start().await;
    let mut admin = gateway.connect(&Connect::operator().device(&Key::new(1))).await;
    let run = json!({ "message": "hello", "idempotencyKey": "run", "sessionKey": "main" });
    let run = admin.request("agent", run).await;
    assert_eq!(admin.answer(&run).await.expect("an answer")["status"], "ok");
    admin.close().await;
    let mut waiting = gateway.knock_with(&Knock::remote()).await;
    waiting.connect(&Connect::operator().device(&Key::new(2))).await.expect_err("it waits");
    let stopped = gateway.stop().await;
    let old = tempfile::tempdir().expect("a temporary folder can be made");
    copy(&stopped.state_dir(), old.path());
    for file in [&STATE, &RUNS] {
        let database = Connection::open(old.path().join(file.file)).expect("it was made");
        database.execute_batch(&file.back.replace("$ROWS", &file.rows.to_string())).expect("its first form");
        database.pragma_update_and_check(None, "wal_checkpoint", "truncate", |_| Ok(())).expect("all in one file");
    }
    (old, stopped.builder())
}

fn put_back(old: &tempfile::TempDir, builder: &Builder) {
    std::fs::remove_dir_all(builder.state_dir()).expect("it is ours");
    copy(old.path(), &builder.state_dir());
}

const AMID_THE_COPY: &str = "amid the copy";
const AMID_THE_STEPS: &str = "amid the steps";

impl Old {
    /// The copy of its first form, under this name.
    fn beside(&self, state: &Path, end: &str) -> PathBuf {
        state.join(format!("{}.v1.{end}", self.file))
    }

    /// How far it was when the gateway was killed, if it is whole and has every row.
    fn stage(&self, state: &Path) -> &'static str {
        let form = self.look(state);
        let is_there = |end| self.beside(state, end).exists();
        match (form == self.forms, is_there("bak"), is_there("bak.partial")) {
            (true, ..) => "after them",
            (false, true, _) => AMID_THE_STEPS,
            (false, false, true) => AMID_THE_COPY,
            (false, false, false) => "before it",
        }
    }

    /// Looks at a copy of the file as it is, with what SQLite keeps beside it: its form, if it is whole and has every row.
    fn look(&self, state: &Path) -> u32 {
        let scratch = tempfile::tempdir().expect("a temporary folder can be made");
        let file: PathBuf = state.join(self.file);
        let beside = |end: &str| PathBuf::from(format!("{}{end}", file.display()));
        for end in ["", "-wal"] {
            // Without a log there is nothing to be taken from it.
            let _ = std::fs::copy(beside(end), scratch.path().join(format!("looked-at.db{end}")));
        }
        let (form, rows) = self.form_and_rows(&scratch.path().join("looked-at.db"));
        assert_eq!(rows, self.rows + 1, "{} of form {form}", self.file);
        assert!((1..=self.forms).contains(&form), "{form}");
        form
    }

    fn form_and_rows(&self, file: &Path) -> (u32, u64) {
        let database = Connection::open(file).expect("it is there");
        let check: String =
            database.pragma_query_value(None, "quick_check", |row| row.get(0)).expect("it is a database");
        assert_eq!(check, "ok", "{}", file.display());
        let form = database.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a number");
        let (table, name) = self.named;
        let count = format!("SELECT count(DISTINCT {name}) FROM {table}");
        let rows = database.query_row(&count, [], |row| row.get::<_, i64>(0)).expect("its rows");
        (form, rows as u64)
    }
}
