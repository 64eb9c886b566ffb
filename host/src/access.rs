//! Who may call what and hear what. Scopes become bits when a method or event is registered, so the check of a call and
//! of each receiver of a broadcast is a comparison of two integers.

use std::sync::{PoisonError, RwLock};

use plugin_api::Exposure;
use schemas::{ErrorShape, scope};

use crate::authority::Authority;

/// Roles of sockets; the place is the bit.
const ROLES: [&str; 2] = ["operator", "node"];

/// The bit of a role of sockets; none for any other.
pub fn role_bit(role: &str) -> u8 {
    ROLES.iter().position(|known| *known == role).map_or(0, |place| 1 << place)
}

/// What a method or event demands.
#[derive(Debug, Clone)]
pub struct Access {
    exposure: Exposure,
    /// Bits of the roles that it is exposed to.
    roles: u8,
    /// Bits of the scopes of which any one suffices; 0 when none is needed.
    any_of: u64,
    scopes: Vec<String>,
}

impl Access {
    /// The demand of a manifest row.
    pub fn new(exposure: Exposure, scopes: &[String]) -> Result<Self, TooManyScopes> {
        let any_of = scopes.iter().try_fold(0, |bits, scope| Ok(bits | bit_of(scope)?))?;
        let roles = ROLES.iter().filter(|role| exposure.admits(role)).fold(0, |bits, role| bits | role_bit(role));
        Ok(Access { exposure, roles, any_of, scopes: scopes.to_vec() })
    }

    /// Whether only plugins and the host may use it.
    pub fn is_internal(&self) -> bool {
        self.exposure == Exposure::Internal
    }

    /// Whether a holder of this role and these scope bits may.
    pub fn admits(&self, authority: &Authority) -> bool {
        self.roles & authority.role_bit() != 0 && (self.any_of == 0 || self.any_of & authority.scope_bits() != 0)
    }

    /// Whether it may be sent to this one, whom a plugin chose. Scopes are asked of operators: nobody else has any, and a
    /// plugin that names a connection of another role means it.
    pub fn admits_chosen(&self, authority: &Authority) -> bool {
        let has_scopes = authority.role() == ROLES[0];
        if has_scopes { self.admits(authority) } else { self.roles & authority.role_bit() != 0 }
    }

    /// Checks a call from a socket, or on behalf of one. An internal method is unknown there.
    pub fn check(&self, method: &str, authority: &Authority) -> Result<(), ErrorShape> {
        if self.is_internal() {
            return Err(unknown_method(method, authority));
        }
        if self.roles & authority.role_bit() == 0 {
            return Err(wrong_role(authority));
        }
        if self.any_of != 0 && self.any_of & authority.scope_bits() == 0 {
            let missing = self.scopes.first().map_or(scope::ADMIN, String::as_str);
            return Err(ErrorShape::missing_scope(missing, &self.scopes));
        }
        if authority.reaches(method) { Ok(()) } else { Err(not_allowed(method)) }
    }
}

/// The answer to a method that nobody serves: what exists is nobody's business who could not call it.
pub fn unknown_method(method: &str, authority: &Authority) -> ErrorShape {
    if authority.role() != "operator" {
        wrong_role(authority)
    } else if !authority.is_admin() {
        ErrorShape::missing_scope(scope::ADMIN, &[scope::ADMIN.to_string()])
    } else {
        ErrorShape::invalid_request(format!("unknown method: {}", crate::frames::cut(method, 200)))
    }
}

/// The answer to a method that the configuration keeps from the caller.
pub fn not_allowed(method: &str) -> ErrorShape {
    ErrorShape::invalid_request(format!("method not allowed: {method}"))
}

fn wrong_role(authority: &Authority) -> ErrorShape {
    ErrorShape::invalid_request(format!("unauthorized role: {}", authority.role()))
}

/// More different scopes than there are bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyScopes;

impl std::fmt::Display for TooManyScopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "all plugins together use more than {} different scopes", u64::BITS)
    }
}

/// Scopes that some method or event needs; the place in the list is the bit.
static NEEDED: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Gives bits to all of these scopes, or to none: a plugin that is refused takes nothing from those that are not.
pub fn reserve<'a>(scopes: impl Iterator<Item = &'a String>) -> Result<(), TooManyScopes> {
    let mut needed = NEEDED.write().unwrap_or_else(PoisonError::into_inner);
    let known = needed.len();
    for scope in scopes {
        if !needed.contains(scope) {
            needed.push(scope.clone());
        }
    }
    if needed.len() > u64::BITS as usize {
        needed.truncate(known);
        return Err(TooManyScopes);
    }
    Ok(())
}

fn bit_of(scope: &str) -> Result<u64, TooManyScopes> {
    let mut needed = NEEDED.write().unwrap_or_else(PoisonError::into_inner);
    let place = match needed.iter().position(|known| known == scope) {
        Some(place) => place,
        None if needed.len() == u64::BITS as usize => return Err(TooManyScopes),
        None => {
            needed.push(scope.to_string());
            needed.len() - 1
        }
    };
    Ok(1 << place)
}

/// The bits of every needed scope that the held ones satisfy.
pub fn satisfied_bits(held: &[String]) -> u64 {
    let needed = NEEDED.read().unwrap_or_else(PoisonError::into_inner);
    needed
        .iter()
        .enumerate()
        .filter(|(_, needed)| scope::any_satisfies(held, needed))
        .fold(0, |bits, (place, _)| bits | 1 << place)
}
