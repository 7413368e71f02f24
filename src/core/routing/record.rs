//! Who answers a number: Twilio's precedence, and the change that makes somebody else answer.
//!
//! A number's record has a trunk, two applications, several URLs and perhaps a Messaging Service,
//! all at once. Only one of them counts ([`NumberRecord::handler`]), and a write that changes one
//! of the others returns 200 and changes nothing. So a swap clears what would win over it, and
//! success is judged by the effective handler alone.
//!
//! Precedence (Twilio, IncomingPhoneNumber, Messaging Service and Routes resources): the region that processes
//! the channel, which may be another with a configuration of its own; then for voice the trunk, then the
//! application, then the URL; for messages the Messaging Service unless it defers to the number, then the
//! application, then the URL.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::facts::{API_DOMAIN, BIN_HOST, BIN_PATH, DEMO};
use crate::model::id::{ApplicationSid, Channel, E164, NumberSid, ServiceSid, TrunkSid};
use crate::model::order::UpdateParams;
use crate::model::redact;
use crate::model::roster::Roster;
use crate::model::value::FieldValue;

/// A number's routing as last read: the part of its record that decides who answers.
/// `""` and `null` are both `None`.
///
/// Its URLs are kept as they are, whatever stands in them, unlike those of alerts: they are the company's own
/// configuration, which a swap replaces and a restore must put back to the byte (laws 1 and 7). They are shown as
/// every [`FieldValue`] is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberRecord {
    pub sid: NumberSid,
    pub number: E164,
    pub trunk: Option<TrunkSid>,
    pub voice_application: Option<Application>,
    pub voice_url: Option<FieldValue>,
    pub voice_fallback_url: Option<FieldValue>,
    /// `voice_receive_mode` is `fax`: calls go to fax handling.
    #[serde(default)]
    pub fax: bool,
    pub sms_application: Option<Application>,
    pub sms_url: Option<FieldValue>,
    pub sms_fallback_url: Option<FieldValue>,
    pub status_callback: Option<FieldValue>,
    /// The Messaging Service the number is in.
    pub service: Option<Service>,
    /// Which regions process the number's channels, where they are known to be others than the one whose API we speak
    /// to: there this record has no say.
    #[serde(skip_serializing_if = "is_here", default)]
    pub elsewhere: Elsewhere,
    /// Channels, by [`Channel::index`], that the number does not have at Twilio: a hosted number has its calls where
    /// they always were.
    #[serde(skip_serializing_if = "is_none", default)]
    pub lacks: [bool; 2],
    /// Channels of which is not known who answers: what the record refers to could not be read.
    #[serde(skip_serializing_if = "is_none", default)]
    pub unread: [bool; 2],
    /// Channels whose application, trunk or Messaging Service is not there: Twilio has nothing of this SID.
    #[serde(skip_serializing_if = "is_none", default)]
    pub gone: [bool; 2],
}

fn is_none(channels: &[bool; 2]) -> bool {
    *channels == [false; 2]
}

fn is_here(elsewhere: &Elsewhere) -> bool {
    elsewhere.iter().all(Option::is_none)
}

/// By [`Channel::index`], the region that processes the channel, if it is another than ours.
pub type Elsewhere = [Option<String>; 2];

/// A TwiML application, with its URLs once they were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    pub sid: ApplicationSid,
    pub voice_url: Option<FieldValue>,
    pub voice_fallback_url: Option<FieldValue>,
    pub sms_url: Option<FieldValue>,
    pub sms_fallback_url: Option<FieldValue>,
    pub status_callback: Option<FieldValue>,
    /// It was read: what is not set here is not set there.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_read: bool,
}

/// A Messaging Service, as far as it decides who gets a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub sid: ServiceSid,
    pub inbound_url: Option<FieldValue>,
    pub fallback_url: Option<FieldValue>,
    /// `use_inbound_webhook_on_number`: the number's own URL is used.
    pub defers_to_number: bool,
}

/// What serves a channel.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Handler {
    Trunk(TrunkSid),
    Application(ApplicationSid),
    Url(FieldValue),
    Service(ServiceSid),
    /// Whatever is set up in another region.
    Region(String),
    Fax,
    /// The number does not have the channel at Twilio.
    Lacking,
    /// Nobody: calls fail at once and leave no diagnostics, messages are lost.
    Nobody,
}

impl Handler {
    /// True if this is the webhook at `url`, however Twilio spells it: what we wrote is what is read back. Whoever asks
    /// where a number leads asks [`NumberRecord::leads_to`].
    pub fn is_url(&self, url: &str) -> bool {
        match self {
            Handler::Url(own) => {
                let own = own.whole();
                own == url || is_same_webhook(own, url) && query(own) == query(url)
            }
            Handler::Trunk(_)
            | Handler::Application(_)
            | Handler::Service(_)
            | Handler::Region(_)
            | Handler::Fax
            | Handler::Lacking
            | Handler::Nobody => false,
        }
    }
}

/// A URL's query, which a bin's template may need.
fn query(url: &str) -> Option<&str> {
    url.split('#').next().and_then(|u| u.split_once('?')).map(|(_, q)| q)
}

impl fmt::Display for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Handler::Trunk(sid) => write!(f, "trunk {sid}"),
            Handler::Application(sid) => write!(f, "application {sid}"),
            Handler::Url(url) => write!(f, "{url}"),
            Handler::Service(sid) => write!(f, "messaging service {sid}"),
            Handler::Region(name) => write!(f, "region {name}"),
            Handler::Fax => f.write_str("fax"),
            Handler::Lacking => f.write_str("not at Twilio"),
            Handler::Nobody => f.write_str("nobody"),
        }
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a channel's handler cannot be swapped by writing to the number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CannotSwap {
    #[error(
        "{number} is in messaging service {service}, whose own webhook wins over the number's: set \
         use_inbound_webhook_on_number on the service, which affects all its numbers, or change the service's \
         inbound_request_url"
    )]
    ServiceWins { number: E164, service: ServiceSid },
    #[error(
        "region {region} processes {channel} of {number}, and what is written here has no say there: move it to this \
         region (Routes API), or swap it there"
    )]
    AnotherRegion { number: E164, channel: Channel, region: String },
    #[error(
        "{number} has no {channel} at Twilio, which a hosted or restricted number need not have: take {channel} out of \
         its channels"
    )]
    Lacking { number: E164, channel: Channel },
}

impl NumberRecord {
    /// Who answers `channel`.
    pub fn handler(&self, channel: Channel) -> Handler {
        if self.lacks[channel.index()] {
            return Handler::Lacking;
        }
        if let Some(region) = &self.elsewhere[channel.index()] {
            return Handler::Region(region.clone());
        }
        match channel {
            Channel::Voice => {
                if let Some(sid) = self.trunk {
                    Handler::Trunk(sid)
                } else if self.fax {
                    Handler::Fax
                } else if let Some(app) = &self.voice_application {
                    Handler::Application(app.sid)
                } else {
                    self.voice_url.clone().map_or(Handler::Nobody, Handler::Url)
                }
            }
            Channel::Messaging => {
                if let Some(service) = self.service.as_ref().filter(|s| !s.defers_to_number) {
                    Handler::Service(service.sid)
                } else if let Some(app) = &self.sms_application {
                    Handler::Application(app.sid)
                } else {
                    self.sms_url.clone().map_or(Handler::Nobody, Handler::Url)
                }
            }
        }
    }

    /// Takes over from what was read `earlier` what could not be read now, as far as it is of the same things.
    pub fn keep_of(&mut self, earlier: &NumberRecord) {
        let keep = |now: &mut Option<Application>, then: &Option<Application>| {
            let is_same = now.as_ref().map(|a| a.sid) == then.as_ref().map(|a| a.sid);
            if is_same {
                now.clone_from(then);
            }
            is_same
        };
        let [voice, messaging] = &mut self.unread;
        if *voice && !earlier.unread[0] {
            *voice = !keep(&mut self.voice_application, &earlier.voice_application);
            self.gone[0] |= !*voice && earlier.gone[0];
        }
        if *messaging && !earlier.unread[1] {
            *messaging = !keep(&mut self.sms_application, &earlier.sms_application);
            self.service = self.service.take().or_else(|| earlier.service.clone());
            self.gone[1] |= !*messaging && earlier.gone[1];
        }
    }

    /// The webhook that answers `channel`: the number's, its application's or its Messaging Service's.
    pub fn answering_url(&self, channel: Channel) -> Option<&str> {
        match self.handler(channel) {
            Handler::Url(_) | Handler::Application(_) | Handler::Service(_) => self.webhooks(channel)[0],
            Handler::Trunk(_) | Handler::Region(_) | Handler::Fax | Handler::Lacking | Handler::Nobody => None,
        }
    }

    /// True if an application or a Messaging Service has the channel, and is known to have no webhook for it. Calls
    /// fail then, and a service without one does not receive messages at all.
    pub fn has_empty_handler(&self, channel: Channel) -> bool {
        let application = match channel {
            Channel::Voice => &self.voice_application,
            Channel::Messaging => &self.sms_application,
        };
        let is_known = match self.handler(channel) {
            Handler::Application(_) => application.as_ref().is_some_and(|a| a.is_read),
            Handler::Service(_) => true,
            Handler::Trunk(_)
            | Handler::Url(_)
            | Handler::Region(_)
            | Handler::Fax
            | Handler::Lacking
            | Handler::Nobody => false,
        };
        is_known && self.answering_url(channel).is_none()
    }

    /// True if a webhook of Twilio's demo answers `channel`, as it does on a new number until somebody sets another.
    pub fn is_demo(&self, channel: Channel) -> bool {
        self.answering_url(channel).is_some_and(|url| DEMO.contains(&origin(url).as_str()))
    }

    /// True if what answers `channel` is `fallback`, whoever wrote it there and in which spelling: on the number, on
    /// its application or on its Messaging Service.
    pub fn leads_to(&self, channel: Channel, fallback: &str) -> bool {
        self.answering_url(channel).is_some_and(|url| is_same_fallback(fallback, url))
    }

    /// The URLs whose failure is a failure of this channel: the first is the primary, the second
    /// the number's own fallback.
    pub fn webhooks(&self, channel: Channel) -> [Option<&str>; 2] {
        match channel {
            Channel::Voice => match &self.voice_application {
                Some(app) => [whole(&app.voice_url), whole(&app.voice_fallback_url)],
                None => [whole(&self.voice_url), whole(&self.voice_fallback_url)],
            },
            Channel::Messaging => match (&self.service, &self.sms_application) {
                (Some(s), _) if !s.defers_to_number => [whole(&s.inbound_url), whole(&s.fallback_url)],
                (_, Some(app)) => [whole(&app.sms_url), whole(&app.sms_fallback_url)],
                (_, None) => [whole(&self.sms_url), whole(&self.sms_fallback_url)],
            },
        }
    }

    /// Where is told what became of the channel's calls or messages: the number's own, and its application's.
    pub fn status_callbacks(&self, channel: Channel) -> [Option<&str>; 2] {
        let application = match channel {
            Channel::Voice => &self.voice_application,
            Channel::Messaging => &self.sms_application,
        };
        [whole(&self.status_callback), application.as_ref().and_then(|a| whole(&a.status_callback))]
    }

    /// The parameters of the update that makes `fallback` answer `channel`, in one request.
    ///
    /// Nothing is sent that need not change. What would win over the URL is cleared, which Twilio
    /// spells as the empty string.
    pub fn swap(&self, channel: Channel, fallback: &str) -> Result<UpdateParams, CannotSwap> {
        let mut form = UpdateParams::new();
        let mut set = |name: &str, value: &str| form.push((name.to_owned(), value.into()));
        if self.lacks[channel.index()] {
            return Err(CannotSwap::Lacking { number: self.number, channel });
        }
        if let Some(region) = &self.elsewhere[channel.index()] {
            return Err(CannotSwap::AnotherRegion { number: self.number, channel, region: region.clone() });
        }
        match channel {
            Channel::Voice => {
                if self.trunk.is_some() {
                    set("TrunkSid", "");
                }
                if self.voice_application.is_some() {
                    set("VoiceApplicationSid", "");
                }
                if self.fax {
                    set("VoiceReceiveMode", "voice");
                }
                set("VoiceUrl", fallback);
            }
            Channel::Messaging => {
                if let Handler::Service(service) = self.handler(channel) {
                    return Err(CannotSwap::ServiceWins { number: self.number, service });
                }
                if self.sms_application.is_some() {
                    set("SmsApplicationSid", "");
                }
                set("SmsUrl", fallback);
            }
        }
        Ok(form)
    }
}

/// For comparisons.
fn whole(value: &Option<FieldValue>) -> Option<&str> {
    value.as_ref().map(FieldValue::whole)
}

/// Scheme and host of a URL in lower case, and its path. Left out is what may be secret or a
/// caller's number, or differs between two writings of one address: user and password, the port that
/// goes without saying, the dot at the end of a host's name, blanks around it, query and fragment.
fn parts(url: &str) -> (String, &str) {
    let url = url.trim().split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |i| i + 3));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host).to_ascii_lowercase();
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "https://" => ":443",
        "http://" => ":80",
        _ => "",
    };
    let host = host.strip_suffix(port).unwrap_or(&host);
    let (name, port) = host.split_at(host.rfind(':').unwrap_or(host.len()));
    (scheme + name.strip_suffix('.').unwrap_or(name) + port, path)
}

/// Scheme and host of a URL.
fn origin(url: &str) -> String {
    parts(url).0
}

/// Scheme, host and path of a URL, for comparisons: a path may have secrets in it.
pub fn address(url: &str) -> String {
    let (origin, path) = parts(url);
    origin + path
}

/// A URL of ours for people, without what may be secret, and no word of what is left out after its path.
pub fn bare(url: &str) -> String {
    redact::secrets::shown_url(url.split(['?', '#']).next().unwrap_or_default())
}

/// A URL that Twilio names, for the store: whatever of it may be a caller's is left out. It is still told from
/// others by [`is_same_webhook`].
pub fn kept(url: &str, ours: &Roster) -> String {
    redact::kept(&address(url), ours).into_owned()
}

/// True if Twilio's request to `requested` was one to the webhook `configured`.
///
/// The query is left out: on GET Twilio appends the call's parameters to it. The fragment holds
/// Twilio's connection overrides, which never reach the server. User and password are sent as a
/// header. Scheme and host compare without case. Of `requested` there may be only what is [`kept`].
pub fn is_same_webhook(configured: &str, requested: &str) -> bool {
    let base = |url: &str| {
        let mut address = address(url);
        address.truncate(address.trim_end_matches('/').len());
        address
    };
    let (configured, requested) = (base(configured), base(requested));
    configured == requested || redact::is_kept_of(&requested, &configured)
}

/// True if Twilio's request to `requested` was one to our fallback, or may be to what is configured elsewhere.
///
/// A TwiML Bin answers by its path alone, over http as over https. Whoever else answers a fallback's address may tell
/// these apart, as far as [`is_same_webhook`] does.
pub fn is_fallback(fallback: &str, requested: &str) -> bool {
    let secure = |url: &str| {
        let address = address(url);
        address.strip_prefix("http://").map_or(address.clone(), |rest| format!("https://{rest}"))
    };
    let is_bin = || secure(fallback).starts_with(&format!("https://{BIN_HOST}{BIN_PATH}"));
    is_same_webhook(fallback, requested) || is_bin() && is_same_webhook(&secure(fallback), &secure(requested))
}

/// True if `configured` leads where our fallback does. The query says what to answer, to a bin's template as well; a
/// bin that is used without one has no such template.
pub fn is_same_fallback(fallback: &str, configured: &str) -> bool {
    let is_plain = || parts(fallback).0.ends_with(&format!("//{BIN_HOST}")) && query(fallback).is_none();
    is_fallback(fallback, configured) && (is_plain() || query(fallback) == query(configured))
}

/// True if two addresses are on one host, with either scheme, which is none of Twilio's own.
pub fn is_same_host(one: &str, other: &str) -> bool {
    let host = |url: &str| origin(url).rsplit("://").next().map(str::to_owned).filter(|h| !h.is_empty());
    let is_twilios =
        |host: &str| host.strip_suffix(API_DOMAIN).is_some_and(|name| name.is_empty() || name.ends_with('.'));
    host(one).is_some_and(|one| !is_twilios(&one) && host(other) == Some(one))
}

#[cfg(test)]
pub(crate) mod tests;
