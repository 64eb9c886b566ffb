//! Requests as no client should send them, from files of `tests/fixtures/http_corpus`. Each says which answers are right; no
//! connection stays open for ever, and after each one the gateway answers a good request.
//!
//! A case of such a file is
//!
//! ```text
//! == its name
//! expect: 200 400/404 408?     the statuses that are answered, one after the other: 4xx is any of them, - is none,
//!                              and one with a question mark may be missing
//! half-close                   nothing more can come after what is sent
//! > a line that is sent, with its line end
//! >> bytes that are sent, without one
//! ```
//!
//! In what is sent `{host}`, `{token}` and `{cap}` (the beginning of an address that lets in) are replaced, then
//! `{repeat 3 ab}` is `ababab`, then `\r`, `\n`, `\t`, `\\` and `\x00` are bytes.

use std::os::unix::fs::symlink;
use std::path::Path;

use clawhost_tests::program::repository;
use clawhost_tests::support::{Gateway, PATIENCE, TOKEN};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PROGRAM: &str = env!("CARGO_BIN_EXE_test_gateway");
/// Short, so that what ends by itself ends soon.
const LIMITS: &str = "[gateway.limits]\nhandshake_timeout_ms = 3000\nhttp_stall_ms = 2000\nhttp_keep_alive_ms = 1000\nclose_grace_ms = 300\n";

/// One request, or what is to be one.
struct Case {
    /// File, line and name.
    place: String,
    expected: Vec<Step>,
    half_close: bool,
    sent: String,
}

/// Statuses of which one is answered.
struct Step {
    any_of: Vec<String>,
    may_be_missing: bool,
}

/// What stands for names in a case.
struct Words<'a> {
    host: String,
    cap: &'a str,
}

/// The cases of a file.
fn cases(file: &str) -> Vec<Case> {
    let path = repository().join("tests/fixtures/http_corpus").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = || format!("{file}:{}", number + 1);
        if let Some(name) = line.strip_prefix("== ") {
            let place = format!("{} {name}", at());
            cases.push(Case { place, expected: Vec::new(), half_close: false, sent: String::new() });
            continue;
        }
        let Some(case) = cases.last_mut() else {
            assert!(line.is_empty() || line.starts_with('#'), "{}: before the first case: {line}", at());
            continue;
        };
        if let Some(expected) = line.strip_prefix("expect: ") {
            case.expected = expected.split(' ').map(Step::read).collect();
        } else if let Some(bytes) = line.strip_prefix(">> ") {
            case.sent.push_str(bytes);
        } else if let Some(rest) = line.strip_prefix('>') {
            case.sent.push_str(rest.strip_prefix(' ').unwrap_or(rest));
            case.sent.push_str("\\r\\n");
        } else if line == "half-close" {
            case.half_close = true;
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "{}: {line}", at());
        }
    }
    for case in &cases {
        assert!(!case.expected.is_empty(), "{}: nothing is expected", case.place);
    }
    cases
}

impl Step {
    fn read(text: &str) -> Self {
        let (text, may_be_missing) = match text.strip_suffix('?') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let any_of: Vec<String> = text.split('/').filter(|one| *one != "-").map(str::to_string).collect();
        Step { may_be_missing: may_be_missing || text.split('/').any(|one| one == "-"), any_of }
    }

    fn takes(&self, status: &str) -> bool {
        let fits =
            |one: &String| one == status || one.strip_suffix("xx").is_some_and(|class| status.starts_with(class));
        self.any_of.iter().any(fits)
    }
}

/// Whether these are the statuses that were expected.
fn fit(statuses: &[String], expected: &[Step]) -> bool {
    let Some((first, rest)) = expected.split_first() else { return statuses.is_empty() };
    (first.may_be_missing && fit(statuses, rest))
        || statuses.split_first().is_some_and(|(status, others)| first.takes(status) && fit(others, rest))
}

impl Case {
    fn bytes(&self, words: &Words<'_>) -> Vec<u8> {
        let named = self.sent.replace("{host}", &words.host).replace("{token}", TOKEN).replace("{cap}", words.cap);
        let mut text = String::new();
        let mut rest = named.as_str();
        while let Some((before, repeated)) = rest.split_once("{repeat ") {
            let (repeated, after) = repeated.split_once('}').expect("a repetition has an end");
            let (count, what) = repeated.split_once(' ').expect("a repetition has a count");
            text.push_str(before);
            text.push_str(&what.repeat(count.parse().expect("a count")));
            rest = after;
        }
        unescaped(&(text + rest))
    }

    /// Sends it, and reads to the end of the connection: the answers as they came.
    async fn answers(&self, port: u16, words: &Words<'_>) -> String {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the port is open");
        let (mut reader, mut writer) = stream.into_split();
        let bytes = self.bytes(words);
        let send = async {
            // Whoever is refused early does not read the rest.
            let _ = writer.write_all(&bytes).await;
            if self.half_close {
                let _ = writer.shutdown().await;
            }
            writer
        };
        let read = async {
            let mut bytes = Vec::new();
            // A reset is an end too.
            let _ = reader.read_to_end(&mut bytes).await;
            bytes
        };
        let both = async { tokio::join!(send, read) };
        let ended = timeout(PATIENCE, both).await;
        let (_writer, bytes) = ended.unwrap_or_else(|_| panic!("{}: the connection stays open", self.place));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    async fn run(&self, port: u16, words: &Words<'_>) -> Result<String, String> {
        let answers = self.answers(port, words).await;
        let statuses = statuses(&answers);
        match fit(&statuses, &self.expected) {
            true => Ok(answers),
            false => Err(format!("{}: answered {statuses:?}: {answers:?}", self.place)),
        }
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match characters.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = characters.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).expect("two hexadecimal digits")
            }
            other => panic!("an escape that there is not: {other:?}"),
        });
    }
    bytes
}

/// The statuses of all answers. No body here has such words in it.
fn statuses(answers: &str) -> Vec<String> {
    let lines = answers.match_indices("HTTP/1.").filter_map(|(at, _)| answers[at..].get(9..12));
    lines.filter(|status| status.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_string).collect()
}

/// Runs all of a file, with a good request after each.
async fn run(gateway: &Gateway, file: &str, cap: &str, good: &str, check: impl Fn(&Case, &str)) {
    let words = Words { host: format!("127.0.0.1:{}", gateway.port), cap };
    let mut wrong = Vec::new();
    let cases = cases(file);
    assert!(cases.len() >= 20, "{file} has {} cases", cases.len());
    for case in &cases {
        match case.run(gateway.port, &words).await {
            Ok(answers) => check(case, &answers),
            Err(why) => wrong.push(why),
        }
        let answer = gateway.http("GET", good, &[]).await;
        assert_eq!(answer.status, 200, "after {}: {answer:?}", case.place);
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    // Nothing of it is left.
    gateway.metric_becomes("clawhost_http_exchanges", 0.0).await;
}

async fn against_wires(file: &str) {
    let gateway = Gateway::builder().program(PROGRAM).config(LIMITS).start().await;
    run(&gateway, file, "", "/wires/fact", |_, _| ()).await;
}

#[tokio::test]
async fn odd_first_lines() {
    against_wires("request_lines.txt").await;
}

#[tokio::test]
async fn odd_heads() {
    against_wires("headers.txt").await;
}

#[tokio::test]
async fn requests_with_two_ends() {
    against_wires("smuggling.txt").await;
}

#[tokio::test]
async fn odd_bodies_and_ends() {
    against_wires("bodies.txt").await;
}

/// What lies beside the folder that is shown.
const OUTSIDE: &str = "what-nobody-is-shown";

fn shown(folder: &Path) {
    std::fs::create_dir_all(folder.join("b")).expect("a folder");
    for (name, text) in [("a.txt", "shown"), (".hidden", OUTSIDE), ("../outside.txt", OUTSIDE)] {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    symlink("../outside.txt", folder.join("link.txt")).expect("a link");
}

#[tokio::test]
async fn paths_that_lead_elsewhere() {
    let files = TempDir::new().expect("a temporary folder");
    let folder = files.path().join("canvas");
    shown(&folder);
    let gateway = Gateway::with_config(&format!("{LIMITS}[plugins.canvas.config]\nroot = {folder:?}\n")).await;
    let client = gateway.admin().await;
    let told = client.hello["canvasHostUrl"].as_str().expect("an address").to_string();
    let cap = told.strip_prefix(&format!("http://127.0.0.1:{}", gateway.port)).expect("the gateway's").to_string();
    let good = format!("{cap}/__openclaw__/canvas/a.txt");
    run(&gateway, "canvas.txt", &cap, &good, |case, answers| {
        assert!(!answers.contains(OUTSIDE) && !answers.contains("root:"), "{}: {answers}", case.place);
        assert!(!answers.to_ascii_lowercase().contains("\nx-a:"), "{}: a header was put in: {answers}", case.place);
        if answers.contains(" 200 ") {
            assert!(answers.ends_with("shown"), "{}: {answers}", case.place);
        }
    })
    .await;
    client.close().await;
}

#[test]
fn what_is_expected_is_read_as_it_is_meant() {
    let expected = |text: &str| text.split(' ').map(Step::read).collect::<Vec<_>>();
    let fits = |statuses: &[&str], text: &str| {
        fit(&statuses.iter().map(ToString::to_string).collect::<Vec<_>>(), &expected(text))
    };
    assert!(fits(&["200"], "200") && fits(&["404"], "4xx/500") && fits(&[], "-") && fits(&[], "400/-"));
    assert!(!fits(&[], "200") && !fits(&["200"], "-") && !fits(&["200", "401"], "200") && !fits(&["501"], "4xx"));
    assert!(fits(&["100", "408"], "100? 408/-") && fits(&["408"], "100? 408/-") && fits(&["200"], "200 200?"));
    assert_eq!(unescaped(r"a\x00\r\n\\"), b"a\0\r\n\\");
}
