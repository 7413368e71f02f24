//! A plan in a file: what is to be changed, and the state in which each number was seen.
//!
//! The file holds no secret. Of each value it has what may be shown, and a hash that is keyed with the installation's
//! key: a plain hash of a URL with a short token in it would let whoever has the file try tokens. So the field that
//! has changed, and what it was, can be told; what was not shown of it cannot. What is wanted is in the configuration
//! alone; the file has a hash of it, and is no plan any more once the configuration asks something else.
//!
//! Each number stands for itself: what became of another makes no plan stale. Only numbers that are to be changed are
//! in it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::planned::{HandlerPlan, PlanFinding, PlannedNumber, RoutingSeen};
use super::values::fields;
use super::wanted::FieldChange;
use crate::model::id::{AccountSid, Channel, GroupName, NumberId};
use crate::model::roster::Roster;
use crate::model::time::Time;
use crate::model::value::whole_json;

/// A plan is good for so long.
const LASTS: Duration = Duration::from_secs(24 * 3600);

/// How the file is written.
const VERSION: u32 = 1;

/// A plan as it is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    pub ringback_plan: u32,
    pub id: String,
    pub account: AccountSid,
    pub made_at: Time,
    pub expires_at: Time,
    /// Of a text that everybody knows: which installation's key it is.
    key: String,
    /// What was wanted of each group's channels, keyed.
    wanted: Vec<SavedWanted>,
    /// States, to which numbers refer by place.
    states: Vec<SavedState>,
    pub numbers: Vec<SavedNumber>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedWanted {
    group: GroupName,
    channel: Channel,
    is: String,
}

/// What a channel was, and what is to be changed of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedState {
    /// Of all of it, keyed.
    read: String,
    fields: BTreeMap<String, SavedField>,
    /// For people: `VoiceUrl … → …`.
    changes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedField {
    shown: String,
    /// Of its name and its value, keyed.
    is: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedNumber {
    pub number: NumberId,
    pub channel: Channel,
    state: usize,
}

/// Why a saved plan is not to be applied at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotThisPlan {
    #[error("it expired at {0}: plan again")]
    Expired(Time),
    #[error("it is of account {0}, and the configuration names another")]
    OtherAccount(AccountSid),
    #[error("it was made with another installation's key (the file `….key` beside the state): plan again here")]
    OtherKey,
    #[error("[group.handler] of group {group} asks something else of {channel} than when it was made: plan again")]
    AskedOtherwise { group: GroupName, channel: Channel },
    #[error("it is written as version {0}, which this program does not know: plan again")]
    Version(u32),
    #[error("it contradicts itself: plan again")]
    Damaged,
}

/// What became of one number of a saved plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanStanding {
    /// It is as it was when the plan was made: by its place among what was looked at now.
    Good(usize),
    /// It is what the plan would make it.
    Done(NumberId, Channel),
    /// It is otherwise.
    Moved { number: NumberId, channel: Channel, what: String, seen: Option<RoutingSeen> },
}

impl SavedPlan {
    /// What is to be changed of `plan`, made at `now`. `keyed` hashes with the installation's key.
    pub fn new(
        plan: &HandlerPlan,
        roster: &Roster,
        account: AccountSid,
        now: Time,
        keyed: impl Fn(&str) -> String,
    ) -> SavedPlan {
        let mut states: Vec<SavedState> = Vec::new();
        let mut place: BTreeMap<(String, Vec<String>), usize> = BTreeMap::new();
        let mut numbers = Vec::new();
        for n in plan.changes() {
            let (PlanFinding::Differs(changes), Some(seen)) = (&n.finding, &n.seen) else { continue };
            let changes: Vec<String> = changes.iter().map(FieldChange::to_string).collect();
            let state = *place.entry((seen.read.clone(), changes.clone())).or_insert_with(|| {
                states.push(SavedState { read: seen.read.clone(), fields: saved_fields(seen, &keyed), changes });
                states.len() - 1
            });
            numbers.push(SavedNumber { number: n.number, channel: n.channel, state });
        }
        let wanted = wanted(plan, roster, &keyed);
        let expires_at = now + LASTS;
        let text = format!("{now} {wanted:?} {states:?} {numbers:?}");
        SavedPlan {
            ringback_plan: VERSION,
            id: format!("P{}", &keyed(&text)[..12]),
            account,
            made_at: now,
            expires_at,
            key: keyed("whose plan this is"),
            wanted,
            states,
            numbers,
        }
    }

    /// What still stands of it, number by number, against what was looked at `now`.
    pub fn compare(
        &self,
        now: &HandlerPlan,
        roster: &Roster,
        account: AccountSid,
        at: Time,
        keyed: impl Fn(&str) -> String,
    ) -> Result<Vec<PlanStanding>, NotThisPlan> {
        self.stands(roster, account, at, &keyed)?;
        let found: BTreeMap<(NumberId, Channel), usize> =
            now.numbers.iter().enumerate().map(|(i, n)| ((n.number, n.channel), i)).collect();
        let mut standings = Vec::new();
        for SavedNumber { number, channel, state } in &self.numbers {
            let was = self.states.get(*state).ok_or(NotThisPlan::Damaged)?;
            let Some(i) = found.get(&(*number, *channel)) else {
                let what = "the configuration does not have it any more".to_owned();
                standings.push(PlanStanding::Moved { number: *number, channel: *channel, what, seen: None });
                continue;
            };
            standings.push(was.standing(*i, &now.numbers[*i], &keyed));
        }
        Ok(standings)
    }

    fn stands(
        &self,
        roster: &Roster,
        account: AccountSid,
        at: Time,
        keyed: &impl Fn(&str) -> String,
    ) -> Result<(), NotThisPlan> {
        if self.ringback_plan != VERSION {
            return Err(NotThisPlan::Version(self.ringback_plan));
        }
        if self.account != account {
            return Err(NotThisPlan::OtherAccount(self.account));
        }
        if self.key != keyed("whose plan this is") {
            return Err(NotThisPlan::OtherKey);
        }
        if self.expires_at <= at {
            return Err(NotThisPlan::Expired(self.expires_at));
        }
        for SavedWanted { group, channel, is } in &self.wanted {
            if asked(roster, group, *channel, keyed).as_ref() != Some(is) {
                return Err(NotThisPlan::AskedOtherwise { group: group.clone(), channel: *channel });
            }
        }
        Ok(())
    }
}

impl SavedState {
    fn standing(&self, i: usize, now: &PlannedNumber, keyed: &impl Fn(&str) -> String) -> PlanStanding {
        let moved = |what: String| {
            let (number, channel, seen) = (now.number, now.channel, now.seen.clone());
            PlanStanding::Moved { number, channel, what, seen }
        };
        match (&now.finding, &now.seen) {
            (PlanFinding::AsWanted, _) => PlanStanding::Done(now.number, now.channel),
            (PlanFinding::Differs(_), Some(seen)) if seen.read == self.read => PlanStanding::Good(i),
            (PlanFinding::Differs(_), Some(seen)) => moved(self.differences(seen, keyed)),
            (PlanFinding::Cannot(why), Some(seen)) => moved(format!("{}; {why}", self.differences(seen, keyed))),
            (PlanFinding::Cannot(why), None) => moved(why.to_string()),
            (PlanFinding::HandedOver(owner), _) => {
                moved(format!("{owner}, to whom it is handed over, has set its own handler"))
            }
            (PlanFinding::NotInAccount, _) => moved("it is not in the account any more".to_owned()),
            (PlanFinding::Unread(why), _) => moved(format!("it could not be read: {why}")),
            (PlanFinding::Differs(_), None) => moved("it could not be read".to_owned()),
        }
    }

    /// Each field that is otherwise, with what it was and what it is.
    fn differences(&self, seen: &RoutingSeen, keyed: &impl Fn(&str) -> String) -> String {
        let now = saved_fields(seen, keyed);
        let none = SavedField { shown: String::new(), is: String::new() };
        let names: std::collections::BTreeSet<&String> = self.fields.keys().chain(now.keys()).collect();
        let differ = names.into_iter().filter_map(|name| {
            let (was, is) = (self.fields.get(name).unwrap_or(&none), now.get(name).unwrap_or(&none));
            let same = if was.shown == is.shown { " (they differ in what is not shown)" } else { "" };
            (was.is != is.is)
                .then(|| format!("{name} was {:?} when it was planned, and is {:?}{same}", was.shown, is.shown))
        });
        let said: Vec<String> = differ.collect();
        if said.is_empty() {
            "it is as it was, and the file asks something else of it".to_owned()
        } else {
            said.join("; ")
        }
    }
}

/// Fields that have something.
fn saved_fields(seen: &RoutingSeen, keyed: &impl Fn(&str) -> String) -> BTreeMap<String, SavedField> {
    let own = fields(seen.values.channel()).iter().filter_map(|f| Some((f.parameter, seen.values.of(f.parameter)?)));
    own.filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| {
            let is = keyed(&format!("{name}\n{}", value.whole()));
            (name.to_owned(), SavedField { shown: value.to_string(), is })
        })
        .collect()
}

/// What is asked of the channels of these numbers' groups.
fn wanted(plan: &HandlerPlan, roster: &Roster, keyed: &impl Fn(&str) -> String) -> Vec<SavedWanted> {
    let mut all: BTreeMap<(&GroupName, Channel), String> = BTreeMap::new();
    for n in plan.changes() {
        if let Some(is) = asked(roster, &n.group, n.channel, keyed) {
            all.insert((&n.group, n.channel), is);
        }
    }
    all.into_iter().map(|((group, channel), is)| SavedWanted { group: group.clone(), channel, is }).collect()
}

fn asked(roster: &Roster, group: &GroupName, channel: Channel, keyed: &impl Fn(&str) -> String) -> Option<String> {
    let (_, found) = roster.groups().find(|(_, g)| g.name == *group)?;
    whole_json(&found.handler[channel.index()]).ok().map(|text| keyed(&text))
}
