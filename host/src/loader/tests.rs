use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use ed25519_dalek::{Signer, SigningKey};
use tempfile::TempDir;

use super::*;

/// A folder with a file in it that has the form of a library: this program itself.
struct Place {
    root: TempDir,
    file: PathBuf,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("libx.so");
        fs::copy(std::env::current_exe().unwrap(), &file).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        Place { root, file }
    }

    fn store(&self) -> PathBuf {
        self.root.path().join("state/plugins")
    }

    fn admit(&self, checks: &Checks) -> Result<Admitted, Refusal> {
        admit(&self.store(), &self.file, checks)
    }

    fn refused(&self) -> String {
        self.admit(&unpinned()).unwrap_err().to_string()
    }

    fn sum(&self) -> String {
        file::read(&self.file).unwrap().sha256
    }
}

fn unpinned() -> Checks {
    Checks { allow_unpinned: true, ..Checks::default() }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_checked_file_is_copied_once_and_the_copy_outlives_the_original() {
    let place = Place::new();
    let checks = Checks { sha256: Some(place.sum()), ..Checks::default() };
    let admitted = place.admit(&checks).unwrap();
    let bytes = fs::read(&place.file).unwrap();
    assert_eq!(admitted.copy, place.store().join(format!("{}.so", place.sum())));
    assert_eq!((mode(&place.store()), mode(&admitted.copy)), (0o700, 0o400));
    fs::write(&place.file, "#!/bin/sh\n").unwrap();
    assert!(fs::read(&admitted.copy).unwrap() == bytes);
    assert!(matches!(place.admit(&checks).unwrap_err().fault, Fault::Sum { .. }));

    // A copy that somebody has damaged is made anew.
    fs::write(&place.file, &bytes).unwrap();
    fs::remove_file(&admitted.copy).unwrap();
    fs::write(&admitted.copy, "half").unwrap();
    assert_eq!(place.admit(&checks).unwrap(), admitted);
    assert!(fs::read(&admitted.copy).unwrap() == bytes && mode(&admitted.copy) == 0o400);
    assert_eq!(fs::read_dir(place.store()).unwrap().count(), 1, "nothing half written is left");
}

#[test]
fn sums_and_signatures_say_what_would_be_right() {
    let place = Place::new();
    let sum = place.sum();
    let said = place.admit(&Checks::default()).unwrap_err().to_string();
    assert!(said.contains("libx.so") && said.contains(&format!("add sha256 = \"{sum}\"")), "{said}");
    let other = "0".repeat(64);
    let said = place.admit(&Checks { sha256: Some(other.clone()), ..unpinned() }).unwrap_err().to_string();
    assert!(said.contains(&sum) && said.contains(&other) && said.contains("replaced by another build"), "{said}");

    let (signer, stranger) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
    let bytes = fs::read(&place.file).unwrap();
    let signed = |by: &SigningKey| Checks {
        keys: vec![stranger.verifying_key(), signer.verifying_key()],
        signature: Some(by.sign(&bytes)),
        ..unpinned()
    };
    assert!(place.admit(&signed(&signer)).is_ok());
    let unsigned = Checks { signature: None, ..signed(&signer) };
    assert!(place.admit(&unsigned).unwrap_err().to_string().contains("has no signature"));
    let said = place.admit(&signed(&SigningKey::from_bytes(&[3; 32]))).unwrap_err().to_string();
    assert!(said.contains("any of the 2 keys"), "{said}");
    let elsewhere = Checks { signature: Some(signer.sign(b"other bytes")), ..signed(&signer) };
    assert!(matches!(place.admit(&elsewhere).unwrap_err().fault, Fault::Signature { keys: 2 }));
}

#[test]
fn nobody_else_may_be_able_to_change_the_file() {
    let place = Place::new();
    fs::set_permissions(&place.file, Permissions::from_mode(0o664)).unwrap();
    let said = place.refused();
    assert!(said.contains("(mode 0664)") && said.contains("run chmod go-w") && said.contains("libx.so"), "{said}");
    fs::set_permissions(&place.file, Permissions::from_mode(0o644)).unwrap();

    let (above, folder) = (place.root.path().join("above"), place.root.path().join("above/folder"));
    fs::create_dir_all(&folder).unwrap();
    let inside = Place { file: folder.join("libx.so"), ..place };
    fs::copy(inside.root.path().join("libx.so"), &inside.file).unwrap();
    fs::set_permissions(&above, Permissions::from_mode(0o777)).unwrap();
    let said = inside.refused();
    assert!(said.contains(&format!("chmod go-w {}", above.display())) && !said.contains("go-w {}/folder"), "{said}");
    fs::set_permissions(&above, Permissions::from_mode(0o1777)).unwrap();
    assert!(inside.admit(&unpinned()).is_ok(), "as in /tmp, others cannot take away what is ours");
}

#[test]
fn nobody_else_may_own_the_file_or_a_folder_above_it() {
    let place = Place::new();
    if let Err(error) = chown(&place.file, Some(54_321), None) {
        writeln!(std::io::stderr(), "SKIPPED: only root can give a file away: {error}").unwrap();
        return;
    }
    let said = place.refused();
    assert!(said.contains("libx.so belongs to user 54321") && said.contains("chown it to root"), "{said}");
    chown(&place.file, Some(0), None).unwrap();
    chown(place.root.path(), Some(54_321), None).unwrap();
    let said = place.refused();
    assert!(said.contains(&format!("{} belongs to user 54321", place.root.path().display())), "{said}");
    // That everybody may put files into a folder is harmless only if its owner is not somebody else.
    fs::set_permissions(place.root.path(), Permissions::from_mode(0o1777)).unwrap();
    assert!(place.refused().contains("belongs to user 54321"));
}

#[test]
fn what_is_no_file_is_called_by_its_name() {
    let place = Place::new();
    let at = |name: &str| Place { file: place.root.path().join(name), root: tempfile::tempdir().unwrap() };
    assert!(at("nowhere/libx.so").refused().contains("there is no such file"));
    symlink(&place.file, place.root.path().join("link.so")).unwrap();
    assert!(at("link.so").refused().contains("a symbolic link"));
    symlink("nowhere", place.root.path().join("dangling.so")).unwrap();
    assert!(at("dangling.so").refused().contains("a symbolic link"));
    fs::create_dir(place.root.path().join("folder.so")).unwrap();
    assert!(at("folder.so").refused().contains("no regular file"));
    let big = fs::File::create(place.root.path().join("big.so")).unwrap();
    big.set_len(MAX_FILE + 1).unwrap();
    assert!(at("big.so").refused().contains("are the most"));
    // Links on the way are the business of those who own the folders.
    symlink(place.root.path(), place.root.path().join("way")).unwrap();
    assert!(at("way/libx.so").admit(&unpinned()).is_ok());
}

#[test]
fn a_note_speaks_of_one_build_and_goes_when_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (one, other) = ("1".repeat(64), "2".repeat(64));
    let marker = marker::Marker::set(folder, "x", &one).unwrap();
    let Err(Fault::Crashed { marker: path }) = marker::check(folder, "x", &one) else { panic!("it was noted") };
    assert_eq!(path, folder.join("loading/x"));
    assert!(Fault::Crashed { marker: path.clone() }.to_string().contains(&format!("delete {}", path.display())));
    assert_eq!(marker::check(folder, "x", &other), Ok(()));
    assert_eq!(marker::check(folder, "y", &one), Ok(()));
    assert!(marker::is_set(folder, "x") && !marker::is_set(folder, "y"));
    drop(marker);
    assert!(!marker::is_set(folder, "x"));
    assert_eq!(marker::check(folder, "x", &one), Ok(()));
}

#[test]
fn old_copies_are_deleted_and_nothing_else() {
    let place = Place::new();
    let admitted = place.admit(&unpinned()).unwrap();
    let (old, own) = (place.store().join(format!("{}.so", "0".repeat(64))), place.store().join("libmine.so"));
    fs::write(&old, "").unwrap();
    fs::write(&own, "").unwrap();
    fs::write(place.store().join(".1.2.new"), "").unwrap();
    prune(&place.store(), &[&admitted.sha256]);
    assert!(!old.exists() && own.exists() && admitted.copy.exists());
    assert_eq!(fs::read_dir(place.store()).unwrap().count(), 2);
}
