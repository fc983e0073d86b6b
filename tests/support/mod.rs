//! What behaviour tests stand on: a database of their own, a whole Tidings in this process, receivers that misbehave.

pub mod canary;
pub mod cluster;
pub mod collector;
pub mod database;
pub mod described;
pub mod fiend;
pub mod honeypot;
pub mod keys;
pub mod liar;
pub mod load;
pub mod mangle;
pub mod process;
pub mod receiver;
pub mod secure;
pub mod shell;
pub mod witness;
pub mod world;

pub use receiver::{Receiver, Reply};
pub use world::World;
