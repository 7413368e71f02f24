//! All that a report is made of. It is inside the report, and whoever has it can make the report once more.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::outcomes::Outcomes;
use crate::core::detect::observation::Observation;
use crate::core::explain::Recomputed;
use crate::core::model::decision::{DecisionId, Mode};
use crate::core::model::id::{AccountSid, Channel, GroupName, NumberId};
use crate::core::model::roster::{GroupIx, Number, PortAt, Roster};
use crate::core::model::time::Time;
use crate::core::notice::{NoticeKind, NoticeStatus, Severity};
use crate::core::rollback::entry::Entry;
use crate::store::ChainLink;
use crate::store::seen::Place;

/// Of the material's format.
pub const FORM: u32 = 1;

/// Whom and what a report is about, and when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub form: u32,
    /// Of the program that made it: another may tell the same otherwise.
    pub version: String,
    pub made_at: Time,
    pub from: Time,
    pub to: Time,
    /// Room for a person's words was asked for.
    pub gaps: bool,
    /// The mode of the configuration; later ones are in the journal.
    pub mode: Mode,
    /// How long before an agent's start entries were read again, in milliseconds.
    pub overlap_ms: u64,
    /// Since when entries are kept in full, where some were forgotten.
    pub kept_since: Option<Time>,
    /// Hash of the journal's last record here.
    pub head: String,
    pub entries: EntriesKept,
}

/// Whether what was seen is in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntriesKept {
    /// All that decisions and outcomes rest on.
    All,
    /// So many would have made the file too large.
    TooMany(usize),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupPart {
    pub name: GroupName,
    /// Stand-ins for the URLs, by [`Channel::index`].
    pub fallback: [Option<String>; 2],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberPart {
    pub id: NumberId,
    pub label: String,
    /// Position among the groups.
    pub group: u32,
    pub channels: [bool; 2],
    /// An IANA name, or an offset from UTC in seconds.
    pub timezone: String,
    pub port: PortAt,
}

/// A notice with those it was for, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub at: Time,
    pub notifier: String,
    /// As the outbox says it.
    pub delivery: String,
    pub ended: Option<Time>,
    pub tries: u32,
    pub kind: NoticeKind,
    pub status: NoticeStatus,
    pub severity: Severity,
    pub title: String,
    pub group: Option<GroupName>,
    pub decision: Option<DecisionId>,
}

/// Something that the agent took in, with stand-ins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    #[serde(rename = "p")]
    pub place: Place,
    #[serde(rename = "t")]
    pub at: Time,
    /// Absent where the alert log had been read up to `at`.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none", default)]
    pub entry: Option<(AccountSid, Observation)>,
}

/// What a decision came to when it was made once more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Again {
    pub decision: DecisionId,
    pub recomputed: Recomputed,
}

/// What other settings would have done with the same entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OtherSettings {
    /// The file's name.
    pub name: String,
    /// As JSON: a number with a fraction is kept to the letter.
    pub rules: String,
    /// Numbers that either would have rolled back, and when.
    pub rows: Vec<OtherRow>,
    pub pages: (u32, u32),
}

/// When the rules in force and the other ones roll a number back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherRow {
    pub number: NumberId,
    pub channel: Channel,
    pub these: Option<Time>,
    pub others: Option<Time>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Material {
    pub head: Head,
    pub groups: Vec<GroupPart>,
    pub numbers: Vec<NumberPart>,
    /// From the first record on.
    pub journal: Vec<ChainLink>,
    pub told: Vec<Told>,
    pub outcomes: Outcomes,
    pub again: Vec<Again>,
    pub other: Option<OtherSettings>,
    pub taken: Vec<Taken>,
}

/// An entry of the journal with its place and time.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub seq: i64,
    pub seen: Place,
    pub at: Time,
    pub entry: Entry,
}

impl Material {
    /// Whom the report is about, as the engine takes it.
    pub fn roster(&self) -> Roster {
        let mut roster = Roster::default();
        for g in &self.groups {
            roster.add_group(g.name.clone(), g.fallback.clone());
        }
        for n in &self.numbers {
            let NumberPart { id, label, group, channels, timezone, port } = n.clone();
            let timezone = zone_of(&timezone);
            roster.add_number(Number { id, label, group: GroupIx(group), channels, timezone, port });
        }
        roster
    }

    /// The journal's entries, oldest first. What cannot be read is left out; [`super::verify`] says so.
    pub fn records(&self) -> Vec<Recorded> {
        let read = |link: &ChainLink| {
            let entry = serde_json::from_str(&link.shown).ok()?;
            Some(Recorded { seq: link.seq, seen: link.seen, at: Time::from_millis(link.at_ms), entry })
        };
        self.journal.iter().filter_map(read).collect()
    }

    /// True if an instant is within the report's span.
    pub fn covers(&self, at: Time) -> bool {
        self.head.from <= at && at <= self.head.to
    }
}

/// A zone as text that [`zone_of`] reads.
pub fn zone_text(zone: &TimeZone) -> String {
    let offset = || zone.to_fixed_offset().map(|offset| offset.seconds().to_string()).unwrap_or_default();
    zone.iana_name().map_or_else(offset, str::to_owned)
}

fn zone_of(text: &str) -> TimeZone {
    let fixed = text.parse().ok().and_then(|seconds| jiff::tz::Offset::from_seconds(seconds).ok());
    match fixed {
        Some(offset) => TimeZone::fixed(offset),
        None => TimeZone::get(text).unwrap_or(TimeZone::UTC),
    }
}
