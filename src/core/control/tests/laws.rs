//! What is true at all times, counted beside the control and by other means.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::executor::Task;
use super::world::{BIN, OWNED, Slot, WANTED, World, by, values};
use crate::control::Control;
use crate::detect::engine::RollbackProgress;
use crate::model::decision::{DecisionId, Mode};
use crate::model::guard::{Guard, Strength};
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::{AdoptedBy, By, CloseReason, FallbackState, Operation, Order, OrderResult};
use crate::model::time::Time;
use crate::model::verdict::Verdict;
use crate::notice::NoticeStatus;
use crate::rollback::entry::Entry;
use crate::rollback::guard::{Freshness, allowed};
use crate::rollback::operator::{OperatorRequest, PlannedAction, Preview};
use crate::rollback::orders::{PendingRollback, Saga, Surroundings, Witness};
use crate::rollback::saga::SagaState;
use crate::routing::values::RoutingValues;

/// What the laws remember.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Every pair that was ever ordered, every snapshot and intent, and every write.
    ordered: BTreeSet<(DecisionId, Slot)>,
    decided: BTreeSet<DecisionId>,
    snapshots: BTreeSet<Slot>,
    intents: BTreeSet<(DecisionId, Slot)>,
    writes: BTreeMap<(DecisionId, Slot), u32>,
    written: BTreeMap<Slot, u64>,
    /// How often others wrote; and when to each.
    pub edits: u64,
    edited: BTreeMap<Slot, u64>,
    /// When each number of a decision was first asked about, and until when; apart for vetoes.
    asked: BTreeMap<(DecisionId, NumberId), (Time, Time)>,
    vetoes: BTreeMap<(DecisionId, NumberId), (Time, Time)>,
    /// Served since the last stage of a restore was done.
    stages: BTreeMap<DecisionId, (Time, BTreeSet<Witness>)>,
    vouched: BTreeSet<DecisionId>,
    /// Whose swap somebody else has undone, until a swap or a restore of ours succeeds.
    undone: BTreeSet<Slot>,
    /// What was adopted and neither rolled back nor applied to since; or not applied to; and what a person adopted,
    /// until it is another's or an apply's.
    adopted: BTreeSet<Slot>,
    adopted_over: BTreeSet<Slot>,
    vouched_for: BTreeSet<Slot>,
    /// Times of restores that were undone by a rollback of the detector's, those within a minute once.
    restored: BTreeMap<Slot, Time>,
    relapses: BTreeMap<(GroupName, Channel), Vec<Time>>,
}

impl Seen {
    pub fn edited(&mut self, slot: Slot) {
        self.edits += 1;
        self.edited.insert(slot, self.edits);
        // Should that be what the snapshot has, it looks as if our write had never happened.
        self.writes.retain(|(_, s), _| *s != slot);
    }

    /// An answer was lost: whoever looks and finds nothing may write it once more.
    pub fn lost(&mut self, order: DecisionId, slot: Slot) {
        self.writes.remove(&(order, slot));
    }

    pub fn is_edited(&self, slot: Slot) -> bool {
        self.edited.contains_key(&slot)
    }

    pub fn writes_to(&self, slot: Slot) -> u64 {
        self.written.get(&slot).copied().unwrap_or(0)
    }

    pub fn served(&mut self, control: &Control, slot: Slot, at: Time, by: Witness) {
        for (id, (since, served)) in &mut self.stages {
            if has_ended(control, *id, slot) && *since <= at {
                served.insert(by);
            }
        }
    }

    pub fn not_served(&mut self, control: &Control, slot: Slot, by: Witness) {
        for (id, (_, served)) in &mut self.stages {
            if has_ended(control, *id, slot) {
                served.remove(&by);
            }
        }
    }

    /// Who was served is not written down.
    pub fn restarted(&mut self) {
        self.stages.values_mut().for_each(|(_, served)| served.clear());
    }
}

fn has_ended(control: &Control, order: DecisionId, (number, channel): Slot) -> bool {
    let p = control.orders().order(order).filter(|p| p.order.channel == channel);
    p.is_some_and(|p| p.ended.contains_key(&number))
}

impl World {
    /// At the moment at which something is decided, before it is written.
    pub(super) fn check_decided(&self, entry: &Entry) {
        match entry {
            Entry::Order(order) => self.check_guards(order),
            Entry::Closed { decision, channel, numbers, why } => match why {
                CloseReason::Recovered => {
                    let pending = self.orders().pending().find(|p| p.decision.id == *decision).unwrap();
                    let age = self.now.since(pending.decision.at);
                    for n in numbers {
                        assert_ne!(self.view().freshness(*channel), Freshness::Stale, "law 4: recovered while blind");
                        let is_healthy = self.view().verdict(*n, *channel) == Verdict::Healthy;
                        let least = if is_healthy { 60 } else { 600 };
                        assert!(age >= Duration::from_secs(least), "{decision} is over after {age:?}");
                        let group = self.view().group_verdict(&pending.decision.group, *channel);
                        assert!(!matches!(group, Verdict::Failing | Verdict::Suspect), "{decision} is over in trouble");
                    }
                }
                CloseReason::TimedOut => {
                    for n in numbers {
                        let asked = self.seen.asked.get(&(*decision, *n));
                        let (from, until) = asked.unwrap_or_else(|| panic!("{decision} timed out unasked"));
                        let is_whole = *until >= *from + self.setup.approve_within;
                        assert!(is_whole && *until <= self.now, "{decision} timed out before its time: {from} {until}");
                    }
                }
                CloseReason::OnFallback => {
                    for n in numbers {
                        assert!(self.orders().state(*n, *channel).is_on_fallback(), "{decision}: {n:?} is elsewhere");
                    }
                }
                CloseReason::Relapsed => {}
                CloseReason::Countermanded | CloseReason::Observing => panic!("nobody commanded it: {decision}"),
                CloseReason::Adopted => panic!("nobody adopted anything: {decision}"),
            },
            Entry::Stage { decision, .. } => {
                let p = self.orders().order(*decision).unwrap();
                if let Some((_, served)) = self.seen.stages.get(decision) {
                    let is_vouched = self.seen.vouched.contains(decision);
                    assert!(served.len() >= 3 || is_vouched, "the next stage of {decision} after {served:?}");
                }
                for n in p.ended.keys() {
                    let verdict = self.view().verdict(*n, p.order.channel);
                    assert!(!matches!(verdict, Verdict::Failing | Verdict::Suspect), "the next stage after a relapse");
                }
            }
            Entry::Decision(_)
            | Entry::Refused { .. }
            | Entry::Asked { .. }
            | Entry::Approved { .. }
            | Entry::Snapshot { .. }
            | Entry::Checked { .. }
            | Entry::Intent { .. }
            | Entry::Written { .. }
            | Entry::Result { .. }
            | Entry::Lost { .. }
            | Entry::Landed { .. }
            | Entry::Recovered { .. }
            | Entry::Phase { .. }
            | Entry::Hold(_)
            | Entry::Release { .. }
            | Entry::Mode { .. }
            | Entry::Ported { .. }
            | Entry::Port(_)
            | Entry::Drift { .. }
            | Entry::Adopted { .. }
            | Entry::Started { .. }
            | Entry::Reloaded { .. }
            | Entry::Fallback { .. } => {}
        }
    }

    /// Law 2, of an order of the detector's.
    fn check_guards(&self, order: &Order) {
        let Order { id, channel, ref group, ref numbers, .. } = *order;
        assert!(self.is_leading, "law 2: ordered without the lease");
        assert_ne!(self.orders().mode(), Mode::Observe, "law 2: ordered in observe");
        let pending = self.orders().pending().find(|p| p.decision.id == id).expect("an order has a decision");
        let view = self.view();
        let freshness = view.freshness(channel);
        assert_ne!(freshness, Freshness::Stale, "law 2: ordered while blind");
        let is_on = |n: &&NumberId| {
            let state = self.orders().state(**n, channel);
            state.is_on_fallback()
                || state.is_under_way()
                || self.orders().swapping(**n, channel).is_some()
                || state.is_unproven()
                || numbers.contains(n)
        };
        let members: Vec<NumberId> = self
            .roster
            .numbers()
            .filter(|(ix, _)| self.roster.group_of(*ix).name == *group)
            .map(|(_, n)| n.id)
            .collect();
        let after = members.iter().filter(is_on).count();
        let strength = Strength::of(&pending.decision.evidence, pending.decision.numbers.len());
        let needs_word = self.orders().mode() == Mode::Confirm
            || freshness == Freshness::Degraded
            || view.is_storm(channel)
            || after > allowed(strength, members.len(), self.setup.cap);
        assert!(pending.is_approved || !needs_word, "law 2: ordered unasked");
        for n in numbers {
            assert!(self.orders().held_by(self.now, group, *n, channel).is_none(), "law 2: ordered while held");
            assert!(self.watches(*n, channel), "law 2: ordered on a channel that is not watched");
            let hold_off = self.orders().not_before(*n, channel);
            assert!(hold_off.is_none_or(|t| t <= self.now), "law 2: ordered in the hold-off");
            let is_undone = self.seen.undone.contains(&(*n, channel));
            assert!(pending.is_approved || !is_undone, "law 7: ordered against another writer, unasked");
            let is_adopted = |n: &NumberId| self.orders().saga(*n, channel).is_some_and(|s| s.adopted.is_some());
            let is_swept_along = is_adopted(n)
                && !pending.decision.numbers.iter().all(is_adopted)
                && view.verdict(*n, channel) != Verdict::Failing;
            assert!(pending.is_approved || !is_swept_along, "what others' callers met takes an adopted number along");
            if self.setup.veto > Duration::ZERO && !pending.is_approved {
                let (from, until) = self.seen.vetoes.get(&(id, *n)).copied().unwrap_or((Time::NEVER, Time::NEVER));
                let is_whole = until <= self.now && from + self.setup.veto <= until;
                assert!(is_whole, "law 2: {id} is ordered before a veto could come: {from} {until}");
            }
        }
    }

    /// An operator's order.
    pub(super) fn check_plan(&self, request: &OperatorRequest, plan: &Preview) {
        for line in &plan.lines {
            let is_relapse = line.detail.contains("relapsed");
            assert!(!(request.force && is_relapse), "forced, and yet held off");
            assert!(!is_relapse || line.action == PlannedAction::Refuse);
        }
        for order in &plan.orders {
            assert!(self.is_leading && self.orders().mode() != Mode::Observe, "law 2: an operator's order");
            for n in &order.numbers {
                let held = self.orders().held_by(self.now, &order.group, *n, order.channel);
                assert!(held.is_none(), "law 2: ordered while held");
                assert!(self.watches(*n, order.channel), "ordered on a channel that is not watched");
            }
        }
    }

    /// Before an entry is applied.
    pub(super) fn before_entry(&mut self, at: Time, entry: &Entry) {
        match entry {
            Entry::Decision(decision) => {
                assert!(self.seen.decided.insert(decision.id), "two decisions {}", decision.id);
            }
            Entry::Order(order) => {
                let is_new = self.seen.decided.insert(order.id);
                assert!(is_new || order.by == By::Detector, "an operator's order has a decision's id: {}", order.id);
                for n in &order.numbers {
                    let slot = (*n, order.channel);
                    assert_eq!(self.orders().ordered(*n, order.channel), None, "two orders at a time");
                    assert!(self.seen.ordered.insert((order.id, slot)), "law 2: twice for one decision");
                    if order.operation == Operation::Rollback {
                        let fallback = self.orders().fallback(&order.group, order.channel);
                        assert_ne!(fallback, FallbackState::Broken, "law 6: to a broken fallback");
                    }
                }
            }
            Entry::Asked { decision, numbers, guard, until, .. } => {
                let Seen { asked, vetoes, .. } = &mut self.seen;
                let (this, other) = if *guard == Guard::Veto { (vetoes, asked) } else { (asked, vetoes) };
                for n in numbers {
                    other.remove(&(*decision, *n));
                    let (_, said) = this.entry((*decision, *n)).or_insert((at, *until));
                    assert_eq!(said, until, "for another reason the same question, within its time: {decision}");
                }
            }
            // What is asked later is another question.
            Entry::Refused { decision, numbers, .. } => {
                for n in numbers {
                    self.seen.asked.remove(&(*decision, *n));
                    self.seen.vetoes.remove(&(*decision, *n));
                }
            }
            Entry::Approved { decision, .. } => {
                self.seen.vouched.insert(*decision);
                self.seen.asked.retain(|(id, _), _| id != decision);
                self.seen.vetoes.retain(|(id, _), _| id != decision);
            }
            Entry::Stage { decision, .. } => {
                self.seen.vouched.remove(decision);
                self.seen.stages.remove(decision);
            }
            Entry::Snapshot { channel, number, .. } => {
                self.seen.snapshots.insert((*number, *channel));
            }
            Entry::Intent { decision, channel, number, .. } => {
                let slot = (*number, *channel);
                self.seen.intents.insert((*decision, slot));
                // What this one puts back is what was there after the adoption, whatever becomes of its write.
                if self.orders().order(*decision).is_some_and(|p| p.order.operation == Operation::Rollback) {
                    self.seen.adopted.remove(&slot);
                }
            }
            Entry::Result { decision, channel, number, result: OrderResult::Proven, .. } => {
                let state = self.orders().state(*number, *channel);
                assert!(state.order() == Some(*decision), "law 5: a proof of another swap");
            }
            Entry::Drift { number, channel, .. } => {
                if self.orders().state(*number, *channel).is_on_fallback() {
                    self.seen.undone.insert((*number, *channel));
                }
                self.seen.vouched_for.remove(&(*number, *channel));
            }
            Entry::Adopted { number, channel, routing, by, .. } => {
                let slot = (*number, *channel);
                let is = RoutingValues::read(routing.whole(), *channel).unwrap();
                assert!(
                    [BIN, ""].iter().all(|url| is != values(*channel, url)),
                    "the fallback, or nothing, is adopted"
                );
                match by {
                    AdoptedBy::Operator(_) => {
                        self.seen.undone.remove(&slot);
                        self.seen.vouched_for.insert(slot);
                    }
                    AdoptedBy::Owner(_) => {
                        if self.orders().state(*number, *channel).is_on_fallback() {
                            self.seen.undone.insert(slot);
                        }
                        self.seen.vouched_for.remove(&slot);
                    }
                }
                self.seen.adopted.insert(slot);
                self.seen.adopted_over.insert(slot);
                self.seen.restored.remove(&slot);
            }
            Entry::Closed { .. }
            | Entry::Checked { .. }
            | Entry::Written { .. }
            | Entry::Result { .. }
            | Entry::Lost { .. }
            | Entry::Landed { .. }
            | Entry::Recovered { .. }
            | Entry::Phase { .. }
            | Entry::Hold(_)
            | Entry::Release { .. }
            | Entry::Mode { .. }
            | Entry::Ported { .. }
            | Entry::Port(_)
            | Entry::Started { .. }
            | Entry::Reloaded { .. }
            | Entry::Fallback { .. } => {}
        }
    }

    /// After it was.
    pub(super) fn after_entry(&mut self, at: Time, entry: &Entry) {
        if let Entry::Adopted { number, channel, .. } = entry {
            let state = self.orders().state(*number, *channel);
            assert!(state.swap().is_none(), "what is adopted would be put back: {}", state.label());
            let waits = |p: &PendingRollback| p.decision.channel == *channel && p.waiting.contains(number);
            assert!(!self.orders().pending().any(waits), "what was seen of another handler is still asked about");
        }
        if let Entry::Landed { number, channel, routing, .. } = entry {
            let slot = (*number, *channel);
            // Somebody else may have written the same: nobody can tell.
            let late = self.handlers.get_mut(&slot).filter(|(_, writer)| *writer == super::world::Writer::UsLate);
            if let Some((_, writer)) = late {
                *writer = super::world::Writer::Us;
            }
            // What is put back is what it had until then.
            let is = RoutingValues::read(routing.whole(), *channel).unwrap();
            assert!(is != values(*channel, BIN), "the fallback would be put back");
            self.seen.restored.remove(&slot);
            self.seen.adopted.remove(&slot);
        }
        let Entry::Result { decision, channel, number, result, .. } = entry else { return };
        let (order, left) = {
            let p = self.control.orders().order(*decision).unwrap();
            (p.order.clone(), p.left())
        };
        let slot = (*number, *channel);
        if result.is_as_asked() {
            self.seen.undone.remove(&slot);
        }
        if order.staged && left.is_empty() {
            self.seen.stages.insert(*decision, (at, BTreeSet::new()));
        }
        match (order.operation, result) {
            (Operation::Restore, OrderResult::Restored) => {
                self.seen.restored.insert(slot, at);
            }
            (Operation::Rollback, OrderResult::Written | OrderResult::Proven) => {
                let was = self.seen.restored.remove(&slot);
                let is_relapse = was.is_some_and(|t| at.since(t) < Duration::from_secs(24 * 3600));
                if is_relapse && order.by == By::Detector {
                    let times = self.seen.relapses.entry((order.group.clone(), *channel)).or_default();
                    if times.last().is_none_or(|t| at.since(*t) >= Duration::from_secs(60)) {
                        times.push(at);
                    }
                }
            }
            _ => {}
        }
    }

    /// Laws 1, 2 and 7, at the moment of a write.
    pub(super) fn check_write(&mut self, task: &Task, slot: Slot, url: &str, read_at: u64) {
        let Order { id, operation, force, .. } = task.order;
        assert!(self.seen.intents.contains(&(id, slot)), "law 1: written without an intent");
        assert!(self.seen.snapshots.contains(&slot), "law 1: written without a snapshot");
        let now = &self.handlers[&slot].0;
        // Between the look and the write lies a gap of one request.
        let was_just_now = self.is_late(slot) || self.seen.edited.get(&slot).is_some_and(|t| *t > read_at);
        if operation == Operation::Restore && !force && !was_just_now {
            assert!(now == BIN || now == url || !self.is_theirs(slot), "law 7: a restore writes over {now}");
        }
        // It was what the file asks when we came, or somebody's who had it before.
        if operation == Operation::Undo && !force && !was_just_now {
            assert!(now == WANTED || now == url || !self.is_theirs(slot), "law 7: an undo writes over {now}");
        }
        if operation == Operation::Apply && !was_just_now {
            assert_ne!(now, BIN, "an apply takes a number from its fallback");
            let read = task.order.terms.as_ref().and_then(|t| t.reads.get(&slot.0));
            assert!(read.is_none_or(|read| read == now), "law 7: an apply writes over {now}, and {read:?} was seen");
        }
        match operation {
            Operation::Rollback => {}
            Operation::Apply => {
                assert!(force || !self.seen.vouched_for.contains(&slot), "an apply over what a person has adopted");
                assert!(was_just_now || now != OWNED, "an apply takes a number from whom it is handed over to");
                self.seen.adopted.remove(&slot);
                self.seen.adopted_over.remove(&slot);
                self.seen.vouched_for.remove(&slot);
            }
            Operation::Restore => {
                assert!(!self.seen.adopted.contains(&slot), "law 7: what was adopted is written over, forced or not");
            }
            Operation::Undo => {
                let is_undone = self.seen.adopted_over.contains(&slot);
                assert!(!is_undone, "law 7: what was applied before an adoption is undone, forced or not");
            }
        }
        *self.seen.written.entry(slot).or_default() += 1;
        let writes = self.seen.writes.entry((id, slot)).or_default();
        *writes += 1;
        // Whoever forces writes over what others have written meanwhile.
        assert!(*writes == 1 || force, "law 2: written twice for one decision");
    }

    /// A write of ours has landed on it, and nobody has looked since.
    pub(super) fn is_late(&self, slot: Slot) -> bool {
        self.handlers[&slot].1 == super::world::Writer::UsLate
    }

    pub(super) fn is_theirs(&self, slot: Slot) -> bool {
        self.handlers[&slot].1 == super::world::Writer::Other
    }

    /// What is true at all times.
    pub(super) fn check(&self) {
        let orders = self.orders();
        let mut claims: BTreeMap<Slot, DecisionId> = BTreeMap::new();
        for p in orders.open_orders() {
            for n in p.left().into_iter().chain(p.later()) {
                let slot = (n, p.order.channel);
                if let Some(other) = claims.insert(slot, p.order.id) {
                    panic!("{n:?} has two orders: {other} and {}", p.order.id);
                }
                assert_eq!(orders.ordered(n, p.order.channel), Some(p.order.id), "a claim belongs to its order");
            }
        }
        for (slot, saga) in self.slots.iter().filter_map(|s| Some((*s, orders.saga(s.0, s.1)?))) {
            let (number, channel) = slot;
            if orders.ordered(number, channel).is_some() {
                assert!(claims.contains_key(&slot), "a claim without an order");
                continue;
            }
            let is_under_way = saga.state.is_under_way() || saga.applied.state().is_under_way();
            assert!(!is_under_way, "{number:?} {channel} is under way, and no order has it");
            let url = &self.handlers[&slot].0;
            if saga.state.is_on_fallback() {
                assert!(url == BIN || self.is_theirs(slot) || self.is_late(slot), "thought on the fallback: {url}");
            }
            if url == BIN && self.handlers[&slot].1 == super::world::Writer::Us {
                // By a clock that was set back, what was read before a swap seems to be read after it.
                let is_known = saga.state.swap().is_some() || self.is_set_back;
                assert!(is_known, "our own write is on {number:?}: {}", saga.state.label());
            }
            // What lies beneath a rollback is there again after it.
            if saga.state.swap().is_none() && matches!(saga.applied.state(), SagaState::ReadBack(_)) {
                let is_else = self.is_theirs(slot) || self.is_late(slot);
                assert!(url == WANTED || is_else, "thought applied: {url}");
            }
            let ix = self.roster.find(number).unwrap();
            let is_muted = matches!(self.control.engine().channel(ix, channel).rollback, RollbackProgress::Done(_));
            assert!(is_muted == saga.state.is_on_fallback(), "{number:?} {channel} {}: the engine", saga.state.label());
            // Who must act has been told.
            let is_old = saga.since.is_some_and(|t| t + Duration::from_secs(120) <= self.now);
            if is_old && matches!(saga.state, SagaState::Unproven(_)) {
                let key = format!("{}/{channel}/handler", self.roster.group_of(ix).name);
                let landed = format!("landed/{}/{channel}", number.key());
                let is_told = self.named.get(&key).is_some_and(|numbers| numbers.contains(&number))
                    || self.latest.contains_key(&landed);
                assert!(is_told || self.is_set_back, "law 5: {number:?} is unproven, and nobody is told");
            }
        }
        for ((group, channel), times) in &self.seen.relapses {
            let doubled = 1u32 << (times.len() - 1).min(20);
            let wait = (Duration::from_secs(1800) * doubled).min(Duration::from_secs(24 * 3600));
            let until = *times.last().unwrap() + wait;
            let is = orders.no_restore_before(group, *channel);
            assert!(is.is_some_and(|t| t <= until), "restores are held off until {is:?}, not {until}");
        }
    }

    /// With nothing in the way, everything comes to an end, and nothing is left but what was asked.
    pub(super) fn settle(&mut self) {
        self.restart();
        self.in_flight.iter_mut().for_each(|write| write.steps = 0);
        self.land();
        (self.polls, self.is_leading, self.store_fails, self.cost) = (true, true, false, Duration::ZERO);
        self.absent.clear();
        self.verdicts.clear();
        self.group_verdicts = [[Verdict::Unknown; 2]; 2];
        self.commit(vec![Entry::Mode { mode: Mode::Auto, by: by() }]).unwrap();
        let held: Vec<_> = self.orders().holds(self.now).map(|h| h.scope.clone()).collect();
        self.commit(held.into_iter().map(|scope| Entry::Release { scope, by: by() }).collect()).unwrap();
        let mut good = Vec::new();
        for group in super::world::GROUPS {
            for channel in Channel::ALL {
                good.push(Entry::fallback(group.parse().unwrap(), channel, FallbackState::Good));
            }
        }
        self.commit(good).unwrap();
        self.now = self.now + Duration::from_secs(48 * 3600);
        for _ in 0..4 {
            self.round();
        }
        assert_eq!(self.orders().open_orders().count(), 0, "every order ends");
        let is_under_way = |s: &Saga| s.state.is_under_way() || s.applied.state().is_under_way();
        let under_way: Vec<_> = self.orders().sagas().filter(|(_, _, s)| is_under_way(s)).collect();
        assert!(under_way.is_empty(), "law 8: {under_way:?}");
        assert_eq!(self.orders().pending().count(), 0, "every decision ends");
        for operation in [Operation::Rollback, Operation::Restore, Operation::Undo] {
            let numbers = self.roster.numbers().map(|(ix, _)| ix).collect();
            self.operator(&OperatorRequest { operation, numbers, channel: None, by: by(), force: true, at_once: true });
            self.round();
            self.round();
        }
        for slot in &self.slots {
            let state = self.orders().state(slot.0, slot.1);
            assert!(state.swap().is_none(), "{:?} cannot be put back: {}", slot.0, state.label());
            let url = &self.handlers[slot].0;
            let applied = self.orders().applied(slot.0, slot.1);
            assert!(applied.swap().is_none(), "{:?} cannot be undone: {}", slot.0, applied.label());
            let is_as_before = *url == format!("https://app/{}", slot.0.e164);
            assert!(
                is_as_before || self.seen.is_edited(*slot) || self.is_set_back,
                "{:?} was put back to {url}",
                slot.0
            );
            let ix = self.roster.find(slot.0).unwrap();
            assert!(
                !self.control.engine().is_stuck(ix, slot.1),
                "{:?} {} is never decided about again",
                slot.0,
                slot.1
            );
        }
        for slot in self.slots.clone() {
            self.verdict(slot, Verdict::Healthy);
        }
        self.now = self.now + Duration::from_secs(7200);
        self.step();
        let firing: Vec<_> =
            self.latest.values().filter(|n| n.status == NoticeStatus::Firing).map(|n| (&n.key, &n.title)).collect();
        assert!(firing.is_empty() || self.is_set_back, "nothing is wrong any more, and yet: {firing:?}");
        self.restart();
    }

    /// Everything that can be done is done.
    fn round(&mut self) {
        for id in self.orders().open_orders().filter(|p| p.order.staged).map(|p| p.order.id).collect::<Vec<_>>() {
            self.commit(vec![Entry::Approved { decision: id, by: by() }]).unwrap();
        }
        self.step();
        for _ in 0..200 {
            if self.tasks.is_empty() {
                break;
            }
            self.work(0, 9);
            self.step();
        }
        while !self.calls.is_empty() || !self.wanted_calls.is_empty() {
            self.call();
            self.answer(0, 0);
            self.step();
        }
        self.now = self.now + Duration::from_secs(1200);
        self.step();
        self.check();
    }
}
