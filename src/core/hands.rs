//! What is done with decisions: held against the guards, ordered, followed to their ends.
//!
//! A rollback that the detector asks for is a *demand*. It stands until it is carried out, its
//! callers are served again, or nobody approved in time; while it stands, the guards are asked at
//! every step, so that the end of a hold or a change of mode is enough and nothing has to be
//! decided again. What passes becomes an *order*, whose numbers each live through a [`super::saga`].
//!
//! [`Hands`] is a fold over the journal: [`Hands::fold`] is the only thing that changes it, but for
//! the tallies of a restore, which live callers make. [`Hands::step`] reads it and says which
//! entries should be written next; whoever drives it writes them, folds them and carries them out.
//! A restart folds the same entries, and so ends where the last agent was.
//!
//! Promises: nothing is ordered twice for one decision; a number has one order at a time; a refusal
//! is said once; what fails is tried again ever more rarely; a handler that flaps causes a bounded
//! number of writes, for after each relapse the next restore has to wait longer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::guard::{self, Facts, Guard, Ruling, Sight, Strength};
use super::id::{Channel, E164, GroupName};
use super::journal::{Act, By, End, Entry, FallbackState, Hold, Lapse, Order};
use super::outcome::Outcome;
use super::policy::{Action, Decision, DecisionId, Mode, Phase};
use super::restore::stages;
use super::roster::Roster;
use super::saga::{Event, Illegal, Snapshot, State};
use super::time::Time;
use super::verdict::Verdict;

/// What the guards and the stages are measured by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The mode at the very first start; later ones are in the journal.
    pub mode: Mode,
    /// How long a decision waits for approval.
    pub approve_within: Duration,
    /// How long in `auto` somebody may object before it is done.
    pub veto: Duration,
    /// Share of a group that may be on the fallback without approval, in percent; 100 if absent.
    pub caps: BTreeMap<GroupName, u8>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
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

/// Callers whom a stage's numbers must have served before the next stage begins.
const VERIFIED_BY: u32 = 3;

/// A stage without enough callers after this time waits for a person's word.
const VERIFY_WITHIN: Duration = Duration::from_secs(15 * 60);

/// A demand is not over before this, whatever is said of its numbers: what was just decided is not
/// yet looked at anew.
const SETTLED_FOR: Duration = Duration::from_secs(60);

/// A demand of this age is over once nothing speaks against its numbers any more.
const QUIET_FOR: Duration = Duration::from_secs(600);

/// What the detector knows and the guards ask.
pub trait Watch {
    fn is_leading(&self) -> bool;
    fn phase(&self, number: E164, channel: Channel) -> Phase;
    fn verdict(&self, number: E164, channel: Channel) -> Verdict;
    /// The verdict on the number's whole group.
    fn group_verdict(&self, group: &GroupName, channel: Channel) -> Verdict;
    fn sight(&self, channel: Channel) -> Sight;
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

    fn counted(&self, at: Time) -> u32 {
        let days = self.last.map_or(0, |last| at.since(last).as_secs() / FORGIVEN_AFTER.as_secs());
        self.count.saturating_sub(u32::try_from(days).unwrap_or(u32::MAX))
    }

    fn until(&self, first: Duration, most: Duration) -> Option<Time> {
        let last = self.last.filter(|_| self.count > 0)?;
        Some(last + first.saturating_mul(1 << (self.count - 1).min(20)).min(most))
    }
}

/// One channel of one number.
#[derive(Debug, Clone, Default)]
pub struct Saga {
    pub state: State,
    /// Since when it is in this state.
    pub since: Option<Time>,
    failures: Backoff,
    restored_at: Option<Time>,
}

/// A rollback that the detector asks for.
#[derive(Debug, Clone)]
pub struct Demand {
    pub decision: Decision,
    /// Not ordered yet.
    pub waiting: BTreeSet<E164>,
    pub is_approved: bool,
    /// When the question, if one was asked, is no longer open.
    pub until: Option<Time>,
    /// What was said of each number last.
    said: BTreeMap<E164, Guard>,
}

impl Demand {
    /// What stands against it, each guard once.
    pub fn guards(&self) -> Vec<Guard> {
        let waiting = self.said.iter().filter(|(n, _)| self.waiting.contains(n));
        waiting.map(|(_, g)| *g).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// An order with what became of it.
#[derive(Debug, Clone)]
pub struct Progress {
    pub order: Order,
    pub at: Time,
    /// Numbers that may be carried out; of a staged restore, those of the stages so far.
    pub released: BTreeSet<E164>,
    pub ended: BTreeMap<E164, (End, String)>,
    /// A person vouched for the stage that is being verified.
    is_vouched: bool,
    /// Since when the last stage waits to be verified, and who was served since.
    verifying: Option<(Time, u32)>,
    is_over: bool,
}

impl Progress {
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Numbers that are released and have not ended.
    pub fn left(&self) -> Vec<E164> {
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
pub struct Hands {
    settings: Settings,
    mode: Mode,
    sagas: BTreeMap<(E164, Channel), Saga>,
    demands: BTreeMap<DecisionId, Demand>,
    /// Which open order has a number.
    ordered: BTreeMap<(E164, Channel), DecisionId>,
    orders: BTreeMap<DecisionId, Progress>,
    holds: Vec<Hold>,
    relapses: BTreeMap<(GroupName, Channel), Backoff>,
    fallbacks: BTreeMap<(GroupName, Channel), FallbackState>,
    last_id: DecisionId,
}

impl Hands {
    pub fn new(settings: Settings) -> Hands {
        Hands {
            mode: settings.mode,
            settings,
            sagas: BTreeMap::new(),
            demands: BTreeMap::new(),
            ordered: BTreeMap::new(),
            orders: BTreeMap::new(),
            holds: Vec::new(),
            relapses: BTreeMap::new(),
            fallbacks: BTreeMap::new(),
            last_id: DecisionId(0),
        }
    }

    pub const fn mode(&self) -> Mode {
        self.mode
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The id for the next decision or order.
    pub const fn next_id(&self) -> DecisionId {
        DecisionId(self.last_id.0 + 1)
    }

    pub const fn last_id(&self) -> DecisionId {
        self.last_id
    }

    pub fn state(&self, number: E164, channel: Channel) -> &State {
        const IDLE: &State = &State::Idle;
        self.sagas.get(&(number, channel)).map_or(IDLE, |s| &s.state)
    }

    pub fn saga(&self, number: E164, channel: Channel) -> Option<&Saga> {
        self.sagas.get(&(number, channel))
    }

    pub fn sagas(&self) -> impl Iterator<Item = (E164, Channel, &Saga)> {
        self.sagas.iter().map(|((n, c), s)| (*n, *c, s))
    }

    pub fn demands(&self) -> impl Iterator<Item = &Demand> {
        self.demands.values()
    }

    pub fn order(&self, id: DecisionId) -> Option<&Progress> {
        self.orders.get(&id)
    }

    /// Orders that have not ended, oldest first.
    pub fn open_orders(&self) -> impl Iterator<Item = &Progress> {
        self.orders.values().filter(|p| !p.is_over())
    }

    /// The latest orders, newest first.
    pub fn latest_orders(&self) -> impl Iterator<Item = &Progress> {
        self.orders.values().rev()
    }

    /// Holds that are in force.
    pub fn holds(&self, now: Time) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(move |h| now < h.until)
    }

    pub fn held_by(&self, now: Time, group: &GroupName, number: E164, channel: Channel) -> Option<&Hold> {
        self.holds(now).find(|h| h.scope.covers(group, number, channel))
    }

    pub fn fallback(&self, group: &GroupName, channel: Channel) -> FallbackState {
        self.fallbacks.get(&(group.clone(), channel)).copied().unwrap_or_default()
    }

    /// No attempt at a rollback before this, after failures.
    pub fn not_before(&self, number: E164, channel: Channel) -> Option<Time> {
        self.sagas.get(&(number, channel))?.failures.until(RETRY_AFTER, RETRY_AT_MOST)
    }

    /// No restore before this, after relapses.
    pub fn no_restore_before(&self, group: &GroupName, channel: Channel) -> Option<Time> {
        self.relapses.get(&(group.clone(), channel))?.until(RESTORE_AFTER, RESTORE_AT_MOST)
    }

    /// True while a demand or an order has this number.
    pub fn is_engaged(&self, number: E164, channel: Channel) -> bool {
        let demanded = |d: &Demand| d.decision.channel == channel && d.waiting.contains(&number);
        self.demands.values().any(demanded) || self.ordered(number, channel).is_some()
    }

    /// The open order that has this number.
    pub fn ordered(&self, number: E164, channel: Channel) -> Option<DecisionId> {
        self.ordered.get(&(number, channel)).copied()
    }

    /// Takes in one entry, as it was written at `at`.
    pub fn fold(&mut self, at: Time, entry: &Entry) -> Result<(), Illegal> {
        if let Some(id) = entry.decision() {
            self.last_id = self.last_id.max(id);
        }
        match entry {
            Entry::Decision(decision) => {
                if decision.action == Action::Rollback {
                    let waiting = decision.numbers.iter().copied().collect();
                    let demand = Demand {
                        decision: decision.clone(),
                        waiting,
                        is_approved: false,
                        until: None,
                        said: BTreeMap::new(),
                    };
                    self.demands.insert(decision.id, demand);
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
            Entry::Refused { decision, numbers, guard, .. } => self.fold_said(*decision, numbers, *guard, None),
            Entry::Asked { decision, numbers, guard, until, .. } => {
                self.fold_said(*decision, numbers, *guard, Some(*until));
            }
            Entry::Approved { decision, .. } => {
                if let Some(demand) = self.demands.get_mut(decision) {
                    demand.is_approved = true;
                }
                if let Some(p) = self.orders.get_mut(decision) {
                    p.is_vouched = true;
                }
            }
            Entry::Lapsed { decision, numbers, .. } => {
                self.take_from_demand(*decision, numbers);
                // Of a rollback only what was not ordered lapses; a restore ends with the stages it had.
                if let Some(p) = self.orders.get_mut(decision).filter(|p| p.order.staged) {
                    p.is_over = true;
                    self.ordered.retain(|_, id| id != decision);
                }
            }
            Entry::Snapshot { decision, channel, number, sid, record, sha256 } => {
                // The first version wrote no orders.
                self.take_from_demand(*decision, &[*number]);
                let snapshot = Snapshot { sid: *sid, record: record.as_str().into() };
                self.advance(at, *decision, *number, *channel, Event::Snapshotted(snapshot))?;
                if sha256.is_empty() {
                    // The first version did not look at the fallback.
                    self.advance(at, *decision, *number, *channel, Event::Checked(FallbackState::Unchecked))?;
                }
            }
            Entry::Checked { decision, channel, number, fallback } => {
                self.advance(at, *decision, *number, *channel, Event::Checked(*fallback))?;
            }
            Entry::Intent { decision, channel, number, act, form, .. } => {
                self.advance(at, *decision, *number, *channel, Event::Intended(*act, form.clone()))?;
            }
            Entry::Written { decision, channel, number } => {
                self.advance(at, *decision, *number, *channel, Event::Written)?;
            }
            Entry::Result { decision, channel, number, result, detail } => {
                self.fold_result(at, *decision, *number, *channel, *result, detail)?;
            }
            Entry::Hold(hold) => {
                // A later word on the same scope replaces the earlier one.
                self.holds.retain(|h| h.scope != hold.scope);
                self.holds.push(hold.clone());
            }
            Entry::Release { scope, .. } => self.holds.retain(|h| h.scope != *scope),
            Entry::Mode { mode, .. } => self.mode = *mode,
            Entry::Drift { number, channel, .. } => {
                let key = (*number, *channel);
                let saga = self.sagas.entry(key).or_default();
                let order = saga.state.order().unwrap_or(DecisionId(0));
                let was = saga.state.label();
                saga.state = std::mem::take(&mut saga.state).next(order, Event::Drifted)?;
                if saga.state.label() != was {
                    saga.since = Some(at);
                }
            }
            Entry::Fallback { group, channel, state, .. } => {
                self.fallbacks.insert((group.clone(), *channel), *state);
            }
            Entry::Phase { .. } => {}
        }
        Ok(())
    }

    fn fold_order(&mut self, at: Time, order: &Order) {
        self.take_from_demand(order.id, &order.numbers);
        self.ordered.extend(order.numbers.iter().map(|n| ((*n, order.channel), order.id)));
        let released = if order.staged { BTreeSet::new() } else { order.numbers.iter().copied().collect() };
        match self.orders.get_mut(&order.id) {
            // More numbers of the same decision, let through later.
            Some(p) => {
                p.order.numbers.extend(&order.numbers);
                p.released.extend(released);
                p.is_over = false;
            }
            None => {
                let progress = Progress {
                    order: order.clone(),
                    at,
                    released,
                    ended: BTreeMap::new(),
                    is_vouched: false,
                    verifying: None,
                    is_over: false,
                };
                self.orders.insert(order.id, progress);
            }
        }
    }

    fn fold_said(&mut self, decision: DecisionId, numbers: &[E164], guard: Guard, until: Option<Time>) {
        if let Some(demand) = self.demands.get_mut(&decision) {
            demand.said.extend(numbers.iter().map(|n| (*n, guard)));
            demand.until = demand.until.or(until);
        }
    }

    fn take_from_demand(&mut self, decision: DecisionId, numbers: &[E164]) {
        if let Some(demand) = self.demands.get_mut(&decision) {
            demand.waiting.retain(|n| !numbers.contains(n));
            if demand.waiting.is_empty() {
                self.demands.remove(&decision);
            }
        }
    }

    fn advance(
        &mut self,
        at: Time,
        order: DecisionId,
        number: E164,
        channel: Channel,
        event: Event,
    ) -> Result<(), Illegal> {
        let saga = self.sagas.entry((number, channel)).or_default();
        // An illegal step leaves the state as it was.
        saga.state = saga.state.clone().next(order, event)?;
        saga.since = Some(at);
        Ok(())
    }

    fn fold_result(
        &mut self,
        at: Time,
        order: DecisionId,
        number: E164,
        channel: Channel,
        end: End,
        detail: &str,
    ) -> Result<(), Illegal> {
        self.advance(at, order, number, channel, Event::Ended(end))?;
        let progress = self.orders.get_mut(&order);
        let act = progress.as_ref().map_or(Act::Rollback, |p| p.order.act);
        let group = progress.as_ref().map(|p| p.order.group.clone());
        if let Some(p) = progress {
            p.ended.insert(number, (end, detail.to_owned()));
            p.is_over = p.ended.len() >= p.order.numbers.len();
            self.ordered.remove(&(number, channel));
            if p.order.staged && p.left().is_empty() {
                p.verifying = Some((at, 0));
            }
        }
        let saga = self.sagas.entry((number, channel)).or_default();
        match (act, end) {
            (Act::Rollback, End::Written | End::Proven) => {
                saga.failures = Backoff::default();
                let relapsed = saga.restored_at.take().is_some_and(|t| at.since(t) < RELAPSE_WITHIN);
                if let (true, Some(group)) = (relapsed, group) {
                    let backoff = self.relapses.entry((group, channel)).or_default();
                    // The numbers of one relapse count once.
                    if backoff.last.is_none_or(|t| at.since(t) >= RETRY_AFTER) {
                        backoff.failed(at);
                    }
                }
            }
            (Act::Rollback, End::Failed | End::Unproven | End::Refused) => saga.failures.failed(at),
            (Act::Restore, End::Restored) => saga.restored_at = Some(at),
            (Act::Rollback, End::Superseded | End::Restored) | (Act::Restore, _) => {}
        }
        Ok(())
    }

    /// A call or message of a number that is being restored has an outcome.
    pub fn settled(&mut self, number: E164, channel: Channel, started_at: Time, outcome: Outcome) {
        for p in self.orders.values_mut().filter(|p| p.order.channel == channel && p.ended.contains_key(&number)) {
            if let (Some((since, served)), Outcome::Ok) = (&mut p.verifying, outcome)
                && started_at >= *since
            {
                *served += 1;
            }
        }
    }

    /// The entries that should be written next, in order.
    pub fn step(&self, now: Time, roster: &Roster, watch: &impl Watch) -> Vec<Entry> {
        let mut entries = Vec::new();
        // Numbers that this step orders count for the cap of those that follow.
        let mut ordered: BTreeMap<(GroupName, Channel), usize> = BTreeMap::new();
        for demand in self.demands.values() {
            self.step_demand(now, roster, watch, demand, &mut ordered, &mut entries);
        }
        for progress in self.open_orders().filter(|p| p.order.staged) {
            self.step_restore(watch, progress, &mut entries);
        }
        entries
    }

    fn step_demand(
        &self,
        now: Time,
        roster: &Roster,
        watch: &impl Watch,
        demand: &Demand,
        ordered: &mut BTreeMap<(GroupName, Channel), usize>,
        entries: &mut Vec<Entry>,
    ) {
        let Decision { id: decision, channel, ref group, at, .. } = demand.decision;
        let members = roster.groups().find(|(_, g)| g.name == *group).map(|(_, g)| g.numbers.as_slice());
        let members: Vec<E164> = members.unwrap_or_default().iter().map(|ix| roster.number(*ix).e164).collect();
        let evidence = &demand.decision.evidence;
        let strength = if evidence.failing > 0 { Strength::Callers } else { Strength::Hint };
        let percent = self.settings.caps.get(group).copied().unwrap_or(100);
        let on_fallback = members.iter().filter(|n| {
            let state = self.state(**n, channel);
            state.is_on_fallback() || state.is_under_way() || self.ordered(**n, channel).is_some()
        });
        let on_fallback = on_fallback.count();

        let (mut act, mut recovered, mut timed_out) = (Vec::new(), Vec::new(), Vec::new());
        let mut refused: BTreeMap<Guard, Vec<E164>> = BTreeMap::new();
        let mut asked: BTreeMap<(Guard, Time), Vec<E164>> = BTreeMap::new();
        for number in demand.waiting.iter().copied() {
            if self.ordered(number, channel).is_some() {
                continue;
            }
            if self.state(number, channel).is_on_fallback() {
                recovered.push(number);
                continue;
            }
            let verdicts = [watch.verdict(number, channel), watch.group_verdict(group, channel)];
            let is_calm = verdicts.iter().all(|v| matches!(v, Verdict::Healthy | Verdict::Unknown));
            let calm_for = if verdicts[0] == Verdict::Healthy { SETTLED_FOR } else { QUIET_FOR };
            let is_over = is_calm && at + calm_for <= now;
            if watch.sight(channel) != Sight::Blind && is_over {
                recovered.push(number);
                continue;
            }
            let earlier = ordered.get(&(group.clone(), channel)).copied().unwrap_or(0);
            let facts = Facts {
                is_leading: watch.is_leading(),
                mode: self.mode,
                is_held: self.held_by(now, group, number, channel).is_some(),
                phase: watch.phase(number, channel),
                sight: watch.sight(channel),
                is_storm: watch.is_storm(channel),
                fallback: self.fallback(group, channel),
                not_before: self.not_before(number, channel),
                after: on_fallback + earlier + 1,
                allowed: guard::allowed(strength, members.len(), percent),
                is_approved: demand.is_approved,
                veto_until: (self.settings.veto > Duration::ZERO).then(|| at + self.settings.veto),
            };
            let said = demand.said.get(&number);
            match guard::rule(now, &facts) {
                Ruling::Act => {
                    act.push(number);
                    *ordered.entry((group.clone(), channel)).or_default() += 1;
                }
                Ruling::Refuse(guard) if said != Some(&guard) => refused.entry(guard).or_default().push(number),
                Ruling::Refuse(_) => {}
                Ruling::Ask(_) if demand.until.is_some_and(|t| t <= now) => timed_out.push(number),
                Ruling::Ask(guard) if said != Some(&guard) => {
                    let until = demand.until.unwrap_or(now + self.settings.approve_within);
                    asked.entry((guard, until)).or_default().push(number);
                }
                Ruling::Wait(until) if said != Some(&Guard::Veto) => {
                    asked.entry((Guard::Veto, until)).or_default().push(number);
                }
                Ruling::Ask(_) | Ruling::Wait(_) => {}
            }
        }
        if !act.is_empty() {
            entries.push(Entry::Order(Order {
                id: decision,
                act: Act::Rollback,
                channel,
                group: group.clone(),
                numbers: act,
                by: By::Detector,
                force: false,
                staged: false,
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
        for (numbers, why) in [(recovered, Lapse::Recovered), (timed_out, Lapse::TimedOut)] {
            if !numbers.is_empty() {
                entries.push(Entry::Lapsed { decision, channel, numbers, why });
            }
        }
    }

    /// The next stage of a staged restore, once the one before was verified by live callers.
    fn step_restore(&self, watch: &impl Watch, p: &Progress, entries: &mut Vec<Entry>) {
        let Order { id: decision, channel, .. } = p.order;
        if !p.left().is_empty() || self.mode == Mode::Observe || !watch.is_leading() {
            return;
        }
        let is_bad = |n: &E164| {
            !matches!(self.state(*n, channel), State::Restored(order) if *order == decision)
                || matches!(watch.verdict(*n, channel), Verdict::Failing | Verdict::Suspect)
                || self.is_engaged(*n, channel)
        };
        let waiting: Vec<E164> = p.order.numbers.iter().copied().filter(|n| !p.released.contains(n)).collect();
        if p.ended.keys().any(is_bad) {
            entries.push(Entry::Lapsed { decision, channel, numbers: waiting, why: Lapse::Relapsed });
            return;
        }
        let is_verified = match p.verifying {
            None => p.released.is_empty(),
            Some((_, served)) => p.is_vouched || served >= VERIFIED_BY,
        };
        if is_verified {
            let sizes = stages(p.order.numbers.len());
            let mut begun = 0;
            let next = sizes.into_iter().find(|size| {
                begun += size;
                begun > p.released.len()
            });
            let numbers = waiting.into_iter().take(next.unwrap_or(usize::MAX)).collect();
            entries.push(Entry::Stage { decision, channel, numbers });
        }
    }

    /// Orders whose current stage has had too few callers and waits for a person's word.
    pub fn unverified(&self, now: Time) -> impl Iterator<Item = &Progress> {
        self.open_orders().filter(move |p| {
            p.verifying
                .is_some_and(|(since, served)| !p.is_vouched && served < VERIFIED_BY && since + VERIFY_WITHIN <= now)
        })
    }
}

#[cfg(test)]
mod tests;
