//! `/v1/webhooks`: registrations, and what can be done with one.

mod act;
mod crud;
mod view;

pub(in crate::api) use act::{activate, deactivate, rotate, test, verify};
pub(in crate::api) use crud::{change, create, delete, list, show};
