#!/usr/bin/env bash
# Makes target/debian/clawhost_*.deb. Needs cargo-deb: `cargo install cargo-deb`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo build --release --locked --package clawhost-bin
packaging/generate.sh target/release/clawhost target/packaging
cargo deb --no-build --package clawhost-bin "$@"
