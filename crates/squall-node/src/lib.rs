//! squall-node
#![forbid(unsafe_code)]
