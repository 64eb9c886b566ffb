//! What fuzzing begins with: recorded traffic and files of this repository, cut to what each door takes, what nobody recorded
//! beside it, and changes of all that are the same every time.

mod recorded;

use std::path::Path;

use serde_json::{Value, json};

use crate::program::repository;
use crate::published;

/// What the door of this name is tried with first. Nothing of it is kept: it follows from the recordings.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let texts = match target {
        "frame" => recorded::frames().into_iter().chain(wire_frames()).collect(),
        "stream" => return streams(),
        "connect" => connects(),
        "signature" => signatures(),
        "manifest" => published::manifests().iter().map(|manifest| manifest.to_json()).collect(),
        "config" => configs(),
        "store" => transcripts(),
        "heads" => heads(),
        "http" => bodies(),
        other => panic!("there is no target {other}"),
    };
    texts.into_iter().map(String::into_bytes).collect()
}

/// What a fuzzer or somebody else found wrong with the door of this name, by file.
pub fn finds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = repository().join("tests/fuzz/finds").join(target);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.expect("a folder can be listed"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a find")))
        .collect();
    found.sort();
    found
}

/// Changes what it is given, always in the same way.
pub struct Changes {
    state: u64,
}

/// Pieces that mean something to one door or the other.
const WORDS: [&str; 38] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "0",
    "1e400",
    "9007199254740993",
    "18446744073709551616",
    "\\u0000",
    "\\ud83d",
    "\u{0}",
    "\u{7f}",
    "é",
    "\u{1f600}",
    "\r\n",
    "\n",
    "..",
    "%2e",
    "#",
    "'",
    "\"\"\"",
    "=",
    "token",
    "s3cret-and-long-enough",
    "agent:main:main",
    "operator.admin",
    "data:image/png;base64,AAAA",
    "host: localhost",
    "origin: http://127.0.0.1:18789",
    "x-forwarded-for: 127.0.0.1",
    "__OPENCLAW_REDACTED__",
];

impl Changes {
    /// A series of its own for each name.
    pub fn of(name: &str) -> Self {
        let state = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Changes { state }
    }

    /// A number below this one.
    fn below(&mut self, most: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % most.max(1) as u64) as usize
    }

    /// One of these, changed in one to four places.
    pub fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, seeds);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        /// Nothing grows beyond this.
        const LONGEST: usize = 64 * 1024;
        let (from, to) = self.range(bytes.len());
        match self.below(9) {
            0 if from < bytes.len() => bytes[from] ^= 1 << self.below(8),
            1 if from < bytes.len() => bytes[from] = self.below(256) as u8,
            2 => drop(bytes.drain(from..to)),
            3 => {
                let piece = bytes[from..to].to_vec();
                let times = 1 + self.below(3);
                bytes.splice(to..to, piece.repeat(times));
            }
            4 => {
                let other = &seeds[self.below(seeds.len())];
                let (start, end) = self.range(other.len());
                bytes.splice(from..to, other[start..end].iter().copied());
            }
            5 => bytes.truncate(to),
            6 => {
                let times = 1 + self.below(200);
                bytes.splice(from..from, WORDS[self.below(WORDS.len())].bytes().cycle().take(times));
            }
            _ => drop(bytes.splice(from..from, WORDS[self.below(WORDS.len())].bytes())),
        }
        bytes.truncate(LONGEST);
    }

    /// A part of what is so long, seldom a large one.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 24 };
        (from, (from + self.below(most + 1)).min(length))
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder, in order.
fn files(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(repository().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    paths.sort();
    paths.iter().filter(|path| path.is_file()).map(|path| read(path)).collect()
}

/// What the cases of the wire send, with their words replaced.
fn wire_frames() -> Vec<String> {
    let client = r#"{"id":"test","version":"1","platform":"linux","mode":"test"}"#;
    let files = files("tests/wire");
    let sent = files.iter().flat_map(|file| file.lines()).filter_map(|line| line.strip_prefix("> "));
    sent.map(|frame| frame.replace("{{client}}", client).replace("{{token}}", "test-token")).collect()
}

fn connects() -> Vec<String> {
    recorded::frames().into_iter().chain(wire_frames()).filter(|frame| frame.contains("\"connect\"")).collect()
}

/// Frames as a client puts them on the wire, some in pieces, some among pings, with a close behind them.
fn streams() -> Vec<Vec<u8>> {
    let frame = |kind: u8, content: &[u8]| {
        let mut frame = match u16::try_from(content.len()).unwrap_or(u16::MAX) {
            short @ 0..126 => vec![kind, 0x80 | short as u8],
            long => [&[kind, 0x80 | 126][..], &long.to_be_bytes()].concat(),
        };
        frame.extend([0; 4]);
        frame.extend(content);
        frame
    };
    let mut streams = Vec::new();
    for (number, text) in recorded::frames().iter().enumerate().filter(|(_, text)| text.len() < 900) {
        let half = text.len() / 2;
        let mut bytes = vec![number as u8];
        bytes.extend(frame(0x81, text.as_bytes()));
        bytes.extend(frame(0x89, b"are you there"));
        bytes.extend(frame(0x01, &text.as_bytes()[..half]));
        bytes.extend(frame(0x80, &text.as_bytes()[half..]));
        bytes.extend(frame(0x82, text.as_bytes()));
        bytes.extend(frame(0x88, &[&1000u16.to_be_bytes()[..], b"done"].concat()));
        streams.push(bytes);
    }
    streams
}

/// The fields that recorded clients signed, a line each, behind the choice of a payload; and their keys and signatures.
fn signatures() -> Vec<String> {
    let mut texts = Vec::new();
    for frame in connects() {
        let Ok(frame) = serde_json::from_str::<Value>(&frame) else { continue };
        let (params, client) = (&frame["params"], &frame["params"]["client"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let scopes = params["scopes"].as_array().into_iter().flatten().map(&text).collect::<Vec<_>>().join("\n");
        let fields = [&client["id"], &client["mode"], &params["role"], &params["auth"]["token"], &client["platform"]];
        let fields: Vec<String> = fields.into_iter().chain([&client["deviceFamily"]]).map(&text).collect();
        for way in ["\u{0}", "\u{1}", "\u{2}", "\u{9}", "\u{a}"] {
            texts.push(format!("{way}{}\n{scopes}", fields.join("\n")));
        }
        for name in ["publicKey", "signature"] {
            texts.extend(params["device"][name].as_str().map(|encoded| format!("\u{1}{encoded}")));
        }
    }
    texts.push("\u{1}-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n-----END PUBLIC KEY-----\n".to_string());
    texts.sort();
    texts.dedup();
    texts
}

/// The file as it is shipped, with each of its keys set, the README's examples, and small ones with secrets in every place that
/// there is for one.
fn configs() -> Vec<String> {
    let shipped = read(&repository().join("config.toml"));
    let is_key = |line: &&str| line.starts_with("# ") && line.contains(" = ");
    let set = |line: &str| if is_key(&line) { line[2..].to_string() } else { line.to_string() };
    let whole: Vec<String> = shipped.lines().map(set).collect();
    let mut texts = vec![shipped.clone(), whole.join("\n")];
    // A table a seed: changes of small ones meet more.
    let mut table = String::new();
    for line in &whole {
        if line.starts_with('[') && !table.is_empty() {
            texts.push(std::mem::take(&mut table));
        }
        table.push_str(line);
        table.push('\n');
    }
    texts.push(table);
    let readme = read(&repository().join("README.md"));
    let examples = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    texts.extend(examples.map(str::to_string));
    texts.extend(files("host/src/redact").into_iter().filter(|file| file.contains("[gateway")));
    texts.extend(
        [
            "[gateway.auth]\ntoken = \"s3cret-of-the-gateway\" # token = \"s3cret-of-before\"\npassword = 's3cret-password'\n",
            "[[gateway.auth.tokens]]\nname = \"board\"\ntoken = \"s3cret-of-a-board\"\nscopes = [\"operator.read\"]\n",
            "[plugins.telegram.config]\nbot_token = \"\"\"s3cret-of\na-bot\"\"\"\naccounts = [{ apiKey = \"s3cret-key\", name = \"a\" }]\n",
            "[gateway.auth]\ntoken = [\"s3cret-in-a-list\"]\n[gateway.log]\nlevel = \"s3cret-as-a-level\"\n",
            "gateway.auth.token = \"s3cret-with-dots\"\nplugins.x.config.credentials.user = \"s3cret-user\"\n",
            "[gateway.methods.node]\nallow = [\"node.*\"]\n[gateway.methods]\ndeny = [\"config.*\"]\n",
            "[plugins.weather]\npath = \"weather.so\"\nsha256 = \"abc\"\nisolation = \"pool\"\ngrants = { invoke = [\"health\"] }\n",
        ]
        .map(str::to_string),
    );
    texts
}

/// Messages of conversations and rows of sessions, as lines: those that were recorded, whatever else was said about
/// conversations, and such as nobody recorded.
fn transcripts() -> Vec<String> {
    let said = recorded::said(&["agent", "chat", "send", "sessions."]);
    let recorded = [recorded::messages(), said, recorded::sessions()].concat();
    let mut texts: Vec<String> =
        recorded.iter().flat_map(|line| [format!("\u{0}{line}"), format!("\u{1}{line}")]).collect();
    texts.push(format!("\u{0}{}", recorded::messages().join("\n")));
    let messages = [
        json!({ "id": "m1", "role": "user", "content": "What is the weather?" }),
        json!({ "role": "user", "content": [{ "type": "text", "text": "[Telegram Ann id:7 2026-01-19 10:02] hello\n[message_id: 12]" }] }),
        json!({ "role": "assistant", "content": [{ "type": "toolCall", "id": "1", "name": "weather", "arguments": { "city": "Ulm" } }] }),
        json!({ "role": "toolResult", "toolCallId": "1", "timestamp": null, "content": [{ "type": "text", "text": "rain" }] }),
        json!({ "role": "robot", "mood": { "deep": [1, -2, null] }, "content": [{ "type": "hologram", "watts": 3 }] }),
        json!({ "id": "", "role": "system", "content": {}, "timestamp": 7, "usage": { "input": u64::MAX, "output": 1 } }),
        json!({ "role": "", "content": [] }),
    ];
    let lines: Vec<String> = messages.iter().map(Value::to_string).collect();
    texts.extend(lines.iter().flat_map(|line| [format!("\u{0}{line}"), format!("\u{1}{line}")]));
    texts.push(format!("\u{0}{}", lines[..5].join("\n")));
    texts.push(format!("\u{1}{}", lines[..5].join("\n")));
    let entries = [
        json!({ "label": "name", "spawnedBy": "agent:main:main", "archived": false, "inputTokens": 3, "deliveryContext": {} }),
        json!({ "label": 7, "archived": "yes", "displayName": " ", "origin": { "label": [] }, "chatType": "group" }),
        json!([]),
        json!("text"),
    ];
    texts.extend(entries.iter().map(|entry| format!("\u{1}{entry}")));
    texts
}

/// Heads that clients sent, from everywhere; those of the corpus that gateways are tried with, and those that say who comes.
fn heads() -> Vec<String> {
    let from_everywhere = |head: String| {
        let ways = (0..3).flat_map(|trusted| (0..5).map(move |address| address + 16 * trusted));
        ways.map(move |way: u8| format!("{}{head}", char::from(way)))
    };
    let mut texts: Vec<String> = recorded::heads().into_iter().flat_map(from_everywhere).collect();
    for file in ["request_lines.txt", "headers.txt", "canvas.txt"] {
        let text = read(&repository().join("tests/fixtures/http_corpus").join(file));
        for case in text.split("\n== ").skip(1) {
            let sent: Vec<&str> = case.lines().filter_map(|line| line.strip_prefix("> ")).collect();
            let target = sent.first().and_then(|first| first.split(' ').nth(1)).unwrap_or("/");
            texts.push(format!("\u{0}{target}\n{}", sent.get(1..).unwrap_or_default().join("\n")));
        }
    }
    let hosts =
        ["127.0.0.1:18789", "localhost", "[::1]:18789", "box.tail1234.ts.net", "evil.example", "192.168.1.2:18789"];
    let origins = [
        "",
        "http://127.0.0.1:18789",
        "https://box.tail1234.ts.net",
        "null",
        "http://[::1]:18789",
        "tauri://localhost",
    ];
    let before =
        ["", "x-forwarded-for: 127.0.0.1, 203.0.113.9", "x-real-ip: [2001:db8::1]:99", "forwarded: for=127.0.0.1"];
    for (number, host) in hosts.iter().enumerate() {
        for origin in origins {
            for (way, proxy) in before.iter().enumerate() {
                let way = char::from((number + 16 * way) as u8);
                let target = "/__openclaw__/cap/abc_DEF-123/__openclaw__/canvas/";
                texts.push(format!("{way}{target}\nhost: {host}\norigin: {origin}\n{proxy}"));
            }
        }
    }
    texts
}

/// Bodies for each door, behind the byte that chooses it: those that a client sent, what clients of the protocol ask an agent in
/// nearly the same words, and such as nobody recorded.
fn bodies() -> Vec<String> {
    let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } });
    let file = json!({ "type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGVsbG8=" });
    let chats = [
        json!({ "model": "openclaw/main", "messages": [{ "role": "user", "content": "hi" }] }),
        json!({ "model": "agent:ops", "user": "ann", "reasoning_effort": "low", "stream": true, "stream_options": { "include_usage": true },
                "messages": [{ "role": "system", "content": "Be brief." }, { "role": "assistant", "content": "hello" },
                             { "role": "user", "content": [{ "type": "text", "text": "what is this?" }, image] }] }),
        json!({ "model": "openclaw:nobody", "n": 2, "tools": [], "response_format": { "type": "text" }, "messages": [] }),
    ];
    let responses = [
        json!({ "model": "openclaw", "input": "hi", "store": true, "metadata": { "a": "b" } }),
        json!({ "input": [{ "role": "user", "content": [{ "type": "input_text", "text": "hi" }, file] }, { "type": "reasoning" }],
                "stream": true, "instructions": "Be brief.", "reasoning": { "effort": "high" }, "previous_response_id": "resp_1" }),
    ];
    let tools = [
        json!({ "tool": "weather", "action": "report", "args": { "city": "Ulm" }, "sessionKey": "main" }),
        json!({ "tool": "weather_change", "args": {} }),
    ];
    let agents = [
        json!({ "message": "hi", "name": "CI", "sessionKey": "hook:x", "deliver": true, "channel": "telegram", "to": "7", "wakeMode": "now",
                "idempotencyKey": "k1", "timeoutSeconds": 5, "agentId": "main", "model": "echo", "thinking": "low" }),
        json!({ "message": "hi", "agentId": "nobody", "sessionKey": "agent:ops:hook:x" }),
    ];
    let others = [
        json!({ "text": "wake up", "mode": "next-heartbeat" }),
        json!({ "on": "ci", "repo": "x/y", "state": ["red"], "text": {} }),
    ];
    let at =
        |way: u8, bodies: &[Value]| bodies.iter().map(|body| format!("{}{body}", char::from(way))).collect::<Vec<_>>();
    let all = [
        at(0, &chats),
        at(1, &responses),
        at(2, &tools),
        at(3, &tools),
        at(4, &agents),
        at(5, &others),
        at(6, &others),
        at(7, &others),
        at(8, &chats),
    ];
    let mut texts = all.concat();
    let behind = |way: &'static str, bodies: Vec<String>| bodies.into_iter().map(move |body| format!("{way}{body}"));
    texts.extend(behind("\u{0}", recorded::bodies("/v1/chat/completions")));
    texts.extend(behind("\u{1}", recorded::bodies("/v1/responses")));
    texts.extend(behind("\u{4}", recorded::said(&["agent", "chat.send", "send"])));
    // With a header before the body: ways with that bit in them.
    texts.extend(chats.iter().map(|body| format!("\u{14}x-openclaw-session-key: agent:main:x\n{body}")));
    texts.extend(chats.iter().map(|body| format!("\u{1e}content-type: text/plain\n{body}")));
    texts.extend(agents.iter().map(|body| format!("\u{18}idempotency-key: k2\n{body}")));
    texts.extend(agents.iter().map(|body| format!("\u{36}idempotency-key: k2\n{body}")));
    texts
}
