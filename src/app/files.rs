//! File descriptors: each connection takes one, and the usual limit of 1,024 is that of a shell from long ago.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process needs beside its deliveries: connections of the API and of the database, files.
const BESIDE: u64 = 1_024;

/// Raises this process's limit to the most that the system allows it, and says so where that is too low for
/// `max_in_flight` deliveries at once.
pub(super) fn raise_limit(max_in_flight: u32) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if raised { maximum } else { current };
    let needed = u64::from(max_in_flight) + BESIDE;
    if limit.is_some_and(|limit| limit < needed) {
        tracing::warn!(
            limit,
            needed,
            "few open files are allowed: raise `ulimit -n`, or lower `dispatch.max_in_flight`"
        );
    }
}
