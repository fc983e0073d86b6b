//! The handlers, a noun a file. Each takes first who asks, then the path and the query, then the body.

pub(super) mod api_keys;
pub(super) mod attempts;
pub(super) mod dead_letters;
pub(super) mod deliveries;
pub(super) mod dialects;
pub(super) mod docs;
pub(super) mod event_types;
pub(super) mod events;
mod filters;
pub(super) mod health;
mod path;
pub(super) mod replays;
pub(super) mod scrape;
pub(super) mod tenants;
pub(super) mod webhooks;
