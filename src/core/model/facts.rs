//! What is known of Twilio and is no rule of ours: hosts, regions, limits and times, each with its source and the
//! month in which that was read. Twilio changes them without asking, and then they are changed here.
//!
//! What can be seen at a start is looked at there: whether the host of the configured region answers and takes the
//! credentials. Error codes are a table of their own ([`super::code`]), and so are the words for a number that is
//! withheld ([`super::address`]). The simulator knows nothing of this page: it is the stranger that would notice a
//! slip in it.

use std::time::Duration;

/// Everything of the API is below it: `{product}.twilio.com`, or `{product}.{edge}.{region}.twilio.com`.
/// Source: Twilio, "Understanding Edge Locations", 2026-07.
pub const API_DOMAIN: &str = "twilio.com";

/// Domains that are Twilio's own, so that a notice by way of them depends on Twilio.
/// Source: Twilio's and SendGrid's documentation, 2026-11.
pub const DOMAINS: [&str; 3] = ["twilio.com", "twil.io", "sendgrid.com"];

/// Texts that Twilio itself takes as a person's word on whether they want texts, and answers: they need no handler.
/// The whole text, in any case. Source: Twilio, "Support for opt-out keywords (SMS STOP filtering)", 2025-04.
const KEYWORDS: [&str; 13] = [
    "STOP",
    "STOPALL",
    "UNSUBSCRIBE",
    "CANCEL",
    "END",
    "QUIT",
    "REVOKE",
    "OPTOUT",
    "START",
    "UNSTOP",
    "YES",
    "HELP",
    "INFO",
];

/// True of a text that is such a word and no more.
pub fn is_keyword(text: &str) -> bool {
    KEYWORDS.iter().any(|word| text.trim().eq_ignore_ascii_case(word))
}

/// The region that is meant where none is named. Its hosts need no edge.
/// Source: Twilio, "API domain migration guide", 2026-02.
pub const HOME_REGION: &str = "us1";

/// The other regions in which Twilio processes calls, with the only edge that leads to each.
/// Source: Twilio, "Legacy Edge Location IDs" and "Regional product availability", 2026-04.
pub const REGIONS: [(&str, &str); 2] = [("ie1", "dublin"), ("au1", "sydney")];

/// What was written for a region and processed everything in us1: hosts with these alone are switched off, as are
/// `{product}.ie1.twilio.com` and `{product}.au1.twilio.com`.
/// Source: Twilio's changelog, "Deprecation of region-specific Twilio API domain patterns", 2026-02.
pub const RETIRED_REGIONS: [&str; 5] = ["br1", "de1", "jp1", "sg1", "us2"];

/// When they were switched off.
pub const RETIRED_ON: &str = "2026-04-28";

/// How to say where calls are processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    Home,
    /// By this edge alone.
    By(&'static str),
    Retired,
    Unknown,
}

impl Region {
    pub fn of(name: &str) -> Region {
        let other = REGIONS.iter().find(|(region, _)| *region == name);
        match other {
            _ if name == HOME_REGION => Region::Home,
            Some((_, edge)) => Region::By(edge),
            None if RETIRED_REGIONS.contains(&name) => Region::Retired,
            None => Region::Unknown,
        }
    }
}

/// Where Twilio points new numbers, by scheme and host.
/// Source: Twilio, "Why does my number play a demo message?", 2026-11.
pub const DEMO: [&str; 2] = ["https://demo.twilio.com", "http://demo.twilio.com"];

/// TwiML Bins answer here, below this path and at their SID, and answer Twilio alone.
/// Source: Twilio's Console, and "Security" in its documentation, 2026-11.
pub const BIN_HOST: &str = "handler.twilio.com";
pub const BIN_PATH: &str = "/twiml/EH";

/// Twilio's numbers for tests begin so, with one digit more: they belong to nobody, and who dials one reaches nobody.
/// Source: Twilio, "Test credentials", 2026-11.
pub const TEST_NUMBERS: &str = "+1500555000";

/// One of them, valid as a sender. Source: the same.
pub const TEST_CALLER: &str = "+15005550006";

/// How long Twilio waits for a webhook. Source: Twilio's error dictionary, 11205, 2026-11.
pub const WEBHOOK_PATIENCE: Duration = Duration::from_secs(15);

/// Largest TwiML document that Twilio takes, in bytes. Source: Twilio's error dictionary, 11750, 2026-11.
pub const LARGEST_TWIML: usize = 64 << 10;

/// Rows of the largest page, except where a list says otherwise.
/// Source: Twilio, "REST API: paging", and its API description, 2026-11.
pub const LARGEST_PAGE: usize = 1000;

/// The same on the messaging host, whose limit Twilio states as 1,000 without examples above 100.
/// Source: Twilio's API description, `messaging_v1`, 2026-11.
pub const LARGEST_SERVICE_PAGE: usize = 100;

/// No call lasts longer. Source: Twilio, Calls resource, `TimeLimit`, 2026-11.
pub const LONGEST_CALL: Duration = Duration::from_secs(24 * 3600);

/// Nor this long, in an account that has not had it raised. Source: the same.
pub const USUAL_LONGEST_CALL: Duration = Duration::from_secs(4 * 3600);

/// No call rings longer, with the seconds that Twilio may add. Source: Twilio, Calls resource, `Timeout`, 2026-11.
pub const LONGEST_RING: Duration = Duration::from_secs(605);

/// A text that has not left by then fails; before 2024 it was 4 hours. Source: Twilio, Messages resource,
/// `ValidityPeriod`, 2026-04.
pub const TEXT_VALID: Duration = Duration::from_secs(36_000);

/// A call is in the log up to a minute after its end, and its alert up to half a minute later. Twilio promises no
/// bound; these are the usual ones. Source: users' reports, 2026-11.
pub const CALL_AND_ALERT_VISIBLE: Duration = Duration::from_secs(90);

/// For how long after its port a number's messages may still go to the old provider, and those of a toll-free number.
/// Source: Twilio's support, article 229986247, 2026-11.
pub const MESSAGES_SETTLE: Duration = Duration::from_secs(2 * 3600);
pub const TOLL_FREE_MESSAGES_SETTLE: Duration = Duration::from_secs(2 * 86_400);

/// Carriers take up to so long to route a ported number everywhere: some still send callers to the old provider.
/// Source: Twilio's porting guides, 2026-11.
pub const PORT_SETTLES: Duration = Duration::from_secs(48 * 3600);

/// Port requests of one page, at the most. Source: Twilio's API description, `numbers_v1`, 2026-11.
pub const LARGEST_PORT_PAGE: usize = 100;

/// Numbers of one port request, at the most. Source: Twilio, "Port in", 2026-07.
pub const LARGEST_PORT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_one_meaning() {
        assert_eq!(Region::of("us1"), Region::Home);
        assert_eq!([Region::of("ie1"), Region::of("au1")], [Region::By("dublin"), Region::By("sydney")]);
        for retired in RETIRED_REGIONS {
            assert_eq!(Region::of(retired), Region::Retired, "{retired}");
        }
        assert_eq!([Region::of(""), Region::of("dublin"), Region::of("us9")], [Region::Unknown; 3]);
    }
}
