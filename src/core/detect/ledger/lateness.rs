//! Alerts that come after their call had been taken for served.
//!
//! Twilio promises no time within which an alert is in the log. A late one corrects its call's outcome; but where all
//! are late the newest calls are always served, as it seems, and a run of served callers is what ends a fault. So what
//! was late once is waited for: outcomes wait as long as the latest such alert took, and some, until none has been late
//! for an hour. Whoever measures the logs by test calls knows it before.

use std::time::Duration;

use super::{Body, Ledger, OutcomeChange, key};
use crate::model::reason::Outcome;
use crate::model::time::Time;

/// Longer than this no outcome waits: the longest that `poll.settle` may be.
const LONGEST: Duration = Duration::from_secs(600);

/// What is waited for beyond the latest.
const SOME_MORE: Duration = Duration::from_secs(15);

/// So long after the last of them alerts are late no more.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// How late alerts are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lateness {
    /// When one was last.
    at: Time,
    waits: Duration,
}

impl Ledger {
    /// How long after an entry is seen to have ended its alerts and child legs may come.
    pub(super) fn waits(&self) -> Duration {
        self.lateness.map_or(self.grace, |late| self.grace.max(late.waits))
    }

    /// Notes that an alert has corrected what had been settled. `change`: what came of it.
    pub(super) fn note_late(&mut self, change: &OutcomeChange) {
        if change.was != Some(Outcome::Ok) || !matches!(change.is, Outcome::Failed(_)) {
            return;
        }
        let Some(entry) = self.entries[change.channel.index()].get(&key(change.entry)) else { return };
        let ended = match entry.body {
            Body::Call { duration, ended_at, .. } => {
                ended_at.unwrap_or_else(|| entry.started_at + Duration::from_secs(u64::from(duration.unwrap_or(0))))
            }
            Body::Message { .. } => entry.started_at,
        };
        // What was read late altogether, after an outage, is not late beside its call.
        let waits = (change.at.since(ended.max(entry.seen_at)) + SOME_MORE).min(LONGEST);
        if waits > self.waits() {
            self.raised = Some(waits);
        }
        let waits = self.lateness.map_or(waits, |late| late.waits.max(waits));
        self.lateness = Some(Lateness { at: change.at, waits });
    }

    /// The new time that outcomes wait, if it has become longer since this was last called.
    pub fn take_raised(&mut self) -> Option<Duration> {
        self.raised.take()
    }

    pub(super) fn forget_late(&mut self, now: Time) {
        self.lateness = self.lateness.filter(|late| now < late.at + REMEMBERED);
    }
}
