//! The tables of the page, and the sentences around them.

use crate::bench::record::{Of, Point, Run, Spread, What, Who, value};
use crate::page::goals::{Goal, Limit};

pub const OTHERS_NOTE: &str = "\
An event goes to all subscribers, with eight under way. Gateways do not let clients broadcast: the clawhost here is the same \
gateway with one more plugin, which does, and OpenClaw's events are those of presence, in the size that it gives them. The load \
tool answers for the node. The gateway lets broadcasts to many connections wait a moment for each other, so that they leave in \
one write; the bare servers send each as it comes.\n\n";
pub const PROCESSES_NOTE: &str = "\
Start is the time from the start of the process until it accepts a connection, with its files on the disk from a start before; the \
next column is the time until it lets a client in. Memory is what is resident of its main process; what a gateway starts beside \
that is not counted. Size is the program's file, for OpenClaw the folder of packages that npm installed, for node the package \
`ws` alone, without node.\n\n";
pub const CROWD_NOTE: &str = "\
One process with more and more connections, each of which is read as a client would. Ticks come twice a second here, once in half a \
minute by default; who has missed some heard two or more too few in a few seconds. What a delivery costs is also told as a multiple \
of the bare server's at the same size: what that one's grows by from one size to the next is not the gateway's doing. The time is \
that from asking for an event until the last connection has it, one event after another: median and worst. The load tool reads on \
the same cores.\n\n";
pub const PLUGINS_NOTE: &str = "\
Plugins loaded from libraries, ten methods each, on the workers (`isolation = \"inline\"`); the last plugin's method is asked for, \
64 × 1.\n\n";

/// What was measured, where, and how to do it again.
pub fn opening(run: &Run) -> String {
    let machine = &run.machine;
    let mut text = format!(
        "Made by `{}`, which starts each server, drives all of them in turn with the same load tool, and writes this. {}\n\n",
        run.command,
        when_and_where(run).trim_end(),
    );
    if run.build != "release" || run.effort != "full" {
        text += &format!(
            "**This run shows that the command works and nothing else: build `{}`, effort `{}`.**\n\n",
            run.build, run.effort
        );
    }
    if run.is_cut_short() {
        text += "**This run was cut short: its time was over before everything was measured. What is missing stands at the end.**\n\n";
    }
    text += &format!(
        "- processor: {}, {} cores, {} MiB; the load tool runs on the same cores\n- system: {}, {}; {} open files a process\n",
        machine.processor, machine.cores, machine.memory_mib, machine.system, machine.kernel, machine.open_files,
    );
    text += &match &run.built {
        Some(built) => format!("- source: {built}, built with {}\n", machine.rustc),
        None => {
            format!("- source: of the programs not known; {} lay beside them, and {}\n", machine.commit, machine.rustc)
        }
    };
    for contestant in &run.contestants {
        text += &match &contestant.absent {
            None => format!("- {}: {}\n", contestant.who.name(), contestant.version),
            Some(why) => format!("- {}: not here, {}\n", contestant.who.name(), one_line(why)),
        };
    }
    let (hello, welcome) = run.greeting;
    text += &format!(
        "- greeting: hello-ok has {hello} bytes, and {welcome} more follow it, of the gateway and of the bare servers\n"
    );
    if let Some((health, presence)) = run.answers {
        text += &format!(
            "- answers: `health` has {health} bytes and `system-presence` {presence}, of the gateway and of the bare servers\n"
        );
    }
    text + "\n"
}

/// What stands below the goals.
pub fn goals_note(run: &Run) -> String {
    let alike = match run.answers {
        Some(_) => {
            " to the same frames: its hello-ok, what follows it, and its answers have as many bytes as the gateway's"
        }
        None => {
            ", and what answers of another size cost: its hello-ok, and what follows it, have as many bytes as the gateway's"
        }
    };
    format!(
        "Figures are medians of the rounds. A ratio is that of two measurements of the same round, one soon after the other; in \
         parentheses stand the least and the most of all rounds. Against the bare server a ratio says what the gateway \
         adds{alike}. Flat means that the largest costs at most 15 % more than the first.\n\n"
    )
}

/// A sentence for whoever quotes figures.
pub fn when_and_where(run: &Run) -> String {
    let machine = &run.machine;
    let rounds = run.measured.iter().map(|measured| measured.rounds.len()).max().unwrap_or(0);
    let source = run.built.as_ref().map_or(String::new(), |built| format!(" of the source {built},"));
    format!(
        "Measured on {},{source} in {:.0} min and {rounds} rounds, on a machine with {} cores ({}).\n",
        run.when,
        (run.seconds / 60.0).max(1.0),
        machine.cores,
        machine.processor,
    )
}

pub fn goals(goals: &[Goal]) -> String {
    let rows = goals.iter().map(|goal| {
        let (limit, unit) = match goal.limit {
            Limit::AtMostTimes(limit) => (format!("at most {limit} ×"), "×"),
            Limit::AtMostMore(limit, unit) => (format!("at most + {limit} {unit}"), unit),
            Limit::TimesLess(limit) => (format!("{limit} × less"), "× less"),
            Limit::AtMost(limit, unit) => (format!("at most {limit} {unit}"), unit),
        };
        let verdict = match goal.found {
            Some(found) if goal.limit.is_met(found.median) => "met",
            Some(_) => "**missed**",
            None => "not measured",
        };
        let found = goal.found.map_or(String::new(), |found| match goal.limit {
            Limit::AtMostMore(..) if found.least >= 0.0 => format!("+ {} {unit}", spread(found)),
            _ => format!("{} {unit}", spread(found)),
        });
        vec![goal.name.clone(), median(goal.ours), median(goal.theirs), found, limit, verdict.to_string()]
    });
    table(&["what", "clawhost", "compared with", "found", "goal", "result"], rows)
}

pub fn requests(run: &Run) -> String {
    let cells = |what, who| {
        let of = |value| run.spread(what, who, value);
        vec![
            whole(of(value::RATE)),
            both(of(value::CPU_US)),
            both(of(value::P50)),
            both(of(value::P99)),
            both(of(value::P999)),
        ]
    };
    let header = ["what", "who", "requests/s", "µs CPU each", "p50 µs", "p99 µs", "p99.9 µs"];
    by_what_and_who(run, &[What::Health1, What::Health16, What::Presence], &header, cells)
}

pub fn others(run: &Run) -> String {
    let cells = |what, who| {
        let of = |value| run.spread(what, who, value);
        vec![
            whole(of(value::RATE)),
            both(of(value::CPU_US)),
            both(of(value::P50)),
            both(of(value::P99)),
            both(of(value::P999)),
            whole(of(value::EVENT_BYTES)),
        ]
    };
    let header = ["what", "who", "each second", "µs CPU each", "p50 µs", "p99 µs", "p99.9 µs", "bytes of the event"];
    by_what_and_who(run, &[What::Handshake, What::DeviceHandshake, What::Fanout, What::Invoke], &header, cells)
}

pub fn processes(run: &Run) -> String {
    let rows = present(run).map(|who| {
        let size = run.contestant(who).and_then(|contestant| contestant.size_mib);
        vec![
            who.name().to_string(),
            both(run.spread(What::Start, who, value::START_MS)),
            both(run.spread(What::Start, who, value::FIRST_HELLO_MS)),
            both(run.spread(What::Rest, who, value::REST_MIB)),
            median(run.spread(What::Rest, who, value::REST_CPU)),
            both(run.spread(What::Idle, who, value::IDLE_KIB)),
            size.map_or(String::new(), number),
        ]
    });
    let header = [
        "who",
        "start ms",
        "first client ms",
        "MiB at rest",
        "% of a core at rest",
        "KiB an idle connection",
        "MiB on disk",
    ];
    table(&header, rows)
}

pub fn crowd(run: &Run) -> String {
    let before = [value::IDLE_KIB, value::TICK_CPU_US, value::MISSED_TICKS, value::DELIVERY_CPU_US];
    let after = [value::BROADCAST_MS, value::WORST_BROADCAST_MS];
    let rows = [Who::Clawhost, Who::Bare].into_iter().flat_map(|who| {
        run.curve(Of::Connections, who).iter().map(move |point| {
            let mut row = vec![point.size.to_string(), who.name().to_string()];
            row.extend(before.iter().map(|column| cell(point, column)));
            let beside = against_bare(run, point, value::DELIVERY_CPU_US).filter(|_| who != Who::Bare);
            row.push(beside.map_or(String::new(), number));
            row.extend(after.iter().map(|column| cell(point, column)));
            row
        })
    });
    let header = [
        "connections",
        "who",
        "KiB each",
        "µs CPU a tick",
        "missed ticks",
        "µs CPU a delivery",
        "× bare at the same size",
        "ms to all",
        "worst",
    ];
    table(&header, rows)
}

/// A value of a crowd, as a multiple of the bare server's with as many connections.
fn against_bare(run: &Run, point: &Point, value: &str) -> Option<f64> {
    let bare = run.curve(Of::Connections, Who::Bare).iter().find(|bare| bare.size == point.size)?;
    Some(point.values.get(value)? / bare.values.get(value)?)
}

pub fn plugins(run: &Run) -> String {
    let columns = [value::CPU_US, value::START_MS, value::REST_MIB, value::HELLO_KIB, value::HELLO_LIMIT_KIB];
    let rows = run.curve(Of::Methods, Who::Clawhost).iter().map(|point| {
        let mut row =
            vec![point.values.get(value::PLUGINS).map_or(String::new(), ToString::to_string), point.size.to_string()];
        row.extend(columns.iter().map(|column| cell(point, column)));
        row
    });
    let header = [
        "plugins",
        "methods",
        "µs CPU a request",
        "start ms",
        "MiB at rest",
        "KiB of hello-ok",
        "KiB a frame may have",
    ];
    table(&header, rows)
}

/// What is not here, and why.
pub fn missing(run: &Run) -> String {
    let mut lines = run.skipped.clone();
    for measured in &run.measured {
        let missed = measured.rounds.iter().filter(|round| round.is_none()).count();
        for why in &measured.failures {
            let rounds = measured.rounds.len();
            lines.push(format!(
                "{}, {}, {missed} of {rounds} rounds: {why}",
                measured.what.name(),
                measured.who.name()
            ));
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("- {}\n", one_line(line))).collect();
    format!("## What is missing\n\n{lines}")
}

fn by_what_and_who(run: &Run, whats: &[What], header: &[&str], cells: impl Fn(What, Who) -> Vec<String>) -> String {
    let rows = whats.iter().flat_map(|&what| {
        let cells = &cells;
        present(run).map(move |who| {
            let mut row = vec![what.name().to_string(), who.name().to_string()];
            row.extend(cells(what, who));
            row
        })
    });
    table(header, rows)
}

fn present(run: &Run) -> impl Iterator<Item = Who> {
    run.contestants.iter().filter(|contestant| contestant.absent.is_none()).map(|contestant| contestant.who)
}

fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line =
        |cells: &[String]| format!("| {} |\n", cells.iter().map(|cell| one_line(cell)).collect::<Vec<_>>().join(" | "));
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    let rows: String = rows.into_iter().map(|row| line(&row)).collect();
    format!("{}|{}\n{rows}", line(&header), " --- |".repeat(header.len()))
}

/// What somebody else's error says must not end a row.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

fn cell(point: &Point, name: &str) -> String {
    both(point.spread(name))
}

fn median(found: Option<Spread>) -> String {
    found.map_or(String::new(), |found| number(found.median))
}

fn both(found: Option<Spread>) -> String {
    found.map_or(String::new(), spread)
}

fn whole(found: Option<Spread>) -> String {
    found.map_or(String::new(), |found| format!("{:.0}", found.median))
}

/// The middle, and in parentheses how far the rest lies apart.
fn spread(found: Spread) -> String {
    let Spread { median, least, most } = found;
    if least == most { number(median) } else { format!("{} ({}–{})", number(median), number(least), number(most)) }
}

/// Three digits say all that a measurement knows.
fn number(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{Curve, OVER};

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.0, 0.1234, 1.005, 12.34, 123.4, 123_456.7].map(number);
        assert_eq!(shown, ["0", "0.12", "1.00", "12.3", "123", "123457"]);
        assert_eq!(spread(Spread { median: 2.0, least: 1.0, most: 30.0 }), "2.00 (1.00–30.0)");
        assert_eq!(spread(Spread { median: 2.0, least: 2.0, most: 2.0 }), "2.00");
    }

    #[test]
    fn nothing_in_a_cell_ends_its_row() {
        let text = table(&["a"], [vec!["one\n| two".to_string()]]);
        assert_eq!(text, "| a |\n| --- |\n| one \\| two |\n");
    }

    #[test]
    fn a_page_says_no_more_of_its_programs_and_its_time_than_is_known() {
        let mut run = Run::default();
        run.machine.commit = "1234567".to_string();
        let page = opening(&run);
        assert!(page.contains("- source: of the programs not known; 1234567 lay beside them"), "{page}");
        assert!(!page.contains("cut short") && !page.contains("- answers: "), "{page}");
        run.built = Some("89abcde".to_string());
        run.answers = Some((5, 6));
        run.skipped.push(format!("some of it: {OVER}"));
        let page = opening(&run);
        assert!(page.contains("- source: 89abcde, built with") && !page.contains("1234567"), "{page}");
        assert!(page.contains("cut short") && page.contains("`health` has 5 bytes"), "{page}");
        assert!(when_and_where(&run).contains(", of the source 89abcde, in "), "{page}");
        assert!(goals_note(&run).contains("to the same frames"));
    }

    #[test]
    fn a_crowd_stands_beside_the_bare_servers_of_the_same_size() {
        let curve = |who, points: &[(u64, f64)]| Curve {
            of: Of::Connections,
            who,
            points: points
                .iter()
                .map(|(size, cpu)| Point { size: *size, values: [(value::DELIVERY_CPU_US.to_string(), *cpu)].into() })
                .collect(),
        };
        let curves =
            vec![curve(Who::Clawhost, &[(10, 3.0), (20, 9.0), (30, 9.0)]), curve(Who::Bare, &[(10, 2.0), (20, 3.0)])];
        let text = crowd(&Run { curves, ..Run::default() });
        for row in [
            "| 10 | clawhost |  |  |  | 3.00 | 1.50 |  |  |",
            "| 20 | clawhost |  |  |  | 9.00 | 3.00 |  |  |",
            "| 30 | clawhost |  |  |  | 9.00 |  |  |  |",
            "| 20 | bare tokio-tungstenite |  |  |  | 3.00 |  |  |  |",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
    }
}
