//! A body, read whole: within its time, its path's limit, and the room that all large ones share.
//!
//! A limit for one does not bound memory where thousands are read at once. So a large body waits for its place, in the order in which
//! they came, and leaves it when its bytes are gone. Small ones need none: the number of connections bounds them.

use std::sync::Arc;
use std::time::Duration;

use axum::RequestExt;
use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;
use super::{Api, kinds};
use crate::actions::accept::AcceptError;

/// A body must have arrived within this time.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A large body waits for so long to be read; then its sender is told to come again.
const ROOM_TIME: Duration = Duration::from_secs(10);

/// Bytes of a body that needs no place.
pub(super) const SMALL: u64 = 64 * 1024;
/// KiB of large bodies in memory at once: eight of the largest.
const ROOM: u32 = 128 * 1024;

/// Reads a body whole, when there is room for it.
pub(super) async fn read(request: Request, api: &Api) -> Result<Bytes, Problem> {
    let most = |request: &Request| request.body().size_hint().upper().unwrap_or(u64::MAX);
    let announced = request.body().size_hint().lower();
    let is_small = most(&request) <= SMALL;
    // What is large, or does not say, is as large as its path allows at most.
    let request = if is_small { request } else { request.with_limited_body() };
    let limit = most(&request);
    let too_large = || too_large((!is_small).then_some(limit));
    if announced > limit {
        return Err(too_large());
    }
    let place = timeout(ROOM_TIME, api.room().place(limit)).await.map_err(|_| AcceptError::Busy)?;
    match timeout(BODY_TIME, Bytes::from_request(request, api)).await {
        Err(_) => Err(Problem::new(kinds::SLOW_BODY, format!("a body must arrive within {} s", BODY_TIME.as_secs()))),
        Ok(Ok(bytes)) => Ok(place.hold(bytes)),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(kinds::INVALID_BODY, "the body broke off or is framed wrongly: send it again")),
    }
}

/// About a body over the limit, in bytes where that is known: what is small is only asked for its own size.
fn too_large(limit: Option<u64>) -> Problem {
    let limit = limit.map(|bytes| format!(" of {bytes} bytes")).unwrap_or_default();
    let detail = format!("the body is over the limit{limit} of this path: send less in one request");
    Problem::new(kinds::TOO_LARGE, detail)
}

/// The room. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Semaphore>);

/// A place in the room for one body.
#[derive(Debug)]
struct Place(Option<OwnedSemaphorePermit>);

/// Bytes with the place that they take.
struct Placed {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM as usize)))
    }
}

impl Room {
    /// Waits for a place for so many bytes.
    async fn place(&self, bytes: u64) -> Place {
        if bytes <= SMALL {
            return Place(None);
        }
        let share = u32::try_from(bytes.div_ceil(1_024)).unwrap_or(u32::MAX).min(ROOM);
        // It is never closed.
        Place(Arc::clone(&self.0).acquire_many_owned(share).await.ok())
    }
}

impl Place {
    /// The place is taken until the last clone of the bytes is gone.
    fn hold(self, bytes: Bytes) -> Bytes {
        match self.0 {
            None => bytes,
            Some(permit) => Bytes::from_owner(Placed { bytes, _permit: permit }),
        }
    }
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn large_bodies_wait_until_others_are_gone_and_small_ones_never() {
        let room = Room::default();
        let all = u64::from(ROOM) * 1_024;
        let held = room.place(all - 1_024 * 1_024).await.hold(Bytes::from_static(b"almost all"));
        let clone = held.clone();
        drop(held);
        assert!(timeout(MOMENT, room.place(2 * 1_024 * 1_024)).await.is_err(), "a clone is still there");
        timeout(MOMENT, room.place(1_024 * 1_024)).await.expect("there is room for this one");
        timeout(MOMENT, room.place(SMALL)).await.expect("a small one needs none");
        drop(clone);
        let place = timeout(MOMENT, room.place(u64::MAX)).await.expect("however large, it fits into an empty room");
        assert_eq!(place.hold(Bytes::from_static(b"x")), &b"x"[..]);
    }
}
