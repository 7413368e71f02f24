//! What stands in a report for callers, secrets and SIDs.
//!
//! A decision can be made again from entries in which one caller is told from another and one URL from another;
//! who and what they are does not matter. So a caller is a number that counts upwards from 1, which says nothing of
//! the keyed hash that it stands for, and so is a call's SID. A URL is what may be shown of it, with a number behind
//! it where two would look the same though they are not: addresses and queries are told apart as Twilio's webhooks are,
//! for that is what alerts are placed by.

use std::collections::HashMap;

use crate::core::detect::observation::{Alert, Call, Leg, Message, Observation, Probe, RemoteParty};
use crate::core::model::id::{AlertSid, CallSid, MessageSid, Resource};
use crate::core::model::redact::secrets::shown_url;
use crate::core::model::value::FieldValue;
use crate::core::routing::record::{Application, NumberRecord, Service, is_same_webhook};

/// An address of which something may be secret, and what stands for it.
struct Address {
    /// The first spelling that was met.
    whole: String,
    stand_in: String,
    /// Its queries, in the order in which they were met.
    queries: Vec<String>,
}

/// Gives the same stand-in for the same thing.
#[derive(Default)]
pub struct StandIns {
    callers: HashMap<u64, u64>,
    calls: HashMap<u128, u128>,
    messages: HashMap<MessageSid, u128>,
    alerts: HashMap<AlertSid, u128>,
    addresses: Vec<Address>,
}

fn next<K: std::hash::Hash + Eq>(known: &mut HashMap<K, u128>, key: K) -> u128 {
    let next = known.len() as u128 + 1;
    *known.entry(key).or_insert(next)
}

impl StandIns {
    fn party(&mut self, party: RemoteParty) -> RemoteParty {
        let next = self.callers.len() as u64 + 1;
        let hash = *self.callers.entry(party.hash).or_insert(next);
        RemoteParty { hash, last_two: None, is_prober: party.is_prober, carrier: party.carrier }
    }

    fn call(&mut self, sid: CallSid) -> CallSid {
        CallSid::from_u128(next(&mut self.calls, sid.as_u128()))
    }

    fn message(&mut self, sid: MessageSid) -> MessageSid {
        MessageSid::from_u128(next(&mut self.messages, sid))
    }

    fn resource(&mut self, resource: Resource) -> Resource {
        match resource {
            Resource::Call(sid) => Resource::Call(self.call(sid)),
            Resource::Message(sid) => Resource::Message(self.message(sid)),
        }
    }

    /// What stands for a URL.
    pub fn url(&mut self, url: &str) -> String {
        let place = url.split('#').next().unwrap_or_default();
        let (address, query) = place.split_once('?').map_or((place, None), |(a, q)| (a, Some(q)));
        let at = match self.addresses.iter().position(|known| is_same_webhook(&known.whole, address)) {
            Some(at) => at,
            None => {
                let shown = shown_url(address);
                let alike = self.addresses.iter().filter(|known| shown_url(&known.whole) == shown).count();
                let stand_in = if alike == 0 { shown } else { format!("{shown}/~{}", alike + 1) };
                self.addresses.push(Address { whole: address.to_owned(), stand_in, queries: Vec::new() });
                self.addresses.len() - 1
            }
        };
        let known = &mut self.addresses[at];
        let Some(query) = query else { return known.stand_in.clone() };
        let nth = known.queries.iter().position(|q| q == query).unwrap_or_else(|| {
            known.queries.push(query.to_owned());
            known.queries.len() - 1
        });
        format!("{}?~{}", known.stand_in, nth + 1)
    }

    fn value(&mut self, value: &Option<FieldValue>) -> Option<FieldValue> {
        value.as_ref().map(|value| FieldValue::from(self.url(value.whole())))
    }

    fn application(&mut self, of: &Option<Application>) -> Option<Application> {
        of.as_ref().map(|a| Application {
            sid: a.sid,
            voice_url: self.value(&a.voice_url),
            voice_fallback_url: self.value(&a.voice_fallback_url),
            sms_url: self.value(&a.sms_url),
            sms_fallback_url: self.value(&a.sms_fallback_url),
            status_callback: self.value(&a.status_callback),
            is_read: a.is_read,
        })
    }

    fn number(&mut self, of: &NumberRecord) -> NumberRecord {
        let service = of.service.as_ref().map(|s| Service {
            sid: s.sid,
            inbound_url: self.value(&s.inbound_url),
            fallback_url: self.value(&s.fallback_url),
            defers_to_number: s.defers_to_number,
        });
        NumberRecord {
            voice_application: self.application(&of.voice_application),
            voice_url: self.value(&of.voice_url),
            voice_fallback_url: self.value(&of.voice_fallback_url),
            sms_application: self.application(&of.sms_application),
            sms_url: self.value(&of.sms_url),
            sms_fallback_url: self.value(&of.sms_fallback_url),
            status_callback: self.value(&of.status_callback),
            service,
            ..of.clone()
        }
    }

    /// An entry with stand-ins for everything that a report must not or need not hold.
    pub fn observation(&mut self, of: &Observation) -> Observation {
        match of {
            Observation::Call(call) => {
                let leg = match call.leg {
                    Leg::Inbound { number, caller } => Leg::Inbound { number, caller: self.party(caller) },
                    Leg::Child { parent } => Leg::Child { parent: self.call(parent) },
                };
                Observation::Call(Call { sid: self.call(call.sid), leg, ..*call })
            }
            Observation::Message(message) => Observation::Message(Message {
                sid: self.message(message.sid),
                party: self.party(message.party),
                ..*message
            }),
            Observation::Alert(alert) => Observation::Alert(Alert {
                sid: AlertSid::from_u128(next(&mut self.alerts, alert.sid)),
                resource: alert.resource.map(|r| self.resource(r)),
                url: self.value(&alert.url),
                ..alert.clone()
            }),
            Observation::Probe(probe) => {
                Observation::Probe(Probe { entry: probe.entry.map(|r| self.resource(r)), ..*probe })
            }
            Observation::Number(record) => Observation::Number(Box::new(self.number(record))),
            Observation::Absent { number } => Observation::Absent { number: *number },
            Observation::OthersCall => Observation::OthersCall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_apart_by_what_is_not_shown_of_them() {
        let mut s = StandIns::default();
        let a = s.url("https://u:p4ss@app.example.com/voice/t0ken9Zq?q=1");
        assert_eq!(a, "https://app.example.com/voice/…?~1");
        assert_eq!(s.url("https://APP.example.com:443/voice/t0ken9Zq/?q=1#rc=2"), a, "one address in two spellings");
        assert_eq!(s.url("https://app.example.com/voice/t0ken9Zq?q=2"), "https://app.example.com/voice/…?~2");
        let b = s.url("https://app.example.com/voice/0therT0ken");
        assert_eq!(b, "https://app.example.com/voice/…/~2");
        for stand_in in [a, b] {
            assert_eq!(StandIns::default().url(&stand_in).matches("t0ken").count(), 0);
        }
        assert!(is_same_webhook(&s.url("https://app.example.com/voice/t0ken9Zq"), "https://app.example.com/voice/…"));
    }

    #[test]
    fn a_caller_is_nobody_and_the_same_one_each_time() {
        let mut s = StandIns::default();
        let party = |hash| RemoteParty { hash, last_two: Some(12), is_prober: false, carrier: None };
        let is = [s.party(party(77)), s.party(party(99)), s.party(party(77))];
        assert_eq!(is.map(|p| p.hash), [1, 2, 1]);
        assert!(is.iter().all(|p| p.last_two.is_none()));
    }
}
