//! What plugins ask of each other where several can take the same part: agent backends, message channels, and whoever
//! starts runs or keeps transcripts. The host knows none of it: a part is taken by declaring the method that has its
//! name, and a plugin that takes one depends on this crate alone.
//!
//! | method (internal) | taken by | asked by | shapes |
//! | --- | --- | --- | --- |
//! | `agent.backend.<id>.run` | an agent backend | `agent` | [`backend::BackendRun`], [`backend::Piece`]s, [`backend::BackendResult`] |
//! | `agent.backend.<id>.models` | a backend that lists its models | `models` | see `plugins/models` |
//! | `channel.<id>.send` and more | a message channel | `send`, `channels` | [`channel`] |
//! | `send.deliver` | `send` | `channels`, `agent`, `cron` | [`channel::Deliver`], [`channel::Delivered`] |
//! | `channels.inbound` | `channels` | a message channel | [`channel::Inbound`], [`channel::Taken`] |
//! | `agent.run`, `agent.abort`, `agent.runs`, `agent.wait` | `agent` | `cron`, `channels`, `heartbeat`, `hooks`, `chat`, doors | [`run`] |
//! | `agents.get` | `agents` | `agent` | [`run::AgentId`], [`run::AgentRecord`] |
//! | `session.store.*` | `sessions` | `agent`, `chat`, `send` | [`session`] |
//!
//! All of them are open to fields that come later: an unknown field is passed over, on either side. Session keys are read
//! as [`keys`] says.

pub mod backend;
pub mod channel;
pub mod keys;
pub mod message;
pub mod run;
pub mod session;

pub use message::{Message, Part, Usage, role};
