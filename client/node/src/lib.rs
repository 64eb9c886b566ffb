//! A headless node: it connects to a gateway as `role: node`, declares what this machine can do, and does it when asked.
//!
//! Reading order: [`ability`] (what one is), [`desk`] (an invoke comes in, an answer goes out), [`session`] (staying
//! connected), [`gateway`] (what abilities know of the other side); then [`abilities`] (what this machine may have) and
//! [`approvals`] (who may run programs here).

pub mod abilities;
pub mod ability;
pub mod approvals;
pub mod desk;
pub mod gateway;
pub mod session;

pub use ability::{Ability, Answer, Refusal};
pub use desk::Desk;
pub use gateway::Gateway;
