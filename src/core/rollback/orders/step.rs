//! What should be written next: the guards asked about each pending rollback, and the stages of each restore.
//! Changes nothing; the same state at the same time says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{OrderState, Orders, PendingRollback, QUIET_FOR, SETTLED_FOR, Standing, Surroundings, VERIFY_WITHIN};
use crate::model::decision::{Decision, Mode};
use crate::model::guard::Guard;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::{By, CloseReason, Operation, Order};
use crate::model::roster::Roster;
use crate::model::time::Time;
use crate::model::verdict::Verdict;
use crate::rollback::entry::Entry;
use crate::rollback::guard;
use crate::rollback::guard::{Freshness, GuardInputs, Ruling};
use crate::rollback::restore::stages;
use crate::rollback::saga::SagaState;

impl Orders {
    /// The entries that should be written next, in order.
    pub fn step(&self, now: Time, roster: &Roster, watch: &impl Surroundings) -> Vec<Entry> {
        let mut entries = Vec::new();
        // Numbers that this step orders count for the cap of those that follow.
        let mut ordered: BTreeMap<(GroupName, Channel), BTreeSet<NumberId>> = BTreeMap::new();
        for pending in self.pending.values() {
            self.step_pending(now, roster, watch, pending, &mut ordered, &mut entries);
        }
        for progress in self.open_orders().filter(|p| p.order.staged) {
            self.step_restore(now, watch, progress, &mut entries);
        }
        entries
    }

    fn step_pending(
        &self,
        now: Time,
        roster: &Roster,
        watch: &impl Surroundings,
        pending: &PendingRollback,
        ordered: &mut BTreeMap<(GroupName, Channel), BTreeSet<NumberId>>,
        entries: &mut Vec<Entry>,
    ) {
        let Decision { id: decision, channel, ref group, at, .. } = pending.decision;
        let members = roster.groups().find(|(_, g)| g.name == *group).map(|(_, g)| g.numbers.as_slice());
        let members: Vec<NumberId> = members.unwrap_or_default().iter().map(|ix| roster.number(*ix).id).collect();
        let strength = pending.strength();
        let veto = self.settings.veto;
        let percent = self.settings.caps.get(group).copied().unwrap_or(100);
        // What is not proven may be there too, and is counted once, also if it is to be tried again.
        let on_fallback = members.iter().copied().filter(|n| {
            let state = self.state(*n, channel);
            state.is_on_fallback()
                || state.is_under_way()
                || self.swapping(*n, channel).is_some()
                || state.is_unproven()
        });
        let swaps = ordered.entry((group.clone(), channel)).or_default();
        swaps.extend(on_fallback);

        let (mut act, mut swapped, mut recovered, mut timed_out) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut refused: BTreeMap<Guard, Vec<NumberId>> = BTreeMap::new();
        let mut asked: BTreeMap<(Guard, Time), Vec<NumberId>> = BTreeMap::new();
        for number in pending.waiting.iter().copied() {
            if self.ordered(number, channel).is_some() {
                continue;
            }
            if self.state(number, channel).is_on_fallback() {
                swapped.push(number);
                continue;
            }
            let verdicts = [watch.verdict(number, channel), watch.group_verdict(group, channel)];
            let is_calm = verdicts.iter().all(|v| matches!(v, Verdict::Healthy | Verdict::Unknown));
            let calm_for = if verdicts[0] == Verdict::Healthy { SETTLED_FOR } else { QUIET_FOR };
            let is_over = is_calm && at + calm_for <= now;
            if watch.freshness(channel) != Freshness::Stale && is_over {
                recovered.push(number);
                continue;
            }
            let standing = pending.standing.get(&number).copied();
            let facts = GuardInputs {
                is_leading: watch.is_leading(),
                mode: self.mode,
                is_held: self.held_by(now, group, number, channel).is_some(),
                is_watched: roster.find(number).is_some_and(|ix| roster.number(ix).channels[channel.index()]),
                phase: watch.phase(number, channel),
                freshness: watch.freshness(channel),
                is_storm: watch.is_storm(channel),
                fallback: self.fallback_for(group, channel, number),
                not_before: self.not_before(number, channel),
                is_of_another: self.is_undone(number, channel)
                    || verdicts[0] != Verdict::Failing && self.is_swept_along(&pending.decision, number),
                after: swaps.len() + usize::from(!swaps.contains(&number)),
                allowed: guard::allowed(strength, members.len(), percent),
                is_approved: pending.is_approved,
                // Its time begins when nothing else stands against it.
                veto_until: (veto > Duration::ZERO)
                    .then(|| if let Some(Standing::Veto { until }) = standing { until } else { now + veto }),
            };
            match (guard::rule(now, &facts), standing) {
                (Ruling::Act, _) => {
                    act.push(number);
                    swaps.insert(number);
                }
                (Ruling::Refuse(guard), Some(Standing::Refused(said))) if guard == said => {}
                (Ruling::Refuse(guard), _) => refused.entry(guard).or_default().push(number),
                (Ruling::Ask(_), Some(Standing::Approval { until, .. })) if until <= now => timed_out.push(number),
                (Ruling::Ask(guard), Some(Standing::Approval { guard: said, .. })) if guard == said => {}
                // For another reason the same yes, within the time that was given for it.
                (Ruling::Ask(guard), Some(Standing::Approval { until, .. })) => {
                    asked.entry((guard, until)).or_default().push(number);
                }
                (Ruling::Ask(guard), Some(Standing::Refused(_) | Standing::Veto { .. }) | None) => {
                    asked.entry((guard, now + self.settings.approve_within)).or_default().push(number);
                }
                (Ruling::Wait(_), Some(Standing::Veto { .. })) => {}
                (Ruling::Wait(until), Some(Standing::Refused(_) | Standing::Approval { .. }) | None) => {
                    asked.entry((Guard::Veto, until)).or_default().push(number);
                }
            }
        }
        if !act.is_empty() {
            entries.push(Entry::Order(Order {
                id: decision,
                operation: Operation::Rollback,
                channel,
                group: group.clone(),
                numbers: act,
                by: By::Detector,
                force: false,
                staged: false,
                terms: None,
            }));
        }
        entries.extend(refused.into_iter().map(|(guard, numbers)| Entry::Refused {
            decision,
            channel,
            numbers,
            guard,
        }));
        entries.extend(asked.into_iter().map(|((guard, until), numbers)| Entry::Asked {
            decision,
            channel,
            numbers,
            guard,
            until,
        }));
        let closed = [
            (swapped, CloseReason::OnFallback),
            (recovered, CloseReason::Recovered),
            (timed_out, CloseReason::TimedOut),
        ];
        for (numbers, why) in closed {
            if !numbers.is_empty() {
                entries.push(Entry::Closed { decision, channel, numbers, why });
            }
        }
    }

    /// True if a fault that was found in several numbers is said of one that has another handler than the others: what
    /// it was handed over to may serve its callers.
    fn is_swept_along(&self, decision: &Decision, number: NumberId) -> bool {
        let is_adopted = |n: NumberId| self.saga(n, decision.channel).is_some_and(|s| s.adopted.is_some());
        is_adopted(number) && !decision.numbers.iter().all(|n| is_adopted(*n))
    }

    /// The next stage of a staged restore, once the one before was verified: by live callers, and by test calls
    /// where there are any.
    fn step_restore(&self, now: Time, watch: &impl Surroundings, p: &OrderState, entries: &mut Vec<Entry>) {
        let Order { id: decision, channel, .. } = p.order;
        if !p.left().is_empty() || self.mode == Mode::Observe || !watch.is_leading() {
            return;
        }
        let is_bad = |n: &NumberId| {
            !matches!(self.state(*n, channel), SagaState::Restored(order) if *order == decision)
                || matches!(watch.verdict(*n, channel), Verdict::Failing | Verdict::Suspect)
                || self.is_engaged(*n, channel)
        };
        let waiting: Vec<NumberId> = p.later().collect();
        if p.ended.keys().any(is_bad) {
            entries.push(Entry::Closed { decision, channel, numbers: waiting, why: CloseReason::Relapsed });
            return;
        }
        let is_verified = if p.verifying.is_some() { p.unverified_since().is_none() } else { p.released.is_empty() };
        if is_verified {
            let sizes = stages(p.order.numbers.len());
            let mut begun = 0;
            let next = sizes.into_iter().find(|size| {
                begun += size;
                begun > p.released.len()
            });
            let numbers: Vec<NumberId> = waiting.into_iter().take(next.unwrap_or(usize::MAX)).collect();
            // What is held waits, or the write that is refused would pass for a relapse.
            if numbers.iter().any(|n| self.held_by(now, &p.order.group, *n, channel).is_some()) {
                return;
            }
            entries.push(Entry::Stage { decision, channel, numbers });
        }
    }

    /// True if a number's restore waits to be verified.
    pub fn is_verifying(&self, number: NumberId, channel: Channel) -> bool {
        let is_it = |p: &&OrderState| p.order.channel == channel && p.ended.contains_key(&number);
        self.open_orders().filter(is_it).any(|p| p.unverified_since().is_some())
    }

    /// Orders whose current stage has had too few callers and tests, and waits for approval.
    pub fn unverified(&self, now: Time) -> impl Iterator<Item = &OrderState> {
        self.open_orders().filter(move |p| p.unverified_since().is_some_and(|since| since + VERIFY_WITHIN <= now))
    }
}
