//! Calls and texts that never end in Twilio's log: what cannot be true any more is not known, which is no health, and a
//! person hears of it. What only takes its time is no trouble.

use serde_json::{Value, json};

use crate::log::*;

const SERVICE: &str = "MG00000000000000000000000000000001";

/// The last entry goes on: it has no end, and is in this state.
fn goes_on(r: &mut Recording, start: u64, status: &str) {
    let (seen, _, row) = r.entries.last_mut().unwrap();
    *seen = start + 3;
    row["status"] = json!(status);
    (row["end_time"], row["duration"]) = (Value::Null, Value::Null);
}

/// The recording goes on for so many minutes: the number is read.
fn until(r: &mut Recording, minutes: u64) {
    let number = r.entries[0].2.clone();
    r.entries.extend((1..=minutes).map(|m| (m * 60, "number", number.clone())));
}

/// Sixty calls, one a minute, that stay in this state; each with what else it has.
fn calls(status: &str, minutes: u64, more: impl Fn(&mut Recording, u64)) -> Recording {
    let mut r = Recording::of(HANDLER);
    for i in 0..60 {
        r.call(60 + i * 60, &inbound(&caller(i), 0));
        goes_on(&mut r, 60 + i * 60, status);
        more(&mut r, i);
    }
    until(&mut r, minutes);
    r
}

/// Sixty texts of ours, one a minute.
fn texts(status: &str, minutes: u64, more: impl Fn(&mut Recording, u64)) -> Recording {
    let mut r = Recording::of(HANDLER);
    for i in 0..60 {
        r.message(60 + i * 60, "outbound-api", &caller(i), status, None);
        more(&mut r, i);
    }
    until(&mut r, minutes);
    r
}

fn nothing(_: &mut Recording, _: u64) {}

#[track_caller]
fn pages(r: Recording) {
    let told = r.decisions();
    assert!(!told.is_empty() && told.iter().all(|d| *d == page("unexplained", None)), "{told:?}");
}

#[track_caller]
fn is_quiet(r: Recording) {
    assert_eq!(r.decisions(), []);
}

#[test]
fn calls_that_ring_for_longer_than_any_can_are_told_of() {
    pages(calls("ringing", 60, nothing));
    pages(calls("queued", 60, nothing));
    is_quiet(calls("ringing", 10, |r, i| {
        if i > 8 {
            _ = r.entries.pop()
        }
    }));
}

#[test]
fn calls_that_go_on_for_longer_than_any_can_are_told_of() {
    pages(calls("in-progress", 300, nothing));
    pages(calls("levitating", 300, nothing));
    is_quiet(calls("in-progress", 180, nothing));
}

#[test]
fn a_long_talk_is_no_trouble() {
    is_quiet(calls("in-progress", 300, |r, i| {
        let row = r.entries.last().unwrap().2.clone();
        let sid = row["sid"].clone();
        let hours = 2 + i % 2;
        r.call(60 + i * 60, &inbound(&caller(i), hours * 3600));
        r.entries.last_mut().unwrap().2["sid"] = sid;
    }));
}

/// Whatever state one row was left in, among many callers who are served.
#[test]
fn few_that_never_end_among_many_that_are_served_are_quiet() {
    is_quiet(calls("in-progress", 300, |r, i| {
        if i % 15 > 0 {
            r.entries.pop();
        }
        r.call(60 + i * 60 + 20, &inbound(&caller(100 + i), 80));
    }));
}

#[test]
fn a_leg_that_goes_on_when_its_call_is_over_is_no_talk() {
    let mut r = Recording::of(HANDLER);
    for i in 0..20 {
        let start = 60 + i * 60;
        let parent = r.call(start, &inbound(&caller(i), 40));
        let leg = Leg { parent: Some(&parent), to: "+14155550001", ..inbound(OURS, 0) };
        r.call(start + 5, &leg);
        goes_on(&mut r, start + 5, "in-progress");
    }
    until(&mut r, 60);
    pages(r);
}

#[test]
fn texts_that_never_leave_are_told_of_and_a_queue_that_moves_is_not() {
    for status in ["queued", "sending", "accepted"] {
        pages(texts(status, 60, nothing));
    }
    // For next week.
    is_quiet(texts("scheduled", 300, nothing));
    // Three thousand at once are sent in turn, which takes two hours.
    let mut r = Recording::of(HANDLER);
    for i in 0..3000 {
        r.message(60, "outbound-api", &caller(i), "queued", None);
        let mut sent = r.entries.last().unwrap().clone();
        let at = 70 + i * 5 / 2;
        sent.0 = at + 3;
        (sent.2["status"], sent.2["date_sent"]) = (json!("delivered"), json!(rfc2822(at)));
        r.entries.push(sent);
    }
    is_quiet(r);
}

#[test]
fn texts_that_are_never_received_are_told_of() {
    let mut r = Recording::of(HANDLER);
    for i in 0..20 {
        r.message(60 + i * 60, "inbound", &caller(i), "receiving", None);
    }
    until(&mut r, 40);
    pages(r);
}

/// The last text is of a service that is to choose its sender.
fn senderless(r: &mut Recording, code: Option<u32>) {
    let row = &mut r.entries.last_mut().unwrap().2;
    (row["from"], row["messaging_service_sid"], row["error_code"]) = (Value::Null, json!(SERVICE), json!(code));
}

#[test]
fn texts_for_which_no_sender_is_chosen_are_of_the_group_whose_service_it_is() {
    let accepted = |is_known: bool| {
        let mut r = texts("accepted", 90, |r, _| senderless(r, None));
        if is_known {
            r.message(30, "inbound", &caller(999), "received", None);
            r.entries.last_mut().unwrap().2["messaging_service_sid"] = json!(SERVICE);
        }
        r
    };
    pages(accepted(true));
    is_quiet(accepted(false));
    let handler = format!("\n[group.handler]\nmessaging_service_sid = \"{SERVICE}\"\n");
    let told = accepted(false).decisions_with(&handler);
    assert!(!told.is_empty() && told.iter().all(|d| *d == page("unexplained", None)), "{told:?}");
    // The service has no sender left.
    let refused = texts("failed", 90, |r, _| senderless(r, Some(21704)));
    let told = refused.decisions_with(&handler);
    assert!(!told.is_empty() && told.iter().all(|d| *d == page("delivery", Some(21704))), "{told:?}");
}

/// An endpoint that rings out was reached.
#[test]
fn a_trunk_on_which_nobody_answers_is_not_swapped() {
    for (status, reason) in [("no-answer", "unexplained"), ("busy", "unexplained"), ("canceled", "unexplained")] {
        let mut r = Recording::of("");
        r.entries[0].2["trunk_sid"] = json!("TK00000000000000000000000000000001");
        for i in 0..20 {
            let start = 60 + i * 60;
            let call = r.call(start, &Leg { status, ..inbound(&caller(i), 0) });
            r.entries.last_mut().unwrap().2["direction"] = json!("trunking-originating");
            r.alert(start + 1, &call, 32011, "warning", None);
        }
        let told = r.decisions();
        assert!(!told.is_empty() && told.iter().all(|d| *d == page(reason, Some(32011))), "{status}: {told:?}");
    }
}
