//! What the detector knows, as the guards ask it.

use crate::detect::engine::Engine;
use crate::model::decision::Phase;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::source::needed;
use crate::model::time::Time;
use crate::model::verdict::Verdict;
use crate::rollback::guard::Freshness;
use crate::rollback::orders::{Orders, Surroundings};

/// The state of detection at one instant.
pub struct EngineView<'a> {
    engine: &'a Engine,
    is_leading: bool,
    freshness: [Freshness; 2],
    is_storm: [bool; 2],
}

impl<'a> EngineView<'a> {
    pub fn of(engine: &'a Engine, orders: &Orders, is_leading: bool, now: Time) -> EngineView<'a> {
        EngineView {
            engine,
            is_leading,
            freshness: Channel::ALL.map(|c| freshness(engine, now, c)),
            is_storm: Channel::ALL.map(|c| is_storm(engine, orders, now, c)),
        }
    }
}

/// How fresh everything is that `channel` needs.
fn freshness(engine: &Engine, now: Time, channel: Channel) -> Freshness {
    let blind_after = engine.settings().blind_after;
    let one = |source| match engine.polled_at(source) {
        _ if engine.is_stale(source, now) => Freshness::Stale,
        Some(at) if at + blind_after / 2 < now => Freshness::Degraded,
        Some(_) | None => Freshness::Fresh,
    };
    needed(channel).into_iter().map(one).max().unwrap_or_default()
}

/// True if in most groups most numbers fail. With one group there is nothing to compare.
fn is_storm(engine: &Engine, orders: &Orders, now: Time, channel: Channel) -> bool {
    let roster = engine.roster();
    let fails = |number: NumberId, verdict: Verdict| {
        let swapped_lately = orders
            .saga(number, channel)
            .is_some_and(|s| s.state.is_on_fallback() && s.since.is_some_and(|t| t + LATELY > now));
        verdict == Verdict::Failing || orders.is_engaged(number, channel) || swapped_lately
    };
    let (mut groups, mut failing) = (0, 0);
    for (_, group) in roster.groups() {
        let watched = || group.numbers.iter().filter(|ix| roster.number(**ix).channels[channel.index()]);
        if watched().next().is_none() {
            continue;
        }
        groups += 1;
        let bad = watched().filter(|ix| fails(roster.number(**ix).id, engine.channel(**ix, channel).verdict)).count();
        failing += usize::from(bad * 2 > watched().count());
    }
    groups >= 2 && failing * 2 > groups
}

/// Rollbacks of so long ago still tell of the same storm.
const LATELY: std::time::Duration = std::time::Duration::from_secs(600);

impl Surroundings for EngineView<'_> {
    fn is_leading(&self) -> bool {
        self.is_leading
    }

    fn phase(&self, number: NumberId, channel: Channel) -> Phase {
        // A number that is no longer configured is not watched, and nothing is written to it.
        let found = self.engine.roster().find(number);
        found.map_or(Phase::Waiting, |ix| self.engine.channel(ix, channel).phase)
    }

    fn verdict(&self, number: NumberId, channel: Channel) -> Verdict {
        let found = self.engine.roster().find(number);
        found.map_or(Verdict::Unknown, |ix| self.engine.channel(ix, channel).verdict)
    }

    fn group_verdict(&self, group: &GroupName, channel: Channel) -> Verdict {
        let found = self.engine.roster().groups().find(|(_, g)| g.name == *group);
        found.map_or(Verdict::Unknown, |(ix, _)| self.engine.group_verdict(ix, channel).0)
    }

    fn freshness(&self, channel: Channel) -> Freshness {
        self.freshness[channel.index()]
    }

    fn is_storm(&self, channel: Channel) -> bool {
        self.is_storm[channel.index()]
    }
}
