//! A plugin in C, by the header and the command that its first lines give, is a plugin like any other.

use std::fs;
use std::path::Path;

use clawhost_tests::compiler::{self, Compiler, Language};
use plugin_api::hosting;
use plugin_kit::{Harness, Who};
use serde_json::json;

#[test]
fn the_example_in_c_builds_as_it_says_and_answers() {
    let Some(compiler) = Compiler::find(Language::C) else { return };
    let folder = compiler::include().with_file_name("examples").join("c-echo");
    let source = folder.join("c_echo.c");
    let text = fs::read_to_string(&source).expect("the example can be read");
    assert!(text.lines().count() <= 50, "the example has grown: {} lines", text.lines().count());

    // As its author would: in the folder of the source, though what is made must not stay in the repository.
    let copy = tempfile::tempdir().expect("a temporary folder can be made");
    let built = copy_of(copy.path(), &folder, &source);
    let command = text.lines().find_map(|line| line.trim_start_matches([' ', '*']).strip_prefix("cc "));
    let command = format!("cc {}", command.expect("the first lines say how to build it"));
    compiler.run_documented(&command, &built).unwrap_or_else(|why| panic!("{command}: {why}"));
    compiler.library(&compiler::include(), &source, &[], &built.join("strict.so")).expect("it has no warnings");

    let entry = hosting::open(&built.join("c-echo.so")).expect("it is a plugin");
    let plugin = Harness::of_entry(entry).start();
    let params = json!({ "text": "héllo" });
    assert_eq!(plugin.call_as(Who::operator(&["operator.read"]), "c.echo", params.clone()).payload(), params);
    assert_eq!(plugin.call("c.echo", json!({ "words": 3 })).error().code, "INVALID_REQUEST");
    plugin.stop();
}

/// The header and the example, as they lie beside each other; the folder of the example.
fn copy_of(to: &Path, folder: &Path, source: &Path) -> std::path::PathBuf {
    let (include, example) = (to.join("include"), to.join("examples").join("c-echo"));
    fs::create_dir_all(&include).and_then(|()| fs::create_dir_all(&example)).expect("folders can be made");
    fs::copy(compiler::include().join("gwp.h"), include.join("gwp.h")).expect("the header can be copied");
    let name = source.strip_prefix(folder).expect("it lies in its folder");
    fs::copy(source, example.join(name)).expect("the example can be copied");
    example
}
