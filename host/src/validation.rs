//! JSON Schema failures, worded as clients of this protocol know them. The wording is that of the validator the
//! protocol grew up with, because people search for those texts and clients match their beginnings. Values of the input
//! are never repeated: they may be secrets.

mod shape;

use jsonschema::error::{TypeKind, ValidationError, ValidationErrorKind};
use serde_json::Value;

pub use shape::Shape;

/// Longest description, in bytes.
const MAX_DESCRIPTION: usize = 2048;
/// Most failures named in one description.
const MAX_FAILURES: usize = 16;
/// Longest property name or path shown, in characters.
const MAX_NAME: usize = 96;
/// Longest list of allowed values shown, in bytes.
const MAX_CHOICES: usize = 1200;

/// A compiled schema.
#[derive(Debug)]
pub struct Validator {
    compiled: jsonschema::Validator,
}

impl Validator {
    /// Compiles a schema of draft 2020-12. References outside the schema are refused, never fetched.
    pub fn new(schema: &Value) -> Result<Self, String> {
        let compiled = jsonschema::draft202012::options()
            .with_retriever(NothingRemote)
            .build(schema)
            .map_err(|error| format!("not a usable JSON Schema: {error}"))?;
        Ok(Validator { compiled })
    }

    /// The schema of a request frame, to say what is wrong with one that could not be read.
    pub fn request_frame() -> Self {
        let name = serde_json::json!({ "type": "string", "minLength": 1 });
        let schema = serde_json::json!({
            "type": "object",
            "properties": {
                "type": { "const": "req" }, "id": name, "method": name, "params": true, "traceparent": { "type": "string" },
            },
            "required": ["type", "id", "method"],
            "additionalProperties": false,
        });
        Self::new(&schema).expect("a schema written here compiles")
    }

    /// What is wrong with a message that is JSON and no request frame.
    pub fn describe_frame(&self, text: &str) -> String {
        match schemas::json::value(text) {
            Ok(value) => self.describe(&value).unwrap_or_else(|| "must not hold a property twice".to_string()),
            Err(error) => schemas::json::fault(&error).to_string(),
        }
    }

    /// Whether a value satisfies the schema.
    pub fn is_valid(&self, value: &Value) -> bool {
        self.compiled.is_valid(value)
    }

    /// Takes away what closed objects of the schema do not know; whether there was anything. Where the schema lets a value
    /// be one of several things of its type, it stays as it is: what is too much in one of them may belong to another.
    pub fn leave_out_extra(&self, value: &mut Value) -> bool {
        let mut extra = Vec::new();
        for error in self.compiled.iter_errors(value) {
            collect_extra(&error, value, &mut extra);
        }
        for (path, name) in &extra {
            if let Some(object) = value.pointer_mut(path).and_then(Value::as_object_mut) {
                object.remove(name);
            }
        }
        !extra.is_empty()
    }

    /// All failures joined by `; `, or `None` when there are none.
    pub fn describe(&self, value: &Value) -> Option<String> {
        // To look for failures costs much more than to see that there are none.
        if self.is_valid(value) {
            return None;
        }
        let mut failures = Vec::new();
        for error in self.compiled.iter_errors(value).take(4 * MAX_FAILURES) {
            collect(&error, "", value, &mut failures);
        }
        // The parent before its children, what is missing before what is too much: the order clients have always seen.
        failures.sort_by_key(|failure| (failure.depth, failure.rank));
        let mut texts = Vec::new();
        let mut length = 0;
        for failure in failures {
            length += failure.text.len() + 2;
            if texts.len() == MAX_FAILURES || length > MAX_DESCRIPTION {
                texts.push("…".to_string());
                break;
            }
            texts.push(failure.text);
        }
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

/// A schema is what its author wrote down; nothing is looked up for it.
struct NothingRemote;

impl jsonschema::Retrieve for NothingRemote {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync + 'static>> {
        Err(format!("the schema refers to {uri}; references must stay inside the schema").into())
    }
}

struct Failure {
    depth: usize,
    rank: u8,
    text: String,
}

fn collect(error: &ValidationError<'_>, prefix: &str, root: &Value, failures: &mut Vec<Failure>) {
    if failures.len() >= 4 * MAX_FAILURES {
        return;
    }
    let path = format!("{prefix}{}", error.instance_path().as_str());
    let depth = path.matches('/').count();
    let mut add = |rank, text| failures.push(Failure { depth, rank, text });
    let extra = extra_names(error, &path, root);
    for name in extra.iter().take(MAX_FAILURES) {
        add(2, extra_property(&path, name));
    }
    match error.kind() {
        _ if !extra.is_empty() => {}
        ValidationErrorKind::Required { property } => {
            let name = cut(property.as_str().unwrap_or_default(), MAX_NAME);
            add(1, at(&path, format!("must have required property '{name}'")));
        }
        ValidationErrorKind::AnyOf { context }
        | ValidationErrorKind::OneOfNotValid { context }
        | ValidationErrorKind::OneOfMultipleValid { context } => {
            for inner in context.iter().flatten() {
                // A branch's paths start where the branch stands, or at the root: take the longer of the two.
                let inner_path = inner.instance_path().as_str();
                let inner_prefix = if inner_path.starts_with(&path) { "" } else { path.as_str() };
                collect(inner, inner_prefix, root, failures);
            }
            let keyword = match error.kind() {
                ValidationErrorKind::AnyOf { .. } => "must match a schema in anyOf",
                _ => "must match exactly one schema in oneOf",
            };
            failures.push(Failure { depth, rank: 4, text: at(&path, keyword.to_string()) });
        }
        kind => {
            let message = message(kind);
            add(if matches!(kind, ValidationErrorKind::Type { .. }) { 0 } else { 3 }, at(&path, message));
        }
    }
}

/// Where something is too much, and its name.
fn collect_extra(error: &ValidationError<'_>, root: &Value, extra: &mut Vec<(String, String)>) {
    let path = error.instance_path().as_str();
    extra.extend(extra_names(error, path, root).into_iter().map(|name| (path.to_string(), name)));
    if let ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } = error.kind() {
        // What is for values of another type was not meant, such as the null of an object that may be absent.
        let mut meant = context.iter().filter(|branch| !branch.iter().any(|inner| is_of_another_type(inner, path)));
        if let (Some(branch), None) = (meant.next(), meant.next()) {
            branch.iter().for_each(|inner| collect_extra(inner, root, extra));
        }
    }
}

fn is_of_another_type(error: &ValidationError<'_>, path: &str) -> bool {
    matches!(error.kind(), ValidationErrorKind::Type { .. }) && error.instance_path().as_str() == path
}

/// The properties that an object may not hold, if that is what is wrong with it.
fn extra_names(error: &ValidationError<'_>, path: &str, root: &Value) -> Vec<String> {
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected.clone(),
        // An object that may hold nothing at all: the failure names neither the object's keys nor their number.
        ValidationErrorKind::FalseSchema if error.schema_path().as_str().ends_with("/additionalProperties") => {
            let object = root.pointer(path).and_then(Value::as_object);
            object.into_iter().flat_map(|object| object.keys().cloned()).collect()
        }
        _ => Vec::new(),
    }
}

fn message(kind: &ValidationErrorKind) -> String {
    use ValidationErrorKind as Kind;
    match kind {
        Kind::Type { kind: TypeKind::Single(name) } => format!("must be {name}"),
        Kind::Type { kind: TypeKind::Multiple(names) } => {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            format!("must be {}", names.join(","))
        }
        Kind::Enum { options } => format!("must be equal to one of the allowed values ({})", choices(options)),
        Kind::Constant { .. } => "must be equal to constant".to_string(),
        Kind::MinLength { limit } => format!("must NOT have fewer than {limit} characters"),
        Kind::MaxLength { limit } => format!("must NOT have more than {limit} characters"),
        Kind::MinItems { limit } => format!("must NOT have fewer than {limit} items"),
        Kind::MaxItems { limit } => format!("must NOT have more than {limit} items"),
        Kind::AdditionalItems { limit } => format!("must NOT have more than {limit} items"),
        Kind::MinProperties { limit } => format!("must NOT have fewer than {limit} properties"),
        Kind::MaxProperties { limit } => format!("must NOT have more than {limit} properties"),
        Kind::Minimum { limit } => format!("must be >= {limit}"),
        Kind::Maximum { limit } => format!("must be <= {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be > {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("must be < {limit}"),
        Kind::MultipleOf { multiple_of } => format!("must be multiple of {multiple_of}"),
        Kind::Pattern { pattern } => format!("must match pattern \"{}\"", cut(pattern, 4 * MAX_NAME)),
        Kind::Format { format } => format!("must match format \"{format}\""),
        Kind::UniqueItems => "must NOT have duplicate items".to_string(),
        Kind::Contains => "must contain at least 1 valid item(s)".to_string(),
        Kind::Not { .. } => "must NOT be valid".to_string(),
        Kind::PropertyNames { .. } => "property name must be valid".to_string(),
        Kind::FalseSchema => "boolean schema is false".to_string(),
        other => format!("must satisfy keyword \"{}\"", other.keyword()),
    }
}

/// The allowed values, which the schema's author published; strings without their quotes.
fn choices(options: &Value) -> String {
    let mut text = String::new();
    for option in options.as_array().into_iter().flatten() {
        let option = option.as_str().map_or_else(|| option.to_string(), str::to_string);
        if text.len() + option.len() > MAX_CHOICES {
            text.push_str(", …");
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&option);
    }
    text
}

fn extra_property(path: &str, name: &str) -> String {
    let place = if path.is_empty() { "root".to_string() } else { cut_path(path) };
    format!("at {place}: unexpected property '{}'", cut(name, MAX_NAME))
}

fn at(path: &str, message: String) -> String {
    if path.is_empty() { message } else { format!("at {}: {message}", cut_path(path)) }
}

/// A path with each of its names cut, since names of a map come from the peer.
fn cut_path(path: &str) -> String {
    let names: Vec<String> = path.split('/').map(|name| cut(name, MAX_NAME)).collect();
    cut(&names.join("/"), 4 * MAX_NAME)
}

fn cut(text: &str, limit: usize) -> String {
    let mut characters = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = characters.by_ref().take(limit).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn describe(schema: Value, value: Value) -> Option<String> {
        let validator = Validator::new(&schema).unwrap();
        assert_eq!(validator.is_valid(&value), validator.describe(&value).is_none(), "{value}");
        validator.describe(&value)
    }

    fn connect(value: Value) -> Option<String> {
        let schema = schemas::connect::schema(&[]);
        let shape = Shape::of(&schema).expect("every handshake is looked at by its shape");
        let described = describe(schema, value.clone());
        assert_eq!(shape.admits(&value.to_string()), described.is_none(), "{value}");
        described
    }

    fn valid_connect() -> Value {
        json!({ "minProtocol": 3, "maxProtocol": 3.0,
            "client": { "id": "cli", "version": "t", "platform": "linux", "mode": "cli" } })
    }

    #[test]
    fn a_request_frame_is_described_as_recorded() {
        let frame = Validator::request_frame();
        assert_eq!(frame.describe(&json!({ "type": "req", "id": "x", "method": "m", "params": [1] })), None);
        assert_eq!(
            frame.describe(&json!({ "foo": 1 })).unwrap(),
            "must have required property 'type'; must have required property 'id'; \
             must have required property 'method'; at root: unexpected property 'foo'"
        );
        assert_eq!(
            frame.describe(&json!({ "type": "req", "id": "x" })).unwrap(),
            "must have required property 'method'"
        );
        let constant = frame.describe(&json!({ "type": "res", "id": "x", "method": "m" })).unwrap();
        assert_eq!(constant, "at /type: must be equal to constant");
    }

    #[test]
    fn connect_params_are_described_as_recorded() {
        assert_eq!(connect(valid_connect()), None);
        assert_eq!(connect(json!("x")).unwrap(), "must be object");
        let mut extra = valid_connect();
        extra["bogus"] = json!(1);
        assert_eq!(connect(extra).unwrap(), "at root: unexpected property 'bogus'");
        let mut extra = valid_connect();
        extra["client"]["bogus"] = json!(1);
        assert_eq!(connect(extra).unwrap(), "at /client: unexpected property 'bogus'");
        let mut nonce = valid_connect();
        nonce["device"] = json!({ "id": "a", "publicKey": "", "signature": "c" });
        assert_eq!(
            connect(nonce).unwrap(),
            "at /device: must have required property 'signedAt'; \
             at /device/publicKey: must NOT have fewer than 1 characters"
        );
    }

    #[test]
    fn an_enumeration_names_what_is_allowed_and_not_what_was_sent() {
        let mut unknown = valid_connect();
        unknown["client"]["id"] = json!("s3cret-app");
        let text = connect(unknown).unwrap();
        assert!(text.starts_with("at /client/id: must be equal to one of the allowed values ("), "{text}");
        assert!(text.contains("moltbot-control-ui") && !text.contains("s3cret-app"), "{text}");
    }

    #[test]
    fn keywords_have_their_customary_words() {
        let object = |schema: Value| json!({ "type": "object", "properties": { "x": schema } });
        for (schema, value, expected) in [
            (json!({ "type": "string" }), json!(1), "at /x: must be string"),
            (json!({ "type": ["string", "null"] }), json!(1), "at /x: must be null,string"),
            (json!({ "minimum": 1 }), json!(0), "at /x: must be >= 1"),
            (json!({ "maximum": 5 }), json!(9), "at /x: must be <= 5"),
            (json!({ "type": "array", "maxItems": 1 }), json!([1, 2]), "at /x: must NOT have more than 1 items"),
            (json!({ "maxLength": 1 }), json!("abc"), "at /x: must NOT have more than 1 characters"),
            (json!({ "pattern": "^a$" }), json!("b"), "at /x: must match pattern \"^a$\""),
            (
                json!({ "anyOf": [{ "const": "a" }, { "type": "integer" }] }),
                json!("b"),
                "at /x: must be integer; at /x: must be equal to constant; at /x: must match a schema in anyOf",
            ),
        ] {
            assert_eq!(describe(object(schema), json!({ "x": value })).unwrap(), expected);
        }
    }

    #[test]
    fn an_object_that_may_hold_nothing_names_what_it_holds() {
        let closed = json!({ "type": "object", "additionalProperties": false });
        assert_eq!(describe(closed.clone(), json!({ "a": 1 })).unwrap(), "at root: unexpected property 'a'");
        let nested = json!({ "properties": { "x/y": closed } });
        assert_eq!(
            describe(nested, json!({ "x/y": { "a": 1, "b": 2 } })).unwrap(),
            "at /x~1y: unexpected property 'a'; at /x~1y: unexpected property 'b'"
        );
    }

    #[test]
    fn what_is_too_much_can_be_left_out_and_the_rest_is_judged_as_ever() {
        let left_out = |schema: Value, mut value: Value| {
            let validator = Validator::new(&schema).unwrap();
            let changed = validator.leave_out_extra(&mut value);
            (changed, validator.describe(&value), value)
        };
        assert_eq!(left_out(schemas::connect::schema(&[]), valid_connect()), (false, None, valid_connect()));
        let mut extra = valid_connect();
        extra["bogus"] = json!({ "deep": [1] });
        extra["client"]["bo/g~us"] = json!(1);
        extra["permissions"] = json!({ "any": true });
        let mut without = valid_connect();
        without["permissions"] = extra["permissions"].clone();
        assert_eq!(left_out(schemas::connect::schema(&[]), extra), (true, None, without));
        let wrong = json!({ "client": 5, "bogus": 1 });
        let (changed, fault, value) = left_out(schemas::connect::schema(&[]), wrong);
        assert!(changed && value == json!({ "client": 5 }) && fault.unwrap().contains("at /client: must be object"));

        let closed = json!({ "type": "object", "additionalProperties": false });
        let named =
            json!({ "type": "object", "properties": { "a": { "type": "integer" } }, "additionalProperties": false });
        assert_eq!(left_out(closed.clone(), json!({ "a": 1, "b": 2 })), (true, None, json!({})));
        let list = json!({ "type": "array", "items": named });
        assert_eq!(left_out(list, json!([{ "a": 1, "b": 2 }, {}])), (true, None, json!([{ "a": 1 }, {}])));
        let may_be_absent = json!({
            "properties": { "x": { "anyOf": [{ "$ref": "#/$defs/named" }, { "type": "null" }] } },
            "$defs": { "named": { "properties": { "a": { "anyOf": [closed, { "type": "null" }] } },
                                  "type": "object", "additionalProperties": false } },
        });
        let (too_much, known) = (json!({ "x": { "a": { "c": 1 }, "b": 2 } }), json!({ "x": { "a": {} } }));
        assert_eq!(left_out(may_be_absent.clone(), too_much), (true, None, known));
        assert_eq!(left_out(may_be_absent, json!({ "x": null })), (false, None, json!({ "x": null })));
        let (changed, fault, value) = left_out(json!({ "anyOf": [closed, named] }), json!({ "a": 1, "b": 2 }));
        assert!(!changed && fault.is_some() && value == json!({ "a": 1, "b": 2 }), "nobody can say which is meant");
    }

    #[test]
    fn descriptions_are_bounded_and_names_cut() {
        let schema = json!({ "type": "object", "additionalProperties": false });
        let many: serde_json::Map<String, Value> =
            (0..500).map(|n| (format!("{n}{}", "x".repeat(4000)), json!(n))).collect();
        let text = describe(schema, Value::Object(many)).unwrap();
        assert!(text.len() < MAX_DESCRIPTION + 64, "{}", text.len());
        assert!(text.ends_with('…'), "{text}");
    }

    #[test]
    fn remote_references_and_broken_schemas_are_refused() {
        let remote = Validator::new(&json!({ "$ref": "https://example.com/schema.json" }));
        assert!(remote.unwrap_err().contains("not a usable JSON Schema"));
        assert!(Validator::new(&json!({ "type": "nonsense" })).is_err());
    }
}
