//! What should ring: a profile of the weeks before the port, learnt from call records.
//!
//! On the port day a silent number looks like a quiet one unless it is known how many calls were due. A [`Profile`]
//! says so for each number: calls by half-hour of its local week, their level, and how far a day usually strays from
//! them, for the number, its group and the account. Callers' carriers are in it by share, for a route that is stale at
//! one carrier silences that carrier's callers alone.
//!
//! It is fitted once ([`fit`]), from records freed of what is no caller ([`clean`]), and kept as JSON
//! ([`document`]), which whoever watches reads. It promises: the same records give the same bytes; every value in it is
//! finite and in its range; no caller's number is in it, and no prefix long enough to be one.

pub mod calendar;
pub mod clean;
mod days;
pub mod document;
pub mod fit;
mod holes;
mod level;
mod mixture;
mod shape;
mod spread;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::model::id::{E164, GroupName};
use super::model::time::Time;

/// Half-hours of a week. Shorter ones would hold too few calls of most numbers, longer ones would blur opening times.
pub const SLOTS: usize = 336;

/// Seconds of a half-hour.
pub const SLOT_SECONDS: i64 = 1800;

#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// When it was fitted.
    pub made_at: Time,
    /// The first and the last instant that the records cover.
    pub from: Time,
    pub to: Time,
    pub sources: Vec<ProfileSource>,
    /// How long an answered call lasts.
    pub mean_call: Duration,
    /// By [`CarrierIx`].
    pub carriers: Vec<CarrierProfile>,
    pub prefixes: Prefixes,
    pub account: DaySpread,
    pub groups: BTreeMap<GroupName, GroupProfile>,
    pub numbers: BTreeMap<E164, NumberProfile>,
}

/// A file that it was learnt from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSource {
    /// Without its folder.
    pub file: String,
    /// Rows in it, the header not counted.
    pub rows: u64,
}

/// Position of a carrier in a profile's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CarrierIx(pub u16);

#[derive(Clone, Debug, PartialEq)]
pub struct CarrierProfile {
    pub name: String,
    /// Of the account's calls whose carrier is known, from 0 to 1.
    pub share: f64,
}

/// How far the calls of a day stray from what is usual: the variance of the factor by which they do, whose mean is 1.
/// The variance of the calls themselves, of which `m` are usual, is `m + spread * m²`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct DaySpread(pub f64);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupProfile {
    pub spread: DaySpread,
    /// Days of which less than a third of the usual calls came, as on a holiday.
    pub lulls: u32,
    /// Days on which enough calls were due to tell.
    pub full_days: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NumberProfile {
    /// Where its week is local.
    pub timezone: TimeZone,
    /// How many calls it rests on.
    pub calls: u64,
    /// The first and the last of them; absent if there is none.
    pub span: Option<(Time, Time)>,
    /// Calls on the port day for each that its week had on average; it is in `week` already.
    pub level: f64,
    /// The calls that the level rests on: those of past days count less.
    pub rests_on: f64,
    /// Variance of the level for a number that is new or dying, over that of any other.
    pub newness: f64,
    pub spread: DaySpread,
    pub week: Week,
    /// Share of each carrier in its calls, by [`CarrierIx`].
    pub carriers: Vec<f64>,
    pub standing: NumberStanding,
}

/// What has become of a number before its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberStanding {
    Usual,
    /// It has rung for some days only: its week is mostly that of others.
    New,
    /// Its last days were far below the ones before: if it falls silent, the port need not be why.
    Dying,
    /// It has not rung for so long that it is not expected to. A number without any record is dead, too.
    Dead,
}

impl NumberStanding {
    pub const fn label(self) -> &'static str {
        match self {
            NumberStanding::Usual => "usual",
            NumberStanding::New => "new",
            NumberStanding::Dying => "dying",
            NumberStanding::Dead => "dead",
        }
    }
}

/// Calls due in each local half-hour of the week, from Monday 00:00.
#[derive(Clone, Debug, PartialEq)]
pub struct Week(Box<[f64]>);

impl Week {
    pub fn from_fn(rate: impl FnMut(usize) -> f64) -> Week {
        Week((0..SLOTS).map(rate).collect())
    }

    /// Calls due in this half-hour.
    pub fn rate(&self, slot: Slot) -> f64 {
        self.0[slot.index()]
    }

    pub fn rates(&self) -> &[f64] {
        &self.0
    }

    /// Calls due in the whole of it.
    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}

/// A half-hour of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// The half-hour that has begun at this place and time.
    pub fn at(time: Time, zone: &TimeZone) -> Slot {
        let offset = zone.to_offset(time.to_timestamp()).seconds();
        Slot::of_local(time.as_millis().div_euclid(1000) + i64::from(offset))
    }

    /// Of seconds since the epoch on a local clock. 1970-01-01 was a Thursday.
    pub(super) fn of_local(seconds: i64) -> Slot {
        let half_hours = seconds.div_euclid(SLOT_SECONDS) + 3 * 48;
        Slot(u16::try_from(half_hours.rem_euclid(SLOTS as i64)).unwrap_or(0))
    }

    /// Position in a week, below [`SLOTS`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whose callers begin so: the beginnings of callers' numbers, in E.164, and the carrier that each belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    by_text: BTreeMap<String, CarrierIx>,
    /// Lengths that occur, the longest first.
    lengths: Vec<usize>,
}

impl Prefixes {
    pub fn insert(&mut self, prefix: String, carrier: CarrierIx) {
        if let Err(at) = self.lengths.binary_search_by(|n| prefix.len().cmp(n)) {
            self.lengths.insert(at, prefix.len());
        }
        self.by_text.insert(prefix, carrier);
    }

    /// The carrier of a caller, `+15005550123`: that of the longest beginning that is known.
    pub fn carrier(&self, caller: &str) -> Option<CarrierIx> {
        self.lengths.iter().find_map(|n| self.by_text.get(caller.get(..*n)?)).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, CarrierIx)> {
        self.by_text.iter().map(|(prefix, carrier)| (prefix.as_str(), *carrier))
    }

    pub fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }
}
