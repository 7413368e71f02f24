//! Requests that make calls and messages, or end them: what Twilio refuses, and what it answers.

use std::sync::Arc;

use super::error::ApiError;
use super::page::Query;
use super::route::{EndpointClass, Route};
use super::view::{ResourceAnswer, ResourceView};
use crate::core::model::id::{CallSid, E164, MessageSid};
use crate::sim::voice::SimSound;
use crate::sim::world::World;
use crate::sim::world::place::PlacedCall;

/// What a request has made or changed.
pub enum Created {
    Call(CallSid),
    Message(MessageSid),
}

/// Twilio's own defaults.
const RINGS: f64 = 60.0;
const LONGEST_CALL: f64 = 14_400.0;

/// A message of this many characters is too long (21617).
const LONGEST_MESSAGE: usize = 1600;

pub fn act(world: &mut World, route: Route<'_>, path: &str, form: &Query) -> Result<Created, ApiError> {
    if route.class == EndpointClass::CallCreate {
        call(world, form)
    } else if route.class == EndpointClass::MessageCreate {
        message(world, form)
    } else {
        hang_up(world, route, path, form)
    }
}

fn refuse<T>(code: u32, message: &str) -> Result<T, ApiError> {
    Err(ApiError::bad_request(code, message))
}

fn number(form: &Query, name: &str, missing: u32, invalid: u32) -> Result<E164, ApiError> {
    let Some(text) = form.get(name) else { return refuse(missing, &format!("No '{name}' number is specified")) };
    text.parse().or_else(|_| refuse(invalid, &format!("'{name}' is not a valid phone number")))
}

/// The caller's index: one of the account's own numbers.
fn from(world: &World, from: E164, not_ours: u32) -> Result<u32, ApiError> {
    let index = world.number_of(from).filter(|i| world.numbers[*i as usize].is_listed(world.now));
    index.map_or_else(|| refuse(not_ours, "The 'From' number is not owned by this account or verified"), Ok)
}

fn seconds(form: &Query, name: &str, most: f64, default: f64) -> Result<f64, ApiError> {
    match form.get(name).map(str::parse::<u32>) {
        None => Ok(default),
        Some(Ok(n)) if n > 0 && f64::from(n) <= most => Ok(f64::from(n)),
        Some(_) => refuse(21208, &format!("'{name}' is invalid")),
    }
}

fn call(world: &mut World, form: &Query) -> Result<Created, ApiError> {
    let to = number(form, "To", 21201, 21211)?;
    let ours = number(form, "From", 21213, 21212)?;
    let index = from(world, ours, 21210)?;
    if ["Url", "Twiml", "ApplicationSid"].iter().all(|name| form.get(name).is_none()) {
        return refuse(21205, "Url parameter is required");
    }
    let rings = seconds(form, "Timeout", 600.0, RINGS)?;
    let longest = seconds(form, "TimeLimit", LONGEST_CALL, LONGEST_CALL)?;
    let twiml = form.get("Twiml").unwrap_or_default();
    if twiml.chars().count() > 4000 {
        return refuse(32018, "Twiml is too long");
    }
    let call = PlacedCall {
        asked_at: world.now,
        turn: world.now,
        from: ours,
        to,
        rings,
        stays: stays(twiml).min(longest),
        records: form.get("Record") == Some("true"),
        is_dual: form.get("RecordingChannels") == Some("dual"),
        trims: form.get("Trim") != Some("do-not-trim"),
        sound: SimSound::Nothing,
        keys: None,
        inbound: Vec::new(),
    };
    world.place_call(index, call).map(Created::Call)
}

/// For how many seconds the caller's own TwiML keeps the line: as long as it pauses. TwiML from elsewhere is
/// taken to stay until the other end hangs up.
fn stays(twiml: &str) -> f64 {
    let Ok(document) = roxmltree::Document::parse(twiml) else { return LONGEST_CALL };
    let pauses = document.descendants().filter(|n| n.has_tag_name("Pause"));
    // Twilio's default is one second.
    pauses.map(|n| n.attribute("length").and_then(|l| l.parse().ok()).unwrap_or(1.0)).sum()
}

fn message(world: &mut World, form: &Query) -> Result<Created, ApiError> {
    let to = number(form, "To", 21604, 21211)?;
    let ours = number(form, "From", 21603, 21212)?;
    from(world, ours, 21606)?;
    if ours == to {
        return refuse(21266, "'To' and 'From' number cannot be the same");
    }
    match form.get("Body") {
        None => refuse(21602, "Message body is required"),
        Some(body) if body.chars().count() > LONGEST_MESSAGE => refuse(21617, "The message body is too long"),
        Some(body) => Ok(Created::Message(world.place_message(ours, to, Arc::from(body)))),
    }
}

fn hang_up(world: &mut World, route: Route<'_>, path: &str, form: &Query) -> Result<Created, ApiError> {
    let sid: CallSid = route.sid.parse().map_err(|_| ApiError::not_found(path))?;
    let only_if_waiting = match form.get("Status") {
        Some("completed") => false,
        Some("canceled") => true,
        Some(_) | None => return refuse(21218, "Only Status=completed and Status=canceled are spoken here"),
    };
    let done = world.hang_up(sid, only_if_waiting).unwrap_or_else(|| Err(ApiError::not_found(path)));
    done.map(|()| Created::Call(sid))
}

impl ResourceView<'_> {
    /// The resource that a request has made or changed, as it stands at once.
    pub fn done(&self, done: Created) -> ResourceAnswer {
        match done {
            Created::Call(sid) => self.call_now(sid),
            Created::Message(sid) => self.message_now(sid),
        }
    }
}
