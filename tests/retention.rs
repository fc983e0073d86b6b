//! Retention: what is older is dropped, day by day, but for what is still needed.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tidings::dispatch::Keeper;
use tidings::store::retention::Tidied;

use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

const DAY: Duration = Duration::from_hours(24);

fn id(of: &Value) -> &str {
    of["id"].as_str().expect("an id")
}

/// A turn of the keeper; one that is put off because the machine is slow is taken again.
async fn tidy(world: &World, days: u32) -> Tidied {
    let keeper = Keeper::new(world.context.store.clone(), world.clock.clone(), days);
    for _ in 0..20 {
        match keeper.tidy().await {
            Ok(tidied) => return tidied.expect("nobody else tidies up"),
            Err(error) => assert!(error.is_passing(), "{error:?}"),
        }
    }
    panic!("it is put off again and again")
}

async fn webhook(tenant: &Tenant<'_>, receiver: &Receiver) -> String {
    id(&tenant.webhook(&receiver.url).await).to_owned()
}

async fn event_of(tenant: &Tenant<'_>, number: u32) -> String {
    let id = tenant.event("document.uploaded", json!({"n": number})).await;
    tenant.world.drain().await;
    id
}

#[tokio::test]
async fn what_is_settled_is_gone_and_what_is_needed_stays_whole() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    let webhook = webhook(&tenant, &receiver).await;
    let delivered = event_of(&tenant, 1).await;
    receiver.then(Reply::Status(400));
    let dead = event_of(&tenant, 2).await;
    tenant.post(&format!("/v1/webhooks/{webhook}/deactivate"), json!({})).await.expect(200);
    let held = event_of(&tenant, 3).await;
    let nothing = tidy(&world, 30).await;
    assert_eq!((nothing.rounds, nothing.buried), (0, 0), "nothing is old");

    world.after(DAY * 32).await;
    let fresh = event_of(&tenant, 4).await;
    assert_eq!(tidy(&world, 30).await.rounds, 1);
    assert_eq!(tidy(&world, 30).await.rounds, 0, "once");
    assert_eq!(tenant.get(&format!("/v1/events/{delivered}")).await.problem(404), "not_found");
    let deliveries = tenant.get("/v1/deliveries").await.expect(200);
    assert_eq!(deliveries["data"].as_array().map(Vec::len), Some(3), "{deliveries}");

    let letter = tenant.dead_letter().await;
    assert_eq!((&letter["event_id"], &letter["event"]), (&json!(dead), &json!("document.uploaded")));
    let attempts = tenant.attempts(&letter).await;
    assert!(attempts[0]["request"]["body"].as_str().expect("a body").contains("\"n\":2"), "{attempts:?}");
    for (event, number) in [(&held, 3), (&fresh, 4)] {
        let event = tenant.get(&format!("/v1/events/{event}")).await.expect(200);
        assert_eq!((&event["data"]["n"], &event["deliveries"][0]["state"]), (&json!(number), &json!("pending")));
    }

    tenant.post(&format!("/v1/webhooks/{webhook}/activate"), json!({})).await.expect(200);
    tenant.post(&format!("/v1/dead-letters/{}/resend", id(&letter)), Value::Null).await.expect(202);
    world.drain().await;
    assert_eq!(receiver.count(), 5, "all of it arrives in the end");
    assert_eq!(tenant.delivery_of(&dead).await["attempts"], 2);

    // Once nobody needs it, the next day takes it along.
    world.after(DAY * 31).await;
    tidy(&world, 30).await;
    for event in [&dead, &held, &fresh] {
        assert_eq!(tenant.get(&format!("/v1/events/{event}")).await.problem(404), "not_found");
    }
    assert_eq!((world.count("events").await, world.count("attempts").await), (0, 0));
}

/// More than are read at a time, and of each event several deliveries, beside a tenant that comes after.
#[tokio::test]
async fn every_event_with_a_delivery_is_kept_however_many_there_are() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let (many, few) = (world.tenant().await, world.tenant().await);
    for tenant in [&many, &many, &few] {
        let webhook = webhook(tenant, &receiver).await;
        tenant.post(&format!("/v1/webhooks/{webhook}/deactivate"), json!({})).await.expect(200);
    }
    for (tenant, count) in [(&many, 800), (&many, 700), (&few, 5)] {
        let events: Vec<_> = (0..count).map(|n| json!({"type": "a", "data": n})).collect();
        tenant.post("/v1/events/batch", json!({"events": events})).await.expect(202);
    }
    world.after(DAY * 32).await;
    assert_eq!(tidy(&world, 30).await.rounds, 1);
    assert_eq!((world.count("events").await, world.count("outbox").await), (1_505, 3_005));
    let orphans = "outbox AS o WHERE NOT EXISTS (SELECT FROM tidings.events AS e
                   WHERE e.tenant_id = o.tenant_id AND e.id = tidings.event_of(o.id))";
    assert_eq!(world.count(orphans).await, 0);
}

#[tokio::test]
async fn the_number_of_days_may_change_and_be_one() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver).await;
    let mut events = Vec::new();
    for number in 0..6 {
        events.push(event_of(&tenant, number).await);
        world.after(DAY).await;
    }
    let left = async || {
        let listed = tenant.get("/v1/events").await.expect(200);
        listed["data"].as_array().expect("a list").len()
    };
    tidy(&world, 6).await;
    assert_eq!(left().await, 6, "day 0 is as old as is kept");
    tidy(&world, 4).await;
    assert_eq!(left().await, 4);
    tidy(&world, 30).await;
    assert_eq!(left().await, 4, "what is gone is gone");
    tidy(&world, 1).await;
    assert_eq!(left().await, 1);
    world.after(DAY * 30).await;
    tidy(&world, 1).await;
    assert_eq!(left().await, 0);
    event_of(&tenant, 9).await;
    assert_eq!((left().await, receiver.count()), (1, 7));
}

#[tokio::test]
async fn what_is_held_for_a_disabled_webhook_becomes_a_dead_letter_and_what_a_person_paused_stays() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (gone, paused) = (Receiver::start().await, Receiver::start().await);
    gone.then(Reply::Status(410));
    let (disabled, inactive) = (webhook(&tenant, &gone).await, webhook(&tenant, &paused).await);
    event_of(&tenant, 1).await;
    tenant.post(&format!("/v1/webhooks/{inactive}/deactivate"), json!({})).await.expect(200);
    let held = event_of(&tenant, 2).await;
    world.after(DAY * 29).await;
    assert_eq!(tidy(&world, 30).await.buried, 0);
    world.after(DAY * 3).await;
    assert_eq!(tidy(&world, 30).await.buried, 1);

    let letters = tenant.get("/v1/dead-letters?filter[reason]=webhook_disabled").await.expect(200);
    let letter = &letters["data"][0];
    assert_eq!((&letter["event_id"], &letter["webhook_id"]), (&json!(held), &json!(disabled)));
    assert!(letter["detail"].as_str().is_some_and(|detail| detail.contains("410")), "{letter}");
    let path = format!("/v1/dead-letters/{}/resend", id(letter));
    assert_eq!(tenant.post(&path, Value::Null).await.problem(409), "webhook_disabled");
    for webhook in [&disabled, &inactive] {
        tenant.post(&format!("/v1/webhooks/{webhook}/activate"), json!({})).await.expect(200);
    }
    tenant.post(&path, Value::Null).await.expect(202);
    world.drain().await;
    assert_eq!((gone.count(), paused.count()), (2, 2));
}

#[tokio::test]
async fn a_resend_and_the_end_of_retention_do_not_lose_a_delivery() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver).await;
    let event = event_of(&tenant, 1).await;
    let delivery = tenant.delivery_of(&event).await;
    world.after(DAY * 32).await;
    let path = format!("/v1/deliveries/{}/resend", id(&delivery));
    let again = tenant.post(&path, Value::Null).await.expect(202);
    tidy(&world, 30).await;
    world.drain().await;
    assert_eq!(receiver.count(), 2);
    assert_eq!(tenant.get(&format!("/v1/deliveries/{}", id(&again))).await.expect(200)["state"], "delivered");
    assert_eq!(tenant.get(&format!("/v1/deliveries/{}", id(&delivery))).await.expect(200)["state"], "delivered");
    world.after(DAY).await;
    tidy(&world, 30).await;
    assert_eq!(tenant.post(&path, Value::Null).await.problem(404), "not_found");
}

#[tokio::test]
async fn a_reader_puts_it_off_and_it_stalls_nobody() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver).await;
    event_of(&tenant, 1).await;
    world.after(DAY * 32).await;
    let mut reader = PgConnection::connect(&world.database_url).await.expect("the database");
    reader.execute("BEGIN; SELECT count(*) FROM tidings.events").await.expect("a reader who takes his time");
    let keeper = Keeper::new(world.context.store.clone(), world.clock.clone(), 30);
    let (tidied, ()) = tokio::join!(keeper.tidy(), async {
        for number in 0..10 {
            tenant.event("a", json!({"n": number})).await;
        }
        world.drain().await;
    });
    assert!(tidied.expect_err("it is put off").is_passing());
    assert_eq!(receiver.count(), 11);
    reader.execute("COMMIT").await.expect("done");
    tidy(&world, 30).await;
    assert_eq!(world.count("events").await, 10);
}

#[tokio::test]
async fn one_process_tidies_up_and_another_takes_up_what_it_left_half_done() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver).await;
    event_of(&tenant, 1).await;
    receiver.then(Reply::Status(400));
    let dead = event_of(&tenant, 2).await;
    world.after(DAY * 32).await;

    let lock = world.context.store.lock_retention().await.expect("asked").expect("the first");
    let keeper = Keeper::new(world.context.store.clone(), world.clock.clone(), 30);
    assert_eq!(keeper.tidy().await.expect("no error"), None, "one at a time");
    lock.release().await.expect("released");
    // It died after the partitions were changed, and had copied nothing before.
    let left = "SELECT tidings.swap_kept(day, tidings.begin_round(day)) FROM (SELECT min(day) + 1 AS day FROM tidings.partitioned_days('events') AS day) AS first";
    sqlx::query(left).execute(&world.pool).await.expect("half of a round");
    assert_eq!(world.count("events").await, 0);
    tidy(&world, 30).await;
    assert_eq!(tenant.dead_letter().await["event_id"], json!(dead));
    assert_eq!(tenant.get(&format!("/v1/events/{dead}")).await.expect(200)["data"]["n"], 2);
    assert_eq!(tenant.attempts(&tenant.dead_letter().await).await.len(), 1);
    assert_eq!(world.value::<i64>("SELECT count(*) FROM tidings.gone_tables('events')").await, 0);
}

#[tokio::test]
async fn rows_that_belonged_to_no_day_are_dropped_as_well() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver).await;
    // Nobody made partitions for these days.
    world.clock.advance(DAY * 20);
    let settled = tenant.event("document.uploaded", json!({"n": 1})).await;
    world.context.store.settle(&[], world.clock.now()).await.expect("no look, which would make partitions");
    let rest: i64 = world.value("SELECT count(*) FROM tidings.events_rest").await;
    world.drain().await;
    receiver.then(Reply::Status(400));
    let dead = event_of(&tenant, 2).await;
    assert_eq!(rest, 1, "it lies in the rest");
    world.after(DAY * 40).await;
    tidy(&world, 30).await;
    assert_eq!(tenant.get(&format!("/v1/events/{settled}")).await.problem(404), "not_found");
    assert_eq!(tenant.dead_letter().await["event_id"], json!(dead));
    assert_eq!(world.value::<i64>("SELECT count(*) FROM tidings.events_rest").await, 0);
}

/// What a resend came to owe after it was looked for is not in the tables that are about to take their places.
#[tokio::test]
async fn what_came_to_be_needed_meanwhile_is_not_dropped_with_the_rest() {
    let world = World::new().await;
    world.tenant().await;
    let mut round = world.pool.begin().await.expect("begun");
    let begin = "SELECT tidings.begin_round((now() - interval '30 days')::date)::text";
    let begun: String = sqlx::query_scalar(begin).fetch_one(&mut *round).await.expect("begun");
    let late = "INSERT INTO tidings.events (tenant_id, id, type, data)
                SELECT id, tidings.new_event_id(now() - interval '40 days'), 'a', '1' FROM tidings.tenants";
    sqlx::query(late).execute(&mut *round).await.expect("stored");
    let swap = "SELECT tidings.swap_kept((now() - interval '30 days')::date, $1::xid8)::text";
    let refused = sqlx::query(swap).bind(&begun).execute(&mut *round).await.expect_err("it would be lost");
    assert!(refused.to_string().contains("came to be needed"), "{refused}");
}

/// A producer that left a transaction open, with a key of the day before.
#[tokio::test]
async fn what_somebody_has_locked_keeps_nothing_else() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver).await;
    let report = json!({"type": "a", "data": 1, "idempotency_key": "k"});
    tenant.post("/v1/events", report).await.expect(202);
    world.drain().await;
    world.after(DAY * 32).await;
    let mut elsewhere = world.pool.begin().await.expect("begun");
    let lock = "SELECT FROM tidings.idempotency_keys FOR UPDATE";
    assert_eq!(sqlx::query(lock).execute(&mut *elsewhere).await.expect("locked").rows_affected(), 1);
    assert_eq!(tidy(&world, 30).await.rounds, 1);
    assert_eq!((world.count("events").await, world.count("idempotency_keys").await), (0, 1));
    elsewhere.rollback().await.expect("rolled back");
    tidy(&world, 30).await;
    assert_eq!(world.count("idempotency_keys").await, 0);
}

/// Nobody can resend them, and those of a deleted tenant nobody reaches.
#[tokio::test]
async fn dead_letters_of_what_was_deleted_go_with_their_time() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.always(Reply::Status(400));
    let (kept, gone, deleted) = (
        world.tenant_with("sandbox", "docintell").await,
        world.tenant_with("sandbox", "docintell").await,
        world.tenant_with("sandbox", "docintell").await,
    );
    for (tenant, is_gone) in [(&kept, false), (&gone, true), (&deleted, false)] {
        let webhook = webhook(tenant, &receiver).await;
        event_of(tenant, 1).await;
        tenant.dead_letter().await;
        if is_gone {
            tenant.delete(&format!("/v1/webhooks/{webhook}")).await.expect(204);
        }
    }
    world.platform(Method::DELETE, &format!("/v1/tenants/{}", deleted.id), None).await.expect(204);
    world.after(DAY * 29).await;
    tidy(&world, 30).await;
    assert_eq!(world.count("dead_letters").await, 3, "their time has not come");
    world.after(DAY * 3).await;
    tidy(&world, 30).await;
    assert_eq!(
        (world.count("dead_letters").await, world.count("events").await),
        (1, 1),
        "that of the webhook there is"
    );
}

#[tokio::test]
async fn cancellations_keys_and_deleted_webhooks_are_forgotten_in_time() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let webhook = webhook(&tenant, &receiver).await;
    let report = json!({"type": "a", "data": 1, "idempotency_key": "k"});
    tenant.post("/v1/events", report).await.expect(202);
    world.drain().await;
    tenant.post(&format!("/v1/webhooks/{webhook}/deactivate"), json!({})).await.expect(200);
    tenant.event("a", json!(2)).await;
    tenant.delete(&format!("/v1/webhooks/{webhook}")).await.expect(204);
    assert_eq!((world.count("cancellations").await, world.count("idempotency_keys").await), (1, 1));
    world.after(DAY * 2).await;
    tidy(&world, 30).await;
    let counts = async || {
        (world.count("cancellations").await, world.count("idempotency_keys").await, world.count("webhooks").await)
    };
    assert_eq!(counts().await, (1, 0, 1));
    world.after(DAY * 31).await;
    tidy(&world, 30).await;
    assert_eq!(counts().await, (0, 0, 0));
    assert_eq!(world.count("webhook_revisions").await, 0);
}

#[tokio::test]
async fn a_secret_is_forgotten_with_the_last_attempt_that_it_signed() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let (rotated, paused) = (webhook(&tenant, &receiver).await, webhook(&tenant, &receiver).await);
    tenant.post(&format!("/v1/webhooks/{paused}/deactivate"), json!({})).await.expect(200);
    event_of(&tenant, 1).await;
    world.after(Duration::from_secs(1)).await;
    tenant.post(&format!("/v1/webhooks/{rotated}/rotate"), json!({"overlap_seconds": 0})).await.expect(200);
    world.after(DAY * 31).await;
    tidy(&world, 30).await;
    let secrets = world.count("webhook_secrets").await;
    assert_eq!(secrets, 3, "the event is owed to the paused one, and its attempt can be shown");

    tenant.delete(&format!("/v1/webhooks/{paused}")).await.expect(204);
    world.after(DAY).await;
    tidy(&world, 30).await;
    assert_eq!(world.count("webhook_secrets").await, 1, "the one that signs");
}
