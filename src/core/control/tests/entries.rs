//! What an entry changes beside the orders, who verifies a stage, and what the guards see of the detector.

use std::time::Duration;

use super::world::{Setup, THEIRS, WANTED, World};
use crate::control::{DECIDE_AGAIN, EngineView, is_rolled_back};
use crate::model::decision::{Action, DecisionId, PageReason, Phase};
use crate::model::guard::{Guard, Strength};
use crate::model::id::testing::ours;
use crate::model::id::{Channel, NumberId};
use crate::model::order::{CloseReason, Operation, OrderResult};
use crate::model::reason::Reason;
use crate::model::source::Source;
use crate::model::time::Time;
use crate::model::verdict::Verdict;
use crate::port::news::{PortEntry, PortState};
use crate::port::status::PortStatus;
use crate::rollback::entry::Entry;
use crate::rollback::guard::Freshness;
use crate::rollback::operator::OperatorRequest;
use crate::rollback::orders::{Surroundings, Witness};

const VOICE: Channel = Channel::Voice;

/// So many numbers in each group, on voice alone.
fn world(numbers: [usize; 2]) -> World {
    let approve_within = Duration::from_secs(600);
    let (veto, cap) = (Duration::ZERO, 100);
    let mut world = World::new(&Setup { numbers, is_messaging: false, veto, approve_within, cap, is_probed: false });
    world.step();
    world
}

impl World {
    fn number(&self, i: u8) -> NumberId {
        self.slot(i).0
    }

    /// An operator swaps all numbers, or puts them back.
    fn swap_all(&mut self, operation: Operation) {
        let numbers = self.roster.numbers().map(|(ix, _)| ix).collect();
        let (channel, by) = (Some(VOICE), super::world::by());
        self.operator(&OperatorRequest { operation, numbers, channel, by, force: false, at_once: false });
        self.step();
        self.finish_all();
        self.step();
    }

    fn find(&mut self, failing: &[u8]) {
        self.verdicts = failing.iter().map(|i| (self.slot(*i), Verdict::Failing)).collect();
        self.pretend();
    }

    fn is_storm_at(&self, at: Time) -> bool {
        EngineView::of(self.control.engine(), self.orders(), true, at).is_storm(VOICE)
    }
}

#[test]
fn what_lapsed_may_be_decided_again_after_a_minute() {
    let mut world = world([1, 0]);
    let number = world.number(0);
    world.fail(0, VOICE, vec![number], Strength::Callers);
    let decision = world.orders().pending().next().expect("it is asked for").decision.id;
    let at = world.now;
    world
        .commit(vec![Entry::Closed { decision, channel: VOICE, numbers: vec![number], why: CloseReason::TimedOut }])
        .unwrap();
    let ix = world.roster.find(number).unwrap();
    let would = |after| world.control.engine().would_decide(at + after, ix, VOICE, Strength::Callers);
    assert!(!would(DECIDE_AGAIN - Duration::from_millis(1)), "not at once");
    assert!(would(DECIDE_AGAIN));
}

impl World {
    /// Somebody else writes, and it is adopted: by a person, or because it was expected.
    fn taken_over(&mut self, i: u8, what: u8, is_expected: bool) {
        self.edit(i, what);
        self.now = self.now + Duration::from_secs(1);
        if is_expected {
            self.read_all();
            self.looked();
            self.drifted();
        } else {
            self.read_to_adopt(i);
            self.adopt();
        }
        self.step();
    }

    fn adopted(&self, i: u8) -> bool {
        self.orders().saga(self.number(i), VOICE).is_some_and(|s| s.adopted.is_some())
    }
}

#[test]
fn neither_the_fallback_nor_nothing_is_adopted_by_whomever() {
    let mut world = world([3, 0]);
    for (i, what) in [(0, 2), (1, 3)] {
        world.taken_over(i, what, false);
        assert!(!world.adopted(i));
        world.taken_over(i, what, true);
        assert!(!world.adopted(i));
    }
    world.taken_over(2, 0, false);
    assert!(world.adopted(2));
}

#[test]
fn what_was_taken_from_the_fallback_is_swapped_again_once_a_person_has_looked() {
    for (is_expected, is_asked) in [(true, true), (false, false)] {
        let mut world = world([1, 0]);
        let number = world.number(0);
        world.swap_all(Operation::Rollback);
        world.taken_over(0, 4, is_expected);
        assert!(world.adopted(0) && world.orders().state(number, VOICE).swap().is_none());
        world.now = world.now + DECIDE_AGAIN;
        world.fail(0, VOICE, vec![number], Strength::Callers);
        world.step();
        let waits: Vec<Guard> = world.orders().pending().flat_map(|p| p.guards()).collect();
        assert_eq!(waits, if is_asked { vec![Guard::OtherWriter] } else { vec![] }, "expected: {is_expected}");
    }
}

#[test]
fn an_apply_after_somebody_has_undone_a_swap_is_no_yes_to_the_next_one() {
    for operation in [None, Some(Operation::Apply)] {
        let mut world = world([1, 0]);
        let number = world.number(0);
        world.swap_all(Operation::Rollback);
        world.edit(0, 1);
        world.now = world.now + Duration::from_secs(1);
        world.read_all();
        world.looked();
        world.drifted();
        world.step();
        if let Some(operation) = operation {
            world.swap_all(operation);
        }
        world.now = world.now + DECIDE_AGAIN;
        world.fail(0, VOICE, vec![number], Strength::Callers);
        world.step();
        let waits: Vec<Guard> = world.orders().pending().flat_map(|p| p.guards()).collect();
        assert_eq!(waits, [Guard::OtherWriter], "{operation:?}");
    }
}

#[test]
fn what_the_others_callers_meet_takes_no_adopted_number_along() {
    for (verdict, is_asked) in [(Verdict::Unknown, true), (Verdict::Healthy, true), (Verdict::Failing, false)] {
        let mut world = world([3, 0]);
        world.taken_over(0, 0, false);
        let numbers: Vec<NumberId> = (0..3).map(|i| world.number(i)).collect();
        world.fail(0, VOICE, numbers.clone(), Strength::Callers);
        let slot = world.slot(0);
        world.verdicts.insert(slot, verdict);
        world.group_verdicts[0][VOICE.index()] = Verdict::Failing;
        world.step();
        let waiting: Vec<NumberId> = world.orders().pending().flat_map(|p| p.waiting.iter().copied()).collect();
        assert_eq!(waiting, if is_asked { vec![numbers[0]] } else { vec![] }, "{verdict:?}");
    }
}

#[test]
fn no_undo_takes_back_what_was_adopted_and_no_apply_unless_forced() {
    let mut world = world([1, 0]);
    world.swap_all(Operation::Apply);
    assert_eq!(world.handlers[&world.slot(0)].0, WANTED);
    world.taken_over(0, 0, false);
    for (operation, force, is_theirs) in
        [(Operation::Undo, true, true), (Operation::Apply, false, true), (Operation::Apply, true, false)]
    {
        let numbers = world.roster.numbers().map(|(ix, _)| ix).collect();
        let (channel, by) = (Some(VOICE), super::world::by());
        world.operator(&OperatorRequest { operation, numbers, channel, by, force, at_once: true });
        world.step();
        world.finish_all();
        world.step();
        assert_eq!(world.handlers[&world.slot(0)].0 == THEIRS, is_theirs, "{operation:?} {force}");
    }
    assert!(!world.adopted(0), "it is what the file asks again");
}

#[test]
fn whoever_was_not_served_after_all_verifies_no_stage() {
    let mut world = world([2, 0]);
    world.swap_all(Operation::Rollback);
    world.swap_all(Operation::Restore);
    let released = |world: &World| world.orders().open_orders().map(|p| p.released.len()).collect::<Vec<_>>();
    assert_eq!(released(&world), [1], "the canary");
    let canary = world.slot(0);
    for caller in 0..3 {
        world.served(canary, world.now, Witness::Caller(caller));
    }
    world.not_served(canary, Witness::Caller(1));
    world.step();
    assert_eq!(released(&world), [1], "two of three were served");
    world.served(canary, world.now, Witness::Caller(0));
    world.step();
    assert_eq!(released(&world), [1], "the same caller again is the same witness");
    world.served(canary, world.now, Witness::Caller(3));
    world.step();
    assert_eq!(released(&world), [2]);
}

#[test]
fn the_guards_see_the_verdicts_of_the_detector() {
    let mut world = world([2, 0]);
    world.find(&[0]);
    world.group_verdicts[0][VOICE.index()] = Verdict::Suspect;
    world.pretend();
    let view = world.view();
    let verdicts = [view.verdict(world.number(0), VOICE), view.verdict(world.number(1), VOICE)];
    assert_eq!(verdicts, [Verdict::Failing, Verdict::Unknown]);
    let group = &world.roster.groups().next().unwrap().1.name;
    assert_eq!(view.group_verdict(group, VOICE), Verdict::Suspect);
    let stranger = ours("+15005550999");
    assert_eq!(view.verdict(stranger, VOICE), Verdict::Unknown, "of what is not configured nothing is known");
}

#[test]
fn logs_are_fresh_for_half_of_blind_after_and_stale_after_all_of_it() {
    let mut world = world([1, 0]);
    let read = world.now + Duration::from_secs(10);
    for source in [Source::Calls, Source::Alerts] {
        world.control.engine_mut().polled(source, read);
    }
    let blind_after = world.control.engine().settings().blind_after;
    let tick = Duration::from_millis(1);
    let seen = |world: &World, after| {
        EngineView::of(world.control.engine(), world.orders(), true, read + after).freshness(VOICE)
    };
    let all = [Duration::ZERO, blind_after / 2, blind_after / 2 + tick, blind_after, blind_after + tick];
    let expected = [Freshness::Fresh, Freshness::Fresh, Freshness::Degraded, Freshness::Degraded, Freshness::Stale];
    assert_eq!(all.map(|after| seen(&world, after)), expected);
    // A channel is as fresh as the stalest log that it needs.
    world.control.engine_mut().polled(Source::Calls, read + blind_after);
    assert_eq!(seen(&world, blind_after), Freshness::Degraded);
    assert_eq!(seen(&world, blind_after + tick), Freshness::Stale);
}

#[test]
fn a_storm_is_most_numbers_of_most_groups() {
    let mut two = world([3, 3]);
    for (failing, is_storm) in [
        (&[0, 1, 3, 4][..], true),
        (&[0, 1, 2, 3, 4, 5], true),
        // Most numbers of one group of two is not most groups.
        (&[0, 1, 2], false),
        (&[0, 1, 2, 3], false),
        (&[0, 3], false),
        (&[], false),
    ] {
        two.find(failing);
        assert_eq!(two.is_storm_at(two.now), is_storm, "{failing:?}");
    }
    // Half of a group is not most of it.
    let mut halves = world([2, 2]);
    halves.find(&[0, 2]);
    assert!(!halves.is_storm_at(halves.now));
    // With one group that has numbers there is nothing to compare.
    let mut one = world([3, 0]);
    one.find(&[0, 1, 2]);
    assert!(!one.is_storm_at(one.now));
}

#[test]
fn who_is_about_to_be_swapped_or_was_swapped_lately_is_part_of_a_storm() {
    let mut world = world([1, 1]);
    for i in [0, 1] {
        let number = world.number(i);
        world.fail(usize::from(i), VOICE, vec![number], Strength::Callers);
    }
    world.find(&[]);
    assert!(world.is_storm_at(world.now), "rollbacks of both wait");
    world.swap_all(Operation::Rollback);
    assert!(world.orders().pending().next().is_none() && world.orders().open_orders().next().is_none());
    let since = |world: &World, i| world.orders().saga(world.number(i), VOICE).and_then(|s| s.since).unwrap();
    let first = since(&world, 0).min(since(&world, 1));
    let lately = Duration::from_secs(600);
    assert!(world.is_storm_at(world.now) && world.is_storm_at(first + (lately - Duration::from_millis(1))));
    assert!(!world.is_storm_at(first + lately), "a swap of long ago tells of no storm");
}

#[test]
fn a_decision_in_the_journal_stands_for_whoever_reads_it() {
    for (action, stands) in
        [(Action::Rollback, true), (Action::Page { reason: PageReason::Failing(Reason::Webhook) }, false)]
    {
        let mut world = world([2, 0]);
        let (number, other) = (world.number(0), world.number(1));
        let decision = world.decision(0, VOICE, vec![number], Strength::Callers, action);
        world.control.apply(world.now, &Entry::Decision(decision)).unwrap();
        let engine = world.control.engine();
        let would = |n| engine.would_decide(world.now, world.roster.find(n).unwrap(), VOICE, Strength::Callers);
        assert_eq!(would(number), !stands);
        assert!(would(other));
    }
}

#[test]
fn what_twilio_says_of_a_port_moves_its_number_and_no_other() {
    let mut world = world([2, 0]);
    let (number, other) = (world.number(0), world.number(1));
    let mut said = |status: PortStatus| {
        let (group, state) = ("support".parse().unwrap(), PortState::of(status));
        let entry = Entry::Port(PortEntry::Status { group, numbers: vec![number], state });
        world.control.apply(world.now, &entry).unwrap();
        [number, other].map(|n| world.control.engine().channel(world.roster.find(n).unwrap(), VOICE).phase)
    };
    let before = said(PortStatus::Unknown)[1];
    assert_eq!(said(PortStatus::Canceled), [before; 2]);
    assert_eq!(said(PortStatus::Submitted), [Phase::Waiting, before]);
    assert_eq!(said(PortStatus::Canceled), [Phase::Waiting, before]);
    assert_eq!(said(PortStatus::Completed), [Phase::Settling, before]);
}

#[test]
fn a_number_is_rolled_back_from_the_order_on_until_it_is_back() {
    let mut world = world([2, 0]);
    let is_back = |world: &World| [0, 1].map(|i| !is_rolled_back(world.orders(), world.number(i), VOICE));
    assert_eq!(is_back(&world), [true, true]);
    let (numbers, by) = (vec![world.roster.find(world.number(0)).unwrap()], super::world::by());
    let request = |operation| OperatorRequest {
        operation,
        numbers: numbers.clone(),
        channel: Some(VOICE),
        by: by.clone(),
        force: false,
        at_once: true,
    };
    world.operator(&request(Operation::Rollback));
    assert_eq!(is_back(&world), [false, true], "it is ordered");
    world.step();
    world.finish_all();
    assert_eq!(is_back(&world), [false, true], "it is on the fallback");
    world.operator(&request(Operation::Restore));
    world.step();
    world.finish_all();
    assert_eq!(is_back(&world), [true, true]);
}

#[test]
fn what_the_journal_says_of_phases_and_ports_is_known() {
    let mut world = world([2, 0]);
    let (number, other) = (world.number(0), world.number(1));
    let group = world.roster.groups().next().unwrap().1.name.clone();
    let phase = |world: &World, n| world.control.engine().channel(world.roster.find(n).unwrap(), VOICE).phase;
    assert_eq!([number, other].map(|n| phase(&world, n)), [Phase::Active; 2]);
    let mut apply = |entry| drop(world.control.apply(world.now, &entry).unwrap());
    apply(Entry::Phase { channel: VOICE, number, phase: Phase::Settling });
    apply(Entry::Ported { numbers: vec![number], by: super::world::by() });
    let state = PortState::of(PortStatus::Submitted);
    apply(Entry::Port(PortEntry::Status { group: group.clone(), numbers: vec![number, other], state: state.clone() }));
    let ports = world.control.ports();
    assert!(ports.is_untold(&group, VOICE), "a number of it has ported");
    assert_eq!([number, other].map(|n| ports.state(n).cloned()), [Some(state.clone()), Some(state)]);
    assert_eq!([number, other].map(|n| ports.is_shown(n)), [true, false]);
    // An operator's word goes before Twilio's.
    assert_eq!([number, other].map(|n| phase(&world, n)), [Phase::Settling, Phase::Waiting]);
}

#[test]
fn an_id_that_is_reserved_is_nobody_elses() {
    let mut world = world([1, 0]);
    let free = world.orders().next_id();
    world.control.reserve(free);
    let next = DecisionId(free.0 + 1);
    assert_eq!(world.orders().next_id(), next);
    world.swap_all(Operation::Rollback);
    assert!(world.orders().order(free).is_none() && world.orders().order(next).is_some());
}

#[test]
fn a_number_whose_rollback_failed_and_which_is_healthy_is_out_of_trouble_after_five_minutes() {
    let mut world = world([2, 0]);
    let (number, other) = (world.number(0), world.number(1));
    for n in [number, other] {
        world.fail(0, VOICE, vec![n], Strength::Callers);
    }
    world.step();
    let orders: Vec<_> = world.orders().open_orders().map(|p| (p.order.id, p.order.numbers.clone())).collect();
    for (decision, numbers) in orders {
        let result = |number| Entry::Result {
            decision,
            channel: VOICE,
            number,
            result: OrderResult::Failed,
            detail: String::new(),
        };
        world.commit(numbers.into_iter().map(result).collect()).unwrap();
    }
    world.tasks.clear();
    world.now = world.now + Duration::from_secs(1);
    let notices = world.control.tick_incidents(world.now);
    let told = notices.iter().find(|n| n.numbers.contains(&number)).expect("that it failed is told").at.at;
    world.find(&[1]);
    world.verdicts.insert((number, VOICE), Verdict::Healthy);
    world.pretend();
    let over = |channel, after| world.control.healthy_after_failing(told + Duration::from_secs(after), channel);
    assert_eq!([over(VOICE, 299), over(VOICE, 300), over(Channel::Messaging, 300)], [vec![], vec![number], vec![]]);
}

#[test]
fn what_an_order_has_is_adopted_by_nobody_before_that_has_ended() {
    let mut world = world([1, 0]);
    let (numbers, by) = (world.roster.numbers().map(|(ix, _)| ix).collect(), super::world::by());
    let (operation, channel) = (Operation::Rollback, Some(VOICE));
    world.operator(&OperatorRequest { operation, numbers, channel, by, force: false, at_once: false });
    world.step();
    for is_expected in [false, true] {
        world.taken_over(0, 4, is_expected);
        assert!(!world.adopted(0), "{is_expected}");
    }
}

#[test]
fn since_when_a_number_is_what_it_is_does_not_change_with_what_is_adopted_on_its_own_handler() {
    let mut world = world([2, 0]);
    let since = |world: &World, i| world.orders().saga(world.number(i), VOICE).and_then(|s| s.since);
    world.taken_over(1, 4, true);
    assert!(world.adopted(1) && since(&world, 1).is_none());
    world.swap_all(Operation::Rollback);
    let swapped = since(&world, 0).expect("it is on the fallback");
    world.now = world.now + Duration::from_secs(60);
    world.taken_over(0, 4, true);
    assert!(world.adopted(0) && since(&world, 0).is_some_and(|at| at > swapped), "its rollback ended then");
}
