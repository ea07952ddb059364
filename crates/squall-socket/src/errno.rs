//! Error numbers that callers tell apart and `std::io::ErrorKind` does not.

pub use libc::{
    EADDRINUSE, EAGAIN, ECONNREFUSED, EHOSTUNREACH, EINTR, EINVAL, EIO, EMFILE, EMSGSIZE, ENETUNREACH,
    ENFILE, ENOBUFS, ENODEV, ENOENT, ENOMEM, EPROTO,
};
