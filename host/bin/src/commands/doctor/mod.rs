//! `clawhost doctor`: what is wrong with this machine's gateway, or will be, and what to do about each. It looks at files,
//! ports and the clock whether a gateway runs or not, and asks the one that runs; with an address it asks that one alone.
//! Nothing is changed unless `--fix` says so.

use std::path::PathBuf;

use clap::Args;
use clawhost::config::Config;
use clawhost::state::{LocalGateway, read_gateway_json};

use crate::cli::Context;
use crate::commands::config;
use crate::failure::Failure;
use crate::show::print;
use crate::target::Target;

mod exposure;
mod files;
mod finding;
mod gateway;
mod machine;
mod pairing;
mod plugins;
mod ports;
mod secrets;
mod service;
mod settings;

use finding::{Finding, Level, Report};
use settings::Looked;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Take rights away that others have on the gateway's files
    #[arg(long)]
    fix: bool,
}

/// What is looked at.
struct Patient {
    /// Which gateway is meant, with its state folder made out.
    target: Target,
    /// The state folder.
    state_dir: PathBuf,
    /// The configuration that a start here would have, unless it is wrong.
    config: Option<Config>,
    /// The gateway that runs with that folder.
    running: Option<LocalGateway>,
}

/// Looks, says, and leaves with 1 if anything is an error.
pub fn run(args: DoctorArgs, context: &Context) -> Result<(), Failure> {
    let mut report = Report::default();
    if context.target.url.is_some() || context.target.invitation.is_some() {
        if args.fix {
            return Err(Failure::usage("--fix is about files of this machine; --url does not go with it"));
        }
        report.extend(gateway::examine(&context.target, None));
    } else {
        local(context, &mut report)?;
        if args.fix {
            report.fix();
        }
    }
    print(&if context.json { format!("{}\n", report.to_json()) } else { report.render(context.style) })?;
    if report.count(Level::Error) > 0 { Err(Failure::Said(1)) } else { Ok(()) }
}

fn local(context: &Context, report: &mut Report) -> Result<(), Failure> {
    let Looked { config, file, findings } = settings::examine(context);
    report.extend(findings);
    let state_dir = config::state_dir(context, config.as_ref());
    let target = Target { state_dir: Some(state_dir.clone()), ..context.target.clone() };
    let patient = Patient { running: read_gateway_json(&state_dir), target, state_dir, config };
    if let (Some(file), Some(running)) = (&file, &patient.running) {
        report.extend(settings::other(file, running).into_iter().collect());
    }

    report.extend(secrets::examine(&patient));
    report.extend(files::examine(&patient));
    report.extend(machine::examine(&patient));
    report.extend(ports::examine(&patient));
    report.extend(exposure::examine(&patient));
    match &patient.running {
        Some(running) => report.extend(gateway::examine(&patient.target, Some(running))),
        None => {
            report.extend(plugins::of_config(&patient)?);
            report.push(not_running(&patient));
        }
    }
    report.push(service::examine());
    Ok(())
}

fn not_running(patient: &Patient) -> Finding {
    let folder = patient.state_dir.display();
    Finding::note("gateway", format!("no gateway runs with the state folder {folder}, so it was not asked anything"))
        .run("clawhost run")
}
