//! When something is decided, a second time too, and what a decision says.

use super::*;
use crate::detect::statistic::threshold::{Rule, RuleAction};
use crate::model::decision::Decision;
use crate::model::guard::Strength;

impl Port {
    fn decided(&self) -> Vec<&Decision> {
        self.events.iter().filter_map(|e| if let EngineEvent::Decided(d) = e { Some(&**d) } else { None }).collect()
    }

    /// So many callers of a number meet this code, one a second.
    fn fail(&mut self, i: u32, callers: std::ops::Range<u64>, code: u32) {
        for caller in callers {
            self.call(i, caller, Some(code));
            self.pass(1);
        }
    }
}

/// Numbers under one rule of the user's, which asks for three callers and half of all in ten minutes.
fn ruled(numbers: u32, action: RuleAction) -> Port {
    let is_named = |r: &Reason| r.is_curable() == (action == RuleAction::Rollback);
    let reasons = Reason::ALL.into_iter().filter(is_named).collect();
    let rule = Rule { reasons, action, ..Rule::not_curable(Channel::Voice) };
    let detection = vec![Detection { rules: vec![rule], ..Detection::default() }];
    let settings = EngineSettings { mode: Mode::Auto, detection, ..EngineSettings::default() };
    let mut p = Port::unread(settings, numbers, PortAt::Done, |_| [true, false]);
    for i in 0..numbers {
        p.read(i, &record::tests::record());
    }
    p.pass(1);
    p
}

#[test]
fn each_decision_has_an_id_of_its_own_and_says_in_words_what_it_rests_on() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    p.fail(0, 0..4, 11200);
    for _ in 0..2 {
        p.engine.not_rolled_back(NumberIx(0), Channel::Voice, p.now);
        p.pass(1);
    }
    let ids: Vec<u64> = p.decided().iter().map(|d| d.id.0).collect();
    assert_eq!(ids, [1, 2, 3]);
    let rule = &p.decided()[0].rule;
    assert!(
        rule.starts_with("detector: 4 of 4 callers failed; a fault explains") && rule.contains(" is asked for "),
        "{rule}"
    );
}

#[test]
fn what_did_not_come_about_is_decided_again_when_its_time_has_come_and_not_before() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    p.fail(0, 0..4, 11200);
    assert_eq!(p.decisions(), [(Action::Rollback, 1)]);
    p.engine.not_rolled_back(NumberIx(0), Channel::Voice, p.now + Duration::from_secs(60));
    p.pass(59);
    assert_eq!(p.decisions().len(), 1);
    p.pass(1);
    assert_eq!(p.decisions().len(), 2);
}

#[test]
fn what_did_not_come_about_is_not_decided_again_once_callers_are_served() {
    let mut p = Port::new(Mode::Auto, 3, PortAt::Done);
    p.pass(1);
    for caller in 0..12 {
        p.call(caller as u32 % 3, caller, Some(11200));
    }
    p.pass(60);
    let decided = p.decisions();
    assert_eq!(decided.last(), Some(&(Action::Rollback, 3)));
    for number in 0..3 {
        p.engine.not_rolled_back(NumberIx(number), Channel::Voice, p.now + Duration::from_secs(1200));
    }
    for caller in 100..160 {
        p.call(caller as u32 % 3, caller, None);
        p.pass(25);
    }
    assert_eq!(p.decisions(), decided, "everybody is served for 25 minutes");
    assert_eq!([0, 1, 2].map(|i| p.verdict(i)), [Verdict::Healthy; 3]);
    // One who fails brings back nothing of it; another outage is one, and soon.
    p.fail(0, 200..202, 11200);
    p.pass(60);
    assert_eq!(p.decisions(), decided);
    p.fail(0, 202..208, 11200);
    assert_eq!(p.decisions().len(), decided.len() + 1);
}

#[test]
fn two_test_calls_in_a_row_that_fail_for_what_no_swap_cures_page_once() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    let page = (Action::Page { reason: PageReason::Failing(Reason::NotArriving) }, 1);
    let mut test = |results: &[ProbeResult]| {
        for result in results {
            p.probe(0, *result);
            p.pass(1);
        }
        let all = p.decided();
        let counts = all.last().map(|d| {
            let e = &d.evidence;
            [e.probes, e.failing_probes, e.failing_numbers, e.numbers]
        });
        (p.decisions(), counts)
    };
    let lost = ProbeResult::Failure(Reason::NotArriving);
    assert_eq!(test(&[lost]).0, [], "one may be the network's");
    assert_eq!(test(&[lost]), (vec![page], Some([2, 2, 1, 1])));
    assert_eq!(test(&[lost, lost]).0, [page]);
    assert_eq!(test(&[ProbeResult::Success, lost, lost]).0, [page; 2], "and again once it had worked");
}

#[test]
fn a_rule_of_the_users_decides_when_it_is_met() {
    let mut p = ruled(1, RuleAction::Rollback);
    p.fail(0, 0..2, 11200);
    assert_eq!(p.decisions(), [], "it asks for three");
    p.fail(0, 2..3, 11200);
    assert_eq!(p.decisions(), [(Action::Rollback, 1)]);
    // Or by several numbers of the group together.
    let mut p = ruled(3, RuleAction::Rollback);
    for i in 0..3 {
        assert_eq!(p.decisions(), []);
        p.fail(i, u64::from(i)..u64::from(i) + 1, 11200);
    }
    assert_eq!(p.decisions(), [(Action::Rollback, 3)]);
}

#[test]
fn a_rule_that_pages_tells_anew_once_it_was_not_met_any_more() {
    for numbers in [1, 2] {
        let mut p = ruled(numbers, RuleAction::Page);
        let fail = |p: &mut Port, first: u64| {
            for i in 0..numbers {
                let first = first + 10 * u64::from(i);
                p.fail(i, first..first + 3, 10001);
            }
            p.decided().iter().map(|d| d.numbers.len()).collect::<Vec<_>>()
        };
        let one = fail(&mut p, 0);
        assert!(!one.is_empty());
        assert_eq!(fail(&mut p, 100), one, "it is still met");
        p.pass(700);
        let again = fail(&mut p, 200);
        assert!(again.len() > one.len() && again.last() == one.last(), "{numbers}: {again:?} after {one:?}");
        assert_eq!(again.len(), 2 * one.len(), "{numbers}: {again:?} after {one:?}");
    }
}

#[test]
fn an_outage_is_one_page_for_all_numbers_of_a_group_on_which_calls_broke() {
    let mut p = Port::new(Mode::Auto, 5, PortAt::Done);
    p.pass(1);
    for i in 0..5 {
        p.ended(i % 4, u64::from(i), CallStatus::Failed);
        p.pass(1);
    }
    p.pass(60);
    let outage = Action::Page { reason: PageReason::Outage };
    let told: Vec<usize> = p.decided().iter().filter(|d| d.action == outage).map(|d| d.numbers.len()).collect();
    assert_eq!(told, [4]);
}

/// An outage that hits two in five, and is over.
#[test]
fn what_an_outage_broke_is_not_told_once_more_of_each_number() {
    let mut p = Port::new(Mode::Auto, 4, PortAt::Done);
    p.pass(1);
    for i in 0..280 {
        let (number, caller) = (i % 4, u64::from(i));
        if i < 200 && (i / 4) % 5 < 2 || i == 276 {
            p.ended(number, caller, CallStatus::Failed);
        } else {
            p.call(number, caller, None);
        }
        p.pass(if i < 200 { 4 } else { 30 });
    }
    p.pass(60);
    let rules: Vec<String> = p.decided().iter().map(|d| d.rule.clone()).collect();
    assert!(!rules.is_empty() && !rules.iter().any(|rule| rule.contains("honest days")), "{rules:#?}");
}

#[test]
fn a_person_is_told_of_what_no_swap_cures_while_a_rollback_waits() {
    let page = (Action::Page { reason: PageReason::Failing(Reason::Account) }, 1);
    let waits: [fn(&mut Port); 3] = [
        |_| {},
        // A question, or a hold, of which nobody knows how long it stands.
        |p| p.engine.asked(NumberIx(0), Channel::Voice, Strength::Callers),
        |p| p.engine.not_rolled_back(NumberIx(0), Channel::Voice, p.now + Duration::from_secs(600)),
    ];
    for wait in waits {
        let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
        p.pass(1);
        p.fail(0, 0..4, 11200);
        wait(&mut p);
        p.pass(1);
        p.fail(0, 100..112, 10001);
        p.pass(60);
        assert_eq!(p.decisions(), [(Action::Rollback, 1), page]);
    }
}

#[test]
fn a_caller_who_says_what_only_tests_had_said_is_a_second_decision() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for _ in 0..2 {
        p.probe(0, ProbeResult::Failure(Reason::Webhook));
        p.pass(1);
    }
    assert_eq!(p.decisions(), [(Action::Rollback, 1)]);
    p.engine.asked(NumberIx(0), Channel::Voice, Strength::Hint);
    p.pass(60);
    assert_eq!(p.decisions().len(), 1, "the tests say nothing new");
    p.fail(0, 0..1, 11200);
    assert_eq!(p.decisions().len(), 2);
    p.engine.asked(NumberIx(0), Channel::Voice, Strength::Callers);
    p.fail(0, 1..5, 11200);
    assert_eq!(p.decisions().len(), 2, "nor do more callers");
}

/// Days later they are still one caller, or two.
#[test]
fn few_callers_swap_nothing_however_often_they_call() {
    for callers in [1, 2] {
        let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
        p.pass(1);
        for day in 0..12 {
            p.call(0, day % callers, Some(11200));
            p.pass(7 * 3600);
        }
        let told = p.decisions();
        assert!(!told.is_empty() && told.iter().all(|(action, _)| *action != Action::Rollback), "{callers}: {told:?}");
    }
}

/// All the calls of a telephone system fail within six minutes, and then it gives up.
#[test]
fn a_burst_of_one_caller_is_told_of_although_nobody_calls_again() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for _ in 0..30 {
        p.call(0, 1, Some(11200));
        p.pass(12);
    }
    p.pass(900);
    assert_eq!(p.decisions(), [(Action::Page { reason: PageReason::FewCallers }, 1)]);
}

/// Five calls at five numbers are five witnesses only where five people made them.
#[test]
fn one_person_is_no_fault_of_a_group() {
    for (people, is_swapped) in [(1, false), (2, false), (5, true)] {
        let mut p = Port::new(Mode::Auto, 5, PortAt::Done);
        p.pass(1);
        for round in 0..3 {
            for i in 0..5 {
                p.call(i, u64::from(i) % people + 1, Some(11200));
                p.pass(20);
            }
            p.pass(round);
        }
        let swapped = p.decisions().iter().any(|(action, _)| *action == Action::Rollback);
        assert_eq!(swapped, is_swapped, "{people}: {:?}", p.decisions());
    }
}

/// A quiet number: nobody's calls come often enough for a rule that looks at minutes.
#[test]
fn a_quiet_number_that_serves_nobody_for_long_pages_whoever_calls_and_is_not_swapped() {
    for (callers, every) in [(1, 600), (1, 300), (2, 420), (5, 900), (1, 1700)] {
        for code in [11200, 13227] {
            let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
            p.pass(1);
            p.call(0, 77, None);
            p.pass(every);
            for i in 0..4 {
                p.call(0, i % callers, Some(code));
                p.pass(every);
            }
            if callers < 3 {
                assert_eq!(p.decisions(), [], "{callers} {every}: four prove nothing");
            }
            p.call(0, 4 % callers, Some(code));
            p.pass(every);
            p.call(0, 5 % callers, Some(code));
            p.pass(every);
            let told = p.decisions();
            let few = Action::Page { reason: PageReason::FewCallers };
            if callers < 3 {
                assert_eq!(told, [(few, 1)], "{callers} {every} {code}");
            } else if code == 13227 {
                assert_eq!(told, [(Action::Page { reason: PageReason::Failing(Reason::Unexplained) }, 1)]);
            } else {
                assert_eq!(told.len(), 1, "{told:?}");
            }
        }
    }
}

/// What is not reported for an hour is said to be over.
#[test]
fn a_run_that_goes_on_is_decided_again_within_the_hour() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for _ in 0..30 {
        p.call(0, 1, Some(11200));
        p.pass(600);
    }
    let at: Vec<Time> = p.decided().iter().map(|d| d.at).collect();
    assert!((6..=12).contains(&at.len()), "{at:?}");
    assert!(at.windows(2).all(|w| w[1].since(w[0]) < Duration::from_secs(3600)), "{at:?}");
}

/// Of a rollback that waits for a person, or for a hold to end, people have been told.
#[test]
fn a_run_adds_nothing_to_a_rollback_that_is_asked_for() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    p.fail(0, 0..4, 11200);
    assert_eq!(p.decisions(), [(Action::Rollback, 1)]);
    p.engine.asked(NumberIx(0), Channel::Voice, Strength::Callers);
    for _ in 0..20 {
        p.call(0, 1, Some(11200));
        p.pass(300);
    }
    assert_eq!(p.decisions().len(), 1);
}

#[test]
fn a_number_that_fails_somebody_now_and_then_does_not_page() {
    let mut p = Port::new(Mode::Auto, 2, PortAt::Done);
    p.pass(1);
    for i in 0..40 {
        p.call(0, 1, (i % 20 == 3).then_some(11200));
        p.pass(300);
    }
    assert_eq!(p.decisions(), []);
    // The group's other number serves, which says nothing of this one.
    for i in 0..8 {
        p.call(0, 1, Some(11200));
        p.call(1, 10 + i, None);
        p.pass(300);
    }
    assert_eq!(p.decisions(), [(Action::Page { reason: PageReason::FewCallers }, 1)]);
}

#[test]
fn a_run_is_known_again_after_a_restart_and_not_after_the_way_back() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for _ in 0..4 {
        p.call(0, 1, Some(11200));
        p.pass(600);
    }
    assert_eq!(p.decisions(), []);
    p.engine.handler_changed(p.now, NumberIx(0), Channel::Voice);
    for _ in 0..4 {
        p.pass(600);
        p.call(0, 1, Some(11200));
    }
    p.pass(60);
    assert_eq!(p.decisions(), [], "what spoke against another handler is over");
    // The agent after it reads the same again.
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    for _ in 0..4 {
        p.call(0, 1, Some(11200));
        p.now = p.now + Duration::from_secs(600);
        p.engine.catch_up(p.now);
    }
    p.engine.forget_news();
    p.pass(1);
    assert_eq!(p.decisions(), []);
    p.call(0, 1, Some(11200));
    p.pass(60);
    assert_eq!(p.decisions(), [(Action::Page { reason: PageReason::FewCallers }, 1)]);
}

#[test]
fn messages_of_ours_that_never_arrive_page_however_few_they_are() {
    let settings = EngineSettings { mode: Mode::Auto, ..EngineSettings::default() };
    let mut p = Port::unread(settings, 1, PortAt::Done, |_| [true, true]);
    p.read(0, &record::tests::record());
    p.pass(1);
    for i in 0..6 {
        let status = if i == 0 { MessageStatus::Delivered } else { MessageStatus::Undelivered };
        let message = Message {
            sid: MessageSid::from_u128(1000 + i),
            number: number(0),
            party: RemoteParty { hash: 1, last_two: None, is_prober: false, carrier: None },
            direction: Direction::Outbound,
            status,
            sent_at: p.now,
            error: (i > 0).then_some(Code(30034)),
            service: None,
            is_keyword: false,
        };
        p.engine.observe(p.now, ACCOUNT, &Observation::Message(message));
        p.pass(600);
    }
    assert_eq!(p.decisions(), [(Action::Page { reason: PageReason::Failing(Reason::Registration) }, 1)]);
}

/// A third of a number's callers fail for a reason that no swap cures: below half, and somebody is served in between.
#[test]
fn a_number_that_loses_a_third_of_its_callers_all_day_is_told_of() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for caller in 0..60 {
        // Its own URL has nothing to do with it.
        p.call(0, caller, (caller % 3 == 0).then_some(64101));
        p.pass(120);
    }
    let failing = Action::Page { reason: PageReason::Failing(Reason::Unexplained) };
    assert_eq!(p.decisions().first(), Some(&(failing, 1)), "{:?}", p.decisions());
    assert_eq!(p.verdict(0), Verdict::Failing);
}

/// What was told while it happened is not told again when another caller fails within the day.
#[test]
fn a_trouble_that_is_over_and_was_told_is_not_told_again_by_the_sum_of_the_day() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    p.fail(0, 0..20, 64101);
    p.pass(60);
    let failing = (Action::Page { reason: PageReason::Failing(Reason::Unexplained) }, 1);
    assert_eq!(p.decisions(), [failing]);
    for caller in 100..140 {
        p.call(0, caller, (caller == 130).then_some(64101));
        p.pass(90);
    }
    assert_eq!(p.decisions(), [failing]);
}

/// The fallback leads back to the handler that fails: nothing is left to swap to, and a person is told.
#[test]
fn callers_who_fail_after_the_swap_are_told_of_whatever_they_meet() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    p.fail(0, 0..6, 11200);
    assert_eq!(p.decisions(), [(Action::Rollback, 1)]);
    p.engine.rolled_back(p.now, NumberIx(0), Channel::Voice);
    p.pass(60);
    p.fail(0, 10..16, 11200);
    p.pass(120);
    let failing = Action::Page { reason: PageReason::OldHandler };
    assert_eq!(p.decisions(), [(Action::Rollback, 1), (failing, 1)], "told, and told once");
}

#[test]
fn other_trouble_is_told_of_during_an_outage() {
    let mut p = Port::new(Mode::Auto, 5, PortAt::Done);
    p.pass(1);
    for i in 0..5 {
        p.ended(i % 4, u64::from(i), CallStatus::Failed);
        p.pass(1);
    }
    p.pass(60);
    let outage = (Action::Page { reason: PageReason::Outage }, 4);
    assert!(p.decisions().contains(&outage));
    for caller in 100..110 {
        let call = p.call(4, caller, Some(11200));
        p.leg(call, CallStatus::Completed);
        p.pass(1);
    }
    let beside = (Action::Page { reason: PageReason::ErrorsBesideService }, 1);
    assert!(p.decisions().contains(&beside), "{:?}", p.decisions());
}

/// A rollback failed, and may be tried again from an instant on. In that instant nothing is decided any more.
#[test]
fn a_run_is_told_of_from_the_instant_on_in_which_no_rollback_stands() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for _ in 0..4 {
        p.call(0, 1, Some(11200));
        p.pass(600);
    }
    p.engine.not_rolled_back(NumberIx(0), Channel::Voice, p.now + Duration::from_secs(1));
    p.call(0, 1, Some(11200));
    p.pass(60);
    assert_eq!(p.decisions(), [(Action::Page { reason: PageReason::FewCallers }, 1)]);
}

/// Our own test calls fail, and whoever else calls is served: what is broken is the test, or what only it meets.
#[test]
fn test_calls_that_fail_while_callers_are_served_are_told_and_swap_nothing_until_callers_fail() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for minute in 0..60 {
        p.call(0, 100 + minute, None);
        p.pass(20);
        p.probe(0, ProbeResult::Failure(Reason::Webhook));
        p.pass(40);
    }
    let beside = (Action::Page { reason: PageReason::ErrorsBesideService }, 1);
    assert_eq!(p.decisions(), [beside], "told, and told once");
    p.fail(0, 500..506, 11200);
    p.pass(60);
    assert_eq!(p.decisions(), [beside, (Action::Rollback, 1)]);
}

/// The tests of a group's numbers fail one after the other: whoever is served on one of them is served all the same.
#[test]
fn of_a_group_whose_tests_fail_only_numbers_that_serve_nobody_are_swapped() {
    let mut p = Port::new(Mode::Auto, 4, PortAt::Done);
    p.pass(1);
    for minute in 0..20 {
        // Two have callers, two have none.
        p.call(0, 100 + minute, None);
        p.call(1, 200 + minute, None);
        p.pass(20);
        p.probe((minute % 4) as u32, ProbeResult::Failure(Reason::Webhook));
        p.pass(40);
    }
    let swapped = |i| p.engine.channel(NumberIx(i), Channel::Voice).rollback == RollbackProgress::Pending;
    assert_eq!([0, 1, 2, 3].map(swapped), [false, false, true, true], "{:?}", p.decisions());
}
