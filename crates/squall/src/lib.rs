//! squall
#![forbid(unsafe_code)]

pub use squall_socket as socket;

/// The examples of the guide for people who come from Python's `socket` and `socketserver`.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-python.md")]
struct FromPython;
