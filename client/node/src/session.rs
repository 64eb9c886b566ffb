//! Staying connected: the node knocks until it is let in, declares its abilities, and answers invokes as they come.

use std::convert::Infallible;
use std::sync::Arc;

use client::{Client, ClientError, ConnectOptions, Event, State};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::desk::{Desk, Fault, Invoke, Outcome};
use crate::gateway::{Gateway, Line, News, Renewal, canvas_of};

/// What this kind of client calls itself.
const CLIENT_ID: &str = "node-host";
const CLIENT_MODE: &str = "node";
/// Invokes that may wait to be read.
const EVENT_BUFFER: usize = 1024;
/// What a result's frame needs around its payload.
const ENVELOPE: usize = 4 * 1024;

/// What the node tells its user.
#[derive(Debug)]
pub enum Told {
    /// It is connected to a gateway of this version.
    Connected(String),
    /// An operator has to approve it as a device first.
    WaitsForPairing(Option<String>),
    /// There is no connection, and why; it tries again.
    Disconnected(ClientError),
    /// Somebody asks for this command.
    Asked(String),
    /// A command was not carried out, and why.
    Failed(String),
}

/// Hears what there is to tell.
pub type Tell = Arc<dyn Fn(Told) + Send + Sync>;

/// Lends the abilities until `stop` is done, or until only a person can help. `options` say where the gateway is and how to
/// get in; abilities hold `gateway`, and what they say into it comes out of `line`.
pub async fn run(
    options: ConnectOptions,
    desk: Arc<Desk>,
    (gateway, line): (Gateway, Line),
    stop: impl Future<Output = ()>,
    tell: Tell,
) -> Result<(), ClientError> {
    let options = options
        .client(CLIENT_ID, CLIENT_MODE)
        .role("node")
        .scopes(Vec::<String>::new())
        .caps(desk.caps())
        .commands(desk.commands())
        .path_env(std::env::var("PATH").unwrap_or_default())
        .protocols(3, 4)
        .event_buffer(EVENT_BUFFER);
    let client = Client::start(options);
    let served = serve(&client, &desk, &gateway, &tell);
    tokio::pin!(stop);
    let ended = tokio::select! {
        error = served => Err(error),
        never = pass_on(&client, line.news) => match never {},
        never = renew(&client, &gateway, line.renewals) => match never {},
        () = &mut stop => Ok(()),
    };
    desk.stop().await;
    client.stop().await;
    ended
}

/// Works until there will be no further connection.
async fn serve(client: &Client, desk: &Arc<Desk>, gateway: &Gateway, tell: &Tell) -> ClientError {
    let mut events = client.events();
    let mut state = client.state();
    state.mark_changed();
    loop {
        tokio::select! {
            changed = state.changed() => {
                let now = state.borrow_and_update().clone();
                match now {
                    _ if changed.is_err() => return ClientError::Closed { code: 1000, reason: "stopped".to_string() },
                    State::Connecting => {}
                    State::Connected { hello } => {
                        gateway.joined(&hello);
                        tell(Told::Connected(hello.server.version.clone()));
                    }
                    State::PairingPending { request_id, .. } => {
                        desk.cancel_all();
                        tell(Told::WaitsForPairing(request_id));
                    }
                    State::Waiting { why, .. } => {
                        desk.cancel_all();
                        tell(Told::Disconnected(why));
                    }
                    State::Stopped { error } => {
                        return error.unwrap_or(ClientError::Closed { code: 1000, reason: "stopped".to_string() });
                    }
                }
            }
            event = events.next() => match event {
                Some(event) => heard(client, desk, &event, tell),
                None => std::future::pending().await,
            },
        }
    }
}

fn heard(client: &Client, desk: &Arc<Desk>, event: &Event, tell: &Tell) {
    match event {
        Event::Frame(frame) if frame.event == "node.invoke.request" => match event.payload::<Invoke>(&frame.event) {
            Some(Ok(invoke)) => {
                tell(Told::Asked(invoke.command.clone()));
                let (client, tell) = (client.clone(), tell.clone());
                desk.take(invoke, move |outcome| {
                    if let Some(Fault { message, .. }) = &outcome.error {
                        tell(Told::Failed(message.clone()));
                    }
                    tokio::spawn(answer(client, outcome));
                });
            }
            Some(Err(error)) => tracing::warn!(%error, "an invoke was not understood"),
            None => {}
        },
        Event::Frame(frame) if frame.event == "node.invoke.cancel" => {
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct Cancel {
                invoke_id: String,
            }
            if let Some(Ok(Cancel { invoke_id })) = event.payload(&frame.event) {
                desk.cancel(&invoke_id);
            }
        }
        // The gateway answers for what was lost when its time is over.
        Event::Lagged { missed } => tracing::warn!(missed, "events came faster than they were read"),
        _ => {}
    }
}

/// Sends news in their order, and waits for a while where there is no connection. A gateway that does not take them is none the
/// worse for it.
async fn pass_on(client: &Client, mut news: mpsc::Receiver<News>) -> Infallible {
    while let Some(News { event, payload }) = news.recv().await {
        let said = json!({ "event": event, "payloadJSON": payload.to_string() });
        if let Err(error) = client.request::<Value>("node.event", said).await {
            tracing::warn!(event, %error, "news were not taken");
        }
    }
    std::future::pending().await
}

/// Asks for fresh addresses of the canvas. A gateway may end the one in its `hello-ok` while the connection stands, as when
/// another connection of this device was given a fresh one.
async fn renew(client: &Client, gateway: &Gateway, mut renewals: mpsc::Receiver<Renewal>) -> Infallible {
    while let Some(told) = renewals.recv().await {
        let renewed = fresh_canvas(client, gateway.canvas()).await;
        let done = renewed.map(|canvas| canvas.into_iter().for_each(|canvas| gateway.at(Some(canvas))));
        // Whoever asked may have run out of time.
        let _ = told.send(done.map_err(|error| error.to_string()));
    }
    std::future::pending().await
}

async fn fresh_canvas(client: &Client, observed: Option<String>) -> Result<Option<String>, ClientError> {
    let connection = client.connection().await?;
    let answer: Box<RawValue> = match connection.hello().protocol {
        3 => connection.request("node.canvas.capability.refresh", json!({})).await?,
        _ => {
            let asked = json!({ "surface": "canvas", "observedUrl": observed });
            connection.request("node.pluginSurface.refresh", asked).await?
        }
    };
    Ok(canvas_of(answer.get()))
}

/// Sends an outcome. A lost connection is the end of it: the gateway has told whoever asked.
async fn answer(client: Client, outcome: Outcome) {
    let connection = match client.connection().await {
        Ok(connection) => connection,
        Err(_) => return,
    };
    let outcome = fitting(outcome, connection.hello().policy.max_payload);
    if let Err(error) = connection.request::<Value>("node.invoke.result", &outcome).await {
        tracing::warn!(id = outcome.id, %error, "a result was not taken");
    }
}

/// The outcome, or the news that it is too large for the gateway, which would close the connection over it.
fn fitting(outcome: Outcome, limit: u64) -> Outcome {
    let payload = outcome.payload_json.as_deref().unwrap_or_default();
    // Each of these is written with a backslash before it.
    let escaped = payload.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
    let size = payload.len() + escaped + ENVELOPE;
    if size as u64 <= limit {
        return outcome;
    }
    let message = format!("the result has {size} bytes, and the gateway takes at most {limit}");
    let error = Some(Fault { code: "UNAVAILABLE".to_string(), message });
    Outcome { ok: false, payload_json: None, error, ..outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_sent() {
        let outcome = |text: &str| Outcome {
            id: "1".into(),
            node_id: "n".into(),
            ok: true,
            payload_json: Some(text.into()),
            error: None,
        };
        let small = outcome("\"x\"");
        assert_eq!(fitting(small.clone(), ENVELOPE as u64 + 5), small);
        let refused = fitting(small, ENVELOPE as u64 + 4);
        assert!(!refused.ok && refused.payload_json.is_none() && refused.error.unwrap().message.contains("bytes"));
    }
}
