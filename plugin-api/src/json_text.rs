//! Schemas and rows of manifests, kept as they are written: a gateway holds hundreds of them and reads few.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// JSON as text. Copies share it.
#[derive(Debug, Clone)]
pub struct JsonText(Arc<str>);

impl JsonText {
    /// Its JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// It, read. What was parsed or made of a value can always be read.
    pub fn value(&self) -> Value {
        self.read().unwrap_or_default()
    }

    /// It, read as what it is expected to be; an error if it is something else.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.0)
    }
}

impl From<Value> for JsonText {
    fn from(value: Value) -> Self {
        JsonText(value.to_string().into())
    }
}

/// As values, however they are written.
impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.value() == other.value()
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(JsonText(raw.get().into()))
    }
}

impl JsonSchema for JsonText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Value::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Value::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        schema: JsonText,
    }

    #[test]
    fn a_schema_stays_as_it_is_through_text_and_values() {
        let schema = json!({ "type": "object", "properties": { "a": { "const": 1 } } });
        let row = Row { schema: schema.clone().into() };
        assert_eq!(serde_json::from_str::<Row>(&serde_json::to_string(&row).unwrap()).unwrap(), row);
        assert_eq!(serde_json::from_value::<Row>(serde_json::to_value(&row).unwrap()).unwrap(), row);
        assert_eq!(serde_json::to_value(&row).unwrap(), json!({ "schema": schema }));
        let spaced: Row =
            serde_json::from_str(r#"{ "schema": { "properties": {"a": {"const": 1}}, "type": "object" } }"#).unwrap();
        assert_eq!((&spaced, spaced.schema.value()), (&row, schema));
    }
}
