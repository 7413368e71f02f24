//! What is said of a number, a channel or a group, and on what evidence.

use serde::{Deserialize, Serialize};

use super::code::Code;
use super::counted::Counted;
use super::expected::ExpectedCalls;
use super::id::{Channel, Resource};
use super::reason::Reason;
use super::time::Time;

/// What the detector says. "No data" is neither failure nor health (law 4): too little is
/// `Unknown`, data that we cannot see is `Blind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Too few callers to say anything.
    #[default]
    Unknown,
    Healthy,
    /// Some callers fail; not enough to act on.
    Suspect,
    /// Callers are not being served.
    Failing,
    /// Callers stopped coming although they should.
    Silent,
    /// Our own data is stale.
    Blind,
}

impl Verdict {
    pub const ALL: [Verdict; 6] =
        [Verdict::Unknown, Verdict::Healthy, Verdict::Suspect, Verdict::Failing, Verdict::Silent, Verdict::Blind];

    pub const fn label(self) -> &'static str {
        match self {
            Verdict::Unknown => "unknown",
            Verdict::Healthy => "healthy",
            Verdict::Suspect => "suspect",
            Verdict::Failing => "failing",
            Verdict::Silent => "silent",
            Verdict::Blind => "blind",
        }
    }
}

/// How much is said against a number or a group, and how much would be enough. Natural logarithms:
/// each unit is a factor of 2.7 in how much likelier a fault has become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub statistic: f64,
    pub threshold: f64,
}

impl Score {
    pub fn is_enough(self) -> bool {
        self.statistic >= self.threshold
    }
}

/// What a verdict rests on. All counts are of distinct callers: eight redials are one witness.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Whom or what the figures count.
    #[serde(skip_serializing_if = "Counted::is_people", default)]
    pub counted: Counted,
    /// Callers since then who were served or met a curable failure.
    pub callers: u32,
    /// Callers of these who met a curable failure.
    pub failing: u32,
    /// Test calls and messages of ours since then, and those of them that failed.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub probes: u32,
    #[serde(skip_serializing_if = "is_zero", default)]
    pub failing_probes: u32,
    /// When the fault best supposed began: the start of the first call that counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Time>,
    /// Share of callers that the fault best supposed hits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub share: Option<f64>,
    /// Absent where no statistic decided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub score: Option<Score>,
    /// Failing callers by reason and code, most first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<ReasonCount>,
    /// Up to three of the calls or messages that failed, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub samples: Vec<Resource>,
    /// Numbers on which callers failed, and numbers of the group that could have.
    pub failing_numbers: u32,
    pub numbers: u32,
    /// Calls or messages whose outcome is not known yet.
    pub unsettled: u32,
    /// Seconds since the stalest log that counts was read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stale_for: Option<f64>,
    /// Calls that did not come, where the weeks before say how many should have.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<ExpectedCalls>,
}

impl Score {
    /// How much better a fault explains what was seen than luck does, and how much is asked for.
    pub fn text(self) -> String {
        let (is, suffices) = (times(self.statistic), times(self.threshold));
        format!("a fault explains this {is} better than luck does; {suffices} is asked for")
    }
}

/// A likelihood ratio of so many nats: `148 times`.
pub fn times(nats: f64) -> String {
    match nats.exp() {
        t if t < 10.0 => format!("{t:.1} times"),
        t if t < 1e3 => format!("{t:.0} times"),
        t if t < 1e6 => format!("{:.0} thousand times", t / 1e3),
        t if t < 1e9 => format!("{:.0} million times", t / 1e6),
        _ => "more than a billion times".to_owned(),
    }
}

impl Evidence {
    /// `5 of 6 callers failed; 1 of 1 test calls failed`; `None` where nobody is counted.
    pub fn text(&self, channel: Channel) -> Option<String> {
        let mut texts = Vec::new();
        let of = self.callers.max(self.failing);
        if of > 0 {
            texts.push(format!("{} of {} failed", self.failing, self.counted.words(channel).count(of)));
        }
        if self.probes > 0 {
            let tests = if self.probes == 1 { "test" } else { "tests" };
            texts.push(format!("{} of {} {tests} of ours failed", self.failing_probes, self.probes));
        }
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    pub reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<Code>,
    pub callers: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}
