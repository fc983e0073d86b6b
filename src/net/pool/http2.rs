//! An HTTP/2 connection, which many requests share.
//!
//! It does not ping its receiver while a request is under way. A receiver that is busy for longer than a ping may take would lose an
//! attempt that had the time to wait for it, and one that is gone is found out without pings: each attempt has its end, a connection that
//! left one without an answer gets no other, and what is idle or old is dropped.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::{Buf, Bytes};
use http_body_util::Full;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::header::HeaderMap;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::closing::Closing;
use super::tasks::{Spawner, Tasks};
use super::{Failed, MAX_HEADERS, post};
use crate::net::dial::stream::Stream;
use crate::net::target::Target;

/// Flow-control windows, in bytes: a stream may send as much as is read of an answer, a connection as much as 16 streams.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// Requests under way on a connection, if the receiver allows as many. Any beyond that get another connection: a webhook that hangs must
/// not take up what all webhooks of its host need.
const MOST_UNDER_WAY: usize = 32;

/// It ends when it is no longer kept, and no request has a place on it.
#[derive(Clone)]
pub(in crate::net) struct Http2 {
    /// When it began.
    pub(super) since: Instant,
    requests: http2::SendRequest<Full<Part>>,
    load: Arc<Load>,
    _tasks: Arc<Tasks>,
}

/// What a connection bears.
struct Load {
    under_way: AtomicUsize,
    /// It left a request without an answer, or the rest of one untaken.
    is_suspect: AtomicBool,
    /// How many it bears at once, as the receiver allows by now; none once it has ended.
    most: AtomicUsize,
}

type Io = http2::Connection<TokioIo<Stream>, Full<Part>, Spawner>;

/// A place on a connection, for one request.
pub(in crate::net) struct Place {
    connection: Http2,
    /// The request, until it is written.
    unwritten: Weak<()>,
    /// Its request was sent, and has not yet shown the connection to be good.
    is_asked: bool,
}

/// A body, which tells by its end that all of it was written.
pub(super) struct Part {
    bytes: Bytes,
    _unwritten: Arc<()>,
}

impl Http2 {
    pub(super) async fn new(stream: Stream, closing: Closing) -> hyper::Result<Self> {
        let since = stream.since;
        let tasks = Tasks::new(closing);
        let spawner = tasks.spawner();
        let (requests, io) = http2::Builder::new(spawner.clone())
            .max_header_list_size(MAX_HEADERS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(stream))
            .await?;
        let load = Load {
            under_way: AtomicUsize::new(0),
            is_suspect: AtomicBool::new(false),
            most: AtomicUsize::new(most(&io)),
        };
        let load = Arc::new(load);
        spawner.execute(Arc::clone(&load).drive(io));
        Ok(Self { since, requests, load, _tasks: Arc::new(tasks) })
    }

    /// A place for a request, unless it bears no more for now. Whoever gives out places does so one at a time.
    pub(super) fn spare_place(&self) -> Option<Place> {
        let has_room = self.load.under_way.load(Ordering::Relaxed) < self.load.most.load(Ordering::Relaxed);
        has_room.then(|| self.place())
    }

    /// A place for the request that the connection was made for.
    pub(super) fn place(&self) -> Place {
        self.load.under_way.fetch_add(1, Ordering::Relaxed);
        Place { connection: self.clone(), unwritten: Weak::new(), is_asked: false }
    }

    /// Whether it may be given requests.
    pub(super) fn is_good(&self) -> bool {
        self.requests.is_ready() && !self.load.is_suspect.load(Ordering::Relaxed)
    }
}

impl Load {
    /// Reads and writes to the end; its errors reach those who wait for answers.
    async fn drive(self: Arc<Self>, mut io: Io) {
        poll_fn(|cx| {
            let driven = Pin::new(&mut io).poll(cx);
            self.most.store(if driven.is_ready() { 0 } else { most(&io) }, Ordering::Relaxed);
            driven.map(drop)
        })
        .await;
    }
}

/// How many requests a connection bears at once.
fn most(io: &Io) -> usize {
    io.current_max_send_streams().min(MOST_UNDER_WAY)
}

impl Place {
    /// Sends the request that this is for.
    pub(super) async fn send(
        &mut self,
        target: &Target,
        headers: HeaderMap,
        bytes: Bytes,
    ) -> Result<Response<Incoming>, Failed> {
        let unwritten = Arc::new(());
        (self.is_asked, self.unwritten) = (true, Arc::downgrade(&unwritten));
        let post = post(target.uri(), headers, Part { bytes, _unwritten: unwritten });
        Ok(self.connection.requests.try_send_request(post).await?)
    }

    /// Ends it, as the request has its answer; says whether the connection may have another. If part of the request is not written yet, the
    /// receiver does not want it, and it would pile up here.
    pub(super) fn answered(mut self) -> bool {
        self.is_asked = self.unwritten.strong_count() > 0;
        !self.is_asked
    }
}

/// The next request is not given to a receiver that is silent, or that does not stop talking.
impl Drop for Place {
    fn drop(&mut self) {
        let load = &self.connection.load;
        load.under_way.fetch_sub(1, Ordering::Relaxed);
        if self.is_asked {
            load.is_suspect.store(true, Ordering::Relaxed);
        }
    }
}

impl Buf for Part {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}
