//! Values that fit a JSON Schema: parameters, configurations and answers for plugins that nobody has written a test for.
//! The author's own `examples` come first; what is made up is checked against the schema before it is used.

use jsonschema::Validator;
use serde_json::{Map, Number, Value, json};

/// Texts that fit most formats and patterns that authors write.
const TEXTS: [&str; 12] = [
    "text",
    "a",
    "example.name",
    "1",
    "2026-01-31T12:00:00Z",
    "2026-01-31",
    "https://example.org/",
    "someone@example.org",
    "6f1de1a0-3a4b-4b7e-9c55-0c1d2e3f4a5b",
    "127.0.0.1",
    "00ff00ff",
    "/path",
];
/// A schema that refers to itself ends somewhere.
const DEEPEST: usize = 12;

/// Values that fit: the author's examples, the smallest value, and one with everything optional in it. Empty if none of
/// what was tried fits.
pub(crate) fn values(schema: &Value) -> Vec<Value> {
    let Ok(validator) = jsonschema::draft202012::new(schema) else { return Vec::new() };
    let examples = schema.get("examples").and_then(Value::as_array).into_iter().flatten().cloned();
    let made = [Extent::Least, Extent::Most].map(|extent| Maker { root: schema, extent }.make(schema, 0));
    let mut fitting: Vec<Value> = Vec::new();
    for value in examples.chain(made) {
        if validator.is_valid(&value) && !fitting.contains(&value) {
            fitting.push(value);
        }
    }
    fitting
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Required members only, and the first of several ways.
    Least,
    /// Optional members too, and the last of several ways.
    Most,
}

struct Maker<'s> {
    root: &'s Value,
    extent: Extent,
}

impl Maker<'_> {
    fn make(&self, schema: &Value, depth: usize) -> Value {
        if depth > DEEPEST {
            return Value::Null;
        }
        let schema = &self.flat(schema, 0);
        if let Some(fixed) = schema.get("const").or_else(|| schema.get("default").filter(|_| self.least())) {
            return fixed.clone();
        }
        if let Some(listed) = ["enum", "examples"].iter().find_map(|key| self.pick(schema.get(*key)?)) {
            return listed;
        }
        for ways in ["oneOf", "anyOf"] {
            if let Some(way) = schema.get(ways).and_then(|ways| self.pick_way(ways)) {
                let mut base = schema.clone();
                base.as_object_mut().map(|base| base.remove(ways));
                return self.make(&merged(base, &way), depth + 1);
            }
        }
        match kind(schema, self.extent) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => text(schema),
            "integer" | "number" => number(schema),
            "boolean" => json!(self.extent == Extent::Most),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let optional = !self.least() && depth < DEEPEST / 2;
            if depth < DEEPEST && (optional || required.contains(&name.as_str())) {
                object.insert(name.clone(), self.make(member, depth + 1));
            }
        }
        for name in required {
            object.entry(name).or_insert_with(|| json!("text"));
        }
        Value::Object(object)
    }

    fn array(&self, schema: &Value, depth: usize) -> Value {
        let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
        let count = if self.least() || depth >= DEEPEST / 2 { least } else { least.max(1) };
        let mut items: Vec<Value> = Vec::new();
        let fixed: Vec<&Value> = schema["prefixItems"].as_array().into_iter().flatten().collect();
        for index in 0..count.max(fixed.len()).min(64) {
            let rest = schema.get("items").unwrap_or(&Value::Null);
            items.push(self.make(fixed.get(index).copied().unwrap_or(rest), depth + 1));
        }
        Value::Array(items)
    }

    /// The schema with its reference followed and everything of `allOf` in it.
    fn flat(&self, schema: &Value, depth: usize) -> Value {
        let mut flat = schema.clone();
        if depth >= DEEPEST {
            return flat;
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str)
            && let Some(target) = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer))
        {
            flat.as_object_mut().map(|flat| flat.remove("$ref"));
            flat = merged(flat, &self.flat(target, depth + 1));
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            flat.as_object_mut().map(|flat| flat.remove("allOf"));
            for part in parts {
                flat = merged(flat, &self.flat(part, depth + 1));
            }
        }
        flat
    }

    fn pick(&self, list: &Value) -> Option<Value> {
        let list = list.as_array()?;
        if self.least() { list.first() } else { list.last() }.cloned()
    }

    /// One of several ways, `null` only when there is nothing else.
    fn pick_way(&self, ways: &Value) -> Option<Value> {
        let all = ways.as_array()?;
        let ways: Vec<Value> = all.iter().map(|way| self.flat(way, 0)).collect();
        let says: Vec<Value> = ways.iter().filter(|way| way["type"] != "null").cloned().collect();
        self.pick(&Value::Array(if says.is_empty() { ways } else { says }))
    }

    fn least(&self) -> bool {
        self.extent == Extent::Least
    }
}

fn kind(schema: &Value, extent: Extent) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            let kind = if extent == Extent::Least { kinds.next() } else { kinds.next_back() };
            kind.unwrap_or("null")
        }
        _ if schema.get("items").is_some() || schema.get("prefixItems").is_some() => "array",
        _ if schema.get("minLength").is_some() || schema.get("pattern").is_some() => "string",
        _ if schema.get("minimum").is_some() || schema.get("maximum").is_some() => "number",
        _ => "object",
    }
}

fn text(schema: &Value) -> Value {
    let shortest = schema["minLength"].as_u64().unwrap_or(0).min(1 << 16) as usize;
    let longest = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    let fitted = |text: &str| -> String { text.chars().cycle().take(text.len().max(shortest)).collect() };
    let cut = |text: String| -> String { text.chars().take(usize::try_from(longest).unwrap_or(usize::MAX)).collect() };
    let formats = compiled(schema);
    let candidates = TEXTS.iter().map(|text| Value::String(cut(fitted(text))));
    first_fitting(&formats, candidates).unwrap_or_else(|| json!(cut(fitted("text"))))
}

fn number(schema: &Value) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let step = bound("multipleOf").unwrap_or(1.0);
    let low = bound("minimum").or(bound("exclusiveMinimum").map(|least| least + step));
    let high = bound("maximum").or(bound("exclusiveMaximum").map(|most| most - step));
    let rounded = low.map(|low| (low / step).ceil() * step);
    let candidates = [Some(1.0), Some(0.0), low, high, rounded, Some(step)].into_iter().flatten().map(|number| {
        let is_whole = number.fract() == 0.0 && number.abs() < 9e15;
        if is_whole { json!(number as i64) } else { Number::from_f64(number).map_or(Value::Null, Value::Number) }
    });
    first_fitting(&compiled(schema), candidates).unwrap_or(json!(1))
}

fn compiled(schema: &Value) -> Option<Validator> {
    jsonschema::draft202012::options().should_validate_formats(true).build(schema).ok()
}

fn first_fitting(validator: &Option<Validator>, mut candidates: impl Iterator<Item = Value>) -> Option<Value> {
    let validator = validator.as_ref()?;
    candidates.find(|candidate| validator.is_valid(candidate))
}

/// One schema that says what both say, as far as making a value of it goes.
fn merged(mut base: Value, other: &Value) -> Value {
    let (Some(into), Some(from)) = (base.as_object_mut(), other.as_object()) else { return base };
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(members)), Value::Object(more)) => {
                more.iter().for_each(|(name, member)| drop(members.insert(name.clone(), member.clone())));
            }
            (Some(Value::Array(items)), Value::Array(more)) if key == "required" => items.extend(more.iter().cloned()),
            (Some(_), _) => {}
            (None, _) => drop(into.insert(key.clone(), value.clone())),
        }
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fits(schema: Value, at_least: usize) {
        let made = values(&schema);
        assert!(made.len() >= at_least, "{schema} gave {made:?}");
    }

    #[test]
    fn what_is_made_up_fits() {
        fits(json!({}), 1);
        fits(json!(true), 0);
        fits(
            json!({ "type": "object", "properties": { "n": { "type": "integer", "minimum": 5, "maximum": 9 } },
                     "required": ["n"], "additionalProperties": false }),
            1,
        );
        fits(
            json!({ "$ref": "#/$defs/A", "$defs": { "A": { "type": "object", "required": ["b"],
                     "properties": { "b": { "$ref": "#/$defs/B" }, "c": { "type": ["boolean", "null"] } } },
                     "B": { "enum": ["x", "y"] } } }),
            2,
        );
        fits(json!({ "type": "string", "minLength": 3, "maxLength": 4 }), 1);
        fits(json!({ "type": "string", "format": "uuid" }), 1);
        fits(json!({ "type": "string", "pattern": "^[a-z]+\\.[a-z]+$" }), 1);
        fits(json!({ "type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5 }), 1);
        fits(json!({ "type": "array", "minItems": 2, "items": { "oneOf": [{ "type": "null" }, { "const": 7 }] } }), 1);
        fits(
            json!({ "allOf": [{ "type": "object", "required": ["a"], "properties": { "a": { "type": "string" } } },
                     { "required": ["b"], "properties": { "b": { "type": "boolean" } } }] }),
            1,
        );
    }

    #[test]
    fn the_authors_examples_come_first_and_have_to_fit() {
        let made = values(&json!({ "type": "string", "pattern": "^[A-Z]{3}-\\d$", "examples": ["wrong", "ABC-1"] }));
        assert_eq!(made, ["ABC-1"]);
        assert!(values(&json!({ "type": "string", "pattern": "^\\d{17}[A-Z]$" })).is_empty());
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let tree = json!({ "$ref": "#/$defs/T", "$defs": { "T": { "type": "object",
            "properties": { "next": { "$ref": "#/$defs/T" } } } } });
        assert_eq!(values(&tree).len(), 2);
    }

    #[test]
    fn lists_that_refer_to_themselves_end_as_well() {
        let nested = json!({ "$ref": "#/$defs/E", "$defs": { "E": { "anyOf": [{ "type": "string" },
            { "type": "array", "minItems": 2, "items": { "$ref": "#/$defs/E" } }] } } });
        assert_eq!(values(&nested), ["text"]);
        assert!(values(&json!({ "type": "array", "minItems": 1, "items": { "$ref": "#" } })).is_empty());
    }
}
