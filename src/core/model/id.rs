//! Names of things: telephone numbers, Twilio's SIDs, groups, channels.
//!
//! Each is a type of its own with a private field, made by parsing and printed by `Display`, so a
//! call's SID cannot stand where a number's is wanted. SIDs are kept as 128-bit integers: a window
//! holds millions of them, and text would be three times the size. They are kept in two halves, for a whole one
//! would make whatever holds it a multiple of 16 bytes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that does not have the form of the id it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {want}")]
pub struct BadId {
    pub value: String,
    pub want: &'static str,
}

impl BadId {
    pub(super) fn new(value: &str, want: &'static str) -> BadId {
        // Hostile input must not fill the log.
        BadId { value: value.chars().take(80).collect(), want }
    }
}

macro_rules! serde_as_text {
    ($t:ty) => {
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<$t, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl fmt::Debug for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

/// 32 hexadecimal digits as a number.
fn hex128(digits: &[u8]) -> Option<[u64; 2]> {
    let (high, low) = <&[u8; 32]>::try_from(digits).ok()?.split_at(16);
    let (mut is_bad, mut n) = (0, [0u64; 2]);
    for (n, half) in n.iter_mut().zip([high, low]) {
        for c in half {
            let digit = HEX[usize::from(*c)];
            is_bad |= digit;
            *n = *n << 4 | u64::from(digit & 15);
        }
    }
    (is_bad < 16).then_some(n)
}

/// A number's halves, the higher first, and the number of which they are.
const fn halves(n: u128) -> [u64; 2] {
    [(n >> 64) as u64, n as u64]
}

const fn whole([high, low]: [u64; 2]) -> u128 {
    (high as u128) << 64 | low as u128
}

/// What each byte is worth as a hexadecimal digit, 16 or more if it is none. A table, for SIDs are random: every
/// other branch on a digit would be guessed wrong.
const HEX: [u8; 256] = {
    let mut table = [16; 256];
    let mut i = 0;
    while i < 16 {
        table[b"0123456789abcdef"[i] as usize] = i as u8;
        table[b"0123456789ABCDEF"[i] as usize] = i as u8;
        i += 1;
    }
    table
};

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u64; 2]);

        impl $name {
            /// The SID whose 32 digits spell `n`; for simulators and tests.
            pub const fn from_u128(n: u128) -> $name {
                $name(halves(n))
            }

            pub const fn as_u128(self) -> u128 {
                whole(self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(s: &str) -> Result<$name, BadId> {
                s.as_bytes()
                    .strip_prefix($prefix.as_bytes())
                    .and_then(hex128)
                    .map($name)
                    .ok_or_else(|| BadId::new(s, concat!("a SID: ", $prefix, " and 32 hexadecimal digits")))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:032x}"), self.as_u128())
            }
        }

        serde_as_text!($name);
    };
}

sid!(
    /// An account or subaccount.
    AccountSid, "AC"
);
sid!(
    /// One leg of a call.
    CallSid, "CA"
);
sid!(
    /// One of our numbers as Twilio's IncomingPhoneNumber resource.
    NumberSid, "PN"
);
sid!(
    /// A SIP trunk.
    TrunkSid, "TK"
);
sid!(
    /// A TwiML application.
    ApplicationSid, "AP"
);
sid!(
    /// A debugger alert, also the same event's call notification.
    AlertSid, "NO"
);
sid!(
    /// A Messaging Service.
    ServiceSid, "MG"
);

sid!(
    /// A request to port numbers to Twilio.
    PortRequestSid, "KW"
);

sid!(
    /// A recording of a call.
    RecordingSid, "RE"
);

/// A message: `SM`, or `MM` when it carries media.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageSid {
    media: bool,
    digits: [u64; 2],
}

impl MessageSid {
    pub const fn from_u128(digits: u128) -> MessageSid {
        MessageSid { media: false, digits: halves(digits) }
    }

    pub const fn as_u128(self) -> u128 {
        whole(self.digits)
    }
}

impl FromStr for MessageSid {
    type Err = BadId;
    fn from_str(s: &str) -> Result<MessageSid, BadId> {
        let (media, rest) = match s.as_bytes() {
            [b'S', b'M', rest @ ..] => (false, rest),
            [b'M', b'M', rest @ ..] => (true, rest),
            _ => (false, &[][..]),
        };
        hex128(rest)
            .map(|digits| MessageSid { media, digits })
            .ok_or_else(|| BadId::new(s, "a SID: SM or MM and 32 hexadecimal digits"))
    }
}

impl fmt::Display for MessageSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:032x}", if self.media { "MM" } else { "SM" }, self.as_u128())
    }
}

serde_as_text!(MessageSid);

/// A telephone number in E.164: `+`, then 7 to 15 digits of which the first is not zero.
///
/// This is the shape alone. Whether a number exists is for Twilio to say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct E164(u64);

impl E164 {
    /// Stands for a sender that is no telephone number: a short code, a name, an RCS agent. No country has the code
    /// 999. Source: ITU-T, list of assigned country codes, 2016-11: "reserved for future global service".
    pub const NONE: E164 = E164(999_999_999_999_999);

    /// Stands for the sender of a message for which a Messaging Service has chosen none, or not yet.
    pub const UNASSIGNED: E164 = E164(999_999_999_999_998);

    /// The number's last two digits: all that is kept of the other party's number in the clear.
    pub const fn last_two(self) -> u8 {
        (self.0 % 100) as u8
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// True of the toll-free numbers of North America: +1 800, 833, 844, 855, 866, 877 and 888.
    pub const fn is_toll_free(self) -> bool {
        matches!(self.0 / 10_000_000, 1800 | 1833 | 1844 | 1855 | 1866 | 1877 | 1888)
    }

    /// False if digits are missing or too many for its country, as far as that is one rule for all its numbers: those
    /// of North America (+1) have ten digits more.
    pub const fn is_complete(self) -> bool {
        // What begins with 1 begins a number of +1, for no other calling code does.
        let leading = {
            let mut n = self.0;
            while n >= 10 {
                n /= 10;
            }
            n
        };
        leading != 1 || (self.0 >= 10_000_000_000 && self.0 < 100_000_000_000)
    }
}

impl FromStr for E164 {
    type Err = BadId;
    fn from_str(s: &str) -> Result<E164, BadId> {
        let bad = || BadId::new(s, "a number in E.164, such as +15005550100");
        let digits = s.as_bytes().strip_prefix(b"+").ok_or_else(bad)?;
        if !(7..=15).contains(&digits.len()) || digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
            return Err(bad());
        }
        // Fifteen digits fit.
        Ok(E164(digits.iter().fold(0, |n, c| n * 10 + u64::from(c & 15))))
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

serde_as_text!(E164);

/// One of our numbers: whose it is, and which. Its text is `AC…/+15005550100`, in the journal, the store and the API.
///
/// Several accounts may come to have the same telephone number, one after the other, so that a telephone number alone
/// identifies nothing that is kept. It has no `Display`: people read what [`super::roster::Roster::name`] makes of it,
/// which leaves out an account that is the only one, and a key that is written down says so with [`NumberId::key`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumberId {
    pub account: AccountSid,
    pub e164: E164,
}

impl NumberId {
    pub const fn new(account: AccountSid, e164: E164) -> NumberId {
        NumberId { account, e164 }
    }

    /// The whole of it, as [`FromStr`] reads it.
    pub fn key(self) -> String {
        format!("{}/{}", self.account, self.e164)
    }
}

impl FromStr for NumberId {
    type Err = BadId;
    fn from_str(s: &str) -> Result<NumberId, BadId> {
        let bad = || BadId::new(s, "a number with its account, AC and 32 hexadecimal digits, a slash, and E.164");
        let (account, e164) = s.split_once('/').ok_or_else(bad)?;
        Ok(NumberId { account: account.parse().map_err(|_| bad())?, e164: e164.parse().map_err(|_| bad())? })
    }
}

impl Serialize for NumberId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{}/{}", self.account, self.e164))
    }
}

impl<'de> Deserialize<'de> for NumberId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<NumberId, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for NumberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.e164)
    }
}

/// One of our numbers as a person writes it: `+15005550100`, or with its account, `AC…/+15005550100`.
/// Which it is, if it is one, [`super::roster::Roster::resolve`] says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WrittenNumber {
    pub account: Option<AccountSid>,
    pub e164: E164,
}

impl From<NumberId> for WrittenNumber {
    fn from(id: NumberId) -> WrittenNumber {
        WrittenNumber { account: Some(id.account), e164: id.e164 }
    }
}

impl From<E164> for WrittenNumber {
    fn from(e164: E164) -> WrittenNumber {
        WrittenNumber { account: None, e164 }
    }
}

impl FromStr for WrittenNumber {
    type Err = BadId;
    fn from_str(s: &str) -> Result<WrittenNumber, BadId> {
        if s.contains('/') { s.parse::<NumberId>().map(From::from) } else { s.parse::<E164>().map(From::from) }
    }
}

impl fmt::Display for WrittenNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(account) = self.account {
            write!(f, "{account}/")?;
        }
        write!(f, "{}", self.e164)
    }
}

serde_as_text!(WrittenNumber);

/// What a number carries. Its two channels port, fail, roll back and restore separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Voice,
    Messaging,
}

impl Channel {
    pub const ALL: [Channel; 2] = [Channel::Voice, Channel::Messaging];

    pub const fn label(self) -> &'static str {
        match self {
            Channel::Voice => "voice",
            Channel::Messaging => "messaging",
        }
    }

    /// Position in tables that have one cell a channel.
    pub const fn index(self) -> usize {
        match self {
            Channel::Voice => 0,
            Channel::Messaging => 1,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl FromStr for Channel {
    type Err = BadId;
    fn from_str(s: &str) -> Result<Channel, BadId> {
        Channel::ALL.into_iter().find(|c| c.label() == s).ok_or_else(|| BadId::new(s, "a channel: voice or messaging"))
    }
}

/// A group's name: 1 to 64 letters, digits, `.`, `_` or `-`. It is a metric label and part of URLs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Arc<str>);

impl GroupName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = BadId;
    fn from_str(s: &str) -> Result<GroupName, BadId> {
        let fits = s.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'));
        if s.is_empty() || s.len() > 64 || !fits {
            return Err(BadId::new(s, "a group's name: 1 to 64 letters, digits, '.', '_' or '-'"));
        }
        Ok(GroupName(s.into()))
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(GroupName);

/// An entry of the call or the message log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    Call(CallSid),
    Message(MessageSid),
}

impl Resource {
    pub const fn channel(self) -> Channel {
        match self {
            Resource::Call(_) => Channel::Voice,
            Resource::Message(_) => Channel::Messaging,
        }
    }
}

/// What the crate's own tests call theirs.
#[cfg(test)]
pub mod testing {
    use super::{AccountSid, NumberId};

    pub const ACCOUNT: AccountSid = AccountSid::from_u128(0xacc);

    /// A number of [`ACCOUNT`].
    pub fn ours(e164: &str) -> NumberId {
        NumberId::new(ACCOUNT, e164.parse().unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sids_keep_their_prefix_and_digits() {
        let text = "CA00000000000000000000000000000abc";
        let sid: CallSid = text.parse().unwrap();
        assert_eq!(sid.to_string(), text);
        assert_eq!(sid, CallSid::from_u128(0xabc));
        for bad in ["", "CA", "PN00000000000000000000000000000abc", "CA0000000000000000000000000000abcg", &text[..33]] {
            assert!(bad.parse::<CallSid>().is_err(), "{bad:?}");
        }
        let mms = "MM00000000000000000000000000000001";
        assert_eq!(mms.parse::<MessageSid>().unwrap().to_string(), mms);
        assert_ne!(mms.parse(), Ok(MessageSid::from_u128(1)));
    }

    #[test]
    fn a_number_of_ours_is_an_account_and_a_telephone_number() {
        let text = "AC00000000000000000000000000000acc/+15005550100";
        let id: NumberId = text.parse().unwrap();
        assert_eq!(id, testing::ours("+15005550100"));
        assert_eq!((id.key().as_str(), format!("{id:?}").as_str()), (text, text));
        assert_eq!(serde_json::to_value(id).unwrap(), text);
        assert_eq!(serde_json::from_value::<NumberId>(text.into()).unwrap(), id);
        assert_ne!(id, NumberId::new(AccountSid::from_u128(1), id.e164), "another account's is another number");
        let bad = ["+15005550100", "/+15005550100", "AC1/+15005550100", &text[..34], &text[..35], &format!("{text}/")];
        for bad in bad {
            assert!(bad.parse::<NumberId>().is_err(), "{bad:?}");
        }
        let alone: WrittenNumber = "+15005550100".parse().unwrap();
        let whole: WrittenNumber = text.parse().unwrap();
        assert_eq!((alone, whole), (id.e164.into(), id.into()));
        assert_eq!((alone.to_string().as_str(), whole.to_string().as_str()), ("+15005550100", text));
        assert!("AC1/+15005550100".parse::<WrittenNumber>().is_err());
    }

    #[test]
    fn toll_free_numbers_are_told_from_others() {
        let is = |text: &str| text.parse::<E164>().unwrap().is_toll_free();
        assert!(is("+18005550100") && is("+18885550100") && is("+18335550100"));
        assert!(!is("+18015550100") && !is("+15005550100") && !is("+448005550100") && !is("+1800555010"));
    }

    #[test]
    fn e164_is_a_plus_and_up_to_fifteen_digits() {
        for good in ["+15005550100", "+4930123456", "+999999999999999"] {
            assert_eq!(good.parse::<E164>().unwrap().to_string(), good);
        }
        for bad in [
            "15005550100",
            "+",
            "+0123456789",
            "+1 500 555 0100",
            "+1234567890123456",
            "+123456",
            "anonymous",
            "+١٢٣٤٥٦٧",
        ] {
            assert!(bad.parse::<E164>().is_err(), "{bad:?}");
        }
    }
}
