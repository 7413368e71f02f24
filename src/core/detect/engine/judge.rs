//! From what is known of a number or a group to its verdict.
//!
//! Verdicts have hysteresis: one that was earned is kept until the evidence is well below what
//! earned it, so that a number on the edge does not flap on a dashboard. They are renewed when a
//! failure comes in, and by the clock while they are other than unknown and healthy.

use super::arrivals::Arrivals;
use super::latest::{Lately, LatestCallers};
use super::{Engine, EngineEvent, PhaseChange, RollbackProgress};
use crate::detect::ledger::{OutcomeChange, Warning};
use crate::detect::observation::{Probe, ProbeResult};
use crate::detect::statistic::threshold::Window;
use crate::model::id::{AccountSid, Channel, NumberId};
use crate::model::reason::Outcome;
use crate::model::roster::{GroupIx, NumberIx};
use crate::model::time::Time;
use crate::model::verdict::{Evidence, Score, Verdict};
use crate::port::news::Met;

/// Share of the threshold, in nats, at which a number is suspect, and below which it no longer is.
const SUSPECT: (f64, f64) = (0.5, 0.25);

/// Nats below the threshold at which a failing number no longer fails: odds a hundred times smaller.
const NO_LONGER_FAILING: f64 = 4.6;

/// The evidence of a verdict. Health is said of callers who were served: they are its evidence, where what else is
/// looked at is of a shorter time in which nobody came.
fn shown(verdict: Verdict, evidence: Evidence, latest: &LatestCallers, now: Time) -> Evidence {
    let is_bare = verdict == Verdict::Healthy && evidence.callers == 0;
    if !is_bare {
        return evidence;
    }
    let Evidence { callers, since, .. } = latest.evidence(now);
    Evidence { callers, since, ..evidence }
}

/// What a verdict is made of.
struct Signs {
    /// The logs cannot be read.
    is_blind: bool,
    /// It is not known who answers, or it is not seen: what speaks against a number counts, what speaks for it does
    /// not.
    is_unseen: bool,
    score: Option<Score>,
    is_rule_met: bool,
    is_silent: bool,
    /// What became of the latest callers, where nothing else is known that would keep the next one from being served.
    lately: Lately,
}

fn judge(last: Verdict, signs: &Signs) -> Verdict {
    let was_failing = last == Verdict::Failing;
    let was_suspect = was_failing || last == Verdict::Suspect;
    let fails = signs.lately == Lately::Failing;
    let is_above = |threshold: fn(f64) -> f64| signs.score.is_some_and(|s| s.statistic >= threshold(s.threshold));
    if signs.is_blind {
        Verdict::Blind
    } else if signs.is_rule_met || is_above(|t| t) || was_failing && (fails || is_above(|t| t - NO_LONGER_FAILING)) {
        Verdict::Failing
    } else if signs.is_silent {
        Verdict::Silent
    } else if fails || is_above(|t| t * SUSPECT.0) || was_suspect && is_above(|t| t * SUSPECT.1) {
        Verdict::Suspect
    } else if signs.is_unseen {
        Verdict::Blind
    } else if signs.lately == Lately::Served {
        Verdict::Healthy
    } else {
        Verdict::Unknown
    }
}

const fn is_over(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Unknown | Verdict::Healthy)
}

impl Engine {
    /// Takes in an inbound outcome: what is known of its number and group, and what follows.
    pub(super) fn learn(&mut self, change: &OutcomeChange) {
        let (number, channel, now) = (change.number, change.channel, change.at);
        if !self.is_watched(number, channel) || self.is_of_before(number, channel, change.started_at) {
            return;
        }
        let group = self.roster.number(number).group;
        let horizon = self.horizons[group.0 as usize][channel.index()];
        let state = &mut self.channels[number.0 as usize][channel.index()];
        state.window.apply(change, horizon);
        let is_failure = matches!(change.is, Outcome::Failed(_));
        state.count(change);
        state.latest.apply(change);
        self.groups[group.0 as usize][channel.index()].latest.apply(change);
        let state = &mut self.channels[number.0 as usize][channel.index()];
        if change.is == Outcome::Ok {
            if !state.rollback.is_done() && !std::mem::replace(&mut state.was_served, true) {
                self.events.push(EngineEvent::Met { number, channel, met: Met::Served });
            }
            self.settle(now, number, channel, PhaseChange::Served);
        }
        let is_taken_back = change.was == Some(Outcome::Ok) && change.is != Outcome::Ok;
        for finding in self.detector.settled(&self.roster, change) {
            self.found(now, finding);
        }
        // Decided at the next tick, when all of a poll has been seen.
        if change.is.is_curable_failure() {
            self.recheck.insert((number, channel));
        } else if is_failure {
            self.rules_due.insert((number, channel));
        }
        // Served callers make nothing worse; whatever they mend shows in the next sweep. However many calls a
        // poll brings, each number and group is looked at once.
        let is_worse = is_failure || is_taken_back;
        let may_matter = |verdict, latest: &LatestCallers, arrivals: &Arrivals| {
            is_worse || verdict == Verdict::Unknown && latest.lately(now, arrivals) == Lately::Served
        };
        let state = self.channel(number, channel);
        if !self.renew.has(number.0, channel) && may_matter(state.verdict, &state.latest, &state.arrivals) {
            self.renew.insert(number.0, channel);
        }
        let state = &self.groups[group.0 as usize][channel.index()];
        if !self.renew_groups.has(group.0, channel) && may_matter(state.verdict, &state.latest, &state.arrivals) {
            self.renew_groups.insert(group.0, channel);
        }
    }

    /// Takes in what became of a message that our side sent. It says nothing of the handler, and so nothing to the
    /// verdict; a person hears of it.
    pub(super) fn learn_of_sent(&mut self, change: &OutcomeChange) {
        let (number, channel) = (change.number, change.channel);
        if !self.is_watched(number, channel) {
            return;
        }
        let group = self.roster.number(number).group;
        let horizon = self.horizons[group.0 as usize][channel.index()];
        self.channel_mut(number, channel).sent.apply(change, horizon);
        if matches!(change.is, Outcome::Failed(_)) {
            self.rules_due.insert((number, channel));
        }
    }

    /// Takes in the errors beside evidence of service.
    pub(super) fn warned(&mut self) {
        for Warning { entry, number, channel, code } in self.ledger.take_warnings() {
            self.events.push(EngineEvent::Warned { number, channel, code });
            if self.is_watched(number, channel) {
                self.channel_mut(number, channel).window.warn(entry, code);
                self.rules_due.insert((number, channel));
            }
        }
    }

    /// Renews the verdicts that what was learnt may have changed.
    pub(super) fn renew(&mut self, now: Time) {
        for (number, channel) in self.renew.take() {
            self.renew_number(now, NumberIx(number), channel);
        }
        for (group, channel) in self.renew_groups.take() {
            self.renew_group(now, GroupIx(group), channel);
        }
    }

    /// Takes in the result of a test call or message of ours.
    pub(super) fn probed(&mut self, at: Time, account: AccountSid, probe: &Probe) {
        let id = NumberId::new(account, probe.number);
        let Some(number) = self.roster.find(id).filter(|ix| self.is_watched(*ix, probe.channel)) else {
            return;
        };
        if self.is_of_before(number, probe.channel, probe.started_at) {
            self.channel_mut(number, probe.channel).last_probe = Some(*probe);
            return;
        }
        self.detector.probed(&self.roster, number, probe);
        self.tell_of_probe(at, number, probe);
        self.recheck.insert((number, probe.channel));
        self.renew_number(at, number, probe.channel);
        self.renew_group(at, self.roster.number(number).group, probe.channel);
    }

    /// True if a call, message or test that began at `started_at` met another handler than the channel has now,
    /// or may have. However late it is told of, it says nothing of this one.
    fn is_of_before(&self, number: NumberIx, channel: Channel, started_at: Time) -> bool {
        let state = self.channel(number, channel);
        let since = match state.rollback {
            RollbackProgress::Done(at) => Some(at),
            RollbackProgress::None | RollbackProgress::Pending => state.restored_at,
        };
        since.is_some_and(|at| started_at < at)
    }

    /// What a swap would not cure is no part of a verdict; a person hears of it, once until a probe succeeds.
    fn tell_of_probe(&mut self, at: Time, number: NumberIx, probe: &Probe) {
        let channel = probe.channel;
        let is_blind = self.is_blind(channel, at);
        let state = self.channel_mut(number, channel);
        let is_again = state.last_probe.is_some_and(|last| last.result == probe.result);
        state.last_probe = Some(*probe);
        match probe.result {
            ProbeResult::Success => {
                state.probe_told = false;
                if !state.rollback.is_done() && !std::mem::replace(&mut state.was_probed, true) {
                    self.events.push(EngineEvent::Met { number, channel, met: Met::Probed });
                }
                self.settle(at, number, channel, PhaseChange::Probed);
            }
            // Two in a row: one may be the network's.
            ProbeResult::Failure(reason) if !reason.is_curable() && is_again && !state.probe_told && !is_blind => {
                state.probe_told = true;
                self.page_for_probe(at, number, channel, reason);
            }
            ProbeResult::Failure(_) | ProbeResult::Error => {}
        }
    }

    /// Looks at whatever only time ends.
    pub(super) fn refresh(&mut self, now: Time) {
        for (number, channel) in std::mem::take(&mut self.dirty) {
            self.unmeet_rules(now, number, channel);
            self.renew_number(now, number, channel);
        }
        for (group, channel) in std::mem::take(&mut self.dirty_groups) {
            self.unmeet_group_rules(now, group, channel);
            self.renew_group(now, group, channel);
        }
    }

    pub(super) fn renew_all(&mut self, now: Time, channel: Channel) {
        for i in 0..self.roster.len() {
            let number = NumberIx(i as u32);
            if self.roster.number(number).channels[channel.index()] {
                self.renew_number(now, number, channel);
            }
        }
        let groups = self.roster.groups().len();
        for i in 0..groups {
            self.renew_group(now, GroupIx(i as u32), channel);
        }
    }

    /// Looks at every number and group that was healthy and to which nobody comes any more.
    pub(super) fn end_health(&mut self, now: Time) {
        let is_over = |verdict, latest: &LatestCallers, arrivals: &Arrivals| {
            verdict == Verdict::Healthy && latest.lately(now, arrivals) != Lately::Served
        };
        for channel in Channel::ALL {
            for i in 0..self.channels.len() {
                let state = &self.channels[i][channel.index()];
                if is_over(state.verdict, &state.latest, &state.arrivals) {
                    self.renew_number(now, NumberIx(i as u32), channel);
                }
            }
            for i in 0..self.groups.len() {
                let state = &self.groups[i][channel.index()];
                if is_over(state.verdict, &state.latest, &state.arrivals) {
                    self.renew_group(now, GroupIx(i as u32), channel);
                }
            }
        }
    }

    pub(super) fn renew_number(&mut self, now: Time, number: NumberIx, channel: Channel) {
        let is_blind = self.is_blind(channel, now);
        // A stream without failures has nothing to weigh, and most have none.
        let looked = self
            .detector
            .has_failures(&self.roster, number, channel)
            .then(|| self.detector.look_at_number(&self.roster, number, channel, now));
        let state = self.channel(number, channel);
        let last = state.verdict;
        let is_rule_met = self.says_failing(&state.met, self.roster.number(number).group);
        let signs = Signs {
            is_blind,
            is_unseen: self.is_unseen(number, channel),
            score: looked.as_ref().map(|(score, _)| *score),
            is_rule_met,
            is_silent: channel == Channel::Voice && self.detector.is_silent(number),
            lately: match state.latest.lately(now, &state.arrivals) {
                Lately::Served if self.routing(number, channel).trouble().is_some() => Lately::Unknown,
                lately @ (Lately::Served | Lately::Failing | Lately::Unknown) => lately,
            },
        };
        let verdict = judge(last, &signs);
        let evidence = match looked {
            Some((_, evidence)) if !is_rule_met || signs.score.is_some_and(Score::is_enough) => evidence,
            _ => self.rule_evidence(now, number, channel),
        };
        let evidence = shown(verdict, self.complete(now, channel, &[number], evidence), &state.latest, now);
        let group_verdict = self.groups[self.roster.number(number).group.0 as usize][channel.index()].verdict;
        let state = self.channel_mut(number, channel);
        state.evidence = evidence;
        state.verdict = verdict;
        // What is over may be decided again: over for the number, and for the group that it is in.
        let is_open = !(is_over(verdict) && is_over(group_verdict));
        state.decided &= is_open;
        state.is_told_beside &= is_open;
        let has_met = state.met.iter().any(Option::is_some);
        let is_hot = state.decided || has_met || !(is_over(verdict) || verdict == Verdict::Blind);
        if is_hot {
            self.dirty.insert((number, channel));
        }
        if last != verdict {
            self.events.push(EngineEvent::Verdict { number, channel, from: last, to: verdict });
        }
    }

    pub(super) fn renew_group(&mut self, now: Time, group: GroupIx, channel: Channel) {
        let is_blind = self.is_blind(channel, now);
        let has_failures = self.detector.group_has_failures(&self.roster, group, channel);
        let state = &self.groups[group.0 as usize][channel.index()];
        let last = state.verdict;
        let is_rule_met = self.says_failing(&state.met, group);
        let lately = match state.latest.lately(now, &state.arrivals) {
            // However loud one number is, it takes its group's health away and no more.
            Lately::Failing if self.roster.group(group).numbers.len() > 1 && state.latest.fail_at_one_number(now) => {
                Lately::Unknown
            }
            lately @ (Lately::Served | Lately::Failing | Lately::Unknown) => lately,
        };
        let (score, is_broad, evidence) = if has_failures {
            let (score, is_broad, evidence) = self.detector.look_at_group(&self.roster, group, channel, now);
            (Some(score), is_broad, evidence)
        } else {
            (None, false, Evidence::default())
        };
        // Nor does it make its group fail.
        let score = score.map(|s| Score {
            statistic: if is_broad { s.statistic } else { s.statistic.min(s.threshold - 1e-9) },
            ..s
        });
        let is_silent = channel == Channel::Voice && self.detector.is_group_silent(group);
        let members = self.roster.group(group).numbers.clone();
        let is_unseen = members.iter().any(|ix| self.is_watched(*ix, channel) && self.is_unseen(*ix, channel));
        let verdict = judge(last, &Signs { is_blind, is_unseen, score, is_rule_met, is_silent, lately });
        let evidence = self.complete(now, channel, &members, evidence);
        let latest = &self.groups[group.0 as usize][channel.index()].latest;
        let evidence = shown(verdict, evidence, latest, now);
        let state = &mut self.groups[group.0 as usize][channel.index()];
        state.evidence = evidence;
        state.verdict = verdict;
        if state.met.iter().any(Option::is_some) || !(is_over(verdict) || verdict == Verdict::Blind) {
            self.dirty_groups.insert((group, channel));
        }
        if last != verdict {
            self.events.push(EngineEvent::GroupVerdict { group, channel, from: last, to: verdict });
        }
    }

    /// True if a rule is met that says so of callers. An error beside service is nobody's failure, and what becomes of
    /// messages of ours says nothing of the handler: a person hears of them.
    fn says_failing(&self, met: &[Option<Time>], group: GroupIx) -> bool {
        let rules = &self.detection[group.0 as usize].rules;
        met.iter().zip(rules).any(|(met, rule)| met.is_some() && rule.subject.is_of_callers())
    }

    /// What the callers of the last minutes met, for want of a statistic.
    fn rule_evidence(&self, now: Time, number: NumberIx, channel: Channel) -> Evidence {
        let group = self.roster.number(number).group;
        let state = self.channel(number, channel);
        let rules = &self.detection[group.0 as usize].rules;
        let met = state.met.iter().zip(rules).find(|(met, rule)| met.is_some() && rule.subject.is_of_callers());
        let met = met.map(|(_, rule)| rule);
        match met.or_else(|| rules.iter().find(|r| r.channel == channel)) {
            Some(rule) => {
                let found = Window::gather([&state.window].into_iter(), rule, now);
                if found.since.is_none() {
                    return found;
                }
                Window::gather([&state.window].into_iter(), &rule.from_its_begin(&found, now), now)
            }
            None => Evidence::default(),
        }
    }

    /// Adds what cannot be seen.
    pub(super) fn complete(&self, now: Time, channel: Channel, numbers: &[NumberIx], e: Evidence) -> Evidence {
        let unsettled = numbers.iter().map(|n| self.open(*n, channel)).sum();
        let read = crate::model::source::needed(channel).into_iter().map(|s| self.polled_at(s)).min().flatten();
        Evidence { unsettled, stale_for: read.map(|at| now.since(at).as_secs_f64()), ..e }
    }
}
