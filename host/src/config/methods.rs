//! `[gateway.methods]`: which methods an operator of this machine lets through at all, whatever plugins offer and
//! whatever scopes a client holds.

/// Patterns for everybody and per role. A method passes when the general rule and the role's own both let it pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MethodRules {
    /// For every role.
    pub everyone: Rule,
    /// For role `operator`.
    pub operator: Rule,
    /// For role `node`.
    pub node: Rule,
}

/// What is let through, and what is taken away from that again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Patterns, of which one must match.
    pub allow: Vec<String>,
    /// Patterns, of which none may match.
    pub deny: Vec<String>,
}

impl Default for Rule {
    fn default() -> Self {
        Rule { allow: vec!["*".to_string()], deny: Vec::new() }
    }
}

impl MethodRules {
    /// Whether this role may call this method as far as the configuration goes. Scopes are another matter.
    pub fn permits(&self, role: &str, method: &str) -> bool {
        let of_role = match role {
            "operator" => self.operator.permits(method),
            "node" => self.node.permits(method),
            _ => true,
        };
        of_role && self.everyone.permits(method)
    }
}

impl Rule {
    /// Whether it permits whatever there may be.
    pub fn is_open(&self) -> bool {
        self.deny.is_empty() && self.allow.iter().any(|pattern| pattern == "*")
    }

    /// Whether some pattern allows the method and none denies it.
    pub fn permits(&self, method: &str) -> bool {
        if self.is_open() {
            return true;
        }
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, method));
        any(&self.allow) && !any(&self.deny)
    }
}

/// Whether `pattern`, in which `*` stands for any run of characters, is the whole of `text`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    // Taking each piece where it first occurs leaves the most for those behind it; only the last one is tied to the end.
    while let Some((piece, behind)) = rest.split_once('*') {
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
        rest = behind;
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: &[&str], deny: &[&str]) -> Rule {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Rule { allow: owned(allow), deny: owned(deny) }
    }

    #[test]
    fn wildcards() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "a.b"),
            ("node.*", "node.list"),
            ("*.list", "node.list"),
            ("a*b*c", "a.b.b.c"),
            ("ab", "ab"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("node.*", "nodes"),
            ("*.list", "node.lists"),
            ("a*b*c", "acb"),
            ("aa*aa", "aaa"),
            ("ab", "abc"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_role_gets_what_both_rules_let_through() {
        let rules = MethodRules {
            everyone: rule(&["*"], &["cron.*"]),
            operator: rule(&["*"], &[]),
            node: rule(&["node.*", "cron.*"], &["node.pair.*"]),
        };
        assert!(rules.permits("operator", "health") && rules.permits("operator", "node.pair.list"));
        assert!(!rules.permits("operator", "cron.add"));
        assert!(rules.permits("node", "node.event"));
        assert!(!rules.permits("node", "health"));
        assert!(!rules.permits("node", "node.pair.list"));
        assert!(!rules.permits("node", "cron.add"), "the general rule denies it");
        assert!(MethodRules::default().permits("node", "anything"));
        assert!(!rule(&[], &[]).permits("health"), "an empty list allows nothing");
    }
}
