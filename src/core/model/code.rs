//! What Twilio's error codes mean for us: one table, one answer a code.
//!
//! The table follows Twilio's error dictionary. New codes appear there without notice, so codes
//! that are not in the table are classed by their range: an unknown 11xxx is still a webhook that
//! could not be fetched. Whether a swap would cure the trouble is said in
//! [`Reason::is_curable`](crate::core::model::reason::Reason::is_curable), which the classes here lead to.

use serde::{Deserialize, Serialize};

/// A Twilio error code, such as 11200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(pub u32);

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
    /// A `<Dial>` went wrong. The child legs say what the caller met.
    Dial,
    /// The SIP endpoint behind a trunk could not be reached or did not answer properly.
    Origination,
    /// SIP trouble that has nothing to do with what the number points at.
    Sip,
    /// The account is suspended, out of concurrency, or without voice.
    Account,
    /// Twilio's own fault.
    Platform,
    /// A message was refused by the recipient's side: handset off, unknown, landline, opted out.
    Recipient,
    /// A message was filtered or its sender is not registered (10DLC, toll-free).
    Registration,
    /// A message met a limit, or failed for a cause of its own.
    Delivery,
    /// A mistake in an API request or in TwiML attributes that the caller does not notice.
    Request,
    /// A status callback failed: the call itself was fine.
    Callback,
    /// Recordings and media streams: a hint about a call, not a verdict.
    Media,
    /// A Twilio Function failed, or wrote to its console.
    Function,
    /// Not in the table and in no range of it.
    Unknown,
}

impl Code {
    /// The class of this code. Source: Twilio's error dictionary, by code and by range.
    pub const fn class(self) -> Class {
        match self.0 {
            11_300..=11_320 => Class::Template,
            11_751 => Class::Media,
            11_750 | 11_770 => Class::Content,
            11_000..=11_999 => Class::Webhook,
            12_400 => Class::Platform,
            12_000..=12_999 => Class::Content,
            13_000..=13_999 => Class::Dial,
            14_000..=14_999 => Class::Request,
            15_003 => Class::Callback,
            16_000..=16_999 | 31_900..=31_999 => Class::Media,
            10_000..=10_999 | 20_005 | 30_002 | 32_005 => Class::Account,
            // Of a message: the recipient has opted out, or is no mobile phone.
            21_610 | 21_614 => Class::Recipient,
            20_000..=22_999 => Class::Request,
            30_003..=30_006 | 30_008 => Class::Recipient,
            30_007 | 30_024 | 30_032 | 30_034 | 30_035 | 30_038 | 30_039 => Class::Registration,
            30_000..=30_999 => Class::Delivery,
            32_010 | 32_011 | 32_022 => Class::Origination,
            32_000..=32_999 => Class::Sip,
            82_000..=82_999 => Class::Function,
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
            (Class::Dial, &[13_201, 13_214, 13_223, 13_224, 13_225, 13_227, 13_243, 13_247, 13_254]),
            (Class::Origination, &[32_010, 32_011, 32_022]),
            (Class::Sip, &[32_001, 32_009, 32_014, 32_016, 32_017, 32_021, 32_201, 32_209]),
            (Class::Account, &[10_001, 10_003, 10_004, 10_005, 20_005, 30_002, 32_005]),
            (Class::Platform, &[12_400]),
            (Class::Recipient, &[21_610, 21_614, 30_003, 30_004, 30_005, 30_006, 30_008]),
            (Class::Registration, &[30_007, 30_024, 30_032, 30_034, 30_035]),
            (Class::Delivery, &[30_001, 30_022, 30_023, 30_027, 30_036, 30_410]),
            (Class::Request, &[14_101, 14_107, 20_003, 20_429, 21_211, 21_402]),
            (Class::Callback, &[15_003]),
            (Class::Media, &[11_751, 16_101, 16_102, 31_920]),
            (Class::Function, &[82_002, 82_004, 82_005]),
            (Class::Unknown, &[0, 9_999, 63_001, 99_999]),
        ];
        for (class, codes) in table {
            for code in *codes {
                assert_eq!(Code(*code).class(), *class, "{code}");
            }
        }
    }
}
