//! Texts, the answers to them, and what is told of neither by name.

use super::*;
use crate::detect::observation::{Direction, Message, MessageStatus};
use crate::model::id::{AlertSid, MessageSid};
use crate::routing::record;

/// A ledger of one number on its own handler, and the time.
struct Desk {
    roster: Roster,
    routes: RoutingHistory,
    ledger: Ledger,
    now: Time,
}

impl Desk {
    fn new() -> Desk {
        let roster = roster();
        let mut routes = RoutingHistory::new(&roster);
        routes.learn(&roster, NumberIx(0), &record::tests::record());
        let ledger = Ledger::new(&roster, Duration::from_secs(45));
        Desk { roster, routes, ledger, now: Time::EPOCH + Duration::from_secs(1000) }
    }

    fn text(&mut self, sid: u128, direction: Direction, status: MessageStatus) -> Vec<Outcome> {
        let cx = LedgerContext { roster: &self.roster, routes: &self.routes };
        let message = Message {
            is_keyword: false,
            sid: MessageSid::from_u128(sid),
            number: "+15005550100".parse().unwrap(),
            party: RemoteParty { hash: 7, last_two: None, is_prober: false, carrier: None },
            direction,
            status,
            sent_at: self.now,
            error: None,
            service: None,
        };
        let own = self.ledger.message(self.now, ACCOUNT, &message, cx).change;
        let answered = self.ledger.answered(self.now, ACCOUNT, &message, cx);
        answered.into_iter().chain(own).map(|c| c.is).collect()
    }

    /// The webhook of this text failed.
    fn lost(&mut self, sid: u128) -> Option<Outcome> {
        let resource = Some(Resource::Message(MessageSid::from_u128(sid)));
        self.alert(sid + 1000, resource, "https://app.example.com/sms")
    }

    fn alert(&mut self, sid: u128, resource: Option<Resource>, url: &str) -> Option<Outcome> {
        let cx = LedgerContext { roster: &self.roster, routes: &self.routes };
        let alert = Alert {
            sid: AlertSid::from_u128(sid),
            number: None,
            resource,
            code: Code(11200),
            level: Level::Error,
            url: Some(url.into()),
            http_status: None,
            at: self.now,
        };
        self.ledger.alert(self.now, &alert, cx).map(|c| c.is)
    }

    fn call(&mut self, call: &Call) -> Option<Outcome> {
        let cx = LedgerContext { roster: &self.roster, routes: &self.routes };
        self.ledger.call(self.now, ACCOUNT, call, cx).change.map(|c| c.is)
    }

    fn pass(&mut self, seconds: u64) -> Vec<Outcome> {
        let cx = LedgerContext { roster: &self.roster, routes: &self.routes };
        self.now = self.now + Duration::from_secs(seconds);
        let read = ReadUntil::all(self.now);
        self.ledger.settle(self.now, read, usize::MAX, cx).into_iter().map(|c| c.is).collect()
    }
}

#[test]
fn what_is_read_again_while_it_is_under_way_waits_for_its_alerts_from_its_end_on() {
    let mut desk = Desk::new();
    for _ in 0..2 {
        assert_eq!(desk.text(1, Direction::Outbound, MessageStatus::Open), []);
    }
    assert_eq!(desk.pass(60), []);
    assert_eq!(desk.text(1, Direction::Outbound, MessageStatus::Sent), []);
    assert_eq!(desk.pass(44), []);
    assert_eq!(desk.pass(1), [Outcome::Ok]);
}

#[test]
fn texts_and_calls_without_an_outcome_are_counted() {
    let mut desk = Desk::new();
    for sid in 1..=3 {
        desk.text(sid, Direction::Inbound, MessageStatus::Received);
    }
    desk.call(&Call { started_at: desk.now, ..call(CallStatus::Ringing, false) });
    let open = |desk: &Desk| Channel::ALL.map(|channel| desk.ledger.open(NumberIx(0), channel));
    assert_eq!(open(&desk), [1, 3]);
    desk.lost(2);
    assert_eq!(open(&desk), [1, 2]);
    assert_eq!(desk.pass(45), [Outcome::Ok; 2]);
    assert_eq!(open(&desk), [1, 0]);
}

#[test]
fn a_text_that_a_webhook_takes_asks_for_no_answer_and_none_makes_the_next_one_wait() {
    let mut desk = Desk::new();
    desk.text(1, Direction::Inbound, MessageStatus::Received);
    assert_eq!(desk.text(2, Direction::Outbound, MessageStatus::Delivered), [Outcome::Ok], "the text of ours alone");
    assert_eq!(desk.pass(45), [Outcome::Ok]);
    // The application is not known to answer by the API what its webhook fails to take.
    desk.text(3, Direction::Inbound, MessageStatus::Received);
    desk.now = desk.now + Duration::from_secs(1200);
    desk.text(4, Direction::Inbound, MessageStatus::Received);
    assert_eq!(desk.lost(4), Some(Outcome::Failed(Reason::Webhook)));
}

#[test]
fn an_answer_is_known_when_its_text_is_read_later_also_if_old_ones_were_forgotten_meanwhile() {
    let mut desk = Desk::new();
    assert_eq!(desk.text(1, Direction::Outbound, MessageStatus::Delivered), [Outcome::Ok]);
    desk.ledger.prune(desk.now - Duration::from_secs(100));
    desk.text(2, Direction::Inbound, MessageStatus::Received);
    assert_eq!(desk.lost(2), Some(Outcome::Ok));
    desk.ledger.prune(desk.now + Duration::from_secs(1));
    desk.text(3, Direction::Inbound, MessageStatus::Received);
    assert_eq!(desk.lost(3), None, "its own answer has some time");
    assert_eq!(desk.pass(45), [Outcome::Failed(Reason::Webhook)]);
}

#[test]
fn a_leg_that_talks_in_the_end_is_service() {
    let mut desk = Desk::new();
    assert_eq!(desk.call(&call(CallStatus::InProgress, false)), None);
    let leg = Leg::Child { parent: CallSid::from_u128(1) };
    let leg = |status| Call { sid: CallSid::from_u128(2), leg, duration: Some(60), ..call(status, false) };
    assert_eq!(desk.call(&leg(CallStatus::Ringing)), None);
    assert_eq!(desk.call(&leg(CallStatus::InProgress)), None);
    assert_eq!(desk.call(&leg(CallStatus::Completed)), Some(Outcome::Ok));
    assert_eq!(desk.call(&leg(CallStatus::InProgress)), None, "an older reading");
}

#[test]
fn an_error_that_names_no_call_speaks_against_the_calls_that_were_under_way() {
    let mut desk = Desk::new();
    assert_eq!(desk.alert(1, None, "https://app.example.com/voice"), None);
    let during = Call { started_at: desk.now, duration: Some(5), ..call(CallStatus::Completed, false) };
    let started_at = desk.now + Duration::from_secs(60);
    let after = Call { sid: CallSid::from_u128(2), started_at, ..during };
    desk.now = started_at;
    assert_eq!([&during, &after].map(|call| desk.call(call)), [None, None]);
    assert_eq!(desk.pass(45), [Outcome::Failed(Reason::Unexplained), Outcome::Ok]);
}

#[test]
fn of_one_calls_alerts_that_nothing_explains_sixteen_are_kept() {
    let mut desk = Desk::new();
    desk.call(&call(CallStatus::Completed, false));
    for sid in 0..40 {
        desk.alert(sid / 2, Some(Resource::Call(CallSid::from_u128(1))), "https://moved.example.com/voice");
    }
    assert_eq!(desk.ledger.pending.len(), bounds::ALERTS_PER_CALL);
}

#[test]
fn a_text_to_a_number_without_a_webhook_is_served_by_whoever_asks_for_it_and_answers() {
    let mut desk = Desk::new();
    let nobodys = record::NumberRecord { sms_url: None, ..record::tests::record() };
    desk.routes.learn(&desk.roster, NumberIx(0), &nobodys);
    desk.text(1, Direction::Inbound, MessageStatus::Received);
    let told = desk.text(2, Direction::Outbound, MessageStatus::Delivered);
    assert_eq!(told, [Outcome::Ok, Outcome::Ok], "the answer, and what it answers");
    // Where that is usual, the next one has some time for its answer.
    desk.now = desk.now + Duration::from_secs(2000);
    desk.text(3, Direction::Inbound, MessageStatus::Received);
    assert_eq!(desk.pass(60), []);
    assert_eq!(desk.pass(900), [Outcome::Failed(Reason::Unexplained)]);
}

#[test]
fn of_errors_that_name_no_call_the_latest_two_thousand_are_kept() {
    let mut desk = Desk::new();
    let seconds = |s: u64| Time::EPOCH + Duration::from_secs(s);
    let most = bounds::NAMELESS_ALERTS as u64;
    for i in 1..=most + 10 {
        desk.now = seconds(i * 60);
        desk.alert(u128::from(i), None, "https://app.example.com/voice");
    }
    let outcome = |desk: &mut Desk, i: u64| {
        desk.now = seconds(i * 60);
        let sid = CallSid::from_u128(u128::from(i));
        let call = Call { sid, started_at: desk.now, duration: Some(5), ..call(CallStatus::Completed, false) };
        desk.call(&call);
        desk.pass(45)
    };
    let failed = [Outcome::Failed(Reason::Unexplained)];
    assert_eq!(outcome(&mut desk, 10), [Outcome::Ok], "forgotten");
    assert_eq!(outcome(&mut desk, 11), failed);
    assert_eq!(outcome(&mut desk, most + 10), failed);
}

/// Rows that stay as they are: calls that ring, go on or have a leg that does, texts.
#[test]
fn what_can_no_longer_be_true_is_not_known_until_it_ends() {
    let not_known = [Outcome::Failed(Reason::Unexplained)];
    let at = Time::EPOCH + Duration::from_secs(1000);
    for (status, limit) in [(CallStatus::Ringing, 725), (CallStatus::Queued, 725), (CallStatus::InProgress, 14_520)] {
        let mut desk = Desk::new();
        let row = Call { started_at: at, status, duration: None, ..call(status, false) };
        desk.call(&row);
        assert_eq!(desk.pass(limit - 1), [], "{status:?}");
        assert_eq!(desk.call(&row), None, "read again, it says the same");
        assert_eq!(desk.pass(1), not_known, "{status:?}");
        assert_eq!((desk.call(&row), desk.pass(1)), (None, vec![]), "once");
        // The log had been late.
        let ended = Call { status: CallStatus::Completed, duration: Some(60), ended_at: Some(desk.now), ..row };
        assert_eq!(desk.call(&ended), None);
        assert_eq!(desk.pass(45), [Outcome::Ok], "{status:?}");
    }
    let mut desk = Desk::new();
    desk.text(1, Direction::Inbound, MessageStatus::Open);
    assert_eq!((desk.pass(719), desk.pass(1)), (vec![], not_known.to_vec()));
    // What waits in a queue is not over while others leave it.
    let mut desk = Desk::new();
    desk.text(1, Direction::Outbound, MessageStatus::Open);
    assert_eq!(desk.pass(1000), []);
    desk.text(2, Direction::Outbound, MessageStatus::Delivered);
    assert_eq!((desk.pass(1919), desk.pass(1)), (vec![], not_known.to_vec()));
    desk.text(3, Direction::Outbound, MessageStatus::Scheduled);
    assert_eq!(desk.pass(36_000), []);
    // Up to the hour at which no text can leave any more.
    let mut desk = Desk::new();
    desk.text(1, Direction::Outbound, MessageStatus::Open);
    let told: Vec<(u128, Outcome)> = (2..30)
        .flat_map(|n| {
            desk.text(n, Direction::Outbound, MessageStatus::Delivered);
            desk.pass(1500).into_iter().map(move |is| (n, is))
        })
        .collect();
    assert_eq!(told, [(26, Outcome::Failed(Reason::Unexplained))]);
}

/// While a log cannot be read, nobody knows that its rows still say so.
#[test]
fn a_state_is_not_known_to_last_while_its_log_is_not_read() {
    let mut desk = Desk::new();
    let cx = LedgerContext { roster: &desk.roster, routes: &desk.routes };
    let row = Call { started_at: desk.now, duration: None, ..call(CallStatus::Ringing, false) };
    desk.ledger.call(desk.now, ACCOUNT, &row, cx);
    let later = desk.now + Duration::from_secs(2000);
    for (calls, is) in [(desk.now, 0), (later, 1)] {
        let read = ReadUntil { logs: [calls, later], ..ReadUntil::all(later) };
        assert_eq!(desk.ledger.settle(later, read, usize::MAX, cx).len(), is);
    }
}
