//! Findings, folded: the same finding of a thousand numbers is one, and what was not looked at is told beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::code::{FindingCode, FindingSeverity};
use super::facts::{Door, Facts, Unlooked};
use crate::model::foreign::{LONGEST_PART, line};
use crate::model::id::{AccountSid, Channel};
use crate::model::roster::{GroupIx, NumberIx, Roster};
use crate::model::time::Time;

/// What was found, of whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckFinding {
    pub code: FindingCode,
    pub severity: FindingSeverity,
    pub title: &'static str,
    /// What was seen.
    pub seen: String,
    /// Why it matters on the day.
    pub why: &'static str,
    pub cure: &'static str,
    /// Groups that it is about, or whose numbers it is about.
    pub groups: Vec<String>,
    /// Numbers that it is about, all of them.
    pub numbers: Vec<String>,
}

/// What was not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotLookedAt {
    pub codes: Vec<FindingCode>,
    pub because: String,
    /// Without it nobody can say that the port day is prepared.
    pub is_needed: bool,
    /// Numbers that it was not looked at for, if it was for others.
    pub numbers: Vec<String>,
}

/// How long a swap of a group takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SwapTime {
    pub group: String,
    pub numbers: usize,
    /// Until the last number is written and read back.
    pub written_s: f64,
    /// Until the last one is proven by a test call, where there are any.
    pub proven_s: Option<f64>,
}

/// Whether the port day is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    Ready,
    /// Nothing is in the way, and somebody may be surprised.
    ReadyWithWarnings,
    NotReady,
    /// Nothing bad was found, and something that is needed could not be looked at.
    NotKnown,
    /// Twilio could not be asked at all.
    NotRun,
}

/// Everything that a check has to say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Rises when a field changes its meaning or goes.
    pub version: u32,
    pub at: Time,
    pub account: AccountSid,
    pub numbers: usize,
    pub verdict: CheckVerdict,
    pub findings: Vec<CheckFinding>,
    pub not_looked_at: Vec<NotLookedAt>,
    pub passed: Vec<FindingCode>,
    pub swaps: Vec<SwapTime>,
}

impl Report {
    /// How many codes of this severity there are: one that was seen in several ways is one.
    pub fn count(&self, severity: FindingSeverity) -> usize {
        let codes: BTreeSet<FindingCode> =
            self.findings.iter().filter(|f| f.severity == severity).map(|f| f.code).collect();
        codes.len()
    }

    /// True if this is not as it should be; `is_strict` takes a warning for that too.
    pub fn is_trouble(&self, is_strict: bool) -> bool {
        match self.verdict {
            CheckVerdict::Ready => false,
            CheckVerdict::ReadyWithWarnings => is_strict,
            CheckVerdict::NotReady | CheckVerdict::NotKnown | CheckVerdict::NotRun => true,
        }
    }
}

/// The groups and numbers of a finding.
type OfWhom = (BTreeSet<GroupIx>, BTreeSet<NumberIx>);

/// Takes findings as they come.
pub struct Finder<'a> {
    pub roster: &'a Roster,
    found: BTreeMap<(FindingCode, String), OfWhom>,
    unlooked: BTreeMap<(Vec<FindingCode>, String), (bool, BTreeSet<NumberIx>)>,
    swaps: Vec<SwapTime>,
}

impl<'a> Finder<'a> {
    pub fn new(roster: &'a Roster) -> Finder<'a> {
        Finder { roster, found: BTreeMap::new(), unlooked: BTreeMap::new(), swaps: Vec::new() }
    }

    /// Of the account, or of the agent itself.
    pub fn find(&mut self, code: FindingCode, seen: impl AsRef<str>) {
        self.of_whom(code, seen.as_ref());
    }

    pub fn find_group(&mut self, code: FindingCode, seen: impl AsRef<str>, group: GroupIx) {
        self.of_whom(code, seen.as_ref()).0.insert(group);
    }

    pub fn find_number(&mut self, code: FindingCode, seen: impl AsRef<str>, number: NumberIx) {
        let group = self.roster.number(number).group;
        let (groups, numbers) = self.of_whom(code, seen.as_ref());
        groups.insert(group);
        numbers.insert(number);
    }

    /// What was seen may have words of others in it, and ends on terminals and in chats.
    fn of_whom(&mut self, code: FindingCode, seen: &str) -> &mut OfWhom {
        self.found.entry((code, line(seen, LONGEST_PART))).or_default()
    }

    pub fn skip(&mut self, codes: &[FindingCode], why: &Unlooked) {
        self.open(codes, why);
    }

    pub fn skip_number(&mut self, codes: &[FindingCode], why: &Unlooked, number: NumberIx) {
        self.open(codes, why).insert(number);
    }

    fn open(&mut self, codes: &[FindingCode], why: &Unlooked) -> &mut BTreeSet<NumberIx> {
        let (is_needed, numbers) = self.unlooked.entry((codes.to_vec(), line(&why.because, LONGEST_PART))).or_default();
        *is_needed |= why.is_needed;
        numbers
    }

    pub fn swap_takes(&mut self, group: GroupIx, numbers: usize, written: Duration, proven: Option<Duration>) {
        let group = self.roster.group(group).name.to_string();
        let proven_s = proven.map(|d| d.as_secs_f64().round());
        self.swaps.push(SwapTime { group, numbers, written_s: written.as_secs_f64().round(), proven_s });
    }

    /// Everything, and what it amounts to.
    pub fn end(self, facts: &Facts) -> Report {
        let roster = self.roster;
        let names =
            |all: BTreeSet<NumberIx>| all.into_iter().map(|ix| roster.name_of(ix).to_string()).collect::<Vec<_>>();
        let mut findings: Vec<CheckFinding> = self
            .found
            .into_iter()
            .map(|((code, seen), (groups, numbers))| {
                let page = code.page();
                CheckFinding {
                    code,
                    severity: page.severity,
                    title: page.title,
                    seen,
                    why: page.why,
                    cure: page.cure,
                    groups: groups.into_iter().map(|g| roster.group(g).name.to_string()).collect(),
                    numbers: names(numbers),
                }
            })
            .collect();
        findings.sort_by_key(|f| (f.severity, f.code));
        let mut not_looked_at: Vec<NotLookedAt> = self
            .unlooked
            .into_iter()
            .map(|((codes, because), (is_needed, numbers))| NotLookedAt {
                codes,
                because,
                is_needed,
                numbers: names(numbers),
            })
            .collect();
        not_looked_at.sort_by_key(|n| (!n.is_needed, n.codes.clone()));
        let is_open = |code: &FindingCode| {
            findings.iter().any(|f| f.code == *code) || not_looked_at.iter().any(|n| n.codes.contains(code))
        };
        let passed: Vec<FindingCode> = FindingCode::ALL.iter().filter(|c| !is_open(c)).copied().collect();
        let has = |severity| findings.iter().any(|f| f.severity == severity);
        let verdict = match &facts.door {
            Door::Shut(_) => CheckVerdict::NotRun,
            Door::Open | Door::Refused(_) | Door::NoNumbers(_) => {
                if has(FindingSeverity::Error) {
                    CheckVerdict::NotReady
                } else if not_looked_at.iter().any(|n| n.is_needed) {
                    CheckVerdict::NotKnown
                } else if has(FindingSeverity::Warning) {
                    CheckVerdict::ReadyWithWarnings
                } else {
                    CheckVerdict::Ready
                }
            }
        };
        Report {
            version: 1,
            at: facts.at,
            account: facts.account,
            numbers: roster.len(),
            verdict,
            findings,
            not_looked_at,
            passed,
            swaps: self.swaps,
        }
    }
}

/// The channel, as it is written in what was seen.
pub fn on(channel: Channel) -> &'static str {
    channel.label()
}
