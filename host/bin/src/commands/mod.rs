//! What each command does. A command asks one question, or a few, and words the answer; how to connect and what to say
//! when it fails is the same for all of them.

use crate::cli::{Command, Context};
use crate::failure::Failure;

pub mod agent;
mod answer;
pub mod approvals;
pub mod backup;
pub mod call;
pub mod channels;
pub mod chat;
pub mod completions;
pub mod config;
mod connections;
pub mod cron;
pub mod dashboard;
pub mod devices;
pub mod doctor;
pub mod events;
mod health;
pub mod logs;
pub mod man;
pub mod methods;
pub mod node;
pub mod nodes;
pub mod pair;
pub mod plugins;
pub mod send;
pub mod service;
pub mod sessions;
mod status;
pub mod token;

/// Does what was asked.
pub fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Run(_) => unreachable!("the command line sorts it out"),
        Command::Call(args) => call::run(args, context),
        Command::Agent(args) => agent::run(args, context),
        Command::Chat(args) => chat::run(args, context),
        Command::Sessions(command) => sessions::run(command, context),
        Command::Send(args) => send::run(args, context),
        Command::Health => health::run(context),
        Command::Status => status::run(context),
        Command::Methods(args) => methods::run(args, context),
        Command::Plugins(args) => plugins::run(args, context),
        Command::Dashboard(args) => dashboard::run(args, context),
        Command::Pair(args) => pair::run(args, context),
        Command::Devices(command) => devices::run(command, context),
        Command::Connections => connections::run(context),
        Command::Token(command) => token::run(command, context),
        Command::Config(command) => config::run(command, context),
        Command::Events(args) => events::run(args, context),
        Command::Logs(args) => logs::run(args, context),
        Command::Backup(args) => backup::run(args, context),
        Command::Service(command) => service::run(command, context),
        Command::Node(command) => node::run(command, context),
        Command::Nodes(command) => nodes::run(command, context),
        Command::Channels(command) => channels::run(command, context),
        Command::Cron(command) => cron::run(command, context),
        Command::Approvals(command) => approvals::run(command, context),
        Command::Doctor(args) => doctor::run(args, context),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}
