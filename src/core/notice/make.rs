//! Notices of single events: drift, adoption, a fallback, the summary, a test. [`crate::notice::incidents`] knows
//! when they are due.

use std::sync::Arc;

use super::advice::meaning;
use super::{Callers, Link, Moment, Notice, NoticeKind, NoticeReason, NoticeStatus, Sample, Severity, Step};
use crate::detect::ledger::{FailedRequest, failure_text};
use crate::model::counted::Counted;
use crate::model::decision::{Decision, DecisionId, PageReason};
use crate::model::foreign::Line;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::{AdoptedBy, AskedOrder, FallbackState, LandedOn, Operation, UpdateParams};
use crate::model::reason::Reason;
use crate::model::roster::{Group, NumberIx, Roster};
use crate::model::time::Time;
use crate::model::value::{FieldValue, RawRecord};
use crate::model::verdict::ReasonCount;
use crate::rollback::fallbacks::FallbackFound;
use crate::routing::values::{Difference, RoutingValues};

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

/// A number is another writer's, and theirs was adopted.
#[derive(Debug, Clone, Copy)]
pub struct Takeover<'a> {
    pub by: &'a AdoptedBy,
    pub differences: &'a [Difference],
    pub actor: Option<&'a Line>,
    /// It was on the fallback.
    pub was_on_fallback: bool,
}

/// A write of ours that landed after its order had ended otherwise.
#[derive(Debug, Clone, Copy)]
pub struct LateLanding<'a> {
    pub order: DecisionId,
    pub on: LandedOn,
    /// What the number had until then.
    pub routing: &'a RawRecord,
    pub update: &'a UpdateParams,
}

impl LateLanding<'_> {
    /// Field by field, from what to what.
    fn changes(&self, channel: Channel) -> String {
        let was = RoutingValues::read(self.routing.whole(), channel).ok();
        let none = FieldValue::from("");
        let change = |(field, now): &(String, FieldValue)| {
            let was = was.as_ref().and_then(|was| was.of(field)).unwrap_or(&none);
            format!("{field}: {was:?} → {now:?}")
        };
        self.update.iter().map(change).collect::<Vec<_>>().join("; ")
    }
}

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
            incident_severity: severity,
            status: NoticeStatus::Firing,
            title: title.into(),
            at: Moment::new(at, None),
            group: None,
            channel: None,
            numbers: Vec::new(),
            since: None,
            callers: None,
            counted: Counted::People,
            uncounted: None,
            reasons: Vec::new(),
            handlers: Vec::new(),
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

    pub(super) fn group(&self, name: &GroupName) -> Option<&Group> {
        self.roster.groups().find(|(_, g)| g.name == *name).map(|(_, g)| g)
    }

    /// Where the callers of these numbers live.
    pub(super) fn zone(&self, numbers: &[NumberId]) -> Option<&jiff::tz::TimeZone> {
        let ix = self.roster.find(*numbers.first()?)?;
        Some(&self.roster.number(ix).timezone)
    }

    /// Whom the notice is about.
    pub fn whose(&self, notice: Notice, group: &GroupName, channel: Channel, numbers: &[NumberId]) -> Notice {
        Notice {
            group: Some(group.clone()),
            channel: Some(channel),
            numbers: numbers.to_vec(),
            at: Moment::new(notice.at.at, self.zone(numbers)),
            ..notice
        }
    }

    /// All that the evidence of an incident's decisions says. Callers of several decisions are added up; `latest` is
    /// the one to look up.
    pub fn evidence(&self, mut notice: Notice, decisions: &[&Decision], latest: Option<DecisionId>) -> Notice {
        notice.decision = latest;
        if let (Some(url), Some(id)) = (&self.addresses.agent, latest) {
            let url = format!("{url}/decisions/{id}");
            notice.links.insert(0, Link { name: "evidence".to_owned(), url });
        }
        let since = decisions.iter().map(|d| d.evidence.since.unwrap_or(d.at)).min();
        notice.since = Some(Moment::new(since.unwrap_or(notice.at.at), self.zone(&notice.numbers)));
        let evidence = || decisions.iter().map(|d| &d.evidence);
        let failing: u32 = evidence().map(|e| e.failing).sum();
        let of: u32 = evidence().map(|e| e.callers.max(e.failing)).sum();
        notice.callers = (of > 0).then_some(Callers { failing, of });
        let is_latest = |d: &&&Decision| Some(d.id) == latest;
        notice.counted =
            decisions.iter().find(is_latest).or(decisions.last()).map(|d| d.evidence.counted).unwrap_or_default();
        let probes: u32 = evidence().map(|e| e.probes).sum();
        let failing_probes: u32 = evidence().map(|e| e.failing_probes).sum();
        if of == 0 && probes > 0 {
            notice.uncounted = Some(format!("none counted yet; {failing_probes} of {probes} test calls failed"));
        }
        let mut reasons: Vec<ReasonCount> = Vec::new();
        for counted in evidence().flat_map(|e| &e.reasons) {
            match reasons.iter_mut().find(|r| (r.reason, r.code) == (counted.reason, counted.code)) {
                Some(same) => same.callers += counted.callers,
                None => reasons.push(*counted),
            }
        }
        reasons.sort_by_key(|r| std::cmp::Reverse(r.callers));
        notice.reasons = reasons
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
        let samples = decisions.iter().rev().flat_map(|d| &d.evidence.samples);
        notice.samples = samples.take(3).copied().map(Sample::new).collect();
        if notice.reasons.is_empty() {
            notice.cause = decisions.last().map(|d| d.rule.clone());
        }
        notice
    }

    /// A webhook that failed, and what it answered last, where Twilio says it.
    pub fn failed_handler(&self, numbers: &[NumberId], failed: &FailedRequest) -> String {
        let FailedRequest { url, is_fallback, http_status, code, at } = failed;
        let at = Moment::new(*at, self.zone(numbers)).text;
        let whose = if *is_fallback { "the fallback " } else { "" };
        format!("{whose}{url} {}, last at {at}", failure_text(*http_status, *code))
    }

    /// How many numbers of the group have this channel.
    pub fn group_size(&self, group: &GroupName, channel: Channel) -> usize {
        let has = |ix: &&NumberIx| self.roster.number(**ix).channels[channel.index()];
        self.group(group).map_or(0, |g| g.numbers.iter().filter(has).count())
    }

    /// `support voice, +15005550100`, or how many of the group's numbers.
    pub fn name(&self, group: &GroupName, channel: Channel, numbers: &[NumberId]) -> String {
        match (numbers, self.group_size(group, channel)) {
            ([one], _) => format!("{group} {channel}, {}", self.roster.name(*one)),
            (some, all) if some.len() < all => format!("{group} {channel}, {} of {all} numbers", some.len()),
            (some, _) => format!("{group} {channel}, all {} numbers", some.len()),
        }
    }

    /// A fallback is broken, for all its numbers or some, or is no longer.
    pub fn fallback(&self, at: Time, group: &GroupName, channel: Channel, found: &FallbackFound) -> Notice {
        let key = format!("fallback/{group}/{channel}");
        let title = if found.state == FallbackState::Broken {
            format!("Fallback broken: {group} {channel}")
        } else if found.is_broken() {
            format!("Fallback broken: {}", self.name(group, channel, &found.broken_for))
        } else {
            format!("Fallback {}: {group} {channel}", found.state.label())
        };
        let mut notice = self.blank(at, key, NoticeKind::FallbackBroken, Severity::Critical, title);
        (notice.group, notice.channel) = (Some(group.clone()), Some(channel));
        notice.cause = Some(found.detail.clone());
        notice.since = Some(notice.at.clone());
        let url = self.group(group).and_then(|g| g.fallback(channel)).unwrap_or_default();
        if found.is_broken() {
            let whom = if found.broken_for.is_empty() { "No number of this group" } else { "None of these numbers" };
            notice.did = format!("{whom} is rolled back to {url} while it is broken");
            notice.next = vec![
                Step::new("Repair the TwiML Bin in Twilio's Console; Ringback checks it every few minutes"),
                Step::typing("See which numbers are on it now", "ringback status"),
            ];
        } else {
            notice.did = format!("Ringback checked {url}: rollbacks of this group may go there again");
            notice.status = NoticeStatus::Resolved;
        }
        notice
    }

    /// Somebody else changed a number.
    pub fn drift(
        &self,
        at: Time,
        number: NumberId,
        channel: Channel,
        differences: &[Difference],
        actor: Option<&Line>,
        was_ours: bool,
    ) -> Notice {
        let severity = if was_ours { Severity::Critical } else { Severity::Warning };
        let name = self.roster.name(number);
        let title = format!("Somebody else changed {name} ({channel})");
        let key = format!("drift/{}/{channel}", number.key());
        let notice = self.blank(at, key, NoticeKind::Drift, severity, title);
        let group = self.roster.find(number).map(|ix| self.roster.group_of(ix).name.clone());
        let mut notice = match &group {
            Some(group) => self.whose(notice, group, channel, &[number]),
            None => notice,
        };
        notice.since = Some(notice.at.clone());
        let what: Vec<String> = differences.iter().map(ToString::to_string).collect();
        notice.cause = Some(format!(
            "{}, changed by {}",
            what.join("; "),
            actor.map_or("somebody whom Twilio's audit log does not name", Line::as_str)
        ));
        notice.status = NoticeStatus::Event;
        notice.did = if was_ours {
            "The number was on the fallback. Ringback leaves the change as it is, because it does not fight another writer. If callers fail again, it asks before it rolls the number back".to_owned()
        } else {
            "Nothing was written: Ringback reports what others change and does not undo it".to_owned()
        };
        notice.next = vec![Step::typing(
            "Check that the change was intended, and what the number points at now",
            "ringback status",
        )];
        if was_ours {
            notice.next.push(Step::ordering(
                "To restore the handler from before the rollback all the same",
                format!("ringback restore {name} --channel {channel} --force --reason 'not intended'"),
                AskedOrder { operation: Operation::Restore, channel, numbers: vec![number], force: true },
            ));
        }
        notice
    }

    /// A write of ours has landed late.
    pub fn landed(&self, at: Time, number: NumberId, channel: Channel, what: LateLanding<'_>) -> Notice {
        let name = self.roster.name(number);
        let title = match what.on {
            LandedOn::Fallback => format!("A late write of ours put {name} on the fallback ({channel})"),
            LandedOn::OwnHandler => format!("A late write of ours took {name} off the fallback ({channel})"),
            LandedOn::EarlierHandler => format!("A late write of ours put {name} on an earlier handler ({channel})"),
        };
        let key = format!("landed/{}/{channel}", number.key());
        let notice = self.blank(at, key, NoticeKind::Unproven, Severity::Critical, title);
        let group = self.roster.find(number).map(|ix| self.roster.group_of(ix).name.clone());
        let mut notice = match &group {
            Some(group) => self.whose(notice, group, channel, &[number]),
            None => notice,
        };
        notice.since = Some(notice.at.clone());
        notice.status = NoticeStatus::Event;
        notice.cause = Some(format!(
            "the answer to a write of {} was lost, and it happened after that had ended otherwise: {}",
            what.order,
            what.changes(channel)
        ));
        notice.did = format!("Nothing more was written: {}, by our own write and nobody else's", what.on.text());
        let restore = |text: &str| {
            let command = format!("ringback restore {name} --channel {channel} --at-once --reason 'a late write'");
            let numbers = vec![number];
            Step::ordering(text, command, AskedOrder { operation: Operation::Restore, channel, numbers, force: false })
        };
        notice.next = match (what.on, &group) {
            (LandedOn::Fallback, _) => vec![restore("If its handler serves, put it back")],
            (LandedOn::EarlierHandler, _) => vec![restore("Put back the handler that it had until then")],
            (LandedOn::OwnHandler, Some(group)) => {
                vec![self.roll_back("If its handler does not serve, roll it back", group, channel, &[number])]
            }
            (LandedOn::OwnHandler, None) => Vec::new(),
        };
        notice.next.push(Step::typing("See which write it was", format!("ringback explain {}", what.order)));
        notice
    }

    /// A number has been taken over, and what it has is its own from now on.
    pub fn adopted(&self, at: Time, number: NumberId, channel: Channel, what: Takeover<'_>) -> Notice {
        let Takeover { by, differences, actor, was_on_fallback } = what;
        let name = self.roster.name(number);
        let title = match by {
            AdoptedBy::Owner(owner) => format!("{owner} has taken over {name} ({channel}), as expected"),
            AdoptedBy::Operator(author) => {
                format!("{} has adopted what somebody else made of {name} ({channel})", author.name)
            }
        };
        let key = format!("adopted/{}/{channel}", number.key());
        let notice = self.blank(at, key, NoticeKind::Drift, Severity::Info, title);
        let mut notice = match self.roster.find(number).map(|ix| self.roster.group_of(ix).name.clone()) {
            Some(group) => self.whose(notice, &group, channel, &[number]),
            None => notice,
        };
        notice.since = Some(notice.at.clone());
        let what: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let what = if what.is_empty() { "its handler is another".to_owned() } else { what.join("; ") };
        notice.cause = Some(format!(
            "{what}, changed by {}",
            actor.map_or("somebody whom Twilio's audit log does not name", Line::as_str)
        ));
        notice.status = NoticeStatus::Event;
        let since_then = "From now on the number is compared with that, and restored to it; nothing was written";
        notice.did = if was_on_fallback {
            format!("The number was on the fallback: its rollback ends as superseded. {since_then}")
        } else {
            since_then.to_owned()
        };
        notice.next = vec![match by {
            AdoptedBy::Owner(_) => Step::new("Nothing: group.handler.owner says that this would come"),
            AdoptedBy::Operator(_) => Step::typing("See that its callers are served", "ringback status"),
        }];
        notice
    }

    /// The last notice of an incident.
    pub fn over(&self, at: Time, last: Notice, did: &str) -> Notice {
        Notice {
            kind: if last.kind == NoticeKind::NotCurable { last.kind } else { NoticeKind::Lapsed },
            status: NoticeStatus::Resolved,
            at: Moment::new(at, self.zone(&last.numbers)),
            did: did.to_owned(),
            proof: None,
            next: Vec::new(),
            handlers: Vec::new(),
            samples: Vec::new(),
            ..last
        }
    }

    /// `ringback notify --test`.
    pub fn test(&self, at: Time, name: &str) -> Notice {
        let title = format!("Test of the notifier {name}");
        let mut notice = self.blank(at, format!("test/{name}"), NoticeKind::Test, Severity::Info, title);
        notice.status = NoticeStatus::Event;
        notice.since = Some(notice.at.clone());
        notice.cause = Some(
            "a person asked for a test notice, by `ringback notify --test` or `ringback check --notify`".to_owned(),
        );
        notice.did = "Ringback sent this notice and did nothing else".to_owned();
        notice.next = vec![Step::new("Nothing: if you can read this, notices reach you")];
        notice
    }

    /// What was held back since the last notice of a notifier, newest last.
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
        notice.did = format!("More notices came than {name} takes in a minute; each is in the delivery record");
        notice.next = vec![
            Step::typing("See the state of all numbers", "ringback status"),
            Step::typing("Read the notices that were held back", "ringback notify --log"),
        ];
        notice
    }
}

impl PageReason {
    /// How much it matters that callers fail for this.
    pub(super) const fn severity(self) -> Severity {
        match self {
            PageReason::Outage | PageReason::FewCallers | PageReason::OldHandler => Severity::Critical,
            PageReason::Silence | PageReason::Unreached | PageReason::ErrorsBesideService => Severity::Warning,
            PageReason::Failing(reason) => match reason {
                Reason::OtherUrl | Reason::Registration | Reason::Delivery => Severity::Warning,
                Reason::Webhook
                | Reason::Content
                | Reason::Rescued
                | Reason::Forward
                | Reason::NoHandler
                | Reason::Trunk
                | Reason::NothingHeard
                | Reason::WrongAnswer
                | Reason::NotArriving
                | Reason::Fallback
                | Reason::Template
                | Reason::Carrier
                | Reason::Account
                | Reason::Unexplained
                | Reason::Platform => Severity::Critical,
            },
        }
    }
}
