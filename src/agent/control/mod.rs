//! Where decisions and people's words become orders: the shell around [`Orders`].
//!
//! Part of the engine's task, and thus the only one that changes [`Orders`]. Every change is an entry
//! that is in the journal first. Whether an order is the detector's, an operator's, or one that an
//! earlier agent left half done, it is sent to the executor at one place, [`Controller::dispatch`].

mod command;
mod drift;
mod proof;
pub mod task;
pub mod view;
pub mod write_guard;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::probe::ProbeRequest;
use super::{ControlMessage, Role, Shared};
use crate::agent::control::view::EngineView;
use crate::agent::control::write_guard::WriteGuard;
use crate::agent::execute::{Journaled, Work};
use crate::agent::incidents::IncidentTracker;
use crate::agent::poll::fallback;
use crate::core::detect::engine::Engine;
use crate::core::detect::ledger::OutcomeChange;
use crate::core::model::decision::{Action, Decision, DecisionId};
use crate::core::model::guard::Strength;
use crate::core::model::id::{Channel, E164, GroupName};
use crate::core::model::order::{By, FallbackState, Operation, OrderResult};
use crate::core::model::reason::Outcome;
use crate::core::model::time::Time;
use crate::core::probe::ProbeSettings;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::guard::Freshness;
use crate::core::rollback::orders::{Orders, Surroundings};
use crate::core::routing::values::RoutingValues;
use crate::store::StoreError;

pub use command::{CommandAnswer, OperatorCommand, Refusal};
pub use drift::{Drifted, ObservedRouting};

/// What our numbers point at is read anew within this.
const READ_WITHIN: Duration = Duration::from_secs(180);

/// What cannot be journaled or dispatched is tried again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// How swaps are put to the test.
pub struct Probing {
    /// Where test calls are asked for; without it there are none.
    pub ask: Option<mpsc::Sender<ProbeRequest>>,
    /// How each group is probed.
    pub groups: Vec<Option<ProbeSettings>>,
}

pub struct Controller {
    shared: Shared,
    role: Role,
    pub orders: Orders,
    /// Told of every entry.
    pub incidents: IncidentTracker,
    write_guard: WriteGuard,
    execute: mpsc::Sender<Work>,
    /// Sent to the executor and not ended.
    dispatched: BTreeSet<(DecisionId, E164)>,
    /// Each number's routing as it should be.
    baseline: HashMap<(E164, Channel), RoutingValues>,
    /// Asking who changed a number.
    asking: JoinSet<()>,
    asked: BTreeSet<(E164, Channel)>,
    /// What was last said of each fallback.
    reported: HashMap<(GroupName, Channel), FallbackState>,
    /// Orders of the detector that an operator has asked for too.
    adopted: BTreeSet<DecisionId>,
    /// Stages that were said to wait.
    said: BTreeSet<DecisionId>,
    /// Where test calls are asked for, and how each group is probed.
    prober: Option<mpsc::Sender<ProbeRequest>>,
    probes: Vec<Option<ProbeSettings>>,
    /// Swaps that were put to the test.
    proofs: HashMap<(E164, Channel), proof::ProofAttempt>,
    inbox: mpsc::WeakSender<ControlMessage>,
    /// The journal could not be written: not again before this.
    journal_again: Time,
    /// The journal contradicts itself: a fault of ours, after which nothing may be done.
    pub fault: Option<String>,
}

impl Controller {
    pub fn new(
        shared: Shared,
        role: Role,
        orders: Orders,
        incidents: IncidentTracker,
        write_guard: WriteGuard,
        execute: mpsc::Sender<Work>,
        probing: Probing,
    ) -> Controller {
        let inbox = shared.inbox.downgrade();
        Controller {
            shared,
            role,
            orders,
            incidents,
            write_guard,
            execute,
            dispatched: BTreeSet::new(),
            baseline: HashMap::new(),
            asking: JoinSet::new(),
            asked: BTreeSet::new(),
            reported: HashMap::new(),
            adopted: BTreeSet::new(),
            said: BTreeSet::new(),
            prober: probing.ask,
            probes: probing.groups,
            proofs: HashMap::new(),
            inbox,
            journal_again: Time::EPOCH,
            fault: None,
        }
    }

    /// Writes entries and takes them in.
    async fn record(&mut self, now: Time, entries: Vec<Entry>) -> Result<(), StoreError> {
        let result = self.shared.append(now, &entries).await;
        self.incidents.journaled(now, &result);
        result?;
        self.fold(now, &entries);
        Ok(())
    }

    fn fold(&mut self, at: Time, entries: &[Entry]) {
        for entry in entries {
            self.incidents.entry(at, entry);
            if let Err(illegal) = self.orders.fold(at, entry) {
                tracing::error!(%illegal, "the journal contradicts itself: this agent stops");
                self.fault = Some(illegal.to_string());
            }
        }
    }

    /// The executor has written entries.
    pub async fn journaled(&mut self, engine: &mut Engine, journaled: Journaled) {
        let mut baseline = Vec::new();
        for entry in &journaled.entries {
            if let Entry::Result { number, channel, result, .. } = entry {
                // What cannot be proven is not what the number should look like either.
                let expected = self.expected(*number, *channel).filter(|_| result.is_as_asked());
                baseline.extend(expected.map(|v| (*number, v)));
            }
            self.fold(journaled.at, std::slice::from_ref(entry));
            if let Entry::Result { decision, channel, number, result, detail } = entry {
                self.dispatched.remove(&(*decision, *number));
                self.ended(engine, &journaled, *decision, *channel, *number, *result, detail);
            }
        }
        self.set_baseline(journaled.at, baseline).await;
    }

    /// The routing that an order under way will leave.
    fn expected(&self, number: E164, channel: Channel) -> Option<RoutingValues> {
        use crate::core::rollback::saga::SagaState;
        let state = self.orders.state(number, channel);
        let swap = state.swap()?;
        let before = RoutingValues::read(&swap.before.record, channel).ok()?;
        let is_restore = matches!(state, SagaState::RestoreWritten { .. });
        Some(if is_restore { before } else { before.after(&swap.wrote) })
    }

    #[expect(clippy::too_many_arguments, reason = "one entry, taken apart once")]
    fn ended(
        &self,
        engine: &mut Engine,
        journaled: &Journaled,
        decision: DecisionId,
        channel: Channel,
        number: E164,
        end: OrderResult,
        detail: &str,
    ) {
        let roster = &self.shared.roster;
        let metrics = &self.shared.metrics;
        let Some(progress) = self.orders.order(decision) else { return };
        let order = &progress.order;
        let took = journaled.at.since(progress.at);
        match order.act {
            // Counted once: when its test is over, if there is to be one.
            Operation::Rollback if end == OrderResult::Written && self.can_prove(number, channel) => {}
            Operation::Rollback => metrics.rollback(&order.group, channel, order.by.label(), end, took),
            Operation::Restore => metrics.restore(&order.group, channel, end),
        }
        let act = order.act.label();
        if end.is_as_asked() {
            let unproven =
                self.unprovable(order.act, end, number, channel).map_or(String::new(), |why| format!("; {why}"));
            tracing::info!(%decision, %number, %channel, "{act}: {}: {detail}{unproven}", end.label());
        } else {
            tracing::error!(%decision, %number, %channel, result = end.label(), "{act} did not end as asked: {detail}");
        }
        let Some(ix) = roster.find(number) else { return };
        let state = self.orders.state(number, channel);
        if end.is_as_asked() {
            metrics.drift(ix, channel, false);
        }
        if state.is_on_fallback() {
            if order.act == Operation::Rollback {
                engine.rolled_back(journaled.at, ix, channel);
            }
        } else {
            match order.act {
                Operation::Restore => engine.restored(journaled.at, ix, channel),
                Operation::Rollback => {
                    let again = self.orders.not_before(number, channel).unwrap_or(journaled.at);
                    engine.not_rolled_back(ix, channel, again);
                }
            }
        }
    }

    /// The detector has decided. Gives back what is to be told of it, `None` if it is no news.
    pub async fn decided(&mut self, engine: &mut Engine, now: Time, mut decision: Decision) -> Option<Arc<Decision>> {
        if decision.action == Action::Rollback {
            let channel = decision.channel;
            // After a restart the detector asks again for what is being done.
            let strength = Strength::of(&decision.evidence, decision.numbers.len());
            decision.numbers.retain(|n| !self.orders.is_asked_for(*n, channel, strength));
            if decision.numbers.is_empty() {
                return None;
            }
        }
        let entry = Entry::Decision(decision.clone());
        if let Err(error) = self.record(now, vec![entry]).await {
            // Law 1: what is not in the journal is not done.
            tracing::error!(decision = %decision.id, %error, cure = error.cure, "this decision is not in the journal");
            give_back(engine, &decision.numbers, decision.channel, now + AGAIN);
        } else if decision.action == Action::Rollback {
            // The demand stands and need not be asked for again; meanwhile the detector goes on watching.
            give_back(engine, &decision.numbers, decision.channel, Time::NEVER);
        }
        Some(Arc::new(decision))
    }

    pub fn settled(&mut self, change: &OutcomeChange) {
        let number = self.shared.roster.number(change.number).e164;
        if change.is_inbound && change.is == Outcome::Ok {
            self.orders.served(number, change.channel, change.started_at);
        }
    }

    /// Asks the guards, writes what follows, and sends what may be done to the executor.
    pub async fn step(&mut self, engine: &mut Engine, now: Time) {
        let (entries, freshness) = {
            let view = EngineView::of(engine, &self.orders, &self.write_guard, now);
            let entries = match self.role {
                Role::Watch => self.orders.step(now, &self.shared.roster, &view),
                Role::Operator => Vec::new(),
            };
            (entries, Channel::ALL.map(|c| view.freshness(c)))
        };
        if !entries.is_empty() && self.journal_again <= now {
            match self.record(now, entries.clone()).await {
                Ok(()) => {
                    for entry in &entries {
                        self.say(engine, now, entry);
                    }
                }
                Err(error) => {
                    self.journal_again = now + AGAIN;
                    tracing::error!(%error, cure = error.cure, "the journal cannot be written: nothing is done");
                }
            }
        }
        for p in self.orders.unverified(now) {
            if self.said.insert(p.order.id) {
                self.incidents.unverified(now, &p.order);
                tracing::error!(
                    decision = %p.order.id, group = %p.order.group, channel = %p.order.channel,
                    "too few callers and tests to tell whether the restored numbers serve: approve {} to go on", p.order.id
                );
            }
        }
        self.incidents.tick(now);
        self.write_guard.set(self.orders.mode(), self.orders.holds(now).cloned().collect());
        self.shared.metrics.held(self.orders.holds(now));
        self.shared.metrics.leading(self.write_guard.is_leading());
        self.dispatch(freshness);
        self.prove(now);
        while self.asking.try_join_next().is_some() {}
    }

    /// Sends released numbers to the executor. The detector's orders wait while we are blind: after a
    /// restart nothing is carried on before the logs could be read.
    fn dispatch(&mut self, freshness: [Freshness; 2]) {
        if !self.write_guard.is_leading() {
            return;
        }
        let mut sent = Vec::new();
        for p in self.orders.open_orders() {
            let order = &p.order;
            let is_watched = self.role == Role::Watch && freshness[order.channel.index()] != Freshness::Stale;
            if order.by == By::Detector && !is_watched && !self.adopted.contains(&order.id) {
                continue;
            }
            let mut numbers = p.left();
            numbers.retain(|n| !self.dispatched.contains(&(order.id, *n)));
            if numbers.is_empty() {
                continue;
            }
            let work = Work {
                order: Arc::new(order.clone()),
                numbers: numbers.iter().map(|n| (*n, self.orders.state(*n, order.channel).clone())).collect(),
                fallback: self.orders.fallback(&order.group, order.channel),
            };
            if self.execute.try_send(work).is_ok() {
                sent.extend(numbers.into_iter().map(|n| (order.id, n)));
            }
        }
        self.dispatched.extend(sent);
    }

    fn say(&self, engine: &mut Engine, now: Time, entry: &Entry) {
        match entry {
            Entry::Order(order) => {
                let (id, group, channel) = (order.id, &order.group, order.channel);
                tracing::warn!(decision = %id, %group, %channel, numbers = order.numbers.len(), "rolling back");
            }
            Entry::Refused { decision, channel, numbers, guard } => {
                for _ in numbers {
                    self.shared.metrics.suppressed(*guard);
                }
                tracing::warn!(
                    %decision, %channel, numbers = numbers.len(), guard = guard.label(),
                    "would have rolled back, but {}", guard.text()
                );
            }
            Entry::Asked { decision, channel, numbers, guard, until } => {
                self.shared.metrics.suppressed(*guard);
                tracing::error!(
                    %decision, %channel, numbers = numbers.len(), guard = guard.label(), %until,
                    "a rollback waits: {}: approve {decision}, or hold the numbers", guard.text()
                );
            }
            Entry::Closed { decision, channel, numbers, why } => {
                tracing::warn!(%decision, %channel, numbers = numbers.len(), "no longer stands: {}", why.text());
                if why.is_on_own_handler() {
                    give_back(engine, numbers, *channel, now + AGAIN);
                }
            }
            Entry::Stage { decision, channel, numbers } => {
                tracing::warn!(%decision, %channel, numbers = numbers.len(), "restoring the next stage");
            }
            Entry::Decision(_)
            | Entry::Approved { .. }
            | Entry::Snapshot { .. }
            | Entry::Checked { .. }
            | Entry::Intent { .. }
            | Entry::Written { .. }
            | Entry::Result { .. }
            | Entry::Phase { .. }
            | Entry::Hold(_)
            | Entry::Release { .. }
            | Entry::Mode { .. }
            | Entry::Drift { .. }
            | Entry::Started { .. }
            | Entry::Fallback { .. } => {}
        }
    }

    /// A fallback was looked at.
    pub async fn fallback(&mut self, engine: &Engine, now: Time, looked: fallback::FallbackChecked) {
        let fallback::FallbackChecked { group, channel, mut state, mut detail } = looked;
        if state != FallbackState::Broken && self.is_what_they_point_at(engine, now, &group, channel) {
            state = FallbackState::Broken;
            detail = "its numbers point at it already: a swap would change nothing".to_owned();
        }
        self.shared.metrics.fallback(&group, channel, state);
        let is_new = self.reported.insert((group.clone(), channel), state) != Some(state);
        if is_new {
            match state {
                FallbackState::Good => tracing::info!(%group, %channel, "the fallback works: {detail}"),
                FallbackState::Unchecked => tracing::warn!(%group, %channel, "the fallback is unchecked: {detail}"),
                FallbackState::Broken => tracing::error!(
                    %group, %channel, "the fallback is broken, and nothing is swapped to it: {detail}"
                ),
            }
        }
        if self.orders.fallback(&group, channel) != state {
            let entry = Entry::Fallback { group, channel, state, detail };
            if let Err(error) = self.record(now, vec![entry]).await {
                tracing::error!(%error, cure = error.cure, "what was found of a fallback is not in the journal");
            }
        }
    }

    /// True if a group's numbers are all on their fallback, and we did not put them there.
    fn is_what_they_point_at(&self, engine: &Engine, now: Time, group: &GroupName, channel: Channel) -> bool {
        let roster = engine.roster();
        let Some((_, group)) = roster.groups().find(|(_, g)| g.name == *group) else { return false };
        let Some(fallback) = group.fallback(channel) else { return false };
        let mut handlers = group
            .numbers
            .iter()
            .filter(|ix| {
                // What we have just put back may not have been read since.
                let saga = self.orders.saga(roster.number(**ix).e164, channel);
                saga.is_none_or(|s| s.state.swap().is_none() && s.since.is_none_or(|t| t + READ_WITHIN <= now))
            })
            .filter_map(|ix| engine.record(*ix))
            .map(|record| record.handler(channel))
            .peekable();
        handlers.peek().is_some() && handlers.all(|h| h.is_url(fallback))
    }
}

fn give_back(engine: &mut Engine, numbers: &[E164], channel: Channel, at: Time) {
    for number in numbers {
        if let Some(ix) = engine.roster().find(*number) {
            engine.not_rolled_back(ix, channel, at);
        }
    }
}
