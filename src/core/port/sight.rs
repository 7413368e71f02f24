//! What could be looked at: the Porting API, and whether the numbers are in the account.

use serde::{Deserialize, Serialize};

use super::checklist::minute;
use crate::model::foreign::Line;
use crate::model::time::Time;

/// What came of the latest look at the Porting API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "look", rename_all = "snake_case")]
pub enum ApiSight {
    /// Nobody has looked yet.
    #[default]
    NotYet,
    Read {
        at: Time,
    },
    /// The account may not ask, or has no such thing: other evidence speaks.
    NotForUs {
        at: Time,
        why: Line,
    },
    /// It could not be read, which says nothing.
    CouldNotLook {
        at: Time,
        why: Line,
        cure: Line,
    },
}

impl ApiSight {
    pub const LABELS: [&str; 4] = ["not_yet", "read", "not_for_us", "could_not_look"];

    pub const fn label(&self) -> &'static str {
        match self {
            ApiSight::NotYet => "not_yet",
            ApiSight::Read { .. } => "read",
            ApiSight::NotForUs { .. } => "not_for_us",
            ApiSight::CouldNotLook { .. } => "could_not_look",
        }
    }

    /// True if what is not shown can be taken not to be there.
    pub const fn is_conclusive(&self) -> bool {
        match self {
            ApiSight::Read { .. } | ApiSight::NotForUs { .. } => true,
            ApiSight::NotYet | ApiSight::CouldNotLook { .. } => false,
        }
    }

    /// What to say of it; `None` where all is well.
    pub fn text(&self) -> Option<String> {
        match self {
            ApiSight::Read { .. } => None,
            ApiSight::NotYet => Some("the Porting API was not asked yet".to_owned()),
            ApiSight::NotForUs { why, .. } => {
                Some(format!("the Porting API could not be asked ({why}): all is said by other evidence"))
            }
            ApiSight::CouldNotLook { at, why, cure } => {
                Some(format!("could not look at the Porting API at {}: {why}; {cure}", minute(*at)))
            }
        }
    }
}

/// Whether the list of the account's numbers is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "look", rename_all = "snake_case")]
pub enum AccountSight {
    Read,
    /// It cannot be read. What it said last, at `last`, may be otherwise by now.
    Unread {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        last: Option<Time>,
    },
    /// Nobody says.
    #[default]
    Untold,
}

impl AccountSight {
    pub const fn is_read(&self) -> bool {
        matches!(self, AccountSight::Read)
    }

    /// What to say of it; `None` where all is well.
    pub fn text(&self) -> Option<String> {
        match self {
            AccountSight::Read => None,
            AccountSight::Untold => Some("whether the account's numbers can be read is not known".to_owned()),
            AccountSight::Unread { last } => {
                let last = last.map_or_else(String::new, |at| format!(", read last at {}", minute(at)));
                Some(format!("the account's numbers cannot be read{last}: which of ours are in it is not known"))
            }
        }
    }
}
