//! The nearest known name to a misspelt one.

/// The candidate nearest to `word`, if it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let spelled = plain(word);
    candidates
        .into_iter()
        .map(|candidate| (distance(&spelled, &plain(candidate)), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= (word.chars().count().max(candidate.len()) / 3).clamp(1, 3))
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "…"?`, or nothing.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"))
}

/// Letters that matter: `maxPayload` and `max-payload` are `max_payload` to a reader.
fn plain(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '_' | '-' | '.')).flat_map(char::to_lowercase).collect()
}

/// Edits (insert, delete, replace, swap of neighbours) from one word to the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let keys = ["max_payload", "max_preauth_bytes", "drain_ms", "agent"];
        assert_eq!(nearest("max_playload", keys), Some("max_payload"));
        assert_eq!(nearest("maxPayload", keys), Some("max_payload"));
        assert_eq!(nearest("agnet", keys), Some("agent"));
        assert_eq!(nearest("weather", keys), None);
        assert_eq!(nearest("x", []), None);
        assert_eq!(hint("agnet", keys), "; did you mean \"agent\"?");
    }
}
