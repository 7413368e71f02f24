//! Whether a log still shows what it has shown: a list that forgets does not tell what has come since either.
//!
//! An empty page, a cache of yesterday and a replica that lags are answered with 200 and are well-formed. What gives
//! them away is what was read before: entries of the time that was walked through, and that the walk no longer met.
//! One row may be gone by right, for Twilio deletes calls and messages on request, and a page may shift while it is
//! read. So a share is asked for. A replica that lags lacks the newest rows for a moment, and for a moment it is not
//! read, which is no blindness yet.
//!
//! Where so many were deleted by right, this ends as new ones come, after [`LOOK_BACK`] at the latest. Until then it
//! cannot be told from a list that does not tell what it should, and what is not known is no health (law 4). Texts are
//! another matter: many accounts delete each once it is delivered, for what is in it. A list of texts that goes on to
//! show new ones is alive, and what it lacks was deleted.

use super::found::FoundEntries;
use super::log::TwilioLog;
use super::{PollError, Poller, Reach};
use crate::core::model::bounds::LOOK_BACK;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::metrics::RowResult;

/// A log that lacks this share of what it has shown is not read. It is the share of unreadable rows, and for the same
/// reason: what is not shown may be those who fail.
const GONE: f64 = 0.2;

/// So few are gone by right at any time, or by an accident of paging; of few rows one is always a large share.
const GONE_FEW: usize = 2;

impl<G: TwilioLog> Poller<G> {
    /// Fails if the lists, as far back as this walk went, lack much of what an earlier one met there. To be asked
    /// before anything is fetched by its SID.
    pub(super) fn check_gone(&mut self, found: &FoundEntries<G>, reach: Reach, started: Time) -> Result<(), PollError> {
        let from = found.walked_to.max(reach.overlap).max(started - LOOK_BACK);
        let has_new = || found.known.keys().any(|sid| !self.known.contains_key(sid));
        let are_deleted = G::SOURCE == Source::Messages && has_new();
        let (mut gone, mut of) = (0_usize, 0_usize);
        for (sid, known) in self.known.iter_mut().filter(|(_, k)| k.is_listed && k.at >= from) {
            of += 1;
            if !found.known.contains_key(sid) {
                gone += 1;
                known.is_listed = !are_deleted;
            }
        }
        if are_deleted {
            return Ok(());
        }
        // What is there and is not understood is another matter.
        let gone = gone.saturating_sub(found.counts[RowResult::Bad as usize]);
        if gone > GONE_FEW && gone as f64 >= GONE * of as f64 {
            return Err(PollError::Gone { gone, of });
        }
        Ok(())
    }
}
