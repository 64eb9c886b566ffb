//! `[gateway.plugins]`: what holds for every plugin, and above all for those that come from a shared library.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;

use super::file::Values;
use super::keys::{Fallback, Key, Kind};

/// `[gateway.plugins]`. Names are those of the keys; `…_ms` are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginHostSettings {
    /// Where a relative path is looked for that is not beside the configuration file.
    pub directory: PathBuf,
    /// Libraries load without a checksum in their table.
    pub allow_unpinned: bool,
    /// Plugins may use extensions that are still being drafted.
    pub allow_draft_extensions: bool,
    /// Who may sign libraries. When it is not empty, only signed ones load.
    pub keys: Vec<VerifyingKey>,
    /// Libraries that reloads may map; none is ever unmapped.
    pub max_reloads: u64,
    /// Panics within `max_panics_window_ms` after which an instance is replaced.
    pub max_panics: u64,
    /// The window in which panics are counted.
    pub max_panics_window_ms: u64,
    /// How long a loaded plugin may take to be opened, to be created, and to start.
    pub create_ms: u64,
    /// How long a plugin that is being stopped may take to end its own work.
    pub drain_ms: u64,
    /// How long runs whose caller has gone may take to end when their plugin is replaced.
    pub drain_detached_ms: u64,
    /// Threads of each loaded plugin whose calls run on a pool.
    pub pool_threads: usize,
}

impl PluginHostSettings {
    /// From checked values; the folder and the keys were read by whoever can complain about them.
    pub(super) fn read(values: &Values, directory: PathBuf, keys: Vec<VerifyingKey>) -> Self {
        PluginHostSettings {
            directory,
            keys,
            allow_unpinned: values.flag("gateway.plugins.allow_unpinned"),
            allow_draft_extensions: values.flag("gateway.plugins.allow_draft_extensions"),
            max_reloads: values.whole("gateway.plugins.max_reloads"),
            max_panics: values.whole("gateway.plugins.max_panics"),
            max_panics_window_ms: values.whole("gateway.plugins.max_panics_window_ms"),
            create_ms: values.whole("gateway.plugins.create_ms"),
            drain_ms: values.whole("gateway.plugins.drain_ms"),
            drain_detached_ms: values.whole("gateway.plugins.drain_detached_ms"),
            pool_threads: values.whole("gateway.plugins.pool_threads") as usize,
        }
    }
}

/// What an entry of `keys` has to be.
pub(super) const KEY_EXPECTED: &str = "an Ed25519 public key, its 32 bytes in base64,";

/// Reads an entry of `keys`.
pub(super) fn public_key(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = STANDARD.decode(text.trim()).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak())
}

/// The keys of the table.
pub(super) const KEYS: &[Key] = &[
    Key {
        path: "gateway.plugins.directory",
        kind: Kind::Path,
        fallback: Fallback::None,
        doc: "Folder in which a plugin with a relative path is looked for when there is no such file beside this one; empty: \
              plugins in the state folder.",
    },
    Key {
        path: "gateway.plugins.allow_unpinned",
        kind: Kind::Flag,
        fallback: Fallback::Flag(false),
        doc: "Loads libraries without a sha256 in their table: whoever can write the file decides what runs.",
    },
    Key {
        path: "gateway.plugins.keys",
        kind: Kind::List,
        fallback: Fallback::List(&[]),
        doc: "Ed25519 public keys in base64. With any here, every loaded plugin needs a signature by one of them.",
    },
    Key {
        path: "gateway.plugins.allow_draft_extensions",
        kind: Kind::Flag,
        fallback: Fallback::Flag(false),
        doc: "Serves extensions whose names begin with \"draft.\"; they change without notice.",
    },
    Key {
        path: "gateway.plugins.create_ms",
        kind: Kind::Whole { min: 10, max: 600_000 },
        fallback: Fallback::Whole(10_000),
        doc: "How long a loaded plugin may take for each step of its start; after that it is given up and the rest serves.",
    },
    Key {
        path: "gateway.plugins.pool_threads",
        kind: Kind::Whole { min: 1, max: 256 },
        fallback: Fallback::Whole(4),
        doc: "Threads of each loaded plugin whose calls run on a pool.",
    },
    Key {
        path: "gateway.plugins.max_reloads",
        kind: Kind::Whole { min: 0, max: 10_000 },
        fallback: Fallback::Whole(16),
        doc: "Libraries that reloads may map until the gateway is restarted; code once loaded stays in memory.",
    },
    Key {
        path: "gateway.plugins.max_panics",
        kind: Kind::Whole { min: 1, max: 1_000_000 },
        fallback: Fallback::Whole(5),
        doc: "Panics of a plugin, within max_panics_window_ms, after which it is restarted, and after a second round disabled.",
    },
    Key {
        path: "gateway.plugins.max_panics_window_ms",
        kind: Kind::Whole { min: 50, max: 86_400_000 },
        fallback: Fallback::Whole(60_000),
        doc: "The window in which panics are counted.",
    },
    Key {
        path: "gateway.plugins.drain_ms",
        kind: Kind::Whole { min: 0, max: 600_000 },
        fallback: Fallback::Whole(5_000),
        doc: "How long a plugin that is being stopped may take to end its own work.",
    },
    Key {
        path: "gateway.plugins.drain_detached_ms",
        kind: Kind::Whole { min: 0, max: 3_600_000 },
        fallback: Fallback::Whole(600_000),
        doc: "How long runs whose caller has gone may take to end when their plugin is replaced.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_other_texts() {
        assert!(public_key("O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=").is_some());
        // Too short, not base64, and the identity, under which everything is signed.
        for wrong in ["", "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ", "not base64!", &STANDARD.encode([1; 1])] {
            assert!(public_key(wrong).is_none(), "{wrong}");
        }
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(public_key(&STANDARD.encode(identity)).is_none());
    }
}
