//! What happens to the world, at an offset of the scenario or because a test says so.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::span;
use crate::core::model::id::E164;
use crate::sim::fault::ApiFault;

/// Something that happens at an offset from the start: `{ at = "2h", handler = { … } }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawEvent")]
pub struct ScenarioEvent {
    pub at: Duration,
    pub what: Happening,
}

/// One thing that happens. In TOML and JSON a table with exactly one of these keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happening {
    /// A handler begins to behave otherwise.
    Handler(HandlerChange),
    /// A number, or all numbers of a group, move to Twilio now; messages follow later.
    Port(String),
    /// The port of a number, or of all numbers of a group, comes to another status.
    PortStatus(PortStatusChange),
    /// A number is taken away from Twilio: it leaves the account, and its callers reach somebody else.
    PortOut(E164),
    /// The callers of a group begin to behave otherwise.
    Traffic(TrafficChange),
    /// One caller with a problem of their own calls again and again.
    Storm(Storm),
    Campaign(TextCampaign),
    /// The API misbehaves.
    Fault(ApiFault),
    /// Somebody else changes a number.
    Edit(Edit),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawEvent {
    #[serde(with = "span")]
    at: Duration,
    handler: Option<HandlerChange>,
    port: Option<String>,
    port_status: Option<PortStatusChange>,
    port_out: Option<E164>,
    traffic: Option<TrafficChange>,
    storm: Option<Storm>,
    campaign: Option<TextCampaign>,
    fault: Option<ApiFault>,
    edit: Option<Edit>,
}

impl TryFrom<RawEvent> for ScenarioEvent {
    type Error = &'static str;

    fn try_from(raw: RawEvent) -> Result<ScenarioEvent, &'static str> {
        let all = [
            raw.handler.map(Happening::Handler),
            raw.port.map(Happening::Port),
            raw.port_status.map(Happening::PortStatus),
            raw.port_out.map(Happening::PortOut),
            raw.traffic.map(Happening::Traffic),
            raw.storm.map(Happening::Storm),
            raw.campaign.map(Happening::Campaign),
            raw.fault.map(Happening::Fault),
            raw.edit.map(Happening::Edit),
        ];
        let mut given = all.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(what), None) => Ok(ScenarioEvent { at: raw.at, what }),
            _ => Err(
                "an event is exactly one of handler, port, port-status, port-out, traffic, storm, campaign, fault, edit; split it into \
                 several",
            ),
        }
    }
}

/// How far the port of a number, or of all numbers of a group, is said to be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortStatusChange {
    /// A group or a number.
    pub of: String,
    /// Twilio's word, in whatever writing it is to be answered. A number that is rejected or canceled does not port.
    pub status: String,
    /// Why it was rejected, by Twilio's code, and in the old provider's words.
    #[serde(default)]
    pub code: Option<u32>,
    #[serde(default)]
    pub reason: Option<String>,
}

impl PortStatusChange {
    /// True if the number stays where it is.
    pub fn stops(&self) -> bool {
        let word = self.status.to_ascii_lowercase();
        ["reject", "cancel", "expire"].iter().any(|w| word.contains(w))
    }
}

/// The state of a handler, and whom it concerns.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "RawState")]
pub struct HandlerState {
    pub condition: HandlerCondition,
    /// Share of calls that meet this condition; the others are served.
    pub share: f64,
    /// Only callers of this carrier meet it.
    pub carrier: Option<String>,
}

impl HandlerState {
    pub fn healthy() -> HandlerState {
        HandlerState::all(HandlerCondition::Healthy)
    }

    /// Every call meets `condition`.
    pub fn all(condition: HandlerCondition) -> HandlerState {
        HandlerState { condition, share: 1.0, carrier: None }
    }
}

impl Default for HandlerState {
    fn default() -> HandlerState {
        HandlerState::healthy()
    }
}

/// What a handler does to a call or message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HandlerCondition {
    Healthy,
    /// Answers after so long; beyond 15 s Twilio gives up (11205).
    Slow(Duration),
    /// Answers with this HTTP status: 11200.
    Status(u16),
    /// Cannot be reached, for the reason that this code names: 11205, 11210, 11237…
    Unreachable(u32),
    /// Answers what Twilio cannot parse: 12100, or what the code says.
    BadTwiml(u32),
    /// Valid TwiML that is the wrong TwiML. No trace.
    Wrong,
    /// Plain text, which is read aloud to the caller. No trace.
    Spoken,
    /// Valid TwiML that answers and says nothing. No trace.
    Silent,
    /// Valid TwiML that plays the tones of a number not in service. No trace.
    OutOfService,
    /// Forwards to where nobody is: child legs `failed`, with this warning if any.
    DeadTarget(Option<u32>),
    /// Forwards to where calls end `failed`, `busy` or `no-answer`, and never well.
    MixedTarget,
    /// Opens a media stream that cannot be reached: 31920, and the call is over.
    Stream,
    /// Answers, and sends the call on to another host, which fails with this code.
    SecondHop(u32),
    /// A Function that breaks: 82002.
    Function,
    /// Forwards to where the account may not call: 13227, and no leg.
    Blocked,
    /// Serves, and the URL that is told of the talk's end fails: 11200.
    Action,
    /// Takes every text, answers with JSON (12300), and replies by the API.
    Takes,
}

impl HandlerCondition {
    /// True if whoever calls or texts is not served. What fails beside a service harms nobody.
    pub const fn harms(self) -> bool {
        match self {
            HandlerCondition::Healthy | HandlerCondition::Action | HandlerCondition::Takes => false,
            HandlerCondition::Slow(_)
            | HandlerCondition::Status(_)
            | HandlerCondition::Unreachable(_)
            | HandlerCondition::BadTwiml(_)
            | HandlerCondition::Wrong
            | HandlerCondition::Spoken
            | HandlerCondition::Silent
            | HandlerCondition::OutOfService
            | HandlerCondition::DeadTarget(_)
            | HandlerCondition::MixedTarget
            | HandlerCondition::Stream
            | HandlerCondition::SecondHop(_)
            | HandlerCondition::Function
            | HandlerCondition::Blocked => true,
        }
    }
}

impl fmt::Display for HandlerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.condition {
            HandlerCondition::Healthy => f.write_str("healthy"),
            HandlerCondition::Slow(d) => write!(f, "answers after {} s", d.as_secs_f64()),
            HandlerCondition::Status(s) => write!(f, "answers HTTP {s}"),
            HandlerCondition::Unreachable(code) => write!(f, "unreachable ({code})"),
            HandlerCondition::BadTwiml(code) => write!(f, "answers unusable TwiML ({code})"),
            HandlerCondition::Wrong => f.write_str("answers the wrong TwiML"),
            HandlerCondition::Spoken => f.write_str("answers plain text"),
            HandlerCondition::Silent => f.write_str("answers and says nothing"),
            HandlerCondition::OutOfService => f.write_str("plays \"not in service\""),
            HandlerCondition::DeadTarget(_) => f.write_str("forwards to a dead target"),
            HandlerCondition::MixedTarget => f.write_str("forwards to a target that never answers well"),
            HandlerCondition::Stream => f.write_str("opens a media stream that cannot be reached"),
            HandlerCondition::SecondHop(code) => write!(f, "sends calls on to a host that fails ({code})"),
            HandlerCondition::Function => f.write_str("is a Function that breaks"),
            HandlerCondition::Blocked => f.write_str("forwards to where the account may not call"),
            HandlerCondition::Action => f.write_str("serves, and fails after the talk"),
            HandlerCondition::Takes => f.write_str("takes texts and answers with JSON"),
        }?;
        if self.share < 1.0 {
            write!(f, ", for {:.0} % of calls", self.share * 100.0)?;
        }
        match &self.carrier {
            Some(carrier) => write!(f, ", for callers of {carrier}"),
            None => Ok(()),
        }
    }
}

impl Serialize for HandlerState {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// The words of the file for [`HandlerCondition`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Becomes {
    Healthy,
    Slow,
    Error,
    Unreachable,
    BadTwiml,
    NotTwiml,
    WrongTwiml,
    SpokenText,
    Silent,
    OutOfService,
    DeadTarget,
    MixedTarget,
    DeadStream,
    SecondHop,
    BrokenFunction,
    BlockedTarget,
    FailingAction,
    JsonReply,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawState {
    becomes: Becomes,
    status: Option<u16>,
    code: Option<u32>,
    #[serde(default, with = "span::option")]
    after: Option<Duration>,
    share: Option<f64>,
    carrier: Option<String>,
}

impl TryFrom<RawState> for HandlerState {
    type Error = &'static str;

    fn try_from(raw: RawState) -> Result<HandlerState, &'static str> {
        if raw.status.is_some() && !matches!(raw.becomes, Becomes::Error) {
            return Err("status belongs to becomes = \"error\"; remove it");
        }
        if raw.after.is_some() && !matches!(raw.becomes, Becomes::Slow) {
            return Err("after belongs to becomes = \"slow\"; remove it");
        }
        let condition = match raw.becomes {
            Becomes::Healthy => HandlerCondition::Healthy,
            Becomes::Slow => HandlerCondition::Slow(raw.after.ok_or("how slow? add after = \"8s\"")?),
            Becomes::Error => HandlerCondition::Status(raw.status.unwrap_or(500)),
            Becomes::Unreachable => HandlerCondition::Unreachable(raw.code.unwrap_or(11205)),
            Becomes::BadTwiml => HandlerCondition::BadTwiml(raw.code.unwrap_or(12100)),
            Becomes::NotTwiml => HandlerCondition::BadTwiml(raw.code.unwrap_or(12300)),
            Becomes::WrongTwiml => HandlerCondition::Wrong,
            Becomes::SpokenText => HandlerCondition::Spoken,
            Becomes::Silent => HandlerCondition::Silent,
            Becomes::OutOfService => HandlerCondition::OutOfService,
            // 0 for the targets that die without a word.
            Becomes::DeadTarget => HandlerCondition::DeadTarget(Some(raw.code.unwrap_or(13224)).filter(|c| *c != 0)),
            Becomes::MixedTarget => HandlerCondition::MixedTarget,
            Becomes::DeadStream => HandlerCondition::Stream,
            Becomes::SecondHop => HandlerCondition::SecondHop(raw.code.unwrap_or(11200)),
            Becomes::BrokenFunction => HandlerCondition::Function,
            Becomes::BlockedTarget => HandlerCondition::Blocked,
            Becomes::FailingAction => HandlerCondition::Action,
            Becomes::JsonReply => HandlerCondition::Takes,
        };
        let share = raw.share.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&share) {
            return Err("share lies between 0 and 1; write 0.25 for a quarter");
        }
        Ok(HandlerState { condition, share, carrier: raw.carrier })
    }
}

/// A handler changes, for good or for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawHandlerChange")]
pub struct HandlerChange {
    pub url: String,
    pub state: HandlerState,
    /// After so long it is healthy again.
    pub lasts: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHandlerChange {
    url: String,
    #[serde(default, rename = "for", with = "span::option")]
    lasts: Option<Duration>,
    // The fields of `RawState`, written out: flattening would let unknown keys pass.
    becomes: Becomes,
    status: Option<u16>,
    code: Option<u32>,
    #[serde(default, with = "span::option")]
    after: Option<Duration>,
    share: Option<f64>,
    carrier: Option<String>,
}

impl TryFrom<RawHandlerChange> for HandlerChange {
    type Error = &'static str;

    fn try_from(raw: RawHandlerChange) -> Result<HandlerChange, &'static str> {
        let RawHandlerChange { url, lasts, becomes, status, code, after, share, carrier } = raw;
        let state = RawState { becomes, status, code, after, share, carrier }.try_into()?;
        Ok(HandlerChange { url, state, lasts })
    }
}

/// The callers of a group change their ways.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficChange {
    pub group: String,
    /// Times as many calls and messages; 0 is silence: nobody reaches Twilio. What happens by hand
    /// cannot exceed the highest factor among the scenario's events, or 1.
    #[serde(default)]
    pub factor: Option<f64>,
    /// A line that is busy, or that nobody answers.
    #[serde(default)]
    pub busy: Option<f64>,
    #[serde(default)]
    pub no_answer: Option<f64>,
    /// All replies fail with this code.
    #[serde(default)]
    pub reply_error: Option<u32>,
    /// All calls break before any TwiML runs, with this code; 0: without a trace.
    #[serde(default)]
    pub call_error: Option<u32>,
    /// After so long the group is again as the file has it.
    #[serde(default, rename = "for", with = "span::option")]
    pub lasts: Option<Duration>,
}

/// One caller dials `number` again and again; nothing is wrong with the number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    pub number: E164,
    pub calls: u32,
    #[serde(default)]
    pub ends: StormEnd,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StormEnd {
    /// What this caller wants always fails.
    #[default]
    Failed,
    Busy,
}

/// Our side texts so many people, one each second, from `number` by the API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextCampaign {
    pub number: E164,
    pub texts: u32,
    /// All fail with this code, such as 30034 (unregistered 10DLC).
    #[serde(default)]
    pub error: Option<u32>,
    /// Of the others this share has opted out (21610).
    #[serde(default)]
    pub opted_out: f64,
}

/// A change by somebody who is not the agent, with the parameters of Twilio's update request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    pub number: E164,
    pub set: BTreeMap<String, String>,
}
