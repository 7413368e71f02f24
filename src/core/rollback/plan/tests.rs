use super::*;
use crate::model::decision::DecisionId;
use crate::model::id::NumberSid;
use crate::model::order::{Author, By, FallbackState};
use crate::rollback::saga::{SagaEvent, Snapshot};
use crate::routing::record::tests::record;

const APP: &str = "https://app.example.com/voice";
const BIN: &str = "https://bin";

fn raw(url: &str, trunk: &str) -> String {
    serde_json::json!({ "voice_url": url, "trunk_sid": trunk }).to_string()
}

fn order(id: u64, operation: Operation, force: bool) -> Order {
    Order {
        id: DecisionId(id),
        operation,
        channel: Channel::Voice,
        group: "support".parse().unwrap(),
        numbers: vec![crate::model::id::testing::ours("+15005550100")],
        by: By::Operator(Author { name: "on call".into(), reason: "drill".into() }),
        force,
        staged: false,
        terms: None,
    }
}

fn update(url: &str) -> UpdateParams {
    vec![("VoiceUrl".to_owned(), url.into())]
}

fn walk(state: SagaState, order: u64, events: impl IntoIterator<Item = SagaEvent>) -> SagaState {
    events.into_iter().fold(state, |state, event| state.next(DecisionId(order), event).unwrap())
}

fn begun(order: u64, from: SagaState, before: &str, update: UpdateParams) -> SagaState {
    let snapshot = Snapshot { sid: NumberSid::from_u128(1), record: before.into() };
    let events = [
        SagaEvent::Snapshotted(snapshot),
        SagaEvent::Checked(FallbackState::Good),
        SagaEvent::Intended(Operation::Rollback, update),
    ];
    walk(from, order, events)
}

fn ended(result: OrderResult) -> SagaState {
    walk(begun(1, SagaState::Idle, &raw(APP, ""), update(BIN)), 1, [SagaEvent::Written, SagaEvent::Ended(result)])
}

fn planned(state: &SagaState, now: &str) -> Result<WritePlan, NumberEnd> {
    rollback(&order(2, Operation::Rollback, false), state, &record(), now, BIN, LateAt::default())
}

#[test]
fn a_rollback_writes_what_makes_the_fallback_answer_and_nothing_twice() {
    let plan = planned(&SagaState::Idle, &raw(APP, "")).unwrap();
    assert_eq!((plan.update, plan.is_intended, plan.is_written), (update(BIN), false, false));
    // Of an earlier attempt that has landed meanwhile.
    let plan = planned(&ended(OrderResult::Unproven), &raw(BIN, "")).unwrap();
    assert!(plan.is_written && !plan.is_intended);
    // Cut off between the intent and its result: looked at first.
    let intended = begun(2, SagaState::Idle, &raw(APP, ""), update(BIN));
    let plan = planned(&intended, &raw(APP, "")).unwrap();
    assert_eq!((plan.is_intended, plan.is_written), (true, false));
    assert!(planned(&intended, &raw(BIN, "")).unwrap().is_written);
    assert_eq!(planned(&intended, &raw("https://theirs", "")).unwrap_err().0, OrderResult::Superseded);
}

#[test]
fn what_was_updated_and_is_as_it_was_has_been_undone_by_somebody() {
    let at = |second: u32, url: &str, name: &str| {
        let updated = format!("Sat, 21 Nov 2026 14:00:{second:02} +0000");
        serde_json::json!({ "date_updated": updated, "voice_url": url, "trunk_sid": "", "friendly_name": name })
            .to_string()
    };
    let found = |plan: &WritePlan, raw: &str| plan.found(raw, RoutingValues::read(raw, Channel::Voice).unwrap());
    let before = at(1, APP, "desk");
    let plan = planned(&SagaState::Idle, &before).unwrap();
    assert_eq!(found(&plan, &before), WriteState::Unwritten);
    assert_eq!(found(&plan, &at(2, BIN, "desk")), WriteState::Written);
    assert!(matches!(found(&plan, &at(2, APP, "desk")), WriteState::Foreign(_)), "written and undone");
    assert_eq!(found(&plan, &at(2, APP, "front desk")), WriteState::Unwritten, "what else was changed explains it");
    let forced = WritePlan { force: true, ..plan };
    assert_eq!(found(&forced, &at(2, APP, "desk")), WriteState::Unwritten);
    // After a restart, and in a second attempt, as well.
    let intended = begun(2, SagaState::Idle, &before, update(BIN));
    assert!(planned(&intended, &before).is_ok());
    let (result, why) = planned(&intended, &at(2, APP, "desk")).unwrap_err();
    assert!(result == OrderResult::Superseded && why.contains(BIN), "{why}");
    let events = [SagaEvent::Ended(OrderResult::Unproven)];
    let unproven = walk(begun(1, SagaState::Idle, &before, update(BIN)), 1, events);
    assert!(planned(&unproven, &before).is_ok(), "nothing was written, as far as is known");
    assert_eq!(planned(&unproven, &at(2, APP, "desk")).unwrap_err().0, OrderResult::Superseded);
}

#[test]
fn a_second_attempt_takes_what_the_first_left_for_its_own_and_nothing_else() {
    let first = ended(OrderResult::Unproven);
    for ours in [APP, BIN] {
        assert!(planned(&first, &raw(ours, "")).is_ok(), "{ours}: whether it landed or not");
    }
    let (result, why) = planned(&first, &raw("https://theirs", "")).unwrap_err();
    assert!(result == OrderResult::Superseded && why.contains("https://theirs"), "{why}");
    // The second is cut off; the first had put the URL there, and a trunk answered.
    let both = vec![("TrunkSid".to_owned(), "".into()), update(BIN)[0].clone()];
    let first = walk(
        begun(1, SagaState::Idle, &raw(APP, "TK1"), update(BIN)),
        1,
        [SagaEvent::Written, SagaEvent::Ended(OrderResult::Unproven)],
    );
    let second = begun(2, first, &raw(BIN, "TK1"), both);
    for (url, trunk, is_written) in [(APP, "TK1", false), (BIN, "TK1", false), (BIN, "", true)] {
        assert_eq!(planned(&second, &raw(url, trunk)).unwrap().is_written, is_written, "{url} {trunk}");
    }
}

#[test]
fn a_restore_compares_before_it_writes_and_finds_what_is_back() {
    let restored =
        |state: &SagaState, now: &str, force| restore(&order(2, Operation::Restore, force), state, now, false);
    let theirs = raw("https://theirs", "");
    let superseded = walk(ended(OrderResult::Written), 1, [SagaEvent::Drifted]);
    for state in [ended(OrderResult::Written), ended(OrderResult::Unproven), superseded.clone()] {
        let (result, why) = restored(&state, &raw(APP, ""), false).unwrap_err();
        assert_eq!(result, OrderResult::Restored, "{}: {why}", state.label());
        assert_eq!(restored(&state, &theirs, false).unwrap_err().0, OrderResult::Superseded, "{}", state.label());
        let forced = restored(&state, &theirs, true).unwrap();
        assert_eq!(forced.written, RoutingValues::read(&raw(APP, ""), Channel::Voice).unwrap());
    }
    let plan = restored(&ended(OrderResult::Written), &raw(BIN, ""), false).unwrap();
    assert_eq!((plan.update, plan.is_written), (update(APP), false));
    assert_eq!(restored(&superseded, &raw(BIN, ""), false).unwrap_err().0, OrderResult::Superseded, "only forced");
}

#[test]
fn a_forced_restore_that_was_cut_off_is_found_done_beside_what_others_changed() {
    let superseded = walk(ended(OrderResult::Written), 1, [SagaEvent::Drifted]);
    let restoring = walk(superseded, 2, [SagaEvent::Intended(Operation::Restore, update(APP))]);
    let beside = serde_json::json!({ "voice_url": APP, "voice_fallback_url": "https://theirs" }).to_string();
    let plan = restore(&order(2, Operation::Restore, true), &restoring, &beside, false).unwrap();
    assert!(plan.is_intended && plan.is_written);
    let end = verdict(&plan, None, &record(), &beside, None);
    assert_eq!(end.0, OrderResult::Restored, "{}", end.1);
}

#[test]
fn what_our_writes_may_have_left_is_ours() {
    let values = |url| RoutingValues::read(&raw(url, ""), Channel::Voice).unwrap();
    assert_eq!(left(&ended(OrderResult::Written), Channel::Voice), Ok(vec![values(BIN)]));
    assert_eq!(left(&ended(OrderResult::Unproven), Channel::Voice), Ok(vec![values(BIN), values(APP)]));
    assert_eq!(left(&SagaState::Idle, Channel::Voice), Ok(vec![]));
}

#[test]
fn what_cannot_be_read_of_who_answers_is_said() {
    let mut bin = record();
    bin.voice_url = Some(BIN.into());
    let plan = planned(&SagaState::Idle, &raw(APP, "")).unwrap();
    let said = |unknown: Option<Unknown>| verdict(&plan, Some(BIN), &bin, &raw(BIN, ""), unknown.as_ref());
    let (result, why) = said(None);
    assert!(result == OrderResult::Written && why.starts_with("now answered by "), "{why}");
    let (result, why) = said(Some(Unknown::Region("HTTP 401".into())));
    assert!(result == OrderResult::Written && why.contains("which region processes its calls cannot be read"), "{why}");
    let (result, why) = said(Some(Unknown::Services("MG1: HTTP 500".into())));
    assert!(result == OrderResult::Unproven && why.contains("MG1"), "{why}");
    assert!(why.starts_with("written, and it points at "), "{why}");
    assert_eq!(verdict(&plan, Some(BIN), &record(), &raw(APP, ""), None).0, OrderResult::Unproven);
}

#[test]
fn nothing_is_written_where_another_region_processes_the_calls() {
    let elsewhere = NumberRecord { elsewhere: [Some("ie1".into()), None], ..record() };
    let order = order(1, Operation::Rollback, false);
    let (result, why) =
        rollback(&order, &SagaState::Idle, &elsewhere, &raw(APP, ""), BIN, LateAt::default()).unwrap_err();
    assert!(result == OrderResult::Refused && why.contains("region ie1"), "{why}");
}

#[test]
fn whether_a_number_is_as_asked_only_a_look_tells() {
    let proven = walk(ended(OrderResult::Written), 1, [SagaEvent::Ended(OrderResult::Proven)]);
    for state in [SagaState::Idle, ended(OrderResult::Written), proven.clone(), ended(OrderResult::Unproven)] {
        for operation in [Operation::Rollback, Operation::Restore, Operation::Apply] {
            assert_eq!(settled(operation, &state), None, "{}", state.label());
        }
    }
    assert!(settled(Operation::Undo, &SagaState::Idle).is_some(), "of applies the journal alone tells");
    for state in [ended(OrderResult::Written), proven] {
        let end = |now: &str| planned(&state, now).unwrap_err().0;
        assert_eq!(end(&raw(BIN, "")), OrderResult::Written);
        assert_eq!(end(&raw("https://theirs", "")), OrderResult::Superseded, "{}", state.label());
    }
    let restored = |is_on_fallback| {
        restore(&order(2, Operation::Restore, false), &SagaState::Idle, &raw(APP, ""), is_on_fallback).unwrap_err().0
    };
    assert_eq!([restored(false), restored(true)], [OrderResult::Restored, OrderResult::Refused]);
}

/// A snapshot of the fallback would be put back one day as what was there before us.
#[test]
fn what_is_on_the_fallback_by_nothing_of_ours_is_never_snapshotted() {
    let on_bin = NumberRecord { voice_url: Some(BIN.into()), ..record() };
    let taken = walk(ended(OrderResult::Written), 1, [SagaEvent::Drifted]);
    for state in [SagaState::Idle, SagaState::Failed(DecisionId(1)), SagaState::Restored(DecisionId(1)), taken] {
        let planned =
            rollback(&order(2, Operation::Rollback, false), &state, &on_bin, &raw(BIN, ""), BIN, LateAt::default());
        assert_eq!(planned.unwrap_err().0, OrderResult::Refused, "{}", state.label());
    }
}

#[test]
fn what_another_order_intended_is_not_what_this_one_did() {
    let intended = begun(1, SagaState::Idle, &raw(APP, ""), update(BIN));
    assert!(!planned(&intended, &raw(APP, "")).unwrap().is_intended, "its own intent comes before its write");
}

#[test]
fn a_restore_without_effect_failed_and_one_that_another_writer_met_is_superseded() {
    let plan =
        restore(&order(2, Operation::Restore, false), &ended(OrderResult::Written), &raw(BIN, ""), false).unwrap();
    let end = |url| verdict(&plan, None, &record(), &raw(url, ""), None).0;
    let ends = [end(APP), end(BIN), end("https://theirs")];
    assert_eq!(ends, [OrderResult::Restored, OrderResult::Failed, OrderResult::Superseded]);
}

/// A number's texts, in this Messaging Service or in none.
fn texts(url: &str, service: &str) -> RoutingValues {
    RoutingValues::read(&raw_texts(url, service), Channel::Messaging).unwrap()
}

fn raw_texts(url: &str, service: &str) -> String {
    serde_json::json!({ "sms_url": url, "messaging_service_sid": service }).to_string()
}

const JOINED: &str = "MG00000000000000000000000000000001";
const ANOTHER: &str = "MG00000000000000000000000000000002";

fn joins() -> UpdateParams {
    vec![(SERVICE.to_owned(), JOINED.into()), ("SmsUrl".to_owned(), BIN.into())]
}

#[test]
fn of_the_two_requests_of_a_write_either_may_have_been_the_last_and_nothing_else() {
    let (unwritten, update) = (texts(APP, ""), joins());
    let written = unwritten.after(&update);
    let (before, force, is_intended, is_written) = (None, false, true, false);
    let plan = WritePlan { update, before, unwritten, written, force, is_intended, is_written };
    for (url, service, is_found) in [
        (BIN, JOINED, Some(true)),
        (APP, "", Some(false)),
        // The agent ended between the two.
        (APP, JOINED, Some(false)),
        (BIN, "", Some(false)),
        // Others have been at it.
        ("https://theirs", JOINED, None),
        ("https://theirs", "", None),
        (BIN, ANOTHER, None),
        (APP, ANOTHER, None),
    ] {
        let found = match plan.found(&raw_texts(url, service), texts(url, service)) {
            WriteState::Written => Some(true),
            WriteState::Unwritten => Some(false),
            WriteState::Foreign(_) => None,
        };
        assert_eq!(found, is_found, "{url} {service}");
    }
}

#[test]
fn a_restore_takes_a_number_out_of_the_service_that_we_put_it_in_and_out_of_no_other() {
    let begun = begun(1, SagaState::Idle, &raw_texts(APP, ""), joins());
    let state = walk(begun, 1, [SagaEvent::Written, SagaEvent::Ended(OrderResult::Written)]);
    let restored = |service: &str, force| {
        let order = Order { channel: Channel::Messaging, ..order(2, Operation::Restore, force) };
        let plan = restore(&order, &state, &raw_texts(BIN, service), false);
        plan.map(|plan| plan.membership()).map_err(|(result, _)| result)
    };
    let out = Ok(Some(Membership::Leave(JOINED.parse().unwrap())));
    assert_eq!([false, true].map(|force| restored(JOINED, force)), [out, out]);
    assert_eq!(restored(ANOTHER, false), Err(OrderResult::Superseded));
    assert_eq!(restored(ANOTHER, true), Ok(None), "not taken out, whatever is forced");
}
