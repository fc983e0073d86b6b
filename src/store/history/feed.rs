//! The feed of attempts: what was just attempted, across a tenant's deliveries, by time.
//!
//! Attempts are kept in the order of their deliveries. To read them by time there is an index of a few pages, which says of each
//! stretch of the table between which times its attempts lie. So what a page costs depends on how much happened in the time
//! that is looked at, not on how much is kept: the latest seconds are looked at first.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use crate::domain::outcome::Class;
use crate::store::{Store, StoreError};

/// An attempt as the feed shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEntry {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// From 1 in each delivery.
    pub number: i16,
    /// The webhook it went to.
    pub webhook_id: WebhookId,
    /// The type of its event; `None` where the event is gone.
    pub event_type: Option<String>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it took, in microseconds.
    pub duration_us: i32,
    /// What came of it.
    pub class: Class,
    /// What was decided then.
    pub verdict: String,
    /// The HTTP status, where one arrived.
    pub status: Option<i16>,
}

/// A place in the feed: a time in microseconds, and the chance bits of a delivery to tell attempts of one time apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedPlace {
    micros: u64,
    chance: u64,
}

/// Which attempts to read.
#[derive(Debug, Clone)]
pub struct FeedFilter {
    /// Started at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Started before this time.
    pub to: Option<DateTime<Utc>>,
    /// Older than this one.
    pub after: Option<FeedPlace>,
    /// To this webhook.
    pub webhook_id: Option<WebhookId>,
    /// With one of these outcomes.
    pub classes: Vec<Class>,
    /// That took at least as many microseconds.
    pub slower_than_us: i32,
}

/// How far back is looked at first, then where that gave too little, then everything.
const LOOKS: [TimeDelta; 2] = [TimeDelta::seconds(10), TimeDelta::minutes(5)];

impl FeedEntry {
    /// Its place.
    #[must_use]
    pub fn place(&self) -> FeedPlace {
        let micros = u64::try_from(self.started_at.timestamp_micros()).unwrap_or(0);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
        let chance = self.delivery_id.as_u128() as u64;
        FeedPlace { micros, chance }
    }
}

impl FeedPlace {
    /// As a number, the newer the greater.
    #[must_use]
    pub fn to_number(self) -> u128 {
        (u128::from(self.micros) << 64) | u128::from(self.chance)
    }

    /// From that number.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half by itself")]
    pub const fn from_number(number: u128) -> Self {
        Self { micros: (number >> 64) as u64, chance: number as u64 }
    }

    fn time(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.micros.try_into().ok()?)
    }
}

impl Store {
    /// A tenant's attempts, newest first, at most `limit`.
    pub async fn attempts_feed(
        &self,
        tenant_id: TenantId,
        filter: &FeedFilter,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<FeedEntry>, StoreError> {
        let newest = filter.after.and_then(FeedPlace::time).or(filter.to).map_or(now, |to| to.min(now));
        for look in LOOKS {
            let since = newest - look;
            if let Some(from) = filter.from.filter(|from| *from >= since) {
                return self.feed_since(tenant_id, filter, from, limit).await;
            }
            let entries = self.feed_since(tenant_id, filter, since, limit).await?;
            if i64::try_from(entries.len()).unwrap_or(i64::MAX) >= limit {
                return Ok(entries);
            }
        }
        // That may be everything that is kept.
        let _turn = self.search(tenant_id).await?;
        self.feed_since(tenant_id, filter, filter.from.unwrap_or(DateTime::UNIX_EPOCH), limit).await
    }

    async fn feed_since(
        &self,
        tenant_id: TenantId,
        filter: &FeedFilter,
        since: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<FeedEntry>, StoreError> {
        let after = filter.after.and_then(|after| Some((after.time()?, after.chance.to_be_bytes().to_vec())));
        let (after_time, after_chance) = after.unzip();
        let classes: Vec<_> = filter.classes.iter().map(|class| class.as_str().to_owned()).collect();
        let entries = sqlx::query_as!(
            FeedEntry,
            r#"WITH page AS (
                   SELECT * FROM tidings.attempts
                   WHERE tenant_id = $1 AND started_at >= $2 AND started_at < coalesce($3, 'infinity'::timestamptz)
                     AND started_at <= coalesce($4, 'infinity'::timestamptz)
                     AND ($4::timestamptz IS NULL OR (started_at, substring(uuid_send(delivery_id) FROM 9)) < ($4, $5::bytea))
                     AND ($6::uuid IS NULL OR webhook_id = $6)
                     AND outcome = ANY($7::text[]::tidings.outcome[]) AND duration_us >= $8
                   ORDER BY started_at DESC, substring(uuid_send(delivery_id) FROM 9) DESC LIMIT $9
               )
               SELECT page.delivery_id AS "delivery_id: DeliveryId", page.number, page.webhook_id AS "webhook_id: WebhookId",
                      e.type AS "event_type?", page.started_at, page.duration_us, page.outcome AS "class: Class",
                      page.verdict::text AS "verdict!", page.status
               FROM page
               LEFT JOIN tidings.events AS e ON e.tenant_id = $1 AND e.id = tidings.event_of(page.delivery_id)
               ORDER BY page.started_at DESC, substring(uuid_send(page.delivery_id) FROM 9) DESC"#,
            tenant_id as TenantId,
            since,
            filter.to,
            after_time,
            after_chance,
            filter.webhook_id as Option<WebhookId>,
            &classes,
            filter.slower_than_us,
            limit,
        );
        let mut transaction = self.pool.begin().await?;
        // Which index is the short way depends on the tenant and on the time: no plan serves all.
        sqlx::query!("SET LOCAL plan_cache_mode = force_custom_plan").execute(&mut *transaction).await?;
        let entries = entries.fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(entries)
    }

    /// Describes what was appended to the attempts since the last time, so that the feed need not read it whole. Where a vacuum
    /// is under way, it does the same.
    pub async fn describe_attempts(&self) -> Result<(), StoreError> {
        sqlx::query!(r#"SELECT tidings.describe_attempts() AS "described!""#).fetch_one(&self.pool).await?;
        Ok(())
    }
}
