//! Why a system does not let its users make hosts, in words that say what to change.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use squall::socket::hosts::Tun;

use super::UnderError;

/// A user namespace was refused.
pub(super) fn user_namespace(error: io::Error) -> UnderError {
    UnderError::Forbidden {
        what: "a user namespace",
        why: user_namespace_reason(&error, &setting),
        source: error,
    }
}

/// A network namespace was refused, to root or within a user namespace.
pub(super) fn network_namespace(error: io::Error) -> UnderError {
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => user_namespace_reason(&error, &setting),
        io::ErrorKind::StorageFull => limit("user.max_net_namespaces", &setting),
        io::ErrorKind::Unsupported => String::new(),
        _ => "the kernel has none (CONFIG_NET_NS)".into(),
    };
    UnderError::Forbidden { what: "a network namespace", why, source: error }
}

/// A TUN device was refused.
pub(super) fn device(error: io::Error) -> UnderError {
    let file = Tun::FILE;
    let why = match error.kind() {
        io::ErrorKind::NotFound => {
            format!(
                "there is no {file}: load the module (modprobe tun), or give it to the container (--device {file})"
            )
        }
        io::ErrorKind::PermissionDenied => match fs::metadata(file) {
            Ok(metadata)
                if metadata.file_type().is_char_device() && metadata.permissions().mode() & 0o006 != 6 =>
            {
                format!(
                    "{file} is not for every user (mode {:o}): chmod 666 {file}, as most systems have it",
                    metadata.permissions().mode() & 0o777
                )
            }
            _ => format!("a sandbox or a security module forbids {file}"),
        },
        _ => format!("{file} has no driver: load the module (modprobe tun)"),
    };
    UnderError::Forbidden { what: "a TUN device", why, source: error }
}

fn user_namespace_reason(error: &io::Error, setting: &dyn Fn(&str) -> Option<String>) -> String {
    let is = |name: &str, value: &str| setting(name).is_some_and(|now| now == value);
    match error.kind() {
        io::ErrorKind::StorageFull => limit("user.max_user_namespaces", setting),
        io::ErrorKind::PermissionDenied if is("user/max_user_namespaces", "0") => {
            limit("user.max_user_namespaces", setting)
        }
        io::ErrorKind::PermissionDenied if is("kernel/unprivileged_userns_clone", "0") => {
            "kernel.unprivileged_userns_clone is 0: sysctl kernel.unprivileged_userns_clone=1, or run it as root".into()
        }
        io::ErrorKind::PermissionDenied if is("kernel/apparmor_restrict_unprivileged_userns", "1") => {
            "kernel.apparmor_restrict_unprivileged_userns is 1: set it to 0, or give this program an AppArmor profile \
             with `userns,`, or run it as root"
                .into()
        }
        io::ErrorKind::PermissionDenied => {
            "a sandbox (seccomp, as in containers), a chroot or a security module forbids it: run it outside, or as \
             root with CAP_SYS_ADMIN and CAP_NET_ADMIN"
                .into()
        }
        io::ErrorKind::InvalidInput => "the kernel has none (CONFIG_USER_NS), or this process has threads".into(),
        _ => String::new(),
    }
}

fn limit(name: &str, setting: &dyn Fn(&str) -> Option<String>) -> String {
    match setting(&name.replace('.', "/")) {
        Some(value) => format!("{name} is {value}: raise it, with sysctl"),
        None => format!("{name} is reached: raise it, with sysctl"),
    }
}

/// A setting under `/proc/sys`.
fn setting(name: &str) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(errno: i32, name: &str, value: &str) -> String {
        let setting = |asked: &str| (asked == name).then(|| value.to_owned());
        user_namespace_reason(&io::Error::from_raw_os_error(errno), &setting)
    }

    #[test]
    fn what_forbids_a_user_namespace_is_named() {
        let (eperm, enospc, einval) = (1, 28, 22);
        let cases = [
            (enospc, "user/max_user_namespaces", "0", "user.max_user_namespaces is 0"),
            (eperm, "user/max_user_namespaces", "0", "user.max_user_namespaces is 0"),
            (eperm, "kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0"),
            (eperm, "kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor profile"),
            (eperm, "kernel/unprivileged_userns_clone", "1", "seccomp"),
            (einval, "", "", "CONFIG_USER_NS"),
        ];
        for (errno, name, value, expected) in cases {
            assert!(reason(errno, name, value).contains(expected), "{errno} {name}={value}");
        }
    }
}
