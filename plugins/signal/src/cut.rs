//! A text that is too long for one message, as several.

use crate::markup::{Style, Styled};

/// Cuts where it is least seen: between paragraphs, lines or words, in the last half of what fits.
pub fn cut(whole: Styled, most: usize) -> Vec<Styled> {
    if whole.text.len() <= most {
        return vec![whole];
    }
    let mut parts = Vec::new();
    let (mut rest, mut begin) = (whole.text.as_str(), 0);
    while !rest.is_empty() {
        let end = end_of_part(rest, most);
        let (part, after) = rest.split_at(end);
        let shown = part.trim_end();
        let units = shown.encode_utf16().count();
        if !shown.is_empty() {
            let styles = whole.styles.iter().filter_map(|style| within(style, begin, units)).collect();
            parts.push(Styled { text: shown.to_string(), styles });
        }
        let next = after.trim_start_matches(['\n', ' ', '\t', '\r']);
        begin += rest[..rest.len() - next.len()].encode_utf16().count();
        rest = next;
    }
    parts
}

fn end_of_part(text: &str, most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let fits = &text[..end];
    let good = ["\n\n", "\n", " "].iter().find_map(|gap| fits.rfind(gap).filter(|&at| at > end / 2));
    // One character more than fits is better than none at all.
    good.unwrap_or(if end == 0 { text.chars().next().map_or(0, char::len_utf8) } else { end })
}

/// What of a range falls into a part.
fn within(style: &Style, begin: usize, units: usize) -> Option<Style> {
    let start = style.start.max(begin);
    let end = (style.start + style.length).min(begin + units);
    (start < end).then(|| Style { start: start - begin, length: end - start, look: style.look })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(markdown: &str, most: usize) -> Vec<(String, Vec<String>)> {
        let parts = cut(Styled::of_markdown(markdown), most);
        assert!(parts.iter().all(|part| part.text.len() <= most), "{parts:?}");
        parts.into_iter().map(|part| (part.text, part.styles.iter().map(ToString::to_string).collect())).collect()
    }

    fn plain(text: &str, most: usize) -> Vec<String> {
        parts(text, most).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn it_is_cut_where_it_is_least_seen() {
        assert_eq!(plain("short", 10), ["short"]);
        assert_eq!(plain("one two\n\nthree four", 14), ["one two", "three four"]);
        assert_eq!(plain("one two three\nfour", 16), ["one two three", "four"]);
        assert_eq!(plain("one two three four", 10), ["one two", "three four"]);
        assert_eq!(plain("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(plain("éééé", 5), ["éé", "éé"]);
    }

    #[test]
    fn ranges_are_cut_with_it() {
        assert_eq!(
            parts("**😀 one two three** four", 12),
            [
                ("😀 one".to_string(), vec!["0:6:BOLD".to_string()]),
                ("two three".to_string(), vec!["0:9:BOLD".to_string()]),
                ("four".to_string(), vec![])
            ]
        );
        let whole = "word ".repeat(1_000);
        assert_eq!(plain(&whole, 300).join(" "), whole.trim_end());
    }
}
