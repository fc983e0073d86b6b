//! A collector of traces, as OpenTelemetry's are spoken to: OTLP over HTTP, in protobuf.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use tidings::telemetry;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// A span as it arrived, ids in hex.
#[derive(Debug, Clone)]
pub struct Span {
    pub service: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub begun: u64,
    pub ended: u64,
    pub failed: bool,
    attributes: Vec<(String, String)>,
}

impl Span {
    pub fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(own, _)| own == name);
        found.map_or_else(|| panic!("no {name} in {self:?}"), |(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct Arrived {
    spans: Mutex<Vec<Span>>,
    keys: Mutex<Vec<String>>,
    raw: Mutex<String>,
    grew: Notify,
}

pub struct Collector {
    pub config: telemetry::Config,
    arrived: Arc<Arrived>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let arrived = Arc::new(Arrived::default());
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&arrived));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = telemetry::Config {
            otlp_endpoint: Some(base.parse().expect("a URL")),
            otlp_headers: vec!["x-api-key = hush".to_owned()],
            ..telemetry::Config::default()
        };
        Self { config, arrived }
    }

    pub fn spans(&self) -> Vec<Span> {
        self.arrived.spans.lock().unwrap().clone()
    }

    /// All that arrived, bytes that are no text left out.
    pub fn text(&self) -> String {
        self.arrived.raw.lock().unwrap().clone()
    }

    /// What every request carried as `x-api-key`.
    pub fn keys(&self) -> Vec<String> {
        self.arrived.keys.lock().unwrap().clone()
    }

    /// The spans of a trace, once one of this name ended in it as often as this; 20 seconds at most.
    pub async fn trace(&self, trace: &str, name: &str, count: usize) -> Vec<Span> {
        let found = async {
            loop {
                let grew = self.arrived.grew.notified();
                let spans: Vec<_> = self.spans().into_iter().filter(|span| span.trace == trace).collect();
                if spans.iter().filter(|span| span.name == name).count() >= count {
                    return spans;
                }
                grew.await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), found).await;
        found.unwrap_or_else(|_| panic!("no {name} of {trace} in {:#?}", self.spans()))
    }
}

async fn take(State(arrived): State<Arc<Arrived>>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let key = headers.get("x-api-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
    arrived.keys.lock().unwrap().push(key.to_owned());
    arrived.raw.lock().unwrap().push_str(&String::from_utf8_lossy(&body));
    let request = ExportTraceServiceRequest::decode(body).expect("an export");
    for resource in request.resource_spans {
        let named = resource.resource.iter().flat_map(|resource| &resource.attributes);
        let service =
            named.filter(|one| one.key == "service.name").map(|one| text(one.value.as_ref())).collect::<String>();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let read = Span {
                service: service.clone(),
                trace: hex::encode(&span.trace_id),
                id: hex::encode(&span.span_id),
                parent: hex::encode(&span.parent_span_id),
                name: span.name,
                begun: span.start_time_unix_nano,
                ended: span.end_time_unix_nano,
                failed: span.status.is_some_and(|status| status.code == 2),
                attributes: span.attributes.into_iter().map(|one| (one.key, text(one.value.as_ref()))).collect(),
            };
            arrived.spans.lock().unwrap().push(read);
        }
    }
    arrived.grew.notify_waiters();
}

fn text(value: Option<&opentelemetry_proto::tonic::common::v1::AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
