//! An operator's commands: what each comes to, before anything is done.
//!
//! The detector's guards judge evidence; here the evidence is the person's. What stands against an
//! operator is what stands against every write: no lease, `observe`, a hold, a fallback that is
//! known to be broken, an order under way. Stale logs, caps and phases do not.
//!
//! The rules, for all verbs alike (the page `orders` of the documentation has the same table):
//!
//! | command | is done | is refused, or says that it is not as asked |
//! |---|---|---|
//! | all that select numbers | for exactly one of numbers, a group, or all | two of them, none, or what is not ours, such as a number with another account: bad usage (HTTP 400 or 422, exit 2) |
//! | with a channel | for the numbers that are watched on it; the others are named as `not_watched` | none of them is, or a number that was named is not: exit 1; a hold or release of it: HTTP 409 |
//! | `rollback` | at once, also beyond the cap, in `confirm`, against another writer and before a port; numbers in a later stage of a restore stay on the fallback, and the restore is given up for them; a rollback that waited for the same numbers is closed as `on_fallback` | in `observe`; held; broken or no fallback; a restore of it is being written |
//! | `restore` | a canary first (`--at-once`: all); what another writer has left is theirs (`--force`: over it) | in `observe`; held; in the hold-off after a relapse, unless forced; a rollback of it is being written |
//! | `apply` | at once, for what differs from the file; what is not as it was when it was looked at is left | in `observe`; held; on the fallback, or maybe so; another order has it; a person has adopted what it has (`--force`: all the same) |
//! | `restore --applied` | the latest apply is undone, all numbers at once; what another writer has left is theirs (`--force`: over it) | in `observe`; held; on the fallback, or maybe so; another order has it |
//! | `adopt` | the handler that each number has now, read anew, is what it is compared with and restored to from now on, in every mode, also held; of a number that another writer took from the fallback the rollback ends as superseded | it is on the fallback; it, or who answers it, could not be read; nobody answers it; an order of it is under way |
//! | `approve` | answers what asks and ends the time for a veto; what refuses is named and still stands; a change of mode makes void what was not carried out by then | in `observe`, in which nothing can be; nothing of that name waits |
//! | `hold` | stops rollbacks, restores and operators from the next write on: what is under way and not written yet is refused, and stays so when it is released, later stages of a restore wait; extends a hold of the same scope; says which rollbacks and orders it stops, and which wider hold lasts longer | it would shorten a hold, unless `--shorten` |
//! | `release` | lifts every hold within the scope; says which hold remains in force over any of it | nothing is held, or something remains held: exit 1 |
//! | `mode` | from the next write on; `observe` ends what is under way, later stages of a restore too, and says so: nothing of it goes on when the mode is changed back; any change makes void the approvals that were not carried out | |
//!
//! Asking twice gives the same; a number that is already as asked is looked at, said to be so, and left. One that
//! cannot be read, or that is on the fallback by nothing in the journal, is not said to be so: it is refused.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::entry::Entry;
use super::orders::{AdoptedHandler, Orders};
use crate::model::decision::{DecisionId, Mode};
use crate::model::id::{Channel, NumberId};
use crate::model::order::{
    AdoptedBy, ApplyTerms, AskedOrder, Author, By, CloseReason, FallbackState, Operation, Order, Scope,
};
use crate::model::roster::{NumberIx, Roster};
use crate::model::time::Time;
use crate::model::value::FieldValue;
use crate::rollback::saga::{SagaState, Swap};
use crate::routing::record::bare;
use crate::routing::values::RoutingValues;

/// A command about numbers.
#[derive(Debug, Clone)]
pub struct OperatorRequest {
    pub operation: Operation,
    pub numbers: Vec<NumberIx>,
    /// Both if absent.
    pub channel: Option<Channel>,
    pub by: Author,
    /// Restore over what somebody else changed, and before the hold-off is over.
    pub force: bool,
    /// Restore all numbers at once.
    pub at_once: bool,
}

/// What would become of one number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewLine {
    pub number: NumberId,
    pub channel: Channel,
    pub action: PlannedAction,
    pub detail: String,
    /// What will be written, field by field, as far as it is known beforehand.
    pub fields: Vec<PreviewedChange>,
    /// What a person may end by a command of its own, where that is what refuses it.
    #[serde(skip)]
    pub obstacle: Option<Obstacle>,
}

/// What refuses an order, and is ended by another command or by a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    Mode,
    Hold(Scope),
    Fallback,
}

/// One field of a number, as it is and as it will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewedChange {
    /// Its parameter in an update, such as `VoiceUrl`.
    pub field: String,
    pub from: FieldValue,
    pub to: FieldValue,
}

/// What putting back undoes, as far as nobody else has changed it since.
fn undone(swap: Option<&Swap>, channel: Channel) -> Vec<PreviewedChange> {
    let Some(swap) = swap else { return Vec::new() };
    // A record that cannot be read is refused when its turn comes.
    let Ok(before) = RoutingValues::read(swap.before.record.whole(), channel) else { return Vec::new() };
    let undo = before.undo(&swap.wrote);
    let changes = undo.into_iter().filter_map(|(field, to)| {
        let from = swap.wrote.iter().find(|(name, _)| *name == field)?.1.clone();
        Some(PreviewedChange { field, from, to })
    });
    changes.filter(|change| change.from != change.to).collect()
}

/// What is done with one channel of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedAction {
    Rollback,
    Restore,
    Apply,
    Undo,
    /// It stays on the fallback: the restore that would have put it back is given up for it.
    Keep,
    /// The handler that it has is what it is compared with from now on.
    Adopt,
    /// It is as asked.
    Nothing,
    /// Nothing is done on a channel that the number is not watched on.
    NotWatched,
    Refuse,
}

impl PreviewLine {
    pub(super) const fn new(number: NumberId, channel: Channel, action: PlannedAction, detail: String) -> PreviewLine {
        PreviewLine { number, channel, action, detail, fields: Vec::new(), obstacle: None }
    }
}

impl PlannedAction {
    pub const fn label(self) -> &'static str {
        match self {
            PlannedAction::Rollback => "rollback",
            PlannedAction::Restore => "restore",
            PlannedAction::Apply => "apply",
            PlannedAction::Undo => "undo",
            PlannedAction::Keep => "keep",
            PlannedAction::Adopt => "adopt",
            PlannedAction::Nothing => "nothing",
            PlannedAction::NotWatched => "not_watched",
            PlannedAction::Refuse => "refuse",
        }
    }
}

/// All that a command comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preview {
    pub lines: Vec<PreviewLine>,
    pub orders: Vec<Order>,
    /// Earlier orders that do what is asked and have not ended: they are carried on.
    pub carried_on: BTreeSet<DecisionId>,
    /// Restores that are given up for these numbers.
    pub given_up: BTreeMap<(DecisionId, Channel), Vec<NumberId>>,
}

impl Preview {
    /// What is written to the journal if it is done.
    pub fn entries(&self) -> Vec<Entry> {
        let why = CloseReason::Countermanded;
        let closed = |((decision, channel), numbers): (&(DecisionId, Channel), &Vec<NumberId>)| Entry::Closed {
            decision: *decision,
            channel: *channel,
            numbers: numbers.clone(),
            why,
        };
        self.given_up.iter().map(closed).chain(self.orders.iter().cloned().map(Entry::Order)).collect()
    }
}

impl Orders {
    /// What `request` comes to now.
    pub fn preview(&self, now: Time, roster: &Roster, is_leading: bool, request: &OperatorRequest) -> Preview {
        let mut plan = Preview::default();
        for (group_ix, group) in roster.groups() {
            for channel in Channel::ALL.into_iter().filter(|c| request.channel.is_none_or(|want| want == *c)) {
                let mut numbers = Vec::new();
                for ix in request.numbers.iter().filter(|ix| roster.number(**ix).group == group_ix) {
                    if !roster.number(*ix).channels[channel.index()] {
                        // Who did not name the channel did not mean this one.
                        let number = roster.number(*ix).id;
                        let detail = format!("it is not watched on {channel}");
                        let line = PreviewLine::new(number, channel, PlannedAction::NotWatched, detail);
                        plan.lines.extend(request.channel.map(|_| line));
                        continue;
                    }
                    let line = self.preview_number(now, roster, *ix, channel, is_leading, request);
                    let later =
                        self.later_restore(line.number, channel).filter(|_| request.operation == Operation::Rollback);
                    let is_done = match line.action {
                        PlannedAction::Rollback
                        | PlannedAction::Restore
                        | PlannedAction::Apply
                        | PlannedAction::Undo
                        | PlannedAction::Keep => true,
                        PlannedAction::Adopt
                        | PlannedAction::Nothing
                        | PlannedAction::NotWatched
                        | PlannedAction::Refuse => false,
                    };
                    match (later, self.ordered(line.number, channel)) {
                        _ if !is_done => {}
                        (Some(restore), _) => {
                            plan.given_up.entry((restore, channel)).or_default().push(line.number);
                            if line.action == PlannedAction::Rollback {
                                numbers.push(line.number);
                            }
                        }
                        (None, Some(id)) => {
                            plan.carried_on.insert(id);
                        }
                        (None, None) => numbers.push(line.number),
                    }
                    plan.lines.push(line);
                }
                if !numbers.is_empty() {
                    plan.orders.push(Order {
                        id: DecisionId(self.next_id().0 + plan.orders.len() as u64),
                        operation: request.operation,
                        channel,
                        group: group.name.clone(),
                        staged: request.operation == Operation::Restore && !request.at_once && numbers.len() > 1,
                        numbers,
                        by: By::Operator(request.by.clone()),
                        force: request.force,
                        terms: (request.operation == Operation::Apply).then(|| ApplyTerms {
                            wanted: group.handler[channel.index()].clone(),
                            reads: BTreeMap::new(),
                        }),
                    });
                }
            }
        }
        plan
    }

    /// What stands against an order now; `None` if it would be carried out for at least one number, or has nothing to
    /// do. Whoever advises a command asks here, so that nobody is sent to one that is refused.
    pub fn objection(&self, now: Time, roster: &Roster, asked: &AskedOrder) -> Option<PreviewLine> {
        let AskedOrder { operation, channel, ref numbers, force } = *asked;
        let by = Author { name: "".into(), reason: "".into() };
        let numbers: Vec<NumberIx> = numbers.iter().filter_map(|n| roster.find(*n)).collect();
        let request = OperatorRequest { operation, numbers, channel: Some(channel), by, force, at_once: false };
        let mut objection = None;
        for ix in request.numbers.iter().filter(|ix| roster.number(**ix).channels[channel.index()]) {
            let line = self.preview_number(now, roster, *ix, channel, true, &request);
            match line.action {
                PlannedAction::Refuse => objection = objection.or(Some(line)),
                PlannedAction::Nothing | PlannedAction::NotWatched => {}
                PlannedAction::Rollback
                | PlannedAction::Restore
                | PlannedAction::Apply
                | PlannedAction::Undo
                | PlannedAction::Keep
                | PlannedAction::Adopt => return None,
            }
        }
        objection
    }

    fn preview_number(
        &self,
        now: Time,
        roster: &Roster,
        ix: NumberIx,
        channel: Channel,
        is_leading: bool,
        request: &OperatorRequest,
    ) -> PreviewLine {
        let number = roster.number(ix).id;
        let group = roster.group_of(ix);
        let state = self.state(number, channel);
        let line = |action, detail: String| PreviewLine::new(number, channel, action, detail);
        let refuse = |detail: String| line(PlannedAction::Refuse, detail);
        let stopped = |by, detail: String| PreviewLine { obstacle: Some(by), ..refuse(detail) };
        let ordered = self.ordered(number, channel);
        let later = self.later_restore(number, channel).filter(|_| request.operation == Operation::Rollback);
        match request.operation {
            Operation::Rollback if state.is_on_fallback() && ordered.is_none() => {
                return line(PlannedAction::Nothing, "it is on the fallback already".to_owned());
            }
            Operation::Restore if state.swap().is_none() && !state.is_under_way() && ordered.is_none() => {
                return line(PlannedAction::Nothing, "it is on its own handler".to_owned());
            }
            Operation::Apply if group.handler[channel.index()].is_empty() => {
                return line(PlannedAction::Nothing, "the file asks nothing of its handler".to_owned());
            }
            Operation::Undo if self.applied(number, channel).swap().is_none() && ordered.is_none() => {
                return line(PlannedAction::Nothing, "there is no apply of it to undo".to_owned());
            }
            Operation::Restore
                if state.swap().is_none()
                    && ordered
                        .is_some_and(|id| self.order(id).is_some_and(|p| !p.order.operation.is_of_fallback())) =>
            {
                return line(PlannedAction::Nothing, "it is on its own handler".to_owned());
            }
            Operation::Rollback | Operation::Restore | Operation::Apply | Operation::Undo => {}
        }
        if !is_leading {
            return refuse("this agent does not lead".to_owned());
        }
        if let Some(restore) = later.filter(|_| state.is_on_fallback()) {
            // Nothing is written, so nothing stands against it.
            let detail =
                format!("it stays on the fallback: {restore}, a restore that has not come to it, is given up for it");
            return line(PlannedAction::Keep, detail);
        }
        if self.mode() == Mode::Observe {
            let detail = "the mode is observe, in which nothing is written: change it with `ringback mode`";
            return stopped(Obstacle::Mode, detail.to_owned());
        }
        if let Some(hold) = self.held_by(now, &group.name, number, channel) {
            let detail = format!("held until {} ({}): end it with `ringback release`", hold.until.told(now), hold.by);
            return stopped(Obstacle::Hold(hold.scope.clone()), detail);
        }
        if let Some(p) = ordered.and_then(|id| self.order(id)).filter(|_| later.is_none()) {
            let action = match p.order.operation {
                operation if operation != request.operation => {
                    return refuse(format!("{}, {}, is under way", p.order.id, operation.one()));
                }
                Operation::Apply
                    if p.order.terms.as_ref().map(|t| &t.wanted) != Some(&group.handler[channel.index()]) =>
                {
                    return refuse(format!("{}, an apply of what the file asked before, is under way", p.order.id));
                }
                Operation::Rollback => PlannedAction::Rollback,
                Operation::Restore => PlannedAction::Restore,
                Operation::Apply => PlannedAction::Apply,
                Operation::Undo => PlannedAction::Undo,
            };
            return line(action, format!("{} is under way and carried on", p.order.id));
        }
        // What lies beneath a rollback is written once the rollback is over.
        if let (false, Some(swap)) = (request.operation.is_of_fallback(), state.swap())
            && !matches!(state, SagaState::Superseded { .. })
        {
            return refuse(format!(
                "it is on the fallback, or may be, since {}: put it back with `ringback restore` first",
                swap.order
            ));
        }
        match request.operation {
            Operation::Apply => match self.saga(number, channel).and_then(|s| s.adopted.as_ref()) {
                Some(AdoptedHandler { at, by: AdoptedBy::Operator(by), .. }) if !request.force => refuse(format!(
                    "its handler was adopted at {at} ({by}): write that one into [group.handler], or apply with --force"
                )),
                Some(_) | None => line(PlannedAction::Apply, "to what the file asks".to_owned()),
            },
            Operation::Undo => {
                let by = self.applied(number, channel).order().unwrap_or(DecisionId(0));
                let fields = undone(self.applied(number, channel).swap(), channel);
                PreviewLine { fields, ..line(PlannedAction::Undo, format!("to what it was before {by}")) }
            }
            Operation::Rollback => {
                let Some(fallback) = group.fallback(channel) else {
                    return refuse("its group has no fallback for this channel".to_owned());
                };
                if self.fallback_for(&group.name, channel, number) == FallbackState::Broken {
                    let why = self.fallback_found(&group.name, channel).map_or("", |found| found.detail.as_str());
                    let detail = format!("the fallback {} is broken: {why}", bare(fallback));
                    return stopped(Obstacle::Fallback, detail);
                }
                let instead =
                    later.map_or(String::new(), |restore| format!("; {restore}, a restore, is given up for it"));
                line(PlannedAction::Rollback, format!("to {}{instead}", bare(fallback)))
            }
            Operation::Restore => {
                if let Some(t) = self.no_restore_before(&group.name, channel).filter(|t| now < *t && !request.force) {
                    let t = t.told(now);
                    return refuse(format!("the last restore relapsed: not before {t}, unless forced (--force)"));
                }
                let before = format!("to what it was before {}", state.order().unwrap_or(DecisionId(0)));
                PreviewLine { fields: undone(state.swap(), channel), ..line(PlannedAction::Restore, before) }
            }
        }
    }
}
