//! Where the log goes: to the error stream, readable on a terminal, JSON lines otherwise.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Starts logging. `filter` is a level, or levels by module such as `info,ringback::twilio=debug`.
pub fn start(filter: &str) -> anyhow::Result<()> {
    let filter: EnvFilter = EnvFilter::builder()
        .parse(filter)
        .with_context(|| format!("--log {filter}: use error, warn, info, debug or trace, also by module"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.with_target(false).init();
    } else {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    }
    Ok(())
}
