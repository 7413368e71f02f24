//! What a simulated day is made of: the file, its defaults, and what is wrong with it.
//!
//! A scenario is plain data with public fields. It is read from TOML by [`Scenario::parse`], which
//! refuses unknown keys and says where the fault is and what would cure it, and may be changed in
//! code before it is played (`scenario.seed = 7`). Whatever changed it, [`Scenario::check`] runs again
//! before a world is built, so a world never meets a reference that leads nowhere.
//!
//! Times are offsets from the scenario's start, written like `"1h 30m"`; shares lie in 0..=1.

mod check;
mod event;
mod group;
pub(super) mod span;
mod standing;

use std::time::Duration;

use serde::Deserialize;

pub use check::ScenarioError;
pub use event::{
    Edit, HandlerChange, HandlerCondition, HandlerState, Happening, PortStatusChange, ScenarioEvent, Storm, StormEnd,
    TextCampaign, TrafficChange,
};
pub use group::{CallerIds, Port, Routing, ScenarioGroup, ScenarioTraffic, TrafficShape};
pub use standing::{ScenarioCampaign, ScenarioRule, ScenarioStanding};

use crate::core::model::id::{AccountSid, ApplicationSid, ServiceSid, TrunkSid};
use crate::core::model::time::Time;

/// One seeded day.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    /// Same seed, same day.
    #[serde(default)]
    pub seed: u64,
    /// Where the offsets are counted from. Without it: when the simulator is made.
    #[serde(default)]
    pub start: Option<Time>,
    /// Callers call until then.
    #[serde(default = "defaults::lasts", with = "span")]
    pub lasts: Duration,
    /// Traffic that numbers ported earlier had before the start: the log is not empty.
    #[serde(default, with = "span")]
    pub history: Duration,
    /// Who the callers' own carriers are. A caller's is fixed.
    #[serde(default = "defaults::carriers")]
    pub carriers: Vec<String>,
    #[serde(default)]
    pub account: Account,
    #[serde(default)]
    pub standing: ScenarioStanding,
    #[serde(default)]
    pub api: Api,
    #[serde(default)]
    pub twilio: Behaviour,
    #[serde(default)]
    pub lag: Lag,
    #[serde(default, rename = "group")]
    pub groups: Vec<ScenarioGroup>,
    /// Handlers beyond those that the groups' routing names, or with a state at the start.
    #[serde(default, rename = "handler")]
    pub handlers: Vec<ScenarioHandler>,
    #[serde(default, rename = "bin")]
    pub bins: Vec<Bin>,
    #[serde(default, rename = "application")]
    pub applications: Vec<ScenarioApplication>,
    #[serde(default, rename = "trunk")]
    pub trunks: Vec<Trunk>,
    #[serde(default, rename = "service")]
    pub services: Vec<ScenarioService>,
    #[serde(default, rename = "event")]
    pub events: Vec<ScenarioEvent>,
}

impl Scenario {
    /// Reads a scenario and checks it.
    pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        let scenario: Scenario = toml::from_str(text).map_err(|e| ScenarioError::from_toml(&e, text))?;
        scenario.check().map_err(|e| e.located(text))?;
        Ok(scenario)
    }

    /// The group of this name, to be changed before the day is played.
    pub fn group_mut(&mut self, name: &str) -> Option<&mut ScenarioGroup> {
        self.groups.iter_mut().find(|g| g.name.as_str() == name)
    }
}

/// Who may ask. The defaults are invented and are no one's.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    pub sid: AccountSid,
    pub auth_token: String,
    pub friendly_name: String,
    #[serde(rename = "key")]
    pub keys: Vec<ScenarioKey>,
}

impl Default for Account {
    fn default() -> Account {
        Account {
            sid: AccountSid::from_u128(0x51b0_77ed_0000_4000_a000_0000_0000_0001),
            auth_token: "51b077ed51b077ed51b077ed51b077ed".into(),
            friendly_name: "Simulated".into(),
            keys: Vec::new(),
        }
    }
}

/// An API key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioKey {
    /// `SK` and 32 hexadecimal digits.
    pub sid: String,
    pub secret: String,
    pub kind: ScenarioKeyKind,
    /// Of a restricted key: the kinds of request it may make, such as `calls` or `number-update`.
    #[serde(default)]
    pub permissions: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScenarioKeyKind {
    Main,
    Standard,
    Restricted,
}

/// How the API itself behaves when nothing is wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Each answer takes something between these two.
    #[serde(with = "span::range")]
    pub latency: [Duration; 2],
    /// More requests than this at once and the rest get 429, code 20429.
    pub concurrency: usize,
    /// Date filters see days, or instants. Twilio documents days.
    pub date_filters: DateFilters,
    /// A resource can be fetched by SID before the list shows it.
    pub fetch_is_immediate: bool,
    /// What a page of more than 1,000 rows gets. The dictionary says error 20007; the official
    /// libraries ask for such pages and count on 1,000 rows.
    pub larger_page: LargerPage,
}

impl Default for Api {
    fn default() -> Api {
        Api {
            latency: [Duration::from_millis(40), Duration::from_millis(160)],
            concurrency: 30,
            date_filters: DateFilters::Day,
            fetch_is_immediate: true,
            larger_page: LargerPage::Refuse,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateFilters {
    Day,
    Exact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LargerPage {
    Refuse,
    Cut,
}

/// What Twilio does in cases where it could do otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// How the log shows a call whose webhook failed.
    pub broken_webhook: BrokenWebhook,
    /// Share of calls to numbers with a status callback whose callback fails (warning 15003).
    pub callback_warnings: f64,
    /// Share of callers who withhold their number.
    pub anonymous: f64,
    /// Alerts 82004 and 82005 of the account's Functions, an hour.
    pub functions_log_per_hour: f64,
    /// Calls that requests may begin in a second; the others are queued.
    pub calls_per_second: f64,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            broken_webhook: BrokenWebhook::Completed,
            callback_warnings: 0.01,
            anonymous: 0.01,
            functions_log_per_hour: 0.0,
            calls_per_second: 1.0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokenWebhook {
    /// The caller hears the announcement: answered, a few seconds.
    Completed,
    /// Turned away unanswered: `busy`, 0 s.
    Busy,
}

/// When the log shows what happened. Seconds throughout.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lag {
    /// From the end of a call to its row: log-normal around this median…
    pub median_s: f64,
    pub sigma: f64,
    /// …never outside these…
    pub range_s: [f64; 2],
    /// …but for a share of rows, which come much later.
    pub late: f64,
    pub late_s: [f64; 2],
    /// Share of longer calls that are listed while they last.
    pub early: f64,
    /// Share of child legs first listed with a wrong status.
    pub corrected: f64,
    /// From the call's row to its alert.
    pub alert_s: [f64; 2],
    /// From the call's end to its price.
    pub price_s: [f64; 2],
}

impl Default for Lag {
    fn default() -> Lag {
        Lag {
            median_s: 5.0,
            sigma: 0.9,
            range_s: [1.0, 60.0],
            late: 0.003,
            late_s: [120.0, 600.0],
            early: 0.25,
            corrected: 0.003,
            alert_s: [-4.0, 30.0],
            price_s: [5.0, 300.0],
        }
    }
}

impl Lag {
    /// Everything is listed at once and for good: for tests that are about something else.
    pub fn none() -> Lag {
        Lag {
            range_s: [0.0, 0.0],
            late: 0.0,
            early: 0.0,
            corrected: 0.0,
            alert_s: [0.0, 0.0],
            price_s: [0.0, 0.0],
            ..Lag::default()
        }
    }
}

/// A webhook of the company's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioHandler {
    pub url: String,
    /// Share of calls that it forwards; the rest it answers itself.
    #[serde(default)]
    pub forward: f64,
    /// Its state at the start; healthy if not given.
    #[serde(default)]
    pub state: HandlerState,
    /// Keys that it plays before it speaks while it is healthy, so that it can be told by ear.
    #[serde(default)]
    pub marker: Option<String>,
}

/// A TwiML Bin at `https://handler.twilio.com/twiml/{sid}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// `EH` and 32 hexadecimal digits.
    pub sid: String,
    pub does: BinKind,
    /// Where it forwards to: a number at the old provider.
    #[serde(default)]
    pub to: Option<crate::core::model::id::E164>,
    /// Its text, a template with `{{To}}`, `{{From}}` and `{{#e164}}` in it.
    #[serde(default)]
    pub twiml: Option<String>,
    /// Keys that it plays before it speaks, so that it can be told by ear.
    #[serde(default)]
    pub marker: Option<String>,
}

impl Bin {
    pub const BASE: &str = "https://handler.twilio.com/twiml/";

    pub fn url(&self) -> String {
        format!("{}{}", Bin::BASE, self.sid)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BinKind {
    /// Speaks to the caller, or answers the text.
    Answer,
    Forward,
    /// Its template is broken: 11310.
    Broken,
    /// Looks well, and dials where nobody is.
    Dead,
    /// What its text says, rendered for each request.
    Twiml,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioApplication {
    pub sid: ApplicationSid,
    pub friendly_name: String,
    #[serde(default)]
    pub voice_url: String,
    #[serde(default)]
    pub voice_fallback_url: String,
    #[serde(default)]
    pub sms_url: String,
    #[serde(default)]
    pub sms_fallback_url: String,
    #[serde(default)]
    pub status_callback: String,
    /// Deleted, although numbers point at it.
    #[serde(default)]
    pub gone: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    pub sid: TrunkSid,
    pub friendly_name: String,
    /// Where calls go. None at all is error 32010; one that is unreachable, warning 32011.
    #[serde(default)]
    pub origination_url: Option<String>,
    /// TwiML for when origination fails.
    #[serde(default)]
    pub disaster_recovery_url: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioService {
    pub sid: ServiceSid,
    pub friendly_name: String,
    /// None, and not deferring to the number: inbound messages vanish without a trace.
    #[serde(default)]
    pub inbound_request_url: Option<String>,
    #[serde(default)]
    pub fallback_url: Option<String>,
    #[serde(default)]
    pub use_inbound_webhook_on_number: bool,
}

mod defaults {
    use super::Duration;

    pub fn lasts() -> Duration {
        Duration::from_secs(24 * 3600)
    }

    pub fn carriers() -> Vec<String> {
        ["verizon", "att", "t-mobile", "comcast", "lumen"].map(String::from).to_vec()
    }
}
