//! Test calls, drift looks and restarts.

use std::time::Duration;

use super::executor::record_of;
use super::world::{BIN, Slot, World, Writer, new_control, values};
use crate::control::{Control, Recovery};
use crate::model::guard::Guard;
use crate::model::id::NumberId;
use crate::model::order::{AdoptedBy, LandedOn, OrderResult};
use crate::model::time::Time;
use crate::model::verdict::Verdict;
use crate::notice::{Notice, NoticeStatus};
use crate::rollback::adopt::{Adopting, FoundRouting};
use crate::rollback::entry::Entry;
use crate::rollback::look::{Ground, Known, Look, LookResult};
use crate::rollback::operator::PlannedAction;
use crate::rollback::orders::{Orders, Witness};
use crate::rollback::saga::SagaState;
use crate::routing::values::RoutingValues;

const PROVE_AGAIN: Duration = Duration::from_secs(300);
const LATELY: Duration = Duration::from_secs(6 * 3600);

/// A swap that is put to the test.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProofAttempt {
    of: Option<Time>,
    again: Option<Time>,
}

/// A test call under way.
#[derive(Debug, Clone)]
pub(super) struct TestCall {
    slot: Slot,
    began: Time,
    /// By the count of our own writes.
    writes: u64,
    is_on_bin: bool,
}

/// What a number pointed at when it was read.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    slot: Slot,
    now: RoutingValues,
    url: String,
    writer: Writer,
}

impl Reading {
    fn found(&self, read_at: Time) -> FoundRouting {
        let (number, channel) = self.slot;
        FoundRouting { record: record_of(number, channel, &self.url), values: self.now.clone(), read_at, actor: None }
    }
}

impl World {
    /// Puts swaps to the test that have not been.
    pub(super) fn prove(&mut self) {
        if !self.setup.is_probed {
            return;
        }
        let mut wanted = Vec::new();
        for (number, channel, saga) in self.orders().sagas() {
            let is_wanted = matches!(saga.state, SagaState::ReadBack(_) | SagaState::Restored(_));
            let is_late = saga.since.is_none_or(|t| t + LATELY < self.now);
            let asked = self.proofs.get(&(number, channel));
            let is_due = asked.is_none_or(|a| a.of != saga.since || a.again.is_some_and(|at| at <= self.now));
            if is_wanted && !is_late && is_due {
                wanted.push(((number, channel), saga.since));
            }
        }
        for (slot, of) in wanted {
            self.proofs.insert(slot, ProofAttempt { of, again: None });
            self.wanted_calls.push_back(slot);
        }
    }

    pub(super) fn call(&mut self) {
        if let Some(slot) = self.wanted_calls.pop_front() {
            let is_on_bin = self.handlers[&slot].0 == BIN;
            self.calls.push(TestCall { slot, began: self.now, writes: self.seen.writes_to(slot), is_on_bin });
        }
    }

    /// A test call ends: answered by whoever it reached, failed, or not measured.
    pub(super) fn answer(&mut self, i: u8, what: u8) {
        if self.calls.is_empty() {
            return;
        }
        let call = self.calls.remove(usize::from(i) % self.calls.len());
        let slot @ (number, channel) = call.slot;
        let is_answered = !matches!(what, 1 | 2);
        if is_answered {
            self.served(slot, call.began, Witness::Test(call.began));
        }
        let Some(saga) = self.orders().saga(number, channel) else { return };
        // What was begun before the swap says nothing of what came after it.
        let Some(since) = saga.since.filter(|t| *t <= call.began) else { return };
        let is_verifying = self.orders().is_verifying(number, channel);
        if matches!(saga.state, SagaState::Restored(_)) {
            let again = match what {
                1 => None,
                2 => Some(self.now + PROVE_AGAIN),
                _ => is_verifying.then(|| self.now + Duration::from_secs(15)),
            };
            self.proofs.insert(slot, ProofAttempt { of: Some(since), again });
            return;
        }
        let SagaState::ReadBack(swap) = &saga.state else { return };
        if self.orders().ordered(number, channel).is_some() {
            return;
        }
        let decision = swap.order;
        let result = match what {
            1 => OrderResult::Unproven,
            2 => OrderResult::Written,
            _ if call.is_on_bin => OrderResult::Proven,
            _ => OrderResult::Unproven,
        };
        let is_later = call.writes == self.seen.writes_to(slot) || self.is_set_back;
        assert!(is_later, "law 5: a test from before the swap speaks for it");
        let again = (result == OrderResult::Written).then(|| self.now + PROVE_AGAIN);
        self.proofs.insert(slot, ProofAttempt { of: Some(since), again });
        let entry = Entry::Result { decision, channel, number, result, detail: String::new() };
        if self.commit(vec![entry]).is_err() {
            self.proofs.insert(slot, ProofAttempt { of: Some(since), again: Some(self.now + PROVE_AGAIN) });
            return;
        }
        let since = self.orders().saga(number, channel).and_then(|s| s.since);
        if let Some(asked) = self.proofs.get_mut(&slot) {
            asked.of = since;
        }
    }

    /// A caller or a test of ours was served.
    pub(super) fn served(&mut self, slot: Slot, at: Time, by: Witness) {
        self.seen.served(&self.control, slot, at, by);
        self.control.served(slot.0, slot.1, at, by);
    }

    /// Whoever seemed to be served was not.
    pub(super) fn not_served(&mut self, slot: Slot, by: Witness) {
        self.seen.not_served(&self.control, slot, by);
        self.control.not_served(slot.0, slot.1, by);
    }

    /// The verdict on a number changes.
    pub(super) fn verdict(&mut self, slot: Slot, verdict: Verdict) {
        let was = self.verdicts.insert(slot, verdict).unwrap_or_default();
        if verdict == Verdict::Healthy && was != verdict {
            self.healthy(slot);
        }
    }

    /// The detector calls a number healthy, which it was not.
    fn healthy(&mut self, (number, channel): Slot) {
        if let Some(entry) = self.control.recovered(channel, vec![number]) {
            self.keep(entry);
        }
    }

    pub(super) fn read_all(&mut self) {
        let is_here = |slot: &&Slot| !self.absent.contains(&slot.0);
        let readings = self.slots.iter().filter(is_here).map(|slot| self.reading(*slot)).collect();
        self.readings.push_back((self.now, readings));
    }

    fn reading(&self, slot: Slot) -> Reading {
        let (url, writer) = self.handlers[&slot].clone();
        Reading { slot, now: values(slot.1, &url), url, writer }
    }

    /// When a number was read the last time that something was made of it, by a clock that was not set back since.
    pub(super) fn last_look(&self, slot: Slot) -> Option<Time> {
        self.looks.get(&slot).copied().filter(|t| *t <= self.now)
    }

    /// What a number is held against by an order that has it.
    pub(super) fn ground(&self, slot: Slot) -> Ground {
        self.orders().ground(slot.0, slot.1, self.known(slot))
    }

    fn known(&self, slot: Slot) -> Known<'_> {
        Known { baseline: self.baseline.get(&slot), seen: self.last_look(slot), fallback: Some(BIN) }
    }

    /// What a look at a number shows. Of a late write of ours that has landed the journal knows afterwards.
    fn observe(&mut self, at: Time, reading: &Reading) -> LookResult {
        let slot @ (number, channel) = reading.slot;
        let known = self.known(slot);
        let found = self.orders().found(number, channel, Look { now: &reading.now, read_at: at, known });
        match &found {
            LookResult::Landed(entry) => {
                let Entry::Landed { on, .. } = **entry else { unreachable!() };
                if self.commit(vec![(**entry).clone()]).is_ok() {
                    self.looks.insert(slot, at);
                    if on == LandedOn::OwnHandler {
                        self.baseline.insert(slot, reading.now.clone());
                    }
                }
            }
            LookResult::AsExpected => {
                self.looks.insert(slot, at);
                if reading.writer == Writer::UsLate && self.handlers[&slot].0 == reading.url {
                    self.handlers.insert(slot, (reading.url.clone(), Writer::Us));
                }
            }
            LookResult::First => {
                assert_ne!(reading.writer, Writer::UsLate, "a late write of ours is taken for what was there");
                self.looks.insert(slot, at);
            }
            LookResult::Outdated | LookResult::Foreign { .. } => {}
        }
        found
    }

    /// What the routing poller read arrives.
    pub(super) fn looked(&mut self) {
        let Some((at, readings)) = self.readings.pop_front() else { return };
        for reading in readings {
            let slot = reading.slot;
            match self.observe(at, &reading) {
                LookResult::First => _ = self.baseline.insert(slot, reading.now),
                LookResult::Foreign { .. } if self.asking.iter().all(|(_, r)| r.slot != slot) => {
                    self.asking.push_back((at, reading));
                }
                LookResult::Foreign { .. } | LookResult::Outdated | LookResult::AsExpected | LookResult::Landed(_) => {}
            }
        }
    }

    /// A number is looked at before anything is said of it.
    pub(super) fn look_before_saying(&mut self, slot: Slot) {
        let (at, reading) = (self.now, self.reading(slot));
        self.now = at + Duration::from_millis(1);
        if let LookResult::Foreign { .. } = self.observe(at, &reading) {
            self.asking.push_back((at, reading));
            while !self.asking.is_empty() {
                self.drifted();
            }
        }
    }

    /// It is known who changed a number, or that it cannot be known.
    pub(super) fn drifted(&mut self) {
        let Some((at, reading)) = self.asking.pop_front() else { return };
        let (number, channel) = reading.slot;
        let is_overtaken = self.last_look(reading.slot).is_some_and(|t| at < t);
        if is_overtaken || !self.orders().is_untouched_since(at, number, channel) {
            return;
        }
        let is_theirs = reading.writer == Writer::Other || self.is_set_back;
        assert!(is_theirs, "law 7: our own write is called somebody else's");
        if self.handed_over(at, &reading) {
            return;
        }
        if self.commit(vec![Entry::Drift { number, channel, differences: vec![], actor: None }]).is_ok() {
            self.looks.insert(reading.slot, at);
            self.baseline.insert(reading.slot, reading.now);
        }
    }

    /// True if the change is one that was said to come: it is adopted.
    fn handed_over(&mut self, at: Time, reading: &Reading) -> bool {
        let ix = self.roster.find(reading.slot.0).unwrap();
        let owner = self.roster.group_of(ix).handler[reading.slot.1.index()].owner.clone().unwrap();
        let found = reading.found(at);
        if !owner.answers(&found.record, reading.slot.1) {
            return false;
        }
        let by = AdoptedBy::Owner(owner.name);
        let Some(entries) = self.orders().handed_over(self.adopting(reading.slot, &by), &found) else { return false };
        if self.commit(entries).is_ok() {
            self.baseline.insert(reading.slot, reading.now.clone());
        }
        true
    }

    fn adopting<'a>(&'a self, (number, channel): Slot, by: &'a AdoptedBy) -> Adopting<'a> {
        let (roster, baseline) = (&*self.roster, self.baseline.get(&(number, channel)));
        Adopting { roster, number: self.roster.find(number).unwrap(), channel, by, baseline }
    }

    /// A person wants what a number has adopted: it is read.
    pub(super) fn read_to_adopt(&mut self, i: u8) {
        let slot = self.slot(i);
        if !self.absent.contains(&slot.0) {
            let reading = self.reading(slot);
            self.adopting.push_back((self.now, reading));
        }
    }

    /// And what was read is decided about.
    pub(super) fn adopt(&mut self) {
        let Some((at, reading)) = self.adopting.pop_front() else { return };
        let by = AdoptedBy::Operator(super::world::by());
        let _ = self.observe(at, &reading);
        let found = reading.found(at);
        let adoption = self.orders().adoption(self.adopting(reading.slot, &by), self.is_leading, Ok(&found));
        assert_eq!(adoption.line.action == PlannedAction::Adopt, !adoption.entries.is_empty(), "{adoption:?}");
        if !adoption.entries.is_empty() && self.commit(adoption.entries).is_ok() {
            self.baseline.insert(reading.slot, reading.now);
        }
    }

    /// The agent dies, and the next one recovers from the journal. What is in flight may land in its time.
    pub(super) fn restart(&mut self) {
        let mut recovery = Recovery::new(new_control(&self.setup, &self.roster, self.now), None);
        for (seq, (at, entry)) in self.journal.iter().enumerate() {
            let seq = i64::try_from(seq).unwrap();
            let text = crate::model::value::whole_json(entry).unwrap();
            let read: Entry = serde_json::from_str(&text).unwrap_or_else(|e| panic!("law 8: {e}: {text}"));
            assert_eq!(read, *entry, "law 8: the journal says something else");
            recovery.journaled(seq, *at, &read).unwrap_or_else(|e| panic!("law 8: {e}: {}: {entry:?}", e.source));
        }
        let (mut control, notices) = recovery.finish();
        assert_eq!(memory(self.now, &control), memory(self.now, &self.control), "law 8: a restart ends elsewhere");
        // What is kept and not written has ids that are free again, for it is lost.
        let (last, was) = (control.orders().last_id(), self.orders().last_id());
        assert!(last == was || last < was && !self.backlog.is_empty(), "law 8: {last} after {was}");
        for notice in &notices {
            let Notice { key, kind, status, at, title, .. } = notice;
            let is_told = self.told.contains(&(key.clone(), *kind, *status as u8, at.at));
            assert!(
                is_told || self.is_set_back,
                "a restart tells what was not told: {key} {title} {kind:?} {status:?}"
            );
        }
        if !self.is_set_back {
            let _ = self.control.incidents_mut().tick(self.now);
            let late = control.incidents_mut().tick(self.now);
            self.post(late);
            let (was, is) = (self.control.incidents_mut().summary(), control.incidents_mut().summary());
            assert_eq!(was, is, "law 8: after a restart other incidents are open");
        }
        for notice in self.latest.values().filter(|n| n.status == NoticeStatus::Firing) {
            control.incidents_mut().resume(notice);
        }
        self.control = control;
        self.journal_again = Time::EPOCH;
        self.backlog.clear();
        self.tasks.clear();
        self.dispatched.clear();
        self.adopted.clear();
        self.unverified.clear();
        self.proofs.clear();
        self.wanted_calls.clear();
        self.calls.clear();
        self.readings.clear();
        self.asking.clear();
        self.looks.clear();
        self.adopting.clear();
        self.seen.restarted();
        self.pretend();
        // Nothing has been read at the start; with the first look each number that is healthy becomes so.
        let is_healthy = |(slot, v): (&Slot, &Verdict)| (*v == Verdict::Healthy).then_some(*slot);
        let healthy: Vec<Slot> = self.verdicts.iter().filter_map(is_healthy).collect();
        healthy.into_iter().for_each(|slot| self.healthy(slot));
    }
}

/// All that memory holds of the journal, but for who was served, which nobody writes down.
fn memory(now: Time, control: &Control) -> Vec<String> {
    let orders: &Orders = control.orders();
    let mut all: Vec<String> =
        orders.sagas().map(|(n, c, s)| format!("{n:?} {c} {s:?} {:?}", orders.not_before(n, c))).collect();
    all.extend(orders.pending().map(|p| {
        let guards: Vec<Guard> = p.guards();
        format!("{} {:?} {} {guards:?}", p.decision.id, p.waiting, p.is_approved)
    }));
    all.extend(orders.latest_orders().map(|o| format!("{:?} {} {:?} {:?}", o.order, o.is_over(), o.released, o.ended)));
    all.extend(orders.holds(now).map(|h| format!("{h:?}")));
    all.push(format!("{:?}", orders.mode()));
    let engine = control.engine();
    for (ix, number) in engine.roster().numbers() {
        let n: NumberId = number.id;
        for channel in crate::model::id::Channel::ALL {
            let state = engine.channel(ix, channel);
            let progress = match state.rollback {
                // Pending is what no journal knows of; it is answered for within the same turn.
                crate::detect::engine::RollbackProgress::Pending => "none".to_owned(),
                crate::detect::engine::RollbackProgress::None => "none".to_owned(),
                done @ crate::detect::engine::RollbackProgress::Done(_) => format!("{done:?}"),
            };
            all.push(format!("{n:?} {channel} {:?} {progress} {:?}", state.phase, orders.ordered(n, channel)));
        }
    }
    for (_, group) in engine.roster().groups() {
        for channel in crate::model::id::Channel::ALL {
            let (fallback, not_before) =
                (orders.fallback(&group.name, channel), orders.no_restore_before(&group.name, channel));
            all.push(format!("{} {channel} {fallback:?} {not_before:?}", group.name));
        }
    }
    all
}
