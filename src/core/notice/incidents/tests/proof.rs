//! What is said of rollbacks that do not serve callers, and what is advised: nothing that leads to the same again.

use super::*;
use crate::model::barrier::Barrier;
use crate::model::decision::PageReason;
use crate::model::order::FALLBACK_FAILS;
use crate::model::reason::Reason;

fn ended(id: u64, i: usize, end: OrderResult, why: &str) -> Entry {
    let Entry::Result { decision, channel, number, result, .. } = result(id, i, end) else { unreachable!() };
    Entry::Result { decision, channel, number, result, detail: why.to_owned() }
}

fn fails_a_test(id: u64, i: usize) -> Entry {
    ended(id, i, OrderResult::Unproven, &format!("{FALLBACK_FAILS}: no answer"))
}

fn next(notice: &Notice) -> String {
    let step = |s: &crate::notice::Step| format!("{} {}", s.text, s.command.as_deref().unwrap_or_default());
    notice.next.iter().map(step).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_fallback_that_is_known_to_fail_is_repaired_and_not_rolled_back_to_again() {
    let mut h = History::new();
    h.rolled_back(1, 0..3);
    let told = h.add(fails_a_test(1, 0)).remove(0);
    assert_eq!(told.kind, NoticeKind::Unproven);
    let steps = next(&told);
    assert!(steps.starts_with("Repair https://handler.twilio.com/twiml/EH0"), "{steps}");
    assert!(!steps.contains("ringback rollback") && !steps.contains("set its voice URL"), "{steps}");
    assert_eq!(steps.matches("ringback restore").count(), 1, "one answer for all three: {steps}");
    assert!(steps.contains("+15005550100 +15005550101 +15005550102"), "{steps}");
    assert!(told.did.contains("D1: rolled back 3 numbers"), "{}", told.did);
    assert!(
        told.proof.as_deref().is_some_and(|p| p.contains("NO: the number is on the fallback, and the fallback fails"))
    );
    // The second is as expected; with the last one nobody is left.
    assert_eq!(kinds(&h.add(fails_a_test(1, 1))), []);
    let last = h.add(fails_a_test(1, 2)).remove(0);
    assert_eq!((last.kind, last.numbers.len()), (NoticeKind::Unproven, 3));
    assert!(last.title.contains("3 of 8 numbers"), "{}", last.title);
}

#[test]
fn callers_who_fail_on_the_fallback_are_told_in_the_words_of_the_rollback() {
    let mut h = History::new();
    h.rolled_back(1, 0..2);
    let told = h.add(decision(2, Action::Page { reason: PageReason::Failing(Reason::Fallback) }, 0..1)).remove(0);
    assert!(told.did.contains("nothing more was written: the number is on the fallback already"), "{}", told.did);
    assert!(next(&told).contains("ringback restore +15005550100"), "{}", next(&told));
    let standing = h.incidents.standing(h.now).incidents;
    let rolled_back = standing.iter().find(|i| i.headline != crate::notice::incidents::Headline::Reported);
    let notice = &rolled_back.expect("it stands").notice;
    assert!(notice.proof.as_deref().is_some_and(|p| p.contains("and the fallback fails")), "{:?}", notice.proof);
    assert!(next(notice).starts_with("Repair https://"), "{}", next(notice));
}

#[test]
fn what_the_fallback_of_before_did_says_nothing_of_the_one_that_numbers_are_swapped_to_next() {
    let mut h = History::new();
    h.rolled_back(1, 0..2);
    h.add(decision(2, Action::Page { reason: PageReason::Failing(Reason::Fallback) }, 0..2));
    h.all([decided(3, 0..2), ordered(3, 0..2, Operation::Rollback, By::Detector)]);
    let written = |i| Entry::Written { decision: DecisionId(3), channel: VOICE, number: number(i) };
    h.all([written(0), written(1), result(3, 0, OrderResult::Written), result(3, 1, OrderResult::Written)]);
    h.pass(1);
    let standing = h.incidents.standing(h.now).incidents;
    let [incident] = standing.as_slice() else { panic!("the old fallback's trouble is over: {}", standing.len()) };
    let proof = incident.notice.proof.clone().unwrap_or_default();
    assert!(proof.starts_with("in part"), "{proof}");
    assert!(!next(&incident.notice).contains("Repair https://"), "{}", next(&incident.notice));
}

#[test]
fn what_keeps_us_from_twilio_is_mended_first_and_no_command_is_advised_that_meets_the_same() {
    for barrier in [Barrier::Credentials, Barrier::Unreachable] {
        let error = format!("list_calls: {} (HTTP 401)", barrier.text());
        let blind = |sources, why: &str| AgentCondition::Blind {
            channels: vec![VOICE],
            sources,
            why: why.to_owned(),
            unread: vec![],
        };
        let mut h = History::new();
        let told = h.incidents.begins(h.now, h.now, blind(vec!["calls", "alerts"], &error)).expect("it is new");
        assert!(!told.did.contains("still work") && told.did.contains(barrier.text()), "{}", told.did);
        let steps = next(&told);
        assert!(steps.starts_with(barrier.mend()) && !steps.contains("ringback rollback"), "{steps}");
        assert!(steps.contains("Twilio's Console") && steps.contains("support: https://handler"), "{steps}");
        // An order that failed for it.
        let told = h.all([decided(1, 0..1), ordered(1, 0..1, Operation::Rollback, person())]);
        assert!(told.iter().all(|n| n.kind != NoticeKind::Unproven));
        let failed = h.add(ended(1, 0, OrderResult::Failed, &format!("fetch_number: {}", barrier.text()))).remove(0);
        let steps = next(&failed);
        assert!(steps.starts_with(barrier.mend()) && !steps.contains("ringback rollback"), "{steps}");
        // Twilio answers, or it is another host that does not: commands may work.
        for condition in [blind(vec!["calls"], "list_calls: Twilio failed"), blind(vec!["alerts"], &error)] {
            let told = History::new().incidents.begins(h.now, h.now, condition).expect("it is new");
            assert!(next(&told).contains("ringback rollback --group support"), "{}", next(&told));
        }
    }
    assert!(Barrier::Credentials.mend().contains("TWILIO_AUTH_TOKEN"));
}
