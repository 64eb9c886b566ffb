//! A gateway as its users run it: a process with a state folder of its own, on a free port.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::timeout;

use super::client::{Client, PATIENCE};
use super::connect::Connect;
use super::door::Door;
use super::http::{Answer, http};
use super::key::Key;
use super::process::Process;
use super::secrets;

/// The shared token of every gateway here.
pub const TOKEN: &str = "the-shared-token-of-tests";

/// How long a gateway may take to come up or down, on a machine that does other things too.
const LONG: Duration = Duration::from_secs(30);

/// A gateway that is about to start.
#[derive(Clone)]
pub struct Builder {
    /// The product's own, which is built where it has to be, if nothing else is named.
    program: Option<PathBuf>,
    /// Whether it takes the product's command line.
    is_product: bool,
    config: String,
    state: Arc<TempDir>,
    token: Option<String>,
    arguments: Vec<String>,
    port: u16,
    /// Where its state is, if not in the temporary folder.
    elsewhere: Option<PathBuf>,
    variables: Vec<(String, String)>,
    /// What a shell does before it becomes the gateway.
    before: String,
}

/// A running gateway. Dropped, it is asked to stop and must do so.
pub struct Gateway {
    process: Process,
    builder: Builder,
    /// Where it listens.
    pub port: u16,
    ended: bool,
}

/// A gateway that ran; its state is still there.
pub struct Stopped {
    builder: Builder,
    /// How it ended.
    pub status: ExitStatus,
    /// What it said on standard error.
    pub log: String,
}

/// How a client knocks: the headers of its upgrade request.
#[derive(Debug, Clone, Default)]
pub struct Knock {
    pub(super) host: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) receive_buffer: Option<u32>,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            program: None,
            is_product: true,
            config: String::new(),
            state: Arc::new(TempDir::new().expect("a temporary folder")),
            token: Some(TOKEN.to_string()),
            arguments: Vec::new(),
            port: 0,
            elsewhere: None,
            variables: Vec::new(),
            before: String::new(),
        }
    }
}

impl Builder {
    /// With this `config.toml`.
    pub fn config(mut self, toml: &str) -> Self {
        self.config = toml.to_string();
        self
    }

    /// Another program than the product's.
    pub fn program(mut self, path: &str) -> Self {
        self.program = Some(path.into());
        self.is_product = false;
        self
    }

    /// The product's program, from here.
    pub fn product(mut self, path: &Path) -> Self {
        self.program = Some(path.to_path_buf());
        self.is_product = true;
        self
    }

    /// Without `--token`.
    pub fn no_token(mut self) -> Self {
        self.token = None;
        self
    }

    /// On this port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// With one more argument of the command line.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    /// In a state folder that is there already.
    pub fn state_of(mut self, other: &Gateway) -> Self {
        self.state = other.builder.state.clone();
        self
    }

    /// With its state in this folder.
    pub fn state_at(mut self, folder: &Path) -> Self {
        self.elsewhere = Some(folder.to_path_buf());
        self
    }

    /// With this variable in its environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_string(), value.to_string()));
        self
    }

    /// With limits of the system: what the shell's `ulimit` takes, such as `-v 500000`.
    pub fn limited(mut self, limits: &str) -> Self {
        self.before.push_str(&format!("ulimit {limits}; "));
        self
    }

    /// The state folder.
    pub fn state_dir(&self) -> PathBuf {
        self.elsewhere.clone().unwrap_or_else(|| self.state.path().join("state"))
    }

    fn config_file(&self) -> PathBuf {
        self.state.path().join("test.toml")
    }

    /// Starts it and waits until it accepts connections.
    pub async fn start(self) -> Gateway {
        let process = self.spawn();
        let ready = |line: &str| {
            let (_, address) = line.split_once("listening on ws://")?;
            // A quotation mark ends it where lines are JSON.
            address.split([' ', '"']).next().map(str::to_string)
        };
        let address = match timeout(LONG, process.line(ready)).await {
            Ok(Ok(address)) => address,
            Ok(Err(status)) => panic!("the gateway ended with {status}:\n{}", process.lines().join("\n")),
            Err(_) => panic!("the gateway is not ready after {LONG:?}:\n{}", process.lines().join("\n")),
        };
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("an address has a port");
        Gateway { process, builder: self, port, ended: false }
    }

    /// Starts it and waits for its end: exit code and what it said.
    pub async fn fail(self) -> (i32, String) {
        let process = self.spawn();
        let status = timeout(LONG, process.end()).await.expect("a gateway that cannot start ends");
        (status.code().expect("it ended by itself"), process.lines().join("\n"))
    }

    /// Starts it and kills it as soon as it is time, whatever it is at: what it said before. `None` if it ended by itself.
    /// What is waited for may be over within a millisecond and wakes nobody, so it is looked for all the time, but for a
    /// moment in which the gateway has the machine.
    pub async fn killed_when(self, mut is_time: impl FnMut() -> bool) -> Option<String> {
        const MOMENT: Duration = Duration::from_micros(100);
        let process = self.spawn();
        let begun = Instant::now();
        while !is_time() && !process.has_ended() {
            assert!(begun.elapsed() < LONG, "it did not get there:\n{}", process.lines().join("\n"));
            std::thread::sleep(MOMENT);
        }
        let ran = !process.has_ended();
        process.kill();
        timeout(LONG, process.end()).await.expect("a process that is killed ends");
        ran.then(|| process.lines().join("\n"))
    }

    /// Starts it and waits until something in it takes it down: what it said before.
    pub async fn dies(self) -> String {
        let process = self.spawn();
        let status = timeout(LONG, process.end()).await.expect("a gateway that is taken down ends");
        assert_eq!(status.code(), None, "it ended by itself:\n{}", process.lines().join("\n"));
        process.lines().join("\n")
    }

    fn spawn(&self) -> Process {
        let folder = self.state.path();
        let config = self.config_file();
        std::fs::write(&config, &self.config).expect("a file in a temporary folder");
        let program = self.program.as_deref().unwrap_or_else(|| super::clawhost());
        let mut command = match self.before.as_str() {
            "" => Command::new(program),
            before => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("{before}exec \"$@\""), "sh"]).arg(program);
                shell
            }
        };
        if self.is_product {
            command.arg("run");
        }
        command.args(["--port", &self.port.to_string()]);
        command.arg("--state-dir").arg(self.state_dir()).arg("--config").arg(&config);
        if let Some(token) = &self.token {
            command.args(["--token", token]);
        }
        command.args(&self.arguments);
        // Nothing of the environment but what a process needs.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(folder);
        Process::start(command)
    }
}

impl Gateway {
    /// One with the defaults.
    pub async fn start() -> Gateway {
        Builder::default().start().await
    }

    /// One with this `config.toml`.
    pub async fn with_config(toml: &str) -> Gateway {
        Builder::default().config(toml).start().await
    }

    /// One to be described first.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A socket that was challenged and has said nothing.
    pub async fn knock(&self) -> Client {
        self.knock_with(&Knock::default()).await
    }

    /// The same with headers of the caller's choice.
    pub async fn knock_with(&self, knock: &Knock) -> Client {
        match self.try_knock(knock).await {
            Ok(client) => client,
            Err(answer) => panic!("the upgrade was refused: {answer:?}"),
        }
    }

    /// The same, with the answer of a refused upgrade.
    pub async fn try_knock(&self, knock: &Knock) -> Result<Client, Answer> {
        Client::open(&Door::from(SocketAddr::from(([127, 0, 0, 1], self.port))), knock).await
    }

    /// A connected client; panics when it is refused.
    pub async fn connect(&self, connect: &Connect) -> Client {
        let mut client = self.knock().await;
        if let Err(refused) = client.connect(connect).await {
            panic!("refused: {refused:?}");
        }
        client
    }

    /// An operator with every scope and without a presence row.
    pub async fn admin(&self) -> Client {
        self.connect(&Connect::operator()).await
    }

    /// An operator with these scopes and without a presence row.
    pub async fn operator(&self, scopes: &[&str]) -> Client {
        self.connect(&Connect::operator().scopes(scopes)).await
    }

    /// A node on this machine.
    pub async fn node(&self, key: &Key) -> Client {
        self.connect(&Connect::node().device(key)).await
    }

    /// Panics unless a client is served as usual.
    pub async fn assert_healthy(&self) {
        let mut client = self.admin().await;
        let answer = client.call("health", serde_json::json!({})).await;
        let served = client.hello["features"]["methods"].to_string().contains("\"health\"");
        match &answer {
            Ok(health) => assert!(health["ok"] == true, "{health}"),
            Err(error) => assert!(!served && error.message == "unknown method: health", "{error:?}"),
        }
        client.close().await;
    }

    /// A plain HTTP request; `Host` and `Connection: close` are added.
    pub async fn http(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str(&format!("Host: 127.0.0.1:{}\r\n", self.port));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        http(self.port, &format!("{text}Connection: close\r\n\r\n")).await
    }

    /// The metrics as the gateway shows them.
    pub async fn metrics(&self) -> String {
        let answer = self.http("GET", "/metrics", &[("Authorization", &format!("Bearer {TOKEN}"))]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// The value of one line of the metrics; 0 when it is not there.
    pub async fn metric(&self, line: &str) -> f64 {
        let metrics = self.metrics().await;
        let value = metrics.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }

    /// Waits until a line of the metrics has this value; each look is a request.
    pub async fn metric_becomes(&self, line: &str, value: f64) {
        let becomes = async { while self.metric(line).await != value {} };
        if timeout(PATIENCE, becomes).await.is_err() {
            panic!("{line} is {} and not {value}", self.metric(line).await);
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// The state folder.
    pub fn state_dir(&self) -> PathBuf {
        self.builder.state_dir()
    }

    /// A file in the state folder.
    pub fn state_file(&self, name: &str) -> PathBuf {
        self.state_dir().join(name)
    }

    /// Waits for a line on standard error that holds this.
    pub async fn log_line(&self, part: &str) -> String {
        let found = self.process.line(|line| line.contains(part).then(|| line.to_string()));
        match timeout(PATIENCE, found).await {
            Ok(Ok(line)) => line,
            _ => panic!("no line with {part:?} in\n{}", self.process.lines().join("\n")),
        }
    }

    /// Every line on standard error so far that holds this.
    pub fn log_lines(&self, part: &str) -> Vec<String> {
        self.process.lines().into_iter().filter(|line| line.contains(part)).collect()
    }

    /// Writes its configuration anew, into the same file.
    pub fn write_config(&self, toml: &str) {
        std::fs::write(self.builder.config_file(), toml).expect("a file in a temporary folder");
    }

    /// Puts another file in the place of its configuration, as many editors do.
    pub fn replace_config(&self, toml: &str) {
        let file = self.builder.config_file();
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, toml).expect("a file in a temporary folder");
        std::fs::rename(fresh, file).expect("a file can take another one's place");
    }

    /// Sends SIGHUP: the wish to read the configuration again.
    pub fn hang_up(&self) {
        self.process.signal("HUP");
    }

    /// Asks it to stop, without waiting.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Stops it as a service manager would.
    pub async fn stop(mut self) -> Stopped {
        self.process.terminate();
        let stopped = self.ended().await;
        assert!(stopped.status.success(), "the gateway ended with {}:\n{}", stopped.status, stopped.log);
        stopped
    }

    /// Kills it on the spot.
    pub async fn kill(mut self) -> Stopped {
        self.process.kill();
        self.ended().await
    }

    fn check_remains(&self) {
        secrets::check_remains(&self.state_dir(), &self.builder.config, &self.process.lines());
    }

    async fn ended(&mut self) -> Stopped {
        let status = timeout(LONG, self.process.end()).await;
        let status = status.unwrap_or_else(|_| panic!("it does not end:\n{}", self.process.lines().join("\n")));
        self.ended = true;
        self.check_remains();
        Stopped { builder: self.builder.clone(), status, log: self.process.lines().join("\n") }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.process.kill();
            let lines = self.process.lines();
            let last = lines.len().saturating_sub(40);
            eprintln!("--- the gateway's last lines\n{}", lines[last..].join("\n"));
            return;
        }
        if self.ended {
            return;
        }
        assert!(!self.process.has_ended(), "the gateway died:\n{}", self.process.lines().join("\n"));
        self.process.terminate();
        match self.process.wait(LONG) {
            Some(status) => {
                assert!(status.success(), "it ended with {status}:\n{}", self.process.lines().join("\n"));
                self.check_remains();
            }
            None => {
                self.process.kill();
                panic!("the gateway did not stop when asked:\n{}", self.process.lines().join("\n"));
            }
        }
    }
}

impl Stopped {
    /// Starts it again on the same state.
    pub async fn restart(self) -> Gateway {
        self.builder.start().await
    }

    /// To start it again in another way.
    pub fn builder(&self) -> Builder {
        self.builder.clone()
    }

    /// The state folder.
    pub fn state_dir(&self) -> PathBuf {
        self.builder.state_dir()
    }
}

impl Knock {
    /// As somebody on another machine: under a name that is not this machine's.
    pub fn remote() -> Self {
        Knock::default().host("gateway.example:18789")
    }

    /// With this `Host`.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_string());
        self
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// With a small buffer in the kernel, for clients that will not read.
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }
}

/// Every file below a folder.
pub(super) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

impl Stopped {
    /// Every file of the state folder.
    pub fn files(&self) -> Vec<PathBuf> {
        files_below(&self.state_dir())
    }
}
