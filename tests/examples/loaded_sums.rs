//! The plugin of the benchmark `boundary` as a shared library.

#[path = "../benches/boundary/plugin.rs"]
mod plugin;

const ID: &str = "loaded-sums";
const METHOD: &str = "loaded-sums.sum";

plugin_api::dylib!(plugin::Sums);
