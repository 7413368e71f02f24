//! Whom we watch: numbers in their groups, as the configuration names them.
//!
//! Built once at the rim and never changed. Inside the core a number is a [`NumberIx`], a group a
//! [`GroupIx`]: positions in these lists, so that per-number state is a plain vector.

use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::dialled::CallingCodes;
use super::digits::ByDigits;
use super::facts::{MESSAGES_SETTLE, TOLL_FREE_MESSAGES_SETTLE};
use super::handler::WantedHandler;
use super::id::{AccountSid, Channel, E164, GroupName, NumberId, WrittenNumber};
use super::time::Time;
use super::value::FieldValue;

/// Stands for the account where none is named and none is needed: a recording is played, and traffic simulated,
/// without asking Twilio anything. Nothing that an agent keeps has it, for no agent starts without an account, and
/// `twilio.account_sid` may not be it.
pub const UNNAMED_ACCOUNT: AccountSid = AccountSid::from_u128(u128::MAX);

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
    pub fallback: [Option<FieldValue>; 2],
    /// What the file asks of its numbers' handlers, by [`Channel::index`].
    pub handler: [WantedHandler; 2],
}

impl Group {
    pub fn fallback(&self, channel: Channel) -> Option<&str> {
        self.fallback[channel.index()].as_ref().map(FieldValue::whole)
    }
}

#[derive(Clone, Debug)]
pub struct Number {
    pub id: NumberId,
    pub label: String,
    pub group: GroupIx,
    /// Which channels are watched, by [`Channel::index`].
    pub channels: [bool; 2],
    /// Where its callers live: opening hours shape what silence means.
    pub timezone: TimeZone,
    pub port: PortAt,
}

impl Number {
    /// For how long after its port the number's messages may still go to the old provider.
    pub fn messages_settle_within(&self) -> Duration {
        if self.id.e164.is_toll_free() { TOLL_FREE_MESSAGES_SETTLE } else { MESSAGES_SETTLE }
    }
}

/// When a number's port is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortAt {
    /// It is on Twilio already, or may be any moment.
    Done,
    /// At this instant, as far as anybody has been told.
    At(Time),
    /// When an operator, or the number's first caller, says so.
    Unknown,
}

/// Why it cannot be said which number a person means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// No account of ours.
    Account {
        account: AccountSid,
        e164: E164,
        known: Vec<AccountSid>,
    },
    Number(WrittenNumber),
    Ambiguous {
        e164: E164,
        ids: Vec<NumberId>,
    },
}

impl std::error::Error for Unresolved {}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unresolved::Account { account, e164, known } => {
                let known: Vec<String> = known.iter().map(ToString::to_string).collect();
                let known = known.join(" or ");
                write!(
                    f,
                    "{account}/{e164} is not ours: the configuration names account {known}; write {e164} with that \
                     account before it, or alone"
                )
            }
            Unresolved::Number(written) => write!(f, "{written} is not ours: no group of the configuration has it"),
            Unresolved::Ambiguous { e164, ids } => {
                let ids: Vec<String> = ids.iter().map(|id| id.key()).collect();
                write!(f, "{e164} is a number of several accounts: write {}", ids.join(" or "))
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Roster {
    groups: Vec<Group>,
    numbers: Vec<Number>,
    by_id: ByDigits<NumberId, NumberIx>,
    /// Whose numbers these are, each once.
    accounts: Vec<AccountSid>,
    /// Countries that they are in.
    codes: CallingCodes,
    /// Numbers that our own test calls and messages come from.
    probers: ByDigits<E164, ()>,
}

impl Roster {
    /// Adds a group without numbers.
    pub fn add_group(&mut self, name: GroupName, fallback: [Option<String>; 2]) -> GroupIx {
        let ix = GroupIx(u32::try_from(self.groups.len()).expect("fewer than 2^32 groups fit in memory"));
        let fallback = fallback.map(|url| url.map(FieldValue::from));
        self.groups.push(Group { name, numbers: Vec::new(), fallback, handler: Default::default() });
        ix
    }

    /// What the file asks of a group's handlers, by [`Channel::index`].
    pub fn set_handler(&mut self, group: GroupIx, handler: [WantedHandler; 2]) {
        self.groups[group.0 as usize].handler = handler;
    }

    /// Adds a number to its group; `None` if the number is in the roster already.
    pub fn add_number(&mut self, number: Number) -> Option<NumberIx> {
        let ix = NumberIx(u32::try_from(self.numbers.len()).expect("fewer than 2^32 numbers fit in memory"));
        if self.by_id.contains_key(&number.id) {
            return None;
        }
        self.by_id.insert(number.id, ix);
        self.codes.add(number.id.e164);
        if !self.accounts.contains(&number.id.account) {
            self.accounts.push(number.id.account);
        }
        self.groups[number.group.0 as usize].numbers.push(ix);
        self.numbers.push(number);
        Some(ix)
    }

    pub fn add_prober(&mut self, number: E164) {
        self.probers.insert(number, ());
        self.codes.add(number);
    }

    /// True if these digits are a number of ours or of our test calls: with the country's code, what is dialled
    /// abroad before it or not, or as they are written in their country.
    pub fn has_written(&self, digits: &str) -> bool {
        let is_ours = |number: E164| self.has(number) || self.is_prober(number);
        let abroad = ["", "00", "011"].into_iter().filter_map(|prefix| digits.strip_prefix(prefix));
        let national = digits.strip_prefix('0').unwrap_or(digits);
        abroad.filter_map(|d| format!("+{d}").parse().ok()).any(is_ours) || self.codes.numbers_of(national).any(is_ours)
    }

    pub fn find(&self, number: NumberId) -> Option<NumberIx> {
        self.by_id.get(&number).copied()
    }

    /// Which number a person means. One that is written without its account must be a number of one account alone:
    /// a guess would swap somebody else's.
    pub fn resolve(&self, written: WrittenNumber) -> Result<NumberIx, Unresolved> {
        if let Some(account) = written.account.filter(|a| !self.accounts.contains(a)) {
            return Err(Unresolved::Account { account, e164: written.e164, known: self.accounts.clone() });
        }
        let asked = self.accounts.iter().filter(|a| written.account.is_none_or(|account| account == **a));
        let mut found = asked.filter_map(|account| self.find(NumberId::new(*account, written.e164)));
        match (found.next(), found.next()) {
            (None, _) => Err(Unresolved::Number(written)),
            (Some(one), None) => Ok(one),
            (Some(one), Some(another)) => {
                let ids = [one, another].into_iter().chain(found).map(|ix| self.number(ix).id);
                Err(Unresolved::Ambiguous { e164: written.e164, ids: ids.collect() })
            }
        }
    }

    /// A number as people read it: without its account where that is the only one.
    pub fn name(&self, number: NumberId) -> WrittenNumber {
        if self.accounts == [number.account] { number.e164.into() } else { number.into() }
    }

    /// True if some account of ours has this telephone number.
    pub fn has(&self, e164: E164) -> bool {
        self.accounts.iter().any(|account| self.find(NumberId::new(*account, e164)).is_some())
    }

    /// Whether some account's number of these digits is watched on a channel; `None` if it is none of ours.
    pub fn watches(&self, e164: E164, channel: Channel) -> Option<bool> {
        let ours = self.accounts.iter().filter_map(|account| self.find(NumberId::new(*account, e164)));
        ours.map(|ix| self.number(ix).channels[channel.index()]).reduce(|a, b| a || b)
    }

    pub const fn calling_codes(&self) -> &CallingCodes {
        &self.codes
    }

    /// [`Roster::name`] of one that is in the roster.
    pub fn name_of(&self, ix: NumberIx) -> WrittenNumber {
        self.name(self.number(ix).id)
    }

    pub fn is_prober(&self, number: E164) -> bool {
        self.probers.contains_key(&number)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::testing::{ACCOUNT, ours};

    const OTHER: AccountSid = AccountSid::from_u128(0x99);

    fn roster(ids: &[NumberId]) -> Roster {
        let mut roster = Roster::default();
        let group = roster.add_group("support".parse().unwrap(), [None, None]);
        for id in ids {
            let (label, timezone) = (String::new(), TimeZone::UTC);
            let number = Number { id: *id, label, group, channels: [true, false], timezone, port: PortAt::Done };
            roster.add_number(number).unwrap();
        }
        roster
    }

    #[test]
    fn the_only_account_is_implied() {
        let id = ours("+15005550100");
        let roster = roster(&[id, ours("+15005550101")]);
        assert_eq!(roster.resolve(id.e164.into()), Ok(NumberIx(0)));
        assert_eq!(roster.resolve(id.into()), Ok(NumberIx(0)));
        assert_eq!(roster.name(id), id.e164.into());
        let foreign = NumberId::new(OTHER, id.e164);
        assert_eq!(roster.find(foreign), None);
        assert_eq!(roster.name(foreign), foreign.into(), "another account's is told with its account");
        let said = roster.resolve(foreign.into()).unwrap_err().to_string();
        assert!(said.contains(&foreign.key()) && said.contains(&ACCOUNT.to_string()), "{said}");
        let unknown: WrittenNumber = "+15005550199".parse().unwrap();
        assert_eq!(roster.resolve(unknown), Err(Unresolved::Number(unknown)));
    }

    #[test]
    fn a_number_is_known_in_each_writing_of_its_digits() {
        let mut roster = roster(&[ours("+15005550100"), ours("+4930123456"), ours("+35312345678")]);
        roster.add_prober("+33123456789".parse().unwrap());
        for digits in [
            "15005550100",
            "5005550100",
            "0015005550100",
            "01115005550100",
            "4930123456",
            "030123456",
            "30123456",
            "012345678",
            "35312345678",
            "0123456789",
        ] {
            assert!(roster.has_written(digits), "{digits}");
        }
        for digits in ["", "5550100", "15005550101", "150055501000", "05550100", "0930123456", "?", "12345"] {
            assert!(!roster.has_written(digits), "{digits}");
        }
    }

    #[test]
    fn a_telephone_number_of_two_accounts_is_no_number_without_one() {
        let id = ours("+15005550100");
        let other = NumberId::new(OTHER, id.e164);
        let roster = roster(&[id, other, ours("+15005550101")]);
        assert_eq!((roster.find(id), roster.find(other)), (Some(NumberIx(0)), Some(NumberIx(1))));
        let unresolved = roster.resolve(id.e164.into()).unwrap_err();
        assert_eq!(unresolved, Unresolved::Ambiguous { e164: id.e164, ids: vec![id, other] });
        let said = unresolved.to_string();
        assert!(said.contains(&id.key()) && said.contains(&other.key()), "{said}");
        assert_eq!(roster.resolve(other.into()), Ok(NumberIx(1)));
        assert_eq!(roster.resolve("+15005550101".parse().unwrap()), Ok(NumberIx(2)), "this one is one account's alone");
        assert_eq!(roster.name(id), id.into(), "and none goes without saying");
    }
}
