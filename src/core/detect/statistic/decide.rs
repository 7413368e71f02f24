//! Is it enough? The statistics of numbers and groups against their thresholds.

use std::collections::HashMap;

use super::params::Params;
use super::stream::weigh::{Weighing, Weight};
use super::stream::{Stream, StreamEntryKind};
use super::{Detector, Finding, FindingKind, evidence};
use crate::model::id::Channel;
use crate::model::roster::{GroupIx, NumberIx, Roster};
use crate::model::time::Time;
use crate::model::verdict::{Evidence, Score};

/// Fewer different callers are no fault of the handler's, however often each called: one caller is one witness, also a
/// day later. The rules that count calls tell of them. A test call that failed speaks with them.
const WITNESSES: u32 = 3;

impl Detector {
    /// Does what has just been seen suffice? The group is asked first: it explains more.
    pub fn decide(&mut self, roster: &Roster, now: Time, number: NumberIx, channel: Channel) -> Option<Finding> {
        self.catch_up(roster);
        if self.is_muted[number.0 as usize][channel.index()] {
            return None;
        }
        let group = roster.number(number).group;
        let (weight, score) = self.weigh_group(group, channel, now);
        let by_witnesses = |e: &Evidence| e.failing_probes > 0 || e.failing >= WITNESSES;
        if score.is_enough() && self.is_broad(roster, group, channel, &weight) {
            let stream = &self.group_streams[group.0 as usize][channel.index()];
            let numbers = roster.group(group).numbers.iter().copied();
            let numbers: Vec<NumberIx> = numbers.filter(|n| !self.is_muted[n.0 as usize][channel.index()]).collect();
            let share = self.params[group.0 as usize].group_grid[weight.share].0;
            let mut evidence = self.evidence(stream, channel, &weight, share, score);
            evidence.numbers = numbers.len() as u32;
            if by_witnesses(&evidence) {
                return Some(Finding { what: FindingKind::GroupFault, channel, group: Some(group), numbers, evidence });
            }
        }
        let (weight, score) = self.weigh_number(roster, number, channel, now);
        if score.is_enough() {
            let stream = &self.streams[number.0 as usize][channel.index()];
            let share = self.params[group.0 as usize].grid[weight.share].0;
            let evidence = Evidence { numbers: 1, ..self.evidence(stream, channel, &weight, share, score) };
            if !by_witnesses(&evidence) {
                return None;
            }
            return Some(Finding {
                what: FindingKind::NumberFault,
                channel,
                group: Some(group),
                numbers: vec![number],
                evidence,
            });
        }
        None
    }

    /// How much speaks against a number's handler.
    pub fn weigh_number(&self, roster: &Roster, number: NumberIx, channel: Channel, now: Time) -> (Weight, Score) {
        let params = &self.params[roster.number(number).group.0 as usize];
        let stream = &self.streams[number.0 as usize][channel.index()];
        let rate = self.rates[number.0 as usize][channel.index()];
        let weight = stream.weigh(&Weighing {
            grid: &params.grid,
            head: params.head,
            rate: rate.per_second(now, self.start, params.rate_half_life),
            ..self.weighing(params, channel, now)
        });
        let threshold = params.number_threshold(self.a_day(stream.count().callers, now));
        (weight, score(&weight, threshold))
    }

    /// How much speaks against what a group shares.
    pub fn weigh_group(&self, group: GroupIx, channel: Channel, now: Time) -> (Weight, Score) {
        let params = &self.params[group.0 as usize];
        let stream = &self.group_streams[group.0 as usize][channel.index()];
        let rate = self.group_rates[group.0 as usize][channel.index()];
        let weight = stream.weigh(&Weighing {
            grid: &params.group_grid,
            head: params.group_head,
            rate: rate.per_second(now, self.start, params.rate_half_life),
            ..self.weighing(params, channel, now)
        });
        let threshold = params.group_threshold(self.a_day(stream.count().callers, now));
        (weight, score(&weight, threshold))
    }

    fn weighing<'a>(&'a self, params: &'a Params, channel: Channel, now: Time) -> Weighing<'a> {
        Weighing {
            grid: &params.grid,
            head: 0.0,
            redial_fails: params.redial_fails,
            failure_age: params.failure_age.as_secs_f64(),
            served_age: params.served_age.as_secs_f64(),
            now,
            rate: 0.0,
            is_muted: &self.is_muted,
            channel,
        }
    }

    /// Distinct callers a day, from those so far.
    fn a_day(&self, callers: u32, now: Time) -> f64 {
        24.0 * (f64::from(callers) + 0.5) / (now.since(self.start).as_secs_f64() / 3600.0 + 1.0)
    }

    /// Does the evidence against a group survive without its loudest number, and come from several?
    fn is_broad(&self, roster: &Roster, group: GroupIx, channel: Channel, weight: &Weight) -> bool {
        let params = &self.params[group.0 as usize];
        let (x, _) = params.group_grid[weight.share];
        let mut by_number: HashMap<NumberIx, (f64, bool)> = HashMap::new();
        for e in &self.group_streams[group.0 as usize][channel.index()].entries()[weight.since..] {
            if self.is_muted[e.number.0 as usize][channel.index()] {
                continue;
            }
            let (llr, failed) = match e.kind {
                StreamEntryKind::Served => ((1.0 - x).ln() - e.ln_served, false),
                StreamEntryKind::Failed => (x.ln() - e.ln_fails, true),
                StreamEntryKind::Repeated | StreamEntryKind::GotThrough | StreamEntryKind::Void => continue,
            };
            let of = by_number.entry(e.number).or_default();
            of.0 += llr;
            of.1 |= failed;
        }
        let failing = by_number.values().filter(|(_, failed)| *failed).count();
        let members = roster.group(group).numbers.len();
        // Groups of two and three cannot have three failing numbers beside a healthy one.
        if failing < params.breadth.min(2.max(members.saturating_sub(1))) {
            return false;
        }
        let mut said: Vec<f64> = by_number.values().map(|(llr, _)| *llr).collect();
        // Sorted, so that the sum does not depend on the order of a hash map.
        said.sort_by(f64::total_cmp);
        let loudest = said.last().copied().unwrap_or(0.0);
        said.iter().sum::<f64>() - loudest >= params.without_loudest
    }

    /// What a finding, or a look at a number, rests on.
    fn evidence(&self, stream: &Stream, channel: Channel, weight: &Weight, share: f64, score: Score) -> Evidence {
        let entries = stream.entries().get(weight.since..).unwrap_or_default().iter();
        let heard = entries.filter(|e| !self.is_muted[e.number.0 as usize][channel.index()]);
        Evidence { share: Some(share), score: Some(score), ..evidence::gather(heard) }
    }

    /// What is known of a number, whether or not anything was found.
    pub fn look_at_number(&self, roster: &Roster, number: NumberIx, channel: Channel, now: Time) -> (Score, Evidence) {
        let (weight, score) = self.weigh_number(roster, number, channel, now);
        let stream = &self.streams[number.0 as usize][channel.index()];
        let share = self.params[roster.number(number).group.0 as usize].grid[weight.share].0;
        (score, self.evidence(stream, channel, &weight, share, score))
    }

    /// The same of a group, and whether the evidence comes from several of its numbers.
    pub fn look_at_group(
        &self,
        roster: &Roster,
        group: GroupIx,
        channel: Channel,
        now: Time,
    ) -> (Score, bool, Evidence) {
        let (weight, score) = self.weigh_group(group, channel, now);
        let stream = &self.group_streams[group.0 as usize][channel.index()];
        let share = self.params[group.0 as usize].group_grid[weight.share].0;
        let is_broad = self.is_broad(roster, group, channel, &weight);
        (score, is_broad, self.evidence(stream, channel, &weight, share, score))
    }
}

/// In logarithms, as people are told. Nothing at all says nothing: not minus infinity.
fn score(weight: &Weight, threshold: f64) -> Score {
    Score { statistic: weight.statistic.max(1e-9).ln(), threshold: threshold.ln() }
}
