//! Files in a node.
//!
//! - [`FilesConfig`]: what can be set of the service `files`.
//! - [`plain`]: uploads over the plain wire of [`squall::files::plain`], and sending over it.

mod config;
pub mod plain;

pub(crate) use config::FileFiles;
pub use config::FilesConfig;
