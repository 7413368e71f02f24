//! Which number of ours a row means, and who rang: in whatever writing, looked up once for each text.

use std::collections::HashMap;

use crate::caller::CallerKey;
use crate::config::{is_scientific, plain};
use crate::core::model::address::{is_withheld, party, stands_for_withheld};
use crate::core::model::id::{Channel, E164};
use crate::core::model::roster::Roster;
use crate::core::profile::clean::WITHHELD;
use crate::core::profile::fit::FitNumber;
use crate::core::profile::{CarrierIx, Prefixes};

/// Whose number a row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowNumber {
    /// Position among those that are learnt.
    Ours(u32),
    Other,
    /// No number at all.
    Unreadable(&'static str),
}

/// Texts that are remembered. A file with more numbers of others costs time for these alone.
const REMEMBERED: usize = 100_000;

/// Numbers that calls are learnt of: those of the configuration whose calls are watched, each once.
#[derive(Debug)]
pub struct LearntNumbers<'a> {
    roster: &'a Roster,
    pub learnt: Vec<FitNumber>,
    by_number: HashMap<E164, u32>,
    by_text: HashMap<Box<str>, RowNumber>,
}

impl<'a> LearntNumbers<'a> {
    pub fn of(roster: &'a Roster) -> LearntNumbers<'a> {
        let mut numbers =
            LearntNumbers { roster, learnt: Vec::new(), by_number: HashMap::new(), by_text: HashMap::new() };
        for (_, number) in roster.numbers() {
            let e164 = number.id.e164;
            if number.channels[Channel::Voice.index()] && !numbers.by_number.contains_key(&e164) {
                numbers.by_number.insert(e164, numbers.learnt.len() as u32);
                numbers.learnt.push(FitNumber {
                    number: e164,
                    group: number.group.0 as usize,
                    timezone: number.timezone.clone(),
                });
            }
        }
        numbers
    }

    pub fn find(&mut self, text: &str) -> RowNumber {
        if let Some(found) = self.by_text.get(text) {
            return *found;
        }
        let found = self.read(text);
        if self.by_text.len() < REMEMBERED {
            self.by_text.insert(text.into(), found);
        }
        found
    }

    pub fn read(&self, text: &str) -> RowNumber {
        let text = plain(text);
        if is_scientific(text) {
            return RowNumber::Unreadable(
                "a spreadsheet rounded this number, and its last digits are lost: export it again, with that column as text",
            );
        }
        match party(text, self.roster.calling_codes(), |n| self.by_number.contains_key(&n)) {
            Some(number) => self.by_number.get(&number).map_or(RowNumber::Other, |ix| RowNumber::Ours(*ix)),
            None if text.is_empty() => RowNumber::Unreadable("no number in this row"),
            None => RowNumber::Unreadable("no telephone number stands where the called number should"),
        }
    }
}

/// Who rang, without the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowCaller {
    /// By a hash, never [`WITHHELD`] of one who is known.
    Caller { hash: u64, carrier: Option<CarrierIx> },
    /// Our own test call.
    Prober,
}

/// Reads callers.
#[derive(Debug)]
pub struct RecordedCallers<'a> {
    roster: &'a Roster,
    pub prefixes: &'a Prefixes,
}

impl<'a> RecordedCallers<'a> {
    pub const fn new(roster: &'a Roster, prefixes: &'a Prefixes) -> RecordedCallers<'a> {
        RecordedCallers { roster, prefixes }
    }

    pub fn read(&self, text: &str) -> RowCaller {
        let number = match text.parse::<E164>() {
            Ok(number) => Some(number),
            Err(_) if is_withheld(text) => None,
            Err(_) => party(plain(text), self.roster.calling_codes(), |_| false),
        };
        let Some(number) = number.filter(|n| !stands_for_withheld(*n)) else {
            return RowCaller::Caller { hash: WITHHELD, carrier: None };
        };
        if self.roster.is_prober(number) {
            return RowCaller::Prober;
        }
        let mut written = [0u8; 16];
        let written = in_full(number, &mut written);
        // The hash tells callers apart while the file is read, and is not kept: its key is no secret.
        let hash = CallerKey::public().hash(written).max(WITHHELD + 1);
        RowCaller::Caller { hash, carrier: self.prefixes.carrier(written) }
    }
}

/// A number's text, without taking memory for each of millions.
fn in_full(number: E164, room: &mut [u8; 16]) -> &str {
    let mut rest = number.as_u64();
    let mut at = room.len();
    while rest > 0 && at > 1 {
        at -= 1;
        room[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    at -= 1;
    room[at] = b'+';
    std::str::from_utf8(&room[at..]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::core::model::roster::{Number, PortAt};
    use crate::testing::ours;

    fn roster() -> Roster {
        let mut roster = Roster::default();
        let group = roster.add_group("support".parse().unwrap(), [None, None]);
        for (number, channels) in [("+15005550100", [true, true]), ("+15005550101", [false, true])] {
            let (id, label, timezone) = (ours(number), String::new(), TimeZone::UTC);
            roster.add_number(Number { id, label, group, channels, timezone, port: PortAt::Done }).unwrap();
        }
        roster.add_prober("+15005550199".parse().unwrap());
        roster
    }

    #[test]
    fn a_number_of_ours_is_known_in_every_writing() {
        let roster = roster();
        let mut numbers = LearntNumbers::of(&roster);
        for text in
            ["+15005550100", "15005550100", "(500) 555-0100", "500-555-0100", "=\"+15005550100\"", "tel:+15005550100"]
        {
            assert_eq!(numbers.find(text), RowNumber::Ours(0), "{text}");
            assert_eq!(numbers.find(text), RowNumber::Ours(0), "{text}, remembered");
        }
        for text in ["+12125550123", "+15005550101"] {
            assert_eq!(numbers.find(text), RowNumber::Other, "{text}");
        }
        for text in ["", "main line", "1.50056E+10"] {
            assert!(matches!(numbers.find(text), RowNumber::Unreadable(_)), "{text}");
        }
    }

    #[test]
    fn one_caller_is_one_hash_in_every_writing_and_whoever_withholds_it_none() {
        let roster = roster();
        let mut prefixes = Prefixes::default();
        prefixes.insert("+1212555".to_owned(), CarrierIx(3));
        let callers = RecordedCallers::new(&roster, &prefixes);
        let one = callers.read("+12125550123");
        assert!(matches!(one, RowCaller::Caller { hash, carrier: Some(CarrierIx(3)) } if hash != WITHHELD));
        for text in ["12125550123", "(212) 555-0123", "tel:+12125550123"] {
            assert_eq!(callers.read(text), one, "{text}");
        }
        assert_ne!(callers.read("+12125550124"), one);
        let nobody = RowCaller::Caller { hash: WITHHELD, carrier: None };
        for text in ["", "anonymous", "Restricted", "+266696687", "ACME"] {
            assert_eq!(callers.read(text), nobody, "{text}");
        }
        assert_eq!(callers.read("500-555-0199"), RowCaller::Prober);
        assert_eq!(in_full("+123456789012345".parse().unwrap(), &mut [0; 16]), "+123456789012345");
    }
}
