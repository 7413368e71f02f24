//! What a probe showed, read from the legs of its call or the row of its message.
//!
//! A probe is judged as a caller's call is ([`crate::detect::outcome`]): alerts on the handler's own URL first,
//! child legs second, the status last. Beyond that it knows what no caller's log tells: that a call was
//! made, so that its absence is a fact. Absence is said only when the same log shows the probe's own
//! outbound leg, or, of a call from elsewhere, any that is no older; a log that shows neither is late, and that is
//! no failure (law 4). What our own leg met, for want of permission or credit, is no failure either.
//!
//! One thing cannot be told: alerts that do not come. While Twilio's log of them stands still, a call to a handler
//! that fails is taken for answered, unless it is listened to and a marker is missed.

use std::time::Duration;

use super::{ProbeFinding, Unmeasured};
use crate::detect::observation::{Alert, CallStatus, Direction, MessageStatus};
use crate::detect::outcome::{
    AlertFlags, AlertPlacement, CallFacts, Children, MessageFacts, judge_call, judge_message, mark,
};
use crate::model::code::Code;
use crate::model::id::Channel;
use crate::model::reason::{IgnoreReason, Outcome, Reason};
use crate::model::time::Time;
use crate::model::value::FieldValue;
use crate::routing::history::{RoutingState, Webhooks};
use crate::routing::record::{NumberRecord, is_fallback};

/// The far end of a probe's call, as far as it has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub status: CallStatus,
    /// Whole seconds.
    pub duration: Option<u32>,
    pub ended_at: Option<Time>,
    pub children: Children,
}

/// All that is known of a probe's call.
#[derive(Clone, Copy, Debug)]
pub struct CallSeen<'a> {
    /// Of the outbound leg; none for a call that another carrier placed.
    pub outbound: Option<CallStatus>,
    /// The log shows the outbound leg, or, where the call came from elsewhere, one that is no older.
    pub is_logged: bool,
    pub arrived: Option<Arrived>,
    /// Of the leg that arrived; as long as none has, of the outbound one.
    pub alerts: &'a [Alert],
    /// Alerts and child legs have had time to come.
    pub is_settled: bool,
    /// We hung up ourselves, having listened long enough.
    pub hung_up: bool,
}

/// What is expected of a call.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The number as read when it was probed; none where it is not in the account, as far as is known.
    pub record: Option<&'a NumberRecord>,
    /// Where a rollback would point it.
    pub our_fallback: Option<&'a str>,
    /// A call that ends itself sooner was not served.
    pub min_duration: Duration,
    /// Our fallback puts callers through before anything else, as far as is known.
    pub fallback_dials: bool,
}

impl<'a> Expected<'a> {
    /// Reads the marks that alerts leave.
    fn marks(&self, channel: Channel, alerts: &[Alert]) -> AlertFlags {
        let [primary, own] = self.record.map_or([None, None], |r| r.webhooks(channel));
        let is_ours = |url: &str| self.our_fallback.is_some_and(|ours| is_fallback(ours, url));
        let is_on_fallback =
            self.our_fallback.is_some_and(|ours| self.record.is_some_and(|r| r.leads_to(channel, ours)));
        let primary: Vec<FieldValue> = primary.filter(|_| !is_on_fallback).map(FieldValue::from).into_iter().collect();
        let webhooks = Webhooks {
            primary: &primary,
            own_fallback: own.filter(|url| !is_ours(url)),
            our_fallback: self.our_fallback,
            is_on_fallback,
            status_callback: self.record.map_or([None; 2], |r| r.status_callbacks(channel)),
            has_trunk: channel == Channel::Voice && self.record.is_some_and(|r| r.trunk.is_some()),
        };
        let mut marks = AlertFlags::default();
        for alert in alerts {
            if let Some(m) = mark(alert, webhooks) {
                marks.add(m, alert.code, alert.at);
            }
        }
        marks
    }

    /// A second URL may have served a call that the handler failed, and nothing but an alert would tell.
    pub fn may_be_rescued(&self) -> bool {
        self.record.is_none_or(|r| r.webhooks(Channel::Voice)[1].is_some())
    }

    fn has_own_fallback(&self, channel: Channel) -> bool {
        let own = self.record.and_then(|r| r.webhooks(channel)[1]);
        own.is_some_and(|url| !self.our_fallback.is_some_and(|o| is_fallback(o, url)))
    }

    /// The number points at nothing, or at what is not there. One that we cannot see may point anywhere.
    fn has_no_handler(&self, channel: Channel) -> bool {
        self.record.is_some_and(|r| RoutingState::of(r, channel).has_no_handler(channel))
    }

    /// True if the number points at our fallback.
    pub fn is_on_fallback(&self, channel: Channel) -> bool {
        let points_at = |url: &str| self.record.is_some_and(|r| r.leads_to(channel, url));
        self.our_fallback.is_some_and(points_at)
    }
}

/// What a call showed; `None` while it may still show something else.
pub fn call(seen: &CallSeen<'_>, expected: &Expected<'_>) -> Option<(ProbeFinding, Option<Code>)> {
    let said = |found| Some((found, None));
    let Some(arrived) = seen.arrived else {
        // Nothing arrived. Is that so, or has the log not shown it? And if it is, did our own leg get that far?
        return match (seen.is_settled, seen.is_logged) {
            (false, _) => None,
            (true, false) => said(ProbeFinding::Error(Unmeasured::LogLate)),
            (true, true) => said(match (our_trouble(seen.alerts), seen.outbound) {
                (Some(why), _) => ProbeFinding::Error(why),
                (None, Some(CallStatus::Canceled)) => ProbeFinding::Error(Unmeasured::Stopped),
                (None, Some(CallStatus::Failed)) if expected.has_no_handler(Channel::Voice) => {
                    ProbeFinding::Failure(Reason::NoHandler)
                }
                (None, _) => ProbeFinding::Failure(Reason::NotArriving),
            }),
        };
    };
    if expected.record.is_none() {
        // It is there, and we cannot see what it points at.
        return seen.is_settled.then_some((ProbeFinding::Error(Unmeasured::Api), None));
    }
    let marks = expected.marks(Channel::Voice, seen.alerts);
    let facts = CallFacts {
        status: arrived.status,
        duration: arrived.duration,
        children: arrived.children,
        marks,
        is_settled: seen.is_settled,
        has_no_handler: expected.has_no_handler(Channel::Voice),
        // Of a test call that arrived somewhere its own answer says more.
        is_nobodys: false,
        is_fax: expected.record.is_some_and(|r| r.fax),
        is_demo: expected.record.is_some_and(|r| r.is_demo(Channel::Voice)),
        after_legs: arrived.children.until(arrived.ended_at),
        // A test call is too short for it.
        failed_after: None,
        erred_after: None,
        lasted: None,
        has_own_fallback: expected.has_own_fallback(Channel::Voice),
        // Of this very call: a leg that we cut off while it rang has reached a line that rings.
        forwards: arrived.children.any(),
        is_probe: false,
        placement: AlertPlacement::Complete,
    };
    let outcome = judge_call(&facts)?;
    // Whoever took the call may have been dialled by the number's own fallback URL: then the handler failed, and
    // its alert is still to come. A caller's outcome is revised by it, a probe is read once.
    let is_failed = matches!(outcome, Outcome::Failed(_));
    if expected.may_be_rescued() && !seen.is_settled && !is_failed {
        return None;
    }
    // Whom our fallback dials, and whether they answer, is in a leg that the log has not shown yet.
    let dials = expected.fallback_dials && expected.is_on_fallback(Channel::Voice);
    if dials && !arrived.children.any() && !is_failed {
        return None;
    }
    let found = match outcome {
        Outcome::Ok | Outcome::Ignored(IgnoreReason::Brief) => {
            let is_short = arrived.duration.is_some_and(|d| Duration::from_secs(u64::from(d)) < expected.min_duration);
            if is_short && !seen.hung_up { ProbeFinding::Failure(Reason::WrongAnswer) } else { ProbeFinding::Success }
        }
        Outcome::Failed(reason) => ProbeFinding::Failure(reason),
        // A line that rang until we hung up.
        Outcome::Ignored(IgnoreReason::HungUp) if seen.hung_up && seen.is_settled => ProbeFinding::Success,
        Outcome::Ignored(_) => ProbeFinding::Error(Unmeasured::Unanswered),
    };
    Some((found, marks.code()))
}

/// What Twilio says of a leg of our own, where that is why it got nowhere.
fn our_trouble(alerts: &[Alert]) -> Option<Unmeasured> {
    alerts.iter().map(|a| Unmeasured::of_code(a.code.0)).find(|why| *why != Unmeasured::Api)
}

/// Twilio takes messages between two numbers for a loop, and drops them.
const LOOPS: [u32; 2] = [14_107, 30_039];

/// All that is known of a probe's message.
#[derive(Clone, Copy, Debug)]
pub struct MessageSeen<'a> {
    /// Of the outbound row, and its error.
    pub outbound: MessageStatus,
    pub error: Option<Code>,
    /// The log shows the outbound row.
    pub is_logged: bool,
    /// Of the row that arrived with the probe's nonce.
    pub arrived: Option<MessageStatus>,
    /// An answer came back.
    pub is_replied: bool,
    pub alerts: &'a [Alert],
    pub is_settled: bool,
    /// The number's port is so young that messages may still go to the old provider.
    pub is_settling: bool,
}

/// What a message showed; `None` while it may still show something else.
pub fn message(
    seen: &MessageSeen<'_>,
    expected: &Expected<'_>,
    expects_reply: bool,
) -> Option<(ProbeFinding, Option<Code>)> {
    let said = |found| Some((found, None));
    let Some(status) = seen.arrived else {
        if matches!(seen.outbound, MessageStatus::Failed | MessageStatus::Undelivered) {
            // It never left, or was turned away on its way: that is our sender's trouble.
            return said(ProbeFinding::Error(match seen.error.map(|code| Unmeasured::of_code(code.0)) {
                None | Some(Unmeasured::Api) => Unmeasured::Permission,
                Some(why) => why,
            }));
        }
        return match (seen.is_settled, seen.is_logged, seen.outbound) {
            (false, _, _) => None,
            (true, false, _) => said(ProbeFinding::Error(Unmeasured::LogLate)),
            (true, true, MessageStatus::Open | MessageStatus::Scheduled) => {
                said(ProbeFinding::Error(Unmeasured::Queue))
            }
            (true, true, MessageStatus::Canceled) => said(ProbeFinding::Error(Unmeasured::Stopped)),
            (true, true, _) if seen.is_settling => said(ProbeFinding::Error(Unmeasured::Settling)),
            (true, true, _) => said(ProbeFinding::Failure(Reason::NotArriving)),
        };
    };
    if seen.alerts.iter().any(|a| LOOPS.contains(&a.code.0)) {
        return said(ProbeFinding::Error(Unmeasured::Busy));
    }
    if expected.record.is_none() {
        return seen.is_settled.then_some((ProbeFinding::Error(Unmeasured::Api), None));
    }
    let marks = expected.marks(Channel::Messaging, seen.alerts);
    let names_nobody = expected.has_no_handler(Channel::Messaging);
    let is_demo = expected.record.is_some_and(|r| r.is_demo(Channel::Messaging));
    let facts = MessageFacts {
        direction: Direction::Inbound,
        status,
        error: seen.error,
        marks,
        is_settled: seen.is_settled,
        has_no_handler: is_demo,
        names_nobody,
        is_keyword: false,
        has_own_fallback: expected.has_own_fallback(Channel::Messaging),
        is_answered: seen.is_replied,
        // Without a handler nobody is expected to.
        may_be_answered: expects_reply && !names_nobody && !is_demo,
        is_probe: false,
        placement: AlertPlacement::Complete,
    };
    let found = match judge_message(&facts)? {
        Outcome::Ok if expects_reply && !seen.is_replied => ProbeFinding::Failure(Reason::WrongAnswer),
        Outcome::Ok => ProbeFinding::Success,
        Outcome::Failed(reason) => ProbeFinding::Failure(reason),
        Outcome::Ignored(_) => ProbeFinding::Error(Unmeasured::Unanswered),
    };
    Some((found, marks.code()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::observation::Level;
    use crate::model::id::AlertSid;
    use crate::routing::record::tests::record;

    const BIN: &str = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001";

    fn alert(url: &str) -> Alert {
        let sid = AlertSid::from_u128(1);
        Alert {
            sid,
            number: None,
            resource: None,
            code: Code(11200),
            level: Level::Error,
            url: Some(url.into()),
            http_status: None,
            at: Time::from_secs(1),
        }
    }

    fn answered() -> Arrived {
        Arrived { status: CallStatus::Completed, duration: Some(9), ended_at: None, children: Children::default() }
    }

    fn look(arrived: Option<Arrived>, alerts: &[Alert], is_settled: bool) -> Option<ProbeFinding> {
        let record = record();
        let seen = CallSeen {
            outbound: Some(CallStatus::Completed),
            is_logged: true,
            arrived,
            alerts,
            is_settled,
            hung_up: true,
        };
        let expected = Expected {
            record: Some(&record),
            our_fallback: Some(BIN),
            min_duration: Duration::from_secs(2),
            fallback_dials: false,
        };
        call(&seen, &expected).map(|(found, _)| found)
    }

    #[test]
    fn a_call_is_a_success_only_once_its_alerts_had_time() {
        let own = [alert("https://app.example.com/voice")];
        assert_eq!(look(Some(answered()), &[], false), None);
        assert_eq!(look(Some(answered()), &[], true), Some(ProbeFinding::Success));
        assert_eq!(look(Some(answered()), &own, false), Some(ProbeFinding::Failure(Reason::Webhook)), "at once");
        assert_eq!(look(Some(answered()), &[alert(BIN)], false), Some(ProbeFinding::Failure(Reason::Fallback)));
        let elsewhere = [alert("https://elsewhere.example.com/x")];
        assert_eq!(look(Some(answered()), &elsewhere, true), Some(ProbeFinding::Failure(Reason::OtherUrl)));
    }

    #[test]
    fn absence_is_a_fact_only_where_the_log_shows_the_other_leg() {
        assert_eq!(look(None, &[], false), None);
        assert_eq!(look(None, &[], true), Some(ProbeFinding::Failure(Reason::NotArriving)));
        let record = record();
        let expected =
            Expected { record: Some(&record), our_fallback: None, min_duration: Duration::ZERO, fallback_dials: false };
        let seen = CallSeen {
            outbound: Some(CallStatus::Completed),
            is_logged: false,
            arrived: None,
            alerts: &[],
            is_settled: true,
            hung_up: false,
        };
        assert_eq!(call(&seen, &expected).unwrap().0, ProbeFinding::Error(Unmeasured::LogLate));
    }

    #[test]
    fn people_are_no_fault_and_a_dead_target_is() {
        let forwarded = |children| Some(Arrived { children, ..answered() });
        let legs = |status| {
            let mut c = Children::default();
            c.add(status, Time::EPOCH, None, None);
            c
        };
        assert_eq!(look(forwarded(legs(CallStatus::Failed)), &[], true), Some(ProbeFinding::Failure(Reason::Forward)));
        assert_eq!(
            look(forwarded(legs(CallStatus::Busy)), &[], true),
            Some(ProbeFinding::Error(Unmeasured::Unanswered))
        );
        assert_eq!(look(forwarded(legs(CallStatus::Canceled)), &[], true), Some(ProbeFinding::Success), "it rang");
        assert_eq!(look(forwarded(legs(CallStatus::Completed)), &[], true), Some(ProbeFinding::Success));
    }

    #[test]
    fn a_fallback_that_dials_has_answered_once_its_leg_is_shown() {
        let record = NumberRecord { voice_url: Some(BIN.into()), ..record() };
        let look = |arrived, fallback_dials| {
            let seen = CallSeen {
                outbound: Some(CallStatus::Completed),
                is_logged: true,
                arrived: Some(arrived),
                alerts: &[],
                is_settled: true,
                hung_up: true,
            };
            let min_duration = Duration::from_secs(2);
            call(&seen, &Expected { record: Some(&record), our_fallback: Some(BIN), min_duration, fallback_dials })
        };
        assert_eq!(look(answered(), true), None, "nobody knows yet who answered");
        assert_eq!(look(answered(), false).unwrap().0, ProbeFinding::Success);
        let mut children = Children::default();
        children.add(CallStatus::Completed, Time::EPOCH, None, None);
        assert_eq!(look(Arrived { children, ..answered() }, true).unwrap().0, ProbeFinding::Success);
        let at_once = Arrived { status: CallStatus::Failed, ..answered() };
        assert!(matches!(look(at_once, true).unwrap().0, ProbeFinding::Failure(_)));
    }

    #[test]
    fn a_number_without_a_handler_and_a_call_that_ends_at_once_are_failures() {
        let mut record = record();
        let seen = |arrived| CallSeen {
            outbound: Some(CallStatus::Failed),
            is_logged: true,
            arrived: Some(arrived),
            alerts: &[],
            is_settled: true,
            hung_up: false,
        };
        let failed = Arrived { status: CallStatus::Failed, duration: None, ..answered() };
        let short = Arrived { duration: Some(1), ..answered() };
        let expect = |record: &NumberRecord, arrived| {
            let expected = Expected {
                record: Some(record),
                our_fallback: None,
                min_duration: Duration::from_secs(2),
                fallback_dials: false,
            };
            call(&seen(arrived), &expected).unwrap().0
        };
        assert_eq!(expect(&record, short), ProbeFinding::Failure(Reason::WrongAnswer));
        assert_eq!(expect(&record, failed), ProbeFinding::Failure(Reason::Carrier));
        record.voice_url = None;
        assert_eq!(expect(&record, failed), ProbeFinding::Failure(Reason::NoHandler));
    }

    #[test]
    fn a_message_is_found_by_its_row_or_missed_by_it() {
        let record = record();
        let expected =
            Expected { record: Some(&record), our_fallback: None, min_duration: Duration::ZERO, fallback_dials: false };
        let none = MessageSeen {
            outbound: MessageStatus::Delivered,
            error: None,
            is_logged: true,
            arrived: None,
            is_replied: false,
            alerts: &[],
            is_settled: true,
            is_settling: false,
        };
        let read = |seen: MessageSeen<'_>, reply| message(&seen, &expected, reply).map(|(found, _)| found);
        assert_eq!(read(none, false), Some(ProbeFinding::Failure(Reason::NotArriving)));
        assert_eq!(
            read(MessageSeen { is_settling: true, ..none }, false),
            Some(ProbeFinding::Error(Unmeasured::Settling))
        );
        assert_eq!(read(MessageSeen { is_settled: false, ..none }, false), None);
        let there = MessageSeen { arrived: Some(MessageStatus::Received), ..none };
        assert_eq!(read(there, false), Some(ProbeFinding::Success));
        assert_eq!(read(there, true), Some(ProbeFinding::Failure(Reason::WrongAnswer)));
        assert_eq!(read(MessageSeen { is_replied: true, ..there }, true), Some(ProbeFinding::Success));
        let failed = [alert("https://app.example.com/sms")];
        assert_eq!(read(MessageSeen { alerts: &failed, ..there }, false), Some(ProbeFinding::Failure(Reason::Webhook)));
    }
}
