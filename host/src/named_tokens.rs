//! Named tokens, `[[gateway.auth.tokens]]`: secrets of services and dashboards, each with bounds of its own. Whoever shows
//! one is an operator within these bounds, on this connection only: it is paired with nothing and handed no device token,
//! so nothing it could keep outlives the token.

use std::net::IpAddr;
use std::sync::Arc;

use schemas::ErrorShape;
use schemas::protocol::Version;
use schemas::scope::meet;

use crate::authority::Authority;
use crate::config::{IpRange, Rule};
use crate::connections::Fallen;
use crate::gateway::Gateway;
use crate::revocation;
use crate::secret::Secret;

/// A secret and how far it reaches.
#[derive(Debug, Clone)]
pub struct NamedToken {
    /// What must be shown.
    pub secret: Secret,
    /// What its holder may do.
    pub bounds: Arc<Bounds>,
}

/// How far a named token reaches.
#[derive(Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Its name, for the log.
    pub name: String,
    /// Scopes that a connection may hold by it.
    pub scopes: Vec<String>,
    /// Methods that such a connection may call, as far as its scopes reach.
    pub methods: Rule,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// Where it may be used; everywhere if absent.
    pub from: Option<Vec<IpRange>>,
}

/// The bounds of the token that was shown, if it is one of these. All are compared, so that the time it takes does not
/// tell which one it was.
pub fn find<'a>(tokens: &'a [NamedToken], shown: &str) -> Option<&'a Arc<Bounds>> {
    tokens.iter().fold(None, |found, token| if token.secret.matches(shown) { Some(&token.bounds) } else { found })
}

impl Bounds {
    /// Whether the token lets in now, from there and in this role. The error is a word for the log.
    pub fn admit(&self, role: &str, address: IpAddr, now_ms: u64) -> Result<(), &'static str> {
        if role != "operator" {
            Err("named_token_role")
        } else if self.has_expired(now_ms) {
            Err("named_token_expired")
        } else if self.from.as_ref().is_some_and(|ranges| !ranges.iter().any(|range| range.contains(address))) {
            Err("named_token_address")
        } else {
            Ok(())
        }
    }

    /// Whether its time is over.
    pub fn has_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|end| end <= now_ms)
    }

    /// The scopes of a connection: what is both asked for and within the token, each with all that it implies. Who asks
    /// for none by protocol 3 has the token's, where the shared secret would make an admin.
    pub fn grant(&self, version: Version, asked: &[String]) -> Vec<String> {
        if asked.is_empty() && version == Version::V3 {
            return self.scopes.clone();
        }
        meet(&self.scopes, asked)
    }
}

/// Closes the connections whose token has expired, and ends what runs with their rights, also of those that have gone.
pub fn close_expired(gateway: &Arc<Gateway>, now_ms: u64) {
    if !gateway.handshake.auth.named.iter().any(|token| token.bounds.has_expired(now_ms)) {
        return;
    }
    let has_expired = |authority: &Authority| authority.has_expired(now_ms);
    let left_behind = gateway.calls.numbers(|call| has_expired(&call.authority));
    let mut found = !left_behind.is_empty() || gateway.exchanges.any(has_expired);
    gateway.connections.each(|connection| found |= has_expired(&connection.authority));
    if found {
        let error = ErrorShape::invalid_request("gateway auth changed");
        revocation::revoke(gateway, has_expired, Fallen::NamedToken, &error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(secret: &str, scopes: &[&str]) -> NamedToken {
        let bounds = Bounds {
            name: secret.to_string(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            methods: Rule::default(),
            expires_at_ms: Some(1_000),
            from: Some(vec!["10.0.0.0/8".parse().unwrap()]),
        };
        NamedToken { secret: Secret::new(secret), bounds: Arc::new(bounds) }
    }

    #[test]
    fn the_right_one_is_found() {
        let tokens = [token("one", &[]), token("two", &[])];
        assert_eq!(find(&tokens, "one").unwrap().name, "one");
        assert_eq!(find(&tokens, "two").unwrap().name, "two");
        assert_eq!(find(&tokens, "three"), None);
    }

    #[test]
    fn it_lets_in_within_its_time_and_place() {
        let bounds = token("one", &[]).bounds;
        let (inside, outside) = (IpAddr::from([10, 1, 2, 3]), IpAddr::from([11, 1, 2, 3]));
        assert_eq!(bounds.admit("operator", inside, 999), Ok(()));
        assert_eq!(bounds.admit("operator", inside, 1_000), Err("named_token_expired"));
        assert_eq!(bounds.admit("operator", outside, 999), Err("named_token_address"));
        assert_eq!(bounds.admit("node", inside, 999), Err("named_token_role"));
    }

    #[test]
    fn no_more_is_granted_than_is_asked_for_and_within_the_token() {
        let granted = |held: &[&str], version, asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
            token("one", held).bounds.grant(version, &asked)
        };
        let (read, write, admin) = ("operator.read", "operator.write", "operator.admin");
        assert_eq!(granted(&[read], Version::V3, &[]), [read]);
        assert!(granted(&[read], Version::V4, &[]).is_empty());
        for version in [Version::V3, Version::V4] {
            assert_eq!(granted(&[read], version, &[admin]), [read], "admin implies reading, and the token is for that");
            assert_eq!(granted(&[write], version, &[read]), [read], "no more than was asked for");
            assert_eq!(granted(&[write], version, &[read, write]), [read, write]);
            assert!(granted(&[read], version, &["operator.pairing", "node.x"]).is_empty());
            assert!(granted(&[], version, &[admin]).is_empty());
        }
    }
}
