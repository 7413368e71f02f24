//! What people have been told, after a restart.
//!
//! The journal is applied once more at the start ([`crate::core::control::Recovery`]) and gives every notice again;
//! those of the last hour are posted, and the outbox knows which of them it has kept already. So nothing is lost
//! between the journal's commit and the outbox's. What the journal does not tell is taken up from the outbox.
//!
//! A notice that could not be kept was sent all the same. Of an incident that is over by what the outbox has kept, no
//! beginning is sent again: nothing would end it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::agent::deliver::Outbox;
use crate::core::model::time::Time;
use crate::core::notice::incidents::Incidents;
use crate::core::notice::{Notice, NoticeStatus};
use crate::store::outbox::Delivery;

/// Older notices are not sent after a restart: who was not told then knows by now.
const SENT_AGAIN: Duration = Duration::from_secs(3600);

/// Takes up where the agent before ended. `notices` follow from the journal, `told` is what the outbox has kept.
pub fn resume(incidents: &mut Incidents, notices: Vec<Notice>, told: &[Delivery], outbox: &Outbox, now: Time) {
    let is_end = |d: &&Delivery| d.notice.status == NoticeStatus::Resolved;
    let over: BTreeMap<&str, Time> =
        told.iter().filter(is_end).map(|d| (d.notice.key.as_str(), d.notice.at.at)).collect();
    let is_over =
        |n: &Notice| n.status == NoticeStatus::Firing && over.get(n.key.as_str()).is_some_and(|ended| n.at.at < *ended);
    for notice in notices.into_iter().filter(|n| n.at.at + SENT_AGAIN >= now && !is_over(n)) {
        outbox.post(notice);
    }
    let latest: BTreeMap<&str, &Notice> = told.iter().map(|d| (d.notice.key.as_str(), &d.notice)).collect();
    latest.into_values().filter(|n| n.status == NoticeStatus::Firing).for_each(|n| incidents.resume(n));
}
