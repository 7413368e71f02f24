//! A day of callers as the account's logs would show it: the traffic model.
//!
//! People call numbers, are served or not, and dial again; the log shows each call some seconds after
//! its end and its alert up to half a minute later. What comes out is what a poller would hand to the
//! engine, in the order in which it became visible. Everything happens in one queue in order of time,
//! so a day of any length and size needs the memory of the calls that are in the air.
//!
//! In the model: callers who call once and regulars; honest failures, whose cause is the caller's own,
//! so that redials fail too; busy and unanswered phones and callers who hang up; forwards with child
//! legs, some of them first reported wrongly; talk times with a long tail; slow webhooks; calls seen
//! while they last. Left out: outages of the log or of Twilio, replies to texts, and exact duplicates,
//! which change no rollback.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};
use std::time::Duration;

use super::line::{Manners, TrafficLine};
use crate::core::detect::observation::{
    Alert, Call, CallStatus, Direction, Leg, Level, Message, MessageStatus, Observation, RemoteParty,
};
use crate::core::model::code::Code;
use crate::core::model::id::Resource;
use crate::core::model::id::{AlertSid, CallSid, Channel, MessageSid, NumberSid};
use crate::core::model::time::Time;
use crate::core::routing::record::NumberRecord;
use crate::sim::chance::Chance;

/// The handler of every number.
const VOICE_URL: &str = "https://app.example.com/voice";
const SMS_URL: &str = "https://app.example.com/sms";

/// How many times somebody dials again at the most.
const REDIALS: u8 = 6;

/// From `from` on, this share of the callers of every line is not served.
#[derive(Clone, Copy, Debug)]
pub struct TrafficFault {
    pub from: Time,
    pub share: f64,
}

pub struct TrafficModel {
    lines: Vec<TrafficLine>,
    manners: Manners,
    fault: Option<TrafficFault>,
    until: Time,
    chance: Chance,
    queue: BinaryHeap<Next>,
    /// Things put into the queue; among those of one instant the first comes first.
    order: u64,
    sids: u128,
    /// Callers whom the fault met, by line, with the start of the call.
    met: Vec<Vec<(Time, u64)>>,
}

struct Next {
    at: Time,
    order: u64,
    what: What,
}

enum What {
    Dial(Dial),
    Text { line: usize },
    Seen(Observation),
}

#[derive(Clone, Copy)]
struct Dial {
    line: usize,
    attempt: Attempt,
}

#[derive(Clone, Copy)]
enum Attempt {
    First,
    /// Somebody who was not served tries again.
    Again {
        caller: u64,
        redials: u8,
        was_honest: bool,
    },
}

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Served,
    /// The webhook fails; the caller hears an announcement.
    Webhook,
    /// The leg that was dialled fails.
    Forward,
    /// It breaks before any TwiML runs.
    Broken,
    Busy,
    NoAnswer,
    HungUp,
}

impl Fate {
    const fn is_failure(self) -> bool {
        matches!(self, Fate::Webhook | Fate::Forward | Fate::Broken)
    }
}

impl TrafficModel {
    /// The entries of these lines' calls and texts that start within `from..until`.
    pub fn new(
        lines: Vec<TrafficLine>,
        from: Time,
        until: Time,
        fault: Option<TrafficFault>,
        mut chance: Chance,
    ) -> TrafficModel {
        let manners = Manners::draw(&mut chance);
        let met = vec![Vec::new(); lines.len()];
        let mut traffic =
            TrafficModel { lines, manners, fault, until, chance, queue: BinaryHeap::new(), order: 0, sids: 0, met };
        for line in 0..traffic.lines.len() {
            let record = record(&traffic.lines[line], line as u128);
            traffic.push(from, What::Seen(Observation::Number(Box::new(record))));
            traffic.arrive(line, Channel::Voice, from);
            traffic.arrive(line, Channel::Messaging, from);
        }
        traffic
    }

    /// Distinct callers of a line whom the fault met in calls that started by `until`.
    pub fn met(&self, line: usize, until: Time) -> usize {
        let callers = self.met[line].iter().filter(|(at, _)| *at <= until).map(|(_, caller)| *caller);
        callers.collect::<HashSet<u64>>().len()
    }

    fn push(&mut self, at: Time, what: What) {
        self.order += 1;
        self.queue.push(Next { at, order: self.order, what });
    }

    /// Puts the next call or text of a line after `now` into the queue.
    fn arrive(&mut self, line: usize, channel: Channel, now: Time) {
        let TrafficLine { peak, day, .. } = self.lines[line];
        if peak[channel.index()] <= 0.0 {
            return;
        }
        let mut at = now;
        // Drawn as if it were always the busiest hour, then thinned out.
        loop {
            at = after(at, self.chance.gap() * 3600.0 / peak[channel.index()]);
            if at >= self.until {
                return;
            }
            if self.chance.unit() < day.share(at) {
                break;
            }
        }
        let what = match channel {
            Channel::Voice => What::Dial(Dial { line, attempt: Attempt::First }),
            Channel::Messaging => What::Text { line },
        };
        self.push(at, what);
    }

    /// Whoever calls or writes of their own accord.
    fn caller(&mut self, line: usize) -> u64 {
        if !self.chance.hits(self.manners.regular) {
            return self.chance.below(u64::MAX);
        }
        // Some are more regular than others.
        let which = (self.lines[line].regulars() * self.chance.unit().powf(2.2)) as u64;
        // Far apart from each other; a stranger has one of these with no chance worth naming.
        (line as u64 * 1_000_003 + which).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn is_hit(&mut self, at: Time) -> bool {
        self.fault.is_some_and(|f| at >= f.from && self.chance.hits(f.share))
    }

    fn dial(&mut self, at: Time, dial: Dial) {
        let Dial { line, attempt } = dial;
        let (caller, redials) = match attempt {
            Attempt::First => {
                self.arrive(line, Channel::Voice, at);
                (self.caller(line), 0)
            }
            Attempt::Again { caller, redials, .. } => (caller, redials),
        };
        let is_hit = self.is_hit(at);
        let fate = if is_hit {
            self.met[line].push((at, caller));
            if self.lines[line].breaks_at_forward { Fate::Forward } else { Fate::Webhook }
        } else {
            self.honest(line, attempt)
        };
        self.call(at, line, caller, fate);
        let tries_again = self.manners.redials * 0.75f64.powi(i32::from(redials));
        if fate.is_failure() && redials < REDIALS && self.chance.hits(tries_again) {
            let attempt = Attempt::Again { caller, redials: redials + 1, was_honest: !is_hit };
            let at = after(at, self.chance.between(12.0, 90.0));
            self.push(at, What::Dial(Dial { line, attempt }));
        }
    }

    /// What becomes of a call that no fault meets.
    fn honest(&mut self, line: usize, attempt: Attempt) -> Fate {
        let TrafficLine { fails, busy, no_answer, hangs_up, forwards, .. } = self.lines[line];
        let fails = match attempt {
            Attempt::First => fails,
            Attempt::Again { was_honest: true, .. } => self.manners.fails_again,
            Attempt::Again { was_honest: false, .. } => 0.0,
        };
        if self.chance.hits(fails) {
            return match self.chance.unit() {
                x if x < 0.08 => Fate::Broken,
                x if forwards && x < 0.75 => Fate::Forward,
                _ => Fate::Webhook,
            };
        }
        match self.chance.unit() {
            _ if !forwards => Fate::Served,
            x if x < hangs_up => Fate::HungUp,
            x if x < hangs_up + busy => Fate::Busy,
            x if x < hangs_up + busy + no_answer => Fate::NoAnswer,
            _ => Fate::Served,
        }
    }

    /// Puts what the logs will show of a call into the queue.
    fn call(&mut self, at: Time, line: usize, caller: u64, fate: Fate) {
        let TrafficLine { number, forwards, talk, .. } = self.lines[line];
        let sid = CallSid::from_u128(self.sid());
        let leg = Leg::Inbound {
            number,
            caller: RemoteParty { hash: caller, last_two: None, is_prober: false, carrier: None },
        };
        let mut child = None;
        let mut webhook_failed = None;
        let c = &mut self.chance;
        let end = match fate {
            Fate::Broken => after(at, c.between(0.5, 3.0)),
            Fate::Webhook => {
                // Some time out after 15 s, the others fail at once.
                let failed = after(at, if c.hits(0.12) { 15.2 } else { c.between(0.3, 1.5) });
                webhook_failed = Some(failed);
                after(failed, c.between(1.2, 5.5))
            }
            Fate::Served if !forwards && c.hits(0.08) => after(at, c.between(2.5, 9.0)),
            Fate::Served if !forwards => after(at, c.around(talk * 0.67, 0.9).max(4.0)),
            Fate::Served | Fate::Forward | Fate::Busy | Fate::NoAnswer | Fate::HungUp => {
                let dialled = after(at, c.between(0.6, 1.8));
                // How long the leg lasts, how it ends, and for how long the caller stays.
                let (lasts, status, stays) = match fate {
                    Fate::Served => {
                        let talk = c.around(talk, 1.0).max(3.0);
                        (c.between(3.0, 18.0) + talk, CallStatus::Completed, c.between(0.2, 1.5))
                    }
                    Fate::Busy => (c.between(1.5, 6.0), CallStatus::Busy, c.between(1.0, 20.0)),
                    Fate::NoAnswer => (c.between(15.0, 40.0), CallStatus::NoAnswer, c.between(0.5, 25.0)),
                    Fate::HungUp => (c.between(2.0, 20.0), CallStatus::Canceled, c.between(0.1, 0.6)),
                    Fate::Forward | Fate::Webhook | Fate::Broken => {
                        (c.between(0.5, 6.0), CallStatus::Failed, c.between(1.0, 8.0))
                    }
                };
                let over = after(dialled, lasts);
                child = Some((dialled, over, status));
                after(over, stays)
            }
        };
        let status = if fate == Fate::Broken { CallStatus::Failed } else { CallStatus::Completed };
        let duration = u32::try_from(end.since(at).as_secs()).ok();
        let call = Call {
            sid,
            leg,
            status,
            started_at: at.floor_to_second(),
            ended_at: Some(end.floor_to_second()),
            duration,
            error: None,
            forwarded_from: None,
        };
        if end.since(at).as_secs() > 12 && self.chance.hits(0.25) {
            let lasting = Call { status: CallStatus::InProgress, ended_at: None, duration: None, ..call };
            let seen = after(at, self.chance.between(2.0, 10.0));
            self.push(seen, What::Seen(Observation::Call(lasting)));
        }
        let seen = self.visible(end);
        self.push(seen, What::Seen(Observation::Call(call)));
        if let Some((dialled, over, status)) = child {
            self.child(sid, dialled, over, status);
        }
        if let Some(failed) = webhook_failed {
            self.alert(Resource::Call(sid), failed, seen, VOICE_URL);
        }
    }

    fn child(&mut self, parent: CallSid, dialled: Time, over: Time, status: CallStatus) {
        let sid = CallSid::from_u128(self.sid());
        let leg = Leg::Child { parent };
        let started_at = dialled.floor_to_second();
        let duration = u32::try_from(over.since(dialled).as_secs()).ok();
        let leg = Call {
            sid,
            leg,
            status,
            started_at,
            ended_at: Some(over.floor_to_second()),
            duration,
            error: None,
            forwarded_from: None,
        };
        let mut seen = self.visible(over);
        if status == CallStatus::Completed && self.chance.hits(0.003) {
            // First reported wrongly, then revised.
            let wrong = [CallStatus::Failed, CallStatus::Busy, CallStatus::NoAnswer][self.chance.below(3) as usize];
            self.push(seen, What::Seen(Observation::Call(Call { status: wrong, ..leg })));
            seen = after(seen, self.chance.between(4.0, 40.0));
        }
        self.push(seen, What::Seen(Observation::Call(leg)));
    }

    fn text(&mut self, at: Time, line: usize) {
        self.arrive(line, Channel::Messaging, at);
        let caller = self.caller(line);
        let is_hit = self.is_hit(at);
        // Texts fail half as often as calls: nobody has to pick up.
        let fails = is_hit || self.chance.hits(self.lines[line].fails / 2.0);
        if is_hit {
            self.met[line].push((at, caller));
        }
        let sid = MessageSid::from_u128(self.sid());
        let message = Message {
            sid,
            number: self.lines[line].number,
            party: RemoteParty { hash: caller, last_two: None, is_prober: false, carrier: None },
            direction: Direction::Inbound,
            status: MessageStatus::Received,
            sent_at: at.floor_to_second(),
            error: None,
            service: None,
            is_keyword: false,
        };
        let seen = after(at, self.chance.around(3.3, 0.8).clamp(1.0, 60.0));
        self.push(seen, What::Seen(Observation::Message(message)));
        if fails {
            self.alert(Resource::Message(sid), after(at, 0.9), seen, SMS_URL);
        }
    }

    /// The alert of a webhook that failed at `failed`, of an entry visible at `seen`.
    fn alert(&mut self, resource: Resource, failed: Time, seen: Time, url: &str) {
        let code = match self.chance.unit() {
            x if x < 0.85 => 11200,
            x if x < 0.95 => 11205,
            _ => 12100,
        };
        let alert = Alert {
            sid: AlertSid::from_u128(self.sid()),
            number: None,
            resource: Some(resource),
            code: Code(code),
            level: Level::Error,
            url: Some(url.into()),
            http_status: None,
            at: failed,
        };
        // Mostly after its entry, sometimes a little before.
        let lag = self.chance.between(-4.0, 30.0);
        let at = if lag < 0.0 { seen - Duration::from_secs_f64(-lag) } else { after(seen, lag) };
        self.push(at.max(after(failed, 1.0)), What::Seen(Observation::Alert(alert)));
    }

    /// When a leg that ended at `end` is in the log.
    fn visible(&mut self, end: Time) -> Time {
        after(end, self.chance.around(self.manners.visible, 0.9).clamp(1.0, 60.0))
    }

    fn sid(&mut self) -> u128 {
        self.sids += 1;
        self.sids
    }
}

impl Iterator for TrafficModel {
    type Item = (Time, Observation);

    /// The next entry and when a poller sees it.
    fn next(&mut self) -> Option<(Time, Observation)> {
        loop {
            let Next { at, what, .. } = self.queue.pop()?;
            match what {
                What::Seen(observation) => return Some((at, observation)),
                What::Dial(dial) => self.dial(at, dial),
                What::Text { line } => self.text(at, line),
            }
        }
    }
}

fn after(at: Time, seconds: f64) -> Time {
    at + Duration::from_millis((seconds * 1000.0) as u64)
}

fn record(line: &TrafficLine, sid: u128) -> NumberRecord {
    NumberRecord {
        sid: NumberSid::from_u128(sid),
        number: line.number,
        trunk: None,
        voice_application: None,
        voice_url: Some(VOICE_URL.into()),
        voice_fallback_url: None,
        fax: false,
        sms_application: None,
        sms_url: Some(SMS_URL.into()),
        sms_fallback_url: None,
        status_callback: None,
        service: None,
        elsewhere: [None, None],
        lacks: [false; 2],
        unread: [false; 2],
        gone: [false; 2],
    }
}

/// The heap gives its greatest first: what comes first is the greatest.
impl Ord for Next {
    fn cmp(&self, other: &Next) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Next) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Next) -> bool {
        self.order == other.order
    }
}

impl Eq for Next {}
