//! Traces: where the time of one event went, from its producer's request to its receiver's answer.
//!
//! ```text
//!  POST /v1/events ── accept ── attempt ┬ wait
//!                                       ├ send ─→ `traceparent` to the receiver
//!                                       └ settle
//! ```
//! A span is made only where a trace is recorded: with tracing off, or for an event that nobody traces, the cost is one look at
//! an `Option`. There is no current span and no global: who begins a span holds it and ends it.

mod export;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, SpanId, TraceId, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tokio::sync::mpsc;

use super::Config;
use super::meters::Meters;
use crate::domain::trace::TraceParent;

pub(super) use export::Export;
pub use export::ExportError;

/// Spans that wait to be exported; more are dropped, and counted.
const QUEUE: usize = 8 * 1024;

/// Makes spans, if traces are recorded at all. Clones share the way out.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Recorder>>);

struct Recorder {
    queue: mpsc::Sender<SpanData>,
    scope: InstrumentationScope,
    ratio: f64,
    meters: Meters,
}

/// What a span is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request to Tidings.
    Server,
    /// A request by Tidings.
    Client,
    /// What happens within.
    Internal,
}

/// A piece of work that is recorded, from its beginning to [`Span::end`].
pub struct Span {
    recorder: Arc<Recorder>,
    place: TraceParent,
    parent: Option<TraceParent>,
    is_remote: bool,
    name: String,
    kind: Kind,
    begun: DateTime<Utc>,
    attributes: Vec<KeyValue>,
    error: Option<String>,
}

impl Tracer {
    /// A tracer as configured, and what exports its spans.
    pub(super) fn new(config: &Config, meters: &Meters) -> Result<(Self, Option<Export>), ExportError> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok((Self::default(), None)) };
        let (queue, spans) = mpsc::channel(QUEUE);
        let export = Export::to(endpoint, config, spans, meters.clone())?;
        let scope = InstrumentationScope::builder("tidings").with_version(env!("CARGO_PKG_VERSION")).build();
        let recorder = Recorder { queue, scope, ratio: config.sampling_ratio, meters: meters.clone() };
        Ok((Self(Some(Arc::new(recorder))), Some(export)))
    }

    /// Begins the first span in this process. The caller's decision counts where it made one, else the configured share.
    #[must_use]
    pub fn first(
        &self,
        name: impl FnOnce() -> String,
        kind: Kind,
        caller: Option<TraceParent>,
        at: DateTime<Utc>,
    ) -> Option<Span> {
        let recorder = self.0.as_ref()?;
        let sampled = caller.map_or_else(|| rand::random::<f64>() < recorder.ratio, TraceParent::is_sampled);
        sampled.then(|| Span::new(Arc::clone(recorder), name(), kind, caller, true, at))
    }

    /// Begins a span that goes on where another ended, in this process or in one before; `None` where the trace is not recorded.
    #[must_use]
    pub fn next(&self, name: &'static str, kind: Kind, before: Option<TraceParent>, at: DateTime<Utc>) -> Option<Span> {
        let (recorder, before) = (self.0.as_ref()?, before.filter(|before| before.is_sampled())?);
        Some(Span::new(Arc::clone(recorder), name.to_owned(), kind, Some(before), true, at))
    }
}

impl Span {
    fn new(
        recorder: Arc<Recorder>,
        name: String,
        kind: Kind,
        parent: Option<TraceParent>,
        is_remote: bool,
        begun: DateTime<Utc>,
    ) -> Self {
        // Zero, which would be no id, comes up as often as any other number.
        let trace_id = parent.map_or_else(|| rand::random::<u128>().max(1), |parent| parent.trace_id);
        let place = TraceParent { trace_id, span_id: rand::random::<u64>().max(1), flags: 1 };
        Self { recorder, place, parent, is_remote, name, kind, begun, attributes: Vec::new(), error: None }
    }

    /// A part of this one.
    #[must_use]
    pub fn part(&self, name: &'static str, kind: Kind, at: DateTime<Utc>) -> Self {
        Self::new(Arc::clone(&self.recorder), name.to_owned(), kind, Some(self.place), false, at)
    }

    /// Its place in the trace: what goes on from here names it.
    #[must_use]
    pub const fn place(&self) -> TraceParent {
        self.place
    }

    /// Notes something about it.
    pub fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(name, value));
    }

    /// It did not do what it should.
    pub fn fail(&mut self, why: &str) {
        self.error = Some(why.to_owned());
    }

    /// Ends it, and hands it over to be exported.
    pub fn end(self, at: DateTime<Utc>) {
        let Self { recorder, place, parent, is_remote, name, kind, begun, attributes, error } = self;
        let data = SpanData {
            span_context: SpanContext::new(
                TraceId::from(place.trace_id),
                SpanId::from(place.span_id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.span_id)),
            parent_span_is_remote: is_remote && parent.is_some(),
            span_kind: match kind {
                Kind::Server => SpanKind::Server,
                Kind::Client => SpanKind::Client,
                Kind::Internal => SpanKind::Internal,
            },
            name: name.into(),
            start_time: SystemTime::from(begun),
            end_time: SystemTime::from(at.max(begun)),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: error.map_or(Status::Unset, Status::error),
            instrumentation_scope: recorder.scope.clone(),
        };
        if recorder.queue.try_send(data).is_err() {
            recorder.meters.traces.dropped(1);
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracer").field(&self.0.is_some()).finish()
    }
}
