//! Projects of plugin authors, written by the program and built as it says, with the sources of other people's crates that
//! this build has already and one folder of build products for all of them.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{Home, repository};
use crate::support::clawhost;

/// A home folder with projects in it.
pub struct Workshop {
    /// Where the projects are, and the state of gateways.
    pub home: Home,
    products: PathBuf,
}

impl Workshop {
    /// `products` is the folder of build products, which is kept from one run to the next.
    pub fn new(products: &Path) -> Self {
        let home = Home::default();
        let programs = home.path().join("bin");
        std::fs::create_dir(&programs).expect("a folder can be made");
        symlink(clawhost(), programs.join("clawhost")).expect("a link can be made");
        std::fs::create_dir_all(products).expect("a folder can be made");
        Workshop { home, products: products.to_path_buf() }
    }

    /// Runs a block of shell in the home folder; what it printed if it fails. A project that it has written builds into the
    /// common folder from then on.
    pub fn shell(&self, block: &str) -> Result<String, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(self.home.path().join("bin")).chain(std::env::split_paths(&path));
        let own = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let kept = |name: &str, usual: &str| std::env::var_os(name).map_or_else(|| own.join(usual), PathBuf::from);
        let mut command = Command::new("bash");
        self.home.isolate(&mut command);
        command.current_dir(self.home.path()).args(["-c", &format!("set -euo pipefail\n{block}")]);
        command.env("PATH", std::env::join_paths(path).expect("no folder has a separator in its name"));
        // Where a person's cargo finds itself and what it has downloaded; nothing else is downloaded here.
        command.env("CARGO_HOME", kept("CARGO_HOME", ".cargo")).env("RUSTUP_HOME", kept("RUSTUP_HOME", ".rustup"));
        command.env("CARGO_NET_OFFLINE", "true").env("RUSTUP_TOOLCHAIN", toolchain());
        command.env_remove("CARGO_TARGET_DIR").env_remove("CFLAGS").env_remove("RUSTFLAGS");
        let output = command.output().expect("bash runs");
        self.share_products();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        if output.status.success() { Ok(out) } else { Err(format!("{block}\n{}\n{out}\n{err}", output.status)) }
    }

    fn share_products(&self) {
        for project in std::fs::read_dir(self.home.path()).expect("the home can be listed").flatten() {
            let target = project.path().join("target");
            if project.path().join("Cargo.toml").is_file() && !target.exists() {
                symlink(&self.products, target).expect("a link can be made");
            }
        }
    }
}

/// The toolchain that builds these tests: a home of its own has no default, and a folder of ours no override.
fn toolchain() -> String {
    std::env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| {
        let output = Command::new("rustup").args(["show", "active-toolchain"]).current_dir(repository()).output();
        let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        said.split_whitespace().next().unwrap_or("stable").to_string()
    })
}
