//! Signals: the first asks for an orderly end, the second does not wait for it.

use std::io;
use std::process;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell calls a program that was ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// A token that SIGINT (Ctrl-C) or SIGTERM cancels. A second signal ends the process at once: nothing accepted is lost by
/// that, deliveries under way are only sent again when the lease runs out.
pub fn on_signals() -> io::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
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
    });
    Ok(token)
}
