//! Test calls and test messages of our own: when to make them, what they showed, and what counts.
//!
//! Callers find a fault late, or never say so; some faults leave no trace in any log: an empty
//! `voice_url`, the wrong TwiML, a number whose port has not happened. A probe is a call or message to
//! one of our numbers from a number of ours, read as a caller's would be.
//!
//! * [`plan`]: which number is probed next, within what the account and the budget bear;
//! * [`read`]: from the legs of a call, or a message's row, to a result;
//! * [`lag`]: how late Twilio's logs are, which probes tell exactly.
//!
//! Promises: `success`, `failure` and `error` (could not be measured) never mix: our own API trouble, a
//! queue, a missing permission say nothing of the number. A failure counts only when its repetition, from
//! a second origin where there is one, fails too, and when it has lasted ([`again_at`]). A call between two
//! numbers on Twilio may never leave Twilio's network and proves nothing about the port; each result says
//! where it came from.

pub mod hearing;
pub mod lag;
pub mod plan;
pub mod read;

use std::time::Duration;

use serde::Serialize;

use crate::model::id::E164;
use crate::model::id::Resource;
use crate::model::reason::Reason;
use crate::model::time::Time;
use crate::probe::hearing::{Expectation, HeardFault, Marker};

/// What a probe is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    Call,
    Message,
    /// A request to the handler's URL as Twilio would send it.
    Request,
}

impl ProbeKind {
    pub const ALL: [ProbeKind; 3] = [ProbeKind::Call, ProbeKind::Message, ProbeKind::Request];

    pub const fn label(self) -> &'static str {
        match self {
            ProbeKind::Call => "call",
            ProbeKind::Message => "message",
            ProbeKind::Request => "request",
        }
    }
}

/// Where a probe came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Another number of the account: the call may never leave Twilio's network.
    Twilio,
    /// A command of the user's, by its place in the list.
    External(usize),
    /// This agent's own host.
    Agent,
}

impl Origin {
    /// Metric label: external origins are one.
    pub const fn label(self) -> &'static str {
        match self {
            Origin::Twilio => "twilio",
            Origin::External(_) => "external",
            Origin::Agent => "agent",
        }
    }

    /// Its name, by which the detector tells witnesses apart.
    pub fn name(self) -> String {
        match self {
            Origin::Twilio | Origin::Agent => self.label().to_owned(),
            Origin::External(i) => format!("external-{i}"),
        }
    }
}

/// Why nothing could be measured. A closed list: a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmeasured {
    /// Twilio's API did not answer, or not usably.
    Api,
    /// Too many requests at once.
    Busy,
    /// The call waited in Twilio's queue for too long.
    Queue,
    /// The account may not call or write there, or from there.
    Permission,
    /// The account has no credit, or is suspended.
    Credit,
    /// The log does not show the probe itself: it is late.
    LogLate,
    /// Nobody picked up, or the line was busy: people, not a fault.
    Unanswered,
    /// The number's port is so young that messages may still go to the old provider.
    Settling,
    /// What was heard could not be had, or not whole.
    Recording,
    /// The external command failed, or said what cannot be understood.
    Command,
    /// Somebody else ended it before it could show anything.
    Stopped,
    /// It could not be noted, and so was not made.
    State,
    /// A command says that its call was answered, and Twilio's log does not have it.
    Unseen,
}

impl Unmeasured {
    pub const ALL: [Unmeasured; 13] = [
        Unmeasured::Api,
        Unmeasured::Busy,
        Unmeasured::Queue,
        Unmeasured::Permission,
        Unmeasured::Credit,
        Unmeasured::LogLate,
        Unmeasured::Unanswered,
        Unmeasured::Settling,
        Unmeasured::Recording,
        Unmeasured::Command,
        Unmeasured::Stopped,
        Unmeasured::State,
        Unmeasured::Unseen,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            Unmeasured::Api => "api",
            Unmeasured::Busy => "busy",
            Unmeasured::Queue => "queue",
            Unmeasured::Permission => "permission",
            Unmeasured::Credit => "credit",
            Unmeasured::LogLate => "log_late",
            Unmeasured::Unanswered => "unanswered",
            Unmeasured::Settling => "settling",
            Unmeasured::Recording => "recording",
            Unmeasured::Command => "command",
            Unmeasured::Stopped => "stopped",
            Unmeasured::State => "state",
            Unmeasured::Unseen => "unseen",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            Unmeasured::Api => "Twilio's API did not answer",
            Unmeasured::Busy => "there were too many requests at once",
            Unmeasured::Queue => "it waited too long in the account's queue of calls",
            Unmeasured::Permission => "the account may not call or write from or to there",
            Unmeasured::Credit => "the account is out of credit, or suspended",
            Unmeasured::LogLate => "Twilio's log did not show it in time",
            Unmeasured::Unanswered => "it reached a line on which nobody picked up",
            Unmeasured::Settling => "messages may still go to the old provider",
            Unmeasured::Recording => "its recording could not be had",
            Unmeasured::Command => "the external command failed",
            Unmeasured::Stopped => "it was ended before it could show anything",
            Unmeasured::State => "the state file could not be written",
            Unmeasured::Unseen => "nobody has seen in Twilio's log who answered",
        }
    }

    /// What Twilio's refusal of a call or message means, by its error code; also what Twilio says of the leg that
    /// we made, if it could not be put through.
    pub const fn of_code(code: u32) -> Unmeasured {
        match code {
            // No permission for the country, the sender not owned or verified, the recipient blocked.
            21202 | 21203 | 21205..=21219 | 21266 | 21408 | 21603..=21614 | 21659..=21661 | 13225 | 13227 | 32205 => {
                Unmeasured::Permission
            }
            10001 | 10002 | 10003 | 10005 | 20005 | 30002 | 30010 => Unmeasured::Credit,
            10004 | 22005 => Unmeasured::Queue,
            20429 => Unmeasured::Busy,
            _ => Unmeasured::Api,
        }
    }
}

/// What a probe showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeFinding {
    Success,
    Failure(Reason),
    Error(Unmeasured),
}

impl ProbeFinding {
    /// Metric label `result`.
    pub const fn label(self) -> &'static str {
        match self {
            ProbeFinding::Success => "success",
            ProbeFinding::Failure(_) => "failure",
            ProbeFinding::Error(_) => "error",
        }
    }

    /// Metric label `reason`, empty for a success.
    pub const fn reason_label(self) -> &'static str {
        match self {
            ProbeFinding::Success => "",
            ProbeFinding::Failure(reason) => reason.label(),
            ProbeFinding::Error(why) => why.label(),
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            ProbeFinding::Success => "it was answered as it should be",
            ProbeFinding::Failure(reason) => reason.text(),
            ProbeFinding::Error(why) => why.text(),
        }
    }
}

/// One probe, made and read.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeAttempt {
    pub kind: ProbeKind,
    pub origin: Origin,
    pub started_at: Time,
    pub ended_at: Time,
    pub found: ProbeFinding,
    /// The leg or message that arrived at the number, where it is known.
    pub entry: Option<Resource>,
    /// From the first ring, or the sending, to the answer, or the arrival.
    pub answered_after: Option<Duration>,
    /// For the log and the evidence: one sentence without the other party's number.
    pub detail: String,
}

/// Which of the attempts on one number count, in the order in which they were made.
///
/// A failure counts if the last attempt failed too; a success last of all shows that what failed before
/// passed by. Errors count for nothing, so a failure whose repetition could not be measured waits for the
/// next probe. A request that failed is a witness only beside a call that met the same: from where we are the
/// handler may always be out of reach.
pub fn counted(attempts: &[ProbeAttempt]) -> Vec<&ProbeAttempt> {
    let is_call = |a: &&ProbeAttempt| a.kind != ProbeKind::Request;
    match attempts.iter().rfind(is_call).map(|a| a.found) {
        Some(ProbeFinding::Success) => attempts.iter().rfind(is_call).into_iter().collect(),
        Some(ProbeFinding::Failure(_)) => {
            let failures = failures(attempts);
            if failures.len() >= 2 { failures } else { Vec::new() }
        }
        Some(ProbeFinding::Error(_)) | None => Vec::new(),
    }
}

/// Attempts that failed; of requests, those that a call confirms.
fn failures(attempts: &[ProbeAttempt]) -> Vec<&ProbeAttempt> {
    let is_of_web = |reason| matches!(reason, Reason::Webhook | Reason::Content | Reason::Rescued);
    let met_the_web = attempts
        .iter()
        .any(|a| a.kind != ProbeKind::Request && matches!(a.found, ProbeFinding::Failure(reason) if is_of_web(reason)));
    let is_heard = |a: &&ProbeAttempt| {
        matches!(a.found, ProbeFinding::Failure(_)) && (a.kind != ProbeKind::Request || met_the_web)
    };
    attempts.iter().filter(is_heard).collect()
}

/// When another attempt is to be made before anything counts; `None`: what was found stands.
///
/// A failure is repeated at once, unless a request to the handler's URL was a second witness already. And it
/// must last: only what still fails `fails_for` after it first did can count, for callers who meet a minute's
/// trouble are few, and a swap for them would outlive it.
pub fn again_at(attempts: &[ProbeAttempt], fails_for: Duration) -> Option<Time> {
    let last =
        attempts.last().filter(|a| a.kind != ProbeKind::Request && matches!(a.found, ProbeFinding::Failure(_)))?;
    let failures = failures(attempts);
    if failures.len() < 2 {
        return Some(last.ended_at);
    }
    let lasting = failures[0].started_at + fails_for;
    (last.started_at < lasting).then_some(lasting.max(last.ended_at))
}

/// How a group is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSettings {
    /// The account's number that test calls and messages come from.
    pub from: Option<E164>,
    /// Commands that place calls otherwise, in the order in which they are tried.
    pub externals: Vec<External>,
    /// Between two probes of a channel in its active phase, and after it. Zero: none.
    pub every: Duration,
    pub passive_every: Duration,
    /// How long it may ring.
    pub timeout: Duration,
    /// No call lasts longer.
    pub time_limit: Duration,
    /// How long is listened before hanging up; a call that ends itself before `min_duration` failed.
    pub listen: Duration,
    pub min_duration: Duration,
    /// What must be heard.
    pub hear: Hear,
    /// A number's first failing caller calls for a probe at once…
    pub on_suspicion: bool,
    /// …and before it for a request to the handler's URL.
    pub handler_request: bool,
    /// Only what still fails so long after it first did counts.
    pub fails_for: Duration,
    /// A message must be answered.
    pub expects_reply: bool,
    pub budget: plan::ProbeBudget,
}

/// What a test call must sound like. Nothing asked for, nothing is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hear {
    /// Somebody, or something, speaks.
    pub speech: bool,
    /// What the handler plays, so that it can be told from any other.
    pub marker: Option<Marker>,
    /// The same for the fallback: with it, a rollback is proven by ear.
    pub fallback_marker: Option<Marker>,
    /// Recordings are left at Twilio.
    pub keep: bool,
}

impl Hear {
    pub const fn is_on(&self) -> bool {
        self.speech || self.marker.is_some() || self.fallback_marker.is_some()
    }

    /// What is expected of whoever answers.
    pub fn expected(&self, on_fallback: bool) -> Expectation {
        let marker = if on_fallback { &self.fallback_marker } else { &self.marker };
        Expectation { min_duration: None, speech: self.speech, marker: marker.clone() }
    }
}

/// What it means that a recording fell short. Where a line rings or is busy, people are elsewhere, and no swap is
/// for that (law 3); but a marker comes before anything rings, and its absence is a fault.
pub fn of_heard(fault: HeardFault, expected: &Expectation) -> ProbeFinding {
    ProbeFinding::Failure(match fault {
        HeardFault::RingbackOnly | HeardFault::BusyTone if expected.marker.is_none() => {
            return ProbeFinding::Error(Unmeasured::Unanswered);
        }
        HeardFault::DeadAir => Reason::NothingHeard,
        HeardFault::RingbackOnly
        | HeardFault::BusyTone
        | HeardFault::ReorderTone
        | HeardFault::NotInService
        | HeardFault::WrongMarker
        | HeardFault::NoMarker
        | HeardFault::NoSpeech
        | HeardFault::TooShort => Reason::WrongAnswer,
    })
}

/// A command that places a call from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Program and arguments; no shell has a part in it.
    pub command: Vec<String>,
    /// The number that its calls come from, so that they are told from a caller's.
    pub from: Option<E164>,
    pub timeout: Duration,
}

/// Defaults, in seconds.
impl Default for ProbeSettings {
    fn default() -> ProbeSettings {
        let s = Duration::from_secs;
        ProbeSettings {
            from: None,
            externals: Vec::new(),
            every: s(60),
            passive_every: s(900),
            timeout: s(25),
            time_limit: s(45),
            listen: s(10),
            min_duration: s(2),
            hear: Hear::default(),
            on_suspicion: true,
            handler_request: false,
            fails_for: s(120),
            expects_reply: false,
            budget: plan::ProbeBudget::default(),
        }
    }
}

impl ProbeSettings {
    /// Where the n-th attempt on a number comes from: Twilio first, which tells most, then what the user
    /// brings; `None` if there is nothing to call from.
    pub fn origin(&self, attempt: usize) -> Option<Origin> {
        let mut all: Vec<Origin> = self.from.iter().map(|_| Origin::Twilio).collect();
        all.extend((0..self.externals.len()).map(Origin::External));
        let n = all.len();
        (n > 0).then(|| all[attempt % n])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(kind: ProbeKind, found: ProbeFinding) -> ProbeAttempt {
        ProbeAttempt {
            kind,
            origin: Origin::Twilio,
            started_at: Time::from_secs(1),
            ended_at: Time::from_secs(9),
            found,
            entry: None,
            answered_after: None,
            detail: String::new(),
        }
    }

    #[test]
    fn a_failure_counts_only_when_its_repetition_fails_too() {
        let fails = || attempt(ProbeKind::Call, ProbeFinding::Failure(Reason::Webhook));
        let serves = || attempt(ProbeKind::Call, ProbeFinding::Success);
        let unclear = || attempt(ProbeKind::Call, ProbeFinding::Error(Unmeasured::Busy));
        let request = || attempt(ProbeKind::Request, ProbeFinding::Failure(Reason::Webhook));
        let again = |attempts: &[ProbeAttempt]| again_at(attempts, Duration::ZERO).is_some();
        assert!(again(&[fails()]) && !again(&[serves()]) && !again(&[fails(), fails()]));
        assert!(!again(&[request(), fails()]), "a failed request is a second witness");
        assert!(!again(&[fails(), unclear()]));
        let count = |attempts: &[ProbeAttempt]| counted(attempts).iter().map(|a| a.found.label()).collect::<Vec<_>>();
        assert_eq!(count(&[fails()]), [""; 0]);
        assert_eq!(count(&[fails(), fails()]), ["failure", "failure"]);
        assert_eq!(count(&[fails(), serves()]), ["success"]);
        assert_eq!(count(&[fails(), unclear()]), [""; 0]);
        assert_eq!(count(&[request(), fails()]), ["failure", "failure"]);
        assert_eq!(count(&[request(), serves()]), ["success"], "we may be behind a wall that Twilio is not");
        assert_eq!(count(&[request()]), [""; 0]);
        let lost = || attempt(ProbeKind::Call, ProbeFinding::Failure(Reason::NotArriving));
        assert!(again(&[request(), lost()]), "another trouble than the request met");
        assert_eq!(count(&[request(), lost()]), [""; 0]);
        assert_eq!(count(&[request(), lost(), lost()]).len(), 2, "the calls alone");
    }

    #[test]
    fn what_passes_by_within_minutes_does_not_count() {
        let call = |at: i64, found| ProbeAttempt {
            started_at: Time::from_secs(at),
            ended_at: Time::from_secs(at + 20),
            ..attempt(ProbeKind::Call, found)
        };
        let fails = |at| call(at, ProbeFinding::Failure(Reason::Webhook));
        let again = |attempts: &[ProbeAttempt]| again_at(attempts, Duration::from_secs(120));
        let at = |s: i64| Some(Time::from_secs(s));
        assert_eq!(again(&[fails(1000)]), at(1020), "at once");
        assert_eq!(again(&[fails(1000), fails(1020)]), at(1120), "and once more");
        assert_eq!(again(&[fails(1000), fails(1020), fails(1120)]), None);
        assert_eq!(again(&[fails(1000), fails(1020), call(1120, ProbeFinding::Success)]), None);
        assert_eq!(again(&[fails(1000), fails(1110)]), at(1130), "never before the last one is over");
    }

    #[test]
    fn a_repetition_comes_from_elsewhere_if_it_can() {
        let command = External { command: vec!["dial".into()], from: None, timeout: Duration::from_secs(60) };
        let twilio = ProbeSettings { from: "+15005550199".parse().ok(), ..ProbeSettings::default() };
        let both = ProbeSettings { externals: vec![command], ..twilio.clone() };
        assert_eq!([twilio.origin(0), twilio.origin(1)], [Some(Origin::Twilio); 2]);
        assert_eq!([both.origin(0), both.origin(1)], [Some(Origin::Twilio), Some(Origin::External(0))]);
        assert_eq!(ProbeSettings::default().origin(0), None);
    }
}
