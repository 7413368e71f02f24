//! A test call through Twilio, from one of the account's numbers.
//!
//! Its own end does nothing but keep the line, and always ends by itself: `Timeout` and `TimeLimit` are set,
//! and its TwiML pauses a little longer than we listen. It is hung up when enough was heard.

use std::time::Duration;

use super::arrive::{Sought, follow};
use super::{Made, ProbeContext, listen, noted, unmeasured};
use crate::agent::execute::read::ReadError;
use crate::core::detect::observation::CallStatus;
use crate::core::model::id::Channel;
use crate::core::model::time::Time;
use crate::core::probe::read::Expected;
use crate::core::probe::{Origin, ProbeAttempt, ProbeFinding, ProbeKind, ProbeSettings, Unmeasured};
use crate::core::routing::history::RoutingState;
use crate::core::routing::record::NumberRecord;
use crate::twilio::Error;
use crate::twilio::probe::{CallForm, CallLeg};

/// Between looks at the call while it is up.
const LOOK: Duration = Duration::from_secs(2);

/// A call that waits for its turn for so long measures the queue and not the number.
const QUEUED: Duration = Duration::from_secs(30);

/// Our end keeps the line for so long beyond what we listen, should nobody hang up.
const BEYOND: Duration = Duration::from_secs(5);

/// A call of these settings can be up for so long after it was asked for.
pub fn longest(settings: &ProbeSettings) -> Duration {
    QUEUED + settings.timeout + settings.time_limit + BEYOND
}

/// What became of the call itself.
enum Ended {
    Over { leg: CallLeg, answered_at: Option<Time>, hung_up: bool },
    Unmeasured(Unmeasured, String),
}

/// Makes a call and reads what it shows.
pub async fn call(cx: &ProbeContext, note: i64) -> Made {
    let started_at = cx.shared.clock.now();
    let attempt = |found, entry, answered_after, detail| ProbeAttempt {
        kind: ProbeKind::Call,
        origin: Origin::Twilio,
        started_at,
        ended_at: cx.shared.clock.now(),
        found,
        entry,
        answered_after,
        detail,
    };
    let error =
        |why, detail| Made { attempt: attempt(ProbeFinding::Error(why), None, None, detail), on_fallback: false };
    let record = match record(cx, Channel::Voice).await {
        Ok(record) => record,
        Err(e) => return error(unmeasured(&e), e.to_string()),
    };
    if let Some(why) = lacking(record.as_ref(), Channel::Voice) {
        return error(Unmeasured::Permission, why);
    }
    let Some(from) = cx.settings.from else { return error(Unmeasured::Permission, String::new()) };
    let to = cx.shared.roster.number(cx.number).id.e164;
    let settings = &cx.settings;
    let keeps = (settings.listen + BEYOND).as_secs();
    let form = CallForm {
        from,
        to,
        twiml: format!("<Response><Pause length=\"{keeps}\"/></Response>"),
        timeout: settings.timeout.as_secs(),
        time_limit: settings.time_limit.as_secs(),
        record: settings.hear.is_on(),
    };
    let (leg, answered_at, hung_up) = match place(cx, &form, note).await {
        Ended::Over { leg, answered_at, hung_up } => (leg, answered_at, hung_up),
        Ended::Unmeasured(why, detail) => return error(why, detail),
    };
    let expected = Expected {
        record: record.as_ref(),
        our_fallback: cx.shared.roster.group_of(cx.number).fallback(Channel::Voice),
        min_duration: settings.min_duration,
        fallback_dials: cx.shared.fallback_dials(cx.number, Channel::Voice),
    };
    let answered_after = answered_at.map(|at| at.since(started_at));
    let on_fallback = expected.is_on_fallback(Channel::Voice);
    let heard = match settings.hear.is_on() {
        true => Some(listen::hear(cx, &leg, note, on_fallback).await),
        false => None,
    };
    if let (Some((ProbeFinding::Success, said)), true) =
        (&heard, on_fallback && settings.hear.fallback_marker.is_some())
    {
        // Who heard the fallback's own marker need not wait for what the logs say of it.
        let detail = format!("{} was answered; {said}", leg.sid);
        return Made { attempt: attempt(ProbeFinding::Success, None, answered_after, detail), on_fallback };
    }
    let sought = Sought::of_leg(from, to, &leg, hung_up);
    let followed = follow(cx, &sought, &expected).await;
    let (mut found, mut detail) = (followed.found, followed.detail);
    if let (ProbeFinding::Success, Some((heard, said))) = (found, heard) {
        found = heard;
        detail = format!("{detail}; {said}");
    }
    Made { attempt: attempt(found, followed.entry, answered_after, detail), on_fallback }
}

/// The number's routing as it is now; none of one that is not in the account, as far as is known.
pub async fn record(cx: &ProbeContext, channel: Channel) -> Result<Option<NumberRecord>, Error> {
    let Some(sid) = cx.shared.number_sid(cx.number) else { return Ok(None) };
    let number = cx.shared.roster.number(cx.number).id;
    let mut reader = cx.shared.reader();
    let read = reader.read(&[(number, Some(sid))], channel, false).await.remove(&number);
    let mut read = match read {
        Some(Ok(read)) => read.read,
        Some(Err(ReadError::Twilio(error))) => return Err(error),
        Some(Err(ReadError::NotInAccount)) | None => return Ok(None),
    };
    match reader.complete(std::slice::from_mut(&mut read)).await.remove(&number) {
        Some(error) => Err(error),
        None => Ok(Some(read.record)),
    }
}

/// Why nothing can be sent to the number: it does not have the channel at Twilio.
pub fn lacking(record: Option<&NumberRecord>, channel: Channel) -> Option<String> {
    let is_lacking = record.is_some_and(|r| RoutingState::of(r, channel) == RoutingState::Lacking);
    is_lacking.then(|| format!("the number has no {channel} at Twilio"))
}

/// Makes the call, and stays with it until it is over.
async fn place(cx: &ProbeContext, form: &CallForm, note: i64) -> Ended {
    let (clock, client, settings) = (&cx.shared.clock, &cx.shared.client, &cx.settings);
    let longest = longest(settings);
    let asked_at = clock.now();
    let made = match client.create_call(form).await {
        Ok(leg) => leg,
        Err(e) => {
            if e.is_ambiguous() {
                // It may be up: the number is left alone until it cannot be any more.
                clock.sleep(longest).await;
            } else {
                noted(cx.shared.store.note_deleted(note).await);
            }
            return Ended::Unmeasured(unmeasured(&e), e.to_string());
        }
    };
    noted(cx.shared.store.note_call(note, made.sid).await);
    let mut answered_at = None;
    let mut hung_up = false;
    loop {
        clock.sleep(LOOK).await;
        let now = clock.now();
        let is_overdue = now >= asked_at + longest;
        let leg = match client.leg(made.sid).await {
            Ok(leg) => leg,
            Err(e) if is_overdue => return Ended::Unmeasured(unmeasured(&e), e.to_string()),
            Err(_) => continue,
        };
        if leg.status.is_final() {
            return Ended::Over { leg, answered_at, hung_up };
        }
        let wants_end = match leg.status {
            CallStatus::Queued if now >= asked_at + QUEUED => {
                return give_up(cx, &made, Unmeasured::Queue).await;
            }
            CallStatus::InProgress => *answered_at.get_or_insert(now) + settings.listen <= now,
            CallStatus::Queued
            | CallStatus::Ringing
            | CallStatus::Unknown
            | CallStatus::Completed
            | CallStatus::Busy
            | CallStatus::Failed
            | CallStatus::NoAnswer
            | CallStatus::Canceled => false,
        };
        if is_overdue {
            return give_up(cx, &made, Unmeasured::Api).await;
        }
        if wants_end {
            // Refused if the other end was quicker, which the next look shows.
            hung_up |= client.end_call(made.sid).await.is_ok();
        }
    }
}

async fn give_up(cx: &ProbeContext, leg: &CallLeg, why: Unmeasured) -> Ended {
    let ended = cx.shared.client.end_call(leg.sid).await;
    let detail = match ended {
        Ok(_) => format!("{} was cancelled", leg.sid),
        Err(e) => format!("{} could not be cancelled: {e}", leg.sid),
    };
    Ended::Unmeasured(why, detail)
}
