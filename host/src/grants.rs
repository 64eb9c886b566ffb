//! Names with wildcards: `channel.*.send`, `host.connection.*`, `*`.

/// Whether a name matches a pattern. `*` stands for any number of characters.
pub fn matches(pattern: &str, name: &str) -> bool {
    // Nearly all that are asked for differ at once, or are a name or a beginning.
    let same =
        pattern.bytes().zip(name.bytes()).take_while(|(wanted, found)| wanted == found && *wanted != b'*').count();
    match pattern.as_bytes()[same..] {
        [] => return name.len() == same,
        [b'*'] => return true,
        [b'*', ..] => {}
        _ => return false,
    }
    // The same up to the first star, which is one byte, so both are cut between characters.
    let (mut rest, mut parts) = (&name[same..], pattern[same + 1..].split('*').peekable());
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

/// Whether a name matches any of these patterns.
pub fn any_matches(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

/// Whether a subscription's pattern asks for no more than the grants cover: the pattern itself is treated as a name.
pub fn covers_pattern(grants: &[String], pattern: &str) -> bool {
    any_matches(grants, pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, name, expected) in [
            ("send", "send", true),
            ("send", "sender", false),
            ("*", "anything", true),
            ("host.connection.*", "host.connection.opened", true),
            ("host.connection.*", "host.connections.list", false),
            ("channel.*.status", "channel.telegram.status", true),
            ("channel.*.status", "channel.telegram.send", false),
            ("channel.*.status", "channel.status", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(covers_pattern(&["host.*".into()], "host.connection.*"));
        assert!(!covers_pattern(&["host.connection.opened".into()], "host.connection.*"));
    }
}
