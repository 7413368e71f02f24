//! How one channel of a number stands, in one word, the worst first: what the page counts, sorts and colours by.

use crate::agent::publish::status::{ChannelStatus, NumberStatus, RollbackStatus};
use crate::core::model::decision::Phase;
use crate::core::model::verdict::Verdict;
use crate::core::routing::history::RoutingState;

/// In order: the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChannelStanding {
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

impl ChannelStanding {
    pub fn of(number: &NumberStatus, channel: &ChannelStatus) -> ChannelStanding {
        let is_waiting = channel.phase == Phase::Waiting;
        match (channel.verdict, channel.rollback) {
            (Verdict::Failing, _) => ChannelStanding::Failing,
            (_, RollbackStatus::Unproven { .. }) => ChannelStanding::Unproven,
            (_, RollbackStatus::Pending) => ChannelStanding::Swapping,
            (Verdict::Blind, _) => ChannelStanding::Blind,
            (Verdict::Silent, _) => ChannelStanding::Silent,
            (Verdict::Suspect, _) => ChannelStanding::Suspect,
            (_, RollbackStatus::Done { .. }) => ChannelStanding::OnFallback,
            (Verdict::Unknown | Verdict::Healthy, RollbackStatus::None) => match channel.routing {
                RoutingState::Handled => match channel.verdict {
                    Verdict::Healthy => ChannelStanding::Healthy,
                    Verdict::Unknown | Verdict::Suspect | Verdict::Failing | Verdict::Silent | Verdict::Blind => {
                        if is_waiting {
                            ChannelStanding::Waiting
                        } else {
                            ChannelStanding::Unknown
                        }
                    }
                },
                RoutingState::NotInAccount if is_waiting && !number.is_in_account => ChannelStanding::Waiting,
                RoutingState::NotInAccount => ChannelStanding::Missing,
                RoutingState::Unread | RoutingState::Elsewhere => ChannelStanding::Blind,
                RoutingState::Nobody
                | RoutingState::Gone
                | RoutingState::Demo
                | RoutingState::Lacking
                | RoutingState::Fax => ChannelStanding::Unanswered,
            },
        }
    }

    /// True if a person should look.
    pub fn is_trouble(self) -> bool {
        self <= ChannelStanding::OnFallback
    }

    /// The class of its colour, and its word in the page's addresses.
    pub const fn label(self) -> &'static str {
        match self {
            ChannelStanding::Failing => "failing",
            ChannelStanding::Unproven => "unproven",
            ChannelStanding::Unanswered => "unanswered",
            ChannelStanding::Missing => "missing",
            ChannelStanding::Blind => "blind",
            ChannelStanding::Silent => "silent",
            ChannelStanding::Suspect => "suspect",
            ChannelStanding::Swapping => "swapping",
            ChannelStanding::OnFallback => "on-fallback",
            ChannelStanding::Unknown => "unknown",
            ChannelStanding::Waiting => "waiting",
            ChannelStanding::Healthy => "healthy",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            ChannelStanding::Failing => "failing",
            ChannelStanding::Unproven => "rollback not proven",
            ChannelStanding::Unanswered => "nobody answers",
            ChannelStanding::Missing => "not in the account",
            ChannelStanding::Blind => "not known: blind",
            ChannelStanding::Silent => "silent",
            ChannelStanding::Suspect => "suspect",
            ChannelStanding::Swapping => "being swapped",
            ChannelStanding::OnFallback => "on the fallback",
            ChannelStanding::Unknown => "not known: too few callers",
            ChannelStanding::Waiting => "not ported yet",
            ChannelStanding::Healthy => "healthy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fine_or_unknown_is_no_trouble() {
        for fine in [ChannelStanding::Unknown, ChannelStanding::Waiting, ChannelStanding::Healthy] {
            assert!(!fine.is_trouble() && fine > ChannelStanding::OnFallback, "{fine:?}");
        }
        assert!(
            [ChannelStanding::Failing, ChannelStanding::Blind, ChannelStanding::OnFallback]
                .into_iter()
                .all(ChannelStanding::is_trouble)
        );
    }
}
