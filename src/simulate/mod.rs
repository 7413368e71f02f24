//! What the rules in force would do: how often they would roll healthy numbers back, and how soon they
//! see callers fail. So thresholds are chosen with open eyes and before the day.
//!
//! Days of a [traffic model](traffic) are played through the [`Player`] that replays recordings, so it
//! is the engine of `run` that decides. Each group is played by itself, small ones in several copies
//! side by side: what rolls numbers back never looks beyond a group. What pages for silence and outages
//! does, and is not counted. Groups that differ in name alone are played once, local time is UTC, and
//! ports are over; fallbacks are taken to be there, for the question is what would be decided.
//!
//! Promises: no clock, no network, and all chance from the seed, so the same rules and seed give the
//! same report. The seed gives every group and every configuration the same kind of days, so that
//! differences come from the rules.

mod line;
pub mod report;
pub mod traffic;

use std::time::Duration;

use crate::core::detect::engine::EngineSettings;
use crate::core::detect::statistic::Detection;
use crate::core::model::decision::{Action, Decision};
use crate::core::model::facts::{BIN_HOST, BIN_PATH};
use crate::core::model::id::{Channel, E164, GroupName, NumberId};
use crate::core::model::roster::{Number, PortAt, Roster, UNNAMED_ACCOUNT};
use crate::core::model::time::Time;
use crate::replay::Player;
use crate::sim::chance::{Chance, Purpose, stream};
use line::{TrafficLine, peaks};
use report::{FaultShape, FaultSight, Quiet, SimulatedGroup, SimulationReport};
use traffic::{TrafficFault, TrafficModel};

/// Callers a day on each number, of the trials with a fault: from a number that is called once an hour
/// to one that is called several times a minute.
pub const LEVELS: [u32; 5] = [12, 60, 240, 1000, 5000];

/// A Monday at seven in the morning, when days begin here: any would do.
const MORNING: Time = Time::from_secs(1_767_596_400);
const DAY: Duration = Duration::from_secs(86_400);

/// Faults begin at ten, after three hours of good service, and are watched until ten at night.
const FAULT_AFTER: Duration = Duration::from_secs(3 * 3600);
pub const WATCHED_FOR: Duration = Duration::from_secs(12 * 3600);

/// Days with a fault for each kind of fault and level, numbers that fail on such a day, each in a group
/// of its own, and groups that fail as one: 40 and 20 trials, so that the true median lies in
/// the middle third of the 40, and most of the time is left for quiet days.
const RUNS: u64 = 4;
const TRIALS: usize = 10;
const GROUP_TRIALS: usize = 5;
/// Numbers of a failing group at the most: with more it is seen sooner still.
const GROUP_SIZE: usize = 10;

/// Numbers that have a quiet day together, at least: the passing of a day costs the same for all.
const TOGETHER: usize = 50;

/// Groups to which the same happens.
struct Kind {
    names: Vec<GroupName>,
    channels: Vec<[bool; 2]>,
    detection: Detection,
}

impl Kind {
    /// Groups of this kind that are played side by side.
    fn copies(&self) -> usize {
        TOGETHER.div_ceil(self.channels.len())
    }

    /// Their numbers.
    fn together(&self) -> usize {
        self.copies() * self.channels.len()
    }
}

/// Plays quiet days and days with faults. `number_days`: how many quiet days of a number, shared by
/// the groups; each is played for a day at least. `progress` is told the share that is done, 0..=1.
pub fn simulate(
    roster: &Roster,
    settings: &EngineSettings,
    seed: u64,
    number_days: u64,
    progress: &mut impl FnMut(f64),
) -> SimulationReport {
    let kinds = kinds(roster, settings);
    let days = |kind: &Kind| (number_days / kinds.len() as u64).div_ceil(kind.together() as u64).max(1);
    let trials = |kind: &Kind| RUNS * (LEVELS.len() * faults(kind).len()) as u64;
    let all: u64 = kinds.iter().map(|k| days(k) + trials(k)).sum();
    let mut done = 0;
    let mut step = || {
        done += 1;
        progress(done as f64 / all as f64);
    };
    let report = |kind: &Kind| {
        let quiet = quiet(kind, settings, seed, days(kind), &mut step);
        let mut sights = Vec::new();
        for fault in faults(kind).iter().copied() {
            for (level, callers_a_day) in LEVELS.into_iter().enumerate() {
                let mut seen = Vec::new();
                for run in 0..RUNS {
                    let chance = stream(seed, Purpose::Trial, level as u64, run);
                    seen.extend(trial(kind, settings, fault, callers_a_day, chance));
                    step();
                }
                sights.push(FaultSight::new(fault, callers_a_day, &seen));
            }
        }
        SimulatedGroup {
            groups: kind.names.clone(),
            numbers: kind.channels.len(),
            budget: 1000.0 / kind.detection.params.budget.number_days,
            quiet,
            faults: sights,
        }
    };
    SimulationReport { seed, groups: kinds.iter().map(report).collect() }
}

fn kinds(roster: &Roster, settings: &EngineSettings) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for (ix, group) in roster.groups().filter(|(_, g)| !g.numbers.is_empty()) {
        let mut channels: Vec<[bool; 2]> = group.numbers.iter().map(|n| roster.number(*n).channels).collect();
        channels.sort_unstable();
        let detection = settings.detection.get(ix.0 as usize).cloned().unwrap_or_default();
        match kinds.iter_mut().find(|k| k.channels == channels && k.detection == detection) {
            Some(kind) => kind.names.push(group.name.clone()),
            None => kinds.push(Kind { names: vec![group.name.clone()], channels, detection }),
        }
    }
    kinds
}

/// What can befall a group: one number has nothing to share a fault with.
fn faults(kind: &Kind) -> &'static [FaultShape] {
    if kind.channels.len() > 1 { &FaultShape::ALL } else { &FaultShape::OF_ONE }
}

/// The channel on which faults are tried.
fn channel(kind: &Kind) -> Channel {
    let is_called = kind.channels.iter().any(|on| on[Channel::Voice.index()]);
    if is_called { Channel::Voice } else { Channel::Messaging }
}

/// So many groups of numbers with these channels, decided upon as the kind is.
fn accounts(kind: &Kind, settings: &EngineSettings, groups: usize, channels: &[[bool; 2]]) -> (Roster, EngineSettings) {
    let mut roster = Roster::default();
    for g in 0..groups {
        let fallback = [(); 2].map(|()| Some(format!("https://{BIN_HOST}{BIN_PATH}")));
        let group = roster.add_group(kind.names[0].clone(), fallback);
        for (i, on) in channels.iter().enumerate() {
            let id = NumberId::new(UNNAMED_ACCOUNT, e164(g * channels.len() + i));
            let timezone = jiff::tz::TimeZone::UTC;
            let number = Number { id, label: String::new(), group, channels: *on, timezone, port: PortAt::Done };
            roster.add_number(number);
        }
    }
    // These numbers are made up, and have no history.
    (roster, EngineSettings { detection: vec![kind.detection.clone(); groups], history: None, ..settings.clone() })
}

fn e164(i: usize) -> E164 {
    format!("+1{:010}", 2_005_550_000 + i)
        .parse()
        .expect("eleven digits, the first of them 1, are in the form of E.164")
}

fn quiet(kind: &Kind, settings: &EngineSettings, seed: u64, days: u64, step: &mut impl FnMut()) -> Quiet {
    let (roster, settings) = accounts(kind, settings, kind.copies(), &kind.channels);
    let mut quiet = Quiet::new(days * kind.together() as u64);
    for day in 0..days {
        let mut chance = stream(seed, Purpose::Quiet, 0, day);
        let peaks: Vec<f64> = (0..kind.copies()).flat_map(|_| peaks(kind.channels.len(), &mut chance)).collect();
        let drawn = roster.numbers().zip(peaks).map(|((_, number), peak)| {
            let mut line = TrafficLine::draw(number.id.e164, peak, &mut chance);
            // Two numbers in five are also written to.
            let texts = f64::from(u8::from(chance.hits(0.4)));
            let on = number.channels.map(|on| f64::from(u8::from(on)));
            line.peak = [line.peak[0] * on[0], line.peak[1] * on[1] * texts];
            line
        });
        let lines = drawn.collect();
        let traffic = TrafficModel::new(lines, MORNING, MORNING + DAY, None, chance);
        play(&roster, &settings, traffic, |decision, _| {
            quiet.decided(decision);
            false
        });
        step();
    }
    quiet
}

/// For each number (or group) that fails on this day: how long after the fault began it was rolled
/// back, and how many callers the fault had met by then; `None` if it was not.
fn trial(
    kind: &Kind,
    settings: &EngineSettings,
    fault: FaultShape,
    callers_a_day: u32,
    mut chance: Chance,
) -> Vec<Option<(Duration, usize)>> {
    let channel = channel(kind);
    let (groups, size) = match fault {
        FaultShape::Group => (GROUP_TRIALS, kind.channels.len().min(GROUP_SIZE)),
        FaultShape::Total | FaultShape::Half | FaultShape::Quarter => (TRIALS, 1),
    };
    let (roster, settings) = accounts(kind, settings, groups, &vec![[true; 2]; size]);
    let mut lines: Vec<TrafficLine> = roster
        .numbers()
        .map(|(_, n)| TrafficLine::draw(n.id.e164, 1.0, &mut chance).at_level(channel, f64::from(callers_a_day)))
        .collect();
    if fault == FaultShape::Group {
        // What a group shares is the webhook.
        lines.iter_mut().for_each(|l| l.breaks_at_forward = false);
    }
    let from = MORNING + FAULT_AFTER;
    let until = from + WATCHED_FOR;
    let traffic = TrafficModel::new(lines, MORNING, until, Some(TrafficFault { from, share: fault.share() }), chance);
    let mut left = vec![size; groups];
    let mut seen = vec![None; groups];
    // Rolled back before there was a fault: says nothing of how soon faults are seen.
    let mut early = vec![false; groups];
    play(&roster, &settings, traffic, |decision, traffic| {
        if decision.action != Action::Rollback || decision.channel != channel || decision.at > until {
            return decision.at > until;
        }
        for ix in decision.numbers.iter().filter_map(|n| roster.find(*n)) {
            let group = ix.0 as usize / size;
            left[group] -= 1;
            early[group] |= decision.at < from;
            if left[group] == 0 {
                let met = (group * size..(group + 1) * size).map(|line| traffic.met(line, decision.at)).sum();
                seen[group] = Some((decision.at.since(from), met));
            }
        }
        left.iter().all(|left| *left == 0)
    });
    seen.into_iter().zip(early).filter(|(_, early)| !early).map(|(seen, _)| seen).collect()
}

/// Plays a day. `decided` is given each decision, and says whether that is enough.
fn play(
    roster: &Roster,
    settings: &EngineSettings,
    mut traffic: TrafficModel,
    mut decided: impl FnMut(&Decision, &TrafficModel) -> bool,
) {
    let mut player = Player::new(roster.clone(), settings.clone());
    let mut decisions = Vec::new();
    while let Some((at, observation)) = traffic.next() {
        player.observe(at, UNNAMED_ACCOUNT, &observation, &mut |decision| decisions.push(decision));
        if decisions.drain(..).any(|decision| decided(&decision, &traffic)) {
            return;
        }
    }
}
