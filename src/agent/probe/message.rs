//! A test message, matched to the row that arrives by a nonce in its words.

use std::time::Duration;

use super::call::{lacking, record};
use super::{Made, ProbeContext, unmeasured};
use crate::core::detect::observation::Direction;
use crate::core::model::id::Channel;
use crate::core::model::id::Resource;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::probe::read::{self, Expected, MessageSeen};
use crate::core::probe::{Origin, ProbeAttempt, ProbeFinding, ProbeKind, Unmeasured};

/// Between looks.
const LOOK: Duration = Duration::from_secs(5);

/// A log that cannot be read for so long ends the probe.
const DEAF: Duration = Duration::from_secs(60);

/// Sends a message and reads what it shows.
pub async fn send(cx: &ProbeContext, nonce: &str) -> Made {
    let (clock, client) = (&cx.shared.clock, &cx.shared.client);
    let started_at = clock.now();
    let made = |found, entry, answered_after, on_fallback, detail| {
        let (kind, origin, ended_at) = (ProbeKind::Message, Origin::Twilio, clock.now());
        let attempt = ProbeAttempt { kind, origin, started_at, ended_at, found, entry, answered_after, detail };
        Made { attempt, on_fallback }
    };
    let error = |why, detail| made(ProbeFinding::Error(why), None, None, false, detail);
    let Some(from) = cx.settings.from else { return error(Unmeasured::Permission, String::new()) };
    let to = cx.shared.roster.number(cx.number).id.e164;
    let record = match record(cx, Channel::Messaging).await {
        Ok(record) => record,
        Err(e) => return error(unmeasured(&e), e.to_string()),
    };
    if let Some(why) = lacking(record.as_ref(), Channel::Messaging) {
        return error(Unmeasured::Permission, why);
    }
    let expected = Expected {
        record: record.as_ref(),
        our_fallback: cx.shared.roster.group_of(cx.number).fallback(Channel::Messaging),
        min_duration: Duration::ZERO,
        fallback_dials: false,
    };
    let sent = match client.create_message(from, to, &format!("Ringback probe {nonce}")).await {
        Ok(sent) => sent,
        Err(e) => return error(unmeasured(&e), e.to_string()),
    };
    let mut seen_at: Option<Time> = None;
    let mut last_read = started_at;
    let mut known_alerts = Vec::new();
    loop {
        clock.sleep(LOOK).await;
        let now = clock.now();
        let texts = client.texts_between(from, to, sent.sent_at, nonce).await;
        let replies = match cx.settings.expects_reply {
            true => client.texts_between(to, from, sent.sent_at, nonce).await,
            false => Ok(Vec::new()),
        };
        let (texts, replies) = match (texts, replies) {
            (Ok(texts), Ok(replies)) => (texts, replies),
            (Err(e), _) | (_, Err(e)) if last_read + DEAF <= now => return error(unmeasured(&e), e.to_string()),
            (Err(_), _) | (_, Err(_)) => continue,
        };
        last_read = now;
        let own = texts.iter().find(|t| t.sid == sent.sid);
        let arrived = texts.iter().find(|t| t.is_ours && t.direction == Direction::Inbound);
        let mut alerts = Vec::new();
        if let Some(row) = arrived {
            if seen_at.is_none() {
                seen_at = Some(now);
                cx.measured(Source::Messages, now.since(row.sent_at));
            }
            match client.message_alerts(row.sid, sent.sent_at - LOOK).await {
                Ok(found) => alerts = found,
                Err(e) if last_read + DEAF <= now => return error(unmeasured(&e), e.to_string()),
                Err(_) => continue,
            }
            for alert in alerts.iter().filter(|a| !known_alerts.contains(&a.sid)) {
                cx.measured(Source::Alerts, now.since(alert.at));
            }
            known_alerts = alerts.iter().map(|a| a.sid).collect();
        }
        let is_replied = replies.iter().any(|r| r.direction == Direction::Reply && r.sent_at >= sent.sent_at);
        // A reply has a row of its own, which may be as late as any.
        let is_awaited = cx.settings.expects_reply && !is_replied;
        let is_settled = match seen_at {
            Some(at) if is_awaited => at + cx.search(Source::Messages) <= now,
            Some(at) => at + cx.grace() <= now,
            None => started_at + cx.search(Source::Messages) <= now,
        };
        let seen = MessageSeen {
            outbound: own.map_or(sent.status, |t| t.status),
            error: own.and_then(|t| t.error),
            is_logged: own.is_some(),
            arrived: arrived.map(|t| t.status),
            is_replied,
            alerts: &alerts,
            is_settled,
            is_settling: cx.port_settles_until.is_some_and(|until| started_at < until),
        };
        if let Some((found, code)) = read::message(&seen, &expected, cx.settings.expects_reply) {
            let code = code.map_or(String::new(), |c| format!(", Twilio error {c}"));
            let detail = match arrived {
                Some(row) => format!("{} arrived{code}", row.sid),
                None => "nothing arrived at the number".to_owned(),
            };
            let entry = arrived.map(|t| Resource::Message(t.sid));
            let answered_after = arrived.map(|t| t.sent_at.since(sent.sent_at));
            return made(found, entry, answered_after, expected.is_on_fallback(Channel::Messaging), detail);
        }
        if seen_at.unwrap_or(started_at) + cx.search(Source::Messages) + cx.grace() + DEAF <= now {
            return error(Unmeasured::LogLate, "its end was not shown in time".to_owned());
        }
    }
}
