//! What the logs show, and whether they can be believed: people are told once when it begins and once when it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Controller;
use crate::core::detect::statistic::standstill::Standstill;
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::notice::condition::{AgentCondition, BLIND, NO_CALLS};

/// An agent that has never seen a channel says so after this.
const SIGHT_WITHIN: Duration = Duration::from_secs(60);

/// For so long no row was not understood: every row is again.
const UNCLEAR_FOR: Duration = Duration::from_secs(15 * 60);

/// What of a channel cannot be read.
pub struct ChannelSight {
    pub channel: Channel,
    pub was_blind: bool,
    pub stale: Vec<Source>,
    /// When the first of them was last read.
    pub read: Option<Time>,
    /// Numbers of which it is not known who answers.
    pub unread: Vec<NumberId>,
}

impl Controller {
    /// What of each channel cannot be read.
    pub fn freshness(&mut self, now: Time, sight: &[ChannelSight]) {
        let began = self.began;
        let incidents = self.control.incidents_mut();
        // At the start nothing has been seen yet, and that is no news.
        let is_told = |s: &&ChannelSight| {
            !s.stale.is_empty()
                && (!s.was_blind || began + SIGHT_WITHIN <= now || incidents.told_blind().contains(&s.channel))
        };
        let blind: Vec<&ChannelSight> = sight.iter().filter(is_told).collect();
        let notice = if blind.is_empty() {
            incidents.ends(now, BLIND)
        } else {
            let is_stale = |source: &Source| blind.iter().any(|s| s.stale.contains(source));
            let stale: Vec<Source> = Source::ALL.into_iter().filter(is_stale).collect();
            let sources = stale.iter().map(|s| s.label()).collect();
            let mut why: Vec<&str> =
                stale.iter().filter_map(|s| Some(self.failures[s.index()].as_ref()?.error.as_str())).collect();
            why.dedup();
            let channels = blind.iter().map(|s| s.channel).collect();
            let unread: BTreeSet<NumberId> = blind.iter().flat_map(|s| s.unread.iter().copied()).collect();
            let unread = unread.into_iter().collect();
            let condition = AgentCondition::Blind { channels, sources, why: why.join("; "), unread };
            let read = blind.iter().filter_map(|s| s.read).min();
            incidents.blind(now, read.unwrap_or(began), condition)
        };
        self.post(notice);
    }

    /// All numbers are silent, or a call was seen at `heard`, the latest of all.
    pub fn standstill(&mut self, now: Time, still: Option<Standstill>, heard: Option<Time>) {
        let incidents = self.control.incidents_mut();
        let notice = match (still, incidents.stands_since(NO_CALLS)) {
            (Some(still), _) => {
                let missed = Some(still.missed.round() as u64);
                incidents.begins(now, still.since, AgentCondition::NoCalls { missed })
            }
            // After a restart it is measured anew: only a call ends it.
            (None, Some(since)) if heard.is_some_and(|at| at > since + Duration::from_secs(1)) => {
                incidents.ends(now, NO_CALLS)
            }
            (None, _) => None,
        };
        self.post(notice);
    }

    /// Every row of `source` was understood, or one was not.
    pub fn understood(&mut self, now: Time, source: Source, unclear: Option<&str>) {
        let latest = &mut self.unclear[source.index()];
        let incidents = self.control.incidents_mut();
        let notice = match unclear {
            Some(example) => {
                *latest = Some(now);
                let (source, example) = (source.label(), example.to_owned());
                incidents.begins(now, now, AgentCondition::RowsNotUnderstood { source, example })
            }
            // One that is over since before a restart is counted from its first poll.
            None if latest.is_none_or(|at| at + UNCLEAR_FOR <= now) => {
                incidents.ends(now, &format!("rows/{}", source.label()))
            }
            None => None,
        };
        self.post(notice);
    }
}
