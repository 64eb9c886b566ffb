//! No secret of a gateway leaves it where it should not: every frame that a client of these tests receives is looked
//! through, and when a gateway ends, so are its log, what it said, and what it leaves on disk. A test that does nothing else
//! than call `health` is a test of this, too.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::gateway::{TOKEN, files_below};

/// Shorter ones would be found in other words.
const SHORTEST: usize = 12;
/// Files of a state folder that are there to hold a secret; `gateway.json` only while the gateway runs.
const MAY_HOLD: [&str; 4] = ["gateway.json", "gateway.key", "tls.key", "token"];
/// Keys of a configuration whose values are secrets.
const SECRET_KEYS: [&str; 2] = ["password", "token"];

/// A secret, and what to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    kind: &'static str,
    text: String,
}

impl Secret {
    fn new(kind: &'static str, text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (text.len() >= SHORTEST).then_some(Secret { kind, text })
    }
}

/// Panics if a frame holds a secret. A device token may stand where a device is handed its own, and is known from then on.
pub fn check_frame(text: &str) {
    if let Some(kind) = in_frame(text) {
        panic!("a client received {kind}, which is a secret");
    }
}

fn in_frame(text: &str) -> Option<&'static str> {
    // The shared token and the device tokens that gateways handed to the clients of this process.
    let mut known = handed_out();
    known.extend(Secret::new("the shared token", TOKEN));
    if !text.contains("\"deviceToken\"") && !text.contains("\"tokenDelivery\"") {
        return known.find(text.as_bytes());
    }
    let mut frame: Value = serde_json::from_str(text).unwrap_or_default();
    let payload = &mut frame["payload"];
    let hands_out =
        [payload.pointer_mut("/auth/deviceToken").map(Value::take), payload.get_mut("token").map(Value::take)];
    let handed = hands_out.iter().flatten().filter_map(Value::as_str);
    let found = known.find(frame.to_string().as_bytes());
    known.extend(handed.filter_map(|token| Secret::new("a device token", token)));
    found
}

/// Panics if a gateway that has ended said a secret, or left one on disk. `config` is the text of its configuration.
pub fn check_remains(state: &Path, config: &str, said: &[String]) {
    let known = secrets_of(state, config);
    if let Some(kind) = known.find(said.join("\n").as_bytes()) {
        panic!("the gateway said {kind}, which is a secret");
    }
    for file in files_below(state) {
        let may_hold = file.strip_prefix(state).is_ok_and(|name| MAY_HOLD.iter().any(|may| name == Path::new(may)));
        let bytes = if may_hold { Vec::new() } else { std::fs::read(&file).unwrap_or_default() };
        if let Some(kind) = known.find(&bytes) {
            panic!("{} holds {kind}, which is a secret", file.display());
        }
    }
}

fn secrets_of(state: &Path, config: &str) -> Known {
    let mut known = handed_out().clone();
    known.extend(Secret::new("the shared token", TOKEN));
    if let Ok(made) = std::fs::read_to_string(state.join("token")) {
        known.extend(Secret::new("the token it made", made.trim()));
    }
    if let Ok(key) = std::fs::read(state.join("gateway.key")) {
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        known.extend(Secret::new("its key", hex));
    }
    if let Ok(pem) = std::fs::read_to_string(state.join("tls.key")) {
        // The first line of what is between the marks.
        known.extend(pem.lines().nth(1).and_then(|line| Secret::new("the key of its certificate", line)));
    }
    if let Ok(table) = config.parse::<toml::Table>() {
        configured(&toml::Value::Table(table), &mut known);
    }
    known
}

fn configured(value: &toml::Value, known: &mut Known) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                match value.as_str() {
                    Some(text) if SECRET_KEYS.contains(&key.as_str()) => {
                        known.extend(Secret::new("a configured secret", text))
                    }
                    _ => configured(value, known),
                }
            }
        }
        toml::Value::Array(values) => values.iter().for_each(|value| configured(value, known)),
        _ => {}
    }
}

/// Secrets by how they begin, so that a text is gone through once, however many there are.
#[derive(Debug, Clone, Default)]
struct Known(HashMap<[u8; SHORTEST], Vec<Secret>>);

impl Known {
    fn extend(&mut self, secrets: impl IntoIterator<Item = Secret>) {
        for secret in secrets {
            let start = secret.text.as_bytes()[..SHORTEST].try_into().expect("a secret is no shorter");
            let alike = self.0.entry(start).or_default();
            if !alike.contains(&secret) {
                alike.push(secret);
            }
        }
    }

    fn find(&self, bytes: &[u8]) -> Option<&'static str> {
        bytes.windows(SHORTEST).enumerate().find_map(|(place, start)| {
            let alike = self.0.get(start)?;
            let found = alike.iter().find(|secret| bytes[place..].starts_with(secret.text.as_bytes()));
            found.map(|secret| secret.kind)
        })
    }
}

fn handed_out() -> MutexGuard<'static, Known> {
    static HANDED_OUT: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_secret_in_a_frame_is_found_unless_it_is_handed_out() {
        assert_eq!(in_frame(r#"{"type":"event","event":"tick","payload":{"ts":1}}"#), None);
        assert_eq!(in_frame(&format!(r#"{{"type":"res","payload":{{"x":"{TOKEN}"}}}}"#)), Some("the shared token"));
        let hello = format!(r#"{{"type":"res","payload":{{"type":"hello-ok","auth":{{"deviceToken":"{DEVICE}"}}}}}}"#);
        assert_eq!(in_frame(&hello), None);
        assert_eq!(in_frame(&hello), None, "it may be handed out again");
        let list = format!(r#"{{"type":"res","payload":{{"paired":[{{"tokens":["{DEVICE}"]}}]}}}}"#);
        assert_eq!(in_frame(&list), Some("a device token"));
        let both = format!(r#"{{"payload":{{"auth":{{"deviceToken":"{DEVICE}"}},"snapshot":"{DEVICE}"}}}}"#);
        assert_eq!(in_frame(&both), Some("a device token"), "there and nowhere else");
    }

    #[test]
    fn a_secret_on_disk_or_in_the_log_is_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = folder.path();
        let config = "[gateway.auth]\npassword = \"a configured password\"\n[[gateway.auth.tokens]]\ntoken = \"a named token, long\"\n";
        let fails = |said: &str| {
            let said = [said.to_string()];
            std::panic::catch_unwind(|| check_remains(state, config, &said)).is_err()
        };
        std::fs::write(state.join("token"), "made-by-the-gateway\n").expect("a file");
        std::fs::write(state.join("gateway.key"), [0xab; 32]).expect("a file");
        assert!(!fails("nothing to see"));
        for secret in [TOKEN, "a configured password", "a named token, long", "made-by-the-gateway", &"ab".repeat(32)] {
            assert!(fails(&format!("it is {secret}!")), "{secret}");
            std::fs::create_dir_all(state.join("logs")).expect("a folder");
            std::fs::write(state.join("logs/log"), format!("\0{secret}\n")).expect("a file");
            assert!(fails("nothing to see"), "{secret}");
            std::fs::remove_file(state.join("logs/log")).expect("a file");
        }
    }
}
