//! A database restored from a dump: another server counts its transactions anew, and Tidings must not trust those of the old one.

use std::time::{Duration, Instant};

use reqwest::Method;
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

/// Whatever remembers the transaction that changed it is dated anew, or each process would take it over with every look.
#[tokio::test]
async fn nothing_restored_from_another_server_is_dated_in_the_future() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    tenant.webhook("https://example.com/hook").await;
    tenant.call(Method::PUT, "/v1/event-types/a", Some(json!({}))).await.expect(201);
    let event = tenant.post("/v1/events", json!({"type": "a", "data": 1})).await.expect(202);
    let id = event["id"].as_str().expect("an id");
    tenant.delete(&format!("/v1/events/{id}/data")).await.expect(200);
    let dated: Vec<String> = sqlx::query_scalar(
        "SELECT table_name FROM information_schema.columns
         WHERE table_schema = 'tidings' AND column_name = 'changed' AND udt_name = 'xid8' ORDER BY 1",
    )
    .fetch_all(&world.pool)
    .await
    .expect("tables");
    assert_eq!(dated, ["catalogues", "dialects", "erasures", "webhooks"]);
    for table in &dated {
        let change = format!("UPDATE tidings.{table} SET changed = '900000000000'");
        assert!(
            sqlx::query(sqlx::AssertSqlSafe(change)).execute(&world.pool).await.expect(table).rows_affected() > 0,
            "{table}"
        );
    }
    let _started_anew = world.beside().await;
    for table in &dated {
        let future = format!("{table} WHERE changed >= pg_snapshot_xmax(pg_current_snapshot())");
        assert_eq!(world.count(&future).await, 0, "{table}");
    }
}
