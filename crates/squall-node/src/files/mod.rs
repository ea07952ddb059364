//! Moving files: the receiving and the sending half of [`squall::files`] on real disks and connections.

mod disk;
mod receive;
mod send;
