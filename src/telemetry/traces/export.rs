//! The way out for spans: many in one request to a collector, as OTLP over HTTP.
//!
//! A collector that is away costs spans, never deliveries: they wait in a bounded queue, and what does not fit is dropped and
//! counted.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::super::Config;
use super::super::meters::Meters;

/// Spans in one request.
const BATCH: usize = 512;
/// Spans gather for this long, so that a quiet service does not make a request for each.
const GATHER: Duration = Duration::from_millis(500);
/// A collector has this long to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Where a collector takes traces, under its base address.
const PATH: &str = "/v1/traces";

/// Why spans cannot be exported at all.
#[derive(Debug, thiserror::Error)]
#[error("`telemetry.otlp_endpoint`: traces cannot be exported: {0}")]
pub struct ExportError(String);

/// Exports what a tracer makes.
pub(in crate::telemetry) struct Export {
    exporter: SpanExporter,
    spans: Receiver<SpanData>,
    meters: Meters,
}

impl Export {
    pub(super) fn to(
        endpoint: &Url,
        config: &Config,
        spans: Receiver<SpanData>,
        meters: Meters,
    ) -> Result<Self, ExportError> {
        let mut endpoint = endpoint.clone();
        if endpoint.path() == "/" {
            endpoint.set_path(PATH);
        }
        // A process has one default provider of TLS; whoever came first has set one that serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let headers = config.headers().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_headers(headers.collect::<HashMap<_, _>>())
            .with_timeout(TIMEOUT)
            .build();
        let mut exporter = exporter.map_err(|error| ExportError(error.to_string()))?;
        exporter.set_resource(&Resource::builder().with_service_name("tidings").build());
        Ok(Self { exporter, spans, meters })
    }

    /// Exports until told to end, and then what is left.
    pub(in crate::telemetry) async fn run(mut self, end: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let received = end.run_until_cancelled(self.spans.recv_many(&mut batch, BATCH)).await;
            if received.is_none() {
                while let Ok(span) = self.spans.try_recv() {
                    batch.push(span);
                }
            }
            if received.is_some_and(|received| received > 0) && batch.len() < BATCH {
                end.run_until_cancelled(tokio::time::sleep(GATHER)).await;
                while batch.len() < BATCH
                    && let Ok(span) = self.spans.try_recv()
                {
                    batch.push(span);
                }
            }
            if !batch.is_empty() {
                self.send(std::mem::take(&mut batch)).await;
            }
            if received.is_none_or(|received| received == 0) {
                return;
            }
        }
    }

    async fn send(&self, batch: Vec<SpanData>) {
        let count = batch.len();
        match self.exporter.export(batch).await {
            Ok(()) => self.meters.traces.exported(count),
            Err(error) => {
                self.meters.traces.dropped(count);
                tracing::warn!(error = &error as &dyn std::error::Error, spans = count, "traces cannot be exported");
            }
        }
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").finish_non_exhaustive()
    }
}
