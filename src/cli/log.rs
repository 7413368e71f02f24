//! Where the log goes: to the error stream, readable on a terminal, JSON lines otherwise. In builds with the
//! feature `otel`, traces of the agent's work go to a collector beside it.

#[cfg(feature = "otel")]
mod trace;

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

#[cfg(feature = "otel")]
pub use trace::Traces;

/// What must be kept while there is something to trace: nothing in this build.
#[cfg(not(feature = "otel"))]
pub struct Traces;

/// Starts logging. `filter` is a level, or levels by module such as `info,ringback::twilio=debug`.
pub fn start(filter: &str) -> anyhow::Result<()> {
    tracing_subscriber::registry().with(log(filter)?).init();
    Ok(())
}

/// Starts logging, and traces if the environment asks for them. To be called before a runtime is entered.
pub fn start_with_traces(filter: &str) -> anyhow::Result<Option<Traces>> {
    let log = log(filter)?;
    #[cfg(feature = "otel")]
    let (layer, traces) = trace::start()?.unzip();
    #[cfg(not(feature = "otel"))]
    let (layer, traces) = (None::<tracing_subscriber::layer::Identity>, None);
    tracing_subscriber::registry().with(log).with(layer).init();
    Ok(traces)
}

fn log(filter: &str) -> anyhow::Result<Box<dyn Layer<Registry> + Send + Sync>> {
    let filter: EnvFilter = EnvFilter::builder()
        .parse(filter)
        .with_context(|| format!("--log {filter}: use error, warn, info, debug or trace, also by module"))?;
    // Spans are for traces: a line of the log says all it has to say.
    let filter = filter.and(filter_fn(|metadata| metadata.is_event()));
    let log = fmt::layer().with_writer(std::io::stderr);
    Ok(if std::io::stderr().is_terminal() {
        log.with_target(false).with_filter(filter).boxed()
    } else {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).with_filter(filter).boxed()
    })
}
