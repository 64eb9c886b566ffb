//! Finds the entry of a plugin in a shared library.

use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};

use super::instance::{EntryError, checked};
use crate::abi::gwp_entry;

/// The symbol of this major. Its terminating zero saves a copy.
const SYMBOL: &[u8] = b"gwp_entry_v1\0";

/// Why a file gave no entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// The system's loader refused it; in its own words.
    Library(String),
    /// It is a library, but no plugin of this major.
    Symbol,
    /// It has an entry that this host cannot use.
    Entry(EntryError),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpenError::Library(why) => write!(f, "the system cannot load it: {why}"),
            OpenError::Symbol => f.write_str(
                "it exports no gwp_entry_v1: a library, but no plugin (in Rust, is `plugin_api::dylib!` missing?)",
            ),
            OpenError::Entry(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

/// Loads a library and finds its entry. The library stays mapped until the process ends: threads and thread-local
/// destructors of a plugin may outlive every instance of it.
///
/// This runs code of the file (its initialisers), so whoever calls it has decided to trust the file. It blocks.
pub fn open(path: &Path) -> Result<&'static gwp_entry, OpenError> {
    // SAFETY: running the initialisers of a library is what the caller asked for.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| OpenError::Library(in_full(&error)))?;
    // SAFETY: the pointer is only looked at through `checked`.
    let symbol: Result<Symbol<*const gwp_entry>, _> = unsafe { library.get(SYMBOL) };
    let address = symbol.map(|symbol| symbol.into_raw().cast::<gwp_entry>().cast_const());
    std::mem::forget(library);
    let address = address.map_err(|_| OpenError::Symbol)?;
    // SAFETY: the symbol's address is that of the library's entry, and the library is never unmapped.
    unsafe { checked(address) }.map_err(OpenError::Entry)
}

/// An error with its cause: which symbol or which other library is missing stands in the latter.
fn in_full(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
