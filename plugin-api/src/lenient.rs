//! Helpers for what clients really write: `3.0` for 3, and `null` for an absent field.

use serde::{Deserialize, Deserializer};

/// Reads a non-negative integer that may be written `3.0`: `#[serde(deserialize_with = "lenient::uint")]`.
///
/// JSON Schema agrees: a number with an integral value is an `integer`.
pub fn uint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    whole(serde_json::Number::deserialize(deserializer)?)
        .ok_or_else(|| serde::de::Error::custom("expected a non-negative integer"))
}

/// Like [`uint`], absent or `null` being `None`:
/// `#[serde(default, deserialize_with = "lenient::optional_uint")]`.
pub fn optional_uint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<serde_json::Number>::deserialize(deserializer)?
        .map(|number| whole(number).ok_or_else(|| serde::de::Error::custom("expected a non-negative integer")))
        .transpose()
}

/// Reads `null` as the type's default, for fields whose type is not an `Option`:
/// `#[serde(default, deserialize_with = "lenient::null_as_default")]` with
/// `#[schemars(schema_with = "lenient::nullable::<T>")]`.
pub fn null_as_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The schema of a field read with [`null_as_default`]: `T` or `null`.
pub fn nullable<T: schemars::JsonSchema>(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    generator.subschema_for::<Option<T>>()
}

fn whole(number: serde_json::Number) -> Option<u64> {
    /// The largest integer up to which every integer has a `f64` of its own.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    number
        .as_u64()
        .or_else(|| number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=MAX_EXACT).contains(n)).map(|n| n as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Params {
        #[serde(deserialize_with = "uint")]
        limit: u64,
        #[serde(default, deserialize_with = "optional_uint")]
        cursor: Option<u64>,
        #[serde(default, deserialize_with = "null_as_default")]
        names: Vec<String>,
    }

    #[test]
    fn what_clients_really_write() {
        let params: Params = serde_json::from_str(r#"{"limit":3.0,"cursor":null,"names":null}"#).unwrap();
        assert_eq!((params.limit, params.cursor, params.names.len()), (3, None, 0));
        let params: Params = serde_json::from_str(r#"{"limit":1e3,"cursor":7}"#).unwrap();
        assert_eq!((params.limit, params.cursor), (1000, Some(7)));
        for bad in [r#"{"limit":3.5}"#, r#"{"limit":-1}"#, r#"{"limit":"3"}"#, r#"{"limit":1e300}"#, "{}"] {
            assert!(serde_json::from_str::<Params>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_integer_of_a_schema_has_bounds_within_which_it_is_read() {
        #[derive(schemars::JsonSchema)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct Counts {
            limit: u64,
            cursor: Option<u64>,
            offset: i64,
            small: u32,
            #[schemars(range(min = 1, max = 5))]
            own: u64,
        }
        let schema = crate::schema_of::<Counts>();
        let bounds = |name: &str| (&schema["properties"][name]["minimum"], &schema["properties"][name]["maximum"]);
        let safe = 9_007_199_254_740_991i64;
        assert_eq!(bounds("limit"), (&0.into(), &safe.into()));
        assert_eq!(bounds("cursor"), (&0.into(), &safe.into()));
        assert_eq!(bounds("offset"), (&(-safe).into(), &safe.into()));
        assert_eq!(bounds("small"), (&0.into(), &u32::MAX.into()));
        assert_eq!(bounds("own"), (&1.into(), &5.into()));
        for written in [safe.to_string(), format!("{safe}.0")] {
            let params: Params = serde_json::from_str(&format!(r#"{{"limit":{written}}}"#)).unwrap();
            assert_eq!(params.limit, safe as u64);
        }
    }
}
