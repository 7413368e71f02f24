//! What a stream says follows from its calls, not from the order in which they were put.

use proptest::prelude::*;

use super::weigh::{Weighing, Weight};
use super::*;
use crate::model::id::{CallSid, Channel};

/// Few, so that most entries are dropped.
const KEEP: usize = 12;

fn entry(i: usize, at: i64, caller: u64, fails: bool) -> StreamEntry {
    let sid = CallSid::from_u128(i as u128);
    let mut entry = StreamEntry::new(Time::from_secs(at), Some(Resource::Call(sid)), NumberIx(0), caller);
    entry.failure = fails.then_some((Reason::Webhook, None));
    entry
}

/// A number's stream, and that of a group in which it is alone.
fn fill<'a>(batches: impl Iterator<Item = &'a [StreamEntry]>) -> (Stream, Stream) {
    let params = Params::default();
    let (mut number, mut group) = (Stream::new(KEEP), Stream::new(2 * KEEP));
    for batch in batches {
        for e in batch {
            number.put(*e, CallerCount::default());
        }
        number.read(&params, |e, counted| {
            if e.kind.is_witness() {
                group.put(e, counted);
            } else {
                group.remove(e, counted);
            }
        });
        group.recount();
    }
    (number, group)
}

fn weight(stream: &Stream) -> Weight {
    with_weighing(|w| stream.weigh(w))
}

fn with_weighing<T>(weigh: impl Fn(&Weighing<'_>) -> T) -> T {
    let params = Params::default();
    weigh(&Weighing {
        grid: &params.grid,
        head: params.head,
        redial_fails: params.redial_fails,
        failure_age: 25.0,
        served_age: 130.0,
        now: Time::from_secs(1_000_000),
        rate: 0.01,
        is_muted: &[[false; 2]],
        channel: Channel::Voice,
    })
}

prop_compose! {
    /// Calls in the order in which they began, up to ten times as many as are kept; and another order, in batches.
    fn calls(callers: u64)(
        calls in prop::collection::vec((0..900i64, 0..callers, prop::bool::weighted(0.3)), 1..10 * KEEP)
    )(
        order in Just((0..calls.len()).collect::<Vec<_>>()).prop_shuffle(),
        batch in 1..40usize,
        calls in Just(calls),
    ) -> (Vec<StreamEntry>, Vec<StreamEntry>, usize) {
        let mut at = 0;
        let calls: Vec<StreamEntry> = calls
            .into_iter()
            .enumerate()
            .map(|(i, (gap, caller, fails))| {
                at += gap;
                // Nobody calls twice where there are very many.
                entry(i, at, if callers < 1000 { caller } else { i as u64 }, fails)
            })
            .collect();
        let shuffled = order.into_iter().map(|i| calls[i]).collect();
        (calls, shuffled, batch)
    }
}

proptest! {
    #[test]
    fn filled_in_any_order_it_is_as_filled_in_order((calls, shuffled, batch) in calls(u64::MAX)) {
        let (number, group) = fill(calls.chunks(1));
        let (number2, group2) = fill(shuffled.chunks(batch));
        prop_assert_eq!(number.entries(), number2.entries());
        prop_assert_eq!(number.count(), number2.count());
        prop_assert_eq!(weight(&number), weight(&number2));
        // What is believed of calls too old for the number's stream is as good as what is known of it then.
        let keys = |s: &Stream| s.entries().iter().map(|e| (e.key(), e.kind, e.before)).collect::<Vec<_>>();
        prop_assert_eq!(keys(&group), keys(&group2));
        prop_assert_eq!(group.count(), group2.count());
    }

    #[test]
    fn whoever_redials_is_known_in_any_order((calls, shuffled, batch) in calls(6)) {
        let (number, _) = fill(calls.chunks(1));
        let (number2, _) = fill(shuffled.chunks(batch));
        let kinds = |s: &Stream| s.entries().iter().map(|e| (e.key(), e.kind)).collect::<Vec<_>>();
        prop_assert_eq!(kinds(&number), kinds(&number2));
    }

    #[test]
    fn batches_change_nothing((calls, _, batch) in calls(6)) {
        let (number, group) = fill(calls.chunks(1));
        let (number2, group2) = fill(calls.chunks(batch));
        prop_assert_eq!(number.entries(), number2.entries());
        prop_assert_eq!(group.entries(), group2.entries());
        prop_assert_eq!((weight(&number), weight(&group)), (weight(&number2), weight(&group2)));
    }
}

#[test]
fn what_is_older_than_a_full_stream_counts_and_leaves_it_as_it_is() {
    let calls: Vec<StreamEntry> = (0..100).map(|i| entry(i, i as i64 * 60, i as u64, false)).collect();
    let (mut number, _) = fill(calls.chunks(1));
    let keys = |s: &Stream| s.entries().iter().map(StreamEntry::key).collect::<Vec<_>>();
    let before = (keys(&number), number.count());
    number.put(entry(1000, 30, 1000, true), CallerCount::default());
    let mut told = Vec::new();
    number.read(&Params::default(), |e, counted| told.push((e.resource, e.kind, counted)));
    assert_eq!(keys(&number), before.0);
    assert_eq!(number.count(), before.1.plus(CallerCount::of(StreamEntryKind::Failed)));
    let late = (Some(Resource::Call(CallSid::from_u128(1000))), StreamEntryKind::Failed, CallerCount::default());
    assert!(told.contains(&late), "the group hears of it: {told:?}");
    // Revised, it counts once.
    number.put(entry(1000, 30, 1000, false), CallerCount::of(StreamEntryKind::Failed));
    number.read(&Params::default(), |_, _| {});
    assert_eq!(number.count(), before.1.plus(CallerCount::of(StreamEntryKind::Served)));
}

#[test]
fn however_many_callers_fail_the_sum_is_a_number_and_large() {
    let calls: Vec<_> = (0..2000).map(|i| entry(i, i as i64, i as u64, true)).collect();
    let params = Params::default();
    let mut stream = Stream::new(5000);
    for call in &calls {
        stream.put(*call, CallerCount::default());
    }
    stream.read(&params, |_, _| {});
    for head in [0.0, params.head] {
        let weighing = Weighing {
            grid: &params.grid,
            head,
            redial_fails: params.redial_fails,
            failure_age: 25.0,
            served_age: 130.0,
            now: Time::from_secs(3000),
            rate: 0.01,
            is_muted: &[[false; 2]],
            channel: Channel::Voice,
        };
        let sum = stream.weigh(&weighing).statistic;
        assert!(sum.is_finite() && sum.ln() > 500.0, "head {head}: {sum}");
    }
}

#[test]
fn a_revision_takes_the_place_of_its_call() {
    let calls: Vec<StreamEntry> = (0..6).map(|i| entry(i, i as i64 * 60, i as u64, i == 3)).collect();
    let (mut number, mut group) = fill(calls.chunks(2));
    let mut revised = entry(3, 180, 3, false);
    revised.kind = StreamEntryKind::Void;
    number.put(revised, CallerCount::of(StreamEntryKind::Failed));
    number.read(&Params::default(), |e, counted| {
        if e.kind.is_witness() {
            group.put(e, counted);
        } else {
            group.remove(e, counted);
        }
    });
    group.recount();
    assert_eq!((number.entries().len(), group.entries().len()), (6, 5));
    for stream in [&number, &group] {
        assert_eq!(stream.count(), CallerCount { callers: 5, failures: 0 });
        assert!(!stream.has_failures());
    }
}

/// Callers that fail, then callers that are served, of which every `nth` fails; the statistic after each of the latter.
fn after_a_fault(failing: usize, nth: usize, callers: usize) -> Vec<f64> {
    let mut calls: Vec<StreamEntry> = (0..failing).map(|i| entry(i, i as i64 * 60, i as u64, true)).collect();
    let mut statistics = Vec::new();
    for i in failing..failing + callers {
        calls.push(entry(i, i as i64 * 60, i as u64, (i - failing) % nth == nth - 1));
        let mut stream = Stream::new(200);
        calls.iter().for_each(|e| _ = stream.put(*e, CallerCount::default()));
        stream.read(&Params::default(), |_, _| {});
        statistics.push(weight(&stream).statistic);
    }
    statistics
}

#[test]
fn a_fault_that_is_over_speaks_no_more_and_one_that_spares_many_goes_on_speaking() {
    let over = after_a_fault(40, usize::MAX, 30);
    assert!(over[0] > 1e12 && over[1] > 1e12, "two who were served are no end of it: {over:?}");
    assert!(over[15..].iter().all(|s| *s < 100.0), "{over:?}");
    let partial = after_a_fault(10, 3, 60);
    assert!(partial.iter().all(|s| *s > 1e9), "a third of the callers still fails: {partial:?}");
}

#[test]
fn a_stream_holds_half_as_many_calls_again_as_it_weighs_and_has_counted_all() {
    let mut stream = Stream::new(20);
    for i in 0..200 {
        stream.put(entry(i, i as i64 * 60, i as u64, false), CallerCount::default());
        stream.read(&Params::default(), |_, _| {});
        assert!(stream.entries.len() <= 30 && stream.entries().len() == (i + 1).min(20));
    }
    assert_eq!(stream.count(), CallerCount { callers: 200, failures: 0 });
}

/// So many callers fail, then so many are served: strangers, or some of those who had failed.
fn fault_and_run(failing: usize, served: usize, are_strangers: bool) -> Stream {
    let mut stream = Stream::new(200);
    for i in 0..failing + served {
        let is_served = i >= failing;
        let caller = if is_served && !are_strangers { i - failing } else { i };
        stream.put(entry(i, i as i64, caller as u64, !is_served), CallerCount::default());
    }
    stream.read(&Params::default(), |_, _| {});
    stream
}

#[test]
fn a_fault_that_is_over_ended_with_its_last_failure_and_redials_that_get_through_say_little_of_that() {
    let healed = |served, are_strangers| {
        let stream = fault_and_run(40, served, are_strangers);
        with_weighing(|w| stream.healed(w))
    };
    assert_eq!([3, 4, 20].map(|served| healed(served, true)), [None, Some(40), Some(40)]);
    assert_eq!([4, 8, 20].map(|served| healed(served, false)), [None, None, Some(40)]);
}

#[test]
fn whoever_failed_within_the_hour_is_known_also_when_their_calls_are_no_longer_held() {
    for (after, failures) in [(45, 1), (75, 2)] {
        let mut stream = Stream::new(20);
        for i in 0..=after {
            let is_it = i == 5 || i == after;
            let caller = if is_it { 1000 } else { i as u64 };
            stream.put(entry(i, i as i64 * 60, caller, is_it), CallerCount::default());
            stream.read(&Params::default(), |_, _| {});
        }
        assert_eq!(stream.count().failures, failures, "{after} minutes");
    }
}

#[test]
fn a_stream_has_the_calls_that_were_put_and_no_others() {
    let calls: Vec<StreamEntry> = (0..40).map(|i| entry(i, i as i64 * 60, i as u64, false)).collect();
    let mut stream = Stream::new(100);
    let has = |stream: &Stream, i: usize, at: i64| {
        stream.has(Time::from_secs(at), Resource::Call(CallSid::from_u128(i as u128)))
    };
    for call in &calls {
        stream.put(*call, CallerCount::default());
    }
    for is_read in [false, true] {
        if is_read {
            stream.read(&Params::default(), |_, _| {});
        }
        assert!([0, 1, 20, 39].iter().all(|i| has(&stream, *i, *i as i64 * 60)), "{is_read}");
        assert!(!has(&stream, 40, 60) && !has(&stream, 1, 61) && !has(&stream, 41, 5000), "{is_read}");
    }
}
