//! Behaviour tests: each file is named by the behaviour it describes, and each test by what must hold.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on ends there")]
#![expect(clippy::similar_names, reason = "a receiver has received")]
#![expect(unreachable_pub, reason = "one binary: what is public in a module is public enough")]

mod accept;
mod bad_input;
mod bad_webhooks;
mod bench;
mod catalogue;
mod challenge;
mod change;
mod cli;
mod client;
mod dead_letter;
mod deliver;
mod docs;
mod dry_run;
mod enqueue;
mod every_route;
mod fairness;
mod feed;
mod forbidden_addresses;
mod golden_vectors;
mod handover;
mod health;
mod hostile_receivers;
mod key_rates;
mod layers;
mod lease;
mod lists;
mod metrics;
mod namespace;
mod odd_events;
mod openapi;
mod operational;
mod overlap;
mod pause;
mod previous;
mod processes;
mod query_cache;
mod register;
mod resend;
mod retry;
mod retry_after;
mod rotate;
mod seventh_dialect;
mod support;
mod tenancy;
mod verifiers;
mod verify;
mod webhook_life;
