//! A body, read whole: within its time, its path's limit, and the room that all large ones share.
//!
//! A limit for one does not bound memory where thousands are read at once. So what a body has beyond 64 KiB takes room as it arrives,
//! until its bytes are gone; and before that, out of its tenant's share, as much as it may come to, so that a tenant's bodies wait for each
//! other, in the order in which they came, and not others' for them. Small ones need none: the number of connections bounds them.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::RequestExt;
use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::problem::Problem;
use super::{Api, auth, kinds};
use crate::domain::ids::TenantId;
use crate::turns::Shares;

/// A body must have arrived within this time.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A large body waits for so long for room; then its sender is told to come again.
const ROOM_TIME: Duration = Duration::from_secs(10);

/// Bytes of a body that needs no place.
pub(super) const SMALL: u64 = 64 * 1024;
/// KiB of large bodies in memory at once.
const ROOM: u32 = 128 * 1024;
/// KiB of one tenant's: two of the largest.
const SHARE: u32 = 32 * 1024;

/// Reads a body whole, when there is room for it.
pub(super) async fn read(request: Request, api: &Api) -> Result<Bytes, Problem> {
    if most(&request) > SMALL {
        return gather(request, api).await;
    }
    match timeout(BODY_TIME, Bytes::from_request(request, api)).await {
        Err(_) => Err(slow()),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large(None)),
        Ok(Err(_)) => Err(broken()),
    }
}

/// Bytes that the body has at most, by what is known of it.
fn most(request: &Request) -> u64 {
    request.body().size_hint().upper().unwrap_or(u64::MAX)
}

/// Reads a body that is large, or does not say.
async fn gather(request: Request, api: &Api) -> Result<Bytes, Problem> {
    let announced = request.body().size_hint().lower();
    let request = request.with_limited_body();
    let limit = most(&request);
    if announced > limit {
        return Err(too_large(Some(limit)));
    }
    let (head, mut body) = request.into_parts();
    let (mut bytes, mut place) = (Vec::new(), None);
    let mut until = Instant::now() + BODY_TIME;
    while let Some(frame) = timeout_at(until, body.frame()).await.map_err(|_| slow())? {
        let frame = frame.map_err(|error| if is_over(&error) { too_large(Some(limit)) } else { broken() })?;
        let Ok(data) = frame.into_data() else { continue };
        let needed = bytes.len() + data.len();
        if needed > bytes.capacity() {
            let size = needed.next_power_of_two().min(usize::try_from(limit).unwrap_or(usize::MAX));
            if size as u64 > SMALL {
                let asked = Instant::now();
                if place.is_none() {
                    place = Some(api.room().enter(auth::charged(&head.headers, api).await?, limit).await?);
                }
                if let Some(place) = &mut place {
                    place.grow(size).await?;
                }
                until += asked.elapsed();
            }
            bytes.reserve_exact(size - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(match place {
        None => bytes.into(),
        Some(place) => place.hold(bytes),
    })
}

/// Whether it is about a body over its limit.
fn is_over(error: &(dyn Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_over)
}

/// About a body over the limit, in bytes where that is known: what is small is only asked for its own size.
fn too_large(limit: Option<u64>) -> Problem {
    let limit = limit.map(|bytes| format!(" of {bytes} bytes")).unwrap_or_default();
    let detail = format!("the body is over the limit{limit} of this path: send less in one request");
    Problem::new(kinds::TOO_LARGE, detail)
}

fn slow() -> Problem {
    Problem::new(kinds::SLOW_BODY, format!("a body must arrive within {} s", BODY_TIME.as_secs()))
}

fn broken() -> Problem {
    Problem::new(kinds::INVALID_BODY, "the body broke off or is framed wrongly: send it again")
}

/// What keeps a large body from being read.
#[derive(Debug, thiserror::Error)]
enum NoRoom {
    #[error("a tenant's large bodies wait for each other")]
    OfItsTenant,
    #[error("large bodies have taken all room that there is for them")]
    OfAll,
}

impl From<NoRoom> for Problem {
    fn from(error: NoRoom) -> Self {
        let detail = match error {
            NoRoom::OfItsTenant => "other large bodies of this tenant are being read: repeat the request when they are",
            NoRoom::OfAll => "too many large bodies are being read at the moment: repeat the request",
        };
        Self::passing(kinds::BUSY, detail, error)
    }
}

/// The room. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Room {
    all: Arc<Semaphore>,
    /// Of each tenant, and of those who are of none.
    own: Shares<Option<TenantId>>,
}

/// A place in the room for one body.
#[derive(Debug)]
struct Place {
    all: Arc<Semaphore>,
    /// Of the room, by now.
    taken: Option<OwnedSemaphorePermit>,
    _own: OwnedSemaphorePermit,
}

/// Bytes with the place that they take.
struct Placed {
    bytes: Vec<u8>,
    _place: Place,
}

impl Default for Room {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ROOM as usize)), own: Shares::new(SHARE as usize) }
    }
}

impl Room {
    /// Waits until a body of so many bytes at most fits into its tenant's share.
    async fn enter(&self, tenant_id: Option<TenantId>, most: u64) -> Result<Place, NoRoom> {
        let share = self.own.of(tenant_id).acquire_many_owned(kibibytes(most).min(SHARE));
        let own = timeout(ROOM_TIME, share).await.ok().and_then(Result::ok).ok_or(NoRoom::OfItsTenant)?;
        Ok(Place { all: Arc::clone(&self.all), taken: None, _own: own })
    }
}

impl Place {
    /// Waits until there is room for so many bytes in all. Several that have part of what they need may come to wait for each other: so
    /// the first that has waited for too long makes room.
    async fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let taken = self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let further = kibibytes(bytes as u64).min(ROOM).saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX));
        let further = Arc::clone(&self.all).acquire_many_owned(further);
        let further = timeout(ROOM_TIME, further).await.ok().and_then(Result::ok).ok_or(NoRoom::OfAll)?;
        match &mut self.taken {
            None => self.taken = Some(further),
            Some(taken) => taken.merge(further),
        }
        Ok(())
    }

    /// The place is taken until the last clone of the bytes is gone.
    fn hold(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Placed { bytes, _place: self })
    }
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1_024)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_fills_its_share_leaves_room_to_others() {
        let room = Room::default();
        let tenant = |number| Some(TenantId::from_u128(number));
        let mut places = Vec::new();
        for number in [1, 1, 2, 2, 3, 3, 4, 4] {
            places.push(room.enter(tenant(number), 16 * MIB as u64).await.expect("its share"));
        }
        assert!(matches!(room.enter(tenant(1), 1).await, Err(NoRoom::OfItsTenant)));
        room.enter(None, u64::MAX).await.expect("however large, it fits into an empty share");
        for place in &mut places {
            place.grow(8 * MIB).await.expect("half of the room is free");
            place.grow(16 * MIB - 1).await.expect("all of it");
        }
        let mut late = room.enter(tenant(5), 2 * MIB as u64).await.expect("its share");
        assert!(matches!(late.grow(1).await, Err(NoRoom::OfAll)));
        let held = places.remove(0).hold(b"of the first".to_vec());
        let clone = held.clone();
        drop(held);
        assert!(late.grow(1).await.is_err(), "a clone is still there");
        assert_eq!(clone, &b"of the first"[..]);
        drop(clone);
        late.grow(2 * MIB).await.expect("there is room for this one");
        room.enter(tenant(1), 16 * MIB as u64).await.expect("and in the share");
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_wait_for_each_other_do_not_wait_for_ever() {
        let room = Room::default();
        let read = |number| {
            let room = room.clone();
            async move {
                let mut place = room.enter(Some(TenantId::from_u128(number)), 16 * MIB as u64).await?;
                place.grow(8 * MIB).await?;
                tokio::time::sleep(Duration::from_secs(1 + u64::try_from(number).unwrap_or(0))).await;
                place.grow(16 * MIB).await
            }
        };
        let read = futures_util::future::join_all((0..16).map(read)).await;
        assert_eq!(read.iter().filter(|read| read.is_err()).count(), 1, "{read:?}");
    }
}
