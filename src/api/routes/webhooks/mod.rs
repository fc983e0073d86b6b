//! `/v1/webhooks`: registrations, and what can be done with one.

mod act;
mod crud;
mod health;
mod view;

// With the descriptions that `utoipa::path` puts beside the handlers.
pub(in crate::api) use act::*;
pub(in crate::api) use crud::*;
pub(in crate::api) use health::*;
