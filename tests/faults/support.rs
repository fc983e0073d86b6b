//! What the behaviour tests stand on as well.

#[path = "../support/keys.rs"]
pub mod keys;
#[expect(dead_code, reason = "they use more of it")]
#[path = "../support/process.rs"]
pub mod process;
