//! Which events are news: a fold over the journal that gives the notices people should have.
//!
//! One trouble is one [`Incident`]: all numbers of one group that have one kind of trouble on one channel, with
//! every decision, guard, question, rollback and restore that concerns them. Later numbers join it. Its notices
//! have one key; it fires, may be updated, and is resolved when its last number is out of trouble. An update is
//! sent only when a person would act differently: see [`incident`].
//!
//! Because it is a fold, a restart comes to the same notices with the same keys and times; the outbox knows
//! which of them were delivered. A verdict that ends a number's trouble is an entry too ([`Entry::Recovered`], where
//! [`Incidents::ends_with_health`] says so). Only the agent's own conditions are not in the journal; they are passed
//! in as they happen.
//!
//! Promises: what has been reported and has not changed is not reported again. An incident that was reported
//! is also reported to be over, with the highest severity that its notices had.

mod compose;
mod incident;
mod proof;
mod restore;
mod standing;

use std::collections::BTreeMap;

pub use self::incident::Headline;
use self::incident::{Incident, IncidentKind, NumberState};
use self::restore::RestoreProgress;
pub use self::standing::{Standing, StandingIncident};
use super::applies::Applies;
use super::condition::{AgentCondition, BLIND};
use super::make::{LateLanding, NoticeBuilder, Takeover};
use super::port::PortTroubles;
use super::{Moment, Notice, NoticeKind, NoticeStatus};
use crate::model::decision::{Action, Decision, DecisionId, Mode};
use crate::model::guard::Guard;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::{AdoptedBy, CloseReason, Hold, LandedOn, Operation, Order, OrderResult};
use crate::model::source::Source;
use crate::model::time::Time;
use crate::rollback::entry::Entry;
use crate::rollback::fallbacks::FallbackFound;

/// Everything that is going on, as people were notified.
#[derive(Debug)]
pub struct Incidents {
    builder: NoticeBuilder,
    mode: Mode,
    holds: Vec<Hold>,
    /// Those that are open, by key.
    open: BTreeMap<String, Incident>,
    rollbacks: BTreeMap<DecisionId, Order>,
    restores: BTreeMap<DecisionId, RestoreProgress>,
    /// What was found of each fallback, and since when it is so.
    fallbacks: BTreeMap<(GroupName, Channel), (Time, FallbackFound)>,
    /// What others have changed, until it is adopted or written over, as people were told.
    drifts: BTreeMap<(NumberId, Channel), Notice>,
    /// Where a late write of ours has left numbers, until something else is done with them, as people were told.
    landed: BTreeMap<(NumberId, Channel), (LandedOn, Notice)>,
    /// The agent's own conditions, by key, and since when.
    conditions: BTreeMap<String, (Time, AgentCondition)>,
    /// Ports that go on no more without a person.
    ports: PortTroubles,
    applies: Applies,
}

impl Incidents {
    pub fn new(builder: NoticeBuilder, mode: Mode) -> Incidents {
        Incidents {
            builder,
            mode,
            holds: Vec::new(),
            open: BTreeMap::new(),
            rollbacks: BTreeMap::new(),
            restores: BTreeMap::new(),
            fallbacks: BTreeMap::new(),
            drifts: BTreeMap::new(),
            landed: BTreeMap::new(),
            conditions: BTreeMap::new(),
            ports: PortTroubles::default(),
            applies: Applies::default(),
        }
    }

    /// What is open, in full: two that tell the same have the same.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> String {
        format!("{:?} {:?} {:?}", self.open, self.restores, self.fallbacks)
    }

    pub const fn builder(&self) -> &NoticeBuilder {
        &self.builder
    }

    /// This notice, which fires, was the latest of its key before a restart. What the journal does not hold is taken up
    /// from it.
    pub fn resume(&mut self, latest: &Notice) {
        let since = latest.since.as_ref().map_or(latest.at.at, |m| m.at);
        let condition = match (latest.kind, latest.channel) {
            (NoticeKind::Blind, channel) => {
                let channels = channel.map_or(Channel::ALL.to_vec(), |c| vec![c]);
                AgentCondition::Blind { channels, sources: Vec::new(), why: String::new(), unread: Vec::new() }
            }
            (NoticeKind::RowsNotUnderstood, _) => {
                let source = Source::ALL.into_iter().find(|s| latest.key == format!("rows/{}", s.label()));
                let Some(source) = source else { return };
                AgentCondition::RowsNotUnderstood { source: source.label(), example: String::new() }
            }
            (NoticeKind::NoCalls, _) => AgentCondition::NoCalls { missed: None },
            (NoticeKind::StateChanged, Some(channel)) => {
                AgentCondition::UnknownRollback { channel, numbers: latest.numbers.clone() }
            }
            (NoticeKind::StoreUnwritable, _) => {
                AgentCondition::StoreUnwritable { problem: String::new(), cure: String::new() }
            }
            _ => return,
        };
        self.conditions.insert(latest.key.clone(), (since, condition));
    }

    /// Takes in one entry of the journal and gives the notices that follow from it, or from the time until then.
    pub fn fold(&mut self, at: Time, entry: &Entry) -> Vec<Notice> {
        let mut notices = self.tick(at);
        match entry {
            Entry::Decision(decision) => self.decided(at, decision),
            Entry::Order(order) => self.ordered(at, order),
            Entry::Refused { decision, numbers, guard, .. } => {
                let state = NumberState::Blocked { guard: *guard, is_pending: true };
                self.answered(at, *decision, numbers, &state);
            }
            Entry::Asked { decision, numbers, guard, until, .. } => {
                let state = NumberState::Asked { guard: *guard, until: *until };
                self.answered(at, *decision, numbers, &state);
            }
            Entry::Closed { decision, numbers, why, .. } => {
                if self.restores.contains_key(decision) {
                    notices.extend(match why {
                        // A command: whoever gave it knows.
                        CloseReason::Countermanded | CloseReason::Observing => {
                            self.restore_given_up(at, *decision, numbers)
                        }
                        CloseReason::TimedOut
                        | CloseReason::Recovered
                        | CloseReason::Relapsed
                        | CloseReason::OnFallback
                        | CloseReason::Adopted => self.restore_ended(at, *decision, Some((numbers, *why))),
                    });
                } else {
                    self.closed(at, *decision, numbers, *why);
                }
            }
            Entry::Recovered { channel, numbers } => {
                for number in numbers {
                    for incident in self.with_number(*number, *channel) {
                        if incident.members.get(number).is_some_and(incident::Member::ends_with_health) {
                            incident.resolve(at, *number, CloseReason::Recovered.text());
                        }
                    }
                }
            }
            Entry::Result { decision, channel, number, result, detail } => {
                if result.is_as_asked() {
                    self.drifts.remove(&(*number, *channel));
                }
                notices.extend(self.landed_ended(at, (*number, *channel), *result, detail));
                notices.extend(self.ended(at, *decision, *channel, *number, *result, detail));
            }
            Entry::Hold(hold) => {
                self.holds.retain(|h| h.scope != hold.scope);
                self.holds.push(hold.clone());
            }
            Entry::Release { scope, .. } => self.holds.retain(|h| h.scope != *scope),
            Entry::Mode { mode, .. } => self.mode = *mode,
            Entry::Drift { number, channel, differences, actor } => {
                self.landed.remove(&(*number, *channel));
                let why = "somebody else changed the number, which is theirs now";
                let was_on_fallback = self.is_of_another(at, *number, *channel, why);
                let actor = actor.as_ref();
                let notice = self.builder.drift(at, *number, *channel, differences, actor, was_on_fallback);
                self.drifts.insert((*number, *channel), notice.clone());
                notices.push(notice);
            }
            Entry::Landed { decision, number, channel, on, routing, update, .. } => {
                let key = (*number, *channel);
                self.drifts.remove(&key);
                let _ = self.is_of_another(at, *number, *channel, "a write of ours has landed late");
                let what = LateLanding { order: *decision, on: *on, routing, update };
                let notice = self.builder.landed(at, *number, *channel, what);
                self.landed.insert(key, (*on, notice.clone()));
                notices.push(notice);
            }
            Entry::Adopted { number, channel, by, differences, actor, .. } => {
                self.drifts.remove(&(*number, *channel));
                self.landed.remove(&(*number, *channel));
                let why = "the number has been taken over, and the handler that it has now was adopted";
                let was_on_fallback = self.is_of_another(at, *number, *channel, why);
                let is_expected = matches!(by, AdoptedBy::Owner(_));
                // Whoever adopts knows what they have said, but not who was told of the rollback.
                if is_expected || was_on_fallback {
                    let what = Takeover { by, differences, actor: actor.as_ref(), was_on_fallback };
                    notices.push(self.builder.adopted(at, *number, *channel, what));
                }
            }
            Entry::Fallback { group, channel, url, state, broken_for, detail } => {
                let (url, broken_for, detail) = (url.clone(), broken_for.clone(), detail.clone());
                let found = FallbackFound { url, state: *state, broken_for, detail };
                let was = self.fallbacks.get(&(group.clone(), *channel));
                let since = was.filter(|(_, was)| was.state == found.state).map_or(at, |(since, _)| *since);
                if found.is_broken() || was.is_some_and(|(_, was)| was.is_broken()) {
                    notices.push(self.builder.fallback(at, group, *channel, &found));
                }
                self.fallbacks.insert((group.clone(), *channel), (since, found));
            }
            Entry::Port(entry) => notices.extend(self.ports.fold(at, entry, &self.builder)),
            Entry::Started { .. }
            | Entry::Reloaded { .. }
            | Entry::Ported { .. }
            | Entry::Stage { .. }
            | Entry::Approved { .. }
            | Entry::Snapshot { .. }
            | Entry::Checked { .. }
            | Entry::Intent { .. }
            | Entry::Lost { .. }
            | Entry::Phase { .. } => {}
            Entry::Written { decision, channel, number } => {
                self.applies.written(*decision, *number);
                if let Some(group) = self.rollbacks.get(decision).map(|o| o.group.clone()) {
                    self.another_fallback(at, &group, *number, *channel);
                }
            }
        }
        notices
    }

    /// The open incident of this trouble, or a new one.
    fn incident(&mut self, at: Time, trouble: IncidentKind, group: &GroupName, channel: Channel) -> &mut Incident {
        let size = self.builder.group_size(group, channel);
        self.open
            .entry(trouble.key(group, channel))
            .or_insert_with(|| Incident::new(trouble, group.clone(), channel, size, at))
    }

    fn with_number(&mut self, number: NumberId, channel: Channel) -> impl Iterator<Item = &mut Incident> {
        self.open.values_mut().filter(move |i| i.channel == channel && i.members.contains_key(&number))
    }

    /// Something became of a number that a late write of ours had put somewhere.
    fn landed_ended(
        &mut self,
        at: Time,
        slot: (NumberId, Channel),
        result: OrderResult,
        detail: &str,
    ) -> Option<Notice> {
        let (on, notice) = self.landed.get_mut(&slot)?;
        match result {
            // A test says nothing of where it is, only of who answers there.
            OrderResult::Proven => notice.proof = Some(format!("yes: {detail}")),
            OrderResult::Unproven if *on == LandedOn::Fallback => {
                notice.proof = Some(format!("NO: {detail}"));
                return Some(Notice { at: Moment::new(at, self.builder.zone(&notice.numbers)), ..notice.clone() });
            }
            OrderResult::Written | OrderResult::Restored => _ = self.landed.remove(&slot),
            OrderResult::Unproven | OrderResult::Failed | OrderResult::Refused | OrderResult::Superseded => {}
        }
        None
    }

    /// Whatever a later decision about it says, nothing of ours is on the number any more. True if it was on the
    /// fallback.
    fn is_of_another(&mut self, at: Time, number: NumberId, channel: Channel, why: &str) -> bool {
        for member in self.with_number(number, channel).filter_map(|i| i.members.get_mut(&number)) {
            member.is_unproven = false;
        }
        let ours = self.with_number(number, channel).find(|i| {
            i.trouble == IncidentKind::Handler
                && i.members.get(&number).is_some_and(|m| matches!(m.state, NumberState::Ended { .. }))
        });
        ours.is_some_and(|incident| {
            let was = incident.members.get(&number).is_some_and(incident::Member::is_on_fallback);
            incident.resolve(at, number, why);
            was
        })
    }

    /// A number was swapped once more: what the fallback did that it had before says nothing of the one that it has
    /// now.
    fn another_fallback(&mut self, at: Time, group: &GroupName, number: NumberId, channel: Channel) {
        let key = proof::FALLBACK_TROUBLE.key(group, channel);
        if let Some(incident) = self.open.get_mut(&key) {
            incident.resolve(at, number, "it was swapped to a fallback once more");
        }
    }

    fn decided(&mut self, at: Time, decision: &Decision) {
        let (trouble, state) = match decision.action {
            Action::Rollback => (IncidentKind::Handler, NumberState::Decided),
            Action::Withheld { guard } => {
                (IncidentKind::Handler, NumberState::Blocked { guard: guard.into(), is_pending: false })
            }
            Action::Page { reason } => (IncidentKind::of(reason), NumberState::Reported(reason)),
        };
        self.incident(at, trouble, &decision.group, decision.channel).decided(at, decision, &state);
    }

    fn ordered(&mut self, at: Time, order: &Order) {
        match order.operation {
            Operation::Rollback => {
                self.incident(at, IncidentKind::Handler, &order.group, order.channel).ordered(
                    at,
                    order.id,
                    &order.numbers,
                );
                match self.rollbacks.get_mut(&order.id) {
                    // More numbers of the same decision, let through later.
                    Some(earlier) => earlier.numbers.extend(&order.numbers),
                    None => {
                        self.rollbacks.insert(order.id, order.clone());
                    }
                }
            }
            Operation::Restore => self.restore_ordered(order),
            Operation::Apply | Operation::Undo => self.applies.ordered(at, order),
        }
    }

    fn answered(&mut self, at: Time, decision: DecisionId, numbers: &[NumberId], state: &NumberState) {
        if let Some(incident) = self.open.values_mut().find(|i| i.decisions.contains_key(&decision)) {
            incident.answered(at, decision, numbers, state);
        }
    }

    /// The decision no longer stands for these numbers. Those that a rollback has are not out of trouble by that.
    fn closed(&mut self, at: Time, decision: DecisionId, numbers: &[NumberId], why: CloseReason) {
        let Some(incident) = self.open.values_mut().find(|i| i.decisions.contains_key(&decision)) else { return };
        let pending: Vec<NumberId> = numbers
            .iter()
            .copied()
            .filter(|n| incident.members.get(n).is_some_and(|m| m.decision == Some(decision) && !m.is_taken()))
            .collect();
        match why {
            CloseReason::TimedOut => incident.expired(at, decision, &pending),
            // A command: whoever gave it knows, and the numbers stay where they are.
            CloseReason::Countermanded | CloseReason::Observing => {}
            CloseReason::Recovered | CloseReason::Relapsed | CloseReason::OnFallback | CloseReason::Adopted => {
                for number in pending {
                    incident.lapsed(at, number, why.text());
                }
            }
        }
    }

    fn ended(
        &mut self,
        at: Time,
        order: DecisionId,
        channel: Channel,
        number: NumberId,
        result: OrderResult,
        detail: &str,
    ) -> Vec<Notice> {
        if self.restores.contains_key(&order) {
            return self.number_restored(at, order, number, result, detail);
        }
        if let Some(rollback) = self.rollbacks.get(&order)
            && let Some(incident) = self.open.get_mut(&IncidentKind::Handler.key(&rollback.group, channel))
        {
            incident.ended(at, order, number, result, detail);
        }
        self.applies.ended(at, order, number, (result, detail), &self.builder).into_iter().collect()
    }

    /// True if a number is in trouble that is over once the detector calls it healthy, as no other entry would say.
    pub fn ends_with_health(&self, number: NumberId, channel: Channel) -> bool {
        let in_trouble = self.open.values().filter(|i| i.channel == channel).filter_map(|i| i.members.get(&number));
        in_trouble.into_iter().any(incident::Member::ends_with_health)
    }

    /// Numbers whose rollback has failed, was reported a while ago, and left nothing of ours on them: over if the
    /// detector calls them healthy, which it may have done all the time.
    pub fn failed_for_long(&self, now: Time) -> impl Iterator<Item = (NumberId, Channel)> {
        let is_old = move |i: &&Incident| i.last_notice.as_ref().is_some_and(|n| n.at.at + incident::FAILED_FOR <= now);
        self.open.values().filter(is_old).flat_map(|i| {
            let is_ended = |m: &incident::Member| matches!(m.state, NumberState::Ended { .. }) && m.ends_with_health();
            i.members.iter().filter(move |(_, m)| is_ended(m)).map(|(number, _)| (*number, i.channel))
        })
    }

    /// What only the passing of time makes news.
    pub fn tick(&mut self, now: Time) -> Vec<Notice> {
        let mut notices = Vec::new();
        let keys: Vec<String> = self.open.keys().cloned().collect();
        for key in keys {
            while let Some(at) = self.open.get_mut(&key).and_then(|i| i.next_due(now)) {
                notices.extend(self.judge(at, &key));
            }
        }
        notices.sort_by_key(|n| n.at.at);
        notices
    }

    /// The notice that the incident gives rise to as it is now, if any.
    fn judge(&mut self, at: Time, key: &str) -> Option<Notice> {
        let mut incident = self.open.remove(key)?;
        incident.forget_the_quiet(at);
        if incident.members.is_empty() {
            if incident.restores.is_empty() {
                return incident.last_notice.as_ref().map(|last| self.resolved(at, &incident, last));
            }
            // The restore reports it.
            self.open.insert(key.to_owned(), incident);
            return None;
        }
        let needs = incident.needs(at);
        let headline = incident.news(&needs);
        let notice = headline.map(|headline| {
            let mut notice = self.compose(at, &incident, &needs, headline);
            notice.incident_severity = incident.raise(notice.severity);
            incident.notified(needs, headline, &notice);
            notice
        });
        self.open.insert(key.to_owned(), incident);
        notice
    }

    /// A condition of the agent itself stands since `since`; `None` if that is known.
    pub fn begins(&mut self, now: Time, since: Time, condition: AgentCondition) -> Option<Notice> {
        if self.conditions.contains_key(&condition.key()) {
            return None;
        }
        let notice = self.builder.condition(now, since, &condition, NoticeStatus::Firing);
        self.conditions.insert(condition.key(), (since, condition));
        Some(notice)
    }

    /// What cannot be seen is as `condition` says, since `since`; `None` if people know that. It is one trouble, which
    /// grows with each channel, and shrinks.
    pub fn blind(&mut self, now: Time, since: Time, condition: AgentCondition) -> Option<Notice> {
        let AgentCondition::Blind { channels, .. } = &condition else { return None };
        let (since, was) = match self.conditions.get(BLIND) {
            Some((since, AgentCondition::Blind { channels, .. })) => (*since, channels.clone()),
            Some(_) | None => (since, Vec::new()),
        };
        if was == *channels {
            return None;
        }
        let mut notice = self.builder.condition(now, since, &condition, NoticeStatus::Firing);
        let seen = was.iter().filter(|c| !channels.contains(c)).map(|c| c.label());
        let seen: Vec<&str> = seen.collect();
        if !seen.is_empty() {
            notice.did = format!("{}. Ringback sees {} again", notice.did, seen.join(" and "));
        }
        self.conditions.insert(BLIND.to_owned(), (since, condition));
        Some(notice)
    }

    /// Channels of which people know that they cannot be seen.
    pub fn told_blind(&self) -> &[Channel] {
        match self.conditions.get(BLIND) {
            Some((_, AgentCondition::Blind { channels, .. })) => channels,
            Some(_) | None => &[],
        }
    }

    /// Since when the condition with this key stands.
    pub fn stands_since(&self, key: &str) -> Option<Time> {
        self.conditions.get(key).map(|(since, _)| *since)
    }

    /// The condition with this key stands no longer; `None` if it did not.
    pub fn ends(&mut self, now: Time, key: &str) -> Option<Notice> {
        let (since, condition) = self.conditions.remove(key)?;
        Some(self.builder.condition(now, since, &condition, NoticeStatus::Resolved))
    }

    /// The hold that covers one of these numbers, if one is in force.
    fn hold(&self, at: Time, group: &GroupName, channel: Channel, numbers: &[NumberId]) -> Option<&Hold> {
        self.holds.iter().find(|h| h.until > at && numbers.iter().any(|n| h.scope.covers(group, *n, channel)))
    }

    /// Why a guard blocks these numbers.
    fn because(&self, guard: Guard, hold: Option<&Hold>) -> String {
        match (guard, hold) {
            (Guard::Hold, Some(h)) => {
                let until = Moment::new(h.until, None).text;
                let scope = h.scope.text(&self.builder.roster);
                format!("{} holds {scope} until {until}: {}", h.by.name, h.by.reason)
            }
            (Guard::Mode, _) => format!("the mode is {}", self.mode.label()),
            (guard, _) => guard.text().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
