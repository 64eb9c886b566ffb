//! Where invokes arrive: each is looked up, bounded in time and number, carried out, and answered once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::ability::{Ability, Answer, Refusal, TIMEOUT, UNAVAILABLE};

/// How long a command may take when the gateway does not say.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);
/// Commands carried out at a time; a machine has other things to do as well.
const AT_A_TIME: usize = 8;

/// The payload of `node.invoke.request`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invoke {
    /// What the answer refers to.
    pub id: String,
    /// The node that is meant.
    pub node_id: String,
    /// The command.
    pub command: String,
    /// Its parameters as JSON text.
    #[serde(default, rename = "paramsJSON")]
    pub params_json: Option<String>,
    /// How long the gateway waits.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// The parameters of `node.invoke.result`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The invoke that this answers.
    pub id: String,
    /// This node.
    pub node_id: String,
    /// Whether the command was carried out.
    pub ok: bool,
    /// What it gave back, as JSON text.
    #[serde(rename = "payloadJSON", skip_serializing_if = "Option::is_none")]
    pub payload_json: Option<String>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Fault>,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    /// One of the field's codes.
    pub code: String,
    /// For people.
    pub message: String,
}

/// The abilities of this machine, and what is being done with them.
pub struct Desk {
    abilities: Vec<Box<dyn Ability>>,
    places: Semaphore,
    running: Mutex<HashMap<String, Option<AbortHandle>>>,
}

impl Desk {
    /// A desk for these abilities.
    pub fn new(abilities: Vec<Box<dyn Ability>>) -> Self {
        Desk { abilities, places: Semaphore::new(AT_A_TIME), running: Mutex::default() }
    }

    /// What to declare as `caps`: sorted, each once.
    pub fn caps(&self) -> Vec<&'static str> {
        self.abilities.iter().map(|ability| ability.cap()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What to declare as `commands`, sorted.
    pub fn commands(&self) -> Vec<&'static str> {
        self.abilities
            .iter()
            .flat_map(|ability| ability.commands())
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Begins an invoke; `answer` hears the outcome once. One that came already is not begun again.
    pub fn take(self: &Arc<Self>, invoke: Invoke, answer: impl FnOnce(Outcome) + Send + 'static) {
        let mut running = self.running();
        if running.contains_key(&invoke.id) {
            tracing::warn!(id = invoke.id, "the gateway sent an invoke twice; the second one is ignored");
            return;
        }
        running.insert(invoke.id.clone(), None);
        drop(running);
        let desk = self.clone();
        let id = invoke.id.clone();
        let task = tokio::spawn(async move {
            let entry = Entry { desk: desk.clone(), id: invoke.id.clone() };
            let outcome = desk.outcome(invoke).await;
            drop(entry);
            answer(outcome);
        });
        // It may be over already, and then there is nothing to cancel.
        if let Some(place) = self.running().get_mut(&id) {
            *place = Some(task.abort_handle());
        }
    }

    /// Ends an invoke that nobody waits for any more. What it began is ended with it.
    pub fn cancel(&self, id: &str) {
        if let Some(Some(task)) = self.running().remove(id) {
            task.abort();
        }
    }

    /// Ends everything: the gateway is gone, and nobody hears the answers.
    pub fn cancel_all(&self) {
        for task in std::mem::take(&mut *self.running()).into_values().flatten() {
            task.abort();
        }
    }

    /// Ends everything for good.
    pub async fn stop(&self) {
        self.cancel_all();
        for ability in &self.abilities {
            ability.stop().await;
        }
    }

    /// Carries an invoke out, within its time.
    pub async fn outcome(&self, invoke: Invoke) -> Outcome {
        let limit = invoke.timeout_ms.map_or(DEFAULT_LIMIT, Duration::from_millis);
        let deadline = Instant::now() + limit;
        let Invoke { id, node_id, command, params_json, .. } = invoke;
        let params = params_json.as_deref().filter(|text| !text.trim().is_empty()).unwrap_or("{}");
        let done = match timeout_at(deadline, self.run(&command, params, deadline)).await {
            Ok(answer) => answer,
            Err(_) => Err(Refusal { code: TIMEOUT, message: format!("{command} took longer than {limit:?}") }),
        };
        match done {
            Ok(Value::Null) => Outcome { id, node_id, ok: true, payload_json: None, error: None },
            Ok(value) => Outcome { id, node_id, ok: true, payload_json: Some(value.to_string()), error: None },
            Err(Refusal { code, message }) => {
                let error = Some(Fault { code: code.to_string(), message });
                Outcome { id, node_id, ok: false, payload_json: None, error }
            }
        }
    }

    async fn run(&self, command: &str, params: &str, deadline: Instant) -> Answer {
        let mut abilities = self.abilities.iter();
        let ability = abilities
            .find(|ability| ability.commands().contains(&command))
            .ok_or_else(|| Refusal::invalid(format!("this node does not know the command {command}")))?;
        let _place = self.places.try_acquire().map_err(|_| Refusal {
            code: UNAVAILABLE,
            message: format!("this node is busy with {AT_A_TIME} commands; try again in a moment"),
        })?;
        ability.run(command, params, deadline).await
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, Option<AbortHandle>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An invoke's place among those that run; a task that is aborted gives it back too.
struct Entry {
    desk: Arc<Desk>,
    id: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.desk.running().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ability::Work;
    use serde_json::json;
    use tokio::sync::{mpsc, oneshot};

    struct Echo;

    impl Ability for Echo {
        fn cap(&self) -> &'static str {
            "test"
        }

        fn commands(&self) -> &'static [&'static str] {
            &["test.echo", "test.hang", "test.nothing"]
        }

        fn run<'a>(&'a self, command: &'a str, params: &'a str, _: Instant) -> Work<'a> {
            Box::pin(async move {
                match command {
                    "test.hang" => std::future::pending().await,
                    "test.nothing" => Ok(Value::Null),
                    _ => Ok(json!({ "said": serde_json::from_str::<Value>(params).unwrap() })),
                }
            })
        }
    }

    fn desk() -> Arc<Desk> {
        Arc::new(Desk::new(vec![Box::new(Echo)]))
    }

    fn invoke(id: &str, command: &str, params: Option<&str>, timeout_ms: Option<u64>) -> Invoke {
        let (id, node_id, command) = (id.to_string(), "n".to_string(), command.to_string());
        Invoke { id, node_id, command, params_json: params.map(str::to_string), timeout_ms }
    }

    #[tokio::test]
    async fn an_answer_is_json_text_and_nothing_is_nothing() {
        let outcome = desk().outcome(invoke("1", "test.echo", Some(r#"{"a":1}"#), None)).await;
        assert_eq!(
            serde_json::to_value(&outcome).unwrap(),
            json!({ "id": "1", "nodeId": "n", "ok": true, "payloadJSON": r#"{"said":{"a":1}}"# })
        );
        let outcome = desk().outcome(invoke("2", "test.nothing", None, None)).await;
        assert_eq!(serde_json::to_value(&outcome).unwrap(), json!({ "id": "2", "nodeId": "n", "ok": true }));
        let outcome = desk().outcome(invoke("3", "test.echo", None, None)).await;
        assert_eq!(outcome.payload_json.as_deref(), Some(r#"{"said":{}}"#));
    }

    #[tokio::test]
    async fn what_is_not_known_or_takes_too_long_is_an_error_with_its_code() {
        let unknown = desk().outcome(invoke("1", "camera.snap", None, None)).await.error.unwrap();
        assert_eq!((unknown.code.as_str(), unknown.message.contains("camera.snap")), ("INVALID_REQUEST", true));
        let late = desk().outcome(invoke("2", "test.hang", None, Some(0))).await.error.unwrap();
        assert_eq!(late.code, "TIMEOUT");
    }

    #[tokio::test]
    async fn one_that_comes_twice_is_answered_once_and_one_that_is_cancelled_never() {
        let desk = desk();
        let (sender, mut answers) = mpsc::unbounded_channel();
        for _ in 0..2 {
            let sender = sender.clone();
            desk.take(invoke("1", "test.echo", None, None), move |outcome| sender.send(outcome.id).unwrap());
        }
        let (cancelled, mut heard) = oneshot::channel();
        desk.take(invoke("2", "test.hang", None, None), move |outcome| cancelled.send(outcome).unwrap());
        desk.cancel("2");
        drop(sender);
        assert_eq!(answers.recv().await.as_deref(), Some("1"));
        assert_eq!(answers.recv().await, None);
        assert!((&mut heard).await.is_err(), "its answer was dropped");
        assert!(desk.running().is_empty());
    }

    #[tokio::test]
    async fn one_that_came_twice_can_still_be_cancelled() {
        let desk = desk();
        let (cancelled, heard) = oneshot::channel();
        desk.take(invoke("1", "test.hang", None, None), move |outcome| cancelled.send(outcome).unwrap());
        desk.take(invoke("1", "test.hang", None, None), |_| {});
        desk.cancel("1");
        assert!(heard.await.is_err(), "its answer was dropped");
    }

    #[tokio::test]
    async fn a_busy_node_says_so() {
        let desk = desk();
        for id in 0..AT_A_TIME {
            desk.take(invoke(&id.to_string(), "test.hang", None, None), |_| {});
        }
        while desk.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(desk.outcome(invoke("x", "test.nothing", None, None)).await.error.unwrap().message.contains("busy"));
        desk.cancel_all();
        while desk.places.available_permits() < AT_A_TIME {
            tokio::task::yield_now().await;
        }
        assert!(desk.outcome(invoke("y", "test.nothing", None, None)).await.ok);
    }
}
