//! The gateway as a service: what is written for systemd, what systemd is asked, and what a supervisor reads in the exit
//! code. A stand-in for `systemctl` writes down how it was called; the unit is checked by systemd's own tool where there
//! is one.

#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use clawhost_tests::program::{Home, Outcome};

/// A home in which `systemctl` is the stand-in: it answers `status` with the code in the file `status`.
struct World {
    home: Home,
}

impl World {
    fn new() -> Self {
        let home = Home::default();
        let programs = home.path().join("programs");
        std::fs::create_dir(&programs).expect("a folder can be made");
        let program = programs.join("systemctl");
        let script = "#!/bin/sh\necho \"$*\" >> \"$HOME/calls\"\nif [ \"$2\" = status ]; then exit \"$(cat \"$HOME/status\")\"; fi\n";
        std::fs::write(&program, script).expect("a file can be written");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("a file can be made executable");
        World { home }
    }

    fn run(&self, line: &str) -> Outcome {
        let mut command = self.home.command(line.split_whitespace());
        let path = std::env::var("PATH").expect("a PATH");
        command.env("PATH", format!("{}:{path}", self.home.path().join("programs").display()));
        command.env_remove("XDG_CONFIG_HOME");
        Outcome::of(command, line)
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.home.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    fn unit(&self) -> PathBuf {
        self.home.path().join(".config/systemd/user/clawhost.service")
    }
}

#[test]
fn a_service_is_installed_started_and_taken_away() {
    let world = World::new();
    let outcome = world.run("service install --state-dir kept");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let unit = world.unit();
    let text = std::fs::read_to_string(&unit).expect("a unit");
    let state = world.home.path().join("kept");
    assert!(text.contains(&format!("\"run\" \"--state-dir\" \"{}\"", state.display())), "{text}");
    assert!(text.contains("Restart=on-failure") && text.contains("RestartPreventExitStatus=2"), "{text}");
    let enable = format!("--user enable {}", unit.display());
    let calls = [enable.as_str(), "--user stop clawhost", "--user start clawhost"];
    assert_eq!(world.calls(), calls, "one that ran before runs on with nothing of what it was");

    for (code, word) in [("0", "running"), ("3", "stopped"), ("4", "not-installed")] {
        std::fs::write(world.home.path().join("status"), code).expect("a file can be written");
        let outcome = world.run("service status --json");
        assert_eq!((outcome.code, outcome.out.trim()), (Some(0), format!(r#"{{"service":"{word}"}}"#).as_str()));
    }

    let outcome = world.run("service uninstall");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(!unit.exists());
    let disable = format!("--user disable {}", unit.display());
    assert_eq!(world.calls()[world.calls().len() - 2..], ["--user stop clawhost".to_string(), disable]);
}

#[test]
fn a_node_is_a_service_of_its_own_with_its_flags() {
    let world = World::new();
    let pin = "ab".repeat(32);
    let outcome = world.run(&format!(
        "node install --state-dir kept --url wss://gateway:1 --tls-fingerprint {pin} --name box --camera test --screen"
    ));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let unit = world.home.path().join(".config/systemd/user/clawhost-node.service");
    let text = std::fs::read_to_string(&unit).expect("a unit");
    let state = world.home.path().join("kept");
    let line = format!(
        "\"node\" \"run\" \"--state-dir\" \"{}\" \"--url\" \"wss://gateway:1\" \"--tls-fingerprint\" \"{pin}\" \
         \"--name\" \"box\" \"--camera\" \"test\" \"--screen\"\n",
        state.display()
    );
    assert!(text.contains(&line) && text.contains("Description=clawhost node"), "{text}");
    assert!(!world.unit().exists(), "the gateway's own is another one");
    let outcome = world.run("node install --token of-a-gateway");
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(!outcome.err.contains("of-a-gateway"), "{outcome:?}");
    let calls = world.calls();
    let outcome = world.run("node install --setup-code eyJ1cmwiOiJ3czovL2g6MSIsImJvb3RzdHJhcFRva2VuIjoidCJ9");
    assert!(outcome.code == Some(2) && outcome.err.contains("node run --setup-code"), "{outcome:?}");
    assert_eq!(world.calls(), calls, "a service that would not be what was asked for is none");
    assert_eq!(world.run("node uninstall").code, Some(0));
    assert!(!unit.exists());
}

#[test]
fn the_password_of_a_camera_is_for_its_owner_alone() {
    let world = World::new();
    let file = world.home.path().join("kept/node-cameras");
    let unit = world.home.path().join(".config/systemd/user/clawhost-node.service");
    let camera = "rtsp://me:s3cret@camera/1";
    let outcome = world.run(&format!("node install --state-dir kept --camera {camera} --camera test"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let text = std::fs::read_to_string(&unit).expect("a unit");
    let flags = format!("\"--camera\" \"test\" \"--camera-file\" \"{}\"\n", file.display());
    assert!(text.contains(&flags) && !text.contains("s3cret"), "{text}");
    assert_eq!(std::fs::read_to_string(&file).expect("the cameras"), format!("{camera}\n"));
    assert_eq!(std::fs::metadata(&file).expect("the cameras").permissions().mode() & 0o777, 0o600);

    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("a mode can be changed");
    let run = format!("node run --state-dir kept --url ws://127.0.0.1:1 --camera-file {}", file.display());
    let outcome = world.run(&run);
    assert!(outcome.code == Some(2) && outcome.err.contains("others can read it"), "{outcome:?}");
    std::fs::write(&file, "test\n\n# none: s3cret\nfile:///s3cret\n").expect("a file can be written");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("a mode can be changed");
    let outcome = world.run(&run);
    assert!(outcome.code == Some(2) && outcome.err.contains("line 4 is no camera"), "{outcome:?}");
    assert!(!outcome.err.contains("s3cret"), "{outcome:?}");

    assert_eq!(world.run("node install --state-dir kept --camera test").code, Some(0));
    assert!(!file.exists(), "what no service needs is not kept");
    let outcome = world.run("node install --url wss://me:s3cret@gateway:1");
    assert!(outcome.code == Some(2) && !outcome.err.contains("s3cret"), "{outcome:?}");
    assert!(!std::fs::read_to_string(&unit).expect("a unit").contains("s3cret"));
}

#[test]
fn a_secret_is_not_written_into_a_unit() {
    let world = World::new();
    let outcome = world.run("service install --token of-this-gateway");
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.err.contains("token_file") && !outcome.err.contains("of-this-gateway"), "{outcome:?}");
    assert!(!world.unit().exists() && world.calls().is_empty());
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let world = World::new();
    assert_eq!(world.run("service install").code, Some(0));
    // Its manager wants a folder for sockets, which a machine without a session has not.
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--user", "--man=no"]).arg(world.unit()).env("XDG_RUNTIME_DIR", world.home.path());
    match verify.output() {
        Err(error) => eprintln!("SKIPPED systemd_finds_nothing_wrong_with_the_unit: no systemd-analyze: {error}"),
        Ok(said) => {
            let said = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
            if said.contains("Failed to initialize manager") {
                eprintln!("SKIPPED systemd_finds_nothing_wrong_with_the_unit: {said}");
            }
            assert!(!said.contains("clawhost.service"), "{said}");
        }
    }
}
