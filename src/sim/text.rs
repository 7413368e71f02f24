//! One message, played from its arrival to the fate of its reply.

use super::chance::Chance;
use super::handler::{Does, SimFetched};
use super::row::{After, MessageDirection, SimAlert, SimMessage, SimMessageStatus, SimSubject};
use super::traffic::Caller;
use super::voice::{SimServed, SimStage, listing_lag};
use crate::core::model::id::{AlertSid, E164, MessageSid};
use crate::core::model::time::Time;

/// Where a message goes, all references followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextPath {
    Urls {
        primary: String,
        fallback: String,
        service: Option<u16>,
    },
    /// A Messaging Service that nobody listens to: not even logged.
    Vanishes,
    /// Logged, and that is all.
    Nobody,
}

pub struct Arrival<'a> {
    pub at: Time,
    pub sender: Caller,
    pub carrier: &'a str,
    pub to: E164,
    /// All replies fail with this code.
    pub reply_error: Option<u32>,
}

pub struct PlayedText {
    pub messages: Vec<SimMessage>,
    pub alerts: Vec<SimAlert>,
    pub served: SimServed,
    pub honest: bool,
}

impl SimStage<'_> {
    pub fn play_text(&self, arrival: &Arrival<'_>, path: &TextPath, chance: &mut Chance) -> PlayedText {
        // All chance first, in a fixed order, as with calls.
        let sids = [chance.digits(), chance.digits()];
        let alert_sids = [chance.digits(), chance.digits(), chance.digits()];
        let (hit, honest, replies, reply_fails) = (chance.unit(), chance.unit(), chance.unit(), chance.unit());
        let (reply_after, done_after) = (chance.between(0.8, 4.0), chance.between(2.0, 40.0));
        let lag = &self.scenario.lag;
        let (listed, reply_listed) = (listing_lag(chance, lag), listing_lag(chance, lag));
        let alert_lag = chance.between(lag.alert_s[0], lag.alert_s[1]);
        let priced = chance.between(lag.price_s[0], lag.price_s[1]);

        let service = match path {
            TextPath::Vanishes => {
                return PlayedText {
                    messages: Vec::new(),
                    alerts: Vec::new(),
                    served: SimServed::Nobody,
                    honest: false,
                };
            }
            TextPath::Urls { service, .. } => *service,
            TextPath::Nobody => None,
        };
        let inbound = SimMessage {
            sid: MessageSid::from_u128(sids[0]),
            from: arrival.sender,
            to: arrival.to.as_u64(),
            service,
            at: arrival.at,
            direction: MessageDirection::Inbound,
            body: None,
            status: SimMessageStatus::Received,
            before: SimMessageStatus::Receiving,
            error: None,
            listed: After::secs(listed),
            done: After::secs(0.7),
            priced: After::secs(priced),
        };
        let mut out = PlayedText { messages: Vec::new(), alerts: Vec::new(), served: SimServed::Nobody, honest: false };
        let mut alert = |code: u32, url: &str, http: Option<u16>, sid: MessageSid, after: f64, shown: f64| {
            let at = |s: f64| After::secs(s).from(arrival.at);
            let created = at(after + 1.0);
            out.alerts.push(SimAlert {
                sid: AlertSid::from_u128(alert_sids[out.alerts.len().min(2)]),
                code,
                subject: SimSubject::Message(sid),
                generated: at(after),
                created,
                listed: created.max(at(shown + alert_lag)),
                url: url.into(),
                http,
                to: inbound.to,
                from: inbound.from,
            });
        };

        let mut does = None;
        let mut elapsed = 0.5;
        if let TextPath::Urls { primary, fallback, .. } = path {
            let hiccup = honest < self.traffic.failure * 0.5;
            for (i, url) in [primary, fallback].into_iter().enumerate().filter(|(_, url)| !url.is_empty()) {
                let fetched = match i {
                    0 if hiccup => SimFetched::Failed { after: 0.2, code: 11200, http: Some(502) },
                    _ => self.handlers.fetch(url, hit, arrival.carrier, arrival.to, arrival.sender),
                };
                match fetched {
                    SimFetched::Failed { after, code, http } => {
                        elapsed += after;
                        alert(code, url, http, inbound.sid, elapsed, listed);
                    }
                    SimFetched::Served { after, does: d } => {
                        elapsed += after;
                        out.served = match (i, d) {
                            (_, Does::Wrong | Does::Silent | Does::OutOfService | Does::Cut { .. }) => {
                                SimServed::Nobody
                            }
                            (0, Does::Answers { .. } | Does::Forwards { .. }) => SimServed::Bin,
                            (0, _) => SimServed::Primary,
                            _ => SimServed::OwnFallback,
                        };
                        if let Does::Cut { code, at } = d {
                            alert(code, at.unwrap_or(url), None, inbound.sid, elapsed, listed);
                        } else if d == Does::Takes {
                            alert(12300, url, Some(200), inbound.sid, elapsed, listed);
                        }
                        does = Some(d);
                        break;
                    }
                }
            }
            out.honest = hiccup && does.is_none();
        }

        let answers = match does {
            None | Some(Does::Wrong | Does::Silent | Does::OutOfService | Does::Cut { .. }) => false,
            Some(Does::Answers { .. } | Does::Forwards { .. } | Does::Speaks) => true,
            Some(Does::Serves { .. } | Does::Dead { .. } | Does::Mixed { .. } | Does::Acts { .. } | Does::Takes) => {
                replies < self.traffic.replies
            }
        };
        if answers {
            let (status, error) =
                match (arrival.reply_error, reply_fails / self.traffic.reply_failure.max(f64::MIN_POSITIVE)) {
                    (Some(code), _) => (SimMessageStatus::Undelivered, Some(code)),
                    (None, x) if x < 0.4 => (SimMessageStatus::Undelivered, Some(30003)),
                    (None, x) if x < 0.8 => (SimMessageStatus::Undelivered, Some(30005)),
                    (None, x) if x < 1.0 => (SimMessageStatus::Failed, Some(30006)),
                    (None, _) => (SimMessageStatus::Delivered, None),
                };
            let reply = SimMessage {
                sid: MessageSid::from_u128(sids[1]),
                from: inbound.to,
                to: match does {
                    Some(Does::Forwards { to }) => to.as_u64(),
                    _ => inbound.from,
                },
                at: After::secs(elapsed + reply_after).from(arrival.at),
                direction: if does == Some(Does::Takes) { MessageDirection::Api } else { MessageDirection::Reply },
                body: None,
                status,
                before: SimMessageStatus::Sent,
                error,
                listed: After::secs(reply_listed),
                done: After::secs(done_after),
                ..inbound.clone()
            };
            if let Some(code) = error {
                let known = elapsed + reply_after + done_after;
                alert(code, "", None, reply.sid, known, known);
            }
            out.messages.push(reply);
        }
        out.messages.insert(0, inbound);
        out
    }
}
