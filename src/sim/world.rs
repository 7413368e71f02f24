//! The world: numbers, callers and handlers, played event by event up to the present.
//!
//! Nothing runs in the background. Whoever looks at the world, or changes it, first plays it up to the
//! present ([`World::advance`]); a change then takes effect exactly there. How often one looks makes no
//! difference: events are played one by one in the order of their instants.

mod happen;
mod path;
pub mod place;
pub mod recording;
mod webhook;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::chance::{self, Purpose};
use super::fault::{Active, ApiFaultKind};
use super::handler::Handlers;
use super::http::error::ApiError;
use super::http::route::EndpointClass;
use super::log::SimLog;
use super::number::{KnownTargets, SimEffect, SimField, SimNumber, SimNumberRecord, Update};
use super::queue::Queue;
use super::row::{Audit, AuditActor, SimAlert, SimCall, SimMessage, SimSubject};
use super::scenario::{Happening, Scenario, ScenarioError, ScenarioGroup, ScenarioTraffic, Storm, TextCampaign};
use super::text::Arrival;
use super::traffic::{self, ArrivalProcess, Caller};
use super::truth::{TimelineMark, Truth, TruthLedger};
use super::voice::{Dial, Fared, SimFate, SimServed, SimStage};
use crate::core::model::id::{AlertSid, Channel, E164, NumberSid};
use crate::core::model::time::Time;
use place::{Outbound, Placed};
use webhook::PortWebhooks;

/// A caller tries at most this often.
const ATTEMPTS: u8 = 6;

pub struct World {
    pub scenario: Scenario,
    pub now: Time,
    pub numbers: Vec<SimNumber>,
    pub calls: SimLog<SimCall>,
    pub messages: SimLog<SimMessage>,
    pub alerts: SimLog<SimAlert>,
    pub audits: SimLog<Audit>,
    pub faults: Vec<Active>,
    pub ledger: TruthLedger,
    begin: Time,
    end: Time,
    by_e164: HashMap<E164, u32>,
    by_sid: HashMap<NumberSid, u32>,
    pub(super) groups: Vec<GroupState>,
    pub(super) handlers: Handlers,
    arrivals: Vec<[ArrivalProcess; 2]>,
    pub(super) queue: Queue<Next>,
    /// What requests have made.
    pub(super) outbound: Outbound,
    port_webhooks: PortWebhooks,
}

/// How a group's callers behave at present.
pub(super) struct GroupState {
    pub(super) traffic: ScenarioTraffic,
    factor: f64,
    /// The highest factor of the day, by which arrivals are drawn.
    most: f64,
}

pub(super) enum Next {
    /// Somebody might call or text.
    Candidate {
        number: u32,
        channel: Channel,
        ordinal: u64,
        kept: f64,
    },
    Again {
        number: u32,
        attempt: SimAttempt,
    },
    Campaign {
        campaign: TextCampaign,
        text: u32,
    },
    Storm {
        storm: Storm,
        call: u32,
        caller: Caller,
    },
    Ports {
        number: u32,
        channel: Channel,
    },
    Happens(Box<Happening>),
    /// A change of traffic is over.
    Calms(usize),
    Noise(u64),
    /// A call or message that a request has made has its turn.
    Placed(Placed),
    /// An update happens whose answer was lost long ago.
    Lands {
        number: u32,
        set: BTreeMap<String, String>,
    },
}

/// One attempt of one caller.
pub(super) struct SimAttempt {
    caller: Option<Caller>,
    ordinal: u64,
    depth: u8,
    fate: Option<SimFate>,
}

impl World {
    /// The world of `scenario`, whose offsets count from `start`, before anything has happened.
    pub fn new(mut scenario: Scenario, start: Time) -> Result<World, ScenarioError> {
        scenario.check()?;
        scenario.start = Some(start);
        let (begin, end) = (start - scenario.history, start + scenario.lasts);
        let mut world = World {
            now: begin,
            begin,
            end,
            numbers: Vec::new(),
            calls: SimLog::new(),
            messages: SimLog::new(),
            alerts: SimLog::new(),
            audits: SimLog::new(),
            faults: Vec::new(),
            ledger: TruthLedger::new(scenario.groups.len()),
            by_e164: HashMap::new(),
            by_sid: HashMap::new(),
            groups: Vec::new(),
            handlers: Handlers::new(&scenario),
            arrivals: Vec::new(),
            queue: Queue::new(),
            outbound: Outbound::default(),
            port_webhooks: PortWebhooks::default(),
            scenario,
        };
        world.populate(start);
        for event in world.scenario.events.clone() {
            world.queue.push(start + event.at, Next::Happens(Box::new(event.what)));
        }
        if world.scenario.twilio.functions_log_per_hour > 0.0 {
            world.queue.push(begin, Next::Noise(0));
        }
        Ok(world)
    }

    fn populate(&mut self, start: Time) {
        for (index, group) in self.scenario.groups.clone().into_iter().enumerate() {
            let most = self.most_traffic(group.name.as_str());
            for (rank, e164) in group.all_numbers().enumerate() {
                self.move_in(e164, index, rank, &group, most, start);
            }
            self.groups.push(GroupState { traffic: group.traffic, factor: 1.0, most });
        }
    }

    /// The highest factor that an event gives the group's traffic.
    fn most_traffic(&self, group: &str) -> f64 {
        let factor = |what: &Happening| match what {
            Happening::Traffic(t) if t.group == group => t.factor,
            Happening::Traffic(_)
            | Happening::Handler(_)
            | Happening::Port(_)
            | Happening::PortStatus(_)
            | Happening::PortOut(_)
            | Happening::Storm(_)
            | Happening::Campaign(_)
            | Happening::Fault(_)
            | Happening::Edit(_) => None,
        };
        self.scenario.events.iter().filter_map(|e| factor(&e.what)).fold(1.0, f64::max)
    }

    fn move_in(&mut self, e164: E164, group_index: usize, rank: usize, group: &ScenarioGroup, most: f64, start: Time) {
        const DAY: Duration = Duration::from_secs(86_400);
        let (seed, begin, index) = (self.scenario.seed, self.begin, self.numbers.len());
        let number = index as u32;
        let (created, listed_from, ported) = match &group.port {
            None => (begin - DAY * 90, Some(begin), Some(begin)),
            Some(port) if port.listed_before => (begin - DAY * 7, Some(begin), None),
            Some(_) => (start, None, None),
        };
        if let Some(offset) = group.port.as_ref().and_then(|p| p.of_rank(rank)) {
            self.queue.push(start + offset, Next::Ports { number, channel: Channel::Voice });
        }
        let t = &group.traffic;
        let calls = t.peak(t.calls_per_hour, t.floor_per_hour, rank) * most;
        let messages = t.peak(t.messages_per_hour, 0.0, rank) * most;
        self.arrivals.push([
            ArrivalProcess::new(seed, Purpose::Calls, index, calls, begin),
            ArrivalProcess::new(seed, Purpose::Messages, index, messages, begin),
        ]);
        let sid = NumberSid::from_u128(chance::sid("PN", &e164.to_string()));
        self.by_e164.insert(e164, number);
        self.by_sid.insert(sid, number);
        self.numbers.push(SimNumber {
            e164,
            sid,
            group: group_index,
            rank,
            is_hosted: group.hosted,
            record: SimNumberRecord::new(e164, &group.routing, created),
            service: group.routing.service,
            listed_from,
            voice_ported: ported.filter(|_| !group.hosted),
            messages_ported: ported,
            port_status: None,
            left: None,
            updating: false,
        });
        for channel in Channel::ALL {
            self.next_candidate(number, channel);
        }
    }

    pub fn number_of(&self, e164: E164) -> Option<u32> {
        self.by_e164.get(&e164).copied()
    }

    pub fn number_with(&self, sid: NumberSid) -> Option<u32> {
        self.by_sid.get(&sid).copied()
    }

    pub fn truth(&self) -> Truth {
        self.ledger.truth(&self.scenario, self.begin, self.now)
    }

    /// Plays everything up to and including `now`.
    pub fn advance(&mut self, now: Time) {
        while let Some((at, next)) = self.queue.pop_by(now) {
            self.now = self.now.max(at);
            self.play(next);
        }
        self.now = self.now.max(now);
    }

    fn play(&mut self, next: Next) {
        match next {
            Next::Candidate { number, channel, ordinal, kept } => {
                self.next_candidate(number, channel);
                let group = &self.groups[self.numbers[number as usize].group];
                if kept >= group.traffic.shape_at(self.now) * group.factor / group.most {
                    return;
                }
                match channel {
                    Channel::Voice => {
                        self.dial(number, SimAttempt { caller: None, ordinal, depth: 0, fate: None }, Purpose::Call)
                    }
                    Channel::Messaging => self.text(number, ordinal),
                }
            }
            Next::Again { number, attempt } => self.dial(number, attempt, Purpose::Call),
            Next::Storm { storm, call, caller } => self.storm(storm, call, caller),
            Next::Campaign { campaign, text } => self.campaign(campaign, text),
            Next::Ports { number, channel } => {
                // What was refused does not come about at its date.
                let status = self.numbers[number as usize].port_status.as_ref();
                if !status.is_some_and(|(_, status)| status.stops()) {
                    self.ports(number, channel);
                }
            }
            Next::Happens(what) => self.happen(*what),
            Next::Calms(group) => {
                self.groups[group].traffic = self.scenario.groups[group].traffic.clone();
                self.groups[group].factor = 1.0;
                let name = self.scenario.groups[group].name.to_string();
                self.ledger.mark(self.now, TimelineMark::Traffic { group: name, change: "as usual".into() });
            }
            Next::Noise(n) => self.noise(n),
            Next::Placed(placed) => self.placed(&placed),
            Next::Lands { number, set } => {
                // Nobody is told of a refusal any more.
                let _refused = self.update(number, &set, AuditActor::Api, SimEffect::Late);
            }
        }
    }

    fn next_candidate(&mut self, number: u32, channel: Channel) {
        let next = self.arrivals[number as usize][channel.index()].next();
        if let Some(c) = next.filter(|c| c.at < self.end) {
            self.queue.push(c.at, Next::Candidate { number, channel, ordinal: c.ordinal, kept: c.kept });
        }
    }

    /// One attempt to call `number`, now.
    fn dial(&mut self, number: u32, attempt: SimAttempt, purpose: Purpose) {
        let n = &self.numbers[number as usize];
        let group = &self.groups[n.group];
        let usual = &self.scenario.groups[n.group];
        let key = attempt.ordinal << 8 | u64::from(attempt.depth);
        let mut luck = chance::stream(self.scenario.seed, purpose, u64::from(number), key);
        let somebody = traffic::caller(self.scenario.seed, number as usize, &usual.traffic, &mut luck);
        let (redials, redials_after, fails_again) = (luck.unit(), luck.between(12.0, 90.0), luck.unit());
        let caller = attempt.caller.unwrap_or(somebody);
        let carrier = &self.scenario.carriers[traffic::carrier(caller, self.scenario.carriers.len())];
        let lag = usual.port.as_ref().and_then(|p| p.carrier_lag.get(carrier)).copied().unwrap_or_default();
        if n.left.is_some() || n.voice_ported.is_none_or(|t| self.now < t + lag) {
            let fared = Fared { served: SimServed::LosingCarrier, unanswered: false, honest: false };
            self.ledger.call(n.group, (number, caller), self.now, fared);
            return;
        }
        let dial = Dial {
            at: self.now,
            caller,
            carrier,
            number,
            to: n.e164,
            status_callback: n.record.get(SimField::StatusCallback),
            fate: attempt.fate,
        };
        let is_ours = |e: E164| self.number_of(e).is_some_and(|i| self.numbers[i as usize].voice_ported.is_some());
        let stage =
            SimStage { scenario: &self.scenario, traffic: &group.traffic, handlers: &self.handlers, is_ours: &is_ours };
        let played = stage.play(&dial, &self.voice_path(n), &mut luck);
        let failed = played.fared.served == SimServed::Nobody;
        let again = group.traffic.redial * 0.75f64.powi(i32::from(attempt.depth));
        let fate = (played.fared.honest && fails_again < group.traffic.redial_fails).then_some(SimFate::Fails);
        self.ledger.call(n.group, (number, caller), self.now, played.fared);
        played.legs.into_iter().for_each(|leg| self.calls.insert(leg));
        played.alerts.into_iter().for_each(|alert| self.alerts.insert(alert));
        if failed && matches!(purpose, Purpose::Call) && attempt.depth < ATTEMPTS && redials < again {
            let at = played.over + Duration::from_secs_f64(redials_after);
            let attempt = SimAttempt { caller: Some(caller), depth: attempt.depth + 1, fate, ..attempt };
            self.queue.push(at, Next::Again { number, attempt });
        }
    }

    fn text(&mut self, number: u32, ordinal: u64) {
        let n = &self.numbers[number as usize];
        let group = &self.groups[n.group];
        let mut luck = chance::stream(self.scenario.seed, Purpose::Message, u64::from(number), ordinal);
        let usual = &self.scenario.groups[n.group].traffic;
        let sender = traffic::caller(self.scenario.seed, number as usize, usual, &mut luck);
        if n.left.is_some() || n.messages_ported.is_none_or(|t| self.now < t) {
            self.ledger.message(n.group, SimServed::LosingCarrier);
            return;
        }
        let arrival = Arrival {
            at: self.now,
            sender,
            carrier: &self.scenario.carriers[traffic::carrier(sender, self.scenario.carriers.len())],
            to: n.e164,
            reply_error: group.traffic.reply_error,
        };
        let stage = SimStage {
            scenario: &self.scenario,
            traffic: &group.traffic,
            handlers: &self.handlers,
            is_ours: &|_| false,
        };
        let played = stage.play_text(&arrival, &self.text_path(n), &mut luck);
        self.ledger.message(n.group, played.served);
        played.messages.into_iter().for_each(|m| self.messages.insert(m));
        played.alerts.into_iter().for_each(|a| self.alerts.insert(a));
    }

    fn ports(&mut self, number: u32, channel: Channel) {
        let now = self.now;
        let n = &mut self.numbers[number as usize];
        // The calls of a hosted number never come.
        let channel = if n.is_hosted { Channel::Messaging } else { channel };
        let ported = match channel {
            Channel::Voice => &mut n.voice_ported,
            Channel::Messaging => &mut n.messages_ported,
        };
        if ported.is_some() {
            return;
        }
        *ported = Some(now);
        if n.listed_from.is_none() {
            n.listed_from = Some(now);
            n.record.created = now;
            n.record.updated = now;
        }
        let (e164, port) = (n.e164, &self.scenario.groups[n.group].port);
        let messages_after = port.as_ref().map_or(Duration::ZERO, |p| p.messages_after);
        self.ledger.mark(now, TimelineMark::Ported { number: e164, channel });
        if channel == Channel::Voice {
            self.port_rings(number as usize);
            self.queue.push(now + messages_after, Next::Ports { number, channel: Channel::Messaging });
        }
    }

    /// An alert that is about no call: listed within seconds.
    pub fn alert(&mut self, sid: u128, code: u32, subject: SimSubject, url: &str, to: u64) {
        let (now, sid) = (self.now, AlertSid::from_u128(sid));
        let listed = now + Duration::from_millis(1500);
        let url: Arc<str> = url.into();
        self.alerts.insert(SimAlert {
            sid,
            code,
            subject,
            generated: now,
            created: now,
            listed,
            url,
            http: None,
            to,
            from: 0,
        });
    }

    /// Changes a number now and records it, or says why not. Returns the record to answer with, which is
    /// not what the number has if the update is not `effective`.
    pub fn update(
        &mut self,
        number: u32,
        set: &BTreeMap<String, String>,
        by: AuditActor,
        effect: SimEffect,
    ) -> Result<SimNumberRecord, ApiError> {
        let applications: Vec<_> = self.scenario.applications.iter().map(|a| a.sid).collect();
        let trunks: Vec<_> = self.scenario.trunks.iter().map(|t| t.sid).collect();
        let known = KnownTargets { applications: &applications, trunks: &trunks };
        let n = &mut self.numbers[number as usize];
        let mut record = n.record.clone();
        let changes = record.update(set, &known, self.now)?;
        if effect != SimEffect::Pretended {
            n.record = record.clone();
            let name = format!("{} {} {}", n.e164, self.now, self.audits.len());
            let sid = chance::sid("AE", &name);
            self.audits.insert(Audit { sid, at: self.now, number, changes: changes.clone(), by });
        }
        self.ledger.mark(self.now, TimelineMark::Updated(Update { number: n.e164, by, effect, changes }));
        Ok(record)
    }

    /// An update happens so much later.
    pub fn land(&mut self, number: u32, set: BTreeMap<String, String>, after: Duration) {
        self.queue.push(self.now + after, Next::Lands { number, set });
    }

    /// Somebody tries to release a number. It stays, and the attempt is on record.
    pub fn release(&mut self, number: u32) {
        let number = self.numbers[number as usize].e164;
        self.ledger.mark(self.now, TimelineMark::Release { number });
    }

    /// What the lists of `class` show: the present, or when they stalled.
    pub fn view(&self, class: EndpointClass) -> Time {
        let stalled =
            |f: &&Active| f.fault.kind == ApiFaultKind::Stall && f.fault.on.meets(class) && f.at_work(self.now);
        self.faults.iter().filter(stalled).map(|f| f.since).min().unwrap_or(self.now)
    }
}
