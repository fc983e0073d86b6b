//! A receiver that keeps what it gets and answers as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub at: Instant,
    /// The sender's end of the connection.
    pub from: SocketAddr,
    /// Other requests that were under way when it arrived.
    pub alongside: usize,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a visible header"))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16),
    With(u16, Vec<(&'static str, String)>, String),
    After(Duration, u16),
    /// Answers once the test adds a permit.
    Gate(Arc<Semaphore>, u16),
    Hang,
    /// `LimAI`'s handshake: the challenge back in JSON.
    Challenge,
    /// The same, the value by itself.
    ChallengeBare,
}

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    state: Arc<Shared>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    next: Mutex<VecDeque<Reply>>,
    usual: Mutex<Reply>,
    arrived: Notify,
    under_way: AtomicUsize,
}

/// A request under way; it ends with its answer, or when its sender hangs up.
struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let state = Arc::new(Shared {
            received: Mutex::default(),
            next: Mutex::default(),
            usual: Mutex::new(Reply::Status(204)),
            arrived: Notify::new(),
            under_way: AtomicUsize::new(0),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { url, state }
    }

    /// Answers so from now on.
    pub fn always(&self, reply: Reply) {
        *self.state.usual.lock().unwrap() = reply;
    }

    /// Answers so once, in the order of the calls, before going back to the usual.
    pub fn then(&self, reply: Reply) -> &Self {
        self.state.next.lock().unwrap().push_back(reply);
        self
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.state.received.lock().unwrap().len()
    }

    /// Waits until this many requests have arrived, 10 seconds at most.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let arrived = async {
            loop {
                let notified = self.state.arrived.notified();
                if self.count() >= count {
                    return;
                }
                notified.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), arrived).await;
        assert!(waited.is_ok(), "{} of {count} requests arrived", self.count());
        self.received()
    }

    /// The one request that arrived.
    pub fn only(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "one request");
        received.into_iter().next().expect("one request")
    }
}

async fn answer(
    State(state): State<Arc<Shared>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let alongside = state.under_way.fetch_add(1, Ordering::AcqRel);
    let _under_way = UnderWay(Arc::clone(&state));
    let challenge = || {
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        body["challenge"].as_str().unwrap_or_default().to_owned()
    };
    let reply = state.next.lock().unwrap().pop_front().unwrap_or_else(|| state.usual.lock().unwrap().clone());
    let answered = match reply {
        Reply::Challenge => axum::Json(serde_json::json!({"challenge": challenge()})).into_response(),
        Reply::ChallengeBare => challenge().into_response(),
        _ => ().into_response(),
    };
    let received = Received { path: uri.path().to_owned(), headers, body, at: Instant::now(), from, alongside };
    state.received.lock().unwrap().push(received);
    state.arrived.notify_waiters();
    let status = |status| StatusCode::from_u16(status).expect("a status");
    match reply {
        Reply::Status(code) => status(code).into_response(),
        Reply::With(code, headers, body) => {
            let mut response = (status(code), body).into_response();
            for (name, value) in headers {
                let value = HeaderValue::from_str(&value).expect("a header value");
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
            response
        }
        Reply::After(pause, code) => {
            tokio::time::sleep(pause).await;
            status(code).into_response()
        }
        Reply::Gate(gate, code) => {
            gate.acquire().await.expect("an open gate").forget();
            status(code).into_response()
        }
        Reply::Hang => std::future::pending().await,
        Reply::Challenge | Reply::ChallengeBare => answered,
    }
}
