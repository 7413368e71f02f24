//! What Twilio's error codes mean for us: one table, one answer a code.
//!
//! The table follows Twilio's error dictionary. New codes appear there without notice, so codes
//! that are not in the table are classed by their range: an unknown 11xxx is still a webhook that
//! could not be fetched. Whether a swap would cure the trouble is said in
//! [`Reason::is_curable`](crate::model::reason::Reason::is_curable), which the classes here lead to:
//!
//! | class | an error of an inbound call or text, without evidence of service | a text of ours that failed |
//! |---|---|---|
//! | `Webhook`, `Content` | by whose URL it is: `webhook`, `content`, `rescued`, `fallback`, `other_url` | `delivery` |
//! | `Origination` | `trunk` at a number on a trunk, also as a warning; `unexplained` otherwise | `delivery` |
//! | `Template` `Account` `Platform` | the reason of that name | `delivery` `account` `platform` |
//! | `Recipient` | `unexplained` | ignored: `recipient` |
//! | `Registration` | `unexplained` | `registration` |
//! | `Callback` `Notice` | nothing: nobody on the line notices | `delivery` |
//! | all others | `unexplained` | `delivery` |
//!
//! As warnings, codes that harm callers cast a doubt on a call that ends at once. Of these reasons `webhook`,
//! `content`, `rescued` and `trunk` are curable; the others page and swap nothing.

use serde::{Deserialize, Serialize};

/// A Twilio error code, such as 11200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(pub u32);

impl Code {
    /// An error that is told in words alone. Twilio has no such code.
    pub const UNNAMED: Code = Code(0);

    /// A number is being ported away from Twilio. Source: Twilio's error dictionary, 2026-11.
    pub const PORTED_OUT: Code = Code(22_350);

    /// None of the one that is no code of Twilio's.
    pub fn named(self) -> Option<Code> {
        (self != Code::UNNAMED).then_some(self)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What kind of trouble a code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The webhook could not be fetched: unreachable, refused, timed out, HTTP or TLS error.
    Webhook,
    /// The webhook answered, with something that is not usable TwiML.
    Content,
    /// A TwiML Bin's template is broken: it may be our fallback.
    Template,
    /// A verb went wrong: a `<Dial>`, a conference, a queue. The child legs say what the caller met.
    Dial,
    /// The SIP endpoint behind a trunk could not be reached or did not answer properly.
    Origination,
    /// Trouble of SIP, or of a device with Twilio's Voice SDK, that has nothing to do with what the number points at.
    Sip,
    /// The account is suspended, out of concurrency or credit, on trial, or without voice.
    Account,
    /// Twilio's own fault.
    Platform,
    /// A message was refused by the recipient's side: handset off, unknown, landline, opted out, no number at all.
    Recipient,
    /// A message was filtered or its sender is not registered (10DLC, toll-free, sender ids), or registering it failed.
    Registration,
    /// A message met a limit, or failed for a cause of its own.
    Delivery,
    /// A mistake in an API request or in TwiML attributes that the caller does not notice.
    Request,
    /// What is told or kept of a call or message afterwards failed, a status callback or a recording: the call itself
    /// was fine.
    Callback,
    /// What a call was connected to failed: a media stream, a virtual agent, a payment.
    Media,
    /// A Twilio Function or a Studio flow failed, or wrote to its log.
    Function,
    /// Said for the record: no caller notices.
    Notice,
    /// Of another product: chat, video, Flex, Verify, SIM cards. A call or message of ours has none.
    Elsewhere,
    /// In the dictionary, which does not say what happened.
    Unexplained,
    /// Not in the table and in no range of it.
    Unknown,
}

impl Code {
    /// The class of this code. Source: Twilio's error dictionary as of February 2025, by code and by range; the
    /// judgement is ours. `tests/error-codes.txt` has its codes.
    pub const fn class(self) -> Class {
        match self.0 {
            // The REST API's answers by HTTP status.
            400..=599 => Class::Request,
            10_000..=10_999 => Class::Account,
            // Names that are shown to those who are called: codes of 2026.
            11_000..=11_099 => Class::Registration,
            11_300..=11_320 => Class::Template,
            11_751 => Class::Delivery,
            11_750 | 11_770 => Class::Content,
            11_100..=11_999 => Class::Webhook,
            12_400 => Class::Platform,
            12_000..=12_999 => Class::Content,
            13_805 => Class::Account,
            13_000..=13_999 => Class::Dial,
            // Queues, and conferences with a queue's workers.
            14_200..=14_299 => Class::Dial,
            14_000..=14_999 => Class::Request,
            15_000 | 15_002 | 15_009 => Class::Platform,
            15_003 => Class::Callback,
            15_000..=15_999 => Class::Request,
            // What nobody on the line notices is known by its code alone: one that comes new into such a range may be
            // another matter.
            16_010 | 16_011 | 16_101..=16_113 | 17_000..=17_009 | 17_400 => Class::Callback,
            16_021 => Class::Account,
            16_000..=16_999 => Class::Dial,
            20_005 | 21_219 | 21_472 | 21_608 => Class::Account,
            // Of a message: the recipient has opted out, is no mobile phone, or no number at all.
            21_211 | 21_214 | 21_217 | 21_265 | 21_268 | 21_610 | 21_614 | 21_635 => Class::Recipient,
            // Somebody ends, or leads elsewhere, a call that is over: its caller is gone.
            21_220 => Class::Notice,
            20_000..=23_999 => Class::Request,
            30_002 | 30_037 | 30_044 | 30_454 => Class::Account,
            30_003..=30_006 | 30_011 | 30_630 => Class::Recipient,
            // Also what became of a sender's registration: toll-free, brand, campaign.
            30_007
            | 30_018
            | 30_024
            | 30_032..=30_035
            | 30_038..=30_042
            | 30_125
            | 30_126
            | 30_436..=30_449
            | 30_451
            | 30_452
            | 30_455..=30_484
            | 30_700..=30_757
            | 30_759..=30_999 => Class::Registration,
            30_008 | 30_758 => Class::Unexplained,
            30_020 | 30_021 | 30_500 => Class::Platform,
            // Half, and most, of a day's allowance is used; a certificate expires soon.
            30_025 | 30_026 | 30_131 => Class::Notice,
            // Links that are shortened: the message itself goes out.
            30_100..=30_199 => Class::Request,
            30_000..=30_699 => Class::Delivery,
            31_900..=31_999 => Class::Media,
            31_000..=31_899 => Class::Sip,
            32_005 => Class::Account,
            32_010 | 32_011 | 32_022 => Class::Origination,
            // That a caller's number is not attested, and which of two settings counts.
            32_019..=32_021 => Class::Notice,
            32_502 | 32_503 | 32_700..=32_703 | 32_710 | 32_711 => Class::Callback,
            32_500..=32_699 => Class::Media,
            32_000..=32_999 => Class::Sip,
            // Scheduled and broadcast messages, and calls of WhatsApp.
            35_000..=37_999 => Class::Request,
            // WhatsApp and other channels of messages.
            63_003 | 63_014 | 63_024 | 63_032 | 63_033 | 63_036 | 63_049 => Class::Recipient,
            63_009 | 63_010 | 63_012 => Class::Platform,
            63_020 | 63_038 | 63_051 => Class::Account,
            63_013 | 63_022 | 63_026 | 63_035 | 63_039..=63_042 => Class::Registration,
            63_046 => Class::Notice,
            63_000..=63_999 => Class::Delivery,
            64_000..=64_999 => Class::Media,
            // What a Function writes to its own log.
            82_004 | 82_005 => Class::Notice,
            81_000..=82_999 | 84_000..=84_999 => Class::Function,
            90_010 => Class::Account,
            90_001 | 90_006..=90_041 | 92_000..=92_999 | 216_602 => Class::Request,
            // Transcripts of calls that were, and what is made of them.
            94_000..=94_604 | 95_005..=95_302 => Class::Callback,
            18_000..=19_999
            | 25_000..=25_999
            | 33_000..=34_999
            | 40_000..=40_999
            | 45_000..=45_999
            | 48_000..=55_999
            | 57_000..=58_999
            | 60_000..=62_999
            | 68_000..=68_999
            | 70_000..=70_999
            | 80_000..=80_999
            | 83_000..=83_999
            | 90_000..=91_999
            | 93_000..=93_999
            | 97_000..=97_999
            | 99_000..=99_099
            | 180_017
            | 456_001
            | 456_002 => Class::Elsewhere,
            _ => Class::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_matters_on_port_day_has_its_class() {
        let table: &[(Class, &[u32])] = &[
            (
                Class::Webhook,
                &[
                    11_100, 11_200, 11_201, 11_202, 11_203, 11_205, 11_206, 11_210, 11_215, 11_216, 11_217, 11_220,
                    11_235, 11_236, 11_237, 11_240, 11_243, 11_251, 11_321, 11_322, 11_999,
                ],
            ),
            (Class::Content, &[11_750, 11_770, 12_100, 12_101, 12_102, 12_200, 12_300, 12_301, 12_999]),
            (Class::Template, &[11_300, 11_310, 11_320]),
            (Class::Dial, &[13_201, 13_214, 13_223, 13_224, 13_225, 13_227, 13_243, 13_247, 13_254, 14_207, 16_020]),
            (Class::Origination, &[32_010, 32_011, 32_022]),
            (Class::Sip, &[32_001, 32_009, 32_014, 32_016, 32_017, 32_201, 32_209, 31_486]),
            (Class::Account, &[10_001, 10_003, 10_004, 10_005, 20_005, 21_608, 30_002, 30_037, 32_005]),
            (Class::Platform, &[12_400, 15_000, 30_500]),
            // Opted out, off, unknown, a landline, no number at all: data of recipients, which nobody here can mend.
            (Class::Recipient, &[21_211, 21_214, 21_610, 21_614, 21_635, 30_003, 30_004, 30_005, 30_006, 30_630]),
            (Class::Recipient, &[63_003, 63_024, 63_033]),
            (
                Class::Registration,
                &[30_007, 30_018, 30_024, 30_032, 30_033, 30_034, 30_035, 30_040, 30_041, 30_883, 11_008],
            ),
            (Class::Delivery, &[11_751, 30_001, 30_022, 30_023, 30_027, 30_036, 30_410, 30_450, 30_453, 63_016]),
            // Numbers of ours that cannot send are no fault of the recipient's.
            (Class::Request, &[14_101, 14_107, 20_003, 20_429, 21_212, 21_402, 21_408, 21_606, 21_612, 21_661]),
            (Class::Callback, &[15_003, 16_011, 16_101, 16_102, 16_111]),
            (Class::Media, &[31_920, 32_601, 64_102]),
            (Class::Function, &[81_016, 82_002, 82_003]),
            (Class::Notice, &[21_220, 30_025, 32_021, 82_004, 82_005]),
            (Class::Elsewhere, &[45_001, 53_000, 60_200]),
            (Class::Unexplained, &[30_008]),
            (Class::Unknown, &[0, 9_999, 38_001, 98_001, 99_999, 100_000]),
        ];
        for (class, codes) in table {
            for code in *codes {
                assert_eq!(Code(*code).class(), *class, "{code}");
            }
        }
    }

    /// The codes of the dictionary, as `tests/error-codes.txt` has them.
    fn dictionary() -> Vec<u32> {
        let text = include_str!("../../../tests/error-codes.txt");
        let words = text.lines().filter(|l| !l.starts_with('#')).flat_map(str::split_whitespace);
        let number = |text: &str| text.parse::<u32>().unwrap();
        words
            .flat_map(|w| w.split_once('-').map_or_else(|| number(w)..=number(w), |(a, b)| number(a)..=number(b)))
            .collect()
    }

    #[test]
    fn no_code_of_the_dictionary_is_without_a_class() {
        let codes = dictionary();
        assert_eq!(codes.len(), 2415);
        let unknown: Vec<_> = codes.iter().filter(|c| Code(**c).class() == Class::Unknown).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        // And what the dictionary itself leaves open is as little as that.
        let open: Vec<_> = codes.into_iter().filter(|c| Code(*c).class() == Class::Unexplained).collect();
        assert_eq!(open, [30_008, 30_758]);
    }

    /// The alert for codes that nobody knows leaves out whole ranges: those of which the table has one code at least.
    #[test]
    fn the_alert_for_unknown_codes_knows_the_table() {
        let rules = include_str!("../../../alerts/passive.yml");
        let known = rules.split_once("code!~\"(").unwrap().1.split_once(")[0-9]{3}").unwrap().0;
        let known: Vec<&str> = known.split('|').collect();
        let is_known = |thousand: u32| {
            let thousand = thousand.to_string();
            known.iter().any(|k| match k.split_once('[') {
                None => *k == thousand,
                Some((tens, units)) => thousand.strip_prefix(tens).is_some_and(|unit| {
                    let units = units.trim_end_matches(']').as_bytes();
                    let unit = unit.as_bytes();
                    // `0-35`: digits, and ranges of them.
                    let is_within = |(i, c): (usize, &u8)| match (c, units.get(i + 1), units.get(i + 2)) {
                        (from, Some(b'-'), Some(to)) => (from..=to).contains(&&unit[0]),
                        (digit, _, _) => *digit == unit[0],
                    };
                    unit.len() == 1 && units.iter().enumerate().any(is_within)
                }),
            })
        };
        for thousand in 10..1000 {
            let is_in_table = (0..1000).any(|n| Code(thousand * 1000 + n).class() != Class::Unknown);
            assert_eq!(is_known(thousand), is_in_table, "{thousand}xxx");
        }
    }
}
