//! Traces of our own work by OpenTelemetry: polls, requests to Twilio, orders and their writes.
//!
//! Off unless the build has the feature `otel` and the environment names a collector, by the variables of
//! OpenTelemetry's own specification: `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`), OTLP over HTTP
//! with protobuf. Spans are sent in the background, in batches; a collector that does not answer loses its
//! spans and delays nothing. They hold names of endpoints and sources, our own numbers and decisions, and
//! nothing of callers.

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// Sends what is left when it is dropped.
pub struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces are not delivered");
        }
    }
}

/// The layer that makes traces of spans; none if no collector is named.
pub fn start<S>() -> anyhow::Result<Option<(impl Layer<S>, Traces)>>
where
    S: tracing::Subscriber + for<'s> LookupSpan<'s>,
{
    let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].into_iter().any(named) {
        return Ok(None);
    }
    // Whoever is here first installs it; the client to Twilio uses the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder().with_http().build()?;
    let resource = Resource::builder().with_service_name(env!("CARGO_PKG_NAME")).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer: Tracer = provider.tracer(env!("CARGO_PKG_NAME"));
    // Our own spans, and not those of the exporter's own requests.
    let ours = filter_fn(|metadata| {
        metadata.is_span()
            && metadata.target().starts_with(env!("CARGO_PKG_NAME"))
            && *metadata.level() <= LevelFilter::INFO
    });
    Ok(Some((tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours), Traces(provider))))
}
