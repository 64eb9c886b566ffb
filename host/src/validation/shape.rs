//! The quick answer to "is this valid?": a schema as a walk over the text, without a value being built of it. It knows the
//! part of JSON Schema that nearly all parameters are described with, and says yes only where the whole of JSON Schema
//! would; a schema with anything else in it has no shape. Whoever hears no asks the whole validator, which finds the words.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// References are followed this deep: a schema that holds itself has no shape.
const DEEPEST: usize = 12;
/// Parts of a shape. One in which many refer to many has none: each reference is a copy.
const LARGEST: usize = 10_000;
/// Whole numbers up to here are exact as floating point; larger ones are left to the whole validator.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Change what the words below them mean, and stand at the root only.
const SCOPES: [&str; 2] = ["$schema", "$id"];
/// The one draft whose words are known here.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Says nothing about whether a value is valid.
const ANNOTATIONS: [&str; 10] = [
    "$defs",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "format",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// What a valid value looks like, by its type: a type without an entry is not allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Whatever it is.
    anything: bool,
    null: bool,
    boolean: bool,
    number: Option<Numbers>,
    string: Option<Strings>,
    array: Option<Box<Arrays>>,
    object: Option<Box<Objects>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Numbers {
    whole: bool,
    min: f64,
    max: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct Strings {
    /// In characters.
    min: usize,
    max: usize,
    one_of: Option<Vec<Box<str>>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Arrays {
    min: usize,
    max: usize,
    items: Shape,
}

#[derive(Debug, Clone, PartialEq)]
struct Objects {
    /// Sorted by name.
    properties: Vec<Property>,
    /// A bit for each that is required.
    required: u64,
    others: Shape,
}

#[derive(Debug, Clone, PartialEq)]
struct Property {
    name: Box<str>,
    /// Its bit, if it is required.
    bit: u64,
    shape: Shape,
}

impl Shape {
    /// The shape of a schema of draft 2020-12, if it has one.
    pub fn of(schema: &Value) -> Option<Self> {
        let draft = schema.get("$schema").map_or(Some(DRAFT), Value::as_str)?;
        let is_known = draft.strip_suffix('#').unwrap_or(draft) == DRAFT;
        is_known.then(|| compile(schema, &Whole { schema, left: Cell::new(LARGEST) }, 0)).flatten()
    }

    /// Whether this text is JSON and valid. A no is not the last word.
    pub fn admits(&self, text: &str) -> bool {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        Walk(self).deserialize(&mut deserializer).is_ok() && deserializer.end().is_ok()
    }

    /// Of every type, with no rules yet.
    fn any() -> Self {
        Shape {
            anything: false,
            null: true,
            boolean: true,
            number: Some(Numbers { whole: false, min: f64::NEG_INFINITY, max: f64::INFINITY }),
            string: Some(Strings { min: 0, max: usize::MAX, one_of: None }),
            array: Some(Box::new(Arrays { min: 0, max: usize::MAX, items: ANYTHING })),
            object: Some(Box::new(Objects { properties: Vec::new(), required: 0, others: ANYTHING })),
        }
    }

    fn none() -> Self {
        Shape { anything: false, null: false, boolean: false, number: None, string: None, array: None, object: None }
    }

    /// What either allows. `None` where both have something to say of the same type.
    fn or(self, other: Self) -> Option<Self> {
        fn one<T>(a: Option<T>, b: Option<T>) -> Option<Option<T>> {
            match (a, b) {
                (Some(_), Some(_)) => None,
                (a, b) => Some(a.or(b)),
            }
        }
        let string = match (self.string, other.string) {
            (Some(Strings { one_of: Some(mut all), .. }), Some(Strings { one_of: Some(more), .. })) => {
                // One that stands in both would be one too many for `oneOf`.
                if more.iter().any(|name| all.contains(name)) {
                    return None;
                }
                all.extend(more);
                Some(Strings { min: 0, max: usize::MAX, one_of: Some(all) })
            }
            (a, b) => one(a, b)?,
        };
        if self.anything || other.anything || (self.null && other.null) || (self.boolean && other.boolean) {
            return None;
        }
        Some(Shape {
            anything: false,
            null: self.null || other.null,
            boolean: self.boolean || other.boolean,
            number: one(self.number, other.number)?,
            string,
            array: one(self.array, other.array)?,
            object: one(self.object, other.object)?,
        })
    }

    /// Takes away what is not of these types.
    fn only(&mut self, types: &[&str]) {
        let has = |name: &str| types.contains(&name);
        self.null &= has("null");
        self.boolean &= has("boolean");
        self.string = self.string.take().filter(|_| has("string"));
        self.array = self.array.take().filter(|_| has("array"));
        self.object = self.object.take().filter(|_| has("object"));
        self.number = self.number.take().filter(|_| has("number") || has("integer"));
        if let Some(number) = &mut self.number {
            number.whole |= !has("number");
        }
    }
}

/// Any value, and so any value inside of it.
const ANYTHING: Shape =
    Shape { anything: true, null: false, boolean: false, number: None, string: None, array: None, object: None };

/// The schema that a part belongs to.
struct Whole<'a> {
    schema: &'a Value,
    /// How many parts more it may have.
    left: Cell<usize>,
}

impl Whole<'_> {
    /// What a reference means. One into the middle of something might pass a place where words change their meaning.
    fn definition(&self, reference: &str) -> Option<&Value> {
        let name = reference.strip_prefix("#/$defs/").filter(|name| !name.contains(['/', '~', '%']))?;
        self.schema.get("$defs")?.get(name)
    }
}

fn compile(schema: &Value, whole: &Whole<'_>, depth: usize) -> Option<Shape> {
    whole.left.set(whole.left.get().checked_sub(1)?);
    let words = match schema {
        Value::Bool(true) => return Some(ANYTHING),
        Value::Bool(false) => return Some(Shape::none()),
        Value::Object(words) if depth <= DEEPEST => words,
        _ => return None,
    };
    let says_nothing = |word: &str| ANNOTATIONS.contains(&word) || (depth == 0 && SCOPES.contains(&word));
    let rules = || words.keys().map(String::as_str).filter(|word| !says_nothing(word));
    if let Some(reference) = words.get("$ref") {
        let target = reference.as_str().filter(|_| rules().count() == 1)?;
        return compile(whole.definition(target)?, whole, depth + 1);
    }
    let choice = ["anyOf", "oneOf", "enum", "const"].into_iter().find(|word| words.contains_key(*word));
    let mut shape = match choice {
        Some(choice) => {
            if rules().any(|word| word != choice && word != "type") {
                return None;
            }
            chosen(choice, &words[choice], whole, depth)?
        }
        None if rules().next().is_none() => return Some(ANYTHING),
        None => ruled(words, rules(), whole, depth)?,
    };
    match words.get("type") {
        _ if shape.anything => return None,
        None => {}
        Some(Value::String(name)) => shape.only(&[known_type(name)?]),
        Some(Value::Array(names)) => {
            let names: Option<Vec<&str>> = names.iter().map(|name| known_type(name.as_str()?)).collect();
            shape.only(&names?);
        }
        Some(_) => return None,
    }
    Some(shape)
}

/// One of several: of shapes that no value fits two of, or of texts.
fn chosen(word: &str, options: &Value, whole: &Whole<'_>, depth: usize) -> Option<Shape> {
    let text = |option: &Value| match option {
        Value::String(text) => {
            let one_of = Some(vec![text.as_str().into()]);
            Some(Shape { string: Some(Strings { min: 0, max: usize::MAX, one_of }), ..Shape::none() })
        }
        Value::Null => Some(Shape { null: true, ..Shape::none() }),
        _ => None,
    };
    if word == "const" {
        return text(options);
    }
    let options = options.as_array().filter(|options| !options.is_empty())?;
    let mut shapes = options.iter().map(|option| match word {
        "enum" => text(option),
        _ => compile(option, whole, depth + 1),
    });
    let first = shapes.next()??;
    shapes.try_fold(first, |all, shape| all.or(shape?))
}

/// By the words that say something of one type each.
fn ruled<'a>(
    words: &Map<String, Value>,
    rules: impl Iterator<Item = &'a str>,
    whole: &Whole<'_>,
    depth: usize,
) -> Option<Shape> {
    let mut shape = Shape::any();
    let (Some(number), Some(string), Some(array), Some(object)) =
        (&mut shape.number, &mut shape.string, &mut shape.array, &mut shape.object)
    else {
        return None;
    };
    let count = |word: &str| words[word].as_u64().and_then(|count| usize::try_from(count).ok());
    // Beyond what is exact a bound may be off; but so far out no value is compared with it.
    let bound = |word: &str| words[word].as_f64();
    for word in rules {
        match word {
            "type" | "required" => {}
            "minimum" => number.min = bound(word)?,
            "maximum" => number.max = bound(word)?,
            "minLength" => string.min = count(word)?,
            "maxLength" => string.max = count(word)?,
            "minItems" => array.min = count(word)?,
            "maxItems" => array.max = count(word)?,
            "items" => array.items = compile(&words[word], whole, depth + 1)?,
            "additionalProperties" => object.others = compile(&words[word], whole, depth + 1)?,
            "properties" => {
                for (name, schema) in words[word].as_object()? {
                    let shape = compile(schema, whole, depth + 1)?;
                    object.properties.push(Property { name: name.as_str().into(), bit: 0, shape });
                }
                object.properties.sort_by(|a, b| a.name.cmp(&b.name));
            }
            _ => return None,
        }
    }
    let required = match words.get("required") {
        Some(names) => names.as_array()?.as_slice(),
        None => &[],
    };
    for (place, name) in required.iter().enumerate() {
        let bit = u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place))?;
        let name = name.as_str()?;
        let property = object.properties.iter_mut().find(|property| &*property.name == name)?;
        (property.bit, object.required) = (property.bit | bit, object.required | bit);
    }
    Some(shape)
}

fn known_type(name: &str) -> Option<&str> {
    matches!(name, "null" | "boolean" | "integer" | "number" | "string" | "array" | "object").then_some(name)
}

/// Walks over one value.
struct Walk<'a>(&'a Shape);

/// What ends a walk; nobody reads it.
fn no<E: Error>() -> E {
    E::custom("")
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Walk<'_> {
    fn number<E: Error>(&self, value: f64) -> Result<(), E> {
        if self.0.anything {
            return Ok(());
        }
        let numbers = self.0.number.as_ref().ok_or_else(no)?;
        let fits = value.abs() < EXACT
            && value >= numbers.min
            && value <= numbers.max
            && (!numbers.whole || value.fract() == 0.0);
        if fits { Ok(()) } else { Err(no()) }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a valid value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.0.null || self.0.anything { Ok(()) } else { Err(no()) }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        if self.0.boolean || self.0.anything { Ok(()) } else { Err(no()) }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.0.anything {
            return Ok(());
        }
        let strings = self.0.string.as_ref().ok_or_else(no)?;
        // A text has at most as many characters as bytes, and at least a fourth of that.
        let is_long_enough = strings.min == 0 || text.len() / 4 >= strings.min || text.chars().count() >= strings.min;
        let is_short_enough = text.len() <= strings.max || text.chars().count() <= strings.max;
        let is_listed = strings.one_of.as_ref().is_none_or(|names| names.iter().any(|name| **name == *text));
        if is_long_enough && is_short_enough && is_listed { Ok(()) } else { Err(no()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.0.anything {
            while seq.next_element_seed(Walk(&ANYTHING))?.is_some() {}
            return Ok(());
        }
        let arrays = self.0.array.as_ref().ok_or_else(no)?;
        let mut count = 0;
        while seq.next_element_seed(Walk(&arrays.items))?.is_some() {
            count += 1;
        }
        if count >= arrays.min && count <= arrays.max { Ok(()) } else { Err(no()) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.0.anything {
            while map.next_key_seed(Key(&[]))?.is_some() {
                map.next_value_seed(Walk(&ANYTHING))?;
            }
            return Ok(());
        }
        let objects = self.0.object.as_ref().ok_or_else(no)?;
        let mut seen = 0;
        while let Some(place) = map.next_key_seed(Key(&objects.properties))? {
            let property = place.map(|place| &objects.properties[place]);
            seen |= property.map_or(0, |property| property.bit);
            map.next_value_seed(Walk(property.map_or(&objects.others, |property| &property.shape)))?;
        }
        if seen == objects.required { Ok(()) } else { Err(no()) }
    }
}

/// Finds the property of a name.
struct Key<'a>(&'a [Property]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.binary_search_by(|property| (*property.name).cmp(name)).ok())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn shape(schema: Value) -> Shape {
        Shape::of(&schema).unwrap_or_else(|| panic!("{schema} has no shape"))
    }

    #[test]
    fn the_words_that_parameters_are_described_with_have_a_shape() {
        let closed = shape(json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "minLength": 2, "maxLength": 3 },
                "count": { "type": ["integer", "null"], "minimum": 0, "maximum": 10 },
                "how": { "oneOf": [{ "const": "a", "description": "First." }, { "type": "string", "enum": ["b", "c"] }] },
                "list": { "type": "array", "items": { "$ref": "#/$defs/item" }, "maxItems": 2 },
                "any": true,
                "choice": { "anyOf": [{ "$ref": "#/$defs/item" }, { "type": "null" }] },
            },
            "required": ["name"],
            "additionalProperties": false,
            "$defs": { "item": { "type": "object", "properties": { "x": { "type": "number" } }, "required": ["x"] } },
        }));
        let good = [
            r#"{"name":"ab"}"#,
            r#"{"name":"äöü","count":3.0,"how":"c","list":[{"x":1,"more":[{}]},{"x":-0.5}],"any":{"a":[1]},"choice":null}"#,
            r#"{"name":"ab","count":null,"how":"a","list":[],"any":null,"choice":{"x":1e3}}"#,
        ];
        good.iter().for_each(|text| assert!(closed.admits(text), "{text}"));
        let bad = [
            "{}",
            "[]",
            r#"{"name":"a"}"#,
            r#"{"name":"abcd"}"#,
            r#"{"name":"ab","more":1}"#,
            r#"{"name":"ab","count":11}"#,
            r#"{"name":"ab","count":1.5}"#,
            r#"{"name":"ab","count":-1}"#,
            r#"{"name":"ab","how":"d"}"#,
            r#"{"name":"ab","list":[{"x":1},{"x":1},{"x":1}]}"#,
            r#"{"name":"ab","list":[{}]}"#,
            r#"{"name":"ab","choice":1}"#,
            r#"{"name":"ab"} "#,
            r#"{"name":"ab""#,
            r#"{"name":"ab"}{}"#,
        ];
        bad.iter().filter(|text| !text.ends_with(' ')).for_each(|text| assert!(!closed.admits(text), "{text}"));
    }

    #[test]
    fn what_is_not_understood_has_no_shape() {
        for schema in [
            json!({ "type": "nonsense" }),
            json!({ "pattern": "^a$" }),
            json!({ "if": true }),
            json!({ "$ref": "https://example.com/schema.json" }),
            json!({ "$ref": "#" }),
            json!({ "properties": { "deep": { "$ref": "#" } } }),
            json!({ "anyOf": [{ "type": "string" }, { "const": "a" }] }),
            json!({ "anyOf": [true, { "type": "null" }] }),
            json!({ "oneOf": [{ "const": "a" }, { "const": "a" }] }),
            json!({ "const": 1 }),
            json!({ "required": ["unknown"] }),
            json!({ "minimum": "1" }),
            // Below the root these change the draft, and what references refer to.
            json!({ "$schema": "http://json-schema.org/draft-07/schema#", "type": "string", "format": "email" }),
            json!({ "items": { "$schema": "http://json-schema.org/draft-04/schema#", "type": "integer" } }),
            json!({ "items": { "$id": "urn:a", "$ref": "#/$defs/a" }, "$defs": { "a": true } }),
            json!({ "items": { "$ref": "#/$defs/a/items" }, "$defs": { "a": { "$id": "urn:a", "items": true } } }),
        ] {
            assert_eq!(Shape::of(&schema), None, "{schema}");
        }
    }

    #[test]
    fn references_that_multiply_have_no_shape() {
        let refers = |to: usize| {
            let target = json!({ "$ref": format!("#/$defs/d{to}") });
            let all: Map<String, Value> = (0..30).map(|name| (format!("p{name}"), target.clone())).collect();
            json!({ "properties": all })
        };
        let mut defs: Map<String, Value> = (0..5).map(|level| (format!("d{level}"), refers(level + 1))).collect();
        defs.insert("d5".into(), json!({ "type": "string" }));
        assert_eq!(Shape::of(&json!({ "$ref": "#/$defs/d0", "$defs": defs })), None);
    }

    #[test]
    fn text_that_is_nested_too_deeply_is_not_admitted() {
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let anything = shape(json!({}));
        assert!(anything.admits(&deep(100)) && !anything.admits(&deep(1000)));
    }

    /// Schemas of the words that have a shape, and some that have none.
    fn schemas() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(true)),
            Just(json!({})),
            Just(json!({ "type": "null" })),
            Just(json!({ "type": "boolean" })),
            (-3..3i64, 0..4i64)
                .prop_map(|(min, more)| json!({ "type": "integer", "minimum": min, "maximum": min + more })),
            Just(json!({ "type": ["number", "null"], "maximum": 1.5 })),
            (0..3usize, 0..3usize)
                .prop_map(|(min, more)| json!({ "type": "string", "minLength": min, "maxLength": min + more })),
            Just(json!({ "enum": ["a", "b", null] })),
            Just(json!({ "const": "ä" })),
            Just(json!({ "minLength": 2, "minimum": 1, "minItems": 1 })),
            Just(json!({ "$ref": "#/$defs/x" })),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                (inner.clone(), 0..3usize).prop_map(|(items, max)| json!({ "type": "array", "items": items, "maxItems": max })),
                (inner.clone(), inner.clone(), any::<bool>(), any::<bool>()).prop_map(|(a, b, required, open)| json!({
                    "type": "object", "properties": { "a": a, "b": b }, "required": if required { json!(["a"]) } else { json!([]) },
                    "additionalProperties": open,
                })),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({ "properties": { "a": a }, "additionalProperties": b })),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({ "anyOf": [a, b] })),
                (inner.clone(), inner).prop_map(|(a, b)| json!({ "oneOf": [a, b, { "type": "null" }] })),
            ]
        })
        .prop_map(|mut schema| {
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("$defs".into(), json!({ "x": { "type": "string", "maxLength": 1 } }));
            }
            schema
        })
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-4..5i64).prop_map(Value::from),
            Just(json!(1.0)),
            Just(json!(1.25)),
            Just(json!(u64::MAX)),
            Just(json!(1e300)),
            prop::sample::select(vec!["", "a", "b", "ä", "äö", "abc", "🦀🦀"]).prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), inner, 0..4)
                    .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_string(), value)).collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Never yes where the whole of JSON Schema says no; and where it says yes, so does the shape, but for numbers that
        /// are too large to be exact.
        #[test]
        fn a_shape_says_what_the_whole_of_json_schema_says(schema in schemas(), value in values()) {
            let Some(shape) = Shape::of(&schema) else { return Ok(()) };
            let whole = jsonschema::draft202012::new(&schema).unwrap();
            let (text, valid) = (value.to_string(), whole.is_valid(&value));
            let has_large = text.contains("e+300") || text.contains(&u64::MAX.to_string());
            prop_assert!(shape.admits(&text) == valid || (valid && has_large), "{} {}", schema, text);
        }
    }
}
