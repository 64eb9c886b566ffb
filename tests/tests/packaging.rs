//! The Debian package, the units of systemd and the Dockerfile: what they name exists, and says the same in each of them.
//! Building a package or an image takes minutes and tools; what can be wrong in the texts is found without.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use clawhost_tests::command_line::{commands, fault};
use clawhost_tests::compiler::skip;
use clawhost_tests::program::{Home, Outcome, repository};
use clawhost_tests::support::clawhost;

fn read(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The manifest of the program's package, and what it says about the Debian one.
fn deb() -> toml::Table {
    let manifest: toml::Table = read("host/bin/Cargo.toml").parse().expect("it is TOML");
    manifest["package"]["metadata"]["deb"].as_table().expect("a table").clone()
}

/// What goes into the package: where it comes from, seen from the top of the repository, and where it goes to.
fn assets() -> Vec<(PathBuf, PathBuf)> {
    let rows = deb()["assets"].as_array().expect("a list").clone();
    let text = |row: &toml::Value, at: usize| row[at].as_str().expect("a path").to_string();
    let place = |row: &toml::Value| {
        let (from, to) = (text(row, 0), text(row, 1));
        let to = if to.ends_with('/') {
            Path::new(&to).join(from.rsplit('/').next().expect("a name"))
        } else {
            PathBuf::from(&to)
        };
        // Paths are seen from the crate's folder, but for those that cargo makes.
        (PathBuf::from(from.strip_prefix("../../").unwrap_or(&from)), Path::new("/").join(to))
    };
    rows.iter().map(place).collect()
}

/// Keys and values of a unit, in order.
fn unit(name: &str) -> Vec<(String, String)> {
    let text = read(Path::new("packaging").join(name));
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    lines.map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn value<'a>(unit: &'a [(String, String)], key: &str) -> &'a str {
    let mut found = unit.iter().filter(|(name, _)| name == key);
    let (_, value) = found.next().unwrap_or_else(|| panic!("{key} is missing"));
    assert!(found.next().is_none(), "{key} is said twice");
    value
}

#[test]
fn what_the_package_holds_is_there_or_is_made() {
    let home = Home::default();
    let mut generate = Command::new(repository().join("packaging/generate.sh"));
    home.isolate(&mut generate);
    generate.arg(clawhost()).arg(home.path().join("made"));
    let outcome = Outcome::of(generate, "packaging/generate.sh");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let mut goals = BTreeSet::new();
    for (from, to) in assets() {
        assert!(goals.insert(to.clone()), "{} is put there twice", to.display());
        if from == Path::new("target/release/clawhost") {
            assert_eq!(to, Path::new("/usr/bin/clawhost"));
            continue;
        }
        let there = match from.strip_prefix("target/packaging") {
            Ok(made) => home.path().join("made").join(made),
            Err(_) => repository().join(&from),
        };
        let found = match matched(&there) {
            Some(files) => !files.is_empty(),
            None => there.metadata().is_ok_and(|found| found.is_file() && found.len() > 0),
        };
        assert!(found, "{} would not be found", from.display());
    }
    let deb = deb();
    for file in deb["conf-files"].as_array().expect("a list") {
        let file = Path::new(file.as_str().expect("a path"));
        assert!(goals.contains(file), "{} is not in the package", file.display());
    }
    let build = read("packaging/debian/build.sh");
    assert!(build.contains("packaging/generate.sh target/release/clawhost target/packaging\n"), "{build}");
}

/// The names of the files that `folder/*` or `folder/*.ending` stands for.
fn matched(pattern: &Path) -> Option<Vec<OsString>> {
    let ending = pattern.file_name()?.to_str()?.strip_prefix('*')?;
    let entries = pattern.parent()?.read_dir().into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name());
    Some(files.filter(|name| name.to_str().is_some_and(|name| name.ends_with(ending))).collect())
}

/// Where each file of the repository goes that is packaged as it is.
fn packaged() -> BTreeMap<PathBuf, PathBuf> {
    let mut files = BTreeMap::new();
    for (from, to) in assets() {
        match matched(&repository().join(&from)) {
            Some(names) => {
                files.extend(names.into_iter().map(|name| (to.with_file_name(&name), from.with_file_name(name))))
            }
            None => drop(files.insert(to, from)),
        }
    }
    files
}

/// A path without the steps back in it.
fn straight(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut straight, part| {
        if part == Component::ParentDir {
            straight.pop();
        } else {
            straight.push(part);
        }
        straight
    })
}

/// Whoever reads a page of the package finds what it points at beside it: its links, and what Prometheus and Grafana are told.
#[test]
fn what_the_packaged_pages_point_at_is_packaged_too() {
    let files = packaged();
    let mut seen = BTreeSet::new();
    for (page, from) in files.iter().filter(|(page, _)| page.extension().is_some_and(|ending| ending == "md")) {
        let text = read(from);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
        let links = links.map(|link| page.with_file_name(link.split('#').next().unwrap_or_default()));
        let words = text.split(|c: char| c.is_whitespace() || "`()".contains(c));
        let words = words.map(|word| word.trim_end_matches(['.', ',', ';']));
        let watched = ["packaging/prometheus", "packaging/grafana"];
        let words = words.filter(|word| watched.iter().any(|folder| word.starts_with(folder)));
        for pointed in links.chain(words.map(|word| Path::new("/usr/share/doc/clawhost").join(word))) {
            let pointed = straight(&pointed);
            let is_there = files.keys().any(|file| file.starts_with(&pointed));
            assert!(is_there, "{} points at {}", from.display(), pointed.display());
            seen.insert(pointed);
        }
    }
    let alerts = Path::new("/usr/share/doc/clawhost/packaging/prometheus/clawhost.alerts.yml");
    assert!(seen.contains(alerts) && seen.contains(Path::new("/usr/share/doc/clawhost/ARCHITECTURE.md")), "{seen:?}");
}

#[test]
fn scripts_are_what_their_shells_take() {
    for (shell, script) in [
        ("bash", "packaging/generate.sh"),
        ("bash", "packaging/debian/build.sh"),
        ("sh", "packaging/debian/postinst"),
        ("sh", "packaging/debian/postrm"),
    ] {
        let outcome = Outcome::of(
            {
                let mut command = Command::new(shell);
                command.arg("-n").arg(repository().join(script));
                command
            },
            script,
        );
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
    let (script, service) = (read("packaging/debian/postinst"), unit("clawhost.service"));
    assert!(script.contains("adduser --system") && script.contains(&format!(" {}\n", value(&service, "User"))));
    assert!(deb()["depends"].as_str().expect("a list").contains("adduser"));
    for script in ["packaging/debian/postinst", "packaging/debian/postrm"] {
        assert!(read(script).contains("#DEBHELPER#"), "{script}: the units' own part has no place");
    }
}

#[test]
fn the_units_run_what_the_package_brings() {
    let home = Home::default();
    let commands = commands(&home);
    for name in ["clawhost.service", "clawhost.user.service"] {
        let unit = unit(name);
        let line = value(&unit, "ExecStart");
        let (program, _) = line.split_once(' ').expect("a program and its words");
        let is_there = assets().iter().any(|(_, to)| to == Path::new(program));
        assert!(is_there, "{name}: {program} is not in the package");
        assert_eq!(fault(&commands, &line.replace(program, "clawhost")), None, "{name}");
        assert_eq!(value(&unit, "Documentation"), "man:clawhost(1)");
    }
    let machine = unit("clawhost.service");
    let line = value(&machine, "ExecStart");
    let state = format!("--state-dir /var/lib/{}", value(&machine, "StateDirectory"));
    let config = deb()["conf-files"][0].as_str().expect("a path").to_string();
    assert!(line.ends_with(&state) && line.contains(&format!("--config {config} ")), "{line}");
    assert_eq!(value(&machine, "StateDirectoryMode"), "0700");
    for kept in ["NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "CapabilityBoundingSet="] {
        assert!(read("packaging/clawhost.service").contains(&format!("\n{kept}\n")), "{kept}");
    }
}

/// How often and when a gateway is started again is one decision, in whichever way it became a service.
#[test]
fn every_unit_supervises_alike() {
    let home = Home::default();
    let programs = home.path().join("programs");
    std::fs::create_dir(&programs).expect("a folder can be made");
    std::os::unix::fs::symlink("/bin/true", programs.join("systemctl")).expect("a link can be made");
    let mut install = home.command(["service", "install"]);
    install.env("PATH", &programs).env_remove("XDG_CONFIG_HOME");
    if !cfg!(target_os = "linux") {
        return;
    }
    assert_eq!(Outcome::of(install, "service install").code, Some(0));
    let text = std::fs::read_to_string(home.path().join(".config/systemd/user/clawhost.service")).expect("a unit");
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let written: Vec<(String, String)> = lines.map(|(key, value)| (key.to_string(), value.to_string())).collect();
    for name in ["clawhost.service", "clawhost.user.service"] {
        let packaged = unit(name);
        for key in [
            "Description",
            "StartLimitIntervalSec",
            "StartLimitBurst",
            "Restart",
            "RestartSec",
            "RestartPreventExitStatus",
            "TimeoutStopSec",
            "LimitNOFILE",
            "UMask",
            "NoNewPrivileges",
        ] {
            assert_eq!(value(&packaged, key), value(&written, key), "{name}: {key}");
        }
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_packaged_units() {
    let home = Home::default();
    for (name, scope) in [("clawhost.service", "--system"), ("clawhost.user.service", "--user")] {
        // It looks for the program, which is not installed here.
        let text =
            read(Path::new("packaging").join(name)).replace("/usr/bin/clawhost", &clawhost().display().to_string());
        let file = home.path().join(name);
        std::fs::write(&file, text).expect("a file can be written");
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", scope, "--man=no"]).arg(&file).env("XDG_RUNTIME_DIR", home.path());
        match verify.output() {
            Err(error) => return skip("CLAWHOST_REQUIRE_SYSTEMD", &format!("no systemd-analyze: {error}")),
            Ok(said) => {
                let said =
                    format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
                assert!(!said.contains(name), "{said}");
            }
        }
    }
}

#[test]
fn the_image_runs_commands_that_exist_and_not_as_root() {
    let home = Home::default();
    let commands = commands(&home);
    let text = read("Dockerfile").replace("\\\n", " ");
    let steps: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(step, words)| (step, words.trim()))
        .collect();
    let last = steps.iter().rposition(|(step, _)| *step == "FROM").expect("an image to begin with");
    let of = |wanted: &str| -> Vec<&str> {
        steps[last..].iter().filter(|(step, _)| *step == wanted).map(|(_, words)| *words).collect()
    };
    let list = |words: &str| -> Vec<String> {
        serde_json::from_str(&words[words.find('[').expect("a list")..]).expect("the form that needs no shell")
    };
    let started = [list(of("ENTRYPOINT")[0]), list(of("CMD")[0])].concat().join(" ");
    assert_eq!(started, "clawhost run");
    for line in [started, list(of("HEALTHCHECK")[0]).join(" ")] {
        assert_eq!(fault(&commands, &line), None);
    }
    let user = of("USER")[0];
    let number = user.split(':').next().and_then(|id| id.parse::<u32>().ok()).expect("a number");
    assert!(number > 0 && of("RUN").iter().any(|run| run.contains(&format!("--uid {number} "))), "{user}");

    let state = of("VOLUME")[0];
    assert!(of("ENV")[0].contains(&format!("CLAWHOST_STATE_DIR={state}")) && of("WORKDIR") == [state]);
    assert!(of("RUN").iter().any(|run| run.contains(&format!("install -d -m 0700 -o clawhost -g clawhost {state}"))));
    let default = format!("port = {}\n", of("EXPOSE")[0]);
    assert!(read("config.toml").contains(&default), "{default}");
    let copied = of("COPY");
    assert_eq!(copied, ["--from=build /src/target/release/clawhost /usr/local/bin/clawhost"]);

    let manifest: toml::Table = read("Cargo.toml").parse().expect("it is TOML");
    let oldest = manifest["workspace"]["package"]["rust-version"].as_str().expect("a version").to_string();
    assert!(steps[0].1.starts_with(&format!("rust:{oldest}-")), "{:?} is not built with {oldest}", steps[0]);
    let build = steps[..last].iter().find(|(_, words)| words.starts_with("cargo build")).expect("the program is built");
    assert!(build.1.contains("--locked") && build.1.contains("--package clawhost-bin"), "{build:?}");
    let ignored = read(".dockerignore");
    for name in [".git", "**/target", "**/node_modules"] {
        assert!(ignored.lines().any(|line| line == name), "{name} would be sent along");
    }
}

/// What the comment at the top of the Dockerfile says: loopback unless said otherwise, and then not without a secret.
#[test]
fn a_container_is_told_to_listen_and_with_what_secret() {
    let home = Home::default();
    let said = |pairs: &[(&str, &str)]| {
        let mut command = home.command(["config", "check"]);
        command.envs(pairs.iter().copied());
        Outcome::of(command, "config check")
    };
    let bind = ("CLAWHOST_GATEWAY_BIND", "lan");
    assert_eq!(said(&[bind]).code, Some(2));
    assert_eq!(said(&[bind, ("CLAWHOST_GATEWAY_TOKEN", "5f1e8c0d9b7a6e4f3c2d1a0b")]).code, Some(0));
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains("-e CLAWHOST_GATEWAY_BIND=lan") && dockerfile.contains("-e CLAWHOST_GATEWAY_TOKEN="));
}
