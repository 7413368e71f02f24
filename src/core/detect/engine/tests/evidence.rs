//! What counts as evidence, whose it is, and since when; and what is decided on it a second time.

use super::*;
use crate::detect::statistic::FindingKind;
use crate::detect::statistic::threshold::{Rule, RuleAction};
use crate::model::id::ApplicationSid;
use crate::model::reason::IgnoreReason;

/// A rule without a channel in the configuration: one for each.
fn rules_of_both_channels() -> Vec<Detection> {
    let rule = |channel| Rule {
        ratio: 0.1,
        reasons: Reason::ALL.into_iter().filter(|r| r.is_curable()).collect(),
        action: RuleAction::Rollback,
        ..Rule::not_curable(channel)
    };
    vec![Detection { rules: Channel::ALL.map(rule).to_vec(), ..Detection::default() }]
}

#[test]
fn a_channel_that_is_not_watched_is_neither_judged_nor_decided() {
    let settings =
        EngineSettings { mode: Mode::Auto, detection: rules_of_both_channels(), ..EngineSettings::default() };
    // The first number is watched for calls alone, the second for both.
    let mut p = Port::unread(settings, 2, PortAt::At(Time::from_secs(2_000_000)), |i| [true, i == 1]);
    p.read(0, &record::tests::record());
    p.read(1, &record::tests::record());
    p.pass(1);
    for sender in 0..6 {
        p.lost_text(0, sender);
        p.pass(5);
    }
    assert_eq!(p.decisions(), []);
    let state = p.engine.channel(NumberIx(0), Channel::Messaging);
    assert_eq!((state.verdict, state.phase), (Verdict::Unknown, Phase::Waiting));
    let told = |e: &EngineEvent| {
        matches!(e, EngineEvent::Verdict { channel: Channel::Messaging, number: NumberIx(0), .. })
            || matches!(
                e,
                EngineEvent::Phase { channel: Channel::Messaging, .. }
                    | EngineEvent::GroupVerdict { to: Verdict::Failing | Verdict::Suspect, .. }
            )
    };
    assert!(!p.events.iter().any(told), "{:?}", p.events);
    assert!(!p.engine.is_active(p.now, Duration::ZERO), "nobody is polled faster for it");
    for sender in 0..3 {
        p.lost_text(1, sender);
    }
    p.pass(5);
    assert_eq!(p.decisions(), [(Action::Rollback, 1)], "the rule holds where the channel is watched");
}

/// A number of which is not known who answers is not healthy, whoever was served there; what speaks against it counts.
#[test]
fn what_is_not_read_is_blind_and_not_healthy() {
    let settings = EngineSettings { mode: Mode::Auto, ..EngineSettings::default() };
    let mut p = Port::unread(settings, 2, PortAt::Done, |_| [true, true]);
    let verdict = |p: &Port, i: u32, channel| p.engine.channel(NumberIx(i), channel).verdict;
    let unread = NumberRecord { unread: [false, true], ..record::tests::record() };
    p.read(0, &unread);
    for source in [Source::Calls, Source::Messages, Source::Alerts] {
        p.engine.polled(source, p.now);
    }
    p.engine.tick(p.now);
    assert_eq!(verdict(&p, 0, Channel::Voice), Verdict::Unknown, "voice is read");
    assert_eq!(verdict(&p, 0, Channel::Messaging), Verdict::Blind);
    assert_eq!(verdict(&p, 1, Channel::Voice), Verdict::Blind, "no list was read to its end");
    assert_eq!(p.engine.group_verdict(GroupIx(0), Channel::Voice).0, Verdict::Blind, "one of its numbers is");
    assert_eq!(p.engine.cannot_read(Channel::Voice, p.now), [Source::Numbers]);
    assert_eq!(p.engine.cannot_read(Channel::Messaging, p.now), [Source::Numbers, Source::Services]);

    // The list is read, and has no second number: that is missing, and no longer blindness.
    p.engine.polled(Source::Numbers, p.now);
    p.engine.tick(p.now);
    assert_eq!(verdict(&p, 1, Channel::Voice), Verdict::Unknown);
    assert_eq!(p.engine.routing(NumberIx(1), Channel::Voice), RoutingState::NotInAccount);
    assert_eq!(p.engine.cannot_read(Channel::Voice, p.now), []);
    p.read(0, &record::tests::record());
    assert_eq!(verdict(&p, 0, Channel::Messaging), Verdict::Unknown);
    // What was read stands while it cannot be read again.
    p.read(0, &unread);
    assert_eq!(verdict(&p, 0, Channel::Messaging), Verdict::Unknown);
}

/// A number that does not have the channel at Twilio is missed by nobody.
#[test]
fn what_a_number_does_not_have_is_not_expected_of_it() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.read(0, &NumberRecord { lacks: [true, false], ..record::tests::record() });
    let finding = Finding {
        what: FindingKind::Silence,
        channel: Channel::Voice,
        group: Some(GroupIx(0)),
        numbers: vec![NumberIx(0)],
        evidence: Evidence::default(),
    };
    p.pass(1);
    p.engine.found(p.now, finding.clone());
    p.pass(1);
    assert_eq!(p.decisions(), []);
    p.read(0, &record::tests::record());
    p.engine.found(p.now, finding);
    p.pass(1);
    assert_eq!(p.decisions(), [(Action::Page { reason: PageReason::Silence }, 1)]);
}

/// A number that points at an application that is not there: whoever was served before, it is not healthy, and calls
/// that fail had nobody to take them. On its other channel it is what it was.
#[test]
fn what_points_at_nothing_that_is_there_is_not_healthy() {
    let settings = EngineSettings { mode: Mode::Auto, ..EngineSettings::default() };
    let mut p = Port::unread(settings, 1, PortAt::Done, |_| [true, true]);
    p.read(0, &record::tests::record());
    for caller in 0..20 {
        p.call(0, caller, None);
        p.pass(60);
    }
    let verdict = |p: &Port, channel| p.engine.channel(NumberIx(0), channel).verdict;
    assert_eq!(verdict(&p, Channel::Voice), Verdict::Healthy);
    let application = record::Application {
        sid: "AP00000000000000000000000000000001".parse().unwrap(),
        voice_url: None,
        voice_fallback_url: None,
        sms_url: None,
        sms_fallback_url: None,
        status_callback: None,
        is_read: false,
    };
    let gone = NumberRecord { voice_application: Some(application), gone: [true, false], ..record::tests::record() };
    p.read(0, &gone);
    p.pass(1);
    assert_eq!(p.engine.routing(NumberIx(0), Channel::Voice), RoutingState::Gone);
    assert_eq!(p.engine.routing(NumberIx(0), Channel::Messaging), RoutingState::Handled);
    assert_eq!(verdict(&p, Channel::Voice), Verdict::Unknown);
    assert_eq!(p.decisions(), []);
    let call = p.ended(0, 100, CallStatus::Failed);
    for caller in 101..108 {
        p.pass(60);
        p.ended(0, caller, CallStatus::Failed);
    }
    p.pass(60);
    assert_eq!(p.outcomes(call), [Outcome::Failed(Reason::NoHandler)]);
    assert_eq!(p.decisions(), [(Action::Rollback, 1)]);
    // What could not be read now is what it was, and so is what was not there.
    let unread = NumberRecord { gone: [false; 2], unread: [true, false], ..gone };
    p.read(0, &unread);
    assert_eq!(p.engine.routing(NumberIx(0), Channel::Voice), RoutingState::Gone);
}

#[test]
fn what_was_withheld_for_want_of_the_record_is_decided_once_it_is_read() {
    let settings = EngineSettings { mode: Mode::Auto, ..EngineSettings::default() };
    let mut p = Port::unread(settings, 1, PortAt::Done, |_| [true, false]);
    for source in [Source::Calls, Source::Alerts] {
        p.engine.polled(source, p.now);
    }
    let tick = |p: &mut Port| {
        let events = p.engine.tick(p.now);
        p.events.extend(events);
    };
    // Dialled legs that all failed need no record to be told for what they are.
    for caller in 0..5 {
        let call = p.call(0, caller, None);
        p.leg(call, CallStatus::Failed);
        tick(&mut p);
    }
    assert_eq!(p.decisions(), [(Action::Withheld { guard: DetectorGuard::NotRead }, 1)]);
    tick(&mut p);
    assert_eq!(p.decisions().len(), 1);
    // The list is read, and the number is not in it.
    p.pass(40);
    assert_eq!(p.decisions()[1..], [(Action::Withheld { guard: DetectorGuard::NotInAccount }, 1)], "once");
    p.read(0, &record::tests::record());
    p.pass(40);
    assert_eq!(p.decisions()[2..], [(Action::Rollback, 1)]);
}

#[test]
fn what_was_withheld_on_the_fallback_is_decided_once_the_number_is_off_it() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.read(0, &NumberRecord { voice_url: Some(FALLBACK.into()), ..record::tests::record() });
    p.pass(1);
    for caller in 0..5 {
        let call = p.call(0, caller, None);
        p.leg(call, CallStatus::Failed);
        p.pass(5);
    }
    assert_eq!(p.decisions(), [(Action::Withheld { guard: DetectorGuard::OnFallback }, 1)]);
    p.read(0, &NumberRecord { voice_url: Some(FALLBACK.into()), ..record::tests::record() });
    p.pass(40);
    assert_eq!(p.decisions().len(), 1, "nothing has changed");
    p.read(0, &record::tests::record());
    p.pass(2);
    assert_eq!(p.decisions()[1..], [(Action::Rollback, 1)]);
}

#[test]
fn what_was_withheld_before_the_port_is_decided_when_the_number_is_ported() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Unknown);
    p.pass(1);
    for _ in 0..4 {
        p.probe(0, ProbeResult::Failure(Reason::Webhook));
        p.pass(5);
    }
    assert_eq!(p.decisions(), [(Action::Withheld { guard: DetectorGuard::Phase }, 1)]);
    p.engine.ported(p.now, &[NumberIx(0)]);
    p.pass(5);
    assert_eq!(p.decisions()[1..], [(Action::Rollback, 1)]);
}

#[test]
fn a_number_that_has_never_been_read_is_not_healthy_for_want_of_alerts() {
    let settings = EngineSettings { mode: Mode::Auto, ..EngineSettings::default() };
    let mut p = Port::unread(settings, 1, PortAt::Done, |_| [true, false]);
    p.pass(1);
    let failed: Vec<CallSid> = (0..8).map(|caller| p.call(0, caller, Some(11200))).collect();
    let quiet = p.call(0, 20, None);
    p.pass(120);
    assert_eq!(p.verdict(0), Verdict::Unknown, "what cannot be placed is not health");
    assert_eq!(p.engine.open(NumberIx(0), Channel::Voice), 9);
    p.read(0, &record::tests::record());
    p.pass(1);
    for call in failed {
        assert_eq!(p.outcomes(call), [Outcome::Failed(Reason::Webhook)]);
    }
    assert_eq!(p.outcomes(quiet), [Outcome::Ok], "its alerts have had their time");
    assert_eq!(p.decisions(), [(Action::Rollback, 1)]);
}

#[test]
fn an_alert_on_a_url_that_is_read_a_minute_later_is_the_handlers_all_the_same() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    let moved = "https://new.example.com/answer";
    let calls: Vec<CallSid> = (0..4).map(|caller| p.call(0, caller, None)).collect();
    for call in &calls {
        p.alert_on(Resource::Call(*call), 11200, moved);
    }
    p.pass(55);
    assert_eq!(p.verdict(0), Verdict::Unknown, "the change has not been read yet: no evidence of health");
    p.read(0, &NumberRecord { voice_url: Some(moved.into()), ..record::tests::record() });
    p.pass(2);
    for call in calls {
        assert_eq!(p.outcomes(call), [Outcome::Failed(Reason::Webhook)]);
    }
    assert_eq!(p.decisions(), [(Action::Rollback, 1)]);
    // One that no reading explains is another URL's.
    let call = p.call(0, 20, None);
    p.alert_on(Resource::Call(call), 11200, "https://stats.example.com/x");
    p.pass(60);
    assert_eq!(p.outcomes(call), []);
    p.pass(60);
    assert_eq!(p.outcomes(call), [Outcome::Failed(Reason::OtherUrl)]);
}

#[test]
fn a_line_that_reached_nobody_for_long_is_told_of_again_the_next_time() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    let calls = |p: &mut Port, count: u64, status| {
        for caller in 0..count {
            p.ended(0, caller, status);
            p.pass(2);
        }
        p.pass(60);
    };
    calls(&mut p, 1200, CallStatus::Busy);
    assert_eq!(p.decisions(), [(Action::Page { reason: PageReason::Unreached }, 1)], "once");
    calls(&mut p, 20, CallStatus::Completed);
    calls(&mut p, 60, CallStatus::Busy);
    assert_eq!(p.decisions().len(), 2, "it had been over");
}

#[test]
fn one_caller_who_redials_by_the_hour_is_one_failing_caller() {
    let mut p = Port::new(Mode::Observe, 2, PortAt::Done);
    p.pass(1);
    for _ in 0..4 {
        p.call(0, 7, Some(11200));
        p.pass(3700);
    }
    let e = &p.engine.channel(NumberIx(0), Channel::Voice).evidence;
    assert_eq!((e.callers, e.failing), (1, 1));
    assert_eq!(e.reasons.iter().map(|r| r.callers).sum::<u32>(), 1);
}

#[test]
fn three_calls_of_one_caller_make_nothing_healthy() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for _ in 0..5 {
        p.call(0, 1, None);
        p.pass(60);
    }
    let group = |p: &Port| p.engine.group_verdict(GroupIx(0), Channel::Voice).0;
    assert_eq!((p.verdict(0), group(&p)), (Verdict::Unknown, Verdict::Unknown));
    p.call(0, 2, None);
    p.call(0, 3, None);
    p.pass(60);
    assert_eq!((p.verdict(0), group(&p)), (Verdict::Healthy, Verdict::Healthy));
}

#[test]
fn calls_and_tests_from_before_the_restore_say_nothing_of_the_restored_handler() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    // They seem served at first; their alerts are late.
    let calls: Vec<CallSid> = (0..6).map(|caller| p.call(0, caller, None)).collect();
    p.pass(60);
    p.engine.rolled_back(p.now, NumberIx(0), Channel::Voice);
    let begun = p.now;
    p.pass(60);
    p.engine.handler_changed(p.now, NumberIx(0), Channel::Voice);
    for call in calls {
        p.alert(call, 11200);
    }
    for _ in 0..4 {
        p.probe_begun(0, begun, ProbeResult::Failure(Reason::Webhook));
    }
    p.pass(60);
    assert_eq!((p.verdict(0), p.decisions()), (Verdict::Unknown, vec![]));
    for caller in 10..14 {
        p.call(0, caller, Some(11200));
        p.pass(5);
    }
    assert_eq!(p.decisions(), [(Action::Rollback, 1)], "what comes now counts");
}

#[test]
fn an_applications_own_status_callback_is_no_page_of_the_handler() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    let application = record::Application {
        sid: ApplicationSid::from_u128(7),
        voice_url: Some("https://app.example.com/voice".into()),
        voice_fallback_url: None,
        sms_url: None,
        sms_fallback_url: None,
        status_callback: Some("https://app.example.com/status".into()),
        is_read: true,
    };
    p.read(0, &NumberRecord { voice_application: Some(application), ..record::tests::record() });
    p.pass(1);
    let calls: Vec<CallSid> = (0..4).map(|caller| p.call(0, caller, None)).collect();
    for call in &calls {
        p.alert_on(Resource::Call(*call), 11200, "https://app.example.com/status");
    }
    p.pass(60);
    for call in calls {
        assert_eq!(p.outcomes(call), [Outcome::Ok]);
    }
    assert_eq!(p.decisions(), []);
}

#[test]
fn a_call_with_hundreds_of_legs_is_counted() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    let call = p.ended(0, 1, CallStatus::Completed);
    for status in [CallStatus::Failed, CallStatus::Busy, CallStatus::NoAnswer, CallStatus::Canceled] {
        for _ in 0..300 {
            p.leg(call, status);
        }
    }
    p.pass(60);
    assert_eq!(p.outcomes(call).last(), Some(&Outcome::Ignored(IgnoreReason::Busy)));
}

#[test]
fn a_number_that_leads_to_the_fallback_in_another_spelling_is_on_it() {
    for spelling in
        [FALLBACK.replace("https", "http"), format!("{FALLBACK}?x=1"), FALLBACK.replace("handler", "HANDLER")]
    {
        let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
        p.read(0, &NumberRecord { voice_url: Some(spelling.as_str().into()), ..record::tests::record() });
        p.pass(1);
        for caller in 0..5 {
            let call = p.call(0, caller, None);
            p.alert_on(Resource::Call(call), 11200, &spelling);
            p.pass(5);
        }
        p.pass(60);
        assert_eq!(p.decisions(), [(Action::Page { reason: PageReason::Failing(Reason::Fallback) }, 1)], "{spelling}");
        for caller in 5..10 {
            let call = p.call(0, caller, None);
            p.leg(call, CallStatus::Failed);
            p.pass(5);
        }
        assert!(p.decisions().iter().all(|(action, _)| *action != Action::Rollback), "{spelling}");
    }
}

#[test]
fn of_yesterdays_callers_nobody_wants_to_know() {
    let mut p = Port::new(Mode::Auto, 2, PortAt::Done);
    p.pass(1);
    for caller in 0..3 {
        p.call(0, caller, None);
    }
    p.pass(60);
    let verdicts = |p: &Port| [p.verdict(0), p.verdict(1), p.engine.group_verdict(GroupIx(0), Channel::Voice).0];
    assert_eq!(verdicts(&p), [Verdict::Healthy, Verdict::Unknown, Verdict::Healthy]);
    p.pass(3600);
    assert_eq!(verdicts(&p), [Verdict::Healthy, Verdict::Unknown, Verdict::Healthy]);
    p.pass(2 * 3600);
    assert_eq!(verdicts(&p), [Verdict::Unknown; 3]);
}

/// A verdict that was earned is kept until the evidence is well below what earned it.
#[test]
fn a_suspect_number_is_suspect_until_half_of_what_made_it_so_is_gone() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    p.call(0, 1, Some(11200));
    p.call(0, 2, Some(11200));
    let (mut was_suspect, mut was_kept) = (false, false);
    for caller in 10..60 {
        p.call(0, caller, None);
        p.pass(60);
        let state = p.engine.channel(NumberIx(0), Channel::Voice);
        let share = state.evidence.score.map_or(0.0, |s| s.statistic / s.threshold);
        let is_suspect = state.verdict == Verdict::Suspect;
        assert!(share < 1.0 && (is_suspect || share < if was_suspect { 0.25 } else { 0.5 }), "{share}");
        assert!(!is_suspect || share >= 0.25, "{share}");
        was_kept |= is_suspect && share < 0.5;
        was_suspect = is_suspect;
    }
    assert!(was_kept && !was_suspect && p.verdict(0) == Verdict::Healthy);
}

#[test]
fn a_reading_that_does_not_explain_an_alert_makes_its_call_neither_served_nor_that_of_another() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    let call = p.call(0, 1, None);
    p.alert_on(Resource::Call(call), 11200, "https://new.example.com/answer");
    p.pass(20);
    // Something else about the number has changed.
    p.read(0, &NumberRecord { sms_url: Some("https://sms.example.com".into()), ..record::tests::record() });
    p.pass(60);
    assert_eq!(p.outcomes(call), []);
    p.pass(60);
    assert_eq!(p.outcomes(call), [Outcome::Failed(Reason::OtherUrl)]);
}

#[test]
fn however_loud_one_number_is_it_does_not_make_its_group_fail() {
    let mut p = Port::new(Mode::Observe, 5, PortAt::Done);
    p.pass(1);
    for i in 0..30 {
        p.call(0, i, Some(11200));
        for other in 1..5 {
            // Two of the others fail somebody, as happens, and all of them serve.
            let is_failed = [(1, 12), (2, 21)].contains(&(other, i));
            p.call(other as u32, 100 * other + i, is_failed.then_some(11200));
        }
        p.pass(60);
    }
    p.pass(60);
    assert_eq!(p.verdict(0), Verdict::Failing);
    assert_ne!(p.engine.group_verdict(GroupIx(0), Channel::Voice).0, Verdict::Failing);
    assert!(p.decisions().iter().all(|(_, numbers)| *numbers == 1), "{:?}", p.decisions());
}

/// Calls and texts of a number that was never read wait until it is, each for what decides on it.
#[test]
fn what_waits_for_a_reading_waits_until_its_own_channel_was_read() {
    let settings = EngineSettings { mode: Mode::Auto, ..EngineSettings::default() };
    let mut p = Port::unread(settings, 1, PortAt::Done, |_| [true, true]);
    p.pass(1);
    p.call(0, 1, None);
    p.text(0, 1);
    p.pass(120);
    let open = |p: &Port| Channel::ALL.map(|channel| p.engine.open(NumberIx(0), channel));
    assert_eq!(open(&p), [1, 1]);
    p.read(0, &NumberRecord { unread: [false, true], ..record::tests::record() });
    p.pass(1);
    assert_eq!(open(&p), [0, 1], "what takes its texts is not known");
    p.read(0, &record::tests::record());
    p.pass(1);
    assert_eq!(open(&p), [0, 0]);
}
