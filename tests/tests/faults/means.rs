//! What breaks gateways: a disk of their own, a clock of their own, and the system's limits on a process that runs.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use clawhost_tests::compiler::skip;
use clawhost_tests::support::{Builder, Gateway};
use tempfile::TempDir;

/// A file system that is small enough to be filled.
pub struct Disk {
    folder: TempDir,
}

impl Disk {
    /// One of 16 MiB. `None`, said aloud with the test's name, where nothing can be mounted.
    pub fn small(of: &str) -> Option<Disk> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let options = ["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"];
        match run(Command::new("mount").args(options).arg(folder.path())) {
            Ok(()) => Some(Disk { folder }),
            Err(why) => {
                skip("CLAWHOST_REQUIRE_MOUNT", &format!("{of}: no file system can be mounted ({why}); it takes root"));
                None
            }
        }
    }

    /// A state folder on it.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Leaves no room.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("the disk takes a file");
        loop {
            match filler.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Gives the room back.
    pub fn make_room(&self) {
        std::fs::remove_file(self.filler()).expect("the disk was filled");
    }

    /// Nothing can be written any more, or can be again. Nobody may have a file open to write.
    pub fn read_only(&self, on: bool) {
        let options = if on { "remount,ro" } else { "remount,rw" };
        run(Command::new("mount").args(["-o", options]).arg(self.folder.path())).expect("it can be mounted anew");
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whatever still has a file open there keeps it.
        if let Err(why) = run(Command::new("umount").arg("-l").arg(self.folder.path())) {
            eprintln!("{}: {why}", self.folder.path().display());
        }
    }
}

/// A wall clock that can be set, for one gateway: libfaketime. What counts spans of time is left alone, as it is when an
/// operator or NTP sets a clock.
pub struct Clock {
    library: PathBuf,
    folder: TempDir,
}

impl Clock {
    /// One that shows the time. `None`, said aloud with the test's name, where there is no libfaketime.
    pub fn find(of: &str) -> Option<Clock> {
        let places = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let library = places.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.is_file());
        let Some(library) = library else {
            let why = format!("{of}: there is no libfaketime; install Debian's package faketime");
            skip("CLAWHOST_REQUIRE_FAKETIME", &why);
            return None;
        };
        let clock = Clock { library, folder: tempfile::tempdir().expect("a temporary folder can be made") };
        clock.set(0);
        Some(clock)
    }

    /// For this gateway.
    pub fn of(&self, builder: Builder) -> Builder {
        let file = self.folder.path().join("offset");
        [
            ("LD_PRELOAD", &*self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", &*file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ]
        .into_iter()
        .fold(builder, |builder, (name, value)| builder.variable(name, value))
    }

    /// From now on it differs from the true time by so many seconds.
    pub fn set(&self, seconds: i64) {
        let (file, fresh) = (self.folder.path().join("offset"), self.folder.path().join("fresh"));
        std::fs::write(&fresh, format!("{seconds:+}\n")).expect("a file in a temporary folder");
        std::fs::rename(fresh, file).expect("a file can take another one's place");
    }
}

/// Sets a limit of a gateway that runs; `false`, said aloud with the test's name, where nobody can.
pub fn limit(of: &str, gateway: &Gateway, limit: &str) -> bool {
    let done = run(Command::new("prlimit").arg(limit).args(["--pid", &gateway.pid().to_string()]));
    if let Err(why) = &done {
        skip("CLAWHOST_REQUIRE_PRLIMIT", &format!("{of}: limits of a process cannot be set: {why}"));
    }
    done.is_ok()
}

/// How many files and sockets a process has open.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count).unwrap_or_default()
}

/// A line of `/proc/PID/status`, in KiB.
pub fn status_kib(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the gateway runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("the kernel says so")
}

/// Panics if a text says where a gateway keeps its things.
pub fn names_no_path(text: &str, state: &Path) {
    let state = state.display().to_string();
    assert!(!text.contains(&state) && !text.contains(".db"), "a path is in {text}");
}

/// A folder with all that is in it, in another place.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).expect("a file can be copied");
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_string()) }
}
