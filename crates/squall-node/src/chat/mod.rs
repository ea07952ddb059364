//! Chat in a node: what surrounds the hub of [`squall::chat`].

pub mod history;
