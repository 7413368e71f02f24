//! What can happen, and how often.

use proptest::prelude::*;

use super::world::{GROUPS, World, by, numbers_of};
use crate::model::decision::{Action, DetectorGuard, Mode, PageReason};
use crate::model::guard::Strength;
use crate::model::id::{Channel, NumberId};
use crate::model::order::{FallbackState, Operation, Scope, ScopeOf};
use crate::model::roster::NumberIx;
use crate::model::verdict::Verdict;
use crate::rollback::command::{CommandOutcome, Conflict};
use crate::rollback::entry::Entry;
use crate::rollback::operator::OperatorRequest;
use crate::rollback::orders::Witness;
use std::time::Duration;

/// Some numbers of one group, by bits, on one channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    pub group: u8,
    pub channel: bool,
    pub mask: u8,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Callers, or test calls alone, fail: the detector asks for these numbers.
    Fail(Selection, Strength),
    /// Trouble that a swap would not cure, or that the detector itself holds back.
    Trouble(Selection, bool),
    Verdict(u8, Verdict),
    GroupVerdict(u8, bool, Verdict),
    Hold(u8, u16),
    Release(u8),
    Mode(Mode),
    /// Approve the so-manyth of what waits.
    Approve(u8),
    Operator {
        operation: Operation,
        some: Selection,
        both: bool,
        force: bool,
        at_once: bool,
    },
    /// Somebody else writes: something of theirs, the handler that was there before, the fallback itself, nothing, or
    /// the handler of the application to which the numbers are handed over.
    Edit(u8, u8),
    /// And it is noticed.
    Overwrite(u8, u8),
    Leave(u8),
    Come(u8),
    /// The routing poller reads the numbers; what it read arrives; who changed them is known.
    Read,
    Look,
    Tell,
    /// A person wants what a number has adopted; it is read; and what was read is decided about.
    Adopt(u8),
    AdoptRead(u8),
    AdoptTell,
    Polls(bool),
    Lead(bool),
    Fallback(u8, bool, FallbackState),
    /// A caller of a number is served; and was not, as comes out later.
    Served(u8, u8),
    NotServed(u8, u8),
    /// A test call begins; and one ends.
    Call,
    Answer(u8, u8),
    /// The state file cannot be written, or can again; so many seconds does a commit take.
    Store(bool),
    Cost(u8),
    Pass(u16),
    /// The machine's clock is set back.
    Back(u16),
    /// A task of the executor takes a step.
    Work(u8, u8),
    /// And all that are left, in which nothing goes wrong.
    Finish(u8),
    /// Callers fail, or an operator restores, and all orders are carried out.
    Swap(Selection),
    Undo(Selection, bool),
    /// An operator applies what the file asks, or undoes that, and all orders are carried out.
    Apply(Selection),
    Unapply(Selection),
    Restart,
}

pub(super) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let some = || (0..2u8, any::<bool>(), 1..8u8).prop_map(|(group, channel, mask)| Selection { group, channel, mask });
    let verdict =
        || proptest::sample::select(vec![Verdict::Unknown, Verdict::Healthy, Verdict::Suspect, Verdict::Failing]);
    let strength = proptest::sample::select(vec![Strength::Callers, Strength::Callers, Strength::Hint]);
    let mode = proptest::sample::select(vec![Mode::Observe, Mode::Confirm, Mode::Auto, Mode::Auto]);
    let fallback = proptest::sample::select(vec![FallbackState::Good, FallbackState::Unchecked, FallbackState::Broken]);
    let operation = proptest::sample::select(vec![
        Operation::Rollback,
        Operation::Rollback,
        Operation::Restore,
        Operation::Restore,
        Operation::Apply,
        Operation::Undo,
    ]);
    let operator = (operation, some(), any::<bool>(), proptest::bool::weighted(0.3), any::<bool>())
        .prop_map(|(operation, some, both, force, at_once)| Step::Operator { operation, some, both, force, at_once });
    let step = prop_oneof![
        8 => (some(), strength).prop_map(|(some, strength)| Step::Fail(some, strength)),
        1 => (some(), any::<bool>()).prop_map(|(some, is_page)| Step::Trouble(some, is_page)),
        3 => (0..8u8, verdict()).prop_map(|(i, v)| Step::Verdict(i, v)),
        2 => (0..2u8, any::<bool>(), verdict()).prop_map(|(g, c, v)| Step::GroupVerdict(g, c, v)),
        2 => (0..7u8, 1..2000u16).prop_map(|(i, s)| Step::Hold(i, s)),
        2 => (0..7u8).prop_map(Step::Release),
        2 => mode.prop_map(Step::Mode),
        4 => (0..3u8).prop_map(Step::Approve),
        8 => operator,
        4 => (0..8u8, 0..5u8).prop_map(|(i, what)| Step::Edit(i, what)),
        3 => (0..8u8, proptest::sample::select(vec![0, 1, 4])).prop_map(|(i, what)| Step::Overwrite(i, what)),
        1 => (0..5u8).prop_map(Step::Leave),
        1 => (0..5u8).prop_map(Step::Come),
        3 => Just(Step::Read),
        3 => Just(Step::Look),
        3 => Just(Step::Tell),
        3 => (0..8u8).prop_map(Step::Adopt),
        2 => (0..8u8).prop_map(Step::AdoptRead),
        2 => Just(Step::AdoptTell),
        1 => proptest::bool::weighted(0.6).prop_map(Step::Polls),
        1 => proptest::bool::weighted(0.6).prop_map(Step::Lead),
        1 => (0..2u8, any::<bool>(), fallback).prop_map(|(g, c, s)| Step::Fallback(g, c, s)),
        4 => (0..8u8, 0..5u8).prop_map(|(i, caller)| Step::Served(i, caller)),
        1 => (0..8u8, 0..5u8).prop_map(|(i, caller)| Step::NotServed(i, caller)),
        4 => Just(Step::Call),
        4 => (0..3u8, 0..5u8).prop_map(|(i, what)| Step::Answer(i, what)),
        1 => proptest::bool::weighted(0.4).prop_map(Step::Store),
        1 => (0..20u8).prop_map(Step::Cost),
        5 => (1..200u16).prop_map(Step::Pass),
        2 => (200..5000u16).prop_map(Step::Pass),
        1 => (1..5000u16).prop_map(Step::Back),
        20 => (0..4u8, 0..16u8).prop_map(|(task, fault)| Step::Work(task, fault)),
        8 => (0..4u8).prop_map(Step::Finish),
        5 => some().prop_map(Step::Swap),
        4 => (some(), any::<bool>()).prop_map(|(some, at_once)| Step::Undo(some, at_once)),
        4 => some().prop_map(Step::Apply),
        2 => some().prop_map(Step::Unapply),
        3 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..most)
}

fn channel(is_messaging: bool) -> Channel {
    if is_messaging { Channel::Messaging } else { Channel::Voice }
}

impl World {
    fn numbers(&self, some: Selection) -> (usize, Channel, Vec<NumberId>) {
        let group = usize::from(some.group);
        let all = numbers_of(&self.roster, group);
        let numbers = all.into_iter().enumerate().filter(|(i, _)| some.mask >> i & 1 == 1).map(|(_, n)| n);
        (group, channel(some.channel), numbers.filter(|n| self.watches(*n, channel(some.channel))).collect())
    }

    fn scope(&self, i: u8) -> Scope {
        let numbers: Vec<NumberId> = self.roster.numbers().map(|(_, n)| n.id).collect();
        let (of, channel) = match i {
            0 => (ScopeOf::All, None),
            1 => (ScopeOf::Group(GROUPS[0].parse().unwrap()), None),
            2 => (ScopeOf::All, Some(Channel::Voice)),
            3 => (ScopeOf::Group(GROUPS[1].parse().unwrap()), Some(Channel::Messaging)),
            i => (ScopeOf::Number(numbers[usize::from(i) % numbers.len()]), None),
        };
        Scope { of, channel }
    }

    /// Nothing of a command is done before it is in the journal.
    fn command(&mut self, outcome: Result<CommandOutcome, Conflict>) {
        if let Ok(outcome) = outcome {
            let _ = self.commit(outcome.entries);
        }
    }

    /// An operator orders this, and all orders are carried out.
    fn whole(&mut self, some: Selection, operation: Operation, at_once: bool) {
        let (_, channel, numbers) = self.numbers(some);
        let numbers: Vec<NumberIx> = numbers.iter().filter_map(|n| self.roster.find(*n)).collect();
        let channel = Some(channel);
        self.operator(&OperatorRequest { operation, numbers, channel, by: by(), force: false, at_once });
        self.step();
        self.finish_all();
    }

    pub(super) fn play(&mut self, step: &Step) {
        match step {
            Step::Fail(some, strength) => {
                let (group, channel, numbers) = self.numbers(*some);
                self.fail(group, channel, numbers, *strength);
            }
            Step::Trouble(some, is_page) => {
                let (group, channel, numbers) = self.numbers(*some);
                let page = Action::Page { reason: PageReason::Silence };
                let withheld = Action::Withheld { guard: DetectorGuard::NotInAccount };
                let action = if *is_page { page } else { withheld };
                if !numbers.is_empty() {
                    let decision = self.decision(group, channel, numbers, Strength::Callers, action);
                    self.keep(Entry::Decision(decision));
                }
            }
            Step::Verdict(i, verdict) => {
                let slot = self.slot(*i);
                self.verdict(slot, *verdict);
            }
            Step::GroupVerdict(group, is_messaging, verdict) => {
                self.group_verdicts[usize::from(*group)][channel(*is_messaging).index()] = *verdict;
            }
            Step::Hold(i, seconds) => {
                let until = self.now + Duration::from_secs(u64::from(*seconds));
                let is_shorter = seconds % 4 == 0;
                let scopes = [self.scope(*i)];
                let held = self.orders().preview_hold(self.now, &self.roster, &scopes, until, &by(), is_shorter);
                self.command(held);
            }
            Step::Release(i) => {
                let scopes = [self.scope(*i)];
                let released = self.orders().preview_release(self.now, &self.roster, &scopes, &by());
                self.command(released);
            }
            Step::Mode(mode) => {
                let outcome = self.orders().preview_mode(*mode, &by());
                self.command(Ok(outcome));
            }
            Step::Approve(i) => {
                let pending = self.orders().pending().map(|d| d.decision.id);
                let restores = self.orders().open_orders().filter(|p| p.order.staged).map(|p| p.order.id);
                let all: Vec<_> = pending.chain(restores).collect();
                if let Some(decision) = all.get(usize::from(*i) % all.len().max(1)) {
                    let approved = self.orders().preview_approval(self.now, *decision, &by());
                    self.command(approved);
                }
            }
            Step::Operator { operation, some, both, force, at_once } => {
                let (_, channel, numbers) = self.numbers(*some);
                let numbers: Vec<NumberIx> = numbers.iter().filter_map(|n| self.roster.find(*n)).collect();
                let channel = (!both).then_some(channel);
                let (force, at_once) = (*force, *at_once);
                self.operator(&OperatorRequest { operation: *operation, numbers, channel, by: by(), force, at_once });
            }
            Step::Edit(i, what) => self.edit(*i, *what),
            Step::Overwrite(i, what) => {
                self.edit(*i, *what);
                self.now = self.now + Duration::from_secs(1);
                self.read_all();
                while !self.readings.is_empty() {
                    self.looked();
                }
                while !self.asking.is_empty() {
                    self.drifted();
                }
            }
            Step::Leave(i) => {
                let n = self.slot(*i).0;
                self.absent.insert(n);
            }
            Step::Come(i) => {
                let n = self.slot(*i).0;
                self.absent.remove(&n);
            }
            Step::Read => self.read_all(),
            Step::Look => self.looked(),
            Step::Tell => self.drifted(),
            Step::Adopt(i) => {
                self.now = self.now + Duration::from_secs(1);
                self.read_to_adopt(*i);
                while !self.adopting.is_empty() {
                    self.adopt();
                }
            }
            Step::AdoptRead(i) => self.read_to_adopt(*i),
            Step::AdoptTell => self.adopt(),
            Step::Polls(is) => self.polls = *is,
            Step::Lead(is) => self.is_leading = *is,
            Step::Fallback(group, is_messaging, state) => {
                let (group, channel) = (GROUPS[usize::from(*group)].parse().unwrap(), channel(*is_messaging));
                if self.orders().fallback(&group, channel) != *state {
                    let entry = Entry::fallback(group, channel, *state);
                    let _ = self.commit(vec![entry]);
                }
            }
            Step::Served(i, caller) => {
                let slot = self.slot(*i);
                self.served(slot, self.now, Witness::Caller(u64::from(*caller)));
            }
            Step::NotServed(i, caller) => {
                let slot = self.slot(*i);
                self.not_served(slot, Witness::Caller(u64::from(*caller)));
            }
            Step::Call => self.call(),
            Step::Answer(i, what) => self.answer(*i, *what),
            Step::Store(fails) => self.store_fails = *fails,
            Step::Cost(seconds) => self.cost = Duration::from_secs(u64::from(seconds.saturating_sub(10))),
            Step::Pass(seconds) => self.now = self.now + Duration::from_secs(u64::from(*seconds)),
            Step::Back(seconds) => {
                self.is_set_back = true;
                self.now = self.now - Duration::from_secs(u64::from(*seconds));
            }
            Step::Work(task, fault) => self.work(*task, *fault),
            Step::Finish(task) => self.finish(*task),
            Step::Swap(some) => {
                let (group, channel, numbers) = self.numbers(*some);
                self.fail(group, channel, numbers, Strength::Callers);
                self.step();
                self.finish_all();
            }
            Step::Undo(some, at_once) => self.whole(*some, Operation::Restore, *at_once),
            Step::Apply(some) => self.whole(*some, Operation::Apply, true),
            Step::Unapply(some) => self.whole(*some, Operation::Undo, true),
            Step::Restart => self.restart(),
        }
        self.step();
        self.check();
    }
}
