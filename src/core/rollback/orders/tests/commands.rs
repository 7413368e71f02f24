//! What an operator's commands come to: holds, releases, approvals, modes, and the contrary order.

use super::*;
use crate::rollback::command::CommandOutcome;
use crate::rollback::operator::PlannedAction;

fn of(of: ScopeOf) -> Scope {
    Scope { of, channel: None }
}

fn one() -> Scope {
    of(ScopeOf::Number(number(0)))
}

fn whole_group() -> Scope {
    of(ScopeOf::Group(group()))
}

fn messaging(scope: Scope) -> Scope {
    Scope { channel: Some(Channel::Messaging), ..scope }
}

impl World {
    fn take(&mut self, outcome: Result<CommandOutcome, String>) -> (String, bool) {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(conflict) => return (conflict, false),
        };
        for entry in outcome.entries {
            self.write(entry);
        }
        self.step();
        (outcome.said, outcome.is_as_asked)
    }

    fn hold_for(&mut self, scope: &Scope, seconds: u64, shorten: bool) -> (String, bool) {
        let until = self.now + Duration::from_secs(seconds);
        let scopes = std::slice::from_ref(scope);
        self.take(self.orders.preview_hold(self.now, &self.roster, scopes, until, &by(), shorten))
    }

    fn release_it(&mut self, scope: &Scope) -> (String, bool) {
        self.take(self.orders.preview_release(self.now, &self.roster, std::slice::from_ref(scope), &by()))
    }

    fn set_mode(&mut self, mode: Mode) -> (String, bool) {
        self.take(Ok(self.orders.preview_mode(mode, &by())))
    }

    fn held_for(&self, scope: &Scope) -> Option<u64> {
        self.orders.holds(self.now).find(|h| h.scope == *scope).map(|h| h.until.since(self.now).as_secs())
    }

    fn broken(&mut self) -> DecisionId {
        let id = self.orders.next_id();
        self.play(&Step::Decide(u8::MAX, Strength::Callers));
        id
    }

    fn on_fallback(&self) -> usize {
        self.urls.values().filter(|url| *url == "https://bin").count()
    }

    fn guards(&self) -> Vec<Guard> {
        self.orders.pending().flat_map(PendingRollback::guards).collect()
    }
}

#[test]
fn a_hold_extends_and_shortens_only_if_told_to() {
    let mut world = World::new(2);
    assert!(world.hold_for(&one(), 3600, false).1);
    assert!(world.hold_for(&one(), 3600, false).1, "asked for twice, it is the same hold");
    let (said, is_as_asked) = world.hold_for(&one(), 60, false);
    assert!(!is_as_asked && said.contains("--shorten"), "{said}");
    assert_eq!(world.held_for(&one()), Some(3600));
    assert!(world.hold_for(&one(), 7200, false).1);
    assert_eq!(world.held_for(&one()), Some(7200));
    assert!(world.hold_for(&one(), 60, true).1);
    assert_eq!(world.held_for(&one()), Some(60));
    world.hold_for(&whole_group(), 9000, false);
    let (said, is_as_asked) = world.hold_for(&one(), 120, false);
    assert!(is_as_asked && said.contains("group support is held until"), "a wider one lasts longer: {said}");
    let (said, is_as_asked) = world.hold_for(&messaging(whole_group()), 60, false);
    assert!(!is_as_asked && said.contains("not watched on messaging"), "{said}");
}

#[test]
fn a_release_lifts_what_is_within_its_scope_and_names_what_remains() {
    for scope in [whole_group(), of(ScopeOf::All)] {
        let mut world = World::new(2);
        world.hold_for(&one(), 3600, false);
        world.hold_for(&whole_group(), 3600, false);
        let (said, is_as_asked) = world.release_it(&scope);
        assert!(is_as_asked && world.orders.holds(world.now).count() == 0, "{said}");
        let (said, is_as_asked) = world.release_it(&scope);
        assert!(!is_as_asked && said.contains("not held"), "{said}");
    }
    let mut world = World::new(2);
    world.hold_for(&one(), 3600, false);
    world.hold_for(&of(ScopeOf::All), 3600, false);
    let (said, is_as_asked) = world.release_it(&one());
    assert!(!is_as_asked && said.contains("still held: all numbers"), "{said}");
    assert_eq!((world.held_for(&one()), world.held_for(&of(ScopeOf::All))), (None, Some(3600)));
    // A hold of both channels is wider than a release of one.
    let (said, is_as_asked) = world.release_it(&Scope { of: ScopeOf::All, channel: Some(VOICE) });
    assert!(!is_as_asked && said.contains("still held: all numbers"), "{said}");
}

#[test]
fn nothing_is_approved_in_observe_and_no_approval_outlives_its_mode() {
    let mut world = World::new(1);
    world.set_mode(Mode::Observe);
    let id = world.broken();
    let (said, is_as_asked) = world.take(world.orders.preview_approval(world.now, id, &by()));
    assert!(!is_as_asked && said.contains("ringback mode confirm"), "{said}");
    world.set_mode(Mode::Confirm);
    assert_eq!(world.guards(), [Guard::Mode], "it asks");
    let (said, _) = world.hold_for(&one(), 3600, false);
    assert!(said.contains(&id.to_string()), "a hold says what it stops: {said}");
    let (said, is_as_asked) = world.take(world.orders.preview_approval(world.now, id, &by()));
    assert!(is_as_asked && said.contains(Guard::Hold.text()), "{said}");
    let (said, _) = world.set_mode(Mode::Observe);
    assert!(said.contains(&format!("the approval of {id} is void")), "{said}");
    world.set_mode(Mode::Confirm);
    world.release_it(&one());
    assert_eq!((world.guards(), world.orders.open_orders().count()), (vec![Guard::Mode], 0), "it asks anew");
    world.take(world.orders.preview_approval(world.now, id, &by()));
    assert_eq!(world.orders.open_orders().count(), 1);
}

#[test]
fn only_observe_says_what_it_stops() {
    let mut world = World::new(1);
    world.set_mode(Mode::Confirm);
    let id = world.broken();
    let (said, _) = world.set_mode(Mode::Observe);
    assert!(said.contains("nothing is written from now on") && said.contains(&id.to_string()), "{said}");
    assert_eq!(world.set_mode(Mode::Confirm).0, "the mode is confirm");
}

#[test]
fn nobody_is_swapped_to_a_fallback_that_is_known_to_be_broken() {
    let mut world = World::new(1);
    let states = FallbackState::ALL.map(|state| {
        world.write(Entry::fallback(group(), VOICE, state));
        world.orders.fallback(&group(), VOICE)
    });
    assert_eq!(states, FallbackState::ALL);
    assert_eq!(world.orders.fallback(&group(), Channel::Messaging), FallbackState::Unchecked);
    world.broken();
    assert_eq!(world.guards(), [Guard::Fallback]);
    world.operator(Operation::Rollback, &[number(0)], false, false);
    assert_eq!(world.orders.open_orders().count(), 0, "nor by an operator");
    world.write(Entry::fallback(group(), VOICE, FallbackState::Good));
    world.step();
    assert_eq!(world.orders.open_orders().count(), 1);
}

#[test]
fn a_fallback_that_is_broken_for_some_numbers_costs_those_alone() {
    let mut world = World::new(3);
    world.write(Entry::Fallback {
        group: group(),
        channel: VOICE,
        url: String::new(),
        state: FallbackState::Good,
        broken_for: vec![number(1)],
        detail: "it dials nothing".to_owned(),
    });
    world.broken();
    let ordered: Vec<NumberId> = world.orders.open_orders().flat_map(|o| o.order.numbers.clone()).collect();
    assert_eq!((ordered, world.guards()), (vec![number(0), number(2)], vec![Guard::Fallback]));
}

#[test]
fn the_contrary_order_gives_up_a_restore_for_the_numbers_it_has_not_come_to() {
    let mut world = World::new(3);
    world.broken();
    assert!(world.work(None, 5).is_ok());
    world.verdicts.clear();
    let all = [number(0), number(1), number(2)];
    world.operator(Operation::Restore, &all, false, false);
    world.step();
    assert!(world.work(None, 5).is_ok(), "the canary");
    assert_eq!(world.on_fallback(), 2);
    world.operator(Operation::Rollback, &[number(2)], false, false);
    assert_eq!(world.orders.open_orders().count(), 1, "the restore goes on with the other");
    assert_eq!(world.orders.ordered(number(2), VOICE), None);
    world.operator(Operation::Rollback, &all, false, false);
    world.step();
    assert!(world.work(None, 5).is_ok());
    world.step();
    assert_eq!((world.on_fallback(), world.orders.open_orders().count()), (3, 0));
    world.restart();
}

#[test]
fn a_hold_makes_a_staged_restore_wait() {
    let mut world = World::new(2);
    world.broken();
    assert!(world.work(None, 5).is_ok());
    world.verdicts.clear();
    world.operator(Operation::Restore, &[number(0), number(1)], false, false);
    world.step();
    assert!(world.work(None, 5).is_ok(), "the canary");
    world.hold_for(&whole_group(), 3600, false);
    let restore = world.orders.open_orders().next().expect("it waits").order.id;
    let (said, _) = world.take(world.orders.preview_approval(world.now, restore, &by()));
    assert!(said.contains("a person has put a hold on it"), "{said}");
    assert!(world.work(None, 5).is_ok());
    world.step();
    assert_eq!((world.on_fallback(), world.orders.open_orders().count()), (1, 1), "neither done nor relapsed");
    world.release_it(&whole_group());
    assert!(world.work(None, 5).is_ok());
    assert_eq!((world.on_fallback(), world.orders.open_orders().count()), (0, 0));
}

#[test]
fn a_second_swap_against_another_writer_asks_until_a_person_has_settled_it() {
    let mut world = World::new(1);
    world.broken();
    assert!(world.work(None, 5).is_ok());
    assert_eq!(world.on_fallback(), 1, "the first swap asks nobody");
    world.play(&Step::Edit(0));
    world.play(&Step::Look);
    let id = world.broken();
    assert_eq!(world.guards(), [Guard::OtherWriter]);
    world.set_mode(Mode::Confirm);
    assert_eq!(world.guards(), [Guard::OtherWriter], "who says yes knows against whom");
    world.restart();
    world.take(world.orders.preview_approval(world.now, id, &by()));
    // A try that fails settles nothing.
    assert!(world.work(None, 0).is_ok());
    world.set_mode(Mode::Auto);
    world.now = world.now + Duration::from_secs(600);
    let id = world.broken();
    assert_eq!(world.guards(), [Guard::OtherWriter]);
    world.take(world.orders.preview_approval(world.now, id, &by()));
    assert!(world.work(None, 5).is_ok());
    assert_eq!(world.on_fallback(), 1);
    world.operator(Operation::Restore, &[number(0)], false, true);
    assert!(world.work(None, 5).is_ok());
    world.broken();
    assert!(world.work(None, 5).is_ok());
    assert_eq!(world.on_fallback(), 1, "the next failure is a first one");
}

#[test]
fn what_is_on_the_fallback_already_is_left_whatever_stands_against_a_swap() {
    let mut world = World::new(1);
    world.broken();
    assert!(world.work(None, 5).is_ok());
    for (mode, is_leading) in [(Mode::Auto, true), (Mode::Observe, true), (Mode::Auto, false)] {
        world.set_mode(mode);
        let (numbers, operation) = (vec![NumberIx(0)], Operation::Rollback);
        let (channel, by) = (Some(VOICE), by());
        let request = OperatorRequest { operation, numbers, channel, by, force: false, at_once: false };
        let preview = world.orders.preview(world.now, &world.roster, is_leading, &request);
        let actions: Vec<PlannedAction> = preview.lines.iter().map(|l| l.action).collect();
        assert_eq!((actions, preview.orders), (vec![PlannedAction::Nothing], vec![]), "{mode:?}");
    }
}
