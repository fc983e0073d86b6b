//! Leases: one process sends a delivery at a time, and what a process leaves behind is taken over.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use tidings::actions::accept::HandOffTarget;
use tidings::dispatch::{Config, Dispatcher};
use tidings::domain::lease::MOST_LAPSES;

use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

const SECOND: Duration = Duration::from_secs(1);

/// A gate in front of a receiver's answers.
fn gated(receiver: &Receiver, status: u16) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    receiver.always(Reply::Gate(Arc::clone(&gate), status));
    gate
}

async fn webhook(tenant: &Tenant<'_>, receiver: &Receiver, more: Value) -> String {
    let mut body = json!({"url": receiver.url, "events": ["*"], "timeout_seconds": 30});
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    tenant.webhook_with(body).await["id"].as_str().expect("an id").to_owned()
}

/// Time passes; of the two only the survivor renews its lease.
async fn outlive(survivor: &World, gone: &World) {
    for _ in 0..4 {
        survivor.clock.advance(9 * SECOND);
        gone.clock.advance(9 * SECOND);
        survivor.look().await;
    }
}

/// What there is in the end.
async fn until<T>(there_is: impl AsyncFn() -> Option<T>) -> T {
    let search = async {
        loop {
            match there_is().await {
                Some(found) => break found,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(10 * SECOND, search).await.expect("in the end")
}

/// Waits for all that a process has under way.
async fn finish(world: &World) {
    let finished = tokio::time::timeout(10 * SECOND, world.dispatcher.quiet()).await;
    finished.expect("nothing hangs");
}

#[tokio::test]
async fn two_dispatchers_never_send_the_same_delivery() {
    let first = World::new().await;
    let tenant = first.tenant().await;
    let second = first.beside().await;
    let receiver = Receiver::start().await;
    let id = webhook(&tenant, &receiver, json!({})).await;
    tenant.post(&format!("/v1/webhooks/{id}/deactivate"), json!({})).await.expect(200);
    tenant.events("a", 500).await;
    assert_eq!(first.count("outbox").await, 500, "all of it is up for claiming");
    tenant.post(&format!("/v1/webhooks/{id}/activate"), json!({})).await.expect(200);

    tokio::join!(first.drain(), second.drain());
    first.drain().await;
    let mut ids: Vec<_> = receiver.received().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 500);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 500);
    let repeated: i64 = first.value("SELECT count(*) FROM tidings.attempts WHERE number > 1").await;
    assert_eq!(repeated, 0);
}

#[tokio::test]
async fn a_zombies_late_result_changes_nothing() {
    let zombie = World::new().await;
    let tenant = zombie.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, json!({})).await;
    let survivor = zombie.beside().await;
    let gate = gated(&receiver, 500);
    let event = tenant.event("a", json!({})).await;
    zombie.look().await;
    receiver.wait_for(1).await;

    receiver.always(Reply::Status(204));
    outlive(&survivor, &zombie).await;
    survivor.drain().await;
    assert_eq!(receiver.count(), 2, "it is sent again by whoever is alive");
    gate.add_permits(1);
    finish(&zombie).await;

    let delivery = tenant.delivery_of(&event).await;
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(1)));
    let attempts = tenant.attempts(&delivery).await;
    assert_eq!(attempts.len(), 1, "what nobody recorded is not made up");
    assert_eq!((&attempts[0]["number"], &attempts[0]["status"]), (&json!(1), &json!(204)));
    zombie.drain().await;
    survivor.drain().await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn a_zombies_late_success_does_not_end_a_newer_attempt() {
    let zombie = World::new().await;
    let tenant = zombie.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, json!({})).await;
    let survivor = zombie.beside().await;
    let gate = gated(&receiver, 204);
    let event = tenant.event("a", json!({})).await;
    zombie.look().await;
    receiver.wait_for(1).await;

    receiver.always(Reply::Status(500));
    outlive(&survivor, &zombie).await;
    survivor.drain().await;
    gate.add_permits(1);
    finish(&zombie).await;
    let delivery = tenant.delivery_of(&event).await;
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("pending"), &json!(1)), "the newer one waits");
    assert_eq!(tenant.attempts(&delivery).await[0]["status"], 500);
}

#[tokio::test]
async fn what_waits_in_a_process_that_lost_its_lease_is_never_sent_by_it() {
    let zombie = World::new().await;
    let tenant = zombie.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, json!({"max_in_flight": 1})).await;
    let survivor = zombie.beside().await;
    let gate = gated(&receiver, 204);
    tenant.events("a", 5).await;
    zombie.look().await;
    receiver.wait_for(1).await;

    receiver.always(Reply::Status(204));
    outlive(&survivor, &zombie).await;
    survivor.drain().await;
    assert_eq!(receiver.count(), 6, "the one under way twice, the four behind it once");
    gate.add_permits(1);
    zombie.drain().await;
    assert_eq!((receiver.count(), zombie.count("outbox").await), (6, 0));
}

#[tokio::test]
async fn a_process_that_dies_uses_up_no_attempt_of_what_it_held() {
    let zombie = World::new().await;
    let tenant = zombie.tenant().await;
    let receiver = Receiver::start().await;
    let once = json!({"max_in_flight": 1, "retry": {"max_attempts": 1, "initial_seconds": 1}});
    webhook(&tenant, &receiver, once).await;
    let survivor = zombie.beside().await;
    let _gate = gated(&receiver, 204);
    tenant.events("a", 20).await;
    zombie.look().await;
    receiver.wait_for(1).await;

    receiver.always(Reply::Status(204));
    outlive(&survivor, &zombie).await;
    survivor.drain().await;
    assert_eq!(receiver.count(), 21, "the one under way twice, the others once");
    assert_eq!((zombie.count("outbox").await, zombie.count("dead_letters").await), (0, 0));
    assert_eq!(zombie.value::<i64>("SELECT count(*) FROM tidings.attempts WHERE number = 1").await, 20);
}

#[tokio::test]
async fn what_its_processes_die_of_is_given_up() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, json!({})).await;
    let lapsed = async |statement| {
        receiver.then(Reply::Status(500));
        let event = tenant.event("a", json!({})).await;
        world.drain().await;
        let lapses = world.value::<i16>(statement).await;
        world.after(60 * SECOND).await;
        (lapses, tenant.delivery_of(&event).await)
    };
    let (lapses, delivery) = lapsed("UPDATE tidings.outbox SET lapses = 4 RETURNING lapses").await;
    assert_eq!((lapses + 1, &delivery["state"]), (MOST_LAPSES.cast_signed(), &json!("delivered")));
    let (_, delivery) = lapsed("UPDATE tidings.outbox SET lapses = 5 RETURNING lapses").await;
    assert_eq!((&delivery["state"], &delivery["attempts"], receiver.count()), (&json!("dead"), &json!(1), 3));
    let letter = tenant.dead_letter().await;
    assert_eq!(letter["reason"], "attempts_exhausted");
    assert!(letter["detail"].as_str().is_some_and(|detail| detail.contains("5 times in a row")), "{letter}");
}

#[tokio::test]
async fn what_lapsed_before_is_not_held_together_again() {
    let zombie = World::new().await;
    let tenant = zombie.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, json!({"max_in_flight": 1})).await;
    let survivor = zombie.beside().await;
    let _gate = gated(&receiver, 204);
    tenant.events("a", 3).await;
    zombie.look().await;
    receiver.wait_for(1).await;
    zombie
        .value::<i64>("WITH more AS (UPDATE tidings.outbox SET lapses = 1 RETURNING id) SELECT count(*) FROM more")
        .await;
    survivor.clock.advance(31 * SECOND);
    survivor.look().await;
    let apart = "SELECT array_agg(round(extract(epoch FROM due_at - first))::integer ORDER BY due_at)
                 FROM tidings.outbox, LATERAL (SELECT min(due_at) AS first FROM tidings.outbox) AS all_of_them";
    assert_eq!(zombie.value::<Vec<i32>>(apart).await, [0, 1, 2]);
}

/// A connection may keep the plan that it made while nothing was owed; by that, each of these would be looked for among all.
#[tokio::test]
async fn many_are_taken_over_as_soon_as_few() {
    let world = World::new().await;
    let store = &world.context.store;
    sqlx::raw_sql("VACUUM tidings.outbox").execute(&world.pool).await.expect("empty, and known to be");
    let gone = store.enlist(world.clock.now(), 30 * SECOND).await.expect("a number");
    for _ in 0..50 {
        store.retire(gone, world.clock.now()).await.expect("nothing to free");
    }
    let held = "INSERT INTO tidings.outbox (tenant_id, id, webhook_id, due_at, dialect_revision, holder, attempts, attempts_before, lapses)
                SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now(), 1, $1, 1, 0, n % 3 FROM generate_series(1, 20000) AS n";
    sqlx::query(held).bind(gone.0).execute(&world.pool).await.expect("held");
    let freed = timeout(10 * SECOND, store.retire(gone, world.clock.now())).await;
    freed.expect("soon").expect("freed");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM tidings.outbox WHERE holder IS NOT NULL").await, 0);
}

#[tokio::test]
async fn what_was_sent_and_cannot_be_recorded_is_not_sent_for_ever() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, json!({})).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
                  CREATE TRIGGER refuse BEFORE INSERT ON tidings.attempts FOR EACH ROW EXECUTE FUNCTION refuse()";
    sqlx::raw_sql(refuse).execute(&world.pool).await.expect("a trigger");
    tenant.event("a", json!({})).await;
    for _ in 0..500 {
        world.clock.advance(SECOND);
        world.look().await;
        if world.count("dead_letters").await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((receiver.count(), world.count("dead_letters").await), (MOST_LAPSES.into(), 1));
}

#[tokio::test]
async fn a_process_that_closes_gives_its_leases_back_at_once_without_counting_an_attempt() {
    let leaving = World::new().await;
    let tenant = leaving.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, json!({"max_in_flight": 1})).await;
    let staying = leaving.beside().await;
    let gate = gated(&receiver, 204);
    tenant.events("a", 5).await;
    leaving.look().await;
    receiver.wait_for(1).await;

    tokio::join!(leaving.close(), async { gate.add_permits(5) });
    staying.drain().await;
    assert_eq!((receiver.count(), staying.count("outbox").await), (5, 0), "each once");
    let numbers: Vec<i16> =
        sqlx::query_scalar("SELECT number FROM tidings.attempts").fetch_all(&staying.pool).await.expect("attempts");
    assert_eq!(numbers, [1; 5]);
}

#[tokio::test]
async fn a_claim_that_takes_effect_after_its_number_was_given_up_is_free_again_soon() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let id = webhook(&tenant, &receiver, json!({})).await;
    world.look().await;
    tenant.post(&format!("/v1/webhooks/{id}/deactivate"), json!({})).await.expect(200);
    tenant.event("a", json!({})).await;
    tenant.post(&format!("/v1/webhooks/{id}/activate"), json!({})).await.expect(200);

    // Its connection broke, so the process went on under another number; the server came to the statement only then.
    let store = &world.context.store;
    let number = store.enlist(world.clock.now(), 30 * SECOND).await.expect("a number");
    store.retire(number, world.clock.now()).await.expect("retired");
    let claim = "UPDATE tidings.outbox SET holder = $1, attempts = 1";
    sqlx::query(claim).bind(number.0).execute(&world.pool).await.expect("claimed");
    for _ in 0..3 {
        world.clock.advance(SECOND);
        world.look().await;
    }
    world.drain().await;
    assert_eq!(receiver.count(), 1, "long before anybody looks for holders that nobody knows");
}

#[tokio::test]
async fn what_was_known_before_a_lease_ran_out_is_forgotten_however_late_there_is_a_new_one() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (before, since) = (Receiver::start().await, Receiver::start().await);
    webhook(&tenant, &before, json!({})).await;
    tenant.event("a", json!({})).await;
    world.drain().await;
    let execute = async |statements| {
        sqlx::raw_sql(statements).execute(&world.pool).await.expect("executed");
    };
    execute(
        "UPDATE tidings.dispatchers SET lease_until = '-infinity';
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$;
         CREATE TRIGGER refuse BEFORE INSERT ON tidings.dispatchers FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    world.clock.advance(11 * SECOND);
    world.dispatcher.tick().await.expect_err("there is no new lease");
    execute("DROP TRIGGER refuse ON tidings.dispatchers").await;

    // As if it had been changed while nobody had to wait for this process.
    let unseen = "UPDATE tidings.webhooks SET url = $1";
    let mut transaction = world.pool.begin().await.expect("begun");
    sqlx::query("SET LOCAL session_replication_role = replica").execute(&mut *transaction).await.expect("unseen");
    sqlx::query(unseen).bind(&since.url).execute(&mut *transaction).await.expect("changed");
    transaction.commit().await.expect("changed");
    world.look().await;
    tenant.event("a", json!({})).await;
    world.drain().await;
    assert_eq!((before.count(), since.count()), (1, 1));
}

/// An event for a webhook, whose claim took effect without this process having been told.
async fn claimed_unheard(world: &World, tenant: &Tenant<'_>, webhook: &str) {
    tenant.post(&format!("/v1/webhooks/{webhook}/deactivate"), json!({})).await.expect(200);
    tenant.event("unheard", json!({})).await;
    tenant.post(&format!("/v1/webhooks/{webhook}/activate"), json!({})).await.expect(200);
    let claim = "UPDATE tidings.outbox SET holder = (SELECT max(id) FROM tidings.dispatchers), attempts = 1 WHERE holder IS NULL";
    let claimed = sqlx::query(claim).execute(&world.pool).await.expect("claimed");
    assert_eq!(claimed.rows_affected(), 1);
    world.dispatcher.doubt();
}

#[tokio::test]
async fn what_was_claimed_unheard_does_not_wait_for_a_receiver_that_is_slow() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    let gate = gated(&slow, 204);
    webhook(&tenant, &slow, json!({"max_in_flight": 1, "events": ["a"]})).await;
    let id = webhook(&tenant, &quick, json!({"events": ["unheard"]})).await;
    world.look().await;
    tenant.events("a", 5).await;
    world.look().await;
    let under_way = slow.wait_for(1).await[0].header("webhook-id").to_owned();
    claimed_unheard(&world, &tenant, &id).await;
    // Somebody has locked one that waits.
    let mut somebody = world.pool.begin().await.expect("begun");
    let one = "SELECT FROM tidings.outbox WHERE webhook_id <> tidings.parse_id('wh_', $1) AND id <> tidings.delivery_id(tidings.parse_id('evt_', $2), 1)
               LIMIT 1 FOR UPDATE";
    let locked = sqlx::query(one).bind(&id).bind(under_way).execute(&mut *somebody).await.expect("locked");
    assert_eq!(locked.rows_affected(), 1);

    // The request that was under way then is over, and the next one of the same webhook hangs.
    world.look().await;
    gate.add_permits(1);
    for _ in 0..200 {
        world.look().await;
        if quick.count() == 1 && slow.count() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((quick.count(), slow.count()), (1, 2));
    somebody.rollback().await.expect("over");
    gate.add_permits(10);
    world.after(SECOND).await;
    world.after(SECOND).await;
    assert_eq!((quick.count(), slow.count()), (1, 5), "and nothing twice");
}

#[tokio::test]
async fn what_certainly_did_nothing_raises_no_doubt() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    world.look().await;
    let mut somebody = world.pool.begin().await.expect("begun");
    let key = "SELECT tidings.enqueue($1, 'a', '1', idempotency_key => 'k')";
    sqlx::query(key).bind(&tenant.id).execute(&mut *somebody).await.expect("held");
    let refused = tenant.raw_event(r#"{"type": "a", "data": 1, "idempotency_key": "k"}"#).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    world.look().await;
    assert_eq!(world.count("dispatchers").await, 1);
}

#[tokio::test]
async fn a_lock_on_what_a_dead_process_held_stops_nobody() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (locked, free) = (Receiver::start().await, Receiver::start().await);
    let of_locked = webhook(&tenant, &locked, json!({"events": ["unheard"]})).await;
    webhook(&tenant, &free, json!({"events": ["a"], "rate_limit": 1000})).await;
    world.look().await;
    claimed_unheard(&world, &tenant, &of_locked).await;
    let mut somebody = world.pool.begin().await.expect("begun");
    sqlx::query("SELECT FROM tidings.outbox FOR UPDATE").execute(&mut *somebody).await.expect("locked");

    tenant.event("a", json!({})).await;
    // Time enough for the process to give its old number up, and for everybody to forget it.
    for _ in 0..10 {
        tokio::time::timeout(5 * SECOND, world.look()).await.expect("nobody waits for the lock");
        world.clock.advance(SECOND);
    }
    finish(&world).await;
    assert_eq!((free.count(), locked.count()), (1, 0));
    somebody.rollback().await.expect("over");
    world.after(2 * SECOND).await;
    assert_eq!(locked.count(), 1, "long before anybody looks for holders that nobody knows");
}

/// How webhooks fare is told beside it, and waits for that lock as long as a statement may.
#[tokio::test]
async fn a_lock_on_a_webhook_keeps_nothing_that_a_dead_process_held() {
    let zombie = World::new().await;
    let tenant = zombie.tenant().await;
    let survivor = zombie.beside().await;
    let receiver = Receiver::start().await;
    let _gate = gated(&receiver, 204);
    webhook(&tenant, &receiver, json!({})).await;
    tenant.event("a", json!({})).await;
    zombie.look().await;
    receiver.wait_for(1).await;
    survivor.look().await;
    survivor.clock.advance(9 * SECOND);
    survivor.look().await;
    receiver.always(Reply::Status(204));
    Tenant { world: &survivor, ..tenant.clone() }.event("a", json!({})).await;
    receiver.wait_for(2).await;
    finish(&survivor).await;

    let mut somebody = zombie.pool.begin().await.expect("begun");
    sqlx::query("SELECT FROM tidings.webhooks FOR UPDATE").execute(&mut *somebody).await.expect("locked");
    let end = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&survivor.dispatcher).run(end.clone()));
    survivor.clock.advance(10 * SECOND);
    let waits = "SELECT coalesce(min(query_start::text), '') FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting = until(async || Some(zombie.value::<String>(waits).await).filter(|since| !since.is_empty())).await;
    survivor.clock.advance(12 * SECOND);
    receiver.wait_for(3).await;
    assert_eq!(zombie.value::<String>(waits).await, waiting, "that statement still waits");
    finish(&survivor).await;
    assert_eq!(zombie.count("outbox").await, 0);
    somebody.rollback().await.expect("over");
    end.cancel();
    running.await.expect("it ends");
}

/// Of changes until then it is told nothing.
#[tokio::test]
async fn nothing_is_leased_before_the_first_look_at_the_webhooks() {
    let world = World::new().await;
    let process = Dispatcher::start(world.context.clone(), Config::default()).await.expect("a number");
    assert!(process.offer().is_none());
    process.tick().await.expect("a look");
    assert!(process.offer().is_some());
}

#[tokio::test]
async fn no_send_begins_after_a_deactivation_was_answered() {
    for other_is_alive in [true, false] {
        let first = World::new().await;
        let tenant = first.tenant().await;
        let receiver = Receiver::start().await;
        let id = webhook(&tenant, &receiver, json!({"max_in_flight": 2})).await;
        let second = first.beside().await;
        let gate = gated(&receiver, 204);
        // Both processes have requests under way and more behind them. On a busy machine their views of the webhooks may be too old as an
        // event comes, and then whoever looks first has it.
        let beside = Tenant { world: &second, ..tenant.clone() };
        let deadline = Instant::now() + 20 * SECOND;
        let mut events = 0;
        while (receiver.count() < 4 || events < 20) && Instant::now() < deadline {
            for (process, there) in [(&first, &tenant), (&second, &beside)] {
                process.look().await;
                there.event("a", json!({})).await;
                events += 1;
            }
        }
        receiver.wait_for(4).await;

        first.run();
        if other_is_alive {
            second.run();
        }
        let changed = tenant.patch(&format!("/v1/webhooks/{id}"), json!({"is_active": false})).await.expect(200);
        assert_eq!(changed["state"], "inactive");
        gate.add_permits(events);
        finish(&first).await;
        if !other_is_alive {
            second.look().await;
        }
        finish(&second).await;
        assert_eq!(receiver.count(), 4, "only what was under way");

        second.run();
        tenant.post(&format!("/v1/webhooks/{id}/activate"), json!({})).await.expect(200);
        receiver.wait_for(events).await;
    }
}

/// A connection may take seconds to make; what was true before it need not be true any more.
#[tokio::test]
async fn no_send_begins_on_a_connection_that_was_made_after_a_deactivation() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
    let listener = socket.listen(1).expect("listening");
    let address = listener.local_addr().expect("an address");
    // Where nobody accepts, few are connected; who comes then tries again after a second.
    let mut others = Vec::new();
    while let Ok(other) = timeout(SECOND / 5, TcpStream::connect(address)).await {
        others.push(other.expect("connected"));
    }
    let webhook = tenant.webhook(&format!("http://{address}/")).await;
    tenant.event("a", json!({})).await;
    tokio::time::sleep(SECOND / 5).await;
    let path = format!("/v1/webhooks/{}/deactivate", webhook["id"].as_str().expect("an id"));
    tenant.post(&path, json!({})).await.expect(200);
    for _ in &others {
        listener.accept().await.expect("one of those");
    }
    let (mut late, _) = timeout(10 * SECOND, listener.accept()).await.expect("it tries again").expect("accepted");
    let mut sent = Vec::new();
    let read = timeout(10 * SECOND, late.read_to_end(&mut sent)).await;
    assert!(read.expect("it hangs up").is_ok() && sent.is_empty(), "{}", String::from_utf8_lossy(&sent));
    assert_eq!(world.count("attempts").await, 0);
}
