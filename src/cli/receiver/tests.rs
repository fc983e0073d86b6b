//! A receiver believes who holds the secret, and answers as it is told to.

use std::sync::Mutex;

use tower::ServiceExt;

use super::*;
use crate::dialect::Dialects;
use crate::domain::event::Event;
use crate::domain::ids::{EventId, TenantId};

struct Bench {
    router: Router,
    receipts: Arc<Mutex<Vec<Receipt>>>,
    profile: Arc<Profile>,
}

fn keys(profile: &Profile, chance: u8) -> Keys {
    profile.keys(&[profile.new_secret(&[chance; 32])], profile.new_token(&[7; 32]).as_ref()).expect("keys")
}

fn bench(dialect: &str, knows_secret: bool, behaviour: Behaviour) -> Bench {
    let profile = Arc::clone(Dialects::builtin().expect("dialects").get(dialect).expect(dialect));
    let keys = knows_secret.then(|| keys(&profile, 1));
    let judge = Judge { profile: Arc::clone(&profile), keys, clock: Clock::steered(DateTime::UNIX_EPOCH) };
    let receipts = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&receipts);
    let on_receipt = Box::new(move |receipt| kept.lock().expect("a lock").push(receipt));
    Bench { router: router(Arc::new(Desk { judge, behaviour, on_receipt })), receipts, profile }
}

impl Bench {
    /// Delivers an event signed with the secret made from this chance; returns status and body.
    async fn deliver(&self, chance: u8) -> (StatusCode, Bytes) {
        let event = Event {
            tenant_id: TenantId::from_u128(1),
            id: EventId::from_u128(1 << 40),
            event_type: self.profile.event_types().map_or("any.thing", |types| &types[0]).to_owned(),
            occurred_at: None,
            data: Bytes::from_static(b"{\"n\": 1e2}"),
        };
        let body = self.profile.render_body(&event).expect("a body");
        let signed = self.profile.sign(&event, body, &keys(&self.profile, chance), DateTime::UNIX_EPOCH);
        self.post(&signed).await
    }

    async fn post(&self, signed: &crate::dialect::Signed) -> (StatusCode, Bytes) {
        let mut request = Request::post("/hook?x=1");
        for (name, value) in &signed.headers {
            request = request.header(&**name, value);
        }
        let request = request.body(Body::from(signed.body.clone())).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let status = response.status();
        (status, to_bytes(response.into_body(), MAX_BODY).await.expect("a body"))
    }

    fn last(&self) -> Receipt {
        self.receipts.lock().expect("a lock").pop().expect("a receipt")
    }
}

#[tokio::test]
async fn what_any_dialect_signs_is_verified_and_what_it_does_not_is_not() {
    for profile in Dialects::builtin().expect("dialects").iter() {
        let bench = bench(profile.name(), true, Behaviour::default());
        assert_eq!(bench.deliver(1).await.0, StatusCode::OK);
        let receipt = bench.last();
        assert_eq!((receipt.verdict, receipt.path.as_str()), (Verdict::Verified, "/hook?x=1"));
        assert!(receipt.says.event_type.is_some() && !receipt.is_challenge);
        assert_eq!(bench.deliver(2).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(bench.last().verdict, Verdict::Rejected(VerifyError::WrongSignature));
    }
}

#[tokio::test]
async fn without_a_secret_everything_is_taken_and_nothing_is_believed() {
    let bench = bench("standard", false, Behaviour::default());
    assert_eq!(bench.deliver(1).await.0, StatusCode::OK);
    assert_eq!(bench.last().verdict, Verdict::Unverified);
}

#[tokio::test]
async fn the_status_is_the_one_that_is_asked_for() {
    let behaviour = Behaviour { status: Some(StatusCode::GONE), ..Behaviour::default() };
    let bench = bench("standard", true, behaviour);
    for chance in [1, 2] {
        assert_eq!(bench.deliver(chance).await.0, StatusCode::GONE);
    }
}

#[tokio::test]
async fn it_can_be_late_and_it_can_hang() {
    let late = bench("standard", true, Behaviour { delay: Duration::from_millis(20), ..Behaviour::default() });
    let begun = tokio::time::Instant::now();
    late.deliver(1).await;
    assert!(begun.elapsed() >= Duration::from_millis(20));
    let hanging = bench("standard", true, Behaviour { hang: true, ..Behaviour::default() });
    assert!(tokio::time::timeout(Duration::from_millis(50), hanging.deliver(1)).await.is_err());
    assert_eq!(hanging.last().status, None);
}

#[tokio::test]
async fn a_challenge_is_answered_by_who_holds_the_secret() {
    for (chance, expected) in [(1, StatusCode::OK), (2, StatusCode::UNAUTHORIZED)] {
        let bench = bench("limai", true, Behaviour::default());
        let challenge = bench.profile.challenge().expect("a challenge");
        let id = EventId::from_u128(1 << 40);
        let body = challenge.render(id, "v1");
        let keys = keys(&bench.profile, chance);
        let signed = bench.profile.sign(challenge.subject(id), body, &keys, DateTime::UNIX_EPOCH);
        let (status, answer) = bench.post(&signed).await;
        assert_eq!((status, challenge.answer_matches("v1", &answer)), (expected, chance == 1));
        assert!(bench.last().is_challenge);
    }
}

#[tokio::test]
async fn other_methods_are_told_what_this_is() {
    let bench = bench("standard", true, Behaviour::default());
    let request = Request::get("/").body(Body::empty()).expect("a request");
    let response = bench.router.oneshot(request).await.expect("infallible");
    assert_eq!(
        (response.status(), &response.headers()[header::ALLOW]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().expect("a value"))
    );
}
