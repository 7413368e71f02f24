//! What is said of a number, a channel or a group, and on what evidence.

use serde::{Deserialize, Serialize};

use super::code::Code;
use super::observation::Resource;
use super::outcome::Reason;
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

/// What a verdict rests on. All counts are of distinct callers: eight redials are one witness.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Callers whose calls settled as served or as curable failures.
    pub callers: u32,
    /// Callers of these who met a curable failure.
    pub failing: u32,
    /// Start of the first failing call that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// `failing / callers`; absent without callers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Callers by reason and code, most first.
    pub reasons: Vec<ReasonCount>,
    /// Up to three of the calls or messages that failed, newest first.
    pub samples: Vec<Resource>,
    /// Numbers among which the failures are spread.
    pub numbers: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    pub reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    pub callers: u32,
}
