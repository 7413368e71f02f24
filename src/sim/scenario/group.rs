//! Numbers that share a handler: how many, how busy, where they point, when they port.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::span;
use crate::core::model::id::{ApplicationSid, E164, GroupName, ServiceSid, TrunkSid};

/// A group of numbers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioGroup {
    pub name: GroupName,
    /// The busiest first.
    #[serde(default)]
    pub numbers: Vec<E164>,
    /// `count` further numbers in a row, beginning here: for groups too large to write down.
    #[serde(default)]
    pub first: Option<E164>,
    #[serde(default)]
    pub count: u32,
    /// In the account, but none of ours: the agent is not configured for these numbers.
    #[serde(default)]
    pub foreign: bool,
    /// Hosted: their messages are at Twilio, their calls where they always were.
    #[serde(default)]
    pub hosted: bool,
    /// They have no messages at Twilio.
    #[serde(default)]
    pub voice_only: bool,
    /// The numbers' regulatory bundle.
    #[serde(default)]
    pub bundle: Option<String>,
    /// The numbers are where the old provider sends the callers of this group's numbers, one for each.
    #[serde(default)]
    pub forwarded_from: Option<GroupName>,
    #[serde(default)]
    pub traffic: ScenarioTraffic,
    #[serde(default)]
    pub routing: Routing,
    /// None: ported long ago.
    #[serde(default)]
    pub port: Option<Port>,
}

impl ScenarioGroup {
    /// Every number of the group, the busiest first.
    pub fn all_numbers(&self) -> impl Iterator<Item = E164> + '_ {
        let first = self.first.map_or(0, E164::as_u64);
        let row = (first..first + u64::from(self.count)).filter_map(|n| format!("+{n}").parse().ok());
        self.numbers.iter().copied().chain(row)
    }
}

/// How callers behave.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScenarioTraffic {
    /// Of the group's busiest number at its busiest hour.
    pub calls_per_hour: f64,
    pub messages_per_hour: f64,
    /// Zipf's exponent: the n-th number has 1/n^skew of the first one's traffic…
    pub skew: f64,
    /// …but never fewer calls than this.
    pub floor_per_hour: f64,
    pub shape: TrafficShape,
    /// The local clock that the shape follows, in seconds east of UTC; in the file `"-05:00"`.
    #[serde(deserialize_with = "utc_offset")]
    pub utc_offset: i32,
    /// Share of calls that a healthy handler forwards; the rest it answers itself.
    pub forward: f64,
    /// Median talk time.
    #[serde(with = "span")]
    pub talk: Duration,
    /// Shares of forwarded calls that end so for honest reasons.
    pub busy: f64,
    pub no_answer: f64,
    pub hang_up: f64,
    /// Share of calls that fail though nothing is broken.
    pub failure: f64,
    /// Share of calls by people who call again and again.
    pub regulars: f64,
    /// How likely a caller who met an error dials again, the first time…
    pub redial: f64,
    /// …and how likely an honest failure then fails once more.
    pub redial_fails: f64,
    /// Share of messages that the handler answers, and of those answers that do not arrive.
    pub replies: f64,
    pub reply_failure: f64,
    /// All replies fail with this code, such as 30034 (unregistered 10DLC).
    pub reply_error: Option<u32>,
    /// All calls break before any TwiML runs, with this code, such as 10003 (account not active); 0: without a trace.
    pub call_error: Option<u32>,
    /// Whom callers seem to be.
    pub callers: CallerIds,
}

/// What stands in a call's `from`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallerIds {
    /// Everybody's own number, but of the few who withhold it.
    #[default]
    Many,
    /// One number: a telephone system, or the old provider that forwards.
    One,
    /// All withhold it, in all spellings.
    Withheld,
}

impl Default for ScenarioTraffic {
    fn default() -> ScenarioTraffic {
        ScenarioTraffic {
            calls_per_hour: 60.0,
            messages_per_hour: 0.0,
            skew: 1.0,
            floor_per_hour: 1.0,
            shape: TrafficShape::Day,
            utc_offset: 0,
            forward: 0.0,
            talk: Duration::from_secs(95),
            busy: 0.02,
            no_answer: 0.04,
            hang_up: 0.02,
            failure: 0.01,
            regulars: 0.35,
            redial: 0.55,
            redial_fails: 0.75,
            replies: 0.85,
            reply_failure: 0.03,
            reply_error: None,
            call_error: None,
            callers: CallerIds::Many,
        }
    }
}

/// How traffic goes over the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrafficShape {
    Flat,
    /// A hill around half past one.
    Day,
    /// Nine to half past five with a dip at noon.
    Office,
    /// A hill around seven in the evening.
    Evening,
}

/// Where the group's numbers point.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    pub voice_url: String,
    pub voice_fallback_url: String,
    pub sms_url: String,
    pub sms_fallback_url: String,
    pub status_callback: String,
    pub application: Option<ApplicationSid>,
    pub sms_application: Option<ApplicationSid>,
    pub trunk: Option<TrunkSid>,
    pub service: Option<ServiceSid>,
    /// Where the numbers' calls are processed. Elsewhere than in `us1` their records have no say.
    pub voice_region: String,
    /// And their messages.
    pub messaging_region: String,
    /// False: the handlers exist, but nobody has pointed the numbers at them yet.
    pub applied: bool,
}

impl Default for Routing {
    fn default() -> Routing {
        Routing {
            voice_url: String::new(),
            voice_fallback_url: String::new(),
            sms_url: String::new(),
            sms_fallback_url: String::new(),
            status_callback: String::new(),
            application: None,
            sms_application: None,
            trunk: None,
            service: None,
            voice_region: "us1".to_owned(),
            messaging_region: "us1".to_owned(),
            applied: true,
        }
    }
}

/// When the group's numbers move to Twilio.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Port {
    /// The first number's voice moves then. None: only when an event or a test says so.
    #[serde(with = "span::option")]
    pub at: Option<Duration>,
    /// And each further number's, so much later.
    #[serde(with = "span")]
    pub every: Duration,
    /// Messages follow so much after voice.
    #[serde(with = "span")]
    pub messages_after: Duration,
    /// The numbers can be seen and configured in the account before they port.
    pub listed_before: bool,
    /// The Porting API shows the request: those made by hand it does not know.
    pub requested: bool,
    /// Callers of these carriers are still sent to the old provider for so long.
    #[serde(with = "span::map")]
    pub carrier_lag: BTreeMap<String, Duration>,
}

impl Default for Port {
    fn default() -> Port {
        Port {
            at: None,
            every: Duration::ZERO,
            messages_after: Duration::from_secs(30 * 60),
            listed_before: true,
            requested: true,
            carrier_lag: BTreeMap::new(),
        }
    }
}

impl Port {
    /// The offset at which the number of this rank (from 0) ports.
    pub(in crate::sim) fn of_rank(&self, rank: usize) -> Option<Duration> {
        let later = self.every * u32::try_from(rank).unwrap_or(u32::MAX);
        self.at.map(|at| at + later)
    }
}

fn utc_offset<'de, D: Deserializer<'de>>(d: D) -> Result<i32, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(d)?;
    let hours_minutes = |t: &str| {
        let (sign, t) = t.strip_prefix('-').map(|t| (-1, t)).or_else(|| t.strip_prefix('+').map(|t| (1, t)))?;
        let (h, m) = t.split_once(':')?;
        let (h, m): (i32, i32) = (h.parse().ok()?, m.parse().ok()?);
        ((0..=14).contains(&h) && (0..60).contains(&m)).then_some(sign * (h * 3600 + m * 60))
    };
    hours_minutes(&text).ok_or_else(|| {
        serde::de::Error::custom(format!("{text:?} is not an offset from UTC; write one like \"-05:00\""))
    })
}
