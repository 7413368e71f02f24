//! What a window keeps, and what it says to a rule.

use super::*;
use crate::detect::observation::RemoteParty;
use crate::model::id::CallSid;
use crate::model::reason::IgnoreReason;
use crate::model::roster::NumberIx;

fn change(call: u128, caller: u64, at: i64, was: Option<Outcome>, is: Outcome) -> OutcomeChange {
    OutcomeChange {
        entry: Resource::Call(CallSid::from_u128(call)),
        number: NumberIx(0),
        channel: Channel::Voice,
        party: RemoteParty { hash: caller, last_two: None, is_prober: false, carrier: None },
        is_inbound: true,
        started_at: Time::from_secs(at),
        at: Time::from_secs(at + 30),
        was,
        is,
        code: None,
    }
}

const KEEP: Horizon = Horizon { all: Duration::from_secs(120), run: Duration::ZERO };
const HOURS: Horizon = Horizon { all: Duration::from_secs(1800), run: RUN_WITHIN };
const BROKEN: Outcome = Outcome::Failed(Reason::Webhook);

fn rule(within: u64) -> Rule {
    Rule {
        within: Duration::from_secs(within),
        reasons: Reason::ALL.into_iter().filter(|r| r.is_curable()).collect(),
        action: RuleAction::Rollback,
        ..Rule::not_curable(Channel::Voice)
    }
}

fn curable(w: &Window, now: i64, within: u64) -> Evidence {
    Window::gather([w].into_iter(), &rule(within), Time::from_secs(now))
}

#[test]
fn redials_are_one_witness() {
    let mut w = Window::default();
    for i in 0..8 {
        w.apply(&change(i, 77, i as i64, None, BROKEN), KEEP);
    }
    w.apply(&change(8, 78, 20, None, Outcome::Ok), KEEP);
    let e = curable(&w, 60, 600);
    assert_eq!((e.callers, e.failing, e.since), (2, 1, Some(Time::from_secs(0))));
    assert!(!rule(600).is_met(&e, Time::from_secs(60)));
}

#[test]
fn a_revision_edits_its_entry_and_a_soft_outcome_removes_it() {
    let mut w = Window::default();
    w.apply(&change(1, 1, 1, None, Outcome::Ok), KEEP);
    w.apply(&change(1, 1, 1, Some(Outcome::Ok), BROKEN), KEEP);
    assert_eq!((curable(&w, 9, 99).callers, curable(&w, 9, 99).failing), (1, 1));
    w.apply(&change(1, 1, 1, Some(BROKEN), Outcome::Ignored(IgnoreReason::Busy)), KEEP);
    assert_eq!(curable(&w, 9, 99).callers, 0);
}

#[test]
fn what_a_rule_does_not_name_does_not_count_for_it() {
    let mut w = Window::default();
    for i in 0..5 {
        w.apply(&change(i.into(), i, i as i64, None, Outcome::Failed(Reason::Carrier)), KEEP);
    }
    assert_eq!(curable(&w, 9, 99).callers, 0);
    let page = Rule::not_curable(Channel::Voice);
    assert!(page.is_met(&Window::gather([&w].into_iter(), &page, Time::from_secs(9)), Time::from_secs(9)));
}

#[test]
fn only_the_recent_counts() {
    let mut w = Window::default();
    w.apply(&change(2, 2, 200, None, BROKEN), KEEP);
    w.apply(&change(1, 1, 100, None, BROKEN), KEEP);
    assert_eq!(curable(&w, 210, 60).failing, 1);
    assert_eq!(curable(&w, 210, 210).samples[0], Resource::Call(CallSid::from_u128(2)));
    w.apply(&change(3, 3, 241, None, BROKEN), KEEP);
    assert_eq!(curable(&w, 241, 241).failing, 2, "the first is too old to be kept");
}

fn run(w: &Window, now: i64) -> (u32, Option<i64>, bool) {
    let rule = Rule::defaults(Channel::Voice).pop().unwrap();
    let e = Window::gather([w].into_iter(), &rule, Time::from_secs(now));
    let is_met = !rule.is_moot(Time::from_secs(now), [w].into_iter()) && rule.is_met(&e, Time::from_secs(now));
    (e.failing, e.since.map(|t| t.as_millis() / 1000), is_met)
}

#[test]
fn a_run_goes_back_to_whoever_was_served_last_and_is_bounded() {
    let mut w = Window::default();
    w.apply(&change(0, 1, 0, None, Outcome::Ok), HOURS);
    for i in 1..=5 {
        w.apply(&change(i, 7, 600 * i as i64, None, BROKEN), HOURS);
    }
    assert_eq!(run(&w, 3010), (5, Some(600), true), "what the other rules have forgotten is kept");
    // Who was served long ago, and is learnt of late, ends nothing that came after.
    w.apply(&change(7, 9, 200, None, Outcome::Ok), HOURS);
    assert_eq!(run(&w, 3010), (5, Some(600), true));
    // Somebody is served, and turns out not to have been: what only the run had kept is gone.
    w.apply(&change(6, 8, 3100, None, Outcome::Ok), HOURS);
    assert_eq!(run(&w, 3130), (0, None, false));
    w.apply(&change(6, 8, 3100, Some(Outcome::Ok), BROKEN), HOURS);
    assert_eq!(run(&w, 3130), (4, Some(1800), false));
    for i in 0..1000 {
        w.apply(&change(100 + i, i as u64, 4000 + 10 * i as i64, None, BROKEN), HOURS);
    }
    assert!(w.entries.len() <= RUN_KEPT + 180, "{}", w.entries.len());
    assert_eq!(run(&w, 14_000).1, Some(1800), "since when is not forgotten");
    w.apply(&change(5000, 5000, 14_010, None, Outcome::Ok), HOURS);
    w.apply(&change(5001, 5001, 16_000, None, BROKEN), HOURS);
    assert_eq!((w.entries.len(), run(&w, 16_000).0), (1, 1));
}

#[test]
fn a_desk_that_somebody_redials_is_no_run() {
    let mut w = Window::default();
    // Ten redials within seven minutes, and the same an hour later.
    for i in 0..20 {
        let at = 45 * (i as i64 % 10) + 3600 * (i as i64 / 10);
        w.apply(&change(i, 7, at, None, BROKEN), HOURS);
        assert!(!run(&w, at + 30).2, "{i}");
    }
    assert_eq!(run(&w, 4030).0, 4);
    let mut w = Window::default();
    for i in 0..6 {
        w.apply(&change(i, 7, 30 * i as i64, None, BROKEN), HOURS);
    }
    assert_eq!(run(&w, 1500), (1, Some(0), false), "calls of one moment are one attempt");
}

#[test]
fn who_was_served_before_it_began_is_in_no_count_since() {
    let mut w = Window::default();
    for call in 0..6 {
        w.apply(&change(call, call as u64, call as i64, None, Outcome::Ok), KEEP);
    }
    for call in 6..12 {
        w.apply(&change(call, call as u64, call as i64, None, BROKEN), KEEP);
    }
    let now = Time::from_secs(60);
    let found = curable(&w, 60, 600);
    assert_eq!((found.failing, found.callers, found.since), (6, 12, Some(Time::from_secs(6))), "of ten minutes");
    let told = Window::gather([&w].into_iter(), &rule(600).from_its_begin(&found, now), now);
    assert_eq!((told.failing, told.callers, told.since), (6, 6, found.since));
}
