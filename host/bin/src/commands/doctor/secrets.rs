//! What lets clients in: whether there is a secret, whether somebody could guess it, and whether the database has its key.
//! No secret is ever shown.

use clawhost::config::{AuthMode, Config};
use clawhost::secret::Secret;
use clawhost::state::read_shared_token;

use super::Patient;
use super::finding::{Finding, quoted};

const CHECK: &str = "token";
/// What named tokens need, too.
const SHORTEST: usize = 16;
/// How many characters have to differ.
const FEWEST: usize = 8;
/// What people and templates write when they mean to change it later.
const COMMON: [&str; 12] = [
    "admin",
    "changeme",
    "change-me",
    "clawdbot",
    "clawhost",
    "example",
    "letmein",
    "moltbot",
    "openclaw",
    "password",
    "secret",
    "token",
];
const SOON_MS: u64 = 14 * 86_400_000;

/// Looks at the shared secret and the named ones, and at the key that device tokens are made with.
pub fn examine(patient: &Patient) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(config) = &patient.config {
        findings.push(shared(patient, config));
        findings.extend(named(config));
    }
    findings.extend(gateway_key(patient));
    findings
}

fn shared(patient: &Patient, config: &Config) -> Finding {
    let auth = &config.gateway.auth;
    let (key, configured) = match auth.mode {
        AuthMode::Token => ("gateway.auth.token", &auth.token),
        AuthMode::Password => ("gateway.auth.password", &auth.password),
    };
    if let Some(secret) = configured {
        return weighed(secret, key, config.gateway.bind.is_exposed(), auth.mode.name());
    }
    let file = patient.state_dir.join("token");
    match read_shared_token(&patient.state_dir) {
        Ok(Some(token)) => weighed(&token, key, config.gateway.bind.is_exposed(), "token").file(file),
        Ok(None) => Finding::note(CHECK, "there is no token yet; the first start of the gateway makes one").file(file),
        Err(error) => Finding::error(CHECK, error.to_string()).run(format!("rm {}", quoted(&file))).file(file),
    }
}

fn weighed(secret: &Secret, key: &'static str, exposed: bool, word: &str) -> Finding {
    let Some(weakness) = weakness(secret.expose()) else {
        return Finding::ok(CHECK, format!("there is a shared {word} that nobody guesses"));
    };
    let what = format!("the shared {word} can be guessed: {weakness}");
    let found = if exposed { Finding::error(CHECK, what) } else { Finding::warning(CHECK, what) };
    found.key(key).edit(format!(
        "take it out of the configuration and the environment, and the next start makes a token that cannot be guessed; \
         or set {key}_file to a file with the output of `openssl rand -hex 24`"
    ))
}

/// Why a secret is none, in words that do not give it away.
fn weakness(secret: &str) -> Option<String> {
    let plain = secret.to_ascii_lowercase();
    let mut seen: Vec<char> = secret.chars().collect();
    let length = seen.len();
    seen.sort_unstable();
    seen.dedup();
    if length < SHORTEST {
        Some(format!("it has fewer than {SHORTEST} characters"))
    } else if seen.len() < FEWEST {
        Some("it repeats a few characters".to_string())
    } else if COMMON.iter().any(|word| plain.replace(word, "").len() < SHORTEST / 2) {
        Some("it is a word that everybody tries".to_string())
    } else {
        None
    }
}

fn named(config: &Config) -> Vec<Finding> {
    let now_ms = schemas::now_ms();
    let expiring = config.gateway.auth.named.iter().filter_map(|token| {
        let bounds = &token.bounds;
        let left = bounds.expires_at_ms?.checked_sub(now_ms);
        let found = match left {
            None => Finding::note(CHECK, format!("the named token {:?} has expired", bounds.name)),
            Some(left) if left < SOON_MS => {
                let days = left / 86_400_000;
                Finding::note(CHECK, format!("the named token {:?} expires in {days} days", bounds.name))
            }
            Some(_) => return None,
        };
        Some(found.key("gateway.auth.tokens").edit("give it a later `expires`, or take its table out"))
    });
    expiring.collect()
}

/// The database and its key belong together: the one without the other stops a start, unless no device is paired yet.
fn gateway_key(patient: &Patient) -> Option<Finding> {
    let (key, database) = (patient.state_dir.join("gateway.key"), patient.state_dir.join("state.db"));
    let has_state = std::fs::metadata(&database).is_ok_and(|found| found.len() > 0);
    match (key.exists(), has_state) {
        (true, false) => {
            let what = format!("{} is missing or empty, and a start refuses to begin without it", database.display());
            let change = "put state.db back from a backup; or move gateway.key away to begin anew, without devices";
            Some(Finding::error("state", what).file(database).edit(change))
        }
        (false, true) => {
            let what = format!("{} is missing: a start refuses to begin if any device is paired", key.display());
            let change = "put gateway.key back from a backup; or move state.db away to begin anew, without devices";
            Some(Finding::warning("state", what).file(key).edit(change))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_guessed_is_called_so_without_being_said() {
        for weak in
            ["hunter2", "aaaaaaaaaaaaaaaaaaaaaaaa", "changeme-changeme-1234", "passwordpassword12", "0123012301230123"]
        {
            let why = weakness(weak).unwrap_or_else(|| panic!("{weak} passes"));
            assert!(!why.contains(weak), "{why}");
        }
        for strong in ["5f1e8c0d9b7a6e4f3c2d1a0b", "correct horse battery staple", "my-clawhost-token-9f8e7d6c"] {
            assert_eq!(weakness(strong), None, "{strong}");
        }
    }
}
