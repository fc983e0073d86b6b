//! Behaviour tests: each file is named by the behaviour it describes, and each test by what must hold.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on ends there")]
#![expect(unreachable_pub, reason = "one binary: what is public in a module is public enough")]
#![expect(clippy::similar_names, reason = "a receiver has received")]

mod accept;
mod dead_letter;
mod deliver;
mod dry_run;
mod enqueue;
mod fairness;
mod golden_vectors;
mod layers;
mod lease;
mod query_cache;
mod resend;
mod retry;
mod retry_after;
mod seventh_dialect;
mod support;
