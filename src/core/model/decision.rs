//! What the detector decided: act, or the first guard that objected, or page a person; and the modes
//! and phases under which it decides.
//!
//! Nouns without rules: [`crate::detect::engine`] decides, [`crate::rollback::guard`] says what objects.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::{BadId, Channel, GroupName, NumberId};
use super::reason::Reason;
use super::time::Time;
use super::verdict::Evidence;

/// What Ringback may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decide and record, never write.
    Observe,
    /// Ask, and act on approval.
    Confirm,
    /// Act.
    Auto,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Observe, Mode::Confirm, Mode::Auto];

    pub const fn label(self) -> &'static str {
        match self {
            Mode::Observe => "observe",
            Mode::Confirm => "confirm",
            Mode::Auto => "auto",
        }
    }
}

/// How closely a number's channel is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not ported: nothing is written.
    Waiting,
    /// Ported, and nobody has been served yet: log and routing are not to be relied on. Fast polls.
    Settling,
    /// Live callers are arriving for the first time: fast polls.
    Active,
    /// Ported and quiet: slow polls. Decisions and alerts go on.
    Passive,
}

impl Phase {
    pub const ALL: [Phase; 4] = [Phase::Waiting, Phase::Settling, Phase::Active, Phase::Passive];

    pub const fn label(self) -> &'static str {
        match self {
            Phase::Waiting => "waiting",
            Phase::Settling => "settling",
            Phase::Active => "active",
            Phase::Passive => "passive",
        }
    }
}

/// Why a rollback that the evidence calls for is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectorGuard {
    /// The mode allows no writes.
    Mode,
    /// The number has not been ported.
    Phase,
    /// The group has no fallback for this channel.
    NoFallback,
    /// The number was not found in the account, so nobody knows what it points at.
    NotInAccount,
    /// Our numbers could not be read yet, so nobody knows what it points at.
    NotRead,
    /// The number points at the fallback already.
    OnFallback,
}

impl DetectorGuard {
    pub const ALL: [DetectorGuard; 6] = [
        DetectorGuard::Mode,
        DetectorGuard::Phase,
        DetectorGuard::NoFallback,
        DetectorGuard::NotInAccount,
        DetectorGuard::NotRead,
        DetectorGuard::OnFallback,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            DetectorGuard::Mode => "mode",
            DetectorGuard::Phase => "phase",
            DetectorGuard::NoFallback => "no_fallback",
            DetectorGuard::NotInAccount => "not_in_account",
            DetectorGuard::NotRead => "not_read",
            DetectorGuard::OnFallback => "on_fallback",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            DetectorGuard::Mode => "the mode allows no writes",
            DetectorGuard::Phase => "the number has not been ported",
            DetectorGuard::NoFallback => "the group has no fallback for this channel",
            DetectorGuard::NotInAccount => "the number is not in the Twilio account",
            DetectorGuard::NotRead => "Ringback could not read the account's numbers yet",
            DetectorGuard::OnFallback => "the number already points at the fallback",
        }
    }
}

/// Numbers one decision; rises by one with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u64", try_from = "u64")]
pub struct DecisionId(pub u64);

impl DecisionId {
    /// A column of the store has no larger ones, and there is always a next one.
    const LARGEST: u64 = i64::MAX as u64;
}

impl From<DecisionId> for u64 {
    fn from(id: DecisionId) -> u64 {
        id.0
    }
}

impl TryFrom<u64> for DecisionId {
    type Error = BadId;

    fn try_from(id: u64) -> Result<DecisionId, BadId> {
        let fits = id <= DecisionId::LARGEST;
        fits.then_some(DecisionId(id)).ok_or_else(|| BadId::new(&id.to_string(), "a decision's id, such as 12"))
    }
}

impl std::fmt::Display for DecisionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "D{}", self.0)
    }
}

impl FromStr for DecisionId {
    type Err = BadId;

    fn from_str(s: &str) -> Result<DecisionId, BadId> {
        let digits = s.strip_prefix(['D', 'd']).unwrap_or(s);
        let all_digits = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
        let id = all_digits.then(|| digits.parse::<u64>().ok()?.try_into().ok()).flatten();
        id.ok_or_else(|| BadId::new(s, "a decision's id, such as D12"))
    }
}

/// What was made of a verdict, with all that is needed to explain it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub id: DecisionId,
    pub at: Time,
    #[serde(flatten)]
    pub action: Action,
    pub channel: Channel,
    pub group: GroupName,
    pub numbers: Vec<NumberId>,
    /// The rule that was met, in words.
    pub rule: String,
    pub evidence: Evidence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Action {
    /// Roll the numbers back to the fallback.
    Rollback,
    /// The evidence calls for a rollback, but this guard blocks it.
    Withheld { guard: DetectorGuard },
    /// Trouble that a rollback would not cure: a person is needed.
    Page { reason: PageReason },
}

/// Why a person is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum PageReason {
    /// Callers fail for this, and a rollback would not help them, or a rule asks a person first.
    Failing(Reason),
    /// Calls that should be coming do not come.
    Silence,
    /// All calls are busy or unanswered.
    Unreached,
    /// Calls break before any TwiML runs, on several numbers at once.
    Outage,
    /// Call after call fails and none is served, from too few different callers for the detector to act.
    FewCallers,
    /// Twilio logs errors, or test calls of ours fail, and there is evidence that callers were served all the same.
    ErrorsBesideService,
    /// The numbers are on the fallback, and the errors name the handler that they had before.
    OldHandler,
}

impl PageReason {
    /// Every value, for tables that start at zero.
    pub fn all() -> impl Iterator<Item = PageReason> {
        let others = [
            PageReason::Silence,
            PageReason::Unreached,
            PageReason::Outage,
            PageReason::FewCallers,
            PageReason::ErrorsBesideService,
            PageReason::OldHandler,
        ];
        Reason::ALL.into_iter().map(PageReason::Failing).chain(others)
    }

    pub const fn label(self) -> &'static str {
        match self {
            PageReason::Failing(reason) => reason.label(),
            PageReason::Silence => "silence",
            PageReason::Unreached => "unreached",
            PageReason::Outage => "outage",
            PageReason::FewCallers => "few_callers",
            PageReason::ErrorsBesideService => "errors_beside_service",
            PageReason::OldHandler => "old_handler",
        }
    }

    /// True if a swap would cure it, and something else asks for a person.
    pub const fn is_curable(self) -> bool {
        matches!(self, PageReason::Failing(reason) if reason.is_curable())
    }

    pub const fn text(self) -> &'static str {
        match self {
            PageReason::Failing(reason) => reason.text(),
            PageReason::Silence => "expected calls do not reach Twilio",
            PageReason::Unreached => "every call is busy, unanswered, given up or over at once",
            PageReason::Outage => {
                "calls on several numbers break before any TwiML runs, because of Twilio or the carriers"
            }
            PageReason::FewCallers => "nobody is served, and too few different people have tried to act on it",
            PageReason::ErrorsBesideService => {
                "errors are logged, or test calls fail, and everybody was served all the same"
            }
            PageReason::OldHandler => "callers on the fallback fail at the handler that the numbers had before",
        }
    }
}

impl From<PageReason> for String {
    fn from(reason: PageReason) -> String {
        reason.label().to_owned()
    }
}

impl TryFrom<String> for PageReason {
    type Error = String;

    fn try_from(label: String) -> Result<PageReason, String> {
        PageReason::all().find(|r| r.label() == label).ok_or_else(|| format!("{label:?} is no reason for a page"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_are_the_words_of_the_journal_and_the_api() {
        let same = |value: serde_json::Value, label: &str| assert_eq!(value, serde_json::json!(label));
        Mode::ALL.into_iter().for_each(|m| same(serde_json::to_value(m).unwrap(), m.label()));
        Phase::ALL.into_iter().for_each(|p| same(serde_json::to_value(p).unwrap(), p.label()));
        DetectorGuard::ALL.into_iter().for_each(|g| same(serde_json::to_value(g).unwrap(), g.label()));
    }

    #[test]
    fn every_reason_for_a_page_has_a_word_of_its_own_and_reads_back() {
        let labels: BTreeSet<&str> = PageReason::all().map(PageReason::label).collect();
        assert_eq!(labels.len(), PageReason::all().count());
        for reason in PageReason::all() {
            let text = serde_json::to_string(&reason).unwrap();
            assert_eq!(text, format!("{:?}", reason.label()));
            assert_eq!(serde_json::from_str::<PageReason>(&text).unwrap(), reason);
        }
        let others = [PageReason::Silence, PageReason::Unreached, PageReason::Outage];
        assert_eq!(others.map(PageReason::label), ["silence", "unreached", "outage"]);
        assert!(serde_json::from_str::<PageReason>("\"quiet\"").is_err());
    }

    #[test]
    fn a_decisions_id_is_a_number_with_or_without_its_letter() {
        for text in ["D12", "d12", "12"] {
            assert_eq!(text.parse(), Ok(DecisionId(12)), "{text}");
        }
        assert_eq!(DecisionId(12).to_string(), "D12");
        for text in ["", "D", "DD1", "+12", "D+12", "-1", "1.5", "12 ", "99999999999999999999"] {
            assert!(text.parse::<DecisionId>().is_err(), "{text:?}");
        }
    }
}
