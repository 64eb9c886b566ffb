//! Compares a frame with what a test wrote down: `"*"` stands for any value, a text that ends in `*` for any text that
//! begins so, `"…": "*"` beside other keys for any further keys.

use serde_json::Value;

/// Where and how a value differs from a pattern; `None` when it fits.
pub fn mismatch(pattern: &Value, value: &Value) -> Option<String> {
    compare("", pattern, value)
}

fn compare(path: &str, pattern: &Value, value: &Value) -> Option<String> {
    let differs =
        || Some(format!("{}: {pattern} was expected, {value} came", if path.is_empty() { "/" } else { path }));
    match (pattern, value) {
        (Value::String(any), _) if any == "*" => None,
        (Value::String(begin), Value::String(text)) if begin.ends_with('*') => {
            if text.starts_with(begin.trim_end_matches('*')) { None } else { differs() }
        }
        (Value::Object(patterns), Value::Object(values)) => {
            let open = patterns.contains_key("…");
            if let Some(extra) = values.keys().find(|key| !open && !patterns.contains_key(*key)) {
                return Some(format!("{path}/{extra}: is more than was expected"));
            }
            patterns.iter().filter(|(key, _)| *key != "…").find_map(|(key, pattern)| match values.get(key) {
                Some(value) => compare(&format!("{path}/{key}"), pattern, value),
                None => Some(format!("{path}/{key}: is missing")),
            })
        }
        (Value::Array(patterns), Value::Array(values)) if patterns.len() == values.len() => {
            let pairs = patterns.iter().zip(values).enumerate();
            pairs.into_iter().find_map(|(place, (pattern, value))| compare(&format!("{path}/{place}"), pattern, value))
        }
        _ if pattern == value => None,
        _ => differs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns() {
        let value = json!({ "a": 1, "b": ["x", null], "c": "hello" });
        assert_eq!(mismatch(&json!({ "a": 1, "b": "*", "c": "he*" }), &value), None);
        assert_eq!(mismatch(&json!({ "c": "hello", "…": "*" }), &value), None);
        assert!(mismatch(&json!({ "a": 1 }), &value).is_some_and(|why| why.contains("more than")));
        assert_eq!(mismatch(&json!({ "d": 1, "…": "*" }), &value).as_deref(), Some("/d: is missing"));
        assert!(mismatch(&json!({ "b": ["x"], "…": "*" }), &value).is_some());
        assert!(mismatch(&json!({ "c": "ho*", "…": "*" }), &value).is_some());
    }
}
