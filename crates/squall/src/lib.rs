//! squall
#![forbid(unsafe_code)]
