#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (clawhost_fuzz::fuzzed::target("store").run)(data));
