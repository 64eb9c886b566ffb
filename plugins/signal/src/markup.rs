//! Markdown, as agents write it, as Signal shows it: a plain text, and ranges of it that are bold, italic and so on. Ranges
//! count UTF-16 units, since that is what Signal counts.
//!
//! What Signal has no form for stays as it was written (lists, tables), or becomes words (links). A mark without its
//! counterpart is a character like any other.

use std::cell::Cell;
use std::collections::HashMap;

/// How a range looks, in signal-cli's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Bold,
    Italic,
    Monospace,
    Strikethrough,
    Spoiler,
}

impl Look {
    fn word(self) -> &'static str {
        match self {
            Look::Bold => "BOLD",
            Look::Italic => "ITALIC",
            Look::Monospace => "MONOSPACE",
            Look::Strikethrough => "STRIKETHROUGH",
            Look::Spoiler => "SPOILER",
        }
    }
}

/// A range of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Its first UTF-16 unit.
    pub start: usize,
    /// How many there are.
    pub length: usize,
    /// How they look.
    pub look: Look,
}

impl std::fmt::Display for Style {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.start, self.length, self.look.word())
    }
}

/// A text with its ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Styled {
    /// The text.
    pub text: String,
    /// Its ranges, by their beginning.
    pub styles: Vec<Style>,
}

impl Styled {
    /// A text as it is.
    pub fn plain(text: &str) -> Self {
        Styled { text: text.to_string(), styles: Vec::new() }
    }

    /// Reads Markdown.
    pub fn of_markdown(markdown: &str) -> Self {
        let mut writer = Writer::default();
        let mut paragraph = String::new();
        let mut lines = markdown.split('\n').peekable();
        while let Some(line) = lines.next() {
            let more = lines.peek().is_some();
            if let Some(fence) = fence(line) {
                writer.inline(&std::mem::take(&mut paragraph));
                let mut code = Vec::new();
                for line in lines.by_ref() {
                    if line
                        .trim_end()
                        .trim_start_matches(' ')
                        .strip_prefix(fence)
                        .is_some_and(|rest| rest.trim_start_matches(&fence[..1]).is_empty())
                    {
                        break;
                    }
                    code.push(line);
                }
                writer.styled(Look::Monospace, |writer| writer.push(&code.join("\n")));
                if lines.peek().is_some() {
                    writer.push("\n");
                }
            } else if let Some(heading) = heading(line) {
                writer.inline(&std::mem::take(&mut paragraph));
                writer.styled(Look::Bold, |writer| writer.inline(heading));
                writer.push(if more { "\n" } else { "" });
            } else {
                paragraph.push_str(line);
                paragraph.push_str(if more { "\n" } else { "" });
                if line.trim().is_empty() {
                    writer.inline(&std::mem::take(&mut paragraph));
                }
            }
        }
        writer.inline(&paragraph);
        writer.finish()
    }
}

fn fence(line: &str) -> Option<&'static str> {
    let line = line.trim_start_matches(' ');
    let is_code = line.starts_with("```") && !line[3..].contains('`');
    if is_code { Some("```") } else { line.starts_with("~~~").then_some("~~~") }
}

fn heading(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches('#');
    let depth = line.len() - rest.len();
    ((1..=6).contains(&depth) && rest.starts_with(' ')).then(|| rest.trim().trim_end_matches('#').trim_end())
}

#[derive(Default)]
struct Writer {
    text: String,
    length: usize,
    styles: Vec<Style>,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.length += text.encode_utf16().count();
    }

    fn push_char(&mut self, c: char) {
        self.text.push(c);
        self.length += c.len_utf16();
    }

    fn styled(&mut self, look: Look, write: impl FnOnce(&mut Self)) {
        let (start, place) = (self.length, self.styles.len());
        write(self);
        if self.length > start {
            self.styles.insert(place, Style { start, length: self.length - start, look });
        }
    }

    fn inline(&mut self, text: &str) {
        if !text.is_empty() {
            let chars: Vec<char> = text.chars().collect();
            let reader = Reader { code: code_spans(&chars), chars, no_end_before: Cell::new(0) };
            reader.read(self, 0, reader.chars.len(), 0);
        }
    }

    fn finish(self) -> Styled {
        Styled { text: self.text, styles: self.styles }
    }
}

/// Marks within marks beyond this are characters.
const DEEPEST: usize = 16;

/// Marks that come in pairs.
const MARKS: [(&str, Look); 7] = [
    ("**", Look::Bold),
    ("__", Look::Bold),
    ("~~", Look::Strikethrough),
    ("||", Look::Spoiler),
    ("*", Look::Italic),
    ("_", Look::Italic),
    ("~", Look::Strikethrough),
];

/// Where the run of backticks that begins here has its counterpart: the length of both, and where that one begins. Each
/// run has the next one of its length.
fn code_spans(chars: &[char]) -> HashMap<usize, (usize, usize)> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let length = chars[at..].iter().take_while(|&&c| c == '`').count();
        if length > 0 {
            runs.push((at, length));
        }
        at += length.max(1);
    }
    let mut next = HashMap::new();
    let mut spans = HashMap::new();
    for &(at, length) in runs.iter().rev() {
        if let Some(end) = next.insert(length, at) {
            spans.insert(at, (length, end));
        }
    }
    spans
}

struct Reader {
    chars: Vec<char>,
    /// Where no address ends before, from wherever one was last looked for.
    no_end_before: Cell<usize>,
    code: HashMap<usize, (usize, usize)>,
}

impl Reader {
    fn read(&self, out: &mut Writer, from: usize, to: usize, depth: usize) {
        // A mark that has no counterpart has none further on either.
        let mut unpaired = [false; MARKS.len()];
        let mut at = from;
        while at < to {
            let c = self.chars[at];
            at = match c {
                '\\' if at + 1 < to && self.chars[at + 1].is_ascii_punctuation() => {
                    out.push_char(self.chars[at + 1]);
                    at + 2
                }
                '`' => self.code(out, at, to),
                '[' | '!' | '<' => self.link(out, at, to, depth).unwrap_or_else(|| {
                    out.push_char(c);
                    at + 1
                }),
                '*' | '_' | '~' | '|' if depth < DEEPEST => self.marked(out, at, from..to, depth, &mut unpaired),
                _ => {
                    out.push_char(c);
                    at + 1
                }
            };
        }
    }

    fn code(&self, out: &mut Writer, at: usize, to: usize) -> usize {
        match self.code.get(&at) {
            Some(&(length, end)) if end + length <= to => {
                let mut inner = &self.chars[at + length..end];
                let is_padded = inner.len() > 2 && inner.first() == Some(&' ') && inner.last() == Some(&' ');
                if is_padded && inner.iter().any(|&c| c != ' ') {
                    inner = &inner[1..inner.len() - 1];
                }
                out.styled(Look::Monospace, |out| inner.iter().for_each(|&c| out.push_char(c)));
                end + length
            }
            _ => {
                let run = self.chars[at..to].iter().take_while(|&&c| c == '`').count();
                self.chars[at..at + run].iter().for_each(|&c| out.push_char(c));
                at + run
            }
        }
    }

    fn marked(
        &self,
        out: &mut Writer,
        at: usize,
        within: std::ops::Range<usize>,
        depth: usize,
        unpaired: &mut [bool; MARKS.len()],
    ) -> usize {
        let run = self.run(at, within.end);
        for (place, (mark, look)) in MARKS.iter().enumerate().filter(|_| run <= 3) {
            let length = mark.len();
            if unpaired[place] || !self.is_mark(at, within.end, mark) || !self.opens(at, length, &within) {
                continue;
            }
            match self.closing(mark, at + length, &within) {
                Some(end) => {
                    out.styled(*look, |out| self.read(out, at + length, end, depth + 1));
                    return end + length;
                }
                None => unpaired[place] = true,
            }
        }
        // Of a run that is none, all of it is said: its rest would be looked at as if it were another one.
        self.chars[at..at + run].iter().for_each(|&c| out.push_char(c));
        at + run
    }

    fn is_mark(&self, at: usize, to: usize, mark: &str) -> bool {
        to - at >= mark.len() && mark.chars().zip(&self.chars[at..]).all(|(mark, &c)| mark == c)
    }

    /// How often the character here is repeated.
    fn run(&self, at: usize, to: usize) -> usize {
        self.chars[at..to].iter().take_while(|&&c| c == self.chars[at]).count()
    }

    /// Whether a mark here can begin something: text follows at once, and it does not stand amid a word.
    fn opens(&self, at: usize, length: usize, within: &std::ops::Range<usize>) -> bool {
        let follows = (at + length < within.end).then(|| self.chars[at + length]);
        let before = (at > 0).then(|| self.chars[at - 1]);
        let is_amid_word = before.is_some_and(char::is_alphanumeric);
        let may_be_amid = length == 2 && self.chars[at] != '_';
        follows.is_some_and(|c| !c.is_whitespace()) && (may_be_amid || !is_amid_word)
    }

    /// Where the counterpart of a mark is, after at least one character.
    fn closing(&self, mark: &str, from: usize, within: &std::ops::Range<usize>) -> Option<usize> {
        let (length, first) = (mark.len(), mark.chars().next()?);
        let mut at = from;
        while at < within.end {
            let c = self.chars[at];
            if c == '\\' {
                at += 2;
            } else if let Some(&(length, end)) = self.code.get(&at).filter(|(length, end)| end + length <= within.end) {
                at = end + length;
            } else if c == '`' || c == first {
                let run = self.run(at, within.end);
                let fits = c == first && (run == length || (run > length && (length == 2 || run == 3)));
                // Of a longer run the last ones count: what is before them is inside.
                let end = at + run - length.min(run);
                if fits && end > from && self.closes(end, length, within) {
                    return Some(end);
                }
                at += run;
            } else {
                at += 1;
            }
        }
        None
    }

    fn closes(&self, at: usize, length: usize, within: &std::ops::Range<usize>) -> bool {
        let next = (at + length < self.chars.len().min(within.end)).then(|| self.chars[at + length]);
        let is_amid_word = next.is_some_and(char::is_alphanumeric);
        let may_be_amid = length == 2 && self.chars[at] != '_';
        !self.chars[at - 1].is_whitespace() && (may_be_amid || !is_amid_word)
    }

    /// Where an address ends. Where none does so is remembered, so that no place is looked at for each bracket before it.
    fn end_of_address(&self, from: usize, most: usize) -> Option<usize> {
        let begin = from.max(self.no_end_before.get());
        let found = (begin..most).find(|&at| matches!(self.chars[at], ')' | '\n' | ' '));
        let end = found.filter(|&at| self.chars[at] == ')');
        if end.is_none() {
            self.no_end_before.set(found.unwrap_or(most).max(begin));
        }
        end
    }

    /// `[label](address)`, `![label](address)` and `<address>`; where it ends.
    fn link(&self, out: &mut Writer, at: usize, to: usize, depth: usize) -> Option<usize> {
        /// Longest label and address that are looked for.
        const LONGEST: usize = 2_048;
        let until = |from: usize, end: char, stops: &[char]| {
            let most = to.min(from + LONGEST);
            let found = (from..most).find(|&at| self.chars[at] == end || stops.contains(&self.chars[at]))?;
            (self.chars[found] == end).then_some(found)
        };
        let text = |range: std::ops::Range<usize>| self.chars[range].iter().collect::<String>();
        if self.chars[at] == '<' {
            let end = until(at + 1, '>', &[' ', '\n', '<'])?;
            let address = text(at + 1..end);
            let is_address = ["https://", "http://", "mailto:"].iter().any(|scheme| address.starts_with(scheme));
            return is_address.then(|| {
                out.push(&address);
                end + 1
            });
        }
        let open = if self.chars[at] == '!' { at + 1 } else { at };
        if self.chars.get(open).filter(|_| open < to) != Some(&'[') {
            return None;
        }
        let label_end = until(open + 1, ']', &['\n', '['])?;
        if self.chars.get(label_end + 1).filter(|_| label_end + 1 < to) != Some(&'(') {
            return None;
        }
        let end = self.end_of_address(label_end + 2, to.min(label_end + 2 + LONGEST))?;
        let (label, address) = (text(open + 1..label_end), text(label_end + 2..end));
        if label.trim().is_empty() || label == address {
            out.push(&address);
        } else {
            self.read(out, open + 1, label_end, depth + 1);
            if !address.is_empty() {
                out.push(&format!(" ({address})"));
            }
        }
        Some(end + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(markdown: &str) -> (String, String) {
        let Styled { text, styles } = Styled::of_markdown(markdown);
        let units: Vec<u16> = text.encode_utf16().collect();
        for style in &styles {
            let part = &units[style.start..style.start + style.length];
            assert!(String::from_utf16(part).is_ok(), "{markdown}: {style} cuts a character");
        }
        let styles: Vec<String> = styles.iter().map(ToString::to_string).collect();
        (text, styles.join(" "))
    }

    #[test]
    fn marks_become_ranges() {
        for (markdown, text, styles) in [
            ("plain", "plain", ""),
            ("a **b** c", "a b c", "2:1:BOLD"),
            ("__b__ _i_ *j*", "b i j", "0:1:BOLD 2:1:ITALIC 4:1:ITALIC"),
            ("~~s~~ ~t~ ||u v||", "s t u v", "0:1:STRIKETHROUGH 2:1:STRIKETHROUGH 4:3:SPOILER"),
            ("`a*b*` ``c`d``", "a*b* c`d", "0:4:MONOSPACE 5:3:MONOSPACE"),
            ("***both***", "both", "0:4:BOLD 0:4:ITALIC"),
            ("*a **b** c*", "a b c", "0:5:ITALIC 2:1:BOLD"),
            ("**a *b* c**", "a b c", "0:5:BOLD 2:1:ITALIC"),
            ("**bold `code**` on**", "bold code** on", "0:14:BOLD 5:6:MONOSPACE"),
            ("😀 **é😀** x", "😀 é😀 x", "3:3:BOLD"),
            ("half**way**there", "halfwaythere", "4:3:BOLD"),
            ("# Title *x*\nbody", "Title x\nbody", "0:7:BOLD 6:1:ITALIC"),
            ("```rust\nlet a = **b**;\n\n```\nafter", "let a = **b**;\n\nafter", "0:15:MONOSPACE"),
            ("```\nopen", "open", "0:4:MONOSPACE"),
            ("see [the *docs*](https://a.b/c_d_e)!", "see the docs (https://a.b/c_d_e)!", "8:4:ITALIC"),
            ("[https://a.b](https://a.b) ![](https://c.d) <https://e.f>", "https://a.b https://c.d https://e.f", ""),
            ("* one\n* **two**\n- three", "* one\n* two\n- three", "8:3:BOLD"),
            ("**over\ntwo lines**", "over\ntwo lines", "0:14:BOLD"),
        ] {
            assert_eq!(shown(markdown), (text.to_string(), styles.to_string()), "{markdown:?}");
        }
    }

    #[test]
    fn what_is_no_mark_stays() {
        for text in [
            "snake_case_name and __init__.py",
            "2*3*4 = 24",
            "a * b * c",
            "**open",
            "* ",
            "a ~ b",
            "x || y || z",
            "`open",
            "** **",
            "5 < 6 > 4",
            "[a] (b)",
            "[a",
            "!",
            "\\",
            "a|b|c",
            "**over\n\nparagraphs**",
            "#hash",
            "####### seven",
            "____",
            "|| ||",
        ] {
            let text = text.replace("__init__", "x__init__");
            assert_eq!(shown(&text), (text.clone(), String::new()), "{text:?}");
        }
        assert_eq!(shown("\\*not\\* \\_this\\_ \\q"), ("*not* _this_ \\q".to_string(), String::new()));
    }

    #[test]
    fn no_text_takes_long() {
        let deep = format!("{}x{}", "**a ".repeat(2_000), " b**".repeat(2_000));
        let pieces =
            ["**a ", "*a _b ~c ||d ", "`", "`` ` ``` ", "[a](", "[", "*", "**a**", "<", "\\", "_a*", "[a](b c) "];
        for text in pieces.into_iter().map(|piece| piece.repeat(100_000 / piece.len())).chain([deep]) {
            let began = std::time::Instant::now();
            Styled::of_markdown(&text);
            let took = began.elapsed();
            assert!(took < std::time::Duration::from_secs(5), "{took:?}: {}", &text[..10]);
        }
    }
}
