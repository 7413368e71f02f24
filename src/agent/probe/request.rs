//! The handler's URL, asked for its TwiML as Twilio would ask for a call.
//!
//! The cheapest answer to a suspicion: a web fault shows in a second. It is no call, though. What fails for us
//! may work for Twilio, from elsewhere in the network; so it counts only beside a test call that fails too
//! ([`crate::core::probe::counted`]), and what it gets right says nothing. The request is marked by the
//! parameter `RingbackProbe`, for a handler may do more than answer, and is made only where configured.

use super::call::record;
use super::{Made, ProbeContext};
use crate::core::model::id::{CallSid, Channel};
use crate::core::model::reason::Reason;
use crate::core::model::redact::told;
use crate::core::probe::{Origin, ProbeAttempt, ProbeFinding, ProbeKind};
use crate::core::routing::record::Handler;
use crate::core::routing::twiml::{self, Effect};
use crate::twilio::webhook::{Method, Unasked};

/// Asks; `None` where there is no URL to ask, or nothing to sign with, or no failure to tell of.
pub async fn ask(cx: &ProbeContext, nonce: &str) -> Option<Made> {
    let clock = &cx.shared.clock;
    let started_at = clock.now();
    let number = cx.shared.roster.number(cx.number).id.e164;
    let record = record(cx, Channel::Voice).await.ok()??;
    if matches!(record.handler(Channel::Voice), Handler::Trunk(_) | Handler::Fax | Handler::Lacking | Handler::Nobody) {
        return None;
    }
    let [url, _] = record.webhooks(Channel::Voice);
    let from = cx.settings.from.unwrap_or(number);
    // The SID of no call: nothing at Twilio has it.
    let sid = CallSid::from_u128(u128::from(crate::caller::CallerKey::public().hash(nonce)));
    let form = [
        ("CallSid", sid.to_string()),
        ("From", from.to_string()),
        ("Caller", from.to_string()),
        ("To", number.to_string()),
        ("Called", number.to_string()),
        ("CallStatus", "ringing".to_owned()),
        ("Direction", "inbound".to_owned()),
        ("ApiVersion", "2010-04-01".to_owned()),
        ("RingbackProbe", nonce.to_owned()),
    ];
    let (found, detail) = match cx.shared.client.ask_webhook(url?, Method::Post, &form).await {
        // A redirect leads Twilio on; we do not follow and cannot tell.
        Ok(answer) if (300..400).contains(&answer.status) => return None,
        Ok(answer) if answer.status >= 400 => {
            (ProbeFinding::Failure(Reason::Webhook), format!("the handler's URL answers HTTP {}", answer.status))
        }
        Ok(answer) => match twiml::read(answer.document(), Channel::Voice, &cx.shared.roster) {
            Effect::Broken(bad) if bad.is_no_twiml() => (
                ProbeFinding::Failure(Reason::Content),
                format!("the handler's answer: {}", told(&bad.to_string(), &cx.shared.roster)),
            ),
            // A handler may well have nothing to say, or turn a caller away.
            Effect::Serves | Effect::Dials | Effect::Redirects { .. } | Effect::Broken(_) | Effect::Untold(_) => {
                return None;
            }
        },
        Err(Unasked::Silent(why)) => {
            let why = told(&why, &cx.shared.roster);
            (ProbeFinding::Failure(Reason::Webhook), format!("the handler's URL: {why}"))
        }
        Err(Unasked::NoToken | Unasked::NotTwilio) => return None,
    };
    let (kind, origin, ended_at) = (ProbeKind::Request, Origin::Agent, clock.now());
    let attempt = ProbeAttempt { kind, origin, started_at, ended_at, found, entry: None, answered_after: None, detail };
    Some(Made { attempt, on_fallback: false })
}
