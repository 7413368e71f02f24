//! What it takes to make a number's handler what the file asks for.
//!
//! [`compare`] holds a number's record against what is wanted of one channel, and gives the update that makes it so:
//! only what differs is in it, `null` and `""` are alike, and whatever would win over the handler that is wanted is
//! cleared with it. One such update is enough: what Twilio clears by itself is in it too, so that a restore knows of
//! it. Where no write to the number can make it so, that is said instead ([`CannotApply`]).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::record::{Handler, NumberRecord, Service};
use super::values::{RoutingValues, SERVICE, fields};
use crate::model::foreign::Line;
use crate::model::handler::{WantedHandler, WantedTarget};
use crate::model::id::{Channel, ServiceSid};
use crate::model::order::UpdateParams;
use crate::model::value::FieldValue;

/// What is to be done with one channel of one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    AsWanted,
    /// The update that makes it so.
    Differs(UpdateParams),
    Cannot(CannotApply),
    /// The application to which it is handed over has set its own handler: it is theirs.
    HandedOver(Line),
}

/// Why no write to the number makes its handler what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CannotApply {
    #[error("it is on the group's fallback: put it back with `ringback restore` first, or point it elsewhere by hand")]
    OnFallback,
    #[error("it has no {0} at Twilio, which a hosted or restricted number need not have: take {0} out of its channels")]
    Lacking(Channel),
    #[error("region {0} processes it, and what is written here has no say there: move it to this region (Routes API)")]
    AnotherRegion(String),
    #[error(
        "messaging service {0} has its own webhook, which wins over the number's: set use_inbound_webhook_on_number on \
         the service, which affects all its numbers, or its inbound_request_url"
    )]
    ServiceWins(ServiceSid),
    #[error(
        "it is in messaging service {is}, and messaging service {wanted} is wanted: a number is in one alone, and is \
         taken out by hand, for that ends its place in a campaign"
    )]
    OtherService { is: ServiceSid, wanted: ServiceSid },
    #[error("there is no messaging service {0} in the account")]
    NoService(ServiceSid),
    #[error(
        "messaging service {0} has no inbound_request_url and does not defer to the number: in it messages would vanish; \
         set one of the two on the service"
    )]
    ServiceDrops(ServiceSid),
    #[error("{0} needs {1} beside it, which the number does not have (Twilio's 21405, 21406): name it too")]
    FallbackAlone(&'static str, &'static str),
}

/// One field that is to be changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FieldChange {
    /// The parameter of the update, such as `VoiceUrl`.
    pub field: &'static str,
    pub from: FieldValue,
    pub to: FieldValue,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FieldChange { field, from, to } = self;
        let text = |value: &FieldValue| if value.is_empty() { "(empty)".to_owned() } else { value.to_string() };
        write!(f, "{field} {} → {}", text(from), text(to))?;
        if from != to && from.to_string() == to.to_string() {
            f.write_str(" (they differ in what is not shown)")?;
        }
        Ok(())
    }
}

/// The fields that `update` changes, in the order in which Twilio lists them.
pub fn changes(now: &RoutingValues, update: &UpdateParams) -> Vec<FieldChange> {
    let after = now.after(update);
    let both = |parameter| Some((now.of(parameter)?.clone(), after.of(parameter)?.clone()));
    fields(now.channel())
        .iter()
        .filter_map(|f| {
            let (from, to) = both(f.parameter)?;
            (from != to).then_some(FieldChange { field: f.parameter, from, to })
        })
        .collect()
}

/// Holds a number's `record`, whose routing is `now`, against what is `wanted`. `fallback`: where a rollback of its
/// group points the channel. `service`: the Messaging Service that is wanted, if there is such a one.
pub fn compare(
    record: &NumberRecord,
    now: &RoutingValues,
    wanted: &WantedHandler,
    fallback: Option<&str>,
    service: Option<&Service>,
) -> Comparison {
    let channel = now.channel();
    if wanted.is_empty() {
        return Comparison::AsWanted;
    }
    let is_on_fallback = || fallback.is_some_and(|url| record.leads_to(channel, url));
    let found = compare_fields(record, now, wanted, fallback, service);
    let owner = wanted.owner.as_ref().filter(|owner| owner.answers(record, channel) && !is_on_fallback());
    match owner.filter(|_| found != Comparison::AsWanted) {
        Some(owner) => Comparison::HandedOver(owner.name.clone()),
        None => found,
    }
}

fn compare_fields(
    record: &NumberRecord,
    now: &RoutingValues,
    wanted: &WantedHandler,
    fallback: Option<&str>,
    service: Option<&Service>,
) -> Comparison {
    let channel = now.channel();
    if let Some(cannot) = stands_against(record, channel, wanted, fallback, service) {
        return Comparison::Cannot(cannot);
    }
    let update: UpdateParams = form(channel, wanted)
        .into_iter()
        .filter(|(name, value)| now.of(name).is_some_and(|is| !is_as(name, is, value)))
        .collect();
    let after = now.after(&update);
    let is_set = |name: &str| after.of(name).is_some_and(|v| !v.is_empty());
    let (own, beside) = own_urls(channel);
    if update.iter().any(|(name, _)| name == beside) && is_set(beside) && !is_set(own) {
        return Comparison::Cannot(CannotApply::FallbackAlone(beside, own));
    }
    if update.is_empty() { Comparison::AsWanted } else { Comparison::Differs(update) }
}

/// Parameters of the number's own URL, and of the one beside it.
const fn own_urls(channel: Channel) -> (&'static str, &'static str) {
    match channel {
        Channel::Voice => ("VoiceUrl", "VoiceFallbackUrl"),
        Channel::Messaging => ("SmsUrl", "SmsFallbackUrl"),
    }
}

fn stands_against(
    record: &NumberRecord,
    channel: Channel,
    wanted: &WantedHandler,
    fallback: Option<&str>,
    service: Option<&Service>,
) -> Option<CannotApply> {
    if record.lacks[channel.index()] {
        return Some(CannotApply::Lacking(channel));
    }
    if fallback.is_some_and(|url| record.leads_to(channel, url)) {
        return Some(CannotApply::OnFallback);
    }
    if let Some(region) = &record.elsewhere[channel.index()] {
        return Some(CannotApply::AnotherRegion(region.clone()));
    }
    match channel {
        Channel::Voice => None,
        Channel::Messaging => {
            let is = record.service.as_ref().map(|s| s.sid);
            match (wanted.service, is) {
                (Some(sid), None) => return cannot_join(sid, wanted, service),
                (Some(wanted), Some(is)) if is != wanted => return Some(CannotApply::OtherService { is, wanted }),
                (Some(_), Some(_)) | (None, _) => {}
            }
            // A service that answers by itself is what is wanted, unless something on the number is.
            match record.handler(channel) {
                Handler::Service(service) if wanted.target.is_some() => Some(CannotApply::ServiceWins(service)),
                Handler::Service(_)
                | Handler::Trunk(_)
                | Handler::Application(_)
                | Handler::Url(_)
                | Handler::Region(_)
                | Handler::Fax
                | Handler::Lacking
                | Handler::Nobody => None,
            }
        }
    }
}

/// What stands against putting a number into a service that it is to be in.
fn cannot_join(sid: ServiceSid, wanted: &WantedHandler, service: Option<&Service>) -> Option<CannotApply> {
    match service {
        None => Some(CannotApply::NoService(sid)),
        Some(s) if s.defers_to_number => None,
        Some(_) if wanted.target.is_some() => Some(CannotApply::ServiceWins(sid)),
        Some(s) if s.inbound_url.is_none() => Some(CannotApply::ServiceDrops(sid)),
        Some(_) => None,
    }
}

/// Everything that is to be so, with what must be clear for it.
fn form(channel: Channel, wanted: &WantedHandler) -> UpdateParams {
    let mut form = UpdateParams::new();
    let mut set = |name: &str, value: FieldValue| form.push((name.to_owned(), value));
    let empty = || FieldValue::from("");
    let (url, application, method, beside) = match channel {
        Channel::Voice => ("VoiceUrl", "VoiceApplicationSid", "VoiceMethod", "VoiceFallbackUrl"),
        Channel::Messaging => ("SmsUrl", "SmsApplicationSid", "SmsMethod", "SmsFallbackUrl"),
    };
    let is_voice = channel == Channel::Voice;
    match &wanted.target {
        Some(WantedTarget::Url(wanted)) => {
            if is_voice {
                set("TrunkSid", empty());
                set("VoiceReceiveMode", "voice".into());
            }
            set(application, empty());
            set(url, wanted.clone());
        }
        Some(WantedTarget::Application(sid)) => {
            if is_voice {
                set("TrunkSid", empty());
                set("VoiceReceiveMode", "voice".into());
            }
            set(application, sid.to_string().into());
        }
        Some(WantedTarget::Trunk(sid)) => {
            set("TrunkSid", sid.to_string().into());
            set(application, empty());
        }
        None => {}
    }
    if let Some(wanted) = wanted.method {
        set(method, wanted.label().into());
    }
    if let Some(wanted) = &wanted.fallback_url {
        set(beside, wanted.clone());
    }
    if let Some(wanted) = &wanted.status_callback {
        set("StatusCallback", wanted.clone());
    }
    // Whoever is in another one was turned away before.
    if let Some(sid) = wanted.service {
        set(SERVICE, sid.to_string().into());
    }
    form
}

/// True if a field that has `is` need not be written to have `wanted`. Twilio's default of a method is POST.
fn is_as(name: &str, is: &FieldValue, wanted: &FieldValue) -> bool {
    let is_method = name.ends_with("Method");
    is == wanted || is_method && (is.whole().eq_ignore_ascii_case(wanted.whole()) || is.is_empty() && wanted == "POST")
}

#[cfg(test)]
mod tests;
