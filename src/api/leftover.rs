//! What nobody reads of a request: taken off the wire, so that its sender gets to read the answer.
//!
//! A request may be answered before its body has arrived: the key is wrong, or asks too often, or the body is too large. If the
//! connection were closed then, with bytes of it unread, the kernel would reset it, and many clients report that instead of the answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::body::SMALL;
use super::routes::events::MAX_BATCH_BYTES;

/// For so long it is taken off the wire.
const TIME: Duration = Duration::from_secs(5);
/// So many bytes, twice as much as any path takes: a body that is over its limit is mostly not far over it.
const MOST: usize = 2 * MAX_BATCH_BYTES;

/// Sees to it that what a handler leaves of a large body is read. What is small has mostly arrived with the head.
pub(super) fn guarded(request: Request) -> Request {
    if request.body().size_hint().upper().is_some_and(|most| most <= SMALL) {
        return request;
    }
    let is_awaited = request.headers().contains_key(EXPECT);
    request.map(|body| Body::new(Guarded { body, is_awaited }))
}

struct Guarded {
    body: Body,
    /// Its sender waits to be asked for it (`Expect: 100-continue`), which reading does.
    is_awaited: bool,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_awaited = false;
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.is_awaited || self.body.is_end_stream() {
            return;
        }
        let body = std::mem::take(&mut self.body);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(TIME, discard(body)));
        }
    }
}

async fn discard(mut body: Body) {
    let mut taken = 0;
    while taken < MOST
        && let Some(Ok(frame)) = body.frame().await
    {
        taken += frame.data_ref().map_or(0, Bytes::len);
    }
}
