//! Every row of SECURITY.md and of RELIABILITY.md names tests, and they exist and are run; and figures of RELIABILITY.md that a
//! constant of the source decides are what that constant says.

use std::path::{Path, PathBuf};

use clawhost_tests::program::repository;

/// A test in the sources.
struct Known {
    /// Where its file lies, by name: `plugins/send/src/tests.rs` is `plugins/send/tests`.
    module: PathBuf,
    name: String,
    is_ignored: bool,
}

impl Known {
    /// Whether this is what a row calls `file::name` or, of a file whose name others have too, `folder/file::name`. The tests
    /// of `pairing/tests.rs` are those of `pairing` as well.
    fn is_called(&self, reference: &str) -> bool {
        let folder = self.module.parent().unwrap_or(Path::new(""));
        let is_place = |place: &str| self.module.ends_with(place) || folder.ends_with(place);
        reference.split_once("::").is_some_and(|(place, name)| name == self.name && is_place(place))
    }
}

/// The tests of a folder's sources.
fn tests_below(folder: &Path, found: &mut Vec<Known>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "node_modules" && name != "target") {
                tests_below(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let place = path.strip_prefix(repository()).expect("it lies below").with_extension("");
            let module: PathBuf = place.components().filter(|part| part.as_os_str() != "src").collect();
            let known = |(name, is_ignored)| Known { module: module.clone(), name, is_ignored };
            found.extend(names(&text).map(known));
        }
    }
}

/// The names of tests, and whether each is ignored.
fn names(text: &str) -> impl Iterator<Item = (String, bool)> {
    let marked = |attribute: &str| attribute.contains("test]") || attribute.contains("::test(");
    let (mut is_test, mut is_ignored) = (false, false);
    text.lines().map(str::trim).filter_map(move |line| {
        if line.starts_with("#[") {
            is_test |= marked(line);
            is_ignored |= line.starts_with("#[ignore");
            return None;
        }
        let name = line.trim_start_matches("async ").strip_prefix("fn ")?;
        let name = name.split(['(', '<']).next().unwrap_or_default().to_string();
        let is_ignored = std::mem::take(&mut is_ignored);
        std::mem::take(&mut is_test).then_some((name, is_ignored))
    })
}

/// Names of files that many folders have: alone they say nothing.
const NOBODYS: [&str; 2] = ["tests", "model"];

/// What is wrong with the name of a test in a document.
fn fault(reference: &str, known: &[Known], must_say_whose: bool) -> Option<String> {
    let place = reference.split("::").next().unwrap_or_default();
    if must_say_whose && NOBODYS.contains(&place) {
        return Some(format!("{reference} does not say whose; write FOLDER/{reference}"));
    }
    let found: Vec<&Known> = known.iter().filter(|test| test.is_called(reference)).collect();
    match found[..] {
        [] => Some(format!("there is no test {reference}")),
        _ if found.iter().all(|test| test.is_ignored) => Some(format!("{reference} is ignored, so nobody runs it")),
        [_, _, ..] if must_say_whose => Some(format!("{reference} may be any of {} tests", found.len())),
        _ => None,
    }
}

#[test]
fn every_promise_has_its_test() {
    let mut known = Vec::new();
    for folder in ["host", "tests/src", "tests/tests", "client", "plugin-api", "plugins"] {
        tests_below(&repository().join(folder), &mut known);
    }
    let mut wrong = Vec::new();
    for (document, head, fewest, must_say_whose) in
        [("SECURITY.md", "attack", 20, false), ("RELIABILITY.md", "promise", 40, true)]
    {
        let text = read(document);
        let mut rows = 0;
        for row in text.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 2) {
            if row.starts_with(&format!("| {head} |")) || row.contains("| --- |") {
                continue;
            }
            let tests: Vec<&str> = row.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
            rows += 1;
            if tests.is_empty() {
                wrong.push(format!("{document}: names no test: {row}"));
            }
            let faults = tests.into_iter().filter_map(|name| fault(name, &known, must_say_whose));
            wrong.extend(faults.map(|fault| format!("{document}: {fault}")));
        }
        assert!(rows > fewest, "only {rows} rows of {document} were read");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_test_is_found_by_its_place_and_not_if_it_is_ignored() {
    let text = "#[test]\nfn one() {}\nfn none() {}\n#[tokio::test]\n#[ignore = \"slow\"]\nasync fn two() {}\n";
    let found: Vec<_> = names(text).collect();
    assert_eq!(found, [("one".to_string(), false), ("two".to_string(), true)]);
    let mut known = Vec::new();
    for module in ["plugins/send/tests", "plugins/hooks/tests", "host/pairing", "tests/tests/pairing"] {
        known.extend(names(text).map(|(name, is_ignored)| Known { module: module.into(), name, is_ignored }));
    }
    for reference in ["send/tests::one", "send::one", "hooks/tests::one", "host/pairing::one"] {
        assert_eq!(fault(reference, &known, true), None);
    }
    for (reference, why) in [
        ("tests::one", "does not say whose"),
        ("pairing::one", "any of 2 tests"),
        ("end/tests::one", "there is no test"),
        ("send/tests::none", "there is no test"),
        ("send/tests::two", "is ignored"),
    ] {
        assert!(fault(reference, &known, true).is_some_and(|fault| fault.contains(why)), "{reference}");
    }
    assert_eq!(fault("pairing::one", &known, false), None);
}

/// A part of a line of RELIABILITY.md, what that says with `#` for a figure, and the constant that is this figure.
type Figure = (&'static str, &'static str, &'static str);
/// Figures by the file of their constants.
const FIGURES: [(&str, &[Figure]); 14] = [
    (
        "tests/tests/faults/pairing.rs",
        &[
            ("Those that kill gateways", "do so # or ", "kills(\"pairing\", #)"),
            ("killed_keeps_what_it_said", "| # kills: ", "kills(\"pairing\", #)"),
        ],
    ),
    ("tests/tests/kills.rs", &[("Those that kill gateways", " or # times", "kills(\"work\", #)")]),
    ("tests/tests/faults/migrations.rs", &[("killed_while_it_migrates", "| # kills: ", "MANY: u64 = #;")]),
    (
        "tests/tests/faults/torn.rs",
        &[
            ("a_damaged_state_file", "| # kinds of damage", "DAMAGES: [Damage; #]"),
            ("a_damaged_file_of_a_plugin", ", # kinds of damage", "DAMAGES: [Damage; #]"),
            ("a_damaged_file_of_a_plugin", "| # plugins", "PLUGINS: [(&str, &str, &str); #]"),
        ],
    ),
    (
        "tests/tests/faults/clock.rs",
        &[
            ("a_clock_set_forward", "| by # days", "clock.set(# * DAY)"),
            ("a_clock_set_back", "| by # hours", "clock.set(-# * 3_600)"),
        ],
    ),
    (
        "tests/tests/faults/crowds.rs",
        &[
            ("without_descriptors", "| # sockets", "CROWD: usize = #;"),
            ("without_descriptors", "for # descriptors", "LEFT: usize = #;"),
            ("the_largest_frames", "| # peers", "PEERS: usize = #;"),
            ("the_largest_frames", "with # messages", "MESSAGES: usize = #;"),
            ("the_largest_frames", "of # KiB", "LARGEST: usize = # * 1024;"),
        ],
    ),
    (
        "tests/tests/faults/plugins.rs",
        &[
            ("spins_is_named", "`drain_ms` #", "drain_ms = #\\n"),
            ("a_flood_of_lines", "| # lines", "\"unruly.rant\", json!({ \"count\": #,"),
            ("a_flood_of_events", "| # waves", "WAVES: u64 = #;"),
            ("a_flood_of_events", "of # events", "WAVE: u64 = #;"),
            ("keeps_as_much_as_it_may", "| # bytes", "kv_bytes = #\\n"),
            ("a_plugin_has_so_much", "| # of each asked for", "GREED: u64 = #;"),
            ("a_plugin_has_so_much", "asked for, # given", "SHARE: u64 = #;"),
        ],
    ),
    (
        "tests/tests/faults/network.rs",
        &[
            ("a_gateway_that_slept", "asleep for # ms", "from_millis(#), client.event(\"never\")"),
            ("a_gateway_that_slept", "a ping each # ms", "ping_interval_ms = #\\ntick_interval_ms = 100\\n"),
            ("is_found_and_its_presence", "a ping each # ms", "ping_interval_ms = #\\ntick_interval_ms = 500\\n"),
            ("a_client_that_is_cut_off", "| # cuts, silent and loud: # runs", "CUTS: usize = #;"),
        ],
    ),
    (
        "tests/tests/reload_load.rs",
        &[
            ("new_code_under_load", "| # reloads", "RELOADS: usize = #;"),
            ("new_code_under_load", "under # clients", "CLIENTS: usize = #;"),
            ("new_code_under_load", "with # open calls", "IN_FLIGHT: usize = #;"),
        ],
    ),
    ("tests/tests/abuse.rs", &[("withstands_every_attack", "| # attacks", "ATTACKS: [&str; #]")]),
    (
        "host/src/schedules/mod.rs",
        &[
            ("registry::", "| # orders at random and # with few changes", "ORDERS: usize = #;"),
            ("outbox::whoever_joins", "in each # orders at random and # with few changes", "ORDERS: usize = #;"),
            ("idempotency::a_key_runs", "in each # orders at random and # with few changes", "ORDERS: usize = #;"),
        ],
    ),
    ("host/src/validation/shape.rs", &[("a_shape_says", "| # made-up schemas", "with_cases(#)")]),
    (
        "host/src/pairing/tests/model.rs",
        &[
            ("the_book_and_its_model_agree", "| # ways", "cases: #,"),
            ("the_book_and_its_model_agree", "up to # steps", "step(), 1..=#)"),
        ],
    ),
    (
        "plugins/sessions/src/tests/model.rs",
        &[
            ("the_store_and_its_model_agree", "| # ways", "cases: #,"),
            ("the_store_and_its_model_agree", "fewer than # steps", "step(), 1..#)"),
        ],
    ),
];

#[test]
fn figures_that_a_constant_decides_are_that_constant() {
    let document = read("RELIABILITY.md");
    let mut wrong = Vec::new();
    let mut compare = |of: &str, says: &str, figure: u64| {
        let says = says.replace('#', &grouped(figure));
        if !document.lines().any(|line| line.contains(of) && line.contains(&says)) {
            wrong.push(format!("the line with {of:?} should say {says:?}"));
        }
    };
    for (file, figures) in FIGURES {
        let source = read(file);
        for (of, says, constant) in figures {
            let figure = number(&source, constant).unwrap_or_else(|| panic!("{file} has no {constant:?}"));
            compare(of, says, figure);
        }
    }
    // Figures that are counted.
    let cases = std::fs::read_dir(repository().join("tests/wire")).expect("the folder of cases").count();
    compare("wire::every_case_of_the_folder", "| # cases", cases as u64);
    let doors = read("tests/tests/fuzz_corpus.rs");
    let changes = doors.split("    tried(\"").skip(1).filter_map(|call| number(call, "\", #);"));
    compare("fuzz_corpus::frames", "| # changes of recorded traffic", changes.sum());
    assert!(wrong.is_empty(), "RELIABILITY.md: {}", wrong.join("; "));
}

#[test]
fn a_number_is_found_in_its_place() {
    let source = "const A: usize = 7;\nconst MANY: u64 = 20_000;\nset(-2 * 3_600)\nset(40 * DAY)";
    let of = |constant| number(source, constant);
    assert_eq!((of("A: usize = #;"), of("MANY: u64 = #;"), of("set(-# * 3")), (Some(7), Some(20_000), Some(2)));
    assert_eq!((of("set(# * DAY)"), of("set(# * WEEK)"), of("B: usize = #;")), (Some(40), None, None));
    assert_eq!([0, 62, 500, 9_500, 1_234_567].map(grouped), ["0", "62", "500", "9,500", "1,234,567"]);
}

/// The number in a source that stands where this has `#`.
fn number(source: &str, constant: &str) -> Option<u64> {
    let (before, after) = constant.split_once('#').expect("a place for a number");
    source.split(before).skip(1).find_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '_')?;
        let is_it = rest[end..].starts_with(after);
        rest[..end].replace('_', "").parse().ok().filter(|_| is_it)
    })
}

/// As people write it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        (0..digits.len()).rev().step_by(3).map(|end| &digits[end.saturating_sub(2)..=end]).collect();
    groups.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}
