//! What happens to a gateway that is attacked? Each attack has one outcome that a gateway owes its owner; after each, a
//! healthy client must be served within a second, and the gateway's memory must come back to where it was.
//!
//! The attacks leave nothing behind but the lockout of the last one: see README.

mod attack;
mod forwarding;
mod frames;
mod guesses;
mod half_open;
mod memory;
mod pages;
mod scopes;
mod signatures;
mod slow;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use client::Fingerprint;

use crate::attack::{Attack, Verdict};
use crate::memory::Memory;
use crate::target::Target;

/// Attacks a running gateway and says what it withstood.
#[derive(Parser)]
#[command(name = "abuse")]
struct Arguments {
    /// Address of the gateway.
    #[arg(long, default_value = "ws://127.0.0.1:18789")]
    url: String,
    /// With wss://, the SHA-256 of the certificate or of its public key; may be given twice.
    #[arg(long = "tls-fingerprint")]
    tls_fingerprints: Vec<Fingerprint>,
    /// File that holds the shared token.
    #[arg(long)]
    token_file: PathBuf,
    /// Process of the gateway, whose memory is compared (Linux).
    #[arg(long)]
    pid: Option<u32>,
    /// Attacks an address that is not this machine's. Do so only where you are asked to.
    #[arg(long)]
    allow_remote: bool,
    /// Only attacks whose name begins so, for example "frames" or "pages: a foreign page".
    #[arg(long, default_value = "")]
    only: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic of the tests' client is an outcome like any other, and printed with its attack.
    std::panic::set_hook(Box::new(|_| {}));
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything was withstood; `Err` is why nothing was tried.
async fn run(arguments: &Arguments) -> Result<bool, String> {
    let target = Arc::new(
        Target::new(&arguments.url, &arguments.tls_fingerprints, &arguments.token_file, arguments.allow_remote).await?,
    );
    let attacks: Vec<Attack> = all().into_iter().filter(|attack| attack.name.starts_with(&arguments.only)).collect();
    if attacks.is_empty() {
        return Err(format!("no attack's name begins with {:?}", arguments.only));
    }
    attack::healthy(&target).await.map_err(|finding| format!("before any attack: {finding}"))?;
    attack::not_locked_out(&target).await.map_err(|finding| format!("before any attack: {finding}"))?;
    let memory = arguments.pid.map(Memory::of).transpose()?;

    let (mut withstood, mut failed, mut skipped) = (0, 0, 0);
    for attack in attacks {
        let verdict = attack.try_on(&target, memory.as_ref()).await;
        match &verdict {
            Verdict::Withstood => withstood += 1,
            Verdict::Failed(_) => failed += 1,
            Verdict::Skipped => skipped += 1,
        }
        println!("{}: {verdict}", attack.name);
    }
    println!("{} attacks: {withstood} ok, {failed} FAILED, {skipped} skipped", withstood + failed + skipped);
    Ok(failed == 0)
}

/// In the order in which they are tried. The guesses come last, since they lock out who looks like their author.
fn all() -> Vec<Attack> {
    [
        frames::attacks(),
        signatures::attacks(),
        scopes::attacks(),
        forwarding::attacks(),
        pages::attacks(),
        slow::attacks(),
        half_open::attacks(),
        guesses::attacks(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
