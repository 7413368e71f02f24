//! Takes the lease and keeps it.
//!
//! An agent that finds another one leading stands by, does nothing, and takes over when the other's
//! lease ends. One that was deposed has nothing left to do and ends.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Role, StartError};
use crate::agent::deliver::Outbox;
use crate::clock::Clock;
use crate::core::model::time::Time;
use crate::core::notice::NoticeStatus;
use crate::core::notice::condition::AgentCondition;
use crate::core::notice::make::NoticeBuilder;
use crate::store::Store;
use crate::store::lease::{LEASE, LeaseReply};

/// The holder's name as others read it: enough to find the process.
pub fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "this machine" } else { host.trim() };
    format!("process {} on {host}", std::process::id())
}

/// Between looks of an agent that stands by.
const STAND_BY: Duration = Duration::from_secs(5);

/// Who leads instead of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    pub by: String,
    /// And until when at least.
    pub until: Time,
}

/// Waits until this agent leads; meanwhile `standby` is told who does. An operator does not wait.
pub async fn lead(
    role: Role,
    store: &Store,
    clock: &Clock,
    standby: &watch::Sender<Option<LeaseHolder>>,
) -> Result<(), StartError> {
    let mut said = String::new();
    loop {
        match store.lead(&name(), clock.now()).await? {
            LeaseReply::Acquired(_) => return Ok(()),
            LeaseReply::HeldBy { by, until } if role == Role::Operator => return Err(StartError::HeldBy { by, until }),
            LeaseReply::HeldBy { by, until } => {
                standby.send_replace(Some(LeaseHolder { by: by.clone(), until }));
                if said != by {
                    tracing::warn!(leader = by, %until, "standing by: another agent leads on this state");
                    said = by;
                }
                clock.sleep(STAND_BY).await;
            }
        }
    }
}

/// Renews the lease at every third of its time, until `stop` or until it is lost.
pub async fn keep(store: Store, clock: Clock, post: Outbox, builder: NoticeBuilder, stop: CancellationToken) {
    let every: Duration = LEASE / 3;
    while clock.wait(Some(clock.now() + every), stop.cancelled()).await.is_none() {
        match store.renew(clock.now()).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                tracing::error!("another agent has taken over: this one stops");
                let now = clock.now();
                post.post(builder.condition(now, now, &AgentCondition::LeaseLost, NoticeStatus::Event));
                return;
            }
            // Until it is renewed, the time that is left decides what is still begun.
            Err(error) => tracing::error!(%error, cure = error.cure, "the lease cannot be renewed"),
        }
    }
}
