//! Makes the set of plugins that proves the draft of the interface anew, or freezes it under the name of a version.

use std::process::ExitCode;

use clawhost_tests::abi_set::{self, AbiSet};

const USAGE: &str = "usage: abi_set remake draft | abi_set freeze VERSION";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (set, then) = match words[..] {
        ["remake", name] => (abi_set::remake(name), "the commit that takes it has to say so, and why"),
        ["freeze", name] => (abi_set::freeze(name), "nobody changes it from now on"),
        _ => (Err(USAGE.to_string()), ""),
    };
    match set {
        Ok(set) => {
            report(&set);
            println!("{}: {then}", set.name);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn report(set: &AbiSet) {
    for library in set.libraries() {
        let size = std::fs::metadata(&library).map_or(0, |data| data.len());
        println!("{} {size} bytes", library.file_name().unwrap_or_default().to_string_lossy());
    }
}
