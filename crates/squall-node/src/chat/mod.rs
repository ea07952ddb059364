//! Chat in a node: what surrounds the hub of [`squall::chat`].
//!
//! - [`ChatConfig`]: what can be set of it.
//! - [`history`]: what was said, in a file.
//! - [`control`]: the orders of its operator, and [`Operator`], who obeys them.

mod config;
pub mod control;
pub mod history;
mod operator;
mod plan;
mod running;
mod service;
mod told;

pub(crate) use config::FileChat;
pub use config::{ChatConfig, MessageRate};
pub use operator::Operator;
pub(crate) use plan::ChatPlan;
pub use running::{Chat, ChatReport};
