//! `[group.probe]` and `[probes]`: test calls and messages.

use std::time::Duration;

use super::field::WholeNumber;
use super::section::{Located, Section, span_text};
use super::{DAY, MINUTE, SECOND};
use crate::core::probe::hearing::Marker;
use crate::core::probe::plan::{Limits, ProbeBudget};
use crate::core::probe::{External, Hear, ProbeSettings};

/// Everything that the file says of probes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Probes {
    /// By group.
    pub groups: Vec<Option<ProbeSettings>>,
    pub limits: Limits,
}

/// Reads `[group.probe]`.
pub fn read(mut s: Section<'_>) -> ProbeSettings {
    let faults = s.faults();
    let default = ProbeSettings::default();
    let from = s.parse::<WholeNumber>("from").map(|f| Located { value: f.value.0, span: f.span });
    let externals: Vec<External> = s.sections("external").into_iter().filter_map(read_external).collect();
    if from.is_none() && externals.is_empty() {
        s.require("from", "name the number that test calls come from, or a command with [[group.probe.external]]");
    }
    let time =
        |s: &mut Section<'_>, key, least, most, default| s.duration(key, least, most).map_or(default, |d| d.value);
    // A round of test calls costs money: nobody means less than ten seconds.
    let every = time(&mut s, "every", 10 * SECOND, DAY, default.every);
    let passive_every = s.duration("passive_every", 10 * SECOND, 7 * DAY);
    if let Some(passive) = passive_every.as_ref().filter(|p| p.value < every) {
        let problem = format!(
            "{} = \"{}\": passive is the slower pace; make it no shorter than every (\"{}\")",
            s.key("passive_every"),
            span_text(passive.value),
            span_text(every)
        );
        faults.at(passive.span.clone(), problem);
    }
    let timeout = time(&mut s, "timeout", 5 * SECOND, 2 * MINUTE, default.timeout);
    let listen = time(&mut s, "listen", SECOND, 2 * MINUTE, default.listen);
    let limit = s.duration("time_limit", 5 * SECOND, 5 * MINUTE);
    let least = listen + 5 * SECOND;
    if let Some(limit) = limit.as_ref().filter(|l| l.value < least) {
        let problem = format!(
            "{} = \"{}\": a call listens for {} first; allow at least \"{}\"",
            s.key("time_limit"),
            span_text(limit.value),
            span_text(listen),
            span_text(least)
        );
        faults.at(limit.span.clone(), problem);
    }
    let min_duration = s.duration("min_duration", Duration::ZERO, 2 * MINUTE);
    if let Some(min) = min_duration.as_ref().filter(|m| m.value > listen) {
        let problem = format!(
            "{} = \"{}\": the call is hung up after listen (\"{}\"), so it would never last that long",
            s.key("min_duration"),
            span_text(min.value),
            span_text(listen)
        );
        faults.at(min.span.clone(), problem);
    }
    let settings = ProbeSettings {
        from: from.map(|f| f.value),
        externals,
        every,
        passive_every: passive_every.map_or(default.passive_every.max(every), |p| p.value),
        timeout,
        time_limit: limit.map_or(default.time_limit.max(least), |l| l.value),
        listen,
        min_duration: min_duration.map_or(default.min_duration.min(listen), |m| m.value),
        hear: s.section("hear").map_or_else(Hear::default, read_hear),
        on_suspicion: s.boolean("on_suspicion").unwrap_or(default.on_suspicion),
        handler_request: s.boolean("handler_request").unwrap_or(default.handler_request),
        fails_for: time(&mut s, "fails_for", Duration::ZERO, 30 * MINUTE, default.fails_for),
        expects_reply: s.boolean("expects_reply").unwrap_or(default.expects_reply),
        budget: read_budget(&mut s, default.budget),
    };
    s.finish();
    settings
}

fn read_hear(mut s: Section<'_>) -> Hear {
    let hear = Hear {
        speech: s.boolean("speech").unwrap_or(false),
        marker: s.parse::<Marker>("marker").map(|m| m.value),
        fallback_marker: s.parse::<Marker>("fallback_marker").map(|m| m.value),
        keep: s.boolean("keep").unwrap_or(false),
    };
    s.finish();
    hear
}

fn read_external(mut s: Section<'_>) -> Option<External> {
    s.require("command", "write the program and its arguments, such as [\"/usr/local/bin/dial\", \"--json\"]");
    let command: Option<Vec<String>> = s.list::<String>("command").map(|l| l.into_iter().map(|c| c.value).collect());
    if s.is_empty_list("command") {
        s.faults().at(s.span(), format!("{} is empty: name the program first", s.key("command")));
    }
    let from = s.parse::<WholeNumber>("from").map(|f| f.value.0);
    let timeout = s.duration("timeout", 5 * SECOND, 5 * MINUTE).map_or(90 * SECOND, |t| t.value);
    s.finish();
    command.filter(|c| !c.is_empty()).map(|command| External { command, from, timeout })
}

fn read_budget(s: &mut Section<'_>, default: ProbeBudget) -> ProbeBudget {
    let budget = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let per_hour = s.integer("per_hour", 1, 100_000).map_or(default.per_hour, budget);
    let per_day = s.integer("per_day", 1, 1_000_000).map_or(default.per_day.max(per_hour), budget);
    if per_day < per_hour {
        let problem = format!("{} = {per_day}: is less than per_hour ({per_hour})", s.key("per_day"));
        s.faults().at(s.span(), problem);
    }
    ProbeBudget { per_hour, per_day }
}

/// Reads `[probes]`: what all groups together may do.
pub fn read_limits(mut s: Section<'_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        calls_per_second: s.number("calls_per_second", 0.1, 100.0).map_or(default.calls_per_second, |n| n.value),
        reserve: s.number("reserve", 0.0, 0.9).map_or(default.reserve, |n| n.value),
        at_once: s.integer("at_once", 1, 50).map_or(default.at_once, |n| n as usize),
        budget: read_budget(&mut s, default.budget),
    };
    s.finish();
    limits
}
