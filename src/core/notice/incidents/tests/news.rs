//! What is told once, what is told again, and in which words.

use super::*;
use crate::model::counted::Counted;
use crate::model::decision::PageReason;
use crate::model::order::{AdoptedBy, Author};
use crate::model::reason::Reason;
use crate::model::verdict::ReasonCount;

fn page(id: u64, which: std::ops::Range<usize>, reason: PageReason) -> Entry {
    decision(id, Action::Page { reason }, which)
}

fn asked(id: u64, which: std::ops::Range<usize>, guard: Guard, until: Time) -> Entry {
    Entry::Asked { decision: DecisionId(id), channel: VOICE, numbers: numbers(which), guard, until }
}

#[test]
fn a_page_of_what_no_swap_cures_is_an_incident_of_its_own_with_its_reason() {
    let mut h = History::new();
    let account = h.add(page(1, 0..1, PageReason::Failing(Reason::Account)));
    assert_eq!(account[0].key, "support/voice/account");
    assert!(account[0].title.starts_with("Callers fail: "), "{}", account[0].title);
    let silence = h.add(page(2, 0..1, PageReason::Silence));
    assert_eq!(silence[0].key, "support/voice/silence");
    assert!(silence[0].title.ends_with("expected calls do not reach Twilio"), "{}", silence[0].title);
    assert!(silence[0].did.contains("a rollback would not cure this"), "{}", silence[0].did);
    // A rule may page for what a swap would cure.
    let webhook = h.add(page(3, 0..1, PageReason::Failing(Reason::Webhook)));
    assert_eq!(webhook[0].key, "support/voice/handler");
    assert!(webhook[0].did.contains("because a rule asks a person first (a rule)"), "{}", webhook[0].did);
    assert!(webhook[0].next.iter().any(|s| s.text.contains("roll back")), "{:?}", webhook[0].next);
    // And what is decided for it afterwards is more than something to look at.
    assert_eq!(kinds(&h.rolled_back(4, 0..1)), [(NoticeKind::RolledBack, FIRING)]);
    assert_eq!(kinds(&h.add(page(5, 0..1, PageReason::Failing(Reason::Webhook)))), []);
}

#[test]
fn what_is_only_looked_at_is_over_after_an_hour_without_more_of_it() {
    let mut h = History::new();
    let begun = h.now;
    assert_eq!(h.add(page(1, 0..1, PageReason::Unreached)).len(), 1);
    h.now = begun + Duration::from_secs(3599);
    assert_eq!(kinds(&h.pass(0)), []);
    assert_eq!(kinds(&h.pass(1)), [(NoticeKind::NotCurable, RESOLVED)]);
}

#[test]
fn a_question_that_nobody_answered_is_told_once_unless_another_one_is_asked() {
    let mut h = History::new();
    let until = h.now + Duration::from_secs(600);
    assert_eq!(h.all([decided(1, 0..1), asked(1, 0..1, Guard::Mode, until)]).len(), 1);
    h.now = until;
    assert_eq!(kinds(&h.add(closed(1, 0..1, CloseReason::TimedOut))), []);
    h.now = until + Duration::from_secs(119);
    assert_eq!(kinds(&h.pass(0)), [], "the detector may decide again within a minute");
    assert_eq!(kinds(&h.pass(1)), [(NoticeKind::Lapsed, FIRING)]);
    h.all([decided(2, 1..2), asked(2, 1..2, Guard::Mode, h.now), closed(2, 1..2, CloseReason::TimedOut)]);
    assert_eq!(kinds(&h.pass(3600 - 300)), [], "people know that nobody answers");
}

#[test]
fn one_number_is_told_in_the_singular() {
    let mut h = History::new();
    let mut told = h.all([decided(1, 0..1)]);
    told.extend(h.all([ordered(1, 0..1, Operation::Rollback, By::Detector)]));
    told.extend(h.all([result(1, 0, OrderResult::Written)]));
    h.add(ordered(2, 0..1, Operation::Restore, person()));
    told.extend(h.all([result(2, 0, OrderResult::Restored)]));
    assert!(told.iter().any(|n| n.did.contains("restored 1 of 1 number")), "{told:?}");
    for n in &told {
        for wrong in ["1 number are", "1 numbers", "1 number stay ", "1 number port "] {
            assert!(!n.did.contains(wrong) && !n.title.contains(wrong), "{wrong}: {}: {}", n.title, n.did);
        }
    }
}

#[test]
fn a_veto_is_told_once_in_an_incident() {
    let mut h = History::new();
    let until = h.now + Duration::from_secs(300);
    let veto = |id, i| [decided(id, i..i + 1), asked(id, i..i + 1, Guard::Veto, until)];
    let told = h.all(veto(1, 0));
    assert_eq!(kinds(&told), [(NoticeKind::Asked, FIRING)]);
    assert!(told[0].did.contains("unless somebody holds it"), "{}", told[0].did);
    assert_eq!(h.all(veto(2, 1)).len(), 0);
    assert_eq!(h.all(veto(3, 2)).len(), 0);
}

#[test]
fn a_proof_is_told_once_when_the_last_number_has_it() {
    let mut h = History::new();
    let swapped = h.rolled_back(1, 0..3);
    assert_eq!(kinds(&swapped), [(NoticeKind::RolledBack, FIRING)]);
    assert!(swapped[0].proof.as_ref().is_some_and(|p| p.starts_with("in part: ")), "{:?}", swapped[0].proof);
    assert_eq!(h.all([result(1, 0, OrderResult::Proven), result(1, 1, OrderResult::Proven)]).len(), 0);
    let proven = h.add(result(1, 2, OrderResult::Proven));
    assert_eq!(kinds(&proven), [(NoticeKind::RolledBack, FIRING)]);
    assert!(proven[0].title.contains("proven"), "{}", proven[0].title);
    assert!(proven[0].proof.as_ref().is_some_and(|p| p.starts_with("yes: ")), "{:?}", proven[0].proof);
    for i in 0..3 {
        assert_eq!(h.add(result(1, i, OrderResult::Proven)).len(), 0, "people know");
    }
}

#[test]
fn a_proof_counts_numbers_by_what_became_of_them() {
    let mut h = History::new();
    h.all([ordered(1, 0..4, Operation::Rollback, person())]);
    h.all([result(1, 0, OrderResult::Written), result(1, 1, OrderResult::Written)]);
    h.add(result(1, 2, OrderResult::Unproven));
    let told = h.pass(60);
    let proof = told[0].proof.clone().unwrap();
    let lines: Vec<&str> = proof.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["2 of 4", "1 of 4", "1 of 4"], "{proof}");
    assert!(proof.ends_with("1 of 4: not yet"), "{proof}");
    let mut h = History::new();
    h.all([ordered(1, 0..2, Operation::Rollback, person())]);
    let slow = h.pass(60);
    assert_eq!(slow[0].proof.as_deref(), Some("not yet"));
    assert_eq!(slow[0].cause.as_deref(), Some("maria asked for the rollback: repaired"));
}

#[test]
fn numbers_that_stand_alike_are_told_of_together() {
    let mut h = History::new();
    let until = h.now + Duration::from_secs(600);
    let entries = [
        decided(1, 0..6),
        asked(1, 0..3, Guard::Mode, until),
        asked(1, 3..4, Guard::Cap, until),
        asked(1, 4..5, Guard::Mode, until + Duration::from_secs(60)),
        refused(1, 5..6, Guard::Hold),
    ];
    let at = h.now;
    entries.iter().for_each(|entry| assert_eq!(h.incidents.fold(at, entry), []));
    let told = h.pass(1).remove(0);
    let counts: Vec<&str> = told.did.lines().map(|line| line.split(". ").next().unwrap()).collect();
    let waits = |n| format!("D1: nothing is written to {n} of 6 numbers");
    let blocked = "D1: nothing was written to 1 of 6 numbers".to_owned();
    assert_eq!(counts, [waits(3), waits(1), waits(1), blocked], "{}", told.did);
    let approve = told.next.iter().filter(|s| s.text.starts_with("To roll back "));
    let approve: Vec<&str> = approve.map(|s| s.text.as_str()).collect();
    assert_eq!(approve, ["To roll back 5 numbers"], "an approval does not end a hold: {:?}", told.next);
    assert_eq!(told.callers.map(|c| (c.failing, c.of)), Some((3, 4)));
    let paged = h.add(page(2, 6..8, PageReason::Silence));
    assert_eq!(paged[0].did.lines().count(), 1, "{}", paged[0].did);
}

#[test]
fn an_end_has_the_severity_that_a_failed_restore_had() {
    let mut h = History::new();
    h.all([ordered(1, 0..1, Operation::Rollback, person()), result(1, 0, OrderResult::Written)]);
    h.add(ordered(2, 0..1, Operation::Restore, person()));
    let failed = h.add(result(2, 0, OrderResult::Failed));
    assert_eq!(kinds(&failed), [(NoticeKind::RestoreFailed, FIRING)]);
    assert!(failed[0].incident_severity > Severity::Info);
    let drift = Entry::Drift { number: number(0), channel: VOICE, differences: vec![], actor: None };
    let told = h.add(drift);
    let over = told.iter().find(|n| n.status == RESOLVED).expect("it is over");
    let severity = failed[0].incident_severity;
    assert_eq!((over.severity, over.incident_severity), (severity, severity), "who was sent its beginning");
}

fn ann() -> Author {
    Author { name: "ann".into(), reason: "handed over".into() }
}

fn adopted(i: usize, by: AdoptedBy) -> Entry {
    let actor = Some("CallTracker's API key".into());
    Entry::Adopted { number: number(i), channel: VOICE, routing: "{}".into(), by, differences: vec![], actor }
}

#[test]
fn a_takeover_that_was_expected_is_told_once_and_ends_the_rollback() {
    let mut h = History::new();
    let owner = || AdoptedBy::Owner("CallTracker".into());
    let told = h.add(adopted(5, owner()));
    assert_eq!(kinds(&told), [(NoticeKind::Drift, NoticeStatus::Event)]);
    assert!(told[0].title.starts_with("CallTracker has taken over") && told[0].severity == Severity::Info);
    assert!(!told[0].did.contains("superseded"), "{}", told[0].did);
    h.rolled_back(1, 0..2);
    let told = h.add(adopted(0, owner()));
    let news: Vec<_> = told.iter().filter(|n| n.status == NoticeStatus::Event).collect();
    assert_eq!(news.len(), 1, "{told:?}");
    assert!(news[0].did.contains("its rollback ends as superseded"), "{}", news[0].did);
    assert!(news[0].cause.as_ref().unwrap().contains("CallTracker's API key"));
    // A person who adopts is told nothing new, unless others were told of a rollback.
    assert!(h.add(adopted(6, AdoptedBy::Operator(ann()))).is_empty());
    let told = h.add(adopted(1, AdoptedBy::Operator(ann())));
    assert!(told.iter().any(|n| n.status == NoticeStatus::Event && n.did.contains("superseded")), "{told:?}");
    assert!(told.iter().any(|n| n.status == RESOLVED), "nothing of ours is on any number: {told:?}");
}

#[test]
fn of_many_numbers_that_were_not_restored_three_are_named_and_the_others_counted() {
    let more = |n| Some(format!("{n} numbers more not restored"));
    for (bad, named, more) in [(3, 3, None), (4, 4, None), (5, 3, more(2)), (6, 3, more(3))] {
        let mut h = History::new();
        h.rolled_back(1, 0..8);
        h.add(ordered(2, 0..8, Operation::Restore, person()));
        let end = |i| if i < bad { OrderResult::Failed } else { OrderResult::Restored };
        let told = h.all((0..8).map(|i| result(2, i, end(i))));
        let failed = told.iter().find(|n| n.kind == NoticeKind::RestoreFailed).expect("it failed");
        assert_eq!(failed.did.matches(": restore failed").count(), named, "{}", failed.did);
        let found = failed.did.lines().find(|line| line.ends_with("not restored"));
        assert!(found.is_some() == more.is_some(), "{}", failed.did);
        assert!(found.unwrap_or_default().starts_with(&*more.unwrap_or_default()), "{}", failed.did);
    }
}

#[test]
fn the_end_of_an_incident_says_why_of_how_many_numbers() {
    let mut h = History::new();
    h.rolled_back(1, 0..3);
    h.add(ordered(2, 0..2, Operation::Restore, person()));
    h.all([result(2, 0, OrderResult::Restored), result(2, 1, OrderResult::Restored)]);
    let drift = Entry::Drift { number: number(2), channel: VOICE, differences: vec![], actor: None };
    let told = h.add(drift);
    let over = told.iter().find(|n| n.status == RESOLVED).expect("it is over");
    assert_eq!((over.severity, over.incident_severity), (Severity::Critical, Severity::Critical));
    assert_eq!(over.numbers, numbers(0..3));
    assert!(over.did.contains("1 number: somebody else changed the number"), "{}", over.did);
    assert!(over.did.contains("2 numbers: "), "{}", over.did);
}

/// Whoever texts is no caller, and whoever is sent a message neither.
#[test]
fn a_notice_names_what_it_counts() {
    let table = [
        (Counted::Attempts, VOICE, PageReason::FewCallers, "Calls"),
        (Counted::Attempts, Channel::Messaging, PageReason::FewCallers, "Texts"),
        (Counted::People, Channel::Messaging, PageReason::Failing(Reason::Account), "People"),
        (Counted::Recipients, Channel::Messaging, PageReason::Failing(Reason::Registration), "Sent to"),
        (Counted::Sent, Channel::Messaging, PageReason::Failing(Reason::Delivery), "Sent"),
    ];
    for (counted, channel, reason, label) in table {
        let mut h = History::new();
        let Entry::Decision(mut decision) = page(1, 0..1, reason) else { panic!() };
        decision.channel = channel;
        decision.evidence.counted = counted;
        decision.evidence.reasons = vec![ReasonCount { reason: Reason::Delivery, code: None, callers: 3 }];
        let told = h.add(Entry::Decision(decision)).remove(0);
        assert!(
            told.lines().iter().any(|(name, text)| (*name, &**text) == (label, "3 of 4 failed")),
            "{}",
            told.text()
        );
        let words = counted.words(channel);
        assert_eq!(told.reasons_text()[0], format!("{}: {}", words.count(3), Reason::Delivery.text()));
        let text = told.text().to_lowercase();
        assert!(channel == VOICE || !text.contains("caller") && !text.contains("call the"), "{text}");
    }
}

/// What another URL than the handler's own does to some callers may be theirs; where nobody is served it wakes people.
#[test]
fn another_url_that_fails_every_caller_is_critical() {
    for (failing, severity) in [(3, Severity::Warning), (4, Severity::Critical)] {
        let mut h = History::new();
        let Entry::Decision(mut decision) = page(1, 0..1, PageReason::Failing(Reason::OtherUrl)) else { panic!() };
        (decision.evidence.callers, decision.evidence.failing) = (4, failing);
        assert_eq!(h.add(Entry::Decision(decision))[0].severity, severity);
    }
}
