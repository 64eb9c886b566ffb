//! The servers that are compared, and how each is started.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::bench::machine;
use crate::bench::record::{Contestant, Who};
use crate::report::Outcome;
use crate::server::Server;
use crate::wire::Target;

/// Spoken to all of them: the published gateway speaks no other.
pub const PROTOCOL: u32 = 4;
/// How long a server that accepts may take until it lets somebody in.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Where their programs are.
pub struct Programs {
    pub clawhost: PathBuf,
    pub bench_gateway: PathBuf,
    pub bare: PathBuf,
    /// Node, and the bare server's script.
    pub node: Option<(PathBuf, PathBuf)>,
    /// The folder into which npm installed the published gateway.
    pub published: Option<PathBuf>,
}

/// A server that has just been started.
pub struct Started {
    pub server: Server,
    pub start_ms: f64,
    pub first_hello_ms: f64,
}

/// Bytes of what a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lengths {
    /// Its hello-ok, and what follows it.
    pub greeting: (usize, usize),
    /// The payloads that answer `health` and `system-presence`.
    pub answers: (usize, usize),
}

impl Lengths {
    pub async fn of(target: &Target) -> Outcome<Self> {
        let greeting = target.greeting().await?;
        let answers = (target.payload_bytes("health").await?, target.payload_bytes("system-presence").await?);
        Ok(Lengths { greeting: (greeting.hello.len(), greeting.welcome_bytes), answers })
    }

    /// What makes a bare server say so much.
    fn arguments(self) -> Vec<String> {
        let Lengths { greeting: (hello, welcome), answers: (health, presence) } = self;
        let each = [("hello", hello), ("welcome", welcome), ("health", health), ("presence", presence)];
        each.into_iter().flat_map(|(of, bytes)| [format!("--{of}-bytes"), bytes.to_string()]).collect()
    }
}

/// All that can take part.
pub struct Stable {
    programs: Programs,
    folder: TempDir,
    /// How much the bare servers say.
    lengths: Lengths,
}

impl Stable {
    pub fn new(programs: Programs) -> Outcome<Self> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        Ok(Stable { programs, folder, lengths: Lengths::default() })
    }

    /// From now on bare servers say as much as the gateway.
    pub fn speak_like(&mut self, lengths: Lengths) {
        self.lengths = lengths;
    }

    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Starts one. What it keeps on disk is there from its start before.
    pub async fn start(&self, who: Who) -> Outcome<Started> {
        let home = self.home(&format!("{who:?}"))?;
        let server = match who {
            Who::Clawhost => Server::gateway(&self.programs.clawhost, None, &home).await?,
            Who::Bare => Server::bare(&self.programs.bare, &self.lengths.arguments()).await?,
            Who::Node => {
                let (node, script) = self.programs.node.as_ref().ok_or("there is no node")?;
                Server::bare_node(node, script, &self.lengths.arguments()).await?
            }
            Who::Published => {
                let folder = self.programs.published.as_ref().ok_or("it is not installed")?;
                let (node, _) = self.programs.node.as_ref().ok_or("there is no node")?;
                Server::published(node, &folder.join(PACKAGE), &home).await?
            }
        };
        let accepted = Instant::now();
        let server = server.speaking(PROTOCOL);
        while let Err(why) = server.target.open(None).await {
            if accepted.elapsed() > PATIENCE {
                return Err(format!("it lets nobody in: {why}"));
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        let start_ms = server.start_ms();
        Ok(Started { server, start_ms, first_hello_ms: start_ms + accepted.elapsed().as_secs_f64() * 1000.0 })
    }

    /// The gateway that broadcasts on demand, with this configuration.
    pub async fn bench_gateway(&self, config: &str) -> Outcome<Server> {
        gateway(&self.programs.bench_gateway, config, &self.home("bench_gateway")?).await
    }

    /// Says of each contestant what it is, or why it is not there.
    pub fn roll(&self, absent: impl Fn(Who) -> Option<String>) -> Vec<Contestant> {
        Who::ALL.into_iter().map(|who| Contestant { absent: absent(who), ..self.describe(who) }).collect()
    }

    fn describe(&self, who: Who) -> Contestant {
        let Programs { clawhost, bare, node, published, .. } = &self.programs;
        let with_node = |text: String| match node {
            Some((node, _)) => format!("{text}, node {}", machine::version_of(node).trim_start_matches('v')),
            None => text,
        };
        let (version, size_mib) = match who {
            Who::Clawhost => (machine::version_of(clawhost), machine::size_mib(clawhost)),
            Who::Bare => {
                (format!("tokio-tungstenite {}", machine::locked("tokio-tungstenite")), machine::size_mib(bare))
            }
            Who::Node => {
                let ws = node.as_ref().map(|(_, script)| script.with_file_name("node_modules").join("ws"));
                let version = ws.as_deref().map_or(String::new(), machine::packaged);
                (with_node(format!("ws {version}")), ws.and_then(|ws| machine::size_mib(&ws)))
            }
            Who::Published => match published {
                Some(folder) => (
                    with_node(format!("openclaw {}", machine::packaged(&folder.join(PACKAGE)))),
                    machine::size_mib(&folder.join("node_modules")),
                ),
                None => ("openclaw".to_string(), None),
            },
        };
        Contestant { who, version, size_mib, absent: None }
    }

    fn home(&self, name: &str) -> Outcome<PathBuf> {
        let home = self.folder.path().join(name);
        std::fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
        Ok(home)
    }
}

/// Where npm puts the package in the folder that it installs into.
const PACKAGE: &str = "node_modules/openclaw";

/// A gateway with this configuration and its state in this folder.
pub async fn gateway(program: &Path, config: &str, folder: &Path) -> Outcome<Server> {
    let file = folder.join("config.toml");
    std::fs::write(&file, config).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(Server::gateway(program, Some(&file), folder).await?.speaking(PROTOCOL))
}
