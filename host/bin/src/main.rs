//! The `clawhost` command: the gateway itself, and the commands that talk to one.
//!
//! Reading order: [`cli`] (what can be typed), [`commands`] (what it does), [`target`] (which gateway is meant and how
//! to get in), [`session`] (one connection), [`failure`] (what is said and returned when it goes wrong), [`show`] (how
//! things look). [`builtin`] is the only place that names the plugins that are linked in.

use std::process::ExitCode;

mod cli;

mod builtin;
mod commands;
mod failure;
mod session;
mod show;
mod target;

fn main() -> ExitCode {
    match cli::parse() {
        cli::Invocation::Run(args) => clawhost::serve(args, builtin::EXPECTED),
        cli::Invocation::Command(command, context) => match commands::run(command, &context) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(&context),
        },
    }
}
