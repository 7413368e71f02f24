//! Changes that are not ours: noticed in what the routing poller reads, asked about in Twilio's audit
//! log, reported, and never undone.

use std::time::Duration;

use super::{Controller, READ_WITHIN};
use crate::agent::ControlMessage;
use crate::core::model::foreign::Line;
use crate::core::model::id::{Channel, NumberId, NumberSid};
use crate::core::model::order::{AdoptedBy, LandedOn, Operation, OrderResult};
use crate::core::model::roster::{Number, NumberIx};
use crate::core::model::time::Time;
use crate::core::notice::condition::AgentCondition;
use crate::core::rollback::adopt::{Adopting, FoundRouting};
use crate::core::rollback::entry::Entry;
use crate::core::rollback::look::LookResult;
use crate::core::rollback::plan;
use crate::core::rollback::saga::{RestoreOrigin, SagaState};
use crate::core::routing::values::{Difference, RoutingValues};

/// Entries of Twilio's audit log are this late at the most when we ask who changed a number.
pub(super) const AUDIT_BACK: Duration = Duration::from_secs(600);

/// A number as the routing poller saw it, by [`Channel::index`].
pub type ObservedRouting = (NumberId, NumberSid, [RoutingValues; 2]);

/// Somebody else changed a number.
#[derive(Debug)]
pub struct Drifted {
    pub number: NumberId,
    pub channel: Channel,
    pub differences: Vec<Difference>,
    pub now: RoutingValues,
    /// When the number was read.
    pub read_at: Time,
    pub actor: Option<Line>,
}

impl Controller {
    /// The routing poller has read our numbers, beginning at `at`.
    pub async fn looked(&mut self, at: Time, numbers: Vec<ObservedRouting>) {
        let mut baseline = Vec::new();
        for (number, sid, values) in numbers {
            for channel in Channel::ALL {
                let now = values[channel.index()].clone();
                match self.observe(at, (number, channel), &now).await {
                    LookResult::First => baseline.push((number, now)),
                    LookResult::Foreign { before, expected } => {
                        let differences = RoutingValues::differences(&before, &expected, &now);
                        self.ask_about(sid, Drifted { number, channel, differences, now, read_at: at, actor: None });
                    }
                    LookResult::Outdated | LookResult::AsExpected | LookResult::Landed(_) => {}
                }
            }
        }
        self.set_baseline(at, baseline).await;
        self.find_unknown_rollbacks(at);
    }

    /// Numbers that are on their fallback without a rollback in the journal: by somebody's hand, or because the journal
    /// is an older one. They are told, and left alone.
    fn find_unknown_rollbacks(&mut self, at: Time) {
        for channel in Channel::ALL {
            let numbers = self.unknown_rollbacks(at, channel);
            let new: Vec<NumberId> =
                numbers.iter().copied().filter(|n| !self.unknown[channel.index()].contains(n)).collect();
            for number in &new {
                let name = self.shared.roster.name(*number);
                tracing::error!(number = %name, %channel, "{}", plan::ON_FALLBACK_UNKNOWN);
            }
            self.unknown[channel.index()].clone_from(&numbers);
            let incidents = self.control.incidents_mut();
            let condition = AgentCondition::UnknownRollback { channel, numbers };
            let key = condition.key();
            let AgentCondition::UnknownRollback { numbers, .. } = &condition else { return };
            let notice =
                if numbers.is_empty() { incidents.ends(at, &key) } else { incidents.begins(at, at, condition) };
            self.post(notice);
        }
    }

    fn unknown_rollbacks(&self, at: Time, channel: Channel) -> Vec<NumberId> {
        let engine = self.control.engine();
        let roster = engine.roster();
        let is_unknown = |(ix, n): &(NumberIx, &Number)| {
            let leads = || {
                let fallback = roster.group_of(*ix).fallback(channel);
                fallback.zip(engine.record(*ix)).is_some_and(|(url, record)| record.leads_to(channel, url))
            };
            n.channels[channel.index()] && self.orders().is_untouched_since(at - READ_WITHIN, n.id, channel) && {
                let state = self.orders().state(n.id, channel);
                // One that lands late is told as what it is.
                let is_late = self.ground(n.id, channel).late_rollback().is_some();
                let is_known = is_late || state.swap().is_some() || matches!(state, SagaState::Failed(_));
                !is_known && leads()
            }
        };
        roster.numbers().filter(is_unknown).map(|(_, n)| n.id).collect()
    }

    /// What numbers pointed at when the agent before stopped. A number that we changed later is not
    /// what it was then.
    pub fn load_baseline(&mut self, baseline: Vec<(NumberId, Time, RoutingValues)>) {
        for (number, at, values) in baseline {
            let channel = values.channel();
            let is_by_then = |since: Option<Time>| since.is_none_or(|t| t <= at);
            if self.orders().saga(number, channel).is_none_or(|s| is_by_then(s.touched())) {
                self.baseline.insert((number, channel), values);
            }
        }
        // The journal alone may have what was adopted, if the agent before was stopped right after.
        let adopted: Vec<((NumberId, Channel), RoutingValues)> = self
            .shared
            .roster
            .numbers()
            .flat_map(|(_, n)| Channel::ALL.map(|channel| (n.id, channel)))
            .filter(|key| !self.baseline.contains_key(key))
            .filter_map(|(number, channel)| {
                let saga = self.orders().saga(number, channel)?;
                let adopted = saga.adopted.as_ref().filter(|adopted| saga.touched() == Some(adopted.at))?;
                Some(((number, channel), RoutingValues::read(adopted.routing.whole(), channel).ok()?))
            })
            .collect();
        self.baseline.extend(adopted);
    }

    /// The routing that orders which end as asked with these entries will have left, or what has landed.
    pub(super) fn expected(&self, entries: &[Entry]) -> Vec<(NumberId, RoutingValues)> {
        let one = |entry: &Entry| {
            if let Entry::Landed { number, channel, on: LandedOn::OwnHandler, routing, .. } = entry {
                // Of the others the swap says what they are expected to be.
                return Some((*number, RoutingValues::read(routing.whole(), *channel).ok()?));
            }
            let Entry::Result { decision, number, channel, result, .. } = entry else { return None };
            let operation = self.orders().order(*decision).map_or(Operation::Rollback, |p| p.order.operation);
            let state = self.orders().state_of(operation, *number, *channel);
            // An apply that found nothing to do says nothing of what the one before it left.
            let swap = state.swap().filter(|_| operation != Operation::Apply || state.is_under_way())?;
            let before = RoutingValues::read(swap.before.record.whole(), *channel).ok()?;
            let theirs = || match state {
                SagaState::Superseded { .. }
                | SagaState::Restoring { from: RestoreOrigin::Superseded(_), .. }
                | SagaState::RestoreWritten { from: RestoreOrigin::Superseded(_), .. } => {
                    self.baseline.get(&(*number, *channel)).cloned()
                }
                SagaState::Idle
                | SagaState::Snapshotted { .. }
                | SagaState::Checked { .. }
                | SagaState::Intended(_)
                | SagaState::Written(_)
                | SagaState::ReadBack(_)
                | SagaState::Proven(_)
                | SagaState::Unproven(_)
                | SagaState::Restoring { .. }
                | SagaState::RestoreWritten { .. }
                | SagaState::Restored(_)
                | SagaState::Failed(_)
                | SagaState::Refused(_) => None,
            };
            match result {
                OrderResult::Written | OrderResult::Proven => Some((*number, before.after(&swap.wrote))),
                // What a forced restore did not write stays as somebody else has left it.
                OrderResult::Restored => {
                    let undo = before.undo(&swap.wrote);
                    Some((*number, theirs().map_or(before, |theirs| theirs.after(&undo))))
                }
                // What our writes may have left follows from the state.
                OrderResult::Unproven | OrderResult::Failed | OrderResult::Refused | OrderResult::Superseded => None,
            }
        };
        entries.iter().filter_map(one).collect()
    }

    /// From now on numbers are expected to be so.
    pub(super) async fn set_baseline(&mut self, at: Time, baseline: Vec<(NumberId, RoutingValues)>) {
        if baseline.is_empty() {
            return;
        }
        if let Err(error) = self.shared.store.remember_routing(at, &baseline).await {
            tracing::warn!(%error, cure = error.cure, "what numbers point at is not written down: a change while no agent runs would go unnoticed");
        }
        self.baseline.extend(baseline.into_iter().map(|(number, values)| ((number, values.channel()), values)));
    }

    /// Somebody else changed a number: who is asked, unless that is asked already.
    pub(super) fn ask_about(&mut self, sid: NumberSid, drifted: Drifted) {
        let key = (drifted.number, drifted.channel);
        if !drifted.differences.is_empty() && self.asked.insert(key) {
            self.ask_who(drifted.read_at, sid, drifted);
        }
    }

    /// Asks Twilio's audit log who it was, and then tells the control task.
    fn ask_who(&mut self, at: Time, sid: NumberSid, mut drifted: Drifted) {
        let (client, clock, inbox) = (self.shared.client.clone(), self.shared.clock.clone(), self.inbox.clone());
        let own = clock.clone();
        let name = self.shared.roster.name(drifted.number);
        clock.spawn(&mut self.asking, async move {
            match client.changes(sid, at - AUDIT_BACK).await {
                Ok(changes) => drifted.actor = changes.into_iter().next(),
                Err(error) => tracing::warn!(number = %name, %error, "cannot ask who changed it"),
            }
            if let Some(inbox) = inbox.upgrade() {
                // The agent may be stopping; the next one sees the same difference.
                let _ = own.wait(None, inbox.send(ControlMessage::Drifted(drifted))).await;
            }
        });
    }

    /// Somebody else changed a number, and we know who, or that it cannot be known.
    pub async fn drifted(&mut self, now: Time, drifted: Drifted) {
        let Drifted { number, channel, differences, now: values, read_at, actor } = drifted;
        let name = self.shared.roster.name(number);
        self.asked.remove(&(number, channel));
        let is_overtaken = self.last_look((number, channel)).is_some_and(|t| read_at < t);
        if is_overtaken || !self.orders().is_untouched_since(read_at, number, channel) {
            // An order has had the number meanwhile, and has compared for itself; or it is known what it was later.
            return;
        }
        if self.handed_over(now, number, channel, (&values, read_at, actor.as_ref())).await {
            return;
        }
        let what: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let who = actor.as_ref().map_or("unknown", Line::as_str).to_owned();
        let entry = Entry::Drift { number, channel, differences, actor };
        if let Err(error) = self.commit(vec![entry]).await {
            tracing::error!(number = %name, %channel, %error, cure = error.cure, "a change that is not ours is not in the journal");
            return;
        }
        self.looked_at.insert((number, channel), read_at);
        self.set_baseline(now, vec![(number, values)]).await;
        tracing::error!(number = %name, %channel, who, "somebody else changed this number: {}", what.join("; "));
        let Some(ix) = self.shared.roster.find(number) else { return };
        self.shared.metrics.drift(ix, channel, true);
    }

    /// True if the change is one that the configuration said would come: it is adopted.
    async fn handed_over(
        &mut self,
        now: Time,
        number: NumberId,
        channel: Channel,
        (values, read_at, actor): (&RoutingValues, Time, Option<&Line>),
    ) -> bool {
        let roster = self.shared.roster.clone();
        let Some(ix) = roster.find(number) else { return false };
        let Some(owner) = &roster.group_of(ix).handler[channel.index()].owner else { return false };
        // The record that the engine has is of the same look, or of a later one.
        let Some(record) = self.control.engine().record(ix).filter(|record| values.is_of(record)) else { return false };
        if !owner.answers(record, channel) {
            return false;
        }
        let found = FoundRouting { record: record.clone(), values: values.clone(), read_at, actor: actor.cloned() };
        let (by, baseline) = (AdoptedBy::Owner(owner.name.clone()), self.baseline.get(&(number, channel)));
        let what = Adopting { roster: &roster, number: ix, channel, by: &by, baseline };
        let Some(entries) = self.orders().handed_over(what, &found) else { return false };
        if let Err(error) = self.commit(entries).await {
            let name = self.shared.roster.name(number);
            tracing::error!(number = %name, %channel, %error, cure = error.cure, "a change that was expected is not in the journal");
            return true;
        }
        self.set_baseline(self.shared.clock.now().max(now), vec![(number, found.values)]).await;
        true
    }
}
