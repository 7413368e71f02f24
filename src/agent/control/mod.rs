//! The control task: owns [`Control`], and is the only writer of the journal. Before it
//! runs, the start notes there that it started (`agent::start`).
//!
//! Every change of what is decided and done is an entry. An entry is appended to the journal first
//! ([`Controller::commit`]) and applied afterwards, with the time that was written, in the order in which it was
//! written. Other tasks hand their entries in through [`journal`] and wait for the receipt. What an entry means
//! outside of memory, metrics and log lines, is in one place too ([`report`]).
//!
//! | file | is |
//! |---|---|
//! | [`task`] | the loop: feeds the engine, moves its time on, publishes the status |
//! | [`journal`] | how other tasks write |
//! | [`command`] | what an operator asks |
//! | [`look`] | what numbers point at, looked at before it is said |
//! | [`adopt`] | that the handler which numbers have is the right one |
//! | [`resume`] | what people were told before a restart |
//! | [`proof`] | whether what was rolled back to answers |
//! | [`port`] | how far the ports are, and what people are told of them |
//! | [`drift`] | changes that are not ours |
//! | [`fallbacks`] | what was found of a group's fallback |
//! | [`sight`] | what the logs show, and whether they can be believed |
//! | [`report`] | metrics and log lines of what was written |
//! | [`write_guard`] | what may stop a write at the last moment |
//!
//! Whether an order is the detector's, an operator's, or one that an earlier agent left half done, it is sent to the
//! executor at one place, [`Controller::dispatch`].

pub mod adopt;
mod command;
mod drift;
mod fallbacks;
pub mod journal;
pub mod look;
mod port;
mod proof;
mod report;
pub mod resume;
mod sight;
pub mod task;
pub mod write_guard;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::probe::ProbeRequest;
use super::{ControlMessage, Role, Shared};
use crate::agent::control::journal::AppendRequest;
use crate::agent::control::write_guard::{Initiator, WriteGuard};
use crate::agent::deliver::Outbox;
use crate::agent::execute::Work;
use crate::agent::publish::status::{Knowledge, ReadFailure, Status};
use crate::core::control::{Control, DECIDE_AGAIN, EngineView};
use crate::core::detect::ledger::OutcomeChange;
use crate::core::model::decision::{Action, Decision, DecisionId, Mode};
use crate::core::model::guard::Strength;
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::{By, FallbackState};
use crate::core::model::reason::Outcome;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::notice::Notice;
use crate::core::notice::condition::AgentCondition;
use crate::core::port::sight::ApiSight;
use crate::core::probe::ProbeSettings;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::guard::Freshness;
use crate::core::rollback::orders::{Orders, Surroundings, Witness};
use crate::core::routing::values::RoutingValues;
use crate::store::seen::Place;
use crate::store::{StoreError, StoreProblem};

pub use command::{CommandAnswer, OperatorCommand, Refusal};
pub use drift::{Drifted, ObservedRouting};

/// What our numbers point at is read anew within this.
const READ_WITHIN: Duration = Duration::from_secs(180);

/// What cannot be journaled or dispatched is tried again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// Entries that could not be written and are tried again, at the most; the oldest give way.
const BACKLOG: usize = 1000;

/// How rollbacks are put to the test.
pub struct Probing {
    /// Where test calls are asked for; without it there are none.
    pub ask: Option<mpsc::Sender<ProbeRequest>>,
    /// How each group is probed.
    pub groups: Vec<Option<ProbeSettings>>,
}

pub struct Controller {
    shared: Shared,
    role: Role,
    control: Control,
    outbox: Outbox,
    began: Time,
    /// The latest entry could not be written to the journal: until when the lease lasted then.
    unwritable: Option<Time>,
    write_guard: WriteGuard,
    execute: mpsc::Sender<Work>,
    /// The last that was taken in of what was seen.
    seen: Place,
    /// Sent to the executor and not ended.
    dispatched: BTreeSet<(DecisionId, NumberId)>,
    /// Each number's routing as it should be.
    baseline: HashMap<(NumberId, Channel), RoutingValues>,
    /// When each was read the last time that something was made of it.
    looked_at: HashMap<(NumberId, Channel), Time>,
    /// Asking who changed a number.
    asking: JoinSet<()>,
    asked: BTreeSet<(NumberId, Channel)>,
    /// On their fallback without a rollback in the journal, by [`Channel::index`].
    unknown: [Vec<NumberId>; 2],
    /// When each source last had a row that was not understood, by [`Source::index`].
    unclear: [Option<Time>; Source::ALL.len()],
    /// What was last logged of each fallback.
    reported: HashMap<(GroupName, Channel), (FallbackState, Vec<NumberId>)>,
    /// Orders of the detector that an operator has asked for too.
    adopted: BTreeSet<DecisionId>,
    /// Orders that were open when this agent began: they go on after it as they did before it.
    inherited: BTreeSet<DecisionId>,
    /// Restores whose stage was logged to wait.
    unverified: BTreeSet<DecisionId>,
    /// Where test calls are asked for, and how each group is probed.
    prober: Option<mpsc::Sender<ProbeRequest>>,
    probes: Vec<Option<ProbeSettings>>,
    /// Rollbacks that were put to the test.
    proofs: HashMap<(NumberId, Channel), proof::ProofAttempt>,
    /// Rollbacks that are counted once their proof is known, and until when it is waited for.
    uncounted: BTreeMap<(DecisionId, NumberId, Channel), Time>,
    /// And those that are counted.
    counted: BTreeSet<(DecisionId, NumberId, Channel)>,
    inbox: mpsc::WeakSender<ControlMessage>,
    /// What came of the latest look at the Porting API.
    port_sight: ApiSight,
    /// Why each source could not be read, by [`Source::index`].
    failures: [Option<ReadFailure>; Source::ALL.len()],
    /// The journal could not be written: not again before this.
    journal_again: Time,
    /// What has happened and is not written yet.
    backlog: VecDeque<Entry>,
    /// The journal contradicts itself: a fault of ours, after which nothing may be done.
    fault: Option<String>,
}

impl Controller {
    pub fn new(
        shared: Shared,
        role: Role,
        control: Control,
        outbox: Outbox,
        write_guard: WriteGuard,
        execute: mpsc::Sender<Work>,
        probing: Probing,
    ) -> Controller {
        let inbox = shared.inbox.downgrade();
        let began = shared.clock.now();
        let inherited = control.orders().open_orders().map(|p| p.order.id).collect();
        Controller {
            shared,
            role,
            control,
            outbox,
            began,
            unwritable: None,
            write_guard,
            execute,
            seen: Place::FIRST,
            dispatched: BTreeSet::new(),
            baseline: HashMap::new(),
            looked_at: HashMap::new(),
            asking: JoinSet::new(),
            asked: BTreeSet::new(),
            unknown: [Vec::new(), Vec::new()],
            unclear: [None; Source::ALL.len()],
            reported: HashMap::new(),
            adopted: BTreeSet::new(),
            inherited,
            unverified: BTreeSet::new(),
            prober: probing.ask,
            probes: probing.groups,
            proofs: HashMap::new(),
            uncounted: BTreeMap::new(),
            counted: BTreeSet::new(),
            inbox,
            port_sight: ApiSight::NotYet,
            failures: Default::default(),
            journal_again: Time::EPOCH,
            backlog: VecDeque::new(),
            fault: None,
        }
    }

    pub const fn control(&self) -> &Control {
        &self.control
    }

    pub const fn control_mut(&mut self) -> &mut Control {
        &mut self.control
    }

    pub const fn orders(&self) -> &Orders {
        self.control.orders()
    }

    /// What others may read of everything.
    pub fn published(&self, now: Time, decisions: Vec<Arc<Decision>>) -> Status {
        let failing = self.shared.notifiers.failing();
        let known = Knowledge {
            ports: self.control.ports(),
            sight: &self.port_sight,
            incidents: self.control.incidents(),
            failures: &self.failures,
            notifiers: &failing,
            is_nobody_told: self.shared.notifiers.is_nobody_told(),
            can_prove: &|number, channel| self.can_prove(number, channel),
        };
        Status::of(self.control.engine(), self.orders(), known, now, decisions)
    }

    /// A log or list was read to its end.
    pub fn was_read(&mut self, source: Source) {
        self.failures[source.index()] = None;
    }

    /// A log or list could not be read.
    pub fn read_failed(&mut self, source: Source, failure: ReadFailure) {
        let known = &mut self.failures[source.index()];
        let since = known.as_ref().map_or(failure.since, |earlier| earlier.since);
        *known = Some(ReadFailure { since, ..failure });
    }

    /// Everything up to this place has been taken in.
    pub const fn has_seen(&mut self, place: Place) {
        self.seen = place;
    }

    /// Why nothing more may be done, if so.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Writes entries, all or nothing, and applies them. The one place at which the journal is written. What has
    /// happened before and is not written yet goes first, so that the journal has the order in which things happened.
    async fn commit(&mut self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let at = self.shared.clock.now();
        let kept = self.backlog.len();
        let mut entries: Vec<Entry> = self.backlog.drain(..).chain(entries).collect();
        let result = self.shared.store.append(at, self.seen, &entries).await;
        self.shared.metrics.journaled(result.is_ok());
        self.unwritable = result.is_err().then(|| at + self.shared.store.lease_term(at));
        self.write_guard.journaled(result.is_ok());
        self.journal_written(at, &result);
        if let Err(error) = result {
            entries.truncate(kept);
            self.backlog = entries.into();
            return Err(error);
        }
        for entry in &entries {
            self.apply(at, entry);
        }
        Ok(())
    }

    fn apply(&mut self, at: Time, entry: &Entry) {
        match self.control.apply(at, entry) {
            Ok(notices) => {
                self.post(notices);
                self.report(at, entry);
            }
            Err(illegal) => {
                tracing::error!(%illegal, "the journal contradicts itself: this agent stops");
                self.fault = Some(illegal.to_string());
            }
        }
    }

    /// Another task has something to write.
    pub async fn append(&mut self, request: AppendRequest) {
        let AppendRequest { entries, receipt } = request;
        let expected = self.expected(&entries);
        let result = self.commit(entries).await;
        if result.is_ok() {
            self.set_baseline(self.shared.clock.now(), expected).await;
        }
        // Whoever asked may have gone away.
        let _ = receipt.send(result);
    }

    /// Writes it with the next try. Of too many the oldest give way, but no person's word.
    fn keep(&mut self, entry: Entry) {
        if self.backlog.contains(&entry) {
            return;
        }
        if self.backlog.len() >= BACKLOG {
            let is_word = |e: &Entry| matches!(e, Entry::Hold(_) | Entry::Mode { .. });
            let oldest = self.backlog.iter().position(|e| !is_word(e)).unwrap_or_default();
            self.backlog.remove(oldest);
        }
        self.backlog.push_back(entry);
    }

    /// What has happened is written sooner or later: now, or with the next try.
    async fn commit_or_keep(&mut self, entry: Entry, what: &str) {
        let (is_first, id) = (self.backlog.is_empty(), entry.decision());
        self.keep(entry);
        let result = self.write_backlog().await;
        if self.backlog.is_empty() {
            return;
        }
        if let Some(id) = id {
            self.control.reserve(id);
        }
        if let (true, Err(error)) = (is_first, result) {
            tracing::error!(%error, cure = error.cure, "{what} is not in the journal yet");
        }
    }

    async fn write_backlog(&mut self) -> Result<(), StoreError> {
        if self.shared.clock.now() < self.journal_again {
            return Ok(());
        }
        self.write_kept().await
    }

    /// Writes what is kept, without waiting for its time.
    async fn write_kept(&mut self) -> Result<(), StoreError> {
        if self.backlog.is_empty() {
            return Ok(());
        }
        let result = self.commit(Vec::new()).await;
        if result.is_err() {
            self.journal_again = self.shared.clock.now() + AGAIN;
        }
        result
    }

    /// With nothing to write it shows by the lease, which is renewed in the same file, that it can be written again.
    fn notice_disk(&mut self, now: Time) {
        let is_renewed = |until: Time| until < now + self.shared.store.lease_term(now);
        if self.backlog.is_empty() && self.unwritable.is_some_and(is_renewed) {
            self.unwritable = None;
            self.write_guard.journaled(true);
        }
    }

    /// What the write guard goes by: the journal, and what a person has said that is not in it yet.
    fn set_guard(&mut self, now: Time) {
        let view = EngineView::of(self.control.engine(), self.orders(), self.write_guard.is_leading(), now);
        let is_blind = Channel::ALL.map(|c| view.freshness(c) == Freshness::Stale);
        let observes = |e: &Entry| matches!(e, Entry::Mode { mode: Mode::Observe, .. });
        let mode = if self.backlog.iter().any(observes) { Mode::Observe } else { self.orders().mode() };
        let kept =
            self.backlog.iter().filter_map(|e| if let Entry::Hold(hold) = e { Some(hold.clone()) } else { None });
        let holds = self.orders().holds(now).cloned().chain(kept).collect();
        self.write_guard.set(mode, holds, is_blind);
    }

    fn post(&self, notices: impl IntoIterator<Item = Notice>) {
        notices.into_iter().for_each(|n| self.outbox.post(self.control.advised(n)));
    }

    /// The journal was written, or could not be.
    fn journal_written(&mut self, now: Time, result: &Result<(), StoreError>) {
        let incidents = self.control.incidents_mut();
        let notice = match result {
            Ok(()) => incidents.ends(now, "store"),
            Err(e) if e.problem == StoreProblem::LeaseLost => incidents.begins(now, now, AgentCondition::LeaseLost),
            Err(e) => {
                let (problem, cure) = (e.to_string(), e.cure.to_owned());
                incidents.begins(now, now, AgentCondition::StoreUnwritable { problem, cure })
            }
        };
        self.post(notice);
    }

    /// The detector calls these numbers healthy, which they were not.
    pub async fn healthy(&mut self, channel: Channel, numbers: Vec<NumberId>) {
        if let Some(entry) = self.control.recovered(channel, numbers) {
            self.commit_or_keep(entry, "the end of a trouble").await;
        }
    }

    /// The detector has decided. Gives back what is to be told of it, `None` if it is no news.
    pub async fn decided(&mut self, mut decision: Decision) -> Option<Arc<Decision>> {
        let channel = decision.channel;
        if decision.action != Action::Rollback {
            self.commit_or_keep(Entry::Decision(decision.clone()), "a decision").await;
            return Some(Arc::new(decision));
        }
        // The detector asks for what stands already when it has learnt more.
        let strength = Strength::of(&decision.evidence, decision.numbers.len());
        let asked_for = |n: &NumberId| self.orders().is_asked_for(*n, channel, strength);
        let (standing, new): (Vec<NumberId>, Vec<NumberId>) = decision.numbers.iter().copied().partition(asked_for);
        self.control.may_decide_again(&standing, channel, Time::NEVER);
        if new.is_empty() {
            return None;
        }
        decision.numbers = new;
        if let Err(error) = self.commit(vec![Entry::Decision(decision.clone())]).await {
            // Law 1: what is not in the journal is not done.
            tracing::error!(decision = %decision.id, %error, cure = error.cure, "this decision is not in the journal");
            let not_before = self.shared.clock.now() + DECIDE_AGAIN;
            self.control.may_decide_again(&decision.numbers, channel, not_before);
        }
        Some(Arc::new(decision))
    }

    pub fn settled(&mut self, change: &OutcomeChange) {
        let number = self.shared.roster.number(change.number).id;
        if !change.is_inbound {
            return;
        }
        let by = Witness::Caller(change.party.hash);
        if change.is == Outcome::Ok {
            self.control.served(number, change.channel, change.started_at, by);
        } else if change.was == Some(Outcome::Ok) {
            self.control.not_served(number, change.channel, by);
        }
    }

    /// Asks the guards, writes what follows, and sends what may be done to the executor.
    pub async fn step(&mut self, now: Time) {
        // What could not be written was told when it happened.
        let _ = self.write_backlog().await;
        self.notice_disk(now);
        let is_leading = self.write_guard.is_leading();
        let entries = match self.role {
            Role::Watch if self.journal_again <= now => self.control.step(now, is_leading),
            Role::Watch | Role::Operator => Vec::new(),
        };
        if !entries.is_empty()
            && let Err(error) = self.commit(entries).await
        {
            self.journal_again = now + AGAIN;
            tracing::error!(%error, cure = error.cure, "the journal cannot be written: nothing is done");
        }
        let unverified: Vec<_> = self.orders().unverified(now).map(|p| p.order.clone()).collect();
        for order in unverified {
            if self.unverified.insert(order.id) {
                let notice = self.control.incidents_mut().unverified(now, &order);
                self.post([notice]);
                tracing::error!(
                    decision = %order.id, group = %order.group, channel = %order.channel,
                    "too few callers and tests to tell whether the restored numbers serve: approve {} to go on", order.id
                );
            }
        }
        let notices = self.control.tick_incidents(now);
        self.post(notices);
        let view = EngineView::of(self.control.engine(), self.orders(), is_leading, now);
        let freshness = Channel::ALL.map(|c| view.freshness(c));
        self.set_guard(now);
        self.shared.metrics.held(self.orders().holds(now));
        self.dispatch(freshness, is_leading);
        self.count_unmeasured(now, None);
        self.prove(now);
        while self.asking.try_join_next().is_some() {}
    }

    /// Sends released numbers to the executor. The detector's orders wait while we are blind: after a
    /// restart nothing is carried on before the logs could be read.
    fn dispatch(&mut self, freshness: [Freshness; 2], is_leading: bool) {
        if !is_leading {
            return;
        }
        let mut sent = Vec::new();
        for p in self.orders().open_orders() {
            let order = &p.order;
            let is_watched = self.role == Role::Watch && freshness[order.channel.index()] != Freshness::Stale;
            let is_detectors = order.by == By::Detector && !self.adopted.contains(&order.id);
            if is_detectors && !is_watched {
                continue;
            }
            let mut numbers = p.left();
            numbers.retain(|n| !self.dispatched.contains(&(order.id, *n)));
            if numbers.is_empty() {
                continue;
            }
            let work = Work {
                order: Arc::new(order.clone()),
                by: match is_detectors {
                    _ if p.is_stopped() => Initiator::Stopped,
                    true => self.write_guard.detector(),
                    false => self.write_guard.operator(),
                },
                outlives_us: self.role == Role::Watch || self.inherited.contains(&order.id),
                numbers: numbers
                    .iter()
                    .map(|n| (*n, self.orders().state_of(order.operation, *n, order.channel).clone()))
                    .collect(),
                fallbacks: numbers
                    .iter()
                    .map(|n| (*n, self.orders().fallback_for(&order.group, order.channel, *n)))
                    .collect(),
                grounds: numbers.iter().map(|n| (*n, self.ground(*n, order.channel))).collect(),
            };
            if self.execute.try_send(work).is_ok() {
                sent.extend(numbers.into_iter().map(|n| (order.id, n)));
            }
        }
        self.dispatched.extend(sent);
    }
}
