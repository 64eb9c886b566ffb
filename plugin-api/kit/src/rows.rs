//! What manifests declare, compiled: the harness holds a plugin to it as the gateway does.

use std::collections::HashSet;

use jsonschema::Validator;
use plugin_api::abi::extension;
use plugin_api::catalogue;
use plugin_api::{Audience, EventSpec, Exposure, Idempotency, JsonText, Manifest, MethodSpec};
use schemas::{ErrorShape, scope};
use serde_json::Value;

use crate::who::Who;

/// A method and its compiled schemas.
pub(crate) struct MethodRow {
    pub(crate) spec: MethodSpec,
    params: Validator,
    result: Option<Validator>,
}

impl MethodRow {
    /// Whether this caller may ask for it on a connection.
    pub(crate) fn admit(&self, who: &Who) -> Result<(), ErrorShape> {
        let caller = &who.caller;
        let unknown = || Err(ErrorShape::invalid_request(format!("unknown method: {}", self.spec.name)));
        match self.spec.role {
            _ if caller.role == "plugin" => Ok(()),
            Exposure::Internal => unknown(),
            role if !role.admits(&caller.role) => {
                Err(ErrorShape::invalid_request(format!("unauthorized role: {}", caller.role)))
            }
            _ => self.admit_scopes(who),
        }
    }

    /// Whether a plugin may ask for it with this caller's rights. Internal methods have no scopes of their own: the
    /// grant is what lets the plugin in.
    pub(crate) fn admit_on_behalf(&self, who: &Who) -> Result<(), ErrorShape> {
        if self.spec.role == Exposure::Internal { Ok(()) } else { self.admit(who) }
    }

    fn admit_scopes(&self, who: &Who) -> Result<(), ErrorShape> {
        let held = |needed: &String| scope::any_satisfies(&who.caller.scopes, needed);
        let scopes = &self.spec.scopes;
        if who.caller.role != "operator" || scopes.is_empty() || scopes.iter().any(held) {
            return Ok(());
        }
        Err(ErrorShape::missing_scope(&scopes[0], scopes))
    }

    /// Whether the params fit, key included.
    pub(crate) fn check_params(&self, params: &Value) -> Result<(), ErrorShape> {
        let name = &self.spec.name;
        check(&self.params, params)
            .map_err(|why| ErrorShape::invalid_request(format!("invalid {name} params: {why}")))?;
        if self.spec.idempotency == Idempotency::Replay && self.key(params).is_none() {
            return Err(ErrorShape::invalid_request(format!("invalid {name} params: idempotencyKey is needed")));
        }
        Ok(())
    }

    /// The idempotency key, for methods that take one.
    pub(crate) fn key(&self, params: &Value) -> Option<String> {
        let key = params.get("idempotencyKey").filter(|_| self.spec.idempotency != Idempotency::None)?;
        key.as_str().filter(|key| !key.is_empty()).map(str::to_string)
    }

    /// Whether a result fits what the manifest promises.
    pub(crate) fn check_result(&self, result: &Value) -> Result<(), String> {
        self.result.as_ref().map_or(Ok(()), |schema| check(schema, result))
    }
}

impl Who {
    pub(crate) fn is_admin(&self) -> bool {
        self.caller.scopes.iter().any(|scope| scope == "operator.admin")
    }
}

/// An event and its compiled schema.
pub(crate) struct EventRow {
    spec: EventSpec,
    payload: Option<Validator>,
}

impl EventRow {
    pub(crate) fn check(&self, payload: &Value, targeted: bool) -> Result<(), String> {
        if self.spec.to == Audience::Targeted && !targeted {
            return Err("it is declared for chosen connections, and was broadcast".into());
        }
        self.payload.as_ref().map_or(Ok(()), |schema| check(schema, payload))
    }
}

/// Everything a manifest declares, or why a gateway would refuse it.
pub(crate) fn compile(manifest: &Manifest) -> Result<(Vec<MethodRow>, Vec<EventRow>), String> {
    let id = &manifest.id;
    manifest.check_form().map_err(|why| format!("manifest of {id}: {why}"))?;
    if let Some(unknown) = manifest.requires.iter().find(|wanted| !extension::ALL.contains(&wanted.as_str())) {
        return Err(format!("manifest of {id}: requires {unknown}, which no host of this version has"));
    }
    let mut names = HashSet::new();
    for name in manifest.methods.iter().map(|method| &method.name) {
        check_name(id, name, names.insert(name.clone()))?;
    }
    names.clear();
    for name in manifest.events.iter().map(|event| &event.name) {
        check_name(id, name, names.insert(name.clone()))?;
    }
    let methods = manifest.methods.iter().map(|spec| {
        let name = &spec.name;
        Ok(MethodRow {
            spec: spec.clone(),
            params: schema(&spec.params.value()).map_err(|why| format!("{id}: params of {name}: {why}"))?,
            result: optional(&spec.result).map_err(|why| format!("{id}: result of {name}: {why}"))?,
        })
    });
    let events = manifest.events.iter().map(|spec| {
        let payload = optional(&spec.payload).map_err(|why| format!("{id}: payload of {}: {why}", spec.name))?;
        Ok(EventRow { spec: spec.clone(), payload })
    });
    Ok((methods.collect::<Result<_, String>>()?, events.collect::<Result<_, String>>()?))
}

impl EventRow {
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }
}

/// A method of the host as the catalogue describes it, for stubs; `None` for other names.
pub(crate) fn service(name: &str) -> Option<MethodRow> {
    let service = catalogue::SERVICES.iter().find(|service| service.name == name)?;
    let mut spec = plugin_api::Manifest::parse(
        r#"{"manifest":1,"id":"host","version":"1","methods":[{"name":"","role":"internal","scopes":[],"params":{}}]}"#,
    )
    .expect("this manifest is well-formed")
    .methods
    .remove(0);
    spec.name = name.to_string();
    Some(MethodRow {
        spec,
        params: schema(&(service.params)()).expect("the catalogue's schemas compile"),
        result: Some(schema(&(service.result)()).expect("the catalogue's schemas compile")),
    })
}

/// Whether a payload fits what the catalogue says of this event of the host; other names are not looked at.
pub(crate) fn check_notice(name: &str, payload: &Value) -> Result<(), String> {
    match catalogue::NOTICES.iter().find(|notice| notice.name == name) {
        Some(notice) => check(&schema(&(notice.payload)())?, payload),
        None if name.starts_with("host.") => Err("the catalogue has no such event".into()),
        None => Ok(()),
    }
}

/// Whether a configuration fits the manifest's schema.
pub(crate) fn check_config(manifest: &Manifest, config: &Value) -> Result<(), String> {
    match &manifest.config {
        Some(wanted) => check(&schema(&wanted.value())?, config),
        None if config.as_object().is_some_and(|keys| keys.is_empty()) => Ok(()),
        None => Err("the manifest declares no configuration".into()),
    }
}

/// Whether a grant, a name or a prefix and `*`, covers a name or another such pattern.
pub(crate) fn covers(grants: &[String], wanted: &str) -> bool {
    grants.iter().any(|grant| match grant.strip_suffix('*') {
        Some(prefix) => wanted.starts_with(prefix),
        None => grant == wanted,
    })
}

fn check_name(id: &str, name: &str, fresh: bool) -> Result<(), String> {
    if !fresh {
        return Err(format!("manifest of {id}: {name:?} is declared twice"));
    }
    Ok(())
}

fn schema(schema: &Value) -> Result<Validator, String> {
    jsonschema::draft202012::new(schema).map_err(|error| format!("the schema does not compile: {error}"))
}

fn optional(text: &Option<JsonText>) -> Result<Option<Validator>, String> {
    text.as_ref().map(|text| schema(&text.value())).transpose()
}

fn check(schema: &Validator, value: &Value) -> Result<(), String> {
    let complaints: Vec<String> = schema
        .iter_errors(value)
        .map(|error| {
            let path = error.instance_path().to_string();
            format!("at {}: {error}", if path.is_empty() { "the root" } else { &path })
        })
        .collect();
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
}
