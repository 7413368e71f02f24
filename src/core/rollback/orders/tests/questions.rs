//! What people are asked and until when, which order has a number, and why a rollback no longer waits.

use super::*;

impl World {
    fn decide(&mut self, numbers: usize, channel: Channel) -> DecisionId {
        let id = self.orders.next_id();
        self.verdicts.extend((0..numbers).map(|i| (number(i), Verdict::Failing)));
        self.write(Entry::Decision(Decision {
            id,
            at: self.now,
            action: Action::Rollback,
            channel,
            group: group(),
            numbers: (0..numbers).map(number).collect(),
            rule: String::new(),
            evidence: Evidence { callers: 5, failing: 5, ..Evidence::default() },
        }));
        self.step();
        id
    }

    fn with(settings: RollbackSettings, numbers: usize) -> World {
        World { orders: Orders::new(settings), ..World::new(numbers) }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.step();
    }

    fn hold(&mut self) {
        let until = self.now + Duration::from_secs(86_400);
        self.write(Entry::Hold(Hold { scope: Scope { of: ScopeOf::All, channel: None }, by: by(), until }));
        self.step();
    }

    fn release(&mut self) {
        self.write(Entry::Release { scope: Scope { of: ScopeOf::All, channel: None }, by: by() });
        self.step();
    }

    /// What was asked: the guard, and in how many seconds from now it is no longer open.
    fn questions(&self) -> Vec<(Guard, u64)> {
        let asked = self.journal.iter().filter_map(|(_, entry)| {
            let Entry::Asked { guard, until, .. } = entry else { return None };
            Some((*guard, until.since(self.now).as_secs()))
        });
        asked.collect()
    }

    fn closed(&self) -> Vec<String> {
        let closed = self.journal.iter().filter_map(|(_, entry)| {
            let Entry::Closed { why, .. } = entry else { return None };
            Some(format!("{why:?}"))
        });
        closed.collect()
    }

    fn result(&mut self, decision: DecisionId, i: usize, result: OrderResult) {
        let number = number(i);
        self.write(Entry::Result { decision, channel: VOICE, number, result, detail: String::new() });
    }
}

fn auto_with_veto() -> RollbackSettings {
    RollbackSettings { mode: Mode::Auto, veto: Duration::from_secs(300), ..RollbackSettings::default() }
}

#[test]
fn the_end_of_a_veto_is_no_deadline_of_an_approval() {
    let mut world = World::with(auto_with_veto(), 1);
    world.decide(1, VOICE);
    assert_eq!(world.questions(), [(Guard::Veto, 300)]);
    world.freshness = Freshness::Degraded;
    world.pass(299);
    assert_eq!(world.questions()[1..], [(Guard::Blind, 600)], "a new question has the time of its kind");
    world.pass(599);
    assert_eq!(world.closed(), Vec::<String>::new(), "there is a second left to say yes");
    world.pass(1);
    assert_eq!(world.closed(), ["TimedOut"]);
}

#[test]
fn the_time_for_a_veto_begins_when_nothing_else_stands_against_it() {
    let mut world = World::with(auto_with_veto(), 1);
    world.hold();
    world.decide(1, VOICE);
    world.pass(3600);
    world.release();
    assert_eq!(world.questions(), [(Guard::Veto, 300)]);
    world.pass(299);
    assert_eq!(world.orders.open_orders().count(), 0, "there is a second left to object");
    world.pass(1);
    assert_eq!(world.orders.open_orders().count(), 1);
}

#[test]
fn a_question_that_a_refusal_has_closed_is_asked_anew_with_its_whole_time() {
    let mut world = World::with(RollbackSettings { mode: Mode::Confirm, ..RollbackSettings::default() }, 1);
    world.decide(1, VOICE);
    world.pass(500);
    world.hold();
    world.pass(3600);
    world.release();
    assert_eq!(world.closed(), Vec::<String>::new(), "nobody could have said yes while it was held");
    assert_eq!(world.questions()[1..], [(Guard::Mode, 600)]);
}

#[test]
fn another_reason_to_ask_for_the_same_yes_does_not_keep_the_question_open() {
    let mut world = World::with(RollbackSettings { mode: Mode::Auto, ..RollbackSettings::default() }, 1);
    world.freshness = Freshness::Degraded;
    world.decide(1, VOICE);
    world.pass(400);
    world.write(Entry::Mode { mode: Mode::Confirm, by: by() });
    world.step();
    assert_eq!(world.questions(), [(Guard::Blind, 200), (Guard::Mode, 200)]);
    world.pass(200);
    assert_eq!(world.closed(), ["TimedOut"]);
}

#[test]
fn a_result_of_an_old_order_leaves_the_claim_of_a_new_one() {
    let mut world = World::new(3);
    let first = world.decide(3, VOICE);
    assert!(world.work(None, 5).is_ok());
    world.verdicts.clear();
    world.operator(Operation::Restore, &[number(0), number(1), number(2)], false, false);
    let restore = world.orders.ordered(number(2), VOICE).expect("it is ordered");
    world.step();
    assert!(world.work(None, 5).is_ok(), "the canary");
    // The proof of the rollback comes late.
    world.result(first, 2, OrderResult::Proven);
    assert_eq!(world.orders.ordered(number(2), VOICE), Some(restore), "the restore still has it");
    world.operator(Operation::Restore, &[number(2)], false, true);
    assert_eq!(world.orders.open_orders().count(), 1, "and no second order is made for it");
    assert!(world.orders.order(first).expect("known").is_over());
}

#[test]
fn a_rollback_that_an_operators_order_made_unnecessary_did_not_recover() {
    let mut world = World::with(RollbackSettings { mode: Mode::Confirm, ..RollbackSettings::default() }, 1);
    world.decide(1, VOICE);
    world.operator(Operation::Rollback, &[number(0)], false, false);
    assert!(world.work(None, 5).is_ok());
    world.step();
    assert_eq!(world.closed(), ["OnFallback"]);
    assert_eq!(world.orders.pending().count(), 0);
}

#[test]
fn a_number_is_ordered_only_on_a_channel_it_is_watched_on() {
    let mut world = World::new(1);
    world.decide(1, Channel::Messaging);
    let entries: Vec<&Entry> = world.journal.iter().map(|(_, e)| e).collect();
    assert!(!entries.iter().any(|e| matches!(e, Entry::Order(_))), "{entries:?}");
    assert!(entries.iter().any(|e| matches!(e, Entry::Refused { .. })), "{entries:?}");
}

#[test]
fn an_order_that_has_not_begun_is_said_to_be_under_way() {
    let mut world = World::new(1);
    world.operator(Operation::Rollback, &[number(0)], false, false);
    let request = OperatorRequest {
        operation: Operation::Restore,
        numbers: vec![NumberIx(0)],
        channel: None,
        by: by(),
        force: false,
        at_once: true,
    };
    let preview = world.orders.preview(world.now, &world.roster, true, &request);
    assert_eq!(preview.lines[0].action.label(), "refuse", "{preview:?}");
}

#[test]
fn a_pending_rollback_is_open_until_the_first_of_its_questions_ends() {
    let mut world = World::with(RollbackSettings { mode: Mode::Confirm, ..RollbackSettings::default() }, 2);
    let scope = Scope { of: ScopeOf::Number(number(1)), channel: None };
    let until = world.now + Duration::from_secs(86_400);
    world.write(Entry::Hold(Hold { scope: scope.clone(), by: by(), until }));
    world.decide(2, VOICE);
    let open = |world: &World| world.orders.pending().next().and_then(PendingRollback::until);
    let first = world.now + Duration::from_secs(600);
    assert_eq!(open(&world), Some(first));
    world.pass(100);
    world.write(Entry::Release { scope, by: by() });
    world.step();
    assert_eq!(world.questions(), [(Guard::Mode, 500), (Guard::Mode, 600)]);
    assert_eq!(open(&world), Some(first));
    world.hold();
    assert_eq!(open(&world), None, "what is refused asks nobody");
}

#[test]
fn a_number_is_asked_for_once_unless_callers_say_what_only_tests_have_said() {
    let mut world = World::with(RollbackSettings { mode: Mode::Confirm, ..RollbackSettings::default() }, 2);
    let asked_for = |world: &World, i, channel| {
        [Strength::Hint, Strength::Callers].map(|s| world.orders.is_asked_for(number(i), channel, s))
    };
    assert_eq!(asked_for(&world, 0, VOICE), [false, false]);
    let id = world.orders.next_id();
    world.play(&Step::Decide(1, Strength::Hint));
    assert_eq!(asked_for(&world, 0, VOICE), [true, false]);
    assert_eq!(asked_for(&world, 0, Channel::Messaging), [false, false]);
    assert_eq!(asked_for(&world, 1, VOICE), [false, false]);
    let engaged = |i, channel| world.orders.is_engaged(number(i), channel);
    assert_eq!([engaged(0, VOICE), engaged(0, Channel::Messaging), engaged(1, VOICE)], [true, false, false]);
    // A person's yes is as good as a caller's word.
    let until = world.now + Duration::from_secs(60);
    world.write(Entry::Hold(Hold { scope: Scope { of: ScopeOf::All, channel: None }, by: by(), until }));
    world.write(Entry::Approved { decision: id, by: by() });
    assert_eq!(asked_for(&world, 0, VOICE), [true, true]);
    // And callers' word takes the place of the tests'.
    let mut world = World::with(RollbackSettings { mode: Mode::Confirm, ..RollbackSettings::default() }, 2);
    world.play(&Step::Decide(1, Strength::Hint));
    world.play(&Step::Decide(1, Strength::Callers));
    assert_eq!(asked_for(&world, 0, VOICE), [true, true]);
    assert_eq!(world.orders.pending().count(), 1);
}

#[test]
fn who_is_given_no_time_for_a_veto_any_more_waits_for_none() {
    let mut world = World::with(auto_with_veto(), 1);
    world.decide(1, VOICE);
    assert_eq!((world.questions(), world.orders.open_orders().count()), (vec![(Guard::Veto, 300)], 0));
    // The agent starts again with another configuration.
    world.orders = Orders::new(RollbackSettings { veto: Duration::ZERO, ..auto_with_veto() });
    for (at, entry) in &world.journal {
        world.orders.fold(*at, entry).unwrap();
    }
    world.step();
    assert_eq!(world.orders.open_orders().count(), 1);
}
