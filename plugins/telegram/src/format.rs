//! Markdown, as agents write it, as the HTML that Telegram takes: bold, italic, struck, code, links, quotes. Whatever is
//! not understood stays as it was written, and everything is escaped, so that the result is always well-formed.

/// How deep emphasis may be nested before it is left as it stands.
const DEEPEST: usize = 8;

/// A text with its markdown as HTML.
pub fn html(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len() + markdown.len() / 8);
    let mut lines = markdown.lines().peekable();
    let mut first = true;
    while let Some(line) = lines.next() {
        if !std::mem::take(&mut first) {
            out.push('\n');
        }
        if let Some(language) = fence(line) {
            let code: Vec<&str> = lines.by_ref().take_while(|line| fence(line).is_none()).collect();
            out.push_str(&block(language, &code.join("\n")));
        } else if let Some(quoted) = line.strip_prefix('>') {
            let mut all = vec![said_in(quoted)];
            while let Some(more) = lines.next_if(|line| line.starts_with('>')) {
                all.push(said_in(&more[1..]));
            }
            out.push_str(&format!("<blockquote>{}</blockquote>", all.join("\n")));
        } else {
            out.push_str(&said_in_line(line));
        }
    }
    out
}

/// The language of a line that begins or ends a block of code.
pub fn fence(line: &str) -> Option<&str> {
    line.trim().strip_prefix("```").filter(|rest| !rest.contains('`')).map(str::trim)
}

fn block(language: &str, code: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "+-_#".contains(c);
    let code = escaped(code);
    match language.split_whitespace().next().filter(|word| word.chars().all(is_word)) {
        Some(language) => format!("<pre><code class=\"language-{language}\">{code}</code></pre>"),
        None => format!("<pre>{code}</pre>"),
    }
}

fn said_in(quoted: &str) -> String {
    said_in_line(quoted.strip_prefix(' ').unwrap_or(quoted))
}

/// A line with its beginning: a heading is bold, an item of a list has a dot.
fn said_in_line(line: &str) -> String {
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    let heading = text.trim_start_matches('#');
    let depth = text.len() - heading.len();
    if (1..=6).contains(&depth) && heading.starts_with(' ') {
        let heading = heading.trim().trim_end_matches('#').trim_end();
        let heading = heading.strip_prefix("**").and_then(|text| text.strip_suffix("**")).unwrap_or(heading);
        return format!("<b>{}</b>", inline(heading, Inside::default()));
    }
    for bullet in ["- ", "* ", "+ "] {
        if let Some(item) = text.strip_prefix(bullet) {
            return format!("{indent}• {}", inline(item, Inside::default()));
        }
    }
    format!("{indent}{}", inline(text, Inside::default()))
}

/// What a text is within.
#[derive(Debug, Clone, Copy, Default)]
struct Inside {
    depth: usize,
    link: bool,
}

impl Inside {
    fn deeper(self) -> Self {
        Inside { depth: self.depth + 1, ..self }
    }
}

fn inline(text: &str, inside: Inside) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let (shown, taken) =
            span(rest, before, inside).unwrap_or_else(|| (escaped(&rest[..c.len_utf8()]), c.len_utf8()));
        out.push_str(&shown);
        before = rest[..taken].chars().next_back();
        rest = &rest[taken..];
    }
    out
}

/// What begins here, as HTML, and how many bytes it takes.
fn span(rest: &str, before: Option<char>, inside: Inside) -> Option<(String, usize)> {
    match rest.as_bytes()[0] {
        b'\\' => {
            let next = rest[1..].chars().next().filter(char::is_ascii_punctuation)?;
            Some((escaped(&next.to_string()), 2))
        }
        b'`' => {
            let (code, taken) = code_span(rest)?;
            Some((format!("<code>{}</code>", escaped(code)), taken))
        }
        b'!' if rest.starts_with("![") => link(&rest[1..], inside).map(|(shown, taken)| (shown, taken + 1)),
        b'[' => link(rest, inside),
        b'<' => {
            let address = &rest[1..rest.find('>')?];
            let is_one = address.starts_with("http") && !address.contains(char::is_whitespace);
            is_one.then(|| (escaped(address), address.len() + 2))
        }
        b'*' | b'_' | b'~' if inside.depth < DEEPEST => {
            let marks = [("**", "b"), ("__", "b"), ("~~", "s"), ("*", "i"), ("_", "i")];
            marks.into_iter().filter(|(mark, _)| rest.starts_with(mark)).find_map(|(mark, tag)| {
                let content = emphasised(rest, mark, before)?;
                let shown = inline(content, inside.deeper());
                Some((format!("<{tag}>{shown}</{tag}>"), content.len() + 2 * mark.len()))
            })
        }
        _ => None,
    }
}

/// What stands between two marks. Between letters a mark is none, as in `snake_case` and `2*3*4`, but for the double ones
/// that no word holds.
fn emphasised<'a>(rest: &'a str, mark: &str, before: Option<char>) -> Option<&'a str> {
    let text = &rest[mark.len()..];
    let ends_words = mark == "**" || mark == "~~";
    if (!ends_words && before.is_some_and(char::is_alphanumeric)) || text.starts_with(char::is_whitespace) {
        return None;
    }
    let mut at = 0;
    while at < text.len() {
        let here = &text[at..];
        let c = here.chars().next()?;
        if c == '\\' {
            at += 1 + here[1..].chars().next().map_or(0, char::len_utf8);
        } else if c == '`'
            && let Some((_, taken)) = code_span(here)
        {
            at += taken;
        } else if here.starts_with(mark) {
            // A longer run of the same mark belongs to what is within, or is another mark.
            let run = here.len() - here.trim_start_matches(&mark[..1]).len();
            let at_mark = at + run - mark.len();
            let after = text[at_mark + mark.len()..].chars().next();
            let is_end = (run == mark.len() || run == 3)
                && at_mark > 0
                && !text[..at_mark].ends_with(char::is_whitespace)
                && (ends_words || !after.is_some_and(char::is_alphanumeric));
            if is_end {
                return Some(&text[..at_mark]);
            }
            at += run;
        } else {
            at += c.len_utf8();
        }
    }
    None
}

/// The code between two runs of as many backticks, and how many bytes it takes.
fn code_span(rest: &str) -> Option<(&str, usize)> {
    let ticks = rest.len() - rest.trim_start_matches('`').len();
    let text = &rest[ticks..];
    let mut at = 0;
    loop {
        let start = at + text.get(at..)?.find('`')?;
        let run = text[start..].len() - text[start..].trim_start_matches('`').len();
        if run == ticks {
            let code = &text[..start];
            let padded = code.strip_prefix(' ').and_then(|code| code.strip_suffix(' '));
            let code = padded.filter(|code| !code.trim().is_empty()).unwrap_or(code);
            return (!code.is_empty()).then_some((code, start + 2 * ticks));
        }
        at = start + run;
    }
}

/// `[text](address)`, and how many bytes it takes. An address that leads to no page stays as it was written.
fn link(rest: &str, inside: Inside) -> Option<(String, usize)> {
    if inside.link || inside.depth >= DEEPEST {
        return None;
    }
    let middle = rest.find("](")?;
    let text = &rest[1..middle];
    let mut open = 1;
    let after = &rest[middle + 2..];
    let end = after.char_indices().find_map(|(at, c)| {
        open += i32::from(c == '(') - i32::from(c == ')');
        (open == 0).then_some(at)
    })?;
    // A title may follow the address.
    let address = after[..end].trim().split(char::is_whitespace).next()?;
    let address = address.strip_prefix('<').and_then(|address| address.strip_suffix('>')).unwrap_or(address);
    let leads = ["http://", "https://", "tg://", "mailto:"].iter().any(|scheme| address.starts_with(scheme));
    if text.contains('[') || !leads {
        return None;
    }
    let taken = middle + 2 + end + 1;
    if text.trim().is_empty() {
        return Some((escaped(address), taken));
    }
    let shown = inline(text, Inside { link: true, ..inside.deeper() });
    Some((format!("<a href=\"{}\">{shown}</a>", escaped(address)), taken))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_what_telegram_shows() {
        for (written, shown) in [
            ("plain", "plain"),
            ("a < b && c > \"d\"", "a &lt; b &amp;&amp; c &gt; &quot;d&quot;"),
            ("**bold** and __bold__", "<b>bold</b> and <b>bold</b>"),
            ("*italic* and _italic_", "<i>italic</i> and <i>italic</i>"),
            ("**bold with *italic* in it**", "<b>bold with <i>italic</i> in it</b>"),
            ("***both***", "<b><i>both</i></b>"),
            ("~~gone~~", "<s>gone</s>"),
            ("snake_case_name and 2*3*4", "snake_case_name and 2*3*4"),
            ("2 * 3 * 4", "2 * 3 * 4"),
            ("**open", "**open"),
            ("un**frigging**believable", "un<b>frigging</b>believable"),
            ("\\*not\\* `a*b*` ``c`d``", "*not* <code>a*b*</code> <code>c`d</code>"),
            ("**a `**` b**", "<b>a <code>**</code> b</b>"),
            ("[a *b*](https://x.example/?a=1&b=2)", "<a href=\"https://x.example/?a=1&amp;b=2\">a <i>b</i></a>"),
            ("[w](https://en.example/A_(b))", "<a href=\"https://en.example/A_(b)\">w</a>"),
            ("![pic](https://x.example/p.png)", "<a href=\"https://x.example/p.png\">pic</a>"),
            ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
            ("[x](https://a\"onclick=)", "<a href=\"https://a&quot;onclick=\">x</a>"),
            ("[](https://a.example)", "https://a.example"),
            ("<https://a.example>", "https://a.example"),
            ("# Title\ntext", "<b>Title</b>\ntext"),
            ("## **Title** ##", "<b>Title</b>"),
            ("#tag", "#tag"),
            ("- one\n  * two\n+ three", "• one\n  • two\n• three"),
            ("> a\n> *b*\nc", "<blockquote>a\n<i>b</i></blockquote>\nc"),
            (
                "```rust\nlet a = \"<b>\";\n```\nend",
                "<pre><code class=\"language-rust\">let a = &quot;&lt;b&gt;&quot;;</code></pre>\nend",
            ),
            ("```\nopen *a*", "<pre>open *a*</pre>"),
            ("<b>raw</b>", "&lt;b&gt;raw&lt;/b&gt;"),
            ("* a\n\n*b*", "• a\n\n<i>b</i>"),
            ("Grüße *😀*!", "Grüße <i>😀</i>!"),
        ] {
            assert_eq!(html(written), shown, "{written}");
        }
    }

    #[test]
    fn marks_without_an_end_take_no_long_time() {
        let text = "*a `".repeat(1_024);
        assert!(html(&text).starts_with("*a <code>"), "and this test has an end");
    }

    /// Every tag that is opened is closed, in order.
    fn assert_well_formed(html: &str, written: &str) {
        let mut open = Vec::new();
        for part in html.split('<').skip(1) {
            let tag = part.split('>').next().unwrap();
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name.to_string()), "{written:?} became {html:?}"),
                None => open.push(tag.split(' ').next().unwrap().to_string()),
            }
        }
        assert!(open.is_empty(), "{written:?} became {html:?}");
    }

    #[test]
    fn whatever_is_written_becomes_well_formed() {
        let parts = [
            "*",
            "**",
            "_",
            "__",
            "~~",
            "`",
            "```",
            "[",
            "](https://a)",
            "]",
            "\\",
            "a",
            " ",
            "\n",
            "<",
            ">",
            "#",
            "- ",
            "😀",
        ];
        // A sequence that is the same every time.
        let mut seed: u64 = 7;
        for _ in 0..3000 {
            let mut text = String::new();
            for _ in 0..14 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(parts[(seed >> 33) as usize % parts.len()]);
            }
            assert_well_formed(&html(&text), &text);
        }
    }
}
