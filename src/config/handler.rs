//! `[group.handler]`: what `plan` compares the numbers with, and `apply` makes true.
//!
//! Only what is named is asked for. What contradicts itself, or would be without effect, is a fault here: Twilio takes
//! most of it and lets one of the two win.

use super::owner;
use super::section::{Located, Section};
use super::webhook::read_webhook;
use crate::core::model::handler::{WantedHandler, WantedTarget, WebhookMethod};
use crate::core::model::id::{ApplicationSid, Channel, ServiceSid, TrunkSid};
use crate::core::model::value::FieldValue;
use crate::core::routing::record::is_same_fallback;

/// Reads what is asked of each channel. `fallback`: where the group's rollbacks lead.
pub fn read(mut s: Section<'_>, fallback: &[Option<String>; 2]) -> [WantedHandler; 2] {
    let voice = read_voice(&mut s);
    let messaging = read_messaging(&mut s);
    let owner = owner::read(&mut s, fallback);
    let handler = [voice, messaging].map(|handler| WantedHandler { owner: owner.clone(), ..handler });
    for channel in Channel::ALL {
        let (Some(WantedTarget::Url(url)), Some(fallback)) =
            (&handler[channel.index()].target, &fallback[channel.index()])
        else {
            continue;
        };
        if is_same_fallback(fallback, url.whole()) {
            let key = s.key(url_key(channel));
            let text = format!(
                "{key} leads to the group's fallback: a rollback would change nothing; name the handler that serves callers"
            );
            s.faults().at(s.span(), text);
        }
    }
    s.finish();
    handler
}

const fn url_key(channel: Channel) -> &'static str {
    match channel {
        Channel::Voice => "voice_url",
        Channel::Messaging => "sms_url",
    }
}

fn read_voice(s: &mut Section<'_>) -> WantedHandler {
    let url = read_webhook(s, "voice_url").map(FieldValue::from);
    let application = sid::<ApplicationSid>(s, "voice_application_sid");
    let trunk = sid::<TrunkSid>(s, "trunk_sid");
    let named = ["trunk_sid", "voice_application_sid", "voice_url"];
    only_one(s, &named, "Twilio takes the first of them alone, in this order");
    belongs_to_url(s, &["voice_method", "voice_fallback_url"], &named[..2]);
    WantedHandler {
        target: trunk
            .map(WantedTarget::Trunk)
            .or(application.map(WantedTarget::Application))
            .or(url.map(WantedTarget::Url)),
        method: method(s, "voice_method"),
        fallback_url: read_webhook(s, "voice_fallback_url").map(FieldValue::from),
        status_callback: read_webhook(s, "status_callback").map(FieldValue::from),
        service: None,
        owner: None,
    }
}

fn read_messaging(s: &mut Section<'_>) -> WantedHandler {
    let url = read_webhook(s, "sms_url").map(FieldValue::from);
    let application = sid::<ApplicationSid>(s, "sms_application_sid");
    let named = ["sms_application_sid", "sms_url"];
    only_one(s, &named, "Twilio takes the application alone");
    belongs_to_url(s, &["sms_method", "sms_fallback_url"], &named[..1]);
    WantedHandler {
        target: application.map(WantedTarget::Application).or(url.map(WantedTarget::Url)),
        method: method(s, "sms_method"),
        fallback_url: read_webhook(s, "sms_fallback_url").map(FieldValue::from),
        status_callback: None,
        service: sid::<ServiceSid>(s, "messaging_service_sid"),
        owner: None,
    }
}

fn sid<T: std::str::FromStr<Err: std::fmt::Display>>(s: &mut Section<'_>, key: &'static str) -> Option<T> {
    s.parse::<T>(key).map(|Located { value, .. }| value)
}

fn method(s: &mut Section<'_>, key: &'static str) -> Option<WebhookMethod> {
    s.choice(key, &WebhookMethod::ALL.map(|m| (m.label(), m)))
}

/// At most one of these may answer.
fn only_one(s: &Section<'_>, keys: &[&str], why: &str) {
    let named: Vec<String> = keys.iter().filter(|key| s.has(key)).map(|key| s.key(key)).collect();
    if named.len() > 1 {
        let text = format!("{} contradict each other: {why}; leave in the one that is to answer", named.join(" and "));
        s.faults().at(s.span(), text);
    }
}

/// What stands beside the number's own URL is without effect where something else answers.
fn belongs_to_url(s: &Section<'_>, keys: &[&str], over: &[&str]) {
    let Some(winner) = over.iter().find(|key| s.has(key)) else { return };
    for key in keys.iter().filter(|key| s.has(key)) {
        let (key, winner) = (s.key(key), s.key(winner));
        let text = format!("{key} is without effect beside {winner}: take one of them out");
        s.faults().at(s.span(), text);
    }
}
