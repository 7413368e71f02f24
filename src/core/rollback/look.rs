//! What a look at a number shows, beside what the journal says of it: that it is as it should be, that a write of ours
//! has landed late ([`super::late`]), or that somebody else changed it.
//!
//! Whoever says what a number points at looks first, and asks here. Promises: a landing is recognised by what it wrote,
//! field by field, and everything else is as it was or is another such write's; none of ours is called somebody else's.
//! What is put back is what the number had when the write landed, an adopted handler or somebody else's too.

use super::entry::Entry;
use super::late::{self, LateAt, LateWrite};
use super::orders::{Orders, Saga};
use super::plan;
use super::saga::{SagaEvent, SagaState, Swap};
use crate::model::id::{Channel, NumberId};
use crate::model::order::{LandedOn, Operation};
use crate::model::time::Time;
use crate::model::value::RawRecord;
use crate::routing::values::RoutingValues;

/// How a number was read.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    pub now: &'a RoutingValues,
    /// When reading it began.
    pub read_at: Time,
    pub known: Known<'a>,
}

/// What is known of a number beside its orders.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// What it pointed at last, as far as that is known.
    pub baseline: Option<&'a RoutingValues>,
    /// When it was read the last time that something was made of it: that it was as expected, or what had changed.
    pub seen: Option<Time>,
    /// Its group's, which is nobody's own handler.
    pub fallback: Option<&'a str>,
}

/// What a look at one channel of a number shows.
#[derive(Debug, Clone, PartialEq)]
pub enum LookResult {
    /// It was read before an order, or a later look, had it: it says nothing of what it is now.
    Outdated,
    /// Nothing is known of what it was.
    First,
    /// It is as we left it, or as a write of ours may have left it.
    AsExpected,
    /// A write of ours has landed, after the number had become something else: what is written to the journal.
    Landed(Box<Entry>),
    /// Somebody else changed it: what it was before us, and what it should be.
    Foreign { before: RoutingValues, expected: RoutingValues },
}

/// What one channel of a number is held against: what our writes may have left it as, in time or late.
#[derive(Debug, Clone)]
pub struct Ground {
    number: NumberId,
    channel: Channel,
    /// Of its rollback.
    state: SagaState,
    /// What a restore or an undo would put back.
    swap: Option<Swap>,
    /// What our latest order may have left; nothing where it is its own.
    left: Vec<RoutingValues>,
    late: Vec<LateWrite>,
    baseline: Option<RoutingValues>,
    fallback: Option<String>,
}

impl Orders {
    /// True if no order has, or has had, the number since `at`: what was read then can be compared.
    pub fn is_untouched_since(&self, at: Time, number: NumberId, channel: Channel) -> bool {
        !self.state(number, channel).is_under_way()
            && self.ordered(number, channel).is_none()
            && self.saga(number, channel).and_then(Saga::touched).is_none_or(|t| t < at)
    }

    /// Writes of ours that may have landed since `seen`, or may yet land.
    pub fn late(
        &self,
        number: NumberId,
        channel: Channel,
        seen: Option<Time>,
    ) -> impl DoubleEndedIterator<Item = &LateWrite> {
        let late = self.saga(number, channel).map(|s| s.late.as_slice()).unwrap_or_default();
        late.iter().filter(move |w| seen.is_none_or(|t| t <= w.until))
    }

    /// What a number that no order has is held against.
    pub fn ground(&self, number: NumberId, channel: Channel, known: Known<'_>) -> Ground {
        let state = self.state(number, channel);
        let of = if state.swap().is_some() { state } else { self.applied(number, channel) };
        Ground {
            number,
            channel,
            state: state.clone(),
            swap: of.swap().cloned(),
            left: plan::left(of, channel).unwrap_or_default(),
            late: self.late(number, channel, known.seen).cloned().collect(),
            baseline: known.baseline.cloned(),
            fallback: known.fallback.map(str::to_owned),
        }
    }

    /// What a look at a number means.
    pub fn found(&self, number: NumberId, channel: Channel, look: Look<'_>) -> LookResult {
        let Look { now, read_at, known } = look;
        // Looks come by several ways, and may overtake each other.
        if known.seen.is_some_and(|t| read_at < t) || !self.is_untouched_since(read_at, number, channel) {
            return LookResult::Outdated;
        }
        self.ground(number, channel, known).found(now)
    }
}

impl Ground {
    /// What a number that is `now` has become.
    pub fn found(&self, now: &RoutingValues) -> LookResult {
        // What a write of ours left, or may yet leave, is nobody else's change.
        if self.left.iter().any(|left| left.is_respelt(now)) {
            return LookResult::AsExpected;
        }
        let expected = self.left.first().or(self.baseline.as_ref());
        if expected == Some(now) {
            return LookResult::AsExpected;
        }
        if let Some((write, base)) = self.landed(now) {
            return self.landing(write, &base, now).map_or(LookResult::AsExpected, LookResult::Landed);
        }
        let Some(expected) = expected.cloned() else { return LookResult::First };
        let before = self.swap.as_ref().and_then(|s| self.own(s));
        LookResult::Foreign { before: before.unwrap_or_else(|| expected.clone()), expected }
    }

    /// What has landed before an order read the number, and what the order's state is by that. Nothing of a number that
    /// the order, or another, has written to already: what it is then is settled by what was intended.
    pub fn landed_before(
        &self,
        operation: Operation,
        state: &SagaState,
        now: &RoutingValues,
    ) -> Option<(Entry, SagaState)> {
        if state.is_under_way() || self.state.is_under_way() {
            return None;
        }
        let LookResult::Landed(entry) = self.found(now) else { return None };
        let Entry::Landed { decision, sid, on, ref routing, ref update, .. } = *entry else { return None };
        let mut state = state.clone();
        if operation.is_of_fallback() {
            let landing = late::landing(decision, sid, on, routing, update);
            state = state.next(decision, SagaEvent::Landed(landing)).ok()?;
        }
        Some((*entry, state))
    }

    /// What late writes may have done to a number whose record is this.
    pub fn late_at(&self, record: &str) -> LateAt<'_> {
        let now = RoutingValues::read(record, self.channel);
        LateAt { rollback: self.late_rollback(), has_landed: now.is_ok_and(|now| self.landed(&now).is_some()) }
    }

    /// The rollback of ours that may have landed late, if there is one.
    pub fn late_rollback(&self) -> Option<&LateWrite> {
        self.late.iter().rfind(|w| w.write.operation == Operation::Rollback)
    }

    /// The write that has landed last, and on what, if that alone makes of it what the number has now.
    fn landed(&self, now: &RoutingValues) -> Option<(&LateWrite, RoutingValues)> {
        let mut bases: Vec<RoutingValues> =
            if self.left.is_empty() { self.baseline.iter().cloned().collect() } else { self.left.clone() };
        if bases.is_empty() {
            // It was never looked at: it had what the order found.
            let from = self.late.last().and_then(|w| RoutingValues::read(w.own.whole(), self.channel).ok());
            bases.extend(from);
        }
        let updates = || self.late.iter().map(|w| &w.write.update);
        self.late.iter().rev().find_map(|w| {
            let base = bases.iter().find(|base| now.is_left_by(base, &w.write.update, updates()))?;
            Some((w, base.clone()))
        })
    }

    /// Where the number is by it, as it is written to the journal; `None` if it is where it was.
    fn landing(&self, write: &LateWrite, base: &RoutingValues, now: &RoutingValues) -> Option<Box<Entry>> {
        let Ground { number, channel, .. } = *self;
        let own = self.beneath(base).unwrap_or_else(|| base.clone());
        // Somebody had put it there by hand, and the write has taken it away: what it has now is all that is known.
        let is_fallback = self.fallback.as_ref().is_some_and(|url| own.is_answered_by(url));
        let own = if is_fallback { now.clone() } else { own };
        let on = match write.write.operation {
            Operation::Rollback => LandedOn::Fallback,
            Operation::Restore | Operation::Apply | Operation::Undo if own == *now => LandedOn::OwnHandler,
            Operation::Restore | Operation::Apply | Operation::Undo => LandedOn::EarlierHandler,
        };
        let routing: RawRecord = own.whole_record().ok()?.as_str().into();
        let (decision, sid, update) = (write.write.order, write.write.sid, own.changes_to(now));
        Some(Box::new(Entry::Landed { decision, channel, number, sid, on, routing, update }))
    }

    /// What the number had before our swap of it. So it is while the swap stands, and where what was seen last is what
    /// our swap left, though its rollback has ended since: the fallback is nobody's own handler.
    fn beneath(&self, base: &RoutingValues) -> Option<RoutingValues> {
        let swap = self.state.swap()?;
        let own = self.own(swap)?;
        let is_there = self.state.is_on_fallback() || self.state.is_unproven();
        (is_there || own.after(&swap.wrote) == *base).then_some(own)
    }

    fn own(&self, swap: &Swap) -> Option<RoutingValues> {
        RoutingValues::read(swap.before.record.whole(), self.channel).ok()
    }
}
