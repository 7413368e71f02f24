//! Which of our numbers has which SID, as far as the account's numbers were read.
//!
//! A call's row names its number twice, by `to` and by `phone_number_sid`. Where `to` is empty, or written as the
//! carrier had it, the SID still says whose caller it is: what is ours is never taken for somebody else's because of a
//! spelling. Until the numbers were read such rows are nobody's; logs are read again over the recent past, and then
//! they are placed.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::core::model::id::{E164, NumberSid};

/// Shared by all who read an account's lists.
#[derive(Debug, Default)]
pub struct NumberSids(RwLock<HashMap<NumberSid, E164>>);

impl NumberSids {
    /// One of ours was read. There are no more of them than the roster has, and SIDs of numbers bought anew.
    pub(crate) fn note(&self, sid: NumberSid, number: E164) {
        let is_known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&sid) == Some(&number);
        if !is_known {
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(sid, number);
        }
    }

    /// The number with the SID that `text` is.
    pub(crate) fn number(&self, text: &str) -> Option<E164> {
        let sid: NumberSid = text.parse().ok()?;
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&sid).copied()
    }
}
