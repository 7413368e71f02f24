//! The weeks before: of which numbers they say nothing, and whether they are long ago.

use std::time::Duration;

use super::code::FindingCode;
use super::facts::Facts;
use super::report::Finder;
use crate::model::id::Channel;
use crate::model::roster::PortAt;

/// What is older says little of a port day: numbers come and go, and campaigns end.
const STALE_AFTER: Duration = Duration::from_secs(14 * 24 * 3600);

pub fn check(facts: &Facts, finder: &mut Finder<'_>) {
    // Without a profile nothing is expected of anybody.
    let Some(profile) = &facts.history else { return };
    let roster = finder.roster;
    for (ix, number) in roster.numbers().filter(|(_, n)| n.channels[Channel::Voice.index()]) {
        if profile.numbers.get(&number.id.e164).is_none_or(|history| history.calls == 0) {
            finder.find_number(FindingCode::NoHistory, "the profile has no call of it", ix);
            continue;
        }
        let due = match number.port {
            PortAt::At(at) => at.max(facts.at),
            PortAt::Done | PortAt::Unknown => facts.at,
        };
        if due.since(profile.to) > STALE_AFTER {
            let days = due.since(profile.to).as_secs() / 86_400;
            let seen = format!("its records end on {:.10}, {days} days before the port", profile.to.to_string());
            finder.find_number(FindingCode::HistoryStale, seen, ix);
        }
    }
}
