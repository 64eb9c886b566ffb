//! What this machine may have. Each module looks for what it takes and gives its ability only where that is there.

pub mod browser;
pub mod camera;
pub mod canvas;
pub mod location;
pub mod notify;
pub mod run;
pub mod screen;
pub mod which;

mod ffmpeg;
#[cfg(feature = "geoclue")]
mod geoclue;
mod process;
mod story;

use std::path::{Path, PathBuf};

pub use browser::Program;
pub use camera::Source;
pub use location::{Known, Location};

use crate::ability::Ability;
use crate::approvals::Approvals;
use crate::gateway::Gateway;

/// What the user of this machine decided.
pub struct Chosen {
    /// The file that says who may run programs.
    pub approvals: Approvals,
    /// Whether the gateway may change that file.
    pub approvals_may_be_changed: bool,
    /// Cameras beside those that the machine has.
    pub cameras: Vec<Source>,
    /// Whether what the screen shows may be recorded.
    pub screen: bool,
    /// Where this machine stands, if it may be told.
    pub location: Option<Location>,
    /// What shows the canvas.
    pub browser: Option<Program>,
}

/// Every ability that this machine has; `gateway` is whom they work for.
pub fn of_this_machine(chosen: Chosen, gateway: &Gateway) -> Vec<Box<dyn Ability>> {
    let mut abilities: Vec<Box<dyn Ability>> = vec![
        Box::new(run::Run::new(chosen.approvals, chosen.approvals_may_be_changed, gateway.clone())),
        Box::new(which::Which),
    ];
    abilities.extend(notify::Notify::find().map(|notify| Box::new(notify) as Box<dyn Ability>));
    if let Some(ffmpeg) = ffmpeg::Ffmpeg::find() {
        abilities
            .extend(camera::Camera::find(&ffmpeg, chosen.cameras).map(|camera| Box::new(camera) as Box<dyn Ability>));
        let screen = chosen.screen.then(|| screen::Screen::find(ffmpeg)).flatten();
        abilities.extend(screen.map(|screen| Box::new(screen) as Box<dyn Ability>));
    }
    abilities.extend(chosen.location.map(|location| Box::new(location) as Box<dyn Ability>));
    let canvas = chosen.browser.map(|program| canvas::Canvas::new(program, gateway.clone()));
    abilities.extend(canvas.map(|canvas| Box::new(canvas) as Box<dyn Ability>));
    abilities
}

/// The program of this name: on the `PATH`, or where a path says. Only what may be executed counts.
pub(crate) fn program(name: &str, folder: Option<&Path>) -> Option<PathBuf> {
    if name.contains('/') {
        let place = folder.unwrap_or(Path::new("")).join(name);
        return is_executable(&place).then(|| std::path::absolute(&place).unwrap_or(place));
    }
    if name.is_empty() {
        return None;
    }
    let path = std::env::var_os("PATH")?;
    // An empty or relative entry would mean another program in every folder.
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|place| is_executable(place))
}

fn is_executable(place: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    place.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
