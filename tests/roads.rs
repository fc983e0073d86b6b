//! Roads: results that all arrived and events without keys take statements of their own, which write what those for any others write.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use serde_json::{Value, json};
use tidings::domain::attempt::Attempt;
use tidings::domain::delivery::DeadReason;
use tidings::domain::event::Event;
use tidings::domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use tidings::domain::lease::{Claimed, Holder};
use tidings::domain::outcome::{Answer, Class, Outcome};
use tidings::domain::retry::Verdict;
use tidings::domain::trace::TraceParent;
use tidings::store::StoreError;
use tidings::store::outbox::accept::{Accepted, HandOff, NewEvent};
use tidings::store::outbox::settle::Settlement;
use uuid::Uuid;

use crate::support::World;
use crate::support::world::Tenant;

const SECOND: Duration = Duration::from_secs(1);

/// An event that nobody knows yet; later ones have greater ids.
fn new_event(world: &World, tenant_id: TenantId, event_type: &str, data: &'static str) -> Event {
    static NUMBERS: AtomicU32 = AtomicU32::new(1);
    let number = u128::from(NUMBERS.fetch_add(1, Ordering::Relaxed));
    Event {
        tenant_id,
        id: EventId::new(world.clock.now(), number << 20),
        event_type: event_type.to_owned(),
        occurred_at: None,
        data: Bytes::from_static(data.as_bytes()),
    }
}

/// The same, as its producer reports it.
fn report_of(world: &World, tenant: &Tenant<'_>, key: Option<&str>, data: &'static str) -> NewEvent {
    let event = Arc::new(new_event(world, id_of(tenant), "a", data));
    NewEvent { event, idempotency_key: key.map(str::to_owned), trace: None }
}

async fn holder(world: &World) -> Holder {
    Holder::new(world.context.store.enlist(world.clock.now(), 30 * SECOND).await.expect("a number"))
}

fn id_of(tenant: &Tenant<'_>) -> TenantId {
    tenant.id.parse().expect("an id")
}

fn uuids(ids: &[DeliveryId]) -> Vec<Uuid> {
    ids.iter().map(|id| Uuid::from_u128(id.as_u128())).collect()
}

/// Rows as JSON texts.
async fn rows(world: &World, statement: &'static str, ids: &[Uuid]) -> Vec<String> {
    sqlx::query_scalar(statement).bind(ids).fetch_all(&world.pool).await.expect(statement)
}

/// So many deliveries, each of an event of its own, which this holder has tried twice and is trying.
async fn leased(world: &World, tenant: &Tenant<'_>, holder: &Holder, count: usize) -> Vec<Claimed> {
    let event = || Arc::new(new_event(world, id_of(tenant), "a", "1"));
    let new = || NewEvent { event: event(), idempotency_key: None, trace: None };
    let events: Vec<_> = (0..count).map(|_| new()).collect();
    let to = HandOff { holder: holder.clone(), crowded: Vec::new(), expectant: None };
    let (_, mut claimed) = world.context.store.accept(&events, world.clock.now(), Some(&to)).await.expect("accepted");
    assert_eq!(claimed.len(), count);
    // Nobody has a dialect of this revision: it is taken from the row.
    let tried = "UPDATE tidings.outbox SET attempts = 3, dialect_revision = 77 WHERE attempts = 1";
    sqlx::query(tried).execute(&world.pool).await.expect("tried");
    for one in &mut claimed {
        one.attempt = 3;
    }
    claimed
}

fn settlement(world: &World, claimed: Claimed, verdict: Verdict, answer: Answer) -> Settlement {
    let class = if verdict == Verdict::Delivered { Class::Success } else { Class::HttpStatus };
    let duration = Duration::from_micros(1_234_567 * u64::from(!answer.headers.is_empty()));
    let outcome = Outcome { class, answer: Some(answer), error: None, duration };
    let attempt = Attempt { started_at: world.clock.now() + SECOND, webhook_revision: 7, outcome };
    Settlement { claimed, attempt: Some(attempt), verdict, detail: None }
}

/// An answer with all that is kept of one, and one with nothing but a status.
fn answers() -> [Answer; 2] {
    let full = (299, "x-a: 1\nx-b: 2", &b"\0\xff"[..]);
    [full, (200, "", &[])].map(|(status, headers, body)| Answer {
        status,
        headers: headers.to_owned(),
        body: Bytes::from_static(body),
        retry_after: None,
    })
}

async fn settle(world: &World, settlements: &[Settlement]) -> HashSet<DeliveryId> {
    world.context.store.settle(settlements, world.clock.now()).await.expect("settled")
}

#[tokio::test]
async fn a_delivery_that_arrived_is_recorded_alike_whatever_became_of_others() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    tenant.webhook("https://example.com/").await;
    let holder = holder(&world).await;
    let later = world.clock.now() + SECOND;
    let others = [Verdict::RetryAt(later), Verdict::Dead(DeadReason::TerminalStatus)];
    let mut recorded = Vec::new();
    for others in [&[][..], &others] {
        let claimed = leased(&world, &tenant, &holder, 2 + others.len()).await;
        let ids: Vec<_> = claimed.iter().map(|one| one.delivery_id).collect();
        let verdicts = [Verdict::Delivered; 2].into_iter().chain(others.iter().copied());
        let results = claimed.into_iter().zip(verdicts).zip(answers().into_iter().cycle());
        let results: Vec<_> =
            results.map(|((one, verdict), answer)| settlement(&world, one, verdict, answer)).collect();
        assert_eq!(settle(&world, &results).await, ids.iter().copied().collect());
        let attempts = "SELECT (to_jsonb(a) - 'delivery_id')::text FROM tidings.attempts AS a
                        WHERE delivery_id = ANY ($1) ORDER BY delivery_id";
        assert_eq!(rows(&world, attempts, &uuids(&ids)).await.len(), ids.len());
        recorded.push(rows(&world, attempts, &uuids(&ids[..2])).await);
        let waiting = "SELECT id::text FROM tidings.outbox WHERE id = ANY ($1)";
        assert_eq!(rows(&world, waiting, &uuids(&ids)).await.len(), others.len() / 2, "what is tried again");
        assert!(settle(&world, &results).await.is_empty(), "none is held any more");
    }
    assert_eq!(recorded[0], recorded[1]);
    let members = |row: &str| {
        let row: Value = serde_json::from_str(row).expect("JSON");
        ["number", "dialect_revision", "webhook_revision", "duration_us", "status", "response_headers", "response_body"]
            .map(|name| row[name].clone())
    };
    let full = [json!(3), json!(77), json!(7), json!(1_234_567), json!(299), json!("x-a: 1\nx-b: 2"), json!("\\x00ff")];
    assert_eq!(members(&recorded[0][0]), full);
    let bare = [json!(3), json!(77), json!(7), json!(0), json!(200), Value::Null, Value::Null];
    assert_eq!(members(&recorded[0][1]), bare);
}

#[tokio::test]
async fn a_result_whose_lease_is_lost_is_recorded_in_no_batch() {
    let world = World::new().await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    tenant.webhook("https://example.com/").await;
    let (holder, successor) = (holder(&world).await, holder(&world).await);
    let later = world.clock.now() + SECOND;
    let all = [Verdict::Delivered, Verdict::RetryAt(later), Verdict::Dead(DeadReason::TerminalStatus)];
    for verdicts in [&all[..1], &all] {
        let (mut results, mut held, mut lost) = (Vec::new(), HashSet::new(), Vec::new());
        for verdict in verdicts {
            for (case, mut claimed) in leased(&world, &tenant, &holder, 5).await.into_iter().enumerate() {
                let id = claimed.delivery_id;
                match case {
                    0 => {}
                    1 => claimed.holder = successor.clone(),
                    2 => claimed.attempt = 2,
                    3 => claimed.tenant_id = id_of(&other),
                    _ => {
                        let freed = "UPDATE tidings.outbox SET holder = NULL WHERE id = $1";
                        sqlx::query(freed).bind(uuids(&[id])[0]).execute(&world.pool).await.expect("freed");
                    }
                }
                if case == 0 {
                    held.insert(id);
                } else {
                    lost.push(id);
                }
                let [answer, _] = answers();
                results.push(settlement(&world, claimed, *verdict, answer));
            }
        }
        let outbox = "SELECT to_jsonb(o)::text FROM tidings.outbox AS o WHERE id = ANY ($1) ORDER BY id";
        let before = rows(&world, outbox, &uuids(&lost)).await;
        assert_eq!(before.len(), verdicts.len() * 4);
        assert_eq!(settle(&world, &results).await, held);
        assert_eq!(rows(&world, outbox, &uuids(&lost)).await, before, "they wait as they did");
        let told = "SELECT delivery_id::text FROM tidings.attempts WHERE delivery_id = ANY ($1)
                    UNION ALL SELECT id::text FROM tidings.dead_letters WHERE id = ANY ($1)";
        assert_eq!(rows(&world, told, &uuids(&lost)).await, [""; 0]);
    }
}

/// Tenants of two dialects, of which one is owed nothing, and webhooks that may be sent to at once and that may not.
async fn report(
    world: &World,
    tenants: &[Tenant<'_>; 3],
    traced: bool,
    keyed: &[bool],
    to: Option<&HandOff>,
) -> Vec<String> {
    let [one, two, nobody] = tenants;
    let happened = DateTime::from_timestamp_micros(1_700_000_000_123_456);
    let trace = TraceParent { trace_id: 1 << 100, span_id: 2, flags: 1 };
    let events = [
        (one, "order.paid", None, "{ \"price\" : 1.0 }", Some(trace)),
        (two, "push.failed", happened, "\"\\u0000\"", None),
        (nobody, "order.paid", happened, "null", Some(trace)),
        (one, "other", None, "[]", None),
        (one, "order.paid", happened, "1e2", None),
    ];
    let events: Vec<_> = events
        .into_iter()
        .zip(keyed)
        .map(|((tenant, event_type, occurred_at, data, trace), is_keyed)| {
            let event = Event { occurred_at, ..new_event(world, id_of(tenant), event_type, data) };
            NewEvent {
                idempotency_key: is_keyed.then(|| event.id.to_string()),
                event: Arc::new(event),
                trace: trace.filter(|_| traced),
            }
        })
        .collect();
    let (accepted, claimed) = world.context.store.accept(&events, world.clock.now(), to).await.expect("accepted");
    let ids: Vec<_> = events.iter().map(|new| Uuid::from_u128(new.event.id.as_u128())).collect();
    let stored = "SELECT (to_jsonb(e) - 'id')::text FROM tidings.events AS e WHERE id = ANY ($1) ORDER BY id";
    let mut told = rows(world, stored, &ids).await;
    let owed = "SELECT (to_jsonb(o) - 'id' || jsonb_build_object(
                    'event', array_position($1, tidings.event_of(id)), 'ordinal', right(id::text, 5)))::text
                FROM tidings.outbox AS o WHERE tidings.event_of(id) = ANY ($1) ORDER BY id";
    told.extend(rows(world, owed, &ids).await);
    told.push(format!("{accepted:?}"));
    told.extend(claimed.iter().map(|one| {
        let place = ids.iter().position(|id| id.as_u128() == one.event.id.as_u128());
        let ordinal = one.delivery_id.as_u128() - one.event.id.as_u128();
        let (holder, dialect) = (one.holder.id().0, one.dialect.0);
        format!("{place:?} {ordinal} {} {} {holder} {dialect} {:?}", one.tenant_id, one.webhook_id, one.trace)
    }));
    told
}

#[tokio::test]
async fn events_are_stored_alike_with_keys_and_without() {
    let world = World::new().await;
    let tenants = [world.tenant().await, world.tenant_with("sandbox", "numora").await, world.tenant().await];
    let url = "https://example.com/";
    let crowded: WebhookId = tenants[0].webhook(url).await["id"].as_str().expect("an id").parse().expect("an id");
    tenants[0].webhook(url).await;
    tenants[0].webhook_with(json!({"url": url, "events": ["order.*"], "rate_limit": 5})).await;
    tenants[1].webhook(url).await;
    tenants[1].webhook_with(json!({"url": url, "events": ["*"], "is_active": false})).await;
    let to = HandOff { holder: holder(&world).await, crowded: vec![crowded], expectant: None };
    for (to, leased) in [(None, 0), (Some(&to), 4)] {
        for traced in [false, true] {
            let without = report(&world, &tenants, traced, &[false; 5], to).await;
            // Five events, what they owe, what was said of them, and what was leased.
            assert_eq!(without.len(), 5 + (3 + 2 + 2 + 3) + 1 + leased, "{without:#?}");
            for keyed in [[true; 5], [false, false, true, false, false]] {
                assert_eq!(report(&world, &tenants, traced, &keyed, to).await, without, "{keyed:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_repeats_an_event_of_the_same_statement_is_known_as_what_repeats_an_older_one_is() {
    let world = World::new().await;
    let tenants = [world.tenant().await, world.tenant().await];
    for tenant in &tenants {
        tenant.webhook("https://example.com/").await;
    }
    let new = |tenant: &Tenant<'_>, key, data| report_of(&world, tenant, key, data);
    let (one, two) = (&tenants[0], &tenants[1]);
    let to = HandOff { holder: holder(&world).await, crowded: Vec::new(), expectant: None };
    let accept = async |events: &[NewEvent]| {
        let (accepted, claimed) =
            world.context.store.accept(events, world.clock.now(), Some(&to)).await.expect("accepted");
        (accepted, claimed.iter().map(|one| one.event.id).collect::<Vec<_>>())
    };

    let older = [new(one, Some("k"), "1")];
    let stored = Accepted::Stored { deliveries: 1 };
    assert_eq!(accept(&older).await, (vec![stored], vec![older[0].event.id]));
    let events = [
        new(one, Some("z"), "1"),
        new(one, Some("k"), "1"),
        new(two, Some("k"), "2"),
        new(one, None, "3"),
        new(one, Some("z"), "1"),
        new(one, Some("k"), "2"),
        new(two, Some("k"), "1"),
    ];
    let ids: Vec<_> = events.iter().map(|new| new.event.id).collect();
    let known = older[0].event.id;
    let told = vec![
        stored,
        Accepted::Duplicate(known),
        stored,
        stored,
        Accepted::Duplicate(ids[0]),
        Accepted::Conflict(known),
        Accepted::Conflict(ids[2]),
    ];
    assert_eq!(accept(&events).await, (told, vec![ids[0], ids[2], ids[3]]));
    assert_eq!((world.count("events").await, world.count("outbox").await), (4, 4));

    world.clock.advance(24 * 60 * 60 * SECOND);
    let renewed = [new(one, Some("k"), "other")];
    assert_eq!(accept(&renewed).await.0, [stored]);
    assert_eq!(accept(&[new(one, Some("k"), "other")]).await.0, [Accepted::Duplicate(renewed[0].event.id)]);
}

/// Its time may end between the statement that finds it and the one that asks whose it is.
#[tokio::test]
async fn an_event_whose_key_was_forgotten_just_now_is_stored() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    tenant.webhook("https://example.com/").await;
    let new = |key| report_of(&world, &tenant, key, "1");
    let (store, now) = (&world.context.store, world.clock.now());
    store.accept(&[new(Some("k"))], now, None).await.expect("accepted");
    let forget = "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS
                      'BEGIN DELETE FROM tidings.idempotency_keys; RETURN NULL; END';
                  CREATE TRIGGER forget AFTER INSERT ON tidings.events FOR EACH STATEMENT EXECUTE FUNCTION forget()";
    sqlx::raw_sql(forget).execute(&world.pool).await.expect("a trigger");

    let to = HandOff { holder: holder(&world).await, crowded: Vec::new(), expectant: None };
    let events = [new(None), new(Some("k"))];
    let (accepted, claimed) = store.accept(&events, now, Some(&to)).await.expect("accepted");
    assert_eq!(accepted, [Accepted::Stored { deliveries: 1 }; 2]);
    let claimed: HashSet<_> = claimed.iter().map(|one| one.event.id).collect();
    assert_eq!(claimed, events.iter().map(|new| new.event.id).collect());
    assert_eq!((world.count("events").await, world.count("outbox").await), (3, 3));
}

#[tokio::test]
async fn content_has_the_same_digest_here_as_in_sql() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let times =
        [None, Some(0), Some(1_700_000_000_123_456), Some(-62_135_596_800_000_000), Some(253_402_300_799_999_999)];
    for micros in times {
        let occurred_at = micros.map(|micros| DateTime::from_timestamp_micros(micros).expect("a time"));
        let event = Event { occurred_at, ..new_event(&world, id_of(&tenant), "a.b", "{\"é\": \"\\u0000\"}") };
        let digest = sqlx::query_scalar("SELECT tidings.content_digest($1, $2, $3)")
            .bind(&event.event_type)
            .bind(occurred_at)
            .bind(&event.data[..]);
        let digest: Vec<u8> = digest.fetch_one(&world.pool).await.expect("a digest");
        assert_eq!(digest, event.content_digest(), "{micros:?}");
    }
}

/// What a statement stored is stored, and leased, whatever fails after it.
#[tokio::test]
async fn a_failure_after_the_commit_leaves_leases_in_doubt() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    tenant.webhook("https://example.com/").await;
    let new = |key| report_of(&world, &tenant, key, "1");
    let (store, now) = (&world.context.store, world.clock.now());
    store.accept(&[new(Some("k"))], now, None).await.expect("accepted");
    // At the commit, when the statement that comes next would ask for it.
    let ruin = "CREATE FUNCTION ruin() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN ALTER TABLE tidings.idempotency_keys RENAME COLUMN digest TO ruined; RETURN NULL; END';
                CREATE CONSTRAINT TRIGGER ruin AFTER INSERT ON tidings.outbox DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW EXECUTE FUNCTION ruin()";
    sqlx::raw_sql(ruin).execute(&world.pool).await.expect("a trigger");

    let to = HandOff { holder: holder(&world).await, crowded: Vec::new(), expectant: None };
    let failed = store.accept(&[new(None), new(Some("k"))], now, Some(&to)).await.expect_err("it cannot be asked");
    assert!(matches!(failed, StoreError::Unsure(_)) && failed.is_passing() && !failed.did_nothing(), "{failed:?}");
    assert_eq!((world.count("events").await, world.count("outbox").await), (2, 2));
}
