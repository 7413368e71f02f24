//! Alerts and child legs of calls and texts that have not been seen yet: they wait for them, up to a bound.

use super::{Body, Entry, Ledger, LedgerContext};
use crate::detect::observation::Alert;
use crate::detect::outcome::Children;
use crate::model::bounds;
use crate::model::id::Resource;
use crate::model::time::Time;

#[derive(Debug)]
pub(super) struct Orphan {
    pub since: Time,
    pub alerts: Vec<Alert>,
    pub children: Children,
    pub is_probe: bool,
}

impl Ledger {
    /// Keeps an alert until what it is of is seen.
    pub(super) fn wait(&mut self, key: u128, at: Time, alert: Alert) {
        let orphan = self.orphan(key, at);
        if orphan.alerts.len() < bounds::ALERTS_PER_CALL && !orphan.alerts.iter().any(|a| a.sid == alert.sid) {
            orphan.alerts.push(alert);
            self.orphaned_alerts += 1;
        }
    }

    /// Gives a new entry the alerts and legs that were there before it. True if it was known to be our own probe's.
    pub(super) fn adopt(&mut self, at: Time, resource: Resource, key: u128, cx: LedgerContext<'_>) -> bool {
        let Some(orphan) = self.orphans.remove(&key) else {
            return false;
        };
        self.orphaned_alerts -= orphan.alerts.len();
        for alert in &orphan.alerts {
            self.add_mark(at, resource, alert, cx);
        }
        if let Some(entry) = self.entries[resource.channel().index()].get_mut(&key).filter(|_| orphan.is_probe) {
            entry.is_probe = true;
        }
        if let Some(Entry { number, body: Body::Call { children, .. }, .. }) = self.entries[0].get_mut(&key)
            && orphan.children.any()
        {
            *children = orphan.children;
            self.forwards[number.0 as usize] = true;
        }
        orphan.is_probe
    }

    pub(super) fn orphan(&mut self, key: u128, at: Time) -> &mut Orphan {
        if !self.orphans.contains_key(&key) {
            // Those that were named first: what their alerts belong to is nobody's of ours, or long overdue.
            while self.named.len() + self.orphaned_alerts >= bounds::ORPHANS {
                let Some(oldest) = self.named.pop_front() else { break };
                self.orphaned_alerts -= self.orphans.remove(&oldest).map_or(0, |o| o.alerts.len());
            }
            self.named.push_back(key);
        }
        self.orphans.entry(key).or_insert_with(|| Orphan {
            since: at,
            alerts: Vec::new(),
            children: Children::default(),
            is_probe: false,
        })
    }
}
