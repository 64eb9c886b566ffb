//! Writes what fuzzing begins with into `tests/fuzz/corpus/<target>`, where the fuzzer looks for it and adds to it.

use std::process::ExitCode;

use clawhost_tests::fuzzed::TARGETS;
use clawhost_tests::program::repository;
use clawhost_tests::seeds;

fn main() -> ExitCode {
    for target in TARGETS {
        let folder = repository().join("tests/fuzz/corpus").join(target.name);
        let finds = seeds::finds(target.name).into_iter().map(|(_, find)| find);
        let seeds: Vec<Vec<u8>> = seeds::of(target.name).into_iter().chain(finds).collect();
        let write = |(number, seed): (usize, &Vec<u8>)| std::fs::write(folder.join(format!("seed-{number:04}")), seed);
        let written = std::fs::create_dir_all(&folder).and_then(|()| seeds.iter().enumerate().try_for_each(write));
        if let Err(error) = written {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
        println!("{}: {} seeds", target.name, seeds.len());
    }
    ExitCode::SUCCESS
}
