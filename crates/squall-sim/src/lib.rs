//! A network in virtual time, for protocols under test.
#![forbid(unsafe_code)]
