//! `[group.detector]` and `[[group.threshold]]`: how a group's trouble is found.

use std::time::Duration;

use super::section::{Section, span_text};
use super::{DAY, MINUTE};
use crate::core::detect::statistic::params::Params;
use crate::core::detect::statistic::threshold::{Rule, RuleAction, RuleSubject};
use crate::core::detect::statistic::{Detection, params};
use crate::core::model::facts::CALL_AND_ALERT_VISIBLE;
use crate::core::model::id::Channel;
use crate::core::model::reason::Reason;

/// More callers a second than this no number gets.
const CALLERS_A_SECOND: f64 = 2.0;

/// Reads what a group says of detection. `passive`: the longest time between two polls.
pub fn read(s: &mut Section<'_>, channels: [bool; 2], passive: Duration) -> Detection {
    let mut detection = Detection::default();
    if let Some(detector) = s.section("detector") {
        detection.params = read_detector(detector);
    }
    let mut own = Vec::new();
    for threshold in s.sections("threshold") {
        own.extend(read_threshold(threshold, channels, passive));
    }
    // A page rule of the user's own takes the place of ours about callers.
    let is_own = |c: Channel| own.iter().any(|r: &Rule| r.channel == c && r.action == RuleAction::Page);
    detection.rules.retain(|r| r.subject != RuleSubject::Callers || !is_own(r.channel));
    detection.rules.extend(own);
    detection
}

fn read_detector(mut s: Section<'_>) -> Params {
    let default = Params::default();
    let is_on = s.boolean("enabled").unwrap_or(default.is_on);
    let budget = s.parse::<params::FalseAlarmBudget>("budget").map_or(default.budget, |b| b.value);
    let cap = s.number("usual_failures", params::CAP.0, params::CAP.1).map_or(default.cap, |n| n.value);
    s.finish();
    Params { is_on, budget, cap, ..default }
}

fn read_threshold(mut s: Section<'_>, channels: [bool; 2], passive: Duration) -> Vec<Rule> {
    let faults = s.faults();
    s.require("callers", "how many distinct callers must have failed?");
    s.require("within", "in how long? such as \"10m\"");
    let callers = s.number("callers", 1.0, 10_000.0);
    let ratio = s.number("ratio", 0.01, 1.0).map_or(0.5, |n| n.value);
    let within = s.duration("within", MINUTE, DAY);
    let channel = s.parse::<Channel>("channel");
    let actions = [("rollback", RuleAction::Rollback), ("page", RuleAction::Page)];
    let action = s.choice("action", &actions).unwrap_or(RuleAction::Rollback);
    let listed = s.list::<Reason>("reasons");
    if s.is_empty_list("reasons") {
        faults.at(s.span(), format!("{} is empty: name reasons, or leave it out", s.key("reasons")));
    }
    if let Some(channel) = channel.as_ref().filter(|c| !channels[c.value.index()]) {
        let problem = format!("{} = \"{}\": the group's channels do not include it", s.key("channel"), channel.value);
        faults.at(channel.span.clone(), problem);
    }
    for reason in listed.iter().flatten().filter(|r| action == RuleAction::Rollback && !r.value.is_curable()) {
        let curable: Vec<&str> = Reason::ALL.into_iter().filter(|r| r.is_curable()).map(Reason::label).collect();
        let problem = format!(
            "{}: \"{}\" cannot be cured by a swap, so it cannot roll back; use action = \"page\", or some of {}",
            s.key("reasons"),
            reason.value.label(),
            curable.join(", ")
        );
        faults.at(reason.span.clone(), problem);
    }
    if let (Some(callers), Some(within)) = (&callers, &within) {
        let least = CALL_AND_ALERT_VISIBLE + passive;
        if callers.value.fract() != 0.0 {
            faults
                .at(callers.span.clone(), format!("{} = {}: must be a whole number", s.key("callers"), callers.value));
        }
        if within.value < least {
            let problem = format!(
                "{} = \"{}\": no window shorter than \"{}\" can be filled, since a call shows up to 90 s after its end and \
                 is looked for every {}",
                s.key("within"),
                span_text(within.value),
                span_text(least),
                span_text(passive)
            );
            faults.at(within.span.clone(), problem);
        } else if callers.value > within.value.as_secs_f64() * CALLERS_A_SECOND {
            let problem = format!(
                "{} = {}: no number has that many callers within {}; raise within, or lower callers",
                s.key("callers"),
                callers.value,
                span_text(within.value)
            );
            faults.at(callers.span.clone(), problem);
        }
    }
    s.finish();
    let (Some(callers), Some(within)) = (callers, within) else {
        return Vec::new();
    };
    let by_default = |r: &Reason| action == RuleAction::Page || r.is_curable();
    let reasons: Vec<Reason> = match listed {
        Some(listed) => listed.into_iter().map(|r| r.value).collect(),
        None => Reason::ALL.into_iter().filter(by_default).collect(),
    };
    let rule = |channel| Rule {
        subject: RuleSubject::Callers,
        callers: callers.value as u32,
        ratio,
        within: within.value,
        channel,
        reasons: reasons.clone(),
        action,
    };
    match channel {
        Some(channel) => vec![rule(channel.value)],
        None => Channel::ALL.into_iter().filter(|c| channels[c.index()]).map(rule).collect(),
    }
}
