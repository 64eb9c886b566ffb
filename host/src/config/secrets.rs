//! What of a configuration may be a secret, by the keys around it and by what it looks like. Whatever shows one asks here:
//! as it is in force (`plugins.rs`), and as it stands in its file (`redact.rs`).

use std::ops::Range;

use super::REDACTED;

/// What the keys around a value say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing.
    Plain,
    /// It is one of a list, which may be a program's arguments.
    Listed,
    /// It stands at `headers` or `env`: a table, or texts such as `name=value`.
    Pairs,
    /// It is a value in such a table, whatever its name.
    Paired,
    /// A key around it, or the option before it, sounds secret.
    Secret,
}

impl Place {
    /// The place of what stands at this key.
    pub(crate) fn below(self, key: &str) -> Place {
        match self {
            _ if self == Place::Secret || sounds_secret(key) => Place::Secret,
            Place::Pairs | Place::Paired => Place::Paired,
            _ if names_pairs(key) => Place::Pairs,
            _ => Place::Plain,
        }
    }

    /// The place of one of the list that stands here, behind this text of the same list.
    pub(crate) fn item(self, before: Option<&str>) -> Place {
        match (self, before.and_then(asked_for)) {
            (Place::Plain | Place::Listed | Place::Pairs, Some(place)) => place,
            (Place::Plain, None) => Place::Listed,
            (place, _) => place,
        }
    }

    /// Whether nothing of a value is shown here.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Place::Paired | Place::Secret)
    }

    /// A text as it may be shown.
    pub(crate) fn shown(self, text: &str) -> String {
        let (mut shown, mut at) = (String::new(), 0);
        for part in self.hidden(text) {
            if part.start >= at {
                shown.push_str(&text[at..part.start]);
                shown.push_str(REDACTED);
            }
            at = at.max(part.end);
        }
        shown.push_str(&text[at..]);
        shown
    }

    /// What of a text is not shown, in the order of where it begins.
    pub(crate) fn hidden(self, text: &str) -> Vec<Range<usize>> {
        let rest = match self.is_secret() {
            true => Some(0),
            false => argument(text).into_iter().chain(self.value(text)).min(),
        };
        let mut parts = in_addresses(text);
        parts.extend(rest.map(|start| start..text.len()));
        parts.sort_by_key(|part| part.start);
        parts
    }

    /// Where the value in `name=value` or `name: value` begins, if such a one may be a secret here.
    fn value(self, text: &str) -> Option<usize> {
        text.match_indices(['=', ':']).find_map(|(at, sign)| {
            let name = last_word(&text[..at]);
            let is_meant = match (self, sign) {
                (Place::Pairs, _) | (Place::Listed, "=") => !name.is_empty(),
                (Place::Listed, _) | (Place::Plain, "=") => sounds_secret(name),
                _ => false,
            };
            let value = text[at + 1..].trim_start();
            // Base64 ends with such signs.
            (is_meant && !value.trim_matches('=').is_empty()).then(|| text.len() - value.len())
        })
    }
}

/// Whether a text that is no value, such as a comment, shows what it would not as one.
pub(crate) fn tells(text: &str) -> bool {
    !in_addresses(text).is_empty() || argument(text).is_some()
}

/// Whether the value of a key of this name is a secret.
pub(crate) fn sounds_secret(name: &str) -> bool {
    let name = bare(name);
    ["token", "password", "passwd", "passphrase", "secret", "apikey", "privatekey", "credential", "authorization"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// Whether a key of this name holds names that tell nothing of their values: `cookie` is as likely as any other.
pub(crate) fn names_pairs(name: &str) -> bool {
    let name = bare(name);
    name == "env" || name == "environment" || name.ends_with("header")
}

/// The word that a text ends with, without quotation marks around it.
pub(crate) fn last_word(text: &str) -> &str {
    let text = text.trim_end().trim_end_matches(['"', '\'']);
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.rsplit(|c| !is_part(c)).next().unwrap_or(text)
}

/// A name in lower case, without signs and without the `s` of many.
fn bare(name: &str) -> String {
    let mut bare: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if bare.ends_with('s') {
        bare.pop();
    }
    bare
}

/// The place of what follows this word among a program's arguments, if it is an option that asks for what may be a secret.
fn asked_for(word: &str) -> Option<Place> {
    let option = word.trim().trim_matches(['"', '\'', '`', ',', '[', ']']);
    match option {
        _ if !option.starts_with('-') || option.contains('=') => None,
        _ if sounds_secret(option) => Some(Place::Secret),
        _ if option == "-H" || names_pairs(option) => Some(Place::Pairs),
        _ => None,
    }
}

/// Where what such an option in a text asks for begins.
fn argument(text: &str) -> Option<usize> {
    let mut end = 0;
    text.split_inclusive(char::is_whitespace).find_map(|word| {
        end += word.len();
        let behind = text[end..].trim_start();
        (asked_for(word).is_some() && !behind.is_empty()).then(|| text.len() - behind.len())
    })
}

/// What addresses in a text hold beside where they lead: names with passwords, and queries.
fn in_addresses(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, sign) in text.match_indices("://") {
        let start = at + sign.len();
        let end = text[start..].find(char::is_whitespace).map_or(text.len(), |length| start + length);
        let path = text[start..end].find(['/', '?', '#']).map_or(end, |length| start + length);
        if let Some(length) = text[start..path].rfind('@') {
            found.push(start..start + length);
        }
        let query = text[path..end].find(['?', '#']).map(|length| path + length + 1);
        // A fragment is mostly a place on the page.
        let is_meant = |at: &usize| *at < end && (text[..*at].ends_with('?') || text[*at..end].contains(['=', '?']));
        found.extend(query.filter(is_meant).map(|at| at..end));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_shows_what_is_no_secret_of_it() {
        let shown = |place: Place, text: &str| place.shown(text).replace(REDACTED, "…");
        for (place, text, expected) in [
            (Place::Plain, "https://ann:pw@example.org:1/p?key=pw#x", "https://…@example.org:1/p?…"),
            (Place::Plain, "from postgres://ann@db to wss://h?pw now", "from postgres://…@db to wss://h?… now"),
            (Place::Plain, "https://h/?to=https://a:pw@b/", "https://h/?…"),
            (Place::Plain, "https://h/#token=pw", "https://h/#…"),
            (Place::Plain, "https://h/#chapter, http://[::1]:1/v1?", "https://h/#chapter, http://[::1]:1/v1?"),
            (Place::Plain, "host=db password = pw and more", "host=db password = …"),
            (Place::Plain, "run --x --api-key pw and more", "run --x --api-key …"),
            (Place::Plain, "say: a=b, --token", "say: a=b, --token"),
            (Place::Listed, "--model=pw", "--model=…"),
            (Place::Listed, "https://h/?a=b=c", "https://h/?…"),
            (Place::Listed, "Authorization: Bearer pw", "Authorization: …"),
            (Place::Listed, "see: {model}", "see: {model}"),
            (Place::Listed, "Zm9vYg==", "Zm9vYg=="),
            (Place::Pairs, "Cookie: pw", "Cookie: …"),
            (Place::Pairs, "KEY=pw", "KEY=…"),
            (Place::Pairs, "OPENAI_API_KEY", "OPENAI_API_KEY"),
            (Place::Paired, "pw", "…"),
            (Place::Secret, "", "…"),
        ] {
            assert_eq!(shown(place, text), expected, "{place:?}");
        }
    }

    #[test]
    fn an_argument_is_hidden_by_the_option_before_it() {
        let arguments = ["-p", "--api-key", "pw", "-H", "Cookie: pw", "--token", "--secret", "pw", "end"];
        let before = std::iter::once(None).chain(arguments.iter().copied().map(Some));
        let shown = arguments.iter().zip(before).map(|(text, before)| Place::Plain.item(before).shown(text));
        let shown: Vec<String> = shown.map(|text| text.replace(REDACTED, "…")).collect();
        assert_eq!(shown, ["-p", "--api-key", "…", "-H", "Cookie: …", "--token", "…", "…", "end"]);
    }

    #[test]
    fn what_stands_at_a_key_is_judged_by_all_keys_around_it() {
        let place = |keys: &[&str]| keys.iter().fold(Place::Plain, |place, key| place.below(key));
        assert_eq!(place(&["bot", "api_keys", "url"]), Place::Secret);
        assert_eq!(place(&["extra-headers"]), Place::Pairs);
        assert_eq!(place(&["env", "DEBUG", "more"]), Place::Paired);
        assert_eq!(place(&["headers", "x-token"]), Place::Secret);
        assert_eq!(place(&["api_key_env"]), Place::Plain);
        assert_eq!(place(&["headers"]).item(None).below("value"), Place::Paired);
        assert_eq!(place(&["token"]).item(Some("--header")), Place::Secret);
    }
}
