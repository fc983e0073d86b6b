//! Rotation of the master key: everything is sealed anew while the service runs, and nothing is lost by it.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Executor as _;
use tidings::actions::reseal::{Resealed, reseal};
use tidings::actions::{ActionError, vault};
use tidings::dialect::Dialects;
use tidings::domain::ids::{TenantId, WebhookId};
use tidings::domain::secret::{MasterKeys, SecretError};
use tokio::sync::mpsc;

use crate::support::load::{Api, Load, arrivals};
use crate::support::process::{Ended, Served, run, settings};
use crate::support::receiver::Received;
use crate::support::world::{MASTER_KEY as OLD, keys};
use crate::support::{Receiver, World, database};

const NEW: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// A world with the old key, and everything that is sealed in it: two webhooks with headers, of which one has rotated its
/// secret and changed its headers, and one with a token.
async fn furnished() -> World {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let headers = json!({"X-Own": "hunter2"});
    let one = tenant.webhook_with(json!({"url": "http://127.0.0.1:9/", "events": ["*"], "headers": headers})).await;
    let path = format!("/v1/webhooks/{}", one["id"].as_str().expect("an id"));
    world.clock.advance(Duration::from_secs(1));
    tenant.post(&format!("{path}/rotate"), json!({})).await.expect(200);
    tenant.patch(&path, json!({"headers": {"X-Own": "hunter3"}})).await.expect(200);
    let body = json!({"url": "http://127.0.0.1:9/", "events": ["*"], "dialect": "beltic", "headers": headers});
    tenant.webhook_with(body).await;
    world
}

/// The ids of the keys that anything is sealed with, and how much.
async fn sealed_with(world: &World) -> Vec<(String, i64, i64)> {
    let counts = world.context.store.sealed_with().await.expect("counts");
    counts.into_iter().map(|count| (count.key_id, count.secrets, count.headers)).collect()
}

async fn all(world: &World, keys: &MasterKeys) -> Result<Resealed, ActionError> {
    reseal(&world.context.store, keys, &mut |_| {}).await
}

/// Every ciphertext, whatever holds it.
async fn ciphertexts(world: &World) -> Vec<Vec<u8>> {
    let all = "SELECT sealed FROM (SELECT sealed FROM tidings.webhook_secrets
               UNION ALL SELECT headers_sealed FROM tidings.webhook_revisions WHERE headers_sealed IS NOT NULL) AS s ORDER BY 1";
    sqlx::query_scalar(all).fetch_all(&world.pool).await.expect("ciphertexts")
}

#[tokio::test]
async fn everything_is_sealed_anew_and_opens_with_the_new_key_alone() {
    let world = furnished().await;
    let before = sealed_with(&world).await;
    assert_eq!(before, [(keys(&[OLD]).sealing().to_owned(), 4, 3)]);
    let old_ciphertexts = ciphertexts(&world).await;

    let mut told = 0;
    let both = keys(&[NEW, OLD]);
    let resealed = reseal(&world.context.store, &both, &mut |count| told += count).await.expect("resealed");
    assert_eq!((resealed.count, told, resealed.corrupt.len()), (7, 7, 0));
    assert_eq!(sealed_with(&world).await, [(keys(&[NEW]).sealing().to_owned(), 4, 3)]);
    let new_ciphertexts = ciphertexts(&world).await;
    assert!(new_ciphertexts.iter().all(|new| !old_ciphertexts.contains(new)), "every one is another");

    let new = World::with_keys(&world.database_url, keys(&[NEW])).await;
    let rows = "SELECT tenant_id, id FROM tidings.webhooks";
    let webhooks: Vec<(uuid::Uuid, uuid::Uuid)> = sqlx::query_as(rows).fetch_all(&new.pool).await.expect("webhooks");
    for (tenant, webhook) in webhooks {
        let (tenant, webhook) = (TenantId::from_u128(tenant.as_u128()), WebhookId::from_u128(webhook.as_u128()));
        for row in new.context.store.secrets(tenant, webhook).await.expect("secrets") {
            let kind = vault::Kind::parse(&row.kind).expect("a kind");
            vault::open(&new.context.master_keys, tenant, webhook, kind, &row.sealed).expect("it opens");
        }
        let own = new.context.store.webhook(tenant, webhook).await.expect("a webhook").expect("a webhook").headers;
        vault::open_headers(&new.context.master_keys, tenant, webhook, own.as_ref()).expect("they open");
    }
    assert_eq!(all(&world, &both).await.expect("again").count, 0, "a second run finds nothing to do");
    assert_eq!(ciphertexts(&world).await, new_ciphertexts);
}

/// What is sealed lies beside its key's id. A further such column must be sealed anew as well.
#[tokio::test]
async fn no_other_column_holds_what_is_sealed() {
    let world = World::new().await;
    let columns = "SELECT DISTINCT table_name || '.' || column_name FROM information_schema.columns
                   WHERE table_schema = 'tidings' AND (column_name LIKE '%sealed%' OR column_name LIKE '%key_id' AND table_name <> 'api_keys')
                   ORDER BY 1";
    let columns: Vec<String> = sqlx::query_scalar(columns).fetch_all(&world.pool).await.expect("columns");
    let known = [
        "webhook_revisions.headers_key_id",
        "webhook_revisions.headers_sealed",
        "webhook_secrets.key_id",
        "webhook_secrets.sealed",
    ];
    assert_eq!(columns, known);
}

#[tokio::test]
async fn it_may_end_anywhere_and_goes_on_where_it_was() {
    let world = furnished().await;
    // Many pages of headers, which need no webhook.
    let old = keys(&[OLD]);
    let (tenant, webhook) = (TenantId::from_u128(7), WebhookId::from_u128(7));
    for revision in 1..=1_000 {
        let sealed = vault::seal_headers(&old, tenant, webhook, &[("x".into(), revision.to_string())]).expect("sealed");
        sqlx::query("INSERT INTO tidings.webhook_revisions VALUES ($1, $2, $3, 'http://x/', $4, $5)")
            .bind(uuid::Uuid::from_u128(7))
            .bind(uuid::Uuid::from_u128(7))
            .bind(revision)
            .bind(sealed.ciphertext)
            .bind(sealed.key_id)
            .execute(&world.pool)
            .await
            .expect("a revision");
    }
    let both = keys(&[NEW, OLD]);
    let (store, keys_of_task) = (world.context.store.clone(), both.clone());
    let (told, mut steps) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let _ = reseal(&store, &keys_of_task, &mut |count| told.send(count).unwrap_or_default()).await;
    });
    let mut first = 0;
    while first < 300 {
        first += steps.recv().await.expect("a step");
    }
    task.abort();
    let _ = task.await;
    let between = sealed_with(&world).await;
    assert_eq!(between.len(), 2, "it was ended in the middle: {between:?}");

    let rest = all(&world, &both).await.expect("resumed");
    assert!(rest.count > 0 && rest.count < 1_007 - 200, "{rest:?}");
    assert_eq!(sealed_with(&world).await, [(keys(&[NEW]).sealing().to_owned(), 4, 1_003)]);
    for revision in [1, 500, 1_000] {
        let stored = world.context.store.webhook_revision(tenant, webhook, revision).await.expect("read");
        let sealed = stored.and_then(|stored| stored.headers).expect("headers");
        let opened = vault::open_headers(&keys(&[NEW]), tenant, webhook, Some(&sealed)).expect("opened");
        assert_eq!(opened, [("x".to_owned(), revision.to_string())]);
    }
}

#[tokio::test]
async fn rotations_and_changes_at_the_same_time_lose_nothing_and_bring_nothing_back() {
    // A process that seals with the new key already, on what one with the old key has sealed.
    let old = furnished().await;
    let new = World::with_keys(&old.database_url, keys(&[NEW, OLD])).await;
    new.run();
    let receiver = Receiver::start().await;
    let tenant = new.tenant().await;
    let mut webhooks = Vec::new();
    for number in 0..4 {
        let headers = json!({"X-Number": number.to_string()});
        let body = json!({"url": receiver.url, "events": ["*"], "headers": headers});
        let sealed_before = World::with_keys(&old.database_url, keys(&[OLD, NEW])).await;
        let theirs = crate::support::world::Tenant { world: &sealed_before, ..tenant.clone() };
        webhooks.push(theirs.webhook_with(body).await);
    }
    let change = |index: usize| {
        let (tenant, webhook) = (tenant.clone(), &webhooks[index]);
        async move {
            let path = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
            let mut newest = Value::Null;
            for turn in 0..6 {
                tenant.world.clock.advance(Duration::from_millis(10));
                let rotated = tenant.post(&format!("{path}/rotate"), json!({"overlap_seconds": 0})).await;
                newest = rotated.expect(200);
                tenant.patch(&path, json!({"description": turn.to_string()})).await.expect(200);
            }
            newest
        }
    };
    let both = keys(&[NEW, OLD]);
    let resealing = async {
        for _ in 0..10 {
            all(&new, &both).await.expect("resealed");
        }
    };
    let (a, b, c, d, ()) = tokio::join!(change(0), change(1), change(2), change(3), resealing);
    let alone = keys(&[NEW]);
    let left: Vec<_> = sealed_with(&new).await.into_iter().filter(|(id, ..)| id != alone.sealing()).collect();
    assert_eq!(left, [], "and nothing is sealed with the old key afterwards");

    let last = World::with_keys(&old.database_url, alone).await;
    for (index, registered) in [a, b, c, d].iter().enumerate() {
        let path = format!("/v1/webhooks/{}/test", registered["id"].as_str().expect("an id"));
        crate::support::world::Tenant { world: &last, ..tenant.clone() }.post(&path, json!({})).await.expect(200);
        let request = receiver.received().pop().expect("a request");
        assert!(is_signed(&request, registered["signing_secret"].as_str().expect("a secret")), "{index}");
        assert_eq!(request.header("x-number"), index.to_string());
    }
}

#[tokio::test]
async fn a_row_that_somebody_holds_is_waited_for_without_holding_up_others() {
    let world = furnished().await;
    let mut holder = world.pool.begin().await.expect("a transaction");
    holder.execute("SELECT FROM tidings.webhook_secrets FOR UPDATE").await.expect("locks");
    let both = keys(&[NEW, OLD]);
    let let_go = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let between = sealed_with(&world).await;
        holder.rollback().await.expect("let go");
        between
    };
    let (resealed, between) = tokio::join!(all(&world, &both), let_go);
    assert_eq!(
        between.iter().map(|(_, secrets, headers)| (*secrets, *headers)).max(),
        Some((4, 0)),
        "the rest is done"
    );
    assert_eq!(resealed.expect("resealed").count, 7);
}

#[tokio::test]
async fn where_a_key_is_missing_nothing_is_touched_and_the_sentence_names_it() {
    let world = furnished().await;
    let before = ciphertexts(&world).await;
    let (old, new) = (keys(&[OLD]).sealing().to_owned(), keys(&[NEW]).sealing().to_owned());
    let other = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=";
    for wrong in [keys(&[NEW]), keys(&[NEW, other])] {
        let error = all(&world, &wrong).await.expect_err("refused");
        let ActionError::Secret(SecretError::UnknownMasterKey { sealed_with, configured }) = error else {
            panic!("{error}")
        };
        assert_eq!((&sealed_with, configured.contains(&new)), (&old, true));
    }
    let settings = |master: &'static str, further: &'static str| {
        let mut settings = settings(&world.database_url);
        settings.retain(|(name, _)| *name != "secrets.master_key");
        settings.extend([("secrets.master_key", master), ("secrets.further_master_keys", further)]);
        settings
    };
    for arguments in [&["keys", "rotate-master"][..], &["keys", "rotate-master", "--check"], &["serve"]] {
        let ended = run(arguments, &settings(NEW, other)).await;
        assert_eq!(ended.code, Some(1), "{}", ended.text);
        let sentence = ended.text.lines().find(|line| line.starts_with("error: ")).expect("a sentence");
        for part in [&old, &new, "secrets.further_master_keys"] {
            assert!(sentence.contains(part), "no `{part}` in {sentence}");
        }
    }
    let twice = run(&["serve"], &settings(NEW, NEW)).await;
    assert!(twice.code == Some(1) && twice.text.contains("configured twice"), "{}", twice.text);
    let elsewhere = run(&["keys", "rotate-master", "--api", "http://x"], &settings(NEW, OLD)).await;
    assert!(elsewhere.code == Some(2) && elsewhere.text.contains("leave --api out"), "{}", elsewhere.text);
    assert_eq!(ciphertexts(&world).await, before);
}

#[tokio::test]
async fn what_does_not_open_is_told_of_and_the_rest_is_done() {
    let world = furnished().await;
    let tampered = "UPDATE tidings.webhook_secrets SET sealed = set_byte(sealed, 30, get_byte(sealed, 30) # 1)
                    WHERE kind = 'token'";
    world.pool.execute(tampered).await.expect("tampered with");
    let mut settings = settings(&world.database_url);
    settings.retain(|(name, _)| *name != "secrets.master_key");
    settings.extend([("secrets.master_key", NEW), ("secrets.further_master_keys", OLD)]);
    let Ended { code, text } = run(&["keys", "rotate-master"], &settings).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("1 of the values do not open") && text.contains("wh_"), "{text}");
    let left: Vec<_> = sealed_with(&world).await.into_iter().map(|(_, secrets, headers)| (secrets, headers)).collect();
    assert!(left.len() == 2 && left.contains(&(1, 0)) && left.contains(&(3, 3)), "{left:?}");
}

/// Whether a request bears a good signature of the default dialect.
fn is_signed(request: &Received, secret: &str) -> bool {
    let dialects = Dialects::builtin().expect("dialects");
    let profile = dialects.get("standard").expect("the default");
    let keys = profile.keys(&[secret.into()], None).expect("keys");
    let header = |name: &str| request.headers.get(name).map(|value| value.to_str().expect("ASCII").to_owned());
    let signed: i64 = request.header("webhook-timestamp").parse().expect("a time");
    let at = chrono::DateTime::from_timestamp(signed, 0).expect("a time");
    profile.verify(&header, &request.body, &keys, at, Duration::from_mins(5)).is_ok()
}

/// The steps of `tidings keys rotate-master --help`, over two processes, under load.
#[tokio::test]
async fn the_key_is_rotated_under_load_and_every_signature_is_good() {
    const EVENTS: usize = 300;
    const WEBHOOKS: usize = 8;
    let url = database::fresh().await;
    let with = |master: &'static str, further: &'static str| {
        let mut settings = settings(&url);
        settings.retain(|(name, _)| *name != "secrets.master_key");
        settings.extend([("secrets.master_key", master), ("secrets.further_master_keys", further)]);
        settings
    };
    let first = Served::start(&[], &with(OLD, NEW)).await;
    let api = Api::new(&[first.address]);
    let key = api.tenant().await;
    let receiver = Receiver::start().await;
    let mut secrets = Vec::new();
    for number in 0..WEBHOOKS {
        let headers = json!({"X-Number": number.to_string()});
        let body = json!({"url": format!("{}/{number}", receiver.url), "events": ["*"], "headers": headers});
        let (status, webhook) = api.post("/v1/webhooks", &key, &body).await;
        assert_eq!(status, 201, "{webhook}");
        secrets.push(webhook["signing_secret"].as_str().expect("a secret").to_owned());
    }
    let second = Served::start(&[], &with(NEW, OLD)).await;
    api.moves_to(&[first.address, second.address]);
    let load = Load::start(&api, &key, EVENTS);
    load.reaches(EVENTS / 4).await;
    let checked = run(&["keys", "rotate-master", "--check", "--json"], &with(NEW, OLD)).await;
    assert_eq!(checked.code, Some(0), "{}", checked.text);
    let checked: Value = serde_json::from_str(&checked.text).expect("JSON");
    assert_eq!(
        (&checked["resealed"], &checked["master_keys"][1]["secrets"]),
        (&json!(0), &json!(WEBHOOKS)),
        "{checked}"
    );
    let rotated = run(&["keys", "rotate-master"], &with(NEW, OLD)).await;
    assert_eq!(rotated.code, Some(0), "{}", rotated.text);
    assert!(rotated.text.contains("can be taken out"), "{}", rotated.text);
    load.ends().await;
    arrivals(&receiver, EVENTS * WEBHOOKS, Duration::from_secs(30)).await;
    for process in [first, second] {
        assert_eq!(process.process.stop(rustix::process::Signal::TERM).await.code, Some(0));
    }

    let third = Served::start(&[], &with(NEW, "")).await;
    api.moves_to(&[third.address]);
    let (status, _) = api.post("/v1/events", &key, &json!({"type": "after", "data": 1})).await;
    assert_eq!(status, 202);
    let arrived = arrivals(&receiver, (EVENTS + 1) * WEBHOOKS, Duration::from_secs(30)).await;
    assert_eq!((arrived.distinct, arrived.duplicates), ((EVENTS + 1) * WEBHOOKS, 0));
    for request in receiver.received() {
        let number: usize = request.header("x-number").parse().expect("its own header");
        assert!(request.path.ends_with(&format!("/{number}")) && is_signed(&request, &secrets[number]), "{number}");
    }
    assert_eq!(third.process.stop(rustix::process::Signal::TERM).await.code, Some(0));
    let refused = run(&["serve"], &with(OLD, "")).await;
    assert!(refused.code == Some(1) && refused.text.contains(keys(&[NEW]).sealing()), "{}", refused.text);
}
