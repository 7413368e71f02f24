//! One call, played from its first ring to its row in the log.
//!
//! Everything that chance decides about a call is drawn first, in a fixed order ([`Luck`]); only then
//! does routing decide which of it matters. A call is therefore the same call under any routing.

mod luck;

use std::sync::Arc;

use super::chance::Chance;
use super::handler::{Does, Handlers, SimFetched};
use super::row::{After, CallDirection, SimAlert, SimCall, SimCallStatus, SimSubject, WITHHELD};
use super::scenario::{BrokenWebhook, CallerIds, Scenario, ScenarioTraffic};
use super::traffic::Caller;
use crate::core::model::id::{AlertSid, E164};
use crate::core::model::time::Time;
use luck::Luck;
pub use luck::listing_lag;

/// Where a call goes, all references followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoicePath {
    Urls { primary: String, fallback: String },
    Trunk { index: u16, url: Option<String>, recovery: String },
    Fax,
    Nobody,
}

/// A call that is about to be made.
pub struct Dial<'a> {
    pub at: Time,
    pub caller: Caller,
    pub carrier: &'a str,
    pub number: u32,
    pub to: E164,
    pub status_callback: &'a str,
    /// Decided beforehand, for a caller with a problem of their own.
    pub fate: Option<SimFate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimFate {
    Fails,
    Busy,
}

/// Who served a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimServed {
    Primary,
    /// The number's own fallback URL, or the trunk's.
    OwnFallback,
    Bin,
    LosingCarrier,
    Nobody,
}

/// How a caller fared.
#[derive(Clone, Copy, Debug)]
pub struct Fared {
    pub served: SimServed,
    /// Served, but nobody picked up, for honest reasons.
    pub unanswered: bool,
    /// Not served because of this caller or this attempt, not because anything is broken.
    pub honest: bool,
}

/// What a caller hears once a call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimSound {
    /// It was not answered.
    Nothing,
    /// Twilio's own words: an application error has occurred.
    Announcement,
    /// What the company wants to be heard.
    Handler,
    /// The number's own fallback URL, or the trunk's.
    OwnFallback,
    /// A bin, by its place in the scenario.
    Bin(u16),
    /// Valid TwiML that is somebody else's.
    Wrong,
    /// Plain text, read aloud.
    Text,
    Silence,
    /// The special information tones and words of a number that is not in service.
    OutOfService,
    /// Somebody at the other end of a forward, or the ringing there.
    Forward,
    /// Whoever answers at the old provider.
    LosingCarrier,
}

/// A call that has been made.
pub struct Played {
    pub legs: Vec<SimCall>,
    pub alerts: Vec<SimAlert>,
    pub fared: Fared,
    pub over: Time,
    pub sound: SimSound,
}

/// What a play needs to know of the world.
pub struct SimStage<'a> {
    pub scenario: &'a Scenario,
    pub traffic: &'a ScenarioTraffic,
    pub handlers: &'a Handlers,
    /// True of numbers whose voice is at Twilio: forwarding to one comes back here.
    pub is_ours: &'a dyn Fn(E164) -> bool,
}

impl SimStage<'_> {
    pub fn play(&self, dial: &Dial<'_>, path: &VoicePath, chance: &mut Chance) -> Played {
        let luck = Luck::draw(chance, &self.scenario.lag, self.traffic);
        let mut take =
            Take { stage: self, dial, luck, alerts: Vec::new(), elapsed: 0.0, sound: SimSound::Nothing, action: None };
        take.elapsed = take.luck.setup;
        if let Some(code) = self.traffic.call_error {
            return take.refused(code);
        }
        match path {
            VoicePath::Nobody => take.end(SimCallStatus::Failed, 0.0, SimServed::Nobody),
            VoicePath::Fax => take.end(SimCallStatus::Completed, 8.0, SimServed::Nobody),
            VoicePath::Trunk { index, url, recovery } => take.trunk(*index, url.as_deref(), recovery),
            VoicePath::Urls { primary, fallback } => take.urls(&[primary, fallback], SimServed::Primary),
        }
    }
}

/// A play in progress.
struct Take<'a> {
    stage: &'a SimStage<'a>,
    dial: &'a Dial<'a>,
    luck: Luck,
    alerts: Vec<(u32, Arc<str>, Option<u16>, f64)>,
    /// Seconds since the call began.
    elapsed: f64,
    sound: SimSound,
    /// Where the call's `<Dial>` reports its end, and fails.
    action: Option<Arc<str>>,
}

impl Take<'_> {
    fn fails_honestly(&self) -> bool {
        self.dial.fate == Some(SimFate::Fails) || self.luck.honest < self.stage.traffic.failure
    }

    /// Twilio ends the call before anybody is asked what to do with it. 0 is no code: nothing is said of it then.
    fn refused(mut self, code: u32) -> Played {
        if code != 0 {
            self.alert(code, "", None);
        }
        self.end(SimCallStatus::Failed, 0.0, SimServed::Nobody)
    }

    /// Asks one URL after the other, until one has instructions.
    fn urls(mut self, urls: &[&String], first: SimServed) -> Played {
        // An honest failure is the platform's (no trace), the target's, or a hiccup of the webhook.
        let fails = first == SimServed::Primary && self.fails_honestly();
        if fails && self.luck.how < 0.08 {
            return self.honest_failure(SimCallStatus::Failed, 1.0);
        }
        let hiccup = fails && self.luck.how >= 0.75;
        for (i, url) in urls.iter().enumerate().filter(|(_, url)| !url.is_empty()) {
            let fetched = match i {
                0 if hiccup => SimFetched::Failed { after: 0.2, code: 11200, http: Some(502) },
                _ => self.stage.handlers.fetch(url, self.luck.hit, self.dial.carrier, self.dial.to, self.dial.caller),
            };
            match fetched {
                SimFetched::Failed { after, code, http } => {
                    self.elapsed += after;
                    self.alert(code, url, http);
                }
                SimFetched::Served { after, does } => {
                    self.elapsed += after;
                    let by = match (i, does) {
                        (0, Does::Answers { .. } | Does::Forwards { .. }) if first == SimServed::Primary => {
                            SimServed::Bin
                        }
                        (0, _) => first,
                        _ => SimServed::OwnFallback,
                    };
                    return self.serve(does, by, url, fails && !hiccup);
                }
            }
        }
        let mut played = match self.stage.scenario.twilio.broken_webhook {
            BrokenWebhook::Completed => {
                self.sound = SimSound::Announcement;
                let announcement = 1.2 + 4.3 * self.luck.slack;
                self.end(SimCallStatus::Completed, announcement, SimServed::Nobody)
            }
            BrokenWebhook::Busy => self.end(SimCallStatus::Busy, 0.0, SimServed::Nobody),
        };
        played.fared.honest = hiccup;
        played
    }

    /// Origination to the company's own equipment; if that fails, the trunk's recovery URL.
    fn trunk(mut self, index: u16, url: Option<&str>, recovery: &String) -> Played {
        let mut played = match url.map(|u| {
            (u, self.stage.handlers.fetch(u, self.luck.hit, self.dial.carrier, self.dial.to, self.dial.caller))
        }) {
            Some((_, SimFetched::Served { .. })) if !self.fails_honestly() => {
                let talk = self.luck.talk.max(3.0);
                self.sound = SimSound::Forward;
                self.end(SimCallStatus::Completed, talk, SimServed::Primary)
            }
            Some((_, SimFetched::Served { .. })) => self.honest_failure(SimCallStatus::Failed, 2.0),
            Some((url, SimFetched::Failed { after, .. })) => {
                self.elapsed += after;
                self.alert(32011, url, None);
                self.recover(recovery)
            }
            None => {
                self.alert(32010, "", None);
                self.recover(recovery)
            }
        };
        for leg in played.legs.iter_mut().filter(|l| l.parent().is_none()) {
            leg.direction = CallDirection::TrunkingOriginating;
            leg.trunk = Some(index);
        }
        played
    }

    fn recover(self, recovery: &String) -> Played {
        match recovery.is_empty() {
            true => self.end(SimCallStatus::Failed, 0.0, SimServed::Nobody),
            false => self.urls(&[recovery], SimServed::OwnFallback),
        }
    }

    fn serve(mut self, does: Does, by: SimServed, url: &str, target_fails: bool) -> Played {
        self.sound = match (does, by) {
            (Does::Wrong, _) => SimSound::Wrong,
            (Does::Speaks, _) => SimSound::Text,
            (Does::Silent, _) => SimSound::Silence,
            (Does::OutOfService, _) => SimSound::OutOfService,
            (Does::Answers { bin }, _) => SimSound::Bin(bin),
            (Does::Forwards { .. }, _) => SimSound::Forward,
            (Does::Cut { .. }, _) => SimSound::Silence,
            (
                Does::Serves { .. } | Does::Dead { .. } | Does::Mixed { .. } | Does::Acts { .. } | Does::Takes,
                SimServed::OwnFallback,
            ) => SimSound::OwnFallback,
            (Does::Serves { .. } | Does::Dead { .. } | Does::Mixed { .. } | Does::Acts { .. } | Does::Takes, _) => {
                SimSound::Handler
            }
        };
        let (forward, dead) = match does {
            Does::Serves { forward } => (forward, None),
            // What a text's webhook may answer is no TwiML for a call.
            Does::Takes => {
                self.alert(12300, url, Some(200));
                return self.end(SimCallStatus::Completed, 1.2, SimServed::Nobody);
            }
            Does::Dead { forward, warning } => {
                if let Some(code) = warning.filter(|_| self.luck.forwards < forward) {
                    self.alert(code, url, None);
                }
                (forward, Some(SimCallStatus::Failed))
            }
            Does::Mixed { forward } => {
                let status = match self.luck.split {
                    x if x < 0.55 => SimCallStatus::Failed,
                    x if x < 0.80 => SimCallStatus::Busy,
                    _ => SimCallStatus::NoAnswer,
                };
                (forward, Some(status))
            }
            Does::Cut { code, at } => {
                self.alert(code, at.unwrap_or(url), None);
                return self.end(SimCallStatus::Completed, 0.9, SimServed::Nobody);
            }
            Does::Acts { forward } => {
                // Only what is dialled has an end that is told.
                self.action = (self.luck.forwards < forward).then(|| url.into());
                (forward, None)
            }
            Does::Wrong | Does::Speaks | Does::Silent | Does::OutOfService => {
                let listens = 4.0 + 8.0 * self.luck.slack;
                return self.end(SimCallStatus::Completed, listens, SimServed::Nobody);
            }
            Does::Answers { .. } => {
                let listens = 6.0 + 14.0 * self.luck.slack;
                return self.end(SimCallStatus::Completed, listens, by);
            }
            Does::Forwards { to } if (self.stage.is_ours)(to) => {
                return self.dial(to, SimCallStatus::Failed, SimServed::Nobody, false);
            }
            Does::Forwards { to } => {
                let soft = self.soft_outcome();
                return self.dial(to, soft, by, soft != SimCallStatus::Completed);
            }
        };
        if self.luck.forwards >= forward {
            if target_fails {
                return self.honest_failure(SimCallStatus::Completed, 3.0);
            }
            // Answered by a machine: some hang up at once.
            let talk =
                if self.luck.brief < 0.08 { 1.5 + 6.0 * self.luck.slack } else { (self.luck.talk * 0.67).max(4.0) };
            return self.end(SimCallStatus::Completed, talk, by);
        }
        let target = target_of(self.dial.to);
        match (dead, target_fails) {
            (Some(status), _) => self.dial(target, status, SimServed::Nobody, false),
            (None, true) => {
                let mut played = self.dial(target, SimCallStatus::Failed, SimServed::Nobody, false);
                played.fared.honest = true;
                played
            }
            (None, false) => {
                let soft = self.soft_outcome();
                self.dial(target, soft, by, soft != SimCallStatus::Completed)
            }
        }
    }

    /// What people do: pick up, be busy, not answer, give up.
    fn soft_outcome(&self) -> SimCallStatus {
        let t = self.stage.traffic;
        if self.dial.fate == Some(SimFate::Busy) {
            return SimCallStatus::Busy;
        }
        match self.luck.soft {
            x if x < t.hang_up => SimCallStatus::Canceled,
            x if x < t.hang_up + t.busy => SimCallStatus::Busy,
            x if x < t.hang_up + t.busy + t.no_answer => SimCallStatus::NoAnswer,
            _ => SimCallStatus::Completed,
        }
    }

    fn alert(&mut self, code: u32, url: &str, http: Option<u16>) {
        self.alerts.push((code, url.into(), http, self.elapsed));
    }

    fn honest_failure(self, status: SimCallStatus, more: f64) -> Played {
        let mut played = self.end(status, more, SimServed::Nobody);
        played.fared.honest = true;
        played
    }

    /// The call ends without a second leg, `more` seconds from now.
    fn end(self, status: SimCallStatus, more: f64, served: SimServed) -> Played {
        let ended = After::secs(if status == SimCallStatus::Completed { self.elapsed + more } else { self.elapsed });
        let leg = self.leg(ended, status);
        self.finish(vec![leg], served, false)
    }

    /// The call goes on to `to`, where it ends as `status`.
    fn dial(mut self, to: E164, status: SimCallStatus, served: SimServed, unanswered: bool) -> Played {
        self.sound = SimSound::Forward;
        let l = &self.luck;
        let begins = self.elapsed + 0.3;
        let rings = match status {
            SimCallStatus::Failed => 0.5 + 5.5 * l.ring,
            SimCallStatus::Busy => 1.5 + 4.5 * l.ring,
            SimCallStatus::NoAnswer => 15.0 + 20.0 * l.ring,
            SimCallStatus::Canceled => 2.0 + 18.0 * l.ring,
            SimCallStatus::Completed | SimCallStatus::Queued | SimCallStatus::Ringing | SimCallStatus::InProgress => {
                3.0 + 15.0 * l.ring
            }
        };
        let talk = if status == SimCallStatus::Completed { l.talk.max(3.0) } else { 0.0 };
        let slack = match status {
            SimCallStatus::Completed | SimCallStatus::Canceled => 0.2 + 1.0 * l.slack,
            SimCallStatus::Busy
            | SimCallStatus::Failed
            | SimCallStatus::NoAnswer
            | SimCallStatus::Queued
            | SimCallStatus::Ringing
            | SimCallStatus::InProgress => 1.0 + 7.0 * l.slack,
        };
        let parent = self.leg(After::secs(begins + rings + talk + slack), SimCallStatus::Completed);
        let start = self.dial.at + std::time::Duration::from_secs_f64(begins);
        let lag = self.luck.lags[1];
        let ended = After::secs(rings + talk);
        let mut child = SimCall::new(self.luck.sids[1], start, self.dial.number, status, ended).dialled_by(parent.sid);
        child.from = parent.from;
        child.to = to.as_u64();
        child.duration = talk as u32;
        child.answered = if status == SimCallStatus::Completed { After::secs(rings) } else { After::NEVER };
        child.listed = ended.plus(lag);
        if status == SimCallStatus::Completed {
            child.priced = ended.plus(self.luck.priced);
            if self.luck.wrong.0 < self.stage.scenario.lag.corrected {
                child.wrong = [SimCallStatus::Failed, SimCallStatus::Busy, SimCallStatus::NoAnswer]
                    [(self.luck.split * 3.0) as usize];
                child.corrected = child.listed.plus(self.luck.wrong.1);
            }
        }
        self.finish(vec![parent, child], served, unanswered)
    }

    fn leg(&self, ended: After, status: SimCallStatus) -> SimCall {
        let l = &self.luck;
        let withheld = l.anonymous < self.stage.scenario.twilio.anonymous;
        let mut leg = SimCall::new(l.sids[0], self.dial.at, self.dial.number, status, ended);
        leg.from = match self.stage.traffic.callers {
            // One of the words and numbers that stand for nobody.
            _ if withheld => self.dial.caller % WITHHELD.len() as u64,
            CallerIds::Many => self.dial.caller,
            CallerIds::Withheld => self.dial.caller % WITHHELD.len() as u64,
            CallerIds::One => ONE,
        };
        leg.to = self.dial.to.as_u64();
        leg.listed = ended.plus(l.lags[0]);
        if status == SimCallStatus::Completed {
            leg.answered = After::secs(self.elapsed);
            leg.priced = ended.plus(l.priced);
        }
        if ended > After::secs(12.0) && l.early.0 < self.stage.scenario.lag.early {
            leg.early = After::secs(l.early.1);
        }
        leg
    }

    fn finish(mut self, legs: Vec<SimCall>, served: SimServed, unanswered: bool) -> Played {
        let first = &legs[0];
        let over = first.end();
        let listed = first.listed;
        if !self.dial.status_callback.is_empty() && self.luck.callback < self.stage.scenario.twilio.callback_warnings {
            self.elapsed = over.since(self.dial.at).as_secs_f64() + 0.5;
            self.alert(15003, self.dial.status_callback, Some(500));
        }
        if let Some(url) = self.action.take().filter(|_| first.status == SimCallStatus::Completed) {
            self.elapsed = over.since(self.dial.at).as_secs_f64();
            self.alert(11200, &url, Some(500));
        }
        let at = |s: f64| After::secs(s).from(self.dial.at);
        let alerts = self
            .alerts
            .iter()
            .zip(&self.luck.alerts)
            .map(|((code, url, http, when), sid)| {
                let created = at(when + 2.0 * self.luck.slack);
                SimAlert {
                    sid: AlertSid::from_u128(*sid),
                    code: *code,
                    subject: SimSubject::Call(first.sid),
                    generated: at(*when),
                    created,
                    listed: created.max(listed.plus(self.luck.alert_lag).from(self.dial.at)),
                    url: url.clone(),
                    http: *http,
                    to: first.to,
                    from: first.from,
                }
            })
            .collect();
        let sound = if legs[0].status == SimCallStatus::Completed { self.sound } else { SimSound::Nothing };
        Played { legs, alerts, fared: Fared { served, unanswered, honest: false }, over, sound }
    }
}

/// Whom everybody seems to be who comes through one telephone system.
const ONE: u64 = 12_025_550_143;

/// Where a healthy handler forwards the calls of `number`: some desk of the company's.
fn target_of(number: E164) -> E164 {
    let digits = 12_025_550_000 + number.as_u64() % 10_000;
    format!("+{digits}").parse().expect("eleven digits beginning with 1 are a number")
}
