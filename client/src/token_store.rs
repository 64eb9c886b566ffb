//! Device tokens the gateway handed out, kept per gateway, device and role, with the pins of the gateway's certificate that
//! a setup code told. Several processes of one user share the file, so each change reads it again under a lock, touches one
//! row and replaces the whole in one step; what cannot be understood is an error and is never written over.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ClientError, Fingerprint, private_file};

/// The file that keeps device tokens.
#[derive(Debug, Clone)]
pub struct TokenStore {
    path: PathBuf,
}

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenKey {
    /// The gateway: its address, or an id that outlives addresses.
    pub gateway: String,
    /// The device the token belongs to.
    pub device_id: String,
    /// The role it is good for.
    pub role: String,
}

/// A kept device token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredToken {
    /// Presented in place of the shared secret.
    pub token: String,
    /// What it is good for.
    pub scopes: Vec<String>,
    /// When the gateway minted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at_ms: Option<u64>,
}

impl TokenStore {
    /// The store at `path`; the file is made with the first token.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        TokenStore { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The token kept for `key`.
    pub fn load(&self, key: &TokenKey) -> Result<Option<StoredToken>, ClientError> {
        Ok(self.load_pinned(key)?.map(|(token, _)| token))
    }

    /// The token kept for `key`, and the pins of which the gateway's certificate has to match one wherever the token is
    /// shown. Without any, one that the system trusts will do.
    pub fn load_pinned(&self, key: &TokenKey) -> Result<Option<(StoredToken, Vec<Fingerprint>)>, ClientError> {
        let row = self.read()?.tokens.into_iter().find(|row| row.key == *key);
        Ok(row.map(|row| (row.token, row.tls_pins)))
    }

    /// Keeps `token` for `key`, in place of the one before and with that one's pins.
    pub fn save(&self, key: &TokenKey, token: &StoredToken) -> Result<(), ClientError> {
        self.put(key, token, None)
    }

    /// Keeps `token` for `key`, in place of the one before, with these pins and no others.
    pub fn save_pinned(&self, key: &TokenKey, token: &StoredToken, pins: &[Fingerprint]) -> Result<(), ClientError> {
        self.put(key, token, Some(pins))
    }

    /// Drops the token of `key` if it still is `refused`: another process may have been given a new one meanwhile.
    pub fn remove(&self, key: &TokenKey, refused: &str) -> Result<bool, ClientError> {
        let _lock = private_file::lock(&self.path)?;
        let mut content = self.read()?;
        let before = content.tokens.len();
        content.tokens.retain(|row| row.key != *key || row.token.token != refused);
        let removed = content.tokens.len() < before;
        if removed {
            self.write(&content)?;
        }
        Ok(removed)
    }

    fn put(&self, key: &TokenKey, token: &StoredToken, pins: Option<&[Fingerprint]>) -> Result<(), ClientError> {
        let _lock = private_file::lock(&self.path)?;
        let mut content = self.read()?;
        match content.tokens.iter_mut().find(|row| row.key == *key) {
            Some(row) if row.token == *token && pins.is_none_or(|pins| row.tls_pins == pins) => return Ok(()),
            Some(row) => {
                row.token = token.clone();
                if let Some(pins) = pins {
                    row.tls_pins = pins.to_vec();
                }
            }
            None => {
                let tls_pins = pins.unwrap_or_default().to_vec();
                content.tokens.push(Row { key: key.clone(), token: token.clone(), tls_pins, extra: Map::new() });
            }
        }
        self.write(&content)
    }

    fn read(&self) -> Result<Content, ClientError> {
        let Some(bytes) = private_file::read(&self.path)? else { return Ok(Content::default()) };
        let wrong = |problem: &str| {
            ClientError::File(format!(
                "{}: not a list of device tokens ({problem}); restore it, or move it away to pair again",
                self.path.display()
            ))
        };
        // The parser's own words may quote a token.
        let content: Content = serde_json::from_slice(&bytes).map_err(|_| wrong("not the expected JSON"))?;
        if content.version == 1 { Ok(content) } else { Err(wrong("\"version\" is not 1")) }
    }

    fn write(&self, content: &Content) -> Result<(), ClientError> {
        let text = serde_json::to_vec_pretty(content).expect("strings have a JSON form");
        private_file::replace(&self.path, &text)
    }
}

impl std::fmt::Debug for StoredToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredToken").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// Keys this version does not know are carried along, so that an older program loses nothing of a newer one.
#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    tokens: Vec<Row>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl Default for Content {
    fn default() -> Self {
        Content { version: 1, tokens: Vec::new(), extra: Map::new() }
    }
}

#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    key: TokenKey,
    #[serde(flatten)]
    token: StoredToken,
    #[serde(rename = "tlsPins", default, skip_serializing_if = "Vec::is_empty")]
    tls_pins: Vec<Fingerprint>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(role: &str) -> TokenKey {
        TokenKey { gateway: "ws://gateway:1".into(), device_id: "d".into(), role: role.into() }
    }

    fn token(text: &str) -> StoredToken {
        StoredToken { token: text.into(), scopes: vec!["operator.read".into()], issued_at_ms: Some(1) }
    }

    #[test]
    fn a_refused_token_goes_and_its_neighbours_stay() {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenStore::new(directory.path().join("new/tokens.json"));
        assert_eq!(store.load(&key("operator")).unwrap(), None);
        store.save(&key("operator"), &token("one")).unwrap();
        store.save(&key("node"), &token("two")).unwrap();
        store.save(&key("operator"), &token("three")).unwrap();
        assert!(!store.remove(&key("operator"), "one").unwrap(), "a newer token is not the refused one");
        assert!(store.remove(&key("operator"), "three").unwrap());
        assert_eq!(store.load(&key("operator")).unwrap(), None);
        assert_eq!(store.load(&key("node")).unwrap(), Some(token("two")));
        assert!(!format!("{:?}", token("s3cret")).contains("s3cret"));
    }

    #[test]
    fn pins_stay_with_their_token_until_there_are_others() {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenStore::new(directory.path().join("tokens.json"));
        let kept = || store.load_pinned(&key("operator")).unwrap();
        let (old, new) = (Fingerprint::of(b"old"), Fingerprint::of(b"new"));
        store.save(&key("node"), &token("two")).unwrap();
        store.save_pinned(&key("operator"), &token("one"), &[old]).unwrap();
        store.save(&key("operator"), &token("three")).unwrap();
        assert_eq!(kept(), Some((token("three"), vec![old])));
        store.save_pinned(&key("operator"), &token("three"), &[old, new]).unwrap();
        assert_eq!(kept(), Some((token("three"), vec![old, new])));
        assert_eq!(store.load_pinned(&key("node")).unwrap(), Some((token("two"), Vec::new())));
        store.save_pinned(&key("operator"), &token("three"), &[]).unwrap();
        assert_eq!(kept(), Some((token("three"), Vec::new())));
    }

    #[test]
    fn what_is_not_understood_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.json");
        let store = TokenStore::new(&path);
        let row = r#"{"gateway":"g","deviceId":"d","role":"r","token":"t","scopes":[],"note":"mine"}"#;
        std::fs::write(&path, format!(r#"{{"version":1,"tokens":[{row}],"later":{{"x":1}}}}"#)).unwrap();
        store.save(&key("operator"), &token("one")).unwrap();
        let content: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(content["tokens"][0]["note"], "mine");
        assert_eq!(content["later"]["x"], 1);

        let unpinned = format!(r#"{{"version":1,"tokens":[{}]}}"#, row.replace('}', r#","tlsPins":["s3cret"]}"#));
        let wrong = [r#"{"version":2,"tokens":[]}"#, r#"{"version":1,"tokens":[{"token":"s3cret"}]}"#, &unpinned];
        for text in ["", "[]"].into_iter().chain(wrong) {
            std::fs::write(&path, text).unwrap();
            let error = store.save(&key("operator"), &token("one")).expect_err(text).to_string();
            assert!(error.contains("tokens.json") && !error.contains("s3cret"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "never written over");
        }
    }

    #[test]
    fn writers_at_once_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenStore::new(directory.path().join("tokens.json"));
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let store = &store;
                scope.spawn(move || store.save(&key(&format!("role-{writer}")), &token("t")).unwrap());
            }
        });
        for writer in 0..8 {
            assert!(store.load(&key(&format!("role-{writer}"))).unwrap().is_some(), "role-{writer}");
        }
    }
}
