//! The latest callers, and what became of their calls: what health rests on, and what takes it away.
//!
//! Three callers who were served in two hours make a number healthy, but not beside others who came after them and were
//! not: whatever the statistics and the rules make of those, a number at which nobody is served any more is not healthy
//! (law 4). A rule that was met and is not met for a while, as its window moves on, ends no trouble by itself either.

use super::arrivals::{Arrivals, HEALTHY_FOR};
use crate::detect::ledger::OutcomeChange;
use crate::model::id::Resource;
use crate::model::reason::Outcome;
use crate::model::roster::NumberIx;
use crate::model::time::Time;
use crate::model::verdict::Evidence;

/// Callers who must have been served before a number is called healthy, or have failed before it is called suspect for
/// that alone: fewer say too little.
const ENOUGH: usize = 3;

/// So many are remembered, that there are enough left when one turns out not to have been served.
const KEPT: usize = 2 * ENOUGH;

/// What became of the latest callers, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lately {
    /// Enough were served, and still would be.
    Served,
    /// Enough failed, and they are more than those who were served among them.
    Failing,
    /// Too few came, or it is too long ago.
    Unknown,
}

/// A caller of a number, by the start of their last call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Caller {
    at: Time,
    hash: u64,
    number: NumberIx,
}

/// Of one outcome, the latest distinct callers.
#[derive(Clone, Copy, Debug, Default)]
struct Latest([Option<Caller>; KEPT]);

impl Latest {
    fn add(&mut self, caller: Caller) {
        // Whoever calls again is one caller still; another takes the place of the one longest ago.
        let known = self.0.iter().position(|c| c.is_some_and(|c| c.hash == caller.hash));
        let slot = match known {
            Some(i) => self.0.get_mut(i),
            None => self.0.iter_mut().min(),
        };
        if let Some(slot) = slot
            && slot.is_none_or(|last| last.at < caller.at)
        {
            *slot = Some(caller);
        }
    }

    /// A call of theirs had another outcome than it seemed. Of earlier ones nothing is known any more.
    fn take_back(&mut self, caller: Caller) {
        self.forget(|c| c.at == caller.at && c.hash == caller.hash);
    }

    fn forget(&mut self, is_it: impl Fn(&Caller) -> bool) {
        self.0.iter_mut().filter(|slot| slot.as_ref().is_some_and(&is_it)).for_each(|slot| *slot = None);
    }

    fn since(&self, since: Time) -> impl Iterator<Item = &Caller> {
        self.0.iter().flatten().filter(move |c| c.at >= since)
    }
}

/// The latest callers of a number or a group, who were served and who were not.
#[derive(Clone, Debug, Default)]
pub(super) struct LatestCallers {
    served: Latest,
    failed: Latest,
}

impl LatestCallers {
    pub(super) fn apply(&mut self, change: &OutcomeChange) {
        let caller = Caller { at: change.started_at, hash: change.party.hash, number: change.number };
        // A withheld number says nothing of how many people it is: as one they make no health, and as one they must not
        // hide that nobody is served.
        let is_withheld = change.party.last_two.is_none();
        let failed = Caller { hash: if is_withheld { own_hash(change.entry) } else { caller.hash }, ..caller };
        match change.was {
            Some(Outcome::Ok) if change.is != Outcome::Ok => self.served.take_back(caller),
            Some(Outcome::Failed(_)) if !matches!(change.is, Outcome::Failed(_)) => self.failed.take_back(failed),
            Some(Outcome::Ok | Outcome::Failed(_) | Outcome::Ignored(_)) | None => {}
        }
        match change.is {
            Outcome::Ok => self.served.add(caller),
            Outcome::Failed(_) => self.failed.add(failed),
            Outcome::Ignored(_) => {}
        }
    }

    /// Somebody met an error whose call no log shows.
    pub(super) fn failed_unseen(&mut self, at: Time, entry: Option<Resource>, number: NumberIx) {
        let hash = entry.map_or(at.as_millis().unsigned_abs(), own_hash);
        self.failed.add(Caller { at, hash, number });
    }

    /// What is known of a number's callers says nothing of the handler that it has now.
    pub(super) fn forget(&mut self, number: NumberIx) {
        self.served.forget(|c| c.number == number);
        self.failed.forget(|c| c.number == number);
    }

    /// True if so many were served since then that a number need not be watched closely any longer.
    pub(super) fn are_enough(&self, since: Time) -> bool {
        self.served.since(since).count() >= ENOUGH
    }

    /// When the last call of somebody who was served began.
    pub(super) fn served_last(&self) -> Option<Time> {
        self.served.0.iter().flatten().map(|c| c.at).max()
    }

    pub(super) fn lately(&self, now: Time, arrivals: &Arrivals) -> Lately {
        let since = now - HEALTHY_FOR;
        if self.are_failing(since) {
            return Lately::Failing;
        }
        match self.are_enough(since) && arrivals.go_on(now) && arrivals.are_followed(self.served_last()) {
            true => Lately::Served,
            false => Lately::Unknown,
        }
    }

    /// True if of the latest callers more failed than were served. Who failed and was served afterwards was served.
    fn are_failing(&self, since: Time) -> bool {
        if self.failed.since(since).count() < ENOUGH {
            return false;
        }
        let is_later = |of: &Latest, c: &Caller| of.0.iter().flatten().any(|o| o.hash == c.hash && o.at > c.at);
        let served = self.served.since(since).filter(|c| !is_later(&self.failed, c)).map(|c| (c.at, true));
        let failed = self.failed.since(since).filter(|c| !is_later(&self.served, c)).map(|c| (c.at, false));
        let mut latest: Vec<(Time, bool)> = served.chain(failed).collect();
        // Times have one second. Of two in the same one it is not known who came later, so the one who failed did.
        latest.sort_unstable_by_key(|(at, is_served)| (std::cmp::Reverse(*at), *is_served));
        latest.truncate(KEPT);
        let failed = latest.iter().filter(|(_, is_served)| !is_served).count();
        failed >= ENOUGH && failed > latest.len() - failed
    }

    /// True if the latest callers who failed all called the same number.
    pub(super) fn fail_at_one_number(&self, now: Time) -> bool {
        let mut numbers = self.failed.since(now - HEALTHY_FOR).map(|c| c.number);
        numbers.next().is_some_and(|first| numbers.all(|number| number == first))
    }

    /// What health rests on, where nothing speaks against it.
    pub(super) fn evidence(&self, now: Time) -> Evidence {
        let lately = || self.served.since(now - HEALTHY_FOR).map(|c| c.at);
        Evidence { callers: lately().count() as u32, since: lately().min(), ..Evidence::default() }
    }
}

/// Of a call or message by itself.
fn own_hash(entry: Resource) -> u64 {
    let digits = match entry {
        Resource::Call(sid) => sid.as_u128(),
        Resource::Message(sid) => sid.as_u128(),
    };
    (digits ^ (digits >> 64)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::observation::RemoteParty;
    use crate::model::id::{CallSid, Channel};
    use crate::model::reason::Reason;

    const FAILED: Outcome = Outcome::Failed(Reason::Account);

    fn call(minute: i64, hash: u64, was: Option<Outcome>, is: Outcome) -> OutcomeChange {
        let at = Time::from_secs(100_000 + minute * 60);
        let party = RemoteParty { hash, last_two: (hash != 0).then_some(7), is_prober: false, carrier: None };
        let entry = Resource::Call(CallSid::from_u128(minute as u128));
        let (number, channel) = (NumberIx(0), Channel::Voice);
        OutcomeChange { entry, number, channel, party, is_inbound: true, started_at: at, at, was, is, code: None }
    }

    /// After calls a minute apart: `+` somebody new was served, `-` somebody new was not, `r` the same one failed
    /// again, `w` one who withholds their number failed, `b` the last one to fail was served.
    fn after(calls: &str, minutes_later: i64) -> Lately {
        let (mut latest, mut arrivals) = (LatestCallers::default(), Arrivals::default());
        let mut last = 0;
        for (i, what) in calls.chars().enumerate() {
            let (hash, is) = match what {
                '+' => (i as u64 + 1, Outcome::Ok),
                'b' => (last, Outcome::Ok),
                '-' => (i as u64 + 1, FAILED),
                'r' => (last, FAILED),
                _ => (0, FAILED),
            };
            last = hash;
            let change = call(i as i64, hash, None, is);
            arrivals.add(change.at);
            latest.apply(&change);
        }
        latest.lately(Time::from_secs(100_000 + (calls.len() as i64 - 1 + minutes_later) * 60), &arrivals)
    }

    #[test]
    fn health_is_of_the_latest_callers_and_not_of_those_before_them() {
        use Lately::{Failing, Served, Unknown};
        let table = [
            ("", Unknown),
            ("++", Unknown),
            ("+++", Served),
            ("++++++--", Served),
            ("++++++---", Served),
            ("++++++----", Failing),
            ("---", Failing),
            ("--+-", Failing),
            ("-+-+-+", Served),
            ("+++rrrr", Served),
            ("+++-rrrrr", Served),
            ("www", Failing),
            ("---b", Unknown),
            ("----+++", Served),
            ("++++++---------+++", Served),
        ];
        for (calls, lately) in table {
            assert_eq!(after(calls, 1), lately, "{calls}");
        }
    }

    #[test]
    fn in_one_second_who_failed_came_last_and_who_withholds_is_each_somebody() {
        let lately = |served: u64, failed: u64, is_withheld: bool| {
            let (mut latest, mut arrivals) = (LatestCallers::default(), Arrivals::default());
            for i in 0..served + failed {
                let (hash, is) =
                    if i < failed { (u64::from(!is_withheld) * (i + 1), FAILED) } else { (i + 1, Outcome::Ok) };
                let entry = Resource::Call(CallSid::from_u128(u128::from(i) + 1));
                let change = OutcomeChange { entry, ..call(0, hash, None, is) };
                arrivals.add(change.at);
                latest.apply(&change);
            }
            latest.lately(Time::from_secs(100_060), &arrivals)
        };
        assert_eq!([lately(4, 4, false), lately(4, 4, true)], [Lately::Failing, Lately::Failing]);
        assert_eq!([lately(6, 3, false), lately(6, 3, true)], [Lately::Served, Lately::Served]);
    }

    #[test]
    fn what_is_hours_ago_says_nothing_of_now() {
        assert_eq!([after("------", 115), after("------", 130)], [Lately::Failing, Lately::Unknown]);
        assert_eq!(after("++++++", 130), Lately::Unknown);
    }

    #[test]
    fn an_outcome_that_is_revised_and_a_number_that_is_swapped_are_taken_back() {
        let mut latest = LatestCallers::default();
        (0..4).for_each(|i| latest.apply(&call(i, i as u64 + 1, None, FAILED)));
        let now = Time::from_secs(101_000);
        assert!(latest.are_failing(now - HEALTHY_FOR));
        let mut revised = latest.clone();
        (0..2).for_each(|i| revised.apply(&call(i, i as u64 + 1, Some(FAILED), Outcome::Ok)));
        assert!(!revised.are_failing(now - HEALTHY_FOR));
        latest.forget(NumberIx(1));
        assert!(latest.are_failing(now - HEALTHY_FOR));
        latest.forget(NumberIx(0));
        assert!(!latest.are_failing(now - HEALTHY_FOR));
    }
}
