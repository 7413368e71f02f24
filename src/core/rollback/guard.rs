//! What stands between a decision and a write, in a fixed order, from "we may never" to "not now".
//!
//! The first guard that objects is the one that is reported, so the reason given is always
//! the weightiest one. A guard refuses, or asks for approval, or lets time pass; it never
//! makes anything happen. An approval answers what asks, and passes no guard that refuses.
//!
//! This order is the detector's, between its decision and an order. Others ask elsewhere, each what only it can know:
//! * `detect::engine::decide`, before a decision: whether a swap could help at all ([`DetectorGuard`](
//!   crate::model::decision::DetectorGuard)).
//! * [`super::operator`], for what a person orders: a person passes the cap, the storm and the mode, and neither a hold
//!   nor a broken fallback.
//! * `agent::control::write_guard`, right before each request to Twilio, with the permit in hand: lease, mode, hold
//!   and sight once more, for what was said since.
//!
//! | guard | refuses | asks |
//! |---|---|---|
//! | lease | another agent leads, or too little time is left | |
//! | mode | `observe` | `confirm`, after `other writer` |
//! | hold | a person's hold covers the number | |
//! | not watched | the number is not watched on the channel | |
//! | phase | the number has not been ported | |
//! | blind | the data is stale | the data is getting stale |
//! | fallback | the fallback is known to be broken | |
//! | cooldown | the last attempt failed, and its hold-off has not passed | |
//! | other writer | | somebody else undid the number's last swap, and no person has settled it since; or it was adopted, others of its group were not, and nothing says that its own callers fail |
//! | storm | | most numbers of most groups fail at once |
//! | cap | | too many of the group would be on the fallback |
//! | veto | | until its time has passed |

use crate::model::decision::{Mode, Phase};
use crate::model::guard::{Guard, Strength};
use crate::model::order::FallbackState;
use crate::model::time::Time;

/// What the guards make of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    Act,
    /// A person has to say yes.
    Ask(Guard),
    /// Nobody objected so far: at this time it is done.
    Wait(Time),
    Refuse(Guard),
}

/// Freshness of what a decision rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Freshness {
    #[default]
    Fresh,
    /// Polls fail or are late; not for long yet.
    Degraded,
    Stale,
}

/// What the guards ask about.
#[derive(Clone, Copy, Debug)]
pub struct GuardInputs {
    pub is_leading: bool,
    pub mode: Mode,
    pub is_held: bool,
    /// On this channel, by the configuration.
    pub is_watched: bool,
    pub phase: Phase,
    pub freshness: Freshness,
    pub is_storm: bool,
    pub fallback: FallbackState,
    /// No attempt before this.
    pub not_before: Option<Time>,
    /// Somebody else undid our last swap, and no person has settled it since; or theirs was adopted, and it is the rest
    /// of the group that fails.
    pub is_of_another: bool,
    /// Of the group's numbers on this channel: all of them, how many would be on the fallback after
    /// this one, and how many may be.
    pub after: usize,
    pub allowed: usize,
    pub is_approved: bool,
    /// Until when a veto may come.
    pub veto_until: Option<Time>,
}

/// The ruling on one number, by the first guard that does not let it pass.
pub fn rule(now: Time, facts: &GuardInputs) -> Ruling {
    let ask = |guard| if facts.is_approved { None } else { Some(Ruling::Ask(guard)) };
    let refuse = |guard| Some(Ruling::Refuse(guard));
    let guards = [
        if facts.is_leading { None } else { refuse(Guard::Lease) },
        match facts.mode {
            Mode::Observe => refuse(Guard::Mode),
            // What follows may refuse: only what nothing else stands against is asked.
            Mode::Confirm | Mode::Auto => None,
        },
        if facts.is_held { refuse(Guard::Hold) } else { None },
        if !facts.is_watched { refuse(Guard::NotWatched) } else { None },
        if facts.phase == Phase::Waiting { refuse(Guard::Phase) } else { None },
        if facts.freshness == Freshness::Stale { refuse(Guard::Blind) } else { None },
        if facts.fallback == FallbackState::Broken { refuse(Guard::Fallback) } else { None },
        if facts.not_before.is_some_and(|t| now < t) { refuse(Guard::Cooldown) } else { None },
        // From here on an operator's approval or command is enough. Who approves in `confirm` has to know against whom.
        if facts.is_of_another { ask(Guard::OtherWriter) } else { None },
        if facts.mode == Mode::Confirm { ask(Guard::Mode) } else { None },
        if facts.freshness == Freshness::Degraded { ask(Guard::Blind) } else { None },
        if facts.is_storm { ask(Guard::Storm) } else { None },
        if facts.after > facts.allowed { ask(Guard::Cap) } else { None },
        match facts.veto_until {
            Some(t) if now < t && !facts.is_approved => Some(Ruling::Wait(t)),
            Some(_) | None => None,
        },
    ];
    guards.into_iter().flatten().next().unwrap_or(Ruling::Act)
}

/// How many of a group's `numbers` may be on the fallback without approval.
///
/// Real callers' failures: `percent` of the group, and never less than one number, so with less
/// than 100 a group of one or two may lose one number, and one of three one (below 67 %) or two.
/// Anything less than real callers: one number in five and no more, so in a group of up to four a
/// person is always asked.
pub fn allowed(strength: Strength, numbers: usize, percent: u8) -> usize {
    match strength {
        Strength::Callers => (numbers * usize::from(percent) / 100).max(1),
        Strength::Hint => numbers / 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clear() -> GuardInputs {
        GuardInputs {
            is_leading: true,
            mode: Mode::Auto,
            is_held: false,
            is_watched: true,
            phase: Phase::Active,
            freshness: Freshness::Fresh,
            is_storm: false,
            fallback: FallbackState::Good,
            not_before: None,
            is_of_another: false,
            after: 1,
            allowed: 3,
            is_approved: false,
            veto_until: None,
        }
    }

    #[test]
    fn the_first_guard_in_order_is_the_one_named() {
        let now = Time::from_secs(100);
        let mut facts = clear();
        assert_eq!(rule(now, &facts), Ruling::Act);
        // Each worse than all before it: the ruling is always the newest.
        facts.veto_until = Some(Time::from_secs(160));
        assert_eq!(rule(now, &facts), Ruling::Wait(Time::from_secs(160)));
        assert_eq!(rule(Time::from_secs(160), &facts), Ruling::Act, "nobody objected");
        facts.after = 4;
        assert_eq!(rule(now, &facts), Ruling::Ask(Guard::Cap));
        facts.is_storm = true;
        assert_eq!(rule(now, &facts), Ruling::Ask(Guard::Storm));
        facts.freshness = Freshness::Degraded;
        assert_eq!(rule(now, &facts), Ruling::Ask(Guard::Blind));
        facts.mode = Mode::Confirm;
        assert_eq!(rule(now, &facts), Ruling::Ask(Guard::Mode));
        facts.is_of_another = true;
        assert_eq!(rule(now, &facts), Ruling::Ask(Guard::OtherWriter));
        facts.is_approved = true;
        assert_eq!(rule(now, &facts), Ruling::Act, "a person's word answers all that asks");
        facts.not_before = Some(Time::from_secs(101));
        assert_eq!(rule(now, &facts), Ruling::Refuse(Guard::Cooldown), "and passes nothing that refuses");
        facts.fallback = FallbackState::Broken;
        assert_eq!(rule(now, &facts), Ruling::Refuse(Guard::Fallback));
        facts.freshness = Freshness::Stale;
        assert_eq!(rule(now, &facts), Ruling::Refuse(Guard::Blind));
        facts.phase = Phase::Waiting;
        assert_eq!(rule(now, &facts), Ruling::Refuse(Guard::Phase));
        facts.is_watched = false;
        assert_eq!(rule(now, &facts), Ruling::Refuse(Guard::NotWatched));
        facts.is_held = true;
        assert_eq!(rule(now, &facts), Ruling::Refuse(Guard::Hold));
        facts.mode = Mode::Observe;
        assert_eq!(rule(now, &facts), Ruling::Refuse(Guard::Mode));
        facts.is_leading = false;
        assert_eq!(rule(now, &facts), Ruling::Refuse(Guard::Lease));
    }

    #[test]
    fn one_caller_speaks_for_one_number() {
        use crate::model::verdict::Evidence;
        let of = |failing, numbers| Strength::of(&Evidence { failing, ..Evidence::default() }, numbers);
        assert_eq!([of(0, 1), of(1, 1), of(1, 2)], [Strength::Hint, Strength::Callers, Strength::Hint]);
        assert_eq!([of(2, 2), of(2, 50)], [Strength::Callers; 2]);
    }

    #[test]
    fn the_cap_of_small_groups_is_as_said() {
        let callers = |n, percent| allowed(Strength::Callers, n, percent);
        assert_eq!([callers(1, 100), callers(2, 100), callers(3, 100)], [1, 2, 3]);
        assert_eq!([callers(1, 50), callers(2, 50), callers(3, 50), callers(3, 67), callers(10, 50)], [1, 1, 1, 2, 5]);
        let hint = |n| allowed(Strength::Hint, n, 100);
        assert_eq!([hint(1), hint(2), hint(3), hint(4), hint(5), hint(9), hint(10)], [0, 0, 0, 0, 1, 1, 2]);
    }
}
