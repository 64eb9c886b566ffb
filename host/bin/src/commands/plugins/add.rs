//! `clawhost plugins add`: from a file to a plugin in the configuration, with a look at what it is and what it wants.

use std::io::{ErrorKind, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use clap::Args;
use clawhost::config::Config;
use clawhost::state::read_gateway_json;
use plugin_api::Manifest;
use serde_json::json;
use tempfile::NamedTempFile;
use toml_edit::DocumentMut;

use super::LibraryArgs;
use super::check::Plan;
use super::file::Library;
use super::table::{self, Entry, Grants};
use super::{check, child, manifest};
use crate::builtin;
use crate::cli::Context;
use crate::failure::Failure;
use crate::show::{clean, print};

/// Arguments of `plugins add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    library: LibraryArgs,
    /// Grant what the plugin asks for without asking back
    #[arg(long)]
    yes: bool,
}

/// Checks, shows, asks, writes.
pub fn run(args: AddArgs, context: &Context) -> Result<(), Failure> {
    let config = args.library.config()?;
    let place = Place::find(context)?;
    let library = Library::look(&args.library.file)?;
    if check::make(&library, &Plan::all(config.as_ref()), context)?.iter().any(check::Checked::failed) {
        return Err(Failure::failed("the plugin does not do what the interface asks; nothing was written"));
    }
    let manifest = read_manifest(&library)?;
    if !context.json {
        print(&format!("\n{}\n", manifest::render(&manifest, context.style)))?;
    }
    let mut document: DocumentMut =
        place.text.parse().map_err(|error| Failure::usage(format!("{}: {error}", place.path.display())))?;
    let given = Grants::given(&document, &manifest.id);
    let wanted = Grants::wanted(&manifest).beyond(&given);
    if !wanted.is_empty() && !args.yes {
        confirm(&manifest.id, &wanted)?;
    }
    let path = library.path.to_str().ok_or_else(|| Failure::usage("the path of the file is not UTF-8"))?;
    let is_update = table::exists(&document, &manifest.id);
    let grants = if wanted.is_empty() { Grants::default() } else { given.and(wanted) };
    let sha256 = Some(library.sha256.as_str());
    let entry = Entry { id: &manifest.id, path, sha256, grants: &grants, config: config.as_ref() };
    table::write(&mut document, &entry).map_err(|why| Failure::usage(format!("{}: {why}", place.path.display())))?;
    place.write(&document.to_string())?;
    say(&manifest, &place, is_update, context)
}

fn say(manifest: &Manifest, place: &Place, is_update: bool, context: &Context) -> Result<(), Failure> {
    let Place { path, followed, .. } = place;
    if context.json {
        let said = json!({ "id": manifest.id, "version": manifest.version, "config": path, "updated": is_update,
                           "running": followed.is_some() });
        return print(&format!("{said}\n"));
    }
    let done = if is_update { "updated" } else { "wrote" };
    let effect = match followed {
        Some(followed) if followed == path => {
            "the gateway that is running watches its configuration: it takes this up at once".to_string()
        }
        Some(followed) => format!("the gateway that is running does not read this file, but {}", followed.display()),
        None => "the next start takes this up".to_string(),
    };
    print(&format!("{done} [plugins.{}] in {}; {effect}\n", clean(&manifest.id), path.display()))
}

/// The manifest, of a plugin that a table of its own can switch on.
pub fn read_manifest(library: &Library) -> Result<Manifest, Failure> {
    let text = child::manifest(&library.copy)?;
    let manifest = Manifest::parse(&text).map_err(|error| Failure::failed(format!("the manifest: {error}")))?;
    if builtin::EXPECTED.contains(&manifest.id.as_str()) {
        return Err(Failure::failed(format!("{} is a plugin that is linked into this gateway already", manifest.id)));
    }
    Ok(manifest)
}

/// Asks whoever sits at the terminal; without one, somebody has to have said so on the command line.
fn confirm(id: &str, wanted: &Grants) -> Result<(), Failure> {
    let list = |what: &str, names: &[String]| match names.is_empty() {
        true => String::new(),
        false => format!("  {what} {}\n", clean(&names.join(", "))),
    };
    let asked = format!("{}{}", list("call", &wanted.invoke), list("hear", &wanted.hear));
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "{id} asks to be granted, in its own name:\n{asked}nobody is at a terminal to be asked; --yes grants it. \
             Nothing was written"
        )));
    }
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{} asks to be granted, in its own name:\n{asked}grant it? [y/N] ", clean(id));
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        true => Ok(()),
        false => Err(Failure::failed("not granted; nothing was written")),
    }
}

/// The configuration file that is written to.
struct Place {
    path: PathBuf,
    text: String,
    /// The file that the gateway which is running follows.
    followed: Option<PathBuf>,
}

impl Place {
    /// The file that is named; else the one that the gateway which is running follows, wherever it was started; else the
    /// one that a gateway started here would follow.
    fn find(context: &Context) -> Result<Self, Failure> {
        let config = Config::load(context.target.overrides(), |name| std::env::var(name).ok());
        let config = config.map_err(|error| Failure::usage(error.to_string()))?;
        let here = config.followed();
        let running = read_gateway_json(&config.gateway.state_dir);
        // A gateway that does not say is taken to follow what one that is started here would.
        let followed = running.map(|running| whole(running.config.unwrap_or_else(|| here.clone())));
        let is_named = config.file.is_some_and(|file| file.is_named);
        let path = whole(followed.clone().filter(|_| !is_named).unwrap_or(here));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::usage(format!("{}: cannot be read: {error}", path.display()))),
        };
        Ok(Place { path, text, followed })
    }

    /// Replaces the file at once and as a whole, if it is right; who may read it stays as it is.
    fn write(&self, text: &str) -> Result<(), Failure> {
        if let Some(issue) = Config::validate_text(text).first() {
            return Err(Failure::failed(format!("{}; nothing was written to {}", issue.message, self.path.display())));
        }
        replace(&self.path, text)
            .map_err(|error| Failure::failed(format!("{}: cannot be written: {error}", self.path.display())))
    }
}

/// The file itself is replaced, not a link to it.
fn whole(path: PathBuf) -> PathBuf {
    path.canonicalize().unwrap_or(path)
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // A temporary file is for its owner only, which is also right for a configuration that is new.
    let mut file = NamedTempFile::new_in(folder)?;
    if let Ok(old) = std::fs::metadata(path) {
        let new = file.as_file().metadata()?;
        // Written by root, it still has to be read by the gateway's user.
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
        file.as_file().set_permissions(std::fs::Permissions::from_mode(old.permissions().mode() & 0o7777))?;
    }
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_keeps_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("config.toml");
        std::fs::write(&path, "a").unwrap();
        // Only root can give a file away.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(4711), Some(4712)).unwrap();
        }
        let owner = || std::fs::metadata(&path).map(|found| (found.uid(), found.gid())).unwrap();
        let before = owner();
        replace(&path, "b").unwrap();
        assert_eq!((owner(), std::fs::read_to_string(&path).unwrap().as_str()), (before, "b"));
    }

    #[test]
    fn a_file_is_replaced_and_keeps_its_mode() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("new/config.toml");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        replace(&path, "a").unwrap();
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, "b").unwrap();
        assert_eq!((mode(), std::fs::read_to_string(&path).unwrap().as_str()), (0o640, "b"));
    }
}
