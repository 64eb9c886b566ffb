//! `[plugins.agent.config]`

use schemars::JsonSchema;
use serde::Deserialize;

/// `[plugins.agent.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// Runs that go on at once.
    #[schemars(range(min = 1, max = 4_096))]
    pub max_runs: usize,
    /// Runs that wait for their turn, all together.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_queued: usize,
    /// Runs of one session that wait for their turn.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_queued_per_session: usize,
    /// Milliseconds until a run is given up when neither it nor its agent says.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub timeout_ms: u64,
    /// Milliseconds until a run is given up at the latest, whatever it says.
    #[schemars(range(min = 1, max = 604_800_000))]
    pub max_timeout_ms: u64,
    /// Milliseconds an outcome is remembered in memory.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub remember_ms: u64,
    /// Outcomes remembered in memory at most.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_remembered: usize,
    /// Runs kept in the database, the newest of those that have ended.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub keep_runs: u64,
    /// Messages of a conversation that a model is given at most.
    #[schemars(range(min = 1, max = 100_000))]
    pub history_messages: u64,
    /// The same in bytes.
    #[schemars(range(min = 1_024, max = 67_108_864))]
    pub history_bytes: u64,
    /// Milliseconds between two events with an answer's text; longer when more than 250 runs answer at once, and 0 tells
    /// every piece.
    #[schemars(range(max = 10_000))]
    pub delta_interval_ms: u64,
    /// Tries of one model after the first one.
    #[schemars(range(max = 100))]
    pub retries: u32,
    /// Milliseconds before the second try; twice as long before each one after it.
    #[schemars(range(min = 1, max = 600_000))]
    pub retry_ms: u64,
    /// Milliseconds before a try at most. A model that wants to be left alone for longer is passed over.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub max_retry_ms: u64,
    /// Times a model may ask for tools in one run.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_tool_rounds: u32,
    /// Tools a model may ask for at a time.
    #[schemars(range(min = 1, max = 1_000))]
    pub max_tool_calls: usize,
    /// Milliseconds a tool may take.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub tool_timeout_ms: u64,
    /// Bytes of a tool's result that a model is given.
    #[schemars(range(min = 256, max = 16_777_216))]
    pub tool_result_bytes: usize,
    /// Bytes of text that a run may say.
    #[schemars(range(min = 1_024, max = 16_777_216))]
    pub max_answer_bytes: usize,
}

impl Default for AgentConfig {
    fn default() -> Self {
        AgentConfig {
            max_runs: 1_024,
            max_queued: 2_048,
            max_queued_per_session: 32,
            timeout_ms: 600_000,
            max_timeout_ms: 86_400_000,
            remember_ms: 600_000,
            max_remembered: 1_000,
            keep_runs: 10_000,
            history_messages: 200,
            history_bytes: 1024 * 1024,
            delta_interval_ms: 50,
            retries: 2,
            retry_ms: 1_000,
            max_retry_ms: 30_000,
            max_tool_rounds: 25,
            max_tool_calls: 32,
            tool_timeout_ms: 120_000,
            tool_result_bytes: 64 * 1024,
            max_answer_bytes: 1024 * 1024,
        }
    }
}
