mod namespace;
mod route;
mod signals;
mod tun;

pub use namespace::{Namespace, enter_user_namespace};
pub use route::Route;
pub use signals::{SignalQueue, Signalled};
pub use tun::Tun;
