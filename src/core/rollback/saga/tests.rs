use super::*;
use crate::model::id::NumberSid;

fn snapshot(n: u128) -> Snapshot {
    Snapshot { sid: NumberSid::from_u128(n), record: "{}".into() }
}

fn update(value: &str) -> UpdateParams {
    vec![("VoiceUrl".to_owned(), value.into())]
}

fn walk(order: u64, events: &[SagaEvent]) -> Result<SagaState, Illegal> {
    events.iter().try_fold(SagaState::Idle, |state, event| state.next(DecisionId(order), event.clone()))
}

fn rolled_back() -> Vec<SagaEvent> {
    vec![
        SagaEvent::Snapshotted(snapshot(1)),
        SagaEvent::Checked(FallbackState::Good),
        SagaEvent::Intended(Operation::Rollback, update("bin")),
        SagaEvent::Written,
        SagaEvent::Ended(OrderResult::Written),
    ]
}

#[test]
fn a_rollback_and_its_restore_walk_from_idle_to_restored() {
    let mut events = rolled_back();
    assert!(walk(1, &events).unwrap().is_on_fallback());
    events.push(SagaEvent::Ended(OrderResult::Proven));
    assert_eq!(walk(1, &events).unwrap().label(), "proven");
    events.extend([
        SagaEvent::Intended(Operation::Restore, update("")),
        SagaEvent::Written,
        SagaEvent::Ended(OrderResult::Restored),
    ]);
    assert_eq!(walk(1, &events), Ok(SagaState::Restored(DecisionId(1))));
}

#[test]
fn nothing_is_intended_before_it_was_snapshotted_and_checked() {
    let intent = SagaEvent::Intended(Operation::Rollback, update("bin"));
    assert_eq!(walk(1, std::slice::from_ref(&intent)).unwrap_err().state, "idle");
    assert_eq!(walk(1, &[SagaEvent::Snapshotted(snapshot(1)), intent]).unwrap_err().state, "snapshotted");
    assert_eq!(walk(1, &[SagaEvent::Written]).unwrap_err().event, "written");
    let restore = walk(1, &[SagaEvent::Intended(Operation::Restore, update(""))]);
    assert_eq!(restore.unwrap_err().to_string(), "D1: a number that is idle cannot become restore intended");
}

#[test]
fn the_snapshot_is_the_one_from_before_the_first_write() {
    let mut state =
        walk(1, &rolled_back()[..4]).unwrap().next(DecisionId(1), SagaEvent::Ended(OrderResult::Unproven)).unwrap();
    for event in [
        SagaEvent::Snapshotted(snapshot(2)),
        SagaEvent::Checked(FallbackState::Good),
        SagaEvent::Intended(Operation::Rollback, vec![("TrunkSid".to_owned(), "".into())]),
    ] {
        state = state.next(DecisionId(2), event).unwrap();
    }
    let swap = state.swap().unwrap();
    assert_eq!(swap.before, snapshot(1), "what the first attempt left is not what was there before us");
    assert_eq!(swap.wrote.len(), 2, "and both attempts are undone");
    let failed = state.next(DecisionId(2), SagaEvent::Ended(OrderResult::Failed)).unwrap();
    assert_eq!(failed.label(), "unproven", "the first attempt may still have left something");
    assert_eq!(failed.swap().unwrap().wrote, update("bin"), "and the second has left nothing");
}

#[test]
fn a_second_attempt_that_ends_early_keeps_the_first_snapshot() {
    let first =
        walk(1, &rolled_back()[..4]).unwrap().next(DecisionId(1), SagaEvent::Ended(OrderResult::Unproven)).unwrap();
    let begun = [SagaEvent::Snapshotted(snapshot(2)), SagaEvent::Checked(FallbackState::Good)];
    for steps in 1..=begun.len() {
        for end in [OrderResult::Failed, OrderResult::Refused] {
            let state = begun[..steps].iter().cloned().chain([SagaEvent::Ended(end)]);
            let state = state.fold(first.clone(), |s, event| s.next(DecisionId(2), event).unwrap());
            let swap = state.swap().unwrap();
            assert_eq!((state.label(), &swap.before, &swap.wrote), ("unproven", &snapshot(1), &update("bin")));
        }
    }
}

#[test]
fn a_restore_that_writes_nothing_ends_where_it_began() {
    let read_back = walk(1, &rolled_back()).unwrap();
    let after = |event| read_back.clone().next(DecisionId(1), event).unwrap();
    let origins = [
        read_back.clone(),
        after(SagaEvent::Ended(OrderResult::Proven)),
        after(SagaEvent::Ended(OrderResult::Unproven)),
        after(SagaEvent::Drifted),
    ];
    for origin in origins {
        let begun = origin.clone().next(DecisionId(2), SagaEvent::Intended(Operation::Restore, update(""))).unwrap();
        assert_eq!(begun.is_on_fallback(), origin.is_on_fallback(), "{}", origin.label());
        assert_eq!(begun.is_unproven(), origin.is_unproven(), "{}", origin.label());
        let written = begun.clone().next(DecisionId(2), SagaEvent::Written).unwrap();
        for state in [begun, written] {
            for end in [OrderResult::Failed, OrderResult::Refused] {
                assert_eq!(state.clone().next(DecisionId(2), SagaEvent::Ended(end)), Ok(origin.clone()));
            }
        }
        // And what is back already is restored without a write.
        let back = origin.next(DecisionId(2), SagaEvent::Ended(OrderResult::Restored));
        assert_eq!(back, Ok(SagaState::Restored(DecisionId(2))));
    }
}

#[test]
fn somebody_elses_number_never_comes_back_by_itself() {
    let state = walk(1, &rolled_back()).unwrap().next(DecisionId(1), SagaEvent::Drifted).unwrap();
    assert_eq!(state.label(), "superseded");
    for event in [SagaEvent::Written, SagaEvent::Ended(OrderResult::Written), SagaEvent::Ended(OrderResult::Proven)] {
        assert!(state.clone().next(DecisionId(1), event).is_err());
    }
    assert!(state.swap().is_some(), "but can be forced");
}

#[test]
fn what_is_adopted_is_never_put_back_and_what_is_under_way_is_not_adopted() {
    let events = rolled_back();
    for ended in [OrderResult::Written, OrderResult::Proven, OrderResult::Unproven] {
        let state = walk(1, &events).unwrap().next(DecisionId(1), SagaEvent::Ended(ended)).unwrap();
        for state in [state.clone(), state.next(DecisionId(1), SagaEvent::Drifted).unwrap()] {
            let adopted = state.next(DecisionId(2), SagaEvent::Adopted).unwrap();
            assert_eq!(adopted, SagaState::Superseded { order: DecisionId(1), swap: None });
            let restore = SagaEvent::Intended(Operation::Restore, update(""));
            assert!(adopted.clone().next(DecisionId(2), restore).is_err(), "forced or not");
            assert_eq!(adopted.clone().next(DecisionId(2), SagaEvent::Adopted), Ok(adopted), "twice is once");
        }
    }
    for steps in 1..=4 {
        let state = walk(1, &events[..steps]).unwrap();
        let label = state.label();
        assert!(state.next(DecisionId(1), SagaEvent::Adopted).is_err(), "{label}");
    }
    let begun = SagaEvent::Intended(Operation::Restore, update(""));
    let restoring = walk(1, &events).unwrap().next(DecisionId(2), begun).unwrap();
    assert!(restoring.next(DecisionId(2), SagaEvent::Adopted).is_err());
}

#[test]
fn the_same_step_twice_is_the_same_as_once() {
    let mut state = SagaState::Idle;
    for event in rolled_back() {
        state = state.next(DecisionId(1), event.clone()).unwrap();
        if matches!(event, SagaEvent::Written | SagaEvent::Ended(_)) {
            assert_eq!(state.clone().next(DecisionId(1), event).unwrap(), state);
        }
    }
}

#[test]
fn what_an_order_intended_may_be_written_by_it_and_by_no_other() {
    let intended = walk(1, &rolled_back()[..3]).unwrap();
    assert!(intended.may_be_written_by(DecisionId(1)) && !intended.may_be_written_by(DecisionId(2)));
    let unproven = intended.next(DecisionId(1), SagaEvent::Ended(OrderResult::Unproven)).unwrap();
    assert!(!unproven.may_be_written_by(DecisionId(1)) && unproven.swap().is_some(), "the snapshot is kept");
}

#[test]
fn a_result_of_another_order_ends_nothing_that_this_one_has_begun() {
    let restoring =
        [rolled_back(), vec![SagaEvent::Intended(Operation::Restore, update("")), SagaEvent::Written]].concat();
    let all = [&rolled_back()[..3], &rolled_back()[..4], &restoring[..6], &restoring[..]];
    for (begun, label) in all.into_iter().zip(["intended", "written", "restoring", "restore_written"]) {
        let state = walk(2, begun).unwrap();
        assert_eq!(state.label(), label);
        for end in OrderResult::ALL {
            assert!(state.clone().next(DecisionId(1), SagaEvent::Ended(end)).is_err(), "{label} {end:?}");
        }
        assert!(state.next(DecisionId(1), SagaEvent::Written).is_err(), "{label}");
    }
}

#[test]
fn a_test_call_speaks_of_the_swap_that_it_tested_and_of_no_other() {
    let after = |end| [rolled_back(), vec![SagaEvent::Ended(end)]].concat();
    for swapped in [rolled_back(), after(OrderResult::Proven), after(OrderResult::Unproven)] {
        let state = walk(2, &swapped).unwrap();
        for end in [OrderResult::Proven, OrderResult::Unproven] {
            let earlier = state.clone().next(DecisionId(1), SagaEvent::Ended(end));
            assert!(earlier.is_err(), "{} {end:?}", state.label());
        }
    }
}

#[test]
fn a_restore_of_which_the_end_is_not_known_is_unproven_and_one_that_met_another_writer_is_theirs() {
    let swapped = walk(1, &rolled_back()).unwrap();
    let begun = swapped.next(DecisionId(2), SagaEvent::Intended(Operation::Restore, update(""))).unwrap();
    let written = begun.clone().next(DecisionId(2), SagaEvent::Written).unwrap();
    for state in [begun, written] {
        let after = |end| state.clone().next(DecisionId(2), SagaEvent::Ended(end)).unwrap();
        let unproven = after(OrderResult::Unproven);
        assert_eq!((unproven.label(), unproven.swap()), ("unproven", state.swap()), "and can be restored again");
        let theirs = after(OrderResult::Superseded);
        assert_eq!((theirs.label(), theirs.swap()), ("superseded", state.swap()), "and can be forced");
        assert_eq!(theirs.order(), Some(DecisionId(2)));
    }
}
