//! `system.metrics`: of all that is counted, what people look at.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

/// Result of `system.metrics`.
#[derive(Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Metrics {
    /// Methods that were called, sorted by name.
    pub methods: Vec<MethodCount>,
    /// Limits that were hit, by their names in `gateway.limits`, sorted.
    pub limits: Vec<LimitCount>,
}

/// What was counted of a method.
#[derive(Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct MethodCount {
    /// Its name.
    pub method: String,
    /// The plugin that owns it.
    pub plugin: String,
    /// Calls that were asked for.
    pub calls: u64,
    /// Calls that were answered with an error.
    pub errors: u64,
    /// Microseconds from the begin to the last answer, added up.
    pub microseconds: u64,
}

/// How often a limit was hit.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct LimitCount {
    /// The limit.
    pub limit: String,
    /// How often.
    pub hits: u64,
}

impl Metrics {
    /// Reads them out of Prometheus' text form.
    pub fn read(text: &str) -> Self {
        let mut methods: BTreeMap<(String, String), MethodCount> = BTreeMap::new();
        let mut limits: BTreeMap<String, u64> = BTreeMap::new();
        for Sample { name, labels, value } in text.lines().filter_map(sample) {
            let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
            if name == "clawhost_limit_hits_total" {
                limits.insert(label("limit"), value);
                continue;
            }
            let (method, plugin) = (label("method"), label("plugin"));
            let named = || MethodCount { method: method.clone(), plugin: plugin.clone(), ..MethodCount::default() };
            let row = methods.entry((method.clone(), plugin.clone()));
            match name {
                "clawhost_calls_total" => row.or_insert_with(named).calls = value,
                "clawhost_call_errors_total" => row.or_insert_with(named).errors = value,
                "clawhost_call_microseconds_total" => row.or_insert_with(named).microseconds = value,
                _ => {}
            }
        }
        Metrics {
            methods: methods.into_values().filter(|row| row.calls > 0).collect(),
            limits: limits
                .into_iter()
                .filter(|(_, hits)| *hits > 0)
                .map(|(limit, hits)| LimitCount { limit, hits })
                .collect(),
        }
    }
}

/// A line with a whole number.
struct Sample<'t> {
    name: &'t str,
    labels: HashMap<&'t str, String>,
    value: u64,
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    let value = value.parse().ok()?;
    let Some((name, rest)) = series.split_once('{') else {
        return Some(Sample { name: series, labels: HashMap::new(), value });
    };
    let mut labels = HashMap::new();
    let mut rest = rest.strip_suffix('}')?;
    while let Some((label, after)) = rest.split_once("=\"") {
        let (text, after) = quoted(after)?;
        labels.insert(label.trim_start_matches(','), text);
        rest = after;
    }
    Some(Sample { name, labels, value })
}

/// The text up to the quotation mark that ends it, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => out.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => out.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_limits_are_read_and_the_rest_is_passed_over() {
        let text = "# TYPE clawhost_calls_total counter\n\
            clawhost_calls_total{method=\"a.b\",plugin=\"p\"} 3\n\
            clawhost_calls_total{method=\"never\",plugin=\"p\"} 0\n\
            clawhost_call_errors_total{plugin=\"p\",method=\"a.b\"} 1\n\
            clawhost_call_microseconds_total{method=\"a.b\",plugin=\"p\"} 1500\n\
            clawhost_limit_hits_total{limit=\"max_x\"} 2\n\
            clawhost_limit_hits_total{limit=\"max_y\"} 0\n\
            clawhost_connections 1\n\
            clawhost_odd{method=\"a, \\\"b\\\" = c\\\\\"} 1\nnonsense\nx{y 1\n";
        let count = |method: &str, calls, errors, microseconds| MethodCount {
            method: method.to_string(),
            plugin: "p".to_string(),
            calls,
            errors,
            microseconds,
        };
        let expected = Metrics {
            methods: vec![count("a.b", 3, 1, 1500)],
            limits: vec![LimitCount { limit: "max_x".to_string(), hits: 2 }],
        };
        assert_eq!(Metrics::read(text), expected);
        let odd = sample("clawhost_odd{method=\"a, \\\"b\\\" = c\\\\\"} 1").expect("a line");
        assert_eq!(odd.labels["method"], "a, \"b\" = c\\");
    }
}
