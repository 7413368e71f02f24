//! What became of calls, messages and tests of ours, in figures.

use serde::{Deserialize, Serialize};

use crate::core::model::code::Code;
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::reason::Reason;
use crate::core::model::time::Time;
use crate::core::model::verdict::Verdict;

/// What became of calls and messages that came in within the span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Seconds of one column of the series.
    pub step: u64,
    /// Different people, of all groups and channels together, and those of them who met a failure.
    pub people: u32,
    pub people_failed: u32,
    pub series: Vec<Series>,
    pub groups: Vec<OutcomeTally<GroupName>>,
    pub numbers: Vec<OutcomeTally<NumberId>>,
    pub lags: Vec<LogLag>,
    pub probes: Vec<ProbeTally>,
    /// Test calls and messages that failed.
    pub probes_failed: Vec<ProbeFailed>,
    /// Calls and messages that had no outcome by the end.
    pub unsettled: u32,
    /// What was said of numbers, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub verdicts: Vec<VerdictSaid>,
}

/// From `at` on this was said of a number: that it is in trouble, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictSaid {
    pub at: Time,
    pub number: NumberId,
    pub channel: Channel,
    pub verdict: Verdict,
}

/// Served and failed calls or messages of a group, by column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    pub group: GroupName,
    pub channel: Channel,
    pub served: Vec<u32>,
    pub failed: Vec<u32>,
}

/// Figures of a group or number on one channel. `calls` are calls or messages that came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeTally<K> {
    pub of: K,
    pub channel: Channel,
    pub calls: u32,
    pub served: u32,
    pub failed: u32,
    /// Different people, and those of them who met a failure.
    pub callers: u32,
    pub callers_failed: u32,
    pub first_failed: Option<Time>,
    pub last_failed: Option<Time>,
    /// People who met each failure, most first.
    pub reasons: Vec<(Reason, Option<Code>, u32)>,
}

/// How late a log was: seconds from an entry's end until it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLag {
    pub source: String,
    pub entries: u32,
    pub median_ms: u64,
    pub slow_ms: u64,
    pub most_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeTally {
    pub number: NumberId,
    pub channel: Channel,
    pub served: u32,
    pub failed: u32,
    /// It could not be measured.
    pub unmeasured: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFailed {
    pub at: Time,
    pub number: NumberId,
    pub channel: Channel,
    pub reason: Reason,
}
