//! The `tidings` program.

use std::process::ExitCode;

/// What one thread allocates another frees, for every event: glibc's takes a lock for it, and more of the CPU (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_pages_small();
    tidings::cli::main()
}

/// mimalloc's memory has room for large pages, and where the kernel gives them to whoever has, 10 MiB more would be held at rest. Processes
/// that are started inherit it: the embedded Postgres allocates little beside its shared memory, which this does not concern.
fn keep_pages_small() {
    // Where it is refused, more memory is used, and nothing else happens.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
