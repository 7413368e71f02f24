//! What each entry of the journal changes in [`Orders`].

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AdoptedHandler, Backoff, OrderState, Orders, PendingRollback, RELAPSE_WITHIN, RETRY_AFTER, RETRY_AT_MOST, Saga,
    Standing, Witness,
};
use crate::model::decision::{Action, Decision, DecisionId, Mode};
use crate::model::guard::Guard;
use crate::model::id::{Channel, NumberId};
use crate::model::order::{AdoptedBy, By, Operation, Order, OrderResult};
use crate::model::time::Time;
use crate::rollback::entry::Entry;
use crate::rollback::fallbacks::FallbackFound;
use crate::rollback::late::{self, Intended, LateWrite};
use crate::rollback::plan;
use crate::rollback::saga::{Illegal, SagaEvent, SagaState, Snapshot};
use crate::routing::values::RoutingValues;

impl Orders {
    /// Takes in one entry, as it was written at `at`.
    pub fn fold(&mut self, at: Time, entry: &Entry) -> Result<(), Illegal> {
        if let Some(id) = entry.decision() {
            self.last_id = self.last_id.max(id);
        }
        match entry {
            Entry::Decision(decision) => {
                if decision.action == Action::Rollback {
                    self.take_over(decision);
                    let waiting = decision.numbers.iter().copied().collect();
                    let pending = PendingRollback {
                        decision: decision.clone(),
                        waiting,
                        is_approved: false,
                        standing: BTreeMap::new(),
                    };
                    self.pending.insert(decision.id, pending);
                }
            }
            Entry::Order(order) => self.fold_order(at, order),
            Entry::Stage { decision, numbers, .. } => {
                if let Some(p) = self.orders.get_mut(decision) {
                    p.released.extend(numbers);
                    p.verifying = None;
                    p.is_vouched = false;
                }
            }
            Entry::Refused { decision, numbers, guard, .. } => {
                self.fold_standing(*decision, numbers, Standing::Refused(*guard));
            }
            Entry::Asked { decision, numbers, guard: Guard::Veto, until, .. } => {
                self.fold_standing(*decision, numbers, Standing::Veto { until: *until });
            }
            Entry::Asked { decision, numbers, guard, until, .. } => {
                self.fold_standing(*decision, numbers, Standing::Approval { guard: *guard, until: *until });
            }
            Entry::Approved { decision, .. } => {
                if let Some(pending) = self.pending.get_mut(decision) {
                    pending.is_approved = true;
                    // The question is answered: what asks later asks anew.
                    pending.standing.retain(|_, s| matches!(s, Standing::Refused(_)));
                }
                if let Some(p) = self.orders.get_mut(decision) {
                    p.is_vouched = true;
                }
            }
            Entry::Closed { decision, channel, numbers, .. } => {
                self.take_from_pending(*decision, numbers);
                // Of a rollback only what was not ordered lapses; a restore ends with the stages it had.
                if let Some(p) = self.orders.get_mut(decision).filter(|p| p.order.staged) {
                    let given_up: Vec<NumberId> = p.later().filter(|n| numbers.contains(n)).collect();
                    p.given_up.extend(&given_up);
                    p.settle();
                    given_up.into_iter().for_each(|n| self.let_go(*decision, n, *channel));
                }
            }
            Entry::Snapshot { decision, channel, number, sid, record, .. } => {
                let snapshot = Snapshot { sid: *sid, record: record.clone() };
                self.advance(at, *decision, *number, *channel, SagaEvent::Snapshotted(snapshot))?;
                let saga = self.sagas.entry((*number, *channel)).or_default();
                // Somebody else's work is what will be put back.
                if saga.state.is_under_way() && !is_left(saga.applied.state(), record.whole(), *channel) {
                    saga.applied.lost(at);
                }
            }
            Entry::Checked { decision, channel, number, fallback } => {
                self.advance(at, *decision, *number, *channel, SagaEvent::Checked(*fallback))?;
            }
            Entry::Intent { decision, channel, number, operation, update, sid } => {
                self.advance(at, *decision, *number, *channel, SagaEvent::Intended(*operation, update.clone()))?;
                let (order, operation, sid, update) = (*decision, *operation, *sid, update.clone());
                let saga = self.sagas.entry((*number, *channel)).or_default();
                saga.intended = Some(Intended { order, operation, sid, update });
            }
            Entry::Written { decision, channel, number } => {
                self.advance(at, *decision, *number, *channel, SagaEvent::Written)?;
            }
            Entry::Result { decision, channel, number, result, detail } => {
                self.fold_result(at, *decision, *number, *channel, *result, detail)?;
            }
            Entry::Lost { decision, channel, number, until } => {
                let saga = self.sagas.entry((*number, *channel)).or_default();
                if let Some(write) = saga.intended.clone().filter(|write| write.order == *decision) {
                    let state = if write.operation.is_of_fallback() { &saga.state } else { saga.applied.state() };
                    let own = state.swap().map_or_else(|| "{}".into(), |swap| swap.before.record.clone());
                    late::remember(&mut saga.late, at, LateWrite { write, own, until: *until });
                }
            }
            Entry::Landed { decision, channel, number, sid, on, routing, update } => {
                let saga = self.sagas.entry((*number, *channel)).or_default();
                let landing = late::landing(*decision, *sid, *on, routing, update);
                saga.advance(at, *decision, SagaEvent::Landed(landing))?;
                saga.since = Some(at);
                // What was put back has not relapsed: we took it away ourselves.
                saga.restored_at = None;
            }
            Entry::Hold(hold) => {
                // A later hold on the same scope replaces the earlier one.
                self.holds.retain(|h| h.scope != hold.scope);
                self.holds.push(hold.clone());
            }
            Entry::Release { scope, .. } => self.holds.retain(|h| h.scope != *scope),
            Entry::Mode { mode, .. } => {
                if *mode != self.mode {
                    // Who said yes did so in the mode that was in force.
                    self.pending.values_mut().for_each(|p| p.is_approved = false);
                    self.orders.values_mut().for_each(|p| p.is_vouched = false);
                    if *mode == Mode::Observe {
                        self.orders.values_mut().for_each(|p| p.is_stopped = !p.is_over);
                    }
                }
                self.mode = *mode;
            }
            Entry::Drift { number, channel, .. } => {
                let key = (*number, *channel);
                let saga = self.sagas.entry(key).or_default();
                let order = saga.state.order().unwrap_or(DecisionId(0));
                let was = saga.state.label();
                saga.advance(at, order, SagaEvent::Drifted)?;
                saga.applied.lost(at);
                saga.is_foreign = true;
                saga.adopted = None;
                if saga.state.label() != was {
                    saga.since = Some(at);
                }
            }
            Entry::Adopted { number, channel, routing, by, .. } => {
                let saga = self.sagas.entry((*number, *channel)).or_default();
                let order = saga.state.order().unwrap_or(DecisionId(0));
                let was = saga.state.label();
                saga.advance(at, order, SagaEvent::Adopted)?;
                saga.applied.adopted(at);
                saga.is_foreign = false;
                // If a person has looked, the next swap need not ask because of it. What was only expected is not
                // fought.
                saga.is_undone &= !matches!(by, AdoptedBy::Operator(_));
                // What was put back is there no more, and has not relapsed.
                saga.restored_at = None;
                if saga.state.label() != was {
                    saga.since = Some(at);
                }
                saga.adopted = Some(AdoptedHandler { at, routing: routing.clone(), by: by.clone() });
            }
            Entry::Fallback { group, channel, url, state, broken_for, detail } => {
                let (url, broken_for, detail) = (url.clone(), broken_for.clone(), detail.clone());
                self.fallbacks.set(group, *channel, FallbackFound { url, state: *state, broken_for, detail });
            }
            Entry::Recovered { .. }
            | Entry::Phase { .. }
            | Entry::Ported { .. }
            | Entry::Port(_)
            | Entry::Started { .. }
            | Entry::Reloaded { .. } => {}
        }
        Ok(())
    }

    pub(super) fn fold_order(&mut self, at: Time, order: &Order) {
        self.take_from_pending(order.id, &order.numbers);
        self.ordered.extend(order.numbers.iter().map(|n| ((*n, order.channel), order.id)));
        let released = if order.staged { BTreeSet::new() } else { order.numbers.iter().copied().collect() };
        match self.orders.get_mut(&order.id) {
            // More numbers of the same decision, let through later.
            Some(p) => {
                p.order.numbers.extend(&order.numbers);
                p.released.extend(released);
                p.is_over = false;
                p.is_stopped = false;
            }
            None => {
                let progress = OrderState {
                    order: order.clone(),
                    at,
                    released,
                    ended: BTreeMap::new(),
                    given_up: BTreeSet::new(),
                    is_vouched: false,
                    is_stopped: false,
                    verifying: None,
                    is_over: false,
                };
                self.orders.insert(order.id, progress);
            }
        }
    }

    fn fold_standing(&mut self, decision: DecisionId, numbers: &[NumberId], standing: Standing) {
        if let Some(pending) = self.pending.get_mut(&decision) {
            pending.standing.extend(numbers.iter().map(|n| (*n, standing)));
        }
    }

    /// The order no longer has this number. Whichever has it meanwhile keeps it.
    fn let_go(&mut self, order: DecisionId, number: NumberId, channel: Channel) {
        if self.ordered(number, channel) == Some(order) {
            self.ordered.remove(&(number, channel));
        }
    }

    /// What is decided on better evidence takes the place of what still waits on less.
    fn take_over(&mut self, decision: &Decision) {
        for pending in self.pending.values_mut().filter(|d| d.decision.channel == decision.channel) {
            pending.waiting.retain(|n| !decision.numbers.contains(n));
        }
        self.pending.retain(|_, d| !d.waiting.is_empty());
    }

    fn take_from_pending(&mut self, decision: DecisionId, numbers: &[NumberId]) {
        if let Some(pending) = self.pending.get_mut(&decision) {
            pending.waiting.retain(|n| !numbers.contains(n));
            if pending.waiting.is_empty() {
                self.pending.remove(&decision);
            }
        }
    }

    fn advance(
        &mut self,
        at: Time,
        order: DecisionId,
        number: NumberId,
        channel: Channel,
        event: SagaEvent,
    ) -> Result<(), Illegal> {
        let operation = self.orders.get(&order).map_or(Operation::Rollback, |p| p.order.operation);
        let saga = self.sagas.entry((number, channel)).or_default();
        if operation.is_of_fallback() {
            saga.advance(at, order, event)?;
            saga.since = Some(at);
            Ok(())
        } else {
            saga.applied.advance(at, order, event)
        }
    }

    fn fold_result(
        &mut self,
        at: Time,
        order: DecisionId,
        number: NumberId,
        channel: Channel,
        end: OrderResult,
        detail: &str,
    ) -> Result<(), Illegal> {
        let is_begun = self.state(number, channel).is_under_way();
        let is_applying = self.applied(number, channel).is_under_way();
        self.advance(at, order, number, channel, SagaEvent::Ended(end))?;
        let progress = self.orders.get_mut(&order);
        let operation = progress.as_ref().map_or(Operation::Rollback, |p| p.order.operation);
        let group = progress.as_ref().map(|p| p.order.group.clone());
        let is_detectors = progress.as_ref().is_some_and(|p| p.order.by == By::Detector);
        if let Some(p) = progress {
            p.end(number, end, detail);
            if p.order.staged && p.left().is_empty() {
                p.verifying = Some((at, BTreeSet::new()));
            }
        }
        self.let_go(order, number, channel);
        let saga = self.sagas.entry((number, channel)).or_default();
        if end.is_as_asked() {
            saga.is_foreign = false;
            if operation.is_of_fallback() {
                saga.is_undone = false;
            } else {
                // What only was so already leaves what was adopted.
                saga.adopted = saga.adopted.take().filter(|_| !is_applying);
                saga.settled_by_apply(at, order);
            }
        }
        match (operation, end) {
            (Operation::Rollback, OrderResult::Written | OrderResult::Proven) => {
                saga.failures = Backoff::default();
                let relapsed = saga.restored_at.take().is_some_and(|t| at.since(t) < RELAPSE_WITHIN);
                // Whom a person rolls back has not relapsed: drills are no evidence.
                if let (true, Some(group)) = (relapsed && is_detectors, group) {
                    let backoff = self.relapses.entry((group, channel)).or_default();
                    // The numbers of one relapse count once.
                    if backoff.last.is_none_or(|t| at.since(t) >= RETRY_AFTER) {
                        backoff.failed(at);
                    }
                }
            }
            // Nothing was begun, for it would not help: the number's configuration has to change first.
            (Operation::Rollback, OrderResult::Refused) if !is_begun => {
                saga.failures.refused(at, RETRY_AFTER, RETRY_AT_MOST);
            }
            (Operation::Rollback, OrderResult::Failed | OrderResult::Unproven | OrderResult::Refused) => {
                saga.failures.failed(at)
            }
            (Operation::Restore, OrderResult::Restored) => saga.restored_at = Some(at),
            (Operation::Rollback, OrderResult::Superseded | OrderResult::Restored)
            | (Operation::Restore | Operation::Apply | Operation::Undo, _) => {}
        }
        Ok(())
    }

    /// A caller of a number that is being restored was served, or a test of ours was.
    pub fn served(&mut self, number: NumberId, channel: Channel, started_at: Time, by: Witness) {
        for p in self.orders.values_mut().filter(|p| p.order.channel == channel && p.ended.contains_key(&number)) {
            if let Some((since, served)) = &mut p.verifying
                && started_at >= *since
            {
                served.insert(by);
            }
        }
    }

    /// Whoever seemed to be served was not, as has come out since.
    pub fn not_served(&mut self, number: NumberId, channel: Channel, by: Witness) {
        for p in self.orders.values_mut().filter(|p| p.order.channel == channel && p.ended.contains_key(&number)) {
            if let Some((_, served)) = &mut p.verifying {
                served.remove(&by);
            }
        }
    }
}

impl OrderState {
    /// Over once each of its numbers has ended or is given up; whatever is said of them later changes nothing.
    pub(super) fn settle(&mut self) {
        self.is_over = self.order.numbers.iter().all(|n| self.ended.contains_key(n) || self.given_up.contains(n));
    }
}

impl Saga {
    /// One step. An illegal one leaves everything as it was.
    fn advance(&mut self, at: Time, order: DecisionId, event: SagaEvent) -> Result<(), Illegal> {
        let was_written = is_written(&self.state);
        self.state = self.state.clone().next(order, event)?;
        let is_theirs = matches!(self.state, SagaState::Superseded { .. });
        self.is_undone |= was_written && is_theirs;
        if is_theirs {
            self.applied.lost(at);
        }
        Ok(())
    }

    /// A person has given the number its handler: what somebody else left of a rollback is over.
    fn settled_by_apply(&mut self, at: Time, order: DecisionId) {
        if matches!(self.state, SagaState::Superseded { .. }) {
            self.state = SagaState::Restored(order);
            self.since = Some(at);
        }
    }
}

/// True if a record has what an apply left, or may have.
fn is_left(applied: &SagaState, record: &str, channel: Channel) -> bool {
    let (Ok(left), Ok(now)) = (plan::left(applied, channel), RoutingValues::read(record, channel)) else { return true };
    left.is_empty() || left.contains(&now)
}

/// True while our write is, or may be, what another writer would undo.
const fn is_written(state: &SagaState) -> bool {
    match state {
        // An earlier attempt wrote too.
        SagaState::Intended(swap) => swap.earlier.is_some(),
        SagaState::Written(_)
        | SagaState::ReadBack(_)
        | SagaState::Proven(_)
        | SagaState::Unproven(_)
        | SagaState::Restoring { .. }
        | SagaState::RestoreWritten { .. } => true,
        SagaState::Idle
        | SagaState::Snapshotted { .. }
        | SagaState::Checked { .. }
        | SagaState::Restored(_)
        | SagaState::Failed(_)
        | SagaState::Refused(_)
        | SagaState::Superseded { .. } => false,
    }
}
