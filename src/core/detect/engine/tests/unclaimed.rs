//! Errors of calls that no log shows.

use super::*;
use crate::model::id::NumberSid;

const VOICE: &str = "https://app.example.com/voice";

impl Port {
    /// An error of a call whose row never comes.
    fn error(&mut self, code: u32, url: Option<&str>) {
        self.error_of(code, url, Some(Resource::Call(CallSid::from_u128(0xdead_0000 + self.calls))), None);
    }

    fn error_of(&mut self, code: u32, url: Option<&str>, resource: Option<Resource>, number: Option<NumberSid>) {
        self.calls += 1;
        let alert = Alert {
            sid: AlertSid::from_u128(self.calls),
            number,
            resource,
            code: Code(code),
            level: Level::Error,
            url: url.map(Into::into),
            http_status: None,
            at: self.now,
        };
        self.engine.observe(self.now, ACCOUNT, &Observation::Alert(alert));
        self.pass(10);
    }

    /// Three callers are served.
    fn serve(&mut self, i: u32) {
        for caller in 0..3 {
            self.call(i, u64::from(i) * 10 + caller, None);
        }
        self.pass(60);
    }
}

fn page(reason: Reason) -> Action {
    Action::Page { reason: PageReason::Failing(reason) }
}

#[test]
fn a_suspended_account_whose_calls_have_no_rows_pages_every_group_and_ends_health() {
    let mut p = Port::new(Mode::Auto, 3, PortAt::Done);
    p.pass(1);
    p.serve(1);
    assert_eq!(p.verdict(1), Verdict::Healthy);
    for _ in 0..4 {
        p.error(10001, None);
    }
    p.pass(240);
    assert_eq!(p.decisions(), [], "their rows may still come");
    p.pass(60);
    assert_eq!(p.decisions(), [(page(Reason::Account), 3)]);
    assert_eq!(p.verdict(1), Verdict::Suspect);
    let Some(EngineEvent::Decided(d)) = p.events.iter().find(|e| matches!(e, EngineEvent::Decided(_))) else {
        panic!()
    };
    assert_eq!((d.evidence.failing, d.evidence.callers), (4, 4));
    assert_eq!(d.evidence.text(Channel::Voice).as_deref(), Some("4 of 4 calls failed"));
    // Whoever is served afterwards says that it is over.
    p.serve(1);
    assert_eq!(p.verdict(1), Verdict::Healthy);
    assert_eq!(p.decisions().len(), 1);
}

#[test]
fn an_error_of_the_accounts_that_names_no_call_is_a_callers_only_where_it_can_be_nobody_elses() {
    for (code, decisions) in [(10001, 0), (10003, 1), (10004, 1)] {
        let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
        p.pass(1);
        for _ in 0..4 {
            p.error_of(code, None, None, None);
        }
        p.pass(400);
        assert_eq!(p.decisions().len(), decisions, "{code}");
    }
}

#[test]
fn fewer_of_them_or_callers_who_are_served_beside_them_tell_nobody() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for _ in 0..3 {
        p.error(10001, None);
    }
    p.pass(600);
    for caller in 0..6 {
        p.error(10004, None);
        p.call(0, caller, None);
        p.pass(60);
    }
    p.pass(600);
    assert_eq!(p.decisions(), []);
}

#[test]
fn an_error_that_names_no_call_is_of_the_numbers_that_have_its_url() {
    for names_a_call in [true, false] {
        let mut p = Port::unread(EngineSettings::default(), 2, PortAt::Done, |_| [true, false]);
        let record = record::tests::record();
        p.read(0, &record);
        p.read(1, &NumberRecord { voice_url: Some("https://other.example.com/voice".into()), ..record });
        p.pass(1);
        for _ in 0..4 {
            let call = names_a_call.then_some(Resource::Call(CallSid::from_u128(0xdead_0000 + p.calls)));
            p.error_of(11200, Some(VOICE), call, None);
            // Neither a foreign URL nor a callback that failed is of ours.
            p.error(11200, Some("https://elsewhere.example.com/voice"));
            p.error(15003, Some(VOICE));
        }
        p.pass(400);
        if names_a_call {
            assert_eq!(p.decisions(), [], "it may be of another number at that URL, whose calls are not ours");
            continue;
        }
        assert_eq!(p.decisions(), [(page(Reason::Unexplained), 1)]);
        assert_eq!([p.verdict(0), p.verdict(1)], [Verdict::Suspect, Verdict::Unknown]);
    }
}

#[test]
fn an_error_that_names_a_number_of_ours_is_of_that_number() {
    let mut p = Port::new(Mode::Auto, 2, PortAt::Done);
    let named = NumberRecord { sid: NumberSid::from_u128(77), ..record::tests::record() };
    p.read(1, &named);
    p.pass(1);
    for _ in 0..4 {
        p.error_of(82002, None, None, Some(NumberSid::from_u128(77)));
    }
    p.pass(400);
    assert_eq!(p.decisions(), [(page(Reason::Unexplained), 1)]);
    assert_eq!([p.verdict(0), p.verdict(1)], [Verdict::Unknown, Verdict::Suspect]);
}

#[test]
fn a_row_that_comes_in_time_claims_its_error_and_one_that_is_read_late_is_history() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for caller in 0..3 {
        // Known before its row: no rollback yet, and nothing left to tell.
        let sid = CallSid::from_u128(p.calls + 2);
        p.error_of(11200, Some(VOICE), Some(Resource::Call(sid)), None);
        assert_eq!(p.ended(0, caller, CallStatus::Completed), sid);
    }
    // An error of an hour ago, whose call was read in its time by somebody else.
    for i in 0..4 {
        let resource = Resource::Call(CallSid::from_u128(0xdead_0000 + i));
        p.alert_of(p.now - Duration::from_secs(3600), resource, 10001, VOICE);
    }
    p.pass(600);
    assert_eq!(p.decisions(), []);
}

#[test]
fn while_the_call_log_is_not_read_nothing_is_said_of_rows_that_do_not_come() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for _ in 0..4 {
        p.error(10001, None);
    }
    for _ in 0..600 {
        p.now = p.now + Duration::from_secs(1);
        p.engine.polled(Source::Alerts, p.now);
        p.engine.polled(Source::Numbers, p.now);
        let events = p.engine.tick(p.now);
        p.events.extend(events);
    }
    assert_eq!(p.decisions(), []);
    p.pass(1);
    assert_eq!(p.decisions(), [(page(Reason::Account), 1)]);
}

/// A log that is not watched is not read, and what waits for it waits in vain. It holds up nothing else.
#[test]
fn an_error_of_a_text_that_nobody_reads_holds_up_no_call() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    p.error_of(10001, None, Some(Resource::Message(MessageSid::from_u128(7))), None);
    for _ in 0..4 {
        p.error(10001, None);
    }
    for _ in 0..400 {
        p.now = p.now + Duration::from_secs(1);
        for source in Source::ALL.into_iter().filter(|source| *source != Source::Messages) {
            p.engine.polled(source, p.now);
        }
        let events = p.engine.tick(p.now);
        p.events.extend(events);
    }
    assert_eq!(p.decisions(), [(page(Reason::Account), 1)]);
}

/// Others send and call from the same account, and what they are refused is no trouble of callers.
#[test]
fn what_somebody_else_was_refused_turns_no_caller_away() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for code in [20005, 21219, 21608, 30002, 30037, 32005] {
        for _ in 0..4 {
            p.error(code, None);
        }
    }
    p.pass(400);
    assert_eq!(p.decisions(), []);
}
