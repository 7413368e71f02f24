//! What `plan` found of many numbers, and how it is told: those with the same difference together.
//!
//! Promises: every number and channel that was looked at is in exactly one place. What could not be read is never
//! taken for what is as wanted, nor for what is not there.

use std::collections::BTreeMap;

use super::values::RoutingValues;
use super::wanted::{CannotApply, FieldChange};
use crate::model::foreign::Line;
use crate::model::id::{Channel, GroupName, NumberId, NumberSid};

/// What was found of one channel of one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanFinding {
    AsWanted,
    /// These fields are to be changed.
    Differs(Vec<FieldChange>),
    Cannot(CannotApply),
    /// The application to which it is handed over has set its own handler, and is left alone.
    HandedOver(Line),
    NotInAccount,
    /// Why it is not known.
    Unread(String),
}

/// One channel of one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedNumber {
    pub number: NumberId,
    pub group: GroupName,
    pub channel: Channel,
    pub finding: PlanFinding,
    /// What was read of it; absent where nothing was.
    pub seen: Option<RoutingSeen>,
    /// Which person has declared that the handler which it has is the right one, and when.
    pub adopted: Option<Line>,
}

/// One channel of one number as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingSeen {
    pub sid: NumberSid,
    pub values: RoutingValues,
    /// Of all this, keyed: whoever writes looks whether it is still so.
    pub read: String,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HandlerPlan {
    pub numbers: Vec<PlannedNumber>,
    /// Why it is not known of some which region processes it. They are taken for ours.
    pub unknown_regions: Option<String>,
    /// Why it is not known which of these handlers a person has adopted.
    pub unknown_adoptions: Option<String>,
}

/// Numbers of one group of which the same is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLine<'a> {
    pub group: &'a GroupName,
    pub channel: Channel,
    pub finding: &'a PlanFinding,
    /// Which person has adopted what they have, and when.
    pub adopted: Option<&'a Line>,
    /// In the order of the configuration.
    pub numbers: Vec<NumberId>,
}

impl PlanFinding {
    /// True if it is as the file has it: as it asks, or as it says that it will become.
    pub const fn is_as_asked(&self) -> bool {
        match self {
            PlanFinding::AsWanted | PlanFinding::HandedOver(_) => true,
            PlanFinding::Differs(_) | PlanFinding::Cannot(_) | PlanFinding::NotInAccount | PlanFinding::Unread(_) => {
                false
            }
        }
    }
}

impl HandlerPlan {
    /// What is to be said, the most numbers first, without those that are as wanted.
    pub fn lines(&self) -> Vec<PlanLine<'_>> {
        let mut lines: Vec<PlanLine<'_>> = Vec::new();
        let mut place: BTreeMap<(&GroupName, Channel, String, Option<&str>), usize> = BTreeMap::new();
        for n in self.numbers.iter().filter(|n| n.finding != PlanFinding::AsWanted) {
            let adopted = n.adopted.as_ref();
            let at =
                *place.entry((&n.group, n.channel, key(&n.finding), adopted.map(Line::as_str))).or_insert_with(|| {
                    let (group, channel, finding) = (&n.group, n.channel, &n.finding);
                    lines.push(PlanLine { group, channel, finding, adopted, numbers: Vec::new() });
                    lines.len() - 1
                });
            lines[at].numbers.push(n.number);
        }
        lines.sort_by_key(|line| (rank(line.finding), std::cmp::Reverse(line.numbers.len())));
        lines
    }

    pub fn count(&self, is_it: impl Fn(&PlanFinding) -> bool) -> usize {
        self.numbers.iter().filter(|n| is_it(&n.finding)).count()
    }

    /// Numbers that differ, with what was read of them.
    pub fn changes(&self) -> impl Iterator<Item = &PlannedNumber> {
        self.numbers.iter().filter(|n| matches!(n.finding, PlanFinding::Differs(_)))
    }
}

/// What is told first.
const fn rank(finding: &PlanFinding) -> u8 {
    match finding {
        PlanFinding::Differs(_) => 0,
        PlanFinding::Cannot(_) => 1,
        PlanFinding::NotInAccount => 2,
        PlanFinding::Unread(_) => 3,
        PlanFinding::HandedOver(_) => 4,
        PlanFinding::AsWanted => 5,
    }
}

/// Whole, for values that look alike may differ in what is not shown.
fn key(finding: &PlanFinding) -> String {
    match finding {
        PlanFinding::AsWanted => String::new(),
        PlanFinding::Differs(changes) => {
            changes.iter().map(|c| format!("{}\0{}\0{}\0", c.field, c.from.whole(), c.to.whole())).collect()
        }
        PlanFinding::Cannot(why) => format!("cannot {why}"),
        PlanFinding::HandedOver(owner) => format!("handed over {owner}"),
        PlanFinding::NotInAccount => "not in the account".to_owned(),
        PlanFinding::Unread(why) => format!("unread {why}"),
    }
}
