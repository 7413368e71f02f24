//! Applies and their undoing, as people are told: one event for an order that wrote something, once all of its numbers
//! have ended.
//!
//! Whoever asked for it reads what became of it where they typed it; the others learn here that the numbers are
//! answered by something else from now on, who wanted it so, and how it is undone. What wrote nothing is no news.

use std::collections::{BTreeMap, BTreeSet};

use super::make::NoticeBuilder;
use super::{Notice, NoticeKind, NoticeStatus, Severity, Step};
use crate::model::counted::{amount, cut_at};
use crate::model::decision::DecisionId;
use crate::model::id::NumberId;
use crate::model::order::{By, Operation, Order, OrderResult};
use crate::model::time::Time;

/// Different ends that are told in words; of more the rest is counted.
const TOLD: usize = 3;

/// Orders that are under way.
#[derive(Debug, Default)]
pub struct Applies(BTreeMap<DecisionId, Underway>);

#[derive(Debug)]
struct Underway {
    order: Order,
    since: Time,
    written: BTreeSet<NumberId>,
    ended: BTreeMap<NumberId, (OrderResult, String)>,
}

impl Applies {
    pub fn ordered(&mut self, at: Time, order: &Order) {
        let (written, ended) = (BTreeSet::new(), BTreeMap::new());
        self.0.insert(order.id, Underway { order: order.clone(), since: at, written, ended });
    }

    pub fn written(&mut self, order: DecisionId, number: NumberId) {
        if let Some(underway) = self.0.get_mut(&order) {
            underway.written.insert(number);
        }
    }

    /// One number's part has ended. `None` until all have, and if nothing was written.
    pub fn ended(
        &mut self,
        at: Time,
        order: DecisionId,
        number: NumberId,
        (result, detail): (OrderResult, &str),
        builder: &NoticeBuilder,
    ) -> Option<Notice> {
        let underway = self.0.get_mut(&order)?;
        // What was written and cannot be told may have happened.
        if result == OrderResult::Unproven {
            underway.written.insert(number);
        }
        underway.ended.insert(number, (result, detail.to_owned()));
        if underway.order.numbers.iter().any(|n| !underway.ended.contains_key(n)) {
            return None;
        }
        let over = self.0.remove(&order)?;
        (!over.written.is_empty()).then(|| builder.applied(at, &over))
    }
}

impl NoticeBuilder {
    /// What became of an apply, or of its undoing, that wrote to some numbers.
    fn applied(&self, at: Time, over: &Underway) -> Notice {
        let Order { id, operation, channel, group, numbers, by, .. } = &over.order;
        let is_undo = *operation == Operation::Undo;
        let written: Vec<NumberId> = over.written.iter().copied().collect();
        let is_well = |n: &NumberId| over.ended.get(n).is_some_and(|(result, _)| result.is_as_asked());
        let well = written.iter().filter(|n| is_well(n)).count();
        let others = over.ended.keys().filter(|n| !is_well(n)).count();
        let done = if is_undo { "is as before the latest apply" } else { "is as [group.handler] asks" };
        let title = match others {
            0 => format!("{group} {channel}: the handler of {} {done}", amount(well, "number")),
            others => {
                format!("{group} {channel}: the handler of {} {done}, of {others} it is not", amount(well, "number"))
            }
        };
        let severity = if others == 0 { Severity::Info } else { Severity::Warning };
        let mut n = self.blank(at, format!("applied/{id}"), NoticeKind::Applied, severity, title);
        n.status = NoticeStatus::Event;
        (n.group, n.channel, n.decision) = (Some(group.clone()), Some(*channel), Some(*id));
        n.at = super::Moment::new(at, self.zone(numbers));
        n.since = Some(super::Moment::new(over.since, self.zone(numbers)));
        n.uncounted = Some("no caller is counted by it".to_owned());
        n.cause = Some(match by {
            By::Operator(author) => format!("{} asked for it: {}", author.name, author.reason),
            By::Detector => "it was asked for".to_owned(),
        });
        n.did = told(over);
        n.next = self.after_apply(over, &written, is_undo, others > 0);
        n.numbers = written;
        n
    }

    fn after_apply(&self, over: &Underway, written: &[NumberId], is_undo: bool, is_trouble: bool) -> Vec<Step> {
        let Order { channel, group, .. } = &over.order;
        let which = self.selection(group, *channel, written);
        let mut next = Vec::new();
        if is_trouble {
            next.push(Step::typing("See what differs, number by number", format!("ringback plan {which}")));
        }
        if !is_undo {
            let rest = "--applied --reason 'undo'";
            next.push(self.order("To undo it", Operation::Undo, group, *channel, written, rest));
        }
        next
    }
}

/// The ends, most numbers first, the same ones together.
fn told(over: &Underway) -> String {
    let mut same: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (result, detail) in over.ended.values() {
        *same.entry((result.label(), detail.as_str())).or_default() += 1;
    }
    let mut same: Vec<_> = same.into_iter().collect();
    same.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let line = |((result, detail), count): &((&str, &str), usize)| {
        format!("{} {}: {detail}", amount(*count, "number"), result.replace('_', " "))
    };
    let (first, rest) = same.split_at(cut_at(same.len(), TOLD));
    let mut lines: Vec<String> = first.iter().map(line).collect();
    let left: usize = rest.iter().map(|(_, count)| count).sum();
    if left > 0 {
        lines.push(format!("{} ended otherwise: `ringback status` has them", amount(left, "number")));
    }
    lines.join("\n")
}
