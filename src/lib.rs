//! Tidings: the sender side of webhooks. Internal services hand it events; it owes every matching webhook a delivery, signs it,
//! POSTs it, retries it, and keeps what could not be delivered until an operator resends it.
//!
//! # The road of an event
//!
//! ```text
//!  POST /v1/events ─┐                                             ┌─ delivered
//!                   ├─→ accept ─→ claim ─→ sign ─→ send ─→ decide ┼─ retry: claimed again when due
//!  tidings.enqueue ─┘     │         ▲                             └─ dead letter: until an operator resends it
//!                         └─ hand-off in memory, already leased
//! ```
//!
//! | step | room | what happens |
//! |---|---|---|
//! | accept | [`actions::accept`], [`store::outbox::accept`] | events and the deliveries they owe are stored in one statement, many requests together; 202 after the commit |
//! | claim | [`store::outbox::claim`] | a dispatcher takes the lease on due deliveries; those just accepted in the same process come leased, without a query |
//! | sign | [`dialect`] | the body and headers in the receiver's wire language: exact bytes, pure |
//! | send | [`net`] | one POST to a vetted address; whatever the receiver does is an [`Outcome`](domain::outcome::Outcome) |
//! | decide | [`domain::retry`] | delivered, again at a time, or given up: pure |
//! | settle | [`store::outbox::settle`] | many results in one statement, each only if its lease is still held |
//!
//! Each step takes what the one before it made. The settling statement itself checks that only the holder of a lease settles: it names the
//! holder and the attempt.
//!
//! # Four ideas
//!
//! - **The outbox holds pending deliveries and nothing else.** A delivered one is deleted from it, with its attempt recorded
//!   in the same statement; its size is the backlog, not the history.
//! - **A process has one lease** and renews it; every delivery that names the process as holder is covered by it. What waits in memory
//!   cannot expire on its own, a process that dies loses all of it at once, and one that was thought dead can settle nothing.
//! - **A delivery's id contains its event's id** ([`domain::ids`]), so every table is ordered by time and the deliveries of an
//!   event lie together.
//! - **A dialect is data.** One TOML file describes body, headers, signature, retries and handshake.
//!
//! # Rooms, floor by floor
//!
//! A room is a top-level module. It imports only from floors below; rooms on one floor do not know each other, except on the fifth, where
//! the parts meet. A test holds the code to this.
//!
//! | floor | room | owns |
//! |---|---|---|
//! | 0 | [`domain`]; `again`, `beside`, [`failpoint`] | nouns and decisions, without I/O; futures that wake themselves; work in another runtime; places where tests stop a process |
//! | 1 | [`dialect`], [`telemetry`]; `turns` | wire languages; what operators see; a share for each tenant |
//! | 2 | [`store`], [`net`], [`client`], [`embedded`] | Postgres; the way out and its guard; the REST API seen from outside; a private Postgres |
//! | 3 | [`actions`] | what happens where rooms meet: accept, register, rotate, verify, resend, replay |
//! | 4 | [`api`], [`dispatch`] | the REST API; the loop that delivers |
//! | 5 | [`config`], [`app`], [`signals`]; [`console`] | the parts put together; the REST API as pages |
//! | 6 | [`cli`] | the program's commands |

mod again;
mod beside;
pub mod domain;
pub mod failpoint;

pub mod dialect;
pub mod telemetry;
mod turns;

pub mod client;
pub mod embedded;
pub mod net;
pub mod store;

pub mod actions;

pub mod api;
pub mod dispatch;

pub mod app;
pub mod config;
pub mod console;
pub mod signals;

pub mod cli;
