//! `clawhost man`: the manual pages, made from the command line's own description.

use std::path::PathBuf;

use clap::Args;
use clap_mangen::Man;

use crate::cli;
use crate::failure::Failure;
use crate::show::print;

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the page of the program, or writes all pages.
pub fn run(args: ManArgs) -> Result<(), Failure> {
    let Some(folder) = args.dir else {
        // As the pages of a folder are made.
        let mut command = cli::command().disable_help_subcommand(true);
        command.build();
        let mut page = Vec::new();
        Man::new(command).render(&mut page).expect("memory takes what is written to it");
        return print(&String::from_utf8_lossy(&page));
    };
    let written = std::fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(cli::command(), &folder));
    written.map_err(|error| Failure::failed(format!("{}: the pages cannot be written: {error}", folder.display())))
}
