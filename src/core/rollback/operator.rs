//! What an operator's command comes to, before anything is done: one line for each number, and orders.
//!
//! The detector's guards judge evidence; here the evidence is the person's. What stands against an
//! operator is what stands against every write: no lease, `observe`, a hold, a fallback that is
//! known to be broken, an order under way. Stale logs, caps and phases do not.
//!
//! Planning twice gives the same; a number that is already as asked is said to be so and left.

use std::collections::BTreeSet;

use serde::Serialize;

use super::orders::Orders;
use crate::core::model::decision::{DecisionId, Mode};
use crate::core::model::id::{Channel, E164};
use crate::core::model::order::{Author, By, FallbackState, Operation, Order};
use crate::core::model::roster::{NumberIx, Roster};
use crate::core::model::time::Time;
use crate::core::routing::record::bare;

/// A command about numbers.
#[derive(Debug, Clone)]
pub struct OperatorRequest {
    pub act: Operation,
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
    pub number: E164,
    pub channel: Channel,
    pub will: Will,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Will {
    Rollback,
    Restore,
    /// It is as asked.
    Nothing,
    Refuse,
}

/// All that a command comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preview {
    pub lines: Vec<PreviewLine>,
    pub orders: Vec<Order>,
    /// Earlier orders that do what is asked and have not ended: they are carried on.
    pub carried_on: BTreeSet<DecisionId>,
}

impl Orders {
    /// What `request` comes to now.
    pub fn plan(&self, now: Time, roster: &Roster, is_leading: bool, request: &OperatorRequest) -> Preview {
        let mut plan = Preview::default();
        for (group_ix, group) in roster.groups() {
            for channel in Channel::ALL.into_iter().filter(|c| request.channel.is_none_or(|want| want == *c)) {
                let mut numbers = Vec::new();
                for ix in request.numbers.iter().filter(|ix| roster.number(**ix).group == group_ix) {
                    if !roster.number(*ix).channels[channel.index()] {
                        continue;
                    }
                    let line = self.plan_number(now, roster, *ix, channel, is_leading, request);
                    match (line.will, self.ordered(line.number, channel)) {
                        (Will::Rollback | Will::Restore, Some(id)) => {
                            plan.carried_on.insert(id);
                        }
                        (Will::Rollback | Will::Restore, None) => numbers.push(line.number),
                        (Will::Nothing | Will::Refuse, _) => {}
                    }
                    plan.lines.push(line);
                }
                if !numbers.is_empty() {
                    plan.orders.push(Order {
                        id: DecisionId(self.next_id().0 + plan.orders.len() as u64),
                        act: request.act,
                        channel,
                        group: group.name.clone(),
                        staged: request.act == Operation::Restore && !request.at_once && numbers.len() > 1,
                        numbers,
                        by: By::Operator(request.by.clone()),
                        force: request.force,
                    });
                }
            }
        }
        plan
    }

    fn plan_number(
        &self,
        now: Time,
        roster: &Roster,
        ix: NumberIx,
        channel: Channel,
        is_leading: bool,
        request: &OperatorRequest,
    ) -> PreviewLine {
        let number = roster.number(ix).e164;
        let group = roster.group_of(ix);
        let state = self.state(number, channel);
        let line = |will, detail: String| PreviewLine { number, channel, will, detail };
        let refuse = |detail: String| line(Will::Refuse, detail);
        match request.act {
            Operation::Rollback if state.is_on_fallback() && !state.is_under_way() => {
                return line(Will::Nothing, "it is on the fallback already".to_owned());
            }
            Operation::Restore if state.swap().is_none() && !state.is_under_way() => {
                return line(Will::Nothing, "it is on its own handler".to_owned());
            }
            Operation::Rollback | Operation::Restore => {}
        }
        if !is_leading {
            return refuse("this agent does not lead".to_owned());
        }
        if self.mode() == Mode::Observe {
            return refuse(
                "the mode is observe, in which nothing is written: change it with `ringback mode`".to_owned(),
            );
        }
        if let Some(hold) = self.held_by(now, &group.name, number, channel) {
            return refuse(format!("held until {} ({}): end it with `ringback release`", hold.until, hold.by));
        }
        if let Some(p) = self.ordered(number, channel).and_then(|id| self.order(id)) {
            let will = match p.order.act {
                act if act != request.act => return refuse(format!("{}, a {}, is under way", p.order.id, act.label())),
                Operation::Rollback => Will::Rollback,
                Operation::Restore => Will::Restore,
            };
            return line(will, format!("{} is under way and carried on", p.order.id));
        }
        match request.act {
            Operation::Rollback => {
                let Some(fallback) = group.fallback(channel) else {
                    return refuse("its group has no fallback for this channel".to_owned());
                };
                if self.fallback(&group.name, channel) == FallbackState::Broken {
                    return refuse(format!("the fallback {} is broken", bare(fallback)));
                }
                line(Will::Rollback, format!("to {}", bare(fallback)))
            }
            Operation::Restore => {
                if let Some(t) = self.no_restore_before(&group.name, channel).filter(|t| now < *t && !request.force) {
                    return refuse(format!("the last restore relapsed: not before {t}, unless forced"));
                }
                line(Will::Restore, format!("to what it was before {}", state.order().unwrap_or(DecisionId(0))))
            }
        }
    }
}
