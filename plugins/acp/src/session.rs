//! One answer: the program is started, a session is begun, prompted and listened to, and ended.

use std::path::Path;
use std::time::Duration;

use outside::backend;
use outside::child::Program;
use plugin_api::contracts::backend::{BackendResult, BackendRun, Piece, code};
use plugin_api::contracts::{Message, Part, role};
use plugin_api::{Call, Host, MethodError};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::updates::Assembly;
use crate::wire::{Peer, Said};
use crate::{AcpConfig, Permissions, files};

/// The version of the protocol that is spoken here.
const VERSION: u64 = 1;
/// JSON-RPC's code for a method that is not there, and the protocol's for a program that wants its user to log in.
const NO_SUCH_METHOD: i32 = -32601;
const AUTH_REQUIRED: i64 = -32000;

/// A program at work. Dropped in the midst of it, the program is told to stop, and killed if it does not.
struct Work {
    peer: Option<Peer>,
    /// Taken until the program has ended.
    place: Option<OwnedSemaphorePermit>,
    session: Option<String>,
    host: Host,
    grace: Duration,
}

impl Drop for Work {
    fn drop(&mut self) {
        let Some(peer) = self.peer.take() else { return };
        let (session, grace, place) = (self.session.take(), self.grace, self.place.take());
        self.host.spawn(async move {
            let _place = place;
            let cancel = session.map(|session| ("session/cancel", json!({ "sessionId": session })));
            peer.end(cancel, grace).await;
        });
    }
}

pub(crate) async fn answer(
    config: &AcpConfig,
    program: &Program,
    folder: &Path,
    place: OwnedSemaphorePermit,
    call: &Call,
    run: &BackendRun,
) -> Result<BackendResult, MethodError> {
    let peer = Peer::start(program, config.max_output_bytes).map_err(|error| {
        backend::error(code::UNREACHABLE, None, "acp: the program could not be started".to_string()).log(error)
    })?;
    let grace = Duration::from_millis(config.end_grace_ms);
    let mut work = Work { peer: Some(peer), place: Some(place), session: None, host: call.host().clone(), grace };
    let mut talk = Talk { config, folder, call, work: &mut work, assembly: Assembly::default(), is_prompted: false };
    let limit = Duration::from_millis(config.start_timeout_ms);
    let begun = timeout(limit, talk.begin(run)).await;
    let can_see = begun.map_err(|_| talk.failed("the program has not begun a session in start_timeout_ms"))??;
    let reason = talk.prompt(run, can_see).await?;
    let result = talk.assembly.finish(&reason);
    // The prompt is answered: there is nothing to cancel any more.
    work.session = None;
    match result {
        Some(result) => Ok(result),
        None => Err(backend::error(code::BROKEN_STREAM, None, format!("acp: the program gave up ({reason:.40})"))),
    }
}

struct Talk<'a> {
    config: &'a AcpConfig,
    folder: &'a Path,
    call: &'a Call,
    work: &'a mut Work,
    assembly: Assembly,
    /// What is told before the prompt is of no answer: some greet.
    is_prompted: bool,
}

impl Talk<'_> {
    fn peer(&mut self) -> &mut Peer {
        self.work.peer.as_mut().expect("it is taken when the work is dropped")
    }

    fn failed(&mut self, why: &str) -> MethodError {
        self.peer().failed(why)
    }

    /// Begins a session, and says whether it can be shown images.
    async fn begin(&mut self, run: &BackendRun) -> Result<bool, MethodError> {
        let reads = self.config.files != crate::Files::None;
        let writes = self.config.files == crate::Files::Write;
        let initialize = json!({
            "protocolVersion": VERSION,
            "clientCapabilities": { "fs": { "readTextFile": reads, "writeTextFile": writes }, "terminal": false },
            "clientInfo": { "name": "clawhost", "title": "clawhost", "version": env!("CARGO_PKG_VERSION") },
        });
        let program = self.ask("initialize", initialize).await?;
        if program["protocolVersion"].as_u64() != Some(VERSION) {
            let why =
                format!("it speaks version {} of the protocol, and this is {VERSION}", program["protocolVersion"]);
            return Err(self.failed(&why));
        }
        let session = self.ask("session/new", json!({ "cwd": self.folder, "mcpServers": [] })).await?;
        let Some(id) = session["sessionId"].as_str() else { return Err(self.failed("its session has no id")) };
        self.work.session = Some(id.to_string());
        if let Some(model) = run.model.as_deref().or(self.config.model.as_deref()) {
            self.choose_model(id, &session, model).await?;
            self.piece(&Piece::Model { provider: "acp".to_string(), model: model.to_string() });
            self.assembly.model = Some(model.to_string());
        }
        Ok(program["agentCapabilities"]["promptCapabilities"]["image"].as_bool().unwrap_or(false))
    }

    /// Programs offer their models either as such, or as one of the session's options.
    async fn choose_model(&mut self, id: &str, session: &Value, model: &str) -> Result<(), MethodError> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        if list(&session["models"]["availableModels"]).iter().any(|known| known["modelId"] == model) {
            self.ask("session/set_model", json!({ "sessionId": id, "modelId": model })).await?;
            return Ok(());
        }
        for option in list(&session["configOptions"]) {
            let offered = list(&option["options"]);
            let grouped = offered.iter().flat_map(|group| list(&group["options"]));
            let has = offered.iter().cloned().chain(grouped).any(|choice| choice["value"] == model);
            if has && option["category"] == "model" {
                let params = json!({ "sessionId": id, "configId": option["id"], "value": model });
                self.ask("session/set_config_option", params).await?;
                return Ok(());
            }
        }
        let message = "acp: the program offers no such model".to_string();
        Err(backend::error(code::UNKNOWN_MODEL, None, message))
    }

    /// Prompts, and gives the reason for which the answer ended.
    async fn prompt(&mut self, run: &BackendRun, can_see: bool) -> Result<String, MethodError> {
        let text = backend::as_text(run.system.as_deref(), &run.messages);
        let mut prompt = vec![json!({ "type": "text", "text": text })];
        if can_see {
            let last: Option<&Message> = run.messages.iter().rev().find(|message| message.role == role::USER);
            prompt.extend(last.into_iter().flat_map(|message| &message.content).filter_map(|part| match part {
                Part::Image { mime_type, data } => {
                    Some(json!({ "type": "image", "mimeType": mime_type, "data": data }))
                }
                _ => None,
            }));
        }
        self.is_prompted = true;
        let session = self.work.session.clone();
        let answer = self.ask("session/prompt", json!({ "sessionId": session, "prompt": prompt })).await?;
        self.assembly.count(&answer["usage"]);
        match answer["stopReason"].as_str() {
            Some(reason) => Ok(reason.to_string()),
            None => Err(self.failed("its answer has no reason to end")),
        }
    }

    /// Asks, and does what the program asks meanwhile.
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, MethodError> {
        let number = self.peer().ask(method, params).await;
        loop {
            match self.peer().listen().await? {
                Said::Answers { id, result } if id == number => {
                    return result.map_err(|error| self.refused(method, &error));
                }
                Said::Asks { id, method, params } => {
                    let answer = self.serve(&method, &params).await;
                    self.peer().answer(id, answer).await;
                }
                Said::Tells { method, params } if method == "session/update" && self.is_prompted => {
                    for piece in self.assembly.take(&params["update"]) {
                        self.piece(&piece);
                    }
                }
                Said::Answers { .. } | Said::Tells { .. } | Said::Nothing => {}
            }
        }
    }

    fn refused(&mut self, method: &str, error: &Value) -> MethodError {
        let why = format!("{method} failed: {error}");
        if error["code"].as_i64() == Some(AUTH_REQUIRED) {
            let message = "acp: the program wants its user to log in first".to_string();
            return backend::error(code::AUTH, None, message).log(backend::for_log(&why, None));
        }
        self.failed(&why)
    }

    /// What a program may ask of its client.
    async fn serve(&mut self, method: &str, params: &Value) -> Result<Value, (i32, &'static str)> {
        match method {
            "session/request_permission" => Ok(json!({ "outcome": permission(self.config.permissions, params) })),
            "fs/read_text_file" | "fs/write_text_file" => {
                let is_write = method == "fs/write_text_file";
                files::serve(self.call.host(), self.config, self.folder, is_write, params).await
            }
            _ => Err((NO_SUCH_METHOD, "this client does not serve it")),
        }
    }

    /// A piece that cannot be sent is part of the result all the same.
    fn piece(&self, piece: &Piece) {
        let _ = self.call.interim(piece);
    }
}

/// Which of the offered choices is taken. Without one of the right kind nothing is chosen, which is no permission.
fn permission(permissions: Permissions, params: &Value) -> Value {
    let kinds = match permissions {
        Permissions::Allow => ["allow_once", "allow_always"],
        Permissions::Deny => ["reject_once", "reject_always"],
    };
    let options = params["options"].as_array().map(Vec::as_slice).unwrap_or_default();
    let chosen = kinds.iter().find_map(|kind| options.iter().find(|option| option["kind"] == *kind));
    match chosen.map(|option| &option["optionId"]) {
        Some(Value::String(id)) => json!({ "outcome": "selected", "optionId": id }),
        _ => json!({ "outcome": "cancelled" }),
    }
}
