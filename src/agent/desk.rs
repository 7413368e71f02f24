//! Where decisions and people's words become orders: the shell around [`Hands`].
//!
//! Part of the engine's task, and thus the only one that changes [`Hands`]. Every change is an entry
//! that is in the journal first. Whether an order is the detector's, an operator's, or one that an
//! earlier agent left half done, it is sent to the executor at one place, [`Desk::dispatch`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::executor::{Journaled, Work};
use super::gate::Gate;
use super::view::View;
use super::{Message, Role, Shared, fallback};
use crate::core::engine::Engine;
use crate::core::guard::Sight;
use crate::core::hands::{Hands, Watch};
use crate::core::id::{Channel, E164, GroupName, NumberSid};
use crate::core::journal::{Act, Author, By, End, Entry, FallbackState, Hold, Scope};
use crate::core::ledger::Change;
use crate::core::operator::{Plan, Request};
use crate::core::policy::{Action, Decision, DecisionId, Mode};
use crate::core::restore::{Difference, Values};
use crate::core::time::Time;
use crate::store::StoreError;

/// What cannot be journaled or dispatched is tried again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// As far as the detector is concerned: while a demand stands, it need not ask again.
const NEVER: Time = Time::from_secs(i64::MAX / 2000);

/// Entries of Twilio's audit log are this late at the most when we ask who changed a number.
const AUDIT_BACK: Duration = Duration::from_secs(600);

/// A number as the routing poller saw it, by [`Channel::index`].
pub type Looked = (E164, NumberSid, [Values; 2]);

/// Somebody else changed a number.
#[derive(Debug)]
pub struct Drifted {
    pub number: E164,
    pub channel: Channel,
    pub differences: Vec<Difference>,
    pub now: Values,
    pub actor: Option<String>,
}

/// A person's word.
#[derive(Debug, Clone)]
pub enum Word {
    Swap(Request),
    Hold { scopes: Vec<Scope>, until: Time, by: Author },
    Release { scopes: Vec<Scope>, by: Author },
    Approve { decision: DecisionId, by: Author },
    Mode { mode: Mode, by: Author },
}

/// What became of a person's word.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Planned, and if it was meant, begun.
    Swap(Plan),
    Done(String),
}

/// Why a person's word was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Conflict(String),
    #[error("{0}; {cure}", cure = .0.cure)]
    Store(StoreError),
}

pub struct Desk {
    shared: Shared,
    role: Role,
    pub hands: Hands,
    gate: Gate,
    execute: mpsc::Sender<Work>,
    /// Sent to the executor and not ended.
    dispatched: BTreeSet<(DecisionId, E164)>,
    /// Each number's routing as it should be.
    known: HashMap<(E164, Channel), Values>,
    /// Asking who changed a number.
    asking: JoinSet<()>,
    asked: BTreeSet<(E164, Channel)>,
    /// What was last said of each fallback.
    told: HashMap<(GroupName, Channel), FallbackState>,
    /// Orders of the detector that an operator has asked for too.
    adopted: BTreeSet<DecisionId>,
    /// Stages that were said to wait.
    said: BTreeSet<DecisionId>,
    inbox: mpsc::WeakSender<Message>,
    /// The journal could not be written: not again before this.
    journal_again: Time,
    /// The journal contradicts itself: a fault of ours, after which nothing may be done.
    pub fault: Option<String>,
}

impl Desk {
    pub fn new(shared: Shared, role: Role, hands: Hands, gate: Gate, execute: mpsc::Sender<Work>) -> Desk {
        let inbox = shared.inbox.downgrade();
        Desk {
            shared,
            role,
            hands,
            gate,
            execute,
            dispatched: BTreeSet::new(),
            known: HashMap::new(),
            asking: JoinSet::new(),
            asked: BTreeSet::new(),
            told: HashMap::new(),
            adopted: BTreeSet::new(),
            said: BTreeSet::new(),
            inbox,
            journal_again: Time::EPOCH,
            fault: None,
        }
    }

    /// Writes entries and takes them in.
    async fn record(&mut self, now: Time, entries: Vec<Entry>) -> Result<(), StoreError> {
        self.shared.append(now, &entries).await?;
        self.fold(now, &entries);
        Ok(())
    }

    fn fold(&mut self, at: Time, entries: &[Entry]) {
        for entry in entries {
            if let Err(illegal) = self.hands.fold(at, entry) {
                tracing::error!(%illegal, "the journal contradicts itself: this agent stops");
                self.fault = Some(illegal.to_string());
            }
        }
    }

    /// The executor has written entries.
    pub fn journaled(&mut self, engine: &mut Engine, journaled: Journaled) {
        for entry in &journaled.entries {
            if let Entry::Result { number, channel, result, .. } = entry {
                // What cannot be proven is not what the number should look like either.
                let expected = self.expected(*number, *channel).filter(|_| result.is_as_asked());
                self.known.extend(expected.map(|v| ((*number, *channel), v)));
            }
            self.fold(journaled.at, std::slice::from_ref(entry));
            if let Entry::Result { decision, channel, number, result, detail } = entry {
                self.dispatched.remove(&(*decision, *number));
                self.ended(engine, &journaled, *decision, *channel, *number, *result, detail);
            }
        }
    }

    /// The routing that an order under way will leave.
    fn expected(&self, number: E164, channel: Channel) -> Option<Values> {
        use crate::core::saga::State;
        let state = self.hands.state(number, channel);
        let swap = state.swap()?;
        let before = Values::read(&swap.before.record, channel).ok()?;
        let is_restore = matches!(state, State::RestoreWritten { .. });
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
        end: End,
        detail: &str,
    ) {
        let roster = &self.shared.roster;
        let metrics = &self.shared.metrics;
        let Some(progress) = self.hands.order(decision) else { return };
        let order = &progress.order;
        let took = journaled.at.since(progress.at);
        match order.act {
            Act::Rollback => metrics.rollback(&order.group, channel, order.by.label(), end, took),
            Act::Restore => metrics.restore(&order.group, channel, end),
        }
        let act = order.act.label();
        if end.is_as_asked() {
            tracing::info!(%decision, %number, %channel, "{act}: {}: {detail}", end.label());
        } else {
            tracing::error!(%decision, %number, %channel, result = end.label(), "{act} did not end as asked: {detail}");
        }
        let Some(ix) = roster.find(number) else { return };
        let state = self.hands.state(number, channel);
        if end.is_as_asked() {
            metrics.drift(ix, channel, false);
        }
        if state.is_on_fallback() {
            if order.act == Act::Rollback {
                engine.rolled_back(journaled.at, ix, channel);
            }
        } else {
            match order.act {
                Act::Restore => engine.restored(journaled.at, ix, channel),
                Act::Rollback => {
                    let again = self.hands.not_before(number, channel).unwrap_or(journaled.at);
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
            decision.numbers.retain(|n| !self.hands.is_engaged(*n, channel));
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
            // The demand stands; meanwhile the detector goes on watching.
            give_back(engine, &decision.numbers, decision.channel, NEVER);
        }
        Some(Arc::new(decision))
    }

    pub fn settled(&mut self, change: &Change) {
        let number = self.shared.roster.number(change.number).e164;
        if change.is_inbound {
            self.hands.settled(number, change.channel, change.started_at, change.is);
        }
    }

    /// Asks the guards, writes what follows, and sends what may be done to the executor.
    pub async fn step(&mut self, engine: &mut Engine, now: Time) {
        let (entries, sight) = {
            let view = View::of(engine, &self.hands, &self.gate, now);
            let entries = match self.role {
                Role::Watch => self.hands.step(now, &self.shared.roster, &view),
                Role::Operator => Vec::new(),
            };
            (entries, Channel::ALL.map(|c| view.sight(c)))
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
        for p in self.hands.unverified(now) {
            if self.said.insert(p.order.id) {
                tracing::error!(
                    decision = %p.order.id, group = %p.order.group, channel = %p.order.channel,
                    "too few callers to tell whether the restored numbers serve: approve {} to go on", p.order.id
                );
            }
        }
        self.gate.set(self.hands.mode(), self.hands.holds(now).cloned().collect());
        self.shared.metrics.held(self.hands.holds(now));
        self.shared.metrics.leading(self.gate.is_leading());
        self.dispatch(sight);
        while self.asking.try_join_next().is_some() {}
    }

    /// Sends released numbers to the executor. The detector's orders wait while we are blind: after a
    /// restart nothing is carried on before the logs could be read.
    fn dispatch(&mut self, sight: [Sight; 2]) {
        if !self.gate.is_leading() {
            return;
        }
        let mut sent = Vec::new();
        for p in self.hands.open_orders() {
            let order = &p.order;
            let is_watched = self.role == Role::Watch && sight[order.channel.index()] != Sight::Blind;
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
                numbers: numbers.iter().map(|n| (*n, self.hands.state(*n, order.channel).clone())).collect(),
                fallback: self.hands.fallback(&order.group, order.channel),
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
            Entry::Lapsed { decision, channel, numbers, why } => {
                tracing::warn!(%decision, %channel, numbers = numbers.len(), "no longer stands: {}", why.text());
                give_back(engine, numbers, *channel, now + AGAIN);
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
            | Entry::Fallback { .. } => {}
        }
    }

    /// Takes a person's word. With `is_meant` it is done, without it is only planned.
    pub async fn word(
        &mut self,
        engine: &mut Engine,
        now: Time,
        word: Word,
        is_meant: bool,
    ) -> Result<Answer, Refusal> {
        let (entries, answer) = match word {
            Word::Swap(request) => {
                let plan = self.hands.plan(now, &self.shared.roster, self.gate.is_leading(), &request);
                (plan.orders.iter().cloned().map(Entry::Order).collect(), Answer::Swap(plan))
            }
            Word::Hold { scopes, until, by } => {
                let said = format!("held until {until}");
                (
                    scopes.into_iter().map(|scope| Entry::Hold(Hold { scope, by: by.clone(), until })).collect(),
                    Answer::Done(said),
                )
            }
            Word::Release { scopes, by } => {
                let held = |s: &Scope| self.hands.holds(now).any(|h| h.scope == *s);
                let (on, off): (Vec<Scope>, Vec<Scope>) = scopes.into_iter().partition(held);
                let mut said: Vec<String> = on.iter().map(|s| format!("released: {s}")).collect();
                said.extend(off.iter().map(|s| format!("not held: {s}")));
                let release = |scope| Entry::Release { scope, by: by.clone() };
                (on.into_iter().map(release).collect(), Answer::Done(said.join("; ")))
            }
            Word::Approve { decision, by } => {
                let is_asked = self.hands.demands().any(|d| d.decision.id == decision)
                    || self.hands.open_orders().any(|p| p.order.id == decision && p.order.staged);
                if !is_asked {
                    return Err(Refusal::Conflict(format!(
                        "{decision} does not wait for approval: it is over, or lapsed"
                    )));
                }
                (vec![Entry::Approved { decision, by }], Answer::Done(format!("{decision} is approved")))
            }
            Word::Mode { mode, by } => {
                (vec![Entry::Mode { mode, by }], Answer::Done(format!("the mode is {}", mode.label())))
            }
        };
        if is_meant {
            if let Answer::Swap(plan) = &answer {
                self.adopted.extend(&plan.carried_on);
            }
            self.record(now, entries).await.map_err(Refusal::Store)?;
            engine.resume_after(self.hands.last_id());
            self.shared.metrics.set_mode(self.hands.mode());
            self.step(engine, now).await;
        }
        Ok(answer)
    }

    /// A fallback was looked at.
    pub async fn fallback(&mut self, now: Time, looked: fallback::Looked) {
        let fallback::Looked { group, channel, state, detail } = looked;
        self.shared.metrics.fallback(&group, channel, state);
        let is_new = self.told.insert((group.clone(), channel), state) != Some(state);
        if is_new {
            match state {
                FallbackState::Good => tracing::info!(%group, %channel, "the fallback works: {detail}"),
                FallbackState::Unchecked => tracing::warn!(%group, %channel, "the fallback is unchecked: {detail}"),
                FallbackState::Broken => tracing::error!(
                    %group, %channel, "the fallback is broken, and nothing is swapped to it: {detail}"
                ),
            }
        }
        if self.hands.fallback(&group, channel) != state {
            let entry = Entry::Fallback { group, channel, state, detail };
            if let Err(error) = self.record(now, vec![entry]).await {
                tracing::error!(%error, cure = error.cure, "what was found of a fallback is not in the journal");
            }
        }
    }

    /// The routing poller has read our numbers, beginning at `at`.
    pub fn looked(&mut self, at: Time, numbers: Vec<Looked>) {
        for (number, sid, values) in numbers {
            for channel in Channel::ALL {
                let key = (number, channel);
                let state = self.hands.state(number, channel);
                let is_later = self.hands.saga(number, channel).is_none_or(|s| s.since.is_none_or(|t| t < at));
                if state.is_under_way() || self.hands.ordered(number, channel).is_some() || !is_later {
                    continue;
                }
                let before = state.swap().and_then(|s| Values::read(&s.before.record, channel).ok());
                let ours = state.swap().filter(|_| state.is_on_fallback()).zip(before.as_ref());
                let expected = ours.map(|(s, before)| before.after(&s.wrote)).or_else(|| self.known.get(&key).cloned());
                let now = values[channel.index()].clone();
                let Some(expected) = expected else {
                    self.known.insert(key, now);
                    continue;
                };
                let differences = Values::differences(before.as_ref().unwrap_or(&expected), &expected, &now);
                if !differences.is_empty() && self.asked.insert(key) {
                    self.ask_who(at, sid, Drifted { number, channel, differences, now, actor: None });
                }
            }
        }
    }

    /// Asks Twilio's audit log who it was, and then tells the engine's task.
    fn ask_who(&mut self, at: Time, sid: NumberSid, mut drifted: Drifted) {
        let (client, clock, inbox) = (self.shared.client.clone(), self.shared.clock.clone(), self.inbox.clone());
        let own = clock.clone();
        clock.spawn(&mut self.asking, async move {
            match client.changes(sid, at - AUDIT_BACK).await {
                Ok(changes) => drifted.actor = changes.into_iter().next(),
                Err(error) => tracing::warn!(number = %drifted.number, %error, "cannot ask who changed it"),
            }
            if let Some(inbox) = inbox.upgrade() {
                // The agent may be stopping; the next one sees the same difference.
                let _ = own.wait(None, inbox.send(Message::Drifted(drifted))).await;
            }
        });
    }

    /// Somebody else changed a number, and we know who, or that it cannot be known.
    pub async fn drifted(&mut self, engine: &mut Engine, now: Time, drifted: Drifted) {
        let Drifted { number, channel, differences, now: values, actor } = drifted;
        self.asked.remove(&(number, channel));
        if self.hands.state(number, channel).is_under_way() || self.hands.ordered(number, channel).is_some() {
            // An order has begun meanwhile, and compares for itself.
            return;
        }
        let was_ours = self.hands.state(number, channel).is_on_fallback();
        let what: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let who = actor.clone().unwrap_or_else(|| "unknown".to_owned());
        let entry = Entry::Drift { number, channel, differences, actor };
        if let Err(error) = self.record(now, vec![entry]).await {
            tracing::error!(%number, %channel, %error, cure = error.cure, "a change that is not ours is not in the journal");
            return;
        }
        self.known.insert((number, channel), values);
        tracing::error!(%number, %channel, who, "somebody else changed this number: {}", what.join("; "));
        let Some(ix) = self.shared.roster.find(number) else { return };
        self.shared.metrics.drift(ix, channel, true);
        if was_ours {
            engine.restored(now, ix, channel);
        }
    }
}

fn give_back(engine: &mut Engine, numbers: &[E164], channel: Channel, at: Time) {
    for number in numbers {
        if let Some(ix) = engine.roster().find(*number) {
            engine.not_rolled_back(ix, channel, at);
        }
    }
}
