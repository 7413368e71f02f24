//! How one channel of a number stands, in one word, the worst first: what the page counts, sorts and colours by.

use crate::agent::publish::status::{ChannelStatus, NumberStatus, RollbackStatus};
use crate::core::model::decision::Phase;
use crate::core::model::verdict::Verdict;
use crate::core::routing::history::RoutingState;

/// In order: the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    Failing,
    Unproven,
    Unanswered,
    Missing,
    Blind,
    Silent,
    Suspect,
    Swapping,
    OnFallback,
    Unknown,
    Waiting,
    Healthy,
}

impl Standing {
    pub fn of(number: &NumberStatus, channel: &ChannelStatus) -> Standing {
        let is_waiting = channel.phase == Phase::Waiting;
        match (channel.verdict, channel.rollback) {
            (Verdict::Failing, _) => Standing::Failing,
            (_, RollbackStatus::Unproven { .. }) => Standing::Unproven,
            (_, RollbackStatus::Pending) => Standing::Swapping,
            (Verdict::Blind, _) => Standing::Blind,
            (Verdict::Silent, _) => Standing::Silent,
            (Verdict::Suspect, _) => Standing::Suspect,
            (_, RollbackStatus::Done { .. }) => Standing::OnFallback,
            (Verdict::Unknown | Verdict::Healthy, RollbackStatus::None) => match channel.routing {
                RoutingState::Handled => match channel.verdict {
                    Verdict::Healthy => Standing::Healthy,
                    Verdict::Unknown | Verdict::Suspect | Verdict::Failing | Verdict::Silent | Verdict::Blind => {
                        if is_waiting {
                            Standing::Waiting
                        } else {
                            Standing::Unknown
                        }
                    }
                },
                RoutingState::NotInAccount if is_waiting && !number.is_in_account => Standing::Waiting,
                RoutingState::NotInAccount => Standing::Missing,
                RoutingState::Unread | RoutingState::Elsewhere => Standing::Blind,
                RoutingState::Nobody
                | RoutingState::Gone
                | RoutingState::Demo
                | RoutingState::Lacking
                | RoutingState::Fax => Standing::Unanswered,
            },
        }
    }

    /// True if a person should look.
    pub fn is_trouble(self) -> bool {
        self <= Standing::OnFallback
    }

    /// The class of its colour, and its word in the page's addresses.
    pub const fn label(self) -> &'static str {
        match self {
            Standing::Failing => "failing",
            Standing::Unproven => "unproven",
            Standing::Unanswered => "unanswered",
            Standing::Missing => "missing",
            Standing::Blind => "blind",
            Standing::Silent => "silent",
            Standing::Suspect => "suspect",
            Standing::Swapping => "swapping",
            Standing::OnFallback => "on-fallback",
            Standing::Unknown => "unknown",
            Standing::Waiting => "waiting",
            Standing::Healthy => "healthy",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            Standing::Failing => "failing",
            Standing::Unproven => "rollback not proven",
            Standing::Unanswered => "nobody answers",
            Standing::Missing => "not in the account",
            Standing::Blind => "not known: blind",
            Standing::Silent => "silent",
            Standing::Suspect => "suspect",
            Standing::Swapping => "being swapped",
            Standing::OnFallback => "on the fallback",
            Standing::Unknown => "not known: too few callers",
            Standing::Waiting => "not ported yet",
            Standing::Healthy => "healthy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fine_or_unknown_is_no_trouble() {
        for fine in [Standing::Unknown, Standing::Waiting, Standing::Healthy] {
            assert!(!fine.is_trouble() && fine > Standing::OnFallback, "{fine:?}");
        }
        assert!([Standing::Failing, Standing::Blind, Standing::OnFallback].into_iter().all(Standing::is_trouble));
    }
}
