//! Webhooks: what is registered, and everything that is kept for it.
//!
//! Each change of a webhook counts its `revision` up, keeps URL and headers of it in `webhook_revisions`, and marks the
//! transaction in `changed`, by which dispatchers learn of it.

pub mod audience;
mod backlog;
mod delete;
mod read;
mod rotate;
mod sealed;
mod write;

pub use read::Selection;
pub use rotate::{MAX_LIVE, Rotated, Rotation};
pub use sealed::{HeadersPlace, SealedValue, SealedWith, SecretPlace};
pub use write::NewSecret;
