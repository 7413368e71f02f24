//! Notices of single events and conditions. [`crate::core::notice::incidents`] knows when they are due.

use std::sync::Arc;

use super::advice::{about, instead, meaning, repair};
use super::{Callers, Link, Moment, Notice, NoticeKind, NoticeReason, NoticeStatus, Sample, Severity, Step};
use crate::core::model::decision::{Decision, Mode, PageReason};
use crate::core::model::guard::Guard;
use crate::core::model::id::{Channel, E164, GroupName};
use crate::core::model::order::{FallbackState, Hold, Scope, ScopeOf};
use crate::core::model::reason::Reason;
use crate::core::model::roster::{Group, Roster};
use crate::core::model::time::Time;
use crate::core::routing::values::Difference;

/// Where a reader can see more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// The agent's own page as others reach it, without a slash at the end.
    pub agent: Option<String>,
    pub dashboard: Option<String>,
}

/// Makes notices for one roster.
#[derive(Debug, Clone)]
pub struct NoticeBuilder {
    pub roster: Arc<Roster>,
    pub addresses: Addresses,
}

/// At most this many numbers are written into a command; of more, the group is named.
const IN_COMMAND: usize = 5;

impl NoticeBuilder {
    pub fn blank(
        &self,
        at: Time,
        key: impl Into<String>,
        kind: NoticeKind,
        severity: Severity,
        title: impl Into<String>,
    ) -> Notice {
        Notice {
            key: key.into(),
            kind,
            severity,
            incident_severity: None,
            status: NoticeStatus::Firing,
            title: title.into(),
            at: Moment::new(at, None),
            group: None,
            channel: None,
            numbers: Vec::new(),
            since: None,
            callers: None,
            uncounted: None,
            reasons: Vec::new(),
            samples: Vec::new(),
            cause: None,
            did: String::new(),
            proof: None,
            next: Vec::new(),
            decision: None,
            links: self.dashboard(),
        }
    }

    fn dashboard(&self) -> Vec<Link> {
        let link = |name: &str, url: &str| Link { name: name.to_owned(), url: url.to_owned() };
        let page = self.addresses.agent.iter().map(|url| link("status", url));
        page.chain(self.addresses.dashboard.iter().map(|url| link("dashboard", url))).collect()
    }

    fn group(&self, name: &GroupName) -> Option<&Group> {
        self.roster.groups().find(|(_, g)| g.name == *name).map(|(_, g)| g)
    }

    /// Where the callers of these numbers live.
    pub(super) fn zone(&self, numbers: &[E164]) -> Option<&jiff::tz::TimeZone> {
        let ix = self.roster.find(*numbers.first()?)?;
        Some(&self.roster.number(ix).timezone)
    }

    /// Whom the notice is about.
    pub fn whose(&self, notice: Notice, group: &GroupName, channel: Channel, numbers: &[E164]) -> Notice {
        Notice {
            group: Some(group.clone()),
            channel: Some(channel),
            numbers: numbers.to_vec(),
            at: Moment::new(notice.at.at, self.zone(numbers)),
            ..notice
        }
    }

    /// All that the decision's evidence says. A decision about numbers of several groups has one
    /// notice a group.
    pub fn evidence(&self, notice: Notice, decision: &Decision, numbers: &[E164]) -> Notice {
        let e = &decision.evidence;
        let mut notice = self.whose(notice, &decision.group, decision.channel, numbers);
        notice.decision = Some(decision.id);
        if let Some(url) = &self.addresses.agent {
            let url = format!("{url}/api/v1/decisions/{}", decision.id);
            notice.links.insert(0, Link { name: "evidence".to_owned(), url });
        }
        let zone = self.zone(numbers);
        notice.since = Some(Moment::new(e.since.unwrap_or(decision.at), zone));
        notice.callers =
            (e.callers > 0 || e.failing > 0).then_some(Callers { failing: e.failing, of: e.callers.max(e.failing) });
        notice.reasons = e
            .reasons
            .iter()
            .take(3)
            .map(|r| NoticeReason {
                callers: r.callers,
                reason: r.reason.label().to_owned(),
                text: r.reason.text().to_owned(),
                code: r.code.map(|c| c.0),
                meaning: r.code.map(|c| meaning(c).to_owned()),
            })
            .collect();
        notice.samples = e.samples.iter().take(3).copied().map(Sample::new).collect();
        if notice.reasons.is_empty() {
            notice.cause = Some(decision.rule.clone());
        }
        notice
    }

    /// The numbers as a command takes them.
    pub fn selection(&self, group: &GroupName, channel: Channel, numbers: &[E164]) -> String {
        let all = self.group(group).map_or(0, |g| g.numbers.len());
        let which = if numbers.len() == all || numbers.len() > IN_COMMAND {
            format!("--group {group}")
        } else {
            numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        format!("{which} --channel {channel}")
    }

    /// `support voice, +15005550100`, or how many.
    pub fn name(&self, group: &GroupName, channel: Channel, numbers: &[E164]) -> String {
        match numbers {
            [one] => format!("{group} {channel}, {one}"),
            _ => format!("{group} {channel}, {} numbers", numbers.len()),
        }
    }

    /// How to repair the handler and restore the numbers.
    pub fn after_rollback(
        &self,
        decision: Option<&Decision>,
        group: &GroupName,
        channel: Channel,
        numbers: &[E164],
    ) -> Vec<Step> {
        let leading = decision.and_then(|d| d.evidence.reasons.first());
        let repair = leading.map_or("Repair the handler", |r| repair(r.reason));
        let undo = format!("ringback restore {} --reason 'repaired'", self.selection(group, channel, numbers));
        vec![Step::typing(format!("{repair}, then restore the numbers"), undo)]
    }

    /// What to do where a rollback was wanted and callers may not be served.
    pub fn by_hand(&self, group: &GroupName, channel: Channel, numbers: &[E164]) -> Vec<Step> {
        let url = self.group(group).and_then(|g| g.fallback(channel)).unwrap_or("the fallback's URL");
        let again = format!("ringback rollback {} --reason 'by hand'", self.selection(group, channel, numbers));
        vec![
            Step::new(format!(
                "Call the number. If callers are not served, open it in Twilio's Console \
                 (https://console.twilio.com/us1/develop/phone-numbers/manage/incoming): remove any trunk or \
                 application, which Twilio prefers to a URL, and set its {channel} URL to {url}"
            )),
            Step::typing("Or roll back again", again),
        ]
    }

    /// A guard blocks a rollback: why, and what a person can do.
    pub fn held(
        &self,
        notice: Notice,
        decision: &Decision,
        numbers: &[E164],
        guard: Guard,
        holds: &[Hold],
        mode: Mode,
    ) -> Notice {
        let Decision { id, channel, group, .. } = decision;
        let mut notice = self.evidence(notice, decision, numbers);
        let which = self.selection(group, *channel, numbers);
        let hold = holds
            .iter()
            .find(|h| h.until > notice.at.at && numbers.iter().any(|n| h.scope.covers(group, *n, *channel)));
        let why = match (guard, hold) {
            (Guard::Hold, Some(h)) => {
                format!("{} holds {} until {}: {}", h.by.name, h.scope, Moment::new(h.until, None).text, h.by.reason)
            }
            (Guard::Mode, _) => format!("the mode is {}", mode.label()),
            (guard, _) => guard.text().to_owned(),
        };
        notice.did = format!("{id}: nothing was written. A rollback would serve callers, but {why}");
        notice.next.extend(about(guard).map(Step::new));
        let swap = Step::typing(
            "To roll the numbers back yourself",
            format!("ringback rollback {which} --reason 'callers fail, {id}'"),
        );
        match guard {
            Guard::Mode => notice.next.extend([
                Step::typing(
                    "Let Ringback roll back after asking each time",
                    "ringback mode confirm --reason 'callers fail'",
                ),
                Step::typing("Then approve when it asks, or roll back yourself", swap.command.unwrap_or_default()),
            ]),
            Guard::Hold => {
                let scope = hold.map_or_else(|| which.clone(), |h| scope_text(&h.scope));
                notice.next.push(Step::typing(
                    "To end the hold",
                    format!("ringback release {scope} --reason 'the hold is over'"),
                ));
            }
            Guard::Storm | Guard::OtherWriter | Guard::Cap | Guard::Veto | Guard::Cooldown => notice.next.push(swap),
            Guard::Phase
            | Guard::NotWatched
            | Guard::Lease
            | Guard::Blind
            | Guard::Fallback
            | Guard::NoFallback
            | Guard::NotInAccount
            | Guard::NotRead
            | Guard::OnFallback => {}
        }
        notice
    }

    /// A rollback waits.
    pub fn asked(&self, notice: Notice, decision: &Decision, numbers: &[E164], guard: Guard, until: Time) -> Notice {
        let Decision { id, channel, group, .. } = decision;
        let mut notice = self.evidence(notice, decision, numbers);
        let until = Moment::new(until, self.zone(numbers)).text;
        let which = self.selection(group, *channel, numbers);
        let hold = Step::typing("To stop it", format!("ringback hold {which} --for 1h --reason 'we are looking'"));
        if guard == Guard::Veto {
            notice.did = format!(
                "{id}: nothing is written yet. Ringback rolls the numbers back at {until} unless somebody holds them"
            );
            notice.next = vec![hold];
        } else {
            notice.did =
                format!("{id}: nothing is written. Ringback waits for approval until {until}: {}", guard.text());
            notice.next.extend(about(guard).map(Step::new));
            notice
                .next
                .push(Step::typing("To roll the numbers back", format!("ringback approve {id} --reason 'seen it'")));
            notice.next.push(hold);
        }
        notice
    }

    /// Trouble that a rollback would not cure.
    pub fn not_curable(&self, at: Time, key: String, decision: &Decision, reason: PageReason) -> Notice {
        let severity = match reason {
            PageReason::Outage => Severity::Critical,
            PageReason::Silence | PageReason::Unreached => Severity::Warning,
            PageReason::Failing(reason) => match reason {
                Reason::OtherUrl | Reason::Registration | Reason::Delivery => Severity::Warning,
                Reason::Webhook
                | Reason::Content
                | Reason::Rescued
                | Reason::Forward
                | Reason::NoHandler
                | Reason::Trunk
                | Reason::Silence
                | Reason::WrongAnswer
                | Reason::NotArriving
                | Reason::Fallback
                | Reason::Template
                | Reason::Carrier
                | Reason::Account
                | Reason::Platform => Severity::Critical,
            },
        };
        let is_curable = matches!(reason, PageReason::Failing(r) if r.is_curable());
        let whose = self.name(&decision.group, decision.channel, &decision.numbers);
        let title = match reason {
            PageReason::Failing(_) => format!("Callers fail: {whose}: {}", reason.text()),
            PageReason::Silence | PageReason::Unreached | PageReason::Outage => format!("{whose}: {}", reason.text()),
        };
        let mut notice =
            self.evidence(self.blank(at, key, NoticeKind::NotCurable, severity, title), decision, &decision.numbers);
        notice.cause = notice.reasons.is_empty().then(|| reason.text().to_owned());
        notice.uncounted = match reason {
            PageReason::Failing(_) => None,
            PageReason::Silence => Some("unknown: calls that do not come cannot be counted".to_owned()),
            PageReason::Unreached => {
                Some("nearly all lately; not counted, because a busy line is no failure of the number".to_owned())
            }
            PageReason::Outage => {
                Some("some on each of these numbers; see the samples in Twilio's call log".to_owned())
            }
        };
        notice.did = if is_curable {
            format!(
                "{}: nothing was written, because one of your rules says to ask first ({})",
                decision.id, decision.rule
            )
        } else {
            format!("{}: nothing was written, because a rollback would not cure this", decision.id)
        };
        notice.next = vec![Step::new(instead(reason))];
        if is_curable {
            let which = self.selection(&decision.group, decision.channel, &decision.numbers);
            let swap = format!("ringback rollback {which} --reason 'callers fail, {}'", decision.id);
            notice.next.push(Step::typing("To roll the numbers back", swap));
        }
        notice
    }

    pub fn fallback(
        &self,
        at: Time,
        group: &GroupName,
        channel: Channel,
        state: FallbackState,
        detail: &str,
    ) -> Notice {
        let key = format!("fallback/{group}/{channel}");
        let is_broken = state == FallbackState::Broken;
        let title = if is_broken {
            format!("Fallback broken: {group} {channel}")
        } else {
            format!("Fallback {}: {group} {channel}", state.label())
        };
        let mut notice = self.blank(at, key, NoticeKind::FallbackBroken, Severity::Critical, title);
        (notice.group, notice.channel) = (Some(group.clone()), Some(channel));
        notice.cause = Some(detail.to_owned());
        notice.since = Some(notice.at.clone());
        let url = self.group(group).and_then(|g| g.fallback(channel)).unwrap_or_default();
        if is_broken {
            notice.did = format!("Ringback rolls no number of this group back to {url} while it is broken");
            notice.next = vec![
                Step::new("Repair the TwiML Bin in Twilio's Console; Ringback checks it every few minutes"),
                Step::typing("See which numbers are on it now", "ringback status"),
            ];
        } else {
            notice.did = format!("Rollbacks of this group may use {url} again");
            notice.status = NoticeStatus::Resolved;
        }
        notice
    }

    /// Somebody else changed a number.
    pub fn drift(
        &self,
        at: Time,
        number: E164,
        channel: Channel,
        differences: &[Difference],
        actor: Option<&str>,
        was_ours: bool,
    ) -> Notice {
        let severity = if was_ours { Severity::Critical } else { Severity::Warning };
        let title = format!("Somebody else changed {number}, {channel}");
        let notice = self.blank(at, format!("drift/{number}/{channel}"), NoticeKind::Drift, severity, title);
        let group = self.roster.find(number).map(|ix| self.roster.group_of(ix).name.clone());
        let mut notice = match &group {
            Some(group) => self.whose(notice, group, channel, &[number]),
            None => notice,
        };
        notice.since = Some(notice.at.clone());
        let what: Vec<String> = differences.iter().map(ToString::to_string).collect();
        notice.cause = Some(format!(
            "{}, by {}",
            what.join("; "),
            actor.unwrap_or("somebody whom Twilio's audit log does not name")
        ));
        notice.status = NoticeStatus::Event;
        notice.did = if was_ours {
            "The number was on the fallback. Ringback leaves it as the other writer set it: if callers fail again, it asks \
             before it rolls the number back"
                .to_owned()
        } else {
            "Nothing was written: Ringback reports what others change and does not undo it".to_owned()
        };
        notice.next =
            vec![Step::typing("Check whether it was intended, and where the number points now", "ringback status")];
        if was_ours {
            notice.next.push(Step::typing(
                "To restore what was there before the rollback all the same",
                format!("ringback restore {number} --channel {channel} --force --reason 'not meant'"),
            ));
        }
        notice
    }

    /// The notice that ends a trouble.
    pub fn over(&self, at: Time, told: Notice, did: &str) -> Notice {
        Notice {
            kind: if told.kind == NoticeKind::NotCurable { told.kind } else { NoticeKind::Lapsed },
            status: NoticeStatus::Resolved,
            at: Moment::new(at, self.zone(&told.numbers)),
            did: did.to_owned(),
            proof: None,
            next: Vec::new(),
            samples: Vec::new(),
            ..told
        }
    }

    /// `ringback notify --test`.
    pub fn test(&self, at: Time, name: &str) -> Notice {
        let title = format!("Test of the notifier {name}");
        let mut notice = self.blank(at, format!("test/{name}"), NoticeKind::Test, Severity::Info, title);
        notice.status = NoticeStatus::Event;
        notice.since = Some(notice.at.clone());
        notice.cause = Some("somebody typed ringback notify --test".to_owned());
        notice.did = "It sent this notice and did nothing else".to_owned();
        notice.next = vec![Step::new("Nothing: if you can read this, notices reach you")];
        notice
    }

    /// What was held back since a notifier's last notice, newest last.
    pub fn summary(&self, at: Time, name: &str, held_back: &[(Severity, String)], lost: u64) -> Notice {
        let worst = held_back.iter().map(|(s, _)| *s).max().unwrap_or(Severity::Warning);
        let title = match (held_back.len(), lost) {
            (n, 0) => format!("{n} more notices held back"),
            (0, lost) => format!("{lost} notices lost: the queue was full"),
            (n, lost) => format!("{n} more notices held back, {lost} lost"),
        };
        let mut notice = self.blank(at, format!("summary/{name}"), NoticeKind::Summary, worst, title);
        notice.status = NoticeStatus::Event;
        let mut titles: Vec<String> =
            held_back.iter().rev().take(10).map(|(s, t)| format!("{} {t}", s.label().to_uppercase())).collect();
        titles.reverse();
        notice.cause = Some(titles.join("\n")).filter(|t| !t.is_empty());
        notice.did = format!("{name} had more notices than per_minute allows; all of them are in the delivery record");
        notice.next = vec![
            Step::typing("See the present state", "ringback status"),
            Step::typing("Read what was held back", "ringback notify --log"),
        ];
        notice
    }
}

fn scope_text(scope: &Scope) -> String {
    let of = match &scope.of {
        ScopeOf::All => "--all".to_owned(),
        ScopeOf::Group(name) => format!("--group {name}"),
        ScopeOf::Number(n) => n.to_string(),
    };
    scope.channel.map_or(of.clone(), |c| format!("{of} --channel {c}"))
}
