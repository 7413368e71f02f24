//! Which rule tells, and which another has told for.

use super::*;

impl Port {
    /// A message of ours to somebody, and what became of it.
    fn sent(&mut self, recipient: u64, status: MessageStatus) {
        self.calls += 1;
        let message = Message {
            is_keyword: false,
            sid: MessageSid::from_u128(self.calls),
            number: number(0),
            party: RemoteParty { hash: recipient, last_two: None, is_prober: false, carrier: None },
            direction: Direction::Outbound,
            status,
            sent_at: self.now,
            error: (status == MessageStatus::Undelivered).then_some(Code(30034)),
            service: None,
        };
        self.engine.observe(self.now, ACCOUNT, &Observation::Message(message));
    }

    fn rules(&self) -> Vec<String> {
        let rule = |e: &EngineEvent| if let EngineEvent::Decided(d) = e { Some(d.rule.clone()) } else { None };
        self.events.iter().filter_map(rule).collect()
    }
}

#[test]
fn messages_of_which_more_are_lost_than_on_honest_days_are_not_told_of_as_a_run_as_well() {
    let settings = EngineSettings { mode: Mode::Auto, ..EngineSettings::default() };
    let mut p = Port::unread(settings, 1, PortAt::Done, |_| [true, true]);
    p.read(0, &record::tests::record());
    p.pass(1);
    for i in 0..36 {
        // Two of three at first, and then all.
        let is_lost = i % 3 > 0 || i >= 24;
        p.sent(i, if is_lost { MessageStatus::Undelivered } else { MessageStatus::Delivered });
        p.pass(400);
    }
    let rules = p.rules();
    assert!(rules.iter().any(|r| r.contains("more than on honest days")), "{rules:#?}");
    assert!(!rules.iter().any(|r| r.contains("since one did last")), "{rules:#?}");
}

#[test]
fn numbers_that_one_caller_fails_on_are_told_of_once_and_many_callers_speak_for_themselves() {
    for (callers, code, expected) in
        [(1, 11200, PageReason::FewCallers), (10, 10001, PageReason::Failing(Reason::Account))]
    {
        let mut p = Port::new(Mode::Auto, 2, PortAt::Done);
        p.pass(1);
        for i in 0..50 {
            p.call(i as u32 % 2, i % callers, Some(code));
            p.pass(30);
        }
        assert_eq!(p.decisions(), [(Action::Page { reason: expected }, 2)], "{callers}");
    }
}

/// A telephone system sends all its callers with one number, and every other one of them fails.
#[test]
fn half_of_the_calls_of_one_caller_that_fail_page() {
    for (calls, is_told) in [(34, false), (42, true)] {
        let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
        p.pass(1);
        for i in 0..calls {
            p.call(0, 1, (i % 2 == 1).then_some(11200));
            p.pass(40);
        }
        let few = (Action::Page { reason: PageReason::FewCallers }, 1);
        assert_eq!(p.decisions().contains(&few), is_told, "{calls}: {:?}", p.decisions());
    }
}

/// Of the numbers of a group, one is on the fallback and serves. Of the others nobody is.
#[test]
fn whom_the_fallback_serves_says_nothing_of_the_numbers_that_are_not_on_it() {
    let mut p = Port::new(Mode::Auto, 3, PortAt::Done);
    p.pass(1);
    p.engine.rolled_back(p.now, NumberIx(2), Channel::Voice);
    for i in 0..9 {
        p.call(i % 2, 1, Some(11200));
        p.call(2, 2, None);
        p.pass(80);
    }
    assert_eq!(p.decisions(), [(Action::Page { reason: PageReason::FewCallers }, 2)]);
}

/// A telephone system's calls, too few on each number to say anything.
#[test]
fn most_calls_of_one_caller_to_a_whole_group_page() {
    let mut p = Port::new(Mode::Auto, 4, PortAt::Done);
    p.pass(1);
    for i in 0..60 {
        p.call(i % 4, 1, (i / 4 % 3 > 0).then_some(11200));
        p.pass(28);
    }
    assert_eq!(p.decisions(), [(Action::Page { reason: PageReason::FewCallers }, 4)]);
}
