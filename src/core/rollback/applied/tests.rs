use super::*;
use crate::model::id::NumberSid;
use crate::model::order::UpdateParams;
use crate::rollback::saga::Snapshot;

fn update(value: &str) -> UpdateParams {
    vec![("VoiceUrl".to_owned(), value.into())]
}

fn snapshot(record: &str) -> SagaEvent {
    SagaEvent::Snapshotted(Snapshot { sid: NumberSid::from_u128(1), record: record.into() })
}

fn walk(applied: &mut Applied, order: u64, events: impl IntoIterator<Item = SagaEvent>) {
    for event in events {
        applied.advance(Time::from_secs(i64::try_from(order).unwrap()), DecisionId(order), event).unwrap();
    }
}

fn apply(before: &str, to: &str, end: OrderResult) -> [SagaEvent; 3] {
    [snapshot(before), SagaEvent::Intended(Operation::Apply, update(to)), SagaEvent::Ended(end)]
}

fn before(applied: &Applied) -> &str {
    applied.state().swap().unwrap().before.record.whole()
}

#[test]
fn what_is_undone_is_the_latest_apply() {
    let mut applied = Applied::default();
    walk(&mut applied, 1, apply("a", "b", OrderResult::Written));
    assert_eq!((applied.state().label(), before(&applied)), ("read_back", "a"));
    walk(&mut applied, 2, apply("b", "c", OrderResult::Written));
    assert_eq!(before(&applied), "b");
    walk(&mut applied, 3, [SagaEvent::Intended(Operation::Undo, update("b")), SagaEvent::Ended(OrderResult::Restored)]);
    assert_eq!(applied.state(), &SagaState::Restored(DecisionId(3)));
}

#[test]
fn an_apply_that_writes_nothing_leaves_the_one_before_it() {
    for end in [OrderResult::Failed, OrderResult::Refused] {
        let mut applied = Applied::default();
        walk(&mut applied, 1, apply("a", "b", OrderResult::Written));
        let was = applied.state().clone();
        walk(&mut applied, 2, apply("b", "c", end));
        assert_eq!(*applied.state(), was, "{end:?} after an intent");
        walk(&mut applied, 3, [snapshot("b"), SagaEvent::Ended(end)]);
        assert_eq!(*applied.state(), was, "{end:?} after a snapshot");
        walk(&mut applied, 4, [SagaEvent::Ended(end)]);
        assert_eq!(*applied.state(), was, "{end:?} before anything");
        // It is so already.
        walk(&mut applied, 5, [SagaEvent::Ended(OrderResult::Written)]);
        assert_eq!(*applied.state(), was);
    }
}

#[test]
fn whoever_takes_the_number_takes_it_from_the_apply() {
    let mut applied = Applied::default();
    applied.lost(Time::from_secs(1));
    assert_eq!((applied.state(), applied.since), (&SagaState::Idle, None));
    walk(&mut applied, 1, apply("a", "b", OrderResult::Written));
    applied.lost(Time::from_secs(7));
    assert_eq!((applied.state().label(), applied.since), ("superseded", Some(Time::from_secs(7))));
    assert_eq!(before(&applied), "a", "who forces it can still undo it");
}

#[test]
fn what_was_adopted_over_an_apply_is_undone_no_more() {
    let mut applied = Applied::default();
    applied.adopted(Time::from_secs(1));
    assert_eq!((applied.state(), applied.since), (&SagaState::Idle, None), "nothing of ours was there");
    walk(&mut applied, 2, apply("a", "b", OrderResult::Written));
    let mut lost = applied.clone();
    lost.lost(Time::from_secs(3));
    assert!(lost.state().swap().is_some(), "what is only lost can be forced back");
    for mut applied in [applied, lost] {
        applied.adopted(Time::from_secs(4));
        assert_eq!(applied.state(), &SagaState::Superseded { order: DecisionId(2), swap: None });
        walk(&mut applied, 5, apply("c", "d", OrderResult::Written));
        assert_eq!(before(&applied), "c", "a later one has its own");
    }
}
