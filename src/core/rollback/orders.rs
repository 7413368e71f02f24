//! What is done with decisions: held against the guards, ordered, followed to their ends.
//!
//! A rollback that the detector asks for is a *pending rollback* until it is carried out, its
//! callers are served again, or nobody approved in time. While it is pending, the guards are asked at
//! every step, so that the end of a hold or a change of mode is enough and nothing has to be
//! decided again. What passes becomes an *order*, whose numbers each live through a [`super::saga`].
//!
//! [`Orders`] is a fold over the journal: [`Orders::fold`] is the only thing that changes it, but for the tallies
//! of a restore, which live callers make, and the ids that `reserve` gives out. [`Orders::step`] reads it and says
//! which entries should be written next; whoever drives it writes them, folds them and carries them out. A restart
//! folds the same entries, and so ends where the last agent was.
//!
//! Promises: nothing is ordered twice for one decision; a number has one order at a time; a refusal
//! is said once; what fails is tried again ever more rarely; a handler that flaps causes a bounded
//! number of writes, for after each relapse the next restore has to wait longer.

mod fold;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::applied::Applied;
use super::entry::Entry;
use super::fallbacks::{FallbackFound, Fallbacks};
use super::guard::Freshness;
use super::late::{Intended, LateWrite};
use super::saga::SagaState;
use crate::model::decision::{Decision, DecisionId, Mode, Phase};
use crate::model::guard::{Guard, Strength};
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::{AdoptedBy, FallbackState, Hold, Operation, Order, OrderResult};
use crate::model::time::Time;
use crate::model::value::RawRecord;
use crate::model::verdict::Verdict;

/// What the guards and the stages are measured by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackSettings {
    /// The mode at the very first start; later ones are in the journal.
    pub mode: Mode,
    /// How long a decision waits for approval.
    pub approve_within: Duration,
    /// How long in `auto` somebody may object before it is done.
    pub veto: Duration,
    /// Share of a group that may be on the fallback without approval, in percent; 100 if absent.
    pub caps: BTreeMap<GroupName, u8>,
}

impl Default for RollbackSettings {
    fn default() -> RollbackSettings {
        RollbackSettings {
            mode: Mode::Observe,
            approve_within: Duration::from_secs(600),
            veto: Duration::ZERO,
            caps: BTreeMap::new(),
        }
    }
}

/// After a failed attempt the next one waits this long, and twice as long after each further one.
const RETRY_AFTER: Duration = Duration::from_secs(60);
const RETRY_AT_MOST: Duration = Duration::from_secs(3600);

/// After a relapse the next restore waits this long, and twice as long after each further one.
const RESTORE_AFTER: Duration = Duration::from_secs(30 * 60);
const RESTORE_AT_MOST: Duration = Duration::from_secs(24 * 3600);

/// A day without trouble takes one failure or relapse off the count.
const FORGIVEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A rollback within this time of a restore is a relapse.
const RELAPSE_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Callers and test calls that a stage's numbers must have served before the next stage begins.
const VERIFIED_BY: usize = 3;

/// A stage without enough callers after this time waits for approval.
const VERIFY_WITHIN: Duration = Duration::from_secs(15 * 60);

/// A rollback is pending at least this long, whatever the verdicts on its numbers: they have not been
/// formed anew since it was decided.
const SETTLED_FOR: Duration = Duration::from_secs(60);

/// A pending rollback of this age lapses once nothing speaks against its numbers any more.
const QUIET_FOR: Duration = Duration::from_secs(600);

/// What the detector knows and the guards ask.
pub trait Surroundings {
    fn is_leading(&self) -> bool;
    fn phase(&self, number: NumberId, channel: Channel) -> Phase;
    fn verdict(&self, number: NumberId, channel: Channel) -> Verdict;
    /// The verdict on the number's whole group.
    fn group_verdict(&self, group: &GroupName, channel: Channel) -> Verdict;
    fn freshness(&self, channel: Channel) -> Freshness;
    /// Most numbers of most groups fail at once.
    fn is_storm(&self, channel: Channel) -> bool;
}

/// A waiting time that doubles with each failure and is forgiven day by day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Backoff {
    count: u32,
    last: Option<Time>,
}

impl Backoff {
    fn failed(&mut self, at: Time) {
        self.count = self.counted(at).saturating_add(1);
        self.last = Some(at);
    }

    /// What only a person can change: not before the longest wait.
    fn refused(&mut self, at: Time, first: Duration, most: Duration) {
        let longest = (most.as_secs() / first.as_secs()).ilog2() + 2;
        self.count = self.counted(at).saturating_add(1).max(longest);
        self.last = Some(at);
    }

    fn counted(&self, at: Time) -> u32 {
        let days = self.last.map_or(0, |last| at.since(last).as_secs() / FORGIVEN_AFTER.as_secs());
        self.count.saturating_sub(u32::try_from(days).unwrap_or(u32::MAX))
    }

    fn until(&self, first: Duration, most: Duration) -> Option<Time> {
        let last = self.last.filter(|_| self.count > 0)?;
        Some(last + first.saturating_mul(1 << (self.count - 1).min(20)).min(most))
    }
}

/// The handler that somebody has said to be the right one.
#[derive(Debug, Clone, PartialEq)]
pub struct AdoptedHandler {
    pub at: Time,
    /// The fields that decide who answers the channel, as a record has them.
    pub routing: RawRecord,
    pub by: AdoptedBy,
}

/// One channel of one number.
#[derive(Debug, Clone, Default)]
pub struct Saga {
    pub state: SagaState,
    /// Since when it is in this state.
    pub since: Option<Time>,
    failures: Backoff,
    restored_at: Option<Time>,
    /// Somebody else undid our last swap, and no swap or restore has ended as asked since.
    is_undone: bool,
    /// Somebody else wrote what it points at, and nobody has said that it is right.
    is_foreign: bool,
    /// The handler that was said to be right, until something else is on the number for good.
    pub adopted: Option<AdoptedHandler>,
    /// What applies did, beneath the rollback.
    pub applied: Applied,
    /// What was written last, before it was.
    intended: Option<Intended>,
    /// Writes whose answer was lost, latest last.
    pub late: Vec<LateWrite>,
}

impl Saga {
    /// Somebody else wrote what it points at, and neither has a swap or a restore ended as asked since, nor was theirs
    /// adopted by a person.
    pub const fn is_of_another(&self) -> bool {
        self.is_undone || self.is_foreign
    }

    /// When something last became of it: what was read before says nothing of what it is now.
    pub fn touched(&self) -> Option<Time> {
        [self.since, self.applied.since, self.adopted.as_ref().map(|a| a.at)].into_iter().flatten().max()
    }
}

/// What was last said of one number of a pending rollback. A question has a deadline of its own kind, and
/// ends with whatever is said next: the end of a veto's time is no deadline of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Refused(Guard),
    /// A person's yes is waited for, and silence is a no. For whichever reason it is asked, it is the same yes.
    Approval {
        guard: Guard,
        until: Time,
    },
    /// A person may object, and silence is a yes.
    Veto {
        until: Time,
    },
}

impl Standing {
    const fn guard(self) -> Guard {
        match self {
            Standing::Refused(guard) | Standing::Approval { guard, .. } => guard,
            Standing::Veto { .. } => Guard::Veto,
        }
    }

    const fn until(self) -> Option<Time> {
        match self {
            Standing::Refused(_) => None,
            Standing::Approval { until, .. } | Standing::Veto { until } => Some(until),
        }
    }
}

/// Who was served: the same caller again is the same witness, each test of ours is one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Witness {
    /// Keyed hash of the other party.
    Caller(u64),
    /// By when it began.
    Test(Time),
}

/// A rollback that the detector asks for.
#[derive(Debug, Clone)]
pub struct PendingRollback {
    pub decision: Decision,
    /// Not ordered yet.
    pub waiting: BTreeSet<NumberId>,
    pub is_approved: bool,
    /// What was said of each number last.
    standing: BTreeMap<NumberId, Standing>,
}

impl PendingRollback {
    fn strength(&self) -> Strength {
        Strength::of(&self.decision.evidence, self.decision.numbers.len())
    }

    fn standings(&self) -> impl Iterator<Item = Standing> {
        self.standing.iter().filter(|(n, _)| self.waiting.contains(n)).map(|(_, s)| *s)
    }

    /// What stands against it, each guard once.
    pub fn guards(&self) -> Vec<Guard> {
        self.standings().map(Standing::guard).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What of this waits for a person's yes, and only that.
    pub fn questions(&self) -> Vec<Guard> {
        let asked = self.standings().filter(|s| matches!(s, Standing::Approval { .. }));
        asked.map(Standing::guard).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The numbers that each guard keeps; one that none keeps has its turn to come.
    pub fn kept(&self) -> BTreeMap<Guard, Vec<NumberId>> {
        let mut kept: BTreeMap<Guard, Vec<NumberId>> = BTreeMap::new();
        for (number, standing) in self.standing.iter().filter(|(n, _)| self.waiting.contains(n)) {
            kept.entry(standing.guard()).or_default().push(*number);
        }
        kept
    }

    /// What of this an approval does not answer.
    pub fn refusals(&self) -> Vec<Guard> {
        let refused = self.standings().filter(|s| matches!(s, Standing::Refused(_)));
        refused.map(Standing::guard).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// When the first of its open questions ends.
    pub fn until(&self) -> Option<Time> {
        self.standings().filter_map(Standing::until).min()
    }
}

/// An order with what became of it.
#[derive(Debug, Clone)]
pub struct OrderState {
    pub order: Order,
    pub at: Time,
    /// Numbers that may be carried out; of a staged restore, those of the stages so far.
    pub released: BTreeSet<NumberId>,
    pub ended: BTreeMap<NumberId, (OrderResult, String)>,
    /// Numbers of later stages that will not be carried out.
    given_up: BTreeSet<NumberId>,
    /// A person vouched for the stage that is being verified.
    is_vouched: bool,
    /// The mode was `observe` meanwhile, which stopped it for good.
    is_stopped: bool,
    /// Since when the last stage waits to be verified, and who was served since.
    verifying: Option<(Time, BTreeSet<Witness>)>,
    is_over: bool,
}

impl OrderState {
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// True if nothing more is to be written of it, whatever the mode is by now.
    pub const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// The order as it stands by its own entries of the journal, without anything that happened beside it.
    pub fn of<'a>(entries: impl IntoIterator<Item = (Time, &'a Entry)>) -> Option<OrderState> {
        let mut alone = Orders::new(RollbackSettings::default());
        let mut id = None;
        for (at, entry) in entries {
            match entry {
                Entry::Result { decision, number, result, detail, .. } => {
                    if let Some(p) = alone.orders.get_mut(decision) {
                        p.end(*number, *result, detail);
                    }
                }
                Entry::Order(order) => {
                    id = Some(order.id);
                    alone.fold_order(at, order);
                }
                // Neither goes through a number's saga, of which the beginning may be another order's.
                Entry::Stage { .. } | Entry::Closed { .. } | Entry::Approved { .. } => {
                    let _ = alone.fold(at, entry);
                }
                Entry::Decision(_)
                | Entry::Refused { .. }
                | Entry::Asked { .. }
                | Entry::Snapshot { .. }
                | Entry::Checked { .. }
                | Entry::Intent { .. }
                | Entry::Written { .. }
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
        alone.orders.remove(&id?)
    }

    /// One number has come to an end, for now or for good.
    fn end(&mut self, number: NumberId, end: OrderResult, detail: &str) {
        self.ended.insert(number, (end, detail.to_owned()));
        self.settle();
    }

    /// Too few were served since the last stage to say that its numbers serve; since when that is looked at.
    fn unverified_since(&self) -> Option<Time> {
        let (since, served) = self.verifying.as_ref()?;
        (!self.is_vouched && served.len() < VERIFIED_BY).then_some(*since)
    }

    /// Numbers of later stages, which nothing has been done with.
    pub fn later(&self) -> impl Iterator<Item = NumberId> {
        let numbers = self.order.numbers.iter().copied();
        numbers.filter(|n| !self.released.contains(n) && !self.given_up.contains(n))
    }

    /// Numbers that are released and have not ended.
    pub fn left(&self) -> Vec<NumberId> {
        self.order
            .numbers
            .iter()
            .copied()
            .filter(|n| self.released.contains(n) && !self.ended.contains_key(n))
            .collect()
    }
}

/// Everything that the journal says of what was done.
#[derive(Debug, Clone)]
pub struct Orders {
    settings: RollbackSettings,
    mode: Mode,
    sagas: BTreeMap<(NumberId, Channel), Saga>,
    pending: BTreeMap<DecisionId, PendingRollback>,
    /// Which open order has a number.
    ordered: BTreeMap<(NumberId, Channel), DecisionId>,
    orders: BTreeMap<DecisionId, OrderState>,
    holds: Vec<Hold>,
    relapses: BTreeMap<(GroupName, Channel), Backoff>,
    fallbacks: Fallbacks,
    last_id: DecisionId,
}

impl Orders {
    pub fn new(settings: RollbackSettings) -> Orders {
        Orders {
            mode: settings.mode,
            settings,
            sagas: BTreeMap::new(),
            pending: BTreeMap::new(),
            ordered: BTreeMap::new(),
            orders: BTreeMap::new(),
            holds: Vec::new(),
            relapses: BTreeMap::new(),
            fallbacks: Fallbacks::default(),
            last_id: DecisionId(0),
        }
    }

    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The id for the next decision or order.
    pub const fn next_id(&self) -> DecisionId {
        DecisionId(self.last_id.0 + 1)
    }

    /// No order or decision gets this id any more: what it names is kept, and not written yet.
    pub fn reserve(&mut self, id: DecisionId) {
        self.last_id = self.last_id.max(id);
    }

    pub const fn last_id(&self) -> DecisionId {
        self.last_id
    }

    pub fn state(&self, number: NumberId, channel: Channel) -> &SagaState {
        const IDLE: &SagaState = &SagaState::Idle;
        self.sagas.get(&(number, channel)).map_or(IDLE, |s| &s.state)
    }

    /// Where what `apply` wrote stands.
    pub fn applied(&self, number: NumberId, channel: Channel) -> &SagaState {
        const IDLE: &SagaState = &SagaState::Idle;
        self.sagas.get(&(number, channel)).map_or(IDLE, |s| s.applied.state())
    }

    /// The state that orders of this kind move on.
    pub fn state_of(&self, operation: Operation, number: NumberId, channel: Channel) -> &SagaState {
        if operation.is_of_fallback() { self.state(number, channel) } else { self.applied(number, channel) }
    }

    /// The open rollback or restore that has this number.
    pub fn swapping(&self, number: NumberId, channel: Channel) -> Option<DecisionId> {
        let id = self.ordered(number, channel)?;
        self.order(id).is_none_or(|p| p.order.operation.is_of_fallback()).then_some(id)
    }

    pub fn saga(&self, number: NumberId, channel: Channel) -> Option<&Saga> {
        self.sagas.get(&(number, channel))
    }

    pub fn sagas(&self) -> impl Iterator<Item = (NumberId, Channel, &Saga)> {
        self.sagas.iter().map(|((n, c), s)| (*n, *c, s))
    }

    pub fn pending(&self) -> impl Iterator<Item = &PendingRollback> {
        self.pending.values()
    }

    pub fn order(&self, id: DecisionId) -> Option<&OrderState> {
        self.orders.get(&id)
    }

    /// Orders that have not ended, oldest first.
    pub fn open_orders(&self) -> impl Iterator<Item = &OrderState> {
        self.orders.values().filter(|p| !p.is_over())
    }

    /// The latest orders, newest first.
    pub fn latest_orders(&self) -> impl Iterator<Item = &OrderState> {
        self.orders.values().rev()
    }

    /// Holds that are in force.
    pub fn holds(&self, now: Time) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(move |h| now < h.until)
    }

    pub fn held_by(&self, now: Time, group: &GroupName, number: NumberId, channel: Channel) -> Option<&Hold> {
        self.holds(now).find(|h| h.scope.covers(group, number, channel))
    }

    pub fn fallback(&self, group: &GroupName, channel: Channel) -> FallbackState {
        self.fallbacks.get(group, channel).map_or(FallbackState::Unchecked, |found| found.state)
    }

    /// What is known of a group's fallback for one number.
    pub fn fallback_for(&self, group: &GroupName, channel: Channel, number: NumberId) -> FallbackState {
        self.fallbacks.get(group, channel).map_or(FallbackState::Unchecked, |found| found.of(number))
    }

    /// All that is known of a group's fallback; `None` before the first look.
    pub fn fallback_found(&self, group: &GroupName, channel: Channel) -> Option<&FallbackFound> {
        self.fallbacks.get(group, channel)
    }

    /// No attempt at a rollback before this, after failures.
    pub fn not_before(&self, number: NumberId, channel: Channel) -> Option<Time> {
        self.sagas.get(&(number, channel))?.failures.until(RETRY_AFTER, RETRY_AT_MOST)
    }

    /// No restore before this, after relapses.
    pub fn no_restore_before(&self, group: &GroupName, channel: Channel) -> Option<Time> {
        self.relapses.get(&(group.clone(), channel))?.until(RESTORE_AFTER, RESTORE_AT_MOST)
    }

    /// True if somebody else undid our last swap of it, and no swap or restore has ended as asked since.
    pub fn is_undone(&self, number: NumberId, channel: Channel) -> bool {
        self.saga(number, channel).is_some_and(|s| s.is_undone)
    }

    /// The open restore that has this number in a later stage.
    pub fn later_restore(&self, number: NumberId, channel: Channel) -> Option<DecisionId> {
        let p = self.order(self.ordered(number, channel)?)?;
        (p.order.staged && p.later().any(|n| n == number)).then_some(p.order.id)
    }

    /// True while a pending rollback, or an order that swaps, has this number.
    pub fn is_engaged(&self, number: NumberId, channel: Channel) -> bool {
        let awaited = |d: &PendingRollback| d.decision.channel == channel && d.waiting.contains(&number);
        self.pending.values().any(awaited) || self.swapping(number, channel).is_some()
    }

    /// True while a pending rollback on evidence at least as strong, or an order that swaps, has this number.
    pub fn is_asked_for(&self, number: NumberId, channel: Channel, strength: Strength) -> bool {
        let awaited = |d: &PendingRollback| {
            d.decision.channel == channel && d.waiting.contains(&number) && (d.is_approved || d.strength() >= strength)
        };
        self.pending.values().any(awaited) || self.swapping(number, channel).is_some()
    }

    /// The open order that has this number.
    pub fn ordered(&self, number: NumberId, channel: Channel) -> Option<DecisionId> {
        self.ordered.get(&(number, channel)).copied()
    }
}

#[cfg(test)]
mod tests;
