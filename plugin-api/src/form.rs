//! The form a manifest must have, whatever it declares: said once, for gateways and for the test kit.

use std::collections::BTreeSet;

use crate::http::HttpSpec;
use crate::manifest::Manifest;

/// Names that belong to the host, beside all that begin with `host.`.
const RESERVED: [&str; 4] = ["connect", "connect.challenge", "shutdown", "tick"];
/// Scopes that the methods and events of all plugins together may ask for.
pub const MAX_SCOPES: usize = u64::BITS as usize;

impl Manifest {
    /// Whether its version, id and names are ones that a gateway takes. The error says which is not, and what would be.
    pub fn check_form(&self) -> Result<(), String> {
        if self.manifest != 1 {
            return Err(format!("manifest version {} is not known; this gateway reads version 1", self.manifest));
        }
        check_id(&self.id)?;
        let methods = self.methods.iter().map(|method| (&method.name, &method.scopes));
        let declared = methods.chain(self.events.iter().map(|event| (&event.name, &event.scopes)));
        let mut scopes = BTreeSet::new();
        for (name, asked) in declared {
            check_name(name)?;
            scopes.extend(asked);
        }
        if scopes.len() > MAX_SCOPES {
            return Err(format!(
                "it asks for {} different scopes, and at most {MAX_SCOPES} are possible",
                scopes.len()
            ));
        }
        self.http.iter().try_for_each(check_http)
    }
}

/// Paths that belong to the host.
const OWN_PATHS: [&str; 2] = ["/metrics", "/__openclaw__/cap"];

/// The form of a row of `http`.
fn check_http(row: &HttpSpec) -> Result<(), String> {
    let path = &row.path;
    let fits = |c: char| c.is_ascii_graphic() && !"?#%\\\"<>".contains(c);
    let segments: Vec<&str> = row.prefix().split('/').skip(1).collect();
    let plain = segments.iter().all(|segment| !segment.is_empty() && *segment != "." && *segment != "..");
    if !path.starts_with('/') || path.len() > 256 || !path.chars().all(fits) || !plain {
        let form = "begin with '/' and have up to 256 visible ASCII characters without '%', '?', '#', quotes, \
                    backslashes and empty or dot segments";
        return Err(format!("http path {path:?} must {form}"));
    }
    if OWN_PATHS.iter().any(|own| row.prefix() == *own || row.prefix().starts_with(&format!("{own}/"))) {
        return Err(format!("http path {path:?} is the host's"));
    }
    let verb = |verb: &String| !verb.is_empty() && verb.len() <= 16 && verb.chars().all(|c| c.is_ascii_uppercase());
    if row.verbs.is_empty() || !row.verbs.iter().all(verb) || row.verbs.iter().any(|verb| verb == "CONNECT") {
        return Err(format!("http path {path:?}: verbs are names like \"GET\", at least one"));
    }
    if row.upgrade && !row.verbs.iter().any(|verb| verb == "GET") {
        return Err(format!("http path {path:?}: a path that takes WebSockets takes GET"));
    }
    if let Some(name) = &row.surface {
        check_name(name)?;
        if row.admit != crate::http::Admission::Capability {
            return Err(format!("http path {path:?}: a surface is admitted by \"capability\""));
        }
    }
    Ok(())
}

/// The form of a plugin's id.
pub fn check_id(id: &str) -> Result<(), String> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !id.starts_with(|c: char| c.is_ascii_lowercase()) || !id.chars().all(letters) || id.len() > 64 || id == "host" {
        return Err(format!(
            "id {id:?} must be up to 64 lower-case letters, digits and '-', begin with a letter, and not be \"host\""
        ));
    }
    Ok(())
}

/// The form of a method's or an event's name. What cannot be seen in a listing cannot be granted knowingly.
fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_graphic() && !"*\"\\".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(fits) {
        let form = "1 to 128 visible ASCII characters without '*', quotes and backslashes";
        return Err(format!("name {name:?} must be {form}"));
    }
    if name.starts_with("host.") || RESERVED.contains(&name) {
        return Err(format!("name {name:?} is reserved for the host"));
    }
    Ok(())
}
