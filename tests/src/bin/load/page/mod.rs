//! A run as a page for people: `BENCHMARKS.md` with its plots, and what the README quotes of it. Everything is made of the
//! kept result, so that a page can be made again, and nothing in it was typed.

mod goals;
mod plots;
mod svg;
mod tables;

use std::path::{Path, PathBuf};

use clap::Args;

use crate::bench::record::Run;
use crate::report::Outcome;

#[derive(Debug, Clone, Args)]
pub struct PageArguments {
    /// The result of `bench`.
    #[arg(long)]
    pub from: PathBuf,
    /// The page; what stands in it outside of the marks is kept.
    #[arg(long)]
    pub into: PathBuf,
    /// The folder for plots, below the page's own.
    #[arg(long)]
    pub plots: PathBuf,
    /// A text that quotes the goals, between the same marks; not those of a run that was cut short.
    #[arg(long)]
    pub readme: Option<PathBuf>,
}

/// Between these a page belongs to this tool.
const MARKS: (&str, &str) = ("<!-- measured -->", "<!-- /measured -->");
const FRESH: &str = "# Benchmarks\n\n";

pub fn run(arguments: &PageArguments) -> Outcome<()> {
    let text = read(&arguments.from)?;
    let run: Run = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", arguments.from.display()))?;
    let folder = arguments.into.parent().unwrap_or(Path::new(""));
    let shown = arguments.plots.strip_prefix(folder).unwrap_or(&arguments.plots).display().to_string();
    std::fs::create_dir_all(&arguments.plots).map_err(|error| format!("{}: {error}", arguments.plots.display()))?;
    let plots = plots::all(&run);
    for plot in &plots {
        write(&arguments.plots.join(plot.file), &plot.svg)?;
    }
    let page = if arguments.into.exists() { read(&arguments.into)? } else { FRESH.to_string() };
    write(&arguments.into, &marked(&page, &measured(&run, &plots, &shown), true)?)?;
    if run.is_cut_short() && arguments.readme.is_some() {
        eprintln!("the run was cut short, and is not quoted");
    } else if let Some(readme) = &arguments.readme {
        write(readme, &marked(&read(readme)?, &quoted(&run), false)?)?;
    }
    Ok(())
}

/// All that the page says of a run.
fn measured(run: &Run, plots: &[plots::Plot], folder: &str) -> String {
    let picture = |file: &str| {
        let plot = plots.iter().find(|plot| plot.file == file);
        plot.map_or(String::new(), |plot| format!("![{}]({folder}/{file})\n\n", plot.title))
    };
    let mut page = tables::opening(run);
    page += &format!("## Goals\n\n{}\n{}", tables::goals(&goals::all(run)), tables::goals_note(run));
    page += &format!("## Requests\n\n{}\n{}", tables::requests(run), picture("requests.svg"));
    page += &picture("latency.svg");
    page += &format!("## Handshakes, events, nodes\n\n{}\n{}", tables::others(run), tables::OTHERS_NOTE);
    page += &picture("others.svg");
    page += &format!("## Start and memory\n\n{}\n{}", tables::processes(run), tables::PROCESSES_NOTE);
    page += &picture("start.svg");
    page += &picture("memory.svg");
    page += &format!("## Many connections\n\n{}\n{}", tables::crowd(run), tables::CROWD_NOTE);
    page += &["connection_memory.svg", "delivery.svg", "broadcast.svg"].map(picture).concat();
    page += &format!("## Many plugins\n\n{}\n{}", tables::plugins(run), tables::PLUGINS_NOTE);
    page += &["dispatch.svg", "plugin_start.svg"].map(picture).concat();
    page += &tables::missing(run);
    page.trim_end().to_string() + "\n"
}

/// What the README quotes.
fn quoted(run: &Run) -> String {
    format!("{}\n{}", tables::when_and_where(run), tables::goals(&goals::all(run)))
}

/// The text with this between its marks, which are added at its end if they may be.
fn marked(text: &str, content: &str, may_add: bool) -> Outcome<String> {
    let (open, close) = MARKS;
    match text.split_once(open).and_then(|(before, rest)| Some((before, rest.split_once(close)?.1))) {
        Some((before, after)) => Ok(format!("{before}{open}\n\n{content}\n{close}{after}")),
        None if may_add => Ok(format!("{text}{open}\n\n{content}\n{close}\n")),
        None => Err(format!("there is no place between {open} and {close}")),
    }
}

fn read(file: &Path) -> Outcome<String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn write(file: &Path, text: &str) -> Outcome<()> {
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let first = marked(FRESH, "one\n", true).expect("marks may be added");
        let text = format!("before\n{first}after\n");
        let second = marked(&text, "two\n", false).expect("there are marks");
        assert_eq!(second, text.replace("one", "two"));
        assert!(marked("no marks", "two", false).is_err());
    }
}
