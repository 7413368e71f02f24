//! Entries of Twilio's logs: calls, messages, alerts, and who changed what.

use serde::Deserialize;

use super::{BadRow, Listed, Reader, Text, WireRow, first_date, optional_date, optional_sid, sid};
use crate::core::detect::observation::{Alert, Call, CallStatus, Direction, Leg, Level, Message, MessageStatus, lower};
use crate::core::model::bounds;
use crate::core::model::code::Code;
use crate::core::model::facts::is_keyword;
use crate::core::model::foreign::Line;
use crate::core::model::id::{BadId, E164, NumberSid, Resource, ServiceSid};
use crate::core::model::redact::told;
use crate::core::model::time::Time;
use crate::core::routing::record::kept;

/// What a row says went wrong. What is said in words alone, or in what is no number, is an error all the same; the
/// words are nobody's business.
fn error(code: &Text<'_>, message: &Text<'_>) -> Option<Code> {
    let of_row = code.get().filter(|c| c.trim() != "0").map(|_| super::code(code));
    of_row.or_else(|| message.get().filter(|m| !m.trim().is_empty()).map(|_| Code::UNNAMED))
}

#[derive(Deserialize)]
pub struct RawCall<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    account_sid: Text<'a>,
    #[serde(borrow, default)]
    parent_call_sid: Text<'a>,
    #[serde(borrow, default)]
    to: Text<'a>,
    #[serde(borrow, default)]
    from: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    direction: Text<'a>,
    #[serde(borrow, default)]
    start_time: Text<'a>,
    #[serde(borrow, default)]
    end_time: Text<'a>,
    #[serde(borrow, default)]
    date_created: Text<'a>,
    #[serde(borrow, default)]
    duration: Text<'a>,
    #[serde(borrow, default)]
    error_code: Text<'a>,
    #[serde(borrow, default)]
    error_message: Text<'a>,
    #[serde(borrow, default)]
    forwarded_from: Text<'a>,
    #[serde(borrow, default)]
    phone_number_sid: Text<'a>,
}

impl RawCall<'_> {
    /// A call of a device with Twilio's Voice SDK, or of an agent's browser, which reached an application and no
    /// number.
    fn is_softphones(&self) -> bool {
        let is_none = |text: &Text<'_>| text.get().is_none_or(|t| t.trim().is_empty());
        let is_client = || self.from.get().is_some_and(|from| lower(from).starts_with("client:"));
        is_none(&self.to) && is_none(&self.phone_number_sid) && is_client()
    }
}

impl RawCall<'_> {
    /// Which of our numbers was called: by `to`, and where that does not say, by its SID.
    fn reached(&self, reader: Reader<'_>) -> Result<Option<E164>, BadRow> {
        match reader.ours("to", &self.to) {
            Ok(Some(number)) => Ok(Some(number)),
            unsaid => match self.phone_number_sid.get().and_then(|sid| reader.sids.number(sid)) {
                Some(number) if reader.is_ours(number) => Ok(Some(number)),
                Some(_) | None => unsaid,
            },
        }
    }
}

pub struct Calls;

impl Listed for Calls {
    const KEY: &'static str = "calls";
    const OF: &'static [&'static str] = &["to", "from"];
    const IS_LOG: bool = true;
    type Raw<'a> = RawCall<'a>;
    type Item = Call;

    fn convert(raw: &RawCall<'_>, reader: Reader<'_>) -> Result<WireRow<Call>, BadRow> {
        let sid = sid("sid", &raw.sid)?;
        let started_at = first_date(("start_time", &raw.start_time), ("date_created", &raw.date_created))?;
        let leg = match raw.direction.get().map(lower).as_deref() {
            // Somebody calls out with a softphone: a call of its own, which is to no number.
            Some("inbound") if raw.is_softphones() => return Ok(WireRow::NotOurs(started_at)),
            Some("inbound" | "trunking-originating") => match raw.reached(reader)? {
                Some(number) => Leg::Inbound { number, caller: reader.party(&raw.from) },
                None => return Ok(WireRow::NotOurs(started_at)),
            },
            Some("outbound-dial") => match optional_sid("parent_call_sid", &raw.parent_call_sid)? {
                Some(parent) => Leg::Child { parent },
                None => return Err(BadRow::new("parent_call_sid", "is missing of a leg that was dialled")),
            },
            // Nobody called us.
            Some("outbound-api" | "trunking-terminating") => return Ok(WireRow::NotOurs(started_at)),
            Some(other) => match reader.ours("to", &raw.to)? {
                Some(_) => return Err(BadRow::new("direction", format!("{other:?} of a call to one of our numbers"))),
                None => return Ok(WireRow::NotOurs(started_at)),
            },
            None => return Err(BadRow::new("direction", "is missing")),
        };
        let started_at =
            started_at.ok_or_else(|| BadRow::new("start_time", "neither start_time nor date_created is set"))?;
        let duration = raw
            .duration
            .get()
            .map(|d| d.parse().map_err(|_| BadRow::new("duration", format!("{d:?} is not a number of seconds"))))
            .transpose()?;
        reader.own(&raw.account_sid)?;
        Ok(WireRow::Ours(Call {
            sid,
            leg,
            status: CallStatus::from_wire(raw.status.get().unwrap_or("")),
            started_at,
            ended_at: optional_date("end_time", &raw.end_time)?,
            duration,
            error: error(&raw.error_code, &raw.error_message),
            forwarded_from: raw.forwarded_from.get().and_then(|n| reader.number(n)).filter(|n| reader.is_ours(*n)),
        }))
    }

    fn time(call: &Call) -> Option<Time> {
        Some(call.started_at)
    }
}

#[derive(Deserialize)]
pub struct RawMessage<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    account_sid: Text<'a>,
    #[serde(borrow, default)]
    to: Text<'a>,
    #[serde(borrow, default)]
    from: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    direction: Text<'a>,
    #[serde(borrow, default)]
    date_sent: Text<'a>,
    #[serde(borrow, default)]
    date_created: Text<'a>,
    #[serde(borrow, default)]
    error_code: Text<'a>,
    #[serde(borrow, default)]
    error_message: Text<'a>,
    #[serde(borrow, default)]
    messaging_service_sid: Text<'a>,
    #[serde(borrow, default)]
    body: Text<'a>,
}

pub struct Messages;

impl Listed for Messages {
    const KEY: &'static str = "messages";
    const OF: &'static [&'static str] = &["to", "from"];
    const IS_LOG: bool = true;
    type Raw<'a> = RawMessage<'a>;
    type Item = Message;

    fn convert(raw: &RawMessage<'_>, reader: Reader<'_>) -> Result<WireRow<Message>, BadRow> {
        let sid = sid("sid", &raw.sid)?;
        let (direction, ours, other) = match raw.direction.get().map(lower).as_deref() {
            Some("inbound") => (Direction::Inbound, &raw.to, &raw.from),
            Some("outbound-reply") => (Direction::Reply, &raw.from, &raw.to),
            Some("outbound-api" | "outbound-call") => (Direction::Outbound, &raw.from, &raw.to),
            // A word that Twilio has invented: whose it is can still be told.
            Some(other) => {
                let is_ours = |field, text| reader.ours(field, text).is_ok_and(|number| number.is_some());
                if is_ours("to", &raw.to) || is_ours("from", &raw.from) {
                    return Err(BadRow::new("direction", format!("{other:?} of a message of one of our numbers")));
                }
                let sent_at = first_date(("date_sent", &raw.date_sent), ("date_created", &raw.date_created))?;
                return Ok(WireRow::NotOurs(sent_at));
            }
            None => return Err(BadRow::new("direction", "is missing")),
        };
        let sent_at = first_date(("date_sent", &raw.date_sent), ("date_created", &raw.date_created))?;
        let field = if direction == Direction::Inbound { "to" } else { "from" };
        let status = MessageStatus::from_wire(raw.status.get().unwrap_or(""));
        let number = match reader.ours(field, ours) {
            Ok(number) => number,
            // A Messaging Service chooses the sender when its turn comes.
            Err(_) if direction == Direction::Outbound && ours.get().is_none() => None,
            Err(bad) => return Err(bad),
        };
        // A service may stand where its sender will.
        let named = ours.get().filter(|from| from.starts_with("MG")).and_then(|from| from.parse::<ServiceSid>().ok());
        let service = optional_sid("messaging_service_sid", &raw.messaging_service_sid)?.or(named);
        // Another sender of a service may answer for one of ours, and what was refused before there was one is of those
        // that it has; which services are ours is not known here.
        let of_service = || {
            let is_sent = direction == Direction::Outbound && service.is_some();
            let chosen = ours.get().filter(|_| named.is_none());
            let sender = || chosen.map_or(E164::UNASSIGNED, |text| reader.number(text).unwrap_or(E164::NONE));
            (is_sent && reader.party(other).last_two.is_some()).then(sender)
        };
        let Some(number) = number.or_else(of_service) else {
            return Ok(WireRow::NotOurs(sent_at));
        };
        let sent_at = sent_at.ok_or_else(|| BadRow::new("date_sent", "neither date_sent nor date_created is set"))?;
        reader.own(&raw.account_sid)?;
        Ok(WireRow::Ours(Message {
            sid,
            number,
            party: reader.party(other),
            direction,
            status,
            sent_at,
            error: error(&raw.error_code, &raw.error_message),
            service,
            is_keyword: direction == Direction::Inbound && raw.body.get().is_some_and(is_keyword),
        }))
    }

    fn time(message: &Message) -> Option<Time> {
        Some(message.sent_at)
    }
}

#[derive(Deserialize)]
pub struct RawAlert<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    account_sid: Text<'a>,
    #[serde(borrow, default)]
    resource_sid: Text<'a>,
    #[serde(borrow, default)]
    error_code: Text<'a>,
    #[serde(borrow, default)]
    log_level: Text<'a>,
    #[serde(borrow, default)]
    request_url: Text<'a>,
    #[serde(borrow, default)]
    alert_text: Text<'a>,
    #[serde(borrow, default)]
    request_variables: Text<'a>,
    #[serde(borrow, default)]
    date_generated: Text<'a>,
    #[serde(borrow, default)]
    date_created: Text<'a>,
}

/// The call or message of a SID, in either case; `None` where it is of something else.
fn subject(text: &Text<'_>) -> Result<Option<Resource>, BadRow> {
    let Some((kind, digits)) = text.get().and_then(|sid| sid.trim().split_at_checked(2)) else { return Ok(None) };
    let bad = |e: BadId| BadRow::new("resource_sid", e);
    match kind.to_ascii_uppercase().as_str() {
        kind @ "CA" => format!("{kind}{digits}").parse().map(|sid| Some(Resource::Call(sid))).map_err(bad),
        kind @ ("SM" | "MM") => format!("{kind}{digits}").parse().map(|sid| Some(Resource::Message(sid))).map_err(bad),
        _ => Ok(None),
    }
}

/// The call or message that a form names, as Twilio's requests do: `CallSid=CA…&To=…`.
fn named(form: &str) -> Option<Resource> {
    let of = |field: &str| form.split(['&', '?']).find_map(|pair| pair.strip_prefix(field)?.strip_prefix('='));
    let call = || of("CallSid")?.parse().ok().map(Resource::Call);
    let message = || of("MessageSid").or_else(|| of("SmsSid"))?.parse().ok().map(Resource::Message);
    call().or_else(message)
}

/// The only call or message whose SID stands anywhere in these texts, whatever they are: a form in a form, JSON, prose.
/// Of two it is not known which is meant.
fn the_only<'t>(texts: impl Iterator<Item = &'t str>) -> Option<Resource> {
    const LONG: usize = 34;
    let mut found = None;
    for text in texts {
        for (i, _) in text.match_indices(['C', 'S', 'M']) {
            let Some(word) = text.get(i..i + LONG) else { continue };
            let resource = word.parse().map(Resource::Call).or_else(|_| word.parse().map(Resource::Message));
            match (resource, found) {
                (Ok(new), None) => found = Some(new),
                (Ok(new), Some(one)) if new != one => return None,
                (Ok(_), Some(_)) | (Err(_), _) => {}
            }
        }
    }
    found
}

/// What answered a request that Twilio made, as an alert's text has it, which is a form: `httpResponse=502`.
fn http_status(form: &str) -> Option<u16> {
    let value = form.split('&').find_map(|pair| pair.strip_prefix("httpResponse="))?;
    value.parse().ok().filter(|status| (100..600).contains(status))
}

pub struct Alerts;

impl Listed for Alerts {
    const KEY: &'static str = "alerts";
    const IS_LOG: bool = true;
    type Raw<'a> = RawAlert<'a>;
    type Item = Alert;

    fn convert(raw: &RawAlert<'_>, reader: Reader<'_>) -> Result<WireRow<Alert>, BadRow> {
        // It may be empty, or of a number or service; what Twilio had asked, or says in words, names the call then.
        let resource = subject(&raw.resource_sid)?.or_else(|| {
            let texts =
                || [&raw.request_variables, &raw.alert_text, &raw.request_url].into_iter().filter_map(Text::get);
            texts().find_map(named).or_else(|| the_only(texts()))
        });
        let at = first_date(("date_generated", &raw.date_generated), ("date_created", &raw.date_created))?;
        reader.own(&raw.account_sid)?;
        Ok(WireRow::Ours(Alert {
            sid: sid("sid", &raw.sid)?,
            resource,
            number: raw.resource_sid.get().filter(|s| s.starts_with("PN")).and_then(|s| s.parse::<NumberSid>().ok()),
            code: super::code(&raw.error_code),
            level: Level::from_wire(raw.log_level.get().unwrap_or("")),
            // A caller's number may stand in any part of it, and user and password are nobody's business.
            url: raw
                .request_url
                .get()
                .map(|url| kept(&url[..url.floor_char_boundary(bounds::URL_BYTES)], reader.roster).into()),
            http_status: raw.alert_text.get().and_then(http_status),
            at: at.ok_or_else(|| BadRow::new("date_created", "neither date_generated nor date_created is set"))?,
        }))
    }

    fn time(alert: &Alert) -> Option<Time> {
        Some(alert.at)
    }
}

#[derive(Deserialize)]
pub struct RawEvent<'a> {
    #[serde(borrow, default)]
    resource_sid: Text<'a>,
    #[serde(borrow, default)]
    actor_type: Text<'a>,
    #[serde(borrow, default)]
    actor_sid: Text<'a>,
    #[serde(borrow, default)]
    source: Text<'a>,
    #[serde(borrow, default)]
    event_date: Text<'a>,
}

/// Entries of the audit log: of which resource, if it is said, who made them, `user US… by web`, and when, if that is
/// said.
pub struct Events;

impl Listed for Events {
    const KEY: &'static str = "events";
    type Raw<'a> = RawEvent<'a>;
    type Item = (Option<String>, Line, Option<Time>);

    fn convert(raw: &RawEvent<'_>, reader: Reader<'_>) -> Result<WireRow<Self::Item>, BadRow> {
        let text = |t: &Text<'_>| told(t.get().unwrap_or("unknown"), reader.roster);
        let who = format!("{} {} by {}", text(&raw.actor_type), text(&raw.actor_sid), text(&raw.source));
        let at = raw.event_date.get().and_then(|text| super::date(text).ok());
        Ok(WireRow::Ours((raw.resource_sid.owned(), Line::new(&who), at)))
    }
}
