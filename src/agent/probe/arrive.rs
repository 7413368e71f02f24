//! The far end of a call: found in the log by its two numbers, followed until it is settled.
//!
//! Twilio links the two legs of an own-network call by nothing that is documented, so the inbound one is
//! the newest leg between the two numbers that began with the call. The list is asked more often at first
//! and then less: most rows come within seconds.

use std::time::Duration;

use super::{Context, unmeasured};
use crate::core::engine::Source;
use crate::core::id::{CallSid, E164};
use crate::core::observation::{Alert, CallStatus, Resource};
use crate::core::outcome::Children;
use crate::core::probe::read::{self, Arrived, CallSeen, Expected};
use crate::core::probe::{Found, Unmeasured};
use crate::core::time::Time;
use crate::twilio::probe::{CallLeg, End};

/// Between looks; the last one goes on.
const LOOKS: [u64; 4] = [2, 3, 5, 5];

/// A log that cannot be read for so long ends the probe.
const DEAF: Duration = Duration::from_secs(60);

/// A leg may be stamped this much before the request that made it: Twilio's dates are whole seconds.
const STAMPED_BEFORE: Duration = Duration::from_secs(2);

/// A call on its way to a number of ours.
pub struct Sought<'a> {
    pub from: E164,
    pub to: E164,
    /// When it was asked for.
    pub since: Time,
    /// The outbound leg in its end, if Twilio made it.
    pub outbound: Option<&'a CallLeg>,
    pub hung_up: bool,
}

/// What was found.
pub struct Followed {
    pub found: Found,
    pub entry: Option<Resource>,
    pub detail: String,
}

/// Follows a call that is over until what it shows is settled.
pub async fn follow(cx: &Context, sought: &Sought<'_>, expected: &Expected<'_>) -> Followed {
    let clock = &cx.shared.clock;
    let began = clock.now();
    let mut seen_at: Option<Time> = None;
    let mut is_logged = sought.outbound.is_none();
    let mut alerts: Vec<Alert> = Vec::new();
    let mut is_measured = false;
    let mut last_read = began;
    for look in 0.. {
        clock.sleep(Duration::from_secs(LOOKS[look.min(LOOKS.len() - 1)])).await;
        let now = clock.now();
        let read = look_once(cx, sought).await;
        let Ok((legs, children, found_alerts)) = read else {
            if let Err(why) = read
                && last_read + DEAF <= now
            {
                return Followed {
                    found: Found::Error(why),
                    entry: None,
                    detail: "the logs cannot be read".to_owned(),
                };
            }
            continue;
        };
        last_read = now;
        is_logged |= legs.iter().any(|l| sought.outbound.is_some_and(|o| l.sid == o.sid && l.status.is_final()));
        let inbound = inbound(&legs, sought);
        if let Some(leg) = inbound.filter(|l| l.status.is_final() && !is_measured) {
            is_measured = true;
            seen_at = Some(now);
            cx.measured(Source::Calls, now.since(leg.ended_at.unwrap_or(leg.created_at)));
        }
        for alert in &found_alerts {
            if !alerts.iter().any(|a| a.sid == alert.sid) {
                cx.measured(Source::Alerts, now.since(alert.at));
            }
        }
        alerts = found_alerts;
        // Where nothing but an alert could tell of a failure, it is waited for twice as long.
        let grace = cx.grace() * if expected.may_be_rescued() { 2 } else { 1 };
        let is_settled = match (inbound, seen_at) {
            (Some(_), Some(at)) => at + grace <= now,
            (Some(_), None) => false,
            (None, _) => began + cx.search(Source::Calls) <= now,
        };
        let seen = CallSeen {
            outbound: sought.outbound.map(|o| o.status),
            is_logged,
            arrived: inbound.map(|l| Arrived { status: l.status, duration: l.duration, children }),
            alerts: &alerts,
            is_settled,
            hung_up: sought.hung_up,
        };
        if let Some((found, code)) = read::call(&seen, expected) {
            let entry = inbound.map(|l| Resource::Call(l.sid));
            let code = code.map_or(String::new(), |c| format!(", Twilio error {c}"));
            let detail = match inbound {
                Some(leg) => format!("{} arrived and was {}{code}", leg.sid, word(leg.status)),
                None => "nothing arrived at the number".to_owned(),
            };
            return Followed { found, entry, detail };
        }
        if began + cx.search(Source::Calls) + grace + DEAF <= now {
            // A leg that never ends, or is never shown whole.
            let detail = "its end was not shown in time".to_owned();
            return Followed { found: Found::Error(Unmeasured::LogLate), entry: None, detail };
        }
    }
    Followed { found: Found::Error(Unmeasured::LogLate), entry: None, detail: String::new() }
}

/// One look at the legs, and at the children and alerts of the one that arrived.
async fn look_once(cx: &Context, sought: &Sought<'_>) -> Result<(Vec<CallLeg>, Children, Vec<Alert>), Unmeasured> {
    let client = &cx.shared.client;
    let legs = client.legs_between(sought.from, sought.to, sought.since).await.map_err(|e| unmeasured(&e))?;
    let mut children = Children::default();
    let mut alerts = Vec::new();
    if let Some(leg) = inbound(&legs, sought) {
        alerts = alerts_of(cx, leg.sid).await?;
        for child in client.children(leg.sid).await.map_err(|e| unmeasured(&e))? {
            let slot = children.slot(child.status);
            *slot = slot.saturating_add(1);
        }
    }
    Ok((legs, children, alerts))
}

async fn alerts_of(cx: &Context, sid: CallSid) -> Result<Vec<Alert>, Unmeasured> {
    cx.shared.client.call_alerts(sid).await.map_err(|e| unmeasured(&e))
}

/// The leg that arrived: the latest that began with the call.
fn inbound<'l>(legs: &'l [CallLeg], sought: &Sought<'_>) -> Option<&'l CallLeg> {
    let since = sought.since.floor_to_second() - STAMPED_BEFORE;
    legs.iter()
        .filter(|l| l.end == End::Inbound && l.started_at.unwrap_or(l.created_at) >= since)
        .max_by_key(|l| l.started_at.unwrap_or(l.created_at))
}

const fn word(status: CallStatus) -> &'static str {
    match status {
        CallStatus::Queued => "queued",
        CallStatus::Ringing => "ringing",
        CallStatus::InProgress => "up",
        CallStatus::Completed => "completed",
        CallStatus::Busy => "busy",
        CallStatus::Failed => "failed",
        CallStatus::NoAnswer => "not answered",
        CallStatus::Canceled => "cancelled",
        CallStatus::Unknown => "in an unknown state",
    }
}
