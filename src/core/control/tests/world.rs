//! What there is, and the control task's part: it decides, commits, applies, and sends orders to the executor.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::executor::Task;
use super::laws::Seen;
use super::watch::{ProofAttempt, Reading, TestCall};
use crate::control::{Control, EngineView};
use crate::detect::engine::{Engine, EngineSettings};
use crate::model::decision::{Action, Decision, DecisionId, Mode};
use crate::model::guard::Strength;
use crate::model::handler::{Owner, WantedHandler, WantedTarget};
use crate::model::id::testing::ours;
use crate::model::id::{Channel, NumberId};
use crate::model::order::{Author, By, Operation, Order};
use crate::model::roster::{GroupIx, Number, PortAt, Roster};
use crate::model::source::Source;
use crate::model::time::Time;
use crate::model::verdict::{Evidence, Verdict};
use crate::notice::condition::AgentCondition;
use crate::notice::incidents::Incidents;
use crate::notice::make::{Addresses, NoticeBuilder};
use crate::notice::{Notice, NoticeKind, NoticeStatus};
use crate::rollback::entry::Entry;
use crate::rollback::guard::Freshness;
use crate::rollback::operator::{OperatorRequest, PlannedAction, Preview, PreviewLine};
use crate::rollback::orders::{Orders, RollbackSettings, Surroundings};
use crate::routing::values::RoutingValues;

pub(super) const GROUPS: [&str; 2] = ["support", "sales"];
pub(super) const BIN: &str = "https://bin";
pub(super) const THEIRS: &str = "https://theirs";
/// What the file asks of every handler.
pub(super) const WANTED: &str = "https://wanted";
/// And what the application sets to which the numbers are handed over.
pub(super) const OWNED: &str = "https://owner/answer";

/// What cannot be journaled is tried again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// One channel of one number.
pub(super) type Slot = (NumberId, Channel);

/// What is configured.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// Numbers of each group.
    pub numbers: [usize; 2],
    pub is_messaging: bool,
    pub veto: Duration,
    pub approve_within: Duration,
    pub cap: u8,
    pub is_probed: bool,
}

pub(super) fn one_group() -> impl Strategy<Value = Setup> {
    (1..4usize, proptest::bool::weighted(0.2), any::<bool>()).prop_map(|(numbers, has_veto, is_probed)| Setup {
        numbers: [numbers, 0],
        is_messaging: false,
        veto: Duration::from_secs(if has_veto { 300 } else { 0 }),
        approve_within: Duration::from_secs(600),
        cap: 100,
        is_probed,
    })
}

pub(super) fn two_groups() -> impl Strategy<Value = Setup> {
    let seconds = |of: [u64; 3]| proptest::sample::select(of.map(Duration::from_secs).to_vec());
    let cap = proptest::sample::select(vec![100, 100, 50, 20]);
    let numbers = (1..4usize, 0..3usize);
    (numbers, any::<bool>(), seconds([0, 0, 300]), seconds([600, 60, 3600]), cap, any::<bool>()).prop_map(
        |((some, more), is_messaging, veto, approve_within, cap, is_probed)| Setup {
            numbers: [some, more],
            is_messaging,
            veto,
            approve_within,
            cap,
            is_probed,
        },
    )
}

impl Setup {
    fn roster(&self) -> Roster {
        let mut roster = Roster::default();
        for (g, name) in GROUPS.iter().enumerate() {
            let group = roster.add_group(name.parse().unwrap(), [Some(BIN.to_owned()), Some(BIN.to_owned())]);
            let target = Some(WantedTarget::Url(WANTED.into()));
            let owner = Some(Owner { name: "owner".into(), urls: vec!["https://owner/".into()], sids: Vec::new() });
            let wanted = WantedHandler { target, owner, ..WantedHandler::default() };
            roster.set_handler(group, [wanted.clone(), wanted]);
            for i in 0..self.numbers[g] {
                roster.add_number(Number {
                    id: ours(&format!("+1500555{g}10{i}")),
                    label: String::new(),
                    group,
                    // The last number of a group has no messages.
                    channels: [true, self.is_messaging && (i == 0 || i + 1 < self.numbers[g])],
                    timezone: jiff::tz::TimeZone::UTC,
                    port: PortAt::Done,
                });
            }
        }
        roster
    }

    fn settings(&self) -> RollbackSettings {
        RollbackSettings {
            mode: Mode::Auto,
            approve_within: self.approve_within,
            veto: self.veto,
            caps: GROUPS.iter().map(|g| (g.parse().unwrap(), self.cap)).collect(),
        }
    }
}

pub(super) fn numbers_of(roster: &Roster, group: usize) -> Vec<NumberId> {
    let ix = GroupIx(u32::try_from(group).unwrap());
    roster.group(ix).numbers.iter().map(|ix| roster.number(*ix).id).collect()
}

pub(super) fn by() -> Author {
    Author { name: "on call".into(), reason: "because".into() }
}

/// A number's record with this URL.
pub(super) fn raw(channel: Channel, url: &str) -> String {
    let property = match channel {
        Channel::Voice => "voice_url",
        Channel::Messaging => "sms_url",
    };
    format!("{{\"{property}\":\"{url}\"}}")
}

pub(super) fn values(channel: Channel, url: &str) -> RoutingValues {
    RoutingValues::read(&raw(channel, url), channel).unwrap()
}

/// Who wrote what a number has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// It was so from the beginning.
    Nobody,
    Us,
    /// We, with a write that landed when we no longer looked: nobody has looked since.
    UsLate,
    Other,
}

/// A write of ours on its way.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    /// It lands after so many steps, or by then.
    pub steps: u32,
    pub until: Time,
    pub slot: Slot,
    pub url: String,
}

/// The journal could not be written.
#[derive(Debug)]
pub(super) struct Unwritten;

pub(super) struct World {
    pub setup: Setup,
    pub roster: Arc<Roster>,
    pub now: Time,
    pub control: Control,
    pub journal: Vec<(Time, Entry)>,
    pub slots: Vec<Slot>,

    /// What Twilio has, and who wrote it last.
    pub handlers: BTreeMap<Slot, (String, Writer)>,
    pub absent: BTreeSet<NumberId>,
    pub in_flight: Vec<InFlight>,

    pub polls: bool,
    pub is_leading: bool,
    pub verdicts: BTreeMap<Slot, Verdict>,
    pub group_verdicts: [[Verdict; 2]; 2],
    pub store_fails: bool,
    pub cost: Duration,
    /// The machine's clock was set back: what was due by time alone may have been told before its time.
    pub is_set_back: bool,

    /// The control task's own memory, which ends with it.
    pub journal_again: Time,
    pub backlog: VecDeque<Entry>,
    pub tasks: Vec<Task>,
    pub dispatched: BTreeSet<(DecisionId, NumberId)>,
    pub adopted: BTreeSet<DecisionId>,
    pub unverified: BTreeSet<DecisionId>,
    pub proofs: BTreeMap<Slot, ProofAttempt>,
    pub wanted_calls: VecDeque<Slot>,
    pub calls: Vec<TestCall>,
    pub readings: VecDeque<(Time, Vec<Reading>)>,
    pub asking: VecDeque<(Time, Reading)>,
    /// What was read because a person wants it adopted.
    pub adopting: VecDeque<(Time, Reading)>,

    /// What numbers pointed at last, in the store.
    pub baseline: BTreeMap<Slot, RoutingValues>,
    /// When each was read the last time that something was made of it.
    pub looks: BTreeMap<Slot, Time>,
    /// Every notice that the outbox has kept, and the latest with each key.
    pub told: BTreeSet<(String, NoticeKind, u8, Time)>,
    pub latest: BTreeMap<String, Notice>,
    /// Which numbers were named by notices that fire.
    pub named: BTreeMap<String, BTreeSet<NumberId>>,
    pub seen: Seen,
}

pub(super) fn new_control(setup: &Setup, roster: &Arc<Roster>, now: Time) -> Control {
    let engine = Engine::new((**roster).clone(), EngineSettings { mode: Mode::Auto, ..EngineSettings::default() }, now);
    let builder = NoticeBuilder { roster: roster.clone(), addresses: Addresses::default() };
    let settings = setup.settings();
    let incidents = Incidents::new(builder, settings.mode);
    Control::new(engine, Orders::new(settings), incidents)
}

impl World {
    pub fn new(setup: &Setup) -> World {
        let roster = Arc::new(setup.roster());
        let now = Time::from_secs(1_000_000);
        let slots: Vec<Slot> = roster
            .numbers()
            .flat_map(|(_, n)| Channel::ALL.into_iter().filter(|c| n.channels[c.index()]).map(|c| (n.id, c)))
            .collect();
        let handlers: BTreeMap<Slot, (String, Writer)> =
            slots.iter().map(|slot| (*slot, (format!("https://app/{}", slot.0.e164), Writer::Nobody))).collect();
        World {
            control: new_control(setup, &roster, now),
            setup: setup.clone(),
            roster,
            now,
            journal: Vec::new(),
            baseline: handlers.iter().map(|(slot, (url, _))| (*slot, values(slot.1, url))).collect(),
            looks: BTreeMap::new(),
            handlers,
            slots,
            absent: BTreeSet::new(),
            in_flight: Vec::new(),
            polls: true,
            is_leading: true,
            verdicts: BTreeMap::new(),
            group_verdicts: [[Verdict::Unknown; 2]; 2],
            store_fails: false,
            cost: Duration::ZERO,
            is_set_back: false,
            journal_again: Time::EPOCH,
            backlog: VecDeque::new(),
            tasks: Vec::new(),
            dispatched: BTreeSet::new(),
            adopted: BTreeSet::new(),
            unverified: BTreeSet::new(),
            proofs: BTreeMap::new(),
            wanted_calls: VecDeque::new(),
            calls: Vec::new(),
            readings: VecDeque::new(),
            asking: VecDeque::new(),
            adopting: VecDeque::new(),
            told: BTreeSet::new(),
            latest: BTreeMap::new(),
            named: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    pub const fn orders(&self) -> &Orders {
        self.control.orders()
    }

    pub fn slot(&self, i: u8) -> Slot {
        self.slots[usize::from(i) % self.slots.len()]
    }

    pub fn watches(&self, number: NumberId, channel: Channel) -> bool {
        self.slots.contains(&(number, channel))
    }

    pub fn view(&self) -> EngineView<'_> {
        EngineView::of(self.control.engine(), self.orders(), self.is_leading, self.now)
    }

    /// The detector says what the world wants it to say.
    pub fn pretend(&mut self) {
        let engine = self.control.engine_mut();
        for (number, channel) in &self.slots {
            if let Some(ix) = self.roster.find(*number) {
                let verdict = self.verdicts.get(&(*number, *channel)).copied().unwrap_or_default();
                engine.pretend(ix, *channel, verdict);
            }
        }
        for group in 0..2 {
            for channel in Channel::ALL {
                let verdict = self.group_verdicts[group as usize][channel.index()];
                engine.pretend_group(GroupIx(group), channel, verdict);
            }
        }
    }

    /// Writes entries, all or nothing, and applies them with the time that was written.
    pub fn commit(&mut self, entries: Vec<Entry>) -> Result<(), Unwritten> {
        let at = self.now;
        self.now = at + self.cost.max(Duration::from_millis(1));
        let kept = self.backlog.len();
        let mut entries: Vec<Entry> = self.backlog.drain(..).chain(entries).collect();
        let incidents = self.control.incidents_mut();
        let notice = if self.store_fails {
            let (problem, cure) = (String::new(), String::new());
            incidents.begins(at, at, AgentCondition::StoreUnwritable { problem, cure })
        } else {
            incidents.ends(at, "store")
        };
        self.post(notice);
        if self.store_fails {
            entries.truncate(kept);
            self.backlog = entries.into();
            return Err(Unwritten);
        }
        for entry in entries {
            self.before_entry(at, &entry);
            let notices = self.control.apply(at, &entry).unwrap_or_else(|e| panic!("{e}: {entry:?}"));
            self.post(notices);
            if let Entry::Result { decision, number, .. } = &entry {
                self.dispatched.remove(&(*decision, *number));
            }
            self.after_entry(at, &entry);
            self.journal.push((at, entry));
        }
        self.pretend();
        Ok(())
    }

    /// Keeps notices as the outbox does: one with the same key, kind, status and time is the same.
    pub fn post(&mut self, notices: impl IntoIterator<Item = Notice>) {
        for notice in notices {
            if self.told.insert((notice.key.clone(), notice.kind, notice.status as u8, notice.at.at)) {
                match notice.status {
                    NoticeStatus::Firing => {
                        self.named.entry(notice.key.clone()).or_default().extend(&notice.numbers);
                    }
                    NoticeStatus::Resolved => drop(self.named.remove(&notice.key)),
                    NoticeStatus::Event => {}
                }
                self.latest.insert(notice.key.clone(), notice);
            }
        }
    }

    /// What has happened is written sooner or later.
    pub fn keep(&mut self, entry: Entry) {
        let id = entry.decision();
        self.backlog.push_back(entry);
        self.write_backlog();
        if let Some(id) = id.filter(|_| !self.backlog.is_empty()) {
            self.control.reserve(id);
        }
    }

    fn write_backlog(&mut self) {
        if self.backlog.is_empty() || self.now < self.journal_again {
            return;
        }
        if let Err(Unwritten) = self.commit(Vec::new()) {
            self.journal_again = self.now + AGAIN;
        }
    }

    pub fn decision(
        &mut self,
        group: usize,
        channel: Channel,
        numbers: Vec<NumberId>,
        strength: Strength,
        action: Action,
    ) -> Decision {
        let failing = if strength == Strength::Callers { 5 } else { 0 };
        Decision {
            id: self.control.engine_mut().pretend_id(),
            at: self.now,
            action,
            channel,
            group: GROUPS[group].parse().unwrap(),
            numbers,
            rule: String::new(),
            evidence: Evidence { callers: failing, failing, ..Evidence::default() },
        }
    }

    /// The detector finds these numbers failing, and asks for those that it has not asked for already.
    pub fn fail(&mut self, group: usize, channel: Channel, mut numbers: Vec<NumberId>, strength: Strength) {
        self.verdicts.extend(numbers.iter().map(|n| ((*n, channel), Verdict::Failing)));
        self.pretend();
        if self.view().freshness(channel) == Freshness::Stale {
            return;
        }
        let ix = |n: &NumberId| self.roster.find(*n).unwrap();
        numbers.retain(|n| self.control.engine().would_decide(self.now, ix(n), channel, strength));
        if numbers.is_empty() {
            return;
        }
        for n in &numbers {
            let is_free = self.orders().ordered(*n, channel).is_none();
            assert!(
                !is_free || !self.orders().state(*n, channel).is_on_fallback(),
                "law 2: {n:?} is decided about on the fallback"
            );
        }
        for n in numbers.iter().map(ix).collect::<Vec<_>>() {
            self.control.engine_mut().pretend_decided(n, channel, strength);
        }
        let mut decision = self.decision(group, channel, numbers, strength, Action::Rollback);
        let asked_for = |n: &NumberId| self.orders().is_asked_for(*n, channel, strength);
        let (standing, new): (Vec<NumberId>, Vec<NumberId>) = decision.numbers.iter().copied().partition(asked_for);
        self.control.may_decide_again(&standing, channel, Time::NEVER);
        if new.is_empty() {
            return;
        }
        decision.numbers.clone_from(&new);
        if self.commit(vec![Entry::Decision(decision)]).is_err() {
            self.control.may_decide_again(&new, channel, self.now + crate::control::DECIDE_AGAIN);
        }
    }

    /// What of a command is known by the journal is done at once; of the rest the numbers are looked at first.
    pub fn operator(&mut self, request: &OperatorRequest) {
        let plan = self.order(request);
        let is_of_fallback = matches!(request.operation, Operation::Rollback | Operation::Restore);
        let is_from_memory = |line: &&PreviewLine| is_of_fallback && line.action == PlannedAction::Nothing;
        let unsure: Vec<Slot> = plan.lines.iter().filter(is_from_memory).map(|l| (l.number, l.channel)).collect();
        if unsure.is_empty() {
            return;
        }
        self.now = self.now + Duration::from_millis(1);
        let read: Vec<Slot> = unsure.into_iter().filter(|slot| !self.absent.contains(&slot.0)).collect();
        for slot in &read {
            self.look_before_saying(*slot);
        }
        for channel in Channel::ALL {
            let of_it = read.iter().filter(|(_, c)| *c == channel);
            let numbers = of_it.filter_map(|(n, _)| self.roster.find(*n)).collect();
            let said = self.order(&OperatorRequest { numbers, channel: Some(channel), ..request.clone() });
            for line in said.lines.iter().filter(is_from_memory) {
                let slot = (line.number, channel);
                let (is_on_bin, is_ours) = (self.handlers[&slot].0 == BIN, !self.is_theirs(slot));
                let is_said = self.orders().state(line.number, channel).is_on_fallback();
                // By a clock that was set back, what was read before a swap may have been adopted after it.
                let is_excused = !is_ours || self.is_set_back;
                assert!(
                    is_excused || is_on_bin == is_said || self.orders().ordered(line.number, channel).is_some(),
                    "{} of {:?}: nothing to do, and yet it is at {}",
                    request.operation.label(),
                    line.number,
                    self.handlers[&slot].0
                );
            }
        }
    }

    fn order(&mut self, request: &OperatorRequest) -> Preview {
        let mut plan = self.orders().preview(self.now, &self.roster, self.is_leading, request);
        for order in plan.orders.iter_mut().filter(|_| !request.force) {
            let Order { channel, ref numbers, ref mut terms, .. } = *order;
            if let Some(terms) = terms {
                // The hash of what is there is what is there.
                terms.reads = numbers.iter().map(|n| (*n, self.handlers[&(*n, channel)].0.clone())).collect();
            }
        }
        self.check_plan(request, &plan);
        self.adopted.extend(&plan.carried_on);
        let entries = plan.entries();
        if !entries.is_empty() {
            let _ = self.commit(entries);
        }
        plan
    }

    /// One turn of the control task.
    pub fn step(&mut self) {
        self.land();
        if self.polls {
            for source in Source::ALL {
                self.control.engine_mut().polled(source, self.now);
            }
        }
        self.pretend();
        self.write_backlog();
        let mut turns = 0;
        while self.journal_again <= self.now {
            let entries = self.control.step(self.now, self.is_leading);
            if entries.is_empty() {
                break;
            }
            turns += 1;
            assert!(turns < 12, "said again and again: {entries:?}");
            entries.iter().for_each(|e| self.check_decided(e));
            if self.commit(entries).is_err() {
                self.journal_again = self.now + AGAIN;
            }
        }
        let unverified: Vec<_> = self.orders().unverified(self.now).map(|p| p.order.clone()).collect();
        for order in unverified {
            if self.unverified.insert(order.id) {
                let notice = self.control.incidents_mut().unverified(self.now, &order);
                self.post([notice]);
            }
        }
        let notices = self.control.tick_incidents(self.now);
        self.post(notices);
        self.dispatch();
        self.prove();
    }

    /// Sends released numbers to the executor, with their states as they are now.
    fn dispatch(&mut self) {
        if !self.is_leading {
            return;
        }
        let view = self.view();
        let mut tasks = Vec::new();
        for p in self.orders().open_orders() {
            let is_watched = view.freshness(p.order.channel) != Freshness::Stale;
            if p.order.by == By::Detector && !is_watched && !self.adopted.contains(&p.order.id) {
                continue;
            }
            let mut numbers = p.left();
            numbers.retain(|n| !self.dispatched.contains(&(p.order.id, *n)));
            if !numbers.is_empty() {
                let operation = p.order.operation;
                let state = |n: NumberId| (n, self.orders().state_of(operation, n, p.order.channel).clone());
                tasks.push(Task::new(p.order.clone(), numbers.into_iter().map(state).collect()));
            }
        }
        for task in tasks {
            self.dispatched.extend(task.numbers.iter().map(|(n, _)| (task.order.id, *n)));
            self.tasks.push(task);
        }
    }

    /// What was in flight lands.
    pub fn land(&mut self) {
        for write in &mut self.in_flight {
            write.steps = write.steps.saturating_sub(1);
        }
        let now = self.now;
        for write in self.in_flight.extract_if(.., |w| w.steps == 0 || w.until <= now).collect::<Vec<_>>() {
            let is = &self.handlers[&write.slot];
            // Whoever wrote the same before has it.
            if is.0 != write.url {
                self.handlers.insert(write.slot, (write.url, Writer::UsLate));
            }
        }
    }

    /// Somebody else writes.
    pub fn edit(&mut self, i: u8, what: u8) {
        let slot = self.slot(i);
        let url = match what {
            0 => THEIRS.to_owned(),
            1 => format!("https://app/{}", slot.0.e164),
            2 => BIN.to_owned(),
            3 => String::new(),
            _ => OWNED.to_owned(),
        };
        self.handlers.insert(slot, (url, Writer::Other));
        self.seen.edited(slot);
    }
}
