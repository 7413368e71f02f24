//! The webhooks that serve calls and messages, known by their URL, and what each does when fetched.

pub mod bin;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::scenario::{Bin, HandlerCondition, HandlerState, Scenario};
use crate::core::model::id::E164;

/// All handlers and bins.
pub struct Handlers {
    by_url: BTreeMap<Arc<str>, Handler>,
    bins: Vec<Bin>,
}

struct Handler {
    forward: f64,
    state: HandlerState,
}

/// What came of a request to a URL, and after how many seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SimFetched {
    Served { after: f64, does: Does },
    Failed { after: f64, code: u32, http: Option<u16> },
}

/// What valid instructions make of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Does {
    /// As the company wants it: forwards this share, answers the rest.
    Serves { forward: f64 },
    /// Something else, without a trace.
    Wrong,
    /// Text where TwiML was wanted: spoken to a caller, sent to who texts.
    Speaks,
    /// Answers, and says nothing.
    Silent,
    /// Answers with the tones and the words of a number that is not in service.
    OutOfService,
    /// Forwards (this share) to where nobody is.
    Dead { forward: f64, warning: Option<u32> },
    /// Forwards (this share) to where no call ends well.
    Mixed { forward: f64 },
    /// Something on its way fails, and the call is over within a second: this code, of that URL or the handler's own.
    Cut { code: u32, at: Option<&'static str> },
    /// As the company wants it, but what is to follow the talk fails.
    Acts { forward: f64 },
    /// Takes a text, answers with what is no TwiML, and replies by the API.
    Takes,
    /// A bin that answers.
    Answers { bin: u16 },
    /// A bin that forwards.
    Forwards { to: E164 },
}

/// How long Twilio waits for an answer.
const PATIENCE: f64 = 15.0;
/// How long it tries to connect: twice 5 s.
const CONNECT: f64 = 10.0;

impl Handlers {
    /// The scenario's handlers: those it declares, and healthy ones at every other URL it names.
    pub fn new(scenario: &Scenario) -> Handlers {
        let mut all = Handlers { by_url: BTreeMap::new(), bins: scenario.bins.clone() };
        for h in &scenario.handlers {
            all.by_url.insert(h.url.as_str().into(), Handler { forward: h.forward, state: h.state.clone() });
        }
        for group in &scenario.groups {
            let r = &group.routing;
            for url in [&r.voice_url, &r.voice_fallback_url, &r.sms_url, &r.sms_fallback_url] {
                all.declare(url, group.traffic.forward);
            }
        }
        for a in &scenario.applications {
            // An application's calls are forwarded as its first group's are.
            let forward =
                scenario.groups.iter().find(|g| g.routing.application == Some(a.sid)).map(|g| g.traffic.forward);
            for url in [&a.voice_url, &a.voice_fallback_url, &a.sms_url, &a.sms_fallback_url] {
                all.declare(url, forward.unwrap_or_default());
            }
        }
        for trunk in &scenario.trunks {
            all.declare(trunk.origination_url.as_deref().unwrap_or_default(), 0.0);
            all.declare(&trunk.disaster_recovery_url, 0.0);
        }
        for service in &scenario.services {
            all.declare(service.inbound_request_url.as_deref().unwrap_or_default(), 0.0);
            all.declare(service.fallback_url.as_deref().unwrap_or_default(), 0.0);
        }
        all
    }

    fn declare(&mut self, url: &str, forward: f64) {
        if !url.is_empty() && !url.starts_with(Bin::BASE) {
            let healthy = || Handler { forward, state: HandlerState::healthy() };
            self.by_url.entry(without_fragment(url).into()).or_insert_with(healthy);
        }
    }

    /// The handler at `url`, new or known, is in `state` from now on.
    pub fn set(&mut self, url: &str, state: HandlerState) {
        self.declare(url, 0.0);
        if let Some(handler) = self.by_url.get_mut(without_fragment(url)) {
            handler.state = state;
        }
    }

    /// Twilio asks `url` on behalf of a caller of `carrier` with the number `from`, who called `to`; `luck` decides
    /// whether a partial fault hits.
    pub fn fetch(&self, url: &str, luck: f64, carrier: &str, to: E164, from: u64) -> SimFetched {
        let url = without_fragment(url);
        if let Some(rest) = url.strip_prefix(Bin::BASE) {
            let sid = rest.split('?').next().unwrap_or(rest);
            return match self.bins.iter().position(|b| b.sid == sid).map(u16::try_from) {
                Some(Ok(nth)) => bin::play(&self.bins, nth, to, from),
                Some(Err(_)) | None => SimFetched::Failed { after: 0.1, code: 11200, http: Some(404) },
            };
        }
        let Some(handler) = self.by_url.get(url) else {
            // Nobody has heard of this host.
            return SimFetched::Failed { after: 0.2, code: 11210, http: None };
        };
        let state = &handler.state;
        let met = luck < state.share && state.carrier.as_deref().is_none_or(|c| c == carrier);
        let forward = handler.forward;
        let served = |after, does| SimFetched::Served { after, does };
        match state.condition {
            _ if !met => served(0.0, Does::Serves { forward }),
            HandlerCondition::Healthy => served(0.0, Does::Serves { forward }),
            HandlerCondition::Slow(d) if d > Duration::from_secs_f64(PATIENCE) => {
                SimFetched::Failed { after: PATIENCE, code: 11205, http: None }
            }
            HandlerCondition::Slow(d) => served(d.as_secs_f64(), Does::Serves { forward }),
            HandlerCondition::Status(status) => SimFetched::Failed { after: 0.2, code: 11200, http: Some(status) },
            HandlerCondition::Unreachable(code) => {
                let after = if matches!(code, 11201 | 11205) { CONNECT } else { 0.2 };
                SimFetched::Failed { after, code, http: None }
            }
            HandlerCondition::BadTwiml(code) => SimFetched::Failed { after: 0.2, code, http: Some(200) },
            HandlerCondition::Wrong => served(0.2, Does::Wrong),
            HandlerCondition::Spoken => served(0.2, Does::Speaks),
            HandlerCondition::Silent => served(0.2, Does::Silent),
            HandlerCondition::OutOfService => served(0.2, Does::OutOfService),
            HandlerCondition::DeadTarget(warning) => served(0.2, Does::Dead { forward, warning }),
            HandlerCondition::MixedTarget => served(0.2, Does::Mixed { forward }),
            HandlerCondition::Stream => {
                served(0.2, Does::Cut { code: 31920, at: Some("wss://media.example.net/stream") })
            }
            HandlerCondition::SecondHop(code) => {
                served(0.2, Does::Cut { code, at: Some("https://behind.example.net/ivr") })
            }
            HandlerCondition::Function => served(0.2, Does::Cut { code: 82002, at: None }),
            HandlerCondition::Blocked => served(0.2, Does::Cut { code: 13227, at: None }),
            HandlerCondition::Action => served(0.2, Does::Acts { forward }),
            HandlerCondition::Takes => served(0.2, Does::Takes),
        }
    }
}

/// Connection overrides (`#rc=0`) are for Twilio, not for the server.
fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://app.example.com/voice";

    fn to() -> E164 {
        "+15005550100".parse().unwrap()
    }

    fn handlers() -> Handlers {
        let text = format!(
            r#"
            name = "t"
            [[group]]
            name = "g"
            numbers = ["+15005550100"]
            traffic = {{ forward = 0.5 }}
            routing = {{ voice_url = "{URL}" }}
            [[bin]]
            sid = "EH00000000000000000000000000000001"
            does = "broken"
            "#
        );
        Handlers::new(&Scenario::parse(&text).unwrap())
    }

    fn fails(fetched: SimFetched) -> Option<(u32, Option<u16>)> {
        match fetched {
            SimFetched::Failed { code, http, .. } => Some((code, http)),
            SimFetched::Served { .. } => None,
        }
    }

    #[test]
    fn each_condition_has_its_code() {
        let mut h = handlers();
        let mut try_state = |condition| {
            h.set(URL, HandlerState::all(condition));
            fails(h.fetch(&format!("{URL}#rc=1"), 0.5, "att", to(), 1))
        };
        assert_eq!(try_state(HandlerCondition::Status(503)), Some((11200, Some(503))));
        assert_eq!(try_state(HandlerCondition::Unreachable(11237)), Some((11237, None)));
        assert_eq!(try_state(HandlerCondition::BadTwiml(12300)), Some((12300, Some(200))));
        assert_eq!(try_state(HandlerCondition::Slow(Duration::from_secs(16))), Some((11205, None)));
        assert_eq!(try_state(HandlerCondition::Slow(Duration::from_secs(14))), None);
        assert_eq!(try_state(HandlerCondition::Wrong), None);
        assert_eq!(fails(h.fetch("https://nobody.example/", 0.5, "att", to(), 1)), Some((11210, None)));
        let bin = |n| format!("{}EH{n:032x}", Bin::BASE);
        assert_eq!(fails(h.fetch(&bin(1), 0.5, "att", to(), 1)), Some((11310, Some(200))));
        assert_eq!(fails(h.fetch(&bin(2), 0.5, "att", to(), 1)), Some((11200, Some(404))));
    }

    #[test]
    fn a_partial_fault_meets_its_share_and_its_carrier() {
        let mut h = handlers();
        h.set(URL, HandlerState { condition: HandlerCondition::Status(500), share: 0.25, carrier: Some("att".into()) });
        assert!(fails(h.fetch(URL, 0.2, "att", to(), 1)).is_some());
        assert!(fails(h.fetch(URL, 0.3, "att", to(), 1)).is_none());
        assert!(fails(h.fetch(URL, 0.2, "verizon", to(), 1)).is_none());
        assert_eq!(
            h.fetch(URL, 0.3, "att", to(), 1),
            SimFetched::Served { after: 0.0, does: Does::Serves { forward: 0.5 } }
        );
    }
}
