//! A sign of life for a dead-man service: the address is asked for while all is well, and only then.
//!
//! The service pages when the signs stop, so every way in which the agent can be of no use stops them:
//! a source that is needed is stale, the journal cannot be written, the engine no longer ticks, the process is gone. A
//! ping that fails is counted and logged, but not retried: the next one comes soon.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::agent::control::write_guard::WriteGuard;
use crate::agent::publish::status::Status;
use crate::clock::Clock;
use crate::core::model::time::Time;
use crate::metrics::Metrics;
use crate::notify::{Heartbeat, Sender};

/// The name of the heartbeat among the notifiers, in metrics.
pub const NAME: &str = "heartbeat";

/// An engine that has not ticked for so long is stuck: it ticks every second.
const TICKS_WITHIN: Duration = Duration::from_secs(15);

/// For one ping.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no sign of life; `None` if all is well.
fn trouble(status: &Status, cannot_write: Option<&str>, now: Time) -> Option<String> {
    if status.at + TICKS_WITHIN < now {
        return Some(format!("the engine has not ticked since {}", status.at));
    }
    if let Some(why) = cannot_write {
        return Some(why.to_owned());
    }
    let cannot_read = status.cannot_read();
    (!cannot_read.is_empty()).then(|| format!("cannot read {}", cannot_read.join(", ")))
}

pub async fn run(
    settings: Heartbeat,
    sender: Sender,
    status: watch::Receiver<Arc<Status>>,
    metrics: Metrics,
    write_guard: WriteGuard,
    clock: Clock,
    stop: CancellationToken,
) {
    metrics.notifiers(std::iter::once(NAME));
    let mut said = None;
    while clock.wait(Some(clock.now() + settings.every), stop.cancelled()).await.is_none() {
        let trouble = trouble(&status.borrow().clone(), write_guard.trouble(), clock.now());
        if let Some(why) = trouble {
            if said.as_ref() != Some(&why) {
                tracing::warn!("no heartbeat is sent: {why}");
            }
            said = Some(why);
            continue;
        }
        match sender.ping(&settings.url, TIMEOUT).await {
            Ok(()) => {
                metrics.notified(NAME, "success");
                said = None;
            }
            Err(problem) => {
                metrics.notified(NAME, "failure");
                if said.as_ref() != Some(&problem) {
                    tracing::error!("the heartbeat was not delivered: {problem}");
                }
                said = Some(problem);
            }
        }
    }
}
