//! What may happen to a gateway that nobody means to happen: it is killed, its disk is full or damaged, the clock is set,
//! descriptors or memory run out, a plugin goes wild, the network fails. Each test says what is promised then.
//! `RELIABILITY.md` lists them with what came of long runs.
//!
//! Gateways are killed 20 times here; `CLAWHOST_KILLS=1000 cargo test -p clawhost-tests --test faults` does it so often, and
//! `CLAWHOST_KILLS_SEED` repeats the moments of a test that failed.

mod faults {
    pub mod clock;
    pub mod crowds;
    pub mod disk;
    pub mod means;
    pub mod migrations;
    pub mod network;
    pub mod pairing;
    pub mod plugins;
    pub mod torn;
}
