//! A database restored from a dump: another server counts its transactions anew, and Tidings must not trust those of the old one.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Receiver, World};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn webhooks_restored_from_another_server_are_not_news_for_ever() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    // What `pg_dump` carries over: the number of a transaction that the new server has yet to come to.
    sqlx::query("UPDATE tidings.webhooks SET changed = '900000000000'").execute(&world.pool).await.expect("restored");
    let news = world.context.store.news(None, HOUR).await.expect("news");
    let again = world.context.store.news(Some(&news.snapshot), HOUR).await.expect("news");
    assert_eq!(again.changed.len(), 1, "news, however often it is looked at");

    let beside = world.beside().await;
    let news = beside.context.store.news(Some(&news.snapshot), HOUR).await.expect("news");
    let again = beside.context.store.news(Some(&news.snapshot), HOUR).await.expect("news");
    assert!(again.changed.is_empty());

    beside.run();
    world.run();
    let begun = Instant::now();
    let id = webhook["id"].as_str().expect("an id");
    tenant.post(&format!("/v1/webhooks/{id}/deactivate"), json!({})).await.expect(200);
    assert!(begun.elapsed() < Duration::from_millis(900), "every dispatcher has taken it over: {:?}", begun.elapsed());
}
