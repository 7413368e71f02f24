//! The ports: what a look at the Porting API changes, what was met, what people are told beforehand and afterwards.

use super::Controller;
use crate::core::control::is_rolled_back;
use crate::core::model::counted::amount;
use crate::core::model::foreign::Line;
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::order::FallbackState;
use crate::core::model::roster::{Group, GroupIx, NumberIx};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::port::news::{Met, PortEntry, PortFound};
use crate::core::port::report::{PortReport, Sight};
use crate::core::port::sight::{AccountSight, ApiSight};
use crate::core::port::status::PortStatus;
use crate::core::rollback::entry::Entry;

impl Controller {
    /// What a look at the Porting API shows.
    pub async fn ports_found(&mut self, sight: ApiSight, found: &[PortFound]) {
        self.port_sight = sight;
        let account = self.shared.client.account();
        let news = self.control.ports().news(&self.shared.roster, account, found);
        if news.is_empty() {
            return;
        }
        if let Err(error) = self.commit(news.into_iter().map(Entry::Port).collect()).await {
            // The next look brings it again.
            tracing::error!(%error, cure = error.cure, "what became of ports is not in the journal yet");
        }
    }

    /// Numbers have met something; what they have met before is no news.
    pub async fn met(&mut self, channel: Channel, met: Met, numbers: Vec<NumberId>) {
        if let Some(entry) = self.control.ports().met_now(self.shared.clock.now(), channel, met, numbers) {
            self.commit_or_keep(Entry::Port(entry), "what numbers have met").await;
        }
    }

    /// Twilio's debugger says that somebody takes a number away.
    pub async fn ported_out(&mut self, now: Time, number: NumberIx) {
        let id = self.shared.roster.number(number).id;
        if let Some(entry) = self.control.ports().lost(&self.shared.roster, now, id) {
            self.commit_or_keep(Entry::Port(entry), "that a number is taken away").await;
        }
    }

    /// Some number of the group has become passive: if no other is watched closely any longer, that is told.
    pub async fn went_passive(&mut self, group: GroupIx, channel: Channel) {
        let name = self.shared.roster.group(group).name.clone();
        if !self.control.ports().is_untold(&name, channel) {
            return;
        }
        if let Some(seen) = self.control.engine().seen_of(group, channel) {
            let entry = Entry::Port(PortEntry::Passive { group: name, channel, seen });
            self.commit_or_keep(entry, "that a group is watched as usual").await;
        }
    }

    /// Announces ports that are due within a day.
    pub async fn announce_ports(&mut self, now: Time) {
        let roster = self.shared.roster.clone();
        for (_, group) in roster.groups() {
            let standing = |ix: &NumberIx| {
                let n = roster.number(*ix);
                let standing = self.control.ports().standing(now, n.id, n.port, None);
                standing.due.map(|due| (due, n.id, standing.state.map(|s| s.status)))
            };
            let waiting: Vec<(Time, NumberId, Option<PortStatus>)> =
                group.numbers.iter().filter_map(standing).collect();
            let Some(due) = waiting.iter().map(|(due, ..)| *due).min() else { continue };
            if !self.control.ports().is_eve(now, &group.name, due) {
                continue;
            }
            let entry = PortEntry::Eve {
                group: group.name.clone(),
                due,
                waiting: waiting.iter().map(|(_, id, _)| *id).collect(),
                against: self.against(group),
            };
            self.commit_or_keep(Entry::Port(entry), "the eve of a port").await;
        }
    }

    /// What stands against the ports of a group, as far as is known here.
    fn against(&self, group: &Group) -> Vec<Line> {
        let roster = &self.shared.roster;
        let mut against = Vec::new();
        for channel in Channel::ALL {
            if !group.numbers.iter().any(|ix| roster.number(*ix).channels[channel.index()]) {
                continue;
            }
            match (group.fallback(channel), self.orders().fallback_found(&group.name, channel)) {
                (None, _) => against.push(format!("{channel} has no fallback: nothing can be rolled back")),
                (Some(_), None) => against.push(format!("the fallback of {channel} was not looked at yet")),
                (Some(_), Some(found)) => match found.state {
                    FallbackState::Good if found.broken_for.is_empty() => {}
                    FallbackState::Good | FallbackState::Broken => {
                        against.push(format!("the fallback of {channel} is broken: {}", found.detail));
                    }
                    FallbackState::Unchecked => {
                        against.push(format!("the fallback of {channel} could not be checked: {}", found.detail));
                    }
                },
            }
        }
        let engine = self.control.engine();
        if engine.polled_at(Source::Numbers).is_some() {
            let absent = group.numbers.iter().filter(|ix| engine.record(**ix).is_none()).count();
            if absent > 0 {
                against.push(format!(
                    "{} not in the account yet, so nothing is configured for them",
                    amount(absent, "number")
                ));
            }
        }
        let trouble = group.numbers.iter().filter_map(|ix| self.control.ports().state(roster.number(*ix).id));
        let stuck = trouble.filter(|s| s.cure().is_some()).count();
        if stuck > 0 {
            against.push(format!(
                "the ports of {} go on no more without a person: `ringback ports`",
                amount(stuck, "number")
            ));
        }
        against.extend(self.port_sight.text());
        against.iter().map(|text| Line::new(text)).collect()
    }

    /// All that is known of the ports.
    pub fn port_report(&self, now: Time) -> PortReport {
        let engine = self.control.engine();
        let last = engine.polled_at(Source::Numbers);
        let is_read = last.is_some() && !engine.is_stale(Source::Numbers, now);
        let sight = Sight {
            phase: &|ix, channel| Some(engine.channel(ix, channel).phase),
            is_rolled_back: &|number, channel| is_rolled_back(self.orders(), number, channel),
            account: if is_read { AccountSight::Read } else { AccountSight::Unread { last } },
            is_in_account: &|ix| engine.record(ix).is_some(),
        };
        PortReport::of(now, engine.roster(), self.control.ports(), &self.port_sight, &sight)
    }
}
