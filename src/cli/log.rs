//! Where the log goes: to the error stream, readable on a terminal, JSON lines otherwise. In builds with the
//! feature `otel`, traces of the agent's work go to a collector beside it.
//!
//! The agent's log is written by a thread of its own, and what nobody takes in time is lost and counted. A terminal on
//! which somebody has pressed Ctrl-S, a pager, a log driver that hangs: each would otherwise hold up whatever logs, the
//! engine, the operator's commands and the end of the process, for as long as nobody reads.

#[cfg(feature = "otel")]
mod trace;

use std::io::IsTerminal;

use anyhow::Context;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::core::model::bounds;

#[cfg(feature = "otel")]
use trace::Traces;

/// What must be kept while there is something to trace: nothing in this build.
#[cfg(not(feature = "otel"))]
struct Traces;

/// What is kept while the agent runs. When it is dropped, the log's last lines are written, for a second at the most,
/// and the last traces sent.
pub struct AgentLog {
    _traces: Option<Traces>,
    /// Counts the lines that were lost.
    pub lost: ErrorCounter,
    _writer: WorkerGuard,
}

/// The filter as it was written, if it says what is to be logged: a word that is no level would silently be taken for a
/// module's name, and the rest be lost.
pub fn filter(text: &str) -> Result<String, String> {
    let is_level = |word: &str| {
        ["off", "error", "warn", "info", "debug", "trace"].iter().any(|level| word.eq_ignore_ascii_case(level))
    };
    let is_meant = |part: &str| match part.split_once('=') {
        Some((module, level)) => !module.is_empty() && is_level(level),
        None => is_level(part),
    };
    let bad = text.split(',').map(str::trim).find(|part| !is_meant(part));
    match bad {
        None => Ok(text.to_owned()),
        Some(part) => {
            Err(format!("{part:?}: use error, warn, info, debug or trace, also by module: ringback::twilio=debug"))
        }
    }
}

/// Starts logging. `filter` is a level, or levels by module such as `info,ringback::twilio=debug`.
pub fn start(filter: &str) -> anyhow::Result<()> {
    tracing_subscriber::registry().with(log(filter, std::io::stderr)?).init();
    Ok(())
}

/// Starts the agent's logging, and traces if the environment asks for them. To be called before a runtime is entered.
pub fn start_for_agent(filter: &str) -> anyhow::Result<AgentLog> {
    let writer = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(bounds::LOG_LINES);
    let (writer, guard) = writer.thread_name("log").finish(std::io::stderr());
    let lost = writer.error_counter();
    let log = log(filter, writer)?;
    #[cfg(feature = "otel")]
    let (layer, traces) = trace::start()?.unzip();
    #[cfg(not(feature = "otel"))]
    let (layer, traces) = (None::<tracing_subscriber::layer::Identity>, None);
    tracing_subscriber::registry().with(log).with(layer).init();
    Ok(AgentLog { _traces: traces, lost, _writer: guard })
}

fn log<W>(filter: &str, writer: W) -> anyhow::Result<Box<dyn Layer<Registry> + Send + Sync>>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter: Targets = filter
        .split(',')
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(",")
        .parse()
        .with_context(|| format!("--log {filter}: use error, warn, info, debug or trace, also by module"))?;
    // Spans are for traces: a line of the log says all it has to say.
    let filter = filter.and(filter_fn(|metadata| metadata.is_event()));
    let log = fmt::layer().with_writer(writer);
    Ok(if std::io::stderr().is_terminal() {
        log.with_target(false).with_filter(filter).boxed()
    } else {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).with_filter(filter).boxed()
    })
}
