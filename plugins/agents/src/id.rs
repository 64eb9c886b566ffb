//! Agent ids and the session keys that hold them.

/// The agent that is always there.
const DEFAULT: &str = "main";

/// The most characters of an id.
const LONGEST: usize = 64;

/// The id as it is stored and compared: lower case, runs of other characters than `a-z`, `0-9`, `_` and `-` as one `-`, the
/// first a letter or digit, at most 64 characters; `main` when nothing is left.
pub fn normalized(text: &str) -> String {
    let text = text.trim().to_lowercase();
    if is_id(&text) {
        return text;
    }
    let mut id = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            'a'..='z' | '0'..='9' | '_' | '-' => id.push(letter),
            _ if id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    let id = id.trim_start_matches(['-', '_']);
    let id = id[..id.len().min(LONGEST)].trim_end_matches('-');
    if id.is_empty() { DEFAULT.to_string() } else { id.to_string() }
}

/// The agent that a session key names: `agent:<id>:<rest>`. Other keys (`main`, `global`) name none.
pub fn of_session_key(key: &str) -> Option<String> {
    let mut parts = key.split(':').filter(|part| !part.is_empty());
    let head = parts.next()?;
    let id = parts.next()?.trim();
    parts.next()?;
    (head.eq_ignore_ascii_case("agent") && !id.is_empty()).then(|| normalized(id))
}

fn is_id(text: &str) -> bool {
    let inner = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '-');
    text.len() <= LONGEST && text.chars().all(inner) && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_normalised() {
        let long = "x".repeat(70);
        for (text, id) in [
            ("main", "main"),
            (" Ops-2_b ", "ops-2_b"),
            ("My Agent!", "my-agent"),
            ("a  ä  b", "a-b"),
            ("--x--", "x"),
            ("_x", "x"),
            ("keeps-", "keeps-"),
            ("", "main"),
            ("  ", "main"),
            ("äöü", "main"),
            (long.as_str(), &long[..64]),
        ] {
            assert_eq!(normalized(text), id, "{text}");
            assert!(is_id(&normalized(text)), "{text}");
        }
    }

    #[test]
    fn session_keys_name_their_agent() {
        assert_eq!(of_session_key("agent:Ops:main").as_deref(), Some("ops"));
        assert_eq!(of_session_key("AGENT:ops:telegram:group:7").as_deref(), Some("ops"));
        for key in ["main", "global", "agent:ops", "agent::", "cron:ops:1", "agent: :main"] {
            assert_eq!(of_session_key(key), None, "{key}");
        }
    }
}
