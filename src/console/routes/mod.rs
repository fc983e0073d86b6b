//! The pages, a noun a file.

pub(super) mod acts;
pub(super) mod attempts;
pub(super) mod dead_letters;
pub(super) mod deliveries;
pub(super) mod events;
pub(super) mod filters;
pub(super) mod replays;
pub(super) mod sign_in;
pub(super) mod tenants;
pub(super) mod webhooks;

/// What somebody has in a path, as a segment of one of the API's.
fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
