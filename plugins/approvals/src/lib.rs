//! Exec approvals: somebody wants to run a program and asks, operators decide, whoever asked hears it. Beside that the
//! files that say what may run without asking: the gateway's own, and those of nodes, which their nodes keep.
//!
//! A request is on disk before anybody hears of it, and until its time is over, whoever disconnects meanwhile and whether or
//! not the gateway is restarted: who asked may come back and wait for the decision, and who decides may come back and list
//! what waits. It is decided once, and the decision is on disk before it is told. The gateway itself runs nothing; a decision
//! binds those who ask for it.

mod file;
mod kept;
mod node;
mod params;
mod pending;

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use database::Database;
use plugin_api::abi::extension;
use plugin_api::{
    Call, CreateError, EventSpec, Host, HostError, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply,
    Setup, Spawned, StartError,
};
use schemars::JsonSchema;
use schemas::scope::{ADMIN, APPROVALS};
use serde::{Deserialize, Serialize};
use serde_json::json;

use file::{Fault, Snapshot, Store};
use params::{Accepted, Answered, ApprovalId, Ask, Decision, Done, Resolve, Resolved, Seen, SetFile};
use pending::{Approval, Book, Outcome, Pending, Undecided, Unopened};

/// Somebody wants to run a program.
const REQUESTED: &str = "exec.approval.requested";
/// It was decided.
const RESOLVED: &str = "exec.approval.resolved";

/// `[plugins.approvals.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalsConfig {
    /// Most requests that wait for a decision at once; as many decided ones are remembered until their time is over.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_pending: usize,
    /// Largest request, in bytes.
    #[schemars(range(min = 256, max = 1_048_576))]
    pub max_request_bytes: usize,
    /// Milliseconds a request waits when it does not say.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub timeout_ms: u64,
    /// Milliseconds a request waits at most, whatever it says.
    #[schemars(range(min = 1, max = 604_800_000))]
    pub max_timeout_ms: u64,
    /// Largest file of the gateway's approvals, in bytes.
    #[schemars(range(min = 256, max = 16_777_216))]
    pub max_file_bytes: usize,
}

impl Default for ApprovalsConfig {
    fn default() -> Self {
        ApprovalsConfig {
            max_pending: 256,
            max_request_bytes: 64 * 1024,
            timeout_ms: 120_000,
            max_timeout_ms: 86_400_000,
            max_file_bytes: 1024 * 1024,
        }
    }
}

/// The plugin.
pub struct Approvals {
    host: Host,
    config: ApprovalsConfig,
    book: Mutex<Book>,
    kept: Database,
    store: Arc<Store>,
}

static METHODS: LazyLock<Methods<Approvals>> = LazyLock::new(|| {
    let deciding = |name| Method::operator(name, &[APPROVALS]);
    let admin = |name| Method::operator(name, &[ADMIN]);
    Methods::new()
        .add(
            deciding("exec.approval.request")
                .summary("Asks operators whether a program may run, and waits for their decision.")
                .description(
                    "A decision of null says that nobody decided in time. With `twoPhase` the request is accepted first. It \
                     waits on when its connection goes; exec.approval.waitDecision hears of it again.",
                )
                .effects()
                .interim()
                .timeout_ms(0),
            Approvals::request,
        )
        .add(
            deciding("exec.approval.resolve")
                .summary("Decides about a request: allow-once, allow-always or deny. The first decision counts.")
                .effects(),
            Approvals::resolve,
        )
        .add(deciding("exec.approval.list").summary("Requests that wait, the oldest first."), Approvals::list)
        .add(deciding("exec.approval.get").summary("One request that waits."), Approvals::get)
        .add(
            deciding("exec.approval.waitDecision")
                .summary("Waits for the decision about a request that was made before.")
                .timeout_ms(0),
            Approvals::wait_decision,
        )
        .add(
            admin("exec.approvals.get").summary("The gateway's own file of what may run, without its socket's token."),
            Approvals::get_file,
        )
        .add(
            admin("exec.approvals.set")
                .summary("Replaces that file.")
                .description("`baseHash` is the hash that exec.approvals.get gave, unless there is no file yet.")
                .effects(),
            Approvals::set_file,
        )
        .add(
            admin("exec.approvals.node.get").summary("A node's file of what may run on it.").timeout_ms(0),
            Approvals::get_of_node,
        )
        .add(
            admin("exec.approvals.node.set").summary("Replaces a node's file, if the node lets it.").effects().timeout_ms(0),
            Approvals::set_of_node,
        )
});

impl Plugin for Approvals {
    fn manifest() -> Manifest {
        Manifest::new("approvals", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Brings questions whether a program may run to operators, and their decisions back.")
            .requires(&[extension::EXEC, extension::INVOKE, extension::CALLER])
            .invokes(&[node::CALL])
            .config::<ApprovalsConfig>()
            .methods(&METHODS)
            .event(
                EventSpec::operator(REQUESTED, &[APPROVALS])
                    .summary("Somebody asks whether a program may run.")
                    .payload::<Pending>(),
            )
            .event(
                EventSpec::operator(RESOLVED, &[APPROVALS])
                    .summary("It was decided whether a program may run.")
                    .payload::<Resolved>(),
            )
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let config: ApprovalsConfig = setup.config()?;
        let store = Arc::new(Store::in_folder(setup.data_dir()?, config.max_file_bytes));
        let kept = Database::new(setup.data_dir()?, kept::SHAPE);
        Ok(Approvals { host, config, book: Mutex::default(), kept, store })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        let now = schemas::now_ms();
        let kept = self.kept.transaction_here(|db| {
            kept::forget_expired(db, now)?;
            kept::all(db)
        });
        let kept = kept.map_err(|error| StartError::new(format!("what waits for a decision: {error:?}")))?;
        // Nobody is asked a second time: who was asked before lists what waits.
        let mut book = self.book();
        for (pending, decision) in kept {
            let approval = Arc::new(Approval::new(pending));
            let timer = self.timer(&approval.pending);
            book.open(&approval, decision, timer);
        }
        book.is_open = true;
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        self.book().is_open = false;
        // What was begun is done when this is, in the order of the transactions: the next instance finds all of it.
        let _ = self.kept.transaction(&self.host, |_| Ok(())).await;
        let waiting = self.book().close();
        waiting.iter().for_each(|approval| approval.fill(Outcome::Stopped));
    }
}

plugin_api::plugin!(Approvals);

impl Approvals {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The book, if it is in use: between two instances neither has it.
    fn open_book(&self) -> Result<MutexGuard<'_, Book>, MethodError> {
        let book = self.book();
        let away = || MethodError::unavailable("approvals are being reloaded; ask again in a moment").retryable();
        if book.is_open { Ok(book) } else { Err(away()) }
    }

    async fn request(self: Arc<Self>, call: Call, ask: Ask) -> Result<Answered, MethodError> {
        let most = self.config.max_request_bytes;
        if call.params_text().len() > most {
            return Err(MethodError::invalid_request(format!(
                "the request is larger than {most} bytes (max_request_bytes)"
            )));
        }
        let two_phase = ask.two_phase == Some(true);
        let wait = ask.timeout_ms.unwrap_or(self.config.timeout_ms).min(self.config.max_timeout_ms);
        let (id, request) = ask.into_request()?;
        let approval = self.open(id, request, wait).await?;
        if two_phase {
            // Whoever has gone does not need to know.
            let _ = call.interim(&Accepted::of(&approval.pending));
        }
        outcome(&approval).await
    }

    /// Writes a request down, then tells operators of it; also when whoever asks goes in between.
    async fn open(
        self: &Arc<Self>,
        id: Option<String>,
        request: params::Request,
        wait: u64,
    ) -> Result<Arc<Approval>, MethodError> {
        let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let created_at_ms = schemas::now_ms();
        let pending = Pending { id, request, created_at_ms, expires_at_ms: created_at_ms.saturating_add(wait) };
        self.open_book()?.reserve(&pending.id, self.config.max_pending).map_err(unopened)?;
        let approval = Arc::new(Approval::new(pending.clone()));
        let opening = Opening { approvals: self.clone(), approval: Some(approval.clone()) };
        let write = move |db: &_| kept::put(db, &pending);
        self.kept.transaction_then(&self.host, write, |()| opening.written()).await?;
        Ok(approval)
    }

    /// Ends a request when its time is over.
    fn timer(self: &Arc<Self>, pending: &Pending) -> Spawned {
        // Never at once: whoever sets it holds the book.
        let wait = pending.expires_at_ms.saturating_sub(schemas::now_ms()).max(1);
        let (plugin, id, host) = (Arc::downgrade(self), pending.id.clone(), self.host.clone());
        self.host.spawn(async move {
            host.sleep(Duration::from_millis(wait)).await;
            if let Some(plugin) = plugin.upgrade() {
                plugin.expire(&id);
            }
        })
    }

    fn expire(&self, id: &str) {
        // A book that is closed has no entries: what is in the file is the next instance's by then.
        let Some((approval, was_waiting)) = self.book().expire(id) else { return };
        let until = approval.pending.expires_at_ms;
        // Not waited for. What stays is passed over by the next start.
        drop(self.kept.transaction(&self.host, move |db| kept::forget_expired(db, until)));
        if was_waiting {
            approval.fill(Outcome::Expired);
        }
    }

    async fn resolve(self: Arc<Self>, call: Call, params: Resolve) -> Result<Done, MethodError> {
        let decision =
            Decision::named(&params.decision).ok_or_else(|| MethodError::invalid_request("invalid decision"))?;
        let caller = call.caller()?;
        let protocol = caller.protocol;
        let resolved_by = caller.display_name.or(caller.client_id).or(caller.plugin);
        let most = self.config.max_pending;
        let decided = self.open_book()?.decide(&params.id, decision, most);
        let approval = decided.map_err(|why| undecided(why, protocol))?;
        let ts = schemas::now_ms();
        let resolved = Resolved { id: approval.pending.id.clone(), decision, resolved_by, ts };
        let conn_id = caller.conn_id.unwrap_or_default();
        let deciding = Deciding { approvals: self.clone(), approval, resolved: Some(resolved), conn_id };
        let write = move |db: &_| kept::decide(db, &params.id, decision, ts, most);
        self.kept.transaction_then(&self.host, write, |()| deciding.written()).await?;
        Ok(Done { ok: true })
    }

    async fn list(self: Arc<Self>, _: Call, _: NoParams) -> Result<Vec<Pending>, MethodError> {
        Ok(self.open_book()?.waiting())
    }

    async fn get(self: Arc<Self>, _: Call, params: ApprovalId) -> Result<Seen, MethodError> {
        let book = self.open_book()?;
        match book.get(&params.id) {
            Some((approval, None)) => Ok(Seen::of(&approval.pending)),
            Some((_, decided)) => Err(not_found(decided)),
            None => Err(not_found(None)),
        }
    }

    async fn wait_decision(self: Arc<Self>, _: Call, params: ApprovalId) -> Result<Answered, MethodError> {
        let found = self.open_book()?.get(&params.id).map(|(approval, _)| approval.clone());
        let approval = found.ok_or_else(|| unknown("approval expired or not found", None))?;
        outcome(&approval).await
    }

    async fn get_file(self: Arc<Self>, _: Call, _: NoParams) -> Result<Snapshot, MethodError> {
        let store = self.store.clone();
        self.host.blocking(move || store.snapshot()).await?.map_err(fault)
    }

    async fn set_file(self: Arc<Self>, _: Call, params: SetFile) -> Result<Snapshot, MethodError> {
        let store = self.store.clone();
        let replace = move || store.replace(params.file, params.base_hash.as_deref());
        self.host.blocking(replace).await?.map_err(fault)
    }

    fn emit<T: Serialize>(&self, event: &str, payload: &T) {
        match self.host.event(event).droppable().send(payload) {
            // Nobody is there to hear it.
            Ok(()) | Err(HostError::Gone) => {}
            Err(error) => self.host.warn(&format!("{event} was not sent: {error}")),
        }
    }
}

/// A request that is being written down. Given up, it is none.
struct Opening {
    approvals: Arc<Approvals>,
    approval: Option<Arc<Approval>>,
}

impl Opening {
    fn written(mut self) {
        let Some(approval) = self.approval.take() else { return };
        let mut book = self.approvals.book();
        // Told under the lock: nobody hears of a decision before the request.
        self.approvals.emit(REQUESTED, &approval.pending);
        book.open(&approval, None, self.approvals.timer(&approval.pending));
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(approval) = &self.approval {
            self.approvals.book().release(&approval.pending.id);
        }
    }
}

/// A decision that is being written down. Given up, there is none, and the request waits as before.
struct Deciding {
    approvals: Arc<Approvals>,
    approval: Arc<Approval>,
    resolved: Option<Resolved>,
    /// Who decided.
    conn_id: String,
}

impl Deciding {
    fn written(mut self) {
        let Some(resolved) = self.resolved.take() else { return };
        self.approvals.emit(RESOLVED, &resolved);
        self.approval.fill(Outcome::Decided(resolved.decision));
        let Resolved { id, decision, resolved_by, .. } = resolved;
        let (decision, by, conn) = (decision.name(), resolved_by.unwrap_or_default(), &self.conn_id);
        self.approvals.host.info(&format!("exec approval {id:?}: {decision} by {by:?} on {conn:?}"));
    }
}

impl Drop for Deciding {
    fn drop(&mut self) {
        if let Some(Resolved { id, .. }) = &self.resolved
            && !self.approvals.book().undecide(id)
        {
            self.approval.fill(Outcome::Expired);
        }
    }
}

/// What becomes of a request.
async fn outcome(approval: &Approval) -> Result<Answered, MethodError> {
    match approval.outcome().await {
        Outcome::Decided(decision) => Ok(Answered::of(&approval.pending, Some(decision))),
        Outcome::Expired => Ok(Answered::of(&approval.pending, None)),
        Outcome::Stopped => {
            let why = "approvals are being reloaded; the request waits on, and exec.approval.waitDecision hears of it";
            let details = json!({ "reason": "APPROVAL_WAITS_ON", "id": approval.pending.id });
            Err(MethodError::unavailable(why).retryable().with_details(details))
        }
    }
}

fn unopened(why: Unopened) -> MethodError {
    match why {
        Unopened::Pending => MethodError::invalid_request("approval id already pending"),
        Unopened::Decided => MethodError::invalid_request("approval id was decided already"),
        Unopened::Full => {
            MethodError::unavailable("too many exec approvals wait for a decision (max_pending)").retryable()
        }
    }
}

fn undecided(Undecided(decided): Undecided, protocol: u32) -> MethodError {
    match protocol {
        3 => unknown("unknown approval id", decided),
        _ => not_found(decided),
    }
}

fn not_found(decided: Option<Decision>) -> MethodError {
    unknown("unknown or expired approval id", decided)
}

fn unknown(message: &str, decided: Option<Decision>) -> MethodError {
    let mut details = json!({ "reason": "APPROVAL_NOT_FOUND" });
    if let Some(decision) = decided {
        details["decision"] = json!(decision);
    }
    MethodError::invalid_request(message).with_details(details)
}

fn fault(fault: Fault) -> MethodError {
    match fault {
        Fault::Refused(why) => MethodError::invalid_request(why),
        Fault::Failed(why) => {
            MethodError::unavailable("the gateway's exec approvals cannot be used; its log has the details").log(why)
        }
    }
}

#[cfg(test)]
mod tests;
