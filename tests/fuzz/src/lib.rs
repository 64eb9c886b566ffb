//! The doors of `tests/src/fuzzed`, built for a fuzzer.

#[path = "../../src/fuzzed/mod.rs"]
pub mod fuzzed;
