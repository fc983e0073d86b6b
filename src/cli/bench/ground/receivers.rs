//! The child process that receives, and what it tells.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio_util::task::TaskTracker;

use super::child::{self, Held};
use crate::cli::Failure;
use crate::cli::bench::load::Behaviour;
use crate::cli::bench::measure::Ledger;
use crate::cli::bench::wire::Record;

/// The receivers of a bench.
#[derive(Debug)]
pub(in crate::cli) struct Receivers {
    address: SocketAddr,
    ledger: Shared,
    _held: Held,
}

type Shared = Arc<Mutex<Ledger>>;

impl Receivers {
    /// Starts them.
    pub(super) async fn start(host: IpAddr, children: &TaskTracker) -> Result<Self, Failure> {
        let command = child::command(&["bench-receiver", "--host", &host.to_string()])?;
        let (held, output, mut errors) = child::start(command, child::GRACE, children)?;
        let mut output = BufReader::with_capacity(64 * 1024, output);
        let mut line = String::new();
        output.read_line(&mut line).await?;
        let Ok(address) = line.trim().parse() else {
            let mut log = String::new();
            // Only more about what is told anyway.
            drop(errors.read_to_string(&mut log).await);
            return Err(Failure::told(format!(
                "the receivers cannot listen on --receiver-host {host}. They said:\n{}",
                log.trim()
            )));
        };
        let ledger = Shared::default();
        children.spawn(read(output, Arc::clone(&ledger)));
        Ok(Self { address, ledger, _held: held })
    }

    /// The URL of a webhook that is answered like this.
    pub(in crate::cli) fn url(&self, behaviour: Behaviour, webhook: usize) -> String {
        format!("http://{}/{}/{webhook}", self.address, behaviour.as_str())
    }

    /// What arrives from now on is noted in this ledger, and nothing more in the one before, which is returned.
    pub(in crate::cli) fn open(&self, ledger: Ledger) -> Ledger {
        std::mem::replace(&mut *self.ledger.lock().unwrap_or_else(PoisonError::into_inner), ledger)
    }

    /// Looks at the present ledger.
    pub(in crate::cli) fn look<T>(&self, at: impl FnOnce(&Ledger) -> T) -> T {
        at(&self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Notes what the receivers tell until they end.
async fn read(mut output: impl AsyncRead + Unpin, ledger: Shared) {
    let mut buffer = Vec::with_capacity(64 * 1024);
    while matches!(output.read_buf(&mut buffer).await, Ok(1..)) {
        let (records, rest) = buffer.as_chunks::<{ Record::LEN }>();
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            ledger.note(&Record::read(record));
        }
        drop(ledger);
        let read = buffer.len() - rest.len();
        buffer.drain(..read);
    }
}
