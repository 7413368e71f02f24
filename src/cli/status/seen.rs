//! What `ringback status` takes from the agent's answer.

use serde::Deserialize;

use crate::agent::publish::status::Summary;
use crate::agent::publish::trouble::{Trouble, TroubleKind};
use crate::core::model::decision::{Mode, Phase};
use crate::core::model::id::{AccountSid, Channel, E164, GroupName, NumberId, WrittenNumber};
use crate::core::model::time::Time;
use crate::core::model::verdict::Verdict;

/// The state of everything, as far as it is shown.
#[derive(Debug, Clone, Deserialize)]
pub struct SeenStatus {
    pub at: Time,
    pub mode: Mode,
    pub summary: Summary,
    pub troubles: Vec<Trouble>,
    pub groups: Vec<SeenGroup>,
    pub orders: Vec<SeenOrder>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct SeenGroup {
    pub group: GroupName,
    pub port: Option<SeenPort>,
    pub numbers: Vec<SeenNumber>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct SeenPort {
    pub countdown: String,
    pub due: usize,
}

#[derive(Debug, Clone, Deserialize)]
pub struct SeenNumber {
    pub account: AccountSid,
    pub number: E164,
    #[serde(default)]
    pub label: String,
    pub channels: Vec<SeenChannel>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct SeenChannel {
    pub channel: Channel,
    pub phase: Phase,
    pub verdict: Verdict,
    pub routing: String,
    #[serde(default)]
    pub handler: Option<serde_json::Value>,
    pub rollback_state: String,
    #[serde(default)]
    pub is_on_fallback: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub struct SeenOrder {
    pub is_over: bool,
}

impl SeenNumber {
    pub const fn id(&self) -> NumberId {
        NumberId::new(self.account, self.number)
    }
}

impl SeenChannel {
    pub fn is_unproven(&self) -> bool {
        self.rollback_state == "unproven"
    }

    /// Who answers, in a word.
    pub fn handler(&self) -> String {
        match &self.handler {
            Some(serde_json::Value::String(word)) => word.clone(),
            Some(serde_json::Value::Object(one)) => {
                one.iter().next().map(|(kind, of)| match (kind.as_str(), of.as_str()) {
                    ("url", Some(url)) => url.to_owned(),
                    (kind, Some(of)) => format!("{kind} {of}"),
                    (kind, None) => kind.to_owned(),
                })
            }
            .unwrap_or_default(),
            Some(_) | None => self.routing.replace('_', " "),
        }
    }
}

/// What is asked about: all of it, one group, or some numbers.
#[derive(Debug, Clone, Default)]
pub struct StatusSelection {
    pub group: Option<GroupName>,
    pub numbers: Vec<WrittenNumber>,
}

impl StatusSelection {
    fn is_all(&self) -> bool {
        self.group.is_none() && self.numbers.is_empty()
    }

    fn names(&self, number: NumberId) -> bool {
        self.numbers.iter().any(|n| n.e164 == number.e164 && n.account.is_none_or(|a| a == number.account))
    }

    /// What of it is not ours, in words; `None` if all is.
    pub fn unknown(&self, seen: &SeenStatus) -> Option<String> {
        if let Some(group) = self.group.as_ref().filter(|g| !seen.groups.iter().any(|s| s.group == **g)) {
            let known: Vec<String> = seen.groups.iter().map(|g| g.group.to_string()).collect();
            return Some(format!("there is no group {group}: there are {}", known.join(", ")));
        }
        let ours = || seen.groups.iter().flat_map(|g| &g.numbers);
        let is_ours =
            |n: &&WrittenNumber| ours().any(|o| o.number == n.e164 && n.account.is_none_or(|a| a == o.account));
        let stranger = self.numbers.iter().find(|n| !is_ours(n))?;
        Some(format!("{stranger} is none of the numbers that are watched"))
    }

    /// True if a trouble concerns what is asked about. What is wrong with all concerns every number.
    pub fn concerns(&self, trouble: &Trouble, seen: &SeenStatus) -> bool {
        if self.is_all() {
            return true;
        }
        let is_of_all = matches!(
            trouble.kind,
            TroubleKind::Blind
                | TroubleKind::State
                | TroubleKind::RowsNotUnderstood
                | TroubleKind::NotifierFailing
                | TroubleKind::Held
        );
        let by_group = self.group.is_some() && trouble.group == self.group;
        let named = || trouble.numbers.iter().any(|n| self.names(*n));
        // What is said of a whole group is said of its numbers.
        let of_group = || {
            trouble.numbers.is_empty()
                && seen
                    .groups
                    .iter()
                    .filter(|g| Some(&g.group) == trouble.group.as_ref())
                    .any(|g| g.numbers.iter().any(|n| self.names(n.id())))
        };
        is_of_all || by_group || named() || of_group()
    }

    /// The numbers that are asked about, by group.
    pub fn numbers<'s>(&'s self, group: &'s SeenGroup) -> impl Iterator<Item = &'s SeenNumber> {
        let is_asked = self.is_all() || self.group.as_ref() == Some(&group.group);
        group.numbers.iter().filter(move |n| is_asked || self.names(n.id()))
    }
}

impl SeenStatus {
    /// True if nothing is under way and nobody is asked anything.
    pub fn is_settled(&self) -> bool {
        let waits = |t: &Trouble| match t.kind {
            TroubleKind::RollingBack
            | TroubleKind::UnderWay
            | TroubleKind::RestoreWaits
            | TroubleKind::ApprovalNeeded
            | TroubleKind::Veto
            | TroubleKind::Failing
            | TroubleKind::Blind => true,
            TroubleKind::Unproven
            | TroubleKind::Blocked
            | TroubleKind::Expired
            | TroubleKind::NotCurable
            | TroubleKind::State
            | TroubleKind::Unserved
            | TroubleKind::FallbackBroken
            | TroubleKind::RolledBack
            | TroubleKind::Silent
            | TroubleKind::Suspect
            | TroubleKind::Missing
            | TroubleKind::Drift
            | TroubleKind::Port
            | TroubleKind::FallbackUnchecked
            | TroubleKind::RowsNotUnderstood
            | TroubleKind::NotifierFailing
            | TroubleKind::Held => false,
        };
        self.orders.iter().all(|o| o.is_over) && !self.troubles.iter().any(waits)
    }
}
