//! Puts a [`Control`] where the journal ends, from what the agent before saw and wrote.
//!
//! Both come in the order of their times: an entry of the journal is applied before what was seen after it, so
//! that a number which was rolled back or restored at some moment has its evidence on the right side of that moment,
//! as it had in the agent before. The agent's start and [`crate::core::explain`] recover in this one way.

use std::collections::VecDeque;

use super::Control;
use crate::core::detect::observation::Observation;
use crate::core::model::time::Time;
use crate::core::notice::Notice;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::saga::Illegal;

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
    /// Not applied yet, oldest first, each with its place and time.
    journal: VecDeque<(i64, Time, Entry)>,
    /// Up to when alerts had been read: what had settled by then was counted then.
    alerts_until: Option<Time>,
    notices: Vec<Notice>,
}

impl Recovery {
    pub fn new(
        control: Control,
        journal: impl IntoIterator<Item = (i64, Time, Entry)>,
        alerts_until: Option<Time>,
    ) -> Recovery {
        Recovery { control, journal: journal.into_iter().collect(), alerts_until, notices: Vec::new() }
    }

    /// Something that the agent before saw at `at`.
    pub fn observe(&mut self, at: Time, observation: &Observation) -> Result<(), Contradiction> {
        self.apply_until(at)?;
        if let Some(until) = self.alerts_until {
            self.control.engine_mut().catch_up(at.min(until));
        }
        self.control.engine_mut().observe(at, observation);
        Ok(())
    }

    /// All that the agent before saw has been taken in. Gives the notices of the whole journal too, oldest first:
    /// which of them were delivered, the outbox knows.
    pub fn finish(mut self) -> Result<(Control, Vec<Notice>), Contradiction> {
        self.apply_until(Time::NEVER)?;
        if let Some(until) = self.alerts_until {
            self.control.engine_mut().catch_up(until);
        }
        self.control.engine_mut().forget_news();
        Ok((self.control, self.notices))
    }

    fn apply_until(&mut self, until: Time) -> Result<(), Contradiction> {
        while let Some((seq, at, entry)) = self.journal.pop_front_if(|(_, at, _)| *at <= until) {
            self.notices.extend(self.control.incidents_mut().tick(at));
            let notices = self.control.apply(at, &entry).map_err(|source| Contradiction { seq, source })?;
            self.notices.extend(notices);
        }
        Ok(())
    }
}
