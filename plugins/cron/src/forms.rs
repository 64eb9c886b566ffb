//! What the fields of a job have to be, so that who writes one wrongly hears which, and what would have been right. The
//! types themselves are stricter in places, and say what is missing or too much.

use plugin_api::MethodError;
use serde_json::{Map, Value};

use crate::params::invalid;

/// What a field has to be.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    Flag,
    Count,
    Object,
    OneOf(&'static [&'static str]),
}
use Form::{Count, Flag, Object, OneOf, Text};

/// Fields after what is written otherwise was brought into one form; those of an object after the object.
const FORMS: &[(&str, Form)] = &[
    ("/name", Text),
    ("/description", Text),
    ("/agentId", Text),
    ("/enabled", Flag),
    ("/deleteAfterRun", Flag),
    ("/sessionTarget", Text),
    ("/sessionKey", Text),
    ("/wakeMode", OneOf(&["now", "next-heartbeat"])),
    ("/missed", OneOf(&["skip", "once", "all"])),
    ("/schedule", Object),
    ("/schedule/kind", OneOf(&["at", "every", "cron"])),
    ("/schedule/atMs", Count),
    ("/schedule/everyMs", Count),
    ("/schedule/anchorMs", Count),
    ("/schedule/expr", Text),
    ("/schedule/tz", Text),
    ("/payload", Object),
    ("/payload/kind", OneOf(&["systemEvent", "agentTurn"])),
    ("/payload/text", Text),
    ("/payload/message", Text),
    ("/payload/model", Text),
    ("/payload/thinking", Text),
    ("/payload/timeoutSeconds", Count),
    ("/isolation", Object),
    ("/isolation/postToMainPrefix", Text),
    ("/isolation/postToMainMode", OneOf(&["summary", "full"])),
    ("/isolation/postToMainMaxChars", Count),
    ("/delivery", Object),
    ("/delivery/mode", OneOf(&["none", "announce"])),
    ("/delivery/channel", Text),
    ("/delivery/to", Text),
    ("/delivery/accountId", Text),
    ("/delivery/threadId", Text),
    ("/delivery/bestEffort", Flag),
    ("/state", Object),
    ("/state/nextRunAtMs", Count),
    ("/state/runningAtMs", Count),
    ("/state/lastRunAtMs", Count),
    ("/state/lastStatus", OneOf(&["ok", "error", "skipped"])),
    ("/state/lastError", Text),
    ("/state/lastDurationMs", Count),
];

/// Names the first field that is not what it has to be. Null is as good as nothing.
pub fn check(method: &str, fields: &Map<String, Value>) -> Result<(), MethodError> {
    let wrong =
        FORMS.iter().find(|(place, form)| at(fields, place).is_some_and(|value| !value.is_null() && !form.fits(value)));
    match wrong {
        Some((place, form)) => Err(invalid(method, format!("at {place}: must be {}", form.words()))),
        None => Ok(()),
    }
}

fn at<'a>(fields: &'a Map<String, Value>, place: &str) -> Option<&'a Value> {
    let mut names = place.split('/').skip(1);
    let first = fields.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

impl Form {
    fn fits(self, value: &Value) -> bool {
        match self {
            Text => value.is_string(),
            Flag => value.is_boolean(),
            // As JSON Schema has it, 3.0 is one.
            Count => value.as_f64().is_some_and(|number| number >= 0.0 && number.fract() == 0.0),
            Object => value.is_object(),
            OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        }
    }

    fn words(self) -> String {
        match self {
            Text => "string".to_string(),
            Flag => "boolean".to_string(),
            Count => "a non-negative integer".to_string(),
            Object => "object".to_string(),
            OneOf(words) => format!("one of {}", words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::job::Delivery;
    use crate::params::Fields;

    /// A field at its place, and all that is around it.
    fn alone(place: &str, value: Value) -> Map<String, Value> {
        let nested = place.split('/').skip(1).collect::<Vec<_>>().into_iter().rev();
        match nested.fold(value, |inner, name| json!({ name: inner })) {
            Value::Object(fields) => fields,
            other => panic!("{place}: {other}"),
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_have_been_right() {
        for (place, form) in FORMS {
            // Nothing takes a list.
            let error = check("m", &alone(place, json!([]))).expect_err(place);
            let wanted = format!("invalid m params: at {place}: must be {}", form.words());
            assert_eq!(error.shape().message, wanted);
            check("m", &alone(place, Value::Null)).expect(place);
        }
        for (place, value) in [
            ("/wakeMode", json!("Now")),
            ("/enabled", json!(1)),
            ("/schedule/everyMs", json!(-5)),
            ("/schedule/everyMs", json!(5.5)),
            ("/payload/timeoutSeconds", json!("9")),
        ] {
            let error = check("m", &alone(place, value)).expect_err(place);
            assert!(error.shape().message.contains(place), "{error}");
        }
        check("m", &alone("/schedule/everyMs", json!(5000.0))).expect("a whole number");
    }

    #[test]
    fn every_word_is_one_that_the_types_take() {
        for (place, form) in FORMS {
            let (OneOf(words), false) = (form, place.ends_with("/kind")) else { continue };
            for word in *words {
                let mut fields = Value::Object(alone(place, json!(word)));
                // This one is read later, merged with what was there.
                let error = match *place {
                    "/delivery/mode" => serde_json::from_value::<Delivery>(fields["delivery"].take()).err(),
                    _ => serde_json::from_value::<Fields>(fields).err(),
                };
                assert!(error.is_none(), "{place} {word}: {error:?}");
            }
        }
    }
}
