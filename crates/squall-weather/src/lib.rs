//! What a network does to datagrams: a datagram goes in, copies with delivery times come out.
#![no_std]
#![forbid(unsafe_code)]
