//! Takes the lease and keeps it.
//!
//! An agent that finds another one leading stands by, does nothing, and takes over when the other's
//! lease ends. One that was deposed has nothing left to do and ends, and so has one whose state was taken away.

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
use crate::store::lease::{LEASE, LeaseReply};
use crate::store::{Store, StoreProblem};

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
    /// It is a command, which ends by itself.
    pub is_command: bool,
}

/// Waits until this agent leads; meanwhile `standby` is told who does. An operator does not wait.
pub async fn lead(
    role: Role,
    store: &Store,
    clock: &Clock,
    standby: &watch::Sender<Option<LeaseHolder>>,
) -> Result<(), StartError> {
    let mut said = None;
    let began = clock.monotonic();
    loop {
        match store.lead(&name(), clock.now()).await? {
            LeaseReply::Acquired(_) => return Ok(()),
            LeaseReply::HeldBy { by, until } => {
                let hangs = until <= clock.now();
                let waits = match role {
                    Role::Watch => true,
                    // Whoever has the lock and does not renew its lease is waited for no longer than it may take.
                    Role::Operator => hangs && clock.monotonic().saturating_sub(began) < LEASE * 2,
                };
                if !waits {
                    return Err(StartError::HeldBy { by, until });
                }
                standby.send_replace(Some(LeaseHolder { by: by.clone(), until, is_command: false }));
                if said.as_ref() != Some(&(by.clone(), hangs)) {
                    if hangs {
                        tracing::warn!(
                            holder = by, %until,
                            "standing by: a process has the lock beside the state and does not renew its lease; if it \
                             hangs, its place is taken within a minute"
                        );
                    } else {
                        tracing::warn!(leader = by, %until, "standing by: another agent leads on this state");
                    }
                    said = Some((by, hangs));
                }
                clock.sleep(STAND_BY).await;
            }
        }
    }
}

/// Renews the lease at every third of its time, until `stop` or until it is lost.
pub async fn keep(store: Store, clock: Clock, post: Outbox, builder: NoticeBuilder, stop: CancellationToken) {
    let every: Duration = LEASE / 3;
    let deposed = || {
        tracing::error!("another agent has taken over: this one stops");
        let now = clock.now();
        post.post(builder.condition(now, now, &AgentCondition::LeaseLost, NoticeStatus::Event));
    };
    let lost = async |why: String, cure: &str| {
        // Whoever took over from one that hung has put its own lock there.
        if store.is_deposed().await {
            return deposed();
        }
        tracing::error!(cure, "the state is not at its path any more: this agent stops and writes nothing: {why}");
        let (now, cure) = (clock.now(), cure.to_owned());
        let condition = AgentCondition::StateTaken { problem: why, cure };
        post.post(builder.condition(now, now, &condition, NoticeStatus::Event));
    };
    enum Next {
        Stop,
        Lost(String),
    }
    let next = || async {
        tokio::select! {
            biased;
            () = stop.cancelled() => Next::Stop,
            why = store.lost() => Next::Lost(why),
        }
    };
    loop {
        match clock.wait(Some(clock.now() + every), next()).await {
            Some(Next::Stop) => return,
            Some(Next::Lost(why)) => return lost(why, StoreProblem::Moved.cure()).await,
            None => {}
        }
        match store.renew(clock.now()).await {
            Ok(Some(_)) => {
                if let Err(error) = store.shorten_log().await {
                    tracing::warn!(%error, cure = error.cure, "the write-ahead log stays as long as it is for now");
                }
            }
            Ok(None) => return deposed(),
            Err(error) if error.problem == StoreProblem::Moved => {
                return lost(store.lost().await, error.cure).await;
            }
            // Until it is renewed, the time that is left decides what is still begun.
            Err(error) => tracing::error!(%error, cure = error.cure, "the lease cannot be renewed"),
        }
    }
}
