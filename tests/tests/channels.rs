//! A message channel of somebody else, loaded from a file, from outside: who may write, what is answered, and that nothing
//! is lost or doubled when the gateway is killed amid it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clawhost_tests::libraries::{Shelf, table};
use clawhost_tests::program::{Home, Outcome};
use clawhost_tests::support::{Client, Gateway, http};
use database::rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Value, json};

/// How long a letter may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway with the channel that is a folder.
struct Post {
    folder: tempfile::TempDir,
    config: String,
    _shelf: Shelf,
}

impl Post {
    /// `more` is what else the configuration says.
    fn new(more: &str) -> Self {
        let (shelf, folder) = (Shelf::default(), tempfile::tempdir().expect("a temporary folder can be made"));
        let config = format!(
            "{}grants = {{ invoke = [\"channels.inbound\"] }}\n[plugins.mailbox.config]\nfolder = {:?}\npoll_ms = 20\n{more}",
            table("mailbox", &shelf.mailbox()),
            folder.path().display().to_string()
        );
        std::fs::create_dir(folder.path().join("in")).expect("a folder can be made");
        Post { folder, config, _shelf: shelf }
    }

    /// Writes to the agent. The letter is there whole, or not at all.
    fn write(&self, id: &str, letter: &Value) {
        let (draft, file) = (self.folder.path().join("draft"), self.incoming(id));
        std::fs::write(&draft, letter.to_string()).expect("a letter can be written");
        std::fs::rename(draft, file).expect("a letter can be put there");
    }

    fn incoming(&self, id: &str) -> PathBuf {
        self.folder.path().join("in").join(format!("{id}.json"))
    }

    /// What lies in `out`, in the order in which it was left.
    fn left(&self) -> Vec<Value> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("out")) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let read = |file: &PathBuf| std::fs::read(file).expect("a letter can be read");
        files.iter().map(|file| serde_json::from_slice(&read(file)).expect("a letter is JSON")).collect()
    }

    /// Waits until so many lie there.
    async fn wait_for(&self, count: usize) -> Vec<Value> {
        seen(&format!("{count} letters"), || self.left().len() >= count).await;
        self.left()
    }

    /// Waits until a letter was taken.
    async fn taken(&self, id: &str) {
        seen(&format!("the taking of {id}"), || !self.incoming(id).exists()).await;
    }
}

/// Waits for what only a folder shows.
async fn seen(what: &str, is_there: impl Fn() -> bool) {
    let waiting = async {
        while !is_there() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} did not come"));
}

fn from(who: &str, text: &str) -> Value {
    json!({ "from": who, "text": text })
}

fn code_in(letter: &Value) -> String {
    let text = letter["text"].as_str().expect("a text");
    let rest = text.split("Your code is ").nth(1).unwrap_or_else(|| panic!("no code in {text:?}"));
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

async fn history(client: &mut Client, key: &str) -> Vec<Value> {
    let history = client.ok("chat.history", json!({ "sessionKey": key })).await;
    history["messages"].as_array().expect("messages").clone()
}

#[tokio::test]
async fn a_stranger_is_let_in_and_answered() {
    let post = Post::new("");
    let gateway = Gateway::with_config(&post.config).await;
    let mut admin = gateway.admin().await;
    post.write("1", &from("ann", "is anybody there?"));
    let told = post.wait_for(1).await.remove(0);
    assert_eq!(told["to"], "ann");
    let code = code_in(&told);
    let sessions = admin.ok("sessions.list", json!({})).await;
    assert!(!sessions.to_string().contains("mailbox"), "what a stranger says is kept nowhere: {sessions}");

    let list = admin.ok("channels.pairing.list", json!({})).await;
    assert_eq!(
        (&list["requests"][0]["senderId"], &list["requests"][0]["senderLabel"], &list["accounts"][0]["channelLabel"]),
        (&json!("ann"), &json!("Name"), &json!("Mailbox"))
    );
    assert!(!list.to_string().contains(&code));
    let approve = json!({ "channel": "mailbox", "requestId": code, "notify": true });
    let approved = admin.ok("channels.pairing.approve", approve).await;
    assert_eq!((&approved["senderId"], &approved["notification"]), (&json!("ann"), &json!("sent")));

    post.write("2", &from("ann", "hello again"));
    let answer = post.wait_for(3).await.remove(2);
    assert_eq!((&answer["to"], &answer["text"]), (&json!("ann"), &json!("hello again")));
    let said = history(&mut admin, "agent:main:mailbox:direct:ann").await;
    let roles: Vec<_> = said.iter().map(|message| message["role"].as_str().unwrap_or_default()).collect();
    assert_eq!(roles, ["user", "assistant"]);
    let row = &admin.ok("sessions.list", json!({})).await["sessions"][0];
    assert_eq!(
        (&row["lastChannel"], &row["lastTo"], &row["displayName"]),
        (&json!("mailbox"), &json!("ann"), &json!("ann"))
    );

    // Where the session last spoke, an agent's answer is delivered to.
    let run = json!({ "message": "and this?", "sessionKey": "agent:main:mailbox:direct:ann", "deliver": true,
                      "idempotencyKey": "one" });
    let id = admin.request("agent", run).await;
    assert_eq!(admin.reply(&id).await.payload.expect("a payload")["status"], "accepted");
    admin.answer(&id).await.expect("an outcome");
    assert_eq!(post.left()[3]["text"], "and this?");
    admin.close().await;
}

#[tokio::test]
async fn what_a_hooks_run_says_goes_out_although_hooks_are_made_anew() {
    let post = Post::new(
        "[plugins.hooks.config]\nenabled = true\ntoken = \"the-token-of-the-hooks\"\n[plugins.echo.config]\nword_ms = 500\n",
    );
    let gateway = Gateway::with_config(&post.config).await;
    let mut admin = gateway.admin().await;
    let order = json!({ "message": "one two three four", "channel": "mailbox", "to": "ann" }).to_string();
    let head = format!("POST /hooks/agent HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", gateway.port);
    let about = "Authorization: Bearer the-token-of-the-hooks\r\nContent-Type: application/json\r\n";
    let request = format!("{head}{about}Content-Length: {}\r\n\r\n{order}", order.len());
    let taken = http(gateway.port, &request).await;
    assert_eq!(taken.status, 202, "{taken:?}");
    admin.ok("plugins.reload", json!({ "id": "hooks" })).await;
    assert!(post.left().is_empty(), "the agent still speaks");
    let letter = post.wait_for(1).await.remove(0);
    assert_eq!((&letter["to"], &letter["text"]), (&json!("ann"), &json!("one two three four")));
    admin.close().await;
    gateway.stop().await;
    assert_eq!(post.left().len(), 1, "once");
}

#[tokio::test]
async fn rules_say_who_reaches_which_agent() {
    let rules = "[[plugins.agents.config.agents]]\nid = \"main\"\ndefault = true\n\
                 [[plugins.agents.config.agents]]\nid = \"ops\"\n\
                 [[plugins.channels.config.rules]]\nfrom = [\"bob\"]\nagent = \"ops\"\nsession = \"main\"\n\
                 [[plugins.channels.config.rules]]\nchats = [\"club\"]\nsession = \"sender\"\n\
                 [[plugins.channels.config.rules]]\nadmit = \"nobody\"\n";
    let post = Post::new(rules);
    let gateway = Gateway::with_config(&post.config).await;
    let mut admin = gateway.admin().await;
    post.write("1", &from("stranger", "let me in"));
    post.taken("1").await;
    post.write("2", &from("bob", "hi from bob"));
    assert_eq!(post.wait_for(1).await[0]["text"], "hi from bob");
    assert_eq!(history(&mut admin, "agent:ops:main").await.len(), 2);

    let group = |from: &str, text: &str, mentioned: bool| json!({ "from": from, "text": text, "group": "club", "mentioned": mentioned });
    post.write("3", &group("eve", "nobody asked you", false));
    post.taken("3").await;
    post.write("4", &group("eve", "what do you say?", true));
    let letters = post.wait_for(2).await;
    assert_eq!((&letters[1]["to"], &letters[1]["text"]), (&json!("club"), &json!("[eve] what do you say?")));
    assert_eq!(history(&mut admin, "agent:main:mailbox:group:club:from:eve").await.len(), 2);
    assert_eq!(admin.ok("channels.pairing.list", json!({})).await["requests"], json!([]));
    admin.close().await;

    let wrong = Gateway::builder()
        .config(&format!("{}[[plugins.channels.config.rules]]\nfrom = [\"@ann\"]\n", post.config))
        .start()
        .await;
    let mut admin = wrong.admin().await;
    let plugins = admin.ok("system.plugins", json!({})).await.to_string();
    assert!(plugins.contains("is a name, which can pass to somebody else"), "{plugins}");
    admin.close().await;
}

const EVERYBODY: &str = "[[plugins.channels.config.rules]]\nadmit = \"anyone\"\n";

/// Two columns of a database of a gateway that runs.
fn pairs(database: &Path, query: &str) -> Vec<(String, String)> {
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it is there");
    database.busy_timeout(PATIENCE).expect("a time");
    let mut rows = database.prepare(query).expect("its table");
    let rows = rows.query_map([], pair).expect("its rows");
    rows.map(|row| row.expect("a row")).collect()
}

fn pair(row: &Row<'_>) -> database::rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Letters to which there is no more to be said, by who wrote them: their runs.
fn settled(state: &Path) -> BTreeMap<String, String> {
    let query = "SELECT session, run_id FROM messages WHERE message IS NULL";
    let rows = pairs(&state.join("data/channels/channels.db"), query).into_iter();
    rows.map(|(session, run)| (session.rsplit(':').next().unwrap_or_default().to_string(), run)).collect()
}

/// Runs whose answers were handed to the channel, without a word from it afterwards.
fn unsure(state: &Path) -> BTreeSet<String> {
    let rows = pairs(&state.join("state.db"), "SELECT key, value FROM plugin_kv WHERE plugin = 'send'").into_iter();
    let run = |(key, value): (String, String)| {
        let value: Value = serde_json::from_str(&value).expect("JSON");
        let run = key.strip_prefix("row/deliver/")?.strip_suffix("/answer")?.to_string();
        (value["state"] == "handingOver").then_some(run)
    };
    rows.filter_map(run).collect()
}

#[tokio::test]
async fn letters_are_answered_once_whenever_the_gateway_is_killed() {
    const LETTERS: usize = 40;
    const ROUNDS: usize = 8;
    /// How the log says that a gateway was killed while an answer went out.
    const UNSURE: &str = "nobody knows whether it went out";
    let post = Post::new(&format!("{EVERYBODY}[plugins.echo.config]\nword_ms = 20\n"));
    let mut gateway = Gateway::with_config(&post.config).await;
    let mut people = BTreeSet::new();
    let mut said = 0;
    for round in 0..ROUNDS {
        for number in 0..LETTERS / ROUNDS {
            let person = format!("person-{round}-{number}");
            post.write(&person, &from(&person, "a letter of six words, say"));
            people.insert(person);
        }
        // At a different moment in each round: before, amid and after what the letters bring about.
        seen("an answer", || post.left().len() + said + gateway.log_lines(UNSURE).len() >= round * 3).await;
        let stopped = gateway.kill().await;
        said += stopped.log.lines().filter(|line| line.contains(UNSURE)).count();
        gateway = stopped.restart().await;
    }
    let state = gateway.state_dir();
    seen("the end of each letter", || settled(&state).len() >= LETTERS).await;
    let (runs, unsure) = (settled(&state), unsure(&state));
    let stopped = gateway.stop().await;
    said += stopped.log.lines().filter(|line| line.contains(UNSURE)).count();

    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for letter in post.left() {
        *answers.entry(letter["to"].as_str().expect("somebody").to_string()).or_default() += 1;
    }
    assert!(runs.keys().eq(&people), "there is a run for each: {runs:?}");
    let (mut sure, mut nobody_knows) = (0, 0);
    for person in &people {
        let is_unsure = unsure.contains(&runs[person]);
        match answers.remove(person) {
            Some(1) => sure += usize::from(!is_unsure),
            // It may not have gone out where a gateway was killed while it did.
            None => assert!(is_unsure, "{person} was never answered, and nobody was told"),
            Some(times) => panic!("{person} was answered {times} times"),
        }
        nobody_knows += usize::from(is_unsure);
    }
    assert!(answers.is_empty(), "who was answered wrote nothing: {answers:?}");
    assert!(said >= nobody_knows, "of {nobody_knows} answers nobody knows, and the log says so of {said}");
    eprintln!("{LETTERS} letters: {sure} answered, of {nobody_knows} answers nobody knows");
}

#[tokio::test]
async fn a_channel_that_goes_and_comes_back_loses_nothing() {
    let post = Post::new(EVERYBODY);
    let gateway = Gateway::with_config(&post.config).await;
    let mut admin = gateway.admin().await;
    post.write("1", &from("ann", "first"));
    post.wait_for(1).await;
    for plugin in ["mailbox", "channels", "send", "agent"] {
        admin.ok("plugins.reload", json!({ "id": plugin })).await;
        post.write(plugin, &from("ann", plugin));
    }
    let letters = post.wait_for(5).await;
    let texts: Vec<_> = letters.iter().map(|letter| letter["text"].as_str().unwrap_or_default()).collect();
    assert_eq!(texts, ["first", "mailbox", "channels", "send", "agent"]);
    assert_eq!(letters.len(), 5);
    admin.close().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn channels_as_their_user_has_them() {
    let (post, home) = (Post::new(""), Home::default());
    home.configure(&post.config);
    let _gateway = home.start();
    let run = |words: &[&str]| Outcome::of(home.command(words), &words.join(" "));
    let said = |words: &[&str], expected: &str| {
        let outcome = run(words);
        assert!(outcome.code == Some(0) && outcome.out.contains(expected), "{words:?}: {outcome:?}");
    };
    post.write("1", &from("ann", "hello?"));
    let code = code_in(&post.wait_for(1).await[0]);
    said(&["channels", "status"], "Mailbox");
    said(&["channels", "pairing"], "ann");
    said(&["channels", "approve", "mailbox", &code], "ann may write now");
    assert_eq!(post.wait_for(2).await[1]["text"], "You are known now. Write to me whenever you like.");
    said(&["channels", "senders"], "ann");
    said(&["channels", "forget", "mailbox", "ann"], "let in no more");
    assert_eq!(run(&["channels", "forget", "mailbox", "ann"]).code, Some(1));
    let stop = run(&["channels", "stop", "mailbox"]);
    assert!(stop.code == Some(1) && stop.err.contains("does not support stop"), "{stop:?}");
    let login = run(&["channels", "login"]);
    assert!(login.code == Some(1) && login.err.contains("web login provider is not available"), "{login:?}");
    post.write("2", &from("ann", "still there?"));
    let code = code_in(&post.wait_for(3).await[2]);
    said(&["channels", "dismiss", "mailbox", &code], "turned away");
    said(&["channels", "pairing"], "nobody wants to be let in");
}
