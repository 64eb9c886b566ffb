//! How much of what a client says of itself is kept. It is said once and shown again and again, to every operator, so none
//! of it may be long. Signatures are checked over the full text before anything is cut.

use std::collections::BTreeMap;

use crate::connect::ConnectParams;

/// Longest text for people, in characters: names, versions, platforms.
pub const MAX_TEXT: usize = 200;
/// Longest name that means something to programs, in bytes: capabilities, commands, permissions, scopes.
pub const MAX_NAME: usize = 64;
/// Most capabilities, commands or permissions.
pub const MAX_NAMES: usize = 128;
/// Most scopes.
pub const MAX_SCOPES: usize = 32;
/// Longest search path of a node, in characters.
pub const MAX_PATH: usize = 4096;

impl ConnectParams {
    /// The same, with nothing in it longer than it may be kept. Texts are cut; a name that is too long is left out, since
    /// a name cut short would be another name.
    pub fn bounded(mut self) -> Self {
        let client = &mut self.client;
        for text in [&mut client.id, &mut client.version, &mut client.platform, &mut client.mode] {
            clip(text, MAX_TEXT);
        }
        let texts = [
            &mut client.display_name,
            &mut client.device_family,
            &mut client.model_identifier,
            &mut client.instance_id,
            &mut client.build_id,
            &mut client.time_zone,
            &mut self.locale,
            &mut self.user_agent,
        ];
        for text in texts.into_iter().flatten() {
            clip(text, MAX_TEXT);
        }
        if let Some(path) = &mut self.path_env {
            clip(path, MAX_PATH);
        }
        self.caps = self.caps.map(|caps| names(caps, MAX_NAMES));
        self.commands = self.commands.map(|commands| names(commands, MAX_NAMES));
        self.scopes = self.scopes.map(|scopes| names(scopes, MAX_SCOPES));
        self.permissions = self.permissions.map(permissions);
        // Passed over, so not kept either.
        (self.computer_use, self.worker_runs, self.model_catalog) = (None, None, None);
        self
    }
}

/// The first `most` names that are not too long.
pub fn names(list: Vec<String>, most: usize) -> Vec<String> {
    list.into_iter().filter(|name| name.len() <= MAX_NAME).take(most).collect()
}

fn permissions(list: BTreeMap<String, bool>) -> BTreeMap<String, bool> {
    list.into_iter().filter(|(name, _)| name.len() <= MAX_NAME).take(MAX_NAMES).collect()
}

/// Cuts a text to so many characters.
pub fn clip(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn long(length: usize) -> String {
        "ß".repeat(length)
    }

    fn params(value: Value) -> ConnectParams {
        serde_json::from_value(value).expect("params")
    }

    #[test]
    fn nothing_that_is_kept_is_long() {
        let text = long(10_000);
        let list: Vec<String> = (0..1000).map(|n| format!("name-{n}")).collect();
        let bounded = params(json!({
            "minProtocol": 3, "maxProtocol": 4, "role": "node", "caps": list, "commands": list, "scopes": list,
            "permissions": list.iter().map(|name| (name.clone(), json!(true))).collect::<serde_json::Map<_, _>>(),
            "pathEnv": text, "locale": text, "userAgent": text, "computerUse": [text], "workerRuns": text,
            "modelCatalog": { "x": text },
            "client": {
                "id": text, "version": text, "platform": text, "mode": text, "displayName": text, "deviceFamily": text,
                "modelIdentifier": text, "instanceId": text, "buildId": text, "timeZone": text,
            },
        }))
        .bounded();
        let kept = serde_json::to_value(&bounded).unwrap();
        for text in kept["client"].as_object().unwrap().values().chain([&kept["locale"], &kept["userAgent"]]) {
            assert_eq!(text.as_str(), Some(long(MAX_TEXT).as_str()));
        }
        let count = |name: &str| kept[name].as_array().unwrap().len();
        assert_eq!((count("caps"), count("commands"), count("scopes")), (MAX_NAMES, MAX_NAMES, MAX_SCOPES));
        assert_eq!(kept["permissions"].as_object().unwrap().len(), MAX_NAMES);
        assert_eq!(bounded.path_env.unwrap().chars().count(), MAX_PATH);
        assert!(kept.to_string().len() < 32 * 1024);
    }

    #[test]
    fn what_is_short_stays_and_a_long_name_is_left_out_rather_than_cut() {
        let said = json!({
            "minProtocol": 3, "maxProtocol": 3, "caps": ["camera", "x".repeat(MAX_NAME)], "pathEnv": "/bin",
            "client": { "id": "cli", "version": "1", "platform": "linux", "mode": "cli", "displayName": "Küche" },
        });
        assert_eq!(serde_json::to_value(params(said.clone()).bounded()).unwrap(), said);
        let mut more = said.clone();
        more["caps"] = json!(["camera", "y".repeat(MAX_NAME + 1), "x".repeat(MAX_NAME)]);
        assert_eq!(serde_json::to_value(params(more).bounded()).unwrap(), said);
    }
}
