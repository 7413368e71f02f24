//! `[[group]]`: numbers that share a handler, a fallback and a policy.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::field::{WholeNumber, time_zone};
use super::section::{Faults, Section};
use super::webhook::read_webhook;
use super::{detection, handler, numbers, probe};
use crate::core::detect::statistic::Detection;
use crate::core::model::id::{AccountSid, Channel, E164, GroupName, NumberId};
use crate::core::model::roster::{Number, PortAt, Roster};
use crate::core::model::time::Time;
use crate::core::probe::ProbeSettings;

/// The groups read so far.
pub struct Groups {
    /// Whose numbers they are.
    account: AccountSid,
    pub roster: Roster,
    /// Share of each group that may be on the fallback without approval, in percent.
    pub caps: BTreeMap<GroupName, u8>,
    /// How each group's trouble is found, by group.
    pub detection: Vec<Detection>,
    /// How each group is probed, by group.
    pub probes: Vec<Option<ProbeSettings>>,
    /// Where each number was named, for the fault of naming it twice.
    named: HashMap<E164, String>,
}

/// Why a number cannot be both.
const WATCHED_PROBER: &str = "test calls come from a number that is itself watched; use one that no caller knows";

/// Where a number stands: in the TOML file, or in a line of a CSV file.
enum Place<'a> {
    Toml(Range<usize>),
    Csv(&'a Path, (usize, usize)),
}

impl Place<'_> {
    fn bad(&self, faults: &Faults, kind: &'static str, text: String) {
        match self {
            Place::Toml(span) => faults.at(span.clone(), text),
            Place::Csv(path, place) => faults.of_row(path, *place, kind, text),
        }
    }
}

impl Groups {
    pub fn new(account: AccountSid) -> Groups {
        Groups {
            account,
            roster: Roster::default(),
            caps: BTreeMap::new(),
            detection: Vec::new(),
            probes: Vec::new(),
            named: HashMap::new(),
        }
    }

    /// Reads one group. What is wrong with it is noted; what is right is kept, so that its numbers
    /// are known when the next group names them again. `passive`: the longest time between two polls.
    pub fn read(&mut self, mut s: Section<'_>, dir: &Path, passive: Duration) {
        let faults = s.faults();
        let place = s.span();
        s.require("name", "every group needs a name");
        let name = s.parse::<GroupName>("name");
        if let Some(name) = &name
            && self.roster.groups().any(|(_, g)| g.name == name.value)
        {
            faults.at(name.span.clone(), format!("group.name = \"{}\": another group has this name", name.value));
        }
        let on = read_channels(&mut s);
        let timezone = read_time_zone(&mut s);
        let port = read_port_at(&mut s);
        let fallback = s.section("fallback").map_or([None, None], read_fallback);
        let handler = s.section("handler").map(|s| handler::read(s, &fallback)).unwrap_or_default();
        if let (Some(cap), Some(name)) = (s.integer("cap", 1, 100), &name) {
            self.caps.insert(name.value.clone(), u8::try_from(cap).unwrap_or(100));
        }
        let detection = detection::read(&mut s, on, passive);
        let probe = s.section("probe").map(probe::read);
        let listed = s.list::<WholeNumber>("numbers");
        let file = s.text("numbers_file");
        if listed.is_none() && file.is_none() {
            s.require("numbers", "list them, or name a CSV file with numbers_file");
        }
        if s.is_empty_list("numbers") && file.is_none() {
            faults.at(s.span(), format!("{} is empty: a group has at least one number", s.key("numbers")));
        }
        s.finish();

        // A group without a name is a fault already; its numbers are still looked at.
        let name = name.map_or_else(|| "unnamed".parse().ok(), |n| Some(n.value));
        let Some(group) = name.map(|name| self.roster.add_group(name, fallback)) else {
            return;
        };
        self.roster.set_handler(group, handler);
        self.detection.push(detection);
        let before = faults.count();
        for n in listed.iter().flatten() {
            let number = Number {
                id: NumberId::new(self.account, n.value.0),
                label: String::new(),
                group,
                channels: on,
                timezone: timezone.clone(),
                port,
            };
            self.add(number, &Place::Toml(n.span.clone()), faults);
        }
        if let Some(file) = &file {
            let path = dir.join(&file.value);
            for row in numbers::read(&path, faults) {
                let beyond = |c: &Channel| row.channels.is_some_and(|of_row| of_row[c.index()]) && !on[c.index()];
                if let Some(channel) = Channel::ALL.into_iter().find(beyond) {
                    let kind = "a channel that the group has not";
                    let text = format!(
                        "{}: channels: {channel} is not among the group's channels: add it to group.channels, or take \
                         it out here",
                        row.number
                    );
                    faults.of_row(&path, row.place, kind, text);
                }
                let number = Number {
                    id: NumberId::new(self.account, row.number),
                    label: row.label,
                    group,
                    channels: row.channels.unwrap_or(on),
                    timezone: row.time_zone.unwrap_or_else(|| timezone.clone()),
                    port,
                };
                self.add(number, &Place::Csv(&path, row.place), faults);
            }
        }
        let is_empty = self.roster.group(group).numbers.is_empty();
        // What is wrong with its numbers has been said, if that is why.
        if is_empty && file.is_some() && faults.count() == before {
            faults.at(place.clone(), "group.numbers_file names no number: a group has at least one number");
        }
        if let Some(from) = probe.as_ref().and_then(|p| p.from).filter(|n| self.named.contains_key(n)) {
            faults.at(place.clone(), format!("group.probe.from = \"{from}\": {WATCHED_PROBER}"));
        }
        let others = probe.iter().flat_map(|p| p.externals.iter().filter_map(|e| e.from));
        for from in others.clone().filter(|n| self.named.contains_key(n)) {
            faults.at(place.clone(), format!("group.probe.external.from = \"{from}\": {WATCHED_PROBER}"));
        }
        let own = probe.iter().filter_map(|p| p.from).chain(others);
        own.for_each(|number| self.roster.add_prober(number));
        self.probes.push(probe);
    }

    fn add(&mut self, number: Number, place: &Place<'_>, faults: &Faults) {
        let e164 = number.id.e164;
        if self.roster.is_prober(e164) {
            place.bad(faults, "a prober's number", format!("{e164}: {WATCHED_PROBER}"));
        }
        if let Some(first) = self.named.get(&e164) {
            let text = format!("{e164} is listed twice, the first time in {first}; a number has one group");
            place.bad(faults, "a number that is listed already", text);
            return;
        }
        let first = match place {
            Place::Toml(_) => format!("group \"{}\"", self.roster.group(number.group).name),
            // Its folder may have a name that looks like a key, and is not shown then.
            Place::Csv(path, (line, _)) => {
                format!("{}:{line}", path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
            }
        };
        self.named.insert(e164, first);
        self.roster.add_number(number);
    }
}

fn read_channels(s: &mut Section<'_>) -> [bool; 2] {
    let Some(list) = s.list::<Channel>("channels") else {
        return [true; 2];
    };
    if s.is_empty_list("channels") {
        let problem = "is empty: name \"voice\", \"messaging\" or both, or leave it out";
        s.faults().at(s.span(), format!("{} {problem}", s.key("channels")));
    }
    let mut on = [false; 2];
    for c in &list {
        on[c.value.index()] = true;
    }
    on
}

fn read_time_zone(s: &mut Section<'_>) -> TimeZone {
    let Some(name) = s.text("timezone") else {
        return TimeZone::UTC;
    };
    time_zone(&name.value).unwrap_or_else(|problem| {
        s.faults().at(name.span, format!("group.timezone: {problem}"));
        TimeZone::UTC
    })
}

fn read_port_at(s: &mut Section<'_>) -> PortAt {
    let Some(text) = s.text("port_at") else {
        return PortAt::Done;
    };
    match text.value.as_str() {
        "done" => PortAt::Done,
        "unknown" => PortAt::Unknown,
        date => match date.parse::<Time>() {
            Ok(at) => PortAt::At(at),
            Err(_) => {
                s.faults().at(
                    text.span.clone(),
                    format!(
                        "group.port_at = {date:?}: must be \"done\", \"unknown\", or an instant with its offset such as \
                         \"2026-11-21T09:00:00-05:00\""
                    ),
                );
                PortAt::Unknown
            }
        },
    }
}

fn read_fallback(mut s: Section<'_>) -> [Option<String>; 2] {
    let urls = [read_webhook(&mut s, "voice_url"), read_webhook(&mut s, "sms_url")];
    s.finish();
    urls
}
