//! Every status, direction and class of code, as tables.

use super::*;
use crate::core::model::id::AlertSid;
use crate::core::model::time::Time;

const PRIMARY: &str = "https://app.example.com/voice";
const OWN_FALLBACK: &str = "https://spare.example.com/voice";
const OURS: &str = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001";
const CALLBACK: &str = "https://app.example.com/status";

fn alert(code: u32, level: Level, url: Option<&str>) -> Alert {
    Alert {
        sid: AlertSid::from_u128(1),
        resource: None,
        code: Code(code),
        level,
        url: url.map(str::to_owned),
        at: Time::EPOCH,
    }
}

fn said(code: u32, level: Level, url: Option<&str>, has_trunk: bool) -> Option<AlertEffect> {
    let primary = [PRIMARY.to_owned()];
    mark(
        &alert(code, level, url),
        Webhooks {
            primary: &primary,
            own_fallback: Some(OWN_FALLBACK),
            our_fallback: Some(OURS),
            status_callback: [None, Some(CALLBACK)],
            has_trunk,
        },
    )
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
        (11200, Error, Some("https://stats.example.com/x"), false, None),
        (11200, Error, None, false, None),
        (11200, Warning, Some(PRIMARY), false, None),
        (12200, Warning, Some(PRIMARY), false, None),
        (15003, Warning, Some(CALLBACK), false, None),
        (13224, Warning, Some(PRIMARY), false, None),
        (13201, Error, Some(PRIMARY), false, None),
        (32011, Warning, None, true, Some(AlertEffect::Trunk)),
        (32011, Warning, None, false, None),
        (32010, Error, None, true, Some(AlertEffect::Trunk)),
        (32001, Error, None, true, None),
        (10001, Error, None, false, Some(AlertEffect::Account)),
        (12400, Error, None, false, Some(AlertEffect::Platform)),
        (20429, Error, Some("https://api.twilio.com/2010-04-01"), false, None),
        (21402, Error, Some("https://api.twilio.com/2010-04-01"), false, None),
        (82005, Error, Some(PRIMARY), false, None),
        (82004, Notice, None, false, None),
        (99999, Error, Some(PRIMARY), false, None),
    ];
    for (code, level, url, trunk, want) in table {
        assert_eq!(said(*code, *level, *url, *trunk), *want, "{code} {level:?} {url:?}");
    }
}

fn call(status: CallStatus) -> CallFacts {
    CallFacts {
        status,
        duration: None,
        children: Children::default(),
        marks: AlertFlags::default(),
        is_settled: true,
        has_no_handler: false,
        has_own_fallback: false,
        forwards: false,
        is_probe: false,
        placement: AlertPlacement::Complete,
    }
}

fn marks(list: &[(AlertEffect, u32)]) -> AlertFlags {
    let mut m = AlertFlags::default();
    for (mark, code) in list {
        m.add(*mark, Code(*code));
    }
    m
}

#[test]
fn a_status_alone_never_makes_a_person_a_failure() {
    for status in CallStatus::ALL {
        let settled = judge_call(&call(status));
        let want = match status {
            CallStatus::Queued | CallStatus::Ringing | CallStatus::InProgress | CallStatus::Unknown => None,
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
        assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::Webhook)), "{status:?}");
        let f = CallFacts { has_own_fallback: true, ..f };
        assert_eq!(judge_call(&f), Some(Outcome::Failed(Reason::Rescued)), "{status:?}");
        let both = marks(&[(AlertEffect::PrimaryWebhook, 11200), (AlertEffect::OwnFallback, 11205)]);
        assert_eq!(judge_call(&CallFacts { marks: both, ..f }), Some(Outcome::Failed(Reason::Webhook)), "{status:?}");
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

#[test]
fn a_long_completed_call_needs_no_grace_unless_the_number_forwards() {
    let f = CallFacts { duration: Some(25), is_settled: false, ..call(CallStatus::Completed) };
    assert_eq!(judge_call(&f), Some(Outcome::Ok));
    assert_eq!(judge_call(&CallFacts { forwards: true, ..f }), None);
    assert_eq!(judge_call(&CallFacts { duration: Some(24), ..f }), None);
}

#[test]
fn a_number_that_points_at_nothing_or_at_a_dead_trunk_is_curable() {
    let nobody = CallFacts { has_no_handler: true, is_settled: false, ..call(CallStatus::Failed) };
    assert_eq!(judge_call(&nobody), Some(Outcome::Failed(Reason::NoHandler)));
    for (status, want) in [
        (CallStatus::Failed, Outcome::Failed(Reason::Trunk)),
        (CallStatus::Busy, Outcome::Failed(Reason::Trunk)),
        (CallStatus::NoAnswer, Outcome::Failed(Reason::Trunk)),
        // A second origination URL took it.
        (CallStatus::Completed, Outcome::Ok),
        (CallStatus::Canceled, Outcome::Ignored(IgnoreReason::HungUp)),
    ] {
        let f = CallFacts { marks: marks(&[(AlertEffect::Trunk, 32011)]), ..call(status) };
        assert_eq!(judge_call(&f), Some(want), "{status:?}");
    }
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

fn message(direction: Direction, status: MessageStatus) -> MessageFacts {
    MessageFacts {
        direction,
        status,
        error: None,
        marks: AlertFlags::default(),
        is_settled: true,
        has_no_handler: false,
        has_own_fallback: false,
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
    assert_eq!(judge_message(&MessageFacts { has_no_handler: true, ..f }), Some(Outcome::Failed(Reason::NoHandler)));
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
