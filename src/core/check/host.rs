//! The agent's own side: where its state lies, at which address it listens, how it places test calls, whom it tells,
//! and how long a swap takes it.

use std::time::Duration;

use super::code::FindingCode;
use super::facts::{Facts, ListenFound, Unlooked};
use super::report::{Finder, on};
use crate::model::facts::LARGEST_PAGE;
use crate::model::id::Channel;

/// File systems that are memory.
const IN_MEMORY: [&str; 3] = ["tmpfs", "ramfs", "devtmpfs"];

/// File systems of a network; those of `fuse` besides, as `sshfs` is.
const ON_A_NETWORK: [&str; 10] = ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs"];

/// With less room than this a week of a busy port day may not fit: the log of 100,000 calls a day, kept for seven
/// days at some 700 bytes each with their legs, alerts and indexes, and as much again while SQLite tidies up.
const LITTLE_ROOM: u64 = 1_000_000_000;

/// A swap that takes longer is told of.
const LONG: Duration = Duration::from_secs(120);

pub fn check(facts: &Facts, finder: &mut Finder<'_>) {
    probes(facts, finder);
    state(facts, finder);
    for warning in &facts.configuration_warnings {
        finder.find(FindingCode::ConfigurationWarns, warning);
    }
    match &facts.listen {
        Ok(ListenFound::Free | ListenFound::OurAgent) => {}
        Ok(ListenFound::Other(what)) => finder.find(FindingCode::ListenTaken, what),
        Err(why) => finder.skip(&[FindingCode::ListenTaken], why),
    }
    if !facts.has_token {
        finder.find(FindingCode::NoToken, "neither RINGBACK_TOKEN nor agent.token_file is set");
    }
    notifiers(facts, finder);
    swaps(facts, finder);
}

fn probes(facts: &Facts, finder: &mut Finder<'_>) {
    for group in &facts.unprobed {
        finder.find_group(FindingCode::NoProbe, "it has no [group.probe]", *group);
    }
    for prober in &facts.probers {
        let number = prober.number;
        match &prober.lacks {
            Err(why) => finder.skip(&[FindingCode::ProberMissing, FindingCode::ProberLacks], why),
            Ok(None) => {
                finder.find_group(FindingCode::ProberMissing, format!("{number} is not there"), prober.group);
            }
            Ok(Some(lacks)) => {
                for channel in Channel::ALL.into_iter().filter(|c| prober.needs[c.index()] && lacks[c.index()]) {
                    let seen = format!("{number} has no {}", on(channel));
                    finder.find_group(FindingCode::ProberLacks, seen, prober.group);
                }
            }
        }
    }
}

fn state(facts: &Facts, finder: &mut Finder<'_>) {
    use FindingCode::{StateHasLittleRoom, StateNotWritable, StateOnNetwork, StateVolatile};
    let found = &facts.state;
    if let Some(problem) = &found.problem {
        finder.find(StateNotWritable, format!("{}: {problem}", found.path));
        let codes = [StateVolatile, StateOnNetwork, StateHasLittleRoom];
        return finder.skip(&codes, &Unlooked::depends_on(StateNotWritable));
    }
    match &found.free {
        Ok(free) if *free < LITTLE_ROOM => {
            let megabytes = free / 1_000_000;
            finder.find(StateHasLittleRoom, format!("{megabytes} MB are free where {} lies", found.path));
        }
        Ok(_) => {}
        Err(why) => finder.skip(&[StateHasLittleRoom], why),
    }
    match &found.kind {
        Ok(kind) if IN_MEMORY.contains(&kind.as_str()) => {
            finder.find(StateVolatile, format!("{} is on {kind}", found.path));
        }
        Ok(kind) if ON_A_NETWORK.contains(&kind.as_str()) || kind.starts_with("fuse.") => {
            finder.find(StateOnNetwork, format!("{} is on {kind}", found.path));
        }
        Ok(_) => {}
        Err(why) => finder.skip(&[StateVolatile, StateOnNetwork], why),
    }
}

fn notifiers(facts: &Facts, finder: &mut Finder<'_>) {
    use FindingCode::{NoNotifier, NotifierFails, OnlyThroughTwilio};
    if facts.notifiers.is_empty() {
        finder.find(NoNotifier, "there is no [[notify]]");
        return finder.skip(&[OnlyThroughTwilio, NotifierFails], &Unlooked::depends_on(NoNotifier));
    }
    if !facts.notifiers.iter().any(|n| n.through_twilio == Some(false)) {
        let names: Vec<&str> = facts.notifiers.iter().map(|n| n.name.as_str()).collect();
        finder.find(OnlyThroughTwilio, format!("there are {}", names.join(", ")));
    }
    for notifier in &facts.notifiers {
        match &notifier.test {
            Ok(Ok(())) => {}
            Ok(Err(why)) => finder.find(NotifierFails, format!("{}: {why}", notifier.name)),
            Err(why) => finder.skip(&[NotifierFails], why),
        }
    }
}

/// How long swaps take: whatever may be in flight is, and each number costs a write and a read.
fn swaps(facts: &Facts, finder: &mut Finder<'_>) {
    let request = match &facts.pace.request {
        Ok(request) => *request,
        Err(why) => return finder.skip(&[FindingCode::SlowSwap], why),
    };
    let roster = finder.roster;
    let times = |n: usize, d: Duration| d.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
    for (ix, group) in roster.groups() {
        let has = |channel: Channel| group.numbers.iter().any(|n| roster.number(*n).channels[channel.index()]);
        if !Channel::ALL.into_iter().any(|c| has(c) && group.fallback(c).is_some()) {
            continue;
        }
        let count = group.numbers.len();
        let rounds = count.div_ceil(facts.pace.at_once.max(1));
        let written = times(2 * rounds + 2 * count.div_ceil(LARGEST_PAGE), request);
        let is_probed = !facts.unprobed.contains(&ix);
        let proven = is_probed.then(|| written + times(count, facts.pace.between_calls));
        finder.swap_takes(ix, count, written, proven);
        if written > LONG {
            let seconds = written.as_secs();
            finder.find_group(FindingCode::SlowSwap, format!("{count} numbers take about {seconds} s"), ix);
        }
    }
}
