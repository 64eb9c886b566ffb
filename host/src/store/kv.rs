//! Small state of plugins. Reads are answered from memory; a write is checked and seen at once, reaches the disk in
//! order behind it, and its caller is told when it has. If the disk refuses, memory goes back to what the disk holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Store, StoreError};

/// Bytes of keys and values one plugin may keep.
pub const DEFAULT_CAP: usize = 4 * 1024 * 1024;

/// One write of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvOp {
    /// The key it is about.
    pub key: String,
    /// The value to store; `None` deletes the key.
    pub value: Option<Arc<str>>,
    /// What must hold before the batch.
    pub condition: KvCondition,
}

/// What must hold for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvCondition {
    /// Nothing.
    Always,
    /// The key is absent.
    IfAbsent,
    /// The key has this value.
    IfEqual(Arc<str>),
}

impl KvOp {
    /// Stores a value.
    pub fn set(key: impl Into<String>, value: impl Into<Arc<str>>) -> Self {
        KvOp { key: key.into(), value: Some(value.into()), condition: KvCondition::Always }
    }

    /// Deletes a key.
    pub fn delete(key: impl Into<String>) -> Self {
        KvOp { key: key.into(), value: None, condition: KvCondition::Always }
    }

    /// Only if the key is absent.
    pub fn if_absent(mut self) -> Self {
        self.condition = KvCondition::IfAbsent;
        self
    }

    /// Only if the key has this value.
    pub fn if_equal(mut self, expected: impl Into<Arc<str>>) -> Self {
        self.condition = KvCondition::IfEqual(expected.into());
        self
    }

    fn holds(&self, present: Option<&str>) -> bool {
        match &self.condition {
            KvCondition::Always => true,
            KvCondition::IfAbsent => present.is_none(),
            KvCondition::IfEqual(expected) => present == Some(expected),
        }
    }
}

/// Why a batch was refused; nothing of it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvError {
    /// A condition does not hold.
    Conflict {
        /// The key of the condition.
        key: String,
        /// The value that is there.
        present: Option<Arc<str>>,
    },
    /// The plugin's share is used up.
    TooLarge {
        /// Bytes the plugin may keep.
        cap: usize,
    },
    /// The store does not take writes now.
    Store(StoreError),
}

/// What became of an accepted batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvOutcome {
    /// It is on the disk.
    Durable,
    /// The disk refused it and memory holds the old values again.
    Failed(String),
}

/// Told once what became of a batch, on the store's thread: it must not block.
pub type OnDurable = Box<dyn FnOnce(KvOutcome) + Send>;

/// The state of all plugins.
#[derive(Clone)]
pub struct Kv {
    store: Store,
    cap: usize,
    mirror: Arc<Mutex<Mirror>>,
}

#[derive(Default)]
struct Mirror {
    plugins: HashMap<String, PluginState>,
    writes: u64,
}

#[derive(Default)]
struct PluginState {
    entries: BTreeMap<String, Arc<str>>,
    bytes: usize,
    /// Keys with writes on their way to the disk, with the number of the last one.
    on_the_way: HashMap<String, u64>,
}

impl Kv {
    /// Reads all rows into memory. Each plugin may keep `cap` bytes.
    pub async fn load(store: &Store, cap: usize) -> Result<Self, StoreError> {
        let rows = store
            .run(|db| {
                let mut statement = db.prepare("SELECT plugin, key, value FROM plugin_kv")?;
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                rows.collect::<rusqlite::Result<Vec<(String, String, String)>>>()
            })
            .await?;
        let mut mirror = Mirror::default();
        for (plugin, key, value) in rows {
            mirror.plugins.entry(plugin).or_default().put(key, Some(value.into()));
        }
        Ok(Kv { store: store.clone(), cap, mirror: Arc::new(Mutex::new(mirror)) })
    }

    /// The value of a key.
    pub fn get(&self, plugin: &str, key: &str) -> Option<Arc<str>> {
        lock(&self.mirror).plugins.get(plugin)?.entries.get(key).cloned()
    }

    /// All entries whose key starts with a prefix, in the order of their keys.
    pub fn scan(&self, plugin: &str, prefix: &str) -> Vec<(String, Arc<str>)> {
        let mirror = lock(&self.mirror);
        let Some(state) = mirror.plugins.get(plugin) else { return Vec::new() };
        let from_prefix =
            state.entries.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from_prefix
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Does all of a batch or nothing. Conditions are about the state before the batch. `durable` is told what became of
    /// it, exactly once if this returns `Ok`, and never otherwise.
    pub fn write(&self, plugin: &str, ops: Vec<KvOp>, durable: OnDurable) -> Result<(), KvError> {
        let mut mirror = lock(&self.mirror);
        mirror.writes += 1;
        let number = mirror.writes;
        let state = mirror.plugins.entry(plugin.to_string()).or_default();
        for op in &ops {
            let present = state.entries.get(&op.key);
            if !op.holds(present.map(AsRef::as_ref)) {
                return Err(KvError::Conflict { key: op.key.clone(), present: present.cloned() });
            }
        }
        let before: Vec<(String, Option<Arc<str>>)> =
            ops.iter().map(|op| (op.key.clone(), state.entries.get(&op.key).cloned())).collect();
        let bytes_before = state.bytes;
        for op in &ops {
            state.put(op.key.clone(), op.value.clone());
        }
        // Shrinking is always allowed, also by a plugin whose share was made smaller.
        let refused = if state.bytes > self.cap && state.bytes > bytes_before {
            Some(KvError::TooLarge { cap: self.cap })
        } else {
            let keys: Vec<String> = ops.iter().map(|op| op.key.clone()).collect();
            let job = WriteJob { plugin: plugin.to_string(), number, ops, durable, mirror: self.mirror.clone() };
            let queued = self.store.enqueue(Box::new(move |db| job.run(db)));
            if queued.is_ok() {
                state.on_the_way.extend(keys.into_iter().map(|key| (key, number)));
            }
            queued.err().map(KvError::Store)
        };
        match refused {
            None => Ok(()),
            Some(error) => {
                for (key, value) in before {
                    state.put(key, value);
                }
                Err(error)
            }
        }
    }
}

impl PluginState {
    fn put(&mut self, key: String, value: Option<Arc<str>>) {
        if let Some(old) = self.entries.remove(&key) {
            self.bytes -= key.len() + old.len();
        }
        if let Some(value) = value {
            self.bytes += key.len() + value.len();
            self.entries.insert(key, value);
        }
    }
}

struct WriteJob {
    plugin: String,
    number: u64,
    ops: Vec<KvOp>,
    durable: OnDurable,
    mirror: Arc<Mutex<Mirror>>,
}

impl WriteJob {
    /// Whether it was written.
    fn run(self, connection: &mut Connection) -> bool {
        let WriteJob { plugin, number, ops, durable, mirror } = self;
        let written = connection.transaction().map_err(|error| error.to_string()).and_then(|transaction| {
            apply(&transaction, &plugin, &ops)?;
            transaction.commit().map_err(|error| error.to_string())
        });
        if let Err(cause) = &written {
            tracing::error!(plugin, cause, "a plugin's state could not be written");
        }
        {
            let mut mirror = lock(&mirror);
            let state = mirror.plugins.entry(plugin.clone()).or_default();
            for op in &ops {
                // A later write of the same key is on its way: it will settle what the key holds.
                if state.on_the_way.get(&op.key) != Some(&number) {
                    continue;
                }
                state.on_the_way.remove(&op.key);
                if written.is_err() {
                    match value_on_disk(connection, &plugin, &op.key) {
                        Ok(value) => state.put(op.key.clone(), value.map(Into::into)),
                        Err(error) => tracing::error!(%error, plugin, "a plugin's state could not be read back"),
                    }
                }
            }
        }
        let is_written = written.is_ok();
        durable(written.map_or_else(KvOutcome::Failed, |()| KvOutcome::Durable));
        is_written
    }
}

fn apply(transaction: &Transaction<'_>, plugin: &str, ops: &[KvOp]) -> Result<(), String> {
    let failed = |error: rusqlite::Error| error.to_string();
    for op in ops.iter().filter(|op| op.condition != KvCondition::Always) {
        // Memory was ahead of the disk when it was asked; an earlier write may have failed since.
        if !op.holds(value_on_disk(transaction, plugin, &op.key).map_err(failed)?.as_deref()) {
            return Err(format!("an earlier write of {:?} had failed", op.key));
        }
    }
    for op in ops {
        match &op.value {
            Some(value) => transaction.execute(
                "INSERT INTO plugin_kv (plugin, key, value) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value",
                params![plugin, op.key, &**value],
            ),
            None => {
                transaction.execute("DELETE FROM plugin_kv WHERE plugin = ?1 AND key = ?2", params![plugin, op.key])
            }
        }
        .map_err(failed)?;
    }
    Ok(())
}

fn value_on_disk(connection: &Connection, plugin: &str, key: &str) -> rusqlite::Result<Option<String>> {
    connection
        .query_row("SELECT value FROM plugin_kv WHERE plugin = ?1 AND key = ?2", params![plugin, key], |row| row.get(0))
        .optional()
}

fn lock(mirror: &Mutex<Mirror>) -> MutexGuard<'_, Mirror> {
    mirror.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    fn told() -> (OnDurable, oneshot::Receiver<KvOutcome>) {
        let (sender, receiver) = oneshot::channel();
        (Box::new(move |outcome| drop(sender.send(outcome))), receiver)
    }

    async fn write(kv: &Kv, ops: Vec<KvOp>) -> Result<KvOutcome, KvError> {
        let (durable, outcome) = told();
        kv.write("p", ops, durable)?;
        Ok(outcome.await.unwrap())
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn scan(kv: &Kv, prefix: &str) -> Vec<String> {
        kv.scan("p", prefix).into_iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    #[test]
    fn what_is_written_is_seen_at_once_and_after_a_restart() {
        block_on(async {
            let store = Store::in_memory();
            let kv = Kv::load(&store, DEFAULT_CAP).await.unwrap();
            let (durable, outcome) = told();
            kv.write("p", vec![KvOp::set("a:1", "x"), KvOp::set("a:2", "y"), KvOp::set("b", "z")], durable).unwrap();
            assert_eq!(scan(&kv, "a:"), ["a:1=x", "a:2=y"]);
            assert_eq!(kv.get("other", "b"), None, "plugins do not see each other");
            assert_eq!(outcome.await.unwrap(), KvOutcome::Durable);
            assert_eq!(write(&kv, vec![KvOp::delete("a:1")]).await, Ok(KvOutcome::Durable));
            let kv = Kv::load(&store, DEFAULT_CAP).await.unwrap();
            assert_eq!(scan(&kv, ""), ["a:2=y", "b=z"]);
        });
    }

    #[test]
    fn a_batch_whose_condition_fails_does_nothing() {
        block_on(async {
            let kv = Kv::load(&Store::in_memory(), DEFAULT_CAP).await.unwrap();
            write(&kv, vec![KvOp::set("a", "1").if_absent()]).await.unwrap();
            let conflict = write(&kv, vec![KvOp::set("b", "1"), KvOp::set("a", "2").if_absent()]).await;
            assert_eq!(conflict, Err(KvError::Conflict { key: "a".into(), present: Some("1".into()) }));
            let conflict = write(&kv, vec![KvOp::delete("c").if_equal("1")]).await;
            assert_eq!(conflict, Err(KvError::Conflict { key: "c".into(), present: None }));
            assert_eq!(scan(&kv, ""), ["a=1"]);
            write(&kv, vec![KvOp::set("a", "2").if_equal("1")]).await.unwrap();
            assert_eq!(scan(&kv, ""), ["a=2"]);
        });
    }

    #[test]
    fn a_share_is_a_share() {
        block_on(async {
            let kv = Kv::load(&Store::in_memory(), 10).await.unwrap();
            write(&kv, vec![KvOp::set("a", "12345")]).await.unwrap();
            assert_eq!(write(&kv, vec![KvOp::set("b", "12345")]).await, Err(KvError::TooLarge { cap: 10 }));
            assert_eq!(scan(&kv, ""), ["a=12345"]);
            write(&kv, vec![KvOp::set("a", "123"), KvOp::set("b", "12345")]).await.unwrap();
        });
    }

    #[test]
    fn a_refusing_disk_puts_memory_right_again() {
        block_on(async {
            let store = Store::in_memory();
            let kv = Kv::load(&store, DEFAULT_CAP).await.unwrap();
            write(&kv, vec![KvOp::set("a", "old")]).await.unwrap();
            let refuse = "CREATE TRIGGER full BEFORE UPDATE ON plugin_kv WHEN new.value = 'bad' \
                          BEGIN SELECT RAISE(ABORT, 'disk full'); END";
            store.run(move |db| db.execute_batch(refuse)).await.unwrap();

            // Held back together, so that the dependent write is accepted before the first one fails.
            let (release, held) = std::sync::mpsc::channel::<()>();
            store
                .submit("holds", move |_| {
                    let _ = held.recv();
                    Ok(())
                })
                .unwrap();
            let (durable, first) = told();
            kv.write("p", vec![KvOp::set("a", "bad"), KvOp::set("new", "x")], durable).unwrap();
            let (durable, second) = told();
            kv.write("p", vec![KvOp::set("a", "dependent").if_equal("bad")], durable).unwrap();
            assert_eq!(scan(&kv, ""), ["a=dependent", "new=x"]);
            drop(release);
            assert!(matches!(first.await.unwrap(), KvOutcome::Failed(_)));
            assert!(matches!(second.await.unwrap(), KvOutcome::Failed(_)), "it built on what never was");
            assert_eq!(scan(&kv, ""), ["a=old"]);
            assert_eq!(write(&kv, vec![KvOp::set("a", "good")]).await, Ok(KvOutcome::Durable));
        });
    }

    #[test]
    fn a_closed_store_refuses_and_changes_nothing() {
        block_on(async {
            let store = Store::in_memory();
            let kv = Kv::load(&store, DEFAULT_CAP).await.unwrap();
            store.close().await;
            assert_eq!(write(&kv, vec![KvOp::set("a", "1")]).await, Err(KvError::Store(StoreError::Closed)));
            assert_eq!(kv.get("p", "a"), None);
        });
    }
}
