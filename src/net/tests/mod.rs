//! The room seen from outside, with real sockets on 127.0.0.1.

mod targets;
