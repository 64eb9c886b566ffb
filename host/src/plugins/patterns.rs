//! Patterns of the operator's rules that match no method there is. One that is misspelt holds nothing back, or lets nothing
//! through, without a word of its own: so the log has one.

use std::collections::BTreeSet;

use plugin_api::catalogue;

use crate::config::{Config, suggest};
use crate::grants;
use crate::registry::Registry;

/// Names such patterns in the log, but for those that matched nothing `before` either.
pub fn report(before: Option<(&Config, &Registry)>, config: &Config, registry: &Registry) {
    let known = before.map(|(config, registry)| unmatched(config, &methods(registry))).unwrap_or_default();
    for found in unmatched(config, &methods(registry)).iter().filter(|found| !known.contains(found)) {
        tracing::warn!("{found}");
    }
}

/// The methods of all plugins that are known, whether they are served or not, and of the host.
fn methods(registry: &Registry) -> BTreeSet<String> {
    let running = registry.plugins().iter().flat_map(|plugin| &plugin.manifest.methods).map(|method| &method.name);
    let idle = registry.idle().iter().flat_map(|state| &state.methods);
    let own = catalogue::SERVICES.iter().map(|service| service.name.to_string());
    running.chain(idle).cloned().chain(own).collect()
}

/// A sentence for each pattern that matches none of these methods.
fn unmatched(config: &Config, methods: &BTreeSet<String>) -> Vec<String> {
    let rules = &config.gateway.methods;
    let mut lists = Vec::new();
    for (table, rule) in [
        ("[gateway.methods]", &rules.everyone),
        ("[gateway.methods.operator]", &rules.operator),
        ("[gateway.methods.node]", &rules.node),
    ] {
        lists.push((format!("{table} allow"), &rule.allow));
        lists.push((format!("{table} deny"), &rule.deny));
    }
    for token in &config.gateway.auth.named {
        let bounds = &token.bounds;
        lists.push((format!("[[gateway.auth.tokens]] methods of {:?}", bounds.name), &bounds.methods.allow));
    }
    let file = config.file.as_ref().map(|file| format!("{}: ", file.path.display())).unwrap_or_default();
    let mut found = Vec::new();
    for (list, patterns) in &lists {
        let matches_none = |pattern: &&String| !methods.iter().any(|method| grants::matches(pattern, method));
        for pattern in patterns.iter().filter(matches_none) {
            let hint = match pattern.contains('*') {
                true => String::new(),
                false => suggest::hint(pattern, methods.iter().map(String::as_str)),
            };
            found.push(format!("{file}{list}: {pattern:?} matches no method{hint}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::ConfigFile;
    use crate::secret::Secret;

    fn list(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn patterns_that_match_nothing_are_named_with_their_place_and_what_was_meant() {
        let mut config = Config::default();
        let methods = BTreeSet::from(["a.read", "b.read"].map(str::to_string));
        config.gateway.methods.everyone.allow = list(&["*", "a.*"]);
        config.gateway.methods.everyone.deny = list(&["b.red", "c.*", "a.read"]);
        config.gateway.methods.node.allow = list(&["b*d", "x*d"]);
        assert_eq!(
            unmatched(&config, &methods),
            [
                "[gateway.methods] deny: \"b.red\" matches no method; did you mean \"b.read\"?",
                "[gateway.methods] deny: \"c.*\" matches no method",
                "[gateway.methods.node] allow: \"x*d\" matches no method",
            ]
        );
        let (path, text) = (PathBuf::from("x.toml"), Secret::new(""));
        config.file = Some(ConfigFile { path, text, sha256: String::new(), is_named: true });
        assert!(unmatched(&config, &methods).iter().all(|line| line.starts_with("x.toml: [gateway.methods")));
    }

    #[test]
    fn every_method_of_the_host_is_one() {
        let methods = methods(&Registry::default());
        assert!(methods.len() == catalogue::SERVICES.len() && unmatched(&Config::default(), &methods).is_empty());
    }
}
