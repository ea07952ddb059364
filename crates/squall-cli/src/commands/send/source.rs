//! Who sends: the same for the same command on the same machine.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use squall_node::files::{Item, sender_mark};

/// A mark by which the receiver knows a command that is started again.
pub(super) fn of(items: &[Item], host: &str) -> [u8; 16] {
    // machine-id(5); containers often have none, or one from their image, but names of their own.
    let machine = fs::read("/etc/machine-id").unwrap_or_default();
    let system = rustix::system::uname();
    let user = rustix::process::getuid().as_raw().to_string();
    let directory = std::env::current_dir().unwrap_or_default();
    let paths = items.iter().map(|item| match item {
        Item::Path(path) => directory.join(path).into_os_string(),
        Item::Input(name) => name.clone(),
        _ => OsStr::new("").into(),
    });
    let paths: Vec<_> = paths.collect();
    let parts = [machine.as_slice(), system.nodename().to_bytes(), user.as_bytes(), host.as_bytes()];
    sender_mark(parts.into_iter().chain(paths.iter().map(|path| path.as_bytes())))
}
