//! Session keys: how they are read is agreed on with others, and what kind of session one names is known here.

pub use plugin_api::contracts::keys::{GLOBAL, Key, Names, UNKNOWN, agent_id};

use plugin_api::contracts::keys::split;

/// What kind of conversation a session is: `direct`, `group`, `global` or `unknown`.
pub fn kind(key: &str, chat_type: Option<&str>) -> &'static str {
    match key {
        GLOBAL => GLOBAL,
        UNKNOWN => UNKNOWN,
        _ if matches!(chat_type, Some("group" | "channel")) => "group",
        _ if key.contains(":group:") || key.contains(":channel:") => "group",
        _ => "direct",
    }
}

/// Whether the session is one that another session started.
pub fn is_subagent(key: &str) -> bool {
    let rest = split(key).map_or(key, |(_, rest)| rest);
    rest.get(..9).is_some_and(|begin| begin.eq_ignore_ascii_case("subagent:"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::hello::SessionDefaults;

    use super::*;

    fn names(main_key: &str, scope: &str) -> Names {
        Names::of(&SessionDefaults {
            default_agent_id: "Ops".to_string(),
            main_key: main_key.to_string(),
            main_session_key: String::new(),
            scope: Some(scope.to_string()),
        })
    }

    #[test]
    fn every_spelling_of_a_key() {
        let names = names("home", "per-sender");
        for (written, agent, text) in [
            ("main", None, "agent:ops:home"),
            ("MAIN", None, "agent:ops:home"),
            (" home ", None, "agent:ops:home"),
            ("main", Some("b"), "agent:b:home"),
            ("main", Some(" "), "agent:ops:home"),
            ("agent:ops:main", None, "agent:ops:home"),
            ("Agent:OPS:Home", Some("b"), "agent:ops:home"),
            ("agent:b:main", None, "agent:b:home"),
            ("agent::b:main", None, "agent:b:home"),
            ("agent:b:Telegram:group:-7A", None, "agent:b:Telegram:group:-7A"),
            ("telegram:group:-7A", None, "agent:ops:telegram:group:-7A"),
            ("telegram:group:-7A", Some("B"), "agent:b:telegram:group:-7A"),
            ("agent:my agent:x", None, "agent:my-agent:x"),
            ("agent:b", None, "agent:ops:agent:b"),
            ("global", Some("b"), "global"),
            ("Unknown", None, "unknown"),
            ("cron:7", None, "agent:ops:cron:7"),
        ] {
            assert_eq!(names.canonical(written, agent).unwrap().text, text, "{written} {agent:?}");
        }
        for wrong in ["", "  ", " : ", "a\u{0}b", &"x".repeat(513)] {
            assert_eq!(names.canonical(wrong, None).unwrap_err().shape().code, "INVALID_REQUEST");
        }
        assert_eq!(names.main().text, "agent:ops:home");
    }

    #[test]
    fn with_the_global_scope_every_main_session_is_one() {
        let names = names("main", "global");
        for written in ["main", "agent:ops:main", "agent:b:main", "global"] {
            assert_eq!(names.canonical(written, None).unwrap().text, "global", "{written}");
        }
        assert_eq!(names.canonical("telegram:7", None).unwrap().text, "agent:ops:telegram:7");
    }

    #[test]
    fn kinds() {
        for (key, chat_type, expected) in [
            ("agent:a:main", None, "direct"),
            ("agent:a:telegram:group:7", None, "group"),
            ("agent:a:slack:channel:c", None, "group"),
            ("agent:a:telegram:7", Some("group"), "group"),
            ("global", None, "global"),
            ("unknown", Some("group"), "unknown"),
        ] {
            assert_eq!(kind(key, chat_type), expected, "{key}");
        }
        assert!(is_subagent("agent:a:subagent:1") && is_subagent("subagent:1") && !is_subagent("agent:a:main"));
    }

    proptest! {
        #[test]
        fn a_canonical_key_is_its_own_spelling(
            written in "[a-zA-Z:_ é.-]{1,24}", agent in proptest::option::of("[a-zA-Z -]{0,6}"), global: bool,
        ) {
            let names = names("Home", if global { "global" } else { "per-sender" });
            if let Ok(key) = names.canonical(&written, agent.as_deref()) {
                prop_assert_eq!(names.canonical(&key.text, Some("other")).unwrap(), key);
            }
        }
    }
}
