//! The examples of `plugin-api` run to their end: each drives its plugin through the kit, which fails on whatever a
//! gateway would not stand. The one in C has a test of its own, `c_plugin.rs`.

use std::collections::BTreeSet;

use clawhost_tests::program::repository;

macro_rules! examples {
    ($($name:ident: $path:literal),+ $(,)?) => {
        $(
            #[path = $path]
            mod $name;

            #[test]
            fn $name() {
                $name::main();
            }
        )+

        /// Every example in Rust that this file knows.
        const KNOWN: &[&str] = &[$(stringify!($name)),+];
    };
}

examples! {
    blocking_work: "../../plugin-api/examples/blocking_work.rs",
    call_another_method: "../../plugin-api/examples/call_another_method.rs",
    channel: "../../plugin-api/examples/channel.rs",
    echo: "../../plugin-api/examples/echo.rs",
    hear_events: "../../plugin-api/examples/hear_events.rs",
    http: "../../plugin-api/examples/http.rs",
    interim_reply: "../../plugin-api/examples/interim_reply.rs",
    key_value: "../../plugin-api/examples/key_value.rs",
    network: "../../plugin-api/examples/network.rs",
    timer: "../../plugin-api/examples/timer.rs",
}

/// It has no `main`: `runtime.rs` loads it.
const LIBRARY: &str = "as_library";

#[test]
fn every_example_is_run() {
    let folder = repository().join("plugin-api/examples");
    let files = std::fs::read_dir(folder).expect("the examples can be listed");
    let names: BTreeSet<String> = files
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, KNOWN.iter().chain([&LIBRARY]).map(|name| name.to_string()).collect());
}
