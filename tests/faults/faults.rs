//! The faults: what is broken, for how long, and what is then to be expected.

use std::collections::HashMap;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rustix::process::Signal;
use serde_json::json;
use tidings::domain::lease::MOST_LAPSES;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::fleet::{LEASE, SIZE};
use super::ground::Ground;
use super::ledger::{Ledger, Window};
use super::producers::{Desk, call};
use super::proxy::Mode;
use super::records::{event_name, event_of};
use super::wire::Kind;

/// Something that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: then nothing at all may be sent twice.
    Nothing,
    /// kill -9 of so many processes.
    Kill(usize),
    /// SIGSTOP for longer than the lease, then SIGCONT.
    Stop,
    /// SIGTERM to one process.
    Term,
    /// SIGTERM to one process after the other, each replaced.
    Rolling,
    /// Postgres ends at once and is started again.
    Restart,
    /// A connection or several are ended by Postgres.
    Backends,
    /// A commit takes effect, and its answer is lost.
    Lost(Kind),
    /// Every connection to Postgres is cut, and none let in for a moment.
    Cut,
    /// Nothing passes to and from Postgres for a while.
    Hole(Wake),
    /// The same for one process, for longer than its lease, while its receivers are there.
    CutOff(Wake),
    DiskFull,
    /// The wall clock of a process is a day wrong.
    Clock(i32),
    /// An event that kills whoever is about to send it.
    Poison,
    /// A process dies at this place, the first time or a later one.
    Point {
        place: &'static str,
        latest: u32,
    },
}

/// How silence ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// What was held back goes on its way.
    Resumes,
    /// The connections are cut.
    Cut,
    /// The old connections stay silent for ever, new ones are good.
    Forgotten,
}

const fn point(place: &'static str) -> Fault {
    Fault::Point { place, latest: 1 }
}

const fn busy_point(place: &'static str) -> Fault {
    Fault::Point { place, latest: 30 }
}

/// Each with its name. Seed after seed goes through them.
pub const ALL: [(&str, Fault); 39] = [
    ("nothing", Fault::Nothing),
    ("kill", Fault::Kill(1)),
    ("term", Fault::Term),
    ("restart", Fault::Restart),
    ("lost-accept", Fault::Lost(Kind::Accept)),
    ("at-accept.committed", busy_point("accept.committed")),
    ("stop", Fault::Stop),
    ("rolling", Fault::Rolling),
    ("backends", Fault::Backends),
    ("at-accept.handed_over", busy_point("accept.handed_over")),
    ("hole-resumes", Fault::Hole(Wake::Resumes)),
    ("clock-ahead", Fault::Clock(1)),
    ("lost-settle", Fault::Lost(Kind::Settle)),
    ("at-accept.stored", point("accept.stored")),
    ("cut-off-resumes", Fault::CutOff(Wake::Resumes)),
    ("kill-two", Fault::Kill(2)),
    ("cut", Fault::Cut),
    ("at-claim.claimed", point("claim.claimed")),
    ("disk-full", Fault::DiskFull),
    ("at-send.before", busy_point("send.before")),
    ("lost-claim", Fault::Lost(Kind::Claim)),
    ("hole-cut", Fault::Hole(Wake::Cut)),
    ("at-send.answered", busy_point("send.answered")),
    ("clock-behind", Fault::Clock(-1)),
    ("at-settle.before", busy_point("settle.before")),
    ("lost-commit", Fault::Lost(Kind::Commit)),
    ("at-settle.after", busy_point("settle.after")),
    ("cut-off-cut", Fault::CutOff(Wake::Cut)),
    ("at-bury.before", point("settle.before 1 dead")),
    ("hole-forgotten", Fault::Hole(Wake::Forgotten)),
    ("at-bury.after", point("settle.after 1 dead")),
    ("at-resend.made", point("resend.made")),
    ("cut-off-forgotten", Fault::CutOff(Wake::Forgotten)),
    ("at-resend.committed", point("resend.committed")),
    ("at-replay.resent", point("replay.resent")),
    ("poison", Fault::Poison),
    ("at-replay.committed", point("replay.committed")),
    ("at-drain.given_back", point("drain.given_back")),
    ("at-drain.settled", point("drain.settled")),
];

/// What breaking it amounted to.
#[derive(Debug, Default)]
pub struct Effect {
    pub windows: Vec<Window>,
    /// When Postgres was back.
    pub restored: Option<Instant>,
    /// Why it did not come to pass.
    pub missed: Option<&'static str>,
    pub resent: HashMap<(String, Uuid), usize>,
    pub replayed: Option<(Uuid, u64)>,
    /// When nobody could see the database.
    pub blind: Option<Window>,
}

impl Effect {
    fn missed(why: &'static str) -> Self {
        Self { missed: Some(why), ..Self::default() }
    }

    fn window(from: Instant, to: Instant) -> Self {
        Self { windows: vec![Window { from, to }], ..Self::default() }
    }

    fn outage(from: Instant, restored: Instant) -> Self {
        // Whoever lost its lease meanwhile learns of it with its next look.
        Self { restored: Some(restored), ..Self::window(from, restored + MOMENT) }
    }
}

/// For what is still in a socket.
const MOMENT: Duration = Duration::from_millis(500);
/// How long a fail point is waited for.
const PASSES_WITHIN: Duration = Duration::from_secs(3);

const LEASE_TIME: Duration = Duration::from_secs(LEASE);

fn some(chance: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(chance.random_range(least..most))
}

impl Fault {
    /// Whether it needs what was delivered, and not what is on its way.
    pub fn comes_after_load(self) -> bool {
        matches!(self, Self::Point { place, .. } if place.starts_with("replay."))
    }

    /// Breaks it and puts it right.
    pub async fn strike(self, ground: &mut Ground, desk: &Desk, chance: &mut StdRng) -> Effect {
        let slot = chance.random_range(0..SIZE);
        match self {
            Self::Nothing => {
                sleep(some(chance, 100, 400)).await;
                Effect::default()
            }
            Self::Kill(count) => kill(ground, slot, count).await,
            Self::Stop => stop(ground, slot, some(chance, 300, 1_200)).await,
            Self::Term => {
                replace(ground, slot, &desk.ledger).await;
                Effect::default()
            }
            Self::Rolling => {
                for slot in 0..SIZE {
                    replace(ground, slot, &desk.ledger).await;
                }
                Effect::default()
            }
            Self::Restart => {
                let from = Instant::now();
                ground.postgres.crash().await;
                sleep(some(chance, 0, 500)).await;
                ground.bring_back().await;
                Effect::outage(from, Instant::now())
            }
            Self::Backends => end_backends(ground, chance).await,
            Self::Lost(kind) => lose(ground, slot, kind).await,
            Self::Cut => cut(ground, chance).await,
            Self::Hole(wake) => silence(ground, wake, some(chance, 500, 3_000)).await,
            Self::CutOff(wake) => cut_off(ground, slot, wake, some(chance, 300, 1_500)).await,
            Self::DiskFull if !ground.may_fill_disk => {
                Effect::missed("no file system of its own: not root, or no unshare")
            }
            Self::DiskFull => {
                let from = Instant::now();
                ground.postgres.fill_disk();
                sleep(some(chance, 500, 1_500)).await;
                ground.postgres.free_disk();
                ground.bring_back().await;
                Effect::outage(from, Instant::now())
            }
            Self::Clock(_) if !ground.fleet.has_clocks() => Effect::missed("libfaketime is not installed"),
            Self::Clock(days) => {
                ground.fleet.set_clock(slot, days);
                // libfaketime looks once a second.
                sleep(Duration::from_millis(1_300)).await;
                ground.fleet.set_clock(slot, 0);
                Effect::default()
            }
            Self::Poison => poison(ground, desk, chance).await,
            Self::Point { place, .. } if place.starts_with("resend.") => resend_at(ground, desk, slot, place).await,
            Self::Point { place, .. } if place.starts_with("replay.") => replay_at(ground, desk, slot, place).await,
            Self::Point { place, latest } => {
                let count = chance.random_range(1..=latest);
                // Such as bear a mark have their count with them.
                ground.fleet.order(slot, &if latest > 1 { format!("{place} {count}") } else { place.into() });
                if place.starts_with("drain.") {
                    ground.fleet.signal(slot, Signal::TERM);
                }
                falls(ground, slot).await
            }
        }
    }
}

impl Wake {
    fn end(self, proxy: &super::proxy::Proxy) {
        match self {
            Self::Resumes => {}
            Self::Cut => proxy.cut(),
            Self::Forgotten => proxy.forget(),
        }
        proxy.set(Mode::Open);
    }
}

async fn end_backends(ground: &Ground, chance: &mut StdRng) -> Effect {
    let count = chance.random_range(1..4);
    for _ in 0..count {
        ground.postgres.kill_backend(chance.random()).await;
        sleep(some(chance, 0, 60)).await;
    }
    Effect::default()
}

async fn cut(ground: &Ground, chance: &mut StdRng) -> Effect {
    ground.each_proxy(|proxy| proxy.set(Mode::Shut));
    sleep(some(chance, 0, 300)).await;
    ground.each_proxy(|proxy| proxy.set(Mode::Open));
    Effect { restored: Some(Instant::now()), ..Effect::default() }
}

/// For so much longer than the lease.
async fn stop(ground: &Ground, slot: usize, beyond: Duration) -> Effect {
    let from = Instant::now();
    ground.fleet.signal(slot, Signal::STOP);
    sleep(LEASE_TIME + beyond).await;
    ground.fleet.signal(slot, Signal::CONT);
    Effect::window(from, Instant::now() + MOMENT)
}

async fn cut_off(ground: &Ground, slot: usize, wake: Wake, beyond: Duration) -> Effect {
    let from = Instant::now();
    ground.fleet.slots[slot].proxy.set(Mode::Hole);
    sleep(LEASE_TIME + beyond).await;
    wake.end(&ground.fleet.slots[slot].proxy);
    Effect::window(from, Instant::now() + MOMENT)
}

async fn silence(ground: &Ground, wake: Wake, length: Duration) -> Effect {
    let from = Instant::now();
    ground.each_proxy(|proxy| proxy.set(Mode::Hole));
    sleep(length).await;
    ground.each_proxy(|proxy| wake.end(proxy));
    let to = Instant::now();
    Effect { blind: Some(Window { from, to }), ..Effect::outage(from, to) }
}

async fn kill(ground: &mut Ground, slot: usize, count: usize) -> Effect {
    let from = Instant::now();
    for next in 0..count {
        ground.fleet.signal((slot + next) % SIZE, Signal::KILL);
    }
    for next in 0..count {
        ground.fleet.dies((slot + next) % SIZE).await;
    }
    let to = Instant::now() + MOMENT;
    for next in 0..count {
        ground.launch((slot + next) % SIZE).await;
    }
    Effect::window(from, to)
}

/// Ends a process in order and starts the next.
async fn replace(ground: &mut Ground, slot: usize, ledger: &Ledger) {
    let ended = ground.fleet.end(slot, Signal::TERM).await;
    if ended.code != Some(0) || !ended.text.ends_with("stopped") {
        ledger.complain(format!("SIGTERM ended a process with {:?}: {}", ended.code, ended.text));
    }
    ground.launch(slot).await;
}

async fn lose(ground: &Ground, slot: usize, kind: Kind) -> Effect {
    let proxy = &ground.fleet.slots[slot].proxy;
    let before = proxy.lost();
    proxy.lose(Some(kind));
    let lost = async {
        while proxy.lost() == before {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let happened = timeout(PASSES_WITHIN, lost).await;
    proxy.lose(None);
    if happened.is_err() {
        return Effect::missed("no such statement came by");
    }
    Effect::default()
}

/// Waits for a process to die of its order, and replaces it.
async fn falls(ground: &mut Ground, slot: usize) -> Effect {
    let deadline = Instant::now() + PASSES_WITHIN;
    while !ground.fleet.is_dead(slot) {
        if Instant::now() > deadline {
            ground.fleet.pardon();
            return Effect::missed("nobody came by");
        }
        sleep(Duration::from_millis(5)).await;
    }
    // It died since the look before.
    let from = Instant::now() - Duration::from_millis(50);
    ground.fleet.pardon();
    ground.fleet.dies(slot).await;
    let to = Instant::now() + MOMENT;
    ground.launch(slot).await;
    Effect::window(from, to)
}

/// Resends a delivery, the first time through a process that dies of it.
async fn resend_at(ground: &mut Ground, desk: &Desk, slot: usize, place: &str) -> Effect {
    let Some((event, delivery, webhook)) = some_delivered(ground, desk).await else {
        return Effect::missed("nothing was delivered in time");
    };
    let key = desk.tenants[webhook.0].key.clone();
    let path = format!("/v1/deliveries/{delivery}/resend");
    ground.fleet.order(slot, place);
    let cut = call(&desk.client, ground.fleet.address(slot), &path, &key, &json!({})).await;
    if let Some(answer) = cut {
        desk.ledger.complain(format!("a process that should have died of a resend answered {answer:?}"));
    }
    let mut effect = falls(ground, slot).await;
    effect.resent.insert((event, webhook.1), 1);
    // What was committed is not asked for again: later, that would be another resend.
    if place == "resend.made" {
        resend_after_all(ground, desk, slot + 1, &path, &key).await;
    }
    effect
}

async fn resend_after_all(ground: &Ground, desk: &Desk, slot: usize, path: &str, key: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let answer = call(&desk.client, ground.fleet.address(slot % SIZE), path, key, &json!({})).await;
        if matches!(answer, Some((200..=202, _))) {
            return;
        }
        if Instant::now() > deadline {
            desk.ledger.complain(format!("a delivery could not be resent: {answer:?}"));
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// An event of this cycle that was delivered to the first webhook of its tenant, with the delivery's id.
async fn some_delivered(ground: &Ground, desk: &Desk) -> Option<(String, String, (usize, Uuid))> {
    let webhook = &ground.webhooks[0];
    let deadline = Instant::now() + PASSES_WITHIN;
    while Instant::now() < deadline {
        let statement = "SELECT a.delivery_id FROM tidings.attempts AS a JOIN tidings.events AS e
                             ON e.tenant_id = a.tenant_id AND e.id = tidings.event_of(a.delivery_id)
                         WHERE a.verdict = 'delivered' AND a.webhook_id = $1 AND e.type = $2 ORDER BY a.delivery_id DESC LIMIT 1";
        let found: Option<Uuid> = sqlx::query_scalar(statement)
            .bind(webhook.uuid)
            .bind(&desk.event_type)
            .fetch_optional(&ground.postgres.pool)
            .await
            .expect("a delivery");
        if let Some(id) = found {
            let name = ulid::Ulid(id.as_u128()).to_string().to_lowercase();
            let event = event_name(event_of(id));
            return Some((event, format!("dlv_{name}"), (webhook.tenant, webhook.uuid)));
        }
        sleep(Duration::from_millis(50)).await;
    }
    None
}

/// Replays what the first webhook got in this cycle, slowly, through processes of which one dies of it.
async fn replay_at(ground: &mut Ground, desk: &Desk, slot: usize, place: &str) -> Effect {
    let webhook = ground.webhooks[0].clone();
    let key = desk.tenants[webhook.tenant].key.clone();
    ground.fleet.order(slot, place);
    let body = json!({"source": "deliveries", "filter": {"webhook_id": webhook.id, "event": desk.event_type}, "rate_per_second": 40});
    let made = call(&desk.client, ground.fleet.address((slot + 1) % SIZE), "/v1/replays", &key, &body).await;
    let Some((201, made)) = made else {
        desk.ledger.complain(format!("a replay could not be made: {made:?}"));
        return Effect::default();
    };
    let mut effect = falls(ground, slot).await;
    let path = format!(
        "http://{}/v1/replays/{}",
        ground.fleet.address((slot + 1) % SIZE),
        made["id"].as_str().expect("an id")
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = desk.client.get(&path).bearer_auth(&key).send().await;
        let text = match answer {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        let replay: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if replay["state"] == "completed" {
            effect.replayed = replay["progress"]["resent"].as_u64().map(|resent| (webhook.uuid, resent));
            let (resent, total) = (&replay["progress"]["resent"], &replay["progress"]["total"]);
            if resent != total {
                desk.ledger.complain(format!("a replay lost its place: {replay}"));
            }
            return effect;
        }
        if Instant::now() > deadline {
            desk.ledger.complain(format!("a replay does not end: {text}"));
            return effect;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Reports an event that kills whoever is about to send it, and replaces the dead until it is given up.
async fn poison(ground: &mut Ground, desk: &Desk, chance: &mut StdRng) -> Effect {
    let event_type = desk.event_type.replace("cycle.", "poison.");
    for slot in 0..SIZE {
        ground.fleet.order(slot, &format!("send.before 1 {event_type}"));
    }
    let (mut effect, mut deaths) = (Effect::default(), 0);
    let address = ground.fleet.address(chance.random_range(0..SIZE));
    let body = json!({"type": event_type, "data": {}, "idempotency_key": event_type});
    let _lost_or_not =
        call(&desk.client, address, "/v1/events", &desk.tenants[ground.poisoned.tenant].key, &body).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        for slot in 0..SIZE {
            if ground.fleet.is_dead(slot) {
                let from = Instant::now() - Duration::from_millis(50);
                ground.fleet.dies(slot).await;
                effect.windows.push(Window { from, to: Instant::now() + MOMENT });
                deaths += 1;
                ground.launch(slot).await;
            }
        }
        let dead: Vec<(String, i16)> =
            sqlx::query_as("SELECT reason::text, attempts FROM tidings.dead_letters WHERE webhook_id = $1 AND died_at > now() - interval '1 minute'
                              AND tidings.event_of(id) IN (SELECT id FROM tidings.events WHERE type = $2)")
                .bind(ground.poisoned.uuid)
                .bind(&event_type)
                .fetch_all(&ground.postgres.pool)
                .await
                .expect("dead letters");
        if let [(reason, attempts)] = &dead[..] {
            // What was never answered is no attempt.
            if reason != "attempts_exhausted" || *attempts != 0 {
                desk.ledger.complain(format!("the poisonous event was given up as {reason} after {attempts} attempts"));
            }
            break;
        }
        if Instant::now() > deadline || dead.len() > 1 {
            desk.ledger.complain(format!("the poisonous event is not given up once, after {deaths} deaths: {dead:?}"));
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    ground.fleet.pardon();
    if !(1..=MOST_LAPSES).contains(&deaths) {
        desk.ledger.complain(format!("the poisonous event killed {deaths} processes"));
    }
    effect
}
