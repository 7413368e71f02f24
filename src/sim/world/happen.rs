//! What happens to the world at an offset of the scenario, or because a test says so.

use std::time::Duration;

use super::{Next, SimAttempt, World};
use crate::core::model::id::{AlertSid, Channel, MessageSid};
use crate::sim::chance::{self, Purpose};
use crate::sim::fault::{Active, ApiFault};
use crate::sim::number::SimEffect;
use crate::sim::row::{After, AuditActor, MessageDirection, SimAlert, SimMessage, SimMessageStatus, SimSubject};
use crate::sim::scenario::{
    Edit, HandlerChange, HandlerState, Happening, Storm, StormEnd, TextCampaign, TrafficChange,
};
use crate::sim::traffic::Caller;
use crate::sim::truth::TimelineMark;
use crate::sim::voice::{SimFate, listing_lag};

impl World {
    /// Something happens now. What refers to nothing has been refused before.
    pub fn happen(&mut self, what: Happening) {
        let now = self.now;
        match what {
            Happening::Handler(HandlerChange { url, state, lasts }) => {
                self.ledger.mark(now, TimelineMark::Handler { url: url.clone(), state: state.clone() });
                self.handlers.set(&url, state);
                if let Some(span) = lasts {
                    let healthy = HandlerChange { url, state: HandlerState::healthy(), lasts: None };
                    self.queue.push(now + span, Next::Happens(Box::new(Happening::Handler(healthy))));
                }
            }
            Happening::Port(name) => {
                let group = self.scenario.groups.iter().position(|g| g.name.as_str() == name);
                for i in 0..self.numbers.len() {
                    if Some(self.numbers[i].group) == group || self.numbers[i].e164.to_string() == name {
                        self.ports(i as u32, Channel::Voice);
                    }
                }
            }
            Happening::PortStatus(change) => {
                let group = self.scenario.groups.iter().position(|g| g.name.as_str() == change.of);
                for i in 0..self.numbers.len() {
                    let n = &mut self.numbers[i];
                    if Some(n.group) == group || n.e164.to_string() == change.of {
                        n.port_status = Some((now, change.clone()));
                        self.port_rings(i);
                    }
                }
            }
            Happening::PortOut(number) => {
                if let Some(i) = self.number_of(number) {
                    let n = &mut self.numbers[i as usize];
                    n.left = Some(now);
                    let (sid, digits) = (n.sid, chance::sid("NO", &format!("{number} is taken away")));
                    self.alert(digits, 22350, SimSubject::Number(sid), "", 0);
                }
            }
            Happening::Traffic(change) => self.change_traffic(change),
            Happening::Storm(storm) => {
                self.ledger.mark(now, TimelineMark::Storm { number: storm.number, calls: storm.calls });
                let caller = 12_015_550_000
                    + chance::stream(self.scenario.seed, Purpose::Storm, storm.number.as_u64(), 0).below(100);
                self.storm(storm, 0, caller);
            }
            Happening::Campaign(campaign) => {
                self.ledger.mark(now, TimelineMark::Campaign { number: campaign.number, texts: campaign.texts });
                self.campaign(campaign, 0);
            }
            Happening::Fault(fault) => self.add_fault(fault),
            Happening::Edit(Edit { number, set }) => {
                if let Some(i) = self.number_of(number) {
                    // A person's mistake is the person's: Twilio refuses it, and nothing has happened.
                    let _refused = self.update(i, &set, AuditActor::Person, SimEffect::Real);
                }
            }
        }
    }

    fn add_fault(&mut self, fault: ApiFault) {
        self.ledger.mark(self.now, TimelineMark::fault(&fault));
        self.faults.push(Active { fault, since: self.now });
    }

    fn change_traffic(&mut self, change: TrafficChange) {
        let Some(i) = self.scenario.groups.iter().position(|g| g.name.as_str() == change.group) else { return };
        let group = &mut self.groups[i];
        let mut words = Vec::new();
        if let Some(factor) = change.factor {
            group.factor = factor.min(group.most);
            words.push(format!("traffic x{}", group.factor));
        }
        if let Some(busy) = change.busy {
            group.traffic.busy = busy;
            words.push(format!("busy {:.0} %", busy * 100.0));
        }
        if let Some(no_answer) = change.no_answer {
            group.traffic.no_answer = no_answer;
            words.push(format!("no answer {:.0} %", no_answer * 100.0));
        }
        if let Some(code) = change.reply_error {
            group.traffic.reply_error = Some(code);
            words.push(format!("replies fail with {code}"));
        }
        if let Some(code) = change.call_error {
            group.traffic.call_error = Some(code);
            words.push(format!("calls break with {code}"));
        }
        self.ledger.mark(self.now, TimelineMark::Traffic { group: change.group, change: words.join(", ") });
        if let Some(span) = change.lasts {
            self.queue.push(self.now + span, Next::Calms(i));
        }
    }

    /// One text of a campaign, and the next in a second.
    pub(super) fn campaign(&mut self, campaign: TextCampaign, text: u32) {
        if text == campaign.texts {
            return;
        }
        let mut luck = chance::stream(self.scenario.seed, Purpose::Campaign, campaign.number.as_u64(), u64::from(text));
        let (sid, alert_sid, has_left) = (luck.digits(), luck.digits(), luck.unit() < campaign.opted_out);
        let (done, listed) = (luck.between(1.0, 6.0), listing_lag(&mut luck, &self.scenario.lag));
        let error = campaign.error.or_else(|| has_left.then_some(21610));
        let to = 12_095_550_000 + u64::from(text);
        let message = SimMessage {
            sid: MessageSid::from_u128(sid),
            from: campaign.number.as_u64(),
            to,
            service: None,
            at: self.now,
            direction: MessageDirection::Api,
            body: None,
            status: if error.is_some() { SimMessageStatus::Undelivered } else { SimMessageStatus::Delivered },
            before: SimMessageStatus::Queued,
            error,
            listed: After::secs(listed),
            done: After::secs(done),
            priced: After::secs(done + 30.0),
        };
        if let Some(code) = error {
            let at = self.now + Duration::from_secs_f64(done);
            self.alerts.insert(SimAlert {
                sid: AlertSid::from_u128(alert_sid),
                code,
                subject: SimSubject::Message(message.sid),
                generated: at,
                created: at,
                listed: at + Duration::from_secs(2),
                url: "".into(),
                http: None,
                to,
                from: message.from,
            });
        }
        self.messages.insert(message);
        self.queue.push(self.now + Duration::from_secs(1), Next::Campaign { campaign, text: text + 1 });
    }

    pub(super) fn storm(&mut self, storm: Storm, call: u32, caller: Caller) {
        let Some(number) = self.number_of(storm.number).filter(|_| call < storm.calls) else { return };
        let fate = match storm.ends {
            StormEnd::Failed => SimFate::Fails,
            StormEnd::Busy => SimFate::Busy,
        };
        let ordinal = self.now.as_millis() as u64;
        let attempt = SimAttempt { caller: Some(caller), ordinal, depth: 0, fate: Some(fate) };
        self.dial(number, attempt, Purpose::Storm);
        let gap = chance::stream(self.scenario.seed, Purpose::Storm, u64::from(number), ordinal).between(12.0, 45.0);
        self.queue.push(self.now + Duration::from_secs_f64(gap), Next::Storm { storm, call: call + 1, caller });
    }

    /// The account's Functions write to the same debugger.
    pub(super) fn noise(&mut self, n: u64) {
        let mut luck = chance::stream(self.scenario.seed, Purpose::Noise, 0, n);
        let gap = luck.gap() * 3600.0 / self.scenario.twilio.functions_log_per_hour;
        let at = self.now + Duration::from_secs_f64(gap);
        if n > 0 {
            let code = if luck.hits(0.3) { 82005 } else { 82004 };
            self.alert(luck.digits(), code, SimSubject::Function, "", 0);
        }
        if at < self.end {
            self.queue.push(at, Next::Noise(n + 1));
        }
    }
}
