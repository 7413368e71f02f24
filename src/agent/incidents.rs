//! From what happens in the agent to what people are told: the one place that all news passes.
//!
//! Owned by the [`crate::agent::control`], which folds every entry of the journal here too. What comes of it is
//! posted to the [`crate::agent::deliver`] and forgotten: posting never waits, so no notifier, however slow,
//! delays a decision or a swap.
//!
//! After a restart the journal is folded once more, and what was news within [`RETOLD`] is posted
//! again; the courier knows what it has kept already. So nothing is lost between the journal's commit
//! and the courier's.

use std::time::Duration;

use crate::agent::deliver::Outbox;
use crate::core::model::decision::Mode;
use crate::core::model::id::{Channel, E164};
use crate::core::model::order::Order;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::model::verdict::Verdict;
use crate::core::notice::condition::AgentCondition;
use crate::core::notice::incidents::Incidents;
use crate::core::notice::make::NoticeBuilder;
use crate::core::notice::{Notice, NoticeStatus};
use crate::core::rollback::entry::Entry;
use crate::store::outbox::Delivery;
use crate::store::{JournalRecord, StoreError, StoreProblem};

/// News older than this are not told after a restart: who was not told then knows by now.
const RETOLD: Duration = Duration::from_secs(3600);

/// An agent that has never seen a channel says so after this.
const SIGHT_WITHIN: Duration = Duration::from_secs(60);

pub struct IncidentTracker {
    incidents: Incidents,
    post: Outbox,
    began: Time,
}

impl IncidentTracker {
    /// Takes up where the journal ends. `told` is what the courier has kept.
    pub fn new(
        builder: NoticeBuilder,
        mode: Mode,
        post: Outbox,
        journal: &[JournalRecord],
        told: &[Delivery],
        now: Time,
    ) -> IncidentTracker {
        let mut incidents = Incidents::new(builder, mode);
        // What verdicts resolved is not in the journal; it happened between its records.
        let mut resolved: Vec<&Notice> =
            told.iter().map(|d| &d.notice).filter(|n| n.status == NoticeStatus::Resolved).collect();
        resolved.sort_by_key(|n| n.at.at);
        let mut resolved = resolved.into_iter().peekable();
        for record in journal {
            while let Some(notice) = resolved.next_if(|n| n.at.at < record.at) {
                incidents.close(notice);
            }
            let late = incidents.tick(record.at);
            let fresh = incidents.fold(record.at, &record.entry);
            for notice in late.into_iter().chain(fresh).filter(|n| n.at.at + RETOLD >= now) {
                post.post(notice);
            }
        }
        let mut latest = std::collections::BTreeMap::new();
        for delivery in told {
            latest.insert(delivery.notice.key.as_str(), &delivery.notice);
        }
        for notice in latest.into_values() {
            match notice.status {
                NoticeStatus::Resolved => incidents.close(notice),
                NoticeStatus::Firing => incidents.resume(notice),
                NoticeStatus::Event => {}
            }
        }
        IncidentTracker { incidents, post, began: now }
    }

    fn post(&self, notices: impl IntoIterator<Item = Notice>) {
        notices.into_iter().for_each(|n| self.post.post(n));
    }

    /// An entry is in the journal.
    pub fn entry(&mut self, at: Time, entry: &Entry) {
        let notices = self.incidents.fold(at, entry);
        self.post(notices);
    }

    /// The journal was written, or could not be.
    pub fn journaled(&mut self, now: Time, result: &Result<(), StoreError>) {
        let notice = match result {
            Ok(()) => self.incidents.ends(now, "store"),
            Err(e) if e.problem == StoreProblem::LeaseLost => {
                self.incidents.begins(now, now, AgentCondition::LeaseLost)
            }
            Err(e) => {
                let (problem, cure) = (e.to_string(), e.cure.to_owned());
                self.incidents.begins(now, now, AgentCondition::StoreUnwritable { problem, cure })
            }
        };
        self.post(notice);
    }

    pub fn verdict(&mut self, now: Time, number: E164, channel: Channel, to: Verdict) {
        let notices = self.incidents.verdict(now, number, channel, to);
        self.post(notices);
    }

    /// What of a channel cannot be read, and when it was last.
    pub fn freshness(&mut self, now: Time, channel: Channel, was_blind: bool, stale: &[Source], read: Option<Time>) {
        let notice = if stale.is_empty() {
            self.incidents.ends(now, &format!("blind/{channel}"))
        } else if !was_blind || self.began + SIGHT_WITHIN <= now {
            let sources = stale.iter().map(|s| s.label()).collect();
            self.incidents.begins(now, read.unwrap_or(self.began), AgentCondition::Blind { channel, sources })
        } else {
            None
        };
        self.post(notice);
    }

    pub fn unverified(&mut self, now: Time, order: &Order) {
        self.post([self.incidents.unverified(now, order)]);
    }

    pub fn tick(&mut self, now: Time) {
        let notices = self.incidents.tick(now);
        self.post(notices);
    }
}
