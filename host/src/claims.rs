//! Which names of methods and events, and which paths, are taken, so that a plugin that wants one of them is refused before any of its code
//! acts. The registry checks again when it is built; this is for plugins whose refusal must not stop the start.

use std::collections::HashMap;

use plugin_api::Manifest;

/// Names and the plugins that have them.
#[derive(Default)]
pub struct Claims {
    methods: HashMap<String, String>,
    events: HashMap<String, String>,
    paths: HashMap<String, String>,
}

impl Claims {
    /// Gives a plugin its names: all events and paths, and the methods that are `enabled`. If one is taken, nothing is given, and
    /// the sentence names both sides.
    pub fn add(&mut self, manifest: &Manifest, enabled: impl Fn(&str, &str) -> bool) -> Result<(), String> {
        let id = manifest.id.as_str();
        let methods = manifest.methods.iter().map(|method| &method.name).filter(|name| enabled(id, name));
        let events = manifest.events.iter().map(|event| &event.name);
        let methods = merged(&self.methods, methods, id, "method")?;
        let events = merged(&self.events, events, id, "event")?;
        let paths: Vec<String> = manifest.http.iter().map(|row| row.prefix().to_string()).collect();
        let paths = merged(&self.paths, paths.iter(), id, "path")?;
        self.paths.extend(paths);
        self.methods.extend(methods);
        self.events.extend(events);
        Ok(())
    }

    /// Takes a plugin's names back.
    pub fn remove(&mut self, id: &str) {
        self.methods.retain(|_, owner| owner != id);
        self.events.retain(|_, owner| owner != id);
        self.paths.retain(|_, owner| owner != id);
    }
}

fn merged<'a>(
    taken: &HashMap<String, String>,
    names: impl Iterator<Item = &'a String>,
    id: &str,
    kind: &str,
) -> Result<HashMap<String, String>, String> {
    let mut new = HashMap::new();
    for name in names {
        if let Some(other) = taken.get(name) {
            return Err(format!("{kind} {name:?} is claimed by {other:?} and by {id:?}; disable one of the two"));
        }
        if new.insert(name.clone(), id.to_string()).is_some() {
            return Err(format!("{kind} {name:?} stands twice in its manifest"));
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(id: &str, methods: &[&str], event: &str) -> Manifest {
        let row = |name: &&str| json!({"name": name, "role": "operator", "scopes": [], "params": {}});
        let methods: Vec<_> = methods.iter().map(row).collect();
        let events = json!([{"name": event, "role": "operator", "scopes": []}]);
        let manifest = json!({"manifest": 1, "id": id, "version": "1", "methods": methods, "events": events});
        Manifest::parse(&manifest.to_string()).unwrap()
    }

    #[test]
    fn a_name_has_one_owner_and_a_refused_plugin_none() {
        let mut claims = Claims::default();
        claims.add(&manifest("a", &["one", "two"], "tock"), |_, name| name != "two").unwrap();
        let said = claims.add(&manifest("b", &["three", "one"], "tack"), |_, _| true).unwrap_err();
        assert_eq!(said, "method \"one\" is claimed by \"a\" and by \"b\"; disable one of the two");
        claims.add(&manifest("c", &["two", "three"], "tack"), |_, _| true).unwrap();
        assert!(claims.add(&manifest("d", &[], "tock"), |_, _| true).unwrap_err().contains("event \"tock\""));
        assert!(claims.add(&manifest("e", &["x", "x"], "e"), |_, _| true).unwrap_err().contains("stands twice"));
        claims.remove("a");
        claims.add(&manifest("d", &["one"], "tock"), |_, _| true).unwrap();
    }
}
