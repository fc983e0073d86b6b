//! `tidings dev`: everything at once, with nothing set up, and a sample event through all of it.
//!
//! | file | does |
//! |---|---|
//! | [`kept`] | keys and ids that a second run continues with |
//! | [`visitor`] | calls the REST API, as anybody would, from within the process |
//! | [`furnish`] | a tenant, a key and a webhook, made once |
//! | [`sample`] | one event, and how long until a verified receipt |
//! | [`screen`] | what a newcomer is shown |

mod furnish;
mod kept;
mod sample;
mod screen;
mod visitor;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Instant;

use ipnet::IpNet;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::healthcheck::reachable;
use super::listen;
use super::paint::Paint;
use super::receiver::{Behaviour, Judge, Receipt, Receiver};
use super::show::cell::duration;
use crate::app::{App, AppError, Database, ListenError, Role, data_dir};
use crate::config::{Config, Loaded};
use crate::dialect::{DEFAULT_DIALECT, Dialects};
use crate::domain::clock::Clock;
use crate::domain::ids::EventId;
use furnish::{Furniture, furnish};
pub(super) use kept::known;
use kept::{Kept, Notes};
use screen::Screen;
use visitor::Visitor;

pub(super) const EXAMPLES: &str = "\
Examples:
  tidings dev
  TIDINGS__SERVER__LISTEN=127.0.0.1:9090 tidings dev
  TIDINGS__DATABASE__DATA_DIR=/tmp/tidings tidings dev";

/// Ports after the default one that are tried, where another program has that.
const PORTS_TRIED: u16 = 20;

/// What a person who tries things out expects, where they have not said otherwise.
pub(super) fn settle(loaded: Loaded) -> Config {
    let default = |name: &str| loaded.is_default(name);
    let (listen_anywhere, quiet) = (default("server.listen"), default("log.level"));
    let mut config = loaded.config;
    config.egress.allow.extend([
        IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8),
        IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST)),
    ]);
    if listen_anywhere {
        config.server.listen = free_address(config.server.listen);
    }
    if quiet {
        // Each delivery has its own line on the screen.
        "warn".clone_into(&mut config.log.level);
    }
    config
}

/// The address, or the next port that no other program listens on.
fn free_address(wanted: SocketAddr) -> SocketAddr {
    let candidates = (0..=PORTS_TRIED).map(|step| SocketAddr::new(wanted.ip(), wanted.port().saturating_add(step)));
    candidates.into_iter().find(|address| TcpListener::bind(address).is_ok()).unwrap_or(wanted)
}

/// Runs everything until told to stop; requests from outside are answered in the runtime `api`.
pub(super) async fn run(mut config: Config, api: Handle, shutdown: CancellationToken) -> Result<(), Failure> {
    let begun = Instant::now();
    let paint = Paint::for_stdout();
    say!("{}", paint.dim("Starting Postgres, the API, the dispatcher and a receiver …"));
    let folder = std::path::absolute(data_dir(&config.database))?;
    let database = Database::open(&config.database).await?;
    let done = on_database(&mut config, &folder, &database, api, &shutdown, begun, paint).await;
    if done.is_ok() {
        say!("\n{}", paint.dim("Stopping …"));
    }
    let closed = database.close().await;
    done?;
    closed?;
    say!("Goodbye. What was accepted is kept in {}; `tidings dev` continues there.", folder.display());
    Ok(())
}

async fn on_database(
    config: &mut Config,
    folder: &Path,
    database: &Database,
    api: Handle,
    shutdown: &CancellationToken,
    begun: Instant,
    paint: Paint,
) -> Result<(), Failure> {
    let mut kept = Kept::open(folder)?;
    database.prepare(true).await?;
    let is_sealed = database.store.unknown_master_key(&[]).await.map_err(AppError::Statement)?.is_some();
    kept.lend_keys(config, is_sealed)?;
    let app = App::build(config, &Role::ALL, database, api).await?;
    let (Some(address), Some(front)) = (app.address(), app.front()) else {
        return Err(Failure::told("the API has no address"));
    };
    let clock = app.clock().clone();
    let stop = shutdown.child_token();
    // However it ends, this ends with it.
    let ended = stop.clone().drop_guard();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move {
            let _ended = ended;
            app.run(stop).await;
        }
    });
    let visitor = Visitor::new(front, config.server.platform_key.clone());
    let is_found = is_default(folder);
    let (postgres, has_console) = (database.embedded_port(), config.server.console);
    let screen = Screen { address: reachable(address), has_console, folder, is_found, postgres, begun };
    let shown = tokio::select! {
        shown = show(&mut kept, visitor, &clock, screen, &stop, paint) => shown,
        // Nothing can be recorded any more, so nothing is brought to an end.
        gone = database.gone() => return Err(gone.into()),
    };
    stop.cancel();
    running.await?;
    shown
}

/// Whether a command of the same folder looks there, without being told to.
fn is_default(folder: &Path) -> bool {
    std::path::absolute(data_dir(&Config::default().database)).is_ok_and(|default| default == folder)
}

/// Furnishes, sends the sample, shows the screen, then each delivery as it arrives.
async fn show(
    kept: &mut Kept,
    visitor: Visitor,
    clock: &Clock,
    screen: Screen<'_>,
    stop: &CancellationToken,
    paint: Paint,
) -> Result<(), Failure> {
    let is_first = kept.notes().tenant_id.is_empty();
    let receiver = bind_receiver(kept.notes().receiver_port).await?;
    let home = furnish(&visitor, kept, receiver.address()).await?;
    // Where operator commands in this folder find it.
    kept.keep(Notes { api_url: format!("http://{}", screen.address), ..kept.notes().clone() })?;
    let mut receipts = receive(receiver, &home, clock)?;
    let sample = tokio::select! {
        sample = sample::send(&visitor, &home, &mut receipts) => sample?,
        () = stop.cancelled() => return Ok(()),
    };
    say!("{}", screen.text(&home, &sample, is_first, paint));
    // The front is the API's; it must not be held when that ends.
    drop(visitor);
    for (_, receipt) in sample.others {
        say!("{}", arrival(&receipt, paint));
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some((_, receipt)) = receipts.recv() => say!("{}", arrival(&receipt, paint)),
        }
    }
}

/// Listens on the port of the run before, if it is free, so that its webhook still leads here.
async fn bind_receiver(port: u16) -> Result<Receiver, ListenError> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match Receiver::bind(at(port)).await {
        Ok(receiver) => Ok(receiver),
        Err(_) => Receiver::bind(at(0)).await.map_err(|source| ListenError {
            address: at(0),
            setting: "the receiver of `tidings dev`",
            source,
        }),
    }
}

/// A receipt, and when it was written.
type Arrival = (Instant, Receipt);

fn receive(receiver: Receiver, home: &Furniture, clock: &Clock) -> Result<UnboundedReceiver<Arrival>, Failure> {
    let dialects = Dialects::builtin()?;
    let profile =
        dialects.get(DEFAULT_DIALECT).cloned().ok_or_else(|| Failure::told("the default dialect is missing"))?;
    let keys = Some(profile.keys(std::slice::from_ref(&home.webhook_secret), None)?);
    let judge = Judge { profile, keys, clock: clock.clone() };
    let (written, receipts) = mpsc::unbounded_channel();
    let on_receipt = move |receipt| {
        // Nobody reads them any more only while everything ends.
        let _ = written.send((Instant::now(), receipt));
    };
    // Deliveries under way at the end still find it: it stops only with the process.
    tokio::spawn(receiver.serve(judge, Behaviour::default(), on_receipt, CancellationToken::new()));
    Ok(receipts)
}

/// A line for a delivery, with the time since its event was accepted.
fn arrival(receipt: &Receipt, paint: Paint) -> String {
    let id: Option<EventId> = receipt.says.event_id.as_ref().and_then(|id| id.parse().ok());
    let age = id.map(|id| (receipt.at - id.created_at()).to_std().unwrap_or_default());
    let age = age.map(|age| format!("  {}", duration(age.as_secs_f64() * 1_000.0)));
    listen::line(receipt, &age.unwrap_or_default(), paint)
}
