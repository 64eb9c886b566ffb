//! The guide for authors, followed to the letter: its commands are run in their order, its files written where it says,
//! its C compiled.
//!
//! Shell blocks say in their first line what becomes of them: `# run by tests`, with a gateway if they say `with a gateway`
//! and skipped where there is no compiler if they say `with a compiler`; or `# not run: REASON`. Rust blocks name the file
//! of the project that they are.

use std::path::Path;

use clawhost_tests::compiler::{Compiler, Language};
use clawhost_tests::program::repository;
use clawhost_tests::projects::Workshop;

const PROJECT: &str = "weather";

#[test]
fn the_guide_works() {
    let workshop = Workshop::new(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects"));
    let compiler = Compiler::find(Language::C);
    let mut gateway = None;
    for block in blocks(include_str!("../../plugin-api/GUIDE.md")) {
        let first = block.text.lines().next().unwrap_or_default();
        let place = format!("plugin-api/GUIDE.md:{}", block.line);
        match (block.language.as_str(), first) {
            ("sh", first) if first.starts_with("# not run: ") => {}
            ("sh", first) if first.starts_with("# run ") && first.contains("by tests") => {
                if first.contains("with a compiler") && compiler.is_none() {
                    continue;
                }
                let needs_gateway = first.contains("with a gateway");
                if needs_gateway && gateway.is_none() {
                    gateway = Some(workshop.home.start());
                }
                // Another plugin is there at the next start only.
                if !needs_gateway {
                    gateway = None;
                }
                workshop.shell(&block.text).unwrap_or_else(|why| panic!("{place}: {why}"));
            }
            ("rust", first) => {
                let file = first.strip_prefix("// ").unwrap_or_else(|| panic!("{place}: names no file"));
                let path = workshop.home.path().join(PROJECT).join(file);
                assert!(path.is_file(), "{place}: the project has no {file}");
                std::fs::write(&path, &block.text).expect("a file can be written");
            }
            ("c", "// compiled by tests") => {
                let text: String = block.text.split_inclusive('\n').skip(1).collect();
                if let Some(compiler) = &compiler {
                    compiler.check("c99", &text).unwrap_or_else(|why| panic!("{place}: {why}"));
                }
            }
            ("text", _) => {}
            (language, first) => panic!("{place}: a block of {language:?} begins with {first:?}"),
        }
    }
}

/// The guide's links lead somewhere.
#[test]
fn links_lead_somewhere() {
    let guide = include_str!("../../plugin-api/GUIDE.md");
    for link in guide.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
        let is_web = link.starts_with("https://");
        assert!(is_web || repository().join("plugin-api").join(link).exists(), "{link} leads nowhere");
    }
}

struct Block {
    line: usize,
    language: String,
    text: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                open = Some(Block { line: number + 1, language: language.to_string(), text: String::new() });
            }
            (Some(_), Some(block)) => found.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the last block of the guide is not closed");
    found
}
