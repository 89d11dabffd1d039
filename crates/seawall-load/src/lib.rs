//! Open-loop load over real sockets, and upstreams that fail on a timeline.
//!
//! [`open_loop`] sends requests on a schedule that does not wait for answers, and measures from the
//! scheduled instant, so that a stall is seen by everyone who would have met it. [`upstream`] is a server
//! that is slow, fails, hangs or refuses as its [`timeline`] says. Both are plain HTTP/1.1 on tokio: what
//! is between them (a gateway, a client with policies, nothing) is what is being tested.

pub mod behaviour;
pub mod open_loop;
mod random;
pub mod timeline;
pub mod upstream;
