//! The gateway beside others, in one run: each scenario is driven against all of them in turn, round after round in changing
//! order, so that what the machine does to one it does to all. Then what many connections and many plugins cost.
//!
//! A server that cannot be started, a scenario that fails and a size that does not fit are told in the result, and the rest
//! goes on. Everything found so far is in the file of the result after each round.

mod contestants;
mod crowd;
mod devices;
mod folders;
mod loads;
mod machine;
mod plugins;
pub mod record;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::bench::contestants::{Lengths, Programs, Stable, Started};
use crate::bench::devices::{Devices, UNTIL_KNOWN};
use crate::bench::record::{Curve, OVER, Of, Run, Sample, What, Who, value};
use crate::report::Outcome;
use crate::server::Server;

#[derive(Debug, Clone, Args)]
pub struct BenchArguments {
    /// The gateway's program.
    #[arg(long)]
    pub clawhost: PathBuf,
    /// The same gateway with a plugin that broadcasts on demand, for the scenarios with events.
    #[arg(long)]
    pub bench_gateway: PathBuf,
    /// The bare server's program.
    #[arg(long)]
    pub bare: PathBuf,
    /// Node, for the contestants that run in it.
    #[arg(long, requires = "node_server")]
    pub node: Option<PathBuf>,
    /// The bare server in node.
    #[arg(long)]
    pub node_server: Option<PathBuf>,
    /// Why there is no node.
    #[arg(long, default_value = "not asked for")]
    pub without_node: String,
    /// The folder into which npm installed the package `openclaw`.
    #[arg(long, requires = "node")]
    pub published: Option<PathBuf>,
    /// Why it is not there.
    #[arg(long, default_value = "not asked for")]
    pub without_published: String,
    /// How much is done.
    #[arg(long, value_enum, default_value = "full")]
    pub effort: Effort,
    /// Minutes after which nothing more is begun, if others than the effort's own.
    #[arg(long)]
    pub minutes: Option<f64>,
    /// The source that the programs were built from; unknown if absent.
    #[arg(long)]
    pub built: Option<String>,
    /// What is said to have been typed.
    #[arg(long, default_value = "load bench")]
    pub command: String,
    /// File for the result, in JSON.
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Effort {
    /// For figures to show.
    Full,
    /// For a first look.
    Quick,
    /// To see that it works.
    Tiny,
}

/// How much is done, of everything.
pub struct Sizes {
    /// Rounds of the loads, and of starting everything anew.
    pub rounds: usize,
    pub process_rounds: usize,
    pub minutes: f64,
    /// Seconds of each load of requests, and of the same before that is measured.
    pub seconds: f64,
    pub warm_up: f64,
    /// Seconds that servers rest before their memory at rest is read, and that connections are idle before theirs is.
    pub rest: f64,
    pub settle: f64,
    pub idle: usize,
    /// Handshakes, and seconds after which no more are begun.
    pub handshakes: usize,
    pub handshake_seconds: f64,
    pub subscribers: usize,
    pub events: usize,
    /// Connections of a crowd, seconds in which its ticks are counted, and deliveries of events to it.
    pub crowd: Vec<usize>,
    pub ticks: f64,
    pub deliveries: usize,
    /// Loaded plugins.
    pub plugins: Vec<usize>,
}

impl Effort {
    fn sizes(self) -> Sizes {
        match self {
            Effort::Full => Sizes {
                rounds: 5,
                process_rounds: 3,
                minutes: 22.0,
                seconds: 2.0,
                warm_up: 0.3,
                rest: 10.0,
                settle: 1.0,
                idle: 2000,
                handshakes: 4000,
                handshake_seconds: 3.0,
                subscribers: 1000,
                events: 300,
                crowd: vec![1000, 2000, 5000, 10_000, 18_000, 50_000],
                ticks: 4.0,
                deliveries: 200_000,
                plugins: vec![1, 50, 100, 250, 500],
            },
            Effort::Quick => Sizes {
                rounds: 3,
                process_rounds: 1,
                minutes: 4.0,
                seconds: 0.7,
                rest: 4.0,
                settle: 0.5,
                handshakes: 1000,
                handshake_seconds: 1.0,
                events: 60,
                crowd: vec![1000, 5000, 18_000],
                ticks: 2.0,
                deliveries: 50_000,
                plugins: vec![1, 100, 500],
                ..Effort::Full.sizes()
            },
            Effort::Tiny => Sizes {
                rounds: 2,
                process_rounds: 1,
                minutes: 4.0,
                seconds: 0.1,
                warm_up: 0.05,
                rest: 0.2,
                settle: 0.1,
                idle: 20,
                handshakes: 20,
                handshake_seconds: 1.0,
                subscribers: 5,
                events: 5,
                crowd: vec![10, 20],
                ticks: 1.2,
                deliveries: 60,
                plugins: vec![1, 3],
            },
        }
    }
}

/// Part of the time that is for the loads; the rest is for what comes after them.
const FOR_LOADS: f64 = 0.7;

/// What was begun in time may take so much longer.
const AFTER_THE_END: Duration = Duration::from_secs(45);

/// How long a run has been going on, and how long it may.
pub struct Clock {
    started: Instant,
    until: Instant,
}

impl Clock {
    fn new(started: Instant, minutes: f64) -> Self {
        Clock { started, until: started + Duration::from_secs_f64(minutes * 60.0) }
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Does this, if it is done when the time is over or soon after.
    async fn in_time(&self, work: impl Future<Output = Outcome<()>>) -> Outcome<()> {
        let end = self.until + AFTER_THE_END;
        tokio::time::timeout_at(end.into(), work).await.unwrap_or_else(|_| Err(OVER.to_string()))
    }

    /// Tells whoever waits how far it is.
    pub fn say(&self, what: &str) {
        eprintln!("[{:>4.0} s] {what}", self.started.elapsed().as_secs_f64());
    }
}

/// Runs everything; a signal ends it, and with it every server.
pub async fn run(arguments: &BenchArguments) -> Outcome<()> {
    let mut run = Run::default();
    let ended = tokio::select! {
        ended = everything(arguments, &mut run) => ended,
        signal = ended_by_a_signal() => Err(format!("ended by {signal}")),
    };
    ended?;
    keep(&run, &arguments.out)?;
    println!("{}", arguments.out.display());
    Ok(())
}

async fn ended_by_a_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut hang_up)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else {
        let _ = tokio::signal::ctrl_c().await;
        return "Ctrl-C";
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
        _ = hang_up.recv() => "SIGHUP",
    }
}

async fn everything(arguments: &BenchArguments, run: &mut Run) -> Outcome<()> {
    let sizes = arguments.effort.sizes();
    let (started, minutes) = (Instant::now(), arguments.minutes.unwrap_or(sizes.minutes));
    let (clock, loads) = (Clock::new(started, minutes), Clock::new(started, minutes * FOR_LOADS));
    let mut stable = Stable::new(Programs {
        clawhost: arguments.clawhost.clone(),
        bench_gateway: arguments.bench_gateway.clone(),
        bare: arguments.bare.clone(),
        node: arguments.node.clone().zip(arguments.node_server.clone()),
        published: arguments.published.clone(),
    })?;
    run.when = machine::now();
    run.effort = format!("{:?}", arguments.effort).to_lowercase();
    run.build = if cfg!(debug_assertions) { "debug" } else { "release" }.to_string();
    run.command = arguments.command.clone();
    run.built = arguments.built.clone();
    run.machine = machine::here(arguments.node.as_deref());

    let mut absent = BTreeMap::new();
    if arguments.node.is_none() {
        absent.insert(Who::Node, arguments.without_node.clone());
    }
    if arguments.published.is_none() {
        absent.insert(Who::Published, arguments.without_published.clone());
    }
    let devices = Devices::generate()?;
    let lengths = first_starts(&mut stable, &devices, &mut absent, &clock).await?;
    (run.greeting, run.answers) = (lengths.greeting, Some(lengths.answers));
    run.contestants = stable.roll(|who| absent.get(&who).cloned());
    let present: Vec<Who> = Who::ALL.into_iter().filter(|who| !absent.contains_key(who)).collect();

    let mut field = Field { stable, devices, present, servers: BTreeMap::new(), bench_gateway: None };
    for round in 0..sizes.process_rounds {
        loads.say(&format!("start, rest and idle connections, round {} of {}", round + 1, sizes.process_rounds));
        field.anew(round, &sizes, &loads, run).await;
        keep(run, &arguments.out)?;
    }
    for round in 0..sizes.rounds {
        loads.say(&format!("loads, round {} of {}", round + 1, sizes.rounds));
        field.load(round, &sizes, &loads, run).await;
        if loads.is_over() {
            run.skipped.push(format!("loads, from some part of round {} of {} on: {OVER}", round + 1, sizes.rounds));
            break;
        }
        keep(run, &arguments.out)?;
    }
    field.servers.clear();
    field.bench_gateway = None;

    let crowds = [(Who::Clawhost, "a crowd at the gateway"), (Who::Bare, "a crowd at the bare server")];
    for (who, name) in crowds {
        clock.say(name);
        let mut points = Vec::new();
        let crowd = crowd_of(who, &field.stable, &sizes, &clock, &mut points, &mut run.skipped);
        if let Err(why) = clock.in_time(crowd).await {
            clock.say(&format!("{name}: {why}"));
            run.skipped.push(format!("{name}: {why}"));
        }
        run.curves.push(Curve { of: Of::Connections, who, points });
        keep(run, &arguments.out)?;
    }
    clock.say("many plugins");
    let mut points = Vec::new();
    let program = &field.stable.programs().clawhost;
    let plugins = plugins::run(program, &sizes, &clock, &mut points, &mut run.skipped);
    if let Err(why) = clock.in_time(plugins).await {
        clock.say(&format!("many plugins: {why}"));
        run.skipped.push(format!("many plugins: {why}"));
    }
    run.curves.push(Curve { of: Of::Methods, who: plugins::OF, points });
    run.seconds = started.elapsed().as_secs_f64();
    clock.say("over");
    Ok(())
}

/// Starts each once: what a first start makes on disk is there for those that are measured, and who cannot start is known. It
/// comes to how much the gateway says once it knows everybody, and the bare servers have to say as much.
async fn first_starts(
    stable: &mut Stable,
    devices: &Devices,
    absent: &mut BTreeMap<Who, String>,
    clock: &Clock,
) -> Outcome<Lengths> {
    let mut lengths = Lengths::default();
    for who in Who::ALL {
        if absent.contains_key(&who) {
            continue;
        }
        let started = match stable.start(who).await {
            Ok(Started { server, start_ms, .. }) => {
                clock.say(&format!("{} can be started, in {start_ms:.0} ms", who.name()));
                match who {
                    Who::Clawhost => {
                        devices.visit(&server.target).await?;
                        tokio::time::sleep(UNTIL_KNOWN).await;
                        lengths = Lengths::of(&server.target).await?;
                        stable.speak_like(lengths);
                        Ok(())
                    }
                    Who::Bare | Who::Node => match Lengths::of(&server.target).await {
                        Ok(said) if said == lengths => Ok(()),
                        Ok(said) => Err(format!("it says {said:?}, and the gateway {lengths:?}")),
                        Err(why) => Err(why),
                    },
                    Who::Published => Ok(()),
                }
            }
            Err(why) => Err(why),
        };
        match started {
            Ok(()) => {}
            // Without the gateway there is nothing to compare.
            Err(why) if who == Who::Clawhost => return Err(why),
            Err(why) => {
                clock.say(&format!("{} does not take part: {why}", who.name()));
                absent.insert(who, why);
            }
        }
    }
    Ok(lengths)
}

async fn crowd_of(
    who: Who,
    stable: &Stable,
    sizes: &Sizes,
    clock: &Clock,
    points: &mut Vec<record::Point>,
    skipped: &mut Vec<String>,
) -> Outcome<()> {
    let server = match who {
        Who::Clawhost => stable.bench_gateway(&crowd::config()).await?,
        _ => stable.start(who).await?.server,
    };
    crowd::run(&server, who, sizes, clock, points, skipped).await
}

/// The contestants and those of their servers that run.
struct Field {
    stable: Stable,
    devices: Devices,
    present: Vec<Who>,
    servers: BTreeMap<Who, Server>,
    bench_gateway: Option<Server>,
}

impl Field {
    /// Starts everybody anew, lets them rest together, and gives each idle connections, before its allocator holds anything
    /// that it could use for them again.
    async fn anew(&mut self, round: usize, sizes: &Sizes, clock: &Clock, run: &mut Run) {
        self.servers.clear();
        for who in self.in_turn(round) {
            let started = self.stable.start(who).await.map(|Started { server, start_ms, first_hello_ms }| {
                clock.say(&format!("{} runs as process {}", who.name(), server.pid));
                self.servers.insert(who, server);
                sample([(value::START_MS, Some(start_ms)), (value::FIRST_HELLO_MS, Some(first_hello_ms))])
            });
            self.tell(What::Start, who, &started, clock);
            run.add(What::Start, who, started);
        }
        let rest = Duration::from_secs_f64(sizes.rest);
        let before: BTreeMap<Who, _> = self.servers.iter().map(|(who, server)| (*who, server.target.cpu())).collect();
        tokio::time::sleep(rest).await;
        for who in self.in_turn(round) {
            let Some(server) = self.servers.get(&who) else { continue };
            let spent = server.target.cpu_since(before.get(&who).cloned().flatten());
            let resident = server.target.resident_kib().ok_or("it is gone".to_string());
            let rested = resident.map(|kib| {
                let percent = spent.map(|spent| spent.as_secs_f64() / rest.as_secs_f64() * 100.0);
                sample([(value::REST_MIB, Some(kib as f64 / 1024.0)), (value::REST_CPU, percent)])
            });
            run.add(What::Rest, who, rested);
        }
        self.visit(clock).await;
        for who in self.in_turn(round) {
            self.measure(What::Idle, who, sizes, clock, run).await;
        }
    }

    async fn load(&mut self, round: usize, sizes: &Sizes, clock: &Clock, run: &mut Run) {
        if self.bench_gateway.is_none() {
            self.bench_gateway = self.stable.bench_gateway("").await.ok();
        }
        // Again in each round: a row of presence lasts for some minutes.
        self.visit(clock).await;
        for what in What::LOADS {
            for who in self.in_turn(round) {
                self.measure(what, who, sizes, clock, run).await;
            }
        }
    }

    /// Lets everybody see all devices, so that each load finds them known.
    async fn visit(&self, clock: &Clock) {
        for (who, server) in &self.servers {
            if let Err(why) = self.devices.visit(&server.target).await {
                clock.say(&format!("{} would not let every device in: {why}", who.name()));
            }
        }
        tokio::time::sleep(UNTIL_KNOWN).await;
    }

    async fn measure(&mut self, what: What, who: Who, sizes: &Sizes, clock: &Clock, run: &mut Run) {
        if clock.is_over() || run.has_given_up(what, who) {
            return;
        }
        let server = match (what, who) {
            (What::Fanout, Who::Clawhost) => self.bench_gateway.as_mut(),
            _ => self.servers.get_mut(&who),
        };
        let outcome = match server {
            None => Err("it could not be started".to_string()),
            Some(server) => match server.is_running() {
                true => loads::run(what, who, &server.target, &self.devices, sizes).await,
                false => Err("it has ended".to_string()),
            },
        };
        self.tell(what, who, &outcome, clock);
        run.add(what, who, outcome);
    }

    fn in_turn(&self, round: usize) -> Vec<Who> {
        order(&self.present, round)
    }

    fn tell(&self, what: What, who: Who, outcome: &Outcome<Sample>, clock: &Clock) {
        let said = match outcome {
            Err(why) => why.clone(),
            Ok(values) => {
                values.iter().map(|(name, value)| format!("{name} {value:.1}")).collect::<Vec<_>>().join(", ")
            }
        };
        clock.say(&format!("{}, {}: {said}", what.name(), who.name()));
    }
}

/// Those who are present, in an order that changes from round to round. The gateway is always right beside those that it is
/// compared with.
fn order(present: &[Who], round: usize) -> Vec<Who> {
    let mut order = match round / 2 % 2 {
        0 => [Who::Published, Who::Clawhost, Who::Bare, Who::Node],
        _ => [Who::Node, Who::Published, Who::Clawhost, Who::Bare],
    };
    if round % 2 == 1 {
        order.reverse();
    }
    order.into_iter().filter(|who| present.contains(who)).collect()
}

fn sample<const N: usize>(values: [(&str, Option<f64>); N]) -> Sample {
    values.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
}

fn keep(run: &Run, out: &Path) -> Outcome<()> {
    let mut record = serde_json::to_value(run).map_err(|error| error.to_string())?;
    folders::strip(&mut record);
    let text = format!("{record:#}");
    std::fs::write(out, text + "\n").map_err(|error| format!("{}: {error}", out.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_gateway_comes_right_before_or_after_those_it_is_compared_with() {
        let three = [Who::Clawhost, Who::Bare, Who::Node];
        for present in [&Who::ALL[..], &three, &three[..2], &three[..1]] {
            for round in 0..8 {
                let order = order(present, round);
                assert_eq!(order.iter().collect::<BTreeSet<_>>(), present.iter().collect());
                let place = |who| order.iter().position(|it| *it == who);
                let gateway = place(Who::Clawhost).expect("it is always there");
                for other in [Who::Bare, Who::Published].into_iter().filter_map(place) {
                    assert_eq!(gateway.abs_diff(other), 1, "{order:?}");
                }
            }
            let firsts: BTreeSet<Who> = (0..4).map(|round| order(present, round)[0]).collect();
            assert!(firsts.len() > 1 || present.len() == 1, "{firsts:?}");
        }
    }
}
