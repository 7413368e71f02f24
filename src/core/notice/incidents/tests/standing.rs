//! What is so now, for whoever looks; and what a page says besides.

use super::*;
use crate::model::decision::PageReason;
use crate::model::reason::Reason;
use crate::notice::incidents::Headline;

fn page(id: u64, which: std::ops::Range<usize>, reason: PageReason) -> Entry {
    decision(id, Action::Page { reason }, which)
}

impl History {
    fn headlines(&self) -> Vec<(Headline, Option<bool>)> {
        self.incidents.standing(self.now).incidents.iter().map(|i| (i.headline, i.is_proven)).collect()
    }
}

#[test]
fn whoever_looks_sees_what_was_done_and_whether_it_is_proven() {
    let mut h = History::new();
    assert_eq!(h.headlines(), []);
    h.all([decided(1, 0..2), ordered(1, 0..2, Operation::Rollback, By::Detector)]);
    assert_eq!(h.headlines(), [(Headline::RollingBack, Some(false))], "also what is no news yet");
    h.all([result(1, 0, OrderResult::Written), result(1, 1, OrderResult::Proven)]);
    assert_eq!(h.headlines(), [(Headline::RolledBack, Some(false))], "one of two");
    h.add(result(1, 0, OrderResult::Proven));
    assert_eq!(h.headlines(), [(Headline::RolledBack, Some(true))]);
    h.add(ordered(2, 0..2, Operation::Restore, person()));
    h.all((0..2).map(|i| result(2, i, OrderResult::Restored)));
    assert_eq!(h.headlines(), []);
}

#[test]
fn whoever_looks_sees_foreign_changes_broken_fallbacks_and_the_agents_own_trouble() {
    let mut h = History::new();
    let fallback = |state| Entry::fallback(group(), VOICE, state);
    h.all([
        Entry::Drift { number: number(0), channel: VOICE, differences: vec![], actor: None },
        fallback(FallbackState::Broken),
    ]);
    h.incidents.begins(
        h.now,
        h.now,
        AgentCondition::StoreUnwritable { problem: "full".to_owned(), cure: "make room".to_owned() },
    );
    // What it cannot see is said elsewhere.
    let blind = AgentCondition::Blind { channels: vec![VOICE], sources: vec![], why: String::new(), unread: vec![] };
    h.incidents.blind(h.now, h.now, blind);
    let counts = |h: &History| {
        let all = h.incidents.standing(h.now);
        [all.drifts.len(), all.fallbacks.len(), all.conditions.len()]
    };
    assert_eq!(counts(&h), [1, 1, 1]);
    h.add(fallback(FallbackState::Good));
    h.incidents.ends(h.now, "store");
    assert_eq!(counts(&h), [1, 0, 0]);
}

/// What cannot be read for one cause is one trouble, whichever channels it costs, and when.
#[test]
fn one_blindness_is_one_notice_that_grows() {
    let mut h = History::new();
    let mut blind = |at: u64, channels: &[Channel]| {
        let why = "Twilio does not accept the credentials (HTTP 401)".to_owned();
        let condition =
            AgentCondition::Blind { channels: channels.to_vec(), sources: vec!["calls"], why, unread: vec![] };
        let at = h.now + Duration::from_secs(at);
        h.incidents.blind(at, at, condition)
    };
    let told = blind(0, &[VOICE]).expect("it is new");
    assert_eq!(told.title, "Ringback is blind: voice");
    assert_eq!(blind(5, &[VOICE]), None, "people know");
    let grown = blind(9, &Channel::ALL).expect("it has grown");
    assert_eq!((&grown.key, grown.status), (&told.key, NoticeStatus::Firing));
    assert_eq!(grown.title, "Ringback is blind: voice and messaging");
    assert_eq!(grown.since, told.since, "it began when its first part did");
    assert_eq!(grown.next.iter().filter(|s| s.text.starts_with("Mend the credentials")).count(), 1);
    let shrunk = blind(60, &[Channel::Messaging]).expect("voice is seen again");
    assert_eq!((&shrunk.key, shrunk.title.as_str()), (&told.key, "Ringback is blind: messaging"));
    assert!(shrunk.did.ends_with("Ringback sees voice again"), "{}", shrunk.did);
    let over = h.incidents.ends(h.now, &told.key).expect("it is over");
    assert_eq!((over.status, h.incidents.told_blind()), (RESOLVED, &[][..]));
}

#[test]
fn a_page_whose_callers_cannot_be_counted_says_why() {
    let told = |reason| History::new().add(page(1, 0..1, reason)).remove(0);
    for reason in [PageReason::Silence, PageReason::Unreached, PageReason::Outage, PageReason::ErrorsBesideService] {
        let notice = told(reason);
        assert!(notice.uncounted.is_some(), "{reason:?}");
        assert_eq!(notice.cause.as_deref(), Some(reason.text()), "{reason:?}");
    }
    assert_eq!(told(PageReason::Failing(Reason::Account)).uncounted, None);
}

#[test]
fn what_a_rollback_was_decided_for_is_more_than_something_to_look_at() {
    let webhook = PageReason::Failing(Reason::Webhook);
    let mut h = History::new();
    h.all([decided(1, 0..1), refused(1, 0..1, Guard::Hold)]);
    assert_eq!(kinds(&h.add(page(2, 0..1, webhook))), []);
    assert_eq!(h.headlines(), [(Headline::Blocked, None)]);
    assert_eq!(kinds(&h.add(closed(1, 0..1, CloseReason::Recovered))), [(NoticeKind::Lapsed, RESOLVED)]);
    // What is looked at already is looked at for longer.
    let mut h = History::new();
    h.add(page(1, 0..1, webhook));
    h.pass(3000);
    h.add(page(2, 0..1, webhook));
    assert_eq!(kinds(&h.pass(3000)), []);
    assert_eq!(h.headlines(), [(Headline::Reported, None)]);
    assert_eq!(kinds(&h.pass(600)), [(NoticeKind::NotCurable, RESOLVED)]);
}
