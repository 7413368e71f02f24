//! What the agent says of itself: published after every change, read by the API and the demo.

use std::sync::Arc;

use serde::Serialize;

use crate::core::engine::{Engine, Rollback, Source, needed};
use crate::core::id::{Channel, E164, GroupName};
use crate::core::policy::{Decision, Mode, Phase};
use crate::core::roster::NumberIx;
use crate::core::routing::Handler;
use crate::core::time::Time;
use crate::core::verdict::{Evidence, Verdict};

/// The state of everything at one instant.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub at: Time,
    pub mode: Mode,
    pub sources: Vec<SourceStatus>,
    pub groups: Vec<GroupStatus>,
    /// The latest decisions, newest first.
    pub decisions: Vec<Arc<Decision>>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SourceStatus {
    pub source: &'static str,
    /// When it was last read; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polled_at: Option<Time>,
    pub is_stale: bool,
    /// Without it nothing can be said of a channel that is watched.
    pub is_needed: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct GroupStatus {
    pub group: GroupName,
    pub channels: Vec<GroupChannel>,
    pub numbers: Vec<NumberStatus>,
}

#[derive(Clone, Debug, Serialize)]
pub struct GroupChannel {
    pub channel: Channel,
    pub verdict: Verdict,
    pub evidence: Evidence,
}

#[derive(Clone, Debug, Serialize)]
pub struct NumberStatus {
    pub number: E164,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    pub is_in_account: bool,
    pub channels: Vec<ChannelStatus>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ChannelStatus {
    pub channel: Channel,
    pub phase: Phase,
    pub verdict: Verdict,
    pub evidence: Evidence,
    /// Calls or messages without an outcome yet.
    pub unsettled: u32,
    /// Who answers, as last read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<Handler>,
    pub rollback: RollbackStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RollbackStatus {
    None,
    Pending,
    Done { since: Time },
}

impl Status {
    pub fn of(engine: &Engine, now: Time, decisions: Vec<Arc<Decision>>) -> Status {
        let needed: Vec<Source> = Channel::ALL.into_iter().filter(|c| engine.watches(*c)).flat_map(needed).collect();
        let sources = Source::ALL
            .into_iter()
            .map(|s| {
                let polled_at = engine.polled_at(s);
                let is_stale = engine.is_stale(s, now);
                SourceStatus { source: s.label(), polled_at, is_stale, is_needed: needed.contains(&s) }
            })
            .collect();
        let groups = engine
            .roster()
            .groups()
            .map(|(ix, group)| GroupStatus {
                group: group.name.clone(),
                channels: Channel::ALL
                    .into_iter()
                    .map(|channel| {
                        let (verdict, evidence) = engine.group_verdict(ix, channel);
                        GroupChannel { channel, verdict, evidence: evidence.clone() }
                    })
                    .collect(),
                numbers: group.numbers.iter().map(|n| NumberStatus::of(engine, *n)).collect(),
            })
            .collect();
        Status { at: now, mode: engine.settings().mode, sources, groups, decisions }
    }

    /// Every number with its group.
    pub fn numbers(&self) -> impl Iterator<Item = (&GroupName, &NumberStatus)> {
        self.groups.iter().flat_map(|g| g.numbers.iter().map(move |n| (&g.group, n)))
    }
}

impl NumberStatus {
    fn of(engine: &Engine, ix: NumberIx) -> NumberStatus {
        let n = engine.roster().number(ix);
        let record = engine.record(ix);
        let channels = Channel::ALL
            .into_iter()
            .filter(|c| n.channels[c.index()])
            .map(|channel| {
                let c = engine.channel(ix, channel);
                ChannelStatus {
                    channel,
                    phase: c.phase,
                    verdict: c.verdict,
                    evidence: c.evidence.clone(),
                    unsettled: engine.open(ix, channel),
                    handler: record.map(|r| r.handler(channel)),
                    rollback: match c.rollback {
                        Rollback::None => RollbackStatus::None,
                        Rollback::Pending => RollbackStatus::Pending,
                        Rollback::Done(since) => RollbackStatus::Done { since },
                    },
                }
            })
            .collect();
        NumberStatus { number: n.e164, label: n.label.clone(), is_in_account: record.is_some(), channels }
    }
}
