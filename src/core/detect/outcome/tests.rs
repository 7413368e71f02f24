//! Every status, direction and class of code, as tables.

use super::*;
use crate::detect::observation::{Alert, Level};
use crate::model::id::AlertSid;
use crate::model::time::Time;
use crate::routing::history::Webhooks;

const PRIMARY: &str = "https://app.example.com/voice";
const OWN_FALLBACK: &str = "https://spare.example.com/voice";
const OURS: &str = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001";
const CALLBACK: &str = "https://app.example.com/status";

fn alert(code: u32, level: Level, url: Option<&str>) -> Alert {
    Alert {
        sid: AlertSid::from_u128(1),
        number: None,
        resource: None,
        code: Code(code),
        level,
        url: url.map(Into::into),
        http_status: None,
        at: Time::EPOCH,
    }
}

fn said(code: u32, level: Level, url: Option<&str>, has_trunk: bool) -> Option<AlertEffect> {
    let primary = [PRIMARY.into()];
    mark(
        &alert(code, level, url),
        Webhooks {
            primary: &primary,
            own_fallback: Some(OWN_FALLBACK),
            our_fallback: Some(OURS),
            is_on_fallback: false,
            status_callback: [None, Some(CALLBACK)],
            has_trunk,
        },
    )
}

/// A bin's query tells two of its uses apart, and no alert keeps it.
#[test]
fn an_address_that_is_handler_and_fallback_is_the_one_that_the_number_has() {
    let primary = [format!("{OURS}?m=live").as_str().into()];
    let failed = alert(11200, Level::Error, Some(OURS));
    let webhooks = Webhooks { primary: &primary, our_fallback: Some(OURS), ..Webhooks::default() };
    assert_eq!(mark(&failed, webhooks), Some(AlertEffect::PrimaryWebhook));
    assert_eq!(mark(&failed, Webhooks { is_on_fallback: true, ..webhooks }), Some(AlertEffect::OurFallback));
}

#[test]
fn what_an_alert_says_depends_on_whose_url_failed() {
    use Level::{Error, Notice, Warning};
    let table: &[(u32, Level, Option<&str>, bool, Option<AlertEffect>)] = &[
        (11200, Error, Some(PRIMARY), false, Some(AlertEffect::PrimaryWebhook)),
        (11205, Error, Some("https://APP.example.com/voice?CallSid=CA1"), false, Some(AlertEffect::PrimaryWebhook)),
        (12100, Error, Some(PRIMARY), false, Some(AlertEffect::PrimaryContent)),
        (11750, Error, Some(PRIMARY), false, Some(AlertEffect::PrimaryContent)),
        (11200, Error, Some(OWN_FALLBACK), false, Some(AlertEffect::OwnFallback)),
        (11200, Error, Some(OURS), false, Some(AlertEffect::OurFallback)),
        (11300, Error, Some(OURS), false, Some(AlertEffect::Template)),
        (11200, Error, Some(CALLBACK), false, None),
        (11200, Error, Some("https://app.example.com/menu/2"), false, Some(AlertEffect::OtherUrl)),
        (11200, Error, Some("https://stats.example.com/x"), false, Some(AlertEffect::OtherUrl)),
        (11200, Error, None, false, Some(AlertEffect::Unexplained)),
        // The code says what happened, the level only what Twilio thinks of it.
        (11200, Warning, Some(PRIMARY), false, Some(AlertEffect::Doubt)),
        (11205, Warning, Some("https://stats.example.com/x"), false, Some(AlertEffect::Doubt)),
        (11200, Warning, Some(CALLBACK), false, None),
        (12100, Warning, Some(PRIMARY), false, Some(AlertEffect::Doubt)),
        (10004, Warning, None, false, Some(AlertEffect::Doubt)),
        (31920, Warning, None, false, Some(AlertEffect::Doubt)),
        (64102, Warning, None, false, Some(AlertEffect::Doubt)),
        (82002, Warning, None, false, Some(AlertEffect::Doubt)),
        (99999, Warning, None, false, Some(AlertEffect::Doubt)),
        (11200, Notice, Some(PRIMARY), false, None),
        (13310, Warning, Some(PRIMARY), false, Some(AlertEffect::Attribute)),
        (13610, Warning, Some(PRIMARY), false, Some(AlertEffect::Attribute)),
        (13214, Warning, Some(PRIMARY), false, Some(AlertEffect::Attribute)),
        (82005, Error, None, false, None),
        (12200, Warning, Some(PRIMARY), false, None),
        (15003, Warning, Some(CALLBACK), false, None),
        (13224, Warning, Some(PRIMARY), false, Some(AlertEffect::Doubt)),
        (13201, Error, Some(PRIMARY), false, Some(AlertEffect::Leg)),
        (32011, Warning, None, true, Some(AlertEffect::Trunk)),
        (32011, Warning, None, false, Some(AlertEffect::Doubt)),
        (32010, Error, None, true, Some(AlertEffect::Trunk)),
        (32001, Error, None, true, Some(AlertEffect::Leg)),
        // A recording that could not be kept, and a caller's number that is not attested.
        (16111, Error, None, false, None),
        (32021, Warning, None, false, None),
        (14207, Warning, None, false, Some(AlertEffect::Doubt)),
        (64102, Error, None, false, Some(AlertEffect::Unexplained)),
        (81016, Error, None, false, Some(AlertEffect::Unexplained)),
        (45001, Error, None, false, Some(AlertEffect::Unexplained)),
        (15000, Error, None, false, Some(AlertEffect::Platform)),
        (10001, Error, None, false, Some(AlertEffect::Account)),
        (12400, Error, None, false, Some(AlertEffect::Platform)),
        (20429, Error, Some("https://api.twilio.com/2010-04-01"), false, Some(AlertEffect::Unexplained)),
        (31920, Error, None, false, Some(AlertEffect::Unexplained)),
        (82002, Error, Some(PRIMARY), false, Some(AlertEffect::Unexplained)),
        (82004, Notice, None, false, None),
        (99999, Error, Some(PRIMARY), false, Some(AlertEffect::Unexplained)),
    ];
    for (code, level, url, trunk, want) in table {
        assert_eq!(said(*code, *level, *url, *trunk), *want, "{code} {level:?} {url:?}");
    }
}

fn call(status: CallStatus) -> CallFacts {
    CallFacts {
        status,
        duration: Some(12),
        children: Children::default(),
        marks: AlertFlags::default(),
        is_settled: true,
        has_no_handler: false,
        is_nobodys: false,
        is_fax: false,
        is_demo: false,
        has_own_fallback: false,
        after_legs: None,
        failed_after: None,
        erred_after: None,
        lasted: None,
        forwards: false,
        is_probe: false,
        placement: AlertPlacement::Complete,
    }
}

fn marks(list: &[(AlertEffect, u32)]) -> AlertFlags {
    let mut m = AlertFlags::default();
    for (mark, code) in list {
        m.add(*mark, Code(*code), Time::from_secs(1000));
    }
    m
}

#[test]
fn a_status_alone_never_makes_a_person_a_failure() {
    for status in CallStatus::ALL {
        let settled = judge_call(&call(status));
        let want = match status {
            CallStatus::Queued | CallStatus::Ringing | CallStatus::InProgress => None,
            CallStatus::Unknown => Some(Outcome::Failed(Reason::Unexplained)),
            CallStatus::Completed => Some(Outcome::Ok),
            CallStatus::Busy => Some(Outcome::Ignored(IgnoreReason::Busy)),
            CallStatus::NoAnswer => Some(Outcome::Ignored(IgnoreReason::NoAnswer)),
            CallStatus::Canceled => Some(Outcome::Ignored(IgnoreReason::HungUp)),
            CallStatus::Failed => Some(Outcome::Failed(Reason::Carrier)),
        };
        assert_eq!(settled, want, "{status:?}");
        assert!(!want.is_some_and(Outcome::is_curable_failure));
        // Nothing is settled before alerts had time to arrive.
        assert_eq!(judge_call(&CallFacts { is_settled: false, ..call(status) }), None, "{status:?} unsettled");
    }
}

#[test]
fn an_alert_on_the_handlers_own_url_is_a_failure_whatever_the_status() {
    for status in CallStatus::ALL {
        let m = marks(&[(AlertEffect::PrimaryWebhook, 11200)]);
        let f = CallFacts { marks: m, is_settled: false, ..call(status) };
        // While the call is up, what comes next may serve the caller.
        let want = status.is_final().then_some(Outcome::Failed(Reason::Webhook));
        assert_eq!(judge_call(&f), want, "{status:?}");
        let f = CallFacts { has_own_fallback: true, ..f };
        assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::Rescued)), "{status:?}");
        let both = marks(&[(AlertEffect::PrimaryWebhook, 11200), (AlertEffect::OwnFallback, 11205)]);
        assert_eq!(judge_call(&CallFacts { marks: both, ..f }), want, "{status:?}");
    }
    let table = [
        (AlertEffect::PrimaryContent, Reason::Content),
        (AlertEffect::OurFallback, Reason::Fallback),
        (AlertEffect::Template, Reason::Template),
        (AlertEffect::Account, Reason::Account),
        (AlertEffect::Platform, Reason::Platform),
        (AlertEffect::OtherUrl, Reason::OtherUrl),
    ];
    for (mark, reason) in table {
        let f = CallFacts { marks: marks(&[(mark, 1)]), ..call(CallStatus::Completed) };
        assert_eq!(judge_call(&f), Some(Outcome::Failed(reason)), "{mark:?}");
    }
}

#[test]
fn marks_do_not_depend_on_order_or_repetition() {
    let list =
        [(AlertEffect::OtherUrl, 11200), (AlertEffect::PrimaryWebhook, 11205), (AlertEffect::PrimaryWebhook, 11200)];
    let mut reversed = list;
    reversed.reverse();
    assert_eq!(marks(&list), marks(&reversed));
    assert_eq!(marks(&list), marks(&[list[0], list[1], list[2], list[1], list[0]]));
    assert_eq!(marks(&list).code(), Some(Code(11200)));
    assert_eq!(
        marks(&[(AlertEffect::PrimaryContent, 12100), (AlertEffect::OtherUrl, 11200)]).code(),
        Some(Code(12100))
    );
}

#[test]
fn child_legs_decide_a_forward() {
    let legs = |open, completed, failed, busy, no_answer, canceled| Children {
        open,
        completed,
        failed,
        busy,
        no_answer,
        canceled,
        talk_from: if completed > 0 { 1005 } else { 0 },
        ended_at: 0,
        talks: completed,
    };
    let table = [
        (legs(0, 1, 0, 0, 0, 0), Some(Outcome::Ok)),
        (legs(0, 1, 3, 1, 0, 0), Some(Outcome::Ok)),
        (legs(0, 0, 1, 0, 0, 0), Some(Outcome::Failed(Reason::Forward))),
        (legs(0, 0, 2, 0, 0, 0), Some(Outcome::Failed(Reason::Forward))),
        (legs(1, 0, 1, 0, 0, 0), None),
        (legs(0, 0, 1, 1, 0, 0), Some(Outcome::Ignored(IgnoreReason::Busy))),
        (legs(0, 0, 1, 0, 1, 0), Some(Outcome::Ignored(IgnoreReason::NoAnswer))),
        (legs(0, 0, 0, 1, 0, 0), Some(Outcome::Ignored(IgnoreReason::Busy))),
        (legs(0, 0, 0, 0, 1, 0), Some(Outcome::Ignored(IgnoreReason::NoAnswer))),
        (legs(0, 0, 0, 0, 0, 1), Some(Outcome::Ignored(IgnoreReason::HungUp))),
    ];
    for (children, want) in table {
        for is_settled in [false, true] {
            let f = CallFacts { children, is_settled, forwards: true, ..call(CallStatus::Completed) };
            assert_eq!(judge_call(&f), want, "{children:?}");
        }
        // While the call is up, the handler may dial somebody else: only success is certain.
        let up = CallFacts { children, forwards: true, ..call(CallStatus::InProgress) };
        assert_eq!(judge_call(&up), want.filter(|w| *w == Outcome::Ok), "{children:?}");
    }
}

/// Its alerts come no sooner than those of a short one, and while alerts cannot be read nobody knows of any.
#[test]
fn however_long_a_call_was_it_is_served_only_once_its_alerts_had_time() {
    for duration in [3, 24, 25, 4000] {
        let f = CallFacts { duration: Some(duration), is_settled: false, ..call(CallStatus::Completed) };
        assert_eq!(judge_call(&f), None, "{duration}");
        for placement in [AlertPlacement::Unread, AlertPlacement::Pending] {
            assert_eq!(judge_call(&CallFacts { is_settled: true, placement, ..f }), None, "{duration} {placement:?}");
        }
        assert_eq!(judge_call(&CallFacts { is_settled: true, ..f }), Some(Outcome::Ok), "{duration}");
    }
}

/// A queue, a conference or a voicemail has held the caller for a minute before the handler failed; a menu has not.
#[test]
fn what_fails_after_a_minute_with_the_caller_is_no_reason_to_swap() {
    let m = marks(&[(AlertEffect::PrimaryWebhook, 11200)]);
    let f = CallFacts { marks: m, duration: Some(310), ..call(CallStatus::Completed) };
    for (failed_after, want) in [
        (None, Outcome::Failed(Reason::Webhook)),
        (Some(2), Outcome::Ok),
        (Some(40), Outcome::Ok),
        (Some(300), Outcome::Ok),
    ] {
        assert_eq!(judge_call(&CallFacts { failed_after, ..f }), Some(want), "{failed_after:?}");
    }
    let account = marks(&[(AlertEffect::PrimaryWebhook, 11200), (AlertEffect::Account, 10001)]);
    let f = CallFacts { marks: account, failed_after: Some(300), ..f };
    assert_eq!(judge_call(&f), Some(Outcome::Ok), "what is no fault of the handler's is told as a warning then");
}

/// An announcement lasts seconds. Who is there after it has met something else, and after a minute was served by it;
/// but the number's own fallback may be what that was.
#[test]
fn what_follows_the_handlers_failure_speaks_too() {
    let m = marks(&[(AlertEffect::PrimaryWebhook, 11200)]);
    let busy = Children { busy: 1, ..Children::default() };
    let f = CallFacts { marks: m, ..call(CallStatus::Completed) };
    for (failed, lasted, want) in [
        (1, 9, Outcome::Failed(Reason::Webhook)),
        (15, 22, Outcome::Failed(Reason::Webhook)),
        (15, 39, Outcome::Failed(Reason::Webhook)),
        (15, 40, Outcome::Failed(Reason::Unexplained)),
        (10, 69, Outcome::Failed(Reason::Unexplained)),
        (10, 70, Outcome::Ok),
        (59, 66, Outcome::Failed(Reason::Webhook)),
        (24, 25, Outcome::Failed(Reason::Webhook)),
        (25, 27, Outcome::Failed(Reason::Webhook)),
        (25, 26, Outcome::Failed(Reason::Unexplained)),
        (59, 59, Outcome::Failed(Reason::Unexplained)),
    ] {
        let f = CallFacts { failed_after: Some(failed), lasted: Some(lasted), ..f };
        assert_eq!(judge_call(&f), Some(want), "{failed} of {lasted}");
        let rescued = CallFacts { has_own_fallback: true, ..f };
        let nobody_was_left = failed >= 25 && lasted - failed < 2;
        let want = if nobody_was_left { Reason::Unexplained } else { Reason::Rescued };
        assert_eq!(judge_call(&rescued), Some(Outcome::Failed(want)), "{failed} of {lasted}");
        let is_told = judge_call(&CallFacts { children: busy, ..f }).is_some_and(|o| matches!(o, Outcome::Failed(_)));
        assert!(is_told, "{failed} of {lasted}: nobody answered");
    }
    let up = CallFacts { status: CallStatus::InProgress, has_own_fallback: true, ..f };
    for (failed_after, want) in [(16, Some(Outcome::Failed(Reason::Rescued))), (21, None)] {
        assert_eq!(judge_call(&CallFacts { failed_after: Some(failed_after), ..up }), want, "{failed_after}");
    }
}

#[test]
fn what_is_raised_when_the_call_is_over_is_no_callers_beyond_the_time_of_a_fetch() {
    let began = Time::from_secs(1000);
    let at = |seconds| began + std::time::Duration::from_secs(seconds);
    for (effect, ended, raised, is) in [
        (AlertEffect::PrimaryWebhook, 25, 26, false),
        (AlertEffect::PrimaryWebhook, 25, 25, true),
        (AlertEffect::PrimaryContent, 5, 20, true),
        (AlertEffect::PrimaryContent, 5, 21, false),
        (AlertEffect::OwnFallback, 25, 325, false),
        (AlertEffect::OtherUrl, 25, 29, false),
        (AlertEffect::Unexplained, 25, 29, false),
        (AlertEffect::OurFallback, 25, 29, false),
        (AlertEffect::Account, 25, 29, true),
        (AlertEffect::Platform, 25, 29, true),
    ] {
        let mut marks = AlertFlags::default();
        marks.add(effect, Code(11200), at(raised));
        assert_eq!(marks.of_callers(began, Some(at(ended))).is_error(), is, "{effect:?} {ended} {raised}");
        assert!(marks.of_callers(began, None).is_error(), "its end is not known");
        // One that was earlier is the caller's, whatever came later.
        marks.add(effect, Code(11200), at(2));
        assert!(marks.of_callers(began, Some(at(ended))).is_error(), "{effect:?} {ended} {raised}");
    }
}

/// A busy line and a caller who hangs up are people; an error of the caller's own call beside them is not.
#[test]
fn an_error_of_the_callers_own_is_not_hidden_behind_people() {
    let none = Children::default();
    let people = [
        (CallStatus::Completed, Children { busy: 1, ..none }),
        (CallStatus::Completed, Children { no_answer: 2, ..none }),
        (CallStatus::Completed, Children { canceled: 1, failed: 1, ..none }),
        (CallStatus::Busy, none),
        (CallStatus::NoAnswer, none),
        (CallStatus::Canceled, none),
    ];
    for (status, children) in people {
        let f = CallFacts { children, forwards: children.any(), ..call(status) };
        assert!(matches!(judge_call(&f), Some(Outcome::Ignored(_))), "{status:?} {children:?}");
        for (mark, reason) in
            [(AlertEffect::Unexplained, Reason::Unexplained), (AlertEffect::OtherUrl, Reason::OtherUrl)]
        {
            let f = CallFacts { marks: marks(&[(mark, 11100)]), ..f };
            assert_eq!(judge_call(&f), Some(Outcome::Failed(reason)), "{status:?} {children:?}");
        }
        let trunk = CallFacts { marks: marks(&[(AlertEffect::Trunk, 32011)]), ..f };
        if !children.any() {
            // A caller who hangs up is no reason to swap, nor is a line that is busy, or rings out (law 3).
            assert_eq!(judge_call(&trunk), Some(Outcome::Failed(Reason::Unexplained)), "{status:?}");
        }
    }
}

#[test]
fn a_state_that_twilio_has_invented_is_no_service() {
    let f = call(CallStatus::Unknown);
    assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::Unexplained)), "over, and nobody here knows how");
    let f = CallFacts { marks: marks(&[(AlertEffect::Unexplained, 64101)]), ..f };
    assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::Unexplained)));
    assert_eq!(judge_call(&CallFacts { is_settled: false, ..f }), None);
    for (direction, alone, failed) in [
        (Direction::Inbound, Reason::Unexplained, Reason::Unexplained),
        (Direction::Outbound, Reason::Delivery, Reason::Registration),
    ] {
        let f = message(direction, MessageStatus::Unknown);
        assert_eq!(judge_message(&f), Some(Outcome::Failed(alone)), "{direction:?}");
        let f = MessageFacts { error: Some(Code(30034)), ..f };
        assert_eq!(judge_message(&f), Some(Outcome::Failed(failed)), "{direction:?}");
        assert_eq!(judge_message(&MessageFacts { is_settled: false, ..f }), None, "{direction:?}");
    }
}

#[test]
fn a_number_that_points_at_nothing_or_at_a_dead_trunk_is_curable() {
    let nobody = CallFacts { has_no_handler: true, is_settled: false, ..call(CallStatus::Failed) };
    assert_eq!(judge_call(&nobody), Some(Outcome::Failed(Reason::NoHandler)));
    // Whatever Twilio calls it. Somebody who stays has been taken by nobody we know.
    for (duration, reason) in [(3, Reason::NoHandler), (40, Reason::Unexplained)] {
        let f = CallFacts { duration: Some(duration), is_settled: true, status: CallStatus::Completed, ..nobody };
        assert_eq!(judge_call(&CallFacts { is_nobodys: true, ..f }), Some(Outcome::Failed(reason)), "{duration}");
        // An application that is said not to be there, and answers: somebody does.
        assert_eq!(judge_call(&f), Some(Outcome::Ok), "{duration}");
    }
    for (status, want) in [
        (CallStatus::Failed, Outcome::Failed(Reason::Trunk)),
        (CallStatus::Busy, Outcome::Failed(Reason::Unexplained)),
        (CallStatus::NoAnswer, Outcome::Failed(Reason::Unexplained)),
        // A second origination URL took it.
        (CallStatus::Completed, Outcome::Ok),
        (CallStatus::Canceled, Outcome::Failed(Reason::Unexplained)),
    ] {
        let f = CallFacts { marks: marks(&[(AlertEffect::Trunk, 32011)]), ..call(status) };
        assert_eq!(judge_call(&f), Some(want), "{status:?}");
    }
    // Nobody did.
    let marks = marks(&[(AlertEffect::Trunk, 32010)]);
    let f = CallFacts { marks, duration: Some(0), ..call(CallStatus::Completed) };
    assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::Trunk)));
}

#[test]
fn our_own_probes_are_apart() {
    let f = CallFacts {
        is_probe: true,
        marks: marks(&[(AlertEffect::PrimaryWebhook, 11200)]),
        ..call(CallStatus::Completed)
    };
    assert_eq!(judge_call(&f), Some(Outcome::Ignored(IgnoreReason::Probe)));
}

/// Whoever writes STOP is answered by Twilio: that nobody of ours takes it is no failure. A webhook that fails on it
/// is.
#[test]
fn a_keyword_needs_no_handler() {
    let f = MessageFacts { is_keyword: true, ..message(Direction::Inbound, MessageStatus::Received) };
    let nobody = MessageFacts { has_no_handler: true, ..f };
    assert_eq!(judge_message(&nobody), Some(Outcome::Ignored(IgnoreReason::Recipient)));
    assert_eq!(judge_message(&MessageFacts { is_keyword: false, ..nobody }), Some(Outcome::Failed(Reason::NoHandler)));
    assert_eq!(judge_message(&f), Some(Outcome::Ok));
    let marks = marks(&[(AlertEffect::PrimaryWebhook, 11200)]);
    let failed = MessageFacts { marks, ..f };
    assert_eq!(judge_message(&failed), Some(Outcome::Failed(Reason::Webhook)));
}

fn message(direction: Direction, status: MessageStatus) -> MessageFacts {
    MessageFacts {
        direction,
        status,
        error: None,
        marks: AlertFlags::default(),
        is_settled: true,
        has_no_handler: false,
        names_nobody: false,
        is_keyword: false,
        has_own_fallback: false,
        is_answered: false,
        may_be_answered: false,
        is_probe: false,
        placement: AlertPlacement::Complete,
    }
}

#[test]
fn an_inbound_text_is_lost_when_its_webhook_fails() {
    let f = message(Direction::Inbound, MessageStatus::Received);
    assert_eq!(judge_message(&f), Some(Outcome::Ok));
    assert_eq!(judge_message(&MessageFacts { is_settled: false, ..f }), None);
    assert_eq!(judge_message(&MessageFacts { status: MessageStatus::Open, ..f }), None);
    let m = marks(&[(AlertEffect::PrimaryWebhook, 11200)]);
    let lost = MessageFacts { marks: m, is_settled: false, ..f };
    assert_eq!(judge_message(&lost), Some(Outcome::Failed(Reason::Webhook)));
    let nobody = MessageFacts { has_no_handler: true, ..f };
    assert_eq!(judge_message(&nobody), Some(Outcome::Failed(Reason::NoHandler)));
    // Conversations may take what comes to a number or a service without a webhook.
    let silent = MessageFacts { names_nobody: true, ..nobody };
    assert_eq!(judge_message(&silent), Some(Outcome::Failed(Reason::Unexplained)));
    // Nor is one that is usually answered without a webhook.
    let usual = MessageFacts { may_be_answered: true, ..nobody };
    assert_eq!(judge_message(&usual), Some(Outcome::Failed(Reason::Unexplained)));
}

/// Twilio puts the code into the row, too, and the alert may be lost.
#[test]
fn an_inbound_text_whose_row_has_an_error_is_not_taken_for_served() {
    for (code, want) in [
        (11200, Outcome::Failed(Reason::Unexplained)),
        (30009, Outcome::Failed(Reason::Unexplained)),
        (77777, Outcome::Failed(Reason::Unexplained)),
        (12200, Outcome::Ok),
        (14101, Outcome::Ok),
        (15003, Outcome::Ok),
    ] {
        let f = MessageFacts { error: Some(Code(code)), ..message(Direction::Inbound, MessageStatus::Received) };
        assert_eq!(judge_message(&f), Some(want), "{code}");
        assert_eq!(judge_message(&MessageFacts { is_settled: false, ..f }), None);
        assert_eq!(judge_message(&MessageFacts { is_answered: true, ..f }), Some(Outcome::Ok));
        let m = marks(&[(AlertEffect::PrimaryWebhook, 11200)]);
        assert_eq!(judge_message(&MessageFacts { marks: m, ..f }), Some(Outcome::Failed(Reason::Webhook)));
    }
}

#[test]
fn an_undelivered_reply_is_never_the_webhooks_fault() {
    let table = [
        (Some(30003), Outcome::Ignored(IgnoreReason::Recipient)),
        (Some(30005), Outcome::Ignored(IgnoreReason::Recipient)),
        (Some(30006), Outcome::Ignored(IgnoreReason::Recipient)),
        (Some(30007), Outcome::Failed(Reason::Registration)),
        (Some(30034), Outcome::Failed(Reason::Registration)),
        (Some(30032), Outcome::Failed(Reason::Registration)),
        (Some(30002), Outcome::Failed(Reason::Account)),
        (Some(30001), Outcome::Failed(Reason::Delivery)),
        // Numbers that are none, landlines, opt-outs, by SMS and by channel.
        (Some(21211), Outcome::Ignored(IgnoreReason::Recipient)),
        (Some(21610), Outcome::Ignored(IgnoreReason::Recipient)),
        (Some(21635), Outcome::Ignored(IgnoreReason::Recipient)),
        (Some(63033), Outcome::Ignored(IgnoreReason::Recipient)),
        // Senders that cannot, registrations that are refused, accounts that may not, and Twilio's own fault.
        (Some(21606), Outcome::Failed(Reason::Delivery)),
        (Some(30033), Outcome::Failed(Reason::Registration)),
        (Some(30883), Outcome::Failed(Reason::Registration)),
        (Some(30037), Outcome::Failed(Reason::Account)),
        (Some(30500), Outcome::Failed(Reason::Platform)),
        // Nobody knows why: not the recipient's for all that.
        (Some(30008), Outcome::Failed(Reason::Delivery)),
        (Some(77777), Outcome::Failed(Reason::Delivery)),
        (None, Outcome::Failed(Reason::Delivery)),
    ];
    for (code, want) in table {
        for direction in [Direction::Reply, Direction::Outbound] {
            for status in [MessageStatus::Undelivered, MessageStatus::Failed] {
                let f = MessageFacts { error: code.map(Code), ..message(direction, status) };
                assert_eq!(judge_message(&f), Some(want), "{code:?}");
                assert!(!want.is_curable_failure());
            }
        }
    }
    assert_eq!(judge_message(&message(Direction::Reply, MessageStatus::Delivered)), Some(Outcome::Ok));
    assert_eq!(judge_message(&message(Direction::Reply, MessageStatus::Open)), None);
}

#[test]
fn an_error_of_the_calls_own_is_a_failure_unless_somebody_was_served() {
    let list = [
        (AlertEffect::Unexplained, Reason::Unexplained),
        (AlertEffect::OtherUrl, Reason::OtherUrl),
        (AlertEffect::Platform, Reason::Platform),
        (AlertEffect::Template, Reason::Template),
        (AlertEffect::PrimaryWebhook, Reason::Webhook),
    ];
    for (mark, reason) in list {
        let short = CallFacts { marks: marks(&[(mark, 1)]), duration: Some(2), ..call(CallStatus::Completed) };
        let long = CallFacts { duration: Some(300), ..short };
        for f in [short, long] {
            assert_eq!(judge_call(&f), Some(Outcome::Failed(reason)), "{mark:?} {:?}", f.duration);
        }
        // Raised a second or an hour after the talk began: whatever it names, the caller has talked.
        let talked = Children { completed: 1, talk_from: 990, ended_at: 1290, ..Children::default() };
        let f = CallFacts { children: talked, forwards: true, ..long };
        assert_eq!(judge_call(&f), Some(Outcome::Ok), "{mark:?}");
        // One that rang and was not talked on is no service.
        let silent = Children { talk_from: 0, ..talked };
        assert_eq!(judge_call(&CallFacts { children: silent, ..f }), Some(Outcome::Failed(reason)), "{mark:?}");
    }
}

#[test]
fn the_own_fallback_that_serves_after_the_handler_failed_is_named_and_an_action_after_the_talk_is_not() {
    let m = marks(&[(AlertEffect::PrimaryWebhook, 11200)]);
    let talked = |from| Children { completed: 1, talk_from: from, ..Children::default() };
    let f = CallFacts { marks: m, has_own_fallback: true, forwards: true, ..call(CallStatus::Completed) };
    // It was raised at 1000.
    assert_eq!(
        judge_call(&CallFacts { children: talked(1003), ..f }),
        Some(Outcome::Failed(Reason::Rescued)),
        "the fallback's leg came after it"
    );
    assert_eq!(judge_call(&CallFacts { children: talked(900), ..f }), Some(Outcome::Ok), "it came after the talk");
}

#[test]
fn a_warning_of_a_dial_casts_a_doubt_on_short_calls_alone() {
    let doubt = marks(&[(AlertEffect::Doubt, 13227)]);
    let f = CallFacts { marks: doubt, duration: Some(1), ..call(CallStatus::Completed) };
    assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::Unexplained)));
    assert_eq!(judge_call(&CallFacts { duration: Some(60), ..f }), Some(Outcome::Ok));
    let failed = Children { failed: 1, ended_at: 1001, ..Children::default() };
    let f = CallFacts { children: failed, forwards: true, ..f };
    let invalid = marks(&[(AlertEffect::Doubt, 13224)]);
    let f = CallFacts { marks: invalid, ..f };
    assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::Forward)), "a failed leg says more");
    for status in [CallStatus::Busy, CallStatus::NoAnswer, CallStatus::Canceled] {
        let f = CallFacts { marks: doubt, ..call(status) };
        assert!(matches!(judge_call(&f), Some(Outcome::Ignored(_))), "{status:?}: a doubt is no error");
    }
}

/// A verb goes on without an attribute that is wrong; a call that ends at once may not have got that far.
#[test]
fn a_warning_of_an_attribute_casts_a_doubt_on_calls_that_end_at_once() {
    let f = CallFacts { marks: marks(&[(AlertEffect::Attribute, 13310)]), ..call(CallStatus::Completed) };
    for (duration, want) in [
        (Some(1), Outcome::Failed(Reason::Unexplained)),
        (Some(4), Outcome::Failed(Reason::Unexplained)),
        (Some(5), Outcome::Ok),
    ] {
        assert_eq!(judge_call(&CallFacts { duration, ..f }), Some(want), "{duration:?}");
    }
}

#[test]
fn a_call_that_is_over_at_once_is_neither_served_nor_failed() {
    let f = call(CallStatus::Completed);
    for (duration, want) in [
        (None, Outcome::Ignored(IgnoreReason::Brief)),
        (Some(0), Outcome::Ignored(IgnoreReason::Brief)),
        (Some(2), Outcome::Ignored(IgnoreReason::Brief)),
        (Some(3), Outcome::Ok),
    ] {
        assert_eq!(judge_call(&CallFacts { duration, ..f }), Some(want), "{duration:?}");
    }
    // A leg that was taken and put down is no talk, whoever does so; a voicemail after it is one.
    let at = Time::from_secs(1000);
    for (seconds, is_talk) in [(Some(0), false), (Some(1), false), (Some(2), false), (Some(3), true), (None, true)] {
        let mut legs = Children::default();
        assert_eq!(legs.add(CallStatus::Completed, at, Some(at), seconds), is_talk, "{seconds:?}");
        let f = CallFacts { children: legs, duration: Some(20), after_legs: Some(0), forwards: true, ..f };
        let want = if is_talk { Outcome::Ok } else { Outcome::Ignored(IgnoreReason::Brief) };
        assert_eq!(judge_call(&f), Some(want), "{seconds:?}");
    }
    let hung_up = Children { completed: 1, ended_at: 1000, ..Children::default() };
    let f = CallFacts { children: hung_up, duration: Some(60), forwards: true, ..f };
    for (after_legs, want) in [(Some(3), Outcome::Ignored(IgnoreReason::Brief)), (Some(40), Outcome::Ok)] {
        assert_eq!(judge_call(&CallFacts { after_legs, ..f }), Some(want), "{after_legs:?}");
    }
}

/// A number that the account may not dial is not dialled for anybody: a swap is no cure.
#[test]
fn a_leg_that_twilio_refused_to_dial_is_not_the_handlers_failure() {
    let failed = Children { failed: 1, ended_at: 1001, ..Children::default() };
    for (mark, code) in [(AlertEffect::Doubt, 13225), (AlertEffect::Doubt, 13227), (AlertEffect::Leg, 13227)] {
        let m = marks(&[(mark, code)]);
        let f = CallFacts { marks: m, children: failed, forwards: true, ..call(CallStatus::Completed) };
        assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::Unexplained)), "{code}");
        assert_eq!(m.code(), Some(Code(code)), "and the page names it");
        assert_eq!(judge_call(&CallFacts { after_legs: Some(60), ..f }), Some(Outcome::Ok), "a voicemail took it");
        let answered = Children { completed: 1, talk_from: 1002, ..failed };
        assert_eq!(judge_call(&CallFacts { children: answered, ..f }), Some(Outcome::Ok), "another leg took it");
        let busy = Children { busy: 1, ..failed };
        assert!(matches!(judge_call(&CallFacts { children: busy, ..f }), Some(Outcome::Ignored(_))));
    }
    let broken = marks(&[(AlertEffect::Doubt, 13227), (AlertEffect::PrimaryWebhook, 11200)]);
    let f = CallFacts { marks: broken, children: failed, forwards: true, ..call(CallStatus::Completed) };
    assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::Webhook)), "the handler failed besides");
}

#[test]
fn a_voicemail_after_a_failed_leg_serves_and_an_announcement_does_not() {
    let failed = Children { failed: 2, ended_at: 1000, ..Children::default() };
    let f = CallFacts { children: failed, forwards: true, ..call(CallStatus::Completed) };
    for (after_legs, want) in
        [(None, Outcome::Failed(Reason::Forward)), (Some(8), Outcome::Failed(Reason::Forward)), (Some(47), Outcome::Ok)]
    {
        assert_eq!(judge_call(&CallFacts { after_legs, ..f }), Some(want), "{after_legs:?}");
    }
    for mark in [AlertEffect::OtherUrl, AlertEffect::Unexplained] {
        let f = CallFacts { after_legs: Some(47), marks: marks(&[(mark, 11200)]), ..f };
        assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::Forward)), "what it went on to failed too");
    }
    let f = CallFacts { after_legs: Some(47), marks: marks(&[(AlertEffect::Leg, 32009)]), ..f };
    assert_eq!(judge_call(&f), Some(Outcome::Ok), "that is the leg's own");
}

#[test]
fn twilios_demo_serves_nobody() {
    let f = CallFacts { is_demo: true, duration: Some(40), is_settled: false, ..call(CallStatus::Completed) };
    assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::NoHandler)));
}

#[test]
fn a_message_with_an_error_is_served_once_it_is_answered() {
    let m = marks(&[(AlertEffect::PrimaryWebhook, 11200)]);
    let f = MessageFacts { marks: m, is_settled: false, ..message(Direction::Inbound, MessageStatus::Received) };
    assert_eq!(judge_message(&f), Some(Outcome::Failed(Reason::Webhook)));
    // Where answers come by the API they have their time.
    let usual = MessageFacts { may_be_answered: true, ..f };
    assert_eq!(judge_message(&usual), None);
    assert_eq!(judge_message(&MessageFacts { is_settled: true, ..usual }), Some(Outcome::Failed(Reason::Webhook)));
    assert_eq!(judge_message(&MessageFacts { is_answered: true, ..f }), Some(Outcome::Ok));
}
