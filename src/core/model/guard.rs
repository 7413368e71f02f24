//! What may object to a rollback, by name, and how strong the evidence for it is.
//!
//! Nouns without rules: in which order guards are asked, and what they say, is in [`crate::rollback::guard`].

use serde::{Deserialize, Serialize};

use super::decision;
use super::verdict::Evidence;

/// Why a rollback that the evidence calls for is not made, or not yet, in the order in which guards are asked: the
/// first is the weightiest. Mode is twice in that order, and here where it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    Lease,
    Mode,
    Hold,
    NotWatched,
    Phase,
    Blind,
    Fallback,
    Cooldown,
    OtherWriter,
    Storm,
    Cap,
    Veto,
    NoFallback,
    NotInAccount,
    NotRead,
    OnFallback,
}

impl Guard {
    /// All of them; in which order they are asked is in [`crate::rollback::guard`].
    pub const ALL: [Guard; 16] = [
        Guard::Lease,
        Guard::Mode,
        Guard::Hold,
        Guard::NotWatched,
        Guard::Phase,
        Guard::Blind,
        Guard::Fallback,
        Guard::Cooldown,
        Guard::OtherWriter,
        Guard::Storm,
        Guard::Cap,
        Guard::Veto,
        Guard::NoFallback,
        Guard::NotInAccount,
        Guard::NotRead,
        Guard::OnFallback,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            Guard::Lease => "lease",
            Guard::Mode => "mode",
            Guard::Hold => "hold",
            Guard::NotWatched => "not_watched",
            Guard::Phase => "phase",
            Guard::Blind => "blind",
            Guard::Storm => "storm",
            Guard::Fallback => "fallback",
            Guard::Cooldown => "cooldown",
            Guard::OtherWriter => "other_writer",
            Guard::Cap => "cap",
            Guard::Veto => "veto",
            Guard::NoFallback => "no_fallback",
            Guard::NotInAccount => "not_in_account",
            Guard::NotRead => "not_read",
            Guard::OnFallback => "on_fallback",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            Guard::Lease => "this agent does not hold the lease, or its lease is about to expire",
            Guard::Mode => "the mode does not let Ringback roll back by itself",
            Guard::Hold => "a person has put a hold on it",
            Guard::NotWatched => "the number is not watched on this channel",
            Guard::Phase => "the number has not been ported",
            Guard::Blind => "Ringback cannot read Twilio's logs in time",
            Guard::Storm => "most numbers of most groups fail at once, which a fallback rarely cures",
            Guard::Fallback => "the fallback is broken",
            Guard::Cooldown => "the last attempt failed a short while ago, and the next one comes by itself",
            Guard::OtherWriter => {
                "somebody else set the number's handler: they undid its last rollback, or what fails is the rest of the group"
            }
            Guard::Cap => {
                "more of the group would be on the fallback than may be without approval: group.cap for callers' failures, \
                 one in five for failing test calls"
            }
            Guard::Veto => "the time for a veto is not over",
            Guard::NoFallback => "the group has no fallback for this channel",
            Guard::NotInAccount => "the number is not in the Twilio account",
            Guard::NotRead => "Ringback could not read the account's numbers yet",
            Guard::OnFallback => "the number already points at the fallback",
        }
    }
}

impl From<decision::DetectorGuard> for Guard {
    fn from(guard: decision::DetectorGuard) -> Guard {
        match guard {
            decision::DetectorGuard::Mode => Guard::Mode,
            decision::DetectorGuard::Phase => Guard::Phase,
            decision::DetectorGuard::NoFallback => Guard::NoFallback,
            decision::DetectorGuard::NotInAccount => Guard::NotInAccount,
            decision::DetectorGuard::NotRead => Guard::NotRead,
            decision::DetectorGuard::OnFallback => Guard::OnFallback,
        }
    }
}

/// On what a decision rests, as far as the cap cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Silence, or test calls alone.
    Hint,
    /// Real callers met a curable failure.
    Callers,
}

impl Strength {
    /// What a decision about so many numbers rests on. For one number a single caller is enough beside test
    /// calls; several are not swapped because one caller met what callers meet on any day.
    pub fn of(evidence: &Evidence, numbers: usize) -> Strength {
        let callers = usize::try_from(evidence.failing).unwrap_or(usize::MAX);
        if callers >= numbers.clamp(1, 2) { Strength::Callers } else { Strength::Hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decision::DetectorGuard;

    #[test]
    fn labels_are_the_words_of_the_journal_and_the_api() {
        for guard in Guard::ALL {
            assert_eq!(serde_json::to_value(guard).unwrap(), serde_json::json!(guard.label()));
        }
    }

    #[test]
    fn what_the_detector_withholds_has_the_same_name_and_reason_as_what_a_guard_refuses() {
        for withheld in DetectorGuard::ALL {
            let guard = Guard::from(withheld);
            assert_eq!(guard.label(), withheld.label());
            // A mode that asks does not stop the detector's rollbacks for good.
            let text = if guard == Guard::Mode { "the mode allows no writes" } else { guard.text() };
            assert_eq!(withheld.text(), text);
        }
    }
}
