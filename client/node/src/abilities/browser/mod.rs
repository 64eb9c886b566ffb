//! A browser that this node starts, for itself alone: [`chromium`] finds, starts and ends it, `devtools` is the way to
//! talk to it, `page` what its one page can be asked for.

pub mod chromium;
mod devtools;
mod page;

pub use chromium::{Chromium, Program};
pub use page::{Picture, Size};
