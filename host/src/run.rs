//! A gateway as a program: flags, log, signals, exit codes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::boot::{self, StartError};
use crate::config::{Config, Overrides};
use crate::logging;
use crate::plugins::live::Reread;
use crate::secret::Secret;
use crate::state::StateDir;

/// Exit code of a wrong configuration or a wrong flag.
pub const EXIT_CONFIG: u8 = 2;

/// Flags of a gateway. Each wins over the environment and the file.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Configuration file [default: ./config.toml, else config.toml in the state folder]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// TCP port; 0 takes a free one [default: 18789]
    #[arg(long)]
    pub port: Option<u16>,
    /// loopback, lan, tailnet, auto, or an address [default: loopback]
    #[arg(long, value_name = "MODE")]
    pub bind: Option<String>,
    /// Shared token that clients must show [default: made at the first start]
    #[arg(long)]
    pub token: Option<String>,
    /// Shared password that clients must show
    #[arg(long)]
    pub password: Option<String>,
    /// Folder for all state [default: ~/.clawhost]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl RunArgs {
    /// The flags as the configuration takes them.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            config: self.config.clone(),
            port: self.port,
            bind: self.bind.clone(),
            token: self.token.clone().map(Secret::new),
            password: self.password.clone().map(Secret::new),
            state_dir: self.state_dir.clone(),
            log_level: self.log_level.clone(),
        }
    }
}

/// Parses the flags and serves: the whole `main` of a gateway with plugins of one's own.
pub fn run() -> ExitCode {
    /// A gateway for the OpenClaw protocol whose methods are plugins.
    #[derive(Parser)]
    #[command(version)]
    struct Flags {
        #[command(flatten)]
        run: RunArgs,
    }
    serve(Flags::parse().run, &[])
}

/// Runs a gateway until a signal ends it. `expected_plugins` must all be linked in.
pub fn serve(args: RunArgs, expected_plugins: &[&str]) -> ExitCode {
    match try_serve(&args, expected_plugins) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log writes to standard error too, once there is one and unless it is to be silent.
            if !tracing::enabled!(tracing::Level::ERROR) {
                eprintln!("clawhost: {error}");
            }
            match error {
                StartError::Config(_) => ExitCode::from(EXIT_CONFIG),
                StartError::Failed(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn try_serve(args: &RunArgs, expected_plugins: &[&str]) -> Result<(), StartError> {
    let config = Config::load(args.overrides(), |name| std::env::var(name).ok())
        .map_err(|error| StartError::Config(error.to_string()))?;
    let state = StateDir::open(&config.gateway.state_dir).map_err(|error| StartError::Failed(error.to_string()))?;
    let log =
        logging::init(&config.gateway.log, state.path()).map_err(|error| StartError::Failed(error.to_string()))?;
    log_panics();
    let outcome = serve_logged(args, expected_plugins, config, state, log.file().map(Path::to_path_buf));
    if let Err(error) = &outcome {
        tracing::error!(%error, "the gateway did not start");
    }
    log.flush();
    outcome
}

fn serve_logged(
    args: &RunArgs,
    expected_plugins: &[&str],
    config: Config,
    state: StateDir,
    log_file: Option<PathBuf>,
) -> Result<(), StartError> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .max_blocking_threads(64)
        .thread_name("clawhost-worker")
        .enable_all()
        .build()
        .map_err(|error| StartError::Failed(format!("cannot start threads: {error}")))?;
    runtime.block_on(async {
        // From before the start: a signal that comes the moment the gateway is ready ends it in order too.
        let mut signals =
            StopSignals::listen().map_err(|error| StartError::Failed(format!("cannot wait for signals: {error}")))?;
        // SIGHUP would end the process; from here on it is a wish to read the configuration again.
        let hangup = signal(SignalKind::hangup())
            .map_err(|error| StartError::Failed(format!("cannot wait for signals: {error}")))?;
        // A file that may not grow any more is an error of whoever writes into it, as a full disk is. As long as nobody hears
        // its signal it ends the process; once somebody has, the runtime hears it for good.
        let _heard = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))
            .map_err(|error| StartError::Failed(format!("cannot wait for signals: {error}")))?;
        let overrides = args.overrides();
        let reread: Reread = Box::new(move || Config::load(overrides.clone(), |name| std::env::var(name).ok()));
        let mut running = boot::start(config, state, expected_plugins, log_file, Some(reread)).await?;
        running.follow(hangup);
        signals.next().await;
        // A second signal does not wait for anybody.
        tokio::select! {
            () = running.stop("gateway stopping") => {}
            () = signals.next() => tracing::warn!("stopped at once by a second signal"),
        }
        Ok(())
    })?;
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(())
}

/// At least two, so that a plugin that blocks one worker does not stop the other sockets.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, |count| count.get().max(2))
}

/// The signals that end a gateway.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(StopSignals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Panics go to the log, with where they happened; what they cost is decided where they are caught.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        tracing::error!(target: "clawhost::panic", place, "{}", panic.payload_as_str().unwrap_or("a panic without a text"));
    }));
}
