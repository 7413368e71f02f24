//! What an outcome has fed is revised when the outcome is: whatever counts or remembers it knows what it is known to be
//! by now.

use super::*;
use crate::model::reason::IgnoreReason;

/// Its alert comes when the call has long been taken for served. What the rules look at is what the calls are known to
/// be by now.
#[test]
fn a_caller_who_seemed_served_and_was_not_keeps_no_rule_from_looking() {
    for numbers in [1, 2] {
        let mut p = Port::new(Mode::Auto, numbers, PortAt::Done);
        p.pass(1);
        let first = p.call(0, 1, None);
        p.pass(60);
        assert_eq!(p.outcomes(first), [Outcome::Ok]);
        p.alert(first, 11200);
        for i in 0..9 {
            p.call(i % numbers, 1, Some(11200));
            p.pass(80);
        }
        let few = Action::Page { reason: PageReason::FewCallers };
        assert_eq!(p.decisions(), [(few, numbers as usize)], "within {:?}", Duration::from_secs(60 + 9 * 80));
    }
}

#[test]
fn whoever_turns_out_not_to_have_been_served_makes_no_number_healthy() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    let calls: Vec<_> = (0..3).map(|caller| p.call(0, caller, None)).collect();
    p.pass(60);
    let group = |p: &Port| p.engine.group_verdict(GroupIx(0), Channel::Voice).0;
    assert_eq!([p.verdict(0), group(&p)], [Verdict::Healthy; 2]);
    p.alert(calls[0], 11200);
    p.pass(1);
    assert_eq!([p.verdict(0), group(&p)], [Verdict::Unknown; 2], "two callers are not enough");
    // Who was served is known again at once where more than enough were.
    let calls: Vec<_> = (10..16).map(|caller| p.call(0, caller, None)).collect();
    p.pass(120);
    assert_eq!([p.verdict(0), group(&p)], [Verdict::Healthy; 2]);
    p.alert(calls[5], 11200);
    p.pass(1);
    assert_eq!([p.verdict(0), group(&p)], [Verdict::Healthy; 2]);
}

/// The first leg of each is busy. That the second one talked is told when the call has long been settled.
#[test]
fn whoever_was_reached_after_all_speaks_for_the_line() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for caller in 0..60 {
        let call = p.ended(0, caller, CallStatus::Completed);
        p.leg(call, CallStatus::Busy);
        p.pass(60);
        p.leg(call, CallStatus::Completed);
        p.pass(1);
        assert_eq!(p.outcomes(call), [Outcome::Ignored(IgnoreReason::Busy), Outcome::Ok]);
    }
    assert_eq!(p.decisions(), []);
}

#[test]
fn what_turns_out_not_to_have_been_a_carriers_fault_is_no_part_of_an_outage() {
    let mut p = Port::new(Mode::Auto, 5, PortAt::Done);
    p.pass(1);
    let broken: Vec<_> = (0..4).map(|i| p.ended(i, u64::from(i), CallStatus::Failed)).collect();
    p.pass(60);
    for call in broken {
        assert_eq!(p.outcomes(call), [Outcome::Failed(Reason::Carrier)]);
        p.alert(call, 10001);
    }
    p.ended(4, 4, CallStatus::Failed);
    p.pass(120);
    let outage = Action::Page { reason: PageReason::Outage };
    assert!(p.decisions().iter().all(|(action, _)| *action != outage), "{:?}", p.decisions());
}
