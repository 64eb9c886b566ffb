//! From the start of the process to accepting, with many plugins loaded from libraries: as many libraries of one source in
//! C, each with an id and 15 methods of its own. Without plugins it is measured too, so that what they add is seen.

use std::path::{Path, PathBuf};

use clap::Args;
use clawhost_tests::libraries::{Shelf, table};
use futures_util::SinkExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::report::Outcome;
use crate::server::Server;
use crate::wire::{Seen, frame, look, next_text};

#[derive(Debug, Clone, Args)]
pub struct StartArguments {
    /// The gateway's program.
    #[arg(long)]
    pub gateway_bin: PathBuf,
    /// Loaded plugins.
    #[arg(long, default_value_t = 50)]
    pub plugins: usize,
    /// Starts of each kind; the table shows the median.
    #[arg(long, default_value_t = 9)]
    pub rounds: usize,
}

/// Milliseconds to accepting that were set out to be kept with 50 plugins.
const GOAL: f64 = 250.0;

/// Milliseconds of one kind of start.
struct Starts {
    name: &'static str,
    each: Vec<f64>,
}

impl Starts {
    fn median(&self) -> f64 {
        let mut sorted = self.each.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn worst(&self) -> f64 {
        self.each.iter().copied().fold(f64::NAN, f64::max)
    }
}

pub async fn run(arguments: &StartArguments, json: bool) -> Outcome<()> {
    let shelf = Shelf::default();
    let ids: Vec<String> = (0..arguments.plugins).map(|number| format!("p{number}")).collect();
    let mut config = String::new();
    for id in &ids {
        let library = shelf.c(id, &[]).ok_or("the plugins cannot be built without a compiler of C")?;
        config.push_str(&table(id, &library));
    }
    let measure = Measure { program: &arguments.gateway_bin, rounds: arguments.rounds.max(1) };
    let all = [
        measure.starts("no plugin loaded", "", &[], Copies::InPlace).await?,
        measure.starts("first start", &config, &ids, Copies::ToBeMade).await?,
        measure.starts("later start", &config, &ids, Copies::InPlace).await?,
    ];
    let reached = all[1..].iter().all(|starts| starts.median() < GOAL);
    if json {
        let row = |it: &Starts| json!({ "start": it.name, "medianMs": it.median(), "worstMs": it.worst() });
        let rows: Vec<_> = all.iter().map(row).collect();
        println!("{}", json!({ "plugins": ids.len(), "rows": rows, "reached": reached }));
    } else {
        println!("{:<20} {:>10} {:>10}", format!("{} plugins", ids.len()), "median ms", "worst ms");
        for starts in &all {
            println!("{:<20} {:>10.1} {:>10.1}", starts.name, starts.median(), starts.worst());
        }
        println!("under {GOAL} ms is the goal for 50: {}", if reached { "reached" } else { "MISSED" });
    }
    Ok(())
}

/// Where the copies of the libraries are that the gateway loads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copies {
    /// Nowhere: each start has a state folder of its own.
    ToBeMade,
    /// In the state folder, from a start before.
    InPlace,
}

struct Measure<'a> {
    program: &'a Path,
    rounds: usize,
}

impl Measure<'_> {
    async fn starts(&self, name: &'static str, config: &str, ids: &[String], copies: Copies) -> Outcome<Starts> {
        let mut folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        if copies == Copies::InPlace {
            self.start(config, ids, folder.path()).await?;
        }
        let mut each = Vec::new();
        for _ in 0..self.rounds {
            if copies == Copies::ToBeMade {
                folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
            }
            each.push(self.start(config, ids, folder.path()).await?);
        }
        Ok(Starts { name, each })
    }

    /// Milliseconds of one start, after which every plugin has answered a call.
    async fn start(&self, config: &str, ids: &[String], folder: &Path) -> Outcome<f64> {
        let file = folder.join("config.toml");
        std::fs::write(&file, config).map_err(|error| format!("{}: {error}", file.display()))?;
        let server = Server::gateway(self.program, Some(&file), folder).await?;
        let mut socket = server.target.open(None).await?;
        for id in ids {
            let request = frame(id, &format!("{id}.echo"), &json!({}));
            socket.send(Message::text(request)).await.map_err(|error| error.to_string())?;
            loop {
                let text = next_text(&mut socket).await?;
                match look(&text) {
                    Some(Seen::Answer { ok: true, .. }) => break,
                    Some(Seen::Answer { .. }) => return Err(format!("{id} did not come up: {text}")),
                    _ => {}
                }
            }
        }
        Ok(server.start_ms())
    }
}
