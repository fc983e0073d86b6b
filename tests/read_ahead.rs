//! Reading ahead: while events are being stored, a dispatcher reads what sending them will take.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use sqlx::{Executor, Postgres, Transaction};
use tidings::domain::event::Event;
use tidings::domain::ids::{EventId, TenantId, WebhookId};
use tidings::domain::lease::Holder;
use tidings::store::outbox::accept::{Expectant, HandOff, NewEvent};
use tokio::time::{sleep, timeout};

use crate::support::world::Tenant;
use crate::support::{Receiver, World};

async fn locked(world: &World, what: &'static str) -> Transaction<'static, Postgres> {
    let mut blocking = world.pool.begin().await.expect("begun");
    sqlx::query(what).execute(&mut *blocking).await.expect("locked");
    blocking
}

/// Waits until so many connections are as a condition says.
async fn until_connections(world: &World, condition: &str, count: i64) {
    let statement = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND {condition}"
    );
    let search = async {
        let now = || sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(statement.clone())).fetch_one(&world.pool);
        while now().await.expect("a count") < count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), search).await.expect("in the end");
}

/// Events are stored when there is a row in `go`.
const GATE: &str = "CREATE TABLE public.go ();
    CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN WHILE NOT EXISTS (SELECT FROM public.go) LOOP PERFORM pg_sleep(0.005); END LOOP; RETURN NEW; END $$;
    CREATE TRIGGER wait BEFORE INSERT ON tidings.events FOR EACH ROW EXECUTE FUNCTION public.wait()";

#[tokio::test]
async fn once_an_event_is_stored_its_first_delivery_asks_for_nothing_more() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let tenant = world.tenant().await;
    tenant.webhook(&receiver.url).await;
    // That it was registered must not be news later: what is read meanwhile is not kept.
    world.look().await;
    world.pool.execute(sqlx::raw_sql(GATE)).await.expect("made");
    let read = async {
        until_connections(&world, r#"state = 'idle' AND query LIKE '%AS "is_sandbox!"%'"#, 1).await;
        // It may only have been prepared.
        sleep(Duration::from_millis(300)).await;
        let secrets = locked(&world, "LOCK TABLE tidings.webhook_secrets IN ACCESS EXCLUSIVE MODE").await;
        world.pool.execute("INSERT INTO public.go DEFAULT VALUES").await.expect("open");
        secrets
    };
    let (_, secrets) = tokio::join!(tenant.event("a", json!({})), read);
    world.run();
    receiver.wait_for(1).await;
    secrets.rollback().await.expect("unlocked");
    world.drain().await;
}

/// Notes what it is told.
#[derive(Default)]
struct Notes(Mutex<Vec<(TenantId, WebhookId)>>);

impl Expectant for Notes {
    fn foresee(self: Arc<Self>, webhooks: &mut dyn Iterator<Item = (TenantId, WebhookId)>) {
        self.0.lock().expect("notes").extend(webhooks);
    }
}

#[tokio::test]
async fn what_is_to_be_leased_is_told_beforehand_and_nothing_else() {
    let world = World::new().await;
    let tenants = [world.tenant().await, world.tenant().await];
    let webhook = async |tenant: &Tenant<'_>, rate_limit: Option<u8>| -> (TenantId, WebhookId) {
        let made = tenant
            .webhook_with(json!({"url": "https://example.com/", "events": ["*"], "rate_limit": rate_limit}))
            .await;
        let id = made["id"].as_str().expect("an id").parse().expect("an id");
        (tenant.id.parse().expect("an id"), id)
    };
    let (one, two) = (webhook(&tenants[0], None).await, webhook(&tenants[0], None).await);
    let crowded = webhook(&tenants[0], None).await;
    webhook(&tenants[0], Some(5)).await;
    let other = webhook(&tenants[1], None).await;
    let holder = world.context.store.enlist(world.clock.now(), Duration::from_secs(30)).await.expect("a number");
    let notes = Arc::new(Notes::default());
    let expectant = Some(Arc::clone(&notes) as Arc<dyn Expectant>);
    let to = HandOff { holder: Holder::new(holder), crowded: vec![crowded.1], expectant };
    let new = |tenant_id, number: u128| NewEvent {
        event: Arc::new(Event {
            tenant_id,
            id: EventId::new(world.clock.now(), number << 20),
            event_type: "a".to_owned(),
            occurred_at: None,
            data: Bytes::from_static(b"1"),
        }),
        idempotency_key: None,
        trace: None,
    };
    let events = [new(one.0, 1), new(one.0, 2), new(other.0, 3), new(other.0, 4), new(one.0, 5)];
    let storing = locked(&world, "LOCK TABLE tidings.events IN SHARE MODE").await;
    let accept = world.context.store.accept(&events, world.clock.now(), Some(&to));
    let told = async {
        until_connections(&world, "wait_event_type = 'Lock'", 1).await;
        let told = notes.0.lock().expect("notes").clone();
        storing.rollback().await.expect("unlocked");
        told
    };
    let (accepted, mut told) = tokio::join!(accept, told);
    assert_eq!(accepted.expect("accepted").1.len(), 8);
    // Of events in a row that are owed to the same webhooks, only the first is told of.
    let mut expected = vec![one, two, other, one, two];
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
}
