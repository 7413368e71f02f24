//! How long is waited: after failures, after relapses, for callers of a stage.

use super::*;

/// What is waited after each of so many failures at one instant, in seconds.
fn waits(first: Duration, most: Duration, failures: usize) -> Vec<u64> {
    let at = Time::from_secs(1_000_000);
    let mut backoff = Backoff::default();
    assert_eq!(backoff.until(first, most), None, "nothing has failed");
    let wait = |_| {
        backoff.failed(at);
        backoff.until(first, most).expect("it failed").since(at).as_secs()
    };
    (0..failures).map(wait).collect()
}

impl World {
    fn later(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// The detector rolls the only number back.
    fn swapped(&mut self) {
        self.play(&Step::Decide(1, Strength::Callers));
        assert!(self.work(None, 5).is_ok());
        assert!(self.orders.state(number(0), VOICE).is_on_fallback());
        self.verdicts.clear();
    }

    fn restored(&mut self) {
        self.operator(Operation::Restore, &[number(0)], true, true);
        assert!(self.work(None, 5).is_ok());
        assert!(matches!(self.orders.state(number(0), VOICE), SagaState::Restored(_)));
    }

    /// What would become of a restore at `at`.
    fn restore_at(&self, at: Time, force: bool) -> &'static str {
        let (act, numbers, channel) = (Operation::Restore, vec![NumberIx(0)], Some(VOICE));
        let request = OperatorRequest { operation: act, numbers, channel, by: by(), force, at_once: true };
        self.orders.preview(at, &self.roster, true, &request).lines[0].action.label()
    }
}

#[test]
fn each_failure_doubles_the_wait_up_to_the_longest() {
    assert_eq!(waits(RETRY_AFTER, RETRY_AT_MOST, 8), [60, 120, 240, 480, 960, 1920, 3600, 3600]);
    let minutes: Vec<u64> = waits(RESTORE_AFTER, RESTORE_AT_MOST, 8).into_iter().map(|s| s / 60).collect();
    assert_eq!(minutes, [30, 60, 120, 240, 480, 960, 1440, 1440]);
}

#[test]
fn a_day_without_trouble_takes_one_failure_off() {
    let start = Time::from_secs(1_000_000);
    let day = |n: u64| start + FORGIVEN_AFTER.saturating_mul(u32::try_from(n).unwrap());
    let after = |days: u64, refused: bool| {
        let mut backoff = Backoff::default();
        if refused {
            backoff.refused(start, RETRY_AFTER, RETRY_AT_MOST);
        } else {
            (0..4).for_each(|_| backoff.failed(start));
        }
        backoff.failed(day(days));
        backoff.until(RETRY_AFTER, RETRY_AT_MOST).unwrap().since(day(days)).as_secs()
    };
    assert_eq!([0, 1, 2, 4, 9].map(|days| after(days, false)), [960, 480, 240, 60, 60]);
    // What only a person can change waits the longest at once, and no longer is it remembered.
    assert_eq!([0, 1, 2, 6, 9].map(|days| after(days, true)), [3600, 3600, 1920, 120, 60]);
}

#[test]
fn a_number_is_held_off_after_an_attempt_that_failed_and_not_before() {
    let mut world = World::new(1);
    assert_eq!(world.orders.not_before(number(0), VOICE), None);
    world.play(&Step::Decide(1, Strength::Callers));
    assert_eq!(world.orders.not_before(number(0), VOICE), None, "nothing has failed");
    assert!(world.work(None, 0).is_ok());
    assert_eq!(world.orders.not_before(number(0), VOICE), Some(world.now + RETRY_AFTER));
    world.later(60);
    world.swapped();
    assert_eq!(world.orders.not_before(number(0), VOICE), None, "what succeeds is forgiven at once");
}

#[test]
fn after_a_relapse_a_restore_waits_unless_it_is_forced() {
    let mut world = World::new(1);
    world.swapped();
    assert_eq!(world.restore_at(world.now, false), "restore", "the first asks for no patience");
    world.restored();
    world.later(24 * 3600 - 1);
    world.swapped();
    let until = world.now + RESTORE_AFTER;
    assert_eq!(world.orders.no_restore_before(&group(), VOICE), Some(until));
    let early = until - Duration::from_millis(1);
    assert_eq!([world.restore_at(early, false), world.restore_at(early, true)], ["refuse", "restore"]);
    assert_eq!([world.restore_at(until, false), world.restore_at(until, true)], ["restore"; 2]);
    let late = until + Duration::from_secs(3600);
    assert_eq!([world.restore_at(late, false), world.restore_at(late, true)], ["restore"; 2]);
}

#[test]
fn who_fails_a_day_after_a_restore_has_not_relapsed() {
    let mut world = World::new(1);
    world.swapped();
    world.restored();
    world.later(24 * 3600);
    world.swapped();
    assert_eq!(world.orders.no_restore_before(&group(), VOICE), None);
}

#[test]
fn a_stage_without_enough_callers_waits_for_approval_after_a_quarter_of_an_hour() {
    let mut world = World::new(2);
    world.play(&Step::Decide(3, Strength::Callers));
    assert!(world.work(None, 5).is_ok());
    world.verdicts.clear();
    world.operator(Operation::Restore, &[number(0), number(1)], false, false);
    world.step();
    assert!(world.work(None, 5).is_ok(), "the canary");
    world.later(15 * 60 - 1);
    assert_eq!(world.orders.unverified(world.now).count(), 0);
    world.later(1);
    let waiting: Vec<DecisionId> = world.orders.unverified(world.now).map(|p| p.order.id).collect();
    assert_eq!(waiting, world.orders.open_orders().map(|p| p.order.id).collect::<Vec<_>>());
    assert_eq!(waiting.len(), 1);
    world.write(Entry::Approved { decision: waiting[0], by: by() });
    assert_eq!(world.orders.unverified(world.now).count(), 0, "a person vouches for it");
}

#[test]
fn what_was_not_begun_waits_the_longest_and_what_was_stopped_in_the_middle_as_any_failure() {
    let wait = |is_begun: bool| {
        let mut world = World::new(1);
        let decision = world.orders.next_id();
        world.play(&Step::Decide(1, Strength::Callers));
        if is_begun {
            world.is_leading = false;
            assert!(world.work(None, 5).is_ok());
        } else {
            let (result, detail) = (OrderResult::Refused, String::new());
            world.write(Entry::Result { decision, channel: VOICE, number: number(0), result, detail });
        }
        assert!(matches!(world.orders.state(number(0), VOICE), SagaState::Refused(_)));
        world.orders.not_before(number(0), VOICE).map(|t| t.since(world.now))
    };
    assert_eq!([wait(false), wait(true)], [Some(RETRY_AT_MOST), Some(RETRY_AFTER)]);
}

#[test]
fn numbers_that_relapse_together_have_relapsed_once() {
    let mut world = World::new(2);
    let relapse = |world: &mut World| {
        world.play(&Step::Decide(3, Strength::Callers));
        assert!(world.work(None, 5).is_ok());
        world.verdicts.clear();
        world.orders.no_restore_before(&group(), VOICE).map(|t| t.since(world.now))
    };
    assert_eq!(relapse(&mut world), None);
    for wait in [RESTORE_AFTER, RESTORE_AFTER * 2] {
        world.operator(Operation::Restore, &[number(0), number(1)], true, true);
        assert!(world.work(None, 5).is_ok());
        world.later(60);
        assert_eq!(relapse(&mut world), Some(wait));
    }
}

#[test]
fn the_next_stage_begins_where_somebody_leads_and_may_write() {
    for (mode, is_leading, stages) in [(Mode::Auto, true, 2), (Mode::Observe, true, 1), (Mode::Auto, false, 1)] {
        let mut world = World::new(2);
        world.play(&Step::Decide(3, Strength::Callers));
        assert!(world.work(None, 5).is_ok());
        world.verdicts.clear();
        world.operator(Operation::Restore, &[number(0), number(1)], false, false);
        world.step();
        assert!(world.work(None, 5).is_ok(), "the canary");
        assert_eq!([0, 1].map(|i| world.orders.is_verifying(number(i), VOICE)), [true, false]);
        for caller in 0..3 {
            assert!(world.orders.is_verifying(number(0), VOICE), "{caller} of three were served");
            world.orders.served(number(0), VOICE, world.now, Witness::Caller(caller));
        }
        assert!(!world.orders.is_verifying(number(0), VOICE));
        world.write(Entry::Mode { mode, by: by() });
        world.is_leading = is_leading;
        world.step();
        let begun = world.journal.iter().filter(|(_, e)| matches!(e, Entry::Stage { .. })).count();
        assert_eq!(begun, stages, "{mode:?} {is_leading}");
    }
}

#[test]
fn a_canary_that_fails_again_ends_the_restore_of_the_others() {
    for verdict in [Verdict::Failing, Verdict::Suspect, Verdict::Unknown, Verdict::Silent] {
        let mut w = at_the_canary();
        w.verdicts.insert(number(0), verdict);
        w.step();
        let is_bad = matches!(verdict, Verdict::Failing | Verdict::Suspect);
        assert_eq!(w.orders.open_orders().count(), usize::from(!is_bad), "{verdict:?}");
    }
}

#[test]
fn a_stage_is_verified_once_all_its_numbers_are_back() {
    let mut were_some_back = false;
    for steps in 0..16 {
        let mut w = at_the_canary_of(8);
        for caller in 1..=3 {
            w.orders.served(number(0), VOICE, w.now, Witness::Caller(caller));
        }
        w.step();
        assert_eq!(w.released(), 3);
        let _ = w.work(Some(steps), 5);
        let order = w.orders.open_orders().next().expect("more stages are to come");
        let (left, ended) = (order.left(), order.ended.len());
        were_some_back |= !left.is_empty() && ended > 1;
        assert_eq!(w.orders.is_verifying(number(0), VOICE), left.is_empty(), "{steps}: {ended} are back");
    }
    assert!(were_some_back);
}
