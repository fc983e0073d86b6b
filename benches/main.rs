//! What the pure parts cost, without Postgres and without a network: `cargo bench`, within a minute.
//!
//! | file | measures |
//! |---|---|
//! | [`dialects`] | the body and the signature of a request, in each dialect; the receiver's check of it |
//! | [`envelope`] | the JSON of a producer's request and of its answer |
//! | [`decide`] | what follows an attempt |
//! | [`lanes`] | whose turn it is, among few webhooks and many |
//! | [`urls`] | whether a URL may be sent to |
//! | [`ids`] | identifiers, made, written and read |
//!
//! `allocations` is the same with a counter of what is allocated. What a delivery costs as a whole is `tidings bench`' business.
#![expect(clippy::expect_used, reason = "a benchmark that cannot be prepared is to stop")]

mod decide;
mod dialects;
mod envelope;
mod ids;
mod lanes;
mod samples;
mod urls;

use divan::Divan;
use mimalloc::MiMalloc;

/// The program's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    Divan::default().max_time(samples::TIME).config_with_args().main();
}
