//! The same, and everything that is allocated is counted: `cargo bench --bench allocations`, best with a word such as `-- sign`. Times
//! are a little higher than without counting.
#![expect(clippy::expect_used, reason = "a benchmark that cannot be prepared is to stop")]

mod decide;
mod dialects;
mod envelope;
mod ids;
mod lanes;
mod samples;
mod urls;

use divan::{AllocProfiler, Divan};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: AllocProfiler<MiMalloc> = AllocProfiler::new(MiMalloc);

fn main() {
    Divan::default().max_time(samples::TIME).config_with_args().main();
}
