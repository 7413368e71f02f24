//! What was looked at, and what could not be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::code::FindingCode;
use crate::model::foreign::Line;
use crate::model::id::{AccountSid, Channel, E164, NumberSid, ServiceSid, TrunkSid};
use crate::model::roster::{GroupIx, NumberIx};
use crate::model::time::Time;
use crate::profile::Profile;
use crate::rollback::fallbacks::FallbackLook;
use crate::routing::record::NumberRecord;
use crate::routing::twiml::BadTwiml;

/// What was looked at, or why it was not.
pub type Looked<T> = Result<T, Unlooked>;

/// Why something was not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlooked {
    /// The rest of "not looked at because …".
    pub because: String,
    /// Without it nobody can say that the port day is prepared.
    pub is_needed: bool,
}

impl Unlooked {
    pub fn needed(because: impl Into<String>) -> Unlooked {
        Unlooked { because: because.into(), is_needed: true }
    }

    /// The port day can do without it.
    pub fn optional(because: impl Into<String>) -> Unlooked {
        Unlooked { because: because.into(), is_needed: false }
    }

    /// It depends on what another check found, which says it already.
    pub fn depends_on(code: FindingCode) -> Unlooked {
        Unlooked { because: format!("{code}: {}", code.page().title), is_needed: false }
    }
}

/// Everything that was looked at.
#[derive(Clone, Debug)]
pub struct Facts {
    pub at: Time,
    pub account: AccountSid,
    /// The first request, which needs good credentials and nothing else.
    pub door: Door,
    /// Requests are signed with the Auth Token.
    pub signs: bool,
    pub key: KeyKind,
    /// Whether the credentials may update numbers, as a trial without effect tells.
    pub update: Looked<UpdateTrial>,
    /// What the key may not read, by what that is for.
    pub refusals: Vec<KeyRefusal>,
    /// Twilio's clock minus ours, in seconds, and how much of it is borne.
    pub skew: Looked<i64>,
    pub skew_borne: Duration,
    pub standing: Looked<AccountStanding>,
    pub balance: Looked<Balance>,
    pub traffic: Looked<Traffic>,
    /// Test calls and texts that the configuration asks for in a day.
    pub probes_a_day: f64,
    /// The region that the configuration names without its edge, and the edge that was filled in.
    pub edge_filled_in: Option<(String, String)>,
    pub numbers: Looked<NumbersFound>,
    pub regions: Regions,
    /// How many origination URLs of a trunk are in use.
    pub trunks: BTreeMap<TrunkSid, Looked<usize>>,
    pub handlers: Vec<HandlerAsked>,
    pub fallbacks: Vec<FallbackAsked>,
    /// Whether countries may be called, by calling code.
    pub countries: BTreeMap<String, Looked<bool>>,
    /// Of the Webhooks configuration; none where the account does not use it.
    pub rules: Looked<Vec<WebhookRule>>,
    pub probers: Vec<ProberFound>,
    /// Groups without test calls.
    pub unprobed: Vec<GroupIx>,
    pub state: StateFound,
    pub configuration_warnings: Vec<String>,
    /// What should ring, if a profile is configured.
    pub history: Option<Arc<Profile>>,
    pub listen: Looked<ListenFound>,
    pub has_token: bool,
    pub notifiers: Vec<NotifierFound>,
    pub pace: TwilioPace,
    /// Who changed our numbers in the last days.
    pub writers: Looked<Vec<Change>>,
    pub campaigns: BTreeMap<ServiceSid, Looked<Vec<Campaign>>>,
    /// By the brand's SID, its status.
    pub brands: BTreeMap<String, Looked<String>>,
    /// Toll-free verifications by number, with their status.
    pub toll_free: Looked<BTreeMap<NumberSid, String>>,
    /// By the bundle's SID, its status.
    pub bundles: BTreeMap<String, Looked<String>>,
}

/// Whether Twilio lets us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    Open,
    /// It does not know us.
    Refused(String),
    /// It lets us in, and this key may not read the numbers.
    NoNumbers(String),
    /// Nobody answered: nothing can be said of the account.
    Shut(String),
}

/// What the credentials are, as far as Twilio lets it be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// May do everything: the Auth Token, or a main key.
    Whole,
    /// An API key that may do everything but read accounts and keys.
    Standard,
    /// An API key with permissions of its own.
    Restricted,
    Untold,
}

/// What came of asking to update a number that cannot exist, with no field to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateTrial {
    /// There was no need: who may do everything may do this.
    Needless,
    /// It was said that there is no such number, and not that this is not allowed.
    LetThrough,
    Barred(String),
}

/// What the key may not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRefusal {
    /// Such as "the debugger's alerts".
    pub what: &'static str,
    /// What the agent cannot do without.
    pub so: &'static str,
    pub error: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStanding {
    /// `active`, `suspended`, `closed`.
    pub status: String,
    pub is_trial: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    pub amount: f64,
    pub currency: String,
}

/// What the account's logs of the last day have, carried forward to a whole day where they were not read to its
/// beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    pub calls: f64,
    pub messages: f64,
}

/// Our numbers, as they are in the account.
#[derive(Clone, Debug, PartialEq)]
pub struct NumbersFound {
    pub there: Vec<NumberFound>,
    /// Why a number that is not among them may be there all the same.
    pub unread: Option<String>,
    /// The Messaging Services could be read.
    pub services_read: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NumberFound {
    pub ix: NumberIx,
    pub record: NumberRecord,
    pub is_hosted: bool,
    /// Its regulatory bundle.
    pub bundle: Option<String>,
}

/// Which regions process our numbers' calls and messages where they are others than ours, as far as was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Regions {
    /// The region whose API is asked.
    pub ours: String,
    pub asked: Vec<(NumberIx, Looked<[Option<String>; 2]>)>,
    /// Where messages are processed was not said.
    pub without_messaging: bool,
    /// Numbers that were not asked for: there is no list of these, and each costs a request.
    pub left_out: usize,
}

/// What a webhook made of a request as Twilio sends it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub look: FallbackLook,
    /// What is wrong with its TwiML, if that is what is wrong.
    pub broken: Option<BadTwiml>,
    pub took: Duration,
    /// Numbers that it dials.
    pub dials: Vec<E164>,
}

/// A handler that was asked once for all numbers that it serves.
#[derive(Clone, Debug, PartialEq)]
pub struct HandlerAsked {
    /// As it may be shown.
    pub url: String,
    pub channel: Channel,
    pub numbers: Vec<NumberIx>,
    pub answer: Looked<Answer>,
}

/// A group's fallback, asked for a call or a message to one of its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct FallbackAsked {
    pub group: GroupIx,
    pub channel: Channel,
    pub url: String,
    pub number: NumberIx,
    pub answer: Looked<Answer>,
}

/// A rule of the Webhooks configuration that matches a URL of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRule {
    pub name: String,
    /// The URL of ours that it matches, as it may be shown.
    pub url: String,
    pub signs: bool,
    pub times: bool,
}

/// The number that a group's test calls come from.
#[derive(Clone, Debug, PartialEq)]
pub struct ProberFound {
    pub group: GroupIx,
    pub number: E164,
    /// Which channels it is needed for.
    pub needs: [bool; 2],
    /// Which it lacks; `None` if it is not in the account.
    pub lacks: Looked<Option<[bool; 2]>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFound {
    pub path: String,
    /// Why it cannot be written, if it cannot.
    pub problem: Option<String>,
    /// The file system that it lies on, such as `ext4`.
    pub kind: Looked<String>,
    /// How much room is left there, in bytes.
    pub free: Looked<u64>,
}

/// Who is at the agent's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenFound {
    Free,
    OurAgent,
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifierFound {
    pub name: String,
    /// Whether it passes through Twilio, if that is known.
    pub through_twilio: Option<bool>,
    /// What came of a test notice: why it was not taken.
    pub test: Looked<Result<(), String>>,
}

/// How fast Twilio answers, and how many requests may be in flight.
#[derive(Clone, Debug, PartialEq)]
pub struct TwilioPace {
    pub request: Looked<Duration>,
    pub at_once: usize,
    /// Between the beginnings of two test calls.
    pub between_calls: Duration,
}

/// A change of one of our numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub number: NumberIx,
    pub by: Line,
    pub at: Time,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    pub sid: String,
    /// `VERIFIED` once it may send.
    pub status: String,
    pub brand: Option<String>,
}
