//! Whose rights a call runs with: those of a connection, of a plugin, or of the host itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use plugin_api::Caller;
use schemas::scope;

use crate::access;
use crate::named_tokens::Bounds;

/// A principal: identity, role, scopes, and whether it was revoked meanwhile.
#[derive(Debug)]
pub struct Authority {
    caller: Caller,
    /// Of the named token it came in by.
    bounds: Option<Arc<Bounds>>,
    role_bit: u8,
    admin: bool,
    scope_bits: AtomicU64,
    revoked: AtomicBool,
    /// [`Caller`] as JSON, for `gwp.caller/1`; made when first asked for.
    record: OnceLock<Box<[u8]>>,
}

impl Authority {
    /// The authority of a caller with this record.
    pub fn new(caller: Caller) -> Self {
        Self::within(None, caller)
    }

    /// The same within the bounds of a named token, if it came in by one.
    pub fn within(bounds: Option<Arc<Bounds>>, caller: Caller) -> Self {
        Authority {
            bounds,
            role_bit: access::role_bit(&caller.role),
            admin: caller.role == "operator" && caller.scopes.iter().any(|held| held == scope::ADMIN),
            scope_bits: AtomicU64::new(access::satisfied_bits(&caller.scopes)),
            revoked: AtomicBool::new(false),
            record: OnceLock::new(),
            caller,
        }
    }

    /// A plugin in its own name: no role of a socket, no scopes; its grants decide.
    pub fn plugin(id: &str) -> Self {
        Self::new(Caller {
            conn_id: None,
            role: "plugin".to_string(),
            scopes: Vec::new(),
            device_id: None,
            via_device_token: false,
            client_id: None,
            client_mode: None,
            display_name: None,
            instance_id: None,
            caps: Vec::new(),
            remote_ip: None,
            local: true,
            protocol: 0,
            plugin: Some(id.to_string()),
        })
    }

    /// Who it is.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// `operator`, `node` or `plugin`.
    pub fn role(&self) -> &str {
        &self.caller.role
    }

    /// Its role as a bit of [`access::role_bit`].
    pub fn role_bit(&self) -> u8 {
        self.role_bit
    }

    /// Whether it holds `operator.admin`.
    pub fn is_admin(&self) -> bool {
        self.admin
    }

    /// Whether a plugin acts in its own name.
    pub fn is_plugin(&self) -> bool {
        self.caller.plugin.is_some()
    }

    /// The name of the named token it came in by.
    pub fn token_name(&self) -> Option<&str> {
        self.bounds.as_ref().map(|bounds| bounds.name.as_str())
    }

    /// When the token it came in by ends.
    pub fn ends_at_ms(&self) -> Option<u64> {
        self.bounds.as_ref().and_then(|bounds| bounds.expires_at_ms)
    }

    /// Whether the token it came in by is for this method.
    pub fn reaches(&self, method: &str) -> bool {
        self.bounds.as_ref().is_none_or(|bounds| bounds.methods.permits(method))
    }

    /// Whether the token it came in by is for any of these methods.
    pub fn reaches_any(&self, methods: &[Box<str>]) -> bool {
        let Some(bounds) = &self.bounds else { return true };
        bounds.methods.is_open() || methods.iter().any(|method| bounds.methods.permits(method))
    }

    /// Whether the token it came in by is too old by now.
    pub fn has_expired(&self, now_ms: u64) -> bool {
        self.bounds.as_ref().is_some_and(|bounds| bounds.has_expired(now_ms))
    }

    /// Bits of the needed scopes that it satisfies.
    pub fn scope_bits(&self) -> u64 {
        self.scope_bits.load(Ordering::Relaxed)
    }

    /// Counts anew which needed scopes it satisfies, after the registry has changed.
    pub fn recount(&self) {
        self.scope_bits.store(access::satisfied_bits(&self.caller.scopes), Ordering::Relaxed);
    }

    /// Its record as JSON.
    pub fn record(&self) -> &[u8] {
        self.record.get_or_init(|| serde_json::to_vec(&self.caller).unwrap_or_default().into())
    }

    /// Who this is for the purposes of idempotency: the device, else the kind of client behind the secret. A named token
    /// has no part in what the shared secret was answered.
    pub fn identity(&self) -> String {
        if let Some(bounds) = &self.bounds {
            return format!("token:{}:{}", bounds.name, self.caller.client_id.as_deref().unwrap_or(""));
        }
        match (&self.caller.device_id, &self.caller.plugin) {
            (Some(device), _) => format!("device:{device}"),
            (None, Some(plugin)) => format!("plugin:{plugin}"),
            (None, None) => format!("shared:{}", self.caller.client_id.as_deref().unwrap_or("")),
        }
    }

    /// Whether it was revoked, or has expired.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire) || (self.bounds.is_some() && self.has_expired(schemas::now_ms()))
    }

    /// Ends it for all that it was retained for.
    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }
}

#[cfg(test)]
impl Authority {
    /// An operator with these scopes.
    pub(crate) fn operator(scopes: &[&str]) -> Authority {
        let mut caller = Authority::plugin("x").caller().clone();
        caller.plugin = None;
        caller.role = "operator".to_string();
        caller.scopes = scopes.iter().map(|scope| scope.to_string()).collect();
        Authority::new(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Access;
    use plugin_api::Exposure;

    fn operator(scopes: &[&str]) -> Authority {
        Authority::operator(scopes)
    }

    #[test]
    fn scopes_decide_and_admin_passes() {
        let write = Access::new(Exposure::Operator, &["operator.write".into()]).expect("few scopes");
        let open = Access::new(Exposure::OperatorAndNode, &[]).expect("no scopes");
        let internal = Access::new(Exposure::Internal, &[]).expect("no scopes");
        let (reader, writer, admin) =
            (operator(&["operator.read"]), operator(&["operator.write"]), operator(&["operator.admin"]));
        assert_eq!(write.check("m", &reader).expect_err("lacks it").message, "missing scope: operator.write");
        assert!(write.check("m", &writer).is_ok() && write.check("m", &admin).is_ok());
        assert!(open.check("m", &operator(&[])).is_ok());
        assert_eq!(internal.check("m", &admin).expect_err("internal").message, "unknown method: m");
        assert_eq!(internal.check("m", &reader).expect_err("internal").message, "missing scope: operator.admin");
    }
}
