//! Receivers of our own: each path is one of them, with a temper of its own. All that arrives is written down.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    /// Answers 200 at once.
    Steady,
    /// Refuses some events once or twice first.
    Moody,
    /// Answers 503 half of the time, in turns of a tenth of a second.
    Flapping,
    /// Takes a while, sometimes long.
    Slow,
    /// Never takes anything.
    Hostile,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub receiver: usize,
    pub event: String,
    pub at: Instant,
    /// When it was answered and with what; `None` where the sender was gone before.
    pub answered: Option<(Instant, u16)>,
    pub digest: u64,
    pub body: Bytes,
}

#[derive(Debug, Default)]
struct Book {
    arrivals: Mutex<Vec<Arrival>>,
    tempers: Mutex<Vec<Temper>>,
}

#[derive(Debug, Clone)]
pub struct Receivers {
    port: u16,
    book: Arc<Book>,
}

impl Receivers {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let book = Arc::<Book>::default();
        let router = Router::new().route("/{receiver}", post(answer)).with_state(Arc::clone(&book));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, book }
    }

    /// One more of this temper: its number and its URL.
    pub fn add(&self, temper: Temper) -> (usize, String) {
        let mut tempers = self.book.tempers.lock().unwrap();
        tempers.push(temper);
        let number = tempers.len() - 1;
        (number, format!("http://127.0.0.1:{}/{number}", self.port))
    }

    pub fn temper(&self, receiver: usize) -> Temper {
        self.book.tempers.lock().unwrap()[receiver]
    }

    /// The first arrival after a moment.
    pub fn first_after(&self, moment: Instant) -> Option<Instant> {
        self.book.arrivals.lock().unwrap().iter().map(|one| one.at).find(|at| *at > moment)
    }

    /// All that arrived, as far as it is answered.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.book.arrivals.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.book.arrivals.lock().unwrap().clear();
    }
}

async fn answer(
    State(book): State<Arc<Book>>,
    Path(receiver): Path<usize>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let at = Instant::now();
    let event = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let (digest, number) = (digest(&body), digest(&(&event, receiver)));
    let temper = book.tempers.lock().unwrap().get(receiver).copied().unwrap_or(Temper::Steady);
    let (place, earlier) = {
        let mut arrivals = book.arrivals.lock().unwrap();
        let same = |one: &&Arrival| one.receiver == receiver && one.event == event;
        let earlier = if temper == Temper::Moody { arrivals.iter().filter(same).count() } else { 0 };
        arrivals.push(Arrival { receiver, event: event.clone(), at, answered: None, digest, body });
        (arrivals.len() - 1, earlier)
    };
    let status = match temper {
        Temper::Steady => 200,
        Temper::Moody if number % 4 == 0 && earlier < 1 + usize::from(number % 8 == 0) => 500,
        Temper::Moody => 204,
        Temper::Flapping if at.elapsed_since_epoch() % 200 < 100 => 503,
        Temper::Flapping => 202,
        Temper::Slow => {
            sleep(Duration::from_millis(if number % 16 == 0 { 300 + number % 200 } else { 2 + number % 40 })).await;
            200
        }
        Temper::Hostile => 500,
    };
    if let Some(own) = book.arrivals.lock().unwrap().get_mut(place).filter(|own| own.at == at) {
        own.answered = Some((Instant::now(), status));
    }
    StatusCode::from_u16(status).expect("a status")
}

fn digest(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Milliseconds by the receivers' own watch.
trait Watch {
    fn elapsed_since_epoch(&self) -> u128;
}

impl Watch for Instant {
    fn elapsed_since_epoch(&self) -> u128 {
        static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        self.saturating_duration_since(*EPOCH).as_millis()
    }
}
