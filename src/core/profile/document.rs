//! A profile as a file: JSON, version 1.
//!
//! The file is written by one program and read by another, perhaps weeks later and on another machine, and somebody may
//! have been at it in between. So it is read twice: as written, where serde refuses what has the wrong form, and as
//! meant, where every value must be in its range; a fault names the field, the value and the cure. Numbers are
//! rounded to six significant digits, which is more than is known and keeps the file of 2,000 numbers at some
//! megabytes.
//!
//! ```json
//! {
//!   "version": 1,
//!   "made_at": "2026-11-20T16:00:00.000Z",
//!   "from": "2026-10-12T07:01:12.000Z",
//!   "to": "2026-11-20T03:10:44.000Z",
//!   "sources": [{"file": "calls.csv", "rows": 120344}],
//!   "mean_call_s": 184.2,
//!   "carriers": [{"name": "Alpha", "share": 0.31}],
//!   "prefixes": {"+1555201": 0},
//!   "account": {"spread": 0.0124},
//!   "groups": {"support": {"spread": 0.021, "lulls": 1, "full_days": 27}},
//!   "numbers": {
//!     "+15005550100": {
//!       "timezone": "America/New_York",
//!       "standing": "usual",
//!       "calls": 1204, "from": "2026-10-12T12:01:12.000Z", "to": "2026-11-19T21:10:44.000Z",
//!       "level": 1.04, "rests_on": 310.2, "newness": 0, "spread": 0.013,
//!       "carriers": [0.3],
//!       "week": [0, 0.012]
//!     }
//!   }
//! }
//! ```
//!
//! (`week` has 336 values.)

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    CarrierIx, CarrierProfile, DaySpread, GroupProfile, NumberProfile, NumberStanding, Prefixes, Profile,
    ProfileSource, SLOTS, Week,
};
use crate::model::id::{E164, GroupName};
use crate::model::time::Time;

/// The only one so far.
pub const VERSION: u64 = 1;

/// What is read of a version that may be a later one.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenProfile {
    version: u64,
    made_at: Time,
    from: Time,
    to: Time,
    sources: Vec<ProfileSource>,
    mean_call_s: f64,
    carriers: Vec<WrittenCarrier>,
    prefixes: BTreeMap<String, u16>,
    account: WrittenAccount,
    groups: BTreeMap<GroupName, WrittenGroup>,
    numbers: BTreeMap<E164, WrittenProfiled>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCarrier {
    name: String,
    share: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAccount {
    spread: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGroup {
    spread: f64,
    lulls: u32,
    full_days: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenProfiled {
    timezone: String,
    standing: NumberStanding,
    calls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Time>,
    level: f64,
    rests_on: f64,
    newness: f64,
    spread: f64,
    carriers: Vec<f64>,
    week: Vec<f64>,
}

/// Why a file is no profile; the rest of a sentence that starts with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadProfile(String);

impl BadProfile {
    /// A value that is out of its range.
    fn field(field: &str, problem: &str) -> BadProfile {
        BadProfile(format!("{field}: {problem}; the file is damaged: make it again with ringback learn"))
    }
}

impl fmt::Display for BadProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadProfile {}

/// The profile as JSON.
pub fn write(profile: &Profile) -> String {
    let written = WrittenProfile {
        version: VERSION,
        made_at: profile.made_at,
        from: profile.from,
        to: profile.to,
        sources: profile.sources.clone(),
        mean_call_s: rounded(profile.mean_call.as_secs_f64()),
        carriers: profile
            .carriers
            .iter()
            .map(|c| WrittenCarrier { name: c.name.clone(), share: rounded(c.share) })
            .collect(),
        prefixes: profile.prefixes.iter().map(|(prefix, carrier)| (prefix.to_owned(), carrier.0)).collect(),
        account: WrittenAccount { spread: rounded(profile.account.0) },
        groups: profile.groups.iter().map(|(name, g)| (name.clone(), written_group(g))).collect(),
        numbers: profile.numbers.iter().map(|(number, n)| (*number, written_number(n))).collect(),
    };
    // Nothing in it can fail to be written: every key is text.
    let mut text = serde_json::to_string(&written).unwrap_or_default();
    // A line for each number, so that two profiles can be compared by line.
    text = text.replace("},\"+", "},\n\"+").replace("\"numbers\":{", "\n\"numbers\":{\n");
    text.push('\n');
    text
}

fn written_group(group: &GroupProfile) -> WrittenGroup {
    WrittenGroup { spread: rounded(group.spread.0), lulls: group.lulls, full_days: group.full_days }
}

fn written_number(number: &NumberProfile) -> WrittenProfiled {
    WrittenProfiled {
        timezone: zone_text(&number.timezone),
        standing: number.standing,
        calls: number.calls,
        from: number.span.map(|(from, _)| from),
        to: number.span.map(|(_, to)| to),
        level: rounded(number.level),
        rests_on: rounded(number.rests_on),
        newness: rounded(number.newness),
        spread: rounded(number.spread.0),
        carriers: number.carriers.iter().copied().map(rounded).collect(),
        week: number.week.rates().iter().copied().map(rounded).collect(),
    }
}

/// One number as the file has it.
pub fn number_json(number: &NumberProfile) -> impl Serialize + use<> {
    written_number(number)
}

/// To six significant digits.
fn rounded(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

fn zone_text(zone: &TimeZone) -> String {
    let offset = || {
        let minutes = zone.to_fixed_offset().map_or(0, Offset::seconds) / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    };
    zone.iana_name().map_or_else(offset, str::to_owned)
}

fn zone_of(text: &str) -> Option<TimeZone> {
    let Some(sign) = [('+', 1), ('-', -1)].into_iter().find_map(|(c, sign)| text.starts_with(c).then_some(sign)) else {
        return TimeZone::get(text).ok();
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    let seconds = (i32::from(hours) * 60 + i32::from(minutes)) * 60;
    (hours <= 15 && minutes <= 59).then(|| Offset::from_seconds(sign * seconds).ok().map(TimeZone::fixed))?
}

/// Reads the text of a file that [`write()`] has made.
pub fn read(text: &str) -> Result<Profile, BadProfile> {
    let damaged = |e: serde_json::Error| {
        BadProfile(format!("is no profile: {e}; make it with ringback learn, or name the file that it has made"))
    };
    let version = serde_json::from_str::<Versioned>(text).map_err(damaged)?.version;
    if version != VERSION {
        return Err(BadProfile(format!(
            "version: {version} is of another version of ringback, which reads {VERSION}: make it again with ringback learn"
        )));
    }
    let written: WrittenProfile = serde_json::from_str(text).map_err(damaged)?;
    meant(written)
}

fn meant(w: WrittenProfile) -> Result<Profile, BadProfile> {
    if w.to < w.from {
        return Err(BadProfile::field("to", &format!("{} is before from, {}", w.to, w.from)));
    }
    let mean_call = in_range("mean_call_s", w.mean_call_s, MOST_SECONDS)?;
    let mut prefixes = Prefixes::default();
    for (prefix, carrier) in w.prefixes {
        if !is_prefix(&prefix) {
            let problem = "is not the beginning of a number: +, and 1 to 8 digits";
            return Err(BadProfile::field(&format!("prefixes.{prefix:?}"), problem));
        }
        if usize::from(carrier) >= w.carriers.len() {
            let problem = format!("{carrier} is no carrier's position: there are {}", w.carriers.len());
            return Err(BadProfile::field(&format!("prefixes.{prefix:?}"), &problem));
        }
        prefixes.insert(prefix, CarrierIx(carrier));
    }
    let mut carriers = Vec::with_capacity(w.carriers.len());
    for (i, c) in w.carriers.into_iter().enumerate() {
        let share = in_range(&format!("carriers[{i}].share"), c.share, 1.0)?;
        carriers.push(CarrierProfile { name: c.name, share });
    }
    let mut groups = BTreeMap::new();
    for (name, g) in w.groups {
        let spread = DaySpread(in_range(&format!("groups.{name}.spread"), g.spread, MOST_SPREAD)?);
        groups.insert(name, GroupProfile { spread, lulls: g.lulls, full_days: g.full_days });
    }
    let mut numbers = BTreeMap::new();
    for (number, n) in w.numbers {
        numbers.insert(number, meant_number(number, n, carriers.len())?);
    }
    Ok(Profile {
        made_at: w.made_at,
        from: w.from,
        to: w.to,
        sources: w.sources,
        mean_call: Duration::from_secs_f64(mean_call),
        carriers,
        prefixes,
        account: DaySpread(in_range("account.spread", w.account.spread, MOST_SPREAD)?),
        groups,
        numbers,
    })
}

fn meant_number(number: E164, n: WrittenProfiled, carriers: usize) -> Result<NumberProfile, BadProfile> {
    let field = |name: &str| format!("numbers.{number}.{name}");
    let timezone = zone_of(&n.timezone).ok_or_else(|| {
        BadProfile::field(&field("timezone"), &format!("{:?} is no time zone that this machine knows", n.timezone))
    })?;
    let lengths = [("week", n.week.len(), SLOTS), ("carriers", n.carriers.len(), carriers)];
    for (name, has, wants) in lengths {
        if has != wants {
            return Err(BadProfile::field(&field(name), &format!("has {has} values, not {wants}")));
        }
    }
    for (i, rate) in n.week.iter().enumerate() {
        in_range(&field(&format!("week[{i}]")), *rate, MOST_CALLS)?;
    }
    for (i, share) in n.carriers.iter().enumerate() {
        in_range(&field(&format!("carriers[{i}]")), *share, 1.0)?;
    }
    let span = match (n.from, n.to) {
        (Some(from), Some(to)) if from <= to => Some((from, to)),
        (None, None) => None,
        (Some(_), Some(_)) => return Err(BadProfile::field(&field("to"), "is before from")),
        (Some(_), None) | (None, Some(_)) => {
            return Err(BadProfile::field(&field("from"), "and to are there both, or neither"));
        }
    };
    Ok(NumberProfile {
        timezone,
        calls: n.calls,
        span,
        level: in_range(&field("level"), n.level, MOST_CALLS)?,
        rests_on: in_range(&field("rests_on"), n.rests_on, MOST_CALLS)?,
        newness: in_range(&field("newness"), n.newness, MOST_SPREAD)?,
        spread: DaySpread(in_range(&field("spread"), n.spread, MOST_SPREAD)?),
        week: Week(n.week.into_boxed_slice()),
        carriers: n.carriers,
        standing: n.standing,
    })
}

/// Beyond any number's half-hour, and still reckoned with exactly.
const MOST_CALLS: f64 = 1e9;

/// A variance of more than this says nothing.
const MOST_SPREAD: f64 = 100.0;

const MOST_SECONDS: f64 = 86_400.0;

fn in_range(field: &str, value: f64, most: f64) -> Result<f64, BadProfile> {
    if (0.0..=most).contains(&value) {
        return Ok(value);
    }
    Err(BadProfile::field(field, &format!("{value} is not between 0 and {most}")))
}

/// No prefix may be long enough to be somebody's number.
pub fn is_prefix(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (1..=8).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests;
