//! What agent backends have in common: how they tell of failures, and what of a conversation a model can be shown.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use plugin_api::contracts::backend::code;
use plugin_api::contracts::{Message, Part, role};
use plugin_api::{Host, MethodError};
use serde_json::json;

use crate::http::{Answer, Trouble, retry_after};
use crate::service::{Key, Service};

/// Most that is read of the body of a refusal, and how much of it the log is told.
const REFUSAL_BYTES: usize = 64 * 1024;
const REFUSAL_FOR_LOG: usize = 2_000;
/// How long a service may take to list its models: who lists models waits for three seconds, and a silent one costs its own.
const MODELS_MAY_TAKE: Duration = Duration::from_millis(2_500);

/// An error of a backend. Which codes are worth another try is the same everywhere.
pub fn error(code: &str, retry_after: Option<Duration>, message: String) -> MethodError {
    let error = MethodError::unavailable(message).with_details(json!({ "code": code }));
    match (code, retry_after) {
        (code::RATE_LIMIT | code::OVERLOADED, Some(wait)) => error.retry_after(wait),
        (code::RATE_LIMIT | code::OVERLOADED | code::UNREACHABLE | code::BROKEN_STREAM, _) => error.retryable(),
        _ => error,
    }
}

/// The models of one service among others, or after a while that it does not tell them.
pub async fn models_in_time<T>(
    host: &Host,
    service: &Service,
    models: impl Future<Output = Result<T, MethodError>>,
) -> Result<T, MethodError> {
    let (mut models, mut too_late) = (pin!(models), pin!(host.sleep(MODELS_MAY_TAKE)));
    poll_fn(|context| match models.as_mut().poll(context) {
        Poll::Pending => too_late
            .as_mut()
            .poll(context)
            .map(|()| Err(MethodError::unavailable(format!("{} does not tell its models", service.name)))),
        told => told,
    })
    .await
}

/// What a code means, for people.
pub fn sentence(code: &str) -> &'static str {
    match code {
        code::AUTH => "the service refused the key",
        code::UNKNOWN_MODEL => "the service has no such model",
        code::RATE_LIMIT => "the service takes no more requests for now",
        code::OVERLOADED => "the service is not up to it just now",
        code::UNREACHABLE => "the service could not be reached",
        code::BROKEN_STREAM => "the answer broke off or was not understood",
        code::CONTEXT_LENGTH => "the conversation is too long for the model",
        _ => "the service refused the request",
    }
}

/// An error that came amid an answer, or was found in it.
pub fn told(service: &Service, code: &str, why: &str, key: Option<&Key>) -> MethodError {
    error(code, None, format!("{}: {}", service.name, sentence(code))).log(for_log(why, key))
}

/// The error of an answer that did not come, or not to its end.
pub fn from_trouble(service: &Service, trouble: Trouble) -> MethodError {
    let (code, what) = match &trouble {
        Trouble::Unreachable(_) => (code::UNREACHABLE, "the service could not be reached"),
        Trouble::Broken(_) => (code::BROKEN_STREAM, "the answer broke off"),
        Trouble::Stalled(_) => (code::BROKEN_STREAM, "the service fell silent"),
        Trouble::TooLarge(_) => {
            // Another try would be as long.
            let message = format!("{}: the answer is larger than max_response_bytes", service.name);
            let error = MethodError::unavailable(message).with_details(json!({ "code": code::BROKEN_STREAM }));
            return error.log(trouble);
        }
    };
    error(code, None, format!("{}: {what}", service.name)).log(trouble)
}

/// The error of an answer whose status says that it is none. `classify` is given the body, and may know better than the
/// status what it means. The peer hears a sentence of ours, the log what the service said.
pub async fn from_refusal(
    service: &Service,
    mut answer: Answer,
    key: Option<&Key>,
    classify: impl Fn(&str) -> Option<&'static str>,
) -> MethodError {
    let status = answer.status();
    let wait = retry_after(answer.headers(), SystemTime::now());
    let body = answer.beginning(REFUSAL_BYTES).await;
    let body = String::from_utf8_lossy(&body);
    let code = classify(&body).unwrap_or_else(|| by_status(status));
    let message = if status.is_redirection() {
        format!(
            "{}: the service is at another address (HTTP {}); redirects are not followed",
            service.name,
            status.as_u16()
        )
    } else {
        format!("{}: {} (HTTP {})", service.name, sentence(code), status.as_u16())
    };
    error(code, wait, message).log(for_log(&format!("HTTP {status}: {body}"), key))
}

fn by_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401..=403 => code::AUTH,
        404 => code::UNKNOWN_MODEL,
        413 => code::CONTEXT_LENGTH,
        408 | 409 | 425 | 500..=599 => code::OVERLOADED,
        429 => code::RATE_LIMIT,
        _ => code::REFUSED,
    }
}

/// A text of somebody else's as one line of the log, bounded and without the key.
pub fn for_log(text: &str, key: Option<&Key>) -> String {
    let text = key.map_or_else(|| text.to_string(), |key| key.hidden_in(text));
    text.chars().take(REFUSAL_FOR_LOG).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The conversation as one text, for programs that take no other: the last message alone if there is no other, or else
/// all of them with who said them.
pub fn as_text(system: Option<&str>, messages: &[Message]) -> String {
    let shown = presentable(messages);
    let mut text = String::new();
    if let Some(system) = system.map(str::trim).filter(|system| !system.is_empty()) {
        text.push_str(system);
        text.push_str("\n\n");
    }
    if let [only] = &shown[..] {
        text.push_str(&said(only));
        return text;
    }
    for message in &shown {
        let who = match message.role.as_str() {
            role::USER => "User".to_string(),
            role::ASSISTANT => "Assistant".to_string(),
            _ => format!("Tool {}", message.tool_name.as_deref().unwrap_or_default()),
        };
        text.push_str(&format!("{}: {}\n\n", who.trim(), said(message)));
    }
    text.truncate(text.trim_end().len());
    text
}

/// What a message says, images and tool calls as remarks.
fn said(message: &Message) -> String {
    let parts = message.content.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.clone()),
        Part::Image { .. } => Some("[an image]".to_string()),
        Part::ToolCall { name, arguments, .. } => Some(format!("[calls {name} with {arguments}]")),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("\n")
}

/// The conversation as providers take it: without the gateway's remarks, and with every tool call followed by its
/// answers, in the order of the calls. A call that a run left unanswered is answered here, and an answer without its call
/// is left out: either would make the whole conversation unacceptable.
pub fn presentable(messages: &[Message]) -> Vec<Message> {
    let mut shown = Vec::with_capacity(messages.len());
    for (place, message) in messages.iter().enumerate() {
        match message.role.as_str() {
            role::USER => shown.push(message.clone()),
            role::ASSISTANT => {
                shown.push(message.clone());
                let later = messages[place + 1..].iter().take_while(|later| later.role != role::ASSISTANT);
                let answers = later.filter(|later| later.role == role::TOOL_RESULT);
                let answers: BTreeMap<&str, &Message> =
                    answers.filter_map(|answer| Some((answer.tool_call_id.as_deref()?, answer))).collect();
                for part in &message.content {
                    let Part::ToolCall { id, name, .. } = part else { continue };
                    shown.push(answers.get(id.as_str()).map_or_else(|| unanswered(id, name), |known| (*known).clone()));
                }
            }
            _ => {}
        }
    }
    shown
}

fn unanswered(id: &str, name: &str) -> Message {
    Message {
        tool_call_id: Some(id.to_string()),
        tool_name: Some(name.to_string()),
        is_error: Some(true),
        ..Message::text(role::TOOL_RESULT, "The call was given up before it was answered.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(ids: &[&str]) -> Message {
        let call = |id: &&str| Part::ToolCall { id: id.to_string(), name: "look".to_string(), arguments: json!({}) };
        Message { role: role::ASSISTANT.to_string(), content: ids.iter().map(call).collect(), ..Message::default() }
    }

    fn answer(id: &str) -> Message {
        Message { tool_call_id: Some(id.to_string()), ..Message::text(role::TOOL_RESULT, format!("of {id}")) }
    }

    #[test]
    fn every_call_is_followed_by_its_answer() {
        let user = |text: &str| Message::text(role::USER, text);
        let given = [
            answer("lost"),
            user("one"),
            calls(&["a", "b", "c"]),
            answer("c"),
            user("two"),
            answer("a"),
            Message::text(role::SYSTEM, "a remark"),
            Message::text(role::ASSISTANT, "done"),
            answer("b"),
        ];
        let shown = presentable(&given);
        let said: Vec<String> =
            shown.iter().map(|message| format!("{} {}", message.role, message.plain_text())).collect();
        assert_eq!(
            said,
            [
                "user one",
                "assistant ",
                "toolResult of a",
                "toolResult The call was given up before it was answered.",
                "toolResult of c",
                "user two",
                "assistant done"
            ]
        );
    }

    #[test]
    fn a_conversation_is_told_in_one_text() {
        let user = |text: &str| Message::text(role::USER, text);
        assert_eq!(as_text(None, &[user("Hello")]), "Hello");
        assert_eq!(as_text(Some("Be brief."), &[user("Hello")]), "Be brief.\n\nHello");
        let result = Message { tool_name: Some("look".to_string()), ..answer("a") };
        let all = [user("Hello"), calls(&["a"]), result, Message::text(role::ASSISTANT, "Well."), user("And?")];
        let expected =
            "User: Hello\n\nAssistant: [calls look with {}]\n\nTool look: of a\n\nAssistant: Well.\n\nUser: And?";
        assert_eq!(as_text(None, &all), expected);
    }

    #[test]
    fn what_is_worth_another_try_follows_from_the_code() {
        let wait = Some(Duration::from_millis(5));
        let told = |code: &str| {
            let shape = error(code, wait, String::new()).shape().clone();
            (shape.retryable, shape.retry_after_ms)
        };
        assert_eq!((told(code::RATE_LIMIT), told(code::OVERLOADED)), ((Some(true), Some(5)), (Some(true), Some(5))));
        assert_eq!((told(code::UNREACHABLE), told(code::BROKEN_STREAM)), ((Some(true), None), (Some(true), None)));
        for code in [code::AUTH, code::UNKNOWN_MODEL, code::CONTEXT_LENGTH, code::REFUSED] {
            assert_eq!(told(code), (None, None), "{code}");
        }
    }
}
