//! Scopes and what they satisfy. One table serves both protocol versions.

/// Passes every operator scope.
pub const ADMIN: &str = "operator.admin";
/// Reading state.
pub const READ: &str = "operator.read";
/// Causing effects; includes reading.
pub const WRITE: &str = "operator.write";
/// Deciding about exec requests.
pub const APPROVALS: &str = "operator.approvals";
/// Deciding about devices and nodes.
pub const PAIRING: &str = "operator.pairing";
/// Voice; included in writing.
pub const TALK: &str = "operator.talk";

/// The scopes that the protocol knows; plugins may need others.
pub const KNOWN: [&str; 6] = [ADMIN, READ, WRITE, APPROVALS, PAIRING, TALK];

/// Whether holding `held` satisfies a need for `needed`.
pub fn satisfies(held: &str, needed: &str) -> bool {
    held == needed
        || (held == ADMIN && needed.starts_with("operator."))
        || (held == WRITE && (needed == READ || needed == TALK))
}

/// Whether any of `held` satisfies `needed`.
pub fn any_satisfies<S: AsRef<str>>(held: &[S], needed: &str) -> bool {
    held.iter().any(|scope| satisfies(scope.as_ref(), needed))
}

/// Whether `held` covers each of `needed`: what pairing and token checks ask.
pub fn covers<H: AsRef<str>, N: AsRef<str>>(held: &[H], needed: &[N]) -> bool {
    needed.iter().all(|scope| any_satisfies(held, scope.as_ref()))
}

/// What is both held and asked for, each with all that it implies: how far a request reaches that asks for more than there
/// is to give.
pub fn meet<H: AsRef<str>, A: AsRef<str>>(held: &[H], asked: &[A]) -> Vec<String> {
    let held_of_asked = asked.iter().map(AsRef::as_ref).filter(|scope| any_satisfies(held, scope));
    let asked_of_held = held.iter().map(AsRef::as_ref).filter(|scope| any_satisfies(asked, scope));
    normalized(&held_of_asked.chain(asked_of_held).collect::<Vec<_>>())
}

/// Sorted, without doubles: the form in which scope lists are stored and shown.
pub fn normalized<S: AsRef<str>>(scopes: &[S]) -> Vec<String> {
    let mut list: Vec<String> = scopes.iter().map(|scope| scope.as_ref().to_string()).collect();
    list.sort();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implications() {
        assert!(satisfies(ADMIN, PAIRING) && satisfies(ADMIN, "operator.anything"));
        assert!(!satisfies(ADMIN, "node.secret"), "admin passes operator scopes only");
        assert!(satisfies(WRITE, READ) && !satisfies(READ, WRITE));
        assert!(!satisfies(WRITE, ADMIN) && !satisfies(PAIRING, READ));
        assert!(covers::<&str, &str>(&[], &[]));
        assert!(!covers(&[READ], &[READ, PAIRING]));
        assert_eq!(meet(&[READ], &[ADMIN]), [READ]);
        assert_eq!(meet(&[WRITE], &[READ, PAIRING]), [READ]);
        assert_eq!(normalized(&["b", "a", "b"]), ["a", "b"]);
    }
}
