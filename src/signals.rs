//! Signals: the first asks for an orderly end, the second does not wait for it.

use std::io;
use std::process;
use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell calls a program that was ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// A token that SIGINT (Ctrl-C) or SIGTERM cancels. A second signal ends the process at once, whatever its other threads wait for:
/// nothing accepted is lost by that, deliveries under way are only sent again when the lease runs out.
pub fn shutdown() -> io::Result<CancellationToken> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _in_it = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let token = CancellationToken::new();
    let asked = token.clone();
    let watch = async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked.is_cancelled() {
                process::exit(INTERRUPTED);
            }
            asked.cancel();
        }
    };
    thread::Builder::new().name("tidings-signals".into()).spawn(move || runtime.block_on(watch))?;
    Ok(token)
}
