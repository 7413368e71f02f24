//! The orders' tasks. Each takes the steps of `agent::execute`, one at a time, with the states of its
//! numbers as they were when it was sent; its entries are handed in and applied at their commit. What is written and
//! what became of it is planned and judged by [`crate::rollback::plan`], as in the agent.

use std::collections::BTreeSet;

use super::world::{BIN, InFlight, Slot, Unwritten, World, Writer, raw};
use crate::model::decision::Mode;
use crate::model::id::{Channel, NumberId, NumberSid};
use crate::model::order::{FallbackState, Operation, Order, OrderResult};
use crate::rollback::apply::{self, FoundNumber};
use crate::rollback::entry::Entry;
use crate::rollback::late::LANDS_WITHIN;
use crate::rollback::plan::{self, WritePlan, WriteState};
use crate::rollback::saga::SagaState;
use crate::routing::record::NumberRecord;
use crate::routing::record::tests::record;
use crate::routing::values::RoutingValues;

/// One number with what is to be written to it.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    number: NumberId,
    plan: WritePlan,
    tries: u8,
}

type Ends = Vec<(NumberId, OrderResult)>;

#[derive(Debug, Clone)]
enum Stage {
    Read,
    Begin(Vec<Planned>, Vec<Entry>),
    Write(Vec<Planned>),
    Record,
    ReadBack,
    End,
}

/// One order being carried out.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub order: Order,
    pub numbers: Vec<(NumberId, SagaState)>,
    stage: Stage,
    taken: Vec<Planned>,
    /// An answer to a write of ours to these was lost.
    lost: BTreeSet<NumberId>,
    ends: Ends,
    /// When its numbers were read, by the count of what others wrote.
    read_at: u64,
}

impl Task {
    pub fn new(order: Order, numbers: Vec<(NumberId, SagaState)>) -> Task {
        // What an earlier life intended may have been sent.
        let lost = numbers.iter().filter(|(_, s)| s.may_be_written_by(order.id)).map(|(n, _)| *n).collect();
        Task { order, numbers, stage: Stage::Read, taken: Vec::new(), lost, ends: Ends::new(), read_at: 0 }
    }
}

/// A number as Twilio has it, with this URL.
pub(super) fn record_of(number: NumberId, channel: Channel, url: &str) -> NumberRecord {
    let mut record = NumberRecord { number: number.e164, ..record() };
    let url = (!url.is_empty()).then(|| url.into());
    match channel {
        Channel::Voice => record.voice_url = url,
        Channel::Messaging => record.sms_url = url,
    }
    record
}

/// The URL that a plan writes: these numbers have nothing else.
fn url(plan: &WritePlan) -> &str {
    plan.update[0].1.whole()
}

impl World {
    /// The so-manyth task takes a step, in which this goes wrong.
    pub(super) fn work(&mut self, task: u8, fault: u8) {
        if self.tasks.is_empty() {
            return;
        }
        let i = usize::from(task) % self.tasks.len();
        let mut task = self.tasks.remove(i);
        let stage = task.stage.clone();
        let is_over = match stage {
            Stage::Read => self.read(&mut task, fault),
            Stage::Begin(planned, entries) => self.begin(&mut task, planned, entries),
            Stage::Write(planned) => self.write_one(&mut task, planned, fault),
            Stage::Record => self.record(&mut task),
            Stage::ReadBack => self.read_back(&mut task, fault),
            Stage::End => self.end(&mut task),
        };
        if !is_over {
            self.tasks.insert(i, task);
        }
    }

    /// The so-manyth task takes the steps that are left, unless what it did cannot be written.
    pub(super) fn finish(&mut self, task: u8) {
        let (before, i) = (self.tasks.len(), usize::from(task) % self.tasks.len().max(1));
        for _ in 0..20 {
            if self.tasks.len() == before && before > 0 {
                self.work(u8::try_from(i).unwrap(), 9);
            }
        }
    }

    pub(super) fn finish_all(&mut self) {
        for i in (0..self.tasks.len()).rev() {
            self.finish(u8::try_from(i).unwrap());
        }
    }

    /// A number as Twilio has it, whole and as it is compared.
    fn now_at(&self, slot @ (number, channel): Slot) -> Option<(NumberRecord, String, RoutingValues)> {
        if self.absent.contains(&number) {
            return None;
        }
        let url = &self.handlers[&slot].0;
        let record = record_of(number, channel, url);
        let raw = raw(channel, url);
        let values = RoutingValues::read(&raw, channel).unwrap();
        Some((record, raw, values))
    }

    fn found<'a>(&'a self, record: &'a NumberRecord, raw: &'a str, slot: Slot) -> FoundNumber<'a> {
        FoundNumber { record, raw, read: Some(&self.handlers[&slot].0), unknown: None, service: None }
    }

    fn read(&mut self, task: &mut Task, fault: u8) -> bool {
        let Order { id: decision, channel, operation, .. } = task.order;
        task.read_at = self.seen.edits;
        let (mut planned, mut entries) = (Vec::new(), Vec::new());
        for (number, state) in &task.numbers {
            let number = *number;
            if let Some((result, _)) = plan::settled(operation, state) {
                task.ends.push((number, result));
                continue;
            }
            let slot = (number, channel);
            let ground = self.ground(slot);
            let now = self.now_at(slot).filter(|_| fault != 15).map(|(.., now)| now);
            let landing = now.and_then(|now| ground.landed_before(operation, state, &now));
            let state = match landing {
                None => state.clone(),
                Some((entry, state)) => {
                    if self.commit(vec![entry]).is_err() {
                        task.ends.push((number, OrderResult::Failed));
                        continue;
                    }
                    state
                }
            };
            let state = &state;
            let found = match self.now_at(slot).filter(|_| fault != 15) {
                None => Err(OrderResult::Failed),
                Some((record, raw, _)) => {
                    let plan = match operation {
                        Operation::Rollback => {
                            plan::rollback(&task.order, state, &record, &raw, BIN, ground.late_at(&raw))
                        }
                        Operation::Restore | Operation::Undo => {
                            plan::restore(&task.order, state, &raw, self.handlers[&slot].0 == BIN)
                        }
                        Operation::Apply => {
                            let (terms, found) = (task.order.terms.as_ref().unwrap(), self.found(&record, &raw, slot));
                            apply::apply(&task.order, terms, number, state, found, Some(BIN))
                        }
                    };
                    if matches!(operation, Operation::Restore | Operation::Undo) && !state.may_be_written_by(decision) {
                        let is_back = state.swap().is_some_and(|s| s.before.record.whole() == raw);
                        let is_said = matches!(plan, Err((OrderResult::Restored, _)));
                        assert!(is_said || !is_back, "it is back already, and yet: {plan:?}");
                    }
                    plan.map(|plan| (plan, raw)).map_err(|(result, _)| result)
                }
            };
            let (plan, record) = match found {
                Ok(found) => found,
                // What an earlier life intended may have happened: nothing less may be said.
                Err(OrderResult::Failed) if state.may_be_written_by(decision) => {
                    task.ends.push((number, OrderResult::Unproven));
                    continue;
                }
                Err(result) => {
                    task.ends.push((number, result));
                    continue;
                }
            };
            if !plan.is_intended {
                let sid = NumberSid::from_u128(1);
                // One transaction: all of them or none.
                if matches!(operation, Operation::Rollback | Operation::Apply) {
                    let sha256 = "x".to_owned();
                    entries.push(Entry::Snapshot { decision, channel, number, sid, record: record.into(), sha256 });
                }
                if operation == Operation::Rollback {
                    entries.push(Entry::Checked { decision, channel, number, fallback: FallbackState::Good });
                }
                entries.push(Entry::Intent { decision, channel, number, sid, operation, update: plan.update.clone() });
            }
            planned.push(Planned { number, plan, tries: 0 });
        }
        task.stage = Stage::Begin(planned, entries);
        false
    }

    fn begin(&mut self, task: &mut Task, mut planned: Vec<Planned>, entries: Vec<Entry>) -> bool {
        if !entries.is_empty() && self.commit(entries).is_err() {
            // Nothing more may be written. What was intended before is as it was found.
            let new = planned.extract_if(.., |p| !p.plan.is_intended);
            task.ends.extend(new.map(|p| (p.number, OrderResult::Failed)));
        }
        task.taken = planned.extract_if(.., |p| p.plan.is_written).collect();
        task.stage = Stage::Write(planned);
        false
    }

    fn may_write(&self, task: &Task, number: NumberId) -> bool {
        let Order { channel, ref group, .. } = task.order;
        let held = self.orders().held_by(self.now, group, number, channel).is_some();
        self.is_leading && self.orders().mode() != Mode::Observe && !held
    }

    /// Writes to one number.
    fn write_one(&mut self, task: &mut Task, mut planned: Vec<Planned>, fault: u8) -> bool {
        let Some(job) = planned.pop() else {
            task.stage = Stage::Record;
            return false;
        };
        let (number, slot) = (job.number, (job.number, task.order.channel));
        let mut again = None;
        if !self.may_write(task, number) {
            task.ends.push((number, OrderResult::Refused));
        } else if let Some((_, raw, now)) = self.now_at(slot) {
            match fault {
                // Refused by Twilio.
                0 => task.ends.push((number, OrderResult::Failed)),
                // Answered, and without effect.
                1 => task.taken.push(job),
                // No answer: it did not happen, or it happens later, and the number cannot be read.
                2 => {
                    task.lost.insert(number);
                    task.ends.push((number, OrderResult::Unproven));
                }
                3 | 13 => {
                    self.check_write(task, slot, url(&job.plan), task.read_at);
                    self.send(task, slot, url(&job.plan), if fault == 3 { 3 } else { 12 });
                    self.seen.lost(task.order.id, slot);
                    task.ends.push((number, OrderResult::Unproven));
                }
                // No answer, and written again; the first one lands later too.
                14 => {
                    self.check_write(task, slot, url(&job.plan), task.read_at);
                    self.send(task, slot, url(&job.plan), 8);
                    self.handlers.insert(slot, (url(&job.plan).to_owned(), Writer::Us));
                    task.taken.push(job);
                }
                // It was not processed, and a look tells.
                4 => match job.plan.found(&raw, now) {
                    WriteState::Written => task.taken.push(job),
                    WriteState::Unwritten => again = Some(job),
                    WriteState::Foreign(_) => task.ends.push((number, OrderResult::Superseded)),
                },
                _ => {
                    self.check_write(task, slot, url(&job.plan), task.read_at);
                    self.handlers.insert(slot, (url(&job.plan).to_owned(), Writer::Us));
                    task.taken.push(job);
                }
            }
        } else {
            task.ends.push((number, OrderResult::Failed));
        }
        planned.extend(again);
        task.stage = Stage::Write(planned);
        false
    }

    /// A write whose answer is lost is on its way.
    fn send(&mut self, task: &mut Task, slot: Slot, url: &str, steps: u32) {
        let until = self.now + LANDS_WITHIN / 2;
        self.in_flight.push(InFlight { steps, until, slot, url: url.to_owned() });
        task.lost.insert(slot.0);
    }

    fn record(&mut self, task: &mut Task) -> bool {
        let Order { id: decision, channel, .. } = task.order;
        let until = self.now + LANDS_WITHIN;
        let lost = task.lost.iter().map(|n| Entry::Lost { decision, channel, number: *n, until });
        let written = task.taken.iter().map(|p| Entry::Written { decision, channel, number: p.number });
        let entries: Vec<Entry> = lost.chain(written).collect();
        if entries.is_empty() || self.commit(entries).is_ok() {
            task.stage = Stage::ReadBack;
        }
        false
    }

    /// What is known of one number does not wait for another.
    fn read_back(&mut self, task: &mut Task, fault: u8) -> bool {
        let fallback = (task.order.operation == Operation::Rollback).then_some(BIN);
        for (i, mut job) in std::mem::take(&mut task.taken).into_iter().enumerate() {
            // A passing error of the first one.
            if fault == 6 && i == 0 && job.tries == 0 {
                job.tries += 1;
                task.taken.push(job);
                continue;
            }
            let result = match self.now_at((job.number, task.order.channel)).filter(|_| fault != 5) {
                None => OrderResult::Unproven,
                Some((record, raw, _)) => match &task.order.terms {
                    Some(terms) => {
                        let slot = (job.number, task.order.channel);
                        apply::verdict(&job.plan, terms, self.found(&record, &raw, slot)).0
                    }
                    None => plan::verdict(&job.plan, fallback, &record, &raw, None).0,
                },
            };
            task.ends.push((job.number, result));
        }
        task.stage = Stage::End;
        false
    }

    /// What is in the journal is what the numbers are expected to be from then on.
    fn end(&mut self, task: &mut Task) -> bool {
        let Order { id: decision, channel, operation, .. } = task.order;
        let entry = |(number, result): &(NumberId, OrderResult)| {
            let (number, result) = (*number, *result);
            Entry::Result { decision, channel, number, result, detail: String::new() }
        };
        let expected = |(number, result): &(NumberId, OrderResult)| {
            let state = self.orders().state_of(operation, *number, channel);
            let swap = state.swap().filter(|_| operation != Operation::Apply || state.is_under_way())?;
            let before = RoutingValues::read(swap.before.record.whole(), channel).unwrap();
            let values = match result {
                OrderResult::Written | OrderResult::Proven => before.after(&swap.wrote),
                OrderResult::Restored => before,
                OrderResult::Unproven | OrderResult::Failed | OrderResult::Refused | OrderResult::Superseded => {
                    return None;
                }
            };
            Some(((*number, channel), values))
        };
        let expected: Vec<_> = task.ends.iter().filter_map(expected).collect();
        match self.commit(task.ends.iter().map(entry).collect()) {
            Ok(()) => {
                self.baseline.extend(expected);
                task.ends.clear();
                task.stage = Stage::ReadBack;
                task.taken.is_empty()
            }
            Err(Unwritten) => false,
        }
    }
}
