//! The rules: which a number or its group meets, whether another has told of it, and what follows.

use std::borrow::Cow;
use std::time::Duration;

use super::decide::Case;
use super::{ChannelState, Engine, RollbackProgress};
use crate::detect::statistic::threshold::{Rule, RuleAction, RuleSubject, Window};
use crate::model::decision::{Action, PageReason};
use crate::model::id::Channel;
use crate::model::reason::Reason;
use crate::model::roster::{GroupIx, NumberIx};
use crate::model::time::Time;
use crate::model::verdict::Evidence;

/// What a person was told of and goes on is decided again after this: what is not for an hour is said to be over. It is
/// told once.
const TOLD_AGAIN: Duration = Duration::from_secs(1800);

/// So long the detector has for what a swap would cure, before a person is told of it by a sum: it decides sooner, and
/// who is told that somebody should look, half a minute before the rollback, looks in vain.
const DETECTOR_FIRST: Duration = Duration::from_secs(120);

/// More different callers than these speak for themselves.
const WITNESSES: u32 = 3;

impl Engine {
    /// Which of the rules a group's numbers meet together, by position.
    pub(super) fn apply_group_rules(&mut self, now: Time, group: GroupIx, channel: Channel) -> Vec<bool> {
        let rules = self.detection[group.0 as usize].rules.clone();
        let mut is_met = |(i, rule): (usize, &Rule)| {
            rule.channel == channel
                && !self.is_moot_for_group(now, group, rule)
                && self.apply_group_rule(now, group, i, rule)
        };
        rules.iter().enumerate().map(&mut is_met).collect()
    }

    /// Which of the rules a number's latest failure meets. `shared`: those that its group meets.
    pub(super) fn apply_rules(&mut self, now: Time, number: NumberIx, channel: Channel, shared: &[bool]) {
        let group = self.roster.number(number).group;
        for (i, is_shared) in shared.iter().copied().enumerate() {
            let rule = &self.detection[group.0 as usize].rules[i];
            if rule.channel != channel {
                continue;
            }
            let state = self.channel(number, channel);
            let rule = rule_for(state.rollback, rule).into_owned();
            let window = std::iter::once(state.window_of(&rule));
            if !self.is_watched(number, channel) || rule.is_moot(now, window) {
                continue;
            }
            let evidence = Window::gather([state.window_of(&rule)].into_iter(), &rule, now);
            let is_told = |met: &[Option<Time>]| self.is_told(&rule, group, met);
            // An outage is told of for all numbers together.
            let of_outage = |e: &Evidence| e.reasons.first().is_some_and(|r| r.reason == Reason::Carrier);
            let is_told = is_told(&state.met)
                || is_told(&self.groups[group.0 as usize][channel.index()].met)
                || rule.subject.is_excess() && of_outage(&evidence) && self.detector.is_outage(now);
            let is_curable = |e: &Evidence| e.reasons.first().is_some_and(|r| r.reason.is_curable());
            // What a swap would cure the detector has told of, where it has decided.
            let is_told =
                is_told || rule.subject.is_excess() && is_curable(&evidence) && self.is_decided(now, number, channel);
            if is_told && rule.subject.is_excess() {
                // Nor need it be told once the other rule is not met any more.
                self.channel_mut(number, channel).window_of_mut(&rule).excess_is_told();
            }
            if let Some(at) = rule.due_at(&evidence).filter(|at| now < *at) {
                // Nobody need call again until then.
                self.rules_at.insert((at, number, channel));
            }
            if rule.subject == RuleSubject::Excess {
                let is_detectors = rule.is_met(&evidence, now) && !is_told && is_curable(&evidence);
                let is_on = self.detection[group.0 as usize].params.is_on;
                let state = self.channel_mut(number, channel);
                let since = state.excess_since.filter(|_| is_detectors).unwrap_or(now);
                state.excess_since = is_detectors.then_some(since);
                if is_detectors && is_on && now < since + DETECTOR_FIRST {
                    self.rules_at.insert((since + DETECTOR_FIRST, number, channel));
                    continue;
                }
            }
            if rule.is_met(&evidence, now) && !is_told && !self.has_witnesses(now, &rule, &[number]) {
                let state = self.channel_mut(number, channel);
                let is_new = meet(&mut state.met, i, &rule, now);
                self.dirty.insert((number, channel));
                let rule_text = rule.text(&evidence);
                let window = self.channel(number, channel).window_of(&rule);
                let told = Window::gather([window].into_iter(), &rule.from_its_begin(&evidence, now), now);
                let case = Case { group, channel, numbers: &[number], evidence: &told, rule: rule_text };
                // The group's page has told of it already.
                self.act_on_rule(now, &rule, &case, is_new && !is_shared);
            }
        }
    }

    /// True if what the group's numbers share meets the rule.
    fn apply_group_rule(&mut self, now: Time, group: GroupIx, i: usize, rule: &Rule) -> bool {
        let channel = rule.channel;
        let (evidence, numbers) = self.group_windows(group, channel, rule, now);
        let is_met = evidence.failing_numbers >= 2 && rule.is_met(&evidence, now);
        let is_told = self.is_told(rule, group, &self.groups[group.0 as usize][channel.index()].met);
        if !is_met || is_told || self.has_witnesses(now, rule, &numbers) {
            return false;
        }
        let state = &mut self.groups[group.0 as usize][channel.index()];
        let is_new = meet(&mut state.met, i, rule, now);
        self.dirty_groups.insert((group, channel));
        let rule_text = rule.text(&evidence);
        let (told, _) = self.group_windows(group, channel, &rule.from_its_begin(&evidence, now), now);
        let case = Case { group, channel, numbers: &numbers, evidence: &told, rule: rule_text };
        self.act_on_rule(now, rule, &case, is_new);
        true
    }

    /// True if nothing of a group can meet the rule: said without a look at all its calls.
    fn is_moot_for_group(&self, now: Time, group: GroupIx, rule: &Rule) -> bool {
        if rule.subject.is_excess() {
            return true;
        }
        rule.is_moot(now, self.on_own_handler(group, rule.channel).map(|(_, state)| state.window_of(rule)))
    }

    /// Another rule that is met says what a run, a sum or another count of calls would say.
    fn is_told(&self, rule: &Rule, group: GroupIx, met: &[Option<Time>]) -> bool {
        let says_it = |other: &Rule| match other.subject {
            RuleSubject::Calls if rule.subject == RuleSubject::Calls => other != rule,
            RuleSubject::Callers if rule.subject == RuleSubject::Calls => false,
            RuleSubject::Callers | RuleSubject::Calls => !rule.subject.is_sent(),
            RuleSubject::Recipients => rule.subject.is_sent(),
            RuleSubject::Run => rule.subject == RuleSubject::Excess,
            RuleSubject::SentRun => rule.subject == RuleSubject::SentExcess,
            RuleSubject::Excess => rule.subject == RuleSubject::Run,
            RuleSubject::SentExcess => rule.subject == RuleSubject::SentRun,
            RuleSubject::Warnings => false,
        };
        let rules = &self.detection[group.0 as usize].rules;
        let mut others = met.iter().zip(rules).filter(|(met, _)| met.is_some()).map(|(_, other)| other);
        (rule.subject.is_run() || rule.subject.is_excess() || rule.subject == RuleSubject::Calls)
            && others.any(|other| other.channel == rule.channel && says_it(other))
    }

    /// What is decided about, or has different callers to speak for it, needs no rule that counts calls.
    fn has_witnesses(&self, now: Time, rule: &Rule, numbers: &[NumberIx]) -> bool {
        match rule.subject {
            RuleSubject::Calls => {}
            RuleSubject::Run => return numbers.iter().any(|n| self.is_decided(now, *n, rule.channel)),
            RuleSubject::Callers
            | RuleSubject::Warnings
            | RuleSubject::Recipients
            | RuleSubject::SentRun
            | RuleSubject::Excess
            | RuleSubject::SentExcess => return false,
        }
        let callers = Rule { subject: RuleSubject::Callers, ..rule.clone() };
        let windows = numbers.iter().map(|n| &self.channel(*n, rule.channel).window);
        numbers.iter().any(|n| self.channel(*n, rule.channel).decided)
            || Window::gather(windows, &callers, now).failing > WITNESSES
    }

    /// A rollback is decided; or it is asked for, or blocked, and waits: people have been told.
    fn is_decided(&self, now: Time, number: NumberIx, channel: Channel) -> bool {
        let state = self.channel(number, channel);
        state.decided || state.rollback == RollbackProgress::Pending || state.not_before.is_some_and(|at| now < at)
    }

    fn act_on_rule(&mut self, now: Time, rule: &Rule, case: &Case<'_>, is_new: bool) {
        if self.is_blind(case.channel, now) {
            let due = match rule.action {
                RuleAction::Rollback => &mut self.recheck,
                RuleAction::Page => &mut self.rules_due,
            };
            due.extend(case.numbers.iter().map(|n| (*n, case.channel)));
            return;
        }
        match rule.action {
            RuleAction::Rollback => self.decide(now, case),
            RuleAction::Page if is_new => {
                if let Some(leading) = case.evidence.reasons.first()
                    // An outage has been told of for all numbers together.
                    && !(leading.reason == Reason::Carrier && self.detector.is_outage(now))
                {
                    let is_on_fallback = |n: &NumberIx| self.channel(*n, case.channel).rollback.is_done();
                    let reason = match rule.subject {
                        RuleSubject::Callers
                            if leading.reason.is_curable() && case.numbers.iter().all(is_on_fallback) =>
                        {
                            // What else a swap would have cured fails on the fallback too: it is that which fails.
                            if leading.reason.is_at_handler() {
                                PageReason::OldHandler
                            } else {
                                PageReason::Failing(Reason::Fallback)
                            }
                        }
                        RuleSubject::Callers
                        | RuleSubject::Recipients
                        | RuleSubject::SentRun
                        | RuleSubject::Excess
                        | RuleSubject::SentExcess => PageReason::Failing(leading.reason),
                        RuleSubject::Run if self.says_what(now, rule, case, leading.reason) => {
                            PageReason::Failing(leading.reason)
                        }
                        RuleSubject::Calls | RuleSubject::Run => PageReason::FewCallers,
                        RuleSubject::Warnings => PageReason::ErrorsBesideService,
                    };
                    self.decided(now, Action::Page { reason }, case.numbers, case);
                }
            }
            RuleAction::Page => {}
        }
    }

    /// A run's reason says what it is, and no detector waits for more callers: where a swap would not cure it and many
    /// have met it, or the swap has been made.
    fn says_what(&self, now: Time, rule: &Rule, case: &Case<'_>, leading: Reason) -> bool {
        let windows = case.numbers.iter().map(|n| self.channel(*n, case.channel).window_of(rule));
        let has_many = || Window::callers_of_run(windows, rule, now) > WITNESSES as usize;
        leading == Reason::Fallback || !leading.is_curable() && has_many()
    }

    /// What a rule sees of a group's numbers that are on their own handler.
    fn group_windows(&self, group: GroupIx, channel: Channel, rule: &Rule, now: Time) -> (Evidence, Vec<NumberIx>) {
        let windows = self.on_own_handler(group, channel).map(|(_, state)| state.window_of(rule));
        let numbers = self.on_own_handler(group, channel).map(|(n, _)| n).collect();
        (Window::gather(windows, rule, now), numbers)
    }

    /// Those of a group's numbers whose calls say something of the handler that they share.
    fn on_own_handler(&self, group: GroupIx, channel: Channel) -> impl Iterator<Item = (NumberIx, &ChannelState)> {
        let numbers = self.roster.group(group).numbers.iter().copied().filter(move |n| self.is_watched(*n, channel));
        let states = numbers.map(move |n| (n, self.channel(n, channel)));
        states.filter(|(_, state)| state.rollback == RollbackProgress::None)
    }

    /// Which rules a number no longer meets.
    pub(super) fn unmeet_rules(&mut self, now: Time, number: NumberIx, channel: Channel) {
        let rules = &self.detection[self.roster.number(number).group.0 as usize].rules;
        let state = &mut self.channels[number.0 as usize][channel.index()];
        let mut met = std::mem::take(&mut state.met);
        for (met, rule) in met.iter_mut().zip(rules) {
            let rule = rule_for(state.rollback, rule);
            *met = met.filter(|_| rule.is_met(&Window::gather([state.window_of(&rule)].into_iter(), &rule, now), now));
        }
        state.met = met;
    }

    pub(super) fn unmeet_group_rules(&mut self, now: Time, group: GroupIx, channel: Channel) {
        let mut met = std::mem::take(&mut self.groups[group.0 as usize][channel.index()].met);
        for (met, rule) in met.iter_mut().zip(&self.detection[group.0 as usize].rules) {
            *met = met.filter(|_| rule.is_met(&self.group_windows(group, channel, rule, now).0, now));
        }
        self.groups[group.0 as usize][channel.index()].met = met;
    }
}

impl ChannelState {
    /// What a rule looks at.
    const fn window_of(&self, rule: &Rule) -> &Window {
        if rule.subject.is_sent() { &self.sent } else { &self.window }
    }

    const fn window_of_mut(&mut self, rule: &Rule) -> &mut Window {
        if rule.subject.is_sent() { &mut self.sent } else { &mut self.window }
    }
}

/// What a rule is for a number in this state. On the fallback no detector waits for what a swap would cure: whoever
/// fails there fails for good, and a person is told.
fn rule_for(rollback: RollbackProgress, rule: &Rule) -> Cow<'_, Rule> {
    let counts_all = rollback.is_done() && rule.subject == RuleSubject::Callers && rule.action == RuleAction::Page;
    if counts_all { Cow::Owned(Rule { reasons: Reason::ALL.to_vec(), ..rule.clone() }) } else { Cow::Borrowed(rule) }
}

/// Notes that a rule is met. True if that is to be told: it is news, or a person was told a while ago, it goes on, and
/// nobody is to think it over.
fn meet(met: &mut Vec<Option<Time>>, i: usize, rule: &Rule, now: Time) -> bool {
    if met.len() <= i {
        met.resize(i + 1, None);
    }
    let is_due = met[i].is_none_or(|told_at| rule.action == RuleAction::Page && told_at + TOLD_AGAIN <= now);
    if is_due {
        met[i] = Some(now);
    }
    is_due
}
