//! Whom we watch: numbers in their groups, as the configuration names them.
//!
//! Built once at the rim and never changed. Inside the core a number is a [`NumberIx`], a group a
//! [`GroupIx`]: positions in these lists, so that per-number state is a plain vector.

use std::collections::HashSet;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::digits::ByDigits;
use super::id::{Channel, E164, GroupName};
use super::time::Time;

/// Position of a number in the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumberIx(pub u32);

/// Position of a group in the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupIx(pub u32);

#[derive(Clone, Debug)]
pub struct Group {
    pub name: GroupName,
    pub numbers: Vec<NumberIx>,
    /// Where a rollback points each channel, by [`Channel::index`].
    pub fallback: [Option<String>; 2],
}

impl Group {
    pub fn fallback(&self, channel: Channel) -> Option<&str> {
        self.fallback[channel.index()].as_deref()
    }
}

#[derive(Clone, Debug)]
pub struct Number {
    pub e164: E164,
    pub label: String,
    pub group: GroupIx,
    /// Which channels are watched, by [`Channel::index`].
    pub channels: [bool; 2],
    /// Where its callers live: opening hours shape what silence means.
    pub timezone: TimeZone,
    pub port: PortAt,
}

impl Number {
    /// For how long after its port the number's messages may still go to the old provider: two hours, and of a
    /// toll-free number at times two days (Twilio's support, article 229986247).
    pub fn messages_settle_within(&self) -> Duration {
        Duration::from_secs(if self.e164.is_toll_free() { 2 * 86_400 } else { 2 * 3600 })
    }
}

/// When a number's port is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortAt {
    /// It is on Twilio already, or may be any moment.
    Done,
    /// At this instant, as far as anybody has been told.
    At(Time),
    /// When an operator, or the number's first caller, says so.
    Unknown,
}

#[derive(Clone, Debug, Default)]
pub struct Roster {
    groups: Vec<Group>,
    numbers: Vec<Number>,
    by_e164: ByDigits<E164, NumberIx>,
    /// Numbers that our own test calls and messages come from.
    probers: HashSet<E164>,
}

impl Roster {
    /// Adds a group without numbers.
    pub fn add_group(&mut self, name: GroupName, fallback: [Option<String>; 2]) -> GroupIx {
        let ix = GroupIx(u32::try_from(self.groups.len()).expect("fewer than 2^32 groups fit in memory"));
        self.groups.push(Group { name, numbers: Vec::new(), fallback });
        ix
    }

    /// Adds a number to its group; `None` if the number is in the roster already.
    pub fn add_number(&mut self, number: Number) -> Option<NumberIx> {
        let ix = NumberIx(u32::try_from(self.numbers.len()).expect("fewer than 2^32 numbers fit in memory"));
        if self.by_e164.contains_key(&number.e164) {
            return None;
        }
        self.by_e164.insert(number.e164, ix);
        self.groups[number.group.0 as usize].numbers.push(ix);
        self.numbers.push(number);
        Some(ix)
    }

    pub fn add_prober(&mut self, number: E164) {
        self.probers.insert(number);
    }

    pub fn find(&self, number: E164) -> Option<NumberIx> {
        self.by_e164.get(&number).copied()
    }

    pub fn is_prober(&self, number: E164) -> bool {
        self.probers.contains(&number)
    }

    pub fn number(&self, ix: NumberIx) -> &Number {
        &self.numbers[ix.0 as usize]
    }

    pub fn group(&self, ix: GroupIx) -> &Group {
        &self.groups[ix.0 as usize]
    }

    pub fn group_of(&self, ix: NumberIx) -> &Group {
        self.group(self.number(ix).group)
    }

    pub fn numbers(&self) -> impl ExactSizeIterator<Item = (NumberIx, &Number)> {
        self.numbers.iter().enumerate().map(|(i, n)| (NumberIx(i as u32), n))
    }

    pub fn groups(&self) -> impl ExactSizeIterator<Item = (GroupIx, &Group)> {
        self.groups.iter().enumerate().map(|(i, g)| (GroupIx(i as u32), g))
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}
