//! Puts a [`Control`] where the journal ends, from what the agent before saw and wrote.
//!
//! Both are handed in in the order in which they were taken in: an entry of the journal before what came after it, so
//! that a number which was rolled back or restored at some moment has its evidence on the right side of that moment,
//! as it had in the agent before. The agent's start and [`crate::explain`] recover in this one way.

use super::Control;
use crate::detect::observation::Observation;
use crate::model::id::AccountSid;
use crate::model::time::Time;
use crate::notice::Notice;
use crate::rollback::entry::Entry;
use crate::rollback::saga::Illegal;

/// An entry contradicts the ones before it: the journal is not one that an agent wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal contradicts itself at record {seq}")]
pub struct Contradiction {
    pub seq: i64,
    pub source: Illegal,
}

/// A control on its way to where the journal ends.
#[derive(Debug)]
pub struct Recovery {
    control: Control,
    /// Up to when alerts had been read: what had settled by then was counted then.
    alerts_until: Option<Time>,
    notices: Vec<Notice>,
}

impl Recovery {
    pub const fn new(control: Control, alerts_until: Option<Time>) -> Recovery {
        Recovery { control, alerts_until, notices: Vec::new() }
    }

    /// The entry at place `seq` of the journal, written at `at`.
    pub fn journaled(&mut self, seq: i64, at: Time, entry: &Entry) -> Result<(), Contradiction> {
        let notices = self.control.apply(at, entry).map_err(|source| Contradiction { seq, source })?;
        self.notices.extend(notices);
        Ok(())
    }

    /// Something that the agent before saw at `at`.
    pub fn observe(&mut self, at: Time, account: AccountSid, observation: &Observation) {
        if let Some(until) = self.alerts_until {
            self.control.engine_mut().catch_up(at.min(until));
        }
        self.control.engine_mut().observe(at, account, observation);
    }

    /// The agent before had read the logs at `at`.
    pub fn polled(&mut self, at: Time) {
        self.control.engine_mut().was_seen(at);
    }

    /// All that the agent before saw and wrote has been taken in. Gives the notices of the whole journal too, oldest
    /// first: which of them were delivered, the outbox knows.
    pub fn finish(mut self) -> (Control, Vec<Notice>) {
        if let Some(until) = self.alerts_until {
            self.control.engine_mut().catch_up(until);
        }
        self.control.engine_mut().forget_news();
        (self.control, self.notices)
    }
}
