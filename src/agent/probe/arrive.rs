//! The far end of a call: found in the log by its two numbers, followed until it is settled.
//!
//! Twilio links the two legs of an own-network call by nothing that is documented, so the inbound one is
//! the leg between the two numbers that began with the call: with our own leg, or, where another carrier placed
//! it, while it was placed. Both are told by Twilio's clock, which may differ from ours. The list is asked more
//! often at first and then less: most rows come within seconds.
//!
//! That nothing arrived is said only of a log that shows something as young as the call: our own leg, or, where
//! there is none, anybody's call.

use std::time::Duration;

use super::{ProbeContext, unmeasured};
use crate::core::detect::observation::{Alert, CallStatus};
use crate::core::detect::outcome::Children;
use crate::core::model::id::E164;
use crate::core::model::id::Resource;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::probe::read::{self, Arrived, CallSeen, Expected};
use crate::core::probe::{ProbeFinding, Unmeasured};
use crate::twilio::Error;
use crate::twilio::probe::{CallEnd, CallLeg};

/// Before the first look, the second, and each that follows.
const LOOKS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(5)];

/// A log that cannot be read for so long ends the probe.
const DEAF: Duration = Duration::from_secs(60);

/// Twilio's dates are whole seconds, and we know its clock no better: legs may be stamped this much too early or late.
const STAMPED_OFF: Duration = Duration::from_secs(2);

/// A call on its way to a number of ours.
pub struct Sought<'a> {
    pub from: E164,
    pub to: E164,
    /// Between when it began, by Twilio's clock.
    pub since: Time,
    pub until: Time,
    /// The outbound leg in its end, if Twilio made it.
    pub outbound: Option<&'a CallLeg>,
    pub hung_up: bool,
}

impl<'a> Sought<'a> {
    /// The far end of a call that Twilio made for us.
    pub fn of_leg(from: E164, to: E164, leg: &'a CallLeg, hung_up: bool) -> Sought<'a> {
        let until = leg.ended_at.unwrap_or(leg.created_at).max(leg.created_at);
        Sought { from, to, since: leg.created_at, until, outbound: Some(leg), hung_up }
    }
}

/// What was found.
pub struct Followed {
    pub found: ProbeFinding,
    pub entry: Option<Resource>,
    pub detail: String,
}

/// Follows a call that is over until what it shows is settled.
pub async fn follow(cx: &ProbeContext, sought: &Sought<'_>, expected: &Expected<'_>) -> Followed {
    let clock = &cx.shared.clock;
    let began = clock.now();
    let mut seen_at: Option<Time> = None;
    let mut is_logged = false;
    let mut alerts: Vec<Alert> = Vec::new();
    let mut is_measured = false;
    let mut last_read = began;
    let mut looks = LOOKS.into_iter();
    loop {
        clock.sleep(looks.next().unwrap_or(LOOKS[2])).await;
        let now = clock.now();
        let read = look_once(cx, sought, expected).await;
        let Ok(LogsRead { legs, children, alerts: found_alerts, is_fresh }) = read else {
            if let Err(error) = read
                && last_read + DEAF <= now
            {
                let found = ProbeFinding::Error(unmeasured(&error));
                return Followed { found, entry: None, detail: format!("the logs cannot be read: {error}") };
            }
            continue;
        };
        last_read = now;
        is_logged |= is_fresh;
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
            arrived: inbound.map(|l| Arrived {
                status: l.status,
                duration: l.duration,
                ended_at: l.ended_at,
                children,
            }),
            alerts: &alerts,
            is_settled,
            hung_up: sought.hung_up,
        };
        if let Some((found, code)) = read::call(&seen, expected) {
            let entry = inbound.map(|l| Resource::Call(l.sid));
            let code = code.map_or(String::new(), |c| format!(", with Twilio's error {c}"));
            let detail = match inbound {
                Some(leg) => format!("{} came in and ended as {}{code}", leg.sid, word(leg.status)),
                None => "nothing arrived at the number".to_owned(),
            };
            return Followed { found, entry, detail };
        }
        if began + cx.search(Source::Calls) + grace + DEAF <= now {
            // A leg that never ends, or is never shown whole.
            let detail = "its end was not shown in time".to_owned();
            return Followed { found: ProbeFinding::Error(Unmeasured::LogLate), entry: None, detail };
        }
    }
}

struct LogsRead {
    legs: Vec<CallLeg>,
    children: Children,
    /// Of the leg that arrived, or of our own as long as none has.
    alerts: Vec<Alert>,
    /// The log shows something that is no older than the call.
    is_fresh: bool,
}

/// One look at the legs, and at the children and alerts of the one that arrived.
async fn look_once(cx: &ProbeContext, sought: &Sought<'_>, expected: &Expected<'_>) -> Result<LogsRead, Error> {
    let client = &cx.shared.client;
    let since = sought.since - STAMPED_OFF;
    let mut legs = client.legs_between(sought.from, sought.to, since).await?;
    if expected.record.is_some_and(|record| record.trunk.is_some()) {
        let over = client.legs_over_a_trunk(sought.from, sought.to, since).await?;
        legs.extend(over.into_iter().filter(|leg| leg.end == CallEnd::Inbound));
    }
    let mut children = Children::default();
    let mut alerts = Vec::new();
    let is_fresh = match sought.outbound {
        Some(own) => legs.iter().any(|l| l.sid == own.sid && l.status.is_final()),
        None => client.newest_leg(since).await?.is_some_and(|l| began(&l) >= sought.since),
    };
    if let Some(leg) = inbound(&legs, sought) {
        alerts = client.call_alerts(leg.sid).await?;
        for child in client.children(leg.sid).await? {
            children.add(child.status, began(&child), child.ended_at, child.duration);
        }
    } else if let Some(own) = sought.outbound {
        alerts = client.call_alerts(own.sid).await?;
    }
    Ok(LogsRead { legs, children, alerts, is_fresh })
}

fn began(leg: &CallLeg) -> Time {
    leg.started_at.unwrap_or(leg.created_at)
}

/// The leg that arrived: of those that began with the call the one that did so nearest to our own leg, or, where
/// there is none, the last.
fn inbound<'l>(legs: &'l [CallLeg], sought: &Sought<'_>) -> Option<&'l CallLeg> {
    let [since, until] = [sought.since.floor_to_second() - STAMPED_OFF, sought.until + STAMPED_OFF];
    let arrived = legs.iter().filter(|l| l.end == CallEnd::Inbound && (since..=until).contains(&began(l)));
    match sought.outbound.map(began) {
        Some(ours) => arrived.min_by_key(|l| began(l).since(ours).max(ours.since(began(l)))),
        None => arrived.max_by_key(|l| began(l)),
    }
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
