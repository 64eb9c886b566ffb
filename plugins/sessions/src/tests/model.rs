//! The store against a model of it that fits on a page: whatever is done in whatever order, both say the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append(u8, Vec<u64>),
    Reset(u8),
    Delete(u8),
    Compact(u8, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let session = 0..3u8;
    prop_oneof![
        4 => (session.clone(), proptest::collection::vec(0..12u64, 0..4)).prop_map(|(of, ids)| Step::Append(of, ids)),
        1 => session.clone().prop_map(Step::Reset),
        1 => session.clone().prop_map(Step::Delete),
        1 => (session, 1..4u64).prop_map(|(of, keep)| Step::Compact(of, keep)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_done(steps in proptest::collection::vec(step(), 1..14)) {
        let running = start();
        let mut model: BTreeMap<u8, Vec<String>> = BTreeMap::new();
        let key = |of: u8| format!("s{of}");
        for step in steps {
            match step {
                Step::Append(of, numbers) => {
                    let messages: Vec<Value> = numbers.iter().copied().map(numbered).collect();
                    let total = append(&running, &key(of), json!(messages))["total"].clone();
                    let transcript = model.entry(of).or_default();
                    for number in numbers {
                        let id = format!("m{number}");
                        if !transcript.contains(&id) {
                            transcript.push(id);
                        }
                    }
                    prop_assert_eq!(total, json!(transcript.len()));
                }
                Step::Reset(of) => {
                    running.call("sessions.reset", json!({ "key": key(of) })).payload();
                    model.insert(of, Vec::new());
                }
                Step::Delete(of) => {
                    let deleted = running.call("sessions.delete", json!({ "key": key(of) })).payload();
                    let before = model.remove(&of);
                    prop_assert_eq!(&deleted["deleted"], &json!(before.is_some()));
                    let archived = usize::from(before.is_some_and(|transcript| !transcript.is_empty()));
                    prop_assert_eq!(deleted["archived"].as_array().unwrap().len(), archived);
                }
                Step::Compact(of, keep) => {
                    let params = json!({ "key": key(of), "maxLines": keep });
                    let compacted = running.call("sessions.compact", params).payload();
                    let transcript = model.get_mut(&of).filter(|transcript| transcript.len() as u64 > keep);
                    prop_assert_eq!(&compacted["compacted"], &json!(transcript.is_some()));
                    if let Some(transcript) = transcript {
                        transcript.drain(..transcript.len() - keep as usize);
                    }
                }
            }
        }
        for of in 0..3 {
            let transcript = ask(&running, "transcript", json!({ "key": key(of) })).payload();
            let expected = model.get(&of).cloned().unwrap_or_default();
            prop_assert_eq!(ids(&transcript), expected);
            prop_assert_eq!(transcript.get("sessionId").is_some(), model.contains_key(&of));
        }
        let listed = running.call("sessions.list", json!({})).payload();
        prop_assert_eq!(&listed["count"], &json!(model.len()));
    }
}
