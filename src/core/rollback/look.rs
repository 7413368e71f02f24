//! What a look at a number shows, beside what the journal says of it: that it is as it should be, that a write of ours
//! has landed late ([`super::late`]), or that somebody else changed it.
//!
//! Whoever says what a number points at looks first, and asks here. Promises: a landing is recognised by what it wrote,
//! field by field, and everything else is as it was or is another such write's; none of ours is called somebody else's.
//! What is put back is what the number had when the write landed, an adopted handler or somebody else's too.

use super::entry::Entry;
use super::late::LateWrite;
use super::orders::{Orders, Saga};
use super::plan;
use super::saga::SagaState;
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::order::{LandedOn, Operation};
use crate::core::model::time::Time;
use crate::core::model::value::RawRecord;
use crate::core::routing::values::RoutingValues;

/// How a number was read.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    pub now: &'a RoutingValues,
    /// When reading it began.
    pub read_at: Time,
    /// What it pointed at last, as far as that is known.
    pub baseline: Option<&'a RoutingValues>,
    /// When it was read the last time that something was made of it: that it was as expected, or what had changed.
    pub seen: Option<Time>,
}

/// What a look at one channel of a number shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
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

    /// What a look at a number means.
    pub fn found(&self, number: NumberId, channel: Channel, look: Look<'_>) -> Found {
        let Look { now, read_at, baseline, seen } = look;
        // Looks come by several ways, and may overtake each other.
        if seen.is_some_and(|t| read_at < t) || !self.is_untouched_since(read_at, number, channel) {
            return Found::Outdated;
        }
        let state = self.state(number, channel);
        // What a write of ours left, or may yet leave, is nobody else's change.
        let left = if state.swap().is_some() { state } else { self.applied(number, channel) };
        let ours = plan::left(left, channel).unwrap_or_default();
        if ours.iter().any(|left| left.is_respelt(now)) {
            return Found::AsExpected;
        }
        let late: Vec<&LateWrite> = self.late(number, channel, seen).collect();
        let from = late.last().and_then(|w| RoutingValues::read(w.own.whole(), channel).ok());
        let expected = ours.first().or(baseline);
        if expected == Some(now) {
            return Found::AsExpected;
        }
        let mut bases: Vec<&RoutingValues> =
            if ours.is_empty() { baseline.iter().copied().collect() } else { ours.iter().collect() };
        // It was never looked at: it had what the order found.
        bases.extend(from.iter().filter(|_| expected.is_none()));
        if let Some((write, base)) = landed(&bases, &late, now) {
            return landing(number, channel, state, write, base, now).map_or(Found::AsExpected, Found::Landed);
        }
        let Some(expected) = expected.cloned() else { return Found::First };
        let before = left.swap().and_then(|s| RoutingValues::read(s.before.record.whole(), channel).ok());
        Found::Foreign { before: before.unwrap_or_else(|| expected.clone()), expected }
    }
}

/// The write that has landed last, and on what, if that alone makes of it what the number has now.
fn landed<'a>(
    bases: &[&'a RoutingValues],
    late: &[&'a LateWrite],
    now: &RoutingValues,
) -> Option<(&'a LateWrite, &'a RoutingValues)> {
    let updates = || late.iter().map(|w| &w.write.update);
    late.iter().rev().find_map(|w| {
        let base = bases.iter().find(|base| now.is_left_by(base, &w.write.update, updates()))?;
        Some((*w, *base))
    })
}

/// Where the number is by it, as it is written to the journal; `None` if it is where it was.
fn landing(
    number: NumberId,
    channel: Channel,
    state: &SagaState,
    write: &LateWrite,
    base: &RoutingValues,
    now: &RoutingValues,
) -> Option<Box<Entry>> {
    // Beneath a swap of ours is what the number had before it.
    let swap = state.swap().filter(|_| state.is_on_fallback() || state.is_unproven());
    let own = swap.and_then(|swap| RoutingValues::read(swap.before.record.whole(), channel).ok());
    let own = own.unwrap_or_else(|| base.clone());
    let on = match write.write.operation {
        Operation::Rollback => LandedOn::Fallback,
        Operation::Restore | Operation::Apply | Operation::Undo if own == *now => LandedOn::OwnHandler,
        Operation::Restore | Operation::Apply | Operation::Undo => LandedOn::EarlierHandler,
    };
    let routing: RawRecord = own.whole_record().ok()?.as_str().into();
    let (decision, sid, update) = (write.write.order, write.write.sid, own.changes_to(now));
    Some(Box::new(Entry::Landed { decision, channel, number, sid, on, routing, update }))
}
