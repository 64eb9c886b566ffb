//! Sessions and transcripts on disk: one SQLite file in the plugin's folder. What cannot be read is an error at the start, and
//! nothing is written over it.

pub mod sessions;
mod steps;
pub mod transcripts;

use database::Shape;

/// Name of the file in the plugin's folder.
pub const FILE: &str = "sessions.db";
/// What is in it. Transcripts may be large, and are not looked at at each start.
pub const SHAPE: Shape = Shape::new(FILE, "sessions", steps::ALL).checked(&["sessions", "conversations"]);
