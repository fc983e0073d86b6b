//! How a child process notices that its parent is gone: the pipe to its standard input closes, also after `kill -9`.

use std::io;
use std::thread;

use tokio_util::sync::CancellationToken;

/// Cancels the token when standard input closes.
pub(super) fn watch(shutdown: CancellationToken) {
    // A thread, for a runtime would wait at its end for a read that nothing ends.
    thread::spawn(move || {
        // An error on the pipe is its end as well.
        drop(io::copy(&mut io::stdin().lock(), &mut io::sink()));
        shutdown.cancel();
    });
}
